"""Groupings cheaper than the best one known, number of shapes by number of shapes, by CP-SAT (``README.md``, Cases)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from formulations.grouping import cpsat
from formulations.grouping.cpsat import GroupingVariables
from formulations.grouping.dual_bound import DualPrices, narrowed
from formulations.grouping.patterns import Profile
from formulations.grouping.realisation import Refuted
from formulations.grouping.steps import GroupingIncumbent
from formulations.solver import Limits, run_cpsat
from spatem_opt.grouping.problem import GroupingProblem
from spatem_opt.model.result import Status

if TYPE_CHECKING:
    from ortools.sat.python import cp_model

CASES = 200
"""Most numbers of shapes that are looked at one by one."""
CountCase = tuple[int, ...]
"""Groups of every shape."""
PROFILE = ("group_count", "group_pattern", "line_flow", "pieces")
LEFT_OUT = ("bound", "group_order")


def try_cases(problem: GroupingProblem, start: GroupingIncumbent, limits: Limits) -> None:
    """Case by case, look for better groupings until there is none."""
    begin = time.monotonic()
    while not start.closed and start.root is not None and start.objective is not None and not limits.over(begin):
        found = refute_cases(problem, start.root, start.objective, limits.left(begin))
        if found.proven:
            start.raise_bound(start.objective)
        if found.solution is None:
            break
        start.improve(problem, found.solution, None)


def refute_cases(problem: GroupingProblem, prices: DualPrices, objective: int, limits: Limits) -> Refuted:
    """Look for a grouping that costs less than `objective` [bits per window]."""
    begin = time.monotonic()
    target = objective - (math.gcd(problem.row_cost, problem.col_cost) or 1)
    prof = narrowed(problem, prices, target)
    found = cases(problem, prof, target, limits) if prof.sides else None
    if found is None:
        return Refuted(None, False)
    for case in found:
        model, y = build(problem, prof, case)
        # One worker: without linear relaxations it takes a tenth of the time that the strategies of two take.
        run = run_cpsat(model, replace(limits.left(begin), workers=1), linearization=0)
        if run.solved:
            return Refuted(cpsat.read(y, run.value), False)
        if run.status is not Status.INFEASIBLE:
            return Refuted(None, False)
    return Refuted(None, True)


def cases(problem: GroupingProblem, prof: Profile, target: int, limits: Limits) -> list[CountCase] | None:
    """All numbers of shapes of integer profiles of at most `target` bits; None if there are too many to list."""
    from ortools.sat.python import cp_model

    model, begin = cp_model.CpModel(), time.monotonic()
    y = cpsat.make_variables(model, problem, prof, 0)
    for name in PROFILE:
        cpsat.FAMILIES[name](model, y)
    model.add(cpsat.shape_objective(y) <= target)
    found: list[CountCase] = []
    while len(found) <= CASES:
        run = run_cpsat(model, limits.left(begin))
        if not run.solved:
            return found if run.status is Status.INFEASIBLE else None
        found.append(tuple(run.value(count) for count in y.count))
        other = []
        for count, number in zip(y.count, found[-1], strict=True):
            less, more = model.new_bool_var(""), model.new_bool_var("")
            model.add(count <= number - 1).only_enforce_if(less)
            model.add(count >= number + 1).only_enforce_if(more)
            other += [less, more]
        model.add_bool_or(other)
    return None


def build(problem: GroupingProblem, prof: Profile, case: CountCase) -> tuple[cp_model.CpModel, GroupingVariables]:
    """The full model of a case: every group has its shape, so that there is nothing to minimise."""
    model, y = cpsat.build(replace(problem, groups=sum(case)), LEFT_OUT, prof=prof)
    model.clear_objective()  # type: ignore[no-untyped-call]
    add_case(model, y, case)
    add_touched(model, y)
    rows, cols = (sum(n * shape[axis] for n, shape in zip(case, prof.shapes, strict=True)) for axis in (0, 1))
    add_alike_order(model, y, rows_first=rows < cols)  # the sparser axis first
    return model, y


def shape_of(y: GroupingVariables, case: CountCase) -> list[int]:
    """Shape of every group, in the order of shapes."""
    return [t for t, number in enumerate(case) for _ in range(number)]


def add_case(model: cp_model.CpModel, y: GroupingVariables, case: CountCase) -> None:
    r"""Groups have the shapes of the case, in order (G15); :math:`t_g` is the shape of group g.

    .. math:: s_{g t_g} = 1,\; T_t = |\{g : t_g = t\}| \qquad \forall g, t
    """
    for t, number in enumerate(case):
        model.add(y.count[t] == number).with_name(f"case[count,{t}]")
    for g, t in enumerate(shape_of(y, case)):
        rows, cols = y.profile.shapes[t]
        model.add(y.s[g, t] == 1).with_name(f"case[{g}]")
        model.add(sum(y.u[g, i] for i in range(y.problem.rows)) == rows).with_name(f"case[{g},rows]")
        model.add(sum(y.v[g, j] for j in range(y.problem.cols)) == cols).with_name(f"case[{g},cols]")


def add_touched(model: cp_model.CpModel, y: GroupingVariables) -> None:
    r"""Redundant: a group has an OU in every row and column it touches (G16).

    .. math:: \sum_j x_{ijg} \ge u_{gi}, \quad \sum_i x_{ijg} \ge v_{gj} \qquad \forall i, j, g
    """
    rows, cols = range(y.problem.rows), range(y.problem.cols)
    for g in range(y.groups):
        for i in rows:
            model.add(sum(y.x[i, j, g] for j in cols) >= y.u[g, i]).with_name(f"touched[{g},row,{i}]")
        for j in cols:
            model.add(sum(y.x[i, j, g] for i in rows) >= y.v[g, j]).with_name(f"touched[{g},col,{j}]")


def add_alike_order(model: cp_model.CpModel, y: GroupingVariables, *, rows_first: bool) -> None:
    r"""Symmetry: groups come in the order of their shapes, those of one shape in lexicographic order of their touches
    (G17): of columns, then of rows, or the other way round.

    .. math:: 2^{R+C} \sum_t t\, s_{gt} - \kappa_g \le 2^{R+C} \sum_t t\, s_{g+1,t} - \kappa_{g+1} \qquad \forall g,
              \quad \kappa_g = 2^R \sum_j 2^{C-j} v_{gj} + \sum_i 2^{R-i} u_{gi}
    """
    p, shapes = y.problem, range(len(y.profile.shapes) + 1)
    if p.rows + p.cols > cpsat.LEX:
        return

    def key(g: int) -> Any:
        bits = [*(y.v[g, j] for j in range(p.cols)), *(y.u[g, i] for i in range(p.rows))]
        if rows_first:
            bits = bits[p.cols :] + bits[: p.cols]
        return sum((t << len(bits)) * y.s[g, t] for t in shapes) - sum(
            (1 << k) * bit for k, bit in enumerate(reversed(bits))
        )

    for g in range(y.groups - 1):
        model.add(key(g) <= key(g + 1)).with_name(f"alike_order[{g}]")


FAMILIES: dict[str, Callable[..., None]] = {
    "case": add_case,
    "touched": add_touched,
    "alike_order": add_alike_order,
}
