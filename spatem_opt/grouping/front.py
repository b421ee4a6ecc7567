"""Pareto front of groupings of one layer: crossbars, serial OUs, communication (M4)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from spatem_opt.errors import InstanceError
from spatem_opt.grouping import bounds, heuristic
from spatem_opt.grouping.problem import IntArray, Problem, Solution, from_table
from spatem_opt.grouping.referee import check
from spatem_opt.grouping.strips import Plan, best_plans
from spatem_opt.grouping.walk import best_walk

POINTS = 64
"""Most points of a front."""
SIZES = 64
"""Group sizes tried, spread geometrically."""


@dataclass(frozen=True, slots=True, eq=False)
class Front:
    """Mutually undominated groupings, columns of equal length, crossbars ascending.

    Parameters
    ----------
    rows, cols, blocks, row_cost, col_cost : int
        What the front is for: OU rows and columns of a block, blocks on the diagonal, bits per row and column.
    groups : int64 array, shape (points,)
        Crossbars n of one copy.
    size : int64 array
        Most OUs m on one of them: a window takes q*m cycles.
    communication : int64 array
        ``sum_g a*|rows(g)| + b*|cols(g)|`` [bits per window].
    bound : int64 array
        Certified: no grouping into at most n groups of at most m costs less.
    gap : float array
        ``communication / bound - 1``; 0 where both are 0.
    block_groups, block_size : int64 arrays
        Groups of one block and their largest size; the point itself unless ``blocks > 1``.
    per_crossbar : int64 array
        Groups of blocks that share a crossbar; 1 unless ``blocks > 1``.
    """

    rows: int
    cols: int
    blocks: int
    row_cost: int
    col_cost: int
    groups: IntArray
    size: IntArray
    communication: IntArray
    bound: IntArray
    gap: NDArray[np.float64]
    block_groups: IntArray
    block_size: IntArray
    per_crossbar: IntArray

    def __len__(self) -> int:
        return len(self.groups)

    def solve(self, point: int) -> Solution:
        """Rectangles of one point, in OUs of the whole grid; never costlier than the point promises."""
        problem = Problem(
            self.rows, self.cols, int(self.block_groups[point]), int(self.block_size[point]),
            self.row_cost, self.col_cost,
        )  # fmt: skip
        one = heuristic.solve(problem)
        assert one is not None  # the front holds feasible points only
        return one if self.blocks == 1 else diagonal(problem, one, self.blocks, int(self.per_crossbar[point]))


def diagonal(problem: Problem, one: Solution, blocks: int, per_crossbar: int) -> Solution:
    """Repeat the grouping of a block for `blocks` blocks on the diagonal, `per_crossbar` groups to a crossbar."""
    names, rank = np.unique(one.group, return_inverse=True)
    block = np.repeat(np.arange(blocks), len(one))
    table = np.tile(one.table(), (blocks, 1))
    table[:, 0] = (block * len(names) + np.tile(rank, blocks)) // per_crossbar
    table[:, 1:3] += (block * problem.rows)[:, None]
    table[:, 3:5] += (block * problem.cols)[:, None]
    return from_table(table)


def front(
    rows: int, cols: int, capacity: int, max_crossbars: int, row_cost: int, col_cost: int, *, blocks: int = 1
) -> Front:
    """Groupings worth considering for one copy of a layer.

    Parameters
    ----------
    rows, cols : int
        OU rows R and columns C of the grid (of one block of a grouped convolution).
    capacity : int
        OU slots A of a crossbar.
    max_crossbars : int
        Most crossbars one copy may use.
    row_cost, col_cost : int
        Bits per window of one OU row's inputs and one OU column's partial sums.
    blocks : int
        Blocks on the diagonal: groups G of a grouped convolution. Blocks share neither rows nor columns, so each is
        grouped alike and whole groups of several blocks share crossbars.

    Returns
    -------
    Front
        At most :data:`POINTS` points; empty if the layer does not fit on `max_crossbars` crossbars.

    Raises
    ------
    InstanceError
        If `capacity`, `max_crossbars` or `blocks` is below 1, or the grid is none.

    Notes
    -----
    Pruning: undominated points are binned by ``floor(log n / log ratio)`` and ``floor(log m / log ratio)``, the
    cheapest of every bin stays, so do the points of least n, least m and least communication; the ratio is the first of
    1.01, 1.02, 1.04, ... that leaves at most :data:`POINTS`. Whoever picks a point of the front instead of a pruned one
    pays at most that factor in crossbars and in cycles.

    Examples
    --------
    >>> f = front(rows=8, cols=8, capacity=16, max_crossbars=16, row_cost=1, col_cost=1)
    >>> f.groups[[0, -1]].tolist(), f.size[[0, -1]].tolist(), f.communication[[0, -1]].tolist()
    ([4, 16], [16, 4], [32, 64])
    """
    for name, value in (("capacity", capacity), ("max_crossbars", max_crossbars), ("blocks", blocks)):
        if value < 1:
            raise InstanceError("grouping front", name, value, "expected >= 1")
    points = _points(Problem(rows, cols, max_crossbars, capacity, row_cost, col_cost), blocks)
    table = _prune(_undominated(np.array(points, dtype=np.int64).reshape(-1, 6)))
    bound = np.array(
        [blocks * bounds.lower_bound(Problem(rows, cols, n, min(m, rows * cols), row_cost, col_cost))
         for n, m in table[:, :2].tolist()], dtype=np.int64,
    )  # fmt: skip
    gap = np.where(bound > 0, table[:, 2] / np.maximum(bound, 1) - 1, 0.0)
    groups, size, communication, block_groups, block_size, per_crossbar = table.T
    return Front(
        rows, cols, blocks, row_cost, col_cost, groups, size, communication, bound, gap,
        block_groups, block_size, per_crossbar,
    )  # fmt: skip


def _points(problem: Problem, blocks: int) -> list[tuple[int, int, int, int, int, int]]:
    """All (n, m, communication, groups and size of a block, groups per crossbar) tried."""
    points = []
    sizes = _sizes(problem, blocks).tolist()
    for m in sizes:
        for groups, size, cost in _groupings(replace(problem, size=m), wasteless=m in (sizes[0], sizes[-1])):
            for share in range(1, problem.size // size + 1) if blocks > 1 else (1,):
                crossbars = -(-groups * blocks // share)
                if crossbars <= problem.groups:
                    points.append((crossbars, share * size, blocks * cost, groups, size, share))
    return points


def _groupings(problem: Problem, *, wasteless: bool) -> set[tuple[int, int, int]]:
    """(groups, largest group, communication) of the best strips with few and with many groups.

    `wasteless`: add the walk with the fewest groups of all, needed where crossbars or slots are just enough.
    """
    fewest = -(-problem.ous // problem.size)
    limits = tuple(n for n in dict.fromkeys((problem.groups, fewest + fewest // 32, fewest)) if n >= fewest)
    plans = [plan for plan in best_plans(problem, limits) if plan is not None] if limits else []
    found = {(plan.groups, _largest(problem, plan), plan.cost) for plan in plans}
    if wasteless and limits and fewest not in {plan.groups for plan in plans}:
        walk = best_walk(replace(problem, groups=fewest))
        if walk is not None:
            verdict = check(problem, walk)
            found.add((len(verdict.sizes), int(verdict.sizes.max()), verdict.objective))
    return found


def _sizes(problem: Problem, blocks: int) -> IntArray:
    """Sizes of a group of a block, geometric from the least that fits to the largest, and all small ones."""
    least = max(1, -(-problem.ous * blocks // problem.groups)) if blocks == 1 else 1
    most = min(problem.size, problem.ous)
    if least > most:
        return np.zeros(0, dtype=np.int64)
    sizes = np.round(np.geomspace(least, most, SIZES)).astype(np.int64)
    return np.unique(np.clip(sizes, least, most))


def _largest(problem: Problem, plan: Plan) -> int:
    """Most OUs of a group of a plan."""
    rows = problem.cols if plan.transposed else problem.rows
    return max(
        -(-rows // groups) * width if groups * (problem.size // width) >= rows else problem.size
        for width, groups, _ in plan.strips
    )


def _undominated(table: IntArray) -> IntArray:
    """Rows whose first three columns no other row equals or betters, ascending."""
    table = np.unique(table, axis=0)
    keep: list[int] = []
    for i in range(len(table)):  # sorted by n: only rows before it can dominate a row
        before = table[keep, :3] if keep else np.zeros((0, 3), dtype=np.int64)
        if not (before <= table[i, :3]).all(axis=1).any():
            keep.append(i)
    return np.asarray(table[keep], dtype=np.int64)


def _prune(table: IntArray) -> IntArray:
    """Thin a front out to at most :data:`POINTS` rows, see :func:`front`."""
    step = 0.01
    while len(table) > POINTS:
        scale = np.log1p(step)
        bins = np.floor(np.log(table[:, :2]) / scale).astype(np.int64)
        order = np.lexsort((table[:, 2], bins[:, 1], bins[:, 0]))
        _, first = np.unique(bins[order], axis=0, return_index=True)
        ends = table[:, :3].argmin(axis=0)
        kept = np.union1d(order[first], ends)
        if len(kept) <= POINTS:
            return np.asarray(table[kept], dtype=np.int64)
        step *= 2
    return np.asarray(table, dtype=np.int64)
