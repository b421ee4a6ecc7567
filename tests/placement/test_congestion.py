"""What routers pass segment by segment: footprints, loads against exact traffic, queues by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from spatem_opt import load_architecture, load_network
from spatem_opt.cost.durations import column_ous, place
from spatem_opt.cost.grid import make_grid
from spatem_opt.cost.mesh import RouterMesh
from spatem_opt.cost.traffic import traffic
from spatem_opt.grouping.tile_parts import outlines, rectangles
from spatem_opt.grouping.tiling import Tiling
from spatem_opt.model.architecture import Architecture
from spatem_opt.model.solution import MappingOption
from spatem_opt.network import Network
from spatem_opt.network import receptive as r
from spatem_opt.network.builder import Builder
from spatem_opt.placement.congestion import _read_by, footprint, loads, serve
from spatem_opt.planning.candidates import Candidates
from spatem_opt.planning.plan import Plan, problem_of
from spatem_opt.planning.settings import Setting
from spatem_opt.replication.layout import Allocation, column_blocks
from spatem_opt.testing import random_chip, random_network, random_option, random_shape
from spatem_opt.tuning import PlacingTuning

SEEDS = st.integers(0, 2**32 - 1)


@settings(max_examples=80)
@given(SEEDS)
def test_outlines_have_in_every_tile_what_rectangles_have(seed: int) -> None:
    """Where parts keep to tiles: half a tile of an odd number of crossbars may straddle two."""
    rng = np.random.default_rng(seed)
    network, chip = random_network(rng, 2), random_chip(rng)
    node = network.nodes[int(rng.choice(network.layers))]
    grid = make_grid(node, random_option(rng, node, chip), chip)
    shape = random_shape(rng, grid, chip)
    assume(shape is not None)
    assert shape is not None
    assume(shape.crossbars <= chip.crossbars)
    assume(shape.parts == 1 or chip.crossbars_per_tile % shape.size == 0)
    found = []
    for rect in (rectangles(grid, shape), outlines(grid, shape)):
        placed = place(grid, chip, np.zeros(len(rect), dtype=np.int64), rect[:, 0], rect[:, 1:])
        tile = rect[:, 0] // chip.crossbars_per_tile
        ous = column_ous(grid, tile, rect[:, 1:], chip.tiles)
        found.append((placed.pair_tile, placed.channels_read(), placed.home, ous))
    for one, other in zip(*found, strict=True):
        assert np.array_equal(one, other)


def test_a_footprint_says_who_reads_what_and_whose_the_outputs_are() -> None:
    """A grid of 4 x 2 OUs in two tiles, three rows in the first: it reads three quarters, and is home of everything.

    The second tile sends it the partial sums of all 4 columns of cells, 8 bits each.
    """
    chip = Architecture(
        name="hand", mesh_rows=1, mesh_cols=2, tiles_per_router=1, pes_per_tile=1, crossbars_per_pe=3, crossbar_rows=8,
        crossbar_cols=4, ou_rows=2, ou_cols=2, weight_bits=2, cell_bits=2, partial_sum_bits=8,
    )  # fmt: skip
    b = Builder("one")
    b.conv(b.input(8, 2, 2), 4, 1)
    grid = make_grid(b.build().nodes[1], MappingOption(), chip)
    assert grid.shape == (4, 2)
    found = footprint(grid, Tiling(1, 4, 2, 4, 1, 2), chip)
    assert found.reads.tolist() == [0.75, 0.25]
    assert found.counts.tolist() == [[3], [1]]
    assert found.share.tolist() == [1.0]
    assert found.bits.tolist() == [float(grid.partial_sum_bits * grid.column_sums().sum())]


def exact(plan: Plan, network: Network, chip: Architecture) -> np.ndarray:
    """Cycles of every router for what each segment sends, and for what it reads from the outside."""
    routers = chip.mesh_rows * chip.mesh_cols
    bits = traffic(problem_of(plan, network, chip), plan.segment) / chip.router_bits_per_cycle
    inner = bits[:-1, :-1].reshape(-1, routers, bits.shape[1] // routers, routers).sum(axis=2)
    outside = bits[-1, :-1].reshape(-1, routers)
    router = np.arange(routers)
    inner[:, router % chip.mesh_cols, router] += outside  # by the top router of each one's column (M1)
    return np.stack([RouterMesh(chip).loads(table) for table in inner])


def test_loads_are_exact_where_copies_have_tiles_of_their_own() -> None:
    """Two 1 x 1 convolutions in turn, four copies each of one column; one copy takes one tile, or two."""
    chip = Architecture(
        name="hand", mesh_rows=2, mesh_cols=4, tiles_per_router=1, pes_per_tile=1, crossbars_per_pe=2, crossbar_rows=8,
        crossbar_cols=4, ou_rows=2, ou_cols=2, weight_bits=2, cell_bits=2,
    )  # fmt: skip
    b = Builder("two")
    b.conv(b.conv(b.input(4, 4, 4), 8, 1), 4, 1)
    network = b.build()
    grids = tuple(make_grid(network.nodes[i], MappingOption(), chip) for i in network.layers)
    shapes = [Tiling(1, 1, 4, 1, 2, 4), Tiling(1, 4, 2, 4, 1, 2)]
    split = column_blocks(4, 4, 4, 1)
    places = [np.array([2, 6, 10, 14]), np.array([12, 8, 4, 0])]
    allocations = [Allocation(shape, places[i], split, i) for i, shape in enumerate(shapes)]
    found = loads(network, chip, grids, [(4, 1)] * 2, allocations)
    assert found == pytest.approx(exact(Plan("hand", grids, allocations), network, chip))
    assert found.min(axis=1).max() > 0


@pytest.mark.parametrize(
    ("name", "lanes"), [("resnet18", 2), ("resnet18", 3), pytest.param("googlenet", 1, marks=pytest.mark.slow)]
)
def test_loads_of_whole_networks_are_near_the_exact_ones(name: str, lanes: int) -> None:
    """The busiest router of a segment to a third where it passes a third of the most, all of them together to 12 %."""
    network, chip = load_network(name), load_architecture("ou-isaac-7x7", {"adc_bits": 5})
    made = Candidates(network, chip, "latency")
    plan = made.segmented(Setting(0.003, lanes=lanes))
    assert plan is not None
    counts = []
    for own, grid in zip(plan.allocations, plan.grids, strict=True):
        blocks = len(np.unique(own.split.first[own.split.first < grid.window_cols]))
        counts.append((blocks, len(own.position) // blocks))
    found, right = loads(network, chip, plan.grids, counts, plan.allocations), exact(plan, network, chip)
    busy = right.max(axis=1) > right.max() / 3
    assert found.max(axis=1)[busy] == pytest.approx(right.max(axis=1)[busy], rel=1 / 3)
    assert found.sum() == pytest.approx(right.sum(), rel=0.12)
    assert all(np.corrcoef(mine, other)[0, 1] > 0.8 for mine, other in zip(found[busy], right[busy], strict=True))


def test_segments_wait_for_queues_beyond_the_room() -> None:
    """room + 500 cycles of traffic in 100: room + 400 left, 400 too many; then the queue of room shrinks by 150 - 200.

    The second router is calm. Lasting 100 + 400, or 100 + 400 + 200, is less than what the busy one passes in all: that
    counts. Where it does not (20 segments of 60 cycles after it pass nothing), the segments' lengths add up.
    """
    room = PlacingTuning().room
    heavy = [room + 500.0, 10.0]
    assert serve(np.array([heavy]), np.array([100.0])) == room + 500
    assert serve(np.array([heavy, [150.0, 0.0]]), np.array([100.0, 200.0])) == room + 650
    calm = np.zeros((20, 2))
    found = serve(np.concatenate([[heavy], calm]), np.array([100.0] + [60.0] * 20))
    assert found == 100 + 400 + 20 * 60


def test_no_router_passes_more_than_its_rate_in_all() -> None:
    assert serve(np.full((3, 2), 50.0), np.full(3, 10.0)) == 150


@given(st.integers(1, 5), st.integers(1, 4), SEEDS)
def test_segments_never_last_shorter_and_calm_routers_hold_none_back(segments: int, routers: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    load, cycles = rng.uniform(0, 3000, (segments, routers)), rng.uniform(0, 2000, segments)
    assert serve(load, cycles) >= cycles.sum() - 1e-9
    assert serve(np.minimum(load, cycles[:, None]), cycles) == pytest.approx(cycles.sum())


@pytest.mark.parametrize("taps", [r.window_taps(300, 3, 1, 1, 1, 300), r.full_taps(300, 7), r.full_taps(1, 300)])
def test_what_blocks_need_is_summed_up_for_every_column_they_read(taps: np.ndarray) -> None:
    """Few columns of many, all of a few, and all of them."""
    rng = np.random.default_rng(len(taps))
    width, block = 300, np.sort(rng.integers(0, 60, len(taps)))
    needed = rng.random((60, 5))
    expected = np.zeros((width, 5))
    for b in range(60):
        read = np.unique(taps[block == b])
        expected[read[read >= 0]] += needed[b]
    assert _read_by(block, taps, width, needed) == pytest.approx(expected)
