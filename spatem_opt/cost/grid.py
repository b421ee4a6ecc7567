"""OU grids: how a layer's weights become operation units (``formulations/README.md``, M3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

import numpy as np
from numpy.typing import NDArray

from spatem_opt.errors import InstanceError
from spatem_opt.limits import check_size
from spatem_opt.model.solution import MappingOption, Scheme
from spatem_opt.types import IntArray

if TYPE_CHECKING:
    from spatem_opt.model.architecture import Architecture
    from spatem_opt.network.layers import Node, Weights


@dataclass(frozen=True, slots=True, eq=False)
class AxisOus:
    """One axis of one group's grid, cut into OUs.

    Parameters
    ----------
    start, stop : int64 arrays, shape (OU rows or columns,)
        Matrix rows (bitlines) of each OU row (column), half open.
    block : int64 array, same shape
        Storage block each belongs to; all 0 when slotted.
    """

    start: IntArray
    stop: IntArray
    block: IntArray

    def __len__(self) -> int:
        return len(self.start)


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """The OU grid of one layer under one mapping option.

    Parameters
    ----------
    option : MappingOption
    weights : Weights
    rows, cols : AxisOus
        One group's OU rows and columns.
    exists : bool array, shape (len(rows), len(cols)), or None
        Which OUs of a group exist; None when all do.
    window_rows, window_cols : int
        Grid of windows (patches for parallel windows).
    phases : int
        Input phases q per OU operation.
    activation_bits, partial_sum_bits : int
    unit_cells : int
        Bitlines of one filter.
    """

    option: MappingOption
    weights: Weights
    rows: AxisOus
    cols: AxisOus
    exists: NDArray[np.bool_] | None
    window_rows: int
    window_cols: int
    phases: int
    activation_bits: int
    partial_sum_bits: int
    unit_cells: int

    @property
    def windows(self) -> int:
        """Windows W (patches for parallel windows)."""
        return self.window_rows * self.window_cols

    @property
    def shape(self) -> tuple[int, int]:
        """OU rows and columns over all groups."""
        return self.weights.groups * len(self.rows), self.weights.groups * len(self.cols)

    @property
    def ous(self) -> int:
        """Existing OUs of one copy."""
        per_group = len(self.rows) * len(self.cols) if self.exists is None else int(self.exists.sum())
        return self.weights.groups * per_group

    @property
    def blocks(self) -> int:
        """Storage blocks (= crossbars) of one filled copy."""
        return self.weights.groups * int(self.rows.block[-1] + 1) * int(self.cols.block[-1] + 1)

    @property
    def operations(self) -> int:
        """OU operations of one inference [cycles on one crossbar]."""
        return self.phases * self.windows * self.ous

    @property
    def window_input_bits(self) -> int:
        """Port bits of one window of a copy that lies in one tile."""
        total = self.weights.groups * int((self.rows.stop - self.rows.start).sum())
        if self.option.scheme == "kernel-split":
            total = self.weights.groups * self.weights.in_channels * self.fresh_pixels
        return total * self.activation_bits

    @property
    def fresh_pixels(self) -> int:
        """Pixels a kernel-split window fetches at most: the others were fetched for an earlier window."""
        (kh, kw), (sy, sx) = self.weights.kernel, self.weights.stride
        return min(kh * kw, 1 if self.weights.transposed else sy * sx)

    def row_channels(self) -> tuple[IntArray, IntArray]:
        """First and last-plus-one input channel (within the group) that each OU row of a group reads."""
        kh, kw = self.weights.kernel
        if self.option.scheme == "kernel-split":
            first = self.rows.start % self.weights.in_channels
            return first, first + self.rows.stop - self.rows.start
        per_channel = kh * kw
        if self.option.scheme == "parallel-window":
            height, width = patch_size(self.weights, self.option)
            per_channel = height * width
        return self.rows.start // per_channel, -(-self.rows.stop // per_channel)

    def column_sums(self) -> IntArray:
        """Partial sums that each OU column of a group emits per window."""
        per_window = self.unit_cells // (self.option.ph * self.option.pw)
        return -(-self.cols.stop // per_window) - self.cols.start // per_window

    def filter_columns(self) -> IntArray:
        """OU column (within the group) that each filter of a group belongs to: that of its first bitline."""
        first = np.arange(self.weights.out_channels) * self.unit_cells
        return np.searchsorted(self.cols.start, first, side="right") - 1


def window_stride(weights: Weights) -> tuple[int, int]:
    """Pixels from one window to the next: 1 for transposed layers, which run over their zero-stuffed input (M3)."""
    return (1, 1) if weights.transposed else weights.stride


def patch_size(weights: Weights, option: MappingOption) -> tuple[int, int]:
    """Height and width of the input patch that a parallel-window patch of windows reads."""
    (kh, kw), (sy, sx) = weights.kernel, window_stride(weights)
    return (option.ph - 1) * sy + kh, (option.pw - 1) * sx + kw


def cut_axis(sections: IntArray, block: int | None, step: int) -> AxisOus:
    """Cut consecutive sections into blocks (if any), and those into pieces of at most ``step``.

    Parameters
    ----------
    sections : int64 array
        Lengths of the sections.
    block : int or None
        Longest block; None cuts sections directly.
    step : int
        Longest piece (OU rows or OU columns).
    """

    def split(lengths: IntArray, limit: int) -> tuple[IntArray, IntArray]:
        counts = -(-lengths // limit)
        parent = np.repeat(np.arange(len(lengths)), counts)
        rank = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        return np.minimum(limit, lengths[parent] - rank * limit), parent

    if block is None:
        length, _ = split(sections, step)
        owner = np.zeros(len(length), dtype=np.int64)
    else:
        blocks, _ = split(sections, block)
        length, owner = split(blocks, step)
    stop = np.cumsum(length)
    return AxisOus(stop - length, stop, owner)


def check_option(node: Node, option: MappingOption) -> None:
    """Raise :class:`InstanceError` if the option cannot be used for the layer."""
    weights, where = node.weights, f"layer {node.name!r}"
    if weights is None:
        raise InstanceError(where, "kind", node.kind, "expected a crossbar layer")
    if option.scheme not in get_args(Scheme):
        raise InstanceError(where, "scheme", option.scheme, f"expected one of {', '.join(get_args(Scheme))}")
    if option.storage not in ("slotted", "filled"):
        raise InstanceError(where, "storage", option.storage, "expected slotted or filled")
    if (option.scheme == "parallel-window") != (option.ph * option.pw > 1) or min(option.ph, option.pw) < 1:
        raise InstanceError(where, "ph x pw", f"{option.ph}x{option.pw}", "expected > 1x1 only if parallel")
    if option.scheme == "parallel-window" and weights.dilation != (1, 1):
        raise InstanceError(where, "scheme", option.scheme, "expected no dilation")


def make_grid(node: Node, option: MappingOption, architecture: Architecture) -> Grid:
    """OU grid of a layer under a mapping option.

    Raises
    ------
    InstanceError
        If the option cannot be used for the layer.
    """
    check_option(node, option)
    weights, a = node.weights, architecture
    assert weights is not None
    _check_sizes(f"layer {node.name!r}", weights, option, a)
    rows, cols, unit = _axes(weights, option, a)
    activation_bits = weights.activation_bits or a.activation_bits
    return Grid(
        option, weights, rows, cols, _existing(weights, option, rows, cols, unit),
        -(-node.height // option.ph), -(-node.width // option.pw), a.input_phases(activation_bits),
        activation_bits, _sum_bits(weights, a), unit,
    )  # fmt: skip


def _sum_bits(weights: Weights, a: Architecture) -> int:
    """Width of a partial sum: the layer's, the chip's, or what holds every sum of the layer (M4)."""
    return weights.partial_sum_bits or a.sum_bits(weights.rows, weights.weight_bits, weights.activation_bits)


def _check_sizes(where: str, weights: Weights, option: MappingOption, a: Architecture) -> None:
    """Raise :class:`InstanceError` if the grid is too large to be made; the estimate is at most the rows twice over."""
    patch, (height, width) = check_size(where, "ph * pw", option.ph * option.pw, "windows of a patch"), (1, 1)
    if patch > 1:
        height, width = patch_size(weights, option)
    pixels = height * width if patch > 1 else weights.kernel[0] * weights.kernel[1]
    sections = 1 if option.scheme == "im2col" else max(pixels, weights.in_channels)
    rows = pixels * weights.in_channels // a.ou_rows + 2 * sections
    unit = a.cells_per_weight(weights.weight_bits) * patch
    cols = weights.out_channels * unit // a.ou_cols + 2 * (weights.out_channels if patch > 1 else 1)
    check_size(where, "OU rows", weights.groups * rows, "OU rows of a layer")
    check_size(where, "OU columns", weights.groups * cols, "OU columns of a layer")
    if patch > 1:
        for size in (rows * cols, pixels * patch, rows * pixels, cols * patch):
            check_size(where, "ph * pw", size, "entries of a table of OUs")


def _axes(weights: Weights, option: MappingOption, a: Architecture) -> tuple[AxisOus, AxisOus, int]:
    """OU rows and columns of one group, and the bitlines of one filter."""
    filled = option.storage == "filled"
    unit = a.cells_per_weight(weights.weight_bits) * option.ph * option.pw
    bitlines = np.array([weights.out_channels * unit])
    if option.scheme == "parallel-window" and unit <= a.ou_cols:
        bitlines = _equal_sections(weights.out_channels, a.ou_cols // unit) * unit
    block_cols = a.crossbar_cols // unit * unit or a.crossbar_cols
    rows = cut_axis(_row_sections(weights, option, a.ou_rows), a.crossbar_rows if filled else None, a.ou_rows)
    return rows, cut_axis(bitlines, block_cols if filled else None, a.ou_cols), unit


def _row_sections(weights: Weights, option: MappingOption, ou_rows: int) -> IntArray:
    kh, kw = weights.kernel
    if option.scheme == "kernel-split":
        return np.full(kh * kw, weights.in_channels)
    if option.scheme == "channel-split":
        return _equal_sections(weights.in_channels, max(1, ou_rows // (kh * kw))) * kh * kw
    if option.scheme == "parallel-window":
        height, width = patch_size(weights, option)
        if height * width <= ou_rows:
            return _equal_sections(weights.in_channels, ou_rows // (height * width)) * height * width
        return np.array([weights.in_channels * height * width])
    return np.array([weights.rows])


def _equal_sections(total: int, size: int) -> IntArray:
    whole, rest = divmod(total, size)
    return np.array([size] * whole + [rest] * (rest > 0))


def operations_of(node: Node, option: MappingOption, architecture: Architecture) -> int:
    """:attr:`Grid.operations` of an option without building its table of existing OUs.

    The rows (columns) of OUs of a parallel-window grid fall into few kinds; an OU exists or not by kind.
    """
    if option.scheme != "parallel-window" or node.weights is None:
        return make_grid(node, option, architecture).operations
    check_option(node, option)
    weights, a = node.weights, architecture
    rows, cols, unit = _axes(weights, option, a)
    touched, windows = _touches(weights, option, rows, cols, unit)
    row_kinds, row_count = _kinds(touched > 0)
    col_kinds, col_count = _kinds(windows > 0)
    exists = row_kinds.astype(np.float32) @ col_kinds.astype(np.float32).T > 0
    ous = weights.groups * int(row_count @ exists.astype(np.int64) @ col_count)
    patches = -(-node.height // option.ph) * -(-node.width // option.pw)
    return a.input_phases(weights.activation_bits) * patches * ous


def _kinds(table: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], IntArray]:
    """Distinct rows and how often each occurs; up to 62 columns a row is compared as one number."""
    if table.shape[1] > 62:
        kinds, count = np.unique(table, axis=0, return_counts=True)
        return kinds, count
    _, first, count = np.unique(table @ (1 << np.arange(table.shape[1])), return_index=True, return_counts=True)
    return table[first], count


def _existing(
    weights: Weights, option: MappingOption, rows: AxisOus, cols: AxisOus, unit: int
) -> NDArray[np.bool_] | None:
    """Which OUs of a parallel-window grid hold a cell that can be non-zero; None for the dense schemes."""
    if option.scheme != "parallel-window":
        return None
    touched, windows = _touches(weights, option, rows, cols, unit)
    reached: NDArray[np.bool_] = touched @ windows.T > 0
    return reached


def _touches(
    weights: Weights, option: MappingOption, rows: AxisOus, cols: AxisOus, unit: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Windows of the patch that read each OU row (a count), and those that each OU column serves (0 or 1)."""
    (kh, kw), (sy, sx) = weights.kernel, window_stride(weights)
    height, width = patch_size(weights, option)
    pixel = np.arange(height * width)
    window = np.arange(option.ph * option.pw)
    dy = pixel[:, None] // width - window // option.pw * sy
    dx = pixel[:, None] % width - window % option.pw * sx
    touches = (dy >= 0) & (dy < kh) & (dx >= 0) & (dx < kw)
    per_row = _covers(rows, height * width, 1).astype(np.float32)
    per_col = _covers(cols, option.ph * option.pw, unit // (option.ph * option.pw)).astype(np.float32)
    return per_row @ touches.astype(np.float32), per_col


def _covers(cuts: AxisOus, period: int, width: int) -> NDArray[np.bool_]:
    """Which of the ``period`` repeating items (each ``width`` long) every piece of the cuts contains."""
    first, count = cuts.start // width, -(-cuts.stop // width) - cuts.start // width
    offset = (np.arange(period) - first[:, None]) % period
    return np.asarray(offset < count[:, None], dtype=np.bool_)
