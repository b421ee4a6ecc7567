"""Shapes whose groups come near the bound of their grid, in place of others whose groups do not (M4).

An estimate tells which shapes are sure to; the groups of others are made and counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np

from spatem_opt.cost.grid import Grid
from spatem_opt.grouping import bounds
from spatem_opt.grouping.gap import grouping_gap
from spatem_opt.grouping.problem import GroupingProblem
from spatem_opt.grouping.regrouping import price
from spatem_opt.grouping.tile_parts import rectangles
from spatem_opt.grouping.tiling import HOME_ROWS, Tiling, row_sections, tilings_like, unit_costs, window_traffic
from spatem_opt.types import FloatArray

NEAR, WORTH = 0.03, 0.005
"""Share of a grouping's cost that may be above its bound; by how much another shape must be nearer if none is near."""
SURE = 0.013
"""Estimated excess up to which groups need not be counted: of 625 shapes of nine networks those up to 0.014 were all
found near."""
LIKELY, HARDLY, COUNTED = 0.036, 0.045, 12
"""Estimated excess up to which other shapes are tried first, then up to which; how many are counted at most."""
MORE, MORE_INSIDE, FEW = 1 / 12, 1 / 8, 3
"""Share of crossbars that a copy may take more for better groups: in several parts; in one, at least a few."""
LITTLE_MORE, MUCH_MORE = 1.15, 1.4
"""Times the inputs and partial sums that it may move in several parts: up to the first, the latency of plans stays the
same, to a tenth of a percent; up to the second for latency alone, where nothing less helps."""
HOMES = {"rows": -1, "runs": 0, "homes": HOME_ROWS}
"""Rows that are dealt out by columns; -1 where whole rows are."""


@lru_cache(maxsize=4096)
def substitute_tiling(
    grid: Grid, shape: Tiling, per_tile: int, most_traffic: float = MUCH_MORE, *, larger: bool = True
) -> Tiling:
    """A shape whose groups come near their bound: ``shape`` itself if it is one, or if there is none like it.

    A grid in several parts is cut into strips of another width, which takes no more slots and hardly moves more data.
    A few crossbars more help as well, a grid in one part only these; but none are taken without ``larger``.
    """
    if grid.option.storage == "filled" or grid.exists is not None or shape.crossbars == shape.bundles:
        return shape
    own_gap = gap_per_window(grid, shape)
    if own_gap <= NEAR:
        return shape
    best, least = shape, own_gap - WORTH
    for much, own in _others(grid, shape, per_tile, most_traffic, larger=larger)[:COUNTED]:
        other = gap_per_window(grid, own)
        if other <= NEAR:
            return own
        if other < least and not much and shape.parts > 1:
            best, least = own, other
    return best


def _others(
    grid: Grid, shape: Tiling, per_tile: int, most_traffic: float, *, larger: bool
) -> list[tuple[bool, Tiling]]:
    """Shapes that might be nearer, the first choice first, and whether each moves much more data."""
    if shape.parts == 1:
        ous = len(grid.rows) * len(grid.cols)
        most = min(per_tile, shape.serial * shape.size, shape.size + larger * max(FEW, int(MORE_INSIDE * shape.size)))
        found = [
            replace(shape, size=size, serial=serial)
            for size in range(shape.size + 1, most + 1)
            for serial in {shape.serial, -(-ous // size)}
        ]
    else:
        found = tilings_like(grid, shape, shape.parts + larger * int(MORE * shape.parts))
    traffic = np.stack(window_traffic(grid, [shape, *found], per_tile))
    more = (traffic[:, 1:] / np.maximum(traffic[:, :1], 1)).max(axis=0)
    crossbars = np.array([own.crossbars for own in found], dtype=np.int64)
    apart = per_tile // crossbars < per_tile // shape.crossbars  # fewer copies share a tile
    much = ((more > LITTLE_MORE) | apart).tolist()
    estimate = estimates(grid, found)
    may = np.flatnonzero((more <= most_traffic) & (estimate <= HARDLY)).tolist()
    rank = [(much[i], estimate[i] > LIKELY, crossbars[i], estimate[i]) for i in range(len(found))]
    return [(much[i], found[i]) for i in sorted(may, key=rank.__getitem__)]


def estimates(grid: Grid, shapes: Sequence[Tiling]) -> FloatArray:
    """Estimated excess of the groups' cost over their bound; shape (shapes,)."""
    table = np.array([(s.size, s.width, s.deep, s.parts, s.serial) for s in shapes], dtype=np.int64).reshape(-1, 5)
    size, width, deep, parts, slots = table.T
    home = np.array([HOMES[shape.cut] for shape in shapes], dtype=np.int64)
    extent = len(grid.rows), len(grid.cols), row_sections(grid)
    return np.asarray(grouping_gap(extent, unit_costs(grid), (size, width, deep, parts, slots), home))


@lru_cache(maxsize=16384)
def gap_per_window(grid: Grid, shape: Tiling) -> float:
    """Share of the groups' cost that is above their bound; an estimate where that is sure to be near, else counted."""
    estimate = float(estimates(grid, [shape])[0])
    if estimate <= SURE:
        return estimate
    crossbars, cost = shape.parts * shape.size, unit_costs(grid)
    table = rectangles(grid, shape)
    problem = GroupingProblem(len(grid.rows), len(grid.cols), crossbars, shape.serial, *cost)
    return 1 - bounds.lower_bound(problem) / price(table[table[:, 0] < crossbars], *cost)
