"""What the models of all steps share: results, and running CP-SAT and PuLP so that only what is known is reported.

Solvers are imported inside functions: ``import ortools`` takes seconds, and `highspy` and `ortools` do not always load
into one process (see ``formulations/README.md``).
"""

from __future__ import annotations

import importlib
import importlib.util
import math
import sys
import time
from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, runtime_checkable

from spatem_opt.errors import ModelError
from spatem_opt.model.result import Shortage, Status

if TYPE_CHECKING:
    from ortools.sat.python import cp_model

SolutionT = TypeVar("SolutionT")
AnswerT = TypeVar("AnswerT")
Stop = Callable[[], bool]
"""Whether to end now."""
EARLY = 0.9
"""Share of the time limit within which CBC must have ended for its "infeasible" to be a proof."""
HIGHS = ((1, 12), (1, 14))
"""Releases of HiGHS (`highspy`) that are used: from the first on, before the second.

1.14.0 returns wrong optima (HiGHS #2957). From 1.15 on `highspy` brings a ``libhighs.so.1`` as `ortools` does, and one
process cannot load both (or-tools #5246): with 1.16 it ends in a segmentation fault. Releases before 1.12 were never
tried. To accept another one, run the cases of what a solver says with it installed
(``pytest tests/formulations/test_solver.py tests/exchange/test_model_files.py -k highs``), then change this pair.
"""
POLL = 0.1
"""Seconds between two looks at the stop criterion while a solver runs."""


@dataclass(frozen=True, slots=True, eq=False)
class StepResult(Generic[SolutionT]):
    """Outcome of an exact engine on one step.

    Parameters
    ----------
    status : Status
        ``OPTIMAL`` only if objective and bound meet, ``INFEASIBLE`` only if proven.
    solution : solution of the step, or None
        None if there is none (``INFEASIBLE``, ``UNKNOWN``).
    objective : int or None
        As the referee of the step computes it.
    bound : int or None
        Proven: no solution is below. None if nothing is known.
    seconds : float
        Wall time.
    engine : str
        For example ``"cpsat"``, ``"ilp (cbc)"``.
    versions : dict of str to str
        Of the packages that took part.
    shortage : Shortage or None
        For ``INFEASIBLE``: the family that cannot hold, in numbers.
    log : str
        Log of the last run of the solver.
    levels : tuple of (objective, bound)
        Of the objectives that rank before `objective`, where a step has several.

    Raises
    ------
    ModelError
        If the fields contradict each other.
    """

    status: Status
    solution: SolutionT | None
    objective: int | None
    bound: int | None
    seconds: float
    engine: str
    versions: dict[str, str] = field(default_factory=dict)
    shortage: Shortage | None = None
    log: str = ""
    levels: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        if (self.solution is None) != (self.status in (Status.INFEASIBLE, Status.UNKNOWN)):
            raise ModelError(f"{self.engine}: status {self.status} with solution {self.solution}")
        if (self.status is Status.OPTIMAL) != (self.objective is not None and self.objective == self.bound):
            raise ModelError(f"{self.engine}: status {self.status}, objective {self.objective}, bound {self.bound}")
        if self.objective is not None and self.bound is not None and self.bound > self.objective:
            raise ModelError(f"{self.engine}: bound {self.bound} above objective {self.objective}")


def concluded(objective: int | None, bound: int | None) -> Status:
    """Status of a run that is not infeasible."""
    if objective is None:
        return Status.UNKNOWN
    return Status.OPTIMAL if objective == bound else Status.FEASIBLE


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run may take.

    Parameters
    ----------
    time_limit : float
        Wall time [s].
    seed : int
    workers : int
        Threads.
    deterministic_limit : float or None
        Deterministic time of CP-SAT; with one worker the answer is then the same on every machine.
    stop : callable or None
        Once true, such as after Ctrl-C, what runs ends with what it has, and nothing more is begun. Not compared.
    """

    time_limit: float
    seed: int = 0
    workers: int = 2
    deterministic_limit: float | None = None
    stop: Stop | None = field(default=None, compare=False, repr=False)

    @property
    def stopped(self) -> bool:
        """Whether the stop criterion is true."""
        return self.stop is not None and self.stop()

    def over(self, start: float) -> bool:
        """Whether to end what began at `start` (of :func:`time.monotonic`): stopped, or the wall time is up."""
        return self.stopped or time.monotonic() - start > self.time_limit

    def left(self, start: float, share: float = 1.0) -> Limits:
        """The same limits with a share of the wall time left since `start` (of :func:`time.monotonic`)."""
        seconds = max(0.0, self.time_limit - (time.monotonic() - start)) * share
        return replace(self, time_limit=seconds)


ProblemT = TypeVar("ProblemT", contravariant=True)
StepSolutionT = TypeVar("StepSolutionT")


@runtime_checkable
class StepEngine(Protocol[ProblemT, StepSolutionT]):
    """Solves the problem of one step: mapping, grouping, replication, or scheduling."""

    def solve(
        self, problem: ProblemT, limits: Limits, *, hint: StepSolutionT | None = None, without: Collection[str] = ()
    ) -> StepResult[StepSolutionT]:
        """The best answer found within the limits, and a bound.

        Parameters
        ----------
        problem : problem of the step
        limits : Limits
        hint : solution of the step, optional
            Feasible; the answer is never worse.
        without : collection of str
            Families of constraints to leave out; the answer need not keep them.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class SolverRun:
    """What one run of a solver proved and found.

    Parameters
    ----------
    status : Status
        ``OPTIMAL`` and ``INFEASIBLE`` as proven by the solver for the model it was given.
    objective, bound : int or None
        None where the solver has none: never its default 0.
    value : function
        Integer value of a variable, only to be called if there is a solution.
    log : str
    """

    status: Status
    objective: int | None
    bound: int | None
    value: Callable[[Any], int]
    log: str = ""

    @property
    def solved(self) -> bool:
        """Whether there are values."""
        return self.status in (Status.OPTIMAL, Status.FEASIBLE)


def interruptible(work: Callable[[], AnswerT], cancel: Callable[[], object], limits: Limits) -> AnswerT:
    """Let a solver work in a thread of its own, so that Python's handlers of signals run in this one meanwhile.

    Parameters
    ----------
    work : function
        Long, and without Python's lock.
    cancel : function
        Makes `work` return soon; called until it does, since a solver that has not quite begun may miss it. Called
        when `limits` say stop, and when an exception, such as KeyboardInterrupt, comes out of a handler.
    limits : Limits
    """
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(work)
        try:
            while wait([done], POLL).not_done and not limits.stopped:
                pass
        finally:
            _cancelled(done, cancel)
        return done.result()


def _cancelled(done: Future[AnswerT], cancel: Callable[[], object]) -> None:
    """Cancel until it is done; an exception that comes meanwhile, such as of a second Ctrl-C, is raised after that."""
    raised: BaseException | None = None
    while not done.done():
        try:
            cancel()
            wait([done], POLL)
        except BaseException as error:
            raised = error
    if raised is not None:
        raise raised


def run_cpsat(
    model: cp_model.CpModel, limits: Limits, *, log: bool = False, linearization: int | None = None
) -> SolverRun:
    """Solve a CP-SAT model; where the limits say stop, the answer is the best so far with its bound.

    `linearization` is CP-SAT's level of linear relaxations, 0 for none; None leaves it to CP-SAT.

    Raises
    ------
    ModelError
        If the model is malformed.
    """
    from ortools.sat.python import cp_model

    flaw = model.validate()
    if flaw:
        raise ModelError(f"malformed CP-SAT model: {flaw}")
    solver, lines = cp_model.CpSolver(), list[str]()
    if limits.stopped:
        return SolverRun(Status.UNKNOWN, None, None, solver.value)
    parameters = solver.parameters
    parameters.catch_sigint_signal = False  # it would leave no handler behind
    parameters.max_time_in_seconds = max(limits.time_limit, 0.01)
    parameters.random_seed, parameters.num_workers = limits.seed, limits.workers
    if linearization is not None:
        parameters.linearization_level = linearization
    if limits.deterministic_limit is not None:
        parameters.max_deterministic_time = limits.deterministic_limit
    if log:
        parameters.log_search_progress, parameters.log_to_stdout = True, False
        solver.log_callback = lines.append
    code = interruptible(lambda: solver.solve(model), solver.stop_search, limits)
    names = {
        cp_model.OPTIMAL: Status.OPTIMAL,
        cp_model.FEASIBLE: Status.FEASIBLE,
        cp_model.INFEASIBLE: Status.INFEASIBLE,
    }
    status = names.get(code, Status.UNKNOWN)
    objective = round(solver.objective_value) if status in (Status.OPTIMAL, Status.FEASIBLE) else None
    # Without a solution the bound is kept only where the search had begun: presolve alone leaves a meaningless 0.
    known = status in (Status.OPTIMAL, Status.FEASIBLE) or (
        status is Status.UNKNOWN and solver.best_objective_bound > 0
    )
    bound = math.ceil(solver.best_objective_bound - 1e-6) if known else None
    return SolverRun(status, objective, bound, lambda variable: int(solver.value(variable)), "\n".join(lines))


def pulp_sum(terms: Any) -> Any:
    """``pulp.lpSum``: an expression even when there are no terms."""
    pulp = load_pulp()
    return pulp.lpSum(terms)


def pulp_minimisation(name: str) -> Any:
    """An empty ``pulp.LpProblem`` to be minimised."""
    pulp = load_pulp()
    return pulp.LpProblem(name, pulp.LpMinimize)


def pulp_engine() -> str:
    """``"highs"`` if HiGHS can be used beside what this process has loaded, else ``"cbc"`` (PuLP brings it along).

    HiGHS only of the releases known to be right, and only where `ortools` is not loaded (both bring a ``libhighs``).
    """
    if "ortools" in sys.modules or importlib.util.find_spec("highspy") is None:
        return "cbc"
    return "highs" if highs_accepted() else "cbc"


def highs_accepted() -> bool:
    """Whether HiGHS is installed in a release within :data:`HIGHS`; it is not imported to find out."""
    try:
        release = tuple(int(part) for part in version("highspy").split(".")[:2])
    except (PackageNotFoundError, ValueError):
        return False
    return HIGHS[0] <= release < HIGHS[1]


def load_pulp() -> Any:
    """Import PuLP, and with it HiGHS only if that is accepted and `ortools` is not there yet.

    ``import pulp`` imports `highspy` wherever that is installed; beside `ortools` a release from 1.15 on ends the
    process (:data:`HIGHS`).
    """
    if "pulp" in sys.modules or "highspy" in sys.modules or ("ortools" not in sys.modules and highs_accepted()):
        return importlib.import_module("pulp")
    sys.modules["highspy"] = None  # type: ignore[assignment]  # makes its import an ImportError, which PuLP expects
    try:
        return importlib.import_module("pulp")
    finally:
        del sys.modules["highspy"]


def pulp_status(problem: Any, engine: str, *, early: bool) -> Status:
    """What a PuLP problem that was solved is known to be.

    Parameters
    ----------
    problem : pulp.LpProblem
    engine : {"cbc", "highs"}
    early : bool
        Whether the solver stopped well before its time limit.

    Returns
    -------
    Status
        ``INFEASIBLE`` only if that is a proof. CBC says "Integer infeasible" of feasible models, too, when its time
        runs out (seen with 2.10.3), so it is believed only if `early`. PuLP makes HiGHS' "infeasible or unbounded"
        infeasible: that is so only if all variables are bounded.

    Raises
    ------
    ModelError
        If the problem is unbounded.

    Notes
    -----
    ``problem.status`` says Optimal after a time limit; ``sol_status`` tells proven from merely found. For CBC's
    "Integer infeasible" it is the other way round: ``status`` is Infeasible, ``sol_status`` No Solution Found.
    """
    pulp = load_pulp()
    if problem.status == pulp.LpStatusUnbounded:
        raise ModelError(f"unbounded ILP {problem.name!r}")
    if problem.sol_status == pulp.LpSolutionOptimal:
        return Status.OPTIMAL
    if problem.sol_status == pulp.LpSolutionIntegerFeasible:
        return Status.FEASIBLE
    bounded = all(v.lowBound is not None and v.upBound is not None for v in problem.variables())
    proven = early if engine == "cbc" else bounded
    return Status.INFEASIBLE if problem.status == pulp.LpStatusInfeasible and proven else Status.UNKNOWN


def run_pulp(problem: Any, limits: Limits, *, warm: bool = False) -> SolverRun:
    """Solve a PuLP minimisation with HiGHS or CBC.

    Parameters
    ----------
    problem : pulp.LpProblem
    limits : Limits
    warm : bool
        Start from the initial values of all variables.

    Raises
    ------
    ModelError
        If the problem is unbounded: all our variables have bounds.

    Notes
    -----
    The stop criterion of `limits` cannot end a run here: HiGHS runs to its time limit, CBC ends if it gets the signal
    itself, as all programs of a terminal do. What comes out after a stop is therefore no proof.
    """
    pulp = load_pulp()
    if limits.stopped:
        return SolverRun(Status.UNKNOWN, None, None, _rounded)
    seconds, engine, begin = max(limits.time_limit, 0.1), pulp_engine(), time.monotonic()
    if engine == "highs":
        solver = pulp.HiGHS(msg=False, timeLimit=seconds, gapRel=0.0, threads=limits.workers, random_seed=limits.seed)
    else:
        options = [f"randomCbcSeed {limits.seed + 1}"]
        cbc = getattr(pulp, "PULP_CBC_CMD", None) or pulp.COIN_CMD  # PuLP 4 has the second only
        solver = cbc(msg=False, timeLimit=seconds, gapRel=0.0, threads=limits.workers, warmStart=warm, options=options)
    try:
        problem.solve(solver)
    except pulp.PulpSolverError:
        if limits.stopped:  # the signal was too much for CBC
            return SolverRun(Status.UNKNOWN, None, None, _rounded)
        raise
    status = pulp_status(problem, engine, early=time.monotonic() - begin < EARLY * seconds)
    if limits.stopped:
        status = {Status.OPTIMAL: Status.FEASIBLE, Status.INFEASIBLE: Status.UNKNOWN}.get(status, status)
    solved = status in (Status.OPTIMAL, Status.FEASIBLE)
    objective = round(pulp.value(problem.objective) or 0) if solved else None  # None: no terms
    # CBC tells no bound; a proven optimum is its own.
    return SolverRun(status, objective, objective if status is Status.OPTIMAL else None, _rounded)


def _rounded(variable: Any) -> int:
    """Value of a variable of PuLP."""
    return round(variable.value() or 0)


def versions(*packages: str) -> dict[str, str]:
    """Installed versions of packages."""
    return {package: version(package) for package in packages}
