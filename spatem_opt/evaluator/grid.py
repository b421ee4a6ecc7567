"""The OU grid of a layer, from its weights and its mapping option (``formulations/README.md``, M3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spatem_opt.evaluator.arrays import expand
from spatem_opt.limits import check_size
from spatem_opt.model.architecture import Architecture
from spatem_opt.model.solution import MappingOption
from spatem_opt.network.layers import Node, Weights
from spatem_opt.types import BoolArray, IntArray


def mapping_fault(weights: Weights, option: MappingOption) -> str | None:
    """Why ``option`` is not allowed for the layer, or None."""
    if option.scheme not in ("im2col", "channel-split", "kernel-split", "parallel-window"):
        return f"unknown scheme {option.scheme!r}"
    if option.storage not in ("slotted", "filled"):
        return f"unknown storage {option.storage!r}"
    if option.ph < 1 or option.pw < 1:
        return f"patch of {option.ph} x {option.pw} windows, expected at least 1 x 1"
    if option.scheme != "parallel-window":
        if option.ph * option.pw != 1:
            return f"{option.scheme} has one window per patch, not {option.ph} x {option.pw}"
    elif option.ph * option.pw == 1:
        return "parallel-window needs more than one window per patch"
    elif weights.dilation != (1, 1):
        return f"parallel-window needs dilation 1, not {weights.dilation}"
    return None


def window_stride(weights: Weights) -> tuple[int, int]:
    """Stride of the windows over the matrix's input: 1 for transposed layers, whose input is zero-stuffed."""
    return (1, 1) if weights.transposed else weights.stride


def check_grid(where: str, arch: Architecture, weights: Weights, option: MappingOption) -> None:
    """Raise :class:`InstanceError` if the grid of an allowed option is too large to be made."""
    patch, taps = option.ph * option.pw, weights.kernel[0] * weights.kernel[1]
    check_size(where, "ph * pw", patch, "windows of a patch")
    sy, sx = window_stride(weights)
    read = ((option.ph - 1) * sy + weights.kernel[0]) * ((option.pw - 1) * sx + weights.kernel[1])
    # At most: a section of the matrix begins an OU row (column), and so does every block of a crossbar.
    many = option.scheme == "parallel-window"
    sections = {"im2col": 1, "kernel-split": taps}.get(option.scheme, weights.in_channels)
    high, wide = read * weights.in_channels, weights.out_channels * arch.cells_per_weight(weights.weight_bits) * patch
    rows = high // arch.ou_rows + high // arch.crossbar_rows + 2 * sections
    cols = wide // arch.ou_cols + wide // arch.crossbar_cols + 2 * (weights.out_channels if many else 1)
    check_size(where, "OU rows", weights.groups * rows, "OU rows of a layer")
    check_size(where, "OU columns", weights.groups * cols, "OU columns of a layer")
    if many:
        for size in (rows * cols, read * patch, rows * read, cols * patch):
            check_size(where, "ph * pw", size, "entries of a table of OUs")


@dataclass(frozen=True, slots=True, eq=False)
class OuGrid:
    """The OUs of one group; the layer's grid repeats it ``groups`` times along the diagonal.

    Parameters
    ----------
    groups, channels, filters : int
        Groups of the layer; input channels and filters of one group.
    row_start, row_stop : int64 arrays, shape (R,)
        Matrix rows of each OU row, half open.
    col_start, col_stop : int64 arrays, shape (C,)
        Bitlines of each OU column, half open.
    row_block, col_block : int64 arrays, shapes (R,) and (C,)
        Storage block (its row and its column number) of *filled* storage; the section for *slotted*.
    channel_start, channel_stop : int64 arrays, shape (R,)
        Input channels (of the group) that each OU row reads, half open.
    position : int64 array, shape (R,)
        Kernel position of the OU row with kernel-split, else 0.
    partial_sums : int64 array, shape (C,)
        Partial sums that each OU column emits per window (patch).
    filter_column : int64 array, shape (N,)
        OU column that each filter belongs to.
    ous, cells : int64 arrays, shape (R + 1, C + 1), or None
        Existing OUs, and their cells, above and left of each corner; None if all OUs exist.
    """

    groups: int
    channels: int
    filters: int
    row_start: IntArray
    row_stop: IntArray
    col_start: IntArray
    col_stop: IntArray
    row_block: IntArray
    col_block: IntArray
    channel_start: IntArray
    channel_stop: IntArray
    position: IntArray
    partial_sums: IntArray
    filter_column: IntArray
    ous: IntArray | None = None
    cells: IntArray | None = None

    @property
    def rows(self) -> int:
        """OU rows R of one group."""
        return len(self.row_start)

    @property
    def cols(self) -> int:
        """OU columns C of one group."""
        return len(self.col_start)

    @property
    def total(self) -> int:
        """Existing OUs of one copy, all groups."""
        return self.groups * (self.rows * self.cols if self.ous is None else int(self.ous[-1, -1]))

    def count_ous(self, r0: IntArray, r1: IntArray, c0: IntArray, c1: IntArray) -> IntArray:
        """Existing OUs of rectangles inside one group (arrays broadcast)."""
        if self.ous is None:
            return (r1 - r0) * (c1 - c0)
        return _rectangle(self.ous, r0, r1, c0, c1)

    def sum_offsets(self, r0: IntArray, r1: IntArray, col: IntArray) -> IntArray:
        """How far a column's existing OUs in rows r0 to r1 are from the middle row, in sum (arrays broadcast).

        In quarter rows, and one more for each below the middle.
        """
        above, under = np.arange(self.rows), np.arange(self.rows)[::-1]
        offset = np.where(above > under, 2 * (above - under) + 1, 2 * (under - above))
        if self.ous is None:
            total = _prefix(offset)
            return total[r1] - total[r0]
        exists = np.diff(np.diff(self.ous, axis=0), axis=1)
        below = np.concatenate([np.zeros((1, self.cols), np.int64), (exists * offset[:, None]).cumsum(0)])
        found: IntArray = below[r1, col] - below[r0, col]
        return found

    def count_cells(self, r0: IntArray, r1: IntArray, c0: IntArray, c1: IntArray) -> IntArray:
        """Cells (rows x bitlines) of the existing OUs of rectangles inside one group."""
        if self.cells is None:
            high = _prefix(self.row_stop - self.row_start)
            wide = _prefix(self.col_stop - self.col_start)
            product: IntArray = (high[r1] - high[r0]) * (wide[c1] - wide[c0])
            return product
        return _rectangle(self.cells, r0, r1, c0, c1)


def _rectangle(table: IntArray, r0: IntArray, r1: IntArray, c0: IntArray, c1: IntArray) -> IntArray:
    found: IntArray = table[r1, c1] - table[r0, c1] - table[r1, c0] + table[r0, c0]
    return found


def _prefix(values: IntArray) -> IntArray:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(values, dtype=np.int64)])


def _cut(start: IntArray, stop: IntArray, size: int) -> tuple[IntArray, IntArray, IntArray]:
    """Cut each interval into pieces of ``size`` (the last may be shorter): starts, stops, interval of each piece."""
    parent, number = expand(-(-(stop - start) // size))
    first = start[parent] + number * size
    return first, np.minimum(first + size, stop[parent]), parent


def _axis(total: int, section: int, block: int | None, unit: int) -> tuple[IntArray, IntArray, IntArray]:
    """Cut an axis into sections, those into blocks (None: one block per section), those into OUs; last: block ids."""
    start, stop, _ = _cut(np.zeros(1, np.int64), np.full(1, total, np.int64), section)
    if block is not None:
        start, stop, _ = _cut(start, stop, block)
    return _cut(start, stop, unit)


def build_grid(arch: Architecture, weights: Weights, option: MappingOption) -> OuGrid:
    """The OU grid of a layer under an allowed mapping option (see :func:`mapping_fault`)."""
    patch = option.ph * option.pw
    taps = weights.kernel[0] * weights.kernel[1]
    cells = arch.cells_per_weight(weights.weight_bits)
    strip = cells * patch  # bitlines u of one filter
    sy, sx = window_stride(weights)
    if option.scheme == "parallel-window":
        taps = ((option.ph - 1) * sy + weights.kernel[0]) * ((option.pw - 1) * sx + weights.kernel[1])
    rows, cols = taps * weights.in_channels, weights.out_channels * strip
    row_section, col_section = rows, cols
    if option.scheme == "kernel-split":
        row_section = weights.in_channels
    elif option.scheme == "channel-split":
        row_section = max(1, arch.ou_rows // taps) * taps
    elif option.scheme == "parallel-window":
        row_section = arch.ou_rows // taps * taps if taps <= arch.ou_rows else rows
        col_section = arch.ou_cols // strip * strip if strip <= arch.ou_cols else cols
    filled = option.storage == "filled"
    wide = arch.crossbar_cols // strip * strip or arch.crossbar_cols
    row_start, row_stop, row_block = _axis(rows, row_section, arch.crossbar_rows if filled else None, arch.ou_rows)
    col_start, col_stop, col_block = _axis(cols, col_section, wide if filled else None, arch.ou_cols)
    split = option.scheme == "kernel-split"
    exists = None
    if option.scheme == "parallel-window":
        exists = _existing(weights, option, (row_start, row_stop), (col_start // cells, -(-col_stop // cells)))
    ous, used = _tables(exists, row_stop - row_start, col_stop - col_start)
    channel_start = row_start % weights.in_channels if split else row_start // taps
    return OuGrid(
        weights.groups, weights.in_channels, weights.out_channels,
        row_start, row_stop, col_start, col_stop, row_block, col_block,
        channel_start=channel_start,
        channel_stop=channel_start + row_stop - row_start if split else -(-row_stop // taps),
        position=row_start // weights.in_channels if split else np.zeros_like(row_start),
        partial_sums=-(-col_stop // cells) - col_start // cells,
        filter_column=np.searchsorted(col_start, np.arange(weights.out_channels) * strip, side="right") - 1,
        ous=ous, cells=used,
    )  # fmt: skip


def _existing(
    weights: Weights, option: MappingOption, rows: tuple[IntArray, IntArray], pairs: tuple[IntArray, IntArray]
) -> BoolArray:
    """Which OUs of a parallel-window grid have a cell that can be non-zero, shape (R, C).

    ``rows`` are the matrix rows (c, py, px), ``pairs`` the (filter, wy, wx) of each OU column, both half open.
    """
    sy, sx = window_stride(weights)
    ky, kx = weights.kernel
    tall, wide = (option.ph - 1) * sy + ky, (option.pw - 1) * sx + kx
    offset_y = np.arange(tall)[:, None] - np.arange(option.ph) * sy
    offset_x = np.arange(wide)[:, None] - np.arange(option.pw) * sx
    in_y, in_x = (offset_y >= 0) & (offset_y < ky), (offset_x >= 0) & (offset_x < kx)
    nonzero = np.einsum("pw,qv->pqwv", in_y, in_x).reshape(tall * wide, option.ph * option.pw)
    inputs, windows = _residues(*rows, tall * wide), _residues(*pairs, option.ph * option.pw)
    found: BoolArray = inputs.astype(np.float32) @ nonzero.astype(np.float32) @ windows.T.astype(np.float32) > 0
    return found


def _residues(start: IntArray, stop: IntArray, modulus: int) -> BoolArray:
    """Which residues each half-open interval contains, shape (intervals, modulus)."""
    found: BoolArray = (np.arange(modulus) - start[:, None]) % modulus < (stop - start)[:, None]
    return found


def _tables(exists: BoolArray | None, high: IntArray, wide: IntArray) -> tuple[IntArray | None, IntArray | None]:
    """2-D prefix sums of existing OUs and of their cells."""
    if exists is None:
        return None, None
    ous = np.zeros((len(high) + 1, len(wide) + 1), np.int64)
    cells = ous.copy()
    ous[1:, 1:] = exists.cumsum(0).cumsum(1)
    cells[1:, 1:] = (exists * high[:, None] * wide).cumsum(0).cumsum(1)
    return ous, cells


def window_shape(node: Node, option: MappingOption) -> tuple[int, int]:
    """Windows (patches) of a node, rows x columns."""
    return -(-node.height // option.ph), -(-node.width // option.pw)
