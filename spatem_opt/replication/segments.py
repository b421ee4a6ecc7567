"""Cuts into segments that take turns on the whole chip, with copies, shapes and cells of every layer (SPEC 3.3).

A *run* of layers i..j-1 works as a pixel pipeline on disjoint crossbars, each crossbar keeping at most M of its OUs.
Runs take turns. A run needs, at pace T, the cheapest way of every layer to run all its windows within T; a shortest
path over (layer, slots used) picks cuts, slots and paces (``formulations/replication/README.md``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spatem_opt.architecture import Architecture
from spatem_opt.mapping.grid import Grid
from spatem_opt.network.layers import Network, Node
from spatem_opt.replication.layout import Allocation, column_blocks, pack
from spatem_opt.replication.shapes import Shape, shape_for_serial, strip_width, window_traffic

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

IMPOSSIBLE = 1e12
"""Crossbars of a layer that no way can run within slots and pace; sums over thousands of layers stay exact."""
PACES, SLOW_PACES = 160, 40
"""Paces tried: most around what the chip can do, spaced by a few per cent, the rest up to the slowest way."""
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


def ways(grids: tuple[Grid, ...], node: Node, architecture: Architecture, slots: IntArray, outside: bool) -> Ways:
    """All ways to run a layer that may pay: mapping option x shape x column blocks x interleaved rows.

    ``outside``: the layer reads a network input, which comes from the corner of the mesh.
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
            body = _estimate(grid, architecture, shape, cols[keep], rows[keep], input_bits, outside)
            head = np.tile([[option], [len(shapes)]], keep.sum())
            parts.append(np.concatenate([head, body]))
            shapes.append(shape)
    table = np.concatenate(parts, axis=1)
    table = table[:, _useful(table[4:8])]
    whole = table[:7].astype(np.int64)
    return Ways(whole[0], tuple(shapes[i] for i in whole[1]), *whole[2:7], *table[7:])


def _estimate(
    grid: Grid, architecture: Architecture, shape: Shape, cols: IntArray, rows: IntArray, input_bits: int, outside: bool
) -> FloatArray:
    """One shape with every split of the windows: the last seven columns of :class:`Ways`, as rows.

    Distances: tiles of a copy fill a square of the mesh, data cross a third of its height and width.
    """
    per_tile, copies = architecture.crossbars_per_tile, cols * rows
    tiles, repeats, sums = max(1.0, shape.crossbars / per_tile), 1.0, 0.0
    if shape.crossbars > per_tile and shape.bundles == 1:
        width = np.array([strip_width(grid, shape, per_tile)])
        repeats, sums = (float(value[0]) for value in window_traffic(grid, shape, per_tile, width))
    within = 1 + 2 / 3 * max(1.0, tiles / architecture.tiles_per_router) ** 0.5
    far = _to_outside(architecture) if outside else within + 1
    together = np.minimum(copies, max(1, per_tile // shape.crossbars))
    load = np.ceil(grid.window_input_bits * together * repeats / tiles / architecture.buffer_bits_per_cycle)
    compute = grid.phases * shape.serial
    interval = np.maximum(compute, load) if architecture.overlap_input else compute + load
    windows = -(-grid.window_cols // cols) * -(-grid.window_rows // rows)
    pixels = copies / together * _block_pixels(grid, cols, rows, together)
    hop_bits = pixels * input_bits * repeats * far + grid.windows * sums * within
    reads = float(grid.windows * grid.window_input_bits * repeats)
    one = np.ones(len(cols))
    crossbars = copies * shape.crossbars
    return np.stack([cols, rows, shape.serial * one, crossbars, windows * interval, hop_bits, hop_bits + reads])


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
    """Cuts and the way of every layer: ``segment`` and ``way`` have shape (layers,); ``cost`` is the surrogate."""

    segment: IntArray
    way: IntArray
    cost: float


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
        Share of all routers' capacity that a run may use: the middle of the mesh carries more than its rim.
    """

    def __init__(
        self,
        options: list[Ways],
        network: Network,
        architecture: Architecture,
        price: float,
        slots: IntArray | None = None,
        router_share: float = 0.4,
    ) -> None:
        self.options, self.architecture, self.price = options, architecture, price
        self.slots = menu(architecture.ou_slots) if slots is None else slots
        routers = architecture.mesh_rows * architecture.mesh_cols
        self.router = router_share * routers * architecture.router_bits_per_cycle
        self.paces = self._paces()
        self.before, self.lag = lags(network)
        table = np.zeros((3, len(self.slots), len(self.paces), len(options) + 1))
        cache: dict[int, FloatArray] = {}
        for layer, way in enumerate(options):
            if id(way) not in cache:
                cache[id(way)] = self._needs(way)
            table[..., layer + 1] = cache[id(way)]
        self.crossbars, self.traffic, self.bits = np.cumsum(table, axis=3)

    def _paces(self) -> FloatArray:
        fastest = max(1.0, min(float(way.cycles.min()) for way in self.options))
        slowest = sum(float(way.cycles.max()) for way in self.options)
        work = sum(float((way.crossbars * way.cycles).min()) for way in self.options) / self.architecture.crossbars
        turn = min(max(20.0 * work, 2 * fastest), slowest)
        usual = np.geomspace(max(fastest, work / 300), turn, PACES, endpoint=False)
        return np.concatenate([usual, np.geomspace(turn, slowest, SLOW_PACES)])

    def pick(self, way: Ways, slots: int, pace: float) -> int | None:
        """Cheapest way within slots and pace: its shares of crossbars and routers, and its communication."""
        fits = np.flatnonzero((way.serial <= slots) & (way.cycles <= pace))
        if not len(fits):
            return None
        share = way.crossbars[fits] / self.architecture.crossbars
        traffic = way.hop_bits[fits] / self.router + way.bits[fits] * self.price
        return int(fits[(share + traffic / pace).argmin()])

    def _needs(self, way: Ways) -> FloatArray:
        """Crossbars, traffic and communication of the cheapest way; shape (3, slots, paces)."""
        need = np.zeros((3, len(self.slots), len(self.paces)))
        need[0] = IMPOSSIBLE
        share = (way.crossbars / self.architecture.crossbars)[:, None]
        price = (way.hop_bits / self.router + way.bits * self.price)[:, None] / self.paces
        cost = np.where(way.cycles[:, None] <= self.paces, share + price, np.inf)
        columns = np.stack([way.crossbars.astype(np.float64), way.hop_bits, way.bits])
        for s, slots in enumerate(self.slots):
            within = np.flatnonzero(way.serial <= slots)
            if len(within):
                best = within[cost[within].argmin(axis=0)]
                possible = np.isfinite(cost[best, np.arange(len(self.paces))])
                need[:, s, possible] = columns[:, best[possible]]
        return need

    def costs(self, first: int, fill: float) -> FloatArray:
        """Cycles plus priced communication of runs first..j-1; shape (slots, paces, run lengths); inf: impossible."""
        last = min(len(self.options), first + LONGEST_RUN)
        stop = np.arange(first + 1, last + 1)
        need, sent, bits = (
            table[:, :, stop] - table[:, :, first : first + 1] for table in (self.crossbars, self.traffic, self.bits)
        )
        room = np.where(stop - first > 1, fill, 1.0) * self.architecture.crossbars
        fits = (need <= room) & (sent <= self.router * self.paces[:, None])
        trail = np.maximum.accumulate(self.lag[first:last]) - self.lag[first]
        cycles = self.paces[:, None] * (1 + np.maximum(trail, 0)) + self.price * bits
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
    best = np.full((layers + 1, capacity + 1), np.inf)
    best[0, 0] = 0.0
    parent = np.zeros((layers + 1, capacity + 1, 3), dtype=np.int64)
    for first in range(layers):
        if not np.isfinite(best[first]).any():
            continue
        costs = runs.costs(first, fill)
        pace, cost = costs.argmin(axis=1), costs.min(axis=1)
        for s, slots in enumerate(runs.slots):
            total = best[first, None, : capacity + 1 - slots] + cost[s][:, None]
            rows = slice(first + 1, first + 1 + len(total))
            better = total < best[rows, slots:]
            best[rows, slots:][better] = total[better]
            step = np.stack([np.full(len(total), first), np.full(len(total), s), pace[s]], axis=1)
            parent[rows, slots:][better] = np.broadcast_to(step[:, None], (*better.shape, 3))[better]
    used = int(best[layers].argmin())
    if not np.isfinite(best[layers, used]):
        return None
    return _trace(runs, parent, used, float(best[layers, used]))


def _trace(runs: Runs, parent: IntArray, used: int, cost: float) -> Cuts:
    """Walk the shortest path back from its end."""
    stop = len(runs.options)
    way = np.zeros(stop, dtype=np.int64)
    cuts: list[int] = []
    while stop:
        first, s, pace = (int(v) for v in parent[stop, used])
        for layer in range(first, stop):
            way[layer] = runs.pick(runs.options[layer], int(runs.slots[s]), float(runs.paces[pace])) or 0
        cuts.append(first)
        used, stop = used - int(runs.slots[s]), first
    segment = np.searchsorted(np.sort(cuts), np.arange(len(way)), side="right") - 1
    return Cuts(segment, way, cost)


def allocate(
    plan: Cuts, options: list[Ways], grids: list[tuple[Grid, ...]], architecture: Architecture
) -> tuple[tuple[Grid, ...], list[Allocation]] | None:
    """Copies along the walk, segment by segment; None if a segment does not fit.

    Within a segment, copies lie in the order of their columns in the image, whatever their layer: neighbours in the
    image, and producers and consumers, are neighbours on the chip, also from one segment to the next.
    """
    chosen = tuple(
        grids[i][int(option.option[way])] for i, (option, way) in enumerate(zip(options, plan.way, strict=True))
    )
    shapes = [option.shapes[way] for option, way in zip(options, plan.way, strict=True)]
    splits = [
        column_blocks(grid.window_rows, grid.window_cols, int(option.col_blocks[way]), int(option.row_blocks[way]))
        for grid, option, way in zip(chosen, options, plan.way, strict=True)
    ]
    positions: list[IntArray] = [np.zeros(0, dtype=np.int64)] * len(options)
    for segment in np.unique(plan.segment):
        layers = np.flatnonzero(plan.segment == segment)
        copies = [int(options[i].col_blocks[plan.way[i]] * options[i].row_blocks[plan.way[i]]) for i in layers]
        rank = np.concatenate([(np.arange(count) + 0.5) / count for count in copies])
        owner = np.repeat(np.arange(len(layers)), copies)
        order = np.lexsort((owner, rank))
        size = np.array([shapes[i].crossbars for i in layers])[owner[order]]
        place = pack(architecture, size)
        if place is None:
            return None
        by_copy = np.empty(len(order), dtype=np.int64)
        by_copy[order] = place
        for i, layer in enumerate(layers):
            positions[layer] = by_copy[owner == i]
    allocations = [
        Allocation(shape, position, split, int(segment))
        for shape, position, split, segment in zip(shapes, positions, splits, plan.segment, strict=True)
    ]
    return chosen, allocations
