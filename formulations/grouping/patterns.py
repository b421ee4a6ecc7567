"""Shapes of groups and how rows are shared out, without naming groups, rows or columns (``README.md``, Profile).

Both engines build their profile families from here; nothing here knows a solver.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray

from spatem_opt.grouping.problem import GroupingProblem
from spatem_opt.types import IntArray

LIMIT = 20_000
"""Most patterns of a model; grids that have more go without the profile families."""

Pattern = tuple[int, ...]
Arc = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Side:
    """One axis of the profile.

    Parameters
    ----------
    lines, length : int
        Lines of this axis (rows: R) and OUs of a line (C).
    group_patterns : tuple of (shape, pattern)
        Index of a shape and OUs of such a group per line it touches, descending.
    arcs : tuple of (first, stop)
        Pieces of a line, its OUs numbered from 0: a way to share a line out is a path from 0 to `length`.
    """

    lines: int
    length: int
    group_patterns: tuple[tuple[int, Pattern], ...]
    arcs: tuple[Arc, ...]


@dataclass(frozen=True, slots=True)
class Profile:
    """Shapes and both axes.

    Parameters
    ----------
    shapes : tuple of (r, c)
        Numbers of rows and columns a group may touch, descending.
    sides : tuple of Side
        Rows, columns; empty if there are more than :data:`LIMIT` patterns.
    """

    shapes: tuple[tuple[int, int], ...]
    sides: tuple[Side, ...]


def full(problem: GroupingProblem, shape: tuple[int, int]) -> int:
    """Most OUs of a group of a shape."""
    return min(problem.size, shape[0] * shape[1])


def profile(problem: GroupingProblem) -> Profile:
    """Shapes and patterns of a problem.

    A group touches a row or column only if it has an OU there, so a shape (r, c) needs ``max(r, c) <= min(m, r*c)``.
    """
    every = ((r, c) for r in range(problem.rows, 0, -1) for c in range(problem.cols, 0, -1))
    shapes = tuple(shape for shape in every if max(shape) <= full(problem, shape))
    sides = []
    for axis, (lines, length) in enumerate(((problem.rows, problem.cols), (problem.cols, problem.rows))):
        if sum(count(full(problem, s), s[axis], s[1 - axis]) for s in shapes) > LIMIT // 2:
            return Profile(shapes, ())
        groups = tuple((i, q) for i, s in enumerate(shapes) for q in partitions(full(problem, s), s[axis], s[1 - axis]))
        most = min(length, problem.size)
        arcs = tuple((i, j) for i in range(length) for j in range(i + 1, min(length, i + most) + 1))
        sides.append(Side(lines, length, groups, arcs))
    return Profile(shapes, tuple(sides))


@cache
def count(total: int, parts: int, most: int) -> int:
    """Partitions of `total` into exactly `parts` parts of 1..`most`, counted up to more than :data:`LIMIT`."""
    if parts == 0:
        return int(total == 0)
    if not parts <= total <= parts * most:
        return 0
    found = 0
    for first in range(min(most, total - parts + 1), 0, -1):
        if first * parts < total or found > LIMIT:
            break
        found += count(total - first, parts - 1, first)
    return found


def partitions(total: int, parts: int, most: int) -> Iterator[Pattern]:
    """Partitions of `total` into exactly `parts` parts of 1..`most`, descending.

    Examples
    --------
    >>> list(partitions(5, 3, 3))
    [(3, 1, 1), (2, 2, 1)]
    """
    if parts == 0:
        if total == 0:
            yield ()
        return
    for first in range(min(most, total - parts + 1), 0, -1):
        if first * parts < total:
            break
        for rest in partitions(total - first, parts - 1, first):
            yield (first, *rest)


def grow(pattern: Pattern, total: int, most: int) -> Pattern:
    """Enlarge parts, the largest first, up to `most` each until they sum to `total`.

    Examples
    --------
    >>> grow((2, 1, 1), total=7, most=3)
    (3, 3, 1)
    """
    parts, missing = list(pattern), total - sum(pattern)
    for i, part in enumerate(parts):
        parts[i] += min(missing, most - part)
        missing -= parts[i] - part
    return tuple(sorted(parts, reverse=True))


@dataclass(frozen=True, slots=True)
class Named:
    """A grouping with groups, rows and columns in the order the symmetry families demand.

    Parameters
    ----------
    labels : int64 array, shape (rows, cols)
    shape_of : list of int
        Index of the shape of every group; ``len(shapes)`` for an empty one.
    """

    labels: IntArray
    shape_of: list[int]


def named(problem: GroupingProblem, shapes: tuple[tuple[int, int], ...], labels: IntArray, groups: int) -> Named:
    """Renumber groups by shape, then sort rows and columns by the groups that touch them (first groups weigh most)."""
    index = {shape: i for i, shape in enumerate(shapes)}
    found = [shape_index(labels, g, index, len(shapes)) for g in range(int(labels.max()) + 1)]
    order = sorted(range(len(found)), key=lambda g: found[g])
    rank = np.argsort(np.array(order))
    labels = rank[labels]
    for axis in (0, 1):
        lines = [frozenset(np.take(labels, i, axis=axis).tolist()) for i in range(labels.shape[axis])]
        keys = [tuple(g in line for g in range(groups)) for line in lines]
        labels = np.take(labels, sorted(range(len(keys)), key=lambda i: keys[i], reverse=True), axis=axis)
    shape_of = [found[g] for g in order][:groups]
    return Named(np.asarray(labels), shape_of + [len(shapes)] * (groups - len(shape_of)))


def shape_index(labels: IntArray, group: int, index: dict[tuple[int, int], int], empty: int) -> int:
    """Index of the shape of a group; `empty` if it has no OU."""
    mask = labels == group
    shape = int(mask.any(axis=1).sum()), int(mask.any(axis=0).sum())
    return index[shape] if shape != (0, 0) else empty


def pattern_counts(
    problem: GroupingProblem, prof: Profile, state: Named
) -> list[tuple[dict[tuple[int, Pattern], int], dict[Arc, int]]]:
    """Per axis how often a grouping uses each group pattern (grown to a full group) and each arc."""
    counts = []
    for axis in range(len(prof.sides)):
        groups: dict[tuple[int, Pattern], int] = {}
        for g, shape in enumerate(state.shape_of):
            if shape < len(prof.shapes):
                rc = prof.shapes[shape]
                key = shape, grow(per_line(state.labels == g, axis), full(problem, rc), rc[1 - axis])
                groups[key] = groups.get(key, 0) + 1
        arcs: dict[Arc, int] = {}
        for pattern in line_patterns(state.labels, axis):
            for arc in pairwise(accumulate(pattern, initial=0)):
                arcs[arc] = arcs.get(arc, 0) + 1
        counts.append((groups, arcs))
    return counts


def per_line(mask: NDArray[np.bool_], axis: int) -> Pattern:
    """OUs of a group per line of an axis it touches, descending."""
    return tuple(sorted((int(k) for k in mask.sum(axis=1 - axis) if k), reverse=True))


def line_patterns(labels: IntArray, axis: int) -> list[Pattern]:
    """OUs per group of every line of an axis, descending."""
    lines = (np.unique(np.take(labels, i, axis=axis), return_counts=True)[1] for i in range(labels.shape[axis]))
    return [tuple(sorted(sizes.tolist(), reverse=True)) for sizes in lines]
