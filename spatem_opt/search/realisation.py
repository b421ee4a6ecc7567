"""From a plan to a solution that the evaluator accepts, and what it is worth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from spatem_opt.cost.placed import PlacedNetwork
from spatem_opt.errors import InstanceError, ModelError
from spatem_opt.evaluator import Evaluation, Evaluator
from spatem_opt.evaluator.settling import settle_or_say
from spatem_opt.limits import LONGEST_TIME
from spatem_opt.model.architecture import Architecture
from spatem_opt.model.solution import Solution
from spatem_opt.network import Network
from spatem_opt.planning.plan import Plan, assemble, busiest, problem_of
from spatem_opt.planning.policy import policy_of
from spatem_opt.planning.protocol import Reason, Task
from spatem_opt.planning.ready import ready
from spatem_opt.scheduling import bounds, list_schedule

WORDS = {"buffer": Reason.BUFFER, "limit": Reason.ROUTER, "stopped": Reason.TOO_SLOW, "unsettled": Reason.ROUTER}
"""Why nothing came of a plan that was fast enough without queues."""


@dataclass(frozen=True, slots=True, eq=False)
class Scheduled:
    """A plan as it was scheduled, a solution that the evaluator accepts, and seconds of its evaluation, about."""

    plan: Plan
    solution: Solution
    evaluation: Evaluation
    replay_seconds: float = 0.0


def realise(
    plan: Plan,
    network: Network,
    architecture: Architecture,
    limit: int | None = None,
    problem: PlacedNetwork | None = None,
    stop: Callable[[], bool] | None = None,
    *,
    full: bool = True,
) -> tuple[Solution, Evaluation] | None:
    """Schedule a plan: everything as soon as possible, reserved for as long as the replay with queues says.

    None if a buffer is too small, if the latency is not below `limit`, or once `stop` is true. A ``problem``
    replaces that of the plan, where the plan's copies are placed another way. Unless `full`, its period is not known.

    Raises
    ------
    ModelError
        If the evaluator finds a constraint broken that no schedule of the plan should break.
    """
    problem = problem_of(plan, network, architecture) if problem is None else problem
    done = _realised(plan, problem, limit, stop, full=full)
    return None if isinstance(done, Reason) else done[:2]


def attempt(plan: Plan, task: Task, limit: int | None) -> Scheduled | Reason:
    """Make a plan ready and schedule it, as :func:`realise`, or say why nothing came of it."""
    plan, problem = ready(plan, task.network, task.architecture, task.tuning)
    done = _realised(plan, problem, limit, None, full=task.policy.follows)
    return done if isinstance(done, Reason) else Scheduled(plan, *done)


def _realised(
    plan: Plan, problem: PlacedNetwork, limit: int | None, stop: Callable[[], bool] | None, *, full: bool
) -> tuple[Solution, Evaluation, float] | Reason:
    network, architecture = problem.network, problem.architecture
    if limit is not None and max(bounds.path(problem)[1]) >= limit:
        return _held_back(plan, problem, limit)
    times = list_schedule.solve(problem)
    if limit is not None and times.latency >= limit:  # queues only make it later
        return _held_back(plan, problem, limit)
    if times.latency >= LONGEST_TIME:
        where = f"network {network.name!r} on {architecture.name!r}"
        raise InstanceError(where, "latency", int(times.latency), f"expected < {LONGEST_TIME} cycles")
    solution = assemble(plan, problem, times)
    if plan.serial:
        solution = one_by_one(solution, Evaluator()(solution, full=False))
    evaluate = Evaluator()
    done = settle_or_say(f"{plan.name} on {network.name!r}", solution, limit, stop, full=full, evaluate=evaluate)
    return WORDS[done] if isinstance(done, str) else (*done, evaluate.seconds)


def _held_back(plan: Plan, problem: PlacedNetwork, limit: int) -> Reason:
    """Whether ports alone make a plan too slow, whose copies compute fast enough."""
    return Reason.PORT if plan.busiest < limit <= busiest(problem) else Reason.TOO_SLOW


def one_by_one(solution: Solution, found: Evaluation) -> Solution:
    """Later starts, so that each layer begins when all before it, and what follows them, is done with queues, too.

    A layer and the digital nodes behind it take as long as in the replay `found`.
    """
    if found.nodes is None:
        raise ModelError("a schedule that could not be replayed cannot be taken apart")
    first = np.array(solution.network.layers, dtype=np.int64)
    done = np.maximum.reduceat(found.nodes.end, first)
    table = solution.schedule
    start = np.full(len(first), np.iinfo(np.int64).max)
    np.minimum.at(start, table.layer, table.start)
    begin = np.concatenate([[start[0]], start[0] + np.cumsum(np.maximum(done - start, 0))[:-1]])
    later = np.maximum(begin - start, 0)[table.layer]
    return replace(solution, schedule=replace(table, start=table.start + later, end=table.end + later))


def measure(found: Evaluation, objective: str) -> int:
    """Objective value of an evaluated solution."""
    if found.latency_cycles is None or found.communication is None or found.energy is None:
        raise ModelError("a solution without violations could not be replayed")
    policy = policy_of(objective)
    if policy.follows and found.period_cycles is None:
        raise ModelError("a solution was evaluated without its period")
    return policy.value(
        latency=found.latency_cycles, period=found.period_cycles or 0, communication=found.communication.total,
        energy=found.energy.total,
    )  # fmt: skip


def rank(found: Evaluation, objective: str) -> tuple[int, int]:
    """What is compared: the objective value; of equal periods the latency decides."""
    return measure(found, objective), measure(found, "latency") if policy_of(objective).follows else 0
