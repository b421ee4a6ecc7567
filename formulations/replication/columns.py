"""Columns of the master, and labels on a path of cuts: the cheapest columns that cover all layers within the slots."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from formulations.replication.pricing import within
from formulations.replication.problem import SegmentationProblem
from spatem_opt.types import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class SegmentColumn:
    """Layers first..stop-1 at the slots and pace with these indices."""

    problem: SegmentationProblem
    first: int
    stop: int
    slots: int
    pace: int

    @cached_property
    def ways(self) -> list[IntArray]:
        """Ways of every layer that fit alone and that no other beats."""
        known: dict[int, IntArray] = {}
        found = []
        for menu in self.problem.menus[self.first : self.stop]:
            if id(menu) not in known:
                known[id(menu)] = within(self.problem, menu, self.slots, self.pace, self.stop - self.first)
            found.append(known[id(menu)])
        return found

    def use(self, name: str) -> list[list[int]]:
        """A column of the menus for :attr:`ways`, per layer."""
        menus = self.problem.menus[self.first : self.stop]
        return [getattr(menu, name)[ways].tolist() for menu, ways in zip(menus, self.ways, strict=True)]

    @property
    def room(self) -> int:
        """Crossbars it may use."""
        return self.problem.room(self.stop - self.first)

    @property
    def base(self) -> int:
        """Cost of the pace alone [1/1000 cycle]."""
        return int(self.problem.base(self.first)[self.pace, self.stop - self.first - 1])


@dataclass(frozen=True, slots=True, eq=False)
class SegmentColumns:
    """Runs with their costs or bounds: columns of equal length.

    Parameters
    ----------
    problem : SegmentationProblem
    first, stop, slots, pace : int64 arrays
        Layers first..stop-1; indices of slots and pace.
    cost : int64 array
        Cost, or a lower bound of it [1/1000 cycle].
    lower : int
        Proven lower bound of the master's objective.
    """

    problem: SegmentationProblem
    first: IntArray
    stop: IntArray
    slots: IntArray
    pace: IntArray
    cost: IntArray
    lower: int = 0

    def __len__(self) -> int:
        return len(self.first)

    def taken(self) -> IntArray:
        """OU slots that each column takes."""
        return self.problem.slots[self.slots]

    def covering(self) -> list[list[int]]:
        """Columns that cover each layer."""
        found: list[list[int]] = [[] for _ in range(self.problem.layers)]
        for c, (first, stop) in enumerate(zip(self.first.tolist(), self.stop.tolist(), strict=True)):
            for layer in range(first, stop):
                found[layer].append(c)
        return found

    def select(self, keep: NDArray[np.bool_] | IntArray) -> SegmentColumns:
        """Some of the columns."""
        parts = (column[keep] for column in (self.first, self.stop, self.slots, self.pace, self.cost))
        first, stop, slots, pace, cost = parts
        return SegmentColumns(self.problem, first, stop, slots, pace, cost, self.lower)

    def run(self, c: int) -> SegmentColumn:
        """One column as a run."""
        return SegmentColumn(self.problem, int(self.first[c]), int(self.stop[c]), int(self.slots[c]), int(self.pace[c]))


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """Cheapest ways through the layers.

    Parameters
    ----------
    ahead : float array, shape (layers + 1, capacity + 1)
        Least cost of layers 0..l-1 with at most so many slots.
    behind : float array, shape (layers + 1, capacity + 1)
        Least cost of layers l.. with at most so many slots.
    """

    ahead: FloatArray
    behind: FloatArray

    @property
    def best(self) -> float:
        """Cost of the cheapest path; inf if there is none."""
        return float(self.ahead[-1, -1])

    def through(self, first: int, stop: IntArray, slots: int, cost: FloatArray) -> FloatArray:
        """Least cost of a path that takes a run first..stop-1, for several stops and their costs."""
        room = self.ahead.shape[1] - slots
        around = self.ahead[first, :room] + self.behind[stop, :room][:, ::-1]
        return np.asarray(around.min(axis=1) + cost)


def labels(problem: SegmentationProblem, arcs: list[FloatArray]) -> Labels:
    """Labels of a path over cuts.

    Parameters
    ----------
    problem : SegmentationProblem
    arcs : list of float arrays
        Entry i: cost of runs i..j-1, shape (slots, layers - i); inf: impossible.
    """
    layers, capacity = problem.layers, problem.capacity
    ahead, behind = (np.full((layers + 1, capacity + 1), np.inf) for _ in range(2))
    ahead[0] = behind[layers] = 0.0
    for i in range(layers):
        for s, k in _usable(problem, arcs[i]):
            np.minimum(
                ahead[i + 1 :, k:], ahead[i, None, : capacity + 1 - k] + arcs[i][s][:, None], out=ahead[i + 1 :, k:]
            )
    for i in range(layers - 1, -1, -1):
        for s, k in _usable(problem, arcs[i]):
            total = behind[i + 1 :, : capacity + 1 - k] + arcs[i][s][:, None]
            np.minimum(behind[i, k:], total.min(axis=0), out=behind[i, k:])
    return Labels(ahead, behind)


def _usable(problem: SegmentationProblem, arcs: FloatArray) -> list[tuple[int, int]]:
    """Indices and numbers of slots for which some run is possible."""
    usable = np.isfinite(arcs).any(axis=1) & (problem.slots <= problem.capacity)
    return [(int(s), int(problem.slots[s])) for s in np.flatnonzero(usable)]


def path(problem: SegmentationProblem, arcs: list[FloatArray], found: Labels) -> list[tuple[int, int, int]]:
    """The cheapest path as (first, stop, slots index); empty if there is none."""
    if not np.isfinite(found.best):
        return []
    steps, first, left = [], 0, problem.capacity
    while first < problem.layers:
        best = (np.inf, 0, 0)
        for s, k in _usable(problem, arcs[first]):
            if k <= left:
                total = arcs[first][s] + found.behind[first + 1 :, left - k]
                stop = int(total.argmin())
                best = min(best, (float(total[stop]), s, first + 1 + stop))
        steps.append((first, best[2], best[1]))
        first, left = best[2], left - int(problem.slots[best[1]])
    return steps
