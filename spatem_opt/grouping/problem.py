"""OU grouping: the problem and its solutions (M4, ``formulations/grouping/README.md``)."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from spatem_opt.errors import InstanceError
from spatem_opt.types import IntArray


@dataclass(frozen=True, slots=True)
class GroupingProblem:
    """Partition an ``R x C`` grid of OUs into at most ``n`` groups of at most ``m``, touching few rows and columns.

    A group is what one crossbar holds of a copy. It needs the inputs of its distinct OU rows and emits the partial
    sums of its distinct OU columns.

    Parameters
    ----------
    rows, cols : int
        OU rows R and OU columns C of the grid, >= 1. Every OU exists (see Notes).
    groups : int
        Most groups n (crossbars), >= 1.
    size : int
        Most OUs m of a group (serial OUs of a window, at most the OU slots of a crossbar), >= 1.
    row_cost, col_cost : int
        Cost of one OU row (inputs of an OU row, a) and one OU column (partial sums of an OU column, b) per group that
        touches it [bits per window], >= 0.

    Raises
    ------
    InstanceError
        If a field lies outside its range.

    Notes
    -----
    *Grouped convolutions* have a block diagonal grid. Two blocks share neither rows nor columns, so a crossbar that
    holds parts of two blocks costs the sum of the parts: every block is a problem of its own, and whole groups of
    different blocks may share a crossbar while slots last.

    *Missing OUs* (parallel windows): a grouping of the full grid stays one when OUs are dropped, and costs no more.

    Examples
    --------
    >>> GroupingProblem(rows=4, cols=4, groups=4, size=4, row_cost=1, col_cost=1).feasible
    True
    """

    rows: int
    cols: int
    groups: int
    size: int
    row_cost: int
    col_cost: int

    def __post_init__(self) -> None:
        for field in fields(self):
            value, least = getattr(self, field.name), 0 if field.name.endswith("cost") else 1
            if isinstance(value, bool) or not isinstance(value, int):
                raise InstanceError("grouping problem", field.name, value, "expected an integer")
            if value < least:
                raise InstanceError("grouping problem", field.name, value, f"expected >= {least}")

    @property
    def ous(self) -> int:
        """OUs of the grid, R * C."""
        return self.rows * self.cols

    @property
    def feasible(self) -> bool:
        """Whether any grouping exists: n * m >= R * C."""
        return self.groups * self.size >= self.ous

    def transposed(self) -> GroupingProblem:
        """The same problem with rows and columns exchanged."""
        return GroupingProblem(self.cols, self.rows, self.groups, self.size, self.col_cost, self.row_cost)


@dataclass(frozen=True, slots=True, eq=False)
class GroupingSolution:
    """Rectangles of OUs, columns of equal length, half open; a group may consist of several rectangles.

    Parameters
    ----------
    group, row_start, row_stop, col_start, col_stop : int64 arrays, shape (rectangles,)
    """

    group: IntArray
    row_start: IntArray
    row_stop: IntArray
    col_start: IntArray
    col_stop: IntArray

    def __len__(self) -> int:
        return len(self.group)

    def transposed(self) -> GroupingSolution:
        """The same grouping of the grid with rows and columns exchanged."""
        return GroupingSolution(self.group, self.col_start, self.col_stop, self.row_start, self.row_stop)

    def labels(self, problem: GroupingProblem) -> IntArray:
        """Group of every OU, shape (rows, cols); -1 where no rectangle is. For small grids.

        Raises
        ------
        IndexError
            If a rectangle leaves the grid.
        """
        grid = np.full((problem.rows, problem.cols), -1, dtype=np.int64)
        for g, top, bottom, left, right in self.table().tolist():
            if not (0 <= top <= bottom <= problem.rows and 0 <= left <= right <= problem.cols):
                raise IndexError(f"rectangle rows {top}..{bottom}, cols {left}..{right} leaves the grid")
            grid[top:bottom, left:right] = g
        return grid

    def table(self) -> IntArray:
        """The columns side by side, shape (rectangles, 5)."""
        return np.stack([self.group, self.row_start, self.row_stop, self.col_start, self.col_stop], axis=1)


def from_labels(labels: IntArray) -> GroupingSolution:
    """Solution of a small grid given the group of every OU: maximal runs of equal rows of equal runs.

    Parameters
    ----------
    labels : int64 array, shape (rows, cols)
    """
    open_runs: dict[tuple[int, int, int], int] = {}
    rects: list[tuple[int, int, int, int, int]] = []
    for i, row in enumerate([*labels.tolist(), []]):
        cuts = [j for j in range(len(row)) if j == 0 or row[j] != row[j - 1]]
        runs = {(row[j], j, stop) for j, stop in zip(cuts, [*cuts[1:], len(row)][: len(cuts)], strict=True)}
        for run in [r for r in open_runs if r not in runs]:
            rects.append((run[0], open_runs.pop(run), i, run[1], run[2]))
        for run in sorted(runs):
            open_runs.setdefault(run, i)
    return from_table(np.array(sorted(rects), dtype=np.int64).reshape(-1, 5))


def from_table(table: IntArray) -> GroupingSolution:
    """Solution of a table of columns group, row_start, row_stop, col_start, col_stop."""
    return GroupingSolution(table[:, 0], table[:, 1], table[:, 2], table[:, 3], table[:, 4])
