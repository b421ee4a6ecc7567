"""From a plan to a solution that the evaluator accepts, and what it is worth."""

from __future__ import annotations

from collections.abc import Callable

from spatem_opt.cost.placed import PlacedNetwork
from spatem_opt.errors import InstanceError, ModelError
from spatem_opt.evaluator import Evaluation, settle
from spatem_opt.limits import LONGEST_TIME
from spatem_opt.model.architecture import Architecture
from spatem_opt.model.solution import Solution
from spatem_opt.network import Network
from spatem_opt.planning.plan import Plan, assemble, problem_of
from spatem_opt.scheduling import bounds, list_schedule


def realise(
    plan: Plan,
    network: Network,
    architecture: Architecture,
    limit: int | None = None,
    problem: PlacedNetwork | None = None,
    stop: Callable[[], bool] | None = None,
    *,
    full: bool = False,
) -> tuple[Solution, Evaluation] | None:
    """Schedule a plan: everything as soon as possible, reserved for as long as the replay with queues says.

    None if a buffer is too small, if the latency is not below `limit`, or once `stop` is true. A ``problem``
    replaces that of the plan, where the plan's copies are placed another way. `full`: with a period.

    Raises
    ------
    ModelError
        If the evaluator finds a constraint broken that no schedule of the plan should break.
    """
    problem = problem_of(plan, network, architecture) if problem is None else problem
    if limit is not None and max(bounds.path(problem)[1]) >= limit:
        return None
    times = list_schedule.solve(problem)
    if limit is not None and times.latency >= limit:  # queues only make it later
        return None
    if times.latency >= LONGEST_TIME:
        where = f"network {network.name!r} on {architecture.name!r}"
        raise InstanceError(where, "latency", int(times.latency), f"expected < {LONGEST_TIME} cycles")
    return settle(f"{plan.name} on {network.name!r}", assemble(plan, problem, times), limit, stop, full=full)


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


def rank(found: Evaluation, objective: str) -> tuple[int, int]:
    """What is compared: the objective value; of equal periods the latency decides."""
    value = measure(found, objective)
    return value, measure(found, "latency") if objective == "throughput" else 0
