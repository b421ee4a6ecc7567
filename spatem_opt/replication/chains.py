"""Chains: consecutive layers whose copies all lie on the same small groups of tiles, one block of the image on each.

A pipeline gives every layer tiles of its own, so that each feature map crosses the chip. In a chain a group of tiles
(often a single one) holds a copy of every layer and computes its own block of the image for all of them: data stay in
their group, and inside a tile they cost no hop (M1). Only halos, and what the first layer reads, come from farther.
That suits layers with many windows and few weights. Chains take turns with other segments.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spatem_opt.cost.grid import Grid
from spatem_opt.grouping.tiling import Tiling, fullest_part, tilings_across, tilings_within, window_traffic
from spatem_opt.model.architecture import Architecture
from spatem_opt.network.layers import Edge, Network, Node
from spatem_opt.types import FloatArray, IntArray

GROUPS = (1, 2, 3, 4, 6, 8, 12, 16, 24)
"""Tiles of a group that are tried."""
HALO, CROSS = 2.0, 3.5
"""Mean hops of a datum from the block beside, and between blocks of chains in groups of other sizes."""
PACES = 64
"""Paces tried: times that a block's windows of every layer may take."""
LONGEST_CHAIN = 16
"""Layers of a chain."""
SIZES = 10
"""Numbers of crossbars per tile and copy that are tried."""


@dataclass(frozen=True, slots=True)
class BlockGrid:
    """Groups of tiles as a grid of blocks of the image.

    Parameters
    ----------
    high, wide : int
        Tiles of a group below and beside each other.
    rows, cols : int
        Groups below and beside each other.
    down, across : int
        Tiles of a router, as they are taken to lie.
    mesh_rows, mesh_cols : int
    """

    high: int
    wide: int
    rows: int
    cols: int
    down: int
    across: int
    mesh_rows: int
    mesh_cols: int

    @property
    def together(self) -> int:
        """Tiles of a group."""
        return self.high * self.wide

    @property
    def distance(self) -> float:
        """Mean hops between tiles of a group."""
        return 1.0 + max(0.0, self.high / self.down - 1) / 3 + max(0.0, self.wide / self.across - 1) / 3

    def blocks(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of blocks of a layer's windows: at most one block per group, at least a window each."""
        cols = min(width, self.cols)
        return max(1, min(self.rows, height * width // cols)), cols

    def groups(self, rows: int, cols: int) -> IntArray:
        """Group of every block of an image cut into fewer blocks, column by column; shape (cols * rows,)."""
        x = (np.arange(cols) * 2 + 1) * self.cols // (2 * cols)
        y = (np.arange(rows) * 2 + 1) * self.rows // (2 * rows)
        return np.asarray((y[None, :] * self.cols + x[:, None]).ravel())

    def tiles(self) -> IntArray:
        """All tiles of the chip, those of a group one after the other, to and fro; what is left over last."""
        y, x = np.divmod(np.arange(self.rows * self.cols), self.cols)
        j = np.arange(self.together)
        dy, dx = np.divmod(j, self.wide)
        dx = np.where(dy % 2 == 1, self.wide - 1 - dx, dx)
        y, x = y[:, None] * self.high + dy, x[:, None] * self.wide + dx
        router = y // self.down * self.mesh_cols + x // self.across
        found = (router * self.down * self.across + y % self.down * self.across + x % self.across).ravel()
        rest = np.setdiff1d(np.arange(self.mesh_rows * self.mesh_cols * self.down * self.across), found)
        return np.concatenate([found, rest])


def block_grids(architecture: Architecture) -> list[BlockGrid]:
    """Grids of groups of so many tiles as leave fewest over, and are the most square."""
    per_router = architecture.tiles_per_router
    down = next(n for n in range(int(per_router**0.5), 0, -1) if per_router % n == 0)
    across = per_router // down
    height, width = architecture.mesh_rows * down, architecture.mesh_cols * across
    found = []
    for number in (n for n in GROUPS if n == 1 or 4 * n <= height * width):
        shapes = [(n, number // n) for n in range(1, number + 1) if number % n == 0]
        shapes = [(high, wide) for high, wide in shapes if high <= height and wide <= width]
        if shapes:
            high, wide = max(shapes, key=lambda s: ((height // s[0]) * (width // s[1]), -abs(s[0] - s[1])))
            grid = BlockGrid(
                high, wide, height // high, width // wide, down, across, architecture.mesh_rows, architecture.mesh_cols
            )
            found.append(grid)
    return found


@dataclass(frozen=True, slots=True, eq=False)
class BlockModes:
    """Modes of one layer in a chain: columns of equal length, ascending in crossbars.

    Parameters
    ----------
    option : int64 array
        Mapping option, an index into the layer's grids.
    shapes : tuple of Tiling
        Of a copy; it lies on the tiles of one group.
    turns : int64 array
        Copies in a group, which take the windows of its block in turn.
    share : int64 array
        Crossbars of a copy in each tile.
    serial, crossbars, cycles : int64 arrays
        OUs on the fullest crossbar, crossbars in every tile, cycles for the windows of a block.
    hop_bits : float array, shape (3, modes)
        Traffic between tiles [bit-hops], if inputs are made in blocks of the same grid, of another one, or elsewhere.
    reads : float array
        Bits read from buffers.
    entry : float array
        Cycles that the entries need for inputs from outside.
    """

    option: IntArray
    shapes: tuple[Tiling, ...]
    turns: IntArray
    share: IntArray
    serial: IntArray
    crossbars: IntArray
    cycles: IntArray
    hop_bits: FloatArray
    reads: FloatArray
    entry: FloatArray


@dataclass(frozen=True, slots=True)
class ChainMode:
    """The mode of one layer of a chain that was chosen."""

    option: int
    shape: Tiling
    turns: int
    share: int
    grid: BlockGrid

    @property
    def crossbars(self) -> int:
        """Crossbars in every tile."""
        return self.turns * self.share


def block_modes(
    grids: tuple[Grid, ...],
    node: Node,
    architecture: Architecture,
    slots: IntArray,
    blocks: BlockGrid,
    *,
    outside: bool,
    digital: float,
    gathered: int = 0,
) -> BlockModes:
    """Modes of a layer in a chain, none where a copy is larger than a group.

    ``outside``: it reads a network input. ``digital``: cycles that digital nodes take after each of its windows.
    ``gathered``: bits of its outputs that a digital node brings together at one of its copies (global pooling).
    """
    tables: list[FloatArray] = []
    shapes: list[Tiling] = []
    for option, grid in enumerate(grids):
        found = _shapes(grid, architecture, slots, blocks)
        if found:
            table = _modes_of(grid, found, node.edges[0], architecture, blocks, outside, digital)
            least = _gathering(grid, found, architecture, blocks, gathered)
            table[6] = np.maximum(table[6], np.ceil(least[table[1].astype(np.int64)]))
            table[0], table[1] = option, table[1] + len(shapes)
            tables.append(table)
            shapes += [shape for shape, _ in found]
    table = np.concatenate(tables, axis=1) if tables else np.zeros((12, 0))
    table = table[:, _useful(table[4:7].T, table[7] + table[10], table[9] + table[10])]
    table = table[:, np.lexsort((table[6], table[5]))]
    option, shape, turns, share, serial, crossbars, cycles = table[:7].astype(np.int64)
    return BlockModes(
        option, tuple(shapes[i] for i in shape), turns, share, serial, crossbars, cycles, table[7:10], *table[10:]
    )


def _modes_of(
    grid: Grid, found: list[tuple[Tiling, int]], edge: Edge, chip: Architecture, blocks: BlockGrid,
    outside: bool, digital: float,
) -> FloatArray:  # fmt: skip
    """Every shape with every number of copies in a group, as columns: 0, shape, and all others of BlockModes."""
    rows, cols = blocks.blocks(grid.window_rows, grid.window_cols)
    strip = -(-grid.windows // cols)
    windows = -(-strip // rows)
    share = np.array([part for _, part in found])
    serial = np.array([shape.serial for shape, _ in found])
    repeats, sums, fullest = _traffic(grid, found, blocks)
    turns = np.unique(-(-windows // np.unique(-(-windows // np.arange(1, windows + 1)))))
    which, k = (axis.ravel() for axis in np.meshgrid(np.arange(len(found)), turns, indexing="ij"))
    keep = k * share[which] <= chip.crossbars_per_tile
    which, k = which[keep], k[keep]

    load = np.ceil(k * grid.window_input_bits * fullest[which] / chip.buffer_bits_per_cycle)
    compute = grid.phases * serial[which]
    interval = np.maximum(compute, load) if chip.overlap_input else compute + load
    wait = np.ceil(sums / chip.router_bits_per_cycle) + (sums > 0) * blocks.distance * chip.hop_cycles
    cycles = np.ceil(-(-windows // k) * np.maximum(interval, digital) + wait[which])

    pixels, own = _pixels(grid, edge, blocks, rows, cols)
    width = len(edge.channel) * grid.activation_bits
    inputs = pixels * width * repeats
    inner = ((pixels - own) * HALO * repeats + own * (repeats - 1) * blocks.distance) * width
    far = _to_entry(chip) if outside else 1 + (chip.mesh_rows + chip.mesh_cols) / 3
    hops = np.stack([inputs * far] * 3 if outside else [inner, inputs * min(CROSS, far), inputs * far])
    hops += grid.windows * sums * blocks.distance
    entries = chip.mesh_cols if chip.input_entry == "columns" else 1
    entry = inputs * outside / (entries * chip.router_bits_per_cycle)
    reads = grid.windows * grid.window_input_bits * np.maximum(1.0, repeats)
    own_columns = which, k, share[which], serial[which], k * share[which], cycles
    return np.stack([np.zeros(len(which)), *own_columns, *hops[:, which], reads[which], entry[which]])


def _gathering(
    grid: Grid, found: list[tuple[Tiling, int]], chip: Architecture, blocks: BlockGrid, gathered: int
) -> FloatArray:
    """Cycles that the routers of one copy's homes need for what is brought together there; one per shape."""
    rows, cols = blocks.blocks(grid.window_rows, grid.window_cols)
    homes = [
        min(blocks.together, -(-shape.bundles * shape.size // each))
        if shape.parts == 1
        else -(-len(grid.cols) // shape.width) * (shape.deep if shape.cut == "homes" else 1)
        for shape, each in found
    ]
    routers = np.maximum(1.0, np.array(homes) / chip.tiles_per_router)
    return np.asarray(gathered * (1 - 1 / (rows * cols)) / (routers * chip.router_bits_per_cycle))


def _shapes(grid: Grid, chip: Architecture, slots: IntArray, blocks: BlockGrid) -> list[tuple[Tiling, int]]:
    """Shapes of a copy on the tiles of a group, with its crossbars in each of them."""
    per_tile, group, ous = chip.crossbars_per_tile, blocks.together, len(grid.rows) * len(grid.cols)
    if group == 1 or grid.weights.groups > 1:
        found: dict[tuple[Tiling, int], None] = {}
        for shape in (shape for shapes in tilings_within(grid, slots, per_tile) for shape in shapes):
            each = -(-shape.bundles // group) * shape.size  # bundles stay whole
            if shape.parts == 1 and each <= per_tile:
                found[shape, each] = None
        return list(found)
    sizes = np.unique(-(-ous // (group * np.unique(slots))))
    sizes = sizes[sizes <= per_tile]
    if len(sizes) > SIZES:
        sizes = np.unique(sizes[np.round(np.linspace(0, len(sizes) - 1, SIZES)).astype(np.int64)])
    return [
        (shape, size)
        for size in sizes.tolist()
        for shape in tilings_across(grid, group, size)
        if shape.serial <= slots[-1]
    ]


def _traffic(
    grid: Grid, found: list[tuple[Tiling, int]], blocks: BlockGrid
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Of every shape: tiles that need an input, bits of partial sums per window, the fullest tile's share of inputs."""
    if blocks.together == 1:
        one = np.ones(len(found))
        return one, 0 * one, one
    if grid.weights.groups > 1:
        one = np.ones(len(found))
        tiles = np.array([min(blocks.together, -(-shape.bundles * shape.size // each)) for shape, each in found])
        return one, 0 * one, 1.0 / tiles
    repeats, sums, fullest = (np.empty(len(found)) for _ in range(3))
    size = np.array([each for _, each in found])
    for each in np.unique(size):
        mine = np.flatnonzero(size == each)
        shapes = [found[i][0] for i in mine]
        repeats[mine], sums[mine] = window_traffic(grid, shapes, int(each))
        fullest[mine] = np.where([shape.parts > 1 for shape in shapes], fullest_part(grid, shapes), 1.0)
    return repeats, sums, fullest


def _to_entry(architecture: Architecture) -> float:
    """Mean distance of tiles from where inputs enter."""
    return 1 + (architecture.mesh_rows + (0 if architecture.input_entry == "columns" else architecture.mesh_cols)) / 2


def _pixels(grid: Grid, edge: Edge, blocks: BlockGrid, rows: int, cols: int) -> tuple[float, float]:
    """Input pixels that all blocks need, each once per block, and those of them that are made in their block."""
    (kh, kw), (sy, sx) = grid.weights.kernel, (1, 1) if grid.weights.transposed else grid.weights.stride
    height, width = int(edge.rows.max()) + 1, int(edge.cols.max()) + 1
    wide = grid.window_cols / cols + (0.5 if grid.window_cols % cols and kw > sx else 0.0)
    high = grid.windows / (rows * cols) / (grid.window_cols / cols)
    high += 0.5 if high % 1 and kh > sy else 0.0
    needed = min((high * grid.option.ph - 1) * sy + kh, height) * min((wide * grid.option.pw - 1) * sx + kw, width)
    before = blocks.blocks(height, width)
    own = height * width * min(1.0, rows * cols / (before[0] * before[1]))
    return max(rows * cols * needed, own), own


def _useful(needs: FloatArray, near: FloatArray, far: FloatArray) -> IntArray:
    """Modes that no other beats in serial OUs, crossbars, cycles and communication at once (to 1 %)."""
    order = np.lexsort((near, needs[:, 2], needs[:, 1], needs[:, 0]))
    table = np.column_stack([needs[:, 1:], near, far])
    kept: list[int] = []
    front = np.empty_like(table)
    for i in order.tolist():
        if not (front[: len(kept)] <= 1.01 * table[i]).all(axis=1).any():
            front[len(kept)] = table[i]
            kept.append(i)
    return np.array(kept, dtype=np.int64)


def block_lags(network: Network, blocks: BlockGrid) -> FloatArray:
    """How far layers of a chain trail its start, in paces, all of their own lag included; shape (layers,).

    A block's windows run in raster order: one waits for the last pixels it reads of what its own tile makes.
    """
    after = np.zeros(len(network.nodes))
    for index, node in enumerate(network.nodes):
        rows, cols = blocks.blocks(node.height, node.width)
        for edge in node.edges:
            begin = max(after[p] for p in edge.producers.tolist())
            after[index] = max(after[index], begin + block_lag(edge, node, rows, cols))
    return np.asarray(after[np.array(network.layers)])


def block_lag(edge: Edge, node: Node, rows: int, cols: int) -> float:
    """Share of a block's windows that wait for the last pixel made for it."""
    wide = node.width / cols
    high = node.windows / (rows * cols) / wide
    below, beside = _waiting(edge.rows), _waiting(edge.cols)
    share = (min(below, high) - 1) * wide + min(beside, wide)
    return float(min(1.0, max(share, 1.0) / (high * wide)))


def _waiting(taps: IntArray) -> int:
    """Rows of windows from the first that reads the last of the rows which they have for themselves."""
    height, reach = taps.shape[0], int(taps.max()) + 1
    if height == 1 or taps.shape[1] == 1:
        return 1
    middle = height // 2
    last = (middle + 1) * reach // height - 1  # last row of the windows down to the middle
    reads = np.flatnonzero((taps >= last).any(axis=1))
    return max(1, middle - int(reads[0]) + 1) if len(reads) else 1


class ChainPrices:
    """Prices of chains of layers on groups of one size; built once per network, chip and price of communication.

    Parameters
    ----------
    blocks : BlockGrid
    modes : list of BlockModes
        One per layer.
    network, architecture
    price : float
        Cycles that one bit of communication is worth.
    slots : int64 array
        Slots per crossbar that a segment may take, ascending.
    router : float
        Bits that routers may pass per cycle in all.
    """

    def __init__(
        self, blocks: BlockGrid, modes: list[BlockModes], network: Network, architecture: Architecture,
        price: float, slots: IntArray, router: float,
    ) -> None:  # fmt: skip
        self.blocks, self.modes, self.network, self.architecture = blocks, modes, network, architecture
        self.price, self.slots, self.router = price, slots, router
        self.lag = block_lags(network, blocks)
        every = [own.cycles + own.hop_bits / router for own in modes if len(own.option)]
        least = min((float(own.min()) for own in every), default=1.0)
        most = max((float(own.max()) for own in every), default=1.0)
        self.paces = np.geomspace(max(least, 1.0), max(most, least, 2.0), PACES)
        self.first, self.needs = self._tables()

    def lasts(self, own: BlockModes, origin: int) -> FloatArray:
        """Cycles that a layer takes for a block in every mode, with what its data take: all blocks send at once."""
        return np.asarray(np.maximum(own.cycles + own.hop_bits[origin] / self.router, own.entry))

    def _tables(self) -> tuple[FloatArray, FloatArray]:
        """Crossbars per tile and communication of the cheapest mode within slots and pace.

        Of each layer by origin of its inputs, shape (layers, 3, 2, slots, paces); of layers 0..l-1, if all are made in
        blocks of this grid, shape (layers + 1, 2, slots, paces).
        """
        first = np.empty((len(self.modes), 3, 2, len(self.slots), len(self.paces)))
        cache: dict[int, int] = {}
        for layer, own in enumerate(self.modes):
            known = cache.setdefault(id(own), layer)
            if known < layer:
                first[layer] = first[known]
            else:
                for origin in range(3):
                    first[layer, origin] = self._needs(own, origin)
        return first, np.concatenate([np.zeros_like(first[:1, 0]), np.cumsum(first[:, 0], axis=0)])

    def _needs(self, own: BlockModes, origin: int) -> FloatArray:
        """Crossbars and communication of the cheapest mode within slots and pace; shape (2, slots, paces)."""
        need = np.full((2, len(self.slots), len(self.paces)), IMPOSSIBLE)
        if not len(own.option):
            return need
        bits = own.hop_bits[origin] + own.reads
        cost = own.crossbars[:, None] / self.architecture.crossbars_per_tile + (bits * self.price)[:, None] / self.paces
        cost = np.where(self.lasts(own, origin)[:, None] <= self.paces, cost, np.inf)
        place = np.searchsorted(self.slots, own.serial)
        least, best = np.full(len(self.paces), np.inf), np.zeros(len(self.paces), dtype=np.int64)
        for s in range(len(self.slots)):
            more = np.flatnonzero(place == s)
            if len(more):
                new = more[cost[more].argmin(axis=0)]
                found = cost[new, np.arange(len(self.paces))]
                least, best = np.where(found < least, found, least), np.where(found < least, new, best)
            possible = np.isfinite(least)
            for k, column in enumerate((own.crossbars, bits)):
                need[k, s, possible] = column[best[possible]]
        return need

    def costs(self, first: int) -> FloatArray:
        """Cycles plus priced communication of chains first..j-1; shape (lengths, 3, slots); inf: impossible.

        The first layer's inputs are made in blocks of this grid, of another one, or elsewhere.
        """
        found: list[FloatArray] = []
        for stop in range(first + 1, min(len(self.modes), first + LONGEST_CHAIN) + 1):
            need, bits = np.moveaxis(self.first[first] + (self.needs[stop] - self.needs[first + 1]), 1, 0)
            possible = need <= self.architecture.crossbars_per_tile
            if not possible.any():
                break
            cycles = self.paces * (1 + max(0.0, self.lag[first:stop].max() - self.lag[first]))
            cost = np.where(possible, cycles + (stop - first) * self.tail + self.price * bits, np.inf)
            found.append(cost.min(axis=2))
        return np.array(found).reshape(-1, 3, len(self.slots))

    @property
    def tail(self) -> float:
        """Cycles from a window's end to where its outputs are read."""
        return self.architecture.pipeline_tail_cycles + self.blocks.distance * self.architecture.hop_cycles

    def chosen(self, first: int, stop: int, slots: int, origin: int) -> tuple[list[ChainMode], float]:
        """Modes of a chain's layers within slots, and its cycles, by where its inputs come from (:meth:`costs`).

        The smallest ones at first; then again and again what makes the chain faster for the fewest crossbars.
        """
        modes = self.modes[first:stop]
        allowed = [np.flatnonzero(own.serial <= slots) for own in modes]
        cycles = [self.lasts(own, origin if i == 0 else 0) for i, own in enumerate(modes)]
        trio = list(zip(modes, allowed, cycles, strict=True))
        now = [int(fits[np.lexsort((took[fits], own.crossbars[fits]))[0]]) for own, fits, took in trio]
        room = self.architecture.crossbars_per_tile
        room -= sum(int(own.crossbars[k]) for own, k in zip(modes, now, strict=True))
        timing = _Timing(self.network, first, stop, self.blocks, self.tail)
        lasts = [float(took[k]) for took, k in zip(cycles, now, strict=True)]
        total = timing.cycles(lasts)
        while True:
            best: tuple[float, float, int, int] | None = None
            for layer, (own, fits, took) in enumerate(trio):
                more, old = own.crossbars[fits] - own.crossbars[now[layer]], lasts[layer]
                for k in fits[(more <= room) & (took[fits] < old)].tolist():
                    lasts[layer] = float(took[k])
                    gain = total - timing.cycles(lasts)
                    rate = gain / max(int(own.crossbars[k] - own.crossbars[now[layer]]), 0.5)
                    if gain > 0 and (best is None or rate > best[0]):
                        best = rate, gain, layer, k
                lasts[layer] = old
            if best is None:
                break
            _, gain, layer, k = best
            room -= int(modes[layer].crossbars[k] - modes[layer].crossbars[now[layer]])
            now[layer], lasts[layer], total = k, float(cycles[layer][k]), total - gain
        return [
            ChainMode(int(own.option[k]), own.shapes[k], int(own.turns[k]), int(own.share[k]), self.blocks)
            for own, k in zip(modes, now, strict=True)
        ], total


IMPOSSIBLE = 1e12
"""Crossbars of a layer that no mode can run within slots and pace."""


class _Timing:
    """When the layers of a chain are done, from the cycles that each takes for its block."""

    def __init__(self, network: Network, first: int, stop: int, blocks: BlockGrid, tail: float) -> None:
        begin = network.layers[first]
        end = network.layers[stop] if stop < len(network.layers) else len(network.nodes)
        number = {node: i for i, node in enumerate(network.layers[first:stop])}
        self.tail = tail
        self.feeds: list[tuple[int, list[tuple[int, float]]]] = []  # layer or -1; nodes it reads, with their lag
        for index in range(begin, end):
            node = network.nodes[index]
            rows, cols = blocks.blocks(node.height, node.width)
            reads = [
                (producer - begin, block_lag(edge, node, rows, cols))
                for edge in node.edges
                for producer in edge.producers.tolist()
                if producer >= begin
            ]
            self.feeds.append((number.get(index, -1), reads))

    def cycles(self, lasts: list[float]) -> float:
        """Cycles of the chain if its layers take so many for a block."""
        start, end = [0.0] * len(self.feeds), [0.0] * len(self.feeds)
        for i, (layer, reads) in enumerate(self.feeds):
            own, tail = (lasts[layer], self.tail) if layer >= 0 else (0.0, 0.0)
            begin = done = 0.0
            for p, lag in reads:
                begin = max(begin, start[p] + lag * (end[p] - start[p]))
                done = max(done, end[p] + lag * own)
            start[i], end[i] = begin, max(begin + own, done) + tail
        return max(end)


def origin(kind: int, before: int) -> int:
    """Where a chain of a kind finds its inputs (:meth:`ChainPrices.costs`) after a run of another kind, 0 for none."""
    return 0 if kind == before else 1 if before else 2


def digital_cycles(network: Network, architecture: Architecture) -> list[float]:
    """Per layer: cycles that the slowest digital node hosted by it takes per window of the layer (M5)."""
    found = [0.0] * len(network.layers)
    number = {node: i for i, node in enumerate(network.layers)}
    host: list[int] = []
    for index, node in enumerate(network.nodes):
        if node.kind != "digital":
            host.append(number.get(index, -1))
            continue
        host.append(host[int(node.edges[0].source[0])])
        if host[-1] >= 0 and node.windows > 1:
            layer = network.nodes[network.layers[host[-1]]]
            each = -(-node.ops_per_window // architecture.digital_ops_per_cycle)
            found[host[-1]] = max(found[host[-1]], each * node.windows / layer.windows)
    return found


def layers_outside(network: Network) -> list[bool]:
    """Which layers read a network input, also through digital nodes that run outside (M5)."""
    host: list[bool] = []
    for node in network.nodes:
        primary = bool(node.kind == "digital" and host[int(node.edges[0].source[0])])
        host.append(node.kind == "input" or primary)
    return [
        any(host[p] for edge in network.nodes[i].edges for p in edge.producers.tolist()) for i in network.layers
    ]
