"""Simulated annealing over the groups of single OUs, for small grids."""

from __future__ import annotations

import math
import random

import numpy as np

from spatem_opt.grouping import bounds
from spatem_opt.grouping.problem import GroupingProblem, GroupingSolution, from_labels
from spatem_opt.grouping.referee import objective

LARGEST = 144
"""Most OUs worth annealing."""
STEPS = 20_000
"""Moves tried per run; about 0.1 s."""


def improve(
    problem: GroupingProblem, solution: GroupingSolution, *, seed: int, steps: int = STEPS, target: int = 0
) -> GroupingSolution:
    """Move and exchange single OUs between groups, accepting worse with falling probability; returns the best seen.

    Parameters
    ----------
    problem : GroupingProblem
    solution : GroupingSolution
        Feasible.
    seed : int
    steps : int
    target : int
        A proven bound: the search ends there.
    """
    state = _State(problem, solution.labels(problem).ravel().tolist())
    rng = random.Random(seed)
    target = max(target, bounds.lower_bound(problem))
    best, best_cost = list(state.label), state.cost
    hot = 0.16 * (problem.row_cost + problem.col_cost)  # of 0.1 .. 0.5 and several ways to cool, about the best
    for step in range(steps):
        temperature = hot * (1 - step / steps)
        before = state.cost
        undo = state.propose(rng)
        if state.cost > before and rng.random() >= math.exp((before - state.cost) / temperature):
            for ou, group in undo:
                state.move(ou, group)
        elif state.cost < best_cost:
            best, best_cost = list(state.label), state.cost
            if best_cost <= target:
                break
    better = from_labels(np.array(best, dtype=np.int64).reshape(problem.rows, problem.cols))
    return better if objective(problem, better) < objective(problem, solution) else solution


class _State:
    """Groups of all OUs with the counts that make a move O(1)."""

    def __init__(self, problem: GroupingProblem, label: list[int]) -> None:
        self.problem = problem
        self.groups = min(problem.groups, problem.ous)
        self.label = label
        self.size = [0] * self.groups
        self.in_row = [[0] * problem.rows for _ in range(self.groups)]
        self.in_col = [[0] * problem.cols for _ in range(self.groups)]
        self.cost = 0
        for ou, group in enumerate(label):
            self._add(ou, group)

    def _add(self, ou: int, group: int) -> None:
        row, col = divmod(ou, self.problem.cols)
        rows, cols = self.in_row[group], self.in_col[group]
        self.cost += self.problem.row_cost * (rows[row] == 0) + self.problem.col_cost * (cols[col] == 0)
        rows[row] += 1
        cols[col] += 1
        self.size[group] += 1
        self.label[ou] = group

    def _remove(self, ou: int) -> None:
        row, col = divmod(ou, self.problem.cols)
        group = self.label[ou]
        rows, cols = self.in_row[group], self.in_col[group]
        rows[row] -= 1
        cols[col] -= 1
        self.cost -= self.problem.row_cost * (rows[row] == 0) + self.problem.col_cost * (cols[col] == 0)
        self.size[group] -= 1

    def move(self, ou: int, group: int) -> None:
        """Put one OU into another group."""
        self._remove(ou)
        self._add(ou, group)

    def propose(self, rng: random.Random) -> list[tuple[int, int]]:
        """Move an OU to a group of its row or column (rarely: any); if that is full, exchange it with one there."""
        cols = self.problem.cols
        ou = rng.randrange(len(self.label))
        row, col = divmod(ou, cols)
        kind = rng.random()
        if kind < 0.45:
            group = self.label[row * cols + rng.randrange(cols)]
        elif kind < 0.9:
            group = self.label[rng.randrange(self.problem.rows) * cols + col]
        else:
            group = rng.randrange(self.groups)
        old = self.label[ou]
        if group == old:
            return []
        undo = [(ou, old)]
        self.move(ou, group)
        if self.size[group] > self.problem.size:
            other = rng.choice([o for o, g in enumerate(self.label) if g == group and o != ou] or [ou])
            undo.insert(0, (other, group))
            self.move(other, old)
        return undo
