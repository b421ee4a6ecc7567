"""ILP model of OU grouping for PuLP. Equation labels are those of ``README.md``; rows and columns stay unordered."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Any

import numpy as np

from formulations.grouping.cpsat import REACH, GroupingVariables, read, shape_objective, touch_objective
from formulations.grouping.patterns import Profile, full, named, pattern_counts, profile
from formulations.grouping.program import Program, ProgramAnswer, ProgramEngine
from formulations.grouping.steps import finish, prepare
from formulations.solver import Limits, StepResult, pulp_engine, pulp_minimisation, pulp_sum, run_pulp
from spatem_opt.grouping.problem import GroupingProblem, GroupingSolution
from spatem_opt.model.result import Status
from spatem_opt.types import IntArray


def make_variables(model: Any, problem: GroupingProblem, prof: Profile, lower: int) -> GroupingVariables:
    """Create all variables."""
    groups = min(problem.groups, problem.ous)
    named_groups = range(groups)
    rows, cols = range(problem.rows), range(problem.cols)

    def new(name: str, most: int = 1) -> Any:
        return model.add_variable(name, 0, most, "Integer")

    return GroupingVariables(
        problem,
        prof,
        groups,
        lower,
        {(i, j, g): new(f"x_{i}_{j}_{g}") for i in rows for j in cols for g in named_groups},
        {(g, i): new(f"u_{g}_{i}") for g in named_groups for i in rows},
        {(g, j): new(f"v_{g}_{j}") for g in named_groups for j in cols},
        {(g, t): new(f"s_{g}_{t}") for g in named_groups for t in range(len(prof.shapes) + 1)},
        [new(f"count_{t}", groups) for t in range(len(prof.shapes))],
        [
            {key: new(f"pattern{a}_{k}", groups) for k, key in enumerate(side.group_patterns)}
            for a, side in enumerate(prof.sides)
        ],
        [
            {arc: new(f"line{a}_{arc[0]}_{arc[1]}", side.lines) for arc in side.arcs}
            for a, side in enumerate(prof.sides)
        ],
    )


def add_cover(model: Any, y: GroupingVariables) -> None:
    r"""Every OU is in one group (G1).

    .. math:: \sum_{g} x_{ijg} = 1 \qquad \forall i, j
    """
    for i, j in y.ous:
        model.addConstraint(pulp_sum(y.x[i, j, g] for g in range(y.groups)) == 1, name=f"cover[{i},{j}]")


def add_size(model: Any, y: GroupingVariables) -> None:
    r"""A group holds at most m OUs (G2).

    .. math:: \sum_{ij} x_{ijg} \le m \qquad \forall g
    """
    for g in range(y.groups):
        model.addConstraint(pulp_sum(y.x[i, j, g] for i, j in y.ous) <= y.problem.size, name=f"size[{g}]")


def add_rows(model: Any, y: GroupingVariables) -> None:
    r"""A group touches the rows of its OUs (G3).

    .. math:: x_{ijg} \le u_{gi} \qquad \forall i, j, g
    """
    for (i, j, g), x in y.x.items():
        model.addConstraint(x <= y.u[g, i], name=f"rows[{i},{j},{g}]")


def add_cols(model: Any, y: GroupingVariables) -> None:
    r"""A group touches the columns of its OUs (G4).

    .. math:: x_{ijg} \le v_{gj} \qquad \forall i, j, g
    """
    for (i, j, g), x in y.x.items():
        model.addConstraint(x <= y.v[g, j], name=f"cols[{i},{j},{g}]")


def add_shape(model: Any, y: GroupingVariables) -> None:
    r"""Redundant: every group has one shape (r_t, c_t), the empty one has r = c = 0 (G5).

    .. math:: \sum_t s_{gt} = 1,\; \sum_i u_{gi} = \sum_t r_t s_{gt},\; \sum_j v_{gj} = \sum_t c_t s_{gt},\;
              \sum_{ij} x_{ijg} \le \sum_t \min(m, r_t c_t) s_{gt} \qquad \forall g
    """
    p, shapes = y.problem, list(enumerate(y.profile.shapes))
    for g in range(y.groups):
        s = [y.s[g, t] for t in range(len(shapes) + 1)]
        rows, cols = pulp_sum(y.u[g, i] for i in range(p.rows)), pulp_sum(y.v[g, j] for j in range(p.cols))
        ous, most = pulp_sum(y.x[i, j, g] for i, j in y.ous), pulp_sum(full(p, rc) * s[t] for t, rc in shapes)
        model.addConstraint(pulp_sum(s) == 1, name=f"shape[{g},one]")
        model.addConstraint(rows == pulp_sum(rc[0] * s[t] for t, rc in shapes), name=f"shape[{g},rows]")
        model.addConstraint(cols == pulp_sum(rc[1] * s[t] for t, rc in shapes), name=f"shape[{g},cols]")
        model.addConstraint(ous <= most, name=f"shape[{g},size]")


def add_shape_count(model: Any, y: GroupingVariables) -> None:
    r"""Redundant: the groups of every shape are counted (G6).

    .. math:: \sum_g s_{gt} = T_t \qquad \forall t
    """
    for t, count in enumerate(y.count):
        model.addConstraint(pulp_sum(y.s[g, t] for g in range(y.groups)) == count, name=f"shape_count[{t}]")


def add_group_count(model: Any, y: GroupingVariables) -> None:
    r"""Redundant: there are at most n groups, and enough of them (G7).

    .. math:: \lceil RC / m \rceil \le \sum_t T_t \le n
    """
    model.addConstraint(pulp_sum(y.count) <= y.groups, name="group_count[most]")
    model.addConstraint(pulp_sum(y.count) >= -(-y.problem.ous // y.problem.size), name="group_count[least]")


def add_group_pattern(model: Any, y: GroupingVariables) -> None:
    r"""Redundant: a group takes one pattern, OUs per line touched, on either axis A (G8).

    .. math:: \sum_{q \in Q^A_t} P^A_{tq} = T_t \qquad \forall t, A
    """
    for axis, patterns in enumerate(y.pattern):
        for t, count in enumerate(y.count):
            used = pulp_sum(variable for (shape, _), variable in patterns.items() if shape == t)
            model.addConstraint(used == count, name=f"group_pattern[{axis},{t}]")


def add_line_flow(model: Any, y: GroupingVariables) -> None:
    r"""Redundant: every line of either axis A is shared out: its pieces are a path over its OUs (G9).

    .. math:: \sum_{v} F^A_{kv} - \sum_{u} F^A_{uk} = |A| \,[k = 0] \qquad \forall k < \text{length}(A), A
    """
    for axis, (flow, side) in enumerate(zip(y.line, y.profile.sides, strict=True)):
        for k in range(side.length):
            out = pulp_sum(variable for (first, _), variable in flow.items() if first == k)
            into = pulp_sum(variable for (_, stop), variable in flow.items() if stop == k)
            model.addConstraint(out - into == side.lines * (k == 0), name=f"line_flow[{axis},{k}]")


def add_pieces(model: Any, y: GroupingVariables) -> None:
    r"""Redundant: of pieces of at least k OUs, groups have no fewer than lines need (G10); q(k) counts them in q.

    .. math:: \sum_{t,q} q(k) P^A_{tq} \ge \sum_{v - u \ge k} F^A_{uv} \qquad \forall k = 1..\text{length}(A), A
    """
    for axis, side in enumerate(y.profile.sides):
        for k in range(1, side.length + 1):
            offered = pulp_sum(sum(part >= k for part in q) * var for (_, q), var in y.pattern[axis].items())
            needed = pulp_sum(var for (first, stop), var in y.line[axis].items() if stop - first >= k)
            model.addConstraint(offered >= needed, name=f"pieces[{axis},{k}]")


def add_bound(model: Any, y: GroupingVariables) -> None:
    r"""Redundant: the objective is at least a proven bound (G11), in shapes and in touches.

    .. math:: \sum_t (a r_t + b c_t) T_t \ge \underline{z}, \qquad
              \sum_{gi} a u_{gi} + \sum_{gj} b v_{gj} \ge \underline{z}
    """
    model.addConstraint(pulp_sum([shape_objective(y)]) >= y.lower, name="bound[shapes]")
    model.addConstraint(pulp_sum([touch_objective(y)]) >= y.lower, name="bound[touches]")


def add_group_order(model: Any, y: GroupingVariables) -> None:
    r"""Symmetry: groups come in the order of their shapes (G12).

    .. math:: \sum_t t\, s_{gt} \le \sum_t t\, s_{g+1,t} \qquad \forall g
    """
    shapes = range(len(y.profile.shapes) + 1)
    for g in range(y.groups - 1):
        first, second = (pulp_sum(t * y.s[h, t] for t in shapes) for h in (g, g + 1))
        model.addConstraint(first <= second, name=f"group_order[{g}]")


FAMILIES: dict[str, Callable[[Any, GroupingVariables], None]] = {
    "cover": add_cover,
    "size": add_size,
    "rows": add_rows,
    "cols": add_cols,
    "shape": add_shape,
    "shape_count": add_shape_count,
    "group_count": add_group_count,
    "group_pattern": add_group_pattern,
    "line_flow": add_line_flow,
    "pieces": add_pieces,
    "bound": add_bound,
    "group_order": add_group_order,
}


def build(
    problem: GroupingProblem,
    without: Collection[str] = (),
    *,
    lower: int = 0,
    prof: Profile | None = None,
) -> tuple[Any, GroupingVariables]:
    """The full model.

    Parameters
    ----------
    problem : GroupingProblem
    without : collection of str
        Families to leave out (:data:`FAMILIES`).
    lower : int
        Proven lower bound for the family ``bound``.
    prof : Profile or None
        Shapes and patterns to choose from; None for all.

    Returns
    -------
    (pulp.LpProblem, Variables)
    """
    model = pulp_minimisation("grouping")
    y = make_variables(model, problem, prof or profile(problem), lower)
    model.setObjective(pulp_sum([touch_objective(y)]))
    for name, add in FAMILIES.items():
        if name not in without:
            add(model, y)
    return model, y


def add_hint(y: GroupingVariables, labels: IntArray) -> None:
    """Set the initial value of every variable from a grouping."""
    state = named(y.problem, y.profile.shapes, labels, y.groups)
    for (i, j, g), x in y.x.items():
        x.setInitialValue(int(state.labels[i, j] == g))
    for axis, touch in enumerate((y.u, y.v)):
        for (g, i), variable in touch.items():
            variable.setInitialValue(int((np.take(state.labels, i, axis=axis) == g).any()))
    for (g, t), s in y.s.items():
        s.setInitialValue(int(state.shape_of[g] == t))
    for t, count in enumerate(y.count):
        count.setInitialValue(state.shape_of.count(t))
    for axis, (groups, arcs) in enumerate(pattern_counts(y.problem, y.profile, state)):
        for key, variable in y.pattern[axis].items():
            variable.setInitialValue(groups.get(key, 0))
        for arc, variable in y.line[axis].items():
            variable.setInitialValue(arcs.get(arc, 0))


def solve(
    problem: GroupingProblem,
    *,
    time_limit: float,
    seed: int = 0,
    workers: int = 2,
    hint: GroupingSolution | None = None,
    without: Collection[str] = (),
) -> StepResult[GroupingSolution]:
    """Best grouping with a proven bound, in the stages of :func:`formulations.grouping.cpsat.solve`.

    Parameters and exceptions as there.
    """
    limits, begin = Limits(time_limit, seed, workers), time.monotonic()
    engine = f"ilp ({pulp_engine()})"
    start = prepare(problem, hint, use_bound="bound" not in without, seed=seed)
    if start.best is None:
        return finish(problem, start, begin, engine)
    prof = start.combine(problem, ENGINE, without, limits)
    if not start.closed and problem.ous * min(problem.groups, problem.ous) <= REACH:
        model, y = build(problem, without, lower=start.bound, prof=prof)
        add_hint(y, start.best.labels(problem))
        run = run_pulp(model, limits.left(begin), warm=True)
        if run.solved:
            start.improve(problem, read(y, run.value), run.objective)
        start.raise_bound(run.bound)
    return finish(problem, start, begin, engine)


def linear_program(program: Program) -> ProgramAnswer:
    """A linear program, by the engine of PuLP."""
    model, rows, variables = _pulp_model(program)
    run = run_pulp(model, Limits(60.0, workers=1))
    value = np.array([x.value() or 0.0 for x in variables]) if run.solved else None
    return ProgramAnswer(None, value, np.array([row.pi or 0.0 for row in rows]))


def integer_program(program: Program, limits: Limits) -> ProgramAnswer:
    """An integer program, by the engine of PuLP: a bound only if it is solved."""
    model, rows, variables = _pulp_model(program)
    run = run_pulp(model, limits)
    value = np.array([x.value() or 0.0 for x in variables]) if run.solved else None
    bound = None if run.bound is None else float(run.bound)
    return ProgramAnswer(bound, value, np.zeros(len(rows)), run.status is Status.INFEASIBLE)


def _pulp_model(program: Program) -> tuple[Any, list[Any], list[Any]]:
    """A PuLP problem with a program, its constraints and its variables."""
    model, terms = pulp_minimisation("program"), [list[Any]() for _ in program.rhs]
    variables = []
    for j, column in enumerate(program.columns):
        variables.append(model.add_variable(f"x_{j}", 0, None, "Integer" if j in program.integer else "Continuous"))
        for row, value in column.items():
            terms[row].append(value * variables[j])
    model.setObjective(pulp_sum(c * x for c, x in zip(program.cost, variables, strict=True) if c))
    rows = [pulp_sum(line) >= least for line, least in zip(terms, program.rhs, strict=True)]
    for number, row in enumerate(rows):
        model.addConstraint(row, name=f"row_{number}")
    return model, rows, variables


ENGINE = ProgramEngine(linear_program, integer_program)
