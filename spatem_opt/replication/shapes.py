"""Shapes of a copy: on how many crossbars its OU grid is spread, and how they lie in tiles (M4)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from spatem_opt.cost_model import rectangle_ous
from spatem_opt.mapping.grid import Grid

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Shape:
    """Balanced rectangles: one copy on ``row_parts x col_parts`` crossbars per bundle.

    Parameters
    ----------
    bundles : int
        Parts along the groups of a grouped convolution: 1 if the grid has one group or every bundle is a whole group.
    row_parts, col_parts : int
        Cuts of a bundle's grid.
    serial : int
        OUs on the fullest crossbar, m.
    strip : int
        Blocks side by side in a strip, in which a copy larger than a tile is laid down; 0: :func:`strip_width`.
    """

    bundles: int
    row_parts: int
    col_parts: int
    serial: int
    strip: int = 0

    @property
    def crossbars(self) -> int:
        """Crossbars n of one copy."""
        return self.bundles * self.row_parts * self.col_parts


@lru_cache(maxsize=4096)
def _heights(rows: int) -> IntArray:
    """The least part height for every number of parts that an axis can be cut into."""
    height = np.arange(1, rows + 1)
    return height[np.unique(-(-rows // height), return_index=True)[1]]


def fewest_crossbars(rows: int, cols: int, serial: int) -> tuple[int, int]:
    """Row and column parts of the uniform cut into the fewest rectangles of at most ``serial`` OUs."""
    height = _heights(rows)
    height = height[height <= serial]
    width = np.minimum(serial // height, cols)
    row_parts, col_parts = -(-rows // height), -(-cols // width)
    best = int((row_parts * col_parts).argmin())
    return int(row_parts[best]), int(col_parts[best])


def shape_for_serial(grid: Grid, serial: int) -> Shape | None:
    """The shape with the fewest crossbars of at most ``serial`` OUs each; None if none is that small.

    Whole groups stay together if they fit. Kernel-split grids are cut alike at every kernel position, so that a tile
    can hold all positions of few channels.
    """
    rows, cols, groups = len(grid.rows), len(grid.cols), grid.weights.groups
    per_group = rows * cols
    if groups > 1 and serial >= per_group:
        bundles = -(-groups // (serial // per_group))
        return Shape(bundles, 1, 1, -(-groups // bundles) * per_group)
    kernels = grid.weights.kernel[0] * grid.weights.kernel[1] if grid.option.scheme == "kernel-split" else 1
    row_parts, col_parts = fewest_crossbars(rows // kernels, cols, serial)
    a = row_parts * kernels
    return Shape(groups, a, col_parts, -(-rows // a) * -(-cols // col_parts))


STRIPS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128)
"""Numbers of strips that a copy may be laid down in."""


def strip_widths(shape: Shape, per_tile: int) -> IntArray:
    """Widths of strips that make a difference; all blocks side by side where a copy is not larger than a tile.

    The blocks of a copy are laid down strip by strip, row by row inside a strip. Wide strips send every input to few
    tiles but spread a column's partial sums over many; narrow strips the other way round.
    """
    if shape.row_parts * shape.col_parts <= per_tile:
        return np.array([shape.col_parts])
    return np.unique(-(-shape.col_parts // np.array(STRIPS)))


def strip_width(grid: Grid, shape: Shape, per_tile: int) -> int:
    """The width of strips at which a window moves least bits between tiles, all distances alike."""
    width = strip_widths(shape, per_tile)
    repeats, sums = window_traffic(grid, shape, per_tile, width)
    weights, (sy, sx) = grid.weights, grid.weights.stride
    fresh = (1 if weights.transposed else sy * sx) * weights.in_channels * weights.groups * grid.activation_bits
    return int(width[np.argmin(repeats * fresh + sums)])


def window_traffic(grid: Grid, shape: Shape, per_tile: int, width: IntArray) -> tuple[FloatArray, FloatArray]:
    """In how many tiles of a copy every input is needed, and the bits per window that tiles send to be added up.

    Where copies begin with a tile, and strips anywhere: a row of ``w`` blocks (kernel-split: of all positions of the
    kernel) touches ``1 + (w - gcd(w, P)) / P`` tiles of P crossbars on average, and needs its inputs in all of them; so
    does a channel whose rows go on in the next tile. A column's partial sums go through ``min(1, w / P)`` tile borders
    from one of its blocks to the next.
    """
    if shape.row_parts * shape.col_parts <= per_tile:
        return np.ones(len(width)), np.zeros(len(width))
    row = width * row_sections(grid, shape)
    again = 1 + (row - np.gcd(row, per_tile)) / per_tile
    again = np.maximum(again, 1 + shape.row_parts * width / per_tile / grid.weights.in_channels)
    repeats = np.minimum(shape.col_parts / width * again, -(-shape.row_parts * shape.col_parts // per_tile))
    deep = (shape.row_parts - 1) * np.minimum(1.0, width / per_tile)
    return repeats, deep * shape.bundles * float(grid.column_sums().sum()) * grid.partial_sum_bits


def rectangles(grid: Grid, shape: Shape, per_tile: int) -> IntArray:
    """OU rectangles of a copy's crossbars in the order in which they are laid down; shape (crossbars, 4).

    Columns: row_start, row_stop, col_start, col_stop.
    """
    rows, cols, groups = len(grid.rows), len(grid.cols), grid.weights.groups
    if grid.option.storage == "filled":
        return _block_rectangles(grid)
    if shape.row_parts * shape.col_parts == 1:
        edge = np.arange(shape.bundles + 1) * groups // shape.bundles
        return np.stack([edge[:-1] * rows, edge[1:] * rows, edge[:-1] * cols, edge[1:] * cols], axis=1)
    sections = row_sections(grid, shape)
    i, j = _strip_order(shape.row_parts, shape.col_parts, sections, shape.strip or strip_width(grid, shape, per_tile))
    row_edge = np.arange(shape.row_parts + 1) * rows // shape.row_parts
    col_edge = np.arange(shape.col_parts + 1) * cols // shape.col_parts
    one = np.stack([row_edge[i], row_edge[i + 1], col_edge[j], col_edge[j + 1]], axis=1)
    shift = np.arange(groups)[:, None, None] * np.array([rows, rows, cols, cols])
    return np.reshape(one + shift, (-1, 4))


def filled_shape(grid: Grid) -> Shape:
    """The only shape of a filled grid: one crossbar for every storage block."""
    rect = _block_rectangles(grid)
    down, across = int(grid.rows.block[-1] + 1), int(grid.cols.block[-1] + 1)
    return Shape(grid.weights.groups, down, across, int(rectangle_ous(grid, rect).max()))


def _block_rectangles(grid: Grid) -> IntArray:
    """Storage blocks of a filled grid, down the rows first (the order of the OU simulator's layer mapping)."""
    row_edge = np.searchsorted(grid.rows.block, np.arange(grid.rows.block[-1] + 2))
    col_edge = np.searchsorted(grid.cols.block, np.arange(grid.cols.block[-1] + 2))
    j, i = (
        axis.ravel() for axis in np.meshgrid(np.arange(len(col_edge) - 1), np.arange(len(row_edge) - 1), indexing="ij")
    )
    one = np.stack([row_edge[i], row_edge[i + 1], col_edge[j], col_edge[j + 1]], axis=1)
    rows, cols = len(grid.rows), len(grid.cols)
    shift = np.arange(grid.weights.groups)[:, None, None] * np.array([rows, rows, cols, cols])
    rect = np.reshape(one + shift, (-1, 4))
    return np.asarray(rect[rectangle_ous(grid, rect) > 0])


def row_sections(grid: Grid, shape: Shape) -> int:
    """Kernel positions whose blocks of the same channels lie next to each other (kernel-split only)."""
    kernels = grid.weights.kernel[0] * grid.weights.kernel[1]
    return kernels if grid.option.scheme == "kernel-split" and shape.row_parts % kernels == 0 else 1


def _strip_order(row_parts: int, col_parts: int, sections: int, width: int) -> tuple[IntArray, IntArray]:
    """Block coordinates strip by strip, every other strip upwards, row by row inside a strip.

    With sections, the rows of the same place in each section follow each other: a tile then holds all kernel positions
    of few channels.
    """
    i, j = np.divmod(np.arange(row_parts * col_parts), col_parts)
    strip = j // width
    section, place = np.divmod(i, row_parts // sections)
    depth = place * sections + section
    depth = np.where(strip % 2 == 0, depth, row_parts - 1 - depth)
    order = np.lexsort((j, depth, strip))
    return i[order], j[order]
