"""The replication referee: accepts what is right, names what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from spatem_opt.cost.grid import make_grid
from spatem_opt.grouping.tiling import Tiling
from spatem_opt.model.architecture import Architecture
from spatem_opt.model.solution import MappingOption
from spatem_opt.network.builder import Builder
from spatem_opt.replication.layout import Allocation, interleaved
from spatem_opt.testing import assert_confirmed, random_chip, random_network, random_plan, scheduled
from tests.oracles import replication_bounds, replication_referee
from tests.oracles.replication_problem import ReplicationProblem, ReplicationSolution, solution_of

SEEDS = st.integers(0, 2**32 - 1)


@pytest.fixture(scope="module")
def problem() -> ReplicationProblem:
    """Two 1x1 convolutions of 4 x 4 channels, 4 x 4 pixels: 2 x 2 OUs, 16 windows each; 8 crossbars of 4 slots."""
    chip = Architecture(
        name="hand", mesh_rows=1, mesh_cols=2, tiles_per_router=1, pes_per_tile=1, crossbars_per_pe=4, crossbar_rows=4,
        crossbar_cols=4, ou_rows=2, ou_cols=2, weight_bits=2, cell_bits=2,
    )  # fmt: skip
    b = Builder("two")
    b.conv(b.conv(b.input(4, 4, 4), 4, 1), 4, 1)
    network = b.build()
    options = MappingOption(), MappingOption(storage="filled")
    return ReplicationProblem(
        chip, tuple(tuple(make_grid(network.nodes[i], option, chip) for option in options) for i in network.layers)
    )


@pytest.fixture(scope="module")
def solution() -> ReplicationSolution:
    """Layer 0: two copies on two crossbars each (0-1, 2-3); layer 1: four copies on one crossbar each (4-7)."""
    first = Allocation(Tiling(1, 1, 2, 1, 2, 2), np.array([0, 2]), interleaved(16, 2))
    second = Allocation(Tiling(1, 1, 2, 1, 1, 4), np.array([4, 5, 6, 7]), interleaved(16, 4))
    return ReplicationSolution((0, 0), (first, second))


def test_accepts(problem: ReplicationProblem, solution: ReplicationSolution) -> None:
    assert replication_referee.check(problem, solution).violations == ()


def test_cycles_by_hand(problem: ReplicationProblem, solution: ReplicationSolution) -> None:
    """Layer 0: 8 windows of 16 phases x 2 OUs + 1 cycle of load; layer 1: 4 windows of 16 x 4 + 1."""
    assert replication_referee.check(problem, solution).cycles == max(8 * 33, 4 * 65)


def test_segments_add_up(problem: ReplicationProblem, solution: ReplicationSolution) -> None:
    first, second = solution.allocations
    apart = replace(solution, allocations=(first, replace(second, segment=1)))
    assert replication_referee.check(problem, apart).cycles == 8 * 33 + 4 * 65


def at(solution: ReplicationSolution, layer: int, **changes: object) -> ReplicationSolution:
    """The solution with one layer's allocation changed."""
    allocations = list(solution.allocations)
    allocations[layer] = replace(allocations[layer], **changes)  # type: ignore[arg-type]
    return replace(solution, allocations=tuple(allocations))


def filled(solution: ReplicationSolution) -> ReplicationSolution:
    """Layer 1 filled, its first copy on a crossbar of layer 0, in a segment of its own."""
    return replace(at(solution, 1, position=np.array([0, 5, 6, 7]), segment=1), option=(0, 1))


WRONG: dict[str, tuple[str, Callable[[ReplicationSolution], ReplicationSolution]]] = {
    "option unknown": ("assignment", lambda s: replace(s, option=(0, 7))),
    "layer missing": ("assignment", lambda s: replace(s, allocations=s.allocations[:1])),
    "beyond the chip": ("chip", lambda s: at(s, 1, position=np.array([4, 5, 6, 8]))),
    "before the chip": ("chip", lambda s: at(s, 0, position=np.array([-1, 2]))),
    "serial understated": ("shape", lambda s: at(s, 1, shape=Tiling(1, 1, 2, 1, 1, 3))),
    "window missing": ("windows", lambda s: at(s, 0, split=interleaved(15, 2))),
    "window twice": ("windows", lambda s: at(s, 0, split=replace(s.allocations[0].split, first=np.array([0, 0])))),
    "window beyond": ("windows", lambda s: at(s, 0, split=interleaved(18, 2))),
    "copy unknown": ("windows", lambda s: at(s, 0, split=interleaved(16, 3))),
    "copy idle": ("windows", lambda s: at(s, 0, split=interleaved(16, 1))),
    "crossbar overfull": ("capacity", lambda s: at(s, 1, position=np.array([3, 5, 6, 7]), segment=1)),
    "filled and shared": ("capacity", filled),
    "copies overlap": ("disjoint", lambda s: at(s, 1, position=np.array([4, 4, 6, 7]))),
    "segments decrease": ("segments", lambda s: at(s, 0, segment=1)),
    "segment skipped": ("segments", lambda s: at(s, 1, segment=2)),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_names_the_family(problem: ReplicationProblem, solution: ReplicationSolution, mistake: str) -> None:
    family, corrupt = WRONG[mistake]
    assert family in replication_referee.check(problem, corrupt(solution)).families


@pytest.mark.parametrize("rect", [[0, 0, 1, 0, 2], [0, 0, 2, 0, 1]])
def test_coverage(
    problem: ReplicationProblem, solution: ReplicationSolution, rect: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shape cannot miss an OU by itself, so its rectangles are replaced by one that does."""
    monkeypatch.setattr(replication_referee, "rectangles", lambda *_: np.array([rect]))
    assert "coverage" in replication_referee.check(problem, solution).families


def test_every_family_is_tried() -> None:
    assert {family for family, _ in WRONG.values()} | {"coverage"} == set(replication_referee.FAMILIES)


def test_long_lists_are_cut(problem: ReplicationProblem, solution: ReplicationSolution) -> None:
    found = replication_referee.check(problem, at(solution, 0, split=interleaved(200, 2))).violations
    assert len(found) == replication_referee.LISTED + 1
    assert found[-1] == ("windows", f"and {200 - 16 - replication_referee.LISTED} more")


@settings(max_examples=80)
@given(SEEDS)
def test_agrees_with_the_evaluator_on_random_plans(seed: int) -> None:
    rng = np.random.default_rng(seed)
    network, chip = random_network(rng, 3), random_chip(rng)
    plan = random_plan(rng, network, chip)
    assume(plan is not None)
    assert plan is not None
    assert_confirmed(scheduled(plan, network, chip))
    drawn = ReplicationProblem(chip, tuple((grid,) for grid in plan.grids))
    verdict = replication_referee.check(drawn, solution_of(drawn, plan.grids, plan.allocations))
    assert verdict.violations == ()
    assert verdict.cycles is not None
    assert max(replication_bounds.cycles(drawn).values()) <= verdict.cycles
    assert replication_bounds.slots(drawn) <= chip.crossbars * chip.ou_slots


def test_bounds_by_hand(problem: ReplicationProblem) -> None:
    """2 x 16 windows x 4 OUs x 16 phases = 2048 OU operations on 8 crossbars; a layer alone: 16 x 4 x 16 / 8."""
    assert replication_bounds.cycles(problem) == {"work": 256, "layer": 128}
    assert replication_bounds.one_segment(problem) == 256


def test_unknown_option_is_an_error(problem: ReplicationProblem, solution: ReplicationSolution) -> None:
    grids = tuple(admitted[1] for admitted in problem.grids)
    only = ReplicationProblem(problem.architecture, tuple((admitted[0],) for admitted in problem.grids))
    with pytest.raises(ValueError, match="is not admitted"):
        solution_of(only, grids, list(solution.allocations))
