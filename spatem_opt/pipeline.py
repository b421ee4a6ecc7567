"""The front end: candidate plans from all methods, each scheduled, evaluated, and the best one kept."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from typing import Any

from spatem_opt import baselines, bounds
from spatem_opt.architecture import Architecture
from spatem_opt.baselines import BASELINES
from spatem_opt.errors import InstanceError
from spatem_opt.finish import measure, rank
from spatem_opt.names import find
from spatem_opt.network import Network
from spatem_opt.result import Decoupling, Result, Shortage, Status, Step
from spatem_opt.search import Evaluated, Progress, search
from spatem_opt.shortage import shortage
from spatem_opt.stop import Interrupted, MaxRuntime, catch_interrupt

OBJECTIVES = ("latency", "throughput", "communication", "energy", "balanced")
"""``balanced`` is latency times communication: what the abstract's headline weighs against each other."""
METHODS = ("auto", "exact", "heuristic", *BASELINES)
EXACT_SECONDS = 120.0
"""Time limit of ``exact`` where none is given."""
EXACT_SHARE = 0.5
"""Share of a time limit that is kept for the exact steps."""
STEPS = ("mapping", "grouping", "replication", "scheduling")
Trace = list[tuple[float, int, str]]
"""Seconds, value and name of every solution that was better than those before."""


def solve(
    network: Network,
    architecture: Architecture,
    *,
    objective: str = "latency",
    method: str = "auto",
    latency_limit: int | None = None,
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
    latency_limit : int, optional
        Cycles; slower solutions do not count. The exact steps do not know it and are left out.
    time_limit : float, optional
        Seconds for everything; a first solution, and what each exact step begins with, are always finished. Without it
        only the first candidates are tried, and ``exact`` takes :data:`EXACT_SECONDS`.
    seed : int
        Of the variations. Without a time limit, the same seed gives the same answer.
    workers : int
        Processes of the heuristic that make plans (Linux; its first answer is the same with any number), and threads of
        CP-SAT.
    progress : callable, optional
        Told in a few words what is going on.

    Returns
    -------
    Result
        ``INFEASIBLE`` with a :class:`~spatem_opt.result.Shortage` if the weights provably do not fit, or the latency
        bound is above the limit; ``UNKNOWN`` with one if only the baseline that was asked for does not fit.
        ``steps`` says what is proven step by step; an interrupt (Ctrl-C) keeps the best solution and what the steps
        have proven.

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
    method = find(method, METHODS) or method
    _check(objective, method, latency_limit)
    begun = time.monotonic()
    missing = shortage(network, architecture)
    if missing is not None:
        proof = _infeasible(network, architecture, time_limit, seed, workers) if method == "exact" else ()
        return Result(
            Status.INFEASIBLE, objective, seconds=time.monotonic() - begun, shortage=missing, steps=proof
        )  # fmt: skip
    if method in BASELINES and (missing := baselines.missing(method, network, architecture)) is not None:
        return Result(Status.UNKNOWN, objective, seconds=time.monotonic() - begun, shortage=missing)
    if latency_limit is not None and (least := bounds.latency(network, architecture).value) > latency_limit:
        missing = Shortage(
            "latency", least, latency_limit, "cycles", f"network {network.name!r} on {architecture.name!r}"
        )
        return Result(Status.INFEASIBLE, objective, seconds=time.monotonic() - begun, shortage=missing)
    bound, tell = _bound(network, architecture, objective), progress if progress is not None else _silent
    if method == "exact":
        for text in beyond_reach(network, architecture, time_limit):
            tell(f"beyond reach: {text}")
        time_limit = EXACT_SECONDS if time_limit is None else time_limit
    steps: tuple[Step, ...] = ()
    with catch_interrupt() as interrupted:
        stop = _stop(method, time_limit, interrupted)
        late = partial(_late, method, time_limit, begun)
        solutions = search(
            network, architecture, objective, method, progress, seed=seed, stop=stop, latency_limit=latency_limit,
            workers=workers,
        )  # fmt: skip
        best, trace = _best(solutions, objective, lambda value: interrupted(value) or value == bound.value or late())
        steps_wanted = time_limit is not None and method in ("auto", "exact") and latency_limit is None
        if best is not None and time_limit is not None and steps_wanted:
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


def _best(
    solutions: Generator[Evaluated, None, None], objective: str, enough: Callable[[int], bool]
) -> tuple[Evaluated | None, Trace]:
    """The best of the solutions until one is enough, and when each better one was found."""
    best: Evaluated | None = None
    trace: Trace = []
    with closing(solutions):  # ends its helpers
        for found in solutions:
            if best is None or rank(found.evaluation, objective) < rank(best.evaluation, objective):
                best = found
                trace.append((round(found.seconds, 3), found.value, found.name))
            if enough(best.value):
                break
    return best, trace


def _late(method: str, time_limit: float | None, begun: float) -> bool:
    """Whether the exact steps must begin, whatever candidates are left."""
    return method == "exact" and time.monotonic() - begun > (time_limit or 0.0) * (1 - EXACT_SHARE)


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
    with catch_interrupt() as interrupted:
        stop = partial(interrupted, 0.0)
        return (exact.infeasible(network, architecture, seconds, seed=seed, workers=workers, stop=stop),)


def prove(
    best: Evaluated, objective: str, seconds: float, seed: int, workers: int, tell: Progress, interrupted: Interrupted
) -> tuple[Evaluated, tuple[Step, ...]]:
    """Run the exact steps from a solution; Ctrl-C ends the present one with what it has, and no other is begun.

    Returns
    -------
    best : Evaluated
        Never worse than before.
    steps : tuple of Step
        All, in the order of :data:`STEPS`.
    """
    from formulations import exact

    done: dict[str, Step] = {}
    stop = partial(interrupted, 0.0)
    for found, step in exact.steps(best, objective, seconds, seed=seed, workers=workers, progress=tell, stop=stop):
        best, done[step.step] = found, step
    return best, tuple(done[name] for name in STEPS)


def decoupling(best: Evaluated, seconds: float, seed: int, workers: int, interrupted: Interrupted) -> Decoupling:
    """The price of solving the steps one by one, where all of them at once are within reach of one model."""
    from formulations import joint

    network, chip = best.solution.network, best.solution.architecture
    found = Result(Status.FEASIBLE, "latency", best.solution, measure(best.evaluation, "latency"))
    stop = partial(interrupted, 0.0)
    price = joint.price(network, chip, found, seconds, seed=seed, workers=workers, stop=stop)
    solved = price.joint
    return Decoupling(
        measure(best.evaluation, "latency"), None if solved is None else solved.objective,
        None if solved is None else solved.bound, str(price),
    )  # fmt: skip


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


def _check(objective: str, method: str, latency_limit: int | None) -> None:
    if objective not in OBJECTIVES:
        raise InstanceError("solve", "objective", objective, f"expected one of {', '.join(OBJECTIVES)}")
    if method not in METHODS:
        raise InstanceError("solve", "method", method, f"expected one of {', '.join(METHODS)}")
    if latency_limit is not None and (latency_limit < 1 or method == "exact"):
        rule = "expected at least 1 cycle" if latency_limit < 1 else "expected none with method 'exact'"
        raise InstanceError("solve", "latency_limit", latency_limit, rule)


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
    trace: Trace,
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
            "trace": [[seconds, value, bound.value, name] for seconds, value, name in trace],
        },
    }


def _versions() -> dict[str, str]:
    return {"python": platform.python_version(), **{name: version(name) for name in ("spatem-opt", "numpy")}}
