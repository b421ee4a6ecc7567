"""Shapes of a copy: parts and rectangles cover the grid, shapes keep their promises."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from spatem_opt.cost.durations import place, rectangle_ous
from spatem_opt.cost.grid import Grid, make_grid
from spatem_opt.grouping.bounds import lower_bound
from spatem_opt.grouping.gap import grouping_gap
from spatem_opt.grouping.problem import GroupingProblem
from spatem_opt.grouping.regrouping import price
from spatem_opt.grouping.substitution import NEAR, SURE, estimates, gap_per_window, substitute_tiling
from spatem_opt.grouping.tile_parts import filled_tiling, rectangles
from spatem_opt.grouping.tiling import CUTS, Tiling, row_sections, tiling_for_serial, tilings_for_serial, unit_costs
from spatem_opt.model.architecture import Architecture
from spatem_opt.model.presets import load_architecture
from spatem_opt.model.solution import MappingOption
from spatem_opt.network.builder import Builder
from spatem_opt.testing import random_chip, random_network, random_option, random_shape

SEEDS = st.integers(0, 2**32 - 1)


def drawn(seed: int) -> tuple[Grid, Architecture, np.random.Generator]:
    """Grid of a random layer under a random option."""
    rng = np.random.default_rng(seed)
    network, chip = random_network(rng, 2), random_chip(rng)
    node = network.nodes[int(rng.choice(network.layers))]
    return make_grid(node, random_option(rng, node, chip), chip), chip, rng


def existing(grid: Grid) -> np.ndarray:
    """Table of all OUs of a grid."""
    one = np.ones((len(grid.rows), len(grid.cols)), bool) if grid.exists is None else grid.exists
    return np.kron(np.eye(grid.weights.groups, dtype=bool), one)


def crossbar_of(grid: Grid, shape: Tiling) -> np.ndarray:
    """Crossbar of every OU of a copy, -1 where there is none; no OU may be on two."""
    table = np.full(grid.shape, -1)
    for crossbar, top, bottom, left, right in rectangles(grid, shape):
        assert (table[top:bottom, left:right] == -1).all()
        table[top:bottom, left:right] = crossbar
    return table


@settings(max_examples=120)
@given(SEEDS)
def test_rectangles_cover_every_ou_once(seed: int) -> None:
    grid, chip, rng = drawn(seed)
    shape = random_shape(rng, grid, chip)
    assume(shape is not None)
    assert shape is not None
    found = crossbar_of(grid, shape)[existing(grid)]
    assert found.min() >= 0
    assert found.max() < shape.crossbars


@settings(max_examples=120)
@given(SEEDS, st.integers(1, 40))
def test_all_shapes_keep_to_the_serial_limit(seed: int, serial: int) -> None:
    grid, chip, _ = drawn(seed)
    assume(grid.option.storage == "slotted")
    for shape in tilings_for_serial(grid, serial, chip.crossbars_per_tile):
        crossbar = crossbar_of(grid, shape)[existing(grid)]
        assert (crossbar >= 0).all()
        assert np.bincount(crossbar).max() <= shape.serial <= serial
        assert crossbar.max() < shape.crossbars


@settings(max_examples=100)
@given(SEEDS)
def test_more_serial_ous_never_need_more_crossbars(seed: int) -> None:
    grid, chip, _ = drawn(seed)
    assume(grid.option.storage == "slotted" and grid.option.scheme != "kernel-split" and grid.weights.groups == 1)
    shapes = [tiling_for_serial(grid, serial, chip.crossbars_per_tile) for serial in range(1, 30)]
    crossbars = [shape.crossbars for shape in shapes if shape is not None]
    assert crossbars == sorted(crossbars, reverse=True)


@settings(max_examples=60)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 12), st.integers(1, 9))
def test_im2col_always_has_a_shape(channels: int, filters: int, serial: int, per_tile: int) -> None:
    chip = Architecture(name="chip", adc_bits=5)
    b = Builder("one")
    b.conv(b.input(channels, 4, 4), filters, 3)
    grid = make_grid(b.build().nodes[1], MappingOption(), chip)
    shape = tiling_for_serial(grid, serial, per_tile)
    assert shape is not None
    assert -(-grid.ous // serial) <= shape.crossbars
    assert (crossbar_of(grid, shape) >= 0).all()


@settings(max_examples=100)
@given(SEEDS)
def test_filled_shapes_take_a_crossbar_per_block_that_holds_something(seed: int) -> None:
    grid, _, _ = drawn(seed)
    assume(grid.option.storage == "filled")
    assert filled_tiling(grid).crossbars <= grid.blocks
    if grid.exists is None:
        assert filled_tiling(grid).crossbars == grid.blocks


def conv_grid(scheme: str, channels: int = 64) -> tuple[Grid, Architecture]:
    """3x3 convolution: for 64 channels 64 OU rows (kernel-split: 9 x 8) x 64 OU columns; tiles of 8 crossbars."""
    chip = Architecture(name="chip", pes_per_tile=1, crossbars_per_pe=8, adc_bits=5)
    b = Builder("one")
    b.conv(b.input(channels, 8, 8), channels, 3)
    return make_grid(b.build().nodes[1], MappingOption(scheme), chip), chip  # type: ignore[arg-type]


@pytest.mark.parametrize(("scheme", "rows"), [("im2col", 64), ("kernel-split", 72)])
def test_grid_of_the_example(scheme: str, rows: int) -> None:
    grid, _ = conv_grid(scheme)
    assert grid.shape == (rows, 64)


@pytest.mark.parametrize("cut", CUTS)
def test_parts_of_kernel_split_hold_few_channels_at_all_kernel_positions(cut: str) -> None:
    grid, chip = conv_grid("kernel-split", 144)
    shapes = [s for s in tilings_for_serial(grid, 100, chip.crossbars_per_tile) if s.cut == cut]
    assert shapes
    for shape in shapes:
        tile = crossbar_of(grid, shape) // chip.crossbars_per_tile
        positions = tile.reshape(row_sections(grid), -1, tile.shape[1])
        assert (positions == positions[0]).all()


def test_shapes_fill_tiles_or_are_as_small_as_can_be() -> None:
    grid, _ = conv_grid("im2col")
    for serial in range(4, 65):
        for shape in tilings_for_serial(grid, serial, 96):
            copies = max(1, 96 // shape.crossbars)
            fills = shape.crossbars * copies % 48 == 0 or 96 - copies * shape.crossbars < copies
            assert fills or shape.crossbars == -(-grid.ous // serial)


def homes(grid: Grid, chip: Architecture, shape: Tiling) -> np.ndarray:
    """Tile that is home of every OU column."""
    rect = rectangles(grid, shape)
    return place(grid, chip, np.zeros(len(rect), dtype=np.int64), rect[:, 0], rect[:, 1:]).home[0]


@pytest.mark.parametrize("scheme", ["im2col", "kernel-split"])
@pytest.mark.parametrize("channels", [64, 100])
def test_homes_are_spread_over_all_parts_of_a_strip(scheme: str, channels: int) -> None:
    grid, chip = conv_grid(scheme, channels)
    seen = 0
    for serial in (20, 30, 45, 64, 90):
        for shape in tilings_for_serial(grid, serial, chip.crossbars_per_tile):
            if shape.cut == "homes" and shape.size == chip.crossbars_per_tile:
                held = np.bincount(homes(grid, chip, shape), minlength=shape.parts)
                full = grid.shape[1] // shape.width * shape.deep
                assert abs(held[:full] - shape.width / shape.deep).max() <= 1
                seen += 1
    assert seen >= 4


def big_grid(rows: int, cols: int) -> Grid:
    """3x3 convolution on the default chip: as many OU rows as channels, as many OU columns as filters."""
    b = Builder("one")
    b.conv(b.input(rows, 8, 8), cols, 3)
    grid = make_grid(b.build().nodes[1], MappingOption(), load_architecture("ou-isaac"))
    assert grid.shape == (rows, cols)
    assert unit_costs(grid) == (144, 16)
    return grid


def chosen_gap(grid: Grid, shape: Tiling) -> float:
    """Gap of a copy's grouping to the bound at its crossbars and OUs."""
    rect = rectangles(grid, shape)
    used, most = len(np.unique(rect[:, 0])), int(np.bincount(rect[:, 0], rectangle_ous(grid, rect[:, 1:])).max())
    problem = GroupingProblem(len(grid.rows), len(grid.cols), used, most, *unit_costs(grid))
    return 1 - lower_bound(problem) / price(rect, *unit_costs(grid))


@pytest.mark.parametrize(
    ("shape", "rows", "cols"),
    [
        (Tiling(1, 98, 131, 25, 96, 28, "runs"), 512, 512),
        (Tiling(1, 49, 89, 17, 96, 14, "runs"), 256, 256),
        (Tiling(1, 1, 16, 1, 32, 11), 22, 16),
        (Tiling(1, 1, 32, 1, 32, 22), 22, 32),
        (Tiling(1, 1, 64, 1, 32, 44), 22, 64),
    ],
)
def test_shapes_far_from_their_bound_are_exchanged(shape: Tiling, rows: int, cols: int) -> None:
    grid = big_grid(rows, cols)
    other = substitute_tiling(grid, shape, 96)
    assert chosen_gap(grid, other) <= 0.03 < chosen_gap(grid, shape)
    assert other.serial <= shape.serial
    assert other.parts <= shape.parts + shape.parts // 12
    assert other.crossbars <= shape.crossbars + max(3, shape.crossbars // 8)
    assert substitute_tiling(grid, other, 96) == other


@pytest.mark.parametrize("shape", [Tiling(1, 98, 131, 25, 96, 28, "runs"), Tiling(1, 1, 16, 1, 32, 11)])
def test_without_a_crossbar_to_spare_only_parts_are_cut_otherwise(shape: Tiling) -> None:
    grid = big_grid(512, 512) if shape.parts > 1 else big_grid(22, 16)
    other = substitute_tiling(grid, shape, 96, larger=False)
    assert other.crossbars <= shape.crossbars
    assert (other == shape) == (shape.parts == 1)
    assert (chosen_gap(grid, other) < chosen_gap(grid, shape)) == (shape.parts > 1)


@pytest.mark.parametrize(
    ("shape", "rows", "cols"),
    [
        (Tiling(1, 98, 131, 25, 96, 28, "runs"), 512, 512),  # neither sure nor hopeless: counted
        (Tiling(1, 40, 48, 10, 96, 5, "runs"), 100, 192),
        (Tiling(1, 1, 16, 1, 22, 16), 22, 16),
    ],
)
def test_a_gap_that_is_not_sure_is_counted(shape: Tiling, rows: int, cols: int) -> None:
    grid = big_grid(rows, cols)
    sure = estimates(grid, [shape])[0] <= SURE
    assert gap_per_window(grid, shape) == pytest.approx(
        estimates(grid, [shape])[0] if sure else chosen_gap(grid, shape)
    )


@settings(max_examples=60)
@given(st.integers(20, 300), st.integers(20, 300), st.integers(3, 30), st.sampled_from(["rows", "runs"]))
def test_what_is_sure_to_be_near_is(rows: int, cols: int, serial: int, cut: str) -> None:
    grid = big_grid(rows, cols)
    for shape in tilings_for_serial(grid, serial, 96):
        if shape.cut == cut and shape.parts > 1 and estimates(grid, [shape])[0] <= SURE:
            assert chosen_gap(grid, shape) <= NEAR


@settings(max_examples=80)
@given(SEEDS)
def test_exchanged_shapes_cover_the_grid_and_take_hardly_more(seed: int) -> None:
    grid, chip, rng = drawn(seed)
    shape = random_shape(rng, grid, chip)
    assume(shape is not None)
    assert shape is not None
    larger = bool(rng.integers(2))
    other = substitute_tiling(grid, shape, chip.crossbars_per_tile, larger=larger)
    crossbar = crossbar_of(grid, other)[existing(grid)]
    assert crossbar.min() >= 0
    assert crossbar.max() < other.crossbars
    assert np.bincount(crossbar).max() <= max(other.serial, shape.serial)
    assert other.bundles == shape.bundles
    assert other.serial <= shape.serial
    assert other.size <= shape.size + larger * max(3, shape.size // 8)
    assert other.parts <= shape.parts + larger * (shape.parts // 12)


@pytest.mark.parametrize(
    ("rows", "cols", "size", "parts", "width", "deep", "serial"),
    [
        (512, 512, 96, 98, 131, 25, 28),
        (512, 512, 96, 98, 126, 24, 28),
        (512, 512, 96, 98, 152, 29, 28),
        (256, 256, 96, 98, 63, 24, 7),
        (64, 128, 96, 11, 72, 6, 8),
    ],
)
def test_excess_is_what_the_groups_will_cost(
    rows: int, cols: int, size: int, parts: int, width: int, deep: int, serial: int
) -> None:
    grid = big_grid(rows, cols)
    shape = Tiling(1, parts, width, deep, size, serial, "runs")
    columns = tuple(np.array([x]) for x in (size, width, deep, parts, serial))
    over = grouping_gap((rows, cols, 1), unit_costs(grid), columns, np.array([0]))[0]  # type: ignore[arg-type]
    assert over == pytest.approx(chosen_gap(grid, shape), abs=0.015)
