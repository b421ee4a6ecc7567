"""Groupings that waste no slot: walk the grid strip by strip and cut every m OUs. Fits whenever n*m >= R*C."""

from __future__ import annotations

import numpy as np

from spatem_opt.grouping.problem import GroupingProblem, GroupingSolution, from_table
from spatem_opt.grouping.referee import objective
from spatem_opt.types import IntArray

TRIES = 1
"""Numbers of strips tried on either side of the best width on paper, in either orientation."""


def best_serpentine(problem: GroupingProblem) -> GroupingSolution | None:
    """The cheapest walk around the width that would be best without rounding, sqrt(a*m/b).

    Returns
    -------
    GroupingSolution or None
        None if n*m < R*C.
    """
    if not problem.feasible:
        return None
    best: tuple[int, GroupingSolution] | None = None
    for transposed in (False, True):
        q = problem.transposed() if transposed else problem
        ideal = (max(q.row_cost, 1) * q.size / max(q.col_cost, 1)) ** 0.5
        middle = max(1, round(q.cols / max(1.0, ideal)))
        for count in range(max(1, middle - TRIES), min(q.cols, middle + TRIES) + 1):
            solution = serpentine(q, count)
            cost = objective(q, solution)
            if best is None or cost < best[0]:
                best = cost, solution.transposed() if transposed else solution
    return None if best is None else best[1]


def serpentine(problem: GroupingProblem, count: int) -> GroupingSolution:
    """Cut a walk over `count` strips of columns, as equal as possible, downwards and upwards in turn, every m OUs."""
    left = np.arange(count + 1) * problem.cols // count
    bounds = left * problem.rows
    cuts = np.unique(np.concatenate((np.arange(0, problem.ous, problem.size), bounds)))
    start, stop = cuts[:-1], cuts[1:]
    strip = np.searchsorted(bounds, start, side="right") - 1
    return from_table(_runs(problem, left, strip, start // problem.size, start - bounds[strip], stop - bounds[strip]))


def _runs(
    problem: GroupingProblem, left: IntArray, strip: IntArray, group: IntArray, start: IntArray, stop: IntArray
) -> IntArray:
    """Rectangles of runs of OUs start..stop within a strip: a part of a row, whole rows, a part of a row."""
    width = left[strip + 1] - left[strip]
    top, bottom = -(-start // width), stop // width
    inside = top > bottom  # within one row
    head = np.where(inside, stop - start, top * width - start)
    first = start // width
    zero = np.zeros_like(start)
    begin = start - first * width
    parts = [
        np.stack([group, first, first + 1, begin, begin + head, strip], axis=1)[head > 0],
        np.stack([group, top, bottom, zero, width, strip], axis=1)[bottom > top],
        np.stack([group, bottom, bottom + 1, zero, stop - bottom * width, strip], axis=1)[
            ~inside & (stop > bottom * width)
        ],
    ]
    table = np.concatenate(parts)
    table[:, 3:5] += left[table[:, 5]][:, None]
    upwards = table[:, 5] % 2 == 1
    table[upwards, 1:3] = problem.rows - table[upwards, 2:0:-1]
    return table[:, :5]
