"""CP-SAT model of temporal scheduling. Equation labels are those of ``README.md``."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from formulations.scheduling.steps import canonical, finish, prepare, read, twins
from formulations.solver import Limits, StepResult, Stop, run_cpsat
from spatem_opt.model.result import Status
from spatem_opt.scheduling.chunk_bounds import ordered
from spatem_opt.scheduling.chunks import ChunkProblem, ChunkSchedule, makespan

if TYPE_CHECKING:
    from ortools.sat.python import cp_model


@dataclass(slots=True)
class IntervalVariables:
    """Decision variables.

    Parameters
    ----------
    problem : ChunkProblem
    lower, upper : int
        Proven bound, and a makespan that can be reached [cycles].
    start : per task, int
        When it begins.
    interval : per task
        ``[start, start + duration)``: fixed size, its end is affine in the start.
    makespan : int
    """

    problem: ChunkProblem
    lower: int
    upper: int
    start: list[Any]
    interval: list[Any]
    makespan: Any


def make_variables(model: cp_model.CpModel, problem: ChunkProblem, lower: int, upper: int) -> IntervalVariables:
    """Create all variables."""
    start = [model.new_int_var(0, upper, f"start[{i}]") for i in range(problem.tasks)]
    interval = [
        model.new_fixed_size_interval_var(start[i], int(d), f"interval[{i}]") for i, d in enumerate(problem.duration)
    ]
    return IntervalVariables(problem, lower, upper, start, interval, model.new_int_var(0, upper, "makespan"))


def add_precedence(model: cp_model.CpModel, y: IntervalVariables) -> None:
    r"""No window of a chunk begins before its inputs are there (S1).

    .. math:: s_j \ge s_i + l_{ij} \qquad \forall (i, j) \in E
    """
    p = y.problem
    for i, j, lag in zip(p.before.tolist(), p.after.tolist(), p.lag.tolist(), strict=True):
        model.add(y.start[j] - y.start[i] >= lag).with_name(f"precedence[{i},{j}]")


def add_exclusive(model: cp_model.CpModel, y: IntervalVariables) -> None:
    r"""Chunks that share a crossbar do not overlap (S2).

    .. math:: s_i + d_i \le s_j \;\lor\; s_j + d_j \le s_i \qquad \forall i, j \in K_r, i \ne j, r \in R
    """
    for r, members in enumerate(y.problem.resources):
        model.add_no_overlap(y.interval[i] for i in members.tolist()).with_name(f"exclusive[{r}]")


def add_horizon(model: cp_model.CpModel, y: IntervalVariables) -> None:
    r"""Chunks wait for the network's inputs, and everything that follows from them ends by the makespan (S3).

    .. math:: s_i \ge r_i,\; s_i + q_i \le z \qquad \forall i, \qquad z \ge \underline{z}_0
    """
    p = y.problem
    for i, (release, tail) in enumerate(zip(p.release.tolist(), p.tail.tolist(), strict=True)):
        model.add(y.start[i] >= release).with_name(f"horizon[{i},release]")
        model.add(y.start[i] + tail <= y.makespan).with_name(f"horizon[{i},tail]")
    model.add(y.makespan >= p.floor).with_name("horizon[floor]")


def add_router(model: cp_model.CpModel, y: IntervalVariables) -> None:
    r"""Running chunks send no more than the routers carry (S4).

    .. math:: \sum_{i:\, s_i \le t < s_i + d_i} f_i \le F \qquad \forall t
    """
    p = y.problem
    if p.load is None:
        return
    model.add_cumulative(y.interval, [int(f) for f in p.load], p.capacity).with_name("router[0]")


def add_order(model: cp_model.CpModel, y: IntervalVariables) -> None:
    r"""Redundant: orders on shared crossbars that the lags decide (S5); O from :func:`chunk_bounds.ordered`.

    .. math:: s_j \ge s_i + d_i \qquad \forall (i, j) \in O
    """
    p, tight = y.problem, ordered(y.problem)
    new = slice(len(p.lag), None)
    for i, j, lag in zip(tight.before[new].tolist(), tight.after[new].tolist(), tight.lag[new].tolist(), strict=True):
        model.add(y.start[j] - y.start[i] >= lag).with_name(f"order[{i},{j}]")


def add_bound(model: cp_model.CpModel, y: IntervalVariables) -> None:
    r"""Redundant: the makespan is at least a proven bound (S6).

    .. math:: z \ge \underline{z}
    """
    model.add(y.makespan >= y.lower).with_name("bound[0]")


def add_symmetry(model: cp_model.CpModel, y: IntervalVariables) -> None:
    r"""Symmetry: chunks that are alike in everything begin in the order of their numbers (S7).

    .. math:: s_i \le s_{i'} \qquad \forall i < i' \text{ successive in a class of twins}
    """
    for group in twins(y.problem):
        for i, j in pairwise(group):
            model.add(y.start[i] <= y.start[j]).with_name(f"symmetry[{i},{j}]")


FAMILIES: dict[str, Callable[[cp_model.CpModel, IntervalVariables], None]] = {
    "precedence": add_precedence,
    "exclusive": add_exclusive,
    "horizon": add_horizon,
    "router": add_router,
    "order": add_order,
    "bound": add_bound,
    "symmetry": add_symmetry,
}
REDUNDANT = frozenset(("order", "bound"))
SYMMETRY = frozenset(("symmetry",))


def build(
    problem: ChunkProblem, without: Collection[str] = (), *, lower: int = 0, upper: int
) -> tuple[cp_model.CpModel, IntervalVariables]:
    """The model.

    Parameters
    ----------
    problem : ChunkProblem
    without : collection of str
        Families to leave out (:data:`FAMILIES`).
    lower, upper : int
        Proven lower bound for the family ``bound``; latest end [cycles].
    """
    from ortools.sat.python import cp_model

    model = cp_model.CpModel()
    y = make_variables(model, problem, lower, upper)
    for name, add in FAMILIES.items():
        if name not in without:
            add(model, y)
    model.minimize(y.makespan)
    return model, y


def add_hint(model: cp_model.CpModel, y: IntervalVariables, solution: ChunkSchedule) -> None:
    """Hint every variable with a schedule; twins are put in the order that the symmetry demands."""
    start = canonical(y.problem, solution).start
    for variable, time_ in zip(y.start, start.tolist(), strict=True):
        model.add_hint(variable, time_)
    model.add_hint(y.makespan, makespan(y.problem, np.asarray(start)))


def solution_of(y: IntervalVariables, value: Callable[[Any], int]) -> ChunkSchedule:
    """Solution of the values of the model's variables."""
    return read(y.problem, lambda i: value(y.start[i]))


def solve(
    problem: ChunkProblem,
    *,
    time_limit: float,
    seed: int = 0,
    workers: int = 2,
    hint: ChunkSchedule | None = None,
    without: Collection[str] = (),
    deterministic_limit: float | None = None,
    log: bool = False,
    stop: Stop | None = None,
) -> StepResult[ChunkSchedule]:
    """Shortest schedule of chunks with a proven bound.

    Parameters
    ----------
    problem : ChunkProblem
    time_limit : float
        Wall time [s].
    seed, workers : int
    hint : ChunkSchedule or None
        Feasible schedule to start from; None lets the heuristic make one.
    without : collection of str
        Redundant and symmetry families to leave out.
    deterministic_limit : float or None
        Deterministic time of CP-SAT.
    log : bool
        Keep the solver's log.
    stop : callable or None
        As in :class:`~formulations.solver.Limits`.

    Raises
    ------
    ModelError
        If a solution does not pass the referee: a bug of ours.
    """
    limits, begin = Limits(time_limit, seed, workers, deterministic_limit, stop), time.monotonic()
    start = prepare(problem, hint, use_bound="bound" not in without)
    if start.closed:
        return finish(start, begin, "cpsat", "ortools")
    model, y = build(problem, without, lower=start.bound, upper=start.objective)
    add_hint(model, y, start.best)
    run = run_cpsat(model, limits.left(begin), log=log)
    if run.solved:
        start.improve(problem, solution_of(y, run.value), run.objective)
    start.raise_bound(run.bound if run.status is not Status.INFEASIBLE else None)
    return finish(start, begin, "cpsat", "ortools", run.log)
