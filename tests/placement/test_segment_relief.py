"""Exchanges that relieve routers: loads against walking every route, what may move, and what is gained."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spatem_opt import evaluate, load_architecture, load_network
from spatem_opt.cost.mesh import RouterMesh
from spatem_opt.cost.traffic import Flows, flows, traffic
from spatem_opt.evaluator.settling import SETTLING
from spatem_opt.model.architecture import Architecture
from spatem_opt.placement.segment_relief import _Crowd, _meetings, relieve_segments
from spatem_opt.planning.candidates import Candidates
from spatem_opt.planning.exchanges import RelieveSegments, exchanged
from spatem_opt.planning.plan import assemble, problem_of
from spatem_opt.planning.settings import Setting
from spatem_opt.scheduling import list_schedule
from spatem_opt.types import OUTSIDE

SEEDS = st.integers(0, 2**32 - 1)


def drawn(seed: int) -> tuple[Architecture, Flows, np.ndarray]:
    """A small mesh, bits between tiles of up to three segments and the outside, and where these lie."""
    rng = np.random.default_rng(seed)
    rows, cols, tiles, segments = (int(n) for n in rng.integers(1, 4, 4))
    entry = ("columns", "corner")[seed % 2]
    chip = Architecture("mesh", rows, cols, tiles, input_entry=entry)  # type: ignore[arg-type]
    found = Flows(segments, chip.tiles)
    for begin in range(OUTSIDE, segments):
        for end in range(segments):
            shape = 1 if begin == OUTSIDE else chip.tiles, chip.tiles
            found.blocks[begin, end] = rng.integers(0, 100, shape) * (rng.random(shape) < 0.4).astype(np.float32)
    return chip, found, np.array([rng.permutation(chip.tiles) for _ in range(segments)])


def passed(chip: Architecture, bits: Flows, segment: int, place: np.ndarray) -> np.ndarray:
    """What routers pass of all that a segment sends or receives; nothing of what stays in a tile."""
    table = np.zeros((chip.mesh_rows * chip.mesh_cols,) * 2)
    for (begin, end), block in bits.blocks.items():
        if segment not in (begin, end):
            continue
        for source, target in np.argwhere(block):
            if begin == end and source == target:
                continue
            goal = place[end][target] // chip.tiles_per_router
            entry = goal % chip.mesh_cols if chip.input_entry == "columns" else 0
            router = entry if begin == OUTSIDE else place[begin][source] // chip.tiles_per_router
            table[router, goal] += block[source, target]
    return RouterMesh(chip).loads(table)


@settings(max_examples=60)
@given(SEEDS)
def test_loads_are_those_of_every_route(seed: int) -> None:
    chip, bits, place = drawn(seed)
    for segment in range(bits.segments):
        assert _Crowd(bits, segment, place, chip).load == pytest.approx(passed(chip, bits, segment, place), abs=1e-2)


@settings(max_examples=60)
@given(SEEDS)
def test_a_foreseen_change_is_what_an_exchange_makes(seed: int) -> None:
    chip, bits, place = drawn(seed)
    crowd = _Crowd(bits, 0, place, chip)
    one, other = np.random.default_rng(seed).integers(chip.tiles, size=(2, 3))
    for i, k in zip(one.tolist(), other.tolist(), strict=True):
        if crowd.router[i] == crowd.router[k]:
            continue
        foreseen = crowd.load + crowd._change(np.array([i]), np.array([k]))[0]
        crowd._exchange(i, k)
        crowd.load = foreseen
        moved = np.concatenate([[crowd.tile], place[1:]])
        assert foreseen == pytest.approx(passed(chip, bits, 0, moved), abs=1e-2)


@settings(max_examples=40)
@given(SEEDS)
def test_only_tiles_of_a_kind_change_places_and_powers_of_loads_fall(seed: int) -> None:
    chip, bits, place = drawn(seed)
    kinds = np.random.default_rng(seed).integers(0, 2, place.shape)
    found = relieve_segments(bits, kinds, np.ones(bits.segments), chip, place)
    for segment in range(bits.segments):
        for kind in range(2):
            mine = kinds[segment] == kind
            assert sorted(found[segment][mine]) == sorted(place[segment][mine])
    if bits.segments == 1:
        before, after = (passed(chip, bits, 0, where) for where in (place, found))
        assert (after**4).sum() <= (before**4).sum() * 1.001 or after.max() <= before.max() * 1.001


def test_nothing_moves_where_routers_are_calm() -> None:
    chip, bits, place = drawn(3)
    found = relieve_segments(bits, np.zeros_like(place), np.full(bits.segments, 1e9), chip, place)
    assert (found == place).all()


def test_two_busy_pairs_leave_the_router_they_share() -> None:
    """Four routers in a row, two tiles each; tiles 0-1 and 2-3 talk, but lie crosswise, so all pass routers 0 and 1."""
    chip = Architecture(name="row", mesh_rows=1, mesh_cols=4, tiles_per_router=2)
    bits = Flows(1, 8)
    bits.blocks[0, 0] = np.zeros((8, 8), dtype=np.float32)
    bits.blocks[0, 0][0, 2] = bits.blocks[0, 0][1, 3] = 100.0
    place = relieve_segments(bits, np.zeros((1, 8), dtype=np.int64), np.array([0.1]), chip)
    assert passed(chip, bits, 0, place).max() == 100.0


def test_segments_keep_clear_of_routers_that_others_need_soon() -> None:
    """What the first segment sends passes routers 0 and 1, and cannot move: the second one's pair leaves these."""
    chip = Architecture(name="row", mesh_rows=1, mesh_cols=4, tiles_per_router=1)
    bits = Flows(2, 4)
    for segment in range(2):
        bits.blocks[segment, segment] = np.zeros((4, 4), dtype=np.float32)
        bits.blocks[segment, segment][0, 1] = 100.0
    place = relieve_segments(bits, np.array([np.arange(4), np.zeros(4)], dtype=np.int64), np.array([0.1, 0.1]), chip)
    assert (place[0] == np.arange(4)).all()
    assert (passed(chip, bits, 0, place) + passed(chip, bits, 1, place)).max() == 100.0


def test_segments_meet_within_half_a_bin() -> None:
    assert _meetings(np.full(3, 10.0), 10).tolist() == [[1.0, 0.5, 0.0], [0.5, 1.0, 0.5], [0.0, 0.5, 1.0]]


def test_blocks_are_the_table_cut_by_segments() -> None:
    chip, network = load_architecture("ou-isaac-4x4", {"adc_bits": 5}), load_network("cifar10")
    plan = Candidates(network, chip, "latency").segmented(Setting(0.0))
    assert plan is not None
    problem = problem_of(plan, network, chip)
    table, parts = traffic(problem, plan.segment), flows(problem, plan.segment)
    for (begin, end), block in parts.blocks.items():
        rows, cols = (np.array([len(table) - 1]) if s == OUTSIDE else np.arange(parts.places) + s * parts.places
                      for s in (begin, end))  # fmt: skip
        assert np.array_equal(table[np.ix_(rows, cols)], block)
    assert table.sum() == pytest.approx(sum(block.sum() for block in parts.blocks.values()))


@pytest.mark.parametrize("woven", [0, 4])
def test_homes_stay_where_tiles_are_exchanged(woven: int) -> None:
    """The same bits go from content to content, so that the evaluator counts what was foreseen.

    To 1 %: where homes tie in distance from the middle, too, the lowest tile is one.
    """
    network, chip = load_network("cifar10"), load_architecture("ou-isaac-4x4", {"adc_bits": 5})
    plan = Candidates(network, chip, "latency").segmented(Setting(0.003, woven=woven))
    assert plan is not None
    quiet = exchanged(plan, RelieveSegments(), network, chip)
    assert quiet.moves is not None
    bits = flows(problem_of(replace(plan, moves=None), network, chip), plan.segment, by_tile=True)
    problem = problem_of(quiet, network, chip)
    found = evaluate(assemble(quiet, problem, list_schedule.solve(problem)))
    assert set(found.families) <= SETTLING
    assert found.arrays is not None
    total = np.zeros(chip.mesh_rows * chip.mesh_cols)
    for pair, block in bits.blocks.items():
        alone = Flows(bits.segments, bits.places, {pair: block})
        total += passed(chip, alone, pair[1], quiet.moves)
    assert total == pytest.approx(found.arrays.router_bits, rel=0.01)
