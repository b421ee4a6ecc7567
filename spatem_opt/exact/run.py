"""The steps one after the other, within one time limit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from formulations.solver import Limits, Stop
from spatem_opt.exact import conflicts, grouping, mapping, reach, replication, scheduling
from spatem_opt.exact.engines import Engine, Engines
from spatem_opt.exact.engines import engines as all_engines
from spatem_opt.exact.keep import Keep, ignore
from spatem_opt.model.architecture import Architecture
from spatem_opt.model.result import Status, Step
from spatem_opt.network.layers import Network
from spatem_opt.search.budget import Budget
from spatem_opt.search.engine import Evaluated

RunStep = Callable[[Evaluated, str, Limits, Keep, Engine | None], tuple[Evaluated, Step]]
RUN: dict[str, RunStep] = {
    "mapping": mapping.run,
    "replication": replication.run,
    "grouping": grouping.run,
    "scheduling": scheduling.run,
}


@dataclass(slots=True, eq=False)
class Kept:
    """What a step has found and proven so far, if it is cut short; `improved` is told better solutions."""

    best: Evaluated
    improved: Callable[[Evaluated], object]
    step: Step | None = None

    def __call__(self, found: Evaluated, step: Step | None = None) -> None:
        """Keep a solution, never worse than the one before, and maybe a record of the step so far."""
        if found.value < self.best.value:
            self.improved(found)
        self.best, self.step = found, step or self.step


def steps(
    found: Evaluated,
    objective: str,
    seconds: float,
    *,
    seed: int,
    workers: int,
    progress: Callable[[str], None],
    stop: Stop | None = None,
    budget: Budget | None = None,
    engines: Engines | None = None,
    improved: Callable[[Evaluated], object] = ignore,
) -> Iterator[tuple[Evaluated, Step]]:
    """Solve or bound each step's problem, and use its answer where the evaluator finds the whole better.

    Parameters
    ----------
    found : Evaluated
        Best solution so far.
    objective : str
        As in :func:`spatem_opt.front_end.solve`.
    seconds : float
        For all steps together, of which each takes a share. A step may take longer than its share, but is cut short
        when the time of all is up; what it had found and proven is kept. None but the first is begun then.
    seed, workers : int
        Of CP-SAT.
    progress : callable
        Told the step that begins.
    stop : callable or None
        Once true, the present step ends with what it has, and none is begun.
    budget : Budget, optional
        Notes what was cut short or not begun; by default one of `seconds` and `stop`.
    engines : dict, optional
        Step -> engine, or its name; by default the usual ones.
    improved : callable
        Told every better solution as soon as it is there.

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
    budget = Budget(seconds, stop) if budget is None else budget
    chosen = all_engines(engines)
    for name, share in reach.SHARES.items():
        left = limits.left(begin, share)
        late = left.time_limit <= 0 and name != next(iter(RUN))
        if limits.stopped or late:
            note = budget.note(f"exact {name}", "not begun")
            yield found, Step(name, "none", Status.UNKNOWN, None, None, 0.0, seed=seed, note=note)
            continue
        progress(f"exact {name}")
        work = partial(_run, name, found, objective, left, chosen[name])
        found, step = _within(budget, name, work, Kept(found, improved))
        if limits.stopped and step.status in (Status.FEASIBLE, Status.UNKNOWN):
            step = replace(step, note=f"{step.note}; interrupted")
        yield found, step


def _run(
    name: str, found: Evaluated, objective: str, limits: Limits, by: Engine, keep: Keep
) -> tuple[Evaluated, Step]:
    return RUN[name](found, objective, limits, keep, by)


def _within(
    budget: Budget, name: str, work: Callable[[Keep], tuple[Evaluated, Step]], kept: Kept
) -> tuple[Evaluated, Step]:
    """What a step comes to; if it must be cut short, what it had kept."""
    begin = time.monotonic()
    done = budget.spend(f"exact {name}", partial(work, kept))
    if done is not None:
        kept(*done)
        return done
    step = kept.step or Step(name, "none", Status.UNKNOWN, None, None, 0.0)
    note = "; ".join(filter(None, (step.note, f"cut short: {budget.why}")))
    return kept.best, replace(step, seconds=round(time.monotonic() - begin, 3), note=note)


def infeasible(
    network: Network, architecture: Architecture, seconds: float, *, seed: int, workers: int, stop: Stop | None = None
) -> Step:
    """The mapping step of a network that does not fit, with the constraint families that cannot hold together."""
    return conflicts.mapping(network, architecture, Limits(seconds, seed, workers, stop=stop))
