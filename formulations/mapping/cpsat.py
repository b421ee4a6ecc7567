"""CP-SAT model of weight mapping. Equation labels are those of ``README.md``."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from formulations.mapping import steps
from formulations.solver import Limits, SolverRun, StepResult, Stop, run_cpsat
from spatem_opt.mapping.problem import MappingProblem, MappingSolution

if TYPE_CHECKING:
    from ortools.sat.python import cp_model


@dataclass(slots=True)
class MappingVariables:
    """Decision variables.

    Parameters
    ----------
    problem : MappingProblem
    x : (l, c) -> bool
        Layer l uses candidate c.
    most_excess : int or None
        Most OU operations above the slack limits; None for the first level.
    """

    problem: MappingProblem
    x: dict[tuple[int, int], Any]
    most_excess: int | None

    def candidates(self, layer: int) -> range:
        """Candidates of a layer."""
        return range(len(self.problem.slots[layer]))

    def total(self, tables: Any) -> Any:
        """Sum of a table over the candidates chosen."""
        return sum(int(tables[layer][c]) * x for (layer, c), x in self.x.items())


def add_assignment(model: cp_model.CpModel, y: MappingVariables) -> None:
    r"""Every layer uses one candidate (M1).

    .. math:: \sum_c x_{lc} = 1 \qquad \forall l
    """
    for layer, name in enumerate(y.problem.layers):
        model.add_exactly_one(y.x[layer, c] for c in y.candidates(layer)).with_name(f"assignment[{name}]")


def add_capacity(model: cp_model.CpModel, y: MappingVariables) -> None:
    r"""The OU slots of the chip suffice (M2).

    .. math:: \sum_{lc} s_{lc} x_{lc} \le S
    """
    model.add(y.total(y.problem.slots) <= y.problem.capacity).with_name("capacity[0]")


def add_slack(model: cp_model.CpModel, y: MappingVariables) -> None:
    r"""Redundant: candidates that no optimum needs (M3), see :meth:`MappingProblem.allowed`.

    .. math:: x_{lc} = 0 \qquad \forall l, c: e_{lc} > 0,\; s_{lc} \ge \min_{c': e_{lc'} = 0} s_{lc'}
    """
    for layer, c in y.x:
        if not y.problem.allowed(layer)[c]:
            model.add(y.x[layer, c] == 0).with_name(f"slack[{layer},{c}]")


def add_excess(model: cp_model.CpModel, y: MappingVariables) -> None:
    r"""Second level: no more excess than the first level found (M4).

    .. math:: \sum_{lc} e_{lc} x_{lc} \le e^*
    """
    if y.most_excess is not None:
        tables, scale = steps.costs(y.problem, 0)
        model.add(y.total(tables) <= y.most_excess // scale).with_name("excess[0]")


FAMILIES: dict[str, Callable[[cp_model.CpModel, MappingVariables], None]] = {
    "assignment": add_assignment,
    "capacity": add_capacity,
    "slack": add_slack,
    "excess": add_excess,
}


def build(
    problem: MappingProblem, without: Collection[str] = (), *, level: int = 0, most_excess: int | None = None
) -> tuple[cp_model.CpModel, MappingVariables]:
    """The model of one level: 0 minimises excess, 1 communication, both in units of their common divisor."""
    from ortools.sat.python import cp_model

    model = cp_model.CpModel()
    pairs = [(i, c) for i, slots in enumerate(problem.slots) for c in range(len(slots))]
    y = MappingVariables(problem, {(i, c): model.new_bool_var(f"x[{i},{c}]") for i, c in pairs}, most_excess)
    for name, add in FAMILIES.items():
        if name not in without:
            add(model, y)
    model.minimize(y.total(steps.costs(problem, level)[0]))
    return model, y


def add_hint(model: cp_model.CpModel, y: MappingVariables, solution: MappingSolution) -> None:
    """Hint every variable."""
    for (layer, c), x in y.x.items():
        model.add_hint(x, solution.choice[layer] == c)


def solve(
    problem: MappingProblem,
    *,
    time_limit: float,
    seed: int = 0,
    workers: int = 2,
    hint: MappingSolution | None = None,
    without: Collection[str] = (),
    deterministic_limit: float | None = None,
    stop: Stop | None = None,
) -> StepResult[MappingSolution]:
    """Best mapping: least excess, then least communication; `objective` and `bound` are of the communication.

    Parameters
    ----------
    problem : MappingProblem
    time_limit : float
        Wall time [s], for both levels together.
    seed, workers : int
    hint : MappingSolution or None
        Feasible start; None lets the heuristic make one.
    without : collection of str
        Families to leave out (:data:`FAMILIES`).
    deterministic_limit : float or None
        Deterministic time of each level.
    stop : callable or None
        As in :class:`~formulations.solver.Limits`.

    Returns
    -------
    StepResult
        ``levels[0]`` holds excess and its bound. ``OPTIMAL`` only if both levels are proven; ``INFEASIBLE`` with the
        missing slots.

    Raises
    ------
    ModelError
        If a solution does not pass the referee: a bug of ours.
    """
    limits, begin = Limits(time_limit, seed, workers, deterministic_limit, stop), time.monotonic()

    def stage(level: int, most: int | None, start: MappingSolution) -> tuple[SolverRun, MappingSolution | None]:
        model, y = build(problem, without, level=level, most_excess=most)
        add_hint(model, y, start)
        run = run_cpsat(model, limits.left(begin, 0.5 if level == 0 else 1.0))
        return run, chosen(y, run)

    return steps.solve(problem, hint, "cpsat", limits, without, stage)


def chosen(y: MappingVariables, run: SolverRun) -> MappingSolution | None:
    """Solution of a run, None if it has none."""
    return read(y, run.value) if run.solved else None


def read(y: MappingVariables, value: Callable[[Any], int]) -> MappingSolution:
    """Solution of the values of the variables, of either engine."""
    return MappingSolution(tuple(
        next((c for c in y.candidates(layer) if value(y.x[layer, c])), -1) for layer in range(len(y.problem.layers))
    ))  # fmt: skip
