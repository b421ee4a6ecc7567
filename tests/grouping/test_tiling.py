"""Shapes of a copy: parts and rectangles cover the grid, shapes keep their promises."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from spatem_opt.cost.durations import place
from spatem_opt.cost.grid import Grid, make_grid
from spatem_opt.grouping.tile_parts import filled_tiling, rectangles
from spatem_opt.grouping.tiling import CUTS, Tiling, row_sections, tiling_for_serial, tilings_for_serial
from spatem_opt.model.architecture import Architecture
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
