"""Cuts into segments that take turns on the whole chip, with copies, shapes and cells of every layer (SPEC 3.3).

A *run* of layers i..j-1 works as a pixel pipeline on disjoint crossbars, each crossbar keeping at most M of its OUs.
Runs take turns. A run needs, at pace T, the cheapest way of every layer to run all its windows within T; a shortest
path over (layer, slots used) picks cuts, slots and paces (``formulations/replication/README.md``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from spatem_opt.architecture import Architecture
from spatem_opt.mapping.grid import Grid
from spatem_opt.network.layers import Network, Node
from spatem_opt.replication import strips
from spatem_opt.replication.layout import Allocation, column_blocks
from spatem_opt.replication.shapes import Shape, shape_for_serial, strip_width, window_traffic
from spatem_opt.replication.shelves import CELLS, WIDTHS, Shelves

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

IMPOSSIBLE = 1e12
"""Crossbars of a layer that no way can run within slots and pace; sums over thousands of layers stay exact."""
PACES, SLOW_PACES = 160, 40
"""Paces tried: most around what the chip can do, spaced by a few per cent, the rest up to the slowest way."""
SHARES = np.array(WIDTHS) / CELLS
"""Shares of the chip that a run may have to itself."""
COARSER = 3
"""Of the paces, one in so many is tried where runs may lie side by side: there are as many tables as widths."""
BESIDE = 2.5, 0.8
"""Mean hops of an input, and how they grow with the side of the consuming copy [routers]: fitted to evaluated plans."""
LONGEST_RUN = 40
"""Layers of a segment that the path search considers; the one-segment pipeline is a candidate of its own."""


@dataclass(frozen=True, slots=True, eq=False)
class Ways:
    """Ways to run one layer: columns of equal length.

    Parameters
    ----------
    option : int64 array
        Mapping option, an index into the layer's grids.
    shapes : tuple of Shape
    col_blocks, row_blocks : int64 arrays
        Copies = column blocks x interleaved rows of windows.
    serial, crossbars, cycles : int64 arrays
        OUs on the fullest crossbar, crossbars of all copies, cycles for all windows.
    hop_bits, bits : float arrays
        Estimated traffic between tiles [bit-hops], and all communication.
    """

    option: IntArray
    shapes: tuple[Shape, ...]
    col_blocks: IntArray
    row_blocks: IntArray
    serial: IntArray
    crossbars: IntArray
    cycles: IntArray
    hop_bits: FloatArray
    bits: FloatArray


def menu(capacity: int) -> IntArray:
    """Slots per crossbar that a run may take: all small numbers, then about every seventh more."""
    slots = [1]
    while slots[-1] < capacity:
        slots.append(min(capacity, max(slots[-1] + 1, slots[-1] * 8 // 7)))
    return np.array(slots)


def menu_for(architecture: Architecture, grids: Sequence[tuple[Grid, ...]]) -> IntArray:
    """:func:`menu`, and where one copy of everything takes over half of the cells also the fewest slots of each layer.

    A coarse step would waste what is scarce there.
    """
    capacity, total = architecture.ou_slots, architecture.crossbars
    slots = menu(capacity).tolist()
    if 2 * sum(min(grid.ous for grid in options) for options in grids) > total * capacity:
        for grid in {id(options[0]): options[0] for options in grids}.values():
            shapes = ((m, shape_for_serial(grid, m)) for m in range(-(-grid.ous // total), capacity + 1))
            slots.append(next((m for m, shape in shapes if shape and shape.crossbars <= total), capacity))
    return np.unique(slots)


def blocks(length: int) -> IntArray:
    """Numbers of blocks an axis is cut into: the least for every distinct block length."""
    size = np.unique(-(-length // np.arange(1, length + 1)))
    return np.unique(-(-length // size))


def ways(
    grids: tuple[Grid, ...],
    node: Node,
    architecture: Architecture,
    slots: IntArray,
    outside: bool = False,
    gathered: int = 0,
    burst: float = 0.0,
) -> Ways:
    """All ways to run a layer that may pay: mapping option x shape x column blocks x interleaved rows.

    Parameters
    ----------
    grids : tuple of Grid
        Of the mapping options.
    node : Node
    architecture : Architecture
    slots : int64 array
        Limits on serial OUs.
    outside : bool
        Whether the layer reads a network input, which comes from the corner of the mesh.
    gathered : int
        Bits of its outputs that a digital node brings together at one of its copies (global pooling).
    burst : float
        Cycles of traffic that a router takes in on top of what it serves (M8).
    """
    parts: list[FloatArray] = []
    shapes: list[Shape] = []
    input_bits = len(node.edges[0].channel) * architecture.activation_bits
    for option, grid in enumerate(grids):
        cols, rows = (axis.ravel() for axis in np.meshgrid(blocks(grid.window_cols), blocks(grid.window_rows)))
        keep = (rows == 1) | (cols == grid.window_cols)
        known: set[Shape] = set()
        for limit in slots:
            shape = shape_for_serial(grid, int(limit))
            if shape is None or shape in known or shape.crossbars > architecture.crossbars:
                continue
            known.add(shape)
            body = _estimate(grid, architecture, shape, cols[keep], rows[keep], input_bits, outside, gathered, burst)
            head = np.tile([[option], [len(shapes)]], keep.sum())
            parts.append(np.concatenate([head, body]))
            shapes.append(shape)
    table = np.concatenate(parts, axis=1)
    table = table[:, _useful(table[4:8])]
    whole = table[:7].astype(np.int64)
    return Ways(whole[0], tuple(shapes[i] for i in whole[1]), *whole[2:7], *table[7:])


def _estimate(
    grid: Grid, architecture: Architecture, shape: Shape, cols: IntArray, rows: IntArray,
    input_bits: int, outside: bool, gathered: int, burst: float,
) -> FloatArray:  # fmt: skip
    """One shape with every split of the windows: the last seven columns of :class:`Ways`, as rows.

    Distances: a copy fills a square of the mesh; partial sums cross a third of its height and width, inputs come from
    beside it (``BESIDE``). The partial sums of a strip go to its first tiles, whose routers (doors) must take them in
    within the interval; so must they with what is gathered at one copy, and the corner with the network's inputs.
    """
    per_tile, copies = architecture.crossbars_per_tile, cols * rows
    tiles, repeats, sums, doors = max(1.0, shape.crossbars / per_tile), 1.0, 0.0, 1.0
    routers = max(1.0, tiles / architecture.tiles_per_router)
    if shape.row_parts * shape.col_parts > per_tile:
        width = strip_width(grid, shape, per_tile)
        repeats, sums = (float(value[0]) for value in window_traffic(grid, shape, per_tile, np.array([width])))
        blocks_across = shape.bundles * -(-shape.col_parts // width)
        doors = min(routers, blocks_across * max(1.0, width / per_tile / architecture.tiles_per_router))
    side = routers**0.5
    between = _to_outside(architecture) if outside else BESIDE[0] + BESIDE[1] * side
    within = 1 + 2 / 3 * side
    together = np.minimum(copies, max(1, per_tile // shape.crossbars))
    load = np.ceil(grid.window_input_bits * together * repeats / tiles / architecture.buffer_bits_per_cycle)
    compute = grid.phases * shape.serial
    interval = np.maximum(compute, load) if architecture.overlap_input else compute + load
    interval = np.maximum(interval, np.ceil(sums / doors / architecture.router_bits_per_cycle))
    windows = -(-grid.window_cols // cols) * -(-grid.window_rows // rows)
    pixels = copies / together * _block_pixels(grid, cols, rows, together)
    moved = gathered * (1 - together / copies)
    hop_bits = pixels * input_bits * repeats * between + grid.windows * sums * within + moved * BESIDE[0]
    reads = float(grid.windows * grid.window_input_bits * repeats)
    one = np.ones(len(cols))
    crossbars, cycles = copies * shape.crossbars, windows * interval
    through = np.maximum(moved / doors, pixels * input_bits * repeats if outside else 0.0)
    cycles = np.maximum(cycles, np.ceil(through / architecture.router_bits_per_cycle - burst))
    return np.stack([cols, rows, shape.serial * one, crossbars, cycles, hop_bits, hop_bits + reads])


def _to_outside(architecture: Architecture) -> float:
    """Mean distance from the port to the outside."""
    return 1 + (architecture.mesh_rows + architecture.mesh_cols) / 2


def _block_pixels(grid: Grid, cols: IntArray, rows: IntArray, together: IntArray) -> FloatArray:
    """Input pixels that the copies in one tile need: a block of columns (wider with more copies), every rows-th row."""
    (kh, kw), (sy, sx) = grid.weights.kernel, grid.weights.stride
    beside = np.minimum(together, cols)
    wide = (-(-grid.window_cols // cols) * beside - 1) * sx * grid.option.pw + kw
    lines = np.where(rows > 1, -(-grid.window_rows // rows) * kh, (grid.window_rows - 1) * sy * grid.option.ph + kh)
    high = np.minimum(lines * np.minimum(rows, -(-together // beside)), (grid.window_rows - 1) * sy + kh)
    return np.asarray(np.minimum(wide, (grid.window_cols - 1) * sx + kw) * high, dtype=np.float64)


def _useful(table: FloatArray) -> IntArray:
    """Ways that no other way beats in serial OUs, crossbars, cycles and traffic at once (to 1 %)."""
    order = np.lexsort(table[::-1])
    kept: list[int] = []
    front = np.empty((4, 0))
    for i in order:
        row = table[:, i : i + 1]
        if not (front <= row * 1.01).all(axis=0).any():
            kept.append(int(i))
            front = np.concatenate([front, row], axis=1)
    return np.array(kept)


@dataclass(frozen=True, slots=True, eq=False)
class Cuts:
    """Cuts and the way of every layer.

    Parameters
    ----------
    segment, way : int64 arrays, shape (layers,)
    cost : float
        The surrogate.
    cells : int64 array, shape (segments, 2)
        First and last of the :data:`~spatem_opt.replication.shelves.CELLS` parts of the chip that each segment may use.
        Empty: all of them have the whole chip.
    cycles : float, optional
        The part of the cost that is latency.
    """

    segment: IntArray
    way: IntArray
    cost: float
    cells: IntArray = field(default_factory=lambda: np.zeros((0, 2), dtype=np.int64))
    cycles: float | None = None


class Runs:
    """Prices of all runs of layers; built once per network, chip and price of communication.

    Parameters
    ----------
    options : list of Ways
        One per layer.
    network, architecture
    price : float
        Cycles that one bit of communication is worth.
    slots : int64 array, optional
        Slots per crossbar that a run may take, ascending; :func:`menu` by default.
    router_share : float
        Share of its routers' capacity that a run may use: the middle of the mesh carries more than its rim.
    side_by_side : bool
        Whether runs may share their slots and have different crossbars (:mod:`~spatem_opt.replication.shelves`).
    burst : float
        Cycles of traffic that routers take in on top of what they serve within a pace (M8).
    """

    def __init__(
        self,
        options: list[Ways],
        network: Network,
        architecture: Architecture,
        price: float,
        slots: IntArray | None = None,
        router_share: float = 0.4,
        side_by_side: bool = False,
        burst: float = 0.0,
    ) -> None:
        self.options, self.architecture, self.price = options, architecture, price
        self.slots = menu(architecture.ou_slots) if slots is None else slots
        self.widths = range(len(WIDTHS) if side_by_side else 1)
        routers = architecture.mesh_rows * architecture.mesh_cols
        self.router = router_share * routers * architecture.router_bits_per_cycle
        self.burst = burst
        self.paces = self._paces()[:: COARSER if side_by_side else 1]
        self.before, self.lag = lags(network)
        self.needs = [self._table(width) for width in self.widths]

    def _table(self, width: int) -> FloatArray:
        """Sums of :meth:`_needs` over layers 0..l-1, shape (3, layers + 1, slots, paces)."""
        table = np.zeros((3, len(self.options) + 1, len(self.slots), len(self.paces)))
        cache: dict[int, FloatArray] = {}
        for layer, way in enumerate(self.options):
            if id(way) not in cache:
                cache[id(way)] = self._needs(way, width)
            table[:, layer + 1] = cache[id(way)]
        return np.cumsum(table, axis=1, out=table)

    def _paces(self) -> FloatArray:
        fastest = max(1.0, min(float(way.cycles.min()) for way in self.options))
        slowest = sum(float(way.cycles.max()) for way in self.options)
        work = sum(float((way.crossbars * way.cycles).min()) for way in self.options) / self.architecture.crossbars
        turn = min(max(20.0 * work, 2 * fastest), slowest)
        usual = np.geomspace(max(fastest, work / 300), turn, PACES, endpoint=False)
        return np.unique(np.concatenate([usual, np.geomspace(turn, slowest, SLOW_PACES)]))

    def pick(self, way: Ways, slots: int, pace: float, width: int = 0) -> int | None:
        """Cheapest way within slots and pace: its shares of crossbars and routers, and its communication."""
        fits = np.flatnonzero((way.serial <= slots) & (way.cycles <= pace))
        if not len(fits):
            return None
        share = way.crossbars[fits] / (SHARES[width] * self.architecture.crossbars)
        traffic = way.hop_bits[fits] / (SHARES[width] * self.router * (pace + self.burst))
        return int(fits[(share + traffic + way.bits[fits] * self.price / pace).argmin()])

    def _needs(self, way: Ways, width: int) -> FloatArray:
        """Crossbars, traffic and communication of the cheapest way; shape (3, slots, paces)."""
        need = np.zeros((3, len(self.slots), len(self.paces)))
        need[0] = IMPOSSIBLE
        share = (way.crossbars / (SHARES[width] * self.architecture.crossbars))[:, None]
        price = (way.bits * self.price)[:, None] / self.paces
        price += (way.hop_bits / (SHARES[width] * self.router))[:, None] / (self.paces + self.burst)
        cost = np.where(way.cycles[:, None] <= self.paces, share + price, np.inf)
        columns = np.stack([way.crossbars.astype(np.float64), way.hop_bits, way.bits])
        for s, slots in enumerate(self.slots):
            within = np.flatnonzero(way.serial <= slots)
            if len(within):
                best = within[cost[within].argmin(axis=0)]
                possible = np.isfinite(cost[best, np.arange(len(self.paces))])
                need[:, s, possible] = columns[:, best[possible]]
        return need

    def costs(self, first: int, fill: float, width: int = 0) -> FloatArray:
        """Cycles plus priced communication of runs first..j-1; shape (run lengths, slots, paces); inf: impossible."""
        last = min(len(self.options), first + LONGEST_RUN)
        need, sent, bits = (table[first + 1 : last + 1] - table[first] for table in self.needs[width])
        room = np.full(last - first, fill)
        room[0] = 1.0
        fits = need <= (room * SHARES[width] * self.architecture.crossbars)[:, None, None]
        fits &= sent <= SHARES[width] * self.router * (self.paces + self.burst)
        trail = np.maximum.accumulate(self.lag[first:last]) - self.lag[first]
        cycles = self.paces * (1 + np.maximum(trail, 0))[:, None, None] + self.price * bits
        return np.where(fits, cycles, np.inf)


def lags(network: Network) -> tuple[FloatArray, FloatArray]:
    """How far layers trail the start of the pipeline, in units of the pace: before and after each layer's own lag.

    A layer trails its producer by the share of its output rows that need the last input row they read.
    """
    depth: list[float] = []
    before: list[float] = []
    for node in network.nodes:
        begin = trail = 0.0
        for edge in node.edges:
            last = edge.rows.max(axis=1)
            share = float((last >= last.max()).mean()) if last.max() >= 0 else 0.0
            width = float((edge.cols.max(axis=1) >= edge.cols.max()).mean()) if edge.rows.shape[1] == 1 else 1.0
            start = max(depth[p] for p in edge.producers)
            begin, trail = max(begin, start), max(trail, start + share * width)
        before.append(begin)
        depth.append(trail)
    index = np.array(network.layers)
    return np.array(before)[index], np.array(depth)[index]


def cut(runs: Runs, *, fill: float = 0.97) -> Cuts | None:
    """Cuts, slots and ways of least cycles plus priced communication: a shortest path over (layers done, slots used).

    Parameters
    ----------
    runs : Runs
    fill : float
        Share of the crossbars that a run may plan to use; the rest is for whole tiles.
    """
    layers, capacity = len(runs.options), runs.architecture.ou_slots
    shelves = _shelves(runs, fill) if len(runs.widths) > 1 else None
    best = np.full((layers + 1, capacity + 1), np.inf)
    best[0, 0] = 0.0
    parent = np.zeros((layers + 1, capacity + 1, 2), dtype=np.int64)
    for first in range(layers):
        if not np.isfinite(best[first]).any():
            continue
        cost = runs.costs(first, fill).min(axis=2).T if shelves is None else shelves.arcs()[:, first, first + 1 :]
        for s, slots in enumerate(runs.slots):
            total = best[first, None, : capacity + 1 - slots] + cost[s][:, None]
            rows = slice(first + 1, first + 1 + len(total))
            better = total < best[rows, slots:]
            best[rows, slots:][better] = total[better]
            parent[rows, slots:][better] = first, s
    used = int(best[layers].argmin())
    if not np.isfinite(best[layers, used]):
        return None
    return _trace(runs, shelves, parent, fill, used, float(best[layers, used]))


def _shelves(runs: Runs, fill: float) -> Shelves:
    """Costs of runs of every width, side by side."""
    layers = len(runs.options)
    cost: dict[int, FloatArray] = {}
    for width in runs.widths:
        table = np.full((len(runs.slots), layers + 1, layers + 1), np.inf)
        for first in range(layers):
            found = runs.costs(first, fill, width).min(axis=2).T
            table[:, first, first + 1 : first + 1 + found.shape[1]] = found
        cost[WIDTHS[width]] = table
    return Shelves(cost)


def _trace(runs: Runs, shelves: Shelves | None, parent: IntArray, fill: float, used: int, cost: float) -> Cuts:
    """Walk the shortest path back from its end."""
    stop = len(runs.options)
    found: list[tuple[int, int, int, int, int]] = []
    while stop:
        first, s = (int(v) for v in parent[stop, used])
        shelf = [(first, stop, 0, CELLS)] if shelves is None else shelves.runs(s, first, stop)
        found = [(s, *run) for run in shelf] + found
        used, stop = used - int(runs.slots[s]), first
    way = np.zeros(len(runs.options), dtype=np.int64)
    for s, first, stop, _, cells in found:
        width = WIDTHS.index(cells)
        pace = float(runs.paces[runs.costs(first, fill, width)[stop - first - 1, s].argmin()])
        for layer in range(first, stop):
            way[layer] = runs.pick(runs.options[layer], int(runs.slots[s]), pace, width) or 0
    segment = np.searchsorted([run[1] for run in found], np.arange(len(way)), side="right") - 1
    priced = runs.price * sum(float(option.bits[k]) for option, k in zip(runs.options, way, strict=True))
    return Cuts(segment, way, cost, np.array([(cell, cell + cells) for *_, cell, cells in found]), cost - priced)


def regions(cuts: Cuts, architecture: Architecture) -> IntArray:
    """First and last place on the walk of every segment's crossbars, shape (segments, 2)."""
    cells = cuts.cells if len(cuts.cells) else np.tile([0, CELLS], (int(cuts.segment.max()) + 1, 1))
    per_router = architecture.crossbars_per_tile * architecture.tiles_per_router
    return np.asarray(np.round(cells * (architecture.crossbars // per_router) / CELLS).astype(np.int64) * per_router)


def allocate(
    plan: Cuts, options: list[Ways], grids: list[tuple[Grid, ...]], network: Network, architecture: Architecture
) -> tuple[tuple[Grid, ...], list[Allocation]] | None:
    """Copies along the walk, segment by segment; None if a segment does not fit.

    The image is cut into vertical strips that lie one after the other on the walk, and in each strip layers follow
    each other: one strip keeps a layer's copies together, many keep image columns together across layers. Each segment
    takes the number of strips, and the direction, that leave its data the shortest way.
    """
    chosen = tuple(
        grids[i][int(option.option[way])] for i, (option, way) in enumerate(zip(options, plan.way, strict=True))
    )
    shapes = [option.shapes[way] for option, way in zip(options, plan.way, strict=True)]
    counts = [(int(o.col_blocks[way]), int(o.row_blocks[way])) for o, way in zip(options, plan.way, strict=True)]
    feeds = strips.feeds(network)
    parts = regions(plan, architecture)
    positions: list[IntArray] = [np.zeros(0, dtype=np.int64)] * len(options)
    for segment in np.unique(plan.segment):
        layers = np.flatnonzero(plan.segment == segment)
        places = strips.arrange(layers, counts, shapes, positions, feeds, parts[segment], architecture)
        if places is None:
            return None
        for layer, place in zip(layers, places, strict=True):
            positions[layer] = place
    allocations = [
        Allocation(shape, position, column_blocks(grid.window_rows, grid.window_cols, *count), int(segment))
        for shape, position, grid, count, segment in zip(shapes, positions, chosen, counts, plan.segment, strict=True)
    ]
    return chosen, allocations
