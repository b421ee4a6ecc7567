"""The front end: candidate plans from all methods, each scheduled, evaluated, and the best one kept."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from typing import Any

from spatem_opt import bounds
from spatem_opt.architecture import Architecture
from spatem_opt.baselines import BASELINES
from spatem_opt.errors import InstanceError, ModelError
from spatem_opt.evaluator import Evaluation, evaluate
from spatem_opt.heuristic import Candidates, Setting
from spatem_opt.network import Network
from spatem_opt.plan import Plan, assemble, problem_of
from spatem_opt.result import Result, Status, Step
from spatem_opt.scheduling import list_schedule
from spatem_opt.scheduling.problem import Problem
from spatem_opt.scheduling.stretch import stretch
from spatem_opt.shortage import shortage
from spatem_opt.solution import Solution
from spatem_opt.stop import Interrupted, MaxRuntime, catch_interrupt

OBJECTIVES = ("latency", "throughput", "communication", "energy", "balanced")
"""``balanced`` is latency times communication: what the abstract's headline weighs against each other."""
METHODS = ("auto", "exact", "heuristic", *BASELINES)
EXACT_SECONDS = 120.0
"""Time limit of ``exact`` where none is given."""
EXACT_SHARE = 0.5
"""Share of a time limit that ``auto`` keeps for the exact steps."""
STEPS = ("mapping", "grouping", "replication", "scheduling")
STRETCHES = 12
"""Times a schedule is slowed down before its plan is given up."""
CONTENTION = {"port", "router"}

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True, eq=False)
class Evaluated:
    """A solution that the evaluator accepts, its numbers, when it was found, and what it came from.

    ``setting`` is what the segment search was told; None for plans of other makers.
    """

    name: str
    solution: Solution
    evaluation: Evaluation
    value: int
    seconds: float
    plan: Plan
    setting: Setting | None = None


def solve(
    network: Network,
    architecture: Architecture,
    *,
    objective: str = "latency",
    method: str = "auto",
    time_limit: float | None = None,
    seed: int = 0,
    workers: int = 1,
    progress: Progress | None = None,
) -> Result:
    """Map, group, replicate, place and schedule a network on a chip.

    Parameters
    ----------
    network, architecture
    objective : {"latency", "throughput", "communication", "energy", "balanced"}
        Minimised: cycles, cycles of the period, bits, fJ, cycles x bits.
    method : str
        ``heuristic``; ``exact``: the heuristic's first answer, then every step solved or bounded on its own, and the
        answers used where they are better; ``auto``: with a time limit half of it for the heuristic and the rest for
        the exact steps, without one the heuristic alone; or the name of a baseline
        (:data:`spatem_opt.baselines.BASELINES`).
    time_limit : float, optional
        Seconds for everything; a first solution, and what each exact step begins with, are always finished. Without it
        only the first candidates are tried, and ``exact`` takes :data:`EXACT_SECONDS`.
    seed : int
        Of the variations. Without a time limit, the same seed gives the same answer.
    workers : int
        Threads of CP-SAT; the heuristic uses one.
    progress : callable, optional
        Told in a few words what is going on.

    Returns
    -------
    Result
        ``INFEASIBLE`` with a :class:`~spatem_opt.result.Shortage` if the weights provably do not fit. ``steps`` says
        what is proven step by step; an interrupt (Ctrl-C) keeps the best solution and the steps done so far.

    Raises
    ------
    InstanceError
        If an argument is not one of those above.
    ModelError
        If the evaluator contradicts the scheduler: a bug of this package.

    Examples
    --------
    >>> from spatem_opt import load_architecture, load_network, solve
    >>> result = solve(load_network("lenet5"), load_architecture("ou-isaac-4x4", {"adc_bits": "5"}))
    >>> str(result.status), result.bound <= result.value
    ('feasible', True)
    """
    _check(objective, method)
    begun = time.monotonic()
    missing = shortage(network, architecture)
    if missing is not None:
        proof = _infeasible(network, architecture, time_limit, seed, workers) if method == "exact" else ()
        return Result(
            Status.INFEASIBLE, objective, seconds=time.monotonic() - begun, shortage=missing, steps=proof
        )  # fmt: skip
    bound, tell = _bound(network, architecture, objective), progress if progress is not None else _silent
    if method == "exact":
        for text in beyond_reach(network, architecture, time_limit):
            tell(f"beyond reach: {text}")
        time_limit = EXACT_SECONDS if time_limit is None else time_limit
    best: Evaluated | None = None
    steps: tuple[Step, ...] = ()
    trace: list[tuple[float, int, str]] = []
    with catch_interrupt() as interrupted:
        stop = _stop(method, time_limit, interrupted)
        for found in search(network, architecture, objective, method, progress, seed=seed, stop=stop):
            if best is None or found.value < best.value:
                best = found
                trace.append((round(found.seconds, 3), found.value, found.name))
            if interrupted(best.value) or best.value == bound.value:
                break
        if best is not None and time_limit is not None and method in ("auto", "exact") and not interrupted.pressed:
            left = max(0.0, time_limit - (time.monotonic() - begun))
            before, (best, steps) = best, prove(best, objective, left, seed, workers, tell, interrupted)
            if best.value < before.value:
                trace.append((round(time.monotonic() - begun, 3), best.value, best.name))
    seconds = time.monotonic() - begun
    if best is None:
        return Result(Status.UNKNOWN, objective, bound=bound.value, seconds=seconds)
    claims = _claims(best, bound, objective, method, seed, seconds, trace, steps)
    status = Status.OPTIMAL if best.value == bound.value else Status.FEASIBLE
    return Result(
        status, objective, replace(best.solution, claims=claims), best.value, bound.value, seconds,
        evaluation=best.evaluation, steps=steps,
    )  # fmt: skip


def beyond_reach(network: Network, architecture: Architecture, time_limit: float | None = None) -> list[str]:
    """What ``exact`` will bound but not prove within a time limit [s], and the sizes that say so; one text per step."""
    from formulations import exact

    return exact.beyond_reach(network, architecture, EXACT_SECONDS if time_limit is None else time_limit)


def _infeasible(
    network: Network, architecture: Architecture, time_limit: float | None, seed: int, workers: int
) -> tuple[Step, ...]:
    """The step that proves it, with the constraint families that cannot hold together."""
    from formulations import exact

    seconds = EXACT_SECONDS if time_limit is None else time_limit
    return (exact.infeasible(network, architecture, seconds, seed=seed, workers=workers),)


def prove(
    best: Evaluated, objective: str, seconds: float, seed: int, workers: int, tell: Progress, interrupted: Interrupted
) -> tuple[Evaluated, tuple[Step, ...]]:
    """Run the exact steps from a solution, until they are done or Ctrl-C is pressed.

    Returns
    -------
    best : Evaluated
        Never worse than before.
    steps : tuple of Step
        Those that were done, in the order of :data:`STEPS`.
    """
    from formulations import exact

    done: dict[str, Step] = {}
    for found, step in exact.steps(best, objective, seconds, seed=seed, workers=workers, progress=tell):
        best, done[step.step] = found, step
        if interrupted(best.value):
            break
    return best, tuple(done[name] for name in STEPS if name in done)


def _stop(method: str, time_limit: float | None, interrupted: Interrupted) -> Callable[[], bool] | None:
    """When the search ends, from now on; None: after its first candidates, as for ``exact``."""
    if time_limit is None or method == "exact":
        return None
    limit = MaxRuntime(time_limit * (1 - EXACT_SHARE) if method == "auto" else time_limit)
    stop = partial(_over, limit, interrupted)
    stop()  # starts the clock
    return stop


def _silent(text: str) -> None:
    pass


def _over(limit: MaxRuntime, interrupted: Interrupted) -> bool:
    return limit(0.0) or interrupted(0.0)


def _check(objective: str, method: str) -> None:
    if objective not in OBJECTIVES:
        raise InstanceError("solve", "objective", objective, f"expected one of {', '.join(OBJECTIVES)}")
    if method not in METHODS:
        raise InstanceError("solve", "method", method, f"expected one of {', '.join(METHODS)}")


def search(
    network: Network,
    architecture: Architecture,
    objective: str,
    method: str,
    progress: Progress | None = None,
    *,
    seed: int = 0,
    stop: Callable[[], bool] | None = None,
) -> Iterator[Evaluated]:
    """Evaluated solutions, one after the other as they are found; not necessarily better and better.

    With ``stop`` it goes on, varying what led to the best solution so far, until that is true and there is a solution.
    """
    begun = time.monotonic()
    best: int | None = None
    for name, make, setting in _planners(network, architecture, objective, method, seed, stop is not None):
        if stop is not None and best is not None and stop():
            return
        if progress is not None:
            progress(f"{name}" + (f", best so far {best}" if best is not None else ""))
        plan = make(best)
        limit = best if objective == "latency" else None
        found = None if plan is None else finish(plan, network, architecture, limit)
        if plan is not None and found is not None:
            value = measure(found[1], objective)
            best = value if best is None else min(best, value)
            yield Evaluated(name, *found, value, time.monotonic() - begun, plan, setting)


Planner = Callable[[int | None], Plan | None]


def _planners(
    network: Network, architecture: Architecture, objective: str, method: str, seed: int, improve: bool
) -> Iterator[tuple[str, Planner, Setting | None]]:
    """Names and makers of plans, and settings of the segment search; a maker is told the best value and may decline."""
    if method in BASELINES:
        yield method, lambda best: BASELINES[method](network, architecture), None
        return
    candidates = Candidates(network, architecture, objective)
    moving = _Moving(candidates)
    for setting in candidates.settings():
        yield _name(setting), partial(moving.make, setting), setting
    yield "pipeline", lambda best: candidates.promising(candidates.one_segment(), best), None
    for name, baseline in BASELINES.items():
        if candidates.may_win(name):
            yield name, partial(_baseline, candidates, baseline), None
    for i, setting in enumerate(candidates.variations(seed)):
        if i >= candidates.effort and not improve:
            return
        yield _name(setting), partial(moving.make, setting), setting


class _Moving:
    """Moves the candidates' centre to the setting whose plan lowered the best value."""

    def __init__(self, candidates: Candidates) -> None:
        self.candidates = candidates
        self.value: int | None = None
        self.last: Setting | None = None

    def make(self, setting: Setting, best: int | None) -> Plan | None:
        """The plan of a setting, unless it was made before."""
        if best is not None and (self.value is None or best < self.value) and self.last is not None:
            self.value, self.candidates.best = best, self.last
        self.last = setting
        return self.candidates.fresh(setting)


def _name(setting: Setting) -> str:
    return f"segments (price {setting.price:.3g}, router share {setting.router_share:.2g})"


def _baseline(
    candidates: Candidates, baseline: Callable[[Network, Architecture], Plan | None], best: int | None
) -> Plan | None:
    return candidates.promising(baseline(candidates.network, candidates.architecture), best)


def finish(
    plan: Plan,
    network: Network,
    architecture: Architecture,
    limit: int | None = None,
    problem: Problem | None = None,
) -> tuple[Solution, Evaluation] | None:
    """Schedule a plan, slowing it down until routers and ports can follow; None if they never can.

    With a ``limit``, also None as soon as the latency is not below it: slowing down never shortens it. A ``problem``
    replaces that of the plan, where the plan's copies are placed another way.

    Raises
    ------
    ModelError
        If the evaluator finds another latency than the scheduler, or breaks another constraint than a port or router.
    """
    problem = problem_of(plan, network, architecture) if problem is None else problem
    for attempt in range(STRETCHES):
        times = list_schedule.solve(problem)
        if limit is not None and times.latency >= limit:
            return None
        solution = assemble(plan, problem, times)
        found = evaluate(solution)
        families = {violation.family for violation in found.violations}
        if not families:
            return solution, found
        if families - CONTENTION:
            bad = next(v for v in found.violations if v.family not in CONTENTION)
            if bad.family == "buffer":
                return None
            raise ModelError(f"{plan.name} on {network.name!r}: {bad.family}: {bad.message}")
        if found.arrays is None:
            raise ModelError(f"{plan.name} on {network.name!r}: no replay")
        load = found.arrays.bin_load
        problem = stretch(problem, times, found.arrays.bins, load, 1 + 0.02 * attempt, stagger=attempt == 0)
    return None


def measure(found: Evaluation, objective: str) -> int:
    """Objective value of an evaluated solution."""
    if found.latency_cycles is None or found.communication is None or found.energy is None:
        raise ModelError("a solution without violations could not be replayed")
    values = {
        "latency": found.latency_cycles,
        "throughput": found.period_cycles or 0,
        "communication": found.communication.total,
        "energy": found.energy.total,
        "balanced": found.latency_cycles * found.communication.total,
    }
    return values[objective]


def _bound(network: Network, architecture: Architecture, objective: str) -> bounds.Bound:
    if objective == "balanced":
        product = bounds.latency(network, architecture).value * bounds.communication(network, architecture).value
        return bounds.Bound({"latency x communication": product})
    makers = {
        "latency": bounds.latency,
        "throughput": bounds.period,
        "communication": bounds.communication,
        "energy": bounds.energy,
    }
    return makers[objective](network, architecture)


def _claims(
    best: Evaluated,
    bound: bounds.Bound,
    objective: str,
    method: str,
    seed: int,
    seconds: float,
    trace: list[tuple[float, int, str]],
    steps: tuple[Step, ...],
) -> dict[str, dict[str, Any]]:
    """What the solution file claims: numbers that the evaluator must be able to confirm, and how they were found."""
    found = best.evaluation
    status = "optimal" if best.value == bound.value else "feasible"
    total = {
        "objective": objective, "bound": bound.value, "latency": found.latency_cycles, "period": found.period_cycles,
        "communication": found.communication.total if found.communication else None,
        "energy": found.energy.total if found.energy else None,
    }  # fmt: skip
    how = {"method": method, "plan": best.name, "status": status, "binding": bound.binding, "seed": seed}
    return {
        "total": total,
        **{step.step: {key: value for key, value in step.to_dict().items() if key != "step"} for step in steps},
        "search": {
            **how,
            "seconds": round(seconds, 3),
            "versions": _versions(),
            "trace": [list(step) for step in trace],
        },
    }


def _versions() -> dict[str, str]:
    return {"python": platform.python_version(), **{name: version(name) for name in ("spatem-opt", "numpy")}}
