"""The front end: candidate plans from all methods, each scheduled, evaluated, and the best one kept."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import version
from typing import Any

from spatem_opt.cost import bounds
from spatem_opt.errors import InstanceError, ModelError
from spatem_opt.evaluator import evaluate
from spatem_opt.evaluator.proof import prove as prove_bounds
from spatem_opt.files.names import find
from spatem_opt.limits import LONGEST_TIME
from spatem_opt.mapping.rows import row_shortage
from spatem_opt.mapping.shortage import shortage
from spatem_opt.model.architecture import Architecture
from spatem_opt.model.arguments import check_listener, check_run, whole
from spatem_opt.model.result import Decoupling, Shortage, Status, Step
from spatem_opt.model.solution import Solution
from spatem_opt.network import Network
from spatem_opt.planning import baselines
from spatem_opt.planning.baselines import BASELINES
from spatem_opt.search.budget import Budget
from spatem_opt.search.engine import Evaluated, Tell, search
from spatem_opt.search.progress import Listener, Teller
from spatem_opt.search.realisation import measure, rank
from spatem_opt.search.result import Result
from spatem_opt.search.stop import catch_interrupt

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
    progress: Listener | None = None,
    on_solution: Callable[[Solution], None] | None = None,
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
        (:data:`spatem_opt.planning.baselines.BASELINES`).
    latency_limit : int, optional
        Cycles; slower solutions do not count. The exact steps do not know it and are left out.
    time_limit : float, optional
        Seconds for everything. A first solution is always finished; after it whatever runs is cut short, and ``cut`` of
        the result says what. Without it only the first candidates are tried, and ``exact`` takes
        :data:`EXACT_SECONDS`.
    seed : int
        Of the variations. Without a time limit, the same seed gives the same answer.
    workers : int
        Processes of the heuristic that make plans (Linux; its first answer is the same with any number), and threads of
        CP-SAT.
    progress : callable, optional
        Told what is tried, with the numbers so far: a :class:`~spatem_opt.search.progress.Progress`.
    on_solution : callable, optional
        Given every solution that is better than those before, as soon as the evaluator has accepted it.

    Returns
    -------
    Result
        ``INFEASIBLE`` with a :class:`~spatem_opt.model.result.Shortage` if the weights provably do not fit, or the
        latency
        bound is above the limit; ``UNKNOWN`` with one if only the baseline that was asked for does not fit.
        ``steps`` says what is proven step by step; an interrupt (Ctrl-C, SIGTERM) keeps the best solution and what the
        steps have proven.

    Raises
    ------
    InstanceError
        If an argument is not one of those above.
    ModelError
        If the evaluator contradicts the scheduler, or a value is below its bound: a bug of this package.

    Examples
    --------
    >>> from spatem_opt import load_architecture, load_network, solve
    >>> result = solve(load_network("lenet5"), load_architecture("ou-isaac-4x4", {"adc_bits": "5"}))
    >>> str(result.status), result.bound <= result.value
    ('feasible', True)
    """
    time_limit, seed, workers = check_run(
        "solve", (network, architecture), time_limit=time_limit, seed=seed, workers=workers, progress=progress
    )
    check_listener("solve", "on_solution", on_solution)
    method = _check(objective, method, latency_limit)
    begun = time.monotonic()
    missing = (
        shortage(network, architecture)
        or row_shortage(network, architecture)
        or _too_slow(network, architecture, latency_limit)
    )
    if missing is not None:
        modelled = method == "exact" and missing.family != "buffer"
        proof = _infeasible(network, architecture, time_limit, seed, workers) if modelled else ()
        return Result(
            Status.INFEASIBLE, objective, seconds=time.monotonic() - begun, shortage=missing, steps=proof
        )  # fmt: skip
    if method in BASELINES and (missing := baselines.missing(method, network, architecture)) is not None:
        return Result(Status.UNKNOWN, objective, seconds=time.monotonic() - begun, shortage=missing)
    bound = bounds.MAKERS[objective](network, architecture)
    record = _Record(objective, bound, Teller(progress, bound=bound.value), on_solution, how=(method, seed))
    if method == "exact":
        for text in beyond_reach(network, architecture, time_limit):
            record.tell(f"beyond reach: {text}")
        time_limit = EXACT_SECONDS if time_limit is None else time_limit
    steps: tuple[Step, ...] = ()
    with catch_interrupt() as interrupted:
        budget = Budget(time_limit, partial(interrupted, 0.0))
        share = 1 - EXACT_SHARE if method in ("auto", "exact") else 1.0
        searching = budget.part(None if time_limit is None else time_limit * share)
        endless = time_limit is not None and method != "exact"
        solutions = search(
            network, architecture, objective, method, record.tell, seed=seed, latency_limit=latency_limit,
            stop=searching.over if endless else None, workers=workers, budget=searching,
        )  # fmt: skip
        with closing(solutions):  # ends its helpers
            for found in solutions:
                if record.seen(found) == bound.value or budget.interrupted:
                    break
        steps_wanted = time_limit is not None and method in ("auto", "exact") and latency_limit is None
        if record.best is not None and steps_wanted:
            _, steps = prove(record.best, objective, budget, (seed, workers), record.tell, record.seen)
    seconds = record.tell.seconds
    if record.best is None:
        return Result(Status.UNKNOWN, objective, bound=bound.value, seconds=seconds, cut=budget.cuts)
    record.best = replace(record.best, evaluation=evaluate(record.best.solution))  # with its period
    result = Result(
        record.status, objective, record.solution(steps, budget.cuts), record.best.value, bound.value, seconds,
        evaluation=record.best.evaluation, steps=steps, cut=budget.cuts,
    )  # fmt: skip
    return _proven_twice(result)


def _too_slow(network: Network, architecture: Architecture, latency_limit: int | None) -> Shortage | None:
    """What is missing if no solution whatever keeps the latency limit."""
    if latency_limit is None or (least := bounds.latency(network, architecture).value) <= latency_limit:
        return None
    return Shortage("latency", least, latency_limit, "cycles", f"network {network.name!r} on {architecture.name!r}")


def _proven_twice(result: Result) -> Result:
    """The result with the evaluator's bounds, which must be its own: else its file would not be valid."""
    if result.solution is None or result.evaluation is None:
        return result
    proven = prove_bounds(result.solution.network, result.solution.architecture)
    found = proven["period" if result.objective == "throughput" else result.objective]
    if found != result.bound:
        raise ModelError(f"{result.objective}: a bound of {result.bound}, of which the evaluator proves {found}")
    return replace(result, evaluation=replace(result.evaluation, bounds=proven))


@dataclass(slots=True, eq=False)
class _Record:
    """The best solution so far, and when each better one was found; ``how`` is method and seed."""

    objective: str
    bound: bounds.Bound
    tell: Teller
    on_solution: Callable[[Solution], None] | None
    how: tuple[str, int]
    best: Evaluated | None = None
    trace: Trace = field(default_factory=list)

    @property
    def status(self) -> Status:
        """Of the best solution."""
        met = self.best is not None and self.best.value == self.bound.value
        return Status.OPTIMAL if met else Status.FEASIBLE

    def seen(self, found: Evaluated) -> int:
        """Take note of a solution; returns the best value so far."""
        if self.best is not None and rank(found.evaluation, self.objective) >= rank(
            self.best.evaluation, self.objective
        ):
            return self.best.value
        self.best = found
        self.trace.append((round(self.tell.seconds, 3), found.value, found.name))
        self.tell.better(found.value)
        if self.on_solution is not None:
            self.on_solution(self.solution())
        return found.value

    def solution(self, steps: tuple[Step, ...] = (), cut: tuple[str, ...] = ()) -> Solution:
        """The best solution with its claims."""
        if self.best is None:
            raise ModelError("there is no solution yet")
        return replace(self.best.solution, claims=_claims(self.best, self, steps, cut))


def beyond_reach(network: Network, architecture: Architecture, time_limit: float | None = None) -> list[str]:
    """What ``exact`` will bound but not prove within a time limit [s], and the sizes that say so; one text per step."""
    from spatem_opt import exact

    return exact.beyond_reach(network, architecture, EXACT_SECONDS if time_limit is None else time_limit)


def _infeasible(
    network: Network, architecture: Architecture, time_limit: float | None, seed: int, workers: int
) -> tuple[Step, ...]:
    """The step that proves it, with the constraint families that cannot hold together."""
    from spatem_opt import exact

    seconds = EXACT_SECONDS if time_limit is None else time_limit
    with catch_interrupt() as interrupted:
        stop = partial(interrupted, 0.0)
        return (exact.infeasible(network, architecture, seconds, seed=seed, workers=workers, stop=stop),)


def prove(
    best: Evaluated,
    objective: str,
    budget: Budget,
    engine: tuple[int, int],
    tell: Tell,
    improved: Callable[[Evaluated], object] | None = None,
) -> tuple[Evaluated, tuple[Step, ...]]:
    """Run the exact steps from a solution; Ctrl-C ends the present one with what it has, and no other is begun.

    Parameters
    ----------
    best : Evaluated
    objective : str
    budget : Budget
        With a limit.
    engine : tuple of int
        Seed and workers of CP-SAT.
    tell : callable
        Told the step that begins.
    improved : callable
        Given every better solution at once.

    Returns
    -------
    best : Evaluated
        Never worse than before.
    steps : tuple of Step
        All, in the order of :data:`STEPS`.
    """
    from spatem_opt import exact

    done: dict[str, Step] = {}
    seconds, (seed, workers) = budget.left(), engine
    for found, step in exact.steps(
        best, objective, EXACT_SECONDS if seconds is None else seconds, seed=seed, workers=workers, progress=tell,
        stop=lambda: budget.interrupted, budget=budget, improved=improved or _ignore,
    ):  # fmt: skip
        best, done[step.step] = found, step
    return best, tuple(done[name] for name in STEPS)


def _ignore(found: Evaluated) -> None:
    """Nobody wants better solutions at once."""


def decoupling(best: Evaluated, seconds: float, seed: int, workers: int, budget: Budget) -> Decoupling | None:
    """The price of solving the steps one by one, where all of them at once are within reach of one model.

    None if the budget is used up before it is known.
    """
    from spatem_opt.exact.decoupling import decoupling_price

    network, chip = best.solution.network, best.solution.architecture
    found = Result(Status.FEASIBLE, "latency", best.solution, measure(best.evaluation, "latency"))
    price = budget.spend(
        "all steps at once",
        lambda: decoupling_price(
            network, chip, found, seconds, seed=seed, workers=workers, stop=lambda: budget.interrupted
        ),
    )
    if price is None:
        return None
    solved = price.joint
    return Decoupling(
        measure(best.evaluation, "latency"), None if solved is None else solved.objective,
        None if solved is None else solved.bound, str(price),
    )  # fmt: skip


def _check(objective: str, method: str, latency_limit: int | None) -> str:
    """The method that is meant, whatever its case and dashes; raises :class:`InstanceError` if anything is wrong."""
    known = find(method, METHODS) if isinstance(method, str) else None
    if objective not in OBJECTIVES:
        raise InstanceError("solve", "objective", objective, f"expected one of {', '.join(OBJECTIVES)}")
    if known is None:
        raise InstanceError("solve", "method", method, f"expected one of {', '.join(METHODS)}")
    if latency_limit is not None:
        whole("solve", "latency_limit", latency_limit, 1, LONGEST_TIME)
        if known == "exact":
            raise InstanceError("solve", "latency_limit", latency_limit, "expected none with method 'exact'")
    return known


def _claims(
    best: Evaluated, record: _Record, steps: tuple[Step, ...], cut: tuple[str, ...]
) -> dict[str, dict[str, Any]]:
    """What the solution file claims: numbers that the evaluator must be able to confirm, and how they were found."""
    found, bound, (method, seed) = best.evaluation, record.bound, record.how
    total = {
        "objective": record.objective, "bound": bound.value, "latency": found.latency_cycles,
        "period": found.period_cycles, "communication": found.communication.total if found.communication else None,
        "energy": found.energy.total if found.energy else None,
    }  # fmt: skip
    how = {"method": method, "plan": best.name, "status": str(record.status), "binding": bound.binding, "seed": seed}
    return {
        "total": total,
        **{step.step: {key: value for key, value in step.to_dict().items() if key != "step"} for step in steps},
        "search": {
            **how,
            "seconds": round(record.tell.seconds, 3),
            "versions": _versions(),
            "trace": [[seconds, value, bound.value, name] for seconds, value, name in record.trace],
            **({"cut_short": list(cut)} if cut else {}),
        },
    }


def _versions() -> dict[str, str]:
    return {"python": platform.python_version(), **{name: version(name) for name in ("spatem-opt", "numpy")}}
