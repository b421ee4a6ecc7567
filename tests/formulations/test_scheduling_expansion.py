"""Chunk problems of placed networks: what the model says is what the evaluator finds."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from formulations.scheduling import cpsat
from spatem_opt.cost.placed import PlacedNetwork
from spatem_opt.errors import InstanceError
from spatem_opt.evaluator import evaluate
from spatem_opt.evaluator.settling import SETTLING
from spatem_opt.model.presets import load_architecture
from spatem_opt.model.result import Status
from spatem_opt.network import load
from spatem_opt.planning.candidates import Candidates
from spatem_opt.planning.plan import Plan, assemble, problem_of
from spatem_opt.planning.settings import Setting
from spatem_opt.scheduling import chunk_bounds, chunk_heuristic, chunks, list_schedule
from spatem_opt.scheduling.expansion import build, cliques, parts


@cache
def placed(network: str, chip: str) -> tuple[Plan, PlacedNetwork]:
    """Plan and scheduling problem of a shipped network."""
    net, architecture = load(network), load_architecture(chip)
    plan = Candidates(net, architecture, "latency").segmented(Setting(0.03))
    assert plan is not None
    return plan, problem_of(plan, net, architecture)


def replayed(plan: Plan, problem: PlacedNetwork, chunk_count: int, by: str, starts: np.random.Generator | None) -> None:
    """Model and evaluator agree on the queue-free makespan, of the heuristic's starts or of random feasible ones."""
    expansion = build(problem, chunk_count, by=by)  # type: ignore[arg-type]
    rank = None if starts is None else starts.permutation(expansion.problem.tasks)
    solution = chunks.ChunkSchedule(chunk_heuristic.list_schedule(expansion.problem, rank))
    verdict = chunks.check(expansion.problem, solution)
    assert verdict.violations == ()
    cut, times = expansion.timetable(solution)
    found = evaluate(assemble(plan, cut, times))
    assert set(found.families) <= SETTLING  # queues make windows end later
    assert found.queue_free_cycles == times.latency == verdict.objective
    if starts is None:
        return
    assert chunk_bounds.lower_bound(expansion.problem) <= verdict.objective


CASES = [
    ("lenet5", "ou-isaac-2x2"),
    ("cifar10", "ou-isaac-4x4"),
    pytest.param("squeezenet", "ou-isaac", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("network", "chip"), CASES)
def test_evaluator_finds_the_makespan(network: str, chip: str) -> None:
    replayed(*placed(network, chip), 4, "layer", None)


@settings(max_examples=10)
@given(st.integers(0, 10**6), st.sampled_from(CASES[:2]), st.integers(1, 9), st.sampled_from(["layer", "copy"]))
def test_any_order_of_chunks_replays(seed: int, case: tuple[str, str], count: int, by: str) -> None:
    replayed(*placed(*case), count, by, np.random.default_rng(seed))


@pytest.mark.parametrize("case", CASES[:2])
def test_list_schedule_is_no_later(case: tuple[str, str]) -> None:
    """Chunks in topological order: windows replayed as soon as possible, not before their chunk, are not later."""
    _, problem = placed(*case)
    expansion = build(problem, 4)
    start = chunk_heuristic.list_schedule(expansion.problem, np.arange(expansion.problem.tasks))
    cut, times = expansion.timetable(chunks.ChunkSchedule(start))
    assert list_schedule.solve(cut).latency <= times.latency


@pytest.mark.parametrize("case", CASES[:2])
def test_proven_optimal_and_replayed(case: tuple[str, str]) -> None:
    plan, problem = placed(*case)
    expansion = build(problem, 2)
    result = cpsat.solve(expansion.problem, time_limit=60, workers=1, deterministic_limit=30)
    assert result.status is Status.OPTIMAL
    assert result.solution is not None
    cut, times = expansion.timetable(result.solution)
    assert evaluate(assemble(plan, cut, times)).queue_free_cycles == result.objective


def test_pace_and_earliest_start_are_kept() -> None:
    plan, problem = placed("lenet5", "ou-isaac-2x2")
    table = problem.chunks
    slow = replace(table, pace=np.full_like(table.pace, 500), not_before=table.not_before + 300)
    replayed(plan, replace(problem, chunks=slow), 3, "layer", None)
    first = build(replace(problem, chunks=slow), 3).problem.release
    assert int(first.min()) >= 300


@pytest.mark.parametrize(("count", "by", "field"), [(0, "layer", "chunks"), (2, "tile", "by")])
def test_wrong_arguments_are_named(count: int, by: str, field: str) -> None:
    _, problem = placed("lenet5", "ou-isaac-2x2")
    with pytest.raises(InstanceError, match=field):
        build(problem, count, by=by)  # type: ignore[arg-type]


def test_barriers_leave_nothing_to_decide() -> None:
    _, problem = placed("lenet5", "ou-isaac-2x2")
    with pytest.raises(InstanceError, match="serial"):
        build(replace(problem, serial=True))


def test_copies_on_one_crossbar_need_tasks_of_their_own() -> None:
    _, problem = placed("lenet5", "ou-isaac-2x2")
    place = problem.placement
    together = replace(place, crossbar=np.where(place.layer == 0, place.crossbar[0], place.crossbar))
    with pytest.raises(InstanceError, match="share the crossbar"):
        build(replace(problem, placement=together))


def test_parts_are_whole_rows_where_there_are_enough() -> None:
    assert parts(2, np.array([0, 0, 1, 1, 2, 2, 3, 3])).tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert parts(3, np.array([0, 0, 0, 0])).tolist() == [0, 1, 1, 2]
    assert parts(8, np.array([5, 6])).tolist() == [0, 1]


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.integers(2, 8))
def test_cliques_cover_all_pairs_and_only_those(seed: int, teams: int) -> None:
    rng = np.random.default_rng(seed)
    upper = np.triu(rng.random((teams, teams)) < 0.6, 1)
    meet = upper | upper.T
    covered = np.zeros_like(meet)
    for group in cliques(meet, rng.random(teams)):
        covered[np.ix_(group, group)] = True
    np.fill_diagonal(covered, False)
    assert (covered == meet).all()


@pytest.mark.slow
def test_resnet18_gap() -> None:
    """Eight chunks a layer: proven gap of at most 5 % (benchmarks/exact_scheduling.py measures it)."""
    expansion = build(placed("resnet18", "ou-isaac")[1], 8)
    result = cpsat.solve(expansion.problem, time_limit=120, workers=2)
    assert result.objective is not None
    assert result.bound is not None
    assert result.objective - result.bound <= 0.05 * result.objective
