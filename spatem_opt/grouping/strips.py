"""Groupings in strips: closed-form costs, the best composition, and its rectangles.

A strip is a run of w whole columns of the grid (or of rows, on the transposed problem) cut among g groups. With
``p = floor(m/w)`` whole rows of the strip per group and ``e = m - p*w`` OUs to spare:

- ``g >= ceil(R/p)``: the rows are divided; the strip costs ``a*R + b*w*g``.
- fewer groups: each takes p rows, the spare parts share the other ``S = R - g*p`` rows: ``a*(g*p + t) + b*w*g`` with
  t the pieces of the shared rows. Either every shared row is cut into ``ceil(w/e)`` pieces (``g >= S*ceil(w/e)``), or
  the spare parts are laid end to end (``S*w <= g*e``), ``t = ceil(S*w/e) + S - 1`` less the coincident ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from spatem_opt.grouping.problem import GroupingProblem, GroupingSolution, from_table
from spatem_opt.types import INFINITE, IntArray

LAST_STRIPS = 3
"""Most strips of other widths that finish a run of equal strips."""
BACK = 2
"""Lengths tried of a run of equal strips: as many as fit, and fewer by 1 .. BACK - 1."""


@dataclass(frozen=True, slots=True)
class StripPlan:
    """A composition of strips, not yet laid out.

    Parameters
    ----------
    strips : tuple of (width, groups, count)
        Equal strips are counted; widths add up to the columns.
    transposed : bool
        The strips are runs of rows.
    cost : int
        Communication [bits per window].
    groups : int
        Groups used.
    """

    strips: tuple[tuple[int, int, int], ...]
    transposed: bool
    cost: int
    groups: int


def strip_cost(problem: GroupingProblem, width: IntArray, groups: IntArray, rows: IntArray | None = None) -> IntArray:
    """Cost of strips of the given widths and numbers of groups; :data:`INFINITE` where the OUs do not fit.

    Parameters
    ----------
    problem : GroupingProblem
    width, groups : int64 arrays, broadcastable
        1 <= width <= m.
    rows : int64 array or None
        Rows of the strips; None for those of the grid.
    """
    rows, size = np.asarray(problem.rows) if rows is None else rows, problem.size
    whole, spare = size // width, size % width
    shared = np.maximum(0, rows - groups * whole)
    some = np.maximum(spare, 1)
    per_row = -(-width // some)
    # Ends coincide where t*width is a multiple of the spare part, t = 1..shared-1.
    coincide = np.maximum(shared - 1, 0) // (some // np.gcd(width, some))
    chain = -(-(shared * width) // some) + shared - 1 - coincide
    pieces = np.where(groups >= shared * per_row, shared * per_row, chain)
    fits = (shared == 0) | ((spare > 0) & (shared * width <= groups * spare))
    touched = np.where(shared == 0, rows, groups * whole + pieces)
    cost = problem.row_cost * touched + problem.col_cost * width * groups
    return np.asarray(np.where(fits, cost, INFINITE), dtype=np.int64)


def not_full(problem: GroupingProblem, width: IntArray, groups: IntArray, rows: IntArray) -> IntArray:
    """Groups with free slots in strips as :func:`strip_cost` has them, laid out ``packed``."""
    whole, spare = problem.size // width, problem.size % width
    shared = np.maximum(0, rows - groups * whole)
    free = groups * problem.size - rows * width
    some = np.maximum(spare, 1)
    chained = groups < shared * -(-width // some)
    few = np.where(chained, -(-free // some), groups)
    most = np.where(shared > 0, few, np.where(spare > 0, groups, 1))
    return np.asarray(np.clip(most, 0, np.maximum(free, 0)))


def kinds(problem: GroupingProblem, width: IntArray, rows: IntArray | None = None) -> IntArray:
    """Numbers of groups worth trying for a strip of each width, shape (.., 3): fewest, whole pieces, whole rows."""
    rows, size = np.asarray(problem.rows) if rows is None else rows, problem.size
    whole, spare = size // width, size % width
    fewest = -(-rows * width // size)
    per_row = -(-width // np.maximum(spare, 1))
    pieces = np.maximum(fewest, -(-rows * per_row // (1 + whole * per_row)))
    aligned = -(-rows // whole)
    return np.stack([fewest, np.where(spare > 0, np.minimum(pieces, aligned), aligned), aligned], axis=-1)


def best_plan(problem: GroupingProblem) -> StripPlan | None:
    """The cheapest composition of the families tried with at most n groups, strips of columns or of rows.

    Returns
    -------
    StripPlan or None
        None if every composition tried needs more than n groups.
    """
    return best_plans(problem, (problem.groups,))[0]


def best_plans(problem: GroupingProblem, limits: tuple[int, ...]) -> list[StripPlan | None]:
    """:func:`best_plan` for several limits on the groups at once; ``problem.groups`` is not used."""
    found: list[list[tuple[Composition, bool]]] = [[] for _ in limits]
    for transposed in (False, True):
        q = problem.transposed() if transposed else problem
        for family in _families(q):
            for plans, composition in zip(found, _best(q, limits, *family), strict=True):
                if composition is not None:
                    plans.append((composition, transposed))
    best = [min(plans) if plans else None for plans in found]
    return [None if b is None else StripPlan(b[0][2], b[1], b[0][0], b[0][1]) for b in best]


Composition = tuple[int, int, tuple[tuple[int, int, int], ...]]
Family = tuple[IntArray, IntArray, IntArray, IntArray]


def _families(problem: GroupingProblem) -> list[Family]:
    """Width and number of equal strips, then number of strips that share the rest of the columns equally.

    Family 1: k strips as equal as possible. Family 2: equal strips of any width, then a few others.
    """
    widest = min(problem.cols, problem.size)
    count = np.arange(-(-problem.cols // widest), problem.cols + 1)
    zero = np.zeros_like(count)
    width, back, last = (
        x.ravel() for x in np.meshgrid(np.arange(1, widest + 1), np.arange(BACK), np.arange(1, LAST_STRIPS + 1))
    )
    heads = problem.cols // width - back
    rest = problem.cols - heads * width
    keep = (heads > 0) & (rest >= last) & (rest <= last * widest)
    families = [(zero + 1, zero, count, problem.cols + zero)]
    if keep.any():
        families.append((width[keep], heads[keep], last[keep], rest[keep]))
    return families


def _best(
    problem: GroupingProblem, limits: tuple[int, ...], width: IntArray, heads: IntArray, last: IntArray, rest: IntArray
) -> list[Composition | None]:
    """Best of compositions `heads` strips of `width`, then `last` strips that share `rest` columns, per limit."""
    low, more = np.divmod(rest, last)
    widths = np.stack([width, np.maximum(low, 1), np.minimum(low + 1, problem.size)])
    counts = np.stack([heads, np.where(low > 0, last - more, 0), more])
    groups = kinds(problem, widths.ravel()).reshape(3, -1, 3)
    cost = np.where(counts[:, :, None] > 0, strip_cost(problem, widths[:, :, None], groups), 0)
    used, total = _all_kinds(groups * counts[:, :, None]), _all_kinds(cost * counts[:, :, None])
    best: list[Composition | None] = []
    for limit in limits:
        admitted = np.where(used <= limit, total, INFINITE)
        at = np.unravel_index(int(admitted.argmin()), admitted.shape)
        item, *kind = (int(i) for i in at)
        strips = tuple(
            (int(widths[i, item]), int(groups[i, item, kind[i]]), int(counts[i, item]))
            for i in range(3)
            if counts[i, item] > 0
        )
        best.append((int(total[at]), int(used[at]), strips) if admitted[at] < INFINITE else None)
    return best


def _all_kinds(table: IntArray) -> IntArray:
    """Sum over the three widths, shape (items, 3, 3, 3), of a table of shape (widths, items, kinds)."""
    total = table[0][:, :, None, None] + table[1][:, None, :, None] + table[2][:, None, None, :]
    return np.asarray(total, dtype=np.int64)


def lay_out(problem: GroupingProblem, plan: StripPlan) -> GroupingSolution:
    """Rectangles of a plan, strips from left to right, groups of a strip from top to bottom."""
    q = problem.transposed() if plan.transposed else problem
    tables, group, left = [], 0, 0
    for width, groups, count in plan.strips:
        template = strip_table(q.rows, width, groups, q.size)
        shift = np.repeat(np.arange(count), len(template))
        table = np.tile(template, (count, 1))
        table[:, 0] += group + shift * groups
        table[:, 3:] += left + (shift * width)[:, None]
        tables.append(table)
        group, left = group + count * groups, left + count * width
    solution = from_table(np.concatenate(tables))
    return solution.transposed() if plan.transposed else solution


@cache
def strip_table(rows: int, width: int, groups: int, size: int, packed: bool = False) -> IntArray:
    """Rectangles (group, row_start, row_stop, col_start, col_stop) of one strip whose first column is 0.

    Where rows are divided, all groups have about as many, or if ``packed`` all but the last as many as they can.
    """
    whole, spare = size // width, size % width
    shared = max(0, rows - groups * whole)
    rank = np.arange(groups)
    if shared == 0:
        cuts = np.arange(groups + 1) * rows // groups
        if packed:
            cuts = np.minimum(np.arange(groups + 1) * whole, rows)
        full = np.stack([rank, cuts[:-1], cuts[1:], 0 * rank, 0 * rank + width], axis=1)
        return np.asarray(full[full[:, 1] < full[:, 2]])
    full = np.stack([rank, rank * whole, (rank + 1) * whole, 0 * rank, 0 * rank + width], axis=1)
    per_row = -(-width // spare)
    if groups >= shared * per_row:
        piece = np.arange(shared * per_row)
        row, part = np.divmod(piece, per_row)
        start, stop, owner = part * width // per_row, (part + 1) * width // per_row, piece
    else:
        ends = np.unique(np.concatenate((np.arange(0, shared * width, spare), np.arange(shared + 1) * width)))
        owner, row = ends[:-1] // spare, ends[:-1] // width
        start, stop = ends[:-1] - row * width, ends[1:] - row * width
    top = groups * whole + row
    return np.concatenate([full, np.stack([owner, top, top + 1, start, stop], axis=1)])
