"""The steps one after the other, within one time limit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from formulations.exact import conflicts, grouping, mapping, reach, replication, scheduling
from formulations.solver import Limits, Stop
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
    found: Evaluated,
    objective: str,
    seconds: float,
    *,
    seed: int,
    workers: int,
    progress: Callable[[str], None],
    stop: Stop | None = None,
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
    stop : callable or None
        Once true, the present step ends with what it has, and none is begun.

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
    limits, begin = Limits(seconds, seed, workers, stop=stop), time.monotonic()
    for name, share in reach.SHARES.items():
        left = limits.left(begin, share)
        late = left.time_limit <= 0 and name != next(iter(RUN))
        if limits.stopped or late:
            note = f"not begun: {'interrupted' if limits.stopped else 'time was up'}"
            yield found, Step(name, "none", Status.UNKNOWN, None, None, 0.0, seed=seed, note=note)
            continue
        progress(f"exact {name}, best so far {found.value}")
        found, step = RUN[name](found, objective, left)
        if limits.stopped and step.status in (Status.FEASIBLE, Status.UNKNOWN):
            step = replace(step, note=f"{step.note}; interrupted")
        yield found, step


def infeasible(
    network: Network, architecture: Architecture, seconds: float, *, seed: int, workers: int, stop: Stop | None = None
) -> Step:
    """The mapping step of a network that does not fit, with the constraint families that cannot hold together."""
    return conflicts.mapping(network, architecture, Limits(seconds, seed, workers, stop=stop))
