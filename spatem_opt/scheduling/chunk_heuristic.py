"""List schedules of the chunk problem (``formulations/scheduling/README.md``, section Heuristic)."""

from __future__ import annotations

import numpy as np

from spatem_opt.scheduling.chunks import ChunkProblem, ChunkSchedule, makespan
from spatem_opt.types import IntArray


def solve(problem: ChunkProblem) -> ChunkSchedule:
    """The best of three list schedules: lowest number first, longest tail first, earliest start first."""
    count = np.arange(problem.tasks)
    rules = (count, -problem.tails * (problem.tasks + 1) + count, None)
    found = [list_schedule(problem, rule) for rule in rules]
    return ChunkSchedule(min(found, key=lambda start: makespan(problem, start)))


def list_schedule(problem: ChunkProblem, rank: IntArray | None) -> IntArray:
    """Start tasks one after the other, each as soon as its lags, resources and the routers allow.

    Parameters
    ----------
    problem : ChunkProblem
    rank : int64 array, shape (tasks,), or None
        Among the tasks whose predecessors have all been placed, the lowest goes first; None: the one that can start
        earliest, of several the one with the longest tail.
    """
    waiting = np.array([len(earlier) for earlier, _ in problem.incoming], dtype=np.int64)
    ready = set(np.flatnonzero(waiting == 0).tolist())
    earliest, free = problem.release.astype(np.int64).copy(), np.zeros(len(problem.resources), dtype=np.int64)
    start = np.zeros(problem.tasks, dtype=np.int64)
    placed: list[int] = []
    while ready:
        first = {task: max(int(earliest[task]), *(int(free[r]) for r in problem.held[task]), 0) for task in ready}
        if rank is None:
            task = min(ready, key=lambda t: (first[t], -int(problem.tails[t]), t))
        else:
            task = min(ready, key=lambda t: int(rank[t]))
        ready.remove(task)
        start[task] = _fits(problem, start, placed, task, first[task])
        placed.append(task)
        free[problem.held[task]] = np.maximum(free[problem.held[task]], start[task] + problem.duration[task])
        later, lag = problem.outgoing[task]
        np.maximum.at(earliest, later, start[task] + lag)
        np.subtract.at(waiting, later, 1)
        ready.update(later[waiting[later] == 0].tolist())
    return start


def _fits(problem: ChunkProblem, start: IntArray, placed: list[int], task: int, first: int) -> int:
    """Earliest time from `first` at which the task's traffic fits beside that of the tasks placed."""
    if problem.load is None or not placed or problem.load[task] == 0:
        return first
    others = np.array(placed)
    begin, end, load = start[others], start[others] + problem.duration[others], problem.load[others]
    time = first
    while True:  # ends: after the last end the task is alone, and its load is at most the capacity
        events = np.unique(np.r_[time, begin[(begin > time) & (begin < time + problem.duration[task])]])
        used = ((begin <= events[:, None]) & (events[:, None] < end)) @ load
        if int(used.max(initial=0)) + int(problem.load[task]) <= problem.capacity:
            return time
        time = int(end[end > time].min())
