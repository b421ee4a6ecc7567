"""One segment for throughput: its pace against enumeration of all ways, and what it allocates against the referee."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spatem_opt import load_architecture, load_network
from spatem_opt.model.architecture import Architecture
from spatem_opt.planning.candidates import Candidates
from spatem_opt.planning.settings import Setting
from spatem_opt.replication.modes import Modes
from spatem_opt.replication.throughput import ThroughputLayers, least_period
from tests.oracles import replication_bounds, replication_referee
from tests.oracles.replication_problem import ReplicationProblem, solution_of

SEEDS = st.integers(0, 2**32 - 1)
CHIP = Architecture(
    name="chip", mesh_rows=2, mesh_cols=2, tiles_per_router=1, pes_per_tile=1, crossbars_per_pe=5,
    router_bits_per_cycle=4,
)  # fmt: skip
"""20 crossbars, routers for 16 bits a cycle."""
FREE = 1e6
"""Share of the routers at which they never bind."""


def random_ways(rng: np.random.Generator) -> list[Modes]:
    """Three layers of up to five ways, two of them perhaps of one kind."""
    kinds = [_layer(rng, int(rng.integers(1, 6))) for _ in range(3)]
    return [kinds[0], kinds[int(rng.integers(0, 2))], kinds[2]]


def _layer(rng: np.random.Generator, ways: int) -> Modes:
    one, crossbars = np.ones(ways, dtype=np.int64), rng.integers(1, 12, ways)
    bits = rng.integers(1, 200, ways).astype(np.float64)
    return Modes(0 * one, (), one, one, one, crossbars, rng.integers(5, 60, ways), bits, bits)


def enumerated(options: list[Modes], share: float, fill: float) -> float | None:
    """Least pace over all combinations of ways that the chip has crossbars for: of the slowest layer, or of routers."""
    found = []
    for picked in product(*(range(len(way.cycles)) for way in options)):
        chosen = list(zip(options, picked, strict=True))
        pace = float(max(way.cycles[k] for way, k in chosen))
        sent = sum(float(way.hop_bits[k]) for way, k in chosen)
        if sum(int(way.crossbars[k]) for way, k in chosen) <= fill * 20:
            found.append(max(pace, sent / (share * 16)))
    return min(found, default=None)


@settings(max_examples=200)
@given(SEEDS, st.sampled_from([0.6, 0.9, 1.0]))
def test_the_least_pace_of_all_combinations_where_routers_do_not_bind(seed: int, fill: float) -> None:
    options = random_ways(np.random.default_rng(seed))
    found = least_period(ThroughputLayers(options, CHIP, FREE, fill))
    assert (None if found is None else found.cost) == enumerated(options, FREE, fill)


@settings(max_examples=200)
@given(SEEDS, st.sampled_from([0.2, 0.5, 1.0]))
def test_what_is_picked_keeps_the_pace_and_fits_crossbars_and_routers(seed: int, share: float) -> None:
    options = random_ways(np.random.default_rng(seed))
    found, best = least_period(ThroughputLayers(options, CHIP, share, 1.0)), enumerated(options, share, 1.0)
    if found is None:
        return
    chosen = list(zip(options, found.way, strict=True))
    assert best is not None
    assert best <= found.cost
    assert all(way.cycles[k] <= found.cost for way, k in chosen)
    assert sum(way.crossbars[k] for way, k in chosen) <= 20
    assert sum(way.hop_bits[k] for way, k in chosen) <= share * 16 * found.cost


@settings(max_examples=100)
@given(SEEDS)
def test_it_is_the_least_of_the_paces_tried(seed: int) -> None:
    layers = ThroughputLayers(random_ways(np.random.default_rng(seed)), CHIP, FREE, 1.0)
    found = least_period(layers)
    feasible = [pace for pace in layers.paces().tolist() if layers.pick(pace) is not None]
    assert (None if found is None else found.cost) == min(feasible, default=None)


def test_spare_crossbars_are_spent_on_less_traffic() -> None:
    """Two ways of the same pace: 5 crossbars and 100 bits, or 15 and 10. A layer alone affords the second."""
    one = np.ones(2, dtype=np.int64)
    bits = np.array([100.0, 10.0])
    way = Modes(0 * one, (), one, one, one, np.array([5, 15]), np.array([30, 30]), bits, bits)
    alone, two = ThroughputLayers([way], CHIP, 1.0, 1.0).pick(30), ThroughputLayers([way, way], CHIP, 1.0, 1.0).pick(30)
    assert alone is not None
    assert two is not None
    assert (alone.tolist(), two.tolist()) == ([1], [0])


CASES = [("lenet5", "ou-isaac-4x4"), ("cifar10", "ou-isaac-4x4"), ("cifar10", "ou-isaac")]


@pytest.mark.parametrize(("name", "preset"), CASES)
def test_the_referee_accepts_the_allocation(name: str, preset: str) -> None:
    made = Candidates(load_network(name), load_architecture(preset, {"adc_bits": 5}), "throughput")
    plan = made.steady(Setting(0.0, steady=1.0))
    assert plan is not None
    problem = ReplicationProblem(made.architecture, tuple(made.grids))
    verdict = replication_referee.check(problem, solution_of(problem, plan.grids, plan.allocations))
    assert verdict.violations == ()
    assert verdict.cycles is not None
    assert max(replication_bounds.cycles(problem).values()) <= verdict.cycles
