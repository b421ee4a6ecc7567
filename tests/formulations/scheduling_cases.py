"""Tiny chunk problems and their brute-force optimum."""

from __future__ import annotations

from itertools import permutations

import numpy as np
from hypothesis import strategies as st

from spatem_opt.scheduling.chunks import ChunkProblem, makespan


@st.composite
def problems(draw: st.DrawFn, router: bool = True) -> ChunkProblem:
    """At most five tasks of at most four cycles, with lags of either sign, shared resources and routers."""
    n = draw(st.integers(1, 5))
    duration = np.array(draw(st.lists(st.integers(1, 4), min_size=n, max_size=n)))
    extra = np.array(draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)))
    release = np.array(draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)))
    pairs = [(i, j) for i in range(n) for j in range(i + 1, n)]
    chosen = draw(st.lists(st.sampled_from(pairs), max_size=4, unique=True)) if pairs else []
    lag = draw(st.lists(st.integers(-3, 5), min_size=len(chosen), max_size=len(chosen)))
    sets = st.lists(st.integers(0, n - 1), min_size=min(2, n), max_size=n, unique=True)
    resources = draw(st.lists(sets, max_size=2))
    load, capacity = None, 1
    if router and draw(st.booleans()):
        capacity = draw(st.integers(1, 3))
        load = np.array(draw(st.lists(st.integers(0, capacity), min_size=n, max_size=n)))
    before, after = (np.array([pair[k] for pair in chosen], dtype=np.int64) for k in (0, 1))
    return ChunkProblem(
        duration, release, duration + extra, before, after, np.array(lag, dtype=np.int64),
        tuple(np.array(sorted(r)) for r in resources), draw(st.integers(0, 6)), load, capacity,
    )  # fmt: skip


def brute(problem: ChunkProblem) -> int:
    """Least makespan: every order of starts, each task as early as the tasks before it in the order allow.

    Some order's earliest schedule is optimal: in a schedule from which no task can be moved earlier, place the tasks in
    the order in which they begin (the lags keep their sign: a task that must not begin long before another one may
    still come first).
    """
    return min(_place(problem, order) for order in permutations(range(problem.tasks)))


def _place(problem: ChunkProblem, order: tuple[int, ...]) -> int:
    """Makespan if tasks begin in this order; all lags and exclusions become lags of a longest-path problem."""
    n = problem.tasks
    lags = list(zip(problem.before.tolist(), problem.after.tolist(), problem.lag.tolist(), strict=True))
    lags += [(order[k], order[k + 1], 0) for k in range(n - 1)]
    rank = {task: k for k, task in enumerate(order)}
    for members in problem.resources:
        for i in members.tolist():
            lags += [(i, j, int(problem.duration[i])) for j in members.tolist() if rank[i] < rank[j]]
    return _router(problem, order, lags, int(problem.duration.sum() + problem.release.sum() + 5 * n))


def _router(problem: ChunkProblem, order: tuple[int, ...], lags: list[tuple[int, int, int]], horizon: int) -> int:
    """Longest path; while traffic is too high, try every way to delay the last starter behind one that runs."""
    start = _longest(problem, lags, horizon)
    if start is None:
        return 10**9
    if problem.load is not None:
        for task in order:
            running = [i for i in range(problem.tasks) if start[i] <= start[task] < start[i] + problem.duration[i]]
            if sum(int(problem.load[i]) for i in running) > problem.capacity:
                # One of those that run must end before another of them begins: any pair, either order.
                return min(
                    _router(problem, order, [*lags, (i, j, int(problem.duration[i]))], horizon)
                    for i in running for j in running if order.index(i) < order.index(j)
                )  # fmt: skip
    return makespan(problem, start)


def _longest(problem: ChunkProblem, lags: list[tuple[int, int, int]], horizon: int) -> np.ndarray | None:
    """Earliest starts; None if the lags contradict each other."""
    start = problem.release.astype(np.int64).copy()
    changed = True
    while changed:
        changed = False
        for i, j, lag in lags:
            if start[j] < start[i] + lag:
                start[j], changed = start[i] + lag, True
                if start[j] > horizon:
                    return None
    return start
