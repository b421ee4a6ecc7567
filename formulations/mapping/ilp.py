"""ILP model of weight mapping for PuLP. Equation labels are those of ``README.md``."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Any

from formulations.mapping import steps
from formulations.mapping.cpsat import MappingVariables, chosen
from formulations.solver import Limits, SolverRun, StepResult, pulp_engine, pulp_minimisation, pulp_sum, run_pulp
from spatem_opt.mapping.problem import MappingProblem, MappingSolution


def _total(y: MappingVariables, tables: Any) -> Any:
    """Sum of a table over the candidates chosen, an expression even when empty."""
    return pulp_sum(int(tables[layer][c]) * x for (layer, c), x in y.x.items())


def add_assignment(model: Any, y: MappingVariables) -> None:
    r"""Every layer uses one candidate (M1).

    .. math:: \sum_c x_{lc} = 1 \qquad \forall l
    """
    for layer in range(len(y.problem.layers)):
        used = pulp_sum(y.x[layer, c] for c in y.candidates(layer))
        model.addConstraint(used == 1, name=f"assignment[{layer}]")


def add_capacity(model: Any, y: MappingVariables) -> None:
    r"""The OU slots of the chip suffice (M2).

    .. math:: \sum_{lc} s_{lc} x_{lc} \le S
    """
    model.addConstraint(_total(y, y.problem.slots) <= y.problem.capacity, name="capacity[0]")


def add_slack(model: Any, y: MappingVariables) -> None:
    r"""Redundant: candidates that no optimum needs (M3), see :meth:`MappingProblem.allowed`.

    .. math:: x_{lc} = 0 \qquad \forall l, c: e_{lc} > 0,\; s_{lc} \ge \min_{c': e_{lc'} = 0} s_{lc'}
    """
    for (layer, c), x in y.x.items():
        if not y.problem.allowed(layer)[c]:
            model.addConstraint(x <= 0, name=f"slack[{layer},{c}]")


def add_excess(model: Any, y: MappingVariables) -> None:
    r"""Second level: no more excess than the first level found (M4).

    .. math:: \sum_{lc} e_{lc} x_{lc} \le e^*
    """
    if y.most_excess is not None:
        tables, scale = steps.costs(y.problem, 0)
        model.addConstraint(_total(y, tables) <= y.most_excess // scale, name="excess[0]")


FAMILIES: dict[str, Callable[[Any, MappingVariables], None]] = {
    "assignment": add_assignment,
    "capacity": add_capacity,
    "slack": add_slack,
    "excess": add_excess,
}


def build(
    problem: MappingProblem, without: Collection[str] = (), *, level: int = 0, most_excess: int | None = None
) -> tuple[Any, MappingVariables]:
    """The model of one level (pulp.LpProblem): 0 minimises excess, 1 communication, in units of their divisor."""
    model = pulp_minimisation("mapping")
    pairs = [(i, c) for i, slots in enumerate(problem.slots) for c in range(len(slots))]
    y = MappingVariables(
        problem, {(i, c): model.add_variable(f"x_{i}_{c}", 0, 1, "Integer") for i, c in pairs}, most_excess
    )
    model.setObjective(_total(y, steps.costs(problem, level)[0]))
    for name, add in FAMILIES.items():
        if name not in without:
            add(model, y)
    return model, y


def solve(
    problem: MappingProblem,
    *,
    time_limit: float,
    seed: int = 0,
    workers: int = 2,
    hint: MappingSolution | None = None,
    without: Collection[str] = (),
) -> StepResult[MappingSolution]:
    """Best mapping, as :func:`formulations.mapping.cpsat.solve`; parameters and exceptions as there."""
    limits, begin = Limits(time_limit, seed, workers), time.monotonic()

    def stage(level: int, most: int | None, start: MappingSolution) -> tuple[SolverRun, MappingSolution | None]:
        model, y = build(problem, without, level=level, most_excess=most)
        for (layer, c), x in y.x.items():
            x.setInitialValue(int(start.choice[layer] == c))
        run = run_pulp(model, limits.left(begin, 0.5 if level == 0 else 1.0), warm=True)
        return run, chosen(y, run)

    return steps.solve(problem, hint, f"ilp ({pulp_engine()})", limits, without, stage)
