"""Shapes of a copy: on how many crossbars its OU grid is spread, and how they lie in tiles (M4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from spatem_opt.cost.grid import Grid
from spatem_opt.types import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Tiling:
    """A copy's grid, or that of each of its groups, in parts that lie in tiles, and these on crossbars.

    Parameters
    ----------
    bundles : int
        Parts along the groups of a grouped convolution: 1 if the grid has one group or every bundle is a whole group.
    parts : int
        Parts of a bundle's grid. Their crossbars lie in one tile, where they share inputs and add up for free.
    width, deep : int
        OU columns of a strip, and parts in it, one below the other; the last strip may have fewer of both.
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
    width: int
    deep: int
    size: int
    serial: int
    cut: str = "rows"

    @property
    def crossbars(self) -> int:
        """Crossbars n of one copy."""
        return self.bundles * self.parts * self.size


CUTS = ("rows", "runs", "homes")
HOME_ROWS = 2
"""Rows of a strip that are dealt out to its parts by columns, where homes are spread: who has them is home, since the
other rows of a column differ by one at most between parts."""
ACROSS = np.array([1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64, 96, 128])
"""Of all widths of strips, one is tried for each of these numbers of strips, or between it and the one before."""
MORE_PARTS = 1.12
"""Times the fewest parts that other widths may lead to."""
HALVES = 3
"""Tiles up to which parts of half a tile are tried, too: whole ones would be too coarse a step."""


def slot_options(capacity: int) -> IntArray:
    """Slots per crossbar that shapes and runs may take: all small numbers, then an eleventh more each."""
    slots = [1]
    while slots[-1] < capacity:
        slots.append(min(capacity, max(slots[-1] + 1, slots[-1] * 12 // 11)))
    return np.array(slots)


@lru_cache(maxsize=4096)
def tilings_for_serial(grid: Grid, serial: int, per_tile: int) -> tuple[Tiling, ...]:
    """:func:`tilings_within` a single limit."""
    return tilings_within(grid, np.array([serial]), per_tile)[0]


def tilings_within(grid: Grid, serial: IntArray, per_tile: int) -> list[tuple[Tiling, ...]]:
    """For every limit on OUs per crossbar: shapes with the fewest tiles; empty if none is that small.

    Copies that fit in a tile take as few crossbars as they can, or so many that as many as fit take all of it; larger
    ones take whole tiles (small ones also half tiles). Whole groups stay together if they fit on a crossbar.
    """
    ous = len(grid.rows) * len(grid.cols)
    crossbars = -(-ous // serial)
    found = [_untiled(grid, limit, per_tile) for limit in serial.tolist()]
    large = np.array([own is None for own in found])
    small = large & (crossbars <= HALVES * per_tile) & (per_tile > 1)
    whole = dict(zip(np.flatnonzero(large).tolist(), _tiled(grid, serial[large], per_tile), strict=True))
    halves = dict(zip(np.flatnonzero(small).tolist(), _tiled(grid, serial[small], per_tile // 2), strict=True))
    for i, shapes in whole.items():
        if halves.get(i) and (not shapes or halves[i][0].crossbars < shapes[0].crossbars):
            shapes = shapes + halves[i]
        found[i] = shapes
    return [tuple(own or ()) for own in found]


def _untiled(grid: Grid, serial: int, per_tile: int) -> list[Tiling] | None:
    """Shapes in bundles of whole groups, or within a tile; None where there are none."""
    groups, ous = grid.weights.groups, len(grid.rows) * len(grid.cols)
    if groups > 1 and serial >= ous:
        bundles = -(-groups // (serial // ous))
        return [Tiling(bundles, 1, len(grid.cols), 1, 1, -(-groups // bundles) * ous)]
    crossbars = -(-ous // serial)
    if crossbars > per_tile:
        return None
    sizes = {crossbars, min(ous, per_tile // (per_tile // crossbars))}
    return [Tiling(groups, 1, len(grid.cols), 1, size, -(-ous // size)) for size in sorted(sizes)]


def tiling_for_serial(grid: Grid, serial: int, per_tile: int) -> Tiling | None:
    """The shape of least traffic, all distances alike, of those with the fewest crossbars; None if none fits."""
    found = tilings_for_serial(grid, serial, per_tile)
    if not found:
        return None
    least = min(shape.crossbars for shape in found)
    found = tuple(shape for shape in found if shape.crossbars == least)
    repeats, sums = window_traffic(grid, found, per_tile)
    weights, (sy, sx) = grid.weights, grid.weights.stride
    fresh = (1 if weights.transposed else sy * sx) * weights.in_channels * weights.groups * grid.activation_bits
    return found[int((repeats * fresh + sums).argmin())]


def _tiled(grid: Grid, serial: IntArray, size: int) -> list[list[Tiling]]:
    """For every limit: shapes in parts of ``size`` crossbars, nearly as few as possible, for every cut and number of
    strips."""
    found: list[list[Tiling]] = [[] for _ in serial]
    for cut in CUTS if len(serial) else ():
        cuts = _cuts(grid, serial, size, cut)
        limit, parts, width = cuts[:3]
        across = np.searchsorted(ACROSS, -(-len(grid.cols) // width))
        order = np.lexsort((parts, across, limit))
        best = order[np.diff(limit[order] * (len(ACROSS) + 1) + across[order], prepend=-1) > 0]
        least = np.full(len(serial), IMPOSSIBLE)
        np.minimum.at(least, limit[best], parts[best])
        best = best[parts[best] <= MORE_PARTS * least[limit[best]]]
        for i, shape in zip(limit[best].tolist(), _shapes(grid, size, cut, cuts, best), strict=True):
            found[i].append(shape)
    return found


def tilings_like(grid: Grid, shape: Tiling, most: int) -> list[Tiling]:
    """Shapes in at most so many parts of as many crossbars and serial OUs: all cuts and widths of strips."""
    found: list[Tiling] = []
    for cut in CUTS:
        cuts = _cuts(grid, np.array([shape.serial]), shape.size, cut)
        found += _shapes(grid, shape.size, cut, cuts, np.flatnonzero(cuts[1] <= most))
    return found


def tilings_across(grid: Grid, tiles: int, size: int) -> list[Tiling]:
    """Shapes of a grid of one group in at most so many parts of ``size`` crossbars, each in a tile of its own.

    For every number of strips that divides the tiles, strips are cut between rows, or with homes spread.
    """
    sections = row_sections(grid)
    rows, cols = len(grid.rows) // sections, len(grid.cols)
    found: dict[Tiling, None] = {}
    for strips in (n for n in range(1, tiles + 1) if tiles % n == 0):
        width = -(-cols // strips)
        across, deep = -(-cols // width), min(tiles // strips, rows)
        for cut in ("rows", "homes") if deep > 1 and deep + HOME_ROWS <= rows else ("rows",):
            most = int(_largest(rows, np.array([width]), np.array([deep]), cut)[0])
            found[Tiling(1, across * deep, width, deep, size, -(-sections * most // size), cut)] = None
    return list(found)


TilingCuts = tuple[IntArray, IntArray, IntArray, IntArray, IntArray]
"""Which limit, parts of a grid, columns of a strip, parts in it, and OUs on the fullest crossbar."""


def _cuts(grid: Grid, serial: IntArray, size: int, cut: str) -> TilingCuts:
    """For every limit and width of a strip that can be cut so: the fewest parts of ``size`` crossbars."""
    sections = row_sections(grid)
    rows, cols = len(grid.rows) // sections, len(grid.cols)
    limit, width = (axis.ravel() for axis in np.meshgrid(np.arange(len(serial)), np.arange(1, cols + 1), indexing="ij"))
    room = size * serial[limit] // sections
    deep, last = _deep(rows, width, room, cut), _deep(rows, cols % width, room, cut)
    parts = deep * (cols // width) + last
    fits = parts < IMPOSSIBLE
    limit, parts, width, deep, last = (column[fits] for column in (limit, parts, width, deep, last))
    most = np.maximum(_largest(rows, width, deep, cut), _largest(rows, cols % width, last, cut))
    return limit, parts, width, deep, -(-sections * most // size)


def _shapes(grid: Grid, size: int, cut: str, cuts: TilingCuts, which: IntArray) -> list[Tiling]:
    """Shapes of some of the widths."""
    columns = (column[which].tolist() for column in cuts[1:])
    return [Tiling(grid.weights.groups, n, w, g, size, m, cut) for n, w, g, m in zip(*columns, strict=True)]


def unit_costs(grid: Grid) -> tuple[int, int]:
    """Cost of a full OU row and column per group that touches it [bits per window]."""
    return (
        int((grid.rows.stop - grid.rows.start).max()) * grid.activation_bits,
        int(grid.column_sums().max()) * grid.partial_sum_bits,
    )


IMPOSSIBLE = 2**40


def _deep(rows: int, width: IntArray, room: IntArray, cut: str) -> IntArray:
    """Parts of at most ``room`` OUs that strips of given widths need; 0 for width 0, IMPOSSIBLE where none will do.

    In kernel-split grids an OU stands for those of all kernel positions.
    """
    some = np.maximum(width, 1)
    if cut == "rows":
        high = np.minimum(room // some, rows)
        deep = np.where(high > 0, -(-rows // np.maximum(high, 1)), IMPOSSIBLE)
    else:
        deep = -(-rows * some // np.maximum(room, 1))
        if cut == "homes":
            deep = np.maximum(deep, 2)
            for _ in range(2):
                deep += _largest(rows, some, deep, cut) > room
        home = HOME_ROWS if cut == "homes" else 0
        fits = (deep + home <= rows) & (_largest(rows, some, deep, cut) <= room)
        deep = np.where(fits, deep, IMPOSSIBLE)
    return np.where(width > 0, deep, 0)


def _largest(rows: int, width: IntArray, deep: IntArray, cut: str) -> IntArray:
    """OUs of the largest part of strips."""
    deep = np.maximum(deep, 1)
    if cut == "rows":
        return np.asarray(-(-rows // deep) * width)
    home = HOME_ROWS if cut == "homes" else 0
    return np.asarray(-(-(rows - home) * width // deep) + home * -(-width // deep))


def window_traffic(grid: Grid, shapes: Sequence[Tiling], per_tile: int) -> tuple[FloatArray, FloatArray]:
    """In how many tiles of a copy every input is needed, and the bits per window that tiles send to be added up.

    A strip of g parts needs all inputs, those of rows that a cut divides once more per cut, and where homes are spread
    the home rows in all its parts; its columns' partial sums come from g - 1 of them.
    """
    first, last = grid.row_channels()
    rows = len(first) // row_sections(grid)
    first, last = first[:rows], last[:rows]
    cols = len(grid.cols)
    table = np.array([(s.parts, s.width, s.deep, s.size, s.bundles, CUTS.index(s.cut)) for s in shapes])
    parts, width, deep, size, bundles, cut = table.T[:, :, None]
    strips = np.concatenate([cols // width, cols % width > 0], axis=1)
    share = np.concatenate([cols // width * width, cols % width], axis=1) / cols
    strip = np.maximum(1, np.concatenate([deep, parts - cols // width * deep], axis=1))
    shared = np.maximum(last[:-1] - first[1:], 0)
    between = np.where(cut > 0, float(shared.mean()) if rows > 1 else 0.0, _at_cuts(shared, strip.astype(np.int64)))
    home = np.where(cut == CUTS.index("homes"), HOME_ROWS, 0)
    divided = np.where(cut > 0, strip - np.gcd(rows - home, strip), 0) / np.maximum(strip - 1, 1)
    again = between + float((last - first).mean()) * divided
    again += np.where(home > 0, float((last - first)[-HOME_ROWS:].sum()), 0.0)
    tiles = np.maximum(1.0, strip * np.where(parts > 1, size / per_tile, 1.0))
    repeats = np.minimum(tiles, 1 + (tiles - 1) * again / grid.weights.in_channels)
    column = float(grid.column_sums().sum()) * grid.partial_sum_bits
    return (strips * repeats).sum(axis=1), column * (bundles * share * (tiles - 1)).sum(axis=1)


def fullest_part(grid: Grid, shapes: Sequence[Tiling]) -> FloatArray:
    """Share of a copy's inputs that its part with most rows reads: the last strip may be narrow, its parts high."""
    rows, cols = len(grid.rows) // row_sections(grid), len(grid.cols)
    table = np.array([(s.parts, s.width, s.deep, s.bundles, CUTS.index(s.cut)) for s in shapes])
    parts, width, deep, bundles, cut = table.T
    last = parts - cols // width * deep
    home = np.where(cut == CUTS.index("homes"), HOME_ROWS, 0)
    most = np.zeros(len(shapes))
    for high in (deep, last):
        run = (rows - home) / np.maximum(high, 1)
        within = (cut > 0) & (run % 1 > 0)  # runs begin and end within rows
        touched = np.ceil(run) + within + home
        most = np.maximum(most, np.where(high > 0, np.minimum(np.where(high == 1, rows, touched), rows), 0))
    return np.asarray(most / (rows * np.maximum(bundles, 1)))


def _at_cuts(shared: IntArray, deep: IntArray) -> FloatArray:
    """Mean of what rows share with the next at the cuts of strips into parts of whole rows; 0 if there is no cut."""
    counts, which = np.unique(deep, return_inverse=True)
    rows = len(shared) + 1
    mean = np.zeros(len(counts))
    for i, count in enumerate(counts.tolist()):
        if count > 1:
            mean[i] = shared[(np.arange(1, min(count, rows)) * rows + count // 2) // count - 1].mean()
    return np.asarray(mean[which].reshape(deep.shape))


def row_sections(grid: Grid) -> int:
    """Kernel positions, whose OU rows of the same channels belong in the same tile (kernel-split only)."""
    return grid.weights.kernel[0] * grid.weights.kernel[1] if grid.option.scheme == "kernel-split" else 1
