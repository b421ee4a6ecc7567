"""Best partition of a grid into rectangles by straight cuts from side to side, by dynamic programming.

The limit on groups is priced: every group costs a surcharge more, and the least surcharge that keeps to the limit is
sought by bisection. Cuts of the whole grid may join a part that costs less with one that needs fewer groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from spatem_opt.grouping.bounds import shape_costs
from spatem_opt.grouping.problem import GroupingProblem, GroupingSolution, from_table
from spatem_opt.grouping.strips import kinds, not_full, strip_cost, strip_table
from spatem_opt.types import INFINITE, IntArray

WORK = 150_000_000
"""Most steps R * C * (R + C) worth a run of dynamic programming, which takes about a second then."""
SURCHARGES = 10
"""Most runs, one for each surcharge tried."""
MOST = 4_000_000
"""Most sums of two parts that are looked at together."""
LADDER = ((0.0, 0.0), (2.0, 0.0), (0.1, 0.2))
"""Surcharges of a catalogue per group, and per group that is not full, in costs of a full group."""


@dataclass(frozen=True, slots=True, eq=False)
class GuillotineTables:
    """Best partition of every r x c rectangle at a surcharge; tables of shape (rows + 1, cols + 1).

    Parameters
    ----------
    cost, groups, partial : int64 arrays
        Communication [bits per window] without surcharge, groups, and how many of these are not full.
    cut : int64 array
        Rows of the first part; ``rows + `` columns of the first part; ``-1 - leaf`` where nothing is cut.
    """

    cost: IntArray
    groups: IntArray
    partial: IntArray
    cut: IntArray


def solve(problem: GroupingProblem) -> GroupingSolution | None:
    """Cheapest guillotine partition found whose pieces are strips (one group, or several sharing rows) either way.

    Returns
    -------
    GroupingSolution or None
        None if there is none, or the grid is too large.
    """
    p = problem
    if p.ous * (p.rows + p.cols) > WORK:
        return None
    leaves = _leaves(p)
    many, few = _bracket(p, leaves)
    return None if few is None else _lay_out(p, leaves[1], _mixed(p, many or few, few))


@dataclass(frozen=True, slots=True, eq=False)
class Catalogue:
    """Best partitions of all rectangles up to rows x cols, for several surcharges.

    Parameters
    ----------
    problem : GroupingProblem
        Its limit on the groups plays no part.
    leaf_groups : int64 array
        Groups of the six kinds of strips (:func:`_leaves`).
    tables : tuple of GuillotineTables
        One for each of :data:`LADDER`.
    cost, groups, partial : int64 arrays, shape (surcharges, rows + 1, cols + 1)
        Of the tables; 0 for rectangles without rows or columns.
    """

    problem: GroupingProblem
    leaf_groups: IntArray
    tables: tuple[GuillotineTables, ...]
    cost: IntArray
    groups: IntArray
    partial: IntArray

    def lay_out(self, parts: Sequence[tuple[int, tuple[int, int, int, int]]]) -> IntArray:
        """Table of rectangles, given surcharge and (rows, cols, top, left) of all parts, groups numbered on."""
        wanted = [GuillotinePart(self.tables[which], *place) for which, place in parts if place[0] * place[1] > 0]
        return _lay_out(self.problem, self.leaf_groups, wanted[::-1], packed=True).table()


@lru_cache(maxsize=8)
def catalogue(rows: int, cols: int, size: int, row_cost: int, col_cost: int) -> Catalogue:
    """The catalogue of rectangles up to rows x cols in groups of at most ``size``."""
    problem = GroupingProblem(rows, cols, rows * cols, size, row_cost, col_cost)
    leaves = _leaves(problem)
    full = int(shape_costs(problem)[-1])
    tables = tuple(_run(leaves, round(each * full), round(some * full)) for each, some in LADDER)
    known = [np.stack([getattr(table, name) for table in tables]) for name in ("cost", "groups", "partial")]
    for table in known:
        table[:, 0], table[:, :, 0] = 0, 0
    return Catalogue(problem, leaves[1], tables, *known)


Leaves = tuple[IntArray, IntArray, IntArray]
"""Cost, groups and groups that are not full of a strip across a whole r x c rectangle, shape (6, rows + 1, cols + 1)
each: three ways to divide it downwards, three sideways."""


def _leaves(problem: GroupingProblem) -> Leaves:
    """All strips across rectangles."""
    found: list[list[IntArray]] = [[], [], []]
    for q in (problem, problem.transposed()):
        rows, width = np.arange(1, q.rows + 1)[:, None], np.arange(1, min(q.cols, q.size) + 1)
        shape = 3, q.rows + 1, q.cols + 1
        number, cost, partial = np.ones(shape, dtype=np.int64), np.full(shape, INFINITE), np.ones(shape, dtype=np.int64)
        inside = np.s_[:, 1:, 1 : len(width) + 1]
        number[inside] = np.moveaxis(kinds(q, width, rows), -1, 0)
        cost[inside] = strip_cost(q, width, number[inside], rows)
        partial[inside] = not_full(q, width, number[inside], rows)
        turned = (0, 1, 2) if q is problem else (0, 2, 1)
        for tables, table in zip(found, (cost, number, partial), strict=True):
            tables.append(table.transpose(turned))
    return np.concatenate(found[0]), np.concatenate(found[1]), np.concatenate(found[2])


def _bracket(problem: GroupingProblem, leaves: Leaves) -> tuple[GuillotineTables | None, GuillotineTables | None]:
    """Tables of the highest surcharge tried that leads to too many groups, and of the lowest that does not."""
    many: GuillotineTables | None = None
    few: GuillotineTables | None = None
    low, high, surcharge = 0, 0, 0
    for _ in range(SURCHARGES):
        tables = _run(leaves, surcharge)
        if tables.groups[-1, -1] <= problem.groups:
            few, high = tables, surcharge
        else:
            many, low = tables, surcharge
        if few is None:
            surcharge = 2 * surcharge or 1 + (problem.row_cost + problem.col_cost) // 2
        elif high - low > 1 and few.groups[-1, -1] < problem.groups:
            surcharge = (low + high) // 2
        else:
            break
    return many, few


def _run(leaves: Leaves, surcharge: int, open_surcharge: int = 0) -> GuillotineTables:
    """Best partition of all rectangles, by rows; within a row of the tables column by column.

    Every group costs a surcharge more, and every group that is not full another one.
    """
    cost, groups, partial = leaves
    leaf = (cost + surcharge * groups + open_surcharge * partial).argmin(axis=0)
    least, number, some = (np.take_along_axis(x, leaf[None], axis=0)[0] for x in leaves)
    tables = GuillotineTables(least, number, some, -1 - leaf)
    value = tables.cost + surcharge * tables.groups + open_surcharge * tables.partial
    rows = len(value) - 1
    for r in range(1, rows + 1):
        if r > 1:
            parts = value[1 : r // 2 + 1] + value[r - 1 : r - r // 2 - 1 : -1]
            _take(tables, value, r, parts.argmin(axis=0), parts.min(axis=0))
        _across(tables, value, r)
    return tables


def _across(tables: GuillotineTables, value: IntArray, r: int) -> None:
    """Cut rectangles of r rows across columns, at every turn into up to twice as many pieces, until none is better."""
    row, rows, cols = value[r], len(value) - 1, len(value[r]) - 1
    half = cols // 2
    if half == 0:
        return
    turned = np.full(cols + 1 + half, INFINITE)
    # From every column on, what the columns before it cost: of all but 1, of all but 2, ...
    rest = sliding_window_view(turned, half)[: cols + 1, ::-1]
    step = 1 + MOST // half
    again = True
    while again:
        again = False
        turned[half:] = row
        for start in range(0, cols + 1, step):
            parts = rest[start : start + step] + row[1 : half + 1]
            first = parts.argmin(axis=1)
            found = parts[np.arange(len(parts)), first]
            better = np.flatnonzero(found < row[start : start + step])
            at, first = start + better, first[better] + 1
            row[at], tables.cut[r, at] = found[better], rows + first
            for table in (tables.cost, tables.groups, tables.partial):
                table[r, at] = table[r, first] + table[r, at - first]
            again |= len(at) > 0


def _take(tables: GuillotineTables, value: IntArray, r: int, first: IntArray, found: IntArray) -> None:
    """Cut rectangles of r rows after ``1 + first`` rows where that is better."""
    cols = np.flatnonzero(found < value[r])
    first = first[cols] + 1
    value[r, cols], tables.cut[r, cols] = found[cols], first
    for table in (tables.cost, tables.groups, tables.partial):
        table[r, cols] = table[first, cols] + table[r - first, cols]


@dataclass(frozen=True, slots=True, eq=False)
class GuillotinePart:
    """A rectangle of the grid that is partitioned as `tables` say."""

    tables: GuillotineTables
    rows: int
    cols: int
    top: int = 0
    left: int = 0

    def divided(
        self, cut: int, first: GuillotineTables, second: GuillotineTables
    ) -> tuple[GuillotinePart, GuillotinePart]:
        """Both sides of a cut (:class:`GuillotineTables`)."""
        rows = len(self.tables.cost) - 1
        if cut > rows:
            at = cut - rows
            return (
                GuillotinePart(first, self.rows, at, self.top, self.left),
                GuillotinePart(second, self.rows, self.cols - at, self.top, self.left + at),
            )
        return (
            GuillotinePart(first, cut, self.cols, self.top, self.left),
            GuillotinePart(second, self.rows - cut, self.cols, self.top + cut, self.left),
        )


def _mixed(problem: GroupingProblem, many: GuillotineTables, few: GuillotineTables) -> list[GuillotinePart]:
    """The whole as `few` have it, or if that costs less cut once, one side as `many` have it; at most n groups."""
    rows, cols = problem.rows, problem.cols
    down, across = np.arange(1, rows), np.arange(1, cols)

    def both(side: IntArray, other: IntArray) -> IntArray:
        """Sums over both sides of all cuts across rows, then across columns."""
        return np.concatenate(
            (side[down, cols] + other[rows - down, cols], side[rows, across] + other[rows, cols - across])
        )

    whole = GuillotinePart(few, rows, cols)
    cost = np.where(both(many.groups, few.groups) <= problem.groups, both(many.cost, few.cost), INFINITE)
    if cost.min(initial=INFINITE) >= few.cost[-1, -1]:
        return [whole]
    best = int(cost.argmin())
    return list(whole.divided(best + 1 if best < rows - 1 else best + 2, many, few))


def _lay_out(
    problem: GroupingProblem, groups: IntArray, parts: list[GuillotinePart], *, packed: bool = False
) -> GroupingSolution:
    """Rectangles of the parts, groups numbered on from part to part; ``packed``: slots left free are in few groups."""
    rects, used = [], 0
    while parts:
        part = parts.pop()
        cut = int(part.tables.cut[part.rows, part.cols])
        if cut > 0:
            parts += part.divided(cut, part.tables, part.tables)
            continue
        leaf = -1 - cut
        number = int(groups[leaf, part.rows, part.cols])
        if leaf < 3:
            table = strip_table(part.rows, part.cols, number, problem.size, packed)
        else:
            table = strip_table(part.cols, part.rows, number, problem.size, packed)[:, [0, 3, 4, 1, 2]]
        rects.append(table + np.array([used, part.top, part.top, part.left, part.left]))
        used += 1 + int(table[:, 0].max())
    return from_table(np.concatenate(rects))
