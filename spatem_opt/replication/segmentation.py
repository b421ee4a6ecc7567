"""Cuts into segments that take turns on the whole chip, with copies, shapes and cells of every layer (M4).

A *run* of layers i..j-1 works as a pixel pipeline on disjoint crossbars, each crossbar keeping at most M of its OUs.
Runs take turns. A run needs, at pace T, the cheapest way of every layer to run all its windows within T; a shortest
path over (layer, slots used) picks cuts, slots and paces (``formulations/replication/README.md``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from spatem_opt.cost.grid import Grid
from spatem_opt.grouping.tiling import slot_options, tiling_for_serial
from spatem_opt.model.architecture import Architecture
from spatem_opt.network.layers import Network
from spatem_opt.network.readings import readings
from spatem_opt.replication.chains import ChainMode, ChainPrices, origin
from spatem_opt.replication.modes import Modes
from spatem_opt.replication.side_by_side import CELLS, WIDTHS, SideBySide
from spatem_opt.types import FloatArray, IntArray

IMPOSSIBLE = 1e12
"""Crossbars of a layer that no way can run within slots and pace; sums over thousands of layers stay exact."""
PACES, SLOW_PACES = 160, 40
"""Paces tried: most around what the chip can do, spaced by a few per cent, the rest up to the slowest way."""
SHARES = np.array(WIDTHS) / CELLS
"""Shares of the chip that a run may have to itself."""
FINER = 12
"""Paces tried, once runs are cut, between that of a run and the one before."""
COARSER = 3
"""Of the paces, one in so many is tried where runs may lie side by side: there are as many tables as widths."""
LONGEST_SEGMENT = 40
"""Layers of a segment that the path search considers; the one-segment pipeline is a candidate of its own."""


def slot_menu(architecture: Architecture, grids: Sequence[tuple[Grid, ...]]) -> IntArray:
    """Slots per crossbar that a segment may take: of all layers alike, and of each where cells are scarce.

    Those of :func:`~spatem_opt.grouping.tiling.slot_options`, and where one copy of everything takes over half of the
    cells also the fewest slots of each layer: a coarse step would waste what is scarce there.
    """
    capacity, total = architecture.ou_slots, architecture.crossbars
    slots = slot_options(capacity).tolist()
    if 2 * sum(min(grid.ous for grid in options) for options in grids) > total * capacity:
        per_tile = architecture.crossbars_per_tile
        for grid in {id(options[0]): options[0] for options in grids}.values():
            shapes = ((m, tiling_for_serial(grid, m, per_tile)) for m in range(-(-grid.ous // total), capacity + 1))
            slots.append(next((m for m, shape in shapes if shape and shape.crossbars <= total), capacity))
    return np.unique(slots)


@dataclass(frozen=True, slots=True, eq=False)
class Segmentation:
    """Cuts and the way of every layer.

    Parameters
    ----------
    segment, way : int64 arrays, shape (layers,)
    cost : float
        The surrogate, at the paces of the grid.
    cells : int64 array, shape (segments, 2)
        First and last of the :data:`~spatem_opt.replication.side_by_side.CELLS` parts of the chip that each segment may
        use.
        Empty: all of them have the whole chip.
    cycles : float array, shape (segments,)
        How long each lasts, at paces refined, with all of its trail. Empty: not known.
    trail : float array, shape (segments,)
        Cycles that the last layer of each trails the first one.
    chain : tuple of ChainMode or None
        Per layer: its mode if its segment is a chain, in which case ``way`` means nothing. Empty: there are none.
    """

    segment: IntArray
    way: IntArray
    cost: float
    cells: IntArray = field(default_factory=lambda: np.zeros((0, 2), dtype=np.int64))
    cycles: FloatArray = field(default_factory=lambda: np.zeros(0))
    trail: FloatArray = field(default_factory=lambda: np.zeros(0))
    chain: tuple[ChainMode | None, ...] = ()

    @property
    def chains(self) -> frozenset[int]:
        """Segments that are chains."""
        return frozenset(int(self.segment[layer]) for layer, mode in enumerate(self.chain) if mode is not None)


class SegmentPrices:
    """Prices of all runs of layers; built once per network, chip and price of communication.

    Parameters
    ----------
    options : list of Modes
        One per layer.
    network, architecture
    price : float
        Cycles that one bit of communication is worth.
    slots : int64 array, optional
        Slots per crossbar that a run may take, ascending; :func:`~spatem_opt.grouping.tiling.slot_options` by default.
    router_share : float
        Share of its routers' capacity that a run may use: the middle of the mesh carries more than its rim.
    side_by_side : bool
        Whether runs may share their slots and have different crossbars (:mod:`~spatem_opt.replication.side_by_side`).
    """

    def __init__(
        self,
        options: list[Modes],
        network: Network,
        architecture: Architecture,
        price: float,
        slots: IntArray | None = None,
        router_share: float = 0.6,
        side_by_side: bool = False,
    ) -> None:
        self.options, self.architecture, self.price = options, architecture, price
        self.slots = slot_options(architecture.ou_slots) if slots is None else slots
        self.widths = range(len(WIDTHS) if side_by_side else 1)
        routers = architecture.mesh_rows * architecture.mesh_cols
        self.router = router_share * routers * architecture.router_bits_per_cycle
        self.paces = self._paces()[:: COARSER if side_by_side else 1]
        self.before, self.lag = pipeline_lags(network)
        self.needs = [self._table(width) for width in self.widths]

    def _table(self, width: int) -> FloatArray:
        """Sums of :meth:`_needs` over layers 0..l-1, shape (layers + 1, 3, slots, paces)."""
        table = np.zeros((len(self.options) + 1, 3, len(self.slots), len(self.paces)))
        cache: dict[int, FloatArray] = {}
        for layer, way in enumerate(self.options):
            if id(way) not in cache:
                cache[id(way)] = self._needs(way, width)
            np.add(table[layer], cache[id(way)], out=table[layer + 1])
        return table

    def _paces(self) -> FloatArray:
        fastest = max(1.0, min(float(way.cycles.min()) for way in self.options))
        slowest = sum(float(way.cycles.max()) for way in self.options)
        work = sum(float((way.crossbars * way.cycles).min()) for way in self.options) / self.architecture.crossbars
        turn = min(max(20.0 * work, 2 * fastest), slowest)
        usual = np.geomspace(max(fastest, work / 300), turn, PACES, endpoint=False)
        return np.unique(np.concatenate([usual, np.geomspace(turn, slowest, SLOW_PACES)]))

    def pick(self, way: Modes, slots: int, pace: float, width: int = 0) -> int | None:
        """Cheapest way within slots and pace: its shares of crossbars and routers, and its communication."""
        fits = np.flatnonzero((way.serial <= slots) & (way.cycles <= pace))
        if not len(fits):
            return None
        share = way.crossbars[fits] / (SHARES[width] * self.architecture.crossbars)
        traffic = way.hop_bits[fits] / (SHARES[width] * self.router * pace)
        return int(fits[(share + traffic + way.bits[fits] * self.price / pace).argmin()])

    def _needs(self, way: Modes, width: int) -> FloatArray:
        """Crossbars, traffic and communication of the cheapest way; shape (3, slots, paces)."""
        need = np.zeros((3, len(self.slots), len(self.paces)))
        need[0] = IMPOSSIBLE
        share = (way.crossbars / (SHARES[width] * self.architecture.crossbars))[:, None]
        price = (way.bits * self.price)[:, None] / self.paces
        price += (way.hop_bits / (SHARES[width] * self.router))[:, None] / self.paces
        cost = np.where(way.cycles[:, None] <= self.paces, share + price, np.inf)
        columns = np.stack([way.crossbars.astype(np.float64), way.hop_bits, way.bits])
        place = np.searchsorted(self.slots, way.serial)  # fewest slots that the way fits
        least, best = np.full(len(self.paces), np.inf), np.zeros(len(self.paces), dtype=np.int64)
        for s in range(len(self.slots)):
            more = np.flatnonzero(place == s)
            if len(more):
                new = more[cost[more].argmin(axis=0)]
                found = cost[new, np.arange(len(self.paces))]
                better = (found < least) | ((found == least) & (new < best))
                least, best = np.where(better, found, least), np.where(better, new, best)
            possible = np.isfinite(least)
            need[:, s, possible] = columns[:, best[possible]]
        return need

    def costs(self, first: int, fill: float, width: int = 0) -> FloatArray:
        """Least cost over all paces of runs first..j-1; shape (run lengths, slots); inf: impossible.

        A longer run needs more of everything: lengths end where nothing fits any more.
        """
        found = []
        for stop in range(first + 1, min(len(self.options), first + LONGEST_SEGMENT) + 1):
            found.append(self.run_costs(first, stop, fill, width).min(axis=1))
            if np.isinf(found[-1]).all():
                break
        return np.array(found)

    def run_costs(self, first: int, stop: int, fill: float, width: int = 0) -> FloatArray:
        """Cycles plus priced communication of one run; shape (slots, paces); inf: impossible."""
        need, sent, bits = self.needs[width][stop] - self.needs[width][first]
        room = fill if stop > first + 1 else 1.0
        fits = need <= room * SHARES[width] * self.architecture.crossbars
        fits &= sent <= SHARES[width] * self.router * self.paces
        return np.where(fits, self.paces * (1 + self.trail(first, stop)) + self.price * bits, np.inf)

    def trail(self, first: int, stop: int) -> float:
        """How far the last layer of a run trails its start, in paces."""
        return max(0.0, float(self.lag[first:stop].max() - self.lag[first]))


def pipeline_lags(network: Network) -> tuple[FloatArray, FloatArray]:
    """How far layers trail the start of the pipeline, in units of the pace: before and after each layer's own lag.

    A layer trails its producer by the share of its output rows that need the last input row they read.
    """
    depth: list[float] = []
    before: list[float] = []
    for node in network.nodes:
        begin = trail = 0.0
        for reading in readings(node):
            edge = reading.edge
            last = edge.rows.max(axis=1)
            share = float((last >= last.max()).mean()) if last.max() >= 0 else 0.0
            width = float((edge.cols.max(axis=1) >= edge.cols.max()).mean()) if edge.rows.shape[1] == 1 else 1.0
            start = max(depth[p] for p in reading.producers)
            begin, trail = max(begin, start), max(trail, start + share * width)
        before.append(begin)
        depth.append(trail)
    index = np.array(network.layers)
    return np.array(before)[index], np.array(depth)[index]


def best_segmentation(
    runs: SegmentPrices, *, fill: float = 0.97, chains: Sequence[ChainPrices] = ()
) -> Segmentation | None:
    """Cuts, slots and ways of least cycles plus priced communication: a shortest path over (layers done, slots used).

    Parameters
    ----------
    runs : SegmentPrices
    fill : float
        Share of the crossbars that a run may plan to use; the rest is for whole tiles.
    chains : sequence of ChainPrices
        Kinds of chains that a run may be, too. The path then also knows of which kind the last run was: a chain finds
        its inputs in its tiles after a chain of its own kind, and near them after others.
    """
    layers, capacity = len(runs.options), runs.architecture.ou_slots
    shelves = _shelves(runs, fill) if len(runs.widths) > 1 else None
    best = np.full((1 + len(chains), layers + 1, capacity + 1), np.inf)  # kind 0: no chain
    best[0, 0, 0] = 0.0
    parent = np.zeros((1 + len(chains), layers + 1, capacity + 1), dtype=np.int64)
    for first in range(layers):
        known = best[:, first]
        if not np.isfinite(known).any():
            continue
        whole = runs.costs(first, fill).T if shelves is None else shelves.arcs()[:, first, first + 1 :]
        plain = _Arcs(first, len(runs.slots), known)
        plain.extend(best[0], parent[0], range(len(known)), whole, runs.slots)
        for kind, chain in enumerate(chains, start=1):
            cost = chain.costs(first)
            for case in range(cost.shape[1]):
                before = [k for k in range(len(known)) if origin(kind, k) == case]
                plain.extend(best[kind], parent[kind], before, cost[:, case].T, runs.slots)
    kind, used = (int(i) for i in np.unravel_index(best[:, layers].argmin(), best[:, layers].shape))
    if not np.isfinite(best[kind, layers, used]):
        return None
    path = _path(runs, parent, kind, used)
    return _traced(runs, shelves, chains, path, fill, float(best[kind, layers, used]))


class _Arcs:
    """Runs from one layer on, and the least cost of what comes before: ``known``, shape (kinds, slots used)."""

    def __init__(self, first: int, choices: int, known: FloatArray) -> None:
        self.first, self.choices, self.known = first, choices, known.copy()

    def extend(
        self, best: FloatArray, parent: IntArray, before: Sequence[int], cost: FloatArray, slots: IntArray
    ) -> None:
        """Make ``best`` and ``parent``, shapes (layers + 1, slots used), what runs of costs (slots, lengths) lead to.

        ``before``: kinds that the run before may have. A parent is the first layer of the last run, the index of its
        slots, and that kind, in one number.
        """
        if not len(before) or not cost.size:
            return
        known = self.known[list(before)]
        kind = np.array(before)[known.argmin(axis=0)]
        known = known.min(axis=0)
        width = best.shape[1]
        for s, taken in enumerate(slots.tolist()):
            total = known[None, : width - taken] + cost[s][:, None]
            rows = slice(self.first + 1, self.first + 1 + len(total))
            better = total < best[rows, taken:]
            np.copyto(best[rows, taken:], total, where=better)
            code = (self.first * self.choices + s) * len(self.known) + kind[: width - taken]
            np.copyto(parent[rows, taken:], code, where=better)


def _path(runs: SegmentPrices, parent: IntArray, kind: int, used: int) -> list[tuple[int, int, int, int]]:
    """Slots (their index), first layer, layer after the last, and kind of every run of the shortest path."""
    stop, found = len(runs.options), []
    while stop:
        code, before = divmod(int(parent[kind, stop, used]), len(parent))
        first, s = divmod(code, len(runs.slots))
        found.append((s, first, stop, kind))
        used, stop, kind = used - int(runs.slots[s]), first, before
    return found[::-1]


def _shelves(runs: SegmentPrices, fill: float) -> SideBySide:
    """Costs of runs of every width, side by side."""
    layers = len(runs.options)
    cost: dict[int, FloatArray] = {}
    for width in runs.widths:
        table = np.full((len(runs.slots), layers + 1, layers + 1), np.inf)
        for first in range(layers):
            found = runs.costs(first, fill, width).T
            table[:, first, first + 1 : first + 1 + found.shape[1]] = found
        cost[WIDTHS[width]] = table
    return SideBySide(cost)


def _traced(
    runs: SegmentPrices, shelves: SideBySide | None, chains: Sequence[ChainPrices],
    path: list[tuple[int, int, int, int]], fill: float, cost: float,
) -> Segmentation:  # fmt: skip
    """The segmentation of a path, with every run's pace and modes refined."""
    segment: list[int] = []
    way: list[int] = []
    chain: list[ChainMode | None] = []
    cells: list[tuple[int, int]] = []
    cycles: list[float] = []
    trail: list[float] = []
    before = 0
    for s, begin, end, kind in path:
        found = shelves.runs(s, begin, end) if shelves is not None and not kind else [(begin, end, 0, CELLS)]
        for first, stop, cell, width in found:
            if kind:
                modes, lasts = chains[kind - 1].chosen(first, stop, int(runs.slots[s]), origin(kind, before))
                chain += modes
                way += [0] * len(modes)
                cycles.append(lasts)
                trail.append(0.0)
            else:
                pace, ways = _refined(runs, s, first, stop, fill, WIDTHS.index(width))
                chain += [None] * len(ways)
                way += ways
                trail.append(pace * runs.trail(first, stop))
                cycles.append(pace + trail[-1])
            segment += [len(cells)] * (stop - first)
            cells.append((cell, cell + width))
        before = kind
    return Segmentation(
        np.array(segment), np.array(way), cost, np.array(cells), np.array(cycles), np.array(trail),
        tuple(chain) if chains else (),
    )  # fmt: skip


def _refined(runs: SegmentPrices, s: int, first: int, stop: int, fill: float, width: int) -> tuple[float, list[int]]:
    """Best pace of a run and its ways: that of the grid, or one of those between it and the one before."""
    grid = runs.run_costs(first, stop, fill, width)[s]
    best = int(grid.argmin())
    slots, room = int(runs.slots[s]), (fill if stop > first + 1 else 1.0) * SHARES[width]
    options = runs.options[first:stop]
    found = float(runs.paces[best]), [runs.pick(way, slots, float(runs.paces[best]), width) or 0 for way in options]
    least = grid[best]
    for pace in np.linspace(runs.paces[max(best - 1, 0)], runs.paces[best], FINER, endpoint=False)[1:].tolist():
        ways = [runs.pick(way, slots, pace, width) for way in options]
        pairs = [(way, k) for way, k in zip(options, ways, strict=True) if k is not None]
        need, sent, bits = (
            sum(float(getattr(way, name)[k]) for way, k in pairs) for name in ("crossbars", "hop_bits", "bits")
        )
        fits = need <= room * runs.architecture.crossbars and sent <= SHARES[width] * runs.router * pace
        cost = pace * (1 + runs.trail(first, stop)) + runs.price * bits
        if len(pairs) == len(options) and fits and cost < least:
            least, found = cost, (pace, [k for _, k in pairs])
    return found
