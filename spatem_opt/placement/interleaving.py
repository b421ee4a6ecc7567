"""Segments laid over each other: what is needed first lies where tiles are free first, near all that it talks to.

Along the walk a segment's layers follow each other, so that two segments in turn have their first layers on the same
tiles, and wait for each other as little as can be. But then a layer lies far from the next one. The walk is therefore
cut into strips, and its tiles are dealt out to them in turn: the same way in all segments, which changes nothing about
who waits for whom. Every layer has a share of each strip, and its copies take what it has in the order of the walk.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from spatem_opt.model.architecture import Architecture
from spatem_opt.replication.layout import Allocation, serpentine_order
from spatem_opt.types import BoolArray, IntArray


def interleave(
    allocations: Sequence[Allocation],
    strips: int,
    architecture: Architecture,
    corner: Collection[int] = (),
    ordered: Collection[int] = (),
    fixed: Collection[int] = (),
) -> IntArray:
    """New tile of what every segment has at each tile; shape (segments, tiles).

    Parameters
    ----------
    allocations : sequence of Allocation
        Of all layers, on one walk; the layers of a segment one after the other.
    strips : int
    architecture : Architecture
    corner : collection of int
        Segments that network inputs come in for: what tiles they leave free is at the corner's router if possible.
    ordered : collection of int
        Segments whose copies first take tiles that are free first: tiles change places only where the segment before
        has the same layers, too. Copies then lie apart, and move more data.
    fixed : collection of int
        Segments that stay where they are.
    """
    per_tile, number = architecture.crossbars_per_tile, np.arange(architecture.tiles)
    order = serpentine_order(architecture, allocations[0].lanes)[::per_tile] // per_tile
    dealt = np.empty_like(number)
    dealt[np.lexsort((number, number % strips))] = number
    segment = np.array([own.segment for own in allocations])
    moves = np.empty((int(segment.max()) + 1, len(number)), dtype=np.int64)
    before = np.zeros((0, len(number)), dtype=np.bool_)
    for s in range(len(moves)):
        if s in fixed:
            moves[s], before = number, np.zeros((0, len(number)), dtype=np.bool_)
            continue
        held = np.array([_tiles(own, architecture) for own in allocations if own.segment == s])
        alike = np.concatenate([before, held]) if s in ordered else held
        kind = np.unique(alike, axis=1, return_inverse=True)[1].ravel()
        before = held
        target = dealt.copy()
        for number_of_kind in range(int(kind.max()) + 1):
            mine = np.flatnonzero(kind == number_of_kind)
            target[mine] = np.sort(dealt[mine])
        if s in corner:
            _free_corner(target, np.logical_or.reduce(held), architecture)
        moves[s, order] = order[target]
    return moves


def _free_corner(target: IntArray, held: BoolArray, architecture: Architecture) -> None:
    """Exchange what comes to the corner's router, where the walk begins, with tiles that nothing lies on."""
    there = target < architecture.tiles_per_router
    taken, free = np.flatnonzero(there & held), np.flatnonzero(~there & ~held)
    number = min(len(taken), len(free))
    target[taken[:number]], target[free[:number]] = target[free[:number]], target[taken[:number]]


def _tiles(own: Allocation, architecture: Architecture) -> BoolArray:
    """Tiles along the walk that a layer's copies lie on."""
    per_tile = architecture.crossbars_per_tile
    change = np.zeros(architecture.tiles + 1, dtype=np.int64)
    np.add.at(change, own.position // per_tile, 1)
    np.subtract.at(change, (own.position + own.shape.crossbars - 1) // per_tile + 1, 1)
    return np.asarray(np.cumsum(change)[:-1] > 0)
