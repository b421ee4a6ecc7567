"""The front end: never worse than a baseline, repeatable, indifferent to names, and what it claims is true."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from spatem_opt import InstanceError, Result, Status, evaluate, load_architecture, load_network, solve
from spatem_opt.baselines import BASELINES
from spatem_opt.network.layers import Network
from spatem_opt.pipeline import OBJECTIVES

QUICK = [("latency", "lenet5", "ou-isaac-4x4"), ("balanced", "lenet5", "ou-isaac-4x4")]
REST = [(o, n, "ou-isaac-4x4") for o in OBJECTIVES for n in ("lenet5", "cifar10")]
CASES = [*QUICK, *(pytest.param(*case, marks=pytest.mark.slow) for case in REST if case not in QUICK)]


@cache
def solved(name: str, preset: str, objective: str = "latency", method: str = "auto") -> Result:
    """Result of solving a shipped network."""
    return solve(load_network(name), load_architecture(preset), objective=objective, method=method)


def renamed(network: Network) -> Network:
    """The same network with other names."""
    nodes = tuple(replace(node, name=f"n{i}") for i, node in enumerate(network.nodes))
    return replace(network, name="other", nodes=nodes)


@pytest.mark.parametrize("baseline", BASELINES)
@pytest.mark.parametrize(("objective", "name", "preset"), CASES)
def test_never_worse_than_a_baseline(objective: str, name: str, preset: str, baseline: str) -> None:
    ours, theirs = solved(name, preset, objective), solved(name, preset, objective, baseline)
    if theirs.value is None:
        pytest.skip("does not fit")
    assert ours.value is not None
    assert ours.value <= theirs.value


@pytest.mark.parametrize(("objective", "name", "preset"), CASES)
def test_the_bound_is_not_above_the_value(objective: str, name: str, preset: str) -> None:
    result = solved(name, preset, objective)
    assert result.value is not None
    assert result.bound is not None
    assert result.bound <= result.value


@pytest.mark.parametrize(("objective", "name", "preset"), CASES)
def test_the_evaluator_confirms_all_claims(objective: str, name: str, preset: str) -> None:
    solution = solved(name, preset, objective).solution
    assert solution is not None
    assert evaluate(solution).violations == ()
    assert {"latency", "period", "communication", "energy", "bound"} <= set(solution.claims["total"])


def test_same_seed_same_answer() -> None:
    network, chip = load_network("lenet5"), load_architecture("ou-isaac-2x2")
    one, other = (solve(network, chip, seed=3).solution for _ in range(2))
    assert one is not None
    assert other is not None
    for table in ("placement", "schedule"):
        for column in getattr(one, table).__dataclass_fields__:
            assert np.array_equal(getattr(getattr(one, table), column), getattr(getattr(other, table), column)), column


def test_names_do_not_matter() -> None:
    network, chip = load_network("lenet5"), load_architecture("ou-isaac-2x2")
    assert solve(renamed(network), chip).value == solve(network, chip).value


def test_a_chip_too_small_for_every_method_is_reported() -> None:
    result = solve(load_network("vgg16"), load_architecture("ou-isaac-2x2"))
    assert result.status is Status.INFEASIBLE
    assert result.shortage is not None


def test_a_baseline_that_does_not_fit_is_unknown() -> None:
    result = solve(load_network("lenet5"), load_architecture("ou-isaac-2x2"), method="layer-serial")
    assert (result.status, result.value) == (Status.UNKNOWN, None)


def test_a_time_limit_of_zero_still_finds_a_solution() -> None:
    result = solve(load_network("lenet5"), load_architecture("ou-isaac-2x2"), time_limit=0.0)
    assert result.status in (Status.FEASIBLE, Status.OPTIMAL)


def test_progress_is_told() -> None:
    told: list[str] = []
    solve(load_network("lenet5"), load_architecture("ou-isaac-4x4"), method="layer-serial", progress=told.append)
    assert told == ["layer-serial"]


@pytest.mark.parametrize(("field", "value"), [("objective", "speed"), ("method", "magic")])
def test_unknown_arguments(field: str, value: str) -> None:
    with pytest.raises(InstanceError, match=f"solve: {field} = '{value}', expected one of"):
        solve(load_network("lenet5"), load_architecture("ou-isaac-2x2"), **{field: value})  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize("baseline", BASELINES)
def test_squeezenet_is_never_worse_than_a_baseline(baseline: str) -> None:
    ours, theirs = solved("squeezenet", "ou-isaac-7x7"), solved("squeezenet", "ou-isaac-7x7", method=baseline)
    assert ours.value is not None
    assert theirs.value is not None
    assert ours.value <= theirs.value
