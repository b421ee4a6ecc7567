"""What the placement of one layer implies: crossbars, port bits, intervals, homes, partial sums (M4)."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from spatem_opt.evaluator.arrays import distinct, expand, starts_of
from spatem_opt.evaluator.grid import OuGrid, window_stride
from spatem_opt.evaluator.mesh import Mesh
from spatem_opt.limits import check_size
from spatem_opt.model.architecture import Architecture
from spatem_opt.model.solution import MappingOption, Placement
from spatem_opt.network.layers import Weights
from spatem_opt.types import BoolArray, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Pieces:
    """Rectangles of one layer, clipped to the groups they meet; only those that hold an existing OU.

    ``r0, r1, c0, c1`` are OU indices inside group ``group``; ``ous`` and ``cells`` what exists there.
    """

    copy: IntArray
    crossbar: IntArray
    group: IntArray
    r0: IntArray
    r1: IntArray
    c0: IntArray
    c1: IntArray
    ous: IntArray
    cells: IntArray


def clip(grid: OuGrid, table: Placement) -> Pieces:
    """Clip the rectangles of one layer, which lie inside its grid, to the groups of the grid."""
    copy, crossbar, group = table.copy, table.crossbar, np.zeros_like(table.copy)
    r0, r1, c0, c1 = table.row_start, table.row_stop, table.col_start, table.col_stop
    if grid.groups > 1:
        first = np.maximum(r0 // grid.rows, c0 // grid.cols)
        last = np.minimum((r1 - 1) // grid.rows, (c1 - 1) // grid.cols)
        rect, number = expand(np.maximum(last - first + 1, 0))
        copy, crossbar, group = copy[rect], crossbar[rect], first[rect] + number
        r0, r1 = (np.clip(edge[rect] - group * grid.rows, 0, grid.rows) for edge in (r0, r1))
        c0, c1 = (np.clip(edge[rect] - group * grid.cols, 0, grid.cols) for edge in (c0, c1))
    ous = grid.count_ous(r0, r1, c0, c1)
    found = Pieces(copy, crossbar, group, r0, r1, c0, c1, ous, grid.count_cells(r0, r1, c0, c1))
    held = ous > 0
    return found if held.all() else Pieces(*(getattr(found, f.name)[held] for f in fields(Pieces)))


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """One placed layer.

    Parameters
    ----------
    copies : int
    crossbar_copy, crossbar, crossbar_ous : int64 arrays, shape (pairs of copy and crossbar,)
        Existing OUs of a copy on a crossbar, by copy, then crossbar.
    pair_copy, pair_tile, pair_ous, pair_cells, port_bits : int64 arrays, shape (pairs of copy and tile,)
        By copy, then tile: existing OUs there, their cells, and the bits that one window of the copy reads through the
        port of the tile.
    channels : bool array, shape (pairs, input channels of the layer)
        Channels that the copy's OUs on the tile read.
    compute, load, interval, sum_delay : int64 arrays, shape (copies,)
        Cycles (M4).
    homes : int64 array, shape (copies, output channels)
        Home tile of every output channel.
    sum_pair, sum_target, sum_bits, sum_items : int64 arrays, shape (transfers,)
        Partial sums of one window: pair (copy, tile) that sends, home tile, bits and number of sums.
    phases : int
        Input phases q.
    """

    copies: int
    crossbar_copy: IntArray
    crossbar: IntArray
    crossbar_ous: IntArray
    pair_copy: IntArray
    pair_tile: IntArray
    pair_ous: IntArray
    pair_cells: IntArray
    port_bits: IntArray
    channels: BoolArray
    compute: IntArray
    load: IntArray
    interval: IntArray
    sum_delay: IntArray
    homes: IntArray
    sum_pair: IntArray
    sum_target: IntArray
    sum_bits: IntArray
    sum_items: IntArray
    phases: int


def place(arch: Architecture, weights: Weights, option: MappingOption, grid: OuGrid, pieces: Pieces) -> Placed:
    """Everything M4 says about one layer. Every copy 0, 1, ... must hold at least one OU."""
    mesh = Mesh(arch)
    phases = arch.input_phases(weights.activation_bits)
    crossbar_key, inverse = distinct(pieces.copy * arch.crossbars + pieces.crossbar)
    crossbar_copy, crossbar = np.divmod(crossbar_key, arch.crossbars)
    crossbar_ous = _sums(inverse, pieces.ous, len(crossbar_key))
    pair_key, crossbar_pair = distinct(crossbar_copy * arch.tiles + crossbar // arch.crossbars_per_tile)
    pair_copy, pair_tile = np.divmod(pair_key, arch.tiles)
    pair = crossbar_pair[inverse]
    for axis in (grid.rows, grid.cols, grid.channels, grid.filters):
        size = len(pair_key) * grid.groups * axis
        check_size("placement", "tiles of all copies * channels or OUs", size, "entries of a table of tiles")
    present = _present_rows(grid, pieces, pair, len(pair_key))
    by_copy = starts_of(pair_copy)
    bits = _port_bits(arch, weights, option, grid, present, pair_copy, (crossbar_copy, crossbar))
    compute = phases * np.maximum.reduceat(crossbar_ous, starts_of(crossbar_copy))
    load = _load(arch, weights, bits, pair_tile, by_copy)
    column_ous, offset = _column_ous(grid, pieces, pair, len(pair_key))
    column_home = _column_homes(arch, column_ous, offset, pair_tile, by_copy)
    sums = _partial_sums(arch, weights, grid, column_ous, column_home, pair_copy, pair_tile)
    sum_delay = np.zeros(len(by_copy), np.int64)
    np.maximum.at(sum_delay, pair_copy[sums[0]], mesh.delay(pair_tile[sums[0]], sums[1], sums[2]))
    filters = (np.arange(grid.groups)[:, None] * grid.cols + grid.filter_column).ravel()
    return Placed(
        len(by_copy), crossbar_copy, crossbar, crossbar_ous,
        pair_copy, pair_tile, _sums(crossbar_pair, crossbar_ous, len(pair_key)),
        _sums(pair, pieces.cells, len(pair_key)), bits,
        channels=_channels(grid, present), compute=compute, load=load,
        interval=np.maximum(compute, load) if arch.overlap_input else compute + load,
        sum_delay=sum_delay, homes=column_home[:, filters],
        sum_pair=sums[0], sum_target=sums[1], sum_bits=sums[2], sum_items=sums[3], phases=phases,
    )  # fmt: skip


def _sums(index: IntArray, values: IntArray, size: int) -> IntArray:
    """Sum ``values`` by ``index``."""
    found = np.zeros(size, np.int64)
    np.add.at(found, index, values)
    return found


def _spread(line: IntArray, start: IntArray, stop: IntArray, value: IntArray, shape: tuple[int, int]) -> IntArray:
    """Table of sums: each value is added to its line from ``start`` up to ``stop``."""
    wide = shape[1] + 1
    steps = _sums(line * wide + start, value, shape[0] * wide)
    np.subtract.at(steps, line * wide + stop, value)
    return np.cumsum(steps.reshape(shape[0], wide), axis=1)[:, :-1]


def _present_rows(grid: OuGrid, pieces: Pieces, pair: IntArray, pairs: int) -> BoolArray:
    """Which OU rows of the layer have an existing OU on the tile, shape (pairs, G * R)."""
    if grid.ous is None:
        first = pieces.group * grid.rows
        whole = np.ones(len(pair), np.int64)
        return _spread(pair, first + pieces.r0, first + pieces.r1, whole, (pairs, grid.groups * grid.rows)) > 0
    piece, number = expand(pieces.r1 - pieces.r0)
    row = pieces.r0[piece] + number
    keep = grid.count_ous(row, row + 1, pieces.c0[piece], pieces.c1[piece]) > 0
    found = np.zeros((pairs, grid.groups * grid.rows), np.bool_)
    found[pair[piece[keep]], (pieces.group[piece] * grid.rows + row)[keep]] = True
    return found


def _column_ous(grid: OuGrid, pieces: Pieces, pair: IntArray, pairs: int) -> tuple[IntArray, IntArray]:
    """Existing OUs of each OU column on the tile, and how far from the middle row they are; shape (pairs, G * C)."""
    shape = pairs, grid.groups * grid.cols
    if grid.ous is None:
        left = pieces.group * grid.cols + pieces.c0, pieces.group * grid.cols + pieces.c1
        both = pieces.r1 - pieces.r0, grid.sum_offsets(pieces.r0, pieces.r1, pieces.c0)
        ous, offset = (_spread(pair, *left, each, shape) for each in both)
        return ous, offset
    piece, number = expand(pieces.c1 - pieces.c0)
    col, r0, r1 = pieces.c0[piece] + number, pieces.r0[piece], pieces.r1[piece]
    entry = pair[piece] * shape[1] + pieces.group[piece] * grid.cols + col
    both = grid.count_ous(r0, r1, col, col + 1), grid.sum_offsets(r0, r1, col)
    ous, offset = (_sums(entry, each, pairs * shape[1]).reshape(shape) for each in both)
    return ous, offset


def _port_bits(
    arch: Architecture,
    weights: Weights,
    option: MappingOption,
    grid: OuGrid,
    present: BoolArray,
    pair_copy: IntArray,
    crossbars: tuple[IntArray, IntArray],
) -> IntArray:
    """Bits of one window through the port of each pair's tile; ``crossbars`` are pairs (copy, crossbar)."""
    bits = weights.activation_bits or arch.activation_bits
    if arch.input_load == "full":
        pe_key = distinct(crossbars[0] * arch.crossbars + crossbars[1] // arch.crossbars_per_pe)[0]
        pe_copy, pe = np.divmod(pe_key, arch.crossbars)
        pes = np.bincount(distinct(pe_copy * arch.tiles + pe // arch.pes_per_tile)[1])
        filled: IntArray = pes * (arch.crossbar_rows * arch.crossbars_per_pe * bits)
        return filled
    if option.scheme != "kernel-split":
        high = np.tile(grid.row_stop - grid.row_start, grid.groups)
        return bits * _weigh(present, high)
    taps = weights.kernel[0] * weights.kernel[1]
    by_tap = present.reshape(len(pair_copy), grid.groups, taps, grid.rows // taps)
    high = (grid.row_stop - grid.row_start)[: grid.rows // taps]
    channels = _weigh(by_tap.any(2).reshape(len(pair_copy), -1), np.tile(high, grid.groups))
    sy, sx = window_stride(weights)
    fetched: IntArray = bits * channels * np.minimum(by_tap.any((1, 3)).sum(1), sy * sx)
    return fetched


def _weigh(present: BoolArray, weight: IntArray) -> IntArray:
    """Sum of the weights of what is present in each line; exact in float32 up to 2**24 rows, and much faster."""
    found: IntArray = (present.astype(np.float32) @ weight.astype(np.float32)).astype(np.int64)
    return found


def _load(arch: Architecture, weights: Weights, bits: IntArray, pair_tile: IntArray, by_copy: IntArray) -> IntArray:
    """Load cycles of each copy: its busiest tile, where all copies of the layer load through one port."""
    if arch.input_load == "full":
        width = weights.activation_bits or arch.activation_bits
        return np.full(
            len(by_copy), -(-arch.crossbar_rows * arch.crossbars_per_pe * width // arch.buffer_bits_per_cycle)
        )
    tile_bits = _sums(pair_tile, bits, arch.tiles)
    return -(-np.maximum.reduceat(tile_bits[pair_tile], by_copy) // arch.buffer_bits_per_cycle)


def _column_homes(
    arch: Architecture, column_ous: IntArray, offset: IntArray, pair_tile: IntArray, by_copy: IntArray
) -> IntArray:
    """Home tile of each OU column, shape (copies, G * C): most OUs of the column, least offset, then lowest tile."""
    most = int(offset.max(initial=0))
    rank = column_ous * (most + 1) + most - offset
    rank = rank * arch.tiles + (arch.tiles - 1 - pair_tile)[:, None]
    best: IntArray = arch.tiles - 1 - np.maximum.reduceat(rank, by_copy, axis=0) % arch.tiles
    return best


def _partial_sums(
    arch: Architecture,
    weights: Weights,
    grid: OuGrid,
    column_ous: IntArray,
    column_home: IntArray,
    pair_copy: IntArray,
    pair_tile: IntArray,
) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """Partial sums of one window that travel: sending pair, home tile, bits, number; one entry per (pair, home)."""
    pair, col = np.nonzero((column_ous > 0) & (column_home[pair_copy] != pair_tile[:, None]))
    key, inverse = distinct(pair * arch.tiles + column_home[pair_copy[pair], col])
    items = _sums(inverse, grid.partial_sums[col % grid.cols], len(key))
    width = weights.partial_sum_bits or arch.sum_bits(weights.rows, weights.weight_bits, weights.activation_bits)
    return key // arch.tiles, key % arch.tiles, items * width, items


def _channels(grid: OuGrid, present: BoolArray) -> BoolArray:
    """Channels of the layer's input that the OUs of each pair read, shape (pairs, G * Cin)."""
    width = grid.groups * grid.channels + 1
    pair, row = np.nonzero(present)
    group, inner = np.divmod(row, grid.rows)
    base = pair * width + group * grid.channels
    change = np.bincount(base + grid.channel_start[inner], minlength=len(present) * width)
    change -= np.bincount(base + grid.channel_stop[inner], minlength=len(present) * width)
    found: BoolArray = change.reshape(-1, width).cumsum(1)[:, :-1] > 0
    return found
