"""From a plan to a solution that the evaluator accepts, and what it is worth."""

from __future__ import annotations

from collections.abc import Callable

from spatem_opt.architecture import Architecture
from spatem_opt.errors import InstanceError, ModelError
from spatem_opt.evaluator import Evaluation, Evaluator
from spatem_opt.limits import LONGEST_TIME
from spatem_opt.network import Network
from spatem_opt.plan import Plan, assemble, problem_of
from spatem_opt.scheduling import bounds, list_schedule
from spatem_opt.scheduling.problem import Problem
from spatem_opt.scheduling.problem import Solution as Times
from spatem_opt.scheduling.stretch import longer, stretch
from spatem_opt.scheduling.transport import routes
from spatem_opt.solution import Solution

STRETCHES, BURSTS = 9, 4
"""Times a schedule is slowed down before its plan is given up; from which on copies that send at once begin apart."""
QUEUE, SHORTER, FARTHER = 0.95, 0.05, 0.16
"""Queue that the first time may leave, of a full bin, and by how much less each further time; how much less the first
time for a second bin that the longest queue takes: the farther it is off, the farther off is what is left."""
CONTENTION = {"port", "router"}


def finish(
    plan: Plan,
    network: Network,
    architecture: Architecture,
    limit: int | None = None,
    problem: Problem | None = None,
    stop: Callable[[], bool] | None = None,
) -> tuple[Solution, Evaluation] | None:
    """Schedule a plan, slowing it down until routers and ports can follow; None if they never can.

    With a ``limit``, also None as soon as the latency is not below it: slowing down never shortens it. A ``problem``
    replaces that of the plan, where the plan's copies are placed another way. None, too, once ``stop`` is true.

    Raises
    ------
    ModelError
        If the evaluator finds another latency than the scheduler, or breaks another constraint than a port or router.
    """
    problem = problem_of(plan, network, architecture) if problem is None else problem
    if limit is not None and max(bounds.path(problem)[1]) >= limit:
        return None
    known, evaluate = routes(problem), Evaluator()
    for attempt in range(STRETCHES):
        if stop is not None and stop():
            return None
        times = list_schedule.solve(problem, known)
        if limit is not None and times.latency >= limit:
            return None
        if times.latency >= LONGEST_TIME:
            where = f"network {network.name!r} on {architecture.name!r}"
            raise InstanceError(where, "latency", int(times.latency), f"expected < {LONGEST_TIME} cycles")
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
        waiting = longer(found.arrays.bin_queue, 1.0).sum() * architecture.contention_cycles
        if limit is not None and times.latency + waiting >= limit:
            return None
        problem = slower(problem, times, found, attempt)
    return None


def slower(problem: Problem, times: Times, found: Evaluation, attempt: int) -> Problem:
    """The problem to schedule next, where routers or ports could not follow the present times.

    Parameters
    ----------
    problem, times
        What was scheduled, and when everything runs.
    found : Evaluation
        Of that schedule.
    attempt : int
        Times it was slowed down before: less and less queue is allowed.

    Raises
    ------
    ModelError
        If the evaluation has no replay.
    """
    if found.arrays is None:
        raise ModelError("a schedule that overruns ports or routers could not be replayed")
    whole = max((load.busiest_mean for load in (found.ports, found.routers) if load is not None), default=0.0)
    bins, queue = found.arrays.bins, found.arrays.bin_queue
    beyond = max(float(queue.max(initial=0.0)) - 1.0, 0.0)
    allowed = QUEUE - (SHORTER * attempt if attempt or beyond > 1 else FARTHER * beyond)
    factor = whole * (1 + 0.02 * attempt) if whole > 1 else 1.0
    return stretch(problem, times, bins, queue, allowed, factor, stagger=attempt == 0, apart=float(attempt >= BURSTS))


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
