"""How near the bound of a grid its groups can be if they stay in the parts that a shape cuts it into: an estimate.

A strip of 69 columns in groups of 8 OUs of a row leaves 5 columns over. Neither wider groups nor shared rows make up
for that, while strips of 64 or 72 columns cost what the bound says. See :mod:`spatem_opt.grouping.widths`.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from spatem_opt.grouping import bounds
from spatem_opt.grouping.problem import GroupingProblem
from spatem_opt.grouping.widths import widths
from spatem_opt.types import FloatArray, IntArray

LOST = 0.5
"""Of a group, the slots that every part leaves free in vain."""
LARGEST = 256
"""Most OUs of a group for which there is an estimate; where groups are larger there is room enough."""
SMALL = 5000
"""Most OUs of a grid whose bound knows that touches are integers."""


GapColumns = tuple[IntArray, IntArray, IntArray, IntArray, IntArray]


def grouping_gap(grid: tuple[int, int, int], cost: tuple[int, int], columns: GapColumns, home: IntArray) -> FloatArray:
    """Estimated cost of all groups of a copy over their bound, less 1.

    Parameters
    ----------
    grid : (rows, cols, sections)
        OU rows of all sections.
    cost : (row cost, column cost)
        Of a group [bits per window].
    columns : tuple of int64 arrays, shape (shapes,)
        Crossbars of a part, columns of a strip, parts in it, parts of all strips, most OUs of a group.
    home : int64 array
        Rows of a section that are dealt out to the parts by columns; -1 where strips are cut between rows.

    Returns
    -------
    float array, shape (shapes,)
    """
    rows, cols, sections = grid
    size, width, deep, parts, slots = columns
    known = widths(min(LARGEST, 1 << (int(slots.max(initial=1)) - 1).bit_length()), *cost)
    m = np.minimum(slots, known.most)
    total = np.zeros(len(width))
    whole = cols // width
    for number, w, g in ((whole, width, deep), (1, cols % width, parts - whole * deep)):
        some = np.maximum(g, 1)
        high, rest = np.divmod(-(-(rows // sections - home) * w // some), np.maximum(w, 1))
        high, rest = np.where(home < 0, rows / (sections * some), high), np.where(home < 0, 0, rest)
        value = high * known.cost(w, m) + known.cost(rest, m) + np.maximum(home, 0) * known.cost(-(-w // some), m)
        value *= some * sections
        free = g * (size * slots - LOST * slots) - rows * w
        total += number * (value - known.price[:, m] * free).max(axis=0)
    bound = np.array([_bound(rows, cols, most, *cost) for most in slots.tolist()], dtype=np.float64)
    return np.asarray(np.where(slots > LARGEST, 0.0, total / np.maximum(bound, 1) - 1))


@lru_cache(maxsize=4096)
def _bound(rows: int, cols: int, serial: int, row_cost: int, col_cost: int) -> int:
    """Bound on the cost of a grid's groups, however many there are."""
    problem = GroupingProblem(rows, cols, rows * cols, serial, row_cost, col_cost)
    return max(bounds.lines(problem), bounds.touches(problem) if problem.ous <= SMALL else 0)
