"""Bits between the routers of a placed plan, segment by segment (``formulations/README.md``, M4, M6).

An *item* is what a segment keeps at a router, item ``segment * routers + router``, or at a tile. The items of a segment
can change places among themselves, since every segment keeps as many slots of each crossbar for itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from spatem_opt.cost.durations import datum_bits
from spatem_opt.cost.placed import PlacedNetwork
from spatem_opt.cost.transport import Site, homes, read_of, readers, sites, target_tiles
from spatem_opt.network.layers import Edge, Node
from spatem_opt.network.readings import Reading, readings
from spatem_opt.types import OUTSIDE, BoolArray, FloatArray, IntArray

SPARSE = 8
"""Pixels are counted one by one if fewer than this share of them is read: one in so many."""


@dataclass(frozen=True, slots=True, eq=False)
class Flows:
    """Bits from item to item in one inference, by segment.

    Parameters
    ----------
    segments, places : int
        Items are numbered segment by segment, ``places`` in each.
    blocks : dict
        From one segment to another: float32 array, shape (places, places). The outside is a segment of one place,
        :data:`OUTSIDE`. Pairs between which nothing is sent are absent.
    """

    segments: int
    places: int
    blocks: dict[tuple[int, int], NDArray[np.float32]] = field(default_factory=dict)

    def add(self, source: tuple[int, IntArray], target: tuple[int, IntArray], bits: FloatArray) -> None:
        """Add bits between places of two segments, elementwise with broadcasting; pairs may repeat."""
        (begin, sender), (end, receiver) = source, target
        shape = (1 if begin == OUTSIDE else self.places, 1 if end == OUTSIDE else self.places)
        key = np.broadcast_to(sender * shape[1] + receiver, bits.shape)
        sent = np.bincount(key.ravel(), bits.ravel(), shape[0] * shape[1]).reshape(shape).astype(np.float32)
        self.blocks[begin, end] = self.blocks[begin, end] + sent if (begin, end) in self.blocks else sent

    def table(self) -> FloatArray:
        """All of it; the last row and column stand for the outside."""
        items = self.segments * self.places
        found = np.zeros((items + 1, items + 1))
        for (begin, end), bits in self.blocks.items():
            rows, cols = (slice(items, None) if s == OUTSIDE else slice(s * self.places, (s + 1) * self.places)
                          for s in (begin, end))  # fmt: skip
            found[rows, cols] += bits
        return found


def traffic(problem: PlacedNetwork, segment: IntArray, *, by_tile: bool = False) -> FloatArray:
    """:func:`flows` as one table, shape (items + 1, items + 1); the last row and column stand for the outside."""
    return flows(problem, segment, by_tile=by_tile).table()


def flows(problem: PlacedNetwork, segment: IntArray, *, by_tile: bool = False) -> Flows:
    """Bits from item to item in one inference.

    What a tile reads of one node for several readers counts once for each of them.

    Parameters
    ----------
    problem : PlacedNetwork
        Chunks and placement; the schedule does not matter.
    segment : int64 array, shape (layers,)
    by_tile : bool
        Items are tiles instead of routers.
    """
    chip = problem.architecture
    tiles = 1 if by_tile else chip.tiles_per_router
    found = Flows(int(segment.max()) + 1, chip.tiles // tiles)

    def items(layer: int, tile: IntArray) -> tuple[int, IntArray]:
        return (int(segment[layer]), tile // tiles) if layer >= 0 else (OUTSIDE, np.zeros_like(tile))

    where = sites(problem)
    for node, site in zip(problem.network.nodes, where, strict=True):
        if site.host < 0:
            continue
        tile, channels = readers(problem, site, node)
        windows, kind = _windows(problem, node, site, tile)
        for reading in readings(node):
            for producer in reading.producers:
                bits, source = _sent(problem, where[producer], reading, producer, channels, windows, kind)
                away = source[:, None] != tile
                host = where[producer].host
                found.add(items(host, source[:, None]), items(site.host, tile), np.where(away, bits, 0.0))
    for layer, placed in enumerate(problem.placed):
        windows_of = np.bincount(where[problem.network.layers[layer]].copy, minlength=placed.copies)
        share = problem.grids[layer].windows / windows_of.sum()
        volume = placed.sum_bits * windows_of[placed.pair_copy[placed.sum_pair]] * share
        found.add(items(layer, placed.pair_tile[placed.sum_pair]), items(layer, placed.sum_target), volume)
    return found


def _windows(problem: PlacedNetwork, node: Node, site: Site, tile: IntArray) -> tuple[BoolArray, IntArray]:
    """Which windows tiles run: distinct sets, shape (sets, height, width), and the set of every tile."""
    cls, at = target_tiles(site, problem.placed[site.host] if node.kind == "crossbar" else None)
    member = np.zeros((len(tile), len(site.home)), dtype=np.bool_)
    place = np.minimum(np.searchsorted(tile, at), len(tile) - 1)
    here = tile[place] == at
    member[place[here], cls[here]] = True
    packed = np.packbits(member, axis=1)
    _, first, kind = np.unique(packed, axis=0, return_index=True, return_inverse=True)
    return member[first][:, site.class_of[site.copy]].reshape(len(first), node.height, node.width), kind.ravel()


def _sent(
    problem: PlacedNetwork, site: Site, reading: Reading, producer: int,
    channels: BoolArray, windows: BoolArray, kind: IntArray,
) -> tuple[FloatArray, IntArray]:  # fmt: skip
    """Bits from the homes of a producer to the tiles that read it, and the homes' tiles; (homes, tiles), (homes,)."""
    made = problem.network.nodes[producer]
    pixels = _read(windows, reading.edge, made.height, made.width).reshape(len(windows), -1)
    by_class = _by_owner(pixels, site.class_of[site.copy], len(site.home))
    cls, source, holds = homes(site, problem.architecture.tiles)
    reads = read_of(reading, producer, channels, made.channels).astype(np.float32)
    volume = (holds @ reads.T) * datum_bits(problem.network, problem.architecture)[producer]
    return np.asarray(volume * by_class[kind][:, cls].T, dtype=np.float64), source


def _by_owner(pixels: BoolArray, owner: IntArray, owners: int) -> IntArray:
    """How many of the pixels in each set are of each owner, shape (sets, owners)."""
    if SPARSE * np.count_nonzero(pixels) < pixels.size:
        number, pixel = np.nonzero(pixels)
        return np.bincount(number * owners + owner[pixel], minlength=len(pixels) * owners).reshape(-1, owners)
    found = np.zeros((len(pixels), owners), dtype=np.int64)
    order = np.argsort(owner, kind="stable")
    present, first = np.unique(owner[order], return_index=True)
    found[:, present] = np.add.reduceat(pixels[:, order], first, axis=1, dtype=np.int64)
    return found


def _read(windows: BoolArray, edge: Edge, height: int, width: int) -> BoolArray:
    """Pixels in the receptive fields of sets of windows; shape (sets, height, width)."""
    lines = _spread(windows, edge.rows, height)
    return _spread(lines.transpose(0, 2, 1), edge.cols, width).transpose(0, 2, 1)


def _spread(windows: BoolArray, taps: IntArray, length: int) -> BoolArray:
    """What is read along the second axis by way of taps; shape (sets, length, rest)."""
    found = np.zeros((len(windows), length + 1, windows.shape[2]), dtype=np.bool_)
    for tap in np.unique(taps, axis=1).T:
        target, first = np.unique(np.where(tap < 0, length, tap), return_index=True)
        if len(target) == len(tap):
            found[:, target] |= windows[:, first]
        else:
            order = np.argsort(np.where(tap < 0, length, tap), kind="stable")
            start = np.searchsorted(np.where(tap < 0, length, tap)[order], target)
            found[:, target] |= np.logical_or.reduceat(windows[:, order], start, axis=1)
    return found[:, :length]
