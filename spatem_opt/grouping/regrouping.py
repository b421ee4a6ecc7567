"""Groupings of a part as a whole: its full rows, the row that only some of its columns have, and its home rows.

What a group costs depends on how many rows and columns it touches, not on which these are. The columns of a run are
therefore turned round until it begins with the first one, and pieces of two rows that complete each other count as one
row: a run becomes a rectangle, and one row more for the first few columns. It is cut into a few rectangles, and these
by guillotine cuts into groups. Groups too many are dealt out to slots that others leave free.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from spatem_opt.grouping.guillotine import Catalogue
from spatem_opt.grouping.referee import distinct
from spatem_opt.types import NEVER, FloatArray, IntArray

COLUMNS = 64
"""Most numbers of columns tried that are cut off a block."""
NEARBY, TRIED = 1000, 4
"""Ways to cut a block that are looked at for different estimates, and of these, those that are laid out."""
SPLIT = 0.5
"""Rows that every further group costs among which one is dealt out; often, it has the row already."""
VICTIMS = (12, 1)
"""Of how many of the smallest groups the next one is dissolved; both are tried."""
RegionZone = tuple[int, int, int, int]
"""Rows and columns of a rectangle of a block, its top and left."""


@dataclass(frozen=True, slots=True, eq=False)
class RegionBlock:
    """Rows that share columns; the first ``longer`` columns have more rows than the others.

    Parameters
    ----------
    before, after : int64 arrays, shape (rows,)
        Row of the grid that each row of the block is, in columns before the ``wrap``-th, and in those after it.
    full : int
        Rows that have all columns, the first ones; the others have ``longer`` columns.
    width, longer, wrap : int
        Columns.
    left : int
        Column of the grid that is the first after the wrap.
    """

    before: IntArray
    after: IntArray
    full: int
    width: int
    longer: int
    wrap: int
    left: int

    @property
    def ous(self) -> int:
        """OUs of the block."""
        return self.full * self.width + (len(self.before) - self.full) * self.longer

    def in_grid(self, table: IntArray) -> IntArray:
        """Rectangles of the block (group, row_start, row_stop, col_start, col_stop) in rows and columns of the grid."""
        steps = (np.diff(self.before) != 1) | (np.diff(self.after) != 1)
        table = _cut(_cut(table, 1, np.flatnonzero(steps) + 1), 3, np.array([self.wrap]))
        _, top, bottom, left, right = table.T
        behind = left >= self.wrap
        shift = np.where(behind, self.left - self.wrap, self.left + self.width - self.wrap)
        start = np.where(behind, self.after[top], self.before[top])
        return np.stack([table[:, 0], start, start + bottom - top, left + shift, right + shift], axis=1)


def _cut(table: IntArray, axis: int, at: IntArray) -> IntArray:
    """Rectangles cut at ascending coordinates of an axis, whose start is in column ``axis`` of the table."""
    first = np.searchsorted(at, table[:, axis], side="right")
    times = np.searchsorted(at, table[:, axis + 1], side="left") - first + 1
    own = np.repeat(table, times, axis=0)
    number = np.arange(len(own)) - np.repeat(np.cumsum(times) - times, times)
    before = np.repeat(first, times) + number
    edge = np.concatenate([[-NEVER], at, [NEVER]])
    own[:, axis] = np.maximum(own[:, axis], edge[before])
    own[:, axis + 1] = np.minimum(own[:, axis + 1], edge[before + 1])
    return own


def block(
    core: IntArray, head: tuple[int, int, int] | None, tail: tuple[int, int, int] | None, left: int, right: int
) -> RegionBlock:
    """The block of a run: rows of the grid with all columns left..right, a piece of the row before and one behind.

    Parameters
    ----------
    core : int64 array
        Rows with all columns.
    head, tail : (row, left, right) or None
        The head ends with the last column, the tail begins with the first.
    left, right : int
        Columns.
    """
    width = right - left
    first, last = head[1] - left if head else 0, tail[2] - left if tail else 0
    before, after = core.tolist(), core.tolist()
    longer = last + (width - first if head else 0)
    if head and tail and longer >= width:  # they make a whole row, and what is left of the tail is some of the next
        before.append(head[0])
        after.append(tail[0])
        head, longer = None, longer - width
    full = len(before)
    pieces = [piece for piece in (head, tail) if piece]
    if longer:
        before.append(pieces[0][0])
        after.append(pieces[-1][0])
    return RegionBlock(
        np.array(before, dtype=np.int64), np.array(after, dtype=np.int64), full, width, longer, width - first, left
    )


def repeated(one: RegionBlock, sections: int, rows: int) -> RegionBlock:
    """A block of all sections of a grid, ``rows`` apart, given that of the first one."""
    shift = np.arange(sections)[:, None] * rows
    before, after = (
        np.concatenate([(own[: one.full] + shift).ravel(), (own[one.full :] + shift).ravel()])
        for own in (one.before, one.after)
    )
    return RegionBlock(before, after, one.full * sections, one.width, one.longer, one.wrap, one.left)


def grouped(blocks: Sequence[RegionBlock], size: int, serial: int, known: Catalogue, start: IntArray) -> IntArray:
    """A grouping of all OUs of the blocks, no costlier than the one that is there.

    The first block is cut into rectangles in many ways; cost and groups of each are looked up. The most promising ones
    are laid out, and the cheapest is taken.

    Parameters
    ----------
    blocks : sequence of RegionBlock
    size, serial : int
        Most groups, and most OUs of each.
    known : Catalogue
        For groups of ``serial`` OUs, and as many rows and columns as any of the blocks has.
    start : int64 array, shape (rectangles, 5)
        A grouping.

    Returns
    -------
    int64 array, shape (rectangles, 5)
        group, row_start, row_stop, col_start, col_stop, in rows and columns of the grid.
    """
    costs = known.problem.row_cost, known.problem.col_cost
    found = [
        _dissolved(table, size, serial, *costs, victims)
        for table in (
            _laid_out(blocks, places, known) for places in _promising(blocks, size, serial, known, price(start, *costs))
        )
        for victims in (VICTIMS if int(table[:, 0].max()) >= size else VICTIMS[:1])
    ]
    return min([start, *found], key=lambda table: price(table, *costs))


def _promising(
    blocks: Sequence[RegionBlock], size: int, serial: int, known: Catalogue, below: int
) -> Iterator[list[list[tuple[int, RegionZone]]]]:
    """Rectangles of all blocks, with the surcharges that they are looked up for: those of least estimates ``below``."""
    main, *others = blocks
    zones, once = _zones(main)
    sums = []
    for table in (known.cost, known.groups, known.partial):
        each = table[:, zones[..., 0], zones[..., 1]]
        rest = each[:, 1:].sum(axis=1)
        for other in others:
            rest = rest + table[:, other.full, other.width, None]
        # One surcharge for all; then, where cut in one direction only, any for the core with any for the rest.
        sums.append((each[:, 0] + rest, each[:, None, 0, once] + rest[None, :, once]))
    free = size * serial - sum(own.ous for own in blocks)
    alike, mixed = (
        _estimate(cost, groups, partial, size, serial, free, known.problem.row_cost)
        for cost, groups, partial in zip(*sums, strict=True)
    )
    for which in _least(np.concatenate([alike.ravel(), mixed.ravel()]), below).tolist():
        if which < alike.size:
            low, at = divmod(which, alike.shape[1])
            high = low
        else:
            pair, number = divmod(which - alike.size, len(once))
            (high, low), at = divmod(pair, len(known.tables)), int(once[number])
        core, *rest_of = ((rows, cols, top, left) for rows, cols, top, left in zones[:, at].tolist())
        yield [[(high, core), *((low, zone) for zone in rest_of)]] + [
            [(low, (other.full, other.width, 0, 0))] for other in others
        ]


def _zones(main: RegionBlock) -> tuple[IntArray, IntArray]:
    """Ways to cut a block into rectangles, and which of them cut in one direction only.

    Some columns are cut off, on the left, or on the right where all have as many rows. Of the others, some full rows
    are cut off together with those that not all columns have. What is left is the core.

    Returns
    -------
    zones : int64 array, shape (4, ways, 4)
        Rows, columns, top, left; the core comes first.
    once : int64 array
    """
    high, wide, long = main.full, main.width, main.longer
    extra = len(main.before) - high
    some = np.unique(np.linspace(0, wide, min(wide, COLUMNS) + 1).astype(np.int64))
    x, y = (axis.ravel() for axis in np.meshgrid(some, np.arange(high + 1), indexing="ij"))
    once = (x == 0) | (y == 0)
    if not extra:  # guillotine cuts all the way
        x, y, once = x[once], y[once], once[once]
    left = x <= long
    first = np.where(left, x, 0)
    zones = (
        (high - y, np.where(left, wide - x, x), 0, first),
        (y + extra, np.where(left, long - x, long), high - y, first),
        (y, np.where(left, wide - long, x - long), high - y, long),
        (np.where(left, high + extra, high), np.where(left, x, wide - x), 0, np.where(left, 0, x)),
    )
    return np.array([np.broadcast_arrays(*zone, x)[:4] for zone in zones]).transpose(0, 2, 1), np.flatnonzero(once)


def _estimate(
    cost: IntArray, groups: IntArray, partial: IntArray, size: int, serial: int, free: int, row_cost: int
) -> FloatArray:
    """Cost with what dissolving groups beyond ``size`` may add; ``free``: slots left free when that is done.

    As many slots are free on average in all groups that are not full, and those are filled that are needed.
    """
    over = np.maximum(0, groups - size)
    now = free + (groups - size) * serial
    moved = over * (serial - now / np.maximum(partial, 1))
    takers = np.maximum(partial - over, 0) * moved / np.maximum(free + moved, 1)
    return np.asarray(cost + SPLIT * row_cost * np.maximum(takers - over, 0))


def _least(estimate: FloatArray, below: int) -> IntArray:
    """Places of the :data:`TRIED` least values that differ: equal ones are mostly the same rectangles again."""
    last = min(NEARBY, len(estimate)) - 1
    near = np.flatnonzero((estimate <= np.partition(estimate, last)[last]) & (estimate < below))
    return np.asarray(near[np.unique(estimate[near], return_index=True)[1][:TRIED]])


def _laid_out(blocks: Sequence[RegionBlock], places: list[list[tuple[int, RegionZone]]], known: Catalogue) -> IntArray:
    """Rectangles of all blocks in the grid, groups numbered on."""
    tables, number = [], 0
    for own, place in zip(blocks, places, strict=True):
        if own.ous:
            table = own.in_grid(known.lay_out(place))
            table[:, 0] += number
            number = int(table[:, 0].max()) + 1
            tables.append(table)
    return np.concatenate(tables)


def _dissolved(table: IntArray, size: int, serial: int, row_cost: int, col_cost: int, victims: int) -> IntArray:
    """At most ``size`` groups: one after the other is dealt out to free slots of others where that costs least.

    ``victims``: of how many of the smallest groups each is chosen.
    """
    while int(table[:, 0].max()) >= size:
        ous = np.bincount(table[:, 0], (table[:, 2] - table[:, 1]) * (table[:, 4] - table[:, 3])).astype(np.int64)
        victim, takers = _victim(table, ous, serial, row_cost, col_cost, victims)
        mine = table[:, 0] == victim
        moved = filled_in(_rows_of(table[mine]), (serial - ous)[takers[::-1]])
        moved[:, 0] = takers[::-1][moved[:, 0]]
        table = np.concatenate([table[~mine], moved])
        table[:, 0] -= table[:, 0] > victim
    return table


def _victim(
    table: IntArray, ous: IntArray, serial: int, row_cost: int, col_cost: int, most: int
) -> tuple[int, IntArray]:
    """The group that is dissolved at least cost, and the groups that take its OUs, those first that take them cheaply.

    Groups are taken for the rectangles around them.
    """
    order = np.argsort(table[:, 0], kind="stable")
    start = np.searchsorted(table[order, 0], np.arange(len(ous)))
    top, left = (np.minimum.reduceat(table[order, axis], start) for axis in (1, 3))
    bottom, right = (np.maximum.reduceat(table[order, axis], start) for axis in (2, 4))
    takers = np.flatnonzero(ous < serial)
    victims = takers[np.argsort(ous[takers], kind="stable")][:most]
    v, t = victims[:, None], takers[None, :]
    amount = np.minimum(ous[v], np.where(v == t, 0, serial - ous[t]))
    shared = np.maximum(0, np.minimum(right[v], right[t]) - np.maximum(left[v], left[t]))
    wide = right[v] - left[v]
    rows = np.where((top[t] <= top[v]) & (bottom[v] <= bottom[t]), 0, -(-amount // wide))
    cost = row_cost * rows + col_cost * np.minimum(amount, wide - shared)
    rank = np.argsort(cost / np.maximum(amount, 1e-9), axis=1, kind="stable")
    amount, cost = np.take_along_axis(amount, rank, axis=1), np.take_along_axis(cost, rank, axis=1)
    before = np.cumsum(amount, axis=1) - amount
    added = np.where(before < ous[v], cost, 0).sum(axis=1) - row_cost * (bottom - top)[victims] - col_cost * wide[:, 0]
    added = np.where(before[:, -1] + amount[:, -1] >= ous[victims], added, NEVER)
    best = int(added.argmin())
    return int(victims[best]), takers[rank[best]][amount[best] > 0]


def _rows_of(table: IntArray) -> IntArray:
    """Pieces of rows (row, left, right) of rectangles."""
    high = table[:, 2] - table[:, 1]
    own = np.repeat(table, high, axis=0)
    number = np.arange(len(own)) - np.repeat(np.cumsum(high) - high, high)
    return np.stack([own[:, 1] + number, own[:, 3], own[:, 4]], axis=1)


def filled_in(loose: IntArray, free: IntArray) -> IntArray:
    """Rectangles of pieces of rows in free slots, those of the last crossbars first.

    Parameters
    ----------
    loose : int64 array, shape (pieces, 3)
        Row, left, right.
    free : int64 array, shape (crossbars,)
    """
    ends = np.cumsum(loose[:, 2] - loose[:, 1])
    room = np.cumsum(free[::-1])
    cuts = np.unique(np.concatenate([[0], ends, room[room < ends[-1]]]))
    start, stop = cuts[:-1], cuts[1:]
    piece = np.searchsorted(ends, start, side="right")
    crossbar = len(free) - 1 - np.searchsorted(room, start, side="right")
    shift = loose[piece, 2] - ends[piece]
    return np.stack([crossbar, loose[piece, 0], loose[piece, 0] + 1, start + shift, stop + shift], axis=1)


def price(table: IntArray, row_cost: int, col_cost: int) -> int:
    """Bits per window of all groups' rows and columns."""
    group, top, bottom, left, right = table.T
    return row_cost * distinct(group, top, bottom) + col_cost * distinct(group, left, right)
