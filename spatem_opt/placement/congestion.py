"""What routers pass while a segment runs, estimated as its copies are laid down (M6, M8).

Traffic is summed up column by column of the image: what of a column is made at which router, and how often it is
needed at which. All copies of a layer have one footprint: which share of its inputs each of a copy's tiles reads, which
share of its outputs each is home of, and the partial sums between them. Columns of a feature map stand for all its
channels alike, and small copies in one tile fetch their inputs each for itself: of networks with few windows, where
many copies share a tile, loads are too high.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from spatem_opt.cost.arrays import distinct, starts_of
from spatem_opt.cost.durations import column_ous, datum_bits, home_rank, place
from spatem_opt.cost.grid import Grid
from spatem_opt.cost.mesh import RouterMesh
from spatem_opt.grouping.tile_parts import outlines
from spatem_opt.grouping.tiling import Tiling
from spatem_opt.model.architecture import Architecture
from spatem_opt.network.layers import Edge, Network, Node
from spatem_opt.network.readings import readings
from spatem_opt.replication.layout import Allocation, serpentine_order
from spatem_opt.types import FloatArray, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Footprint:
    """One copy, tile by tile in the order of the walk.

    Columns of its grid that lie on the tiles alike are one *kind*.

    Parameters
    ----------
    reads : float array, shape (tiles,)
        Share of the inputs that each tile reads.
    counts : int64 array, shape (tiles, kinds)
        OUs of a column on each tile.
    home : int64 array, shape (kinds,)
        Tile of the copy that is a kind's home.
    bits, share : float arrays, shape (kinds,)
        Partial sums of a kind's columns per window and tile, and the share of all outputs whose home is theirs.
    """

    reads: FloatArray
    counts: IntArray
    home: IntArray
    bits: FloatArray
    share: FloatArray


@lru_cache(maxsize=2048)
def footprint(grid: Grid, shape: Tiling, architecture: Architecture, begin: int = 0) -> Footprint:
    """Footprint of a copy that begins with crossbar ``begin`` of a tile."""
    rect, per_tile = outlines(grid, shape), architecture.crossbars_per_tile
    crossbar = rect[:, 0] + begin
    placed = place(grid, architecture, np.zeros(len(rect), dtype=np.int64), crossbar, rect[:, 1:])
    tiles = len(placed.pair_tile)
    counts = column_ous(grid, crossbar // per_tile, rect[:, 1:], tiles)
    far = column_ous(grid, crossbar // per_tile, rect[:, 1:], tiles, far=True)
    table = np.concatenate([home_rank(counts, far).argmax(axis=0)[None], counts])
    table, kind = np.unique(table, axis=1, return_inverse=True)
    home, counts = table[0], table[1:]
    sums = np.tile(grid.column_sums(), grid.weights.groups) * grid.partial_sum_bits
    column = np.arange(grid.weights.groups)[:, None] * len(grid.cols) + grid.filter_columns()
    share = np.bincount(kind.ravel()[column.ravel()], minlength=counts.shape[1]) / column.size
    reads = placed.channels_read().mean(axis=1, dtype=np.float64)
    return Footprint(reads, counts, home, np.bincount(kind.ravel(), sums).astype(np.float64), share)


ROOM = 400.0
"""Queue [cycles] that a router may have after a segment before the next one waits for it."""


def serve(passed: FloatArray, cycles: FloatArray) -> float:
    """Cycles of segments that run one after the other, and last longer where a router's queue would grow too long.

    Parameters
    ----------
    passed : float array, shape (segments, routers)
        Cycles that routers need for each segment's traffic (:func:`loads`).
    cycles : float array, shape (segments,)
        How long segments last otherwise.
    """
    queue, total = np.zeros(passed.shape[1]), 0.0
    for load, lasts in zip(passed, cycles.tolist(), strict=True):
        queue = np.maximum(queue + load - lasts, 0.0)
        extra = max(0.0, float(queue.max()) - ROOM)
        queue = np.maximum(queue - extra, 0.0)
        total += lasts + extra
    return max(total, float(passed.sum(axis=0).max()))


EVENER = 0.45
"""Share of what the busiest routers pass above the mean that exchanges of tiles leave there. Fitted to exchanges."""


def evened_out(passed: FloatArray) -> FloatArray:
    """What routers will pass once tiles have been exchanged
    (:func:`~spatem_opt.placement.segment_relief.relieve_segments`), about."""
    mean = passed.mean(axis=1, keepdims=True)
    return np.asarray(mean + EVENER * (passed - mean))


def loads(
    network: Network,
    architecture: Architecture,
    grids: Sequence[Grid],
    counts: Sequence[tuple[int, int]],
    allocations: Sequence[Allocation],
    moves: IntArray | None = None,
) -> FloatArray:
    """Cycles that every router needs for what it passes of each segment's traffic; shape (segments, routers).

    Parameters
    ----------
    network : Network
    architecture : Architecture
    grids, counts, allocations
        Per layer: its grid, column blocks and interleaved rows of its copies, and where these lie.
    moves : int64 array, shape (segments, tiles), optional
        New tile of what a segment has at each tile.
    """
    traffic = _Traffic(network, architecture, grids, counts, allocations, moves)
    mesh = RouterMesh(architecture)
    return np.stack([mesh.loads(bits) for bits in traffic.bits]) / architecture.router_bits_per_cycle


class _Traffic:
    """Bits between routers, shape (segments, routers, routers), in the segment of what is sent."""

    def __init__(
        self,
        network: Network,
        architecture: Architecture,
        grids: Sequence[Grid],
        counts: Sequence[tuple[int, int]],
        allocations: Sequence[Allocation],
        moves: IntArray | None,
    ) -> None:
        self.network, self.architecture, self.grids, self.counts = network, architecture, grids, counts
        self.moves = moves
        self.segment = [own.segment for own in allocations]
        self.tied = [own.split.tied for own in allocations]
        self.routers = architecture.mesh_rows * architecture.mesh_cols
        self.bits = np.zeros((max(self.segment) + 1, self.routers, self.routers))
        self._made: list[FloatArray] = []  # per node, shape (columns, routers): shares of a column made there
        self._host: list[int] = []
        walks = {lanes: serpentine_order(architecture, lanes) for lanes in {own.lanes for own in allocations}}
        layers = {node: number for number, node in enumerate(network.layers)}
        for index, node in enumerate(network.nodes):
            needed = np.zeros((0, self.routers))
            if node.kind == "crossbar":
                host = layers[index]
                made, needed = self._copies(host, node, allocations[host], walks[allocations[host].lanes])
            elif node.kind == "digital":
                primary = int(node.edges[0].source[0])
                host, made = self._host[primary], self._made[primary]
                made = made[((np.arange(node.width) + 0.5) / node.width * len(made)).astype(np.int64)]
            else:
                host, made = -1, np.zeros((node.width, self.routers))
                made[:, 0] = 1.0
            self._host.append(host)
            self._made.append(made)
            for number, reading in enumerate(readings(node) if host >= 0 else ()):
                for producer in reading.producers:
                    self._edge(index, node, reading.edge, producer, needed, own=node.kind == "digital" and number == 0)

    def _copies(self, layer: int, node: Node, allocation: Allocation, order: IntArray) -> tuple[FloatArray, FloatArray]:
        """Share of every column made at each router, and of every block's inputs needed there; adds partial sums."""
        chip, grid, shape = self.architecture, self.grids[layer], allocation.shape
        blocks, rows = self.counts[layer]
        per_tile = chip.crossbars_per_tile
        tile = order[::per_tile] // per_tile
        tile = tile if self.moves is None else self.moves[allocation.segment, tile]
        if allocation.split.tied:
            return self._block_copies(layer, node, grid, tile[allocation.position // per_tile])
        first, begin = np.divmod(allocation.position, per_tile)
        begin *= shape.crossbars > per_tile  # small copies hardly ever straddle tiles
        block = np.arange(blocks * rows) // rows
        reads, homes = np.zeros((2, blocks * self.routers))
        for where in np.unique(begin).tolist():
            foot = footprint(grid, shape, chip, where)
            mine = np.flatnonzero(begin == where)
            held = tile[first[mine, None] + np.arange(len(foot.reads))]
            router = held // chip.tiles_per_router
            meet = router[:, foot.home]
            at = block[mine, None] * self.routers
            reads += np.bincount((at + router).ravel(), np.tile(foot.reads, len(mine)), len(reads))
            homes += np.bincount((at + meet).ravel(), np.tile(foot.share, len(mine)), len(homes))
            part, kind = np.nonzero(foot.counts)
            pair = router[:, part] * self.routers + meet[:, kind]
            bits = np.tile(np.where(part != foot.home[kind], foot.bits[kind], 0.0), len(mine))
            sums = np.bincount(pair.ravel(), bits, self.routers**2).reshape(self.routers, -1)
            self.bits[allocation.segment] += sums * (grid.windows / (blocks * rows))
        made = homes.reshape(blocks, -1)[_blocks(grid, node.width, blocks)] / rows
        return made, reads.reshape(blocks, -1)

    def _block_copies(self, layer: int, node: Node, grid: Grid, tile: IntArray) -> tuple[FloatArray, FloatArray]:
        """The same for copies of a chain, each on the tiles of one group: they are taken to lie on its first one."""
        chip = self.architecture
        blocks, rows = self.counts[layer]
        strip = np.arange(blocks * rows) // rows
        held = np.bincount(strip * self.routers + tile // chip.tiles_per_router, minlength=blocks * self.routers)
        table = held.reshape(blocks, -1).astype(np.float64)
        return table[_blocks(grid, node.width, blocks)] / rows, table

    def _edge(self, index: int, node: Node, edge: Edge, producer: int, needed: FloatArray, *, own: bool) -> None:
        """Add data from a producer; ``own``: made by the very copies that need most of them."""
        made, host = self.network.nodes[producer], self._host[index]
        if self.tied[host] and self._host[producer] >= 0 and self.tied[self._host[producer]]:
            return  # both in blocks, on the same tiles
        (blocks, rows), grid = self.counts[host], self.grids[host]
        block = _blocks(grid, self.network.nodes[self.network.layers[host]].width, blocks)
        if node.kind == "digital":
            block = block[((np.arange(node.width) + 0.5) / node.width * len(block)).astype(np.int64)]
            needed = np.zeros((blocks, self.routers))
            needed[block] = rows * self._made[index]
        own_columns = own and node.width == made.width
        if own and not own_columns and node.windows > 1:
            return
        share = (np.unique(edge.rows[::rows]) >= 0).sum() / made.height
        fetched = share * _read_by(block, edge.cols, made.width, needed)
        if own_columns:
            fetched -= needed[block] / rows
        width = datum_bits(self.network, self.architecture)[producer]
        bits = made.height * float((edge.source == producer).sum()) * width
        sent = self._made[producer].T @ (bits * fetched)
        if self._host[producer] >= 0:
            np.fill_diagonal(sent, sent.diagonal() * (1 - 1 / self.architecture.tiles_per_router))
        if self._host[producer] < 0 and self.architecture.input_entry == "columns":
            router = np.arange(self.routers)
            entering, sent = sent.sum(axis=0), np.zeros_like(sent)
            sent[router % self.architecture.mesh_cols, router] = entering
        sender = self._host[producer] if self._host[producer] >= 0 else host
        self.bits[self.segment[sender]] += sent


SPARSE = 8
"""Blocks read so many times fewer columns than there are if they are summed up one by one."""


def _read_by(block: IntArray, cols: IntArray, width: int, needed: FloatArray) -> FloatArray:
    """What blocks of copies need, summed up for every column that they read.

    Parameters
    ----------
    block : int64 array, shape (outputs,)
        Of every output column.
    cols : int64 array, shape (outputs, taps)
        Columns that it reads, -1 for padding.
    width : int
        Columns there are.
    needed : float array, shape (blocks, routers)

    Returns
    -------
    float array, shape (width, routers)
    """
    if not cols.strides[0]:  # all outputs read alike
        block, cols = np.unique(block), cols[:1]
        cols = np.broadcast_to(cols, (len(block), cols.shape[1]))
    keep = cols >= 0
    column, by = np.divmod(distinct((cols * len(needed) + block[:, None])[keep])[0], len(needed))
    if SPARSE * len(column) > width * len(needed):
        reads = np.zeros((width, len(needed)))
        reads[column, by] = 1.0
        return np.asarray(reads @ needed)
    found = np.zeros((width, needed.shape[1]))
    if len(column):
        first = starts_of(column)
        found[column[first]] = np.add.reduceat(needed[by], first, axis=0)
    return found


def _blocks(grid: Grid, columns: int, blocks: int) -> IntArray:
    """Block of copies that makes each image column."""
    return np.asarray(np.arange(columns) // grid.option.pw * blocks // grid.window_cols)
