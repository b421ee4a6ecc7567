"""Somebody's own mapping and placement: timed by our scheduler, settled with queues, checked by the evaluator."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from spatem_opt.cost.grid import make_grid
from spatem_opt.cost.placed import Chunks, PlacedNetwork
from spatem_opt.errors import InstanceError
from spatem_opt.evaluator import Evaluation, Evaluator
from spatem_opt.evaluator.settling import settle_or_say
from spatem_opt.model.architecture import Architecture
from spatem_opt.model.arguments import check_type
from spatem_opt.model.solution import MappingOption, Placement, Schedule, Solution, as_column
from spatem_opt.network import Network
from spatem_opt.replication.layout import interleaved
from spatem_opt.scheduling import list_schedule
from spatem_opt.search.realisation import one_by_one

TIMES = frozenset({"start", "reservation", "exclusive", "buffer"})
"""Families that are about times, which are not known yet when decisions about space are looked at."""


def schedule(
    network: Network,
    architecture: Architecture,
    mapping: MappingOption | Sequence[MappingOption],
    placement: Placement,
    *,
    windows: Schedule | None = None,
    segment: ArrayLike | None = None,
    serial: bool = False,
) -> Solution:
    """Time a mapping and placement of one's own: all as soon as possible, reserved for as long as queues make it take.

    Parameters
    ----------
    network, architecture
    mapping : MappingOption or sequence of MappingOption
        One for all crossbar layers, or one each.
    placement : Placement
        Rectangles of OUs on crossbars (M4); copies of a layer are numbered 0, 1, ...
    windows : Schedule, optional
        Which copy runs which windows, and paces; starts and ends are not looked at. By default copy c of r copies runs
        windows c, c + r, c + 2 r, ...
    segment : int column of shape (layers,), optional
        For tables and figures; by default all layers are one segment.
    serial : bool
        Layers run one after the other, with a barrier between them.

    Returns
    -------
    Solution
        Accepted by the evaluator; its latency is claimed.

    Raises
    ------
    InstanceError
        In one line: the first rule that the decisions break, or the buffer that is too small.

    Examples
    --------
    >>> from spatem_opt import load_architecture, load_network, solve
    >>> network, chip = load_network("lenet5"), load_architecture("ou-isaac-4x4", {"adc_bits": 5})
    >>> known = solve(network, chip, method="dense-pipeline").solution
    >>> own = schedule(network, chip, known.mapping, known.placement)
    >>> own.claims["total"]["latency"] == known.claims["total"]["latency"]
    True
    """
    check_type("schedule", "network", network, Network)
    check_type("schedule", "architecture", architecture, Architecture)
    check_type("schedule", "placement", placement, Placement)
    layers = len(network.layers)
    options = (mapping,) * layers if isinstance(mapping, MappingOption) else tuple(mapping)
    if len(options) != layers:
        raise InstanceError("schedule", "mapping", len(options), f"expected one option for each of {layers} layers")
    chosen = np.zeros(layers, dtype=np.int64) if segment is None else as_column("schedule", "segment", segment)
    chunks = _interleaved(network, placement) if windows is None else _chunks(windows)
    untimed = Solution(architecture, network, options, placement, _untimed(chunks), chosen)
    _refuse(Evaluator()(untimed, full=False), but=TIMES)
    grids = tuple(
        make_grid(network.nodes[index], option, architecture)
        for index, option in zip(network.layers, options, strict=True)
    )
    problem = PlacedNetwork(architecture, network, grids, placement, chunks, serial)
    times = list_schedule.solve(problem)
    table = Schedule(
        chunks.layer, chunks.copy, chunks.first, chunks.last, chunks.step, chunks.pace, times.start, times.end
    )
    solution = Solution(architecture, network, options, placement, table, chosen)
    if serial:
        solution = one_by_one(solution, Evaluator()(solution, full=False))
    done = settle_or_say(f"a placement of {network.name!r}", solution, full=False)
    if isinstance(done, str):
        _refuse(Evaluator()(solution, full=False), but=frozenset({"reservation", "exclusive"}))
        raise InstanceError("schedule", done, network.name, "expected another placement: a buffer is too small")
    return done[0]


def _interleaved(network: Network, placement: Placement) -> Chunks:
    """Windows in turn to all copies that the placement has of a layer."""
    layer, copy = placement.layer, placement.copy
    outside = (layer < 0) | (layer >= len(network.layers))
    if outside.any():
        rule = f"expected 0 ... {len(network.layers) - 1}"
        raise InstanceError("schedule", "placement.layer", int(layer[outside][0]), rule)
    copies = np.zeros(len(network.layers), dtype=np.int64)
    np.maximum.at(copies, layer, copy + 1)
    found = []
    for index, most in zip(network.layers, copies.tolist(), strict=True):
        node = network.nodes[index]
        if not 1 <= most <= node.windows:
            rule = f"expected 1 ... {node.windows}, its windows"
            raise InstanceError("schedule", f"copies of {node.name!r}", most, rule)
        found.append(interleaved(node.windows, most))
    number = np.repeat(np.arange(len(found)), [len(split.copy) for split in found])
    none = np.zeros_like(number)
    return Chunks(
        number, np.concatenate([split.copy for split in found]), np.concatenate([split.first for split in found]),
        np.concatenate([split.last for split in found]), np.concatenate([split.step for split in found]), none, none,
    )  # fmt: skip


def _chunks(windows: Schedule) -> Chunks:
    check_type("schedule", "windows", windows, Schedule)
    return Chunks(
        windows.layer, windows.copy, windows.first_window, windows.last_window, windows.step, windows.pace,
        np.zeros_like(windows.layer),
    )  # fmt: skip


def _untimed(chunks: Chunks) -> Schedule:
    """All chunks at once, for long enough."""
    start = np.zeros_like(chunks.layer)
    return Schedule(chunks.layer, chunks.copy, chunks.first, chunks.last, chunks.step, chunks.pace, start, start + 1)


def _refuse(found: Evaluation, but: frozenset[str]) -> None:
    """Raise with the first violation of a family that is not among some."""
    for violation in found.violations:
        if violation.family not in but:
            raise InstanceError("schedule", violation.family, violation.amount, violation.message)
