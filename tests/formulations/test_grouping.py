"""Exact grouping: both engines against brute force, families, hints, documentation."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from formulations.grouping import case_enumeration, cpsat, dual_bound, generation, ilp, linear, patterns
from formulations.grouping.program import bits, profile_program
from formulations.solver import Limits, SolverRun, run_cpsat, run_pulp
from spatem_opt.errors import ModelError
from spatem_opt.grouping import bounds, heuristic
from spatem_opt.grouping.problem import GroupingProblem
from spatem_opt.grouping.referee import check
from spatem_opt.model.result import Status
from spatem_opt.types import NEVER
from tests.grouping.brute import optimum

README = Path(cpsat.__file__).with_name("README.md")
LIMITS = Limits(20.0, seed=1, workers=1, deterministic_limit=20.0)
TIGHT = GroupingProblem(rows=2, cols=3, groups=2, size=2, row_cost=1, col_cost=1)
FITS = replace(TIGHT, size=3)
HARD = GroupingProblem(rows=4, cols=5, groups=3, size=9, row_cost=2, col_cost=3)


@st.composite
def tiny(draw: st.DrawFn) -> GroupingProblem:
    """Grids of at most eight OUs with at most four groups, feasible."""
    rows, cols = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    cols = min(cols, 8 // rows)
    groups = draw(st.integers(1, min(4, rows * cols)))
    size = draw(st.integers(-(-rows * cols // groups), rows * cols))
    return GroupingProblem(rows, cols, groups, size, draw(st.integers(0, 5)), draw(st.integers(0, 5)))


@settings(max_examples=15)
@given(tiny())
def test_brute_force_cpsat_and_ilp_agree(problem: GroupingProblem) -> None:
    best = optimum(problem)
    found = [
        cpsat.solve(problem, time_limit=20, workers=1, deterministic_limit=20, without=("bound",)),
        ilp.solve(problem, time_limit=20, workers=1, without=("bound",)),
    ]
    assert [(r.status, r.objective, r.bound) for r in found] == [(Status.OPTIMAL, best, best)] * 2


@pytest.mark.parametrize("engine", [cpsat, ilp])
@settings(max_examples=15)
@given(problem=tiny())
def test_the_profile_is_a_relaxation(engine: ModuleType, problem: GroupingProblem) -> None:
    best = optimum(problem)
    assert best is not None
    assert bounds.lower_bound(problem) <= profile_bound(engine, problem) <= best


def profile_bound(
    engine: ModuleType, problem: GroupingProblem, without: tuple[str, ...] = (), lower: int | None = None
) -> int:
    """Bound of the profile with all shapes and patterns, by either engine."""
    least = bounds.lower_bound(problem) if lower is None else lower
    bound = engine.ENGINE.integer(profile_program(problem, patterns.profile(problem), least, without), LIMITS).bound
    assert bound is not None
    return bits(problem, bound)


@st.composite
def priced(draw: st.DrawFn) -> tuple[GroupingProblem, tuple[np.ndarray, np.ndarray]]:
    """A tiny problem with any prices of pieces of rows and of columns that do not fall."""
    problem = draw(tiny())
    both = []
    for length in (problem.cols, problem.rows):
        steps = [draw(st.integers(0, 5 * dual_bound.SCALE)) for _ in range(min(length, problem.size))]
        both.append(np.concatenate(([0], np.cumsum(steps))).astype(np.int64))
    return problem, (both[0], both[1])


@settings(max_examples=60)
@given(priced())
def test_any_prices_prove_a_bound(case: tuple[GroupingProblem, tuple[np.ndarray, np.ndarray]]) -> None:
    problem, price = case
    best = optimum(problem)
    assert best is not None
    assert dual_bound.evaluate(problem, price).bound(problem) <= best


@settings(max_examples=30)
@given(priced())
def test_tables_of_prices_against_all_patterns(case: tuple[GroupingProblem, tuple[np.ndarray, np.ndarray]]) -> None:
    problem, price = case
    found = dual_bound.evaluate(problem, price)
    sides = patterns.profile(problem).sides
    for t, shape in enumerate(patterns.profile(problem).shapes):
        if patterns.full(problem, shape) < dual_bound.least_size(problem):
            assert found.reduced[shape] == NEVER
            continue
        reduced = dual_bound.SCALE * (problem.row_cost * shape[0] + problem.col_cost * shape[1])
        for axis, side in enumerate(sides):
            values = [sum(int(price[axis][k]) for k in q) for u, q in side.group_patterns if u == t]
            reduced -= max(values)
            best = dual_bound.best_group(found.axes[axis], shape[axis], shape[1 - axis], patterns.full(problem, shape))
            assert sum(int(price[axis][k]) for k in best) == max(values)
        assert found.reduced[shape] == reduced
    for axis, side in zip(found.axes, sides, strict=True):
        assert sum(int(axis.price[k]) for k in dual_bound.best_line(axis)) == axis.line[side.length]


@settings(max_examples=20)
@given(tiny())
def test_what_prices_leave_holds_an_optimum(problem: GroupingProblem) -> None:
    start = heuristic.solve(problem)
    assert start is not None
    best, upper = optimum(problem), check(problem, start).objective
    found = generation.generate(problem, start, upper + 1, linear.linear_program, LIMITS, rounds=20)
    model, y = cpsat.build(problem, prof=dual_bound.narrowed(problem, found.prices, upper))
    cpsat.add_hint(model, y, start.labels(problem))
    solved = run_cpsat(model, LIMITS)
    assert (solved.status, solved.objective) == (Status.OPTIMAL, best)


@pytest.mark.parametrize("engine", [cpsat, ilp])
@pytest.mark.parametrize(
    ("sizes", "bound"),
    [
        ((9, 32, 96, 3, 144, 16), 19_200),  # 18 800 by counting touches
        ((9, 32, 27, 11, 144, 16), 8_496),
        ((29, 64, 377, 5, 144, 16), 83_984),
    ],
)
def test_prices_prove_layers(engine: ModuleType, sizes: tuple[int, ...], bound: int) -> None:
    problem = GroupingProblem(*sizes)
    start = heuristic.solve(problem)
    assert start is not None
    upper = check(problem, start).objective
    found = generation.generate(problem, start, upper, engine.ENGINE.linear, Limits(60.0), rounds=60).prices
    assert bounds.lower_bound(problem) < found.bound(problem) == bound == upper


@pytest.mark.parametrize("engine", [cpsat, ilp])
def test_stages_prove_where_combinatorial_bounds_do_not(engine: ModuleType) -> None:
    start = heuristic.solve(HARD)
    assert start is not None
    assert bounds.lower_bound(HARD) < check(HARD, start).objective
    result = engine.solve(HARD, time_limit=60, workers=1)
    assert (result.status, result.objective, result.bound) == (Status.OPTIMAL, 39, 39)
    assert not check(HARD, result.solution).violations


def run(engine: ModuleType, problem: GroupingProblem, without: tuple[str, ...]) -> SolverRun:
    """One run of the full model of either engine, without shortcuts."""
    model, _ = engine.build(problem, without)
    return run_cpsat(model, LIMITS) if engine is cpsat else run_pulp(model, LIMITS)


RELAXED = tuple(cpsat.REDUNDANT)


@pytest.mark.parametrize("engine", [cpsat, ilp])
@pytest.mark.parametrize("family", ["cover", "size"])
def test_flip_of_a_data_family(engine: ModuleType, family: str) -> None:
    assert run(engine, TIGHT, RELAXED).status is Status.INFEASIBLE
    assert run(engine, TIGHT, (*RELAXED, family)).status is Status.OPTIMAL


@pytest.mark.parametrize("engine", [cpsat, ilp])
@pytest.mark.parametrize("family", ["rows", "cols"])
def test_flip_of_a_linking_family(engine: ModuleType, family: str) -> None:
    # Two groups of 3 in a 2 x 3 grid touch one row and three columns each: 8. With rows unlinked only columns
    # count, and one of the three must be cut: 4. With columns unlinked only the two rows count: 2.
    assert run(engine, FITS, RELAXED).objective == 8
    free = run(engine, FITS, (*RELAXED, family)).objective
    assert free == {"rows": 4, "cols": 2}[family]


@pytest.mark.parametrize("engine", [cpsat, ilp])
@pytest.mark.parametrize(
    ("family", "lower", "bound"),
    [
        # Two groups of three OUs cost 8; without needs, offers or their link two groups of a single OU remain: 2 each.
        ("pieces", 0, 4),
        ("line_flow", 0, 4),
        ("group_pattern", 0, 4),
        ("bound", 9, 8),
    ],
)
def test_flip_of_a_profile_family(engine: ModuleType, family: str, lower: int, bound: int) -> None:
    assert profile_bound(engine, FITS, (family,), lower) == bound


@pytest.mark.parametrize("engine", [cpsat, ilp])
def test_flip_of_the_number_of_groups(engine: ModuleType) -> None:
    # The profile alone proves that 2 x 2 slots do not hold 6 OUs; three groups of two would, at 3 each.
    program = profile_program(TIGHT, patterns.profile(TIGHT), 0)
    assert engine.ENGINE.integer(program, LIMITS).bound is None
    assert profile_bound(engine, TIGHT, ("group_count",), 0) == 9


@pytest.mark.parametrize("engine", [cpsat, ilp])
def test_the_whole_profile(engine: ModuleType) -> None:
    assert profile_bound(engine, FITS, (), 0) == 8
    assert profile_bound(engine, FITS, (), 9) == 9


@pytest.mark.parametrize("family", ["shape", "shape_count", "bound", *sorted(cpsat.SYMMETRY)])
def test_redundant_and_symmetry_families_change_no_optimum(family: str) -> None:
    full, less = run(cpsat, FITS, ()), run(cpsat, FITS, (family,))
    assert full.objective == less.objective == 8


def test_a_wrong_bound_makes_the_model_infeasible_and_switches_off() -> None:
    high = cpsat.build(FITS, lower=1000)[0]
    assert run_cpsat(high, LIMITS).status is Status.INFEASIBLE
    assert run_cpsat(cpsat.build(FITS, ("bound",), lower=1000)[0], LIMITS).objective == 8


@pytest.mark.parametrize("problem", [HARD, FITS, GroupingProblem(5, 5, 4, 8, 1, 1), GroupingProblem(3, 4, 12, 5, 0, 2)])
def test_the_hint_is_complete_and_feasible(problem: GroupingProblem) -> None:
    start = heuristic.solve(problem)
    assert start is not None
    model, y = cpsat.build(problem, lower=bounds.lower_bound(problem))
    cpsat.add_hint(model, y, start.labels(problem))
    log = run_cpsat(model, Limits(10.0, workers=1, deterministic_limit=1.0), log=True).log
    assert "The solution hint is complete and is feasible" in log


@pytest.mark.parametrize("engine", [cpsat, ilp])
def test_infeasible_comes_with_numbers(engine: ModuleType) -> None:
    result = engine.solve(TIGHT, time_limit=5)
    assert result.status is Status.INFEASIBLE
    assert (result.shortage.family, result.shortage.demand, result.shortage.capacity) == ("size", 6, 4)


@pytest.mark.parametrize("engine", [cpsat, ilp])
def test_a_bad_hint_is_our_bug_and_said_so(engine: ModuleType) -> None:
    hint = heuristic.solve(replace(FITS, groups=1, size=6))
    with pytest.raises(ModelError, match="size"):
        engine.solve(FITS, time_limit=5, hint=hint)


def test_same_seed_same_answer() -> None:
    first, second = (
        cpsat.solve(HARD, time_limit=60, workers=1, seed=5, deterministic_limit=10).solution for _ in range(2)
    )
    assert first is not None
    assert second is not None
    assert (first.table() == second.table()).all()


def test_no_time_still_gives_the_heuristic_with_a_bound() -> None:
    result = cpsat.solve(GroupingProblem(8, 8, 5, 13, 2, 3), time_limit=0.0, workers=1)
    assert result.status is Status.FEASIBLE
    assert result.objective is not None
    assert result.bound is not None
    assert 93 <= result.bound <= 95 <= result.objective


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sizes", "best"),
    [
        ((5, 5, 5, 7, 1, 1), 21),
        ((8, 8, 5, 13, 2, 3), 95),
        ((7, 7, 10, 8, 2, 3), 92),
        ((8, 8, 12, 6, 2, 3), 132),
        ((8, 7, 7, 11, 2, 3), 93),
        ((8, 8, 13, 7, 2, 3), 130),
    ],
)
def test_small_grids_are_proven(sizes: tuple[int, int, int, int, int, int], best: int) -> None:
    result = cpsat.solve(GroupingProblem(*sizes), time_limit=60)
    assert (result.status, result.objective) == (Status.OPTIMAL, best)


@pytest.mark.slow
@pytest.mark.parametrize("engine", [cpsat, ilp])
@pytest.mark.parametrize(("sizes", "best"), [((89, 32, 30, 96, 144, 16), 28_176), ((89, 64, 60, 96, 144, 16), 56_352)])
def test_layers_are_proven(engine: ModuleType, sizes: tuple[int, int, int, int, int, int], best: int) -> None:
    result = engine.solve(GroupingProblem(*sizes), time_limit=60, workers=2)
    assert (result.status, result.objective) == (Status.OPTIMAL, best)


def test_the_heuristic_is_taken_where_the_hint_is_worse() -> None:
    # A hint in 16 groups of one OU each, two rows of eight: all of it touches 16 rows and 16 columns.
    problem = GroupingProblem(rows=2, cols=8, groups=16, size=8, row_cost=1, col_cost=1)
    poor = heuristic.solve(replace(problem, size=1))
    assert poor is not None
    result = cpsat.solve(problem, time_limit=5, workers=1, hint=poor)
    assert result.objective is not None
    assert result.objective < check(problem, poor).objective


@pytest.mark.parametrize("engine", [cpsat, ilp])
def test_readme_and_code_name_the_same_families(engine: ModuleType) -> None:
    rows = re.findall(r"^\| (G\d+) \| `(\w+)` \|.*\|$", README.read_text(), re.MULTILINE)
    documented = {name: label for label, name in rows}
    families = engine.FAMILIES | (case_enumeration.FAMILIES if engine is cpsat else {})
    only = ("row_order", "col_order", *case_enumeration.FAMILIES)
    in_code = {name: re.search(r"\((G\d+)\)", add.__doc__ or "") for name, add in families.items()}
    assert {name: match and match[1] for name, match in in_code.items()} == {
        name: label for name, label in documented.items() if engine is cpsat or name not in only
    }
    assert all(".. math::" in (add.__doc__ or "") for add in families.values())


@pytest.mark.parametrize("engine", [cpsat, ilp])
def test_every_constraint_is_named_after_its_family(engine: ModuleType) -> None:
    model, _ = engine.build(HARD)
    if engine is cpsat:
        names = [constraint.name for constraint in model.proto.constraints]
    else:  # a dict in PuLP 3, a method in PuLP 4
        names = [c.name for c in (model.constraints() if callable(model.constraints) else model.constraints.values())]
    # PuLP writes underscores for brackets; of families that begin alike the longest is meant.
    found = {max((family for family in engine.FAMILIES if name.startswith(family)), key=len) for name in names}
    assert found == set(engine.FAMILIES)


def test_partitions_are_counted_right() -> None:
    for total in range(1, 13):
        for parts in range(1, 6):
            assert patterns.count(total, parts, 5) == len(list(patterns.partitions(total, parts, 5)))
