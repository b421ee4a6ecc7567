"""Best partition of a grid into rectangles by straight cuts from side to side, by dynamic programming.

The limit on groups is priced: every group costs a surcharge more, and the least surcharge that keeps to the limit is
sought by bisection. Cuts of the whole grid may join a part that costs less with one that needs fewer groups.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spatem_opt.grouping.problem import IntArray, Problem, Solution, from_table
from spatem_opt.grouping.strips import INFINITE, kinds, strip_cost, strip_table

WORK = 150_000_000
"""Most steps R * C * (R + C) worth a run of dynamic programming, which takes about a second then."""
SURCHARGES = 10
"""Most runs, one for each surcharge tried."""


@dataclass(frozen=True, slots=True, eq=False)
class Tables:
    """Best partition of every r x c rectangle at a surcharge; tables of shape (rows + 1, cols + 1).

    Parameters
    ----------
    cost, groups : int64 arrays
        Communication [bits per window] without surcharge, and groups.
    cut : int64 array
        Rows of the first part; ``rows + `` columns of the first part; ``-1 - leaf`` where nothing is cut.
    """

    cost: IntArray
    groups: IntArray
    cut: IntArray


def solve(problem: Problem) -> Solution | None:
    """Cheapest guillotine partition found whose pieces are strips (one group, or several sharing rows) either way.

    Returns
    -------
    Solution or None
        None if there is none, or the grid is too large.
    """
    p = problem
    if p.ous * (p.rows + p.cols) > WORK:
        return None
    cost, groups = _leaves(p)
    many, few = _bracket(p, cost, groups)
    if few is None:
        return None
    return from_table(np.concatenate(_mixed(p, groups, many or few, few)))


def _leaves(problem: Problem) -> tuple[IntArray, IntArray]:
    """Cost and groups of a strip across a whole r x c rectangle, shape (6, rows + 1, cols + 1): three ways to divide
    it downwards, three sideways."""
    costs, groups = [], []
    for q in (problem, problem.transposed()):
        rows, width = np.arange(1, q.rows + 1)[:, None], np.arange(1, min(q.cols, q.size) + 1)
        shape = 3, q.rows + 1, q.cols + 1
        number, cost = np.ones(shape, dtype=np.int64), np.full(shape, INFINITE)
        number[:, 1:, 1 : len(width) + 1] = np.moveaxis(kinds(q, width, rows), -1, 0)
        cost[:, 1:, 1 : len(width) + 1] = strip_cost(q, width, number[:, 1:, 1 : len(width) + 1], rows)
        turned = (0, 1, 2) if q is problem else (0, 2, 1)
        costs.append(cost.transpose(turned))
        groups.append(number.transpose(turned))
    return np.concatenate(costs), np.concatenate(groups)


def _bracket(problem: Problem, cost: IntArray, groups: IntArray) -> tuple[Tables | None, Tables | None]:
    """Tables of the highest surcharge tried that leads to too many groups, and of the lowest that does not."""
    many: Tables | None = None
    few: Tables | None = None
    low, high, surcharge = 0, 0, 0
    for _ in range(SURCHARGES):
        tables = _run(cost, groups, surcharge)
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


def _run(cost: IntArray, groups: IntArray, surcharge: int) -> Tables:
    """Best partition of all rectangles, by rows; within a row of the tables column by column."""
    leaf = (cost + surcharge * groups).argmin(axis=0)
    tables = Tables(*(np.take_along_axis(x, leaf[None], axis=0)[0] for x in (cost, groups)), -1 - leaf)
    value = tables.cost + surcharge * tables.groups
    rows = len(value) - 1
    for r in range(1, rows + 1):
        if r > 1:
            parts = value[1 : r // 2 + 1] + value[r - 1 : r - r // 2 - 1 : -1]
            _take(tables, value, r, parts.argmin(axis=0), parts.min(axis=0))
        row, cut = value[r], tables.cut[r]
        for c in range(2, len(row)):
            halves = row[1 : c // 2 + 1] + row[c - 1 : c - c // 2 - 1 : -1]
            first = int(halves.argmin())
            if halves[first] < row[c]:
                row[c], cut[c] = halves[first], rows + 1 + first
                for table in (tables.cost, tables.groups):
                    table[r, c] = table[r, 1 + first] + table[r, c - 1 - first]
    return tables


def _take(tables: Tables, value: IntArray, r: int, first: IntArray, found: IntArray) -> None:
    """Cut rectangles of r rows after ``1 + first`` rows where that is better."""
    cols = np.flatnonzero(found < value[r])
    first = first[cols] + 1
    value[r, cols], tables.cut[r, cols] = found[cols], first
    for table in (tables.cost, tables.groups):
        table[r, cols] = table[first, cols] + table[r - first, cols]


def _mixed(problem: Problem, groups: IntArray, many: Tables, few: Tables) -> list[IntArray]:
    """Rectangles of the best partition with at most n groups: of `few`, or a cut with a part of `many` at one side."""
    rows, cols, limit = problem.rows, problem.cols, problem.groups
    best, how = few.cost[-1, -1], (0, few, few)
    for axis, extent in ((0, rows), (1, cols)):
        at = np.arange(1, extent)
        one, two = ((at, cols), (rows - at, cols)) if axis == 0 else ((rows, at), (rows, cols - at))
        cost = np.where(many.groups[one] + few.groups[two] <= limit, many.cost[one] + few.cost[two], INFINITE)
        if len(at) and cost.min() < best:
            best, how = cost.min(), (int(cost.argmin()) + 1 + axis * rows, many, few)
    cut, first, second = how
    rects: list[IntArray] = []
    if cut == 0:
        _collect(problem, groups, few, (rows, cols), (0, 0), rects)
        return rects
    at, along = (cut, 0) if cut < rows else (cut - rows, 1)
    one_size, two_size = ((at, cols), (rows - at, cols)) if along == 0 else ((rows, at), (rows, cols - at))
    _collect(problem, groups, first, one_size, (0, 0), rects)
    _collect(problem, groups, second, two_size, (at, 0) if along == 0 else (0, at), rects)
    return rects


def _collect(
    problem: Problem,
    groups: IntArray,
    tables: Tables,
    size: tuple[int, int],
    corner: tuple[int, int],
    rects: list[IntArray],
) -> None:
    """Append the rectangles of the best partition of a rectangle, numbering groups on from those appended before."""
    todo = [(size, corner)]
    used = 1 + max((int(t[:, 0].max()) for t in rects), default=-1)
    while todo:
        (r, c), (top, left) = todo.pop()
        cut = int(tables.cut[r, c])
        if cut > problem.rows:
            width = cut - problem.rows
            todo += [((r, width), (top, left)), ((r, c - width), (top, left + width))]
        elif cut > 0:
            todo += [((cut, c), (top, left)), ((r - cut, c), (top + cut, left))]
        else:
            leaf = -1 - cut
            number = int(groups[leaf, r, c])
            table = strip_table(r, c, number, problem.size)
            if leaf >= 3:
                table = strip_table(c, r, number, problem.size)[:, [0, 3, 4, 1, 2]]
            rects.append(table + np.array([used, top, top, left, left]))
            used += 1 + int(table[:, 0].max())
