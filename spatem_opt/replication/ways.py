"""Ways to run a layer: mapping option, shape of a copy, split of the windows, with an estimate of the traffic."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from spatem_opt.architecture import Architecture
from spatem_opt.mapping.grid import Grid
from spatem_opt.network.layers import Node
from spatem_opt.replication.layout import Unit, unit
from spatem_opt.replication.shapes import Shape, shape_for_serial, strip_widths, window_traffic

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

BESIDE, HOME = (3.0, 0.8), (1.0, 0.85)
"""Mean hops of an input, and how they grow with the side of the consuming copy [routers]; those of a partial sum, with
the side of its strip: fitted to evaluated plans."""
DOOR, CORNER = 0.6, 0.85
"""Shares of a router that partial sums and outputs of a copy, or the network's inputs, may take: others pass, too."""


@dataclass(frozen=True, slots=True, eq=False)
class Ways:
    """Ways to run one layer: columns of equal length.

    Parameters
    ----------
    option : int64 array
        Mapping option, an index into the layer's grids.
    shapes : tuple of Shape
    col_blocks, row_blocks : int64 arrays
        Copies = column blocks x interleaved rows of windows.
    serial, crossbars, cycles : int64 arrays
        OUs on the fullest crossbar, crossbars that all copies take up, cycles for all windows.
    hop_bits, bits : float arrays
        Estimated traffic between tiles [bit-hops], and all communication.
    """

    option: IntArray
    shapes: tuple[Shape, ...]
    col_blocks: IntArray
    row_blocks: IntArray
    serial: IntArray
    crossbars: IntArray
    cycles: IntArray
    hop_bits: FloatArray
    bits: FloatArray


def blocks(length: int) -> IntArray:
    """Numbers of blocks an axis is cut into: the least for every distinct block length."""
    size = np.unique(-(-length // np.arange(1, length + 1)))
    return np.unique(-(-length // size))


def ways(
    grids: tuple[Grid, ...],
    node: Node,
    architecture: Architecture,
    slots: IntArray,
    outside: bool = False,
    gathered: int = 0,
    burst: float = 0.0,
) -> Ways:
    """All ways to run a layer that may pay: mapping option x shape x column blocks x interleaved rows.

    Parameters
    ----------
    grids : tuple of Grid
        Of the mapping options.
    node : Node
    architecture : Architecture
    slots : int64 array
        Limits on serial OUs.
    outside : bool
        Whether the layer reads a network input, which comes from the corner of the mesh.
    gathered : int
        Bits of its outputs that a digital node brings together at one of its copies (global pooling).
    burst : float
        Cycles of traffic that a router takes in on top of what it serves (M8).
    """
    parts: list[FloatArray] = []
    shapes: list[Shape] = []
    input_bits = len(node.edges[0].channel) * architecture.activation_bits
    for option, grid in enumerate(grids):
        cols, rows = (axis.ravel() for axis in np.meshgrid(blocks(grid.window_cols), blocks(grid.window_rows)))
        keep = (rows == 1) | (cols == grid.window_cols)
        known: set[Shape] = set()
        for limit in slots:
            shape = shape_for_serial(grid, int(limit))
            if shape is None or shape in known or shape.crossbars > architecture.crossbars:
                continue
            known.add(shape)
            body, strip = _estimate(
                grid, architecture, shape, cols[keep], rows[keep], input_bits, outside, gathered, burst
            )
            for width in np.unique(strip):
                mine = body[:, strip == width]
                head = np.tile([[option], [len(shapes)]], mine.shape[1])
                parts.append(np.concatenate([head, mine]))
                shapes.append(replace(shape, strip=int(width)))
    table = np.concatenate(parts, axis=1)
    table = table[:, _useful(table[4:8])]
    whole = table[:7].astype(np.int64)
    return Ways(whole[0], tuple(shapes[i] for i in whole[1]), *whole[2:7], *table[7:])


def _estimate(
    grid: Grid, architecture: Architecture, shape: Shape, cols: IntArray, rows: IntArray,
    input_bits: int, outside: bool, gathered: int, burst: float,
) -> tuple[FloatArray, IntArray]:  # fmt: skip
    """One shape with every split of the windows: the last seven columns of :class:`Ways`, as rows; width of strips.

    Distances: a copy, or a strip of it, fills a square of the mesh; inputs come from beside the copy, partial sums
    stay in their strip. They go to its first tiles, and its outputs come from there: their routers (doors) must pass
    both within the interval; so must they with what is gathered at one copy, and the corner with the network's inputs.
    Every split takes the width of strips of least traffic that does not crowd the doors.
    """
    per_tile, copies = architecture.crossbars_per_tile, cols * rows
    own = unit(shape.crossbars, per_tile)
    together = np.minimum(copies, own.copies)
    width = strip_widths(shape, per_tile)
    repeats, sums = window_traffic(grid, shape, per_tile, width)
    tiles = max(1.0, own.room / per_tile)
    routers = max(1.0, tiles / architecture.tiles_per_router)
    doors = np.ones(len(width))
    if shape.row_parts * shape.col_parts > per_tile:
        across = shape.bundles * -(-shape.col_parts // width)
        apart = np.minimum(1.0, shape.row_parts * width / per_tile / architecture.tiles_per_router)
        wide = np.maximum(1.0, width / per_tile / architecture.tiles_per_router)
        doors = np.floor(np.minimum(routers, (1 + (across - 1) * apart) * wide))
    side = routers**0.5
    between = _to_outside(architecture) if outside else BESIDE[0] + BESIDE[1] * side
    reach = np.maximum(1.0, shape.row_parts * width / per_tile / architecture.tiles_per_router) ** 0.5
    within = HOME[0] + HOME[1] * np.minimum(side, reach)
    pixels = _pixels(grid, cols, rows, own, per_tile)
    moved = gathered * (1 - together / copies)
    traffic = pixels * input_bits * between * repeats[:, None] + grid.windows * (sums * within)[:, None]
    outputs = grid.weights.groups * float(grid.column_sums().sum()) * architecture.activation_bits
    inputs = pixels / grid.windows * input_bits * repeats[:, None]
    busy = np.maximum(inputs, (sums + outputs)[:, None]) / (doors[:, None] * DOOR * architecture.router_bits_per_cycle)
    compute = grid.phases * shape.serial
    best = (traffic * np.maximum(1.0, busy / compute)).argmin(axis=0)
    chosen = best, np.arange(len(best))
    repeats, sums, doors, busy = repeats[best], sums[best], doors[best], busy[chosen]
    hop_bits = traffic[chosen] + moved * BESIDE[0]

    load = np.ceil(grid.window_input_bits * together * repeats / tiles / architecture.buffer_bits_per_cycle)
    interval = np.maximum(compute, load) if architecture.overlap_input else compute + load
    if shape.crossbars > per_tile:
        interval = np.maximum(interval, np.ceil(busy))
    cycles = -(-grid.window_cols // cols) * -(-grid.window_rows // rows) * interval
    through = np.maximum(moved / doors, pixels * input_bits * repeats if outside else 0.0)
    cycles = np.maximum(cycles, np.ceil(through / (CORNER * architecture.router_bits_per_cycle) - burst))
    reads = grid.windows * grid.window_input_bits * repeats
    crossbars = copies // own.copies * own.room + copies % own.copies * shape.crossbars
    one = np.ones(len(cols))
    body = np.stack([cols, rows, shape.serial * one, crossbars, cycles, hop_bits, hop_bits + reads])
    return body, width[best]


def _to_outside(architecture: Architecture) -> float:
    """Mean distance from the port to the outside."""
    return 1 + (architecture.mesh_rows + architecture.mesh_cols) / 2


def _pixels(grid: Grid, cols: IntArray, rows: IntArray, own: Unit, per_tile: int) -> FloatArray:
    """Input pixels that all copies need, counted once per tile (once per copy if that is larger).

    Units that do not keep to tiles of their own straddle two now and then, or meet another one of their layer in one.
    """
    copies = cols * rows
    together = np.minimum(copies, own.copies)
    again = 0.0 if own.whole else min(own.crossbars / per_tile / 2, per_tile / own.crossbars)
    return np.asarray(
        copies / together * _block_pixels(grid, cols, rows, together) * np.where(copies > 1, 1 + again, 1)
    )


def _block_pixels(grid: Grid, cols: IntArray, rows: IntArray, together: IntArray) -> FloatArray:
    """Input pixels that the copies in one tile need: a block of columns (wider with more copies), every rows-th row."""
    (kh, kw), (sy, sx) = grid.weights.kernel, grid.weights.stride
    beside = np.minimum(together, cols)
    wide = (-(-grid.window_cols // cols) * beside - 1) * sx * grid.option.pw + kw
    lines = np.where(rows > 1, -(-grid.window_rows // rows) * kh, (grid.window_rows - 1) * sy * grid.option.ph + kh)
    high = np.minimum(lines * np.minimum(rows, -(-together // beside)), (grid.window_rows - 1) * sy + kh)
    return np.asarray(np.minimum(wide, (grid.window_cols - 1) * sx + kw) * high, dtype=np.float64)


def _useful(table: FloatArray) -> IntArray:
    """Ways that no other way beats in serial OUs, crossbars, cycles and traffic at once (to 1 %)."""
    order = np.lexsort(table[::-1])
    kept: list[int] = []
    front = np.empty((4, 0))
    for i in order:
        row = table[:, i : i + 1]
        if not (front <= row * 1.01).all(axis=0).any():
            kept.append(int(i))
            front = np.concatenate([front, row], axis=1)
    return np.array(kept)
