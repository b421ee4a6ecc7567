"""Column generation for good prices (``README.md``, section Prices): engines solve the small linear programs."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

import numpy as np

from formulations.grouping.dual_bound import (
    SCALE,
    DualPrices,
    PricingLimit,
    best_group,
    best_line,
    evaluate,
    first_prices,
)
from formulations.grouping.patterns import Pattern, full, grow, line_patterns, per_line
from formulations.grouping.program import Floats, Program, ProgramAnswer
from formulations.solver import Limits
from spatem_opt.grouping.problem import GroupingProblem, GroupingSolution
from spatem_opt.types import NEVER, IntArray

TOGETHER = 30
"""Groups added to the linear program at once."""
INNER = 0.5
"""Weight of the best prices so far in those tried next: the prices of a small linear program alone swing wildly."""

Solve = Callable[[Program], ProgramAnswer]
"""Solver of linear programs."""


@dataclass(slots=True)
class Generation:
    """Column generation: the profile's linear relaxation with the groups and lines found so far.

    Parameters
    ----------
    problem : GroupingProblem
    node : tuple of PricingLimit
        Limits on numbers of groups.
    penalty : int
        Cost of a group that a limit asks for in vain, so that there always is a solution.
    program : Program
    known : dict of key to int
        Variable of a group (pattern of rows, of columns) or of a line (axis, pattern).
    """

    problem: GroupingProblem
    node: tuple[PricingLimit, ...] = ()
    penalty: int = 0
    program: Program = field(default_factory=Program)
    known: dict[tuple[Pattern, Pattern] | tuple[int, Pattern], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        p, program = self.problem, self.program
        for axis, most in enumerate((min(p.size, p.cols), min(p.size, p.rows))):
            for k in range(1, most + 1):
                program.add_row((axis, k), 0)
            for k in range(2, most + 1):  # a piece may serve as a smaller one
                program.add(0, {(axis, k): -1, (axis, k - 1): 1})
        for key, least in (("row", p.rows), ("col", p.cols), ("least", -(-p.ous // p.size)), ("most", -p.groups)):
            program.add_row(key, least)
        for limit in self.node:
            program.add_row(limit, limit.sense * limit.count)
            program.add(self.penalty, {limit: 1})

    def below(self, node: tuple[PricingLimit, ...], penalty: int) -> Generation:
        """The same groups and lines within other limits."""
        made = Generation(self.problem, node, penalty)
        for first, second in self.known:
            if isinstance(first, int):
                made.add_line(first, second)
            else:
                made.add_group(first, second)
        return made

    def add_group(self, rows: Pattern, cols: Pattern) -> bool:
        """Add groups with these OUs per row and per column; False if known."""
        p = self.problem
        entries: dict[Hashable, int] = {(0, k): rows.count(k) for k in set(rows)}
        entries |= {(1, k): cols.count(k) for k in set(cols)} | {"least": 1, "most": -1}
        entries |= {limit: limit.sense for limit in self.node if limit.counts((len(rows), len(cols)))}
        return self._add((rows, cols), p.row_cost * len(rows) + p.col_cost * len(cols), entries)

    def add_line(self, axis: int, pieces: Pattern) -> bool:
        """Add lines of an axis that are shared out in these pieces; False if known."""
        entries: dict[Hashable, int] = {(axis, k): -pieces.count(k) for k in set(pieces)}
        return self._add((axis, pieces), 0, entries | {("row", "col")[axis]: 1})

    def _add(self, key: tuple[Pattern, Pattern] | tuple[int, Pattern], cost: int, entries: dict[Hashable, int]) -> bool:
        if key in self.known:
            return False
        self.known[key] = len(self.program.cost)
        self.program.add(cost, entries)
        return True

    def prices(self, dual: Floats) -> tuple[IntArray, IntArray]:
        """Prices of pieces of rows and of columns: dual values of their balances, rounded, not falling."""
        most = min(self.problem.size, self.problem.cols)
        both = []
        for balances in (dual[:most], dual[most : self.program.rows["row"]]):
            rounded = np.concatenate(([0.0], np.round(SCALE * np.maximum(balances, 0.0))))
            both.append(np.asarray(np.maximum.accumulate(rounded), dtype=np.int64))
        return both[0], both[1]

    def limits(self, dual: Floats) -> tuple[int, ...]:
        """Prices of the node's limits: dual values, rounded."""
        return tuple(max(0, round(SCALE * float(dual[self.program.rows[limit]]))) for limit in self.node)

    def add_best(self, prices: DualPrices) -> bool:
        """Add the groups that are worth most beyond their cost, and the lines that are worth least."""
        p, new = self.problem, False
        for axis, side in enumerate(prices.axes):
            new |= self.add_line(axis, best_line(side))
        order = np.argsort(prices.reduced, axis=None, kind="stable")[:TOGETHER]
        for r, c in zip(*(x.tolist() for x in np.unravel_index(order, prices.reduced.shape)), strict=True):
            if prices.reduced[r, c] < NEVER:
                ous = full(p, (r, c))
                new |= self.add_group(best_group(prices.axes[0], r, c, ous), best_group(prices.axes[1], c, r, ous))
        return new

    def add_solution(self, solution: GroupingSolution) -> None:
        """Add the groups and lines of a grouping, so that the linear program has a solution."""
        labels, table = solution.labels(self.problem), solution.table()
        table = table[np.argsort(table[:, 0], kind="stable")]
        for own in np.split(table, np.flatnonzero(np.diff(table[:, 0])) + 1):
            window = labels[own[:, 1].min() : own[:, 2].max(), own[:, 3].min() : own[:, 4].max()] == own[0, 0]
            rows, cols = per_line(window, 0), per_line(window, 1)
            ous = full(self.problem, (len(rows), len(cols)))
            self.add_group(grow(rows, ous, len(cols)), grow(cols, ous, len(rows)))
        for axis in (0, 1):
            for pattern in line_patterns(labels, axis):
                self.add_line(axis, pattern)


@dataclass(frozen=True, slots=True, eq=False)
class BranchNode:
    """What column generation found out.

    Parameters
    ----------
    prices : DualPrices
        The best.
    work : Generation
        All groups and lines found.
    value : float array or None
        Solution of the last linear program.
    """

    prices: DualPrices
    work: Generation
    value: Floats | None


def generate(
    problem: GroupingProblem, start: GroupingSolution, target: int, solve: Solve, limits: Limits, *, rounds: int = 1000
) -> BranchNode:
    """The best prices found by column generation.

    Parameters
    ----------
    problem : GroupingProblem
        :func:`formulations.grouping.dual_bound.within_reach`.
    start : GroupingSolution
    target : int
        Bound that is enough [bits per window].
    solve : function
        Of an engine.
    limits : Limits
        The bound holds however early it ends.
    rounds : int
        Most linear programs.
    """
    work = Generation(problem)
    work.add_solution(start)
    return descend(work, evaluate(problem, first_prices(problem)), target, solve, limits, rounds)


def descend(
    work: Generation, best: DualPrices, target: int, solve: Solve, limits: Limits, rounds: int = 1000
) -> BranchNode:
    """Column generation from prices, of the same limits, that are known."""
    begin, problem, new, value = time.monotonic(), work.problem, True, None
    for _ in range(rounds):
        if not new or best.bound(problem) >= target or limits.over(begin):
            break
        work.add_best(best)
        answer = solve(work.program)
        value = answer.value
        for weight in (INNER, 0.0):
            tried = _mixed(work, weight, best, answer.dual)
            new = work.add_best(tried)
            best = max(best, tried, key=lambda prices: prices.value)
            if new:
                break
    return BranchNode(best, work, value)


def _mixed(work: Generation, weight: float, inner: DualPrices, dual: Floats) -> DualPrices:
    """Prices between the best ones and those of a linear program."""
    rows, cols = (
        np.round(weight * axis.price + (1 - weight) * price).astype(np.int64)
        for axis, price in zip(inner.axes, work.prices(dual), strict=True)
    )
    paid = tuple(
        round(weight * old + (1 - weight) * new) for old, new in zip(inner.limits, work.limits(dual), strict=True)
    )
    return evaluate(work.problem, (rows, cols), work.node, paid)
