"""Chunks of windows as tasks with time lags and shared crossbars (``formulations/scheduling/README.md``).

Data, solution and referee of the chunk problem; :mod:`spatem_opt.scheduling.expansion` makes one of a placed network.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from spatem_opt.errors import InstanceError
from spatem_opt.model.verdict import Verdict
from spatem_opt.types import IntArray

FAMILIES = ("shape", "precedence", "exclusive", "horizon", "router")
"""Families of the referee; the models have the same ones, and ``symmetry`` and ``order`` besides."""


@dataclass(frozen=True, eq=False)
class ChunkProblem:
    """When every chunk begins, so that the last node is done as early as possible.

    Tasks are numbered in an order in which every task comes after those it waits for.

    Parameters
    ----------
    duration : int64 array, shape (tasks,)
        Cycles for which the chunk holds its crossbars, >= 1.
    release : int64 array, shape (tasks,)
        Earliest start [cycles], >= 0.
    tail : int64 array, shape (tasks,)
        Cycles from the start of a chunk until all that follows from it without waiting for another chunk is done,
        >= ``duration``.
    before, after, lag : int64 arrays, shape (lags,)
        ``start[after] >= start[before] + lag`` [cycles]; a lag may be negative. ``before < after``.
    resources : tuple of int64 arrays
        Sets of tasks of which no two may overlap: crossbars with the same residents.
    floor : int
        Nothing ends before this cycle even without any task.
    load : int64 array, shape (tasks,), or None
        Traffic of a running chunk, in units of `capacity`.
    capacity : int
        Traffic that may run at the same time, >= 1.

    Raises
    ------
    InstanceError
        If an array has the wrong length or a value lies outside its range.

    Examples
    --------
    >>> one = np.ones(2, dtype=np.int64)
    >>> p = ChunkProblem(3 * one, 0 * one, 4 * one, *(np.array([v]) for v in (0, 1, 2)), (np.arange(2),))
    >>> check(p, ChunkSchedule(np.array([0, 2]))).violations
    (('exclusive', 'resource 0: task 0 runs until 3, task 1 begins at 2'),)
    """

    duration: IntArray
    release: IntArray
    tail: IntArray
    before: IntArray
    after: IntArray
    lag: IntArray
    resources: tuple[IntArray, ...] = ()
    floor: int = 0
    load: IntArray | None = None
    capacity: int = 1

    def __post_init__(self) -> None:
        for name in ("release", "tail", *(("load",) if self.load is not None else ())):
            if len(getattr(self, name)) != self.tasks:
                raise InstanceError("chunk problem", name, len(getattr(self, name)), f"expected {self.tasks} entries")
        if not len(self.before) == len(self.after) == len(self.lag):
            raise InstanceError("chunk problem", "lag", len(self.lag), "expected as many as before and after")
        ends = np.concatenate([self.before, self.after, *self.resources]).astype(np.int64)
        rules = {
            "duration": (bool((self.duration >= 1).all()), "expected >= 1"),
            "release": (bool((self.release >= 0).all()), "expected >= 0"),
            "tail": (bool((self.tail >= self.duration).all()), "expected >= duration"),
            "before": (bool((self.before < self.after).all()), "expected before < after"),
            "resources": (bool(((ends >= 0) & (ends < self.tasks)).all()), f"expected tasks 0..{self.tasks - 1}"),
            "load": (self.load is None or bool(((self.load >= 0) & (self.load <= self.capacity)).all()),
                     f"expected 0..{self.capacity}, the capacity"),
        }  # fmt: skip
        for name, (holds, rule) in rules.items():
            if not holds:
                raise InstanceError("chunk problem", name, getattr(self, name), rule)

    @property
    def tasks(self) -> int:
        """Number of chunks."""
        return len(self.duration)

    @cached_property
    def incoming(self) -> list[tuple[IntArray, IntArray]]:
        """Per task, the tasks it waits for and the lags."""
        return _adjacent(self.after, self.before, self.lag, self.tasks)

    @cached_property
    def outgoing(self) -> list[tuple[IntArray, IntArray]]:
        """Per task, the tasks that wait for it and the lags."""
        return _adjacent(self.before, self.after, self.lag, self.tasks)

    @cached_property
    def heads(self) -> IntArray:
        """Earliest start of every task by releases and lags alone [cycles]."""
        head = self.release.astype(np.int64).copy()
        for task, (earlier, lag) in enumerate(self.incoming):
            if len(earlier):
                head[task] = max(int(head[task]), int((head[earlier] + lag).max()))
        return head

    @cached_property
    def tails(self) -> IntArray:
        """From the start of every task to the end of all that waits for it [cycles], by lags alone."""
        tail = self.tail.astype(np.int64).copy()
        for task in range(self.tasks - 1, -1, -1):
            later, lag = self.outgoing[task]
            if len(later):
                tail[task] = max(int(tail[task]), int((tail[later] + lag).max()))
        return tail

    @cached_property
    def held(self) -> list[list[int]]:
        """Resources of every task."""
        found: list[list[int]] = [[] for _ in range(self.tasks)]
        for resource, members in enumerate(self.resources):
            for task in members.tolist():
                found[task].append(resource)
        return found


def _adjacent(key: IntArray, other: IntArray, lag: IntArray, tasks: int) -> list[tuple[IntArray, IntArray]]:
    order = np.argsort(key, kind="stable")
    edges = np.searchsorted(key[order], np.arange(1, tasks))
    return list(zip(np.split(other[order], edges), np.split(lag[order], edges), strict=True))


@dataclass(frozen=True, slots=True, eq=False)
class ChunkSchedule:
    """``start``: when every task begins [cycles], int64, shape (tasks,)."""

    start: IntArray


def makespan(problem: ChunkProblem, start: IntArray) -> int:
    """When the last node is done [cycles]."""
    return max(problem.floor, int((start + problem.tail).max(initial=0)))


def check(problem: ChunkProblem, solution: ChunkSchedule, claim: int | None = None) -> Verdict:
    """Every violated constraint of a schedule, by family, and its makespan.

    Families: ``shape`` (one integer start per task), ``precedence`` (lags), ``exclusive`` (tasks of a resource do not
    overlap), ``horizon`` (no start before its release; a claimed makespan is not below the true one), ``router``
    (traffic at any time within the capacity).
    """
    start = np.asarray(solution.start)
    if start.shape != (problem.tasks,) or start.dtype.kind != "i":
        return Verdict((("shape", f"starts {start.dtype} {start.shape}, expected int64 ({problem.tasks},)"),), 0)
    found: list[tuple[str, str]] = []
    late = np.flatnonzero(start[problem.after] < start[problem.before] + problem.lag)
    for i in late.tolist():
        a, b, lag = int(problem.before[i]), int(problem.after[i]), int(problem.lag[i])
        found.append(("precedence", f"task {b} begins at {start[b]}, {lag} after task {a} is {start[a] + lag}"))
    for number, members in enumerate(problem.resources):
        order = members[np.argsort(start[members], kind="stable")]
        end = start[order] + problem.duration[order]
        for i in np.flatnonzero(start[order][1:] < end[:-1]).tolist():
            text = f"resource {number}: task {order[i]} runs until {end[i]}, task {order[i + 1]} begins at "
            found.append(("exclusive", text + str(start[order[i + 1]])))
    for task in np.flatnonzero(start < problem.release).tolist():
        found.append(("horizon", f"task {task} begins at {start[task]}, released at {problem.release[task]}"))
    value = makespan(problem, start)
    if claim is not None and claim < value:
        found.append(("horizon", f"the makespan is {value}, claimed {claim}"))
    return Verdict((*found, *_overload(problem, start)), value)


def _overload(problem: ChunkProblem, start: IntArray) -> list[tuple[str, str]]:
    if problem.load is None:
        return []
    running = (start <= start[:, None]) & (start[:, None] < start + problem.duration)
    total = running @ problem.load
    return [
        ("router", f"cycle {start[task]}: traffic {total[task]}, capacity {problem.capacity}")
        for task in np.flatnonzero(total > problem.capacity).tolist()
    ]
