"""Checks a grouping and computes its objective, without a solver and without looking at how it was made."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spatem_opt.grouping.problem import GroupingProblem, GroupingSolution
from spatem_opt.types import IntArray

FAMILIES = ("shape", "groups", "cover", "size")


@dataclass(frozen=True, slots=True)
class GroupingVerdict:
    """All violations as (family, message), and the objective.

    Parameters
    ----------
    violations : tuple of (str, str)
    objective : int
        Communication ``sum_g a*|rows(g)| + b*|cols(g)|`` [bits per window]; 0 if the rectangles make no sense.
    sizes : int64 array, shape (groups,)
        OUs of every group.
    """

    violations: tuple[tuple[str, str], ...]
    objective: int
    sizes: IntArray


def check(problem: GroupingProblem, solution: GroupingSolution) -> GroupingVerdict:
    """Every violated constraint of a grouping, by family, and its objective.

    Families: ``shape`` (columns of equal length, rectangles non-empty and inside the grid), ``groups`` (numbers
    0..n-1), ``cover`` (every OU exactly once), ``size`` (at most m OUs per group).
    """
    columns = [solution.group, solution.row_start, solution.row_stop, solution.col_start, solution.col_stop]
    none = np.zeros(0, dtype=np.int64)
    if len({len(column) for column in columns}) != 1:
        return GroupingVerdict((("shape", f"columns of lengths {[len(c) for c in columns]}"),), 0, none)
    bad = _outside(problem, solution)
    if bad:
        return GroupingVerdict(tuple(bad), 0, none)
    unknown = solution.group[(solution.group < 0) | (solution.group >= problem.groups)]
    bad = [("groups", f"group {g}, expected 0..{problem.groups - 1}") for g in np.unique(unknown).tolist()]
    bad += _cover(problem, solution)
    _, index = np.unique(solution.group, return_inverse=True)
    area = (solution.row_stop - solution.row_start) * (solution.col_stop - solution.col_start)
    sizes = np.zeros(int(index.max()) + 1 if len(index) else 0, dtype=np.int64)
    np.add.at(sizes, index, area)
    names = np.unique(solution.group)
    bad += [
        ("size", f"group {names[i]} has {sizes[i]} OUs, at most {problem.size}")
        for i in np.flatnonzero(sizes > problem.size).tolist()
    ]
    return GroupingVerdict(tuple(bad), objective(problem, solution), sizes)


def objective(problem: GroupingProblem, solution: GroupingSolution) -> int:
    """``sum_g a*|rows(g)| + b*|cols(g)|`` [bits per window]."""
    rows = distinct(solution.group, solution.row_start, solution.row_stop)
    cols = distinct(solution.group, solution.col_start, solution.col_stop)
    return problem.row_cost * rows + problem.col_cost * cols


def distinct(group: IntArray, start: IntArray, stop: IntArray) -> int:
    """Sum over groups of the length of the union of the group's intervals."""
    if len(group) == 0:
        return 0
    order = np.lexsort((start, group))
    group, start, stop = group[order], start[order], stop[order]
    # One number line for all groups: each is shifted past everything before it, so one running maximum serves all.
    low = int(start.min())
    span = int(stop.max()) - low + 1
    _, rank = np.unique(group, return_inverse=True)
    begin, end = rank * span + start - low, rank * span + stop - low
    reach = np.concatenate(([-1], np.maximum.accumulate(end)[:-1]))
    return int(np.maximum(0, end - np.maximum(begin, reach)).sum())


def _outside(problem: GroupingProblem, solution: GroupingSolution) -> list[tuple[str, str]]:
    """Rectangles that are empty or leave the grid."""
    wrong = (solution.row_start < 0) | (solution.row_stop > problem.rows) | (solution.row_start >= solution.row_stop)
    wrong |= (solution.col_start < 0) | (solution.col_stop > problem.cols) | (solution.col_start >= solution.col_stop)
    table = solution.table()
    return [
        ("shape", "group {}: rectangle rows {}..{}, cols {}..{} empty or outside".format(*table[i].tolist()))
        for i in np.flatnonzero(wrong).tolist()
    ]


def _cover(problem: GroupingProblem, solution: GroupingSolution) -> list[tuple[str, str]]:
    """OUs that lie in no rectangle or in several, by 2-D differences: time and memory O(rectangles + OUs)."""
    change = np.zeros((problem.rows + 1, problem.cols + 1), dtype=np.int32)
    np.add.at(change, (solution.row_start, solution.col_start), 1)
    np.add.at(change, (solution.row_stop, solution.col_stop), 1)
    np.add.at(change, (solution.row_start, solution.col_stop), -1)
    np.add.at(change, (solution.row_stop, solution.col_start), -1)
    count = change.cumsum(axis=0).cumsum(axis=1)[:-1, :-1]
    wrong = np.argwhere(count != 1)
    return [("cover", f"OU ({i}, {j}) is in {count[i, j]} rectangles, expected 1") for i, j in wrong[:100].tolist()] + (
        [("cover", f"and {len(wrong) - 100} more OUs")] if len(wrong) > 100 else []
    )
