"""The front end: never worse than a baseline, repeatable, indifferent to names, and what it claims is true."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from spatem_opt import InstanceError, Result, Status, evaluate, load_architecture, load_network, solve
from spatem_opt.exchange.solutions import read_solution, write_solution
from spatem_opt.front_end import OBJECTIVES
from spatem_opt.model.solution import Solution
from spatem_opt.network.layers import Network
from spatem_opt.planning.baselines import BASELINES
from spatem_opt.search.progress import Progress
from spatem_opt.testing import TINY, tiny_instance

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
    assert result.shortage is not None
    assert result.shortage.levers == ("--arch ou-isaac-4x4", "--set mesh_rows=3")  # 6 layers, 2 tiles in a row


def test_a_time_limit_of_zero_still_finds_a_solution() -> None:
    result = solve(load_network("lenet5"), load_architecture("ou-isaac-2x2"), time_limit=0.0)
    assert result.status in (Status.FEASIBLE, Status.OPTIMAL)


STEPS = ("mapping", "grouping", "replication", "scheduling")


def test_exact_is_no_worse_than_the_heuristic_and_says_what_is_proven() -> None:
    network, chip = load_network("lenet5"), load_architecture("ou-isaac-2x2")
    told: list[Progress] = []
    exact = solve(network, chip, method="exact", time_limit=30.0, progress=told.append)
    heuristic = solved("lenet5", "ou-isaac-2x2", method="heuristic")
    assert exact.value is not None
    assert heuristic.value is not None
    assert exact.value <= heuristic.value
    assert exact.bound == heuristic.bound
    assert tuple(step.step for step in exact.steps) == STEPS
    assert heuristic.steps == ()
    assert told[0].trying.startswith("beyond reach: grouping: ")
    assert list(dict.fromkeys(now.trying for now in told if now.trying.startswith("exact "))) == [
        "exact mapping", "exact replication", "exact grouping", "exact scheduling"
    ]  # fmt: skip


def test_claims_per_step_are_in_the_file(tmp_path: Path) -> None:
    network, chip = load_network("lenet5"), load_architecture("ou-isaac-2x2")
    result = solve(network, chip, method="exact", time_limit=30.0, seed=5)
    assert result.solution is not None
    write_solution(result.solution, tmp_path / "out.json")
    stored = read_solution(tmp_path / "out.json")
    assert evaluate(stored).violations == ()
    for step in result.steps:
        claim = stored.claims[step.step]
        assert {"engine", "status", "objective", "bound", "seconds", "versions", "seed"} <= set(claim)
        assert (claim["status"], claim["bound"], claim["seed"]) == (step.status, step.bound, 5)


def test_auto_proves_only_within_a_time_limit() -> None:
    network, chip = load_network("lenet5"), load_architecture("ou-isaac-2x2")
    assert solved("lenet5", "ou-isaac-2x2").steps == ()
    limited = solve(network, chip, time_limit=1.0)
    assert tuple(step.step for step in limited.steps) == STEPS
    assert limited.seconds < 10


def test_other_methods_prove_nothing() -> None:
    network, chip = load_network("lenet5"), load_architecture("ou-isaac-2x2")
    assert solve(network, chip, method="heuristic", time_limit=0.1).steps == ()
    assert solve(network, chip, method="dense-pipeline", time_limit=0.1).steps == ()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_step_and_begins_no_other(number: int) -> None:
    told: list[str] = []

    def press(now: Progress) -> None:
        told.append(now.trying)
        if now.trying == "exact mapping":
            os.kill(os.getpid(), number)

    result = solve(
        load_network("lenet5"), load_architecture("ou-isaac-2x2"), method="exact", time_limit=30.0, progress=press
    )
    assert result.solution is not None
    assert [(step.step, step.note == "not begun: interrupted") for step in result.steps] == [
        ("mapping", False), ("grouping", True), ("replication", True), ("scheduling", True)
    ]  # fmt: skip
    assert told[-1] == "exact mapping"
    assert result.cut[-3:] == tuple(
        f"exact {step} not begun: interrupted" for step in ("replication", "grouping", "scheduling")
    )


def test_exact_on_what_does_not_fit_names_the_conflict() -> None:
    result = solve(load_network("vgg16"), load_architecture("ou-isaac-2x2"), method="exact")
    assert result.shortage is not None
    assert result.shortage.conflict == ("assignment", "capacity")
    (step,) = result.steps
    assert (step.step, step.status) == ("mapping", Status.INFEASIBLE)
    assert step.note.endswith("in conflict: assignment, capacity")


def test_progress_is_told() -> None:
    told: list[Progress] = []
    found = solve(
        load_network("lenet5"), load_architecture("ou-isaac-4x4"), method="layer-serial", progress=told.append
    )
    assert (told[0].trying, told[0].value, told[0].bound) == ("layer-serial", None, found.bound)
    assert (told[-1].trying, told[-1].value, told[-1].gap) == ("layer-serial", found.value, found.gap)
    assert [now.seconds for now in told] == sorted(now.seconds for now in told)


def test_every_better_solution_is_handed_out_at_once() -> None:
    handed: list[Solution] = []
    found = solve(*tiny_instance(7), on_solution=handed.append)
    values = [solution.claims["total"]["latency"] for solution in handed]
    assert values == sorted(set(values), reverse=True)
    assert values[-1] == found.value
    assert len(values) > 1
    assert all(evaluate(solution).violations == () for solution in handed)


def test_an_exact_step_that_takes_too_long_is_cut_short_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mapping step here counts to 10^12 before it begins; a limit of 1 s must end it, with a hang guard of 60 s."""
    from spatem_opt.exact import mapping

    monkeypatch.setattr(mapping, "build", lambda *_, **__: sum(1 for _ in range(10**12)))
    found = solve(load_network("lenet5"), load_architecture("ou-isaac-2x2"), time_limit=1.0)
    by_name = {step.step: step.note for step in found.steps}
    assert found.solution is not None
    assert evaluate(found.solution).violations == ()
    assert by_name["mapping"] == "cut short: time was up"
    assert by_name["scheduling"] == "not begun: time was up"
    assert "exact mapping cut short: time was up" in found.cut
    assert found.solution.claims["search"]["cut_short"] == list(found.cut)
    assert found.seconds < 60


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


def test_least_communication_within_a_latency_limit() -> None:
    """The limit lies between the fastest solution and the one that communicates least."""
    network, chip = tiny_instance(1)
    fastest, free = solve(network, chip), solve(network, chip, objective="communication")
    assert fastest.value is not None
    assert free.value is not None
    assert free.evaluation is not None
    limit = (fastest.value + (free.evaluation.latency_cycles or 0)) // 2
    assert fastest.value < limit < (free.evaluation.latency_cycles or 0)
    found = solve(network, chip, objective="communication", latency_limit=limit)
    assert found.evaluation is not None
    assert found.value is not None
    assert (found.evaluation.latency_cycles or 0) <= limit
    assert free.value < found.value


def test_the_latency_objective_heeds_a_limit_too() -> None:
    network, chip = load_network("lenet5"), load_architecture("ou-isaac-4x4")
    fastest = solved("lenet5", "ou-isaac-4x4").value
    assert fastest is not None
    found = solve(network, chip, latency_limit=fastest)
    assert found.value is None or found.value <= fastest
    assert solve(network, chip, method="dense-pipeline", latency_limit=fastest).status is Status.UNKNOWN


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_baseline_is_the_same_for_every_objective(objective: str) -> None:
    one, other = (
        solved("cifar10", "ou-isaac-4x4", objective, "woho"),
        solved("cifar10", "ou-isaac-4x4", "latency", "woho"),
    )
    assert one.solution is not None
    assert other.solution is not None
    for column in ("layer", "copy", "row_start", "row_stop", "col_start", "col_stop"):  # laid along or across the mesh
        assert np.array_equal(getattr(one.solution.placement, column), getattr(other.solution.placement, column))


def test_a_latency_limit_below_the_bound_is_infeasible() -> None:
    found = solve(load_network("lenet5"), load_architecture("ou-isaac-4x4"), latency_limit=10)
    assert found.status is Status.INFEASIBLE
    assert found.shortage is not None
    assert found.shortage.family == "latency"


def test_a_latency_limit_that_nothing_meets_ends_with_the_time() -> None:
    network, chip = load_network("lenet5"), load_architecture("ou-isaac-4x4")
    bound = solved("lenet5", "ou-isaac-4x4").bound
    assert bound is not None
    found = solve(network, chip, objective="communication", method="heuristic", latency_limit=bound, time_limit=0.1)
    assert found.status is Status.UNKNOWN


@pytest.mark.parametrize(("limit", "method"), [(0, "auto"), (1000, "exact")])
def test_latency_limits_that_make_no_sense(limit: int, method: str) -> None:
    with pytest.raises(InstanceError, match="latency_limit"):
        solve(load_network("lenet5"), load_architecture("ou-isaac-4x4"), method=method, latency_limit=limit)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("seed", range(0, TINY, 8))
def test_tiny_instances_of_all_kinds(seed: int, objective: str) -> None:
    network, chip = tiny_instance(seed)
    found = solve(network, chip, objective=objective)
    assert found.solution is not None
    assert found.value is not None
    assert evaluate(found.solution).violations == ()
    assert (found.bound or 0) <= found.value
