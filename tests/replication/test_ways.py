"""Ways to run a layer: what their estimates of traffic say against a placed copy."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from spatem_opt.architecture import Architecture
from spatem_opt.cost_model import place
from spatem_opt.mapping.grid import Grid, make_grid
from spatem_opt.network.builder import Builder
from spatem_opt.replication.shapes import rectangles, shape_for_serial, strip_width, strip_widths, window_traffic
from spatem_opt.replication.ways import blocks, ways
from spatem_opt.solution import MappingOption

CHIP = Architecture(name="chip", pes_per_tile=1, crossbars_per_pe=8, adc_bits=5)
SERIAL = (6, 16, 43, 64)


@pytest.mark.parametrize("length", [1, 2, 7, 12, 56, 224])
def test_blocks_are_the_least_number_for_every_block_length(length: int) -> None:
    lengths = {-(-length // count) for count in range(1, length + 1)}
    assert blocks(length).tolist() == sorted(-(-length // size) for size in lengths)


@cache
def grid_of(scheme: str) -> Grid:
    """3x3 convolution, 64 to 64 channels: 64 (kernel-split: 72) x 64 OUs, tiles of 8 crossbars."""
    b = Builder("one")
    b.conv(b.input(64, 8, 8), 64, 3)
    return make_grid(b.build().nodes[1], MappingOption(scheme), CHIP)  # type: ignore[arg-type]


def moved(grid: Grid, serial: int, width: int) -> tuple[float, float]:
    """Tiles in which a channel is needed, on average, and bits of partial sums per window, of a copy laid down."""
    shape = shape_for_serial(grid, serial)
    assert shape is not None
    rect = rectangles(grid, replace(shape, strip=width), CHIP.crossbars_per_tile)
    crossbar = np.arange(len(rect))
    placed = place(grid, CHIP, np.zeros(len(rect), dtype=np.int64), crossbar, rect)
    return float(placed.channels_read().sum(axis=0).mean()), float(placed.sum_bits.sum())


@pytest.mark.parametrize("scheme", ["im2col", "kernel-split"])
@pytest.mark.parametrize("serial", SERIAL)
def test_traffic_inside_a_copy(scheme: str, serial: int) -> None:
    """Inputs 15 % too few to 25 % too many; sums up to one per column and 10 % too many."""
    grid = grid_of(scheme)
    shape = shape_for_serial(grid, serial)
    assert shape is not None
    widths = strip_widths(shape, CHIP.crossbars_per_tile)
    repeats, sums = window_traffic(grid, shape, CHIP.crossbars_per_tile, widths)
    column = float(grid.column_sums().sum()) * grid.partial_sum_bits
    for width, inputs, bits in zip(widths.tolist(), repeats, sums, strict=True):
        found = moved(grid, serial, width)
        assert 0.85 * found[0] <= inputs <= 1.25 * found[0]
        assert found[1] <= bits <= 1.1 * found[1] + column


def test_every_width_of_strips_that_is_offered_is_used_as_such() -> None:
    """Wide strips need every input once, narrow ones add up at home."""
    inputs, sums = zip(*(moved(grid_of("im2col"), 16, width) for width in (1, 4, 8)), strict=True)
    assert inputs[0] > inputs[1] > inputs[2]
    assert sums[0] < sums[1] < sums[2]


def test_strip_width_moves_least() -> None:
    grid = grid_of("im2col")
    shape = shape_for_serial(grid, 16)
    assert shape is not None
    fresh = 64 * grid.activation_bits
    moves = {w: fresh * moved(grid, 16, w)[0] + moved(grid, 16, w)[1] for w in strip_widths(shape, 8).tolist()}
    assert moves[strip_width(grid, shape, 8)] <= 1.15 * min(moves.values())


@pytest.mark.parametrize("outside", [False, True])
def test_ways_keep_to_their_slots_and_take_whole_tiles_or_what_they_use(outside: bool) -> None:
    b = Builder("one")
    b.conv(b.input(64, 8, 8), 64, 3)
    node = b.build().nodes[1]
    found = ways((grid_of("im2col"), grid_of("kernel-split")), node, CHIP, np.array(SERIAL), outside)
    copies = found.col_blocks * found.row_blocks
    used = copies * np.array([shape.crossbars for shape in found.shapes])
    assert set(found.serial.tolist()) <= set(range(1, max(SERIAL) + 1))
    assert (found.crossbars >= used).all()
    assert (found.crossbars <= 1.1 * used).all()
    assert (found.cycles >= -(-grid_of("im2col").windows // copies) * found.serial).all()
