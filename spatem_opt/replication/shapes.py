"""Shapes of a copy: on how many crossbars its OU grid is spread, and how they lie in tiles (M4)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spatem_opt.mapping.grid import Grid

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Shape:
    """A copy's grid, or that of each of its groups, in parts that lie in tiles, and these on crossbars.

    Parameters
    ----------
    bundles : int
        Parts along the groups of a grouped convolution: 1 if the grid has one group or every bundle is a whole group.
    parts : int
        Parts of a bundle's grid. Their crossbars lie in one tile, where they share inputs and add up for free.
    across : int
        Strips of columns that the parts lie in, one below the other.
    size : int
        Crossbars of a part.
    serial : int
        OUs on the fullest crossbar, m.
    cut : {"rows", "runs", "homes"}
        How a strip is cut into parts: between rows; anywhere, into equally many OUs; likewise, but for
        :data:`HOME_ROWS` rows that spread the homes of its columns over all parts.
    """

    bundles: int
    parts: int
    across: int
    size: int
    serial: int
    cut: str = "rows"

    @property
    def crossbars(self) -> int:
        """Crossbars n of one copy."""
        return self.bundles * self.parts * self.size


ACROSS = np.array([1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64, 96, 128])
"""Numbers of strips that are tried, besides one for every column."""
HALVES = 3
"""Tiles up to which parts of half a tile are tried, too: whole ones would be too coarse a step."""


def menu(capacity: int) -> IntArray:
    """Slots per crossbar that shapes and runs may take: all small numbers, then about every seventh more."""
    slots = [1]
    while slots[-1] < capacity:
        slots.append(min(capacity, max(slots[-1] + 1, slots[-1] * 8 // 7)))
    return np.array(slots)


def shapes_for_serial(grid: Grid, serial: int, per_tile: int) -> list[Shape]:
    """Shapes of at most ``serial`` OUs per crossbar with the fewest tiles; empty if none is that small.

    As many copies as fit in a tile take all of it; larger ones take whole tiles (small ones also half tiles). Whole
    groups stay together if they fit on a crossbar.
    """
    groups, ous = grid.weights.groups, len(grid.rows) * len(grid.cols)
    if groups > 1 and serial >= ous:
        bundles = -(-groups // (serial // ous))
        return [Shape(bundles, 1, 1, 1, -(-groups // bundles) * ous)]
    crossbars = -(-ous // serial)
    if crossbars <= per_tile:
        size = min(ous, per_tile // (per_tile // crossbars))
        return [Shape(groups, 1, 1, size, -(-ous // size))]
    found = _tiled(grid, serial, per_tile)
    if crossbars <= HALVES * per_tile and per_tile > 1:
        halves = _tiled(grid, serial, per_tile // 2)
        if halves and (not found or halves[0].crossbars < found[0].crossbars):
            found += halves
    return found


def shape_for_serial(grid: Grid, serial: int, per_tile: int) -> Shape | None:
    """The shape of least traffic, all distances alike, of those with the fewest crossbars; None if none fits."""
    found = shapes_for_serial(grid, serial, per_tile)
    if not found:
        return None
    least = min(shape.crossbars for shape in found)
    found = [shape for shape in found if shape.crossbars == least]
    repeats, sums = window_traffic(grid, found, per_tile)
    weights, (sy, sx) = grid.weights, grid.weights.stride
    fresh = (1 if weights.transposed else sy * sx) * weights.in_channels * weights.groups * grid.activation_bits
    return found[int((repeats * fresh + sums).argmin())]


def _tiled(grid: Grid, serial: int, size: int) -> list[Shape]:
    """Shapes in the fewest parts of ``size`` crossbars, for every number of strips that keeps to ``serial``."""
    sections = row_sections(grid)
    rows, cols = len(grid.rows) // sections, len(grid.cols)
    least = max(2, -(-sections * rows * cols // (size * serial)))
    while least <= rows * cols:
        more = 2 + least + least // 8
        found = _in_parts(grid, serial, size, np.arange(least, more))
        if found:
            return found
        least = more
    return []


def _in_parts(grid: Grid, serial: int, size: int, numbers: IntArray) -> list[Shape]:
    """Shapes in the least of the given numbers of parts that keep to ``serial``, for every cut and number of strips."""
    sections = row_sections(grid)
    rows, cols = len(grid.rows) // sections, len(grid.cols)
    parts, across = (axis.ravel() for axis in np.meshgrid(numbers, np.unique(np.append(ACROSS, cols))))
    deep = -(-parts // across)
    keep = (across <= np.minimum(parts, cols)) & (deep <= rows)
    parts, across, deep = parts[keep], across[keep], deep[keep]
    found: list[Shape] = []
    for cut in CUTS:
        most = np.maximum(*(_largest(rows, cols, parts, d, cut) for d in (deep, parts // across)))
        held = -(-sections * most // size)
        fits = held <= serial
        if cut != "rows":
            fits &= (deep > 1) & (rows >= deep + (HOME_ROWS if cut == "homes" else 0))
        fits &= parts == parts[fits].min(initial=parts.max())
        shapes = zip(parts[fits].tolist(), across[fits].tolist(), held[fits].tolist(), strict=True)
        found += [Shape(grid.weights.groups, n, k, size, m, cut) for n, k, m in shapes]
    return found


CUTS = ("rows", "runs", "homes")
HOME_ROWS = 2
"""Rows of a strip that are dealt out to its parts by columns, where homes are spread: who has them is home, since the
other rows of a column differ by one at most between parts."""


def _largest(rows: int, cols: int, parts: IntArray, deep: IntArray, cut: str) -> IntArray:
    """OUs (in kernel-split grids: positions of all kernel offsets) of the largest part of strips of ``deep`` parts."""
    wide = -(-cols * deep // parts)
    if cut == "rows":
        return np.asarray(-(-rows // deep) * wide)
    home = HOME_ROWS if cut == "homes" else 0
    return np.asarray(-(-(rows - home) * wide // deep) + home * -(-wide // deep))


def window_traffic(grid: Grid, shapes: list[Shape], per_tile: int) -> tuple[FloatArray, FloatArray]:
    """In how many tiles of a copy every input is needed, and the bits per window that tiles send to be added up.

    A strip of g parts needs all inputs, those of rows that a cut divides once more per cut, and where homes are spread
    the home rows in all its parts; its columns' partial sums come from g - 1 of them.
    """
    first, last = grid.row_channels()
    rows = len(first) // row_sections(grid)
    first, last = first[:rows], last[:rows]
    table = np.array([(s.parts, s.across, s.size, s.bundles, CUTS.index(s.cut)) for s in shapes])
    parts, across, size, bundles, cut = table.T[:, :, None]
    strip = parts // across + np.array([0, 1])
    share = np.where(np.array([True, False]), across - parts % across, parts % across) * strip / parts
    between = float(np.maximum(last[:-1] - first[1:], 0).mean()) if rows > 1 else 0.0
    home = np.where(cut == CUTS.index("homes"), HOME_ROWS, 0)
    divided = np.where(cut > 0, strip - np.gcd(rows - home, strip), 0) / np.maximum(strip - 1, 1)
    again = between + float((last - first).mean()) * divided
    again += np.where(home > 0, float((last - first)[-HOME_ROWS:].sum()), 0.0)
    tiles = np.maximum(1.0, strip * np.where(parts > 1, size / per_tile, 1.0))
    repeats = np.minimum(tiles, 1 + (tiles - 1) * again / grid.weights.in_channels)
    column = float(grid.column_sums().sum()) * grid.partial_sum_bits
    return (share * parts / strip * repeats).sum(axis=1), column * (bundles * share * (tiles - 1)).sum(axis=1)


def row_sections(grid: Grid) -> int:
    """Kernel positions, whose OU rows of the same channels belong in the same tile (kernel-split only)."""
    return grid.weights.kernel[0] * grid.weights.kernel[1] if grid.option.scheme == "kernel-split" else 1
