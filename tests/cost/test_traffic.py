"""Traffic between routers against the evaluator's count, and exchanges against enumeration."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from spatem_opt import evaluate, load_architecture, load_network
from spatem_opt.cost.traffic import _by_owner, traffic
from spatem_opt.evaluator.settling import SETTLING
from spatem_opt.model.architecture import Architecture
from spatem_opt.placement.shortening import shorten
from spatem_opt.planning.baselines import BASELINES
from spatem_opt.planning.candidates import Candidates
from spatem_opt.planning.exchanges import Shorten, exchanged
from spatem_opt.planning.plan import assemble, problem_of
from spatem_opt.planning.settings import Setting
from spatem_opt.scheduling import list_schedule


def mesh(architecture: Architecture) -> tuple[np.ndarray, np.ndarray]:
    """Hops between routers, and from the outside."""
    y, x = np.divmod(np.arange(architecture.mesh_rows * architecture.mesh_cols), architecture.mesh_cols)
    across = 0 if architecture.input_entry == "columns" else x
    return 1 + abs(y[:, None] - y) + abs(x[:, None] - x), 1 + y + across


@pytest.mark.parametrize(
    ("name", "preset"), [("lenet5", "ou-isaac-4x4"), ("cifar10", "ou-isaac-4x4"), ("lenet5", "ou-isaac")]
)
@pytest.mark.parametrize("price", [0.0, 0.3])
def test_bits_times_hops_are_what_the_evaluator_counts(name: str, preset: str, price: float) -> None:
    """Exactly so for chains: no tile reads one node for two readers. Tiles of one router are one hop apart."""
    chip = load_architecture(preset, {"adc_bits": 5})
    plan = Candidates(load_network(name), chip, "latency").segmented(Setting(price))
    assert plan is not None
    problem = problem_of(plan, load_network(name), chip)
    found = evaluate(assemble(plan, problem, list_schedule.solve(problem))).communication
    bits = traffic(problem, plan.segment)
    hops, outside = mesh(chip)
    segments = int(plan.segment.max()) + 1
    total = (bits[:-1, :-1] * np.tile(hops, (segments, segments))).sum()
    total += ((bits[:-1, -1] + bits[-1, :-1]) * np.tile(outside, segments)).sum()
    assert found is not None
    assert total == pytest.approx(found.feature_map_bit_hops + found.partial_sum_bit_hops, rel=1e-6)


@pytest.mark.parametrize("baseline", list(BASELINES))
def test_moves_shorten_the_way_and_keep_the_solution_valid(baseline: str) -> None:
    chip, network = load_architecture("ou-isaac-4x4", {"adc_bits": 5}), load_network("cifar10")
    plan = BASELINES[baseline](network, chip)
    if plan is None:
        pytest.skip("does not fit")
    problem = problem_of(plan, network, chip)
    before = evaluate(assemble(plan, problem, list_schedule.solve(problem)))
    better = exchanged(plan, Shorten(), network, chip)
    moved = problem_of(better, network, chip)
    after = evaluate(assemble(better, moved, list_schedule.solve(moved)))
    assert set(after.families) <= SETTLING
    assert before.communication is not None
    assert after.communication is not None
    assert after.communication.buffer_read_bits == before.communication.buffer_read_bits
    assert after.communication.total <= before.communication.total


def cost(bits: np.ndarray, place: np.ndarray, architecture: Architecture) -> float:
    """Bits times hops, tiles of one router 0.7 apart."""
    hops, outside = mesh(architecture)
    hops = hops - 0.3 * np.eye(len(hops))
    inner = bits[:-1, :-1] * hops[np.ix_(place, place)]
    return float(inner.sum() + ((bits[:-1, -1] + bits[-1, :-1]) * outside[place]).sum())


@pytest.mark.parametrize("seed", range(8))
def test_no_exchange_of_two_is_left_and_the_optimum_is_near(seed: int) -> None:
    """Two segments on four routers: against all placements of both."""
    rng = np.random.default_rng(seed)
    chip = Architecture(name="mesh", mesh_rows=2, mesh_cols=2, tiles_per_router=1, adc_bits=5)
    bits = rng.integers(0, 100, (9, 9)) * (rng.random((9, 9)) < 0.5).astype(float)
    np.fill_diagonal(bits, 0)
    place = shorten(bits, chip, np.ones((2, 4), dtype=np.bool_))
    assert [sorted(row) for row in place.tolist()] == [[0, 1, 2, 3]] * 2
    found = cost(bits, place.ravel(), chip)
    assert found <= cost(bits, np.tile(np.arange(4), 2), chip)
    for segment in range(2):
        for i in range(4):
            for k in range(i):
                other = place.copy()
                other[segment, [i, k]] = other[segment, [k, i]]
                assert found <= cost(bits, other.ravel(), chip) * (1 + 1e-9)
    best = min(cost(bits, np.array([*a, *b]), chip) for a in permutations(range(4)) for b in permutations(range(4)))
    assert found <= 1.15 * best


@pytest.mark.parametrize("allowed", [[[True, False], [True, True]], [[False, False], [True, False]]])
def test_a_lone_router_stays(allowed: list[list[bool]]) -> None:
    chip = Architecture(name="mesh", mesh_rows=1, mesh_cols=2, tiles_per_router=1, adc_bits=5)
    place = shorten(np.ones((5, 5)), chip, np.array(allowed))
    assert sorted(place[1].tolist()) == [0, 1]
    assert place[0].tolist() == [0, 1]


def test_routers_outside_the_region_stay_empty() -> None:
    chip = Architecture(name="mesh", mesh_rows=1, mesh_cols=4, tiles_per_router=1, adc_bits=5)
    bits = np.zeros((9, 9))
    bits[0, 7] = 100.0  # first router of segment 0 to the last of segment 1
    allowed = np.array([[True, True, False, False], [False, False, True, True]])
    place = shorten(bits, chip, allowed)
    assert place.tolist() == [[1, 0, 2, 3], [0, 1, 3, 2]]


@pytest.mark.parametrize("share", [0.0, 0.05, 0.6, 1.0])
def test_pixels_are_counted_by_owner(share: float) -> None:
    """Few of them one by one, many along sorted columns; an owner may have none."""
    rng = np.random.default_rng(0)
    pixels, owner = rng.random((5, 40)) < share, rng.choice([0, 2, 3, 6], 40)
    expected = [[int(line[owner == k].sum()) for k in range(8)] for line in pixels]
    assert _by_owner(pixels, owner, 8).tolist() == expected
