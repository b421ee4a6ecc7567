"""What the evaluator reports (``formulations/README.md``, M9)."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, is_dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spatem_opt.evaluator.findings import Violation
from spatem_opt.types import IntArray


@dataclass(frozen=True, slots=True)
class Communication:
    """Communication overhead of one inference.

    Parameters
    ----------
    buffer_read_bits : int
        Bits from tile buffers into crossbars.
    feature_map_bit_hops, partial_sum_bit_hops : int
        Bits between tiles (and from and to outside) times routers passed.
    feature_map_items, partial_sum_items : int
        Activations and partial sums between tiles (and from and to outside), without hops; an activation counts once
        per destination tile.
    from_outside_items : int
        Those of ``feature_map_items`` that start at the outside port.
    """

    buffer_read_bits: int
    feature_map_bit_hops: int
    partial_sum_bit_hops: int
    feature_map_items: int
    partial_sum_items: int
    from_outside_items: int

    @property
    def total(self) -> int:
        """Buffer reads plus bit-hops."""
        return self.buffer_read_bits + self.feature_map_bit_hops + self.partial_sum_bit_hops


@dataclass(frozen=True, slots=True)
class Energy:
    """Energy of one inference by kind [fJ]."""

    ou: int
    adc: int
    buffer_read: int
    buffer_write: int
    network: int
    digital: int
    static: int

    @property
    def total(self) -> int:
        """All kinds."""
        return sum(getattr(self, kind.name) for kind in fields(self))


@dataclass(frozen=True, slots=True)
class Area:
    """Area of the chip by kind of component [mm2]; what the chip does not state is 0."""

    crossbars: float
    adcs: float
    pes: float
    buffers: float
    buses: float
    digital: float
    routers: float

    @property
    def total(self) -> float:
        """All kinds."""
        return float(sum(getattr(self, kind.name) for kind in fields(self)))


@dataclass(frozen=True, slots=True)
class Utilization:
    """How much of the chip is used. ``ou_occupancy``: OU operations per crossbar and cycle of the latency."""

    crossbars_used: int
    crossbars: int
    tiles_used: int
    tiles: int
    cells_used: int
    cells: int
    ou_operations: int
    ou_occupancy: float


@dataclass(frozen=True, slots=True)
class LoadRatios:
    """Load of ports or routers over what they serve in the latency, and how long is waited for them.

    Parameters
    ----------
    busiest_mean, mean : float
        Share of the latency for which the busiest one, and the average one, is busy.
    longest_queue_bits : int or None
        Most bits that a router still has to pass when a packet arrives, that packet included; None for ports.
    waiting_cycles : float
        Waiting of all packets at all routers, or of all windows at ports beyond their load.
    """

    busiest_mean: float
    mean: float
    longest_queue_bits: int | None
    waiting_cycles: float


@dataclass(frozen=True, slots=True, eq=False)
class CriticalPath:
    """What the last output waited for, from the first window of a chain to the last: columns of equal length.

    Parameters
    ----------
    node : tuple of str
    window : int64 array
    begin, end, done : int64 arrays
        Of the window [cycles].
    cause : tuple of str
        Why the window did not begin earlier: ``data`` (the window of the line before delivered last), ``copy`` (the
        copy's window before), ``order`` (an earlier row on its crossbars), ``start`` (the schedule, after the window of
        the line before was done or had ended).
    queue_cycles : float64 array
        How long the packet that came last waited in queues of routers; 0 for other causes.
    """

    node: tuple[str, ...]
    window: IntArray
    begin: IntArray
    end: IntArray
    done: IntArray
    cause: tuple[str, ...]
    queue_cycles: NDArray[np.float64]

    def shares(self) -> dict[str, int]:
        """The latency [cycles], taken apart: what happens on the path, one after the other.

        ``compute`` (loading included), ``sums`` (partial sums on their way home, and the pipeline's tail), ``travel``
        and ``queues`` (data on their way, and waiting in routers), ``start`` (held back by reservations). These are all
        cycles, but for fractions of queues.
        """
        same = np.array([False, *(a == b for a, b in zip(self.node[1:], self.node[:-1], strict=True))])
        data = np.array([cause == "data" for cause in self.cause])
        held = np.array([cause == "start" for cause in self.cause])
        sent = data | (held & ~same)  # else the window before had to end only
        after = np.where(sent, np.append(0, self.done[:-1]), np.append(0, self.end[:-1]))
        gap = self.begin - after
        queues = round(float(np.minimum(self.queue_cycles, gap)[data].sum()))
        return {
            "compute": int((self.end - self.begin).sum()),
            "sums": int((self.done - self.end)[np.append(sent[1:], True)].sum()),
            "travel": int(gap[data].sum()) - queues,
            "queues": queues,
            "start": int(gap[~data].sum()),
        }


@dataclass(frozen=True, slots=True)
class BufferPeaks:
    """Buffer peaks [bits]; ``tile`` is the tile of ``tile_peak_bits``."""

    chip_peak_bits: int
    chip_peak_cycle: int
    tile_peak_bits: int
    tile: int


@dataclass(frozen=True, slots=True, eq=False)
class LayerTable:
    """Columns, one entry per crossbar layer. Cycles per window are the largest over the copies.

    ``start`` is the first begin of a window, ``end`` when the last window is done.
    """

    name: tuple[str, ...]
    copies: IntArray
    crossbars: IntArray
    tiles: IntArray
    windows: IntArray
    ous_per_copy: IntArray
    compute_cycles: IntArray
    load_cycles: IntArray
    interval_cycles: IntArray
    sum_delay_cycles: IntArray
    start: IntArray
    end: IntArray
    ou_operations: IntArray


@dataclass(frozen=True, slots=True, eq=False)
class NodeTable:
    """Columns, one entry per node of the network [cycles].

    ``start`` is the first begin, ``end`` the last done, ``queue`` the waiting of all its packets at routers, ``port``
    that of its windows at ports beyond their load.
    """

    name: tuple[str, ...]
    kind: tuple[str, ...]
    start: IntArray
    end: IntArray
    queue: NDArray[np.float64]
    port: IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Arrays:
    """For plots: one entry per tile, per router, or per row of the schedule.

    ``router_wait_cycles`` is the waiting of all packets at a router, ``row_begin`` and ``row_end`` the first begin and
    last end of the windows of a row, ``row_free`` when its crossbars are free of the rows before.
    """

    tile_crossbars: IntArray
    tile_cells: IntArray
    tile_ou_operations: IntArray
    tile_port_bits: IntArray
    tile_buffer_peak_bits: IntArray
    router_bits: IntArray
    router_queue_bits: IntArray
    router_wait_cycles: NDArray[np.float64]
    row_begin: IntArray
    row_end: IntArray
    row_free: IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """Result of :func:`spatem_opt.evaluator.evaluate`.

    Everything but ``violations`` is None when the solution is too broken to be replayed.

    Parameters
    ----------
    violations : tuple of Violation
        All of them; empty for a valid solution.
    latency_cycles, period_cycles : int or None
    queue_free_cycles : int or None
        Latency if packets never waited in routers: what queues cost, not what the chip does.
    latency_ns, images_per_second : float or None
    bounds : dict or None
        What the evaluator proves of any solution whatever (``formulations/README.md``, "Bounds"): ``latency`` and
        ``period`` [cycles], ``communication`` [bits], ``energy`` [fJ], ``balanced`` [cycles x bits]; None where
        nobody asked and nothing that is claimed needs them.
    cautions : tuple of str
        One line for everything that is legal but doubtful: queues longer than ``router_buffer_bits``.
    """

    violations: tuple[Violation, ...]
    latency_cycles: int | None = None
    queue_free_cycles: int | None = None
    latency_ns: float | None = None
    period_cycles: int | None = None
    images_per_second: float | None = None
    communication: Communication | None = None
    utilization: Utilization | None = None
    energy: Energy | None = None
    area_mm2: Area | None = None
    buffers: BufferPeaks | None = None
    ports: LoadRatios | None = None
    routers: LoadRatios | None = None
    layers: LayerTable | None = None
    nodes: NodeTable | None = None
    critical_path: CriticalPath | None = None
    bounds: dict[str, int] | None = None
    cautions: tuple[str, ...] = ()
    arrays: Arrays | None = field(default=None, repr=False)

    @property
    def valid(self) -> bool:
        """Whether no constraint is violated."""
        return not self.violations

    @property
    def families(self) -> tuple[str, ...]:
        """Violated families, in the order found, each once."""
        return tuple(dict.fromkeys(violation.family for violation in self.violations))

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, strings, lists and dicts, ready for JSON, in a fixed order."""
        found: dict[str, Any] = {"valid": self.valid}
        found["violations"] = [asdict(violation) for violation in self.violations]
        for part in fields(self)[1:]:
            found[part.name] = _plain(getattr(self, part.name))
        return found


def _plain(value: object) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, tuple):
        return list(value)
    if is_dataclass(value) and not isinstance(value, type):
        found = {part.name: _plain(getattr(value, part.name)) for part in fields(value)}
        if isinstance(value, Communication | Energy | Area):
            found["total"] = value.total
        return found
    return value
