"""What a file claims of bounds must be proven again; sections on problems of their own must agree with themselves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from spatem_opt import evaluate, load_architecture, load_network, solve
from spatem_opt.errors import ModelError
from spatem_opt.evaluator import Evaluator
from spatem_opt.model.result import Status
from spatem_opt.search.result import Result
from tests.bounds.test_cases import CHIP, pooled_input
from tests.evaluator.hand import pipeline

PROVEN = 20
"""Latency bound of the pipeline by hand: see :func:`test_the_bound_of_the_pipeline_by_hand`. Its latency is 43."""


def claims(**sections: dict[str, Any]) -> list[str]:
    """Messages of the family ``claims`` for the pipeline with these claims."""
    found = evaluate(replace(pipeline(), claims=sections))
    assert set(found.families) <= {"claims"}
    return [violation.message for violation in found.violations]


def test_the_bound_of_the_pipeline_by_hand() -> None:
    """Cycles until the first output, were every window alone on the chip.

    An input pixel of 4 channels x 2 bits goes to 2 tiles: 1 hop, and 1 cycle for 2 channels at 4 bits. conv: 2 phases
    of one OU, 1 cycle of load (8 bits through two ports of 4), tail 5. pool: 8 operations, 4 a cycle. fc: 2 phases (2
    OUs, on two of 4 crossbars), 1 cycle of load (a new pixel of 4 channels), tail 5.
    """
    proven = evaluate(pipeline()).bounds
    assert proven is not None
    assert proven["latency"] == (1 + 1) + (2 + 1 + 5) + 2 + (2 + 1 + 5) == PROVEN


@pytest.mark.parametrize("section", ["total", "search", "whole"])
def test_a_bound_is_believed_up_to_the_proof(section: str) -> None:
    assert not claims(**{section: {"bound": PROVEN}})
    assert claims(**{section: {"bound": PROVEN + 1}}) == [
        f"{section}: bound 21 of the latency is not confirmed, proven are 20 cycles"
    ]
    assert claims(**{section: {"bound": 44}}) == [f"{section}: bound 44 exceeds the latency of 43 cycles"]


@pytest.mark.parametrize("section", ["total", "search", "whole"])
def test_optimal_is_believed_only_with_the_proof(section: str) -> None:
    assert not claims(**{section: {"status": "feasible"}})
    assert claims(**{section: {"status": "optimal"}}) == [
        f"{section}: optimal is not confirmed, the latency is 43 cycles, proven are 20"
    ]


def test_bounds_of_a_trace_are_checked() -> None:
    assert not claims(search={"trace": [[0.1, 50, 20, "a"], [0.2, 43, 20, "b"]]})
    assert claims(search={"trace": [[0.1, 50, 21, "a"], [0.2, 43, 20, "b"]]}) == [
        "search: trace: bound 21 of the latency is not confirmed, proven are 20 cycles"
    ]
    assert len(claims(search={"trace": [[0.1, 50, "20", "a"]]})) == 1


@pytest.mark.parametrize("section", ["mapping", "grouping", "replication", "scheduling", "joint"])
def test_problems_of_their_own_must_agree_with_themselves(section: str) -> None:
    assert not claims(**{section: {"status": "optimal", "objective": 900, "bound": 900, "unit": "bits"}})
    assert not claims(**{section: {"status": "feasible", "objective": 900, "bound": 800}})
    assert claims(**{section: {"status": "feasible", "objective": 900, "bound": 901}}) == [
        f"{section}: bound 901 exceeds its objective 900"
    ]
    assert claims(**{section: {"status": "optimal", "objective": 900, "bound": 800}}) == [
        f"{section}: optimal, but its objective is 900 and its bound 800"
    ]
    assert len(claims(**{section: {"status": "optimal"}})) == 1


@pytest.mark.parametrize("objective", ["latency", "throughput", "communication", "energy", "balanced"])
def test_what_solve_claims_is_confirmed(objective: str) -> None:
    result = solve(
        load_network("lenet5"), load_architecture("ou-isaac-4x4"), objective=objective, method="kernel-split"
    )
    assert result.solution is not None
    found = evaluate(result.solution)
    assert found.valid, found.violations
    assert found.bounds is not None
    assert found.bounds["period" if objective == "throughput" else objective] == result.bound


def test_a_true_optimum_is_confirmed() -> None:
    result = solve(pooled_input(), CHIP, objective="communication", method="heuristic")
    assert result.status is Status.OPTIMAL
    assert result.solution is not None
    assert result.solution.claims["search"]["status"] == "optimal"
    assert evaluate(result.solution).valid


def test_bounds_are_proven_for_whoever_asks_and_not_in_every_step_of_a_search() -> None:
    quiet = replace(pipeline(), claims={"total": {"latency": 43}})
    assert Evaluator()(quiet).bounds is None
    assert evaluate(quiet).bounds == evaluate(pipeline()).bounds is not None


@pytest.mark.parametrize(("status", "value", "bound"), [(Status.FEASIBLE, 9, 10), (Status.OPTIMAL, 11, 10)])
def test_a_result_against_its_bound_is_our_bug(status: Status, value: int, bound: int) -> None:
    with pytest.raises(ModelError, match="latency"):
        Result(status, "latency", value=value, bound=bound)


def test_solve_raises_where_a_value_is_below_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    from spatem_opt.cost import bounds

    monkeypatch.setitem(bounds.MAKERS, "communication", lambda network, chip: bounds.Bound({"traffic": 24_577}))
    with pytest.raises(ModelError, match="24576 is below the proven bound of 24577"):
        solve(pooled_input(), CHIP, objective="communication", method="heuristic")
