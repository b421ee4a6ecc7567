"""Slow a schedule down where routers or ports carry more than they can (M8)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from spatem_opt.scheduling.problem import Problem, Solution

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


def stretch(
    problem: Problem,
    times: Solution,
    bins: IntArray,
    queue: FloatArray,
    allowed: float = 1.0,
    factor: float = 1.0,
    *,
    stagger: bool = False,
) -> Problem:
    """The same problem with starts and paces that give routers and ports the time that they need.

    Time is warped: a bin lasts longer by what it takes to shorten the queues to what is allowed, as late as possible.
    Order and distances of all windows only grow, hence all precedences keep.

    Parameters
    ----------
    problem, times
        What to slow down, and its present schedule.
    bins, queue
        Bins that occur, and the longest queue at any router or port after each (1 = what one bin serves).
    allowed : float
        Queue that may remain; the bins of the slower schedule begin elsewhere, so rather less than a full one.
    factor : float
        By which all time grows, on top.
    stagger : bool
        Also let the copies of a layer begin one after the other within one window's time: in step, they would all send
        in the same bin, and no slower pace could spread that.
    """
    width = problem.architecture.contention_cycles
    edges = np.arange(int(bins.max(initial=0)) + 2, dtype=np.float64) * width
    slope = np.ones(len(edges) - 1)
    slope[bins] += longer(queue, allowed)
    slope *= factor
    warped = np.concatenate([[0.0], np.cumsum(slope * width)])

    def warp(time: IntArray) -> IntArray:
        beyond = np.maximum(time - edges[-1], 0)
        return np.asarray(np.interp(time, edges, warped) + beyond, dtype=np.int64)

    chunks = problem.chunks
    windows = (chunks.last - chunks.first) // chunks.step + 1
    interval = np.empty_like(times.start)
    for layer, placed in enumerate(problem.placed):
        mine = chunks.layer == layer
        interval[mine] = placed.interval[chunks.copy[mine]]
    first = warp(times.start)
    pace = (warp(times.end - interval) - first) // np.maximum(windows - 1, 1)
    pace = np.where(pace > interval, pace, 0)
    if stagger:
        copies = np.array([placed.copies for placed in problem.placed])[chunks.layer]
        first = first + np.maximum(pace, interval) * chunks.copy // copies
    return problem.at_other_times(replace(chunks, pace=pace, not_before=first))


def longer(queue: FloatArray, allowed: float) -> FloatArray:
    """Bins by which each bin has to last longer, so that no queue exceeds what is allowed; shape of ``queue``.

    As if it were one queue: what was served before helps as long as that has not run empty.
    """
    extra = np.zeros(len(queue))
    helped = 0.0
    for i, waiting in enumerate(queue.tolist()):
        helped = min(helped, waiting)
        extra[i] = max(0.0, waiting - helped - allowed)
        helped += extra[i]
    return extra
