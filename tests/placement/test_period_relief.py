"""Loads of routers hop by hop, and exchanges of tiles that relieve the busiest."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spatem_opt import evaluate, load_architecture, load_network
from spatem_opt.cost.mesh import RouterMesh
from spatem_opt.cost.traffic import traffic
from spatem_opt.evaluator.settling import SETTLING
from spatem_opt.model.architecture import Architecture
from spatem_opt.placement.period_relief import Tiles, relieve_period
from spatem_opt.planning.candidates import Candidates
from spatem_opt.planning.exchanges import period_relieved
from spatem_opt.planning.plan import assemble, problem_of
from spatem_opt.planning.settings import Setting
from spatem_opt.scheduling import list_schedule

SEEDS = st.integers(0, 2**32 - 1)


def drawn(seed: int) -> tuple[Architecture, np.ndarray]:
    """A small mesh, and bits between its tiles and the outside."""
    rng = np.random.default_rng(seed)
    rows, cols, tiles = (int(n) for n in rng.integers(1, 5, 3))
    chip = Architecture(name="mesh", mesh_rows=rows, mesh_cols=cols, tiles_per_router=tiles)
    bits = rng.integers(0, 100, (chip.tiles + 1, chip.tiles + 1)) * (rng.random((chip.tiles + 1, chip.tiles + 1)) < 0.4)
    bits[-1, -1] = 0
    return chip, bits.astype(np.float64)


def walked(chip: Architecture, bits: np.ndarray, router: np.ndarray) -> np.ndarray:
    """Load of every router, hop by hop: along x, then along y; data between tiles of one router pass it once.

    The last tile is the outside.
    """
    load = np.zeros(chip.mesh_rows * chip.mesh_cols)
    for source, target in np.argwhere(bits):
        if source == target:
            continue
        (y, x), (to_y, to_x) = (divmod(int(router[tile]), chip.mesh_cols) for tile in (source, target))
        if source == len(router) - 1:
            y, x = 0, to_x  # the entry of the column (M1)
        elif target == len(router) - 1:
            to_y, to_x = 0, x
        load[y * chip.mesh_cols + x] += bits[source, target]
        while (y, x) != (to_y, to_x):
            x, y = (x + np.sign(to_x - x), y) if x != to_x else (x, y + np.sign(to_y - y))
            load[y * chip.mesh_cols + x] += bits[source, target]
    return load


@settings(max_examples=60)
@given(SEEDS)
def test_loads_are_those_of_walking_every_route(seed: int) -> None:
    chip, bits = drawn(seed)
    tiles = Tiles(bits, chip)
    assert tiles.load == pytest.approx(walked(chip, bits, tiles.router))


@settings(max_examples=60)
@given(SEEDS)
def test_loads_of_a_whole_table_are_those_of_its_rows(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, cols = rng.integers(1, 6, 2).tolist()
    mesh = RouterMesh(Architecture(name="mesh", mesh_rows=rows, mesh_cols=cols))
    bits = rng.uniform(0, 9, (rows * cols, rows * cols))
    assert mesh.loads(bits) == pytest.approx(sum(mesh.sent(router, to) for router, to in enumerate(bits)))


@settings(max_examples=60)
@given(SEEDS)
def test_loads_after_an_exchange_are_those_of_walking_again(seed: int) -> None:
    chip, bits = drawn(seed)
    tiles = Tiles(bits, chip)
    one, other = np.random.default_rng(seed).integers(chip.tiles, size=2).tolist()
    load = tiles.exchanged(one, other) if one != other else tiles.load
    assert load == pytest.approx(walked(chip, bits, tiles.router), abs=1e-6)


@settings(max_examples=30)
@given(SEEDS)
def test_tiles_change_places_and_the_load_told_is_true(seed: int) -> None:
    chip, bits = drawn(seed)
    place, load = relieve_period(bits, chip, 1.0, 200)
    assert sorted(place) == list(range(chip.tiles))
    router = np.append(place // chip.tiles_per_router, 0)
    assert load == pytest.approx(walked(chip, bits, router).max(), abs=1e-6)


def test_nothing_moves_where_routers_are_calm() -> None:
    chip, bits = drawn(3)
    place, _ = relieve_period(bits, chip, 1e9)
    assert (place == np.arange(chip.tiles)).all()


def test_two_busy_pairs_leave_the_router_they_share() -> None:
    """Four routers in a row, two tiles each; tiles 0-1 and 2-3 talk, but lie crosswise, so all pass routers 0 and 1."""
    chip = Architecture(name="row", mesh_rows=1, mesh_cols=4, tiles_per_router=2)
    bits = np.zeros((9, 9))
    bits[0, 2] = bits[1, 3] = 100.0
    _, load = relieve_period(bits, chip, 100.0)
    assert load == 100.0


@pytest.mark.parametrize("name", ["lenet5", "cifar10"])
def test_the_evaluator_counts_the_same_load_and_the_plan_stays_valid(name: str) -> None:
    """Exactly so for chains: no tile reads one node for two readers."""
    network, chip = load_network(name), load_architecture("ou-isaac-4x4", {"adc_bits": 5})
    plan = Candidates(network, chip, "throughput").steady(Setting(0.0, steady=1.0))
    assert plan is not None
    plan = period_relieved(plan, problem_of(plan, network, chip))
    problem = problem_of(plan, network, chip)
    found = evaluate(assemble(plan, problem, list_schedule.solve(problem)))
    assert set(found.families) <= SETTLING
    assert found.arrays is not None
    bits = traffic(problem, plan.segment, by_tile=True)
    assert Tiles(bits, chip).load.max() == pytest.approx(found.arrays.router_bits.max(), rel=1e-6)
