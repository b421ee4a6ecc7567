"""OU grids (M3) by hand."""

from __future__ import annotations

import numpy as np
import pytest

from spatem_opt.evaluator.arrays import any_by_group, distinct, running_maximum
from spatem_opt.evaluator.grid import build_grid
from spatem_opt.evaluator.mesh import Mesh
from spatem_opt.evaluator.transfers import carry
from spatem_opt.model.architecture import Architecture
from spatem_opt.model.solution import MappingOption
from spatem_opt.network.layers import Weights

CHIP = Architecture()  # OUs of 9 x 8, crossbars of 128 x 128, 8 cells per weight


def test_filled_crossbar_has_15_ou_rows() -> None:
    # 128 rows of a block make 14 OU rows of 9 and one of 2; slotted, 256 rows make 28 of 9 and one of 4.
    weights = Weights(1, 256, 16, (1, 1))
    filled = build_grid(CHIP, weights, MappingOption(storage="filled"))
    assert (filled.rows, filled.cols) == (30, 16)
    assert (filled.row_stop - filled.row_start)[[13, 14, 29]].tolist() == [9, 2, 2]
    assert build_grid(CHIP, weights, MappingOption()).rows == 29


def test_im2col_rows_read_channels_in_order() -> None:
    # 3x3 kernel, 9 rows per channel: one OU row per channel with h = 9; with h = 8 a row spans two channels.
    grid = build_grid(CHIP, Weights(1, 4, 2, (3, 3)), MappingOption())
    assert (grid.channel_start.tolist(), grid.channel_stop.tolist()) == ([0, 1, 2, 3], [1, 2, 3, 4])
    narrow = build_grid(Architecture(ou_rows=8), Weights(1, 4, 2, (3, 3)), MappingOption())
    assert (narrow.channel_start.tolist(), narrow.channel_stop.tolist()) == ([0, 0, 1, 2, 3], [1, 2, 3, 4, 4])


def test_channel_split_has_sections_of_whole_channels() -> None:
    # 2x5 kernel, 10 rows per channel: OU rows of 9 and 1. 1x3 kernel: three channels in an OU row, then two.
    grid = build_grid(CHIP, Weights(1, 2, 1, (2, 5)), MappingOption("channel-split"))
    assert (grid.row_stop - grid.row_start).tolist() == [9, 1] * 2
    assert (grid.channel_start.tolist(), grid.channel_stop.tolist()) == ([0, 0, 1, 1], [1, 1, 2, 2])
    grid = build_grid(CHIP, Weights(1, 5, 1, (1, 3)), MappingOption("channel-split"))
    assert (grid.channel_start.tolist(), grid.channel_stop.tolist()) == ([0, 3], [3, 5])


def test_kernel_split_has_a_section_per_position() -> None:
    # 4 sections of 10 rows: OU rows of 9 and 1 each.
    grid = build_grid(CHIP, Weights(1, 10, 1, (2, 2)), MappingOption("kernel-split"))
    assert grid.position.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert (grid.row_stop - grid.row_start).tolist() == [9, 1] * 4
    assert grid.channel_stop.tolist() == [9, 10] * 4


def test_parallel_window_leaves_out_zero_ous() -> None:
    # 1x2 kernel, two windows: patch of 1 x 3, one channel. OUs of one row and one bitline (s = 1): input 0 is read by
    # window 0 only, 1 by both, 2 by window 1 only, so 4 of 6 cells exist.
    chip = Architecture(ou_rows=1, ou_cols=1, weight_bits=2, crossbar_rows=8, crossbar_cols=8)
    grid = build_grid(chip, Weights(1, 1, 1, (1, 2)), MappingOption("parallel-window", ph=1, pw=2))
    exists = [[int(grid.count_ous(*(np.array(x) for x in (r, r + 1, c, c + 1)))) for c in range(2)] for r in range(3)]
    assert exists == [[1, 0], [1, 1], [0, 1]]
    assert (grid.total, grid.partial_sums.tolist(), grid.filter_column.tolist()) == (4, [1, 1], [0])


def test_parallel_window_sections_of_whole_channels_and_filters() -> None:
    # Patch of 2 x 2 = 4 rows: sections of floor(9 / 4) = 2 channels, so OU rows of 8, 8 and 4. Strips of 8 * 2 = 16
    # bitlines exceed v = 8: one section, 6 OU columns, each half a filter.
    grid = build_grid(CHIP, Weights(1, 5, 3, (2, 1)), MappingOption("parallel-window", ph=1, pw=2))
    assert (grid.row_stop - grid.row_start).tolist() == [8, 8, 4]
    assert (grid.cols, grid.filter_column.tolist()) == (6, [0, 2, 4])


def test_partial_sums_count_filters_with_a_bitline_in_the_column() -> None:
    # 3 cells per weight, columns of 4 bitlines: 0-3 hold filters 0, 1; 4-7 filters 1, 2; 8 filter 2.
    grid = build_grid(Architecture(weight_bits=6, ou_cols=4), Weights(1, 1, 3, (1, 1)), MappingOption())
    assert (grid.partial_sums.tolist(), grid.filter_column.tolist()) == ([2, 2, 1], [0, 0, 1])


def test_routes_go_along_x_first() -> None:
    # 3 x 3 routers; from router (2, 0) to (0, 2): (2, 0), (2, 1), (2, 2), (1, 2), (0, 2).
    mesh = Mesh(Architecture(mesh_rows=3, mesh_cols=3, tiles_per_router=1))
    flows = mesh.flows(np.array([0]), np.array([2]), np.array([5]), 1)
    assert mesh.loads(np.array([6]), flows).reshape(3, 3).tolist() == [[0, 0, 5], [0, 0, 5], [5, 5, 5]]
    assert mesh.hops(np.array([6, 9, 4]), np.array([2, 8, 4])).tolist() == [5, 5, 0]


def test_running_maximum_restarts_with_each_group() -> None:
    values, group = np.array([3, 1, 5, 2, 9, -4, -6]), np.array([0, 0, 0, 1, 1, 4, 4])
    assert running_maximum(values, group).tolist() == [3, 3, 5, 2, 9, -4, -4]
    far = values * 2**58  # too far apart to be lifted onto steps
    assert running_maximum(far, group).tolist() == [v * 2**58 for v in (3, 3, 5, 2, 9, -4, -4)]


@pytest.mark.parametrize("keys", [[], [4, 4, 7], [7, 4, 4, 5], [10**12, 3, 3, -5]])
def test_distinct(keys: list[int]) -> None:
    values = np.array(keys, np.int64)
    found, inverse = np.unique(values, return_inverse=True)
    assert [part.tolist() for part in distinct(values)] == [found.tolist(), inverse.tolist()]


def test_any_by_group() -> None:
    lines = np.array([[1, 0, 0], [0, 0, 1], [0, 1, 0], [0, 0, 0], [1, 0, 0]], np.bool_)
    found = any_by_group(lines, np.array([2, 0, 2, 0, 2]), 4)
    assert found.astype(int).tolist() == [[0, 0, 1], [0, 0, 0], [1, 1, 0], [0, 0, 0]]


def test_an_edge_may_carry_a_channel_twice() -> None:
    # Channels 1, 0, 1 of node 0 and 0 of node 1: channel 1 of node 0 is read where either of its two places is.
    read = np.array([[1, 0, 0, 0], [0, 0, 1, 1], [0, 1, 0, 0]], np.bool_)
    assert carry(np.array([1, 0, 1]), np.arange(3), 3, read).astype(int).tolist() == [[0, 1, 0], [0, 1, 0], [1, 0, 0]]
    assert carry(np.array([0]), np.array([3]), 1, read).astype(int).tolist() == [[0], [1], [0]]
