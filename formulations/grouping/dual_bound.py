"""Prices of pieces: a certified bound, and what it rules out (``README.md``, section Prices).

Any prices of the pieces of rows and of columns prove a bound, by exact dynamic programming on integers, whoever made
them (``generation.py``).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from formulations.grouping.patterns import LIMIT, Arc, Pattern, Profile, Side, full
from spatem_opt.grouping.problem import GroupingProblem
from spatem_opt.types import NEVER, IntArray

SCALE = 2**16
"""Prices are integers in units of 1/SCALE bits."""
REACH = 4_000_000
"""Most states of the dynamic program of an axis; larger groups have no prices."""


@dataclass(frozen=True, slots=True)
class PricingLimit:
    """A limit on the number of groups that touch at least so many lines of an axis.

    Parameters
    ----------
    axis, lines : int
        Groups with at least `lines` rows (axis 0) or columns (1) are counted.
    sense : int
        1: at least `count`; -1: at most.
    count : int
    """

    axis: int
    lines: int
    sense: int
    count: int

    def counts(self, shape: tuple[int, int]) -> bool:
        """Whether groups of a shape are counted."""
        return shape[self.axis] >= self.lines


@dataclass(frozen=True, slots=True, eq=False)
class PricedAxis:
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
class DualPrices:
    """Prices of both axes with what they prove.

    Parameters
    ----------
    axes : (PricedAxis, PricedAxis)
        Rows, columns.
    reduced : int64 array, shape (rows + 1, cols + 1)
        Least cost less value of a group by its shape; :data:`~spatem_opt.types.NEVER` where there is none.
    fee : int
        What a group costs beyond that, ``-min reduced``; paid at most n times, saved at least ceil(RC/m) times.
    value : int
        Proven: no grouping within the limits costs less [1/SCALE bits].
    limits : tuple of int
        Prices of the limits on numbers of groups, >= 0.
    """

    axes: tuple[PricedAxis, PricedAxis]
    reduced: IntArray
    fee: int
    value: int
    limits: tuple[int, ...] = ()

    def bound(self, problem: GroupingProblem) -> int:
        """The bound [bits per window], up to the next cost that there can be."""
        step = math.gcd(problem.row_cost, problem.col_cost) or 1
        return -(-self.value // (SCALE * step)) * step


def within_reach(problem: GroupingProblem) -> bool:
    """Whether the dynamic programs of both axes stay within :data:`REACH`."""
    most = min(problem.size, problem.ous)
    return (min(problem.rows, most) + 1) * (min(problem.cols, most) + 1) * (most + 1) <= REACH


def least_size(problem: GroupingProblem) -> int:
    """Fewest OUs of a group: the others hold at most (n - 1) m."""
    return max(1, problem.ous - (min(problem.groups, problem.ous) - 1) * problem.size)


def evaluate(
    problem: GroupingProblem,
    price: tuple[IntArray, IntArray],
    node: tuple[PricingLimit, ...] = (),
    limits: tuple[int, ...] = (),
) -> DualPrices:
    """Tables and bound of any prices of pieces, and of limits if any (``README.md``, Prices and Branches)."""
    p, most = problem, min(problem.size, problem.ous)
    axes = _axis(price[0], p.rows, p.cols, most), _axis(price[1], p.cols, p.rows, most)
    r, c = np.ogrid[: min(p.rows, most) + 1, : min(p.cols, most) + 1]
    ous = np.minimum(most, r * c)
    value = axes[0].group[c, r, ous] + axes[1].group[r, c, ous]
    for limit, fee in zip(node, limits, strict=True):
        value = value + limit.sense * fee * ((r, c)[limit.axis] >= limit.lines)
    there = (r > 0) & (c > 0) & (np.maximum(r, c) <= ous) & (ous >= least_size(p))
    reduced = np.where(there, SCALE * (p.row_cost * r + p.col_cost * c) - value, NEVER)
    fee = -int(reduced.min())
    groups = min(p.groups, p.ous) if fee > 0 else -(-p.ous // most)
    lines = p.rows * int(axes[0].line[-1]) + p.cols * int(axes[1].line[-1])
    paid = sum(limit.sense * limit.count * price for limit, price in zip(node, limits, strict=True))
    return DualPrices(axes, reduced, fee, lines - groups * fee + paid, limits)


def _axis(price: IntArray, lines: int, length: int, size: int) -> PricedAxis:
    """Tables of one axis: the largest piece of a group first, the pieces of a line one by one."""
    most = len(price) - 1
    group = np.full((most + 1, min(lines, size) + 1, size + 1), -NEVER)
    group[:, 0, 0] = 0
    rest = np.arange(size + 1) - np.arange(most + 1)[:, None]
    for r in range(1, group.shape[1]):
        first = np.take_along_axis(group[:, r - 1], np.maximum(rest, 0), axis=1) + price[:, None]
        first[rest < 0] = -NEVER
        first[0] = -NEVER
        group[:, r] = np.maximum.accumulate(first, axis=0)
    line = np.zeros(length + 1, dtype=np.int64)
    for k in range(1, length + 1):
        piece = np.arange(1, min(most, k) + 1)
        line[k] = (line[k - piece] + price[piece]).min()
    return PricedAxis(price, group, line)


def first_prices(problem: GroupingProblem) -> tuple[IntArray, IntArray]:
    """Prices that prove the bound `lines` for rows: ``a + (b/m) k**2`` for a piece of k OUs of a row, columns free."""
    most = min(problem.size, problem.ous)
    rows, cols = (np.arange(min(length, most) + 1) for length in (problem.cols, problem.rows))
    price = SCALE * problem.row_cost + SCALE * problem.col_cost * rows**2 // most
    price[0] = 0
    return price, 0 * cols


def best_group(axis: PricedAxis, pieces: int, most: int, ous: int) -> Pattern:
    """A group that ``axis.group[most, pieces, ous]`` is the value of."""
    found = []
    for left in range(pieces, 0, -1):
        most = int(axis.group[: most + 1, left, ous].argmax())  # the smallest largest piece that does
        found.append(most)
        ous -= most
    return tuple(found)


def best_line(axis: PricedAxis) -> Pattern:
    """A line that ``axis.line[-1]`` is the value of."""
    left, found = len(axis.line) - 1, []
    while left:
        piece = np.arange(1, min(len(axis.price) - 1, left) + 1)
        found.append(1 + int((axis.line[left - piece] + axis.price[piece]).argmin()))
        left -= found[-1]
    return tuple(sorted(found, reverse=True))


def loss(prices: DualPrices, axis: int, shape: tuple[int, int], pattern: Pattern) -> int:
    """How much dearer a group is than the best ones: beyond its pieces' prices and the fee [1/SCALE bits]."""
    tables = prices.axes[axis]
    best = int(tables.group[shape[1 - axis], shape[axis], sum(pattern)])
    return int(prices.reduced[shape]) + prices.fee + best - int(tables.price[list(pattern)].sum())


def narrowed(problem: GroupingProblem, prices: DualPrices, upper: int) -> Profile:
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


def _arcs(axis: PricedAxis, slack: int) -> tuple[Arc, ...]:
    """Pieces of lines whose value is within `slack` of the least."""
    length, most = len(axis.line) - 1, len(axis.price) - 1
    first, stop = np.triu_indices(length + 1, 1)
    first, stop = first[stop - first <= most], stop[stop - first <= most]
    over = axis.line[first] + axis.price[stop - first] + axis.line[length - stop] - axis.line[length]
    near = over <= slack
    return tuple(zip(first[near].tolist(), stop[near].tolist(), strict=True))


def _groups(axis: PricedAxis, pieces: int, most: int, ous: int, slack: int) -> Iterator[Pattern]:
    """Patterns of a group whose value is within `slack` of the best, descending."""
    if pieces == 0:
        yield ()
        return
    best = int(axis.group[most, pieces, ous])
    for first in range(min(most, ous), 0, -1):
        rest = int(axis.group[first, pieces - 1, ous - first])
        if rest > -NEVER // 2 and best - rest - int(axis.price[first]) <= slack:
            left = slack - (best - rest - int(axis.price[first]))
            for others in _groups(axis, pieces - 1, first, ous - first, left):
                yield (first, *others)
