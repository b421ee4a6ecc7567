"""The search for cuts: its shortest path against all cuts, and what it allocates against the referee."""

from __future__ import annotations

from functools import cache
from itertools import pairwise, product

import numpy as np
import pytest

from spatem_opt import load_architecture, load_network
from spatem_opt.model.architecture import Architecture
from spatem_opt.network.builder import Builder
from spatem_opt.network.layers import Network
from spatem_opt.planning.candidates import Candidates
from spatem_opt.planning.settings import Setting
from spatem_opt.replication import segmentation
from tests.oracles import replication_bounds, replication_referee
from tests.oracles.replication_problem import ReplicationProblem, solution_of

SEEDS = range(12)


def chip(seed: int) -> Architecture:
    """A chip of 2 to 8 tiles with crossbars of 9 to 16 slots, narrow routers."""
    rng = np.random.default_rng(seed)
    return Architecture(
        name="chip", mesh_rows=int(rng.integers(1, 3)), mesh_cols=int(rng.integers(2, 5)), tiles_per_router=1,
        pes_per_tile=1, crossbars_per_pe=int(rng.integers(4, 9)), crossbar_rows=4 * int(rng.integers(3, 5)),
        crossbar_cols=12, ou_rows=4, ou_cols=4, weight_bits=4, cell_bits=2, activation_bits=4,
        router_bits_per_cycle=64, buffer_bits_per_cycle=int(rng.integers(20, 200)),
    )  # fmt: skip


def four_layers(seed: int) -> Network:
    """Four convolutions, the last two side by side and added."""
    rng = np.random.default_rng(seed)
    b = Builder("four")
    x = b.conv(b.input(int(rng.integers(1, 4)), 6, 6), int(rng.integers(2, 9)), 3, pads=1)
    x = b.conv(x, int(rng.integers(2, 9)), 3, stride=int(rng.integers(1, 3)))
    filters = int(rng.integers(2, 9))
    b.add(b.conv(x, filters, 1), b.conv(x, filters, 3, pads=1))
    return b.build()


def runs(seed: int, price: float) -> segmentation.SegmentPrices:
    """Prices of all runs of a random four-layer network."""
    network, architecture = four_layers(seed), chip(seed)
    return segmentation.SegmentPrices(
        Candidates(network, architecture, "latency").ways(Setting(0.0)), network, architecture, price
    )


def all_cuts(layers: int) -> list[list[tuple[int, int]]]:
    """Every way to cut the layers into consecutive runs (first, stop)."""
    found = []
    for marks in product([False, True], repeat=layers - 1):
        edges = [0, *(i + 1 for i, mark in enumerate(marks) if mark), layers]
        found.append(list(pairwise(edges)))
    return found


def brute_force(table: segmentation.SegmentPrices, fill: float) -> float:
    """Least cost over all cuts and all slots that fit a crossbar together."""
    layers = len(table.options)
    costs = np.full((layers, layers, len(table.slots)), np.inf)
    for first in range(layers):
        possible = table.costs(first, fill)
        costs[first, : len(possible)] = possible
    best = np.inf
    for cuts in all_cuts(len(table.options)):
        for slots in product(range(len(table.slots)), repeat=len(cuts)):
            if sum(int(table.slots[s]) for s in slots) <= table.architecture.ou_slots:
                cost = sum(costs[first, stop - first - 1, s] for (first, stop), s in zip(cuts, slots, strict=True))
                best = min(best, float(cost))
    return best


@pytest.mark.parametrize("price", [0.0, 0.01])
@pytest.mark.parametrize("seed", SEEDS)
def test_the_shortest_path_is_the_best_of_all_cuts(seed: int, price: float) -> None:
    table = runs(seed, price)
    found, best = segmentation.best_segmentation(table, fill=0.97), brute_force(table, 0.97)
    assert (found.cost if found is not None else np.inf) == pytest.approx(best)


@pytest.mark.parametrize("seed", SEEDS)
def test_more_of_the_chip_never_costs_more(seed: int) -> None:
    table = runs(seed, 0.0)
    costs = [segmentation.best_segmentation(table, fill=fill) for fill in (0.4, 0.7, 1.0)]
    found = [np.inf if cuts is None else cuts.cost for cuts in costs]
    assert found == sorted(found, reverse=True)


@cache
def candidates(name: str, preset: str) -> Candidates:
    """Plans of a shipped network."""
    return Candidates(load_network(name), load_architecture(preset), "latency")


CASES = [("lenet5", "ou-isaac-2x2"), ("lenet5", "ou-isaac-4x4"), ("cifar10", "ou-isaac-4x4"), ("cifar10", "ou-isaac")]


@pytest.mark.parametrize("price", [0.0, 0.1])
@pytest.mark.parametrize(("name", "preset"), CASES)
def test_the_referee_accepts_the_allocation(name: str, preset: str, price: float) -> None:
    made = candidates(name, preset)
    plan = made.segmented(Setting(price))
    assert plan is not None
    problem = ReplicationProblem(made.architecture, tuple(made.grids))
    verdict = replication_referee.check(problem, solution_of(problem, plan.grids, plan.allocations))
    assert verdict.violations == ()
    assert verdict.cycles is not None
    assert max(replication_bounds.cycles(problem).values()) <= verdict.cycles


@pytest.mark.parametrize("seed", SEEDS)
def test_the_menu_of_slots_goes_from_one_to_all(seed: int) -> None:
    table = runs(seed, 0.0)
    assert (table.slots[0], table.slots[-1]) == (1, table.architecture.ou_slots)
    assert (np.diff(table.slots) > 0).all()


def test_lags_of_a_chain_by_hand() -> None:
    """3x3 over 8 rows with padding: the last two of 8 output rows read the last input row, so a layer trails by 2/8."""
    b = Builder("chain")
    x = b.input(1, 8, 8)
    for _ in range(3):
        x = b.conv(x, 1, 3, pads=1)
    _, after = segmentation.pipeline_lags(b.build())
    assert np.diff(after).tolist() == pytest.approx([0.25, 0.25])
