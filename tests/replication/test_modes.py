"""Ways to run a layer: what their estimates of traffic say against a placed copy."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from spatem_opt.cost.durations import place
from spatem_opt.cost.grid import Grid, make_grid
from spatem_opt.grouping.tile_parts import rectangles
from spatem_opt.grouping.tiling import (  # fmt: skip
    Tiling,
    fullest_part,
    tiling_for_serial,
    tilings_for_serial,
    window_traffic,
)
from spatem_opt.model.architecture import Architecture
from spatem_opt.model.solution import MappingOption
from spatem_opt.network.builder import Builder
from spatem_opt.replication.layout import column_blocks
from spatem_opt.replication.modes import _block_pixels, blocks, column_counts, layer_modes, windows_in_turn
from spatem_opt.tuning import ModeTuning

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


def moved(grid: Grid, shape: Tiling) -> tuple[float, float]:
    """Tiles in which a channel is needed, on average, and bits of partial sums per window, of a copy laid down."""
    rect = rectangles(grid, shape)
    placed = place(grid, CHIP, np.zeros(len(rect), dtype=np.int64), rect[:, 0], rect[:, 1:])
    return float(placed.channels_read().sum(axis=0).mean()), float(placed.sum_bits.sum())


@pytest.mark.parametrize("scheme", ["im2col", "channel-split", "kernel-split"])
@pytest.mark.parametrize("serial", SERIAL)
def test_traffic_inside_a_copy(scheme: str, serial: int) -> None:
    """Sums exact, inputs up to 40 % too many where parts are of a few rows, as if all had home rows."""
    grid = grid_of(scheme)
    shapes = tilings_for_serial(grid, serial, CHIP.crossbars_per_tile)
    repeats, sums = window_traffic(grid, shapes, CHIP.crossbars_per_tile)
    for shape, inputs, bits in zip(shapes, repeats, sums, strict=True):
        found = moved(grid, shape)
        assert 0.9 * found[0] <= inputs <= 1.4 * found[0]
        if shape.cut == "rows" and shape.size == CHIP.crossbars_per_tile and scheme != "kernel-split":
            assert inputs == pytest.approx(found[0])
        if shape.size == CHIP.crossbars_per_tile:
            assert bits == pytest.approx(found[1], rel=0.05)


@pytest.mark.parametrize("scheme", ["im2col", "channel-split"])
@pytest.mark.parametrize("serial", SERIAL)
def test_the_fullest_part_reads_what_its_rows_need(scheme: str, serial: int) -> None:
    """Also where the last strip is narrow and its parts are high: exact if cut between rows, else to two rows."""
    grid = grid_of(scheme)
    shapes = [s for s in tilings_for_serial(grid, serial, 8) if s.parts > 1 and s.size == 8]
    for shape, share in zip(shapes, fullest_part(grid, shapes), strict=True):
        rect = rectangles(grid, shape)
        rows = np.zeros((shape.parts, len(grid.rows)), dtype=np.bool_)
        for crossbar, top, bottom, _, _ in rect.tolist():
            rows[crossbar // shape.size, top:bottom] = True
        most = int(rows.sum(axis=1).max())
        assert most <= round(share * len(grid.rows)) <= most + (0 if shape.cut == "rows" else 2)


def test_more_strips_need_inputs_more_often_and_add_up_less() -> None:
    shapes = [s for s in tilings_for_serial(grid_of("im2col"), 16, 8) if s.cut == "rows"]
    inputs, sums = zip(*(moved(grid_of("im2col"), shape) for shape in shapes), strict=True)
    assert len(shapes) > 2
    assert list(inputs) == sorted(inputs)
    assert list(sums) == sorted(sums, reverse=True)


@pytest.mark.parametrize("serial", SERIAL)
def test_the_shape_taken_moves_least(serial: int) -> None:
    grid = grid_of("im2col")
    shapes, taken = tilings_for_serial(grid, serial, 8), tiling_for_serial(grid, serial, 8)
    assert taken is not None
    moves = {s: 64 * grid.activation_bits * moved(grid, s)[0] + moved(grid, s)[1] for s in shapes}
    assert moves[taken] <= 1.15 * min(moves[s] for s in shapes if s.crossbars == taken.crossbars)


@pytest.mark.parametrize("outside", [False, True])
def test_ways_keep_to_their_slots_and_take_whole_tiles_or_what_they_use(outside: bool) -> None:
    b = Builder("one")
    b.conv(b.input(64, 8, 8), 64, 3)
    node = b.build().nodes[1]
    found = layer_modes((grid_of("im2col"), grid_of("kernel-split")), node, CHIP, np.array(SERIAL), outside)
    copies = found.col_blocks * found.row_blocks
    used = copies * np.array([shape.crossbars for shape in found.shapes])
    assert set(found.serial.tolist()) <= set(range(1, max(SERIAL) + 1))
    assert (found.crossbars >= used).all()
    assert (found.crossbars <= 1.1 * used).all()
    assert (found.cycles >= -(-grid_of("im2col").windows // copies) * found.serial).all()


@pytest.mark.parametrize("size", [1, 7, 8, 12])
def test_copies_take_time_for_the_windows_of_the_busiest(size: int) -> None:
    """Or for one more, where blocks are wider in some rows than in others; none of the numbers of blocks is idle."""
    b = Builder("one")
    b.conv(b.input(4, size, size), 4, 3, pads=1)
    grid = make_grid(b.build().nodes[1], MappingOption("im2col"), CHIP)
    counts = [(cols, 1) for cols in column_counts(size).tolist()] + [(size, rows) for rows in blocks(size).tolist()]
    for cols, rows in counts:
        most = column_blocks(size, size, cols, rows).most
        found = int(windows_in_turn(grid, np.array(cols), np.array(rows)))
        assert found == most + (rows == 1 and size % cols > 0)


@pytest.mark.parametrize(("size", "cols"), [(56, 37), (56, 20), (28, 18), (14, 9), (14, 7), (7, 5)])
@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_pixels_of_blocks_of_columns(size: int, cols: int, kernel: int) -> None:
    """Estimated from their mean width, to a tenth (rows of padding count as pixels)."""
    b = Builder("one")
    b.conv(b.input(4, size, size), 4, kernel, pads=kernel // 2)
    grid = make_grid(b.build().nodes[1], MappingOption("im2col"), CHIP)
    split = column_blocks(size, size, cols, 1)
    needed = np.zeros((cols, size + kernel - 1, size + kernel - 1), dtype=np.bool_)
    for copy, first, last in zip(split.copy.tolist(), split.first.tolist(), split.last.tolist(), strict=True):
        for y, x in (divmod(window, size) for window in range(first, last + 1, int(split.step[0]))):
            needed[copy, y : y + kernel, x : x + kernel] = True
    estimate = _block_pixels(grid, np.array([cols]), np.array([1]), np.array([1]), ModeTuning().ragged)
    assert float(estimate[0]) == pytest.approx(needed.sum() / cols, rel=0.1)
