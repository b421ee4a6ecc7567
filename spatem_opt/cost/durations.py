"""Durations, homes and transfers of placed layers, for all steps (``formulations/README.md``, M1, M4, M6).

The evaluator computes the same quantities with code of its own; tests hold the two against each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from spatem_opt.cost.arrays import any_by_group, distinct, starts_of
from spatem_opt.cost.grid import Grid
from spatem_opt.model.architecture import Architecture
from spatem_opt.network.layers import Network
from spatem_opt.network.readings import readings
from spatem_opt.types import OUTSIDE, BoolArray, IntArray


def hops(architecture: Architecture, source: IntArray, target: IntArray) -> IntArray:
    """Routers passed between tiles, elementwise with broadcasting (M1); either may be :data:`OUTSIDE`."""
    if architecture.tiles <= TABLED:
        return _hop_table(architecture)[source, target]
    return _hops(architecture, source, target)


TABLED = 2048
"""Tiles up to which distances are looked up: many times faster than computing them."""


@lru_cache(maxsize=8)
def _hop_table(architecture: Architecture) -> IntArray:
    """Hops between all tiles; the last row and column are :data:`OUTSIDE`."""
    tile = np.append(np.arange(architecture.tiles), OUTSIDE)
    return _hops(architecture, tile[:, None], tile)


def _hops(architecture: Architecture, source: IntArray, target: IntArray) -> IntArray:
    ys, xs = _position(architecture, source)
    yd, xd = _position(architecture, target)
    across = abs(xs - xd)
    if architecture.input_entry == "columns":
        across = np.where((source == OUTSIDE) | (target == OUTSIDE), 0, across)
    return np.asarray(np.where(source == target, 0, 1 + abs(ys - yd) + across), dtype=np.int64)


def _position(architecture: Architecture, tile: IntArray) -> tuple[IntArray, IntArray]:
    y, x = np.divmod(np.maximum(tile, 0) // architecture.tiles_per_router, architecture.mesh_cols)
    return y, x


def transfer_cycles(architecture: Architecture, source: IntArray, target: IntArray, bits: IntArray) -> IntArray:
    """Cycles of transfers, elementwise (M1): 0 where nothing has to move."""
    distance = hops(architecture, source, target)
    cycles = distance * architecture.hop_cycles - (-bits // architecture.router_bits_per_cycle)
    return np.asarray(np.where((distance == 0) | (bits == 0), 0, cycles), dtype=np.int64)


@lru_cache(maxsize=64)
def datum_bits(network: Network, architecture: Architecture) -> tuple[int, ...]:
    """Bits of one datum of every node, as it travels and lies in buffers (M6).

    As many as its widest reader takes: a crossbar layer takes its own `activation_bits`, a digital node as many as the
    data that it makes have; what nobody reads has the chip's.
    """
    chip, nodes = architecture.activation_bits, network.nodes
    found = [0] * len(nodes)
    for index in reversed(range(len(nodes))):
        node = nodes[index]
        found[index] = found[index] or chip
        takes = found[index] if node.weights is None else node.weights.activation_bits or chip
        for reading in readings(node):
            for producer in reading.producers:
                found[producer] = max(found[producer], takes)
    return tuple(found)


@dataclass(frozen=True, slots=True, eq=False)
class PlacedLayer:
    """One layer's copies on the chip.

    Parameters
    ----------
    grid : Grid
    copies : int
    compute, load, interval, sum_delay : int64 arrays, shape (copies,)
        Cycles per window (M4).
    pair_copy, pair_tile : int64 arrays, shape (pairs,)
        The (copy, tile) pairs that hold OUs, sorted.
    pair_bits : int64 array, shape (pairs,)
        Port bits of one window of the copy on that tile.
    pair_rows : bool array, shape (pairs, OU rows of all groups)
        Which OU rows of the copy lie on that tile.
    home : int64 array, shape (copies, OU columns of all groups)
        Home tile of every OU column.
    sum_pair, sum_target, sum_bits : int64 arrays, shape (transfers,)
        Partial sums of one window: from the tile of which pair to which tile, how many bits.
    """

    grid: Grid
    copies: int
    compute: IntArray
    load: IntArray
    interval: IntArray
    sum_delay: IntArray
    pair_copy: IntArray
    pair_tile: IntArray
    pair_bits: IntArray
    pair_rows: BoolArray
    home: IntArray
    sum_pair: IntArray
    sum_target: IntArray
    sum_bits: IntArray

    def channels_read(self) -> BoolArray:
        """Which input channels (of all groups) every pair reads, shape (pairs, channels)."""
        first, last = self.grid.row_channels()
        groups, per_group = self.grid.weights.groups, self.grid.weights.in_channels
        reach = np.zeros((len(first), per_group + 1), dtype=np.float32)
        np.add.at(reach, (np.arange(len(first)), first), 1)
        np.add.at(reach, (np.arange(len(first)), last), -1)
        reach = np.cumsum(reach, axis=1)[:, :-1]
        rows = self.pair_rows.reshape(len(self.pair_copy) * groups, len(first)).astype(np.float32)
        return np.asarray((rows @ reach > 0).reshape(len(self.pair_copy), -1), dtype=np.bool_)

    def channel_home(self) -> IntArray:
        """Home tile of every output channel of every copy, shape (copies, channels)."""
        groups, columns = self.grid.weights.groups, len(self.grid.cols)
        column = (np.arange(groups)[:, None] * columns + self.grid.filter_columns()).ravel()
        return self.home[:, column]


def place(grid: Grid, architecture: Architecture, copy: IntArray, crossbar: IntArray, rect: IntArray) -> PlacedLayer:
    """Derive a layer's durations, homes and port bits from its placement rows (M4).

    Parameters
    ----------
    grid : Grid
    architecture : Architecture
    copy, crossbar : int64 arrays, shape (rectangles,)
    rect : int64 array, shape (rectangles, 4)
        row_start, row_stop, col_start, col_stop. Without an ``exists`` table, every row and column of a rectangle
        holds an existing OU.
    """
    copies, per_tile = int(copy.max()) + 1, architecture.crossbars_per_tile
    key, holder = distinct(copy * architecture.crossbars + crossbar)
    crossbar_copy, used = np.divmod(key, architecture.crossbars)
    held = np.bincount(holder, rectangle_ous(grid, rect)).astype(np.int64)
    compute = grid.phases * np.maximum.reduceat(held, np.searchsorted(crossbar_copy, np.arange(copies)))
    key, pair = distinct(crossbar_copy * architecture.tiles + used // per_tile)
    owner = pair[holder]
    pair_copy, pair_tile = np.divmod(key, architecture.tiles)
    rows = _held_rows(grid, owner, rect, len(key))
    bits = _port_bits(grid, rows)
    on_tile = np.bincount(pair_tile, bits, architecture.tiles)
    starts = np.searchsorted(pair_copy, np.arange(copies))
    load = np.maximum.reduceat(-(-on_tile[pair_tile] // architecture.buffer_bits_per_cycle), starts).astype(np.int64)
    if architecture.input_load == "full":
        full = architecture.crossbar_rows * architecture.crossbars_per_pe * grid.activation_bits
        load = np.full(copies, -(-full // architecture.buffer_bits_per_cycle))
    interval = np.maximum(compute, load) if architecture.overlap_input else compute + load
    home, sums = _homes(grid, architecture, owner, rect, pair_copy, pair_tile, starts)
    delay = np.zeros(copies, dtype=np.int64)
    np.maximum.at(delay, pair_copy[sums[0]], transfer_cycles(architecture, pair_tile[sums[0]], *sums[1:]))
    return PlacedLayer(grid, copies, compute, load, interval, delay, pair_copy, pair_tile, bits, rows, home, *sums)


def rectangle_ous(grid: Grid, rect: IntArray) -> IntArray:
    """Existing OUs in each rectangle of a grid; shape (rectangles,)."""
    r0, r1, c0, c1 = rect.T
    rows, cols = len(grid.rows), len(grid.cols)
    if grid.exists is not None:
        total = np.zeros((grid.shape[0] + 1, grid.shape[1] + 1), dtype=np.int64)
        total[1:, 1:] = np.kron(np.eye(grid.weights.groups, dtype=np.int64), grid.exists).cumsum(0).cumsum(1)
        return np.asarray(total[r1, c1] - total[r0, c1] - total[r1, c0] + total[r0, c0])
    if grid.weights.groups == 1:
        return np.asarray((r1 - r0) * (c1 - c0))
    return _diagonal_ous(rows, cols, r1, c1) - _diagonal_ous(rows, cols, r0, c1) - (
        _diagonal_ous(rows, cols, r1, c0) - _diagonal_ous(rows, cols, r0, c0)
    )  # fmt: skip


def _diagonal_ous(rows: int, cols: int, r: IntArray, c: IntArray) -> IntArray:
    """OUs of a block-diagonal grid in rows < r and columns < c."""
    (gr, ir), (gc, ic) = np.divmod(r, rows), np.divmod(c, cols)
    corner = np.where(gr < gc, ir * cols, np.where(gr > gc, ic * rows, ir * ic))
    return np.asarray(np.minimum(gr, gc) * rows * cols + corner)


def _coverage(
    owner: IntArray, start: IntArray, stop: IntArray, owners: int, length: int, weight: IntArray | int = 1
) -> IntArray:
    """Sum of weights of the intervals of every owner that cover each position; shape (owners, length)."""
    table = np.zeros(owners * (length + 1), dtype=np.int64)  # flat: ufunc.at is many times faster with one index
    np.add.at(table, owner * (length + 1) + start, weight)
    np.subtract.at(table, owner * (length + 1) + stop, weight)
    return np.cumsum(table.reshape(owners, length + 1), axis=1)[:, :-1]


def _held_rows(grid: Grid, owner: IntArray, rect: IntArray, owners: int) -> BoolArray:
    """Which OU rows every owner holds an existing OU of; shape (owners, OU rows of all groups)."""
    if grid.exists is None:
        return _coverage(owner, rect[:, 0], rect[:, 1], owners, grid.shape[0]) > 0
    unique, which = np.unique(rect, axis=0, return_inverse=True)
    table = np.kron(np.eye(grid.weights.groups, dtype=np.bool_), grid.exists)
    held = np.zeros((len(unique), grid.shape[0]), dtype=np.bool_)
    for i, (r0, r1, c0, c1) in enumerate(unique):
        held[i, r0:r1] = table[r0:r1, c0:c1].any(axis=1)
    return any_by_group(held[which.ravel()], owner, owners)


def _port_bits(grid: Grid, rows: BoolArray) -> IntArray:
    """Port bits per window of tiles that hold the given OU rows (M4); shape (pairs,)."""
    if grid.option.scheme != "kernel-split":
        length = np.tile(grid.rows.stop - grid.rows.start, grid.weights.groups)
        return np.asarray(rows @ length * grid.activation_bits, dtype=np.int64)
    kernels = grid.weights.kernel[0] * grid.weights.kernel[1]
    by_kernel = rows.reshape(len(rows), grid.weights.groups, kernels, -1)
    width = (grid.rows.stop - grid.rows.start).reshape(kernels, -1)[0]
    channels = by_kernel.any(axis=2) @ width
    positions = by_kernel.any(axis=(1, 3)).sum(axis=1)
    return np.asarray(channels.sum(axis=1) * np.minimum(positions, grid.fresh_pixels) * grid.activation_bits)


def _homes(
    grid: Grid, architecture: Architecture, owner: IntArray, rect: IntArray,
    pair_copy: IntArray, pair_tile: IntArray, starts: IntArray,
) -> tuple[IntArray, tuple[IntArray, IntArray, IntArray]]:  # fmt: skip
    """Home tile of every column of every copy, and the transfers of partial sums: pair, target tile, bits."""
    copies, columns = len(starts), grid.shape[1]
    single = np.bincount(pair_copy, minlength=copies) == 1
    home = np.repeat(pair_tile[starts][:, None], columns, axis=1)
    if single.all():
        none = np.zeros(0, dtype=np.int64)
        return home, (none, none, none)
    keep = ~single[pair_copy]
    rank = np.cumsum(keep) - 1
    mine = keep[owner]
    counts = column_ous(grid, rank[owner[mine]], rect[mine], int(keep.sum()))
    copy, tile = pair_copy[keep], pair_tile[keep]
    first = starts_of(copy)
    far = column_ous(grid, rank[owner[mine]], rect[mine], int(keep.sum()), far=True)
    best = np.maximum.reduceat(home_rank(counts, far) * architecture.tiles - tile[:, None], first)
    home[~single] = -best % architecture.tiles
    pair, column = np.nonzero((counts > 0) & (home[copy] != tile[:, None]))
    key, which = distinct(pair * architecture.tiles + home[copy[pair], column])
    sums = np.tile(grid.column_sums(), grid.weights.groups)[column] * grid.partial_sum_bits
    source, goal = np.divmod(key, architecture.tiles)
    return home, (np.flatnonzero(keep)[source], goal, np.bincount(which, sums, len(key)).astype(np.int64))


def home_rank(ous: IntArray, far: IntArray) -> IntArray:
    """What is largest for the home of a column (M4): of most OUs, among these nearest to the middle row.

    ``ous``, ``far``: existing OUs of a column on a tile, and how far off they are (:func:`column_ous`).
    """
    return np.asarray(ous * (int(far.max(initial=0)) + 1) - far)


def from_middle(rows: int) -> IntArray:
    """How far rows are from the middle one; of two as far, the lower one is farther (M4).

    Examples
    --------
    >>> from_middle(3), from_middle(4)
    (array([4, 0, 5]), array([6, 2, 3, 7]))
    """
    twice = 2 * np.arange(rows) - (rows - 1)
    return np.asarray(2 * abs(twice) + (twice > 0))


def column_ous(grid: Grid, owner: IntArray, rect: IntArray, owners: int, *, far: bool = False) -> IntArray:
    """Existing OUs of every column on every owner; shape (owners, OU columns).

    ``far``: the sum of their rows' distances from the middle instead; means nothing where a rectangle holds whole
    groups, but then all of a column.
    """
    rows = len(grid.rows)
    if grid.exists is None:
        height = np.minimum(rect[:, 1] - rect[:, 0], rows)
        below = np.concatenate([[0], np.cumsum(from_middle(rows) if far else np.ones(rows, dtype=np.int64))])
        top = rect[:, 0] % rows
        value = below[np.minimum(top + height, rows)] - below[top]
        return _coverage(owner, rect[:, 2], rect[:, 3], owners, grid.shape[1], value)
    below = np.zeros((grid.shape[0] + 1, grid.shape[1]), dtype=np.int64)
    held = grid.exists * (from_middle(rows) if far else np.ones(rows, dtype=np.int64))[:, None]
    below[1:] = np.kron(np.eye(grid.weights.groups, dtype=np.int64), held).cumsum(0)
    columns = np.arange(grid.shape[1])
    inside = (columns >= rect[:, 2:3]) & (columns < rect[:, 3:4])
    counts = np.zeros((owners, grid.shape[1]), dtype=np.int64)
    np.add.at(counts, owner, np.where(inside, below[rect[:, 1]] - below[rect[:, 0]], 0))
    return counts
