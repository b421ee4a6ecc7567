"""Prices of pieces: a certified bound by column generation, and what it rules out (``README.md``, section Prices).

Any prices of the pieces of rows and of columns prove a bound, by exact dynamic programming on integers, whoever made
them. The engines only solve the small linear programs that lead to good prices.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from formulations.grouping.profile import LIMIT, Arc, Pattern, Profile, Side, full, grow, line_patterns, per_line
from formulations.grouping.program import Program
from formulations.solver import Limits
from spatem_opt.grouping.problem import IntArray, Problem, Solution

SCALE = 2**16
"""Prices are integers in units of 1/SCALE bits."""
REACH = 4_000_000
"""Most states of the dynamic program of an axis; larger groups have no prices."""
NONE = -(2**60)
"""Value of what cannot be."""
TOGETHER = 30
"""Groups added to the linear program at once."""
INNER = 0.5
"""Weight of the best prices so far in those tried next: the prices of a small linear program alone swing wildly."""

Floats = NDArray[np.float64]


Solve = Callable[[Program], Floats]
"""Dual values, shape (rows,), of a linear program; any will do, optimal ones do well."""


@dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """What prices make of one axis.

    Parameters
    ----------
    price : int64 array, shape (most + 1,)
        Of a piece of k OUs: 0 for none, not falling.
    group : int64 array, shape (most + 1, parts + 1, m + 1)
        Highest value of exactly r pieces of at most c OUs that sum up to exactly k, at [c, r, k].
    line : int64 array, shape (length + 1,)
        Lowest value of the pieces that k OUs of a line are shared out in.
    """

    price: IntArray
    group: IntArray
    line: IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Prices:
    """Prices of both axes with what they prove.

    Parameters
    ----------
    axes : (Axis, Axis)
        Rows, columns.
    reduced : int64 array, shape (rows + 1, cols + 1)
        Least cost less value of a group by its shape; ``-NONE`` where there is none.
    fee : int
        What a group costs beyond that, ``-min reduced``; paid at most n times, saved at least ceil(RC/m) times.
    value : int
        Proven: no grouping costs less [1/SCALE bits].
    """

    axes: tuple[Axis, Axis]
    reduced: IntArray
    fee: int
    value: int

    def bound(self, problem: Problem) -> int:
        """The bound [bits per window], up to the next cost that there can be."""
        step = math.gcd(problem.row_cost, problem.col_cost) or 1
        return -(-self.value // (SCALE * step)) * step


def within_reach(problem: Problem) -> bool:
    """Whether the dynamic programs of both axes stay within :data:`REACH`."""
    most = min(problem.size, problem.ous)
    return (min(problem.rows, most) + 1) * (min(problem.cols, most) + 1) * (most + 1) <= REACH


def evaluate(problem: Problem, price: tuple[IntArray, IntArray]) -> Prices:
    """Tables and bound of any prices (``README.md``, Prices)."""
    p, most = problem, min(problem.size, problem.ous)
    axes = _axis(price[0], p.rows, p.cols, most), _axis(price[1], p.cols, p.rows, most)
    r, c = np.ogrid[: min(p.rows, most) + 1, : min(p.cols, most) + 1]
    ous = np.minimum(most, r * c)
    value = axes[0].group[c, r, ous] + axes[1].group[r, c, ous]
    there = (r > 0) & (c > 0) & (np.maximum(r, c) <= ous)
    reduced = np.where(there, SCALE * (p.row_cost * r + p.col_cost * c) - value, -NONE)
    fee = -int(reduced.min())
    groups = min(p.groups, p.ous) if fee > 0 else -(-p.ous // most)
    lines = p.rows * int(axes[0].line[-1]) + p.cols * int(axes[1].line[-1])
    return Prices(axes, reduced, fee, lines - groups * fee)


def _axis(price: IntArray, lines: int, length: int, size: int) -> Axis:
    """Tables of one axis: the largest piece of a group first, the pieces of a line one by one."""
    most = len(price) - 1
    group = np.full((most + 1, min(lines, size) + 1, size + 1), NONE)
    group[:, 0, 0] = 0
    rest = np.arange(size + 1) - np.arange(most + 1)[:, None]
    for r in range(1, group.shape[1]):
        first = np.take_along_axis(group[:, r - 1], np.maximum(rest, 0), axis=1) + price[:, None]
        first[rest < 0] = NONE
        first[0] = NONE
        group[:, r] = np.maximum.accumulate(first, axis=0)
    line = np.zeros(length + 1, dtype=np.int64)
    for k in range(1, length + 1):
        piece = np.arange(1, min(most, k) + 1)
        line[k] = (line[k - piece] + price[piece]).min()
    return Axis(price, group, line)


def first_prices(problem: Problem) -> tuple[IntArray, IntArray]:
    """Prices that prove the bound `lines` for rows: ``a + (b/m) k**2`` for a piece of k OUs of a row, columns free."""
    most = min(problem.size, problem.ous)
    rows, cols = (np.arange(min(length, most) + 1) for length in (problem.cols, problem.rows))
    price = SCALE * problem.row_cost + SCALE * problem.col_cost * rows**2 // most
    price[0] = 0
    return price, 0 * cols


@dataclass(slots=True)
class Generation:
    """Column generation: the profile's linear relaxation with the groups and lines found so far, and their keys."""

    problem: Problem
    program: Program = field(default_factory=Program)
    known: set[Hashable] = field(default_factory=set)

    def __post_init__(self) -> None:
        p, program = self.problem, self.program
        for axis, most in enumerate((min(p.size, p.cols), min(p.size, p.rows))):
            for k in range(1, most + 1):
                program.add_row((axis, k), 0)
            for k in range(2, most + 1):  # a piece may serve as a smaller one
                program.add(0, {(axis, k): -1, (axis, k - 1): 1})
        for key, least in (("row", p.rows), ("col", p.cols), ("least", -(-p.ous // p.size)), ("most", -p.groups)):
            program.add_row(key, least)

    def add_group(self, rows: Pattern, cols: Pattern) -> bool:
        """Add groups with these OUs per row and per column; False if known."""
        p = self.problem
        entries: dict[Hashable, int] = {(0, k): rows.count(k) for k in set(rows)}
        entries |= {(1, k): cols.count(k) for k in set(cols)} | {"least": 1, "most": -1}
        return self._add((rows, cols), p.row_cost * len(rows) + p.col_cost * len(cols), entries)

    def add_line(self, axis: int, pieces: Pattern) -> bool:
        """Add lines of an axis that are shared out in these pieces; False if known."""
        entries: dict[Hashable, int] = {(axis, k): -pieces.count(k) for k in set(pieces)}
        return self._add((axis, pieces), 0, entries | {("row", "col")[axis]: 1})

    def _add(self, key: Hashable, cost: int, entries: dict[Hashable, int]) -> bool:
        if key in self.known:
            return False
        self.known.add(key)
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

    def add_best(self, prices: Prices) -> bool:
        """Add the groups that are worth most beyond their cost, and the lines that are worth least."""
        p, new = self.problem, False
        for axis, side in enumerate(prices.axes):
            new |= self.add_line(axis, best_line(side))
        order = np.argsort(prices.reduced, axis=None, kind="stable")[:TOGETHER]
        for r, c in zip(*(x.tolist() for x in np.unravel_index(order, prices.reduced.shape)), strict=True):
            if prices.reduced[r, c] < -NONE:
                ous = full(p, (r, c))
                new |= self.add_group(best_group(prices.axes[0], r, c, ous), best_group(prices.axes[1], c, r, ous))
        return new

    def add_solution(self, solution: Solution) -> None:
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


def best_group(axis: Axis, pieces: int, most: int, ous: int) -> Pattern:
    """A group that ``axis.group[most, pieces, ous]`` is the value of."""
    found = []
    for left in range(pieces, 0, -1):
        most = int(axis.group[: most + 1, left, ous].argmax())  # the smallest largest piece that does
        found.append(most)
        ous -= most
    return tuple(found)


def best_line(axis: Axis) -> Pattern:
    """A line that ``axis.line[-1]`` is the value of."""
    left, found = len(axis.line) - 1, []
    while left:
        piece = np.arange(1, min(len(axis.price) - 1, left) + 1)
        found.append(1 + int((axis.line[left - piece] + axis.price[piece]).argmin()))
        left -= found[-1]
    return tuple(sorted(found, reverse=True))


def generate(
    problem: Problem, start: Solution, target: int, solve: Solve, limits: Limits, *, rounds: int = 1000
) -> Prices:
    """The best prices found by column generation.

    Parameters
    ----------
    problem : Problem
        :func:`within_reach`.
    start : Solution
    target : int
        Bound that is enough [bits per window].
    solve : function
        Of an engine.
    limits : Limits
        The bound holds however early it ends.
    rounds : int
        Most linear programs.
    """
    begin, work = time.monotonic(), Generation(problem)
    work.add_solution(start)
    best, new = evaluate(problem, first_prices(problem)), True
    for _ in range(rounds):
        if not new or best.bound(problem) >= target or limits.over(begin):
            break
        work.add_best(best)
        outer = work.prices(solve(work.program))
        for weight in (INNER, 0.0):
            tried = evaluate(problem, _mixed(weight, best, outer))
            new = work.add_best(tried)
            best = max(best, tried, key=lambda prices: prices.value)
            if new:
                break
    return best


def _mixed(weight: float, inner: Prices, outer: tuple[IntArray, IntArray]) -> tuple[IntArray, IntArray]:
    """Prices between the best ones and those of a linear program."""
    rows, cols = (
        np.round(weight * axis.price + (1 - weight) * price).astype(np.int64)
        for axis, price in zip(inner.axes, outer, strict=True)
    )
    return rows, cols


def narrowed(problem: Problem, prices: Prices, upper: int) -> Profile:
    """Shapes and patterns that a grouping of at most `upper` bits can have: others lie beyond the gap to the bound.

    Sides are empty if there are more than :data:`LIMIT` patterns.
    """
    gap = SCALE * upper - prices.value
    slack = gap - prices.reduced - prices.fee
    shapes = tuple((int(r), int(c)) for r, c in np.argwhere(slack >= 0)[::-1])
    sides = []
    for axis, (tables, lines, length) in enumerate(
        zip(prices.axes, (problem.rows, problem.cols), (problem.cols, problem.rows), strict=True)
    ):
        groups: list[tuple[int, Pattern]] = []
        for i, shape in enumerate(shapes):
            for pattern in _groups(tables, shape[axis], shape[1 - axis], full(problem, shape), int(slack[shape])):
                groups.append((i, pattern))
                if len(groups) > LIMIT // 2:
                    return Profile(shapes, ())
        sides.append(Side(lines, length, tuple(groups), _arcs(tables, gap)))
    return Profile(shapes, tuple(sides))


def _arcs(axis: Axis, slack: int) -> tuple[Arc, ...]:
    """Pieces of lines whose value is within `slack` of the least."""
    length, most = len(axis.line) - 1, len(axis.price) - 1
    first, stop = np.triu_indices(length + 1, 1)
    first, stop = first[stop - first <= most], stop[stop - first <= most]
    over = axis.line[first] + axis.price[stop - first] + axis.line[length - stop] - axis.line[length]
    near = over <= slack
    return tuple(zip(first[near].tolist(), stop[near].tolist(), strict=True))


def _groups(axis: Axis, pieces: int, most: int, ous: int, slack: int) -> Iterator[Pattern]:
    """Patterns of a group whose value is within `slack` of the best, descending."""
    if pieces == 0:
        yield ()
        return
    best = int(axis.group[most, pieces, ous])
    for first in range(min(most, ous), 0, -1):
        rest = int(axis.group[first, pieces - 1, ous - first])
        if rest > NONE // 2 and best - rest - int(axis.price[first]) <= slack:
            left = slack - (best - rest - int(axis.price[first]))
            for others in _groups(axis, pieces - 1, first, ous - first, left):
                yield (first, *others)
