"""Exact steps of solved networks: never worse, proven where they say so, bounded where not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from formulations.grouping import cpsat as grouping_cpsat
from formulations.mapping import cpsat as mapping_cpsat
from formulations.replication import cpsat as replication_cpsat
from formulations.replication import master
from formulations.replication.columns import SegmentColumn, SegmentColumns
from formulations.replication.problem import LayerModes, SegmentationProblem
from formulations.solver import Limits, run_cpsat
from spatem_opt.evaluator import evaluate
from spatem_opt.exact import beyond_reach, conflicts, grouping, reach, replication, run, scheduling, steps
from spatem_opt.exact import infeasible as infeasible_step
from spatem_opt.grouping.problem import GroupingProblem
from spatem_opt.grouping.referee import objective as grouping_cost
from spatem_opt.mapping.problem import build
from spatem_opt.model.presets import load_architecture
from spatem_opt.model.result import DEMAND_OF, Status, Step
from spatem_opt.network import load
from spatem_opt.network.builder import chain
from spatem_opt.planning.candidates import Candidates
from spatem_opt.planning.settings import Setting
from spatem_opt.scheduling.expansion import build as expand
from spatem_opt.search.engine import Evaluated, search

LIMITS = Limits(20.0, seed=1, workers=1)
CASES = [("lenet5", "ou-isaac-2x2"), ("cifar10", "ou-isaac-4x4")]
QUICK = [CASES[0], pytest.param(*CASES[1], marks=pytest.mark.slow)]


@cache
def first(network: str, chip: str, method: str = "heuristic") -> Evaluated:
    """The search's first solution."""
    return next(search(load(network), load_architecture(chip, {"adc_bits": 5}), "latency", method))


def prove(found: Evaluated, seconds: float = 30.0, objective: str = "latency") -> list[tuple[Evaluated, Step]]:
    """All exact steps."""
    return list(steps(found, objective, seconds, seed=1, workers=1, progress=lambda text: None))


@cache
def proven(network: str, chip: str) -> list[tuple[Evaluated, Step]]:
    """All exact steps of the first solution, once."""
    return prove(first(network, chip))


def ints(*values: int) -> np.ndarray:
    """Integer column."""
    return np.array(values, dtype=np.int64)


@pytest.mark.parametrize(("network", "chip"), QUICK)
def test_never_worse_and_the_evaluator_agrees(network: str, chip: str) -> None:
    value = first(network, chip).value
    for found, _ in proven(network, chip):
        assert found.value <= value
        value = found.value
    evaluation = evaluate(found.solution)
    assert evaluation.violations == ()
    assert evaluation.latency_cycles == found.value


@pytest.mark.parametrize(("network", "chip"), CASES)
def test_every_step_once_with_its_proof(network: str, chip: str) -> None:
    done = {step.step: step for _, step in proven(network, chip)}
    assert set(done) == {"mapping", "grouping", "replication", "scheduling"}
    for step in done.values():
        assert step.objective is not None
        assert step.bound is not None
        assert step.heuristic is not None
        assert step.bound <= step.objective <= step.heuristic
        assert (step.status is Status.OPTIMAL) == (step.bound == step.objective)
        assert (step.seed, bool(step.versions), bool(step.unit), bool(step.note)) == (1, True, True, True)
    assert all(done[name].status is Status.OPTIMAL for name in ("mapping", "replication", "scheduling"))
    assert done["mapping"].engine == "cpsat"


def test_small_groupings_are_solved() -> None:
    """LeNet-5 on 4 x 4 tiles: all kinds are proven, by CP-SAT where bounds leave a gap.

    That takes 5 s on an idle core; the limit is far beyond, as it counts what a busy machine takes.
    """
    done = prove(first("lenet5", "ou-isaac-4x4"), seconds=240.0)
    step = next(step for _, step in done if step.step == "grouping")
    assert (step.status, step.engine) == (Status.OPTIMAL, "cpsat")


def test_same_seed_same_answer() -> None:
    one, other = (prove(first("lenet5", "ou-isaac-2x2")) for _ in range(2))
    assert [replace(step, seconds=0) for _, step in one] == [replace(step, seconds=0) for _, step in other]
    assert (one[-1][0].solution.schedule.start == other[-1][0].solution.schedule.start).all()


def test_communication_is_an_objective_too() -> None:
    found = first("lenet5", "ou-isaac-2x2")
    assert found.evaluation.communication is not None
    start = replace(found, value=found.evaluation.communication.total)
    best = prove(start, objective="communication")[-1][0]
    after = evaluate(best.solution)
    assert after.valid
    assert after.communication is not None
    assert after.communication.total == best.value <= start.value


def test_without_time_only_the_first_step_is_begun() -> None:
    done = prove(first("cifar10", "ou-isaac-4x4"), 0.0)
    assert [step.status for _, step in done] == [Status.OPTIMAL, *[Status.UNKNOWN] * 3]
    assert all("not begun" in step.note for _, step in done[1:])
    assert done[-1][0] is first("cifar10", "ou-isaac-4x4")


@pytest.mark.parametrize("run_step", [replication.run, grouping.run, scheduling.run])
def test_a_step_without_time_still_has_a_bound(run_step: run.RunStep) -> None:
    start = first("cifar10", "ou-isaac-4x4")
    found, step = run_step(start, "latency", replace(LIMITS, time_limit=0.0))
    assert found.value <= start.value
    assert step.objective is not None
    assert step.bound is not None
    assert step.bound <= step.objective


# --- beyond reach --------------------------------------------------------------------------------


def test_beyond_reach_names_steps_and_sizes() -> None:
    chip = load_architecture("ou-isaac", {"adc_bits": 5})
    wide = chain(300, channels=4, size=4)
    replicated, scheduled = beyond_reach(wide, chip, 10.0)
    assert replicated.startswith("replication: 4.7e+08 runs")  # 300 * 301 / 2 * 52 slots * 200 paces
    assert scheduled == "scheduling: 300 layers, reach 170 chunks: bounded only"
    assert [text.partition(":")[0] for text in beyond_reach(wide, chip, 1000.0)] == ["scheduling"]


def test_beyond_reach_is_bounded_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    found = first("cifar10", "ou-isaac-4x4")
    optimum = {step.step: step for _, step in proven("cifar10", "ou-isaac-4x4")}
    monkeypatch.setattr(reach, "RUNS_PER_SECOND", 1)
    monkeypatch.setattr(reach, "TASKS", 4)
    for run_step in (replication.run, scheduling.run):
        _, step = run_step(found, "latency", LIMITS)
        assert step.engine == "combinatorial"
        assert "beyond reach" in step.note
        assert step.bound is not None
        assert step.objective is not None
        assert step.bound <= step.objective
        if step.step == "replication":
            best = optimum["replication"].objective
            assert best is not None
            assert step.bound <= best <= step.objective


def test_combinatorial_bound_by_hand() -> None:
    """Two layers on 4 crossbars: works 2 x 10 and 4 x 5 make 40 / 4 = 10 cycles; the slower one alone takes 10."""
    one = LayerModes(ints(1), ints(2), ints(10), ints(0), ints(7))
    two = LayerModes(ints(1), ints(4), ints(5), ints(0), ints(3))
    problem = SegmentationProblem((one, two), ints(1, 2), np.array([5.0, 10.0]), np.zeros(2), 4, 4, 1.0, 2)
    assert replication.combinatorial(problem) == 10 * 1000 + 7 + 3
    found = master.solve(problem, time_limit=10, workers=1)
    assert (found.status, found.objective) == (Status.OPTIMAL, 15 * 1000 + 7 + 3)  # one after the other


def test_a_barrier_leaves_nothing_to_schedule() -> None:
    found = first("lenet5", "ou-isaac-4x4", "layer-serial")
    after, step = scheduling.run(found, "latency", LIMITS)
    assert after is found
    assert (step.status, step.objective) == (Status.UNKNOWN, None)
    assert "serial" in step.note


# --- grouping ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("network", "chip"), CASES)
def test_costs_of_the_solution_are_counted_right(network: str, chip: str) -> None:
    """Rows and columns of every crossbar of copy 0, counted one by one."""
    found = first(network, chip)
    place = found.solution.placement
    known, left_out = grouping.kinds(found)
    assert left_out == 0
    assert sorted(layer for kind in known for layer in kind.layers) == list(range(len(found.plan.grids)))
    for kind in known:
        layer = kind.layers[0]
        mine = np.flatnonzero((place.layer == layer) & (place.copy == 0))
        cost = 0
        for crossbar in set(place.crossbar[mine].tolist()):
            held = [i for i in mine.tolist() if place.crossbar[i] == crossbar]
            rows = {r for i in held for r in range(place.row_start[i], place.row_stop[i])}
            cols = {c for i in held for c in range(place.col_start[i], place.col_stop[i])}
            cost += kind.problem.row_cost * len(rows) + kind.problem.col_cost * len(cols)
        assert grouping_cost(kind.problem, kind.chosen) == cost
        assert sum(found.plan.grids[i].windows for i in kind.layers) == kind.times


@cache
def proofs_of(network: str, chip: str) -> tuple[list[grouping.Kind], list[grouping.Proof]]:
    """Kinds of layers of the search's first solution, and their proofs."""
    known, _ = grouping.kinds(first(network, chip))
    return known, [grouping.prove(kind, LIMITS) for kind in known]


@pytest.mark.parametrize(("network", "chip"), QUICK)
def test_an_exchanged_grouping_is_a_valid_one_of_the_promised_cost(network: str, chip: str) -> None:
    found = first(network, chip)
    known, proofs = proofs_of(network, chip)
    place, cost = found.solution.placement, []
    for kind, best in zip(known, proofs, strict=True):
        assert best.bound <= best.cost <= grouping_cost(kind.problem, kind.chosen)
        place = grouping.exchange(place, kind, best.best, found.solution.architecture.crossbars_per_tile)
        cost.append(best.cost)
    exchanged = replace(found, solution=replace(found.solution, placement=place))
    families = {violation.family for violation in evaluate(exchanged.solution).violations}
    assert not families & {"coverage", "capacity"}
    again = {kind.layers: grouping_cost(kind.problem, kind.chosen) for kind in grouping.kinds(exchanged)[0]}
    for kind, value in zip(known, cost, strict=True):
        assert all(again[layers] == value for layers in again if set(layers) & set(kind.layers))


@given(st.lists(st.integers(1, 2), min_size=1, max_size=3), st.data())
def test_most_ous_stay_in_their_tile_when_groups_change(room: list[int], data: st.DataObject) -> None:
    """As many as under any assignment of groups to tiles, all of which are tried."""
    tile = np.repeat(np.arange(len(room)), room)
    rows = st.lists(st.integers(0, 5), min_size=len(room), max_size=len(room))
    overlap = np.array(data.draw(st.lists(rows, min_size=len(tile), max_size=len(tile))))
    place = grouping._places(overlap, np.array(room))
    assert sorted(place.tolist()) == list(range(len(tile)))
    assert overlap[np.arange(len(tile)), tile[place]].sum() == max(
        overlap[np.arange(len(tile)), list(at)].sum() for at in permutations(tile.tolist())
    )


@pytest.mark.parametrize(("network", "chip"), QUICK)
def test_inside_tiles_cheaper_groupings_are_used_and_nothing_gets_worse(network: str, chip: str) -> None:
    found = first(network, chip)
    known, proofs = proofs_of(network, chip)
    after, note = grouping.use(known, proofs, found, "latency", LIMITS)
    assert after.evaluation.valid
    assert after.value == after.evaluation.latency_cycles <= found.value
    assert (f"{found.value} -> {after.value}" in note) == (after.value < found.value)
    left = {layer: kind for kind in grouping.kinds(after)[0] for layer in kind.layers}
    for kind, proof in zip(known, proofs, strict=True):
        cost = grouping_cost(left[kind.layers[0]].problem, left[kind.layers[0]].chosen)
        assert proof.cost <= cost <= grouping_cost(kind.problem, kind.chosen)
        if kind.blocks == 1 and not grouping.spread(found.solution, kind):
            assert cost == proof.cost


def test_what_would_be_worse_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    found = first(*CASES[0])
    known, proofs = proofs_of(*CASES[0])
    monkeypatch.setattr(grouping, "measure", lambda *_: found.value + 1)
    after, _ = grouping.use(known, proofs, found, "latency", LIMITS)
    assert after is found


def test_some_copies_span_tiles_and_some_do_not() -> None:
    found = first("lenet5", "ou-isaac-2x2")
    spread = {kind.layers: grouping.spread(found.solution, kind) for kind in grouping.kinds(found)[0]}
    assert set(spread.values()) == {True, False}


# --- replication and scheduling ------------------------------------------------------------------


def test_the_heuristics_setting_is_taken() -> None:
    found = first("cifar10", "ou-isaac-4x4")
    candidates = Candidates(found.solution.network, found.solution.architecture, "latency")
    assert found.setting is not None
    start = replication.prepare(candidates, found.setting)
    other = replication.prepare(candidates, Setting(100.0))
    assert start.hint is not None
    assert other.hint is not None
    assert replication.cost_of(start.problem, start.hint) < replication.cost_of(other.problem, other.hint)


def test_a_better_order_is_found_and_used() -> None:
    """A schedule that starts late is repaired by the chunks: all starts may move."""
    found = first("cifar10", "ou-isaac-4x4")
    table = found.solution.schedule
    shifted = replace(table, start=table.start + 500, end=table.end + 500)
    late = replace(found.solution, schedule=shifted, claims={})
    evaluation = evaluate(late)
    assert evaluation.valid
    assert evaluation.latency_cycles is not None
    after, step = scheduling.run(
        replace(found, solution=late, evaluation=evaluation, value=evaluation.latency_cycles), "latency", LIMITS
    )
    assert after.value < evaluation.latency_cycles
    assert evaluate(after.solution).latency_cycles == after.value
    assert f"used: latency {evaluation.latency_cycles} -> {after.value}" in step.note


def test_a_chunk_schedule_that_is_too_slow_is_given_up() -> None:
    found = first("lenet5", "ou-isaac-2x2")
    last = scheduling._round(scheduling.source(found), 2, LIMITS, None)
    assert last.result.solution is not None
    assert scheduling.windows_of(last.expansion, last.count, last.result.solution, found, 1) is None
    settled = scheduling.windows_of(last.expansion, last.count, last.result.solution, found)
    assert settled is not None
    assert settled[1].valid


def test_finer_chunks_follow_the_order_of_the_coarse() -> None:
    """Cut in two, a chunk's parts begin at its start and half of its duration later."""
    found = first("cifar10", "ou-isaac-4x4")
    coarse = scheduling._round(scheduling.source(found), 2, LIMITS, None)
    finer = expand(scheduling.source(found), 4)
    order = scheduling._order(coarse, finer)
    assert sorted(order.tolist()) == list(range(finer.problem.tasks))
    assert coarse.result.solution is not None
    start, duration = coarse.result.solution.start, coarse.expansion.problem.duration
    begin = {}
    for team in set(finer.team.tolist()):
        parts, whole = np.flatnonzero(finer.team == team), np.flatnonzero(coarse.expansion.team == team)
        for k, part in enumerate(parts.tolist()):
            place = k * len(whole) / len(parts)
            one = whole[int(place)]
            begin[part] = start[one] + (place - int(place)) * duration[one]
    assert sorted(begin, key=lambda task: (begin[task], task)) == np.argsort(order).tolist()


def test_chunks_per_layer_are_as_many_as_fit() -> None:
    assert [reach.chunks_per_layer(layers) for layers in (1, 21, 58, 170, 2000)] == [32, 8, 2, 1, 1]


# --- conflicts -----------------------------------------------------------------------------------


def infeasible(model: object) -> bool:
    """Whether a CP-SAT model is proven infeasible."""
    return run_cpsat(model, LIMITS).status is Status.INFEASIBLE  # type: ignore[arg-type]


def test_a_network_that_does_not_fit_names_its_conflict() -> None:
    network, chip = load("vgg16"), load_architecture("ou-isaac-2x2")
    step = conflicts.mapping(network, chip, LIMITS)
    problem = build(network, chip)
    assert step.status is Status.INFEASIBLE
    assert step.note.endswith("in conflict: assignment, capacity")
    assert f"{problem.capacity} there" in step.note


def test_conflicts_of_mapping_and_grouping() -> None:
    problem = build(load("vgg16"), load_architecture("ou-isaac-2x2"))
    found = conflicts.irreducible(
        tuple(mapping_cpsat.FAMILIES), lambda without: infeasible(mapping_cpsat.build(problem, without)[0])
    )
    assert found == (DEMAND_OF["capacity"], "capacity")
    tight = GroupingProblem(rows=2, cols=3, groups=2, size=2, row_cost=1, col_cost=1)
    families = [name for name in grouping_cpsat.FAMILIES if name not in grouping_cpsat.REDUNDANT]
    found = conflicts.irreducible(
        families, lambda without: infeasible(grouping_cpsat.build(tight, [*without, *grouping_cpsat.REDUNDANT])[0])
    )
    assert found == (DEMAND_OF["size"], "size")


@pytest.mark.parametrize(("there", "router", "family"), [(8, 99.0, "crossbars"), (10, 9.0, "router")])
def test_conflicts_of_a_run(there: int, router: float, family: str) -> None:
    """Two layers in one run, each with one way: 5 crossbars and 50 bit-hops within 10 cycles."""
    menu = LayerModes(ints(1), ints(5), ints(10), ints(50), ints(0))
    problem = SegmentationProblem((menu, menu), ints(1), np.array([10.0]), np.zeros(2), there, there, router, 1)
    found = conflicts.irreducible(
        tuple(replication_cpsat.SEGMENT_FAMILIES),
        lambda without: infeasible(replication_cpsat.build_segment(SegmentColumn(problem, 0, 2, 0, 0), without)[0]),
    )
    assert found == (DEMAND_OF[family], family)


@pytest.mark.parametrize(
    ("there", "router", "capacity", "family", "numbers"),
    [(3, 9.0, 2, "crossbars", (5, 3)), (9, 0.1, 2, "router", (50, 1)), (9, 9.0, 1, "slots", (2, 1))],
)
def test_what_a_single_layer_lacks(
    there: int, router: float, capacity: int, family: str, numbers: tuple[int, int]
) -> None:
    """One layer, one way: 2 slots, 5 crossbars and 50 bit-hops within 10 cycles."""
    menu = LayerModes(ints(2), ints(5), ints(10), ints(50), ints(0))
    problem = SegmentationProblem((menu,), ints(1, 2), np.array([10.0]), np.zeros(1), there, there, router, capacity)
    short = conflicts.of_layers(problem)
    assert short is not None
    assert (short.family, (short.demand, short.capacity)) == (family, numbers)
    assert master.solve(problem, time_limit=10, workers=1).status is Status.INFEASIBLE


def test_conflicts_of_cuts() -> None:
    """Two layers that must take turns, 2 slots each, on crossbars of 3."""
    menu = LayerModes(ints(2), ints(5), ints(10), ints(0), ints(0))
    problem = SegmentationProblem((menu, menu), ints(2), np.array([10.0]), np.zeros(2), 5, 5, 1.0, 3)
    assert conflicts.of_layers(problem) is None
    columns: SegmentColumns = master.all_columns(problem, LIMITS)
    found = conflicts.irreducible(
        ("cover", "slots"), lambda without: infeasible(replication_cpsat.build_master(columns, without)[0])
    )
    short = master.solve(problem, time_limit=10, workers=1).shortage
    assert short is not None
    assert (short.conflict, short.demand, short.capacity) == (found, 4, 3)


def test_feasible_families_are_in_no_conflict() -> None:
    assert conflicts.irreducible(("a", "b"), lambda without: False) == ()


# --- Ctrl-C --------------------------------------------------------------------------------------


def stopped(found: Evaluated, stop: Callable[[], bool]) -> list[tuple[Evaluated, Step]]:
    """All exact steps with a stop criterion."""
    return list(steps(found, "latency", 600.0, seed=1, workers=1, progress=lambda text: None, stop=stop))


def test_after_an_interrupt_nothing_is_begun() -> None:
    start = first("lenet5", "ou-isaac-2x2")
    done = stopped(start, lambda: True)
    assert [step.step for _, step in done] == list(reach.SHARES)
    assert {(step.status, step.note) for _, step in done} == {(Status.UNKNOWN, "not begun: interrupted")}
    assert all(found is start for found, _ in done)


@pytest.mark.parametrize("step", ["mapping", "replication", "grouping", "scheduling"])
def test_an_interrupted_step_tells_what_it_has(step: str) -> None:
    """Interrupted at once: the solution is the one before, bounds are below what is proven."""
    start = first("lenet5", "ou-isaac-2x2")
    found, part = run.RUN[step](start, "latency", replace(LIMITS, time_limit=600.0, stop=lambda: True))
    _, whole = run.RUN[step](start, "latency", LIMITS)
    assert found.value == start.value
    assert part.bound is not None
    assert part.objective is not None
    assert whole.objective is not None
    assert part.bound <= whole.objective <= part.objective
    assert part.heuristic == whole.heuristic
    assert "beyond reach" not in part.note


@pytest.mark.parametrize("looks", [3, 10, 40])
def test_an_interrupt_at_any_moment_leaves_a_valid_solution(looks: int) -> None:
    start, false = first("lenet5", "ou-isaac-2x2"), iter([False] * looks)
    done = stopped(start, lambda: next(false, True))
    assert evaluate(done[-1][0].solution).violations == ()
    assert done[-1][0].value <= start.value
    begun = [step.note != "not begun: interrupted" for _, step in done]
    assert begun == sorted(begun, reverse=True)
    for _, step in done:
        assert step.bound is None or step.objective is None or step.heuristic is None or (
            step.bound <= step.objective <= step.heuristic
        )  # fmt: skip


def test_an_interrupted_search_for_conflicts_claims_none() -> None:
    network, chip = load("vgg16"), load_architecture("ou-isaac-2x2")
    step = infeasible_step(network, chip, 60.0, seed=1, workers=1, stop=lambda: True)
    assert (step.status, "in conflict" in step.note) == (Status.UNKNOWN, False)


# --- long ----------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("network", ["squeezenet", "resnet18"])
def test_larger_networks(network: str) -> None:
    found = first(network, "ou-isaac")
    done = prove(found, 90.0)
    assert evaluate(done[-1][0].solution).violations == ()
    assert done[-1][0].value <= found.value
    by_name = {step.step: step for _, step in done}
    assert by_name["mapping"].status is Status.OPTIMAL
    assert by_name["replication"].gap is not None
    assert by_name["replication"].gap < 0.02


def test_chunks_of_the_source_are_free_to_start() -> None:
    found = first("lenet5", "ou-isaac-2x2")
    source = scheduling.source(found)
    assert not source.chunks.not_before.any()
    assert (source.chunks.pace == found.solution.schedule.pace).all()
    assert expand(source, 2).problem.tasks <= 2 * len(found.plan.grids)
