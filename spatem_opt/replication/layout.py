"""Where copies lie: a walk over the tiles, and the placement rows and window chunks of copies along it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spatem_opt.cost.grid import Grid
from spatem_opt.grouping.tile_parts import rectangles
from spatem_opt.grouping.tiling import Tiling
from spatem_opt.model.architecture import Architecture
from spatem_opt.model.solution import Placement
from spatem_opt.types import FloatArray, IntArray

GOLDEN = (5**0.5 - 1) / 2
"""Multiples of it, modulo 1, are spread evenly however many they are."""
STRIPE = 4.7
"""Routers side by side in a lane of the walk: a run of 10 to 40 routers is then about as wide as it is high."""


def serpentine_order(architecture: Architecture, lanes: int = 0, *, across: bool = False) -> IntArray:
    """Crossbars in the order of a space-filling walk over the mesh: neighbours on the walk are near each other.

    The mesh is cut into lanes of a few columns (``across``: of rows), walked to and fro; inside a lane, row by row
    (column by column), back and forth. The tiles of a router and the crossbars of a tile stay together. Data go along x
    first (M1), and partial sums meet in the first tiles of a run: with lanes across, all of these would be in one row,
    and share its routers. ``lanes``: how many; 0: about :data:`STRIPE` wide.
    """
    y, x = np.divmod(np.arange(architecture.mesh_rows * architecture.mesh_cols), architecture.mesh_cols)
    (side, wide), (down, long) = (x, architecture.mesh_cols), (y, architecture.mesh_rows)
    if across:
        (side, wide), (down, long) = (down, long), (side, wide)
    edge = np.round(np.linspace(0, wide, (lanes or max(1, round(wide / STRIPE))) + 1)).astype(np.int64)
    lane = np.searchsorted(edge, side, side="right") - 1
    along = np.where(lane % 2 == 0, down, long - 1 - down)
    router = np.lexsort((np.where((along + lane) % 2 == 0, side, -side), along, lane))
    per_router = architecture.tiles_per_router * architecture.crossbars_per_tile
    return np.asarray((router[:, None] * per_router + np.arange(per_router)).ravel())


def stripe_counts(architecture: Architecture) -> list[int]:
    """Numbers of lanes that are tried: what is best depends on how large copies are."""
    usual = max(1, round(architecture.mesh_cols / STRIPE))
    return [lanes for lanes in range(usual - 1, usual + 3) if 1 <= lanes <= architecture.mesh_cols]


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Which copy runs which windows: columns of equal length, rows of one copy in the order they run (M7).

    ``tied``: where a window runs follows from where its inputs are made; windows are not to change copies.
    """

    copy: IntArray
    first: IntArray
    last: IntArray
    step: IntArray
    tied: bool = False

    @property
    def most(self) -> int:
        """Windows of the copy that has most of them."""
        return int(np.bincount(self.copy, (self.last - self.first) // self.step + 1).max())


def interleaved(windows: int, copies: int) -> Split:
    """Copy c runs windows c, c + copies, c + 2 copies, ...; ``copies <= windows``."""
    first = np.arange(copies)
    return Split(first, first, first + (windows - 1 - first) // copies * copies, np.full(copies, copies))


def bands(windows: int, copies: int) -> Split:
    """Copy c runs the c-th of equal blocks of consecutive windows; ``copies <= windows``."""
    edge = np.arange(copies + 1) * windows // copies
    return Split(np.arange(copies), edge[:-1], edge[1:] - 1, np.ones(copies, dtype=np.int64))


def column_blocks(height: int, width: int, blocks: int, rows: int) -> Split:
    """Copy ``b * rows + k`` runs block b of the columns in image rows k, k + rows, ...: one chunk per image row.

    All copies move down the image together, so that consumers start early, and an input pixel is needed in its block
    and a halo only. Where blocks of whole columns would be uneven and no copies take rows in turn, a block is a column
    wider in some image rows than in others, evenly spread, so that all have as many windows, to one.
    """
    turn = np.argsort(np.argsort(np.arange(height) * GOLDEN % 1)) if rows == 1 else np.zeros(height, dtype=np.int64)
    edge = ((np.arange(blocks + 1) * (height * width) // blocks)[:, None] + turn) // height
    block, y = (axis.ravel() for axis in np.meshgrid(np.arange(blocks), np.arange(height), indexing="ij"))
    copy, first = block * rows + y % rows, y * width + edge[block, y]
    last = y * width + edge[block + 1, y] - 1
    if blocks == width:
        block, k = (axis.ravel() for axis in np.meshgrid(np.arange(blocks), np.arange(rows), indexing="ij"))
        copy, first = block * rows + k, k * width + block
        last = first + (height - 1 - k) // rows * rows * width
        return Split(copy, first, last, np.full(len(copy), width * rows))
    order = np.lexsort((y, copy))
    if blocks == 1 and rows == 1:
        return bands(height * width, 1)
    return Split(copy[order], first[order], last[order], np.ones(len(copy), dtype=np.int64))


def shared_blocks(height: int, width: int, share: FloatArray, begin: FloatArray) -> Split | None:
    """Blocks of columns, and rows in turn inside them, as :func:`column_blocks`, but of given sizes.

    The windows, column after column, are cut into blocks of as many as their copies share; in a block, row after row
    goes to the copy that is done first.

    Parameters
    ----------
    height, width : int
    share : float array, shape (blocks, rows)
        Windows that each copy is to run, in all ``height * width``.
    begin : float array, shape (blocks * rows,)
        When copies can begin, in windows.

    Returns
    -------
    Split or None
        None if a copy would have no window.
    """
    blocks, rows = share.shape
    cut = np.round(np.concatenate([[0.0], np.cumsum(share.sum(axis=1))])).astype(np.int64)
    cut[-1] = height * width
    y = np.arange(height)
    edge = -((y - cut[:, None]) // height)
    wide = np.diff(edge, axis=0)
    done, turn = begin.reshape(blocks, rows).astype(np.float64), np.empty((height, blocks), dtype=np.int64)
    for now in range(height if rows > 1 else 0):
        turn[now] = done.argmin(axis=1)
        done[np.arange(blocks), turn[now]] += wide[:, now]
    turn = turn.T if rows > 1 else np.zeros((blocks, height), dtype=np.int64)
    block, row = np.nonzero(wide)
    copy = block * rows + turn[block, row]
    order = np.lexsort((row, copy))
    copy, row, block = copy[order], row[order], block[order]
    if len(np.unique(copy)) < blocks * rows:
        return None
    first = row * width + edge[block, row]
    return Split(copy, first, first + wide[block, row] - 1, np.ones_like(copy))


@dataclass(frozen=True, slots=True, eq=False)
class Allocation:
    """One layer's copies along the walk.

    Parameters
    ----------
    shape : Tiling
    position : int64 array, shape (copies,)
        Place on the walk of each copy's first crossbar.
    split : Split
        Which copy runs which windows.
    segment : int
        Segment the layer belongs to.
    pace : int
        Cycles from one window of a copy to the next that routers need for its traffic; 0: they need no more than the
        windows take anyway.
    lanes : int
        Of the walk (:func:`serpentine_order`).
    share : int
        Crossbars of a copy in each of its tiles, at the same place in all of them; 0: a copy's crossbars follow each
        other along the walk.
    """

    shape: Tiling
    position: IntArray
    split: Split
    segment: int = 0
    pace: int = 0
    lanes: int = 0
    share: int = 0


LOST = 1 / 16
"""Part of its tiles that a unit may leave idle to have them for itself."""


@dataclass(frozen=True, slots=True)
class Unit:
    """Copies of a layer that are laid down as one: one copy larger than a tile, or as many as fit in a tile.

    Parameters
    ----------
    copies : int
    crossbars : int
        That they use.
    room : int
        Crossbars that they take up: whole tiles where that leaves few idle, else just what they use.
    whole : bool
        Whether they have tiles for themselves. Where copies of a layer meet in a tile it needs the inputs of both.
    """

    copies: int
    crossbars: int
    room: int
    whole: bool


def unit(crossbars: int, per_tile: int) -> Unit:
    """The unit of copies of ``crossbars`` each."""
    copies = max(1, per_tile // crossbars)
    used = copies * crossbars
    tiles = -(-used // per_tile) * per_tile
    whole = tiles <= (1 + LOST) * used
    return Unit(copies, used, tiles if whole else used, whole)


def pack(architecture: Architecture, size: IntArray, room: IntArray, first: int, last: int) -> IntArray | None:
    """Places on the walk of units in the given order; None if they do not fit.

    Units that take up whole tiles begin with a tile; others that fit in a tile do not straddle two, as long as there
    are spare crossbars to skip.

    Parameters
    ----------
    architecture : Architecture
    size, room : int64 arrays, shape (units,)
        Crossbars that each unit uses, and takes up.
    first, last : int
        They may lie from place ``first`` to before ``last``.
    """
    per_tile = architecture.crossbars_per_tile
    spare = last - first - int(size.sum())
    kept = int((room - size).sum())
    if spare < 0:
        return None
    places = np.empty(len(size), dtype=np.int64)
    place = first
    for i, (crossbars, taken) in enumerate(zip(size.tolist(), room.tolist(), strict=True)):
        left = -place % per_tile
        kept -= taken - crossbars
        whole = taken % per_tile == 0
        if whole or left < crossbars <= per_tile:
            skip = left if left <= spare - (0 if whole else kept) else 0
            place, spare = place + skip, spare - skip
        places[i] = place
        place += crossbars
    return places


def placement(
    architecture: Architecture, grids: tuple[Grid, ...], allocations: list[Allocation], *, across: bool = False
) -> Placement:
    """Placement rows of all layers."""
    walks = {
        lanes: serpentine_order(architecture, lanes, across=across) for lanes in {own.lanes for own in allocations}
    }
    columns: list[tuple[IntArray, ...]] = []
    for layer, (grid, allocation) in enumerate(zip(grids, allocations, strict=True)):
        rect = rectangles(grid, allocation.shape)
        copies = len(allocation.position)
        place = rect[:, 0]
        if allocation.share:
            place = place // allocation.share * architecture.crossbars_per_tile + place % allocation.share
        crossbar = walks[allocation.lanes][(allocation.position[:, None] + place).ravel()]
        copy = np.repeat(np.arange(copies), len(rect))
        rects = np.tile(rect[:, 1:], (copies, 1))
        columns.append((np.full(len(copy), layer), copy, crossbar, *rects.T))
    return Placement(*(np.concatenate(column) for column in zip(*columns, strict=True)))
