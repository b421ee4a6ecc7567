"""Grouping without solvers: bounds, heuristic, referee."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spatem_opt.errors import InstanceError
from spatem_opt.grouping import bounds, guillotine, heuristic, strips
from spatem_opt.grouping.problem import GroupingProblem, GroupingSolution, from_labels
from spatem_opt.grouping.referee import FAMILIES, check, objective
from spatem_opt.grouping.serpentine import best_serpentine
from tests.grouping.brute import optimum

FOUR = GroupingProblem(rows=4, cols=4, groups=4, size=4, row_cost=1, col_cost=1)


@st.composite
def problems(draw: st.DrawFn, largest: int, most: int = 10**6) -> GroupingProblem:
    rows = draw(st.integers(1, largest))
    cols = draw(st.integers(1, min(largest, max(1, most // rows))))
    size = draw(st.integers(1, rows * cols))
    groups = draw(st.integers(-(-rows * cols // size), rows * cols))
    return GroupingProblem(rows, cols, groups, size, draw(st.integers(0, 9)), draw(st.integers(0, 9)))


def by_hand(problem: GroupingProblem, solution: GroupingSolution) -> int:
    """Objective from the labels of all OUs."""
    labels = solution.labels(problem)
    total = 0
    for g in np.unique(labels):
        total += problem.row_cost * int((labels == g).any(axis=1).sum())
        total += problem.col_cost * int((labels == g).any(axis=0).sum())
    return total


@settings(max_examples=60)
@given(problems(4, most=8))
def test_bound_optimum_heuristic_in_order(problem: GroupingProblem) -> None:
    solution, best = heuristic.solve(problem), optimum(problem)
    assert solution is not None
    assert best is not None
    assert not check(problem, solution).violations
    assert bounds.lower_bound(problem) <= best <= objective(problem, solution)


@settings(max_examples=40)
@given(problems(24))
def test_every_part_of_the_heuristic_is_feasible_and_costs_what_it_says(problem: GroupingProblem) -> None:
    plan = strips.best_plan(problem)
    parts = [best_serpentine(problem), guillotine.solve(problem), strips.lay_out(problem, plan) if plan else None]
    for part in (p for p in parts if p is not None):
        verdict = check(problem, part)
        assert not verdict.violations
        assert verdict.objective == by_hand(problem, part) >= bounds.lower_bound(problem)
    if plan is not None and parts[2] is not None:
        assert objective(problem, parts[2]) == plan.cost
        assert len(np.unique(parts[2].group)) <= plan.groups <= problem.groups


def test_guillotine_by_hand() -> None:
    # 2 x 25 OUs in two groups of 25: both have both rows, 12 columns of their own and share the 13th.
    block = GroupingProblem(rows=2, cols=25, groups=2, size=25, row_cost=144, col_cost=16)
    assert cost_of_guillotine(block) == 2 * 2 * 144 + 2 * 13 * 16
    # Seven such blocks side by side: no group is worse off.
    assert cost_of_guillotine(GroupingProblem(2, 175, 14, 25, 144, 16)) == 7 * (2 * 2 * 144 + 2 * 13 * 16)


def cost_of_guillotine(problem: GroupingProblem) -> int:
    solution = guillotine.solve(problem)
    assert solution is not None
    assert not check(problem, solution).violations
    return objective(problem, solution)


@settings(max_examples=25)
@given(problems(9))
def test_guillotine_does_not_depend_on_orientation_or_worsen_with_room(problem: GroupingProblem) -> None:
    solution, turned = guillotine.solve(problem), guillotine.solve(problem.transposed())
    assert (solution is None) == (turned is None)
    ample = replace(problem, groups=problem.ous)  # no surcharge: the dynamic program is exact
    assert cost_of_guillotine(ample) == cost_of_guillotine(ample.transposed())
    if solution is not None:
        assert cost_of_guillotine(ample) <= objective(problem, solution)


@pytest.mark.parametrize("name", ["envelope", "split", "lines", "touches"])
def test_transposing_changes_no_bound(name: str) -> None:
    problem = GroupingProblem(rows=7, cols=12, groups=9, size=11, row_cost=9, col_cost=2)
    bound = getattr(bounds, name)
    assert bound(problem) == bound(problem.transposed()) > 0


def test_hand_derived_bounds() -> None:
    # 4 x 4 in four squares: f(4) = 2 + 2, four times; each row in two halves of 2: 4*2 + 4*(4+4)/4 = 16.
    assert bounds.envelope(FOUR) == bounds.split(FOUR) == bounds.lines(FOUR) == bounds.touches(FOUR) == 16
    # 1 x 10 by threes: 4 groups, 4 rows and 10 columns touched.
    assert bounds.touches(GroupingProblem(1, 10, 4, 3, 5, 1)) == 4 * 5 + 10


def test_too_few_slots_have_no_grouping() -> None:
    assert heuristic.solve(replace(FOUR, size=3)) is None


def test_more_crossbars_or_slots_never_raise_the_bound() -> None:
    problem = GroupingProblem(rows=8, cols=9, groups=10, size=8, row_cost=3, col_cost=2)
    assert bounds.lower_bound(replace(problem, groups=12)) <= bounds.lower_bound(problem)
    assert bounds.lower_bound(replace(problem, size=9)) <= bounds.lower_bound(problem)


@pytest.mark.parametrize(
    ("field", "value"), [("rows", 0), ("size", 0), ("row_cost", -1), ("groups", True), ("cols", 2.0)]
)
def test_wrong_problems_name_the_field(field: str, value: object) -> None:
    with pytest.raises(InstanceError, match=field):
        replace(FOUR, **{field: value})  # type: ignore[arg-type]


def corrupted(solution: GroupingSolution, family: str) -> GroupingSolution:
    """A good solution made wrong in one way."""
    change: dict[str, np.ndarray] = {
        "shape": solution.col_stop + 1,
        "groups": solution.group + 1,
        "size": np.zeros_like(solution.group),
    }
    if family == "cover":
        return GroupingSolution(*(column[1:] for column in solution.table().T))
    name = {"shape": "col_stop", "groups": "group", "size": "group"}[family]
    return replace(solution, **{name: change[family]})


@pytest.mark.parametrize("family", FAMILIES)
def test_referee_names_what_was_corrupted(family: str) -> None:
    solution = heuristic.solve(FOUR)
    assert solution is not None
    assert {name for name, _ in check(FOUR, corrupted(solution, family)).violations} == {family}


def test_overlap_is_a_cover_violation() -> None:
    solution = heuristic.solve(replace(FOUR, size=16))
    assert solution is not None
    twice = GroupingSolution(*(np.concatenate((column, column[:1])) for column in solution.table().T))
    assert "cover" in {name for name, _ in check(replace(FOUR, size=32), twice).violations}


@given(st.integers(0, 2**32), st.integers(1, 6), st.integers(1, 6))
@settings(max_examples=40)
def test_labels_and_rectangles_say_the_same(seed: int, rows: int, cols: int) -> None:
    labels = np.random.default_rng(seed).integers(0, 4, (rows, cols))
    problem = GroupingProblem(rows, cols, 4, 36, 3, 2)
    solution = from_labels(labels)
    assert (solution.labels(problem) == labels).all()
    assert objective(problem, solution) == by_hand(problem, solution)


def test_same_seed_same_grouping() -> None:
    problem = GroupingProblem(rows=8, cols=7, groups=7, size=11, row_cost=2, col_cost=3)
    first, second = heuristic.solve(problem, seed=3), heuristic.solve(problem, seed=3)
    assert first is not None
    assert second is not None
    assert (first.table() == second.table()).all()


@pytest.mark.parametrize(("groups", "size"), [(5000, 224), (100_000, 11)])
def test_a_million_ous_in_a_second(groups: int, size: int) -> None:
    problem = GroupingProblem(rows=1024, cols=1024, groups=groups, size=size, row_cost=144, col_cost=16)
    begin = time.process_time()
    solution = heuristic.solve(problem)
    assert time.process_time() - begin < 2  # a fraction of a second; leave room for busy machines
    assert solution is not None
    verdict = check(problem, solution)
    assert not verdict.violations
    assert verdict.objective <= 1.01 * bounds.lower_bound(problem)
