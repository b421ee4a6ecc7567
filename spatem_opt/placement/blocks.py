"""Where a chain's copies lie, and which windows they run: a block of the image in every tile (M4)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spatem_opt.cost.grid import Grid
from spatem_opt.model.architecture import Architecture
from spatem_opt.replication.chains import BlockGrid, ChainMode
from spatem_opt.replication.layout import GOLDEN, Split, serpentine_order
from spatem_opt.types import IntArray


def block_split(height: int, width: int, rows: int, cols: int, turns: int) -> Split:
    """Windows of ``cols`` x ``rows`` blocks, and in each of so many copies in turn.

    The image is cut into vertical strips of equally many windows (a column wider in some rows than in others where
    that must be), these into equally many windows one after the other. Copy ``(strip * rows + block) * turns + k``
    runs windows k, k + turns, ... of its block.
    """
    turn = np.argsort(np.argsort(np.arange(height) * GOLDEN % 1))
    edge = ((np.arange(cols + 1) * (height * width) // cols)[:, None] + turn) // height
    wide = np.diff(edge, axis=0)
    strip = np.repeat(np.arange(cols), wide.sum(axis=1))
    first = np.concatenate([[0], np.cumsum(wide.ravel())])  # of every row of every strip
    row = np.repeat(np.arange(cols * height), wide.ravel())
    x = np.arange(len(row)) - first[row] + edge[:-1].ravel()[row]
    window = row % height * width + x
    size = wide.sum(axis=1)
    rank = np.arange(len(row)) - np.concatenate([[0], np.cumsum(size)])[strip]
    block = rank * rows // size[strip]
    begin = -(-block * size[strip] // rows)
    copy = (strip * rows + block) * turns + (rank - begin) % turns
    order = np.lexsort((window, copy))
    copy, window, row = copy[order], window[order], row[order]
    new = np.flatnonzero((np.diff(copy, prepend=-1) != 0) | (np.diff(row, prepend=-1) != 0))
    last = np.append(new[1:], len(copy)) - 1
    step = np.where(last > new, turns, 1)
    return Split(copy[new], window[new], window[last], step, tied=True)


def block_positions(modes: Sequence[ChainMode], grids: Sequence[Grid], per_tile: int) -> list[IntArray]:
    """Places on the walk of the copies of a chain's layers, one array per layer: beside each other in every group.

    The k-th group has the k-th tiles of the walk (:func:`block_moves`).
    """
    found, offset = [], 0
    for mode, grid in zip(modes, grids, strict=True):
        group = mode.grid.groups(*mode.grid.blocks(grid.window_rows, grid.window_cols))
        own = offset + np.arange(mode.turns) * mode.share
        found.append((group[:, None] * mode.grid.together * per_tile + own).ravel())
        offset += mode.crossbars
    return found


def block_moves(blocks: BlockGrid, architecture: Architecture, lanes: int) -> IntArray:
    """Tile where what lies at each tile belongs, so that the tiles of a group are neighbours; shape (tiles,)."""
    per_tile = architecture.crossbars_per_tile
    moves = np.empty(architecture.tiles, dtype=np.int64)
    moves[serpentine_order(architecture, lanes)[::per_tile] // per_tile] = blocks.tiles()
    return moves
