"""Grouping of columns without loops."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spatem_opt.types import BoolArray, IntArray

Integers = NDArray[np.integer[Any]]


def expand(counts: IntArray) -> tuple[IntArray, IntArray]:
    """For every unit of every entry: the entry, and the unit's number in it."""
    entry = np.repeat(np.arange(len(counts)), counts)
    return entry, np.arange(len(entry)) - np.repeat(np.cumsum(counts) - counts, counts)


def starts_of(sorted_keys: IntArray) -> IntArray:
    """Where each run of equal keys begins."""
    return np.flatnonzero(np.concatenate([np.ones(1, np.bool_), sorted_keys[1:] != sorted_keys[:-1]]))


def distinct(keys: IntArray) -> tuple[IntArray, IntArray]:
    """Distinct keys, ascending, and the number of every entry's key among them.

    The same as :func:`numpy.unique` with ``return_inverse``, without its sort where keys ascend or lie densely. Keys
    of tables mostly ascend in long runs, which a stable sort merges: it is many times faster there than the default.
    """
    if not len(keys):
        return keys, keys
    if not (keys[1:] < keys[:-1]).any():
        return _of_sorted(keys)
    low, high = int(keys.min()), int(keys.max())
    if high - low < 8 * len(keys):
        number = np.zeros(high - low + 1, np.int64)
        number[keys - low] = 1
        found = np.flatnonzero(number)
        number[found] = np.arange(len(found))
        return found + low, number[keys - low]
    order = np.argsort(keys, kind="stable")
    found, number = _of_sorted(keys[order])
    inverse = np.empty_like(number)
    inverse[order] = number
    return found, inverse


def _of_sorted(keys: IntArray) -> tuple[IntArray, IntArray]:
    start = starts_of(keys)
    return keys[start], np.repeat(np.arange(len(start)), np.diff(np.append(start, len(keys))))


def any_by_group(lines: BoolArray, group: IntArray, groups: int) -> BoolArray:
    """Which columns are true in any line of each group 0 .. groups - 1, shape (groups, columns).

    The k-th lines of all groups are joined at once: most groups have few, and ``reduceat`` goes column by column.
    """
    order = np.argsort(group, kind="stable")
    count = np.bincount(group, minlength=groups)
    first = np.cumsum(count) - count
    found = np.zeros((groups, lines.shape[1]), np.bool_)
    for k in range(int(count.max(initial=0))):
        more = np.flatnonzero(count > k)
        found[more] |= lines[order[first[more] + k]]
    return found


def running_maximum(values: IntArray, group: Integers) -> IntArray:
    """Running maximum within each group; ``group`` ascends.

    Groups are lifted onto steps higher than the range of the values, so that one accumulation does for all.
    """
    if not len(values):
        return values
    low = int(values.min())
    rise = int(values.max()) - low + 1
    step = np.cumsum(np.concatenate([np.zeros(1, np.int64), (group[1:] != group[:-1]).astype(np.int64)]))
    if rise * (int(step[-1]) + 1) < 2**62:
        lift = step * rise
        found: IntArray = np.maximum.accumulate(values - low + lift) - lift + low
        return found
    parts = np.split(values, np.flatnonzero(np.diff(step)) + 1)
    return np.concatenate([np.maximum.accumulate(part) for part in parts])


def rows_by_group(group: IntArray, groups: int) -> list[IntArray]:
    """Row numbers of each group 0 .. groups - 1, ascending."""
    order = np.argsort(group, kind="stable")
    return np.split(order, np.searchsorted(group[order], np.arange(1, groups)))
