"""Who runs which window, who reads what, and how long data travel (``formulations/README.md``, M5, M6)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from spatem_opt.cost.arrays import any_by_group, distinct
from spatem_opt.cost.durations import PlacedLayer, datum_bits, transfer_cycles
from spatem_opt.cost.placed import PlacedNetwork, rows_by_layer
from spatem_opt.network.layers import Edge, Node
from spatem_opt.network.readings import Reading, readings
from spatem_opt.types import OUTSIDE, BoolArray, IntArray

FloatArray = NDArray[np.float32]

REMEMBERED = 10_000_000
"""Transfer times that are kept for the next schedule of the same placement."""


@dataclass(frozen=True, slots=True, eq=False)
class Site:
    """Where a node's windows run. Copies that live on the same tiles are one *class*.

    Parameters
    ----------
    host : int
        Layer number of the crossbar layer in whose tiles it runs, -1 for the outside.
    copy : int64 array, shape (windows,)
        Copy of the host that runs each output pixel.
    class_of : int64 array, shape (copies of the host,)
    home : int64 array, shape (classes, channels)
        Home tile of every output channel.
    """

    host: int
    copy: IntArray
    class_of: IntArray
    home: IntArray


def sites(problem: PlacedNetwork) -> list[Site]:
    """Site of every node (M5)."""
    layers = {node: number for number, node in enumerate(problem.network.layers)}
    rows = rows_by_layer(problem.chunks.layer, len(layers))
    found: list[Site] = []
    for index, node in enumerate(problem.network.nodes):
        if node.kind == "crossbar":
            number = layers[index]
            found.append(_layer_site(problem, number, rows[number], node))
        elif node.kind == "input":
            zero = np.zeros(1, dtype=np.int64)
            home = np.full((1, node.channels), OUTSIDE)
            found.append(Site(-1, np.zeros(node.windows, dtype=np.int64), zero, home))
        else:
            primary = node.edges[0]
            producer = int(primary.source[0])
            before = found[producer]
            last = last_pixel(primary, problem.network.nodes[producer].width)
            found.append(Site(before.host, before.copy[last], before.class_of, before.home[:, primary.channel]))
    return found


def _layer_site(problem: PlacedNetwork, number: int, rows: IntArray, node: Node) -> Site:
    grid, placed, chunks = problem.grids[number], problem.placed[number], problem.chunks
    window, owner = expand(chunks.first[rows], chunks.last[rows], chunks.step[rows])
    by_window = np.zeros(grid.windows, dtype=np.int64)
    by_window[window] = chunks.copy[rows][owner]
    first = np.searchsorted(placed.pair_copy, np.arange(placed.copies))
    tiles = np.bincount(placed.pair_copy, minlength=placed.copies)
    key = np.where(tiles == 1, placed.pair_tile[first], problem.architecture.tiles + np.arange(placed.copies))
    _, sample, class_of = np.unique(key, return_index=True, return_inverse=True)
    return Site(number, by_window[window_of_pixel(node, grid.option.ph, grid.option.pw)], class_of,
                placed.channel_home()[sample])  # fmt: skip


def expand(first: IntArray, last: IntArray, step: IntArray) -> tuple[IntArray, IntArray]:
    """Windows of every chunk, chunk after chunk, and the chunk each belongs to."""
    count = (last - first) // step + 1
    owner = np.repeat(np.arange(len(count)), count)
    rank = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
    return first[owner] + rank * step[owner], owner


def window_of_pixel(node: Node, ph: int, pw: int) -> IntArray:
    """Window (patch) that computes each output pixel; shape (pixels,)."""
    per_row = -(-node.width // pw)
    return np.add.outer(np.arange(node.height) // ph * per_row, np.arange(node.width) // pw).ravel()


def last_pixel(edge: Edge, width: int) -> IntArray:
    """Raster-last pixel in the receptive field of every output pixel; 0 if the field is empty."""
    row, col = edge.rows.max(axis=1), edge.cols.max(axis=1)
    last = np.where((row[:, None] < 0) | (col < 0), 0, row[:, None] * width + col)
    return np.asarray(last.ravel())


@dataclass(frozen=True, slots=True, eq=False)
class TileSubscription:
    """Which channels of a node each tile reads: ``tile`` ascending, ``channels`` bool of shape (tiles, channels)."""

    tile: IntArray
    channels: BoolArray


def subscriptions(problem: PlacedNetwork, where: list[Site]) -> list[TileSubscription]:
    """Subscriptions of every node (M6), channels only."""
    nodes = problem.network.nodes
    parts: list[list[tuple[IntArray, BoolArray]]] = [[] for _ in nodes]
    for index, node in enumerate(nodes):
        if not node.edges:
            continue
        tile, reads = readers(problem, where[index], node)
        for reading in readings(node):
            for producer in reading.producers:
                parts[producer].append((tile, read_of(reading, producer, reads, nodes[producer].channels)))
    return [_union(part, node) for part, node in zip(parts, nodes, strict=True)]


@dataclass(frozen=True, slots=True, eq=False)
class Routes:
    """Site and subscriptions of every node: what depends on the place of windows, not on their time.

    ``delay``: slowest transfers to a consuming node from a producer, as far as they were asked for before.
    """

    sites: list[Site]
    used: list[TileSubscription]
    delay: dict[tuple[int, int], IntArray] = field(default_factory=dict)

    def delays(self, problem: PlacedNetwork, producer: int, consumer: int) -> IntArray:
        """:func:`delays` from one node to another."""
        key = (producer, consumer)
        if key in self.delay:
            return self.delay[key]
        site = self.sites[consumer]
        crossbars = problem.network.nodes[consumer].kind == "crossbar"
        placed = problem.placed[site.host] if crossbars else None
        width = datum_bits(problem.network, problem.architecture)[producer]
        found = delays(problem, self.sites[producer], self.used[producer], *target_tiles(site, placed), width)
        if sum(table.size for table in self.delay.values()) + found.size <= REMEMBERED:
            self.delay[key] = found
        return found


def routes(problem: PlacedNetwork) -> Routes:
    """Where all nodes run, and which tiles read them."""
    where = sites(problem)
    return Routes(where, subscriptions(problem, where))


def readers(problem: PlacedNetwork, site: Site, node: Node) -> tuple[IntArray, BoolArray]:
    """Tiles that a node runs on, ascending, and what they read; (tiles,), (tiles, channels).

    Channels are those that the edge of a crossbar layer carries, or a digital node's outputs: every edge of one has a
    channel for each.
    """
    if node.kind != "crossbar":
        return _digital_reads(site)
    placed = problem.placed[site.host]
    return _by_tile(placed.pair_tile, placed.channels_read())


def read_of(reading: Reading, producer: int, reads: BoolArray, channels: int) -> BoolArray:
    """Which of a producer's channels are read, shape (tiles, channels), given what :func:`readers` found."""
    mine = np.flatnonzero(reading.edge.source == producer)
    channel, output = reading.edge.channel[mine], reading.output[mine]
    if len(distinct(channel)[0]) < len(channel):  # channels that mix are read for many an output
        return any_by_group(reads.T[output], channel, channels).T
    found = np.zeros((len(reads), channels), dtype=np.bool_)
    found[:, channel] = reads[:, output]
    return found


def _union(parts: list[tuple[IntArray, BoolArray]], node: Node) -> TileSubscription:
    if not parts:
        return TileSubscription(np.zeros(0, dtype=np.int64), np.zeros((0, node.channels), dtype=np.bool_))
    tile, channels = _by_tile(np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts]))
    kept = channels.any(axis=1)
    return TileSubscription(tile[kept], channels[kept])


def _by_tile(tile: IntArray, reads: BoolArray) -> tuple[IntArray, BoolArray]:
    unique, number = distinct(tile)
    return unique, any_by_group(reads, number, len(unique))


def _digital_reads(site: Site) -> tuple[IntArray, BoolArray]:
    home = site.home[np.unique(site.class_of[site.copy])]
    tiles, which = distinct(home.ravel())
    reads = np.zeros((len(tiles), home.shape[1]), dtype=np.bool_)
    reads[which.reshape(home.shape), np.broadcast_to(np.arange(home.shape[1]), home.shape)] = True
    return tiles, reads


def delays(
    problem: PlacedNetwork,
    site: Site,
    used: TileSubscription,
    class_of_target: IntArray,
    target_tile: IntArray,
    width: int,
) -> IntArray:
    """Slowest transfer from every producing class to every consuming class (M6); shape (classes, target classes).

    Parameters
    ----------
    problem : PlacedNetwork
    site, used
        Of the producing node.
    class_of_target, target_tile : int64 arrays, shape (pairs,)
        The tiles of every consuming class, sorted by class.
    width : int
        Bits of a datum of the producing node.
    """
    source_class, source, holds = homes(site, problem.architecture.tiles)
    reads = np.zeros((len(target_tile), site.home.shape[1]), dtype=np.float32)
    row = np.searchsorted(used.tile, target_tile)
    known = np.flatnonzero((row < len(used.tile)) & (used.tile[np.minimum(row, len(used.tile) - 1)] == target_tile))
    reads[known] = used.channels[row[known]]
    volume = (holds @ reads.T).astype(np.int64) * width
    cycles = transfer_cycles(problem.architecture, source[:, None], target_tile, volume)
    by_source = np.maximum.reduceat(cycles, np.flatnonzero(np.r_[True, np.diff(source_class) > 0]), axis=0)
    return np.maximum.reduceat(by_source, np.flatnonzero(np.r_[True, np.diff(class_of_target) > 0]), axis=1)


def homes(site: Site, tiles: int) -> tuple[IntArray, IntArray, FloatArray]:
    """Distinct (class, home tile) pairs, ascending, and which channels each holds: 1 or 0, shape (pairs, channels)."""
    classes = np.arange(len(site.home))[:, None] * (tiles + 1)
    key, which = distinct((classes + site.home - OUTSIDE).ravel())
    source_class, source = np.divmod(key, tiles + 1)
    holds = np.zeros((len(key), site.home.shape[1]), dtype=np.float32)
    holds[which.reshape(site.home.shape), np.broadcast_to(np.arange(site.home.shape[1]), site.home.shape)] = 1
    return source_class, source + OUTSIDE, holds


def target_tiles(site: Site, placed: PlacedLayer | None) -> tuple[IntArray, IntArray]:
    """The tiles of every class of a consuming node, as (class, tile) columns sorted by class."""
    if placed is None:
        classes = np.repeat(np.arange(len(site.home)), site.home.shape[1])
        tile = site.home.ravel()
    else:
        classes, tile = site.class_of[placed.pair_copy], placed.pair_tile
    tiles = int(tile.max()) + 1 - OUTSIDE
    pair_class, pair_tile = np.divmod(distinct(classes * tiles + tile - OUTSIDE)[0], tiles)
    return pair_class, pair_tile + OUTSIDE
