"""Balancing copies in one segment: optimal for its objective, by brute force."""

from __future__ import annotations

from itertools import product
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from spatem_opt.cost.grid import Grid, make_grid
from spatem_opt.grouping.tiling import Tiling, slot_options, tiling_for_serial
from spatem_opt.model.architecture import Architecture
from spatem_opt.model.solution import MappingOption
from spatem_opt.network.builder import Builder
from spatem_opt.planning import one_segment
from spatem_opt.planning.one_segment import balance_segment
from spatem_opt.replication.layout import Allocation
from spatem_opt.testing import random_chip, random_network
from tests.oracles import replication_bounds, replication_referee
from tests.oracles.replication_problem import ReplicationProblem, solution_of

SEEDS = st.integers(0, 2**32 - 1)


def drawn(seed: int, layers: int) -> tuple[tuple[Grid, ...], Architecture]:
    """Im2col grids of a random network's layers."""
    rng = np.random.default_rng(seed)
    network, chip = random_network(rng, layers), random_chip(rng)
    return tuple(make_grid(network.nodes[i], MappingOption(), chip) for i in network.layers), chip


def interval(grid: Grid, shape: Tiling, chip: Architecture) -> int:
    """The step's surrogate: copies of one tile share its port, data are spread evenly (formulations/replication)."""
    together = max(1, chip.crossbars_per_tile // shape.crossbars)
    load = -(-grid.window_input_bits * together // chip.buffer_bits_per_cycle)
    compute = grid.phases * shape.serial
    return max(compute, load) if chip.overlap_input else compute + load


def choices(grid: Grid, chip: Architecture, budget: int) -> set[tuple[int, int]]:
    """(crossbars, cycles) of every shape with every number of copies that fits the budget."""
    per_tile = chip.crossbars_per_tile
    shapes = {tiling_for_serial(grid, serial, per_tile) for serial in slot_options(chip.ou_slots).tolist()} - {None}
    return {
        (copies * shape.crossbars, -(-grid.windows // copies) * interval(grid, shape, chip))
        for shape in shapes
        if shape is not None
        for copies in range(1, min(grid.windows, budget // shape.crossbars) + 1)
    }


def undominated(points: set[tuple[int, int]]) -> list[tuple[int, int]]:
    """Points that no other one beats in both."""
    kept: list[tuple[int, int]] = []
    for crossbars, cycles in sorted(points):
        if not kept or cycles < kept[-1][1]:
            kept.append((crossbars, cycles))
    return kept


def slowest(grids: tuple[Grid, ...], found: list[Allocation], chip: Architecture) -> int:
    """Objective of a balance."""
    return max(
        -(-grid.windows // len(a.position)) * interval(grid, a.shape, chip)
        for grid, a in zip(grids, found, strict=True)
    )


@settings(max_examples=80)
@given(SEEDS, st.integers(1, 12))
def test_optimal_by_brute_force(seed: int, budget: int) -> None:
    grids, chip = drawn(seed, 3)
    assume(len(grids) <= 3)
    budget = min(budget, chip.crossbars)
    points = [undominated(choices(grid, chip, budget)) for grid in grids]
    values = [max(c for _, c in pick) for pick in product(*points) if sum(n for n, _ in pick) <= budget]
    found = balance_segment(grids, chip, crossbars=budget)
    assert (found is None) == (not values)
    if found is not None:
        assert slowest(grids, found, chip) == min(values)
        assert sum(len(a.position) * a.shape.crossbars for a in found) <= budget


@settings(max_examples=80)
@given(SEEDS)
def test_the_referee_accepts_it_and_the_bound_holds(seed: int) -> None:
    grids, chip = drawn(seed, 4)
    found = balance_segment(grids, chip)
    assume(found is not None)
    assert found is not None
    problem = ReplicationProblem(chip, tuple((grid,) for grid in grids))
    verdict = replication_referee.check(problem, solution_of(problem, grids, found))
    assert verdict.violations == ()
    bound = replication_bounds.one_segment(problem)
    assert verdict.cycles is not None
    assert bound is not None
    assert max(replication_bounds.cycles(problem).values()) <= bound <= verdict.cycles


@settings(max_examples=80)
@given(SEEDS)
def test_more_crossbars_are_never_slower(seed: int) -> None:
    grids, chip = drawn(seed, 3)
    shapes = {id(grid): one_segment._choices(grid, chip) for grid in grids}  # the same for every budget
    with patch.object(one_segment, "_choices", lambda grid, _: shapes[id(grid)]):
        paces = [
            slowest(grids, found, chip)
            for budget in range(1, chip.crossbars + 1, max(1, chip.crossbars // 12))
            if (found := balance_segment(grids, chip, crossbars=budget)) is not None
        ]
    assert paces == sorted(paces, reverse=True)


@pytest.mark.parametrize(("crossbars", "pace"), [(1, None), (2, 1024), (5, 512), (16, 128), (40, 64)])
def test_by_hand(crossbars: int, pace: int | None) -> None:
    """Two equal layers of 4 OUs and 16 windows on crossbars of 4 slots, 16 phases, ports that never bind.

    A layer on one crossbar takes 16 windows x 4 OUs x 16 phases = 1024 cycles. 2 crossbars: one each. 5: two each, one
    left over. 16: eight each. 40: twenty each, but 5 copies of 4 still run ceil(16 / 5) = 4 windows of 16 cycles.
    """
    chip = Architecture(
        name="hand", mesh_rows=1, mesh_cols=1, tiles_per_router=1, pes_per_tile=1, crossbars_per_pe=40,
        crossbar_rows=4, crossbar_cols=4, ou_rows=2, ou_cols=2, weight_bits=2, cell_bits=2, overlap_input=True,
        buffer_bits_per_cycle=10**9,
    )  # fmt: skip
    b = Builder("two")
    b.conv(b.conv(b.input(4, 4, 4), 4, 1), 4, 1)
    network = b.build()
    grids = tuple(make_grid(network.nodes[i], MappingOption(), chip) for i in network.layers)
    found = balance_segment(grids, chip, crossbars=crossbars)
    assert (None if found is None else slowest(grids, found, chip)) == pace
