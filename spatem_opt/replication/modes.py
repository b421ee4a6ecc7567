"""Ways to run a layer: mapping option, shape of a copy, split of the windows, with an estimate of the traffic."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spatem_opt.cost.grid import Grid
from spatem_opt.grouping.tiling import Tiling, fullest_part, tilings_within, window_traffic
from spatem_opt.model.architecture import Architecture
from spatem_opt.network.layers import Node
from spatem_opt.replication.layout import Unit, unit
from spatem_opt.tuning import ModeTuning
from spatem_opt.types import BoolArray, FloatArray, IntArray

BLOCK = 256
"""Ways compared at once."""
USUAL = ModeTuning()


@dataclass(frozen=True, slots=True, eq=False)
class Modes:
    """Ways to run one layer: columns of equal length.

    Parameters
    ----------
    option : int64 array
        Mapping option, an index into the layer's grids.
    shapes : tuple of Tiling
    col_blocks, row_blocks : int64 arrays
        Copies = column blocks x interleaved rows of windows.
    serial, crossbars, cycles : int64 arrays
        OUs on the fullest crossbar, crossbars that all copies take up, cycles for all windows.
    hop_bits, bits : float arrays
        Estimated traffic between tiles [bit-hops], and all communication.
    """

    option: IntArray
    shapes: tuple[Tiling, ...]
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


def column_counts(width: int) -> IntArray:
    """Numbers of blocks of columns: those, and in between such that make blocks a tenth smaller."""
    steps = [1]
    while steps[-1] < width:
        steps.append(max(steps[-1] + 1, steps[-1] * 11 // 10))
    return np.unique(np.minimum(np.concatenate([blocks(width), steps]), width))


def windows_in_turn(grid: Grid, cols: IntArray, rows: IntArray) -> IntArray:
    """Windows that a copy takes time for, of ``cols`` blocks of columns x ``rows`` copies that take rows in turn.

    Those of the busiest copy; one more where blocks are wider in some rows than in others, since copies then wait for
    each other.
    """
    shared = -(-grid.windows // cols) + (grid.window_cols % cols > 0)
    return np.where(rows == 1, shared, -(-grid.window_cols // cols) * -(-grid.window_rows // rows))


def layer_modes(
    grids: tuple[Grid, ...],
    node: Node,
    architecture: Architecture,
    slots: IntArray,
    outside: bool = False,
    gathered: int = 0,
    tuning: ModeTuning = USUAL,
) -> Modes:
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
    tuning : ModeTuning
    """
    tables: list[FloatArray] = []
    shapes: list[Tiling] = []
    for option, grid in enumerate(grids):
        cols, rows = (axis.ravel() for axis in np.meshgrid(column_counts(grid.window_cols), blocks(grid.window_rows)))
        keep = (rows == 1) | (cols == grid.window_cols)
        own = _shapes(grid, architecture, slots)
        if own:
            estimate = _Estimate(grid, node, architecture, own, cols[keep], rows[keep], outside, gathered, tuning)
            table = estimate.table()
            tables.append(np.concatenate([np.full((1, table.shape[1]), option), table]))
            tables[-1][1] += len(shapes)
            shapes += own
    table = np.concatenate(tables, axis=1)
    table = table[:, _useful(table[4:8])]
    whole = table[:7].astype(np.int64)
    return Modes(whole[0], tuple(shapes[i] for i in whole[1]), *whole[2:7], *table[7:])


def _shapes(grid: Grid, architecture: Architecture, slots: IntArray) -> list[Tiling]:
    """Shapes within any of the limits on serial OUs, in order of crossbars and serial OUs."""
    per_tile = architecture.crossbars_per_tile
    found = {shape: None for shapes in tilings_within(grid, slots, per_tile) for shape in shapes}
    fits = [shape for shape in found if shape.crossbars <= architecture.crossbars]
    return sorted(fits, key=lambda shape: (shape.crossbars, shape.serial))


@dataclass(frozen=True, slots=True, eq=False)
class _Estimate:
    """Estimates of all shapes with every split of the windows into ``cols`` blocks of columns x ``rows`` copies that
    take rows in turn.

    Distances: a copy, or a strip of it, fills a square of the mesh; inputs come from beside the copy, partial sums
    stay in their strip. They go to the homes of its columns, and its outputs come from there: the routers there (doors)
    must pass both within the interval; so must they with what is gathered at one copy, and the corner with the
    network's inputs.
    """

    grid: Grid
    node: Node
    architecture: Architecture
    shapes: list[Tiling]
    cols: IntArray
    rows: IntArray
    outside: bool
    gathered: int
    tuning: ModeTuning

    def table(self) -> FloatArray:
        """Shape, and the last seven columns of :class:`Modes`, as rows.

        Of shapes of as many crossbars and serial OUs every split takes the one of least traffic x cycles.
        """
        grid, chip = self.grid, self.architecture
        per_tile, copies = chip.crossbars_per_tile, self.cols * self.rows
        size, serial = (np.array([getattr(s, name) for s in self.shapes])[:, None] for name in ("crossbars", "serial"))
        units = [unit(shape.crossbars, per_tile) for shape in self.shapes]
        alike, room = (np.array([getattr(own, name) for own in units])[:, None] for name in ("copies", "room"))
        together = np.minimum(copies, alike)
        tiles = np.maximum(1.0, room / per_tile)
        repeats, sums = (value[:, None] for value in window_traffic(grid, self.shapes, per_tile))
        doors, within, between = self._distances()
        pixels = _pixels(grid, self.cols, self.rows, together, _shared(units, per_tile), self.tuning.ragged)
        input_bits = len(self.node.edges[0].channel) * grid.activation_bits
        outputs = grid.weights.groups * float(grid.column_sums().sum()) * chip.activation_bits
        moved = self.gathered * (1 - together / copies)
        hop_bits = pixels * input_bits * between * repeats + grid.windows * sums * within
        hop_bits = hop_bits + moved * self.tuning.beside[0]

        inputs = pixels / grid.windows * input_bits * repeats
        busy = np.maximum(inputs, sums + outputs) / (doors * self.tuning.door * chip.router_bits_per_cycle)
        parts = np.array([shape.parts for shape in self.shapes])[:, None]
        fullest = np.maximum(repeats / tiles, np.where(parts > 1, fullest_part(grid, self.shapes)[:, None], 0.0))
        load = np.ceil(grid.window_input_bits * together * fullest / chip.buffer_bits_per_cycle)
        compute = grid.phases * serial
        interval = np.maximum(compute, load) if chip.overlap_input else compute + load
        interval = np.where(size > per_tile, np.maximum(interval, np.ceil(busy)), interval)
        cycles = windows_in_turn(grid, self.cols, self.rows) * interval
        entries = chip.mesh_cols if chip.input_entry == "columns" else 1
        through = np.maximum(moved / doors, pixels * input_bits * repeats / entries if self.outside else 0.0)
        cycles = np.maximum(cycles, np.ceil(through / (self.tuning.entry * chip.router_bits_per_cycle)))

        crossbars = copies // alike * room + copies % alike * size
        routers = np.maximum(1.0, crossbars / (per_tile * chip.tiles_per_router))
        met = np.maximum(pixels * input_bits * repeats, grid.windows * (sums + outputs)) / routers
        cycles = np.maximum(cycles, np.ceil(met / (self.tuning.door * chip.router_bits_per_cycle)))

        edge = np.flatnonzero(np.diff(size[:, 0], prepend=0) | np.diff(serial[:, 0], prepend=0))
        cost = hop_bits * cycles
        pairs = zip(edge.tolist(), [*edge[1:].tolist(), len(cost)], strict=True)
        best = np.concatenate([first + cost[first:last].argmin(axis=0) for first, last in pairs])
        split = np.tile(np.arange(len(copies)), len(edge))
        reads = grid.windows * grid.window_input_bits * repeats
        own = hop_bits[best, split]
        return np.stack([
            best, self.cols[split], self.rows[split], serial[best, 0], crossbars[best, split], cycles[best, split],
            own, own + reads[best, 0],
        ])  # fmt: skip

    def _distances(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Routers that are homes of a copy; mean hops of a partial sum and of an input; one row per shape."""
        chip = self.architecture
        table = np.array([(s.crossbars, s.deep * s.size, s.width, s.bundles, s.parts) for s in self.shapes])
        crossbars, strip, width, bundles, parts = table.T[:, :, None]
        per_router = chip.crossbars_per_tile * chip.tiles_per_router
        routers, strip = np.maximum(1.0, crossbars / per_router), strip / per_router
        spread = (parts == 1) | np.array([[shape.cut == "homes"] for shape in self.shapes])
        across = bundles * -(-len(self.grid.cols) // width)
        doors = np.where(spread, routers, np.minimum(routers, 1 + (across - 1) * np.minimum(1.0, strip)))
        (near, growth), (side, wider) = self.tuning.home, self.tuning.beside
        within = near + growth * np.minimum(routers, np.maximum(1.0, strip)) ** 0.5
        outside = _to_outside(chip) * np.ones_like(routers)
        beside = np.minimum(side + wider * routers**0.5, 1 + (chip.mesh_rows + chip.mesh_cols) / 3)
        return np.floor(doors), within, outside if self.outside else beside


def _to_outside(architecture: Architecture) -> float:
    """Mean distance from where inputs enter."""
    columns = architecture.input_entry == "columns"
    return 1 + (architecture.mesh_rows + (0 if columns else architecture.mesh_cols)) / 2


def _shared(units: list[Unit], per_tile: int) -> FloatArray:
    """How many more pixels units need that do not keep to tiles of their own: they straddle two now and then, or meet
    another one of their layer in one; one row per unit."""
    size = np.array([own.crossbars for own in units]) / per_tile
    whole = np.array([own.whole for own in units])
    return np.where(whole, 0.0, np.minimum(size / 2, 1 / size))[:, None]


def _pixels(
    grid: Grid, cols: IntArray, rows: IntArray, together: IntArray, shared: FloatArray, more: float
) -> FloatArray:
    """Input pixels that all copies need, counted once per tile (once per copy if that is larger).

    ``more``: columns that blocks which are wider in some rows than in others need more, on average: kernels span these.
    """
    copies = cols * rows
    return np.asarray(
        copies / together * _block_pixels(grid, cols, rows, together, more) * np.where(copies > 1, 1 + shared, 1)
    )


def _block_pixels(grid: Grid, cols: IntArray, rows: IntArray, together: IntArray, more: float) -> FloatArray:
    """Input pixels that the copies in one tile need: next to each other are those of a block of columns, which take
    rows in turn, then those of the next block."""
    (kh, kw), (sy, sx) = grid.weights.kernel, grid.weights.stride
    sy, sx = sy * grid.option.ph, sx * grid.option.pw
    below = np.minimum(together, rows)
    beside = -(-together // rows)
    ragged = more * ((grid.window_cols % cols > 0) & (kh > sy))
    wide = np.minimum(grid.window_cols / cols * beside + ragged, grid.window_cols)
    turn = np.where(rows > 1, (below - 1) * sy + kh, (grid.window_rows - 1) * sy + kh)
    high = np.minimum(np.where(rows > 1, -(-grid.window_rows // rows), 1) * turn, (grid.window_rows - 1) * sy + kh)
    return np.asarray(((wide - 1) * sx + kw) * high, dtype=np.float64)


def _useful(table: FloatArray) -> IntArray:
    """Ways that no other way beats in serial OUs, crossbars, cycles and traffic at once (to 1 %)."""
    order = np.lexsort(table[::-1])  # serial OUs ascend: those kept before never have more
    rest, limit = table[1:, order], 1.01 * table[1:, order]
    front, kept, count = np.empty_like(rest), np.empty(len(order), dtype=np.int64), 0
    for first in range(0, len(order), BLOCK):
        own = first + np.flatnonzero(~_beats(front[:, :count], limit[:, first : first + BLOCK]).any(axis=0))
        beats = _beats(rest[:, own], limit[:, own])
        beaten = np.zeros(len(own), dtype=np.bool_)
        for i in range(len(own)):
            if not beaten[i]:
                beaten[i + 1 :] |= beats[i, i + 1 :]
        own = own[~beaten]
        front[:, count : count + len(own)], kept[count : count + len(own)] = rest[:, own], order[own]
        count += len(own)
    return kept[:count]


def _beats(columns: FloatArray, limit: FloatArray) -> BoolArray:
    """Which columns are within which limits; shape (columns, limits)."""
    first, second, third = (own[:, None] <= most for own, most in zip(columns, limit, strict=True))
    return np.asarray(first & second & third)
