"""Models that exist for other solvers, and their constraints checked without one."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from formulations.replication import linked, master
from formulations.replication.columns import SegmentColumns
from formulations.replication.problem import check
from formulations.scheduling import disjunctive
from formulations.solver import Limits, run_cpsat, run_pulp
from spatem_opt.errors import InstanceError
from spatem_opt.exchange.models import CpsatModel, PulpModel
from spatem_opt.model.result import Status
from spatem_opt.scheduling import chunk_bounds, chunk_heuristic
from spatem_opt.scheduling.chunks import makespan
from tests.formulations.scheduling_cases import brute, problems
from tests.formulations.test_replication_models import brute as cut_brute
from tests.formulations.test_replication_models import example as cut_example
from tests.formulations.test_replication_models import problems as cut_problems

LIMITS = Limits(30.0, workers=1)


# Checks without a solver.


def everything() -> Any:
    """A CP-SAT model with every kind of constraint that our models have, and some more."""
    from ortools.sat.python import cp_model

    model = cp_model.CpModel()
    a, b, c = (model.new_bool_var(name) for name in "abc")
    x, y = (model.new_int_var(0, 3, name) for name in "xy")
    spans = [model.new_fixed_size_interval_var(v, size, f"span{size}") for v, size in ((x, 1), (y, 2))]
    model.add_exactly_one(a, b, ~c).with_name("exactly[0]")
    model.add_at_most_one(a, c).with_name("most[0]")
    model.add_bool_or(a, c, ~b).with_name("or[0]")
    model.add_implication(a, b).with_name("implication[0]")
    model.add(x + 2 * y != 4).with_name("linear[0]")
    model.add(x >= 1).only_enforce_if(b).with_name("enforced[0]")
    model.add_no_overlap(spans).with_name("overlap[0]")
    model.add_cumulative(spans, [2, 1], 2).with_name("cumulative[0]")
    model.minimize(x + y)
    return model


def test_cpsat_constraints_are_judged_as_the_solver_does() -> None:
    judge, found = CpsatModel(everything()), []
    ranges = [range(v.low, v.high + 1) for v in judge.variables]
    for values in itertools.product(*ranges):
        model = everything()
        for index, value in enumerate(values):
            model.add(model.get_int_var_from_proto_index(index) == value)
        named = dict(zip((v.name for v in judge.variables), values, strict=True))
        violations = judge.check(named)
        found += [family for family, _ in violations]
        assert (violations == []) == (run_cpsat(model, LIMITS).status is Status.OPTIMAL)
    assert set(found) == {"exactly", "most", "or", "implication", "linear", "enforced", "overlap", "cumulative"}


def test_linear_constraints_are_judged_as_they_read() -> None:
    import pulp

    problem = pulp.LpProblem("rows", pulp.LpMinimize)
    x, y = (problem.add_variable(name, 0, 3, "Integer") for name in "xy")
    problem.setObjective(2 * x - y)
    problem.addConstraint(x + y <= 4, name="most[0]")
    problem.addConstraint(x - y >= -1, name="most_back[0]")
    problem.addConstraint(x + 2 * y == 5, name="same[0]")
    judge = PulpModel(problem, ("most", "most_back", "same"))
    for i, j in itertools.product(range(4), repeat=2):
        expected = {"most": i + j <= 4, "most_back": i - j >= -1, "same": i + 2 * j == 5}
        assert {family for family, _ in judge.check({"x": i, "y": j})} == {
            f for f, holds in expected.items() if not holds
        }
        assert judge.objective({"x": i, "y": j}) == 2 * i - j


# Replication in one model.


@settings(max_examples=10)
@given(cut_problems())
def test_the_linked_model_is_brute_force(problem: Any) -> None:
    optimum, hint = cut_brute(problem), master.solve(problem, time_limit=20, workers=1).solution
    if hint is None:
        assert optimum is None
        return
    columns = master.open_columns(problem, hint)
    model, y = linked.build_cpsat(columns)
    run = run_cpsat(model, LIMITS)
    assert (run.status, run.objective) == (Status.OPTIMAL, optimum)
    assert check(problem, linked.read(y, run.value)) == check(problem, hint)
    assert run_pulp(linked.build_ilp(columns)[0], LIMITS).objective == optimum


def every_column(problem: Any) -> SegmentColumns:
    """All runs with all slots and paces; nothing is known of their costs."""
    spans = itertools.combinations(range(problem.layers + 1), 2)
    choices = itertools.product(spans, range(len(problem.slots)), range(len(problem.paces)))
    first, stop, slots, pace = np.array([[*span, s, p] for span, s, p in choices]).T
    return SegmentColumns(problem, first, stop, slots, pace, 0 * first)


@pytest.mark.parametrize(
    ("family", "changes", "value"),
    [("way", {}, 10000), ("cover", {}, 0), ("crossbars", {"crossbars": 5, "alone": 5}, 10002),
     ("router", {"router": 0.9}, 10005), ("slots", {"capacity": 1}, 10005)],
)  # fmt: skip
def test_a_linked_family_left_out(family: str, changes: dict[str, Any], value: int) -> None:
    """With way 0 twice 8 crossbars for 10002; with ways 0 and 2 all traffic of a pace of 10, two slots, for 10005."""
    columns = every_column(cut_example(**changes))
    full, less = (run_cpsat(linked.build_cpsat(columns, w)[0], LIMITS).objective for w in ((), (family,)))
    assert full == cut_brute(columns.problem)
    assert full is not None
    assert value == less < full
    assert run_pulp(linked.build_ilp(columns, (family,))[0], LIMITS).objective == less


def test_linked_bound() -> None:
    problem = cut_example()
    hint = master.solve(problem, time_limit=20, workers=1).solution
    assert hint is not None
    columns = replace(master.open_columns(problem, hint), lower=10**9)
    assert run_cpsat(linked.build_cpsat(columns)[0], LIMITS).status is Status.INFEASIBLE
    assert run_cpsat(linked.build_cpsat(columns, ("bound",))[0], LIMITS).status is Status.OPTIMAL


# The disjunctive model.


@settings(max_examples=12)
@given(problems(router=False))
def test_the_disjunctive_model_is_brute_force(problem: Any) -> None:
    upper = makespan(problem, chunk_heuristic.solve(problem).start)
    run = run_pulp(disjunctive.build(problem, upper=upper)[0], LIMITS)
    assert (run.status, run.objective) == (Status.OPTIMAL, brute(problem))


def two(**changes: Any) -> Any:
    """Two tasks of two cycles on one crossbar, the second 1 after the first: 2 + 2 cycles."""
    from spatem_opt.scheduling.chunks import ChunkProblem

    d, none = np.array([2, 2]), np.zeros(1, dtype=np.int64)
    return replace(ChunkProblem(d, 0 * d, d, none, none + 1, none + 1, (np.arange(2),)), **changes)


@pytest.mark.parametrize(
    ("without", "value"),
    [((), 4), (("exclusive", "order"), 3), (("precedence",), 4), (("horizon",), 0), (("order",), 4)],
)
def test_a_disjunctive_family_left_out(without: tuple[str, ...], value: int) -> None:
    assert run_pulp(disjunctive.build(two(), without, upper=9)[0], LIMITS).objective == value


def test_disjunctive_bound_order_and_symmetry() -> None:
    assert run_pulp(disjunctive.build(two(), lower=5, upper=9)[0], LIMITS).objective == 5
    assert run_pulp(disjunctive.build(two(), ("bound",), lower=5, upper=9)[0], LIMITS).objective == 4
    assert chunk_bounds.ordered(two()).lag.tolist() == [1, 2]
    none = np.zeros(0, dtype=np.int64)
    twins = two(before=none, after=none, lag=none)
    model, y = disjunctive.build(twins, upper=4)
    model.addConstraint(y.start[0] >= 1)
    assert run_pulp(model, LIMITS).status is Status.INFEASIBLE
    model, y = disjunctive.build(twins, ("symmetry",), upper=4)
    model.addConstraint(y.start[0] >= 1)
    assert run_pulp(model, LIMITS).objective == 4


def test_disjunctive_has_no_routers() -> None:
    with pytest.raises(InstanceError, match="time-indexed"):
        disjunctive.build(two(load=np.array([1, 1])), upper=9)


@pytest.mark.parametrize(("module", "file", "letter"), [(disjunctive, "README.md", "D"), (linked, "EXACT.md", "L")])
def test_labels_of_equations_and_code_agree(module: ModuleType, file: str, letter: str) -> None:
    text = Path(str(module.__file__)).with_name(file).read_text()
    rows = re.findall(rf"^\| ({letter}\d+) \| `(\w+)` \|", text, re.MULTILINE)
    code = [(re.findall(rf"\(({letter}\d+)\)", str(add.__doc__))[0], name) for name, add in module.FAMILIES.items()]
    assert rows == code
    assert all(".. math::" in str(add.__doc__) for add in module.FAMILIES.values())
