"""The front end: candidate plans from all methods, each scheduled, evaluated, and the best one kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spatem_opt.cost import bounds
from spatem_opt.errors import InstanceError
from spatem_opt.evaluator import evaluate
from spatem_opt.files.names import find
from spatem_opt.limits import LONGEST_TIME
from spatem_opt.mapping.rows import row_shortage
from spatem_opt.mapping.shortage import shortage
from spatem_opt.model.architecture import Architecture
from spatem_opt.model.arguments import check_listener, check_run, check_type, whole
from spatem_opt.model.result import Decoupling, Shortage, Status, Step
from spatem_opt.model.solution import Solution
from spatem_opt.network import Network
from spatem_opt.planning import registry
from spatem_opt.planning.baselines import BASELINES
from spatem_opt.planning.policy import POLICIES, policy_of
from spatem_opt.planning.protocol import Planner, Task, TileExchange, lacking
from spatem_opt.search.budget import Budget
from spatem_opt.search.engine import Evaluated, Search, Tell, usual_exchanges
from spatem_opt.search.progress import Listener, Teller
from spatem_opt.search.realisation import measure
from spatem_opt.search.record import Record
from spatem_opt.search.result import Result
from spatem_opt.search.stop import StoppingCriterion, catch_interrupt
from spatem_opt.tuning import Tuning, load_tuning

if TYPE_CHECKING:
    from spatem_opt.exact.engines import Engines

OBJECTIVES = tuple(POLICIES)
METHODS = ("auto", "exact", "heuristic", *BASELINES)
EXACT_SECONDS = 120.0
"""Time limit of ``exact`` where none is given."""
FULLY = 1.4
"""What an evaluation with its period takes, over one without: of networks whose inferences in a row are replayed."""
EXACT_SHARE = 0.5
"""Share of a time limit that is kept for the exact steps."""
STEPS = ("mapping", "grouping", "replication", "scheduling")


def solve(
    network: Network,
    architecture: Architecture,
    *,
    objective: str = "latency",
    method: str = "auto",
    planners: Sequence[Planner | str] | None = None,
    engines: Engines | None = None,
    exchanges: Sequence[TileExchange | str] | None = None,
    tuning: Tuning | str | Path | None = None,
    latency_limit: int | None = None,
    time_limit: float | None = None,
    stop: StoppingCriterion | None = None,
    start: Solution | None = None,
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
    planners : sequence of Planner or str, optional
        In place of the usual ones (:func:`spatem_opt.planning.registry.usual`): objects, names, or
        ``path/file.py:Class``. See :mod:`spatem_opt.planning.protocol` for what a planner is.
    engines : dict of str to StepEngine or str, optional
        Of the exact steps: step (``"mapping"``, ``"grouping"``, ``"replication"``, ``"scheduling"``) -> engine, or its
        name (``"cpsat"``, ``"ilp"``, ``path/file.py:Class``).
    exchanges : sequence of TileExchange or str, optional
        Tried on every better solution; by default those of the objective.
    tuning : Tuning or path of a TOML file, optional
        Constants that planners and estimates use (:mod:`spatem_opt.tuning`); their hash is in the claims.
    latency_limit : int, optional
        Cycles; slower solutions do not count. The exact steps do not know it and are left out.
    time_limit : float, optional
        Seconds for everything. A first solution is always finished; after it whatever runs is cut short, and ``cut`` of
        the result says what. Without it only the first candidates are tried, and ``exact`` takes
        :data:`EXACT_SECONDS`.
    stop : StoppingCriterion, optional
        Asked before every plan with the best value so far (infinite before there is one); the search goes on until it
        is true (:mod:`spatem_opt.search.stop`).
    start : Solution, optional
        To begin from: what is not better does not count, and it is the answer if nothing is.
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
    check_listener("solve", "stop", stop)
    method = _check(objective, method, latency_limit)
    endless = stop is not None or (time_limit is not None and method != "exact")
    task = Task(network, architecture, objective, latency_limit, endless, _tuning(tuning))
    job = _Job(task, method, _planners(task, method, planners), _exchanges(task, method, exchanges), time_limit, seed,
               workers, stop, _engines(engines), None if start is None else _incumbent(task, start))  # fmt: skip
    impossible = job.impossible()
    if impossible is not None:
        return impossible
    bound = bounds.MAKERS[objective](network, architecture)
    record = Record(objective, bound, Teller(progress, bound=bound.value), on_solution, job.how)
    return job.run(record)


def _engines(engines: Engines | None) -> Engines | None:
    """Those that are asked for, looked up; models are loaded only then."""
    if engines is None:
        return None
    from spatem_opt.exact.engines import engines as all_engines

    return all_engines(engines)


def _tuning(tuning: Tuning | str | Path | None) -> Tuning:
    if isinstance(tuning, str | Path):
        return load_tuning(tuning)
    if tuning is not None:
        check_type("solve", "tuning", tuning, Tuning)
    return Tuning() if tuning is None else tuning


def usual_planners(names: Sequence[Planner | str], objective: str) -> list[Planner | str]:
    """Planners with ``"usual"`` replaced by the usual set for an objective."""
    found: list[Planner | str] = []
    for name in names:
        found += registry.usual(policy_of(objective)) if name == "usual" else [name]
    return found


def _planners(task: Task, method: str, planners: Sequence[Planner | str] | None) -> tuple[Planner, ...]:
    """Those that are asked for, or the usual ones of a method."""
    if planners is None:
        return (registry.planner(method),) if method in BASELINES else registry.usual(task.policy)
    if isinstance(planners, str) or not isinstance(planners, Sequence) or not planners:
        raise InstanceError("solve", "planners", planners, "expected a list of at least one planner")
    if method in BASELINES:
        raise InstanceError("solve", "planners", planners, f"expected none with method {method!r}, which is one")
    return tuple(registry.planner(planner) for planner in planners)


def _exchanges(
    task: Task, method: str, exchanges: Sequence[TileExchange | str] | None
) -> tuple[TileExchange, ...]:
    """Those that are asked for, or the usual ones of the objective; a baseline is left as it is."""
    if exchanges is None:
        return () if method in BASELINES else usual_exchanges(task)
    if isinstance(exchanges, str) or not isinstance(exchanges, Sequence):
        raise InstanceError("solve", "exchanges", exchanges, "expected a list of tile exchanges")
    return tuple(registry.exchange(exchange, task.tuning) for exchange in exchanges)


def _incumbent(task: Task, start: Solution) -> Evaluated:
    """A solution to begin from, as the evaluator sees it; raises :class:`InstanceError` if it is none for the task."""
    check_type("solve", "start", start, Solution)
    found = evaluate(start, network=task.network, architecture=task.architecture)
    if found.violations:
        first = found.violations[0]
        raise InstanceError("solve", "start", start.network.name, f"expected a valid solution: {first.message}")
    limit, latency = task.latency_limit, found.latency_cycles or 0
    if limit is not None and latency > limit:
        raise InstanceError("solve", "start", latency, f"expected a latency within the limit of {limit} cycles")
    return Evaluated("start", start, found, measure(found, task.objective), 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """One call of :func:`solve`, its arguments checked."""

    task: Task
    method: str
    planners: tuple[Planner, ...]
    exchanges: tuple[TileExchange, ...]
    time_limit: float | None
    seed: int
    workers: int
    stop: StoppingCriterion | None
    engines: Engines | None
    start: Evaluated | None

    @property
    def how(self) -> dict[str, Any]:
        """What the claims say of it."""
        names = [planner.name for planner in self.planners]
        usual = self.method in BASELINES or names == [planner.name for planner in registry.usual(self.task.policy)]
        own = {"method": self.method, "seed": self.seed, "tuning": self.task.tuning.digest}
        return {**own, **({} if usual else {"planners": names})}

    def impossible(self) -> Result | None:
        """The answer if there is no solution, or a lone planner can find none; else None."""
        begun, task = time.monotonic(), self.task
        both = task.network, task.architecture
        missing = shortage(*both) or row_shortage(*both) or _too_slow(*both, task.latency_limit)
        if missing is not None:
            modelled = self.method == "exact" and missing.family != "buffer"
            proof = _infeasible(task, self.time_limit, self.seed, self.workers) if modelled else ()
            seconds = time.monotonic() - begun
            return Result(Status.INFEASIBLE, task.objective, seconds=seconds, shortage=missing, steps=proof)
        if len(self.planners) == 1 and self.start is None:
            missing = lacking(self.planners[0], task)
            if missing is not None:
                return Result(Status.UNKNOWN, task.objective, seconds=time.monotonic() - begun, shortage=missing)
        return None

    def run(self, record: Record) -> Result:
        """Search, then the exact steps if they are wanted."""
        time_limit = self.time_limit
        if self.method == "exact":
            for text in beyond_reach(self.task.network, self.task.architecture, time_limit):
                record.tell(f"beyond reach: {text}")
            time_limit = EXACT_SECONDS if time_limit is None else time_limit
        steps: tuple[Step, ...] = ()
        with catch_interrupt() as interrupted:
            budget = Budget(time_limit, partial(interrupted, 0.0))
            self._search(record, budget, time_limit)
            exact = time_limit is not None and self.method in ("auto", "exact") and self.task.latency_limit is None
            if exact and record.best is not None and record.best.plan is None:
                record.tell("exact steps left out: the best solution was brought along, without a plan")
            elif exact and record.best is not None:
                engine = self.seed, self.workers
                _, steps = prove(
                    record.best, self.task.objective, budget, engine, record.tell, record.seen, self.engines
                )
        return record.result(steps, budget)

    def _search(self, record: Record, budget: Budget, time_limit: float | None) -> None:
        """Search until the share of the time for it is up, or a solution meets the bound."""
        share = 1 - EXACT_SHARE if self.method in ("auto", "exact") else 1.0
        searching = budget.part(None if time_limit is None else time_limit * share)
        if self.start is not None and record.seen(self.start) == record.bound.value:
            return
        search = Search(
            self.task, self.planners, self.exchanges, self.seed, self.workers,
            partial(self._over, record, searching) if self.task.endless else None, searching, record.tell,
        )  # fmt: skip
        with closing(search.run(self.start)) as solutions:  # ends its helpers
            for found in solutions:
                budget.keep(FULLY * found.replay_seconds)  # the answer is evaluated once more, with its period
                if record.seen(found) == record.bound.value or budget.interrupted:
                    return

    def _over(self, record: Record, searching: Budget) -> bool:
        best = inf if record.best is None else record.best.value
        return (self.stop is not None and self.stop(best)) or searching.over()


def _too_slow(network: Network, architecture: Architecture, latency_limit: int | None) -> Shortage | None:
    """What is missing if no solution whatever keeps the latency limit."""
    if latency_limit is None or (least := bounds.latency(network, architecture).value) <= latency_limit:
        return None
    return Shortage("latency", least, latency_limit, "cycles", f"network {network.name!r} on {architecture.name!r}")


def beyond_reach(network: Network, architecture: Architecture, time_limit: float | None = None) -> list[str]:
    """What ``exact`` will bound but not prove within a time limit [s], and the sizes that say so; one text per step."""
    from spatem_opt import exact

    return exact.beyond_reach(network, architecture, EXACT_SECONDS if time_limit is None else time_limit)


def _infeasible(task: Task, time_limit: float | None, seed: int, workers: int) -> tuple[Step, ...]:
    """The step that proves it, with the constraint families that cannot hold together."""
    from spatem_opt import exact

    seconds = EXACT_SECONDS if time_limit is None else time_limit
    with catch_interrupt() as interrupted:
        stop = partial(interrupted, 0.0)
        step = exact.infeasible(task.network, task.architecture, seconds, seed=seed, workers=workers, stop=stop)
    return (step,)


def prove(
    best: Evaluated,
    objective: str,
    budget: Budget,
    engine: tuple[int, int],
    tell: Tell,
    improved: Callable[[Evaluated], object] | None = None,
    engines: Engines | None = None,
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
    engines : dict, optional
        As in :func:`solve`.

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
        stop=lambda: budget.interrupted, budget=budget, engines=engines, improved=improved or _ignore,
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
    policy_of(objective)
    if known is None:
        raise InstanceError("solve", "method", method, f"expected one of {', '.join(METHODS)}")
    if latency_limit is not None:
        whole("solve", "latency_limit", latency_limit, 1, LONGEST_TIME)
        if known == "exact":
            raise InstanceError("solve", "latency_limit", latency_limit, "expected none with method 'exact'")
    return known
