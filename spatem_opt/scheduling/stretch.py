"""Slow a schedule down where routers or ports carry more than they can (M8)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from spatem_opt.scheduling.problem import Chunks, Problem, Solution

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
    apart: float = 0.0,
) -> Problem:
    """The same problem with starts and paces that give routers and ports the time that they need.

    Time is warped: a bin lasts longer by what it takes to shorten the queues to what is allowed, as late as possible.
    Order and distances of all windows only grow, hence all precedences keep. Queues that one bin serves are left alone.

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
    apart : float
        Bins over which copies of a layer are spread that begin while a queue is too long: what they send at one time is
        more than a router takes in, however slow they are.
    """
    width = problem.architecture.contention_cycles
    edges = np.arange(int(bins.max(initial=0)) + 2, dtype=np.float64) * width
    slope = np.ones(len(edges) - 1)
    crowded = too_long(queue, allowed)
    slope[bins] += longer(crowded, allowed)
    slope *= factor
    warped = np.concatenate([[0.0], np.cumsum(slope * width)])

    def warp(time: FloatArray) -> IntArray:
        beyond = np.maximum(time - edges[-1], 0)
        return np.asarray(np.interp(time, edges, warped) + beyond, dtype=np.int64)

    chunks = problem.chunks
    interval = np.empty_like(times.start)
    for layer, placed in enumerate(problem.placed):
        mine = chunks.layer == layer
        interval[mine] = placed.interval[chunks.copy[mine]]
    bend = edges[1:-1][np.diff(slope) != 0]
    piece, chunk, begin, final = pieces(chunks, times.start, times.end - interval, bend)
    first, interval = warp(begin), interval[chunk]
    windows = (piece.last - piece.first) // piece.step + 1
    pace = (warp(final) - first) // np.maximum(windows - 1, 1)
    pace = np.where(pace > interval, pace, 0)
    copies = np.array([placed.copies for placed in problem.placed])[piece.layer]
    if stagger:
        first = first + interval * piece.copy // copies
    if apart > 0:
        hot = np.zeros(len(edges) + 1, dtype=np.bool_)
        hot[bins[crowded > allowed]] = True
        here = hot[np.minimum(begin // width, len(edges)).astype(np.int64)]
        first = first + here * (apart * width * piece.copy // copies).astype(np.int64)
    return problem.with_chunks(replace(piece, pace=pace, not_before=first))


def pieces(
    chunks: Chunks, start: IntArray, final: IntArray, bend: FloatArray
) -> tuple[Chunks, IntArray, FloatArray, FloatArray]:
    """Chunks cut where time changes its speed, the chunk each piece is of, when its first and last windows begin.

    Parameters
    ----------
    chunks : Chunks
    start, final : int64 arrays, shape (chunks,)
        When their first and last windows begin; those in between are taken to begin at equal distances.
    bend : float array
        When the speed changes, ascending.
    """
    windows = (chunks.last - chunks.first) // chunks.step + 1
    apart = (final - start) / np.maximum(windows - 1, 1)
    low, high = np.searchsorted(bend, start, side="right"), np.searchsorted(bend, final)
    count = np.maximum(high - low, 0) + 1
    chunk = np.repeat(np.arange(len(count)), count)
    number = np.arange(len(chunk)) - np.repeat(np.cumsum(count) - count, count)
    before = np.append(bend, 0.0)[np.minimum(low[chunk] + number - 1, len(bend))] - start[chunk]
    skipped = np.where(number > 0, np.ceil(before / np.maximum(apart[chunk], 1e-9)), 0).astype(np.int64)
    skipped = np.minimum(skipped, windows[chunk])
    upto = np.append(skipped[1:], 0)
    upto = np.where(number == count[chunk] - 1, windows[chunk], upto)
    kept = upto > skipped
    chunk, skipped, upto = chunk[kept], skipped[kept], upto[kept]
    first, step = chunks.first[chunk], chunks.step[chunk]
    piece = Chunks(
        chunks.layer[chunk],
        chunks.copy[chunk],
        first + skipped * step,
        first + (upto - 1) * step,
        step,
        chunks.pace[chunk],
        chunks.not_before[chunk],
    )
    return piece, chunk, start[chunk] + skipped * apart[chunk], start[chunk] + (upto - 1) * apart[chunk]


def too_long(queue: FloatArray, allowed: float) -> FloatArray:
    """The queues, those cut down to what is allowed that never exceed one bin while they are longer than that."""
    above = queue > allowed
    period = np.cumsum(np.diff(above, prepend=False))  # odd while above
    most = np.zeros(int(period.max(initial=0)) + 1)
    np.maximum.at(most, period, queue)
    return np.where(most[period] > 1.0, queue, np.minimum(queue, allowed))


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
