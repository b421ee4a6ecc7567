"""Groupings of a part as a whole: its full rows, the row that only some of its columns have, and its home rows.

What a group costs depends on how many rows and columns it touches, not on which these are. The columns of a run are
therefore turned round until it begins with the first one, and pieces of two rows that complete each other count as one
row: a run becomes a rectangle, and one row more for the first few columns. Rectangles are grouped by guillotine cuts;
the least of groups too many are dissolved into what slots the others leave free.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spatem_opt.grouping.guillotine import Catalogue
from spatem_opt.grouping.referee import distinct
from spatem_opt.replication.shapes import FloatArray, IntArray

import os
COLUMNS = int(os.environ.get("COLS","128"))
TRIED = int(os.environ.get("TRIED","6"))
WEIGHT = float(os.environ.get("WEIGHT","0.5"))
VICTIMS = 12
NEARBY = 1000
MERGED = 1
"""Rows that dissolving a group is expected to add to the others."""


@dataclass(frozen=True, slots=True, eq=False)
class Block:
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
    edge = np.concatenate([[np.iinfo(np.int64).min], at, [np.iinfo(np.int64).max]])
    own[:, axis] = np.maximum(own[:, axis], edge[before])
    own[:, axis + 1] = np.minimum(own[:, axis + 1], edge[before + 1])
    return own


def block(
    core: IntArray, head: tuple[int, int, int] | None, tail: tuple[int, int, int] | None, left: int, right: int,
    sections: int, rows: int,
) -> Block:  # fmt: skip
    """The block of a run: rows of the grid with all columns left..right, a piece of the row before and one behind.

    Parameters
    ----------
    core : int64 array
        Rows of the first section with all columns.
    head, tail : (row, left, right) or None
        The head ends with the last column, the tail begins with the first.
    left, right : int
        Columns.
    sections, rows : int
        Sections of the grid, and rows of each; all are alike.
    """
    width = right - left
    first = head[1] - left if head else 0
    last = tail[2] - left if tail else 0
    rest = width - first if head else 0
    full, extra, longer = core, (-1, -1), rest + last
    if head and tail:
        extra = head[0], tail[0]
        if last >= first:  # the pieces make a whole row, and what is left of the tail is some of the next
            extra, longer = (tail[0], tail[0]), last - first
    elif head or tail:
        extra = ((head or tail)[0],) * 2  # type: ignore[index]
    shift = np.arange(sections)[:, None] * rows

    def repeated(values: IntArray) -> IntArray:
        return np.reshape(np.asarray(values, dtype=np.int64) + shift, -1)

    before, after = [repeated(full)], [repeated(full)]
    count = len(full) * sections
    if head and tail and last >= first:
        before.append(repeated(np.array([head[0]])))
        after.append(repeated(np.array([tail[0]])))
        count += sections
    if longer:
        before.append(repeated(np.array([extra[0]])))
        after.append(repeated(np.array([extra[1]])))
    return Block(np.concatenate(before), np.concatenate(after), count, width, longer, width - first, left)


def grouped(blocks: list[Block], size: int, serial: int, known: Catalogue) -> IntArray:
    """Rectangles (group, row_start, row_stop, col_start, col_stop) of the blocks in at most ``size`` groups.

    The first block is cut into rectangles in many ways (:func:`_zones`); for each, cost and groups are looked up. Of the
    most promising ones, the cheapest is taken.
    """
    costs = known.problem.row_cost, known.problem.col_cost
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
    ous = sum(own.ous for own in blocks)
    estimates = [_estimate(*tables, size, serial, ous, known) for tables in zip(*sums, strict=True)]
    best, least = None, 0
    order = _least(np.concatenate([estimate.ravel() for estimate in estimates]))
    for which in order.tolist():
        if which < estimates[0].size:
            low, at = (int(i) for i in np.unravel_index(which, estimates[0].shape))
            high = low
        else:
            high, low, number = (int(i) for i in np.unravel_index(which - estimates[0].size, estimates[1].shape))
            at = int(once[number])
        places = [[(low if i else high, *zone) for i, zone in enumerate(zones[:, at].tolist())]]
        places += [[(low, other.full, other.width, 0, 0)] for other in others]
        table = _dissolved(_laid_out(blocks, places, known), size, serial, *costs)
        value = price(table, *costs)
        if best is None or value < least:
            best, least = table, value
    assert best is not None
    return best


def _least(estimate: FloatArray) -> IntArray:
    """Places of the :data:`TRIED` least values that differ: equal ones are mostly the same rectangles again."""
    near = np.flatnonzero(estimate <= np.partition(estimate, min(NEARBY, len(estimate)) - 1)[min(NEARBY, len(estimate)) - 1])
    return near[np.unique(estimate[near], return_index=True)[1][:TRIED]]


def _estimate(cost: IntArray, groups: IntArray, partial: IntArray, size: int, serial: int, ous: int, known: Catalogue):
    """Cost with what dissolving groups is expected to add."""
    over = np.maximum(0, groups - size)
    free = groups * serial - ous
    moved = over * (serial - free / np.maximum(partial, 1))
    pieces = np.maximum(partial - over, 0) * moved / np.maximum(free - over * serial + moved, 1)
    return cost + WEIGHT * known.problem.row_cost * np.maximum(pieces - over, 0)


def _zones(main: Block) -> tuple[IntArray, IntArray]:
    """Ways to cut a block into rectangles, shape (4, columns cut off, rows cut off, (rows, cols, top, left)).

    Some columns are cut off, on the left, or on the right where all have as many rows. Of the others, some full rows
    are cut off together with those that not all columns have. What is left is the core, which comes first.
    """
    high, wide, long = main.full, main.width, main.longer
    extra = len(main.before) - high
    some = np.unique(np.linspace(0, wide, min(wide, COLUMNS) + 1).astype(np.int64))
    x, y = (axis.ravel() for axis in np.meshgrid(some, np.arange(high + 1), indexing="ij"))
    if not extra:
        x, y = x[(x == 0) | (y == 0)], y[(x == 0) | (y == 0)]
    left = x <= long
    zero = np.zeros_like(x)
    first = np.where(left, x, 0)
    core = high - y, np.where(left, wide - x, x), zero, first
    below = y + extra, np.where(left, long - x, long), high - y, first
    beside = y, np.where(left, wide - long, x - long), high - y, zero + long
    aside = np.where(left, high + extra, high), np.where(left, x, wide - x), zero, np.where(left, 0, x)
    zones = np.stack([np.stack(np.broadcast_arrays(*zone), axis=-1) for zone in (core, below, beside, aside)])
    return zones, np.flatnonzero((x == 0) | (y == 0))


def _laid_out(blocks: list[Block], places: list[list[tuple[int, int, int, int, int]]], known: Catalogue) -> IntArray:
    """Rectangles of all blocks in the grid, groups numbered on."""
    tables, number = [], 0
    for own, place in zip(blocks, places, strict=True):
        if own.ous:
            table = own.in_grid(known.lay_out(place))
            table[:, 0] += number
            number = int(table[:, 0].max()) + 1
            tables.append(table)
    return np.concatenate(tables)


def _dissolved(table: IntArray, size: int, serial: int, row_cost: int, col_cost: int) -> IntArray:
    """At most ``size`` groups: one after the other is dealt out to free slots of others where that costs least."""
    while (groups := int(table[:, 0].max()) + 1) > size:
        ous = np.bincount(table[:, 0], (table[:, 2] - table[:, 1]) * (table[:, 4] - table[:, 3])).astype(np.int64)
        if int(ous.sum()) > size * serial:
            raise ValueError(f"more OUs than {size} groups of {serial} hold")
        victim, takers = _victim(table, ous, serial, row_cost, col_cost)
        mine = table[:, 0] == victim
        moved = filled_in(_rows_of(table[mine]), (serial - ous)[takers[::-1]])
        moved[:, 0] = takers[::-1][moved[:, 0]]
        table = np.concatenate([table[~mine], moved])
        table[:, 0] -= table[:, 0] > victim
    return table


def _victim(
    table: IntArray, ous: IntArray, serial: int, row_cost: int, col_cost: int
) -> tuple[int, IntArray]:
    """The group that is dissolved at least cost, and the groups that take its OUs, those first that take them cheaply.

    Groups are taken for the rectangles around them.
    """
    order = np.argsort(table[:, 0], kind="stable")
    start = np.searchsorted(table[order, 0], np.arange(len(ous)))
    top, left = (np.minimum.reduceat(table[order, axis], start) for axis in (1, 3))
    bottom, right = (np.maximum.reduceat(table[order, axis], start) for axis in (2, 4))
    takers = np.flatnonzero(ous < serial)
    victims = takers[np.argsort(ous[takers], kind="stable")][:VICTIMS]
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
    added = np.where(before[:, -1] + amount[:, -1] >= ous[victims], added, np.iinfo(np.int64).max)
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
