"""Groupings whose rows are cut into intervals, composed as a flow (``README.md``, section Realisation)."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from itertools import islice, product

import numpy as np

from formulations.grouping.dual_bound import DualPrices, loss
from formulations.grouping.patterns import Arc, Pattern, Profile
from formulations.grouping.program import Floats, Program
from spatem_opt.grouping.problem import GroupingProblem, GroupingSolution, from_labels

MOST = 3_000
"""Most placed groups of a program."""
ROWS, MANY = 5, 12
"""Most pieces of a group that are placed in all ways, and most of one that is placed at all."""
WIDE = 3
"""A window of more than one WIDE-th of a line is wide."""


@dataclass(slots=True)
class IntervalLayout:
    """Groups placed on an axis: every piece has its place within the line, its line has no name.

    Parameters
    ----------
    axis, lines, length : int
        0: pieces of rows; lines of the axis, OUs of a line.
    placed : list of tuple of (first, stop)
        Pieces of a placed group.
    program : Program
        Numbers of placed groups, then steps back from 1, 2, ..
    """

    axis: int
    lines: int
    length: int
    placed: list[tuple[Arc, ...]] = field(default_factory=list)
    program: Program = field(default_factory=Program)

    def read(self, value: Floats) -> GroupingSolution:
        """The grouping of a solution: paths along the pieces, as many as there are lines."""
        at: list[list[tuple[int, int]]] = [[] for _ in range(self.length)]
        group = 0
        for pieces, number in zip(self.placed, value, strict=False):
            for _ in range(round(float(number))):
                for first, stop in pieces:
                    at[first].append((stop, group))
                group += 1
        labels = np.full((self.lines, self.length), -1, dtype=np.int64)
        for line in labels:
            where = 0
            while where < self.length:
                if at[where]:
                    stop, group = at[where].pop()
                    line[where:stop] = group
                    where = stop
                else:
                    where -= 1  # a step back: the next piece overlaps
        found = from_labels(labels)
        return found.transposed() if self.axis else found


def layout(problem: GroupingProblem, prof: Profile, axis: int, prices: DualPrices, most: int = MOST) -> IntervalLayout:
    """The flow of an axis; groups that lose least come first if there are more than `most` placed ones.

    At every place as many pieces or steps back begin as end there, or more; lines begin at 0. Pieces of a group begin
    or end at the same place and share an OU, so that no two lie in one line.
    """
    side = prof.sides[axis]
    made = IntervalLayout(axis, side.lines, side.length)
    program = made.program
    for k in range(side.length):
        program.add_row(k, side.lines * (k == 0))
    program.add_row("most", -problem.groups)
    for shape, pieces in _placed(prof, axis, prices, most):
        rows, cols = shape
        entries: dict[Hashable, int] = {"most": -1}
        for first, stop in pieces:
            entries[first] = entries.get(first, 0) + 1
            entries[stop] = entries.get(stop, 0) - 1
        program.add(problem.row_cost * rows + problem.col_cost * cols, entries, integer=True)
        made.placed.append(pieces)
    for k in range(1, side.length + 1):
        program.add(0, {k: 1, k - 1: -1}, integer=True)
    return made


def _placed(prof: Profile, axis: int, prices: DualPrices, most: int) -> list[tuple[tuple[int, int], tuple[Arc, ...]]]:
    """Shape and pieces of every placed group: all ways if they are few, else few ways of the groups that lose least."""
    side = prof.sides[axis]
    groups = [(prof.shapes[shape], pattern) for shape, pattern in side.group_patterns if len(pattern) <= MANY]
    groups.sort(key=lambda group: loss(prices, axis, *group))
    every = ((shape, places) for shape, pattern in groups for places in _places(pattern, shape[1 - axis], side.length))
    placed = list(islice(every, most + 1))
    if len(placed) <= most:
        return placed
    placed = []
    for shape, pattern in groups:
        new = [(shape, places) for places in _few_places(pattern, shape[1 - axis], side.length)]
        if len(placed) + len(new) > most:
            break
        placed += new
    return placed


def _few_places(pattern: Pattern, width: int, length: int) -> Iterator[tuple[Arc, ...]]:
    """All pieces at one end of the window; a wide window at an end of the line, the pieces there, too."""
    wide = WIDE * width > length
    for left in sorted({0, length - width}) if wide else range(length - width + 1):
        right, found = left + width, set[tuple[Arc, ...]]()
        if left == 0 or not wide:
            found.add(tuple(sorted((left, left + k) for k in pattern)))
        if right == length or not wide:
            found.add(tuple(sorted((right - k, right) for k in pattern)))
        yield from _sharing(found)


def _places(pattern: Pattern, width: int, length: int) -> Iterator[tuple[Arc, ...]]:
    """All ways to put pieces at the left or the right end of a window of `width` OUs, all over one OU at least."""
    if len(pattern) > ROWS:
        yield from _few_places(pattern, width, length)
        return
    for left in range(length - width + 1):
        ends = [sorted({(left, left + k), (left + width - k, left + width)}) for k in pattern]
        yield from _sharing({tuple(sorted(pieces)) for pieces in product(*ends)})


def _sharing(found: set[tuple[Arc, ...]]) -> list[tuple[Arc, ...]]:
    """Those whose pieces share an OU."""
    return [pieces for pieces in sorted(found) if max(a for a, _ in pieces) < min(b for _, b in pieces)]
