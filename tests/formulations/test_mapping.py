"""Exact mapping: both engines against enumeration, families, documentation."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given, settings

from formulations.mapping import cpsat, ilp
from formulations.solver import Limits, SolverRun, run_cpsat, run_pulp
from spatem_opt.mapping import bounds, heuristic
from spatem_opt.mapping.problem import MappingSolution, build
from spatem_opt.mapping.referee import check
from spatem_opt.model.architecture import Architecture
from spatem_opt.model.result import Status
from spatem_opt.network import load
from tests.mapping.tiny import Case, cases, optimum, problem

README = Path(cpsat.__file__).with_name("README.md")
LIMITS = Limits(10.0, seed=1, workers=1, deterministic_limit=10.0)
TWO = Case(((10, 9, 10), (16, 1, 4), (10, 9, 10), (16, 2, 4)), (2, 2), capacity=14, slack=0)


@settings(max_examples=25)
@given(cases())
def test_enumeration_cpsat_and_ilp_agree(case: Case) -> None:
    p = problem(case)
    best = optimum(p)
    for found in (
        cpsat.solve(p, time_limit=10, workers=1, deterministic_limit=10),
        ilp.solve(p, time_limit=10, workers=1),
    ):
        if best is None:
            assert found.status is Status.INFEASIBLE
        else:
            assert found.status is Status.OPTIMAL
            assert (found.levels, found.objective) == (((best[0], best[0]),), best[1])


@pytest.mark.parametrize("engine", [cpsat, ilp])
def test_infeasible_names_capacity_with_numbers(engine: ModuleType) -> None:
    result = engine.solve(problem(replace(TWO, capacity=7)), time_limit=5)
    assert result.status is Status.INFEASIBLE
    assert (result.shortage.family, result.shortage.demand, result.shortage.capacity) == ("capacity", 8, 7)


def run(engine: ModuleType, case: Case, without: tuple[str, ...] = (), most: int | None = None) -> SolverRun:
    """One level of either engine."""
    model, _ = engine.build(problem(case), without, level=1, most_excess=most)
    return run_cpsat(model, LIMITS) if engine is cpsat else run_pulp(model, LIMITS)


@pytest.mark.parametrize("engine", [cpsat, ilp])
def test_flip_capacity(engine: ModuleType) -> None:
    case = replace(TWO, capacity=7)
    assert run(engine, case).status is Status.INFEASIBLE
    assert run(engine, case, ("capacity",)).status is Status.OPTIMAL


@pytest.mark.parametrize("engine", [cpsat, ilp])
def test_flip_excess(engine: ModuleType) -> None:
    assert run(engine, TWO, most=5).status is Status.INFEASIBLE
    assert run(engine, TWO, ("excess",), most=5).status is Status.OPTIMAL


@pytest.mark.parametrize("engine", [cpsat, ilp])
def test_flip_assignment(engine: ModuleType) -> None:
    case = replace(TWO, capacity=7)
    assert run(engine, case, ("assignment",)).objective == 0


@pytest.mark.parametrize("engine", [cpsat, ilp])
def test_flip_slack(engine: ModuleType) -> None:
    # Candidate 1 costs too many operations and saves no slot: only `slack` keeps the second level from it.
    case = Case(((10, 9, 4), (16, 1, 4)), (2,), capacity=4, slack=0)
    assert run(engine, case).objective == 9
    assert run(engine, case, ("slack",)).objective == 1


def test_the_hint_is_complete_and_feasible() -> None:
    p = problem(TWO)
    start = heuristic.solve(p)
    assert start is not None
    model, y = cpsat.build(p)
    cpsat.add_hint(model, y, start)
    log = run_cpsat(model, LIMITS, log=True).log
    assert "The solution hint is complete and is feasible" in log


@pytest.mark.parametrize("engine", [cpsat, ilp])
def test_shipped_network_on_a_chip_that_is_just_large_enough(engine: ModuleType) -> None:
    """Slots short by a tenth of what the best candidates take: a true knapsack, proven by both engines alike."""
    p = build(load("resnet18"), Architecture(), schemes=("im2col", "kernel-split", "parallel-window"))
    roomy = heuristic.solve(p)
    assert roomy is not None
    used = sum(int(p.slots[i][c]) for i, c in enumerate(roomy.choice))
    tight = replace(p, capacity=used - (used - bounds.slots(p)) // 10)
    result = engine.solve(tight, time_limit=30)
    assert result.status is Status.OPTIMAL
    start = heuristic.solve(tight)
    assert start is not None
    verdict = check(tight, start)
    assert bounds.excess(tight) <= result.levels[0][0] <= verdict.excess


@pytest.mark.parametrize("engine", [cpsat, ilp])
def test_readme_and_code_name_the_same_families(engine: ModuleType) -> None:
    rows = re.findall(r"^\| (M\d+) \| `(\w+)` \|.*\|$", README.read_text(), re.MULTILINE)
    in_code = {name: re.search(r"\((M\d+)\)", add.__doc__ or "") for name, add in engine.FAMILIES.items()}
    assert {name: match and match[1] for name, match in in_code.items()} == {name: label for label, name in rows}
    assert all(".. math::" in (add.__doc__ or "") for add in engine.FAMILIES.values())


def test_solution_left_to_chance_never_beats_the_optimum() -> None:
    p = problem(TWO)
    best = cpsat.solve(p, time_limit=5, workers=1)
    for choice in ((0, 1), (1, 0), (1, 1)):
        verdict = check(p, MappingSolution(choice))
        assert (verdict.excess, verdict.communication) >= (best.levels[0][0], best.objective)
