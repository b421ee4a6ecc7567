"""CP-SAT model of OU grouping. Equation labels are those of ``README.md``."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from formulations.grouping.linear import ENGINE
from formulations.grouping.patterns import Arc, Pattern, Profile, full, named, pattern_counts, profile
from formulations.grouping.steps import finish, prepare
from formulations.solver import Limits, StepResult, Stop, run_cpsat
from spatem_opt.grouping.problem import GroupingProblem, GroupingSolution, from_labels
from spatem_opt.model.result import Status
from spatem_opt.types import IntArray

if TYPE_CHECKING:
    from ortools.sat.python import cp_model

LEX = 50
"""Groups whose touches order rows and columns: their weights 2**49.. still fit CP-SAT's integers."""
CASES = 0.7
"""Share of the time left for cases (``refute.py``)."""
REACH = 5_000
"""Most OU-group pairs R*C*n of the full model; beyond it only bounds are raised."""


@dataclass(slots=True)
class GroupingVariables:
    """Decision variables; every table is keyed by its indices.

    Parameters
    ----------
    problem : GroupingProblem
    profile : Profile
    groups : int
        min(n, R*C): more would stay empty.
    lower : int
        Proven lower bound of the objective.
    x : (i, j, g) -> bool
        OU (i, j) is in group g.
    u, v : (g, i) and (g, j) -> bool
        Group g touches row i (column j).
    s : (g, t) -> bool
        Group g has shape t; shape ``len(shapes)`` is the empty group.
    count : t -> int
        Groups of shape t.
    pattern : per axis (t, pattern) -> int
        Groups of shape t that use a pattern.
    line : per axis arc -> int
        Lines that have this piece.
    """

    problem: GroupingProblem
    profile: Profile
    groups: int
    lower: int
    x: dict[tuple[int, int, int], Any]
    u: dict[tuple[int, int], Any]
    v: dict[tuple[int, int], Any]
    s: dict[tuple[int, int], Any]
    count: list[Any]
    pattern: list[dict[tuple[int, Pattern], Any]]
    line: list[dict[Arc, Any]]

    @property
    def ous(self) -> list[tuple[int, int]]:
        """Rows and columns of all OUs."""
        return [(i, j) for i in range(self.problem.rows) for j in range(self.problem.cols)]


def make_variables(model: cp_model.CpModel, problem: GroupingProblem, prof: Profile, lower: int) -> GroupingVariables:
    """Create all variables."""
    groups = min(problem.groups, problem.ous)
    named_groups = range(groups)
    rows, cols, new = range(problem.rows), range(problem.cols), model.new_bool_var
    return GroupingVariables(
        problem,
        prof,
        groups,
        lower,
        {(i, j, g): new(f"x[{i},{j},{g}]") for i in rows for j in cols for g in named_groups},
        {(g, i): new(f"u[{g},{i}]") for g in named_groups for i in rows},
        {(g, j): new(f"v[{g},{j}]") for g in named_groups for j in cols},
        {(g, t): new(f"s[{g},{t}]") for g in named_groups for t in range(len(prof.shapes) + 1)},
        [model.new_int_var(0, groups, f"count[{t}]") for t in range(len(prof.shapes))],
        [
            {key: model.new_int_var(0, groups, f"pattern{a}[{k}]") for k, key in enumerate(side.group_patterns)}
            for a, side in enumerate(prof.sides)
        ],
        [
            {(i, j): model.new_int_var(0, side.lines, f"line{a}[{i},{j}]") for i, j in side.arcs}
            for a, side in enumerate(prof.sides)
        ],
    )


def add_cover(model: cp_model.CpModel, y: GroupingVariables) -> None:
    r"""Every OU is in one group (G1).

    .. math:: \sum_{g} x_{ijg} = 1 \qquad \forall i, j
    """
    for i, j in y.ous:
        model.add_exactly_one(y.x[i, j, g] for g in range(y.groups)).with_name(f"cover[{i},{j}]")


def add_size(model: cp_model.CpModel, y: GroupingVariables) -> None:
    r"""A group holds at most m OUs (G2).

    .. math:: \sum_{ij} x_{ijg} \le m \qquad \forall g
    """
    for g in range(y.groups):
        model.add(sum(y.x[i, j, g] for i, j in y.ous) <= y.problem.size).with_name(f"size[{g}]")


def add_rows(model: cp_model.CpModel, y: GroupingVariables) -> None:
    r"""A group touches the rows of its OUs (G3).

    .. math:: x_{ijg} \le u_{gi} \qquad \forall i, j, g
    """
    for (i, j, g), x in y.x.items():
        model.add_implication(x, y.u[g, i]).with_name(f"rows[{i},{j},{g}]")


def add_cols(model: cp_model.CpModel, y: GroupingVariables) -> None:
    r"""A group touches the columns of its OUs (G4).

    .. math:: x_{ijg} \le v_{gj} \qquad \forall i, j, g
    """
    for (i, j, g), x in y.x.items():
        model.add_implication(x, y.v[g, j]).with_name(f"cols[{i},{j},{g}]")


def add_shape(model: cp_model.CpModel, y: GroupingVariables) -> None:
    r"""Redundant: every group has one shape (r_t, c_t), the empty one has r = c = 0 (G5).

    .. math:: \sum_t s_{gt} = 1,\; \sum_i u_{gi} = \sum_t r_t s_{gt},\; \sum_j v_{gj} = \sum_t c_t s_{gt},\;
              \sum_{ij} x_{ijg} \le \sum_t \min(m, r_t c_t) s_{gt} \qquad \forall g
    """
    p, shapes = y.problem, list(enumerate(y.profile.shapes))
    for g in range(y.groups):
        s = [y.s[g, t] for t, _ in shapes]
        model.add_exactly_one([*s, y.s[g, len(shapes)]]).with_name(f"shape[{g},one]")
        touched = sum(y.u[g, i] for i in range(p.rows)), sum(y.v[g, j] for j in range(p.cols))
        model.add(touched[0] == sum(rc[0] * s[t] for t, rc in shapes)).with_name(f"shape[{g},rows]")
        model.add(touched[1] == sum(rc[1] * s[t] for t, rc in shapes)).with_name(f"shape[{g},cols]")
        ous = sum(y.x[i, j, g] for i, j in y.ous)
        model.add(ous <= sum(full(p, rc) * s[t] for t, rc in shapes)).with_name(f"shape[{g},size]")


def add_shape_count(model: cp_model.CpModel, y: GroupingVariables) -> None:
    r"""Redundant: the groups of every shape are counted (G6).

    .. math:: \sum_g s_{gt} = T_t \qquad \forall t
    """
    for t, count in enumerate(y.count):
        model.add(sum(y.s[g, t] for g in range(y.groups)) == count).with_name(f"shape_count[{t}]")


def add_group_count(model: cp_model.CpModel, y: GroupingVariables) -> None:
    r"""Redundant: there are at most n groups, and enough of them (G7).

    .. math:: \lceil RC / m \rceil \le \sum_t T_t \le n
    """
    model.add(sum(y.count) <= y.groups).with_name("group_count[most]")
    model.add(sum(y.count) >= -(-y.problem.ous // y.problem.size)).with_name("group_count[least]")


def add_group_pattern(model: cp_model.CpModel, y: GroupingVariables) -> None:
    r"""Redundant: a group takes one pattern, OUs per line touched, on either axis A (G8).

    .. math:: \sum_{q \in Q^A_t} P^A_{tq} = T_t \qquad \forall t, A
    """
    for axis, patterns in enumerate(y.pattern):
        for t, count in enumerate(y.count):
            used = sum(variable for (shape, _), variable in patterns.items() if shape == t)
            model.add(used == count).with_name(f"group_pattern[{axis},{t}]")


def add_line_flow(model: cp_model.CpModel, y: GroupingVariables) -> None:
    r"""Redundant: every line of either axis A is shared out: its pieces are a path over its OUs (G9).

    .. math:: \sum_{v} F^A_{kv} - \sum_{u} F^A_{uk} = |A| \,[k = 0] \qquad \forall k < \text{length}(A), A
    """
    for axis, (flow, side) in enumerate(zip(y.line, y.profile.sides, strict=True)):
        for k in range(side.length):
            out = sum(variable for (first, _), variable in flow.items() if first == k)
            into = sum(variable for (_, stop), variable in flow.items() if stop == k)
            model.add(out - into == side.lines * (k == 0)).with_name(f"line_flow[{axis},{k}]")


def add_pieces(model: cp_model.CpModel, y: GroupingVariables) -> None:
    r"""Redundant: of pieces of at least k OUs, groups have no fewer than lines need (G10); q(k) counts them in q.

    .. math:: \sum_{t,q} q(k) P^A_{tq} \ge \sum_{v - u \ge k} F^A_{uv} \qquad \forall k = 1..\text{length}(A), A
    """
    for axis, side in enumerate(y.profile.sides):
        for k in range(1, side.length + 1):
            offered = sum(sum(part >= k for part in q) * var for (_, q), var in y.pattern[axis].items())
            needed = sum(var for (first, stop), var in y.line[axis].items() if stop - first >= k)
            model.add(offered >= needed).with_name(f"pieces[{axis},{k}]")


def add_bound(model: cp_model.CpModel, y: GroupingVariables) -> None:
    r"""Redundant: the objective is at least a proven bound (G11), in shapes and in touches.

    .. math:: \sum_t (a r_t + b c_t) T_t \ge \underline{z}, \qquad
              \sum_{gi} a u_{gi} + \sum_{gj} b v_{gj} \ge \underline{z}
    """
    model.add(shape_objective(y) >= y.lower).with_name("bound[shapes]")
    model.add(touch_objective(y) >= y.lower).with_name("bound[touches]")


def add_group_order(model: cp_model.CpModel, y: GroupingVariables) -> None:
    r"""Symmetry: groups come in the order of their shapes (G12).

    .. math:: \sum_t t\, s_{gt} \le \sum_t t\, s_{g+1,t} \qquad \forall g
    """
    shapes = range(len(y.profile.shapes) + 1)
    for g in range(y.groups - 1):
        first, second = (sum(t * y.s[h, t] for t in shapes) for h in (g, g + 1))
        model.add(first <= second).with_name(f"group_order[{g}]")


def add_row_order(model: cp_model.CpModel, y: GroupingVariables) -> None:
    r"""Symmetry: rows come in lexicographic order of the groups that touch them (G13), l = min(n, 50).

    .. math:: \sum_{g<l} 2^{l-1-g} u_{gi} \ge \sum_{g<l} 2^{l-1-g} u_{g,i+1} \qquad \forall i
    """
    _order(model, y.u, y.problem.rows, min(y.groups, LEX), "row_order")


def add_col_order(model: cp_model.CpModel, y: GroupingVariables) -> None:
    r"""Symmetry: columns come in lexicographic order of the groups that touch them (G14).

    .. math:: \sum_{g<l} 2^{l-1-g} v_{gj} \ge \sum_{g<l} 2^{l-1-g} v_{g,j+1} \qquad \forall j
    """
    _order(model, y.v, y.problem.cols, min(y.groups, LEX), "col_order")


def _order(model: cp_model.CpModel, touch: dict[tuple[int, int], Any], lines: int, groups: int, family: str) -> None:
    for i in range(lines - 1):
        first, second = (sum(2 ** (groups - 1 - g) * touch[g, h] for g in range(groups)) for h in (i, i + 1))
        model.add(first >= second).with_name(f"{family}[{i}]")


FAMILIES: dict[str, Callable[[cp_model.CpModel, GroupingVariables], None]] = {
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
    "row_order": add_row_order,
    "col_order": add_col_order,
}
REDUNDANT = frozenset(("shape", "shape_count", "group_count", "group_pattern", "line_flow", "pieces", "bound"))
SYMMETRY = frozenset(("group_order", "row_order", "col_order"))


def shape_objective(y: GroupingVariables) -> Any:
    """Communication by shapes [bits per window]."""
    p = y.problem
    return sum((p.row_cost * r + p.col_cost * c) * n for (r, c), n in zip(y.profile.shapes, y.count, strict=True))


def touch_objective(y: GroupingVariables) -> Any:
    """Communication by touches [bits per window]."""
    return y.problem.row_cost * sum(y.u.values()) + y.problem.col_cost * sum(y.v.values())


def build(
    problem: GroupingProblem, without: Collection[str] = (), *, lower: int = 0, prof: Profile | None = None
) -> tuple[cp_model.CpModel, GroupingVariables]:
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
    """
    from ortools.sat.python import cp_model

    model = cp_model.CpModel()
    y = make_variables(model, problem, prof or profile(problem), lower)
    for name, add in FAMILIES.items():
        if name not in without:
            add(model, y)
    model.minimize(touch_objective(y))
    return model, y


def add_hint(model: cp_model.CpModel, y: GroupingVariables, labels: IntArray) -> None:
    """Hint every variable with a grouping, its groups renamed, rows and columns sorted as the symmetry demands."""
    state = named(y.problem, y.profile.shapes, labels, y.groups)
    for (i, j, g), x in y.x.items():
        model.add_hint(x, bool(state.labels[i, j] == g))
    for axis, touch in enumerate((y.u, y.v)):
        for (g, i), variable in touch.items():
            model.add_hint(variable, bool((np.take(state.labels, i, axis=axis) == g).any()))
    for (g, t), s in y.s.items():
        model.add_hint(s, state.shape_of[g] == t)
    for t, count in enumerate(y.count):
        model.add_hint(count, state.shape_of.count(t))
    for axis, (groups, arcs) in enumerate(pattern_counts(y.problem, y.profile, state)):
        for key, variable in y.pattern[axis].items():
            model.add_hint(variable, groups.get(key, 0))
        for arc, variable in y.line[axis].items():
            model.add_hint(variable, arcs.get(arc, 0))


def solve(
    problem: GroupingProblem,
    *,
    time_limit: float,
    seed: int = 0,
    workers: int = 8,
    hint: GroupingSolution | None = None,
    without: Collection[str] = (),
    deterministic_limit: float | None = None,
    log: bool = False,
    stop: Stop | None = None,
) -> StepResult[GroupingSolution]:
    """Best grouping with a proven bound: all stages of ``README.md``, the full model last.

    Each stage is left out if the one before has closed the gap. ``without=("bound",)`` goes straight to the full model.

    Parameters
    ----------
    problem : GroupingProblem
    time_limit : float
        Wall time [s].
    seed, workers : int
        With fewer than 8 workers CP-SAT leaves out strategies that hard grids need, whatever the number of cores.
    hint : GroupingSolution or None
        Feasible grouping to start from, if it is better than the heuristic's.
    without : collection of str
        Families to leave out.
    deterministic_limit : float or None
        Deterministic time of each run of CP-SAT.
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
    start, text = prepare(problem, hint, use_bound="bound" not in without, seed=seed), ""
    if start.best is None:
        return finish(problem, start, begin, "cpsat")
    prof = start.combine(problem, ENGINE, without, limits)
    within = problem.ous * min(problem.groups, problem.ous) <= REACH
    if within:
        from formulations.grouping.case_enumeration import try_cases  # which builds on this module

        try_cases(problem, start, limits.left(begin, CASES))
    if not start.closed and within:
        model, y = build(problem, without, lower=start.bound, prof=prof)
        add_hint(model, y, start.best.labels(problem))
        run = run_cpsat(model, limits.left(begin), log=log)
        text = run.log
        if run.solved:
            start.improve(problem, read(y, run.value), run.objective)
        start.raise_bound(run.bound if run.status is not Status.INFEASIBLE else None)
    return finish(problem, start, begin, "cpsat", log=text)


def read(y: GroupingVariables, value: Callable[[Any], int]) -> GroupingSolution:
    """Solution of the values of the full model's variables, of either engine."""
    labels = np.full((y.problem.rows, y.problem.cols), -1, dtype=np.int64)
    for (i, j, g), x in y.x.items():
        if value(x):
            labels[i, j] = g
    return from_labels(labels)
