"""Branching on numbers of groups by their rows or columns (``README.md``, section Branches)."""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Iterator
from itertools import count, groupby

from formulations.grouping.dual_bound import DualPrices, PricingLimit, evaluate
from formulations.grouping.generation import BranchNode, Solve, descend
from formulations.solver import Limits

TRIED = 4
"""Numbers of groups that are branched on for trial; the one that helps most is kept."""
WHOLE = 1e-4
"""A number this close to an integer is one."""
PENALTY = 10
"""Cost of a group that is missing, in costs of a whole grouping."""


def raised(root: BranchNode, target: int, solve: Solve, limits: Limits) -> int:
    """A bound of all groupings, at most `target` [bits per window], however early it ends.

    Parameters
    ----------
    root : BranchNode
        Column generation without limits on numbers of groups, finished.
    target : int
        Bound that is enough: the cost of a grouping.
    solve : function
        Of an engine.
    limits : Limits
    """
    begin, problem, number = time.monotonic(), root.work.problem, count()
    nodes = [(root.prices.bound(problem), next(number), root)]
    while nodes and nodes[0][0] < target:
        low, _, node = nodes[0]
        pair = None if limits.over(begin) else _divided(node, target, solve, limits.left(begin))
        if pair is None:
            return low
        heapq.heappop(nodes)
        for child in pair:
            heapq.heappush(nodes, (max(low, child.prices.bound(problem)), next(number), child))
    return target


def _divided(node: BranchNode, target: int, solve: Solve, limits: Limits) -> tuple[BranchNode, BranchNode] | None:
    """The two halves of a node by the number that raises the lower bound of both most; None if there is none."""
    best: tuple[tuple[int, int], tuple[BranchNode, BranchNode]] | None = None
    begin = time.monotonic()
    for axis, lines, least in _fractions(node)[:TRIED]:
        if limits.over(begin):
            break
        sides = (PricingLimit(axis, lines, -1, least), PricingLimit(axis, lines, 1, least + 1))
        pair = tuple(_child(node, limit, target, solve, limits.left(begin)) for limit in sides)
        low, high = sorted(min(target, child.prices.bound(node.work.problem)) for child in pair)
        if best is None or (low, high) > best[0]:
            best = (low, high), (pair[0], pair[1])
        if low == target:
            break
    return None if best is None else best[1]


def _child(node: BranchNode, limit: PricingLimit, target: int, solve: Solve, limits: Limits) -> BranchNode:
    """A node with one limit more."""
    old, problem = node.prices, node.work.problem
    work = node.work.below((*node.work.node, limit), PENALTY * target)
    price = old.axes[0].price, old.axes[1].price
    start: DualPrices = evaluate(problem, price, work.node, (*old.limits, 0))
    return descend(work, start, target, solve, limits)


def _fractions(node: BranchNode) -> list[tuple[int, int, int]]:
    """Numbers of groups with so many lines that are no integers: (axis, lines, floor), nearest to a half first.

    Of lines that lead to the same number the middle one is taken: it divides the shapes most evenly.
    """
    problem = node.work.problem
    found = []
    for axis, most in enumerate((problem.rows, problem.cols)):
        numbers = list(_numbers(node, axis, most))
        for number, alike in groupby(enumerate(numbers, start=1), key=lambda item: item[1]):
            lines = [k for k, _ in alike]
            if abs(number - round(number)) > WHOLE:
                half = round(abs(number - math.floor(number) - 0.5), 4)
                found.append((half, -len(lines), axis, lines[len(lines) // 2], math.floor(number)))
    return [(axis, k, least) for _, _, axis, k, least in sorted(found)]


def _numbers(node: BranchNode, axis: int, most: int) -> Iterator[float]:
    """Groups with at least 1, 2, .. lines in the solution of the last linear program."""
    exactly = [0.0] * (most + 2)
    for (first, second), variable in node.work.known.items():
        if not isinstance(first, int) and node.value is not None and variable < len(node.value):  # some came later
            exactly[len((first, second)[axis])] += float(node.value[variable])
    for k in range(1, most + 1):
        yield round(sum(exactly[k:]), 6)
