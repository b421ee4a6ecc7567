"""Families ``windows``, ``start`` and ``exclusive``: the schedule table on its own (M7)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spatem_opt.evaluator.arrays import Integers, expand, running_maximum
from spatem_opt.evaluator.durations import Placed
from spatem_opt.evaluator.findings import Violation, listed
from spatem_opt.model.solution import Schedule
from spatem_opt.types import IntArray

NEVER = 2**60
"""Later than every cycle."""


@dataclass(frozen=True, slots=True, eq=False)
class Turns:
    """Scheduled windows of one layer, by copy and then in order of execution.

    Parameters
    ----------
    copy, window, earliest : int64 arrays, shape (windows,)
        ``earliest``: ``start + j * pace`` of the reservation.
    last : int64 array, shape (reservations,)
        Turn that is the last of each reservation.
    row : int64 array, shape (reservations,)
        Row of each reservation in the schedule.
    """

    copy: IntArray
    window: IntArray
    earliest: IntArray
    last: IntArray
    row: IntArray


def turns_of(schedule: Schedule, rows: IntArray) -> Turns:
    """Expand the reservations of one layer (``rows`` of the schedule) into windows."""
    row = rows[np.lexsort((schedule.start[rows], schedule.copy[rows]))]
    step = schedule.step[row]
    count = (schedule.last_window[row] - schedule.first_window[row]) // step + 1
    entry, number = expand(count)
    return Turns(
        schedule.copy[row][entry],
        schedule.first_window[row][entry] + number * step[entry],
        schedule.start[row][entry] + number * schedule.pace[row][entry],
        np.cumsum(count) - 1,
        row,
    )


def check_turns(name: str, turns: Turns, windows: int) -> list[Violation]:
    """Family ``windows``: every window of the layer exactly once."""
    times = np.bincount(turns.window, minlength=windows)
    bad = np.flatnonzero(times != 1)

    def describe(i: int) -> str:
        return f"layer {name!r}: window {bad[i]} of {windows} is scheduled {times[bad[i]]} times"

    return listed("windows", times[bad], 1, "times", describe)


def check_start(schedule: Schedule) -> list[Violation]:
    """Family ``start``."""
    early, empty = np.flatnonzero(schedule.start < 0), np.flatnonzero(schedule.end <= schedule.start)

    def tell_early(i: int) -> str:
        return f"schedule: row {early[i]} starts at cycle {schedule.start[early[i]]}, expected >= 0"

    def tell_empty(i: int) -> str:
        row = empty[i]
        return f"schedule: row {row} ends at cycle {schedule.end[row]}, it starts at {schedule.start[row]}"

    found = listed("start", schedule.start[early], 0, "cycles", tell_early)
    return found + listed("start", schedule.end[empty], schedule.start[empty] + 1, "cycles", tell_empty)


@dataclass(frozen=True, slots=True, eq=False)
class Reserved:
    """Which crossbars hold which scheduled copies, and when these are scheduled. Copies are numbered over all layers.

    Parameters
    ----------
    crossbar, copy : int32 arrays, shape (pairs,)
        As long as the placement: short numbers to save memory.
    first, last : int64 arrays, shape (copies,)
        First start and last end; 0 if not scheduled.
    row_start, row_stop : int64 arrays, shape (copies,)
        Where the copy's rows begin and end in ``rows``.
    rows : int64 array
        Rows of the schedule by copy, then start.
    """

    crossbar: NDArray[np.int32]
    copy: NDArray[np.int32]
    first: IntArray
    last: IntArray
    row_start: IntArray
    row_stop: IntArray
    rows: IntArray


def reserved(schedule: Schedule, placed: list[Placed]) -> Reserved:
    """Join the schedule with the crossbars that copies occupy."""
    base = np.cumsum([0] + [layer.copies for layer in placed])
    crossbar = np.concatenate([layer.crossbar for layer in placed], dtype=np.int32)
    copy = np.concatenate([layer.crossbar_copy + base[i] for i, layer in enumerate(placed)], dtype=np.int32)
    row_copy = base[schedule.layer] + schedule.copy
    rows = np.lexsort((schedule.start, row_copy))
    begin = np.searchsorted(row_copy[rows], np.arange(base[-1] + 1))
    first, last = np.zeros(base[-1], np.int64), np.zeros(base[-1], np.int64)
    busy = begin[1:] > begin[:-1]
    first[busy] = schedule.start[rows][begin[:-1][busy]]
    last[busy] = np.maximum.reduceat(schedule.end[rows], begin[:-1][busy]) if busy.any() else 0
    if not busy.all():
        keep = busy[copy]
        crossbar, copy = crossbar[keep], copy[keep]
    return Reserved(crossbar, copy, first, last, begin[:-1], begin[1:], rows)


def check_exclusive(schedule: Schedule, held: Reserved) -> list[Violation]:
    """Family ``exclusive``: rows of one copy, then rows of different copies on one crossbar.

    Row by row only on crossbars where the spans of two copies, from first start to last end, overlap.
    """
    rows = held.rows
    row_copy = schedule.layer[rows] * (schedule.copy.max(initial=0) + 1) + schedule.copy[rows]
    found = _overlaps(schedule, row_copy, rows, "copy {copy} of layer {layer}")
    crossbar, copy = _by_crossbar(held)
    hit = _meets(crossbar, held.first[copy], held.last[copy])
    suspect = np.isin(crossbar, crossbar[hit])
    crossbar, copy = crossbar[suspect], copy[suspect]
    entry, number = expand(held.row_stop[copy] - held.row_start[copy])
    row = rows[held.row_start[copy][entry] + number]
    where = crossbar[entry]
    order = np.lexsort((schedule.start[row], where))
    return found + _overlaps(schedule, where[order], row[order], "crossbar {key}")


def row_limits(schedule: Schedule, held: Reserved) -> IntArray:
    """Earliest start of what comes after each row on its crossbars; :data:`NEVER` if nothing does; shape (rows,)."""
    crossbar, copy = _by_crossbar(held)
    after = np.where(crossbar[1:] == crossbar[:-1], held.first[copy[1:]], NEVER)
    limit = np.full(len(held.first), NEVER)
    np.minimum.at(limit, copy[:-1], after)
    owner = np.repeat(np.arange(len(held.first)), held.row_stop - held.row_start)
    start = schedule.start[held.rows]
    found = np.where(limit[owner] > start, limit[owner], start)
    follows = owner[1:] == owner[:-1]
    found[:-1] = np.where(follows, np.minimum(found[:-1], start[1:]), found[:-1])
    limits = np.empty_like(found)
    limits[held.rows] = found
    return limits


def _by_crossbar(held: Reserved) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Crossbar and copy of every pair, by crossbar, then first start."""
    order = np.lexsort((held.first[held.copy], held.crossbar))
    return held.crossbar[order], held.copy[order]


def _meets(group: Integers, start: IntArray, end: IntArray) -> IntArray:
    """Entries that start before an earlier one of their group has ended; entries sorted by (group, start)."""
    same = group[1:] == group[:-1]
    if (start <= end).all() and not (same & (start[1:] < end[:-1])).any():
        return np.zeros(0, np.int64)  # each after the one before: the usual case, and quick to see
    until = running_maximum(end, group)
    return np.flatnonzero(same & (start[1:] < until[:-1])) + 1


def _overlaps(schedule: Schedule, group: Integers, row: IntArray, what: str) -> list[Violation]:
    start, end = schedule.start[row], schedule.end[row]
    hit = _meets(group, start, end)
    until = running_maximum(end, group) if len(hit) else end

    def describe(i: int) -> str:
        at = hit[i]
        who = what.format(key=group[at], layer=schedule.layer[row[at]], copy=schedule.copy[row[at]])
        return f"{who}: schedule row {row[at]} starts at cycle {start[at]}, reserved until {until[at - 1]}"

    return listed("exclusive", start[hit], until[hit - 1], "cycles", describe)
