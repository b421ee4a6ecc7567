"""Lower bounds of the chunk problem, and orders that every schedule has (``formulations/scheduling/README.md``)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spatem_opt.scheduling.chunks import ChunkProblem
from spatem_opt.types import INFINITE, IntArray

LARGEST = 2_000
"""Most tasks for which all pairs are compared."""


def lower_bound(problem: ChunkProblem) -> int:
    """No schedule ends earlier [cycles]: longest path through lags, and one-machine bounds of every resource.

    For every resource, a head a and a tail b: the least head of all tasks whose head is at least a and whose
    tail after its end is at least b, plus their durations, plus the least of those tails.
    """
    bound = max(problem.floor, int((problem.heads + problem.tails).max(initial=0)))
    for members in problem.resources:
        head, work = problem.heads[members], problem.duration[members]
        bound = max(bound, one_machine(head, work, problem.tails[members] - work))
    if problem.load is not None:
        energy = int((problem.load * problem.duration).sum())
        rest = int((problem.tails - problem.duration).min(initial=0)) + int(problem.heads.min(initial=0))
        bound = max(bound, -(-energy // problem.capacity) + rest)
    return bound


def one_machine(head: IntArray, work: IntArray, tail: IntArray) -> int:
    """Bound of tasks that exclude each other: the best over subsets (head >= a, tail >= b)."""
    order = np.argsort(-tail, kind="stable")
    head, work, tail = head[order], work[order], tail[order]
    best = 0
    for least in np.unique(head).tolist():
        chosen = np.flatnonzero(head >= least)
        best = max(best, int((least + np.cumsum(work[chosen]) + tail[chosen]).max()))
    return best


def closure(problem: ChunkProblem) -> IntArray:
    """Longest lag between every two tasks; shape (tasks, tasks), hugely negative where there is none, 0 to itself."""
    longest = np.full((problem.tasks, problem.tasks), -INFINITE, dtype=np.int64)
    for task in range(problem.tasks - 1, -1, -1):
        longest[task, task] = 0
        for later, lag in zip(*problem.outgoing[task], strict=True):
            np.maximum(longest[task], longest[later] + lag, out=longest[task])
    return longest


def ordered(problem: ChunkProblem) -> ChunkProblem:
    """The same problem with lags that every schedule keeps: orders on resources that the other lags decide.

    If ``start[j] >= start[i] + l`` with ``l > -duration[j]`` and both share a resource, j cannot end before i begins:
    ``start[j] >= start[i] + duration[i]``. Repeated until nothing changes.
    """
    if problem.tasks > LARGEST:
        return problem
    together = np.zeros((problem.tasks, problem.tasks), dtype=np.bool_)
    for members in problem.resources:
        together[np.ix_(members, members)] = True
    together = np.triu(together, 1)
    while True:
        longest = closure(problem)
        new = together & (longest > -problem.duration) & (longest < problem.duration[:, None])
        before, after = np.nonzero(new)
        if not len(before):
            return problem
        problem = replace(
            problem,
            before=np.r_[problem.before, before],
            after=np.r_[problem.after, after],
            lag=np.r_[problem.lag, problem.duration[before]],
        )
