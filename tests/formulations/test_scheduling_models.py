"""Chunk problem: brute force = CP-SAT = ILP, bounds, referee, family flips, hints."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings

from formulations.scheduling import cpsat, ilp
from formulations.scheduling.steps import twins
from formulations.solver import Limits, run_cpsat, run_pulp
from spatem_opt.errors import InstanceError
from spatem_opt.model.result import Status
from spatem_opt.scheduling import chunk_bounds, chunk_heuristic
from spatem_opt.scheduling.chunks import FAMILIES, ChunkProblem, ChunkSchedule, check, makespan
from tests.formulations.scheduling_cases import brute, problems

LIMITS = Limits(60, 0, 1, 20)


def ints(*values: int) -> np.ndarray:
    """Integer column."""
    return np.array(values, dtype=np.int64)


def example(**fields: object) -> ChunkProblem:
    """Task 1 begins 2 after task 0, task 2 shares a crossbar with task 0, tasks 1 and 2 share the routers.

    By hand: 0 runs 0-3, 2 runs 3-6; 1 begins at 2 or later, its traffic 2 beside 2's traffic 2 exceeds 3, so 1 runs 2-4
    and 2 runs 4-7, or 2 runs 3-6 and 1 runs 6-8, or 2 runs 0-3 (its release is 1, so 1-4). Tails are 1 longer.
    0 at 0, 1 at 2, 2 at 4: 4 + 4 = 8. With 2 first: 2 at 1, 0 at 4, 1 at 6: 6 + 3 = 9. The optimum is 8.
    """
    problem = ChunkProblem(
        ints(3, 2, 3), ints(0, 0, 1), ints(4, 3, 4), ints(0), ints(1), ints(2), (ints(0, 2),), 5, ints(1, 2, 2), 3
    )
    return replace(problem, **fields)  # type: ignore[arg-type]


def run(problem: ChunkProblem, without: tuple[str, ...] = (), upper: int = 30) -> int | None:
    """Optimum of the CP-SAT model without some families."""
    model, _ = cpsat.build(problem, without, upper=upper)
    return run_cpsat(model, LIMITS).objective


def test_hand_example() -> None:
    assert (run(example()), brute(example())) == (8, 8)


@pytest.mark.parametrize(
    ("family", "value"),
    [
        ("precedence", 7),  # 1 runs 0-2, 0 runs 0-3, 2 runs 3-6 and its tail ends at 7
        ("exclusive", 7),  # 0 runs 0-3, 2 runs 1-4, 1 runs 4-6
        ("horizon", 0),
        ("router", 7),  # 0 runs 0-3, 1 runs 2-4, 2 runs 3-6
    ],
)
def test_a_family_left_out_relaxes(family: str, value: int) -> None:
    assert run(example(), (family, "order")) == value


@pytest.mark.parametrize("family", ["precedence", "exclusive", "horizon", "router"])
def test_family_flip(family: str) -> None:
    """With the horizon one cycle below the optimum: infeasible with all families, feasible without one of them."""
    model, y = cpsat.build(example(), upper=8)
    model.add(y.makespan <= 7)
    assert run_cpsat(model, LIMITS).status is Status.INFEASIBLE
    model, y = cpsat.build(example(), (family, "order"), upper=8)
    model.add(y.makespan <= 7)
    assert run_cpsat(model, LIMITS).status is Status.OPTIMAL


@pytest.mark.parametrize(
    "family", ["precedence", "exclusive", "horizon", pytest.param("router", marks=pytest.mark.slow)]
)
def test_family_flip_ilp(family: str) -> None:
    model, y = ilp.build(example(), upper=8)
    model.addConstraint(y.makespan <= 7)
    assert not run_pulp(model, LIMITS).solved
    model, y = ilp.build(example(), (family, "order"), upper=8)
    model.addConstraint(y.makespan <= 7)
    assert run_pulp(model, LIMITS).status is Status.OPTIMAL


def test_without_once_nothing_needs_to_run() -> None:
    model, _ = ilp.build(example(release=ints(0, 0, 0)), ("once", "horizon"), upper=8)
    assert run_pulp(model, LIMITS).objective == 0


@settings(max_examples=60)
@given(problems())
def test_bound_optimum_heuristic_brute_force(problem: ChunkProblem) -> None:
    optimum, found = brute(problem), chunk_heuristic.solve(problem)
    verdict = check(problem, found)
    assert verdict.violations == ()
    assert chunk_bounds.lower_bound(problem) <= chunk_bounds.lower_bound(chunk_bounds.ordered(problem)) <= optimum
    assert optimum <= verdict.objective


@settings(max_examples=25)
@given(problems())
def test_cpsat_is_brute_force(problem: ChunkProblem) -> None:
    found = cpsat.solve(problem, time_limit=60, workers=1, deterministic_limit=20, without=("bound",))
    assert (found.status, found.objective) == (Status.OPTIMAL, brute(problem))


@settings(max_examples=12)
@given(problems())
def test_ilp_is_brute_force(problem: ChunkProblem) -> None:
    found = ilp.solve(problem, time_limit=60, workers=1, without=("bound",))
    assert (found.status, found.objective) == (Status.OPTIMAL, brute(problem))


@settings(max_examples=10)
@given(problems())
def test_redundant_families_change_nothing(problem: ChunkProblem) -> None:
    lower = chunk_bounds.lower_bound(problem)
    upper = makespan(problem, chunk_heuristic.solve(problem).start)
    model, _ = cpsat.build(problem, lower=lower, upper=upper)
    bare, _ = cpsat.build(problem, cpsat.REDUNDANT | cpsat.SYMMETRY, upper=upper)
    assert run_cpsat(model, LIMITS).objective == run_cpsat(bare, LIMITS).objective


def test_symmetry_orders_twins() -> None:
    """Two equal tasks on one crossbar: with the family, the first cannot come second."""
    one = ints(2, 2)
    none = ints()
    problem = ChunkProblem(one, 0 * one, one, none, none, none, (ints(0, 1),))
    assert twins(problem) == [[0, 1]]
    for without, status in (((), Status.INFEASIBLE), (("symmetry",), Status.OPTIMAL)):
        model, y = cpsat.build(problem, without, upper=4)
        model.add(y.start[0] == 2)
        assert run_cpsat(model, LIMITS).status is status


@settings(max_examples=8)
@given(problems())
def test_hint_is_complete(problem: ChunkProblem) -> None:
    solution = chunk_heuristic.solve(problem)
    model, y = cpsat.build(problem, upper=makespan(problem, solution.start))
    cpsat.add_hint(model, y, solution)
    log = run_cpsat(model, LIMITS, log=True).log
    assert "The solution hint is complete and is feasible" in log or "OPTIMAL" in log
    assert len(model.proto.solution_hint.vars) == len(model.proto.variables)


def test_names_and_families() -> None:
    model, _ = cpsat.build(example(), upper=9)
    names = {
        c.name.partition("[")[0] for c in model.proto.constraints if c.name and "[" in c.name and not c.has_interval()
    }
    assert names == set(cpsat.FAMILIES) - {"order", "symmetry"}
    assert set(FAMILIES) - {"shape"} == set(cpsat.FAMILIES) - cpsat.REDUNDANT - cpsat.SYMMETRY
    assert set(ilp.FAMILIES) - {"once"} == set(cpsat.FAMILIES)


@pytest.mark.parametrize(
    ("start", "family"),
    [((0, 2, 3), "router"), ((0, 1, 4), "precedence"), ((0, 2, 2), "exclusive"), ((-1, 2, 4), "horizon")],
)
def test_referee_names_the_family(start: tuple[int, ...], family: str) -> None:
    good = ChunkSchedule(ints(0, 2, 4))
    assert check(example(), good, claim=8).violations == ()
    assert family in {name for name, _ in check(example(), ChunkSchedule(ints(*start))).violations}


def test_referee_doubts_claims_and_shapes() -> None:
    assert [name for name, _ in check(example(), ChunkSchedule(ints(0, 2, 4)), claim=7).violations] == ["horizon"]
    assert [name for name, _ in check(example(), ChunkSchedule(ints(0, 2))).violations] == ["shape"]
    assert [name for name, _ in check(example(), ChunkSchedule(np.array([0.0, 2, 4]))).violations] == ["shape"]


@pytest.mark.parametrize(
    "fields",
    [{"duration": ints(0, 2, 3)}, {"release": ints(-1, 0, 0)}, {"tail": ints(1, 3, 4)}, {"before": ints(2)},
     {"resources": (ints(0, 3),)}, {"load": ints(1, 2, 9)}, {"lag": ints()}, {"tail": ints(9)}],
)  # fmt: skip
def test_wrong_data_are_named(fields: dict[str, object]) -> None:
    with pytest.raises(InstanceError, match=next(iter(fields))):
        example(**fields)


def test_ilp_says_where_it_ends() -> None:
    with pytest.raises(InstanceError, match="start variables"):
        ilp.build(example(), upper=10**6)


def test_result_has_bound_and_versions() -> None:
    found = cpsat.solve(example(), time_limit=30, workers=1, deterministic_limit=20)
    assert (found.objective, found.bound, found.status, list(found.versions)) == (8, 8, Status.OPTIMAL, ["ortools"])


@pytest.mark.parametrize(("module", "letter"), [(cpsat, "S"), (ilp, "T")])
def test_labels_of_equations_and_code_agree(module: ModuleType, letter: str) -> None:
    text = Path(str(cpsat.__file__)).with_name("README.md").read_text()
    rows = re.findall(rf"^\| ({letter}\d+) \| `(\w+)` \|", text, re.MULTILINE)
    code = [(re.findall(rf"\(({letter}\d+)\)", str(add.__doc__))[0], name) for name, add in module.FAMILIES.items()]
    assert rows == code
