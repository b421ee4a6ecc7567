"""CP-SAT model of all steps at once. Equation labels are those of ``README.md``."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import TYPE_CHECKING

from formulations.joint import redundant, space, timing
from formulations.joint.decisions import Decisions, from_solution, literals, read, to_solution
from formulations.joint.problem import JointProblem
from formulations.joint.variables import JointVariables, make_variables, worst_case
from formulations.solver import Limits, SolverRun, StepResult, Stop, concluded, run_cpsat, versions
from spatem_opt.cost import bounds
from spatem_opt.cost.durations import datum_bits
from spatem_opt.errors import ModelError
from spatem_opt.evaluator import evaluate, settle
from spatem_opt.mapping.shortage import shortage
from spatem_opt.model.result import Status
from spatem_opt.model.solution import Solution

if TYPE_CHECKING:
    from ortools.sat.python import cp_model


FAMILIES: dict[str, Callable[[cp_model.CpModel, JointVariables], None]] = {
    "mapping": space.add_mapping,
    "coverage": space.add_coverage,
    "capacity": space.add_capacity,
    "residence": space.add_residence,
    "compute": space.add_compute,
    "load": space.add_load,
    "home": space.add_home,
    "sums": space.add_sums,
    "windows": timing.add_windows,
    "subscription": timing.add_subscription,
    "transfer": timing.add_transfer,
    "arrival": timing.add_arrival,
    "ready": timing.add_ready,
    "digital": timing.add_digital,
    "duration": timing.add_duration,
    "exclusive": timing.add_exclusive,
    "latency": timing.add_latency,
    "bound": redundant.add_bound,
    "turns": redundant.add_turns,
    "work": redundant.add_work,
    "copy_order": redundant.add_copy_order,
    "crossbar_order": redundant.add_crossbar_order,
}
REDUNDANT = frozenset(("bound", "turns", "work"))
SYMMETRY = frozenset(("copy_order", "crossbar_order"))


def horizon(problem: JointProblem) -> int:
    """Every solution can be compressed to at most this latency: everything one after the other [cycles]."""
    a, total = problem.architecture, 0
    for index, node in enumerate(problem.network.nodes):
        longest = -(-node.channels * datum_bits(problem.network, a)[index] // a.router_bits_per_cycle)
        each = problem.diameter * a.hop_cycles + longest
        if index in problem.layer_of:
            each += sum(worst_case(problem, problem.layer_of[index])) + a.pipeline_tail_cycles
        each += -(-node.ops_per_window // a.digital_ops_per_cycle)
        total += node.windows * each
    return total


def build(
    problem: JointProblem, without: Collection[str] = (), *, lower: int = 0, upper: int | None = None
) -> tuple[cp_model.CpModel, JointVariables]:
    """The model.

    Parameters
    ----------
    problem : JointProblem
    without : collection of str
        Families to leave out (:data:`FAMILIES`).
    lower, upper : int
        Proven lower bound for the family ``bound``; a latency that can be reached, :func:`horizon` by default [cycles].
    """
    from ortools.sat.python import cp_model

    model = cp_model.CpModel()
    y = make_variables(model, problem, lower, horizon(problem) if upper is None else upper)
    for name, add in FAMILIES.items():
        if name not in without:
            add(model, y)
    model.minimize(y.latency)
    return model, y


def completed(model: cp_model.CpModel, y: JointVariables, decisions: Decisions, time_limit: float = 60.0) -> SolverRun:
    """The model solved with all decisions fixed, in ``time_limit`` s: its latency for them, values of all variables."""
    fixed = model.clone()
    for index, value in literals(y, decisions).items():
        fixed.add(fixed.get_int_var_from_proto_index(index) == value)
    return run_cpsat(fixed, Limits(time_limit, workers=1))


def add_hint(model: cp_model.CpModel, y: JointVariables, decisions: Decisions, time_limit: float = 60.0) -> None:
    """Hint every variable; none if there is no time to complete the decisions.

    Raises
    ------
    ModelError
        If the decisions violate the model.
    """
    run = completed(model, y, decisions, time_limit)
    if run.status is Status.INFEASIBLE:
        raise ModelError("joint: the hint violates the model")
    if not run.solved:
        return
    for index in range(len(model.proto.variables)):
        variable = model.get_int_var_from_proto_index(index)
        model.add_hint(variable, run.value(variable))


def solve(
    problem: JointProblem,
    *,
    time_limit: float,
    seed: int = 0,
    workers: int = 2,
    hint: Solution | None = None,
    without: Collection[str] = (),
    deterministic_limit: float | None = None,
    log: bool = False,
    stop: Stop | None = None,
) -> StepResult[Solution]:
    """All steps at once: least latency with a proven bound.

    Parameters
    ----------
    problem : JointProblem
    time_limit : float
        Wall time [s].
    seed, workers : int
    hint : Solution or None
        Valid solution to start from, used if it lies in the model's space: the heuristic's, for instance.
    without : collection of str
        Redundant and symmetry families to leave out.
    deterministic_limit : float or None
        Deterministic time of CP-SAT.
    log : bool
        Keep the solver's log.
    stop : callable or None
        As in :class:`~formulations.solver.Limits`.

    Returns
    -------
    StepResult
        Its objective is the latency that the evaluator finds; ``INFEASIBLE`` has a shortage where the weights
        provably do not fit.

    Raises
    ------
    ModelError
        If the evaluator rejects a solution, or finds another latency than the proven one: a bug of ours.
    """
    limits, begin = Limits(time_limit, seed, workers, deterministic_limit, stop), time.monotonic()
    missing = shortage(problem.network, problem.architecture)
    if missing is not None or not all(problem.copies):
        return StepResult(Status.INFEASIBLE, None, None, None, 0.0, "cpsat", versions("ortools"), missing)
    best = hint if hint is not None and from_solution(problem, hint) is not None else None
    bound = bounds.latency(problem.network, problem.architecture).value if "bound" not in without else 0
    objective, text = None if best is None else accepted(best)[1], ""
    if objective != bound:
        model, y = build(problem, without, lower=bound, upper=objective)
        if best is not None:
            inside = from_solution(problem, best)
            if inside is not None:
                add_hint(model, y, inside, limits.left(begin, 0.5).time_limit)
        run = run_cpsat(model, limits.left(begin), log=log)
        text = run.log
        if run.status is Status.INFEASIBLE:
            if best is not None:
                raise ModelError("joint: infeasible beside a feasible start")
            return StepResult(
                run.status, None, None, None, time.monotonic() - begin, "cpsat", versions("ortools"), log=text
            )
        bound = max(bound, run.bound or 0)
        if run.solved:
            found, value = accepted(to_solution(problem, read(y, run.value), {}), run)
            if value is not None and (objective is None or value < objective):
                best, objective = found, value
    return _result(best, objective, bound, time.monotonic() - begin, seed, text)


def accepted(solution: Solution, run: SolverRun | None = None) -> tuple[Solution, int | None]:
    """A solution as it is replayed with queues, and its latency [cycles]; None if a buffer is too small.

    The model is a relaxation: its packets never wait (M6, M8). Its bound holds, its solution may take longer.

    Raises
    ------
    ModelError
        If no schedule of the decisions is valid, or `run` claims more than the queue-free latency, or has proven
        another one optimal.
    """
    done = settle("joint", solution)
    if done is None:
        return solution, None
    settled, found = done
    claim = None if run is None else run.objective
    proven = run is not None and run.status is Status.OPTIMAL
    free = evaluate(solution).queue_free_cycles or 0  # as the model has it: settled, rows start when queues let them
    if claim is not None and (free > claim or (proven and free != claim)):
        raise ModelError(f"joint: the model claims {claim} cycles, the evaluator finds {free} without queues")
    return settled, found.latency_cycles


def _result(
    best: Solution | None, objective: int | None, bound: int, seconds: float, seed: int, text: str
) -> StepResult[Solution]:
    """Result whose solution claims what is proven: the model's bound for the model, the evaluator's for the whole."""
    status, packages = concluded(objective, bound), versions("ortools")
    if best is not None:
        step = {
            "engine": "cpsat", "status": str(status), "objective": objective, "bound": bound,
            "seconds": round(seconds, 3), "versions": packages, "seed": seed,
        }  # fmt: skip
        plain = bounds.latency(best.network, best.architecture).value
        total = {"objective": "latency", "latency": objective, "bound": plain}
        best = replace(best, claims={"total": total, "joint": step})
    return StepResult(status, best, objective, bound, seconds, "cpsat", packages, None, text)
