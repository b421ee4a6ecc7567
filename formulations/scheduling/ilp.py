"""Time-indexed ILP of temporal scheduling, for small cases. Equation labels are those of ``README.md``."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from formulations.scheduling.steps import canonical, finish, prepare, read, twins
from formulations.solver import Limits, StepResult, pulp_engine, pulp_minimisation, pulp_sum, run_pulp
from spatem_opt.errors import InstanceError
from spatem_opt.model.result import Status
from spatem_opt.scheduling.chunk_bounds import ordered
from spatem_opt.scheduling.chunks import ChunkProblem, ChunkSchedule, makespan

REACH = 60_000
"""Most start variables, sum over tasks of possible start times: beyond it the model does not pay."""


@dataclass(slots=True)
class TimeVariables:
    """Decision variables.

    Parameters
    ----------
    problem : ChunkProblem
    lower, upper : int
        Proven bound, and a makespan that can be reached [cycles].
    x : (task, cycle) -> bool
        The task starts in this cycle.
    makespan : int
    """

    problem: ChunkProblem
    lower: int
    upper: int
    x: dict[tuple[int, int], Any]
    makespan: Any

    def times(self, task: int) -> range:
        """Cycles in which a task may start."""
        return range(self.upper - int(self.problem.duration[task]) + 1)

    def start(self, task: int) -> Any:
        """When a task starts, as an expression."""
        return pulp_sum(time_ * self.x[task, time_] for time_ in self.times(task))

    def running(self, task: int, cycle: int) -> Any:
        """1 if a task runs in a cycle, as an expression."""
        first = max(0, cycle - int(self.problem.duration[task]) + 1)
        return pulp_sum(self.x[task, t] for t in range(first, cycle + 1) if (task, t) in self.x)


def size(problem: ChunkProblem, upper: int) -> int:
    """Start variables of the model."""
    return int((upper - problem.duration + 1).sum())


def make_variables(model: Any, problem: ChunkProblem, lower: int, upper: int) -> TimeVariables:
    """Create all variables."""
    x = {
        (i, t): model.add_variable(f"x_{i}_{t}", cat="Binary")
        for i, d in enumerate(problem.duration.tolist())
        for t in range(upper - d + 1)
    }
    return TimeVariables(problem, lower, upper, x, model.add_variable("makespan", 0, upper, cat="Integer"))


def add_once(model: Any, y: TimeVariables) -> None:
    r"""Every chunk starts once (T1).

    .. math:: \sum_t x_{it} = 1 \qquad \forall i
    """
    for i in range(y.problem.tasks):
        model.addConstraint(pulp_sum(y.x[i, t] for t in y.times(i)) == 1, name=f"once[{i}]")


def add_precedence(model: Any, y: TimeVariables) -> None:
    r"""No window of a chunk begins before its inputs are there (T2), for S1.

    .. math:: \sum_t t\, x_{jt} \ge \sum_t t\, x_{it} + l_{ij} \qquad \forall (i, j) \in E
    """
    p = y.problem
    for k, (i, j, lag) in enumerate(zip(p.before.tolist(), p.after.tolist(), p.lag.tolist(), strict=True)):
        model.addConstraint(y.start(j) - y.start(i) >= lag, name=f"precedence[{i},{j},{k}]")


def add_exclusive(model: Any, y: TimeVariables) -> None:
    r"""One chunk at a time on a crossbar (T3), for S2.

    .. math:: \sum_{i \in K_r} \sum_{\tau = t - d_i + 1}^{t} x_{i\tau} \le 1 \qquad \forall r \in R, t
    """
    for r, members in enumerate(y.problem.resources):
        for t in range(y.upper):
            running = pulp_sum(y.running(i, t) for i in members.tolist())
            model.addConstraint(running <= 1, name=f"exclusive[{r},{t}]")


def add_horizon(model: Any, y: TimeVariables) -> None:
    r"""Chunks wait for the network's inputs, and everything that follows from them ends by the makespan (T4), for S3.

    .. math:: \sum_t t\, x_{it} \ge r_i,\; \sum_t t\, x_{it} + q_i \le z \qquad \forall i, \qquad z \ge \underline{z}_0
    """
    p = y.problem
    for i, (release, tail) in enumerate(zip(p.release.tolist(), p.tail.tolist(), strict=True)):
        model.addConstraint(y.start(i) >= release, name=f"horizon[{i},release]")
        model.addConstraint(y.makespan - y.start(i) >= tail, name=f"horizon[{i},tail]")
    model.addConstraint(y.makespan >= p.floor, name="horizon[floor]")


def add_router(model: Any, y: TimeVariables) -> None:
    r"""Running chunks send no more than the routers carry (T5), for S4.

    .. math:: \sum_i f_i \sum_{\tau = t - d_i + 1}^{t} x_{i\tau} \le F \qquad \forall t
    """
    p = y.problem
    if p.load is None:
        return
    for t in range(y.upper):
        traffic = pulp_sum(int(p.load[i]) * y.running(i, t) for i in range(p.tasks) if p.load[i])
        model.addConstraint(traffic <= p.capacity, name=f"router[{t}]")


def add_order(model: Any, y: TimeVariables) -> None:
    r"""Redundant: orders on shared crossbars that the lags decide (T6), for S5.

    .. math:: \sum_t t\, x_{jt} \ge \sum_t t\, x_{it} + d_i \qquad \forall (i, j) \in O
    """
    p, tight = y.problem, ordered(y.problem)
    new = slice(len(p.lag), None)
    pairs = zip(tight.before[new].tolist(), tight.after[new].tolist(), tight.lag[new].tolist(), strict=True)
    for k, (i, j, lag) in enumerate(pairs):
        model.addConstraint(y.start(j) - y.start(i) >= lag, name=f"order[{i},{j},{k}]")


def add_bound(model: Any, y: TimeVariables) -> None:
    r"""Redundant: the makespan is at least a proven bound (T7), for S6.

    .. math:: z \ge \underline{z}
    """
    model.addConstraint(y.makespan >= y.lower, name="bound[0]")


def add_symmetry(model: Any, y: TimeVariables) -> None:
    r"""Symmetry: chunks that are alike in everything begin in the order of their numbers (T8), for S7.

    .. math:: \sum_t t\, x_{it} \le \sum_t t\, x_{i't} \qquad \forall i < i' \text{ successive in a class of twins}
    """
    for group in twins(y.problem):
        for i, j in pairwise(group):
            model.addConstraint(y.start(j) - y.start(i) >= 0, name=f"symmetry[{i},{j}]")


FAMILIES: dict[str, Callable[[Any, TimeVariables], None]] = {
    "once": add_once,
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
) -> tuple[Any, TimeVariables]:
    """The model, a PuLP problem.

    Parameters
    ----------
    problem : ChunkProblem
    without : collection of str
        Families to leave out (:data:`FAMILIES`).
    lower, upper : int
        Proven lower bound for the family ``bound``; latest end [cycles].

    Raises
    ------
    InstanceError
        If there are more than :data:`REACH` start variables.
    """
    if size(problem, upper) > REACH:
        raise InstanceError("time-indexed ILP", "start variables", size(problem, upper), f"expected <= {REACH}")
    model = pulp_minimisation("scheduling")
    y = make_variables(model, problem, lower, upper)
    model += y.makespan
    for name, add in FAMILIES.items():
        if name not in without:
            add(model, y)
    return model, y


def add_hint(y: TimeVariables, solution: ChunkSchedule) -> None:
    """Give every variable the value it has in a schedule."""
    start = canonical(y.problem, solution).start
    for (i, t), variable in y.x.items():
        variable.setInitialValue(int(start[i] == t))
    y.makespan.setInitialValue(makespan(y.problem, start))


def solution_of(y: TimeVariables, value: Callable[[Any], int]) -> ChunkSchedule:
    """Solution of the values of the model's variables."""
    starts = {i: t for (i, t), variable in y.x.items() if value(variable)}
    return read(y.problem, lambda i: starts[i])


def solve(
    problem: ChunkProblem,
    *,
    time_limit: float,
    seed: int = 0,
    workers: int = 2,
    hint: ChunkSchedule | None = None,
    without: Collection[str] = (),
) -> StepResult[ChunkSchedule]:
    """Shortest schedule of chunks with a proven bound, for problems of few tasks and cycles.

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

    Raises
    ------
    InstanceError
        If the problem is too large (:data:`REACH`) and its heuristic does not meet the combinatorial bound.
    ModelError
        If a solution does not pass the referee: a bug of ours.
    """
    limits, begin = Limits(time_limit, seed, workers), time.monotonic()
    start, engine = prepare(problem, hint, use_bound="bound" not in without), f"ilp ({pulp_engine()})"
    if start.closed:
        return finish(start, begin, engine, "pulp")
    model, y = build(problem, without, lower=start.bound, upper=start.objective)
    add_hint(y, start.best)
    run = run_pulp(model, limits.left(begin), warm=True)
    if run.solved:
        start.improve(problem, solution_of(y, run.value), run.objective)
    start.raise_bound(run.bound if run.status is not Status.INFEASIBLE else None)
    return finish(start, begin, engine, "pulp")
