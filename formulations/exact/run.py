"""The steps one after the other, within one time limit."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from formulations.exact import conflicts, grouping, mapping, reach, replication, scheduling
from formulations.solver import Limits
from spatem_opt.architecture import Architecture
from spatem_opt.network.layers import Network
from spatem_opt.result import Status, Step
from spatem_opt.search import Evaluated

RunStep = Callable[[Evaluated, str, Limits], tuple[Evaluated, Step]]
RUN: dict[str, RunStep] = {
    "mapping": mapping.run,
    "replication": replication.run,
    "grouping": grouping.run,
    "scheduling": scheduling.run,
}


def steps(
    found: Evaluated, objective: str, seconds: float, *, seed: int, workers: int, progress: Callable[[str], None]
) -> Iterator[tuple[Evaluated, Step]]:
    """Solve or bound each step's problem, and use its answer where the evaluator finds the whole better.

    Parameters
    ----------
    found : Evaluated
        Best solution so far.
    objective : str
        As in :func:`spatem_opt.pipeline.solve`.
    seconds : float
        For all steps together. A step that is begun finishes its data, heuristic and combinatorial bound; none but the
        first is begun when the time is up.
    seed, workers : int
        Of CP-SAT.
    progress : callable
        Told the step that begins.

    Yields
    ------
    found : Evaluated
        Best solution after the step, never worse than before.
    step : Step

    Raises
    ------
    ModelError
        If a model and its referee disagree: a bug of ours.
    """
    limits, begin = Limits(seconds, seed, workers), time.monotonic()
    for name, share in reach.SHARES.items():
        left = limits.left(begin, share)
        if left.time_limit <= 0 and name != next(iter(RUN)):
            yield found, Step(name, "none", Status.UNKNOWN, None, None, 0.0, seed=seed, note="not begun: time was up")
            continue
        progress(f"exact {name}, best so far {found.value}")
        with held_back():
            found, step = RUN[name](found, objective, left)
        yield found, step


def infeasible(network: Network, architecture: Architecture, seconds: float, *, seed: int, workers: int) -> Step:
    """The mapping step of a network that does not fit, with the constraint families that cannot hold together."""
    with held_back():
        return conflicts.mapping(network, architecture, Limits(seconds, seed, workers))


@contextmanager
def held_back() -> Iterator[None]:
    """Let Ctrl-C wait until the block ends.

    CP-SAT puts a handler of its own in place and takes all handlers away after it: the next Ctrl-C would end the
    program with nothing kept. So the signal is blocked, and Python's handler put back before it may come.
    """
    handler = signal.getsignal(signal.SIGINT)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
