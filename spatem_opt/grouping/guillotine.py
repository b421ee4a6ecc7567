"""Best partition of a small grid into rectangles by straight cuts from side to side, by dynamic programming."""

from __future__ import annotations

import numpy as np

from spatem_opt.grouping.problem import IntArray, Problem, Solution, from_table
from spatem_opt.grouping.strips import INFINITE, strip_cost, strip_table

STATES = 40_000
"""Largest R * C * n * (R + C) * n / 16 worth a second of dynamic programming."""


def solve(problem: Problem) -> Solution | None:
    """Cheapest guillotine partition whose pieces are strips (one group, or several sharing rows) in either direction.

    Returns
    -------
    Solution or None
        None if there is none, or the grid is too large.
    """
    rows, cols = problem.rows, problem.cols
    groups = min(problem.groups, problem.ous)
    if rows * cols * groups * (rows + cols) > STATES * 16:
        return None
    value, cut = _tables(problem, groups)
    best = int(value[rows, cols].argmin())
    if value[rows, cols, best] >= INFINITE:
        return None
    rects: list[IntArray] = []
    _collect(problem, value, cut, (rows, cols, best), (0, 0), rects)
    return from_table(np.concatenate(rects))


def _tables(problem: Problem, groups: int) -> tuple[IntArray, IntArray]:
    """Least cost of an r x c rectangle in exactly g groups, and how: axis, position and groups of the first part."""
    shape = (problem.rows + 1, problem.cols + 1, groups + 1)
    value = np.full(shape, INFINITE)
    cut = np.zeros((*shape, 3), dtype=np.int64)
    for r in range(1, shape[0]):
        for c in range(1, shape[1]):
            _leaf(problem, r, c, value, cut)
            for axis, extent in ((1, r), (2, c)):
                for at in range(1, extent // 2 + 1):
                    first = value[at, c] if axis == 1 else value[r, at]
                    second = value[r - at, c] if axis == 1 else value[r, c - at]
                    _join(value[r, c], cut[r, c], first, second, (axis, at))
    return value, cut


def _leaf(problem: Problem, r: int, c: int, value: IntArray, cut: IntArray) -> None:
    """One strip across the whole rectangle, downwards (cut 3) or sideways (cut 4)."""
    g = np.arange(1, value.shape[2])
    down = Problem(r, c, problem.groups, problem.size, problem.row_cost, problem.col_cost)
    for code, q in ((3, down), (4, down.transposed())):
        if q.cols <= q.size:
            cost = strip_cost(q, np.full(len(g), q.cols), g)
            cost = np.where(g <= q.rows, cost, INFINITE)
            better = cost < value[r, c, 1:]
            value[r, c, 1:][better] = cost[better]
            cut[r, c, 1:][better] = (code, 0, 0)


def _join(value: IntArray, cut: IntArray, first: IntArray, second: IntArray, how: tuple[int, int]) -> None:
    """Improve `value` [per number of groups] by putting two parts side by side."""
    for g in np.flatnonzero(first < INFINITE).tolist():
        total = first[g] + second[: len(value) - g]
        better = np.flatnonzero(total < value[g:])
        value[g + better] = total[better]
        cut[g + better] = (*how, g)


def _collect(
    problem: Problem,
    value: IntArray,
    cut: IntArray,
    state: tuple[int, int, int],
    corner: tuple[int, int],
    rects: list[IntArray],
) -> None:
    """Append the rectangles of the best partition of a state, numbering groups on from those appended before."""
    r, c, g = state
    code, at, part = cut[r, c, g].tolist()
    if code in (1, 2):
        one = (at, c, part) if code == 1 else (r, at, part)
        two = (r - at, c, g - part) if code == 1 else (r, c - at, g - part)
        _collect(problem, value, cut, one, corner, rects)
        shifted = (corner[0] + at, corner[1]) if code == 1 else (corner[0], corner[1] + at)
        _collect(problem, value, cut, two, shifted, rects)
        return
    table = strip_table(r, c, g, problem.size) if code == 3 else strip_table(c, r, g, problem.size)
    table = table[:, [0, 1, 2, 3, 4]] if code == 3 else table[:, [0, 3, 4, 1, 2]]
    used = 1 + max((int(t[:, 0].max()) for t in rects), default=-1)
    rects.append(table + np.array([used, corner[0], corner[0], corner[1], corner[1]]))
