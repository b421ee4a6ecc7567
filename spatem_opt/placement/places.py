"""Where the copies of all segments lie: along the walk over the chip, in strips of the image or woven (M4)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from spatem_opt.cost.grid import Grid
from spatem_opt.grouping.tiling import Tiling
from spatem_opt.model.architecture import Architecture
from spatem_opt.network.layers import Network
from spatem_opt.placement import order
from spatem_opt.placement.blocks import block_moves, block_positions, block_split
from spatem_opt.placement.congestion import evened_out, loads, serve
from spatem_opt.placement.interleaving import interleave
from spatem_opt.replication.layout import Allocation, Split, column_blocks
from spatem_opt.replication.modes import Modes, windows_in_turn
from spatem_opt.replication.segmentation import Segmentation
from spatem_opt.replication.side_by_side import CELLS
from spatem_opt.tuning import PlacingTuning
from spatem_opt.types import OUTSIDE, FloatArray, IntArray

LONG = 0.03
"""Of a plan's time, a trail from which on the next segment's copies may be ordered by when tiles are free."""
PACED = 1.1
"""A layer is held back from the start if routers make its windows so many times longer than they compute."""
USUAL = PlacingTuning()


def segment_regions(cuts: Segmentation, architecture: Architecture) -> IntArray:
    """First and last place on the walk of every segment's crossbars, shape (segments, 2)."""
    cells = cuts.cells if len(cuts.cells) else np.tile([0, CELLS], (int(cuts.segment.max()) + 1, 1))
    per_router = architecture.crossbars_per_tile * architecture.tiles_per_router
    return np.asarray(np.round(cells * (architecture.crossbars // per_router) / CELLS).astype(np.int64) * per_router)


@dataclass(frozen=True, slots=True, eq=False)
class PlacedCopies:
    """Copies on the chip.

    Parameters
    ----------
    grids : tuple of Grid
    allocations : list of Allocation
    cycles : float
        That they are expected to take.
    moves : int64 array, shape (segments, tiles), or None
        New tile of what a segment has at each tile.
    """

    grids: tuple[Grid, ...]
    allocations: list[Allocation]
    cycles: float
    moves: IntArray | None = None


def place_copies(
    plan: Segmentation,
    options: list[Modes],
    grids: list[tuple[Grid, ...]],
    network: Network,
    architecture: Architecture,
    lanes: Sequence[int] = (0,),
    woven: int = 0,
    *,
    served: bool = True,
    tuning: PlacingTuning = USUAL,
) -> PlacedCopies | None:
    """Copies along the walk, segment by segment, and the cycles they are expected to take; None if they do not fit.

    The image is cut into vertical strips that lie one after the other on the walk, and in each strip layers follow
    each other: one strip keeps a layer's copies together, many keep image columns together across layers. Each segment
    takes the number of strips, and the direction, that leave its data the shortest way.
    Of several numbers of ``lanes`` of the walk the one counts whose routers hold segments back least (:func:`serve`).
    With ``woven``, layers follow each other along the walk, which is dealt out to so many strips
    (:func:`~spatem_opt.placement.interleaving.interleave`), with copies ordered by when tiles are free, or not.

    The cycles are those of the segments; where ``served``, with what routers hold them back.
    """
    kept = [_choice(plan, layer, option, own) for layer, (option, own) in enumerate(zip(options, grids, strict=True))]
    chosen = tuple(own.grid for own in kept)
    shapes, counts = [own.shape for own in kept], [own.counts for own in kept]
    reading = {feed.target for feed in order.feeds(network) if feed.source == OUTSIDE}
    inward = {int(plan.segment[layer]) for layer in reading if architecture.input_entry == "corner"}
    orders = _orders(plan) if woven else [frozenset[int]()]
    used = np.array([own.crossbars for own in kept])
    narrow = set(plan.segment.tolist()) - set(plan.segment[2 * used > architecture.crossbars].tolist())
    best: PlacedCopies | None = None
    for number_of_lanes in lanes:
        laid = _laid_down(
            plan, chosen, shapes, counts, network, architecture, 1 if woven else 0, number_of_lanes
        )
        if laid is None:
            continue
        found = [
            Allocation(shape, place, own.split, int(segment), own.pace, number_of_lanes, own.share)
            for shape, place, own, segment in zip(shapes, laid, kept, plan.segment, strict=True)
        ]
        for ordered in orders:
            moves = _moves(plan, found, woven, architecture, inward, ordered)
            cycles = float(plan.cycles.sum()) if len(plan.cycles) else plan.cost
            if served and len(plan.cycles):
                busy = loads(network, architecture, chosen, counts, found, moves)
                lasts = overlapped(plan, ordered | narrow) if woven else plan.cycles
                cycles = serve(evened_out(busy, tuning.evener) if woven else busy, lasts, tuning.room)
            if best is None or cycles < best.cycles:
                best = PlacedCopies(chosen, found, cycles, moves)
    return best


def _moves(
    plan: Segmentation, found: Sequence[Allocation], woven: int, architecture: Architecture,
    inward: Collection[int], ordered: Collection[int],
) -> IntArray | None:  # fmt: skip
    """New tile of what every segment has at each tile; None if everything stays."""
    if not woven and not plan.chains:
        return None
    if woven:
        moves = interleave(found, woven, architecture, inward, ordered, plan.chains)
    else:
        moves = np.tile(np.arange(architecture.tiles), (int(plan.segment.max()) + 1, 1))
    for segment, mode in zip(plan.segment.tolist(), plan.chain, strict=False):
        if mode is not None:
            moves[segment] = block_moves(mode.grid, architecture, found[0].lanes)
    return moves


@dataclass(frozen=True, slots=True, eq=False)
class _Choice:
    """What a segmentation says of a layer: ``counts`` are blocks of columns, and copies in each; ``share`` as in
    :class:`~spatem_opt.replication.layout.Allocation`."""

    grid: Grid
    shape: Tiling
    counts: tuple[int, int]
    split: Split
    pace: int
    crossbars: int
    share: int = 0


def _choice(plan: Segmentation, layer: int, option: Modes, grids: tuple[Grid, ...]) -> _Choice:
    mode = plan.chain[layer] if plan.chain else None
    if mode is not None:
        grid = grids[mode.option]
        rows, cols = mode.grid.blocks(grid.window_rows, grid.window_cols)
        split = block_split(grid.window_rows, grid.window_cols, rows, cols, mode.turns)
        crossbars = rows * cols * mode.turns * mode.shape.crossbars
        return _Choice(grid, mode.shape, (cols, rows * mode.turns), split, 0, crossbars, mode.share)
    way = int(plan.way[layer])
    grid, counts = grids[int(option.option[way])], (int(option.col_blocks[way]), int(option.row_blocks[way]))
    split = column_blocks(grid.window_rows, grid.window_cols, *counts)
    return _Choice(grid, option.shapes[way], counts, split, _pace(option, way, grid), int(option.crossbars[way]))


def _orders(plan: Segmentation) -> list[frozenset[int]]:
    """Segments whose copies lie in the order in which tiles are free: none, or those that would wait for a long trail.

    See :func:`~spatem_opt.placement.interleaving.interleave`; that order moves more data.
    """
    long = np.flatnonzero(plan.trail[:-1] > LONG * plan.cycles.sum()) + 1
    return list(dict.fromkeys([frozenset[int](), frozenset(long.tolist())]))


def overlapped(plan: Segmentation, swift: Collection[int]) -> FloatArray:
    """How much later each segment ends than the one before, if it begins where that one's layers are done.

    A segment's first layers begin a pace after those of the one before, or when its last outputs are there. If that one
    has a long trail they also wait for it, but for ``swift`` segments: whose copies are ordered by when tiles are free,
    or lie on less than half of the chip each layer; others have tiles that are free late in every copy.
    """
    long = LONG * plan.cycles.sum()
    first = end = before = 0.0
    ends = []
    for s, (lasts, trail) in enumerate(zip(plan.cycles.tolist(), plan.trail.tolist(), strict=True)):
        first = max((first if before <= long or s in swift else end) + lasts - trail, end)
        end, before = first + trail, trail
        ends.append(end)
    return np.diff(ends, prepend=0.0)


def _laid_down(
    plan: Segmentation, grids: Sequence[Grid], shapes: Sequence[Tiling], counts: Sequence[tuple[int, int]],
    network: Network, architecture: Architecture, number: int, lanes: int,
) -> list[IntArray] | None:  # fmt: skip
    """Places of every layer's copies on a walk; None if a segment does not fit."""
    per_tile = architecture.crossbars_per_tile
    feeds, parts = order.feeds(network), segment_regions(plan, architecture)
    positions: list[IntArray] = [np.zeros(0, dtype=np.int64)] * len(shapes)
    for segment in np.unique(plan.segment):
        layers = np.flatnonzero(plan.segment == segment)
        chain = [mode for mode in (plan.chain[layer] for layer in layers if plan.chain) if mode is not None]
        if chain:
            held = block_positions(chain, [grids[i] for i in layers.tolist()], per_tile)
            for layer, place in zip(layers, held, strict=True):
                positions[layer] = place
            continue
        free = _corner_free(layers, feeds, parts[segment], architecture)
        for region in (free, parts[segment]):
            places = order.arrange_copies(layers, counts, shapes, positions, feeds, region, architecture, number, lanes)
            if places is not None:
                break
        else:
            return None
        for layer, place in zip(layers, places, strict=True):
            positions[layer] = place
    return positions


def _pace(option: Modes, way: int, grid: Grid) -> int:
    """Cycles from window to window of a copy, where routers allow no more than a way's compute time would."""
    pace = int(option.cycles[way]) // int(windows_in_turn(grid, option.col_blocks[way], option.row_blocks[way]))
    return pace if pace > PACED * grid.phases * int(option.serial[way]) else 0


def _corner_free(layers: IntArray, feeds: list[order.Feed], region: IntArray, architecture: Architecture) -> IntArray:
    """The region without the corner's router while network inputs come in there: it has enough to do with them."""
    inside = set(layers.tolist())
    reads = any(feed.source == OUTSIDE and feed.target in inside for feed in feeds)
    corner = architecture.crossbars_per_tile * architecture.tiles_per_router
    return np.maximum(region, [corner if reads and architecture.input_entry == "corner" else 0, 0])
