"""In which order a segment's copies lie along the walk: strips of the image, layer after layer in each (M4)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from spatem_opt.grouping.tiling import Tiling
from spatem_opt.model.architecture import Architecture
from spatem_opt.network.layers import Network
from spatem_opt.network.readings import readings
from spatem_opt.replication.layout import pack, serpentine_order, unit
from spatem_opt.types import OUTSIDE, FloatArray, IntArray

STRIPS = (1, 2, 3, 4, 6, 8, 12, 16, 32, 64, 256)
"""Numbers of strips tried; the last one sorts all copies by image column."""


@dataclass(frozen=True, slots=True)
class Feed:
    """Data that go from one crossbar layer, or from outside, to another, perhaps through digital nodes.

    ``weight``: data per image, if every one went once.
    """

    source: int
    target: int
    weight: float


def feeds(network: Network) -> list[Feed]:
    """All pairs of layers of which one reads what the other, or a digital node hosted by it, makes."""
    number = {node: i for i, node in enumerate(network.layers)}
    host: list[int] = []
    found: dict[tuple[int, int], float] = {}
    for index, node in enumerate(network.nodes):
        primary = int(node.edges[0].source[0]) if node.edges else OUTSIDE
        host.append(number[index] if node.kind == "crossbar" else host[primary] if node.edges else OUTSIDE)
        for reading in readings(node):
            for producer in reading.producers:
                size = network.nodes[producer].windows * float((reading.edge.source == producer).sum())
                pair = (host[producer], host[index])
                if pair[0] != pair[1]:
                    found[pair] = found.get(pair, 0.0) + size
    return [Feed(*pair, weight) for pair, weight in found.items() if pair[1] != OUTSIDE]


def arrange_copies(
    layers: IntArray,
    counts: Sequence[tuple[int, int]],
    shapes: Sequence[Tiling],
    positions: Sequence[IntArray],
    feeds: Sequence[Feed],
    region: IntArray,
    architecture: Architecture,
    number: int = 0,
    lanes: int = 0,
) -> list[IntArray] | None:
    """Places on the walk of the copies of a segment's layers, one array per layer; None if they do not fit.

    Parameters
    ----------
    layers : int64 array
        Of the segment, in topological order.
    counts, shapes, positions
        Of all layers: (column blocks, interleaved rows), shape of a copy, places (of earlier segments).
    feeds
        Of the network.
    region : int64 array, shape (2,)
        First and last place that the segment may take.
    architecture : Architecture
    number : int
        Of strips, laid out forwards; 0: whatever leaves data the shortest way.
    lanes : int
        Of the walk (:func:`~spatem_opt.replication.layout.serpentine_order`).
    """
    parts = [_Units(shapes[i].crossbars, counts[i][0] * counts[i][1], architecture) for i in layers.tolist()]
    owner = np.repeat(np.arange(len(parts)), [len(part.size) for part in parts])
    rank = np.concatenate([(np.arange(len(part.size)) + 0.5) / len(part.size) for part in parts])
    size, room = (np.concatenate([getattr(part, name) for part in parts]) for name in ("size", "room"))
    inside = {int(layer): owner == k for k, layer in enumerate(layers)}
    way = _Way(architecture, lanes)
    spots = {i: way.middle(place, shapes[i].crossbars) for i, place in enumerate(positions) if len(place)}
    here = [feed for feed in feeds if feed.target in inside and (feed.source in spots or feed.source in inside)]
    best, least = None, np.inf
    most = max(len(part.size) for part in parts)
    for order in [_order(owner, rank, number)] if number else _orders(owner, rank, most):
        packed = pack(architecture, size[order], room[order], int(region[0]), int(region[1]))
        if packed is None:
            return None
        place = np.empty(len(order), dtype=np.int64)
        place[order] = packed
        found = [part.copies(place[mine]) for part, mine in zip(parts, inside.values(), strict=True)]
        spots |= {layer: way.middle(mine, shapes[layer].crossbars) for layer, mine in zip(inside, found, strict=True)}
        pairs = ((feed.weight, feed.source, feed.target) for feed in here)
        cost = sum(w * _distance(spots[i], spots[j], counts[i], counts[j]) for w, i, j in pairs)
        if cost < least:
            best, least = found, cost
    return best


class _Units:
    """The units of a layer's copies: ``size`` and ``room`` in crossbars of each; the last one may be smaller."""

    def __init__(self, crossbars: int, copies: int, architecture: Architecture) -> None:
        own = unit(crossbars, architecture.crossbars_per_tile)
        number = np.arange(copies)
        self._unit, self._offset = number // own.copies, number % own.copies * crossbars
        whole, rest = divmod(copies, own.copies)
        last = np.full(int(rest > 0), rest * crossbars)
        self.size, self.room = (np.append(np.full(whole, each), last) for each in (own.crossbars, own.room))

    def copies(self, place: IntArray) -> IntArray:
        """Places of the copies, given those of the units."""
        return np.asarray(place[self._unit] + self._offset)


def _orders(owner: IntArray, rank: FloatArray, most: int) -> Iterator[IntArray]:
    """Orders of copies along the walk, for every number of strips that makes a difference, some also backwards."""
    for strips in STRIPS:
        order = _order(owner, rank, strips)
        yield order
        if strips == 1 or strips >= most:
            yield order[::-1]
        if strips >= most:
            return


def _order(owner: IntArray, rank: FloatArray, strips: int) -> IntArray:
    return np.lexsort((rank, owner, np.floor(rank * strips)))


class _Way:
    """Coordinates of the routers along the walk."""

    def __init__(self, architecture: Architecture, lanes: int) -> None:
        router = serpentine_order(architecture, lanes) // (
            architecture.crossbars_per_tile * architecture.tiles_per_router
        )
        y, x = np.divmod(router, architecture.mesh_cols)
        self.sum = np.concatenate([np.zeros((2, 1)), np.cumsum(np.stack([y, x]), axis=1)], axis=1)

    def middle(self, place: IntArray, crossbars: int) -> FloatArray:
        """Mean (y, x) of copies of ``crossbars`` that begin at ``place``; shape (2, copies)."""
        return np.asarray((self.sum[:, place + crossbars] - self.sum[:, place]) / crossbars)


def _distance(source: FloatArray, target: FloatArray, from_count: tuple[int, int], to_count: tuple[int, int]) -> float:
    """Mean distance of what a layer's copies read, image column by image column."""
    columns = max(from_count[0], to_count[0])
    column = (np.arange(columns) + 0.5) / columns
    a = source.reshape(2, *from_count)[:, (column * from_count[0]).astype(np.int64)]
    b = target.reshape(2, *to_count)[:, (column * to_count[0]).astype(np.int64)]
    return float(_apart(a, b).sum() / (columns * a.shape[2] * b.shape[2]))


def _apart(a: FloatArray, b: FloatArray) -> FloatArray:
    """Sum of all distances between numbers of `a` and of `b` along the last axis; the other axes are equal.

    Between two neighbours on the line pass all ways from what lies left of them to what lies right: no table of pairs.
    """
    line = np.concatenate([a, b], axis=-1)
    order = line.argsort(axis=-1)
    left = (order < a.shape[-1]).cumsum(axis=-1)[..., :-1]  # of a
    other = np.arange(1, line.shape[-1]) - left  # of b
    gap = np.diff(np.take_along_axis(line, order, axis=-1), axis=-1)
    ways = left * (b.shape[-1] - other) + (a.shape[-1] - left) * other
    return np.asarray((gap * ways).sum(axis=-1))
