"""Shapes of a copy: rectangles cover the grid, shapes keep their promises."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from spatem_opt.architecture import Architecture
from spatem_opt.cost_model import rectangle_ous
from spatem_opt.mapping.grid import Grid, make_grid
from spatem_opt.network.builder import Builder
from spatem_opt.replication.shapes import (
    fewest_crossbars,
    filled_shape,
    rectangles,
    shape_for_serial,
    strip_width,
)
from spatem_opt.solution import MappingOption
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


@settings(max_examples=120, deadline=None)
@given(SEEDS)
def test_rectangles_cover_every_ou_once(seed: int) -> None:
    grid, chip, rng = drawn(seed)
    shape = random_shape(rng, grid, chip)
    assume(shape is not None)
    assert shape is not None
    table = existing(grid)
    times = np.zeros(table.shape, dtype=int)
    for top, bottom, left, right in rectangles(grid, shape, chip.crossbars_per_tile):
        times[top:bottom, left:right] += 1
    assert (times[table] == 1).all()


@settings(max_examples=120, deadline=None)
@given(SEEDS)
def test_a_shape_has_as_many_rectangles_as_crossbars(seed: int) -> None:
    grid, chip, rng = drawn(seed)
    shape = random_shape(rng, grid, chip)
    assume(shape is not None)
    assert shape is not None
    assert len(rectangles(grid, shape, chip.crossbars_per_tile)) == shape.crossbars


@settings(max_examples=120, deadline=None)
@given(SEEDS, st.integers(1, 40))
def test_no_crossbar_exceeds_the_serial_limit(seed: int, serial: int) -> None:
    grid, chip, _ = drawn(seed)
    assume(grid.option.storage == "slotted")
    shape = shape_for_serial(grid, serial)
    assume(shape is not None)
    assert shape is not None
    held = rectangle_ous(grid, rectangles(grid, shape, chip.crossbars_per_tile))
    assert held.max() <= shape.serial <= serial


@settings(max_examples=100, deadline=None)
@given(SEEDS)
def test_more_serial_ous_never_need_more_crossbars(seed: int) -> None:
    grid, _, _ = drawn(seed)
    assume(grid.option.storage == "slotted" and grid.option.scheme != "kernel-split" and grid.weights.groups == 1)
    shapes = [shape_for_serial(grid, serial) for serial in range(1, 30)]
    crossbars = [shape.crossbars for shape in shapes if shape is not None]
    assert crossbars == sorted(crossbars, reverse=True)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 30))
def test_fewest_crossbars_against_all_uniform_cuts(rows: int, cols: int, serial: int) -> None:
    row_parts, col_parts = fewest_crossbars(rows, cols, serial)
    cuts = [
        -(-rows // height) * -(-cols // width)
        for height in range(1, rows + 1)
        for width in range(1, cols + 1)
        if height * width <= serial
    ]
    assert row_parts * col_parts == min(cuts)
    assert -(-rows // row_parts) * -(-cols // col_parts) <= serial


@settings(max_examples=100, deadline=None)
@given(SEEDS)
def test_filled_shapes_take_a_crossbar_per_block_that_holds_something(seed: int) -> None:
    grid, _, _ = drawn(seed)
    assume(grid.option.storage == "filled")
    assert filled_shape(grid).crossbars <= grid.blocks
    if grid.exists is None:
        assert filled_shape(grid).crossbars == grid.blocks


def conv_grid(scheme: str) -> tuple[Grid, Architecture]:
    """3x3 convolution, 64 to 64 channels: 576 x 512 cells, 64 OU rows (kernel-split: 9 x 8) x 64 OU columns."""
    chip = Architecture(name="chip", pes_per_tile=1, crossbars_per_pe=8)
    b = Builder("one")
    b.conv(b.input(64, 8, 8), 64, 3)
    return make_grid(b.build().nodes[1], MappingOption(scheme), chip), chip  # type: ignore[arg-type]


@pytest.mark.parametrize(("scheme", "rows"), [("im2col", 64), ("kernel-split", 72)])
def test_grid_of_the_example(scheme: str, rows: int) -> None:
    grid, _ = conv_grid(scheme)
    assert grid.shape == (rows, 64)


def test_kernel_split_keeps_the_kernel_positions_of_a_channel_together() -> None:
    """Nine consecutive crossbars hold the same channels for all nine kernel positions."""
    grid, chip = conv_grid("kernel-split")
    shape = shape_for_serial(grid, 64)
    assert shape is not None
    rect = rectangles(grid, shape, 9)
    first = np.sort(rect[:9, 0] % 8)
    assert (first == first[0]).all()
    assert len({int(r) // 8 for r in rect[:9, 0]}) == 9
    assert chip.ou_slots >= shape.serial


def test_a_copy_within_a_tile_is_one_strip() -> None:
    grid, _ = conv_grid("im2col")
    shape = shape_for_serial(grid, 128)
    assert shape is not None
    assert strip_width(grid, shape, 1000) == shape.col_parts
