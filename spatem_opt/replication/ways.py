"""Ways to run a layer: mapping option, shape of a copy, split of the windows, with an estimate of the traffic."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spatem_opt.architecture import Architecture
from spatem_opt.mapping.grid import Grid
from spatem_opt.network.layers import Node
from spatem_opt.replication.layout import Unit, unit
from spatem_opt.replication.shapes import Shape, shapes_for_serial, window_traffic

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

BESIDE, HOME = (3.3, 0.85), (1.15, 0.75)
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
    for option, grid in enumerate(grids):
        cols, rows = (axis.ravel() for axis in np.meshgrid(blocks(grid.window_cols), blocks(grid.window_rows)))
        keep = (rows == 1) | (cols == grid.window_cols)
        traffic = _Traffic(grid, node, architecture, cols[keep], rows[keep], outside, gathered, burst)
        for alike in _alike(grid, architecture, slots):
            body, best = traffic.estimate(alike)
            for k in np.unique(best):
                mine = body[:, best == k]
                head = np.tile([[option], [len(shapes)]], mine.shape[1])
                parts.append(np.concatenate([head, mine]))
                shapes.append(alike[k])
    table = np.concatenate(parts, axis=1)
    table = table[:, _useful(table[4:8])]
    whole = table[:7].astype(np.int64)
    return Ways(whole[0], tuple(shapes[i] for i in whole[1]), *whole[2:7], *table[7:])


def _alike(grid: Grid, architecture: Architecture, slots: IntArray) -> list[list[Shape]]:
    """Shapes within any of the limits on serial OUs; together those of as many crossbars and serial OUs."""
    found: dict[tuple[int, int], dict[Shape, None]] = {}
    for limit in slots.tolist():
        for shape in shapes_for_serial(grid, limit, architecture.crossbars_per_tile):
            if shape.crossbars <= architecture.crossbars:
                found.setdefault((shape.crossbars, shape.serial), {})[shape] = None
    return [list(alike) for alike in found.values()]


@dataclass(frozen=True, slots=True, eq=False)
class _Traffic:
    """Estimates of every split of the windows into ``cols`` blocks of columns x ``rows`` copies that take rows in turn.

    Distances: a copy, or a strip of it, fills a square of the mesh; inputs come from beside the copy, partial sums
    stay in their strip. They go to the homes of its columns, and its outputs come from there: the routers there (doors)
    must pass both within the interval; so must they with what is gathered at one copy, and the corner with the
    network's inputs.
    """

    grid: Grid
    node: Node
    architecture: Architecture
    cols: IntArray
    rows: IntArray
    outside: bool
    gathered: int
    burst: float

    def estimate(self, shapes: list[Shape]) -> tuple[FloatArray, IntArray]:
        """The last seven columns of :class:`Ways`, as rows, and the shape that every split takes.

        It takes the one of least traffic x cycles of these, which have as many crossbars and serial OUs.
        """
        grid, chip, shape = self.grid, self.architecture, shapes[0]
        per_tile, copies = chip.crossbars_per_tile, self.cols * self.rows
        own = unit(shape.crossbars, per_tile)
        together = np.minimum(copies, own.copies)
        tiles = max(1.0, own.room / per_tile)
        repeats, sums = (value[:, None] for value in window_traffic(grid, shapes, per_tile))
        doors, within, between = np.array([self._distances(shape) for shape in shapes]).T[:, :, None]
        pixels = _pixels(grid, self.cols, self.rows, own, per_tile)
        input_bits = len(self.node.edges[0].channel) * chip.activation_bits
        outputs = grid.weights.groups * float(grid.column_sums().sum()) * chip.activation_bits
        moved = self.gathered * (1 - together / copies)
        hop_bits = pixels * input_bits * between * repeats + grid.windows * sums * within + moved * BESIDE[0]

        inputs = pixels / grid.windows * input_bits * repeats
        busy = np.maximum(inputs, sums + outputs) / (doors * DOOR * chip.router_bits_per_cycle)
        load = np.ceil(grid.window_input_bits * together * repeats / tiles / chip.buffer_bits_per_cycle)
        compute = grid.phases * shape.serial
        interval = np.maximum(compute, load) if chip.overlap_input else compute + load
        if shape.crossbars > per_tile:
            interval = np.maximum(interval, np.ceil(busy))
        cycles = -(-grid.window_cols // self.cols) * -(-grid.window_rows // self.rows) * interval
        through = np.maximum(moved / doors, pixels * input_bits * repeats if self.outside else 0.0)
        cycles = np.maximum(cycles, np.ceil(through / (CORNER * chip.router_bits_per_cycle) - self.burst))

        best = (hop_bits * cycles).argmin(axis=0)
        chosen = best, np.arange(len(best))
        reads = grid.windows * grid.window_input_bits * repeats[best, 0]
        crossbars = copies // own.copies * own.room + copies % own.copies * shape.crossbars
        serial = np.full(len(best), shape.serial)
        columns = self.cols, self.rows, serial, crossbars, cycles[chosen], hop_bits[chosen], hop_bits[chosen] + reads
        return np.stack([np.asarray(column, dtype=np.float64) for column in columns]), best

    def _distances(self, shape: Shape) -> tuple[float, float, float]:
        """Routers that are homes of a copy; mean hops of a partial sum and of an input."""
        chip = self.architecture
        tiles = max(1.0, shape.crossbars / chip.crossbars_per_tile)
        routers = max(1.0, tiles / chip.tiles_per_router)
        across = -(-len(self.grid.cols) // shape.width)
        strip = shape.deep * shape.size / chip.crossbars_per_tile / chip.tiles_per_router
        doors = routers
        if shape.parts > 1 and shape.cut != "homes":
            doors = min(routers, 1 + (shape.bundles * across - 1) * min(1.0, strip))
        within = HOME[0] + HOME[1] * min(routers, max(1.0, strip)) ** 0.5
        between = _to_outside(chip) if self.outside else BESIDE[0] + BESIDE[1] * routers**0.5
        return float(np.floor(doors)), within, between


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
