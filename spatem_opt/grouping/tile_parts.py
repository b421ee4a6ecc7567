"""Which OUs lie on which crossbar of a copy: parts of the grid in tiles, groupings of each part on its crossbars.

The grid is cut into strips of columns, a strip into parts one below the other, a part is grouped as
:mod:`spatem_opt.grouping` would (M4), or where that costs much as :mod:`spatem_opt.grouping.regrouping` does.
Strips are cut between rows, or into runs of equally many OUs. To spread homes, the last rows of a strip are dealt out
by columns: each part gets those of its share, and is thereby their home.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from spatem_opt.cost.durations import rectangle_ous
from spatem_opt.cost.grid import Grid
from spatem_opt.grouping import bounds, guillotine, strips
from spatem_opt.grouping.guillotine import catalogue
from spatem_opt.grouping.problem import GroupingProblem
from spatem_opt.grouping.referee import objective
from spatem_opt.grouping.regrouping import RegionBlock, block, filled_in, grouped, price, repeated
from spatem_opt.grouping.serpentine import best_serpentine
from spatem_opt.grouping.tiling import HOME_ROWS, Tiling, row_sections, unit_costs
from spatem_opt.types import IntArray

NEAR, QUICK, LARGE = 1.03, 2_500_000, 12_000_000
"""Times its bound that a grouping in strips may cost before guillotine cuts are tried, of these many, and most
R * C * (R + C) for them: of a grid in one part, some hundredths of a second; of the largest part, some tenths."""
Piece = tuple[int, int, int]
"""Row, left, right."""


@dataclass(frozen=True, slots=True)
class TilePart:
    """A rectangle of rows x columns, and loose pieces of rows.

    Parameters
    ----------
    core : tuple of int
        top, bottom, left, right; may be empty.
    head, tail : Piece or None
        Of the row before the core to the last column, and of the row behind it from the first column. A part within a
        row is a tail.
    home : tuple of Piece
        Of home rows, one below the other.
    """

    core: tuple[int, int, int, int]
    head: Piece | None = None
    tail: Piece | None = None
    home: tuple[Piece, ...] = ()

    @property
    def loose(self) -> tuple[Piece, ...]:
        """All pieces of rows."""
        return tuple(piece for piece in (self.head, self.tail) if piece) + self.home

    def moved(self) -> tuple[TilePart, int, int]:
        """The same part as far up and to the left as its rows and columns go, and how far down and right it is."""
        top, bottom, left, right = self.core
        down = 0 if self.home else min([top, *(row for row, _, _ in self.loose)])

        def shifted(piece: Piece) -> Piece:
            return piece[0] - down, piece[1] - left, piece[2] - left

        head, tail = (piece and shifted(piece) for piece in (self.head, self.tail))
        core = top - down, bottom - down, 0, right - left
        return TilePart(core, head, tail, tuple(shifted(piece) for piece in self.home)), down, left

    def blocks(self, sections: int, rows: int) -> list[RegionBlock]:
        """The part in all sections of ``rows`` rows each: what it has of the run, and of home rows."""
        top, bottom, left, right = self.core
        if top == bottom and self.head is None and self.tail is not None:
            run = block(np.array([self.tail[0]]), None, None, *self.tail[1:])
        else:
            run = block(np.arange(top, bottom), self.head, self.tail, left, right)
        found = [run]
        if self.home:
            own = np.array([row for row, _, _ in self.home])
            found.append(block(own, None, None, *self.home[0][1:]))
        return [repeated(own, sections, rows) for own in found]


def rectangles(grid: Grid, shape: Tiling) -> IntArray:
    """OU rectangles of a copy's crossbars, numbered in the order in which they are laid down; shape (rectangles, 5).

    Columns: crossbar, row_start, row_stop, col_start, col_stop.

    Raises
    ------
    ValueError
        If parts have more OUs than the shape has slots for.
    """
    rows, cols, groups = len(grid.rows), len(grid.cols), grid.weights.groups
    if grid.option.storage == "filled":
        return _numbered(_block_rectangles(grid))
    if shape.parts * shape.size == 1:
        edge = np.arange(shape.bundles + 1) * groups // shape.bundles
        return _numbered(np.stack([edge[:-1] * rows, edge[1:] * rows, edge[:-1] * cols, edge[1:] * cols], axis=1))
    sections = row_sections(grid) if shape.parts > 1 else 1
    one = _of_group(rows // sections, cols, sections, shape, unit_costs(grid), grid.exists is None)
    shift = np.arange(groups)[:, None, None] * np.array([shape.parts * shape.size, rows, rows, cols, cols])
    return np.reshape(one + shift, (-1, 5))


def outlines(grid: Grid, shape: Tiling) -> IntArray:
    """OU rectangles as :func:`rectangles` has them, but all of a part on its first crossbar: what lies in which tile.

    Quick, since nothing is grouped; exact but for parts that straddle two tiles, halves of an odd number of crossbars.
    """
    if shape.parts == 1 or grid.option.storage == "filled":
        return rectangles(grid, shape)
    sections, cols, groups = row_sections(grid), len(grid.cols), grid.weights.groups
    rows = len(grid.rows) // sections
    own = [
        (place * shape.size, *rect)
        for place, part in enumerate(_parts(rows, cols, shape))
        for rect in (part.core, *((row, row + 1, left, right) for row, left, right in part.loose))
    ]
    table = np.array([rect for rect in own if rect[1] < rect[2]])
    down = np.arange(sections)[:, None, None] * np.array([0, rows, rows, 0, 0])
    one = np.reshape(table + down, (-1, 5))
    shift = np.arange(groups)[:, None, None] * np.array([shape.parts * shape.size, *[len(grid.rows)] * 2, cols, cols])
    return np.reshape(one + shift, (-1, 5))


def _numbered(rect: IntArray) -> IntArray:
    return np.column_stack([np.arange(len(rect)), rect])


@lru_cache(maxsize=256)
def _of_group(rows: int, cols: int, sections: int, shape: Tiling, cost: tuple[int, int], full: bool) -> IntArray:
    """Rectangles of one group's grid, of sections of ``rows`` x ``cols``; ``full``: it misses no OUs.

    Several parts are tiles, in which OUs may change places. With OUs missing, crossbars might hold more of the others.
    """
    parts = [part.moved() for part in _parts(rows, cols, shape)]
    again = shape.parts > 1 and full
    number = Counter(part for part, _, _ in parts)
    known = {part: _grouped(part, sections, rows, shape, cost, quick=again) for part in number}
    if again:
        total = sum(number[part] * price(table, *cost) for part, table in known.items())
        problem = GroupingProblem(sections * rows, cols, shape.parts * shape.size, shape.serial, *cost)
        if total > NEAR * bounds.lower_bound(problem):
            known = _better(known, sections, rows, shape, cost)
    tables = [
        known[part] + np.array([place * shape.size, down, down, right, right])
        for place, (part, down, right) in enumerate(parts)
    ]
    table = np.concatenate(tables)
    table.flags.writeable = False
    return table


def _better(
    known: dict[TilePart, IntArray], sections: int, rows: int, shape: Tiling, cost: tuple[int, int]
) -> dict[TilePart, IntArray]:
    """The parts' groupings, or if that is cheaper, groupings as a whole."""
    blocks = {part: part.blocks(sections, rows) for part in known}
    high = max(len(own.before) for made in blocks.values() for own in made)
    wide = max(own.width for made in blocks.values() for own in made)
    if high * wide * (high + wide) > LARGE:
        return known
    ways = catalogue(high, wide, shape.serial, *cost)
    return {part: grouped(blocks[part], shape.size, shape.serial, ways, table) for part, table in known.items()}


def _parts(rows: int, cols: int, shape: Tiling) -> Iterator[TilePart]:
    """Parts in the order in which they are laid down: strip by strip, every other strip upwards."""
    home = HOME_ROWS if shape.cut == "homes" else 0
    for strip, left in enumerate(range(0, cols, shape.width)):
        right = min(cols, left + shape.width)
        count = shape.deep if right - left == shape.width else shape.parts - strip * shape.deep
        if shape.cut == "rows":
            made = list(_between_rows(rows, count, left, right))
        else:
            made = list(_runs(rows - home, count, left, right, range(rows - home, rows)))
        yield from made if strip % 2 == 0 else made[::-1]


def _between_rows(rows: int, count: int, left: int, right: int) -> Iterator[TilePart]:
    """Parts of whole rows; those in the middle are the highest, and so the homes of the strip."""
    for part in range(count):
        yield TilePart(((part * rows + count // 2) // count, ((part + 1) * rows + count // 2) // count, left, right))


def _runs(rows: int, count: int, left: int, right: int, home: range) -> Iterator[TilePart]:
    """Parts of equally many OUs, row by row, and of the home rows a share of the columns each."""
    width = right - left
    for part in range(count):
        start, stop = part * rows * width // count, (part + 1) * rows * width // count
        top, bottom = -(-start // width), stop // width
        share = left + part * width // count, left + (part + 1) * width // count
        own = tuple((row, *share) for row in home if share[0] < share[1])
        head = tail = None
        if top > bottom:
            tail = bottom, left + start % width, left + stop % width
        else:
            head = (top - 1, left + start % width, right) if start % width else None
            tail = (bottom, left, left + stop % width) if stop % width else None
        yield TilePart((top, max(top, bottom), left, right), head, tail, own)


def _grouped(
    part: TilePart, sections: int, rows: int, shape: Tiling, cost: tuple[int, int], *, quick: bool
) -> IntArray:
    """A part's rectangles: the core grouped, the loose pieces on what crossbars it leaves, or in slots that it does.

    ``quick``: in strips or by a walk only.
    """
    top, bottom, left, right = part.core
    loose = np.array(part.loose, dtype=np.int64).reshape(-1, 3)
    amount = sections * int((loose[:, 2] - loose[:, 1]).sum())
    high, wide = sections * (bottom - top), right - left
    apart = shape.size - -(-amount // shape.serial)
    size = apart if high * wide <= apart * shape.serial else shape.size
    table = _core(high, wide, size, shape.serial, *cost, quick=quick).copy()
    free = shape.serial - np.bincount(
        table[:, 0], (table[:, 2] - table[:, 1]) * (table[:, 4] - table[:, 3]), shape.size
    ).astype(np.int64)
    table = _in_sections(table, bottom - top, rows) + np.array([0, top, top, left, left])
    return np.concatenate([table, filled_in(_repeated(loose, sections, rows), free)]) if amount else table


@lru_cache(maxsize=1024)
def _core(rows: int, cols: int, size: int, serial: int, row_cost: int, col_cost: int, *, quick: bool) -> IntArray:
    """A grouping of a full grid; columns group, row_start, row_stop, col_start, col_stop."""
    if rows * cols == 0:
        return np.zeros((0, 5), dtype=np.int64)
    problem = GroupingProblem(rows, cols, size, serial, row_cost, col_cost)
    plan = strips.best_plan(problem)
    grouping = strips.lay_out(problem, plan) if plan is not None else best_serpentine(problem)
    if grouping is None:
        raise ValueError(f"{rows} x {cols} OUs do not fit on {size} crossbars with {serial} each")
    if quick or problem.ous * (rows + cols) > QUICK or _near(problem, objective(problem, grouping)):
        return grouping.table()
    other = guillotine.solve(problem)
    grouping = other if other is not None and objective(problem, other) < objective(problem, grouping) else grouping
    if _near(problem, objective(problem, grouping)):
        return grouping.table()
    whole = block(np.arange(rows), None, None, 0, cols)
    return grouped([whole], size, serial, catalogue(rows, cols, serial, row_cost, col_cost), grouping.table())


def _near(problem: GroupingProblem, cost: int) -> bool:
    return cost <= NEAR * bounds.lower_bound(problem)


def _in_sections(table: IntArray, high: int, rows: int) -> IntArray:
    """Rectangles over rows of all sections of a part, one section after the other, in rows of the grid."""
    if high == 0:
        return table
    first, last = table[:, 1] // high, (table[:, 2] - 1) // high
    times = last - first + 1
    own = np.repeat(table, times, axis=0)
    section = np.repeat(first, times) + np.arange(len(own)) - np.repeat(np.cumsum(times) - times, times)
    shift = section * (rows - high)
    own[:, 1] = np.maximum(own[:, 1], section * high) + shift
    own[:, 2] = np.minimum(own[:, 2], (section + 1) * high) + shift
    return own


def _repeated(loose: IntArray, sections: int, rows: int) -> IntArray:
    """Pieces of rows in all sections."""
    shift = np.arange(sections)[:, None, None] * np.array([rows, 0, 0])
    return np.reshape(loose + shift, (-1, 3))


def filled_tiling(grid: Grid) -> Tiling:
    """The only shape of a filled grid: one crossbar for every storage block."""
    rect = _block_rectangles(grid)
    blocks = int(grid.rows.block[-1] + 1) * int(grid.cols.block[-1] + 1)
    return Tiling(grid.weights.groups, 1, len(grid.cols), 1, blocks, int(rectangle_ous(grid, rect).max()))


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
