"""One layer per segment: every layer has the whole chip in its turn, cells permitting (SPEC 3.3, segments).

All crossbars keep a few OUs of every layer. Which fraction of the cells a layer gets is a multiple-choice knapsack:
its copies and their shape cost serial OUs on every crossbar and buy time and communication.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spatem_opt.architecture import Architecture
from spatem_opt.mapping.grid import Grid
from spatem_opt.network.layers import Node
from spatem_opt.replication.layout import Allocation
from spatem_opt.replication.shapes import Shape, shape_on, strip_width

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Ways to run one layer on the whole chip: columns of equal length.

    Parameters
    ----------
    shapes : tuple of Shape
    copies, serial, cycles : int64 arrays
        Copies, OUs on the fullest crossbar, and cycles for all windows.
    traffic : float array
        Estimated communication [bits, and bits x hops between tiles].
    """

    shapes: tuple[Shape, ...]
    copies: IntArray
    serial: IntArray
    cycles: IntArray
    traffic: FloatArray


def candidates(grid: Grid, node: Node, architecture: Architecture, capacity: int) -> Candidates:
    """Every number of windows per copy, on whole tiles or whole fractions of tiles; dominated ones left out."""
    rows: list[tuple[Shape, int, int, int, float]] = []
    for windows in _windows_per_copy(grid.windows):
        copies = -(-grid.windows // windows)
        available, together = _room(copies, architecture)
        shape = shape_on(grid, available, capacity) if available else None
        if shape is not None:
            tiles = -(-shape.crossbars // architecture.crossbars_per_tile)
            strips = -(-shape.col_parts // strip_width(grid, shape, architecture.crossbars_per_tile))
            per_tile = grid.window_input_bits * together * strips / tiles
            load = int(-(-per_tile // architecture.buffer_bits_per_cycle))
            interval = max(grid.phases * shape.serial, load) if architecture.overlap_input else (
                grid.phases * shape.serial + load)  # fmt: skip
            traffic = _traffic(grid, node, architecture, shape, copies, windows, strips, tiles)
            rows.append((shape, copies, shape.serial, windows * interval, traffic))
    table = np.array([row[2:] for row in rows], dtype=np.float64).reshape(-1, 3)
    keep = _undominated(table)
    return Candidates(
        tuple(rows[i][0] for i in keep), np.array([rows[i][1] for i in keep]),
        table[keep, 0].astype(np.int64), table[keep, 1].astype(np.int64), table[keep, 2],
    )  # fmt: skip


def _windows_per_copy(windows: int) -> list[int]:
    """The least number of windows per copy for every distinct number of copies that it leads to."""
    copies = {-(-windows // w) for w in range(1, int(windows**0.5) + 2)} | set(range(1, int(windows**0.5) + 2))
    return sorted({-(-windows // r) for r in copies if r <= windows})


def _room(copies: int, architecture: Architecture) -> tuple[int, int]:
    """Crossbars for each of that many copies, and how many copies share a tile."""
    if copies <= architecture.tiles:
        return architecture.tiles // copies * architecture.crossbars_per_tile, 1
    together = -(-copies // architecture.tiles)
    return architecture.crossbars_per_tile // together, together


def _traffic(
    grid: Grid, node: Node, architecture: Architecture, shape: Shape, copies: int, windows: int, strips: int, tiles: int
) -> float:
    """Communication of a layer [bits]: reads, inputs sent between tiles, partial sums; rough distances."""
    edge, (kh, kw), (sy, sx) = node.edges[0], grid.weights.kernel, grid.weights.stride
    parties = min(copies, architecture.tiles)
    run = windows * max(1, copies // architecture.tiles)
    lines, rest = divmod(run, grid.window_cols)
    pixels = (lines * sy + kh) * grid.window_cols * sx if lines else kh * (sx * (rest - 1) + kw)
    far = 2.0 + 0.5 * (architecture.tiles / parties) ** 0.5
    reads = grid.windows * grid.window_input_bits * strips
    sent = parties * pixels * len(edge.channel) * grid.activation_bits * strips * far
    deep = max(0.0, -(-shape.row_parts * -(-shape.col_parts // strips) // architecture.crossbars_per_tile) - 1.0)
    sums = grid.windows * deep * int(grid.column_sums().sum()) * grid.weights.groups * grid.partial_sum_bits * far
    return float(reads + sent + (sums if tiles > 1 else 0.0))


def _undominated(table: FloatArray) -> list[int]:
    no_worse = (table[:, None, :] <= table[None, :, :]).all(axis=2)
    better = (table[:, None, :] < table[None, :, :]).any(axis=2)
    earlier = np.arange(len(table))[:, None] < np.arange(len(table))[None, :]
    return [int(i) for i in np.flatnonzero(~(no_worse & (better | earlier)).any(axis=0))]


def choose(options: list[Candidates], capacity: int, price: float) -> list[int] | None:
    """Candidate of every layer of least ``cycles + price * traffic`` within ``sum of serial OUs <= capacity``.

    Exact: a dynamic programme over layers and serial OUs used so far.
    """
    best = np.zeros(capacity + 1)
    picks: list[IntArray] = []
    for option in options:
        cost = option.cycles + price * option.traffic
        table = np.full((len(cost), capacity + 1), np.inf)
        for i, (c, serial) in enumerate(zip(cost, option.serial, strict=True)):
            table[i, serial:] = best[: capacity + 1 - serial] + c
        if not len(cost) or not np.isfinite(table).any():
            return None
        picks.append(table.argmin(axis=0))
        best = table.min(axis=0)
    used = int(best.argmin())
    chosen: list[int] = []
    for option, pick in zip(reversed(options), reversed(picks), strict=True):
        chosen.append(int(pick[used]))
        used -= int(option.serial[chosen[-1]])
    return chosen[::-1]


def allocate(options: list[Candidates], chosen: list[int], architecture: Architecture) -> list[Allocation]:
    """Copies side by side along the walk, so that bands of windows follow each other from layer to layer."""
    allocations: list[Allocation] = []
    per_tile = architecture.crossbars_per_tile
    for segment, (option, i) in enumerate(zip(options, chosen, strict=True)):
        copies = int(option.copies[i])
        available, _ = _room(copies, architecture)
        tile = np.arange(copies) * architecture.tiles // copies
        within = np.arange(copies) - np.searchsorted(tile, tile)
        allocations.append(Allocation(option.shapes[i], tile * per_tile + within * available, "bands", segment))
    return allocations
