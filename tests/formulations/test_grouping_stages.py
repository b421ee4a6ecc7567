"""Stages of exact grouping after prices: branches, integer profiles realised, cases; against brute force."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from itertools import pairwise, product
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from formulations.grouping import (
    branch,
    case_enumeration,
    complement_matching,
    cpsat,
    dual_bound,
    generation,
    ilp,
    interval_flow,
    linear,
    patterns,
    realisation,
    tree_decomposition,
)
from formulations.solver import Limits, run_cpsat
from spatem_opt.grouping import heuristic
from spatem_opt.grouping.problem import GroupingProblem, GroupingSolution
from spatem_opt.grouping.referee import check
from spatem_opt.model.result import Status
from tests.grouping.brute import groupings, optimum, shape

LIMITS = Limits(20.0, seed=1, workers=1, deterministic_limit=20.0)
OPEN_BEFORE = {
    (17, 16, 19, 15, 144, 16): 7_824,
    (89, 32, 192, 15, 144, 16): 77_632,
    (89, 32, 191, 15, 144, 16): 77_648,
    (89, 64, 384, 15, 144, 16): 150_128,
    (89, 32, 30, 95, 144, 16): 32_352,
    (89, 64, 61, 94, 144, 16): 58_416,
}


@st.composite
def tiny(draw: st.DrawFn) -> GroupingProblem:
    """Grids of at most eight OUs with at most four groups, feasible."""
    rows, cols = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    cols = min(cols, 8 // rows)
    groups = draw(st.integers(1, min(4, rows * cols)))
    size = draw(st.integers(-(-rows * cols // groups), rows * cols))
    return GroupingProblem(rows, cols, groups, size, draw(st.integers(0, 5)), draw(st.integers(0, 5)))


Node = tuple[GroupingProblem, tuple[dual_bound.PricingLimit, ...], tuple[int, ...], tuple[np.ndarray, np.ndarray]]


@st.composite
def node(draw: st.DrawFn) -> Node:
    """A tiny problem with limits on numbers of groups, and any prices of limits and of pieces."""
    problem, limits, both = draw(tiny()), [], []
    for _ in range(draw(st.integers(0, 3))):
        axis, sense = draw(st.integers(0, 1)), draw(st.sampled_from((-1, 1)))
        limits.append(dual_bound.PricingLimit(axis, draw(st.integers(1, 4)), sense, draw(st.integers(0, 3))))
    for length in (problem.cols, problem.rows):
        steps = [draw(st.integers(0, 5 * dual_bound.SCALE)) for _ in range(min(length, problem.size))]
        both.append(np.concatenate(([0], np.cumsum(steps))).astype(np.int64))
    paid = tuple(draw(st.integers(0, 5 * dual_bound.SCALE)) for _ in limits)
    return problem, tuple(limits), paid, (both[0], both[1])


def cost(problem: GroupingProblem, shapes: list[tuple[int, int]]) -> int:
    """Cost of groups of these shapes."""
    return sum(problem.row_cost * r + problem.col_cost * c for r, c in shapes)


@settings(max_examples=60)
@given(node())
def test_any_prices_of_limits_prove_a_bound_within_them(case: Node) -> None:
    problem, limits, paid, price = case
    bound = dual_bound.evaluate(problem, price, limits, paid).bound(problem)
    for groups in groupings(problem):
        shapes = [shape(group) for group in groups]
        if all(limit.sense * (sum(map(limit.counts, shapes)) - limit.count) >= 0 for limit in limits):
            assert bound <= cost(problem, shapes)


@settings(max_examples=60)
@given(tiny())
def test_no_group_is_smaller_than_the_least_size(problem: GroupingProblem) -> None:
    least = min(len(group) for groups in groupings(problem) for group in groups)
    assert dual_bound.least_size(problem) <= least


def root(problem: GroupingProblem, target: int, engine: ModuleType = linear) -> generation.BranchNode:
    """Column generation without limits."""
    start = heuristic.solve(problem)
    assert start is not None
    return generation.generate(problem, start, target, engine.ENGINE.linear, LIMITS)


@settings(max_examples=25)
@given(tiny(), st.integers(0, 3))
def test_branching_never_passes_the_optimum(problem: GroupingProblem, more: int) -> None:
    best = optimum(problem)
    assert best is not None
    found = root(problem, best + more + 1)
    bound = branch.raised(found, best + more, linear.ENGINE.linear, LIMITS)
    assert found.prices.bound(problem) <= bound <= best


@pytest.mark.parametrize("rounds", [0, 1, 2, 3])
def test_branching_goes_on_from_generation_cut_short(rounds: int) -> None:
    problem = GroupingProblem(8, 7, 9, 7, 2, 3)
    start = heuristic.solve(problem)
    assert start is not None
    found = generation.generate(problem, start, 115, linear.ENGINE.linear, LIMITS, rounds=rounds)
    assert branch.raised(found, 115, linear.ENGINE.linear, replace(LIMITS, time_limit=1.0)) <= 115


@settings(max_examples=25)
@given(tiny(), st.integers(0, 2))
def test_composed_groupings_keep_to_the_target(problem: GroupingProblem, more: int) -> None:
    best = optimum(problem)
    assert best is not None
    found = root(problem, best + 1)
    for target in (best - 1, best + more):
        answer = realisation.realise(problem, found.prices, target, linear.ENGINE, LIMITS)
        made = answer.solution
        assert made is None or not check(problem, made).violations
        assert made is None or best <= check(problem, made).objective <= target
        assert not (answer.proven and target >= best)


@settings(max_examples=40)
@given(tiny(), st.integers(0, 1), st.sampled_from([1, 10, interval_flow.MOST]))
def test_intervals_are_groupings_that_cost_what_the_flow_says(problem: GroupingProblem, axis: int, most: int) -> None:
    best, found = optimum(problem), root(problem, 2**60)
    assert best is not None
    prof = dual_bound.narrowed(problem, found.prices, best + 3)
    flow = interval_flow.layout(problem, prof, axis, found.prices, most)
    assert len(flow.placed) <= most
    answer = linear.integer_program(flow.program, LIMITS)
    if answer.value is not None:
        verdict = check(problem, flow.read(answer.value))
        assert not verdict.violations
        assert best <= verdict.objective <= round(float(np.array(flow.program.cost) @ answer.value))


def plan_of(labels: np.ndarray, rng: random.Random) -> complement_matching.PatternPlan:
    """The pieces of a grouping."""
    groups = []
    for g in range(int(labels.max()) + 1):
        mask = labels == g
        groups.append((int(mask.any(axis=0).sum()), patterns.per_line(mask, 0)))
    rng.shuffle(groups)
    return complement_matching.PatternPlan(labels.shape[1], tuple(groups), tuple(patterns.line_patterns(labels, 0)))


@pytest.mark.parametrize("seed", range(20))
def test_realised_plans_touch_what_they_plan(seed: int) -> None:
    problem = GroupingProblem(6, 8, 12, 5, 3, 1)
    start = heuristic.solve(problem, seed=seed)
    assert start is not None
    rng = random.Random(seed)
    found = realisation.realise_plan(plan_of(start.labels(problem), rng), linear.ENGINE, rng, LIMITS)
    assert found is not None
    assert not check(problem, found).violations
    assert check(problem, found).objective <= check(problem, start).objective


def test_a_plan_without_cycles_is_realised() -> None:
    # Rows of 5 + 3 and 4 + 4, linked in a chain by groups with two rows each.
    groups = ((5, (5,)), (4, (4, 3)), (5, (5, 4)), (3, (3,)))
    plan = complement_matching.PatternPlan(8, groups, ((5, 3), (4, 4), (5, 3)))
    found = realisation.realise_plan(plan, linear.ENGINE, random.Random(1), LIMITS)
    assert found is not None
    assert check(GroupingProblem(3, 8, 4, 9, 1, 1), found).objective <= 6 + 17


@settings(max_examples=60)
@given(st.data())
def test_pieces_are_dealt_out_to_rows_of_their_sizes_and_to_groups_that_have_them(data: st.DataObject) -> None:
    length = data.draw(st.integers(1, 6))
    every = [pattern for parts in (1, 2, 3) for pattern in patterns.partitions(length, parts, length)]
    lines = tuple(data.draw(st.lists(st.sampled_from(every), min_size=1, max_size=8)))
    sizes = data.draw(st.permutations([size for line in lines for size in line]))
    cuts = [0, *sorted(data.draw(st.sets(st.integers(1, len(sizes))))), len(sizes)]
    chosen = [tuple(sizes[a:b]) for a, b in pairwise(cuts) if a < b]
    plan = complement_matching.PatternPlan(length, tuple((max(pattern), pattern) for pattern in chosen), lines)
    pieces = complement_matching.match_complements(plan, random.Random(0))
    if pieces is None:
        return
    assert len(set(zip(pieces.group, pieces.row, strict=True))) == len(pieces.row) == len(sizes)
    for number, line in enumerate(lines):
        assert sorted(s for s, r in zip(pieces.size, pieces.row, strict=True) if r == number) == sorted(line)
    for number, pattern in enumerate(chosen):
        own = sorted((s for s, g in zip(pieces.size, pieces.group, strict=True) if g == number), reverse=True)
        assert all(s <= k for s, k in zip(own, sorted(pattern, reverse=True), strict=True))


def test_rows_of_two_are_closed_in_short_rings() -> None:
    # 4 faces 4, twice the same one; 5 faces the 3 of two groups that can have the same columns.
    plan = complement_matching.PatternPlan(8, ((4, (4, 4, 3)),) * 4 + ((5, (5, 5)),) * 2, ((4, 4),) * 4 + ((5, 3),) * 4)
    pieces = complement_matching.match_complements(plan, random.Random(0))
    assert pieces is not None
    assert (
        len({frozenset(g for g, r in zip(pieces.group, pieces.row, strict=True) if r == row) for row in range(8)}) == 6
    )


@st.composite
def dealt(draw: st.DrawFn) -> tuple[complement_matching.PatternPlan, complement_matching.RowPieces]:
    """Pieces of a small grid; these may be larger, and groups touch a few columns more or less than they do there."""
    rows, length = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    lines = st.lists(st.integers(0, 3), min_size=length, max_size=length)
    labels = np.unique(draw(st.lists(lines, min_size=rows, max_size=rows)), return_inverse=True)[1].reshape(
        rows, length
    )
    made = [(int((labels[r] == g).sum()), g, r) for r in range(rows) for g in sorted(set(labels[r].tolist()))]
    groups = []
    for g in range(int(labels.max()) + 1):
        pattern = patterns.per_line(labels == g, 0)
        most = int((labels == g).any(axis=0).sum()) + draw(st.integers(-2, 1))
        groups.append((max(pattern[0], most), pattern))
    plan = complement_matching.PatternPlan(length, tuple(groups), tuple(patterns.line_patterns(labels, 0)))
    most = [s + max(0, draw(st.integers(-3, 1))) for s, _, _ in made]
    return plan, complement_matching.RowPieces(
        [s for s, _, _ in made], [g for _, g, _ in made], [r for _, _, r in made], most
    )


@settings(max_examples=60)
@given(dealt())
def test_columns_are_found_if_and_only_if_there_are_any(
    made: tuple[complement_matching.PatternPlan, complement_matching.RowPieces],
) -> None:
    plan, pieces = made
    room = [Counter[int]() for _ in plan.lines]
    for most, group, row in zip(pieces.most, pieces.group, pieces.row, strict=True):
        room[row][group] = most
    ways = [[line for line in product(own, repeat=plan.length) if Counter(line) <= own] for own in room]
    ways[0] = [line for line in ways[0] if list(line) == sorted(line)]  # columns are alike
    there = any(fits(plan, np.array(labels)) for labels in product(*ways))
    program = tree_decomposition.columns(plan, pieces)
    for engine in (linear, ilp):
        answer = None if program is None else engine.ENGINE.integer(program.program, LIMITS)
        assert (answer is not None and answer.value is not None) == there
        if program is not None and answer is not None and answer.value is not None:
            labels = program.read(answer.value).labels(GroupingProblem(len(plan.lines), plan.length, 4, 16, 0, 0))
            assert all(Counter(line.tolist()) <= own for line, own in zip(labels, room, strict=True))
            assert fits(plan, labels)


def fits(plan: complement_matching.PatternPlan, labels: np.ndarray) -> bool:
    """Whether groups touch no more columns than planned."""
    return all((labels == g).any(axis=0).sum() <= most for g, (most, _) in enumerate(plan.groups))


@settings(max_examples=15)
@given(tiny())
def test_cases_refute_what_is_not_there_and_find_what_is(problem: GroupingProblem) -> None:
    best = optimum(problem)
    assert best is not None
    found = root(problem, best + 5)
    assert case_enumeration.refute_cases(problem, found.prices, best, LIMITS) == case_enumeration.Refuted(None, True)
    higher = case_enumeration.refute_cases(problem, found.prices, best + 5, LIMITS)
    assert not higher.proven
    assert higher.solution is not None
    assert best <= check(problem, higher.solution).objective < best + 5


def test_flips_of_the_families_of_a_case() -> None:
    # Two groups of three OUs on a 2 x 3 grid: a row each. Without the case any shapes do.
    problem = GroupingProblem(2, 3, 2, 3, 1, 1)
    prof = patterns.profile(problem)
    rows = tuple(2 * (s == (1, 3)) for s in prof.shapes)
    cols = tuple(2 * (s == (2, 2)) for s in prof.shapes)
    uneven = tuple(int(s in ((1, 3), (2, 2))) for s in prof.shapes)
    status = [run_cpsat(case_enumeration.build(problem, prof, case)[0], LIMITS).status for case in (rows, cols, uneven)]
    assert status == [Status.OPTIMAL, Status.OPTIMAL, Status.INFEASIBLE]
    model, y = case_enumeration.build(problem, prof, rows)
    names = {constraint.name.split("[")[0] for constraint in model.proto.constraints}
    assert set(case_enumeration.FAMILIES) <= names
    assert y.groups == 2


@pytest.mark.parametrize("engine", [cpsat, ilp])
@pytest.mark.parametrize("sizes", list(OPEN_BEFORE)[:1])
def test_little_slack_is_proven(engine: ModuleType, sizes: tuple[int, ...]) -> None:
    prove(engine, sizes)


@pytest.mark.slow
@pytest.mark.parametrize("engine", [cpsat, ilp])
@pytest.mark.parametrize("sizes", list(OPEN_BEFORE)[1:])
def test_large_grids_with_little_slack_are_proven(engine: ModuleType, sizes: tuple[int, ...]) -> None:
    prove(engine, sizes)


def prove(engine: ModuleType, sizes: tuple[int, ...]) -> None:
    """Assert that an engine proves the optimum."""
    result = engine.solve(GroupingProblem(*sizes), time_limit=60, workers=1)
    assert (result.status, result.objective) == (Status.OPTIMAL, OPEN_BEFORE[sizes])
    assert isinstance(result.solution, GroupingSolution)
    assert not check(GroupingProblem(*sizes), result.solution).violations


@pytest.mark.slow
@pytest.mark.parametrize("groups", [9, 15])
def test_cases_prove_small_grids(groups: int) -> None:
    result = cpsat.solve(GroupingProblem(8, 7, groups, 7, 2, 3), time_limit=60, workers=2)
    assert (result.status, result.objective) == (Status.OPTIMAL, 115)
