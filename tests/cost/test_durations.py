"""Cost model and scheduler against the independent evaluator, on random networks, chips and plans."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from spatem_opt.cost.durations import hops, rectangle_ous, transfer_cycles
from spatem_opt.cost.grid import make_grid
from spatem_opt.cost.placed import PlacedNetwork, Times
from spatem_opt.evaluator import evaluate
from spatem_opt.evaluator import events as ev
from spatem_opt.evaluator.settling import SETTLING
from spatem_opt.grouping.tile_parts import rectangles
from spatem_opt.model.architecture import Architecture
from spatem_opt.network.layers import Network
from spatem_opt.planning.plan import Plan, assemble, problem_of
from spatem_opt.scheduling import list_schedule
from spatem_opt.testing import (
    UNCOUNTED,
    random_chip,
    random_network,
    random_option,
    random_plan,
    random_shape,
)
from spatem_opt.types import OUTSIDE

SEEDS = st.integers(0, 2**32 - 1)


def drawn(seed: int) -> tuple[Network, Architecture, Plan]:
    """A random network on a random chip with a random plan that fits; the example is given up if none does."""
    rng = np.random.default_rng(seed)
    network = random_network(rng)
    for _ in range(8):
        chip = random_chip(rng)
        plan = random_plan(rng, network, chip)
        if plan is not None:
            return network, chip, plan
    assume(False)
    raise AssertionError


def scheduled(seed: int, **fields: int) -> tuple[Plan, PlacedNetwork, Times]:
    """A random plan, its scheduling problem and the schedule; ``fields`` of the chip are changed."""
    network, chip, plan = drawn(seed)
    chip = replace(chip, **fields)  # type: ignore[arg-type]
    problem = problem_of(plan, network, chip)
    return plan, problem, list_schedule.solve(problem)


@settings(max_examples=60)
@given(SEEDS)
def test_the_evaluator_confirms_the_schedule(seed: int) -> None:
    """Without queues as it is; with them only its reservations are too short, and no node is done earlier."""
    plan, problem, times = scheduled(seed)
    found = evaluate(assemble(plan, problem, times))
    assert set(found.families) <= {*UNCOUNTED, *SETTLING}
    assert found.queue_free_cycles == times.latency
    assert found.nodes is not None
    assert all(int(done.max()) <= end for done, end in zip(times.done, found.nodes.end.tolist(), strict=True))


@settings(max_examples=60)
@given(SEEDS)
def test_durations_are_the_evaluators(seed: int) -> None:
    plan, problem, times = scheduled(seed)
    table = evaluate(assemble(plan, problem, times)).layers
    assert table is not None
    for name, column in (
        ("compute", table.compute_cycles),
        ("load", table.load_cycles),
        ("interval", table.interval_cycles),
        ("sum_delay", table.sum_delay_cycles),
    ):
        assert [int(getattr(p, name).max()) for p in problem.placed] == column.tolist(), name


@settings(max_examples=40)
@given(SEEDS)
def test_port_bits_are_the_evaluators(seed: int) -> None:
    plan, problem, times = scheduled(seed)
    assume(problem.architecture.input_load == "needed")
    found = evaluate(assemble(plan, problem, times)).communication
    windows = (problem.chunks.last - problem.chunks.first) // problem.chunks.step + 1
    total = 0
    for layer, placed in enumerate(problem.placed):
        mine = problem.chunks.layer == layer
        per_copy = np.bincount(problem.chunks.copy[mine], windows[mine], placed.copies)
        total += int((per_copy[placed.pair_copy] * placed.pair_bits).sum())
    assert found is not None
    assert found.buffer_read_bits == total


@settings(max_examples=40)
@given(SEEDS)
def test_operations_are_the_evaluators(seed: int) -> None:
    plan, problem, times = scheduled(seed)
    found = evaluate(assemble(plan, problem, times)).utilization
    assert found is not None
    assert found.ou_operations == sum(grid.operations for grid in plan.grids)


@settings(max_examples=40)
@given(SEEDS)
def test_done_times_are_the_evaluators(seed: int) -> None:
    """Routers and ports that pass a whole inference within a cycle: of queues only fractions of a cycle are left."""
    plan, problem, times = scheduled(seed, router_bits_per_cycle=2**30, buffer_bits_per_cycle=2**30)
    table = evaluate(assemble(plan, problem, times)).nodes
    assert table is not None
    assert [int(done.max()) for done in times.done] == table.end.tolist()


@settings(max_examples=40)
@given(SEEDS)
def test_rectangle_counts_add_up(seed: int) -> None:
    """Existing OUs in random rectangles, against the table of all OUs."""
    rng = np.random.default_rng(seed)
    network, chip = random_network(rng), random_chip(rng)
    node = network.nodes[network.layers[0]]
    grid = make_grid(node, random_option(rng, node, chip), chip)
    one = np.ones((len(grid.rows), len(grid.cols))) if grid.exists is None else grid.exists
    table = np.kron(np.eye(grid.weights.groups), one)
    rows = np.sort(rng.integers(0, table.shape[0] + 1, (20, 2)), axis=1)
    cols = np.sort(rng.integers(0, table.shape[1] + 1, (20, 2)), axis=1)
    rect = np.concatenate([rows, cols], axis=1)
    assert rectangle_ous(grid, rect).tolist() == [int(table[a:b, c:d].sum()) for a, b, c, d in rect]


@settings(max_examples=40)
@given(SEEDS)
def test_a_shapes_serial_is_what_its_fullest_crossbar_computes(seed: int) -> None:
    """The shape's own m is never below the OUs that its rectangles really hold."""
    rng = np.random.default_rng(seed)
    network, chip = random_network(rng), random_chip(rng)
    node = network.nodes[network.layers[-1]]
    grid = make_grid(node, random_option(rng, node, chip), chip)
    shape = random_shape(rng, grid, chip)
    assume(shape is not None)
    assert shape is not None
    rect = rectangles(grid, shape)
    assert np.bincount(rect[:, 0], rectangle_ous(grid, rect[:, 1:])).max() <= shape.serial


@settings(max_examples=40)
@given(SEEDS, st.sampled_from(["columns", "corner"]))
def test_hops_are_the_evaluators(seed: int, entry: str) -> None:
    rng = np.random.default_rng(seed)
    chip = replace(random_chip(rng), input_entry=entry)  # type: ignore[arg-type]
    arena = np.zeros(ev.T0 + ev.KEY_SPAN + 1, dtype=np.int64)
    arena[ev.T0 + ev.TILES], arena[ev.T0 + ev.MESH_COLS] = chip.tiles, chip.mesh_cols
    arena[ev.T0 + ev.PER_ROUTER], arena[ev.T0 + ev.COLUMNS] = chip.tiles_per_router, entry == "columns"
    places = np.append(np.arange(chip.tiles), OUTSIDE)
    found = hops(chip, places[:, None], places)
    counted = [[ev._hops.py_func(arena, s, d) for d in range(chip.tiles + 1)] for s in range(chip.tiles + 1)]
    assert found.tolist() == counted  # tile number chip.tiles is the outside there


CHIP = Architecture(name="tiny", mesh_rows=3, mesh_cols=4, tiles_per_router=2, router_bits_per_cycle=10, hop_cycles=3)


@pytest.mark.parametrize(
    ("source", "target", "distance"),
    [
        (0, 0, 0),  # the same tile
        (0, 1, 1),  # another tile of the same router
        (0, 2, 2),  # next router to the right: both routers count
        (0, 8, 2),  # next router below
        (1, 23, 1 + 2 + 3),  # opposite corners of 3 x 4 routers
        (OUTSIDE, 0, 1),  # enters at router (0, 0)
        (OUTSIDE, 6, 1),  # every column has an entry of its own
        (OUTSIDE, 23, 3),
        (23, OUTSIDE, 3),
    ],
)
def test_hops(source: int, target: int, distance: int) -> None:
    assert int(hops(CHIP, np.array(source), np.array(target))) == distance


@pytest.mark.parametrize(
    ("source", "target", "distance"), [(OUTSIDE, 0, 1), (OUTSIDE, 6, 4), (23, OUTSIDE, 6), (0, 23, 6)]
)
def test_hops_by_a_corner(source: int, target: int, distance: int) -> None:
    """Router (0, 0) is the only entry: tile 6 is at router (0, 3), tile 23 at (2, 3)."""
    chip = replace(CHIP, input_entry="corner")
    assert int(hops(chip, np.array(source), np.array(target))) == distance


@pytest.mark.parametrize(
    ("source", "target", "bits", "cycles"),
    [
        (0, 2, 25, 2 * 3 + 3),  # two routers, 25 bits at 10 per cycle
        (0, 2, 0, 0),  # nothing to send
        (5, 5, 100, 0),  # nowhere to go
        (0, 1, 10, 3 + 1),
    ],
)
def test_transfer_cycles(source: int, target: int, bits: int, cycles: int) -> None:
    assert int(transfer_cycles(CHIP, np.array(source), np.array(target), np.array(bits))) == cycles
