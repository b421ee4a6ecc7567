"""Segments laid over each other: the same crossbars meet, and layers have a share of every strip."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spatem_opt import load_architecture, load_network
from spatem_opt.grouping.tiling import Tiling
from spatem_opt.placement.interleaving import interleave
from spatem_opt.placement.places import overlapped
from spatem_opt.planning.candidates import Candidates
from spatem_opt.planning.plan import Plan, problem_of
from spatem_opt.planning.settings import Setting
from spatem_opt.replication.layout import Allocation, interleaved, serpentine_order
from spatem_opt.replication.segmentation import Segmentation
from spatem_opt.scheduling import list_schedule

CHIP = load_architecture("ou-isaac-7x7", {"adc_bits": 5})


def plan_of(name: str) -> Plan:
    """Copies in a row along the walk, layer after layer, as before they are woven."""
    plan = Candidates(load_network(name), CHIP, "latency").segmented(Setting(0.003, lanes=2, woven=8))
    assert plan is not None
    return replace(plan, moves=None)


@pytest.mark.parametrize("strips", [1, 3, 8])
def test_every_segment_keeps_all_tiles_apart(strips: int) -> None:
    plan = plan_of("squeezenet")
    moves = interleave(plan.allocations, strips, CHIP)
    assert moves.shape == (int(plan.segment.max()) + 1, CHIP.tiles)
    assert (np.sort(moves, axis=1) == np.arange(CHIP.tiles)).all()


def test_one_strip_moves_nothing() -> None:
    plan = plan_of("squeezenet")
    assert (interleave(plan.allocations, 1, CHIP) == np.arange(CHIP.tiles)).all()


@pytest.mark.parametrize("strips", [3, 8])
def test_layers_of_different_segments_meet_on_as_many_tiles_as_before(strips: int) -> None:
    """All segments are dealt out alike, so that who waits for whom does not change."""
    plan = plan_of("squeezenet")
    moves = interleave(plan.allocations, strips, CHIP)
    problem = problem_of(plan, load_network("squeezenet"), CHIP)
    held = [np.unique(placed.pair_tile) for placed in problem.placed]
    moved = [moves[s][tiles] for s, tiles in zip(plan.segment.tolist(), held, strict=True)]
    for i in range(len(held)):
        for k in range(i):
            if plan.segment[i] != plan.segment[k]:
                assert len(np.intersect1d(held[i], held[k])) == len(np.intersect1d(moved[i], moved[k]))


def test_a_layer_has_a_share_of_every_strip() -> None:
    """Of the 7 strips that the walk's 196 tiles make, each has a seventh of a layer's tiles, to one."""
    plan = plan_of("squeezenet")
    moves = interleave(plan.allocations, 7, CHIP)
    tile = serpentine_order(CHIP, 2)[:: CHIP.crossbars_per_tile] // CHIP.crossbars_per_tile
    strip = np.argsort(tile) // (CHIP.tiles // 7)
    problem = problem_of(plan, load_network("squeezenet"), CHIP)
    for placed, own in zip(problem.placed, plan.allocations, strict=True):
        share = np.bincount(strip[moves[own.segment][np.unique(placed.pair_tile)]], minlength=7)
        assert share.max() - share.min() <= 1


def test_the_schedule_takes_about_as_long_wherever_tiles_lie() -> None:
    """But for a few cycles of transfers; laid out for short ways instead it takes longer."""
    network = load_network("squeezenet")
    made = Candidates(network, CHIP, "latency")
    latency = {}
    for name, setting in {
        "in a row": Setting(0.003, lanes=2), "woven": Setting(0.003, woven=8, lanes=2)
    }.items():  # fmt: skip
        plan = made.segmented(setting)
        assert plan is not None
        latency[name] = list_schedule.solve(problem_of(plan, network, CHIP)).latency
    assert latency["woven"] == pytest.approx(latency["in a row"], rel=0.05)


CUTS = Segmentation(np.arange(3), np.zeros(3, dtype=np.int64), 0.0, cycles=np.array([14.0, 16.0, 3.0]),
            trail=np.array([4.0, 6.0, 1.0]))  # fmt: skip
"""Paces 10, 10 and 2."""


def test_segments_overlap_as_far_as_outputs_and_layers_allow() -> None:
    """The second ends at 10 + 10 + 6; the third starts at 26, not at 20."""
    assert overlapped(CUTS, {1, 2}).tolist() == [14.0, 12.0, 1.0]


def test_segments_with_copies_everywhere_wait_for_a_long_trail() -> None:
    """The second starts at 14 and ends at 14 + 10 + 6, unless it is swift, or the trail is short."""
    assert overlapped(CUTS, ()).tolist() == [14.0, 16.0, 3.0]
    assert overlapped(CUTS, {1}).tolist() == [14.0, 12.0, 3.0]
    short = replace(CUTS, cycles=CUTS.cycles + 1000)
    assert overlapped(short, ()).tolist() == overlapped(short, {1, 2}).tolist()


def test_ordered_copies_lie_on_tiles_of_the_same_layers_before() -> None:
    """Two layers on a half of the tiles each, then one layer in four copies: the first two lie where the first was."""
    free = np.arange(4) * CHIP.tiles // 4 * CHIP.crossbars_per_tile
    quarter = Tiling(1, 1, 1, 1, CHIP.tiles // 4 * CHIP.crossbars_per_tile, 1)
    own = [Allocation(quarter, at, interleaved(4, len(at)), segment, lanes=2)
           for at, segment in ((free[:2], 0), (free[2:], 0), (free, 1))]  # fmt: skip
    half = CHIP.tiles // 2
    moves = interleave(own, 7, CHIP, ordered={1})
    assert set(moves[1][:half].tolist()) == set(moves[0][:half].tolist())
    assert set(interleave(own, 7, CHIP)[1][:half].tolist()) != set(moves[0][:half].tolist())


def test_the_corner_is_left_to_inputs_if_tiles_are_free() -> None:
    """Of a layer on all tiles but six, the four of the corner's router are among these; nothing else changes."""
    per_tile, used = CHIP.crossbars_per_tile, CHIP.tiles - 6
    shape = Tiling(1, 1, 1, 1, per_tile, 1)
    own = [Allocation(shape, np.arange(used) * per_tile, interleaved(used, used), 0, lanes=2)]
    tile = serpentine_order(CHIP, 2)[::per_tile] // per_tile
    plain, moves = interleave(own, 7, CHIP), interleave(own, 7, CHIP, corner={0})
    assert not set(range(CHIP.tiles_per_router)) & set(moves[0][tile[:used]].tolist())
    assert sorted(moves[0].tolist()) == list(range(CHIP.tiles))
    assert (plain != moves).sum() <= 2 * CHIP.tiles_per_router
