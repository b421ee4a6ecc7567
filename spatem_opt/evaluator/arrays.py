"""Grouping of columns without loops."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]


def expand(counts: IntArray) -> tuple[IntArray, IntArray]:
    """For every unit of every entry: the entry, and the unit's number in it."""
    entry = np.repeat(np.arange(len(counts)), counts)
    return entry, np.arange(len(entry)) - np.repeat(np.cumsum(counts) - counts, counts)


def starts_of(sorted_keys: IntArray) -> IntArray:
    """Where each run of equal keys begins."""
    return np.flatnonzero(np.concatenate([np.ones(1, np.bool_), sorted_keys[1:] != sorted_keys[:-1]]))


def distinct(keys: IntArray) -> tuple[IntArray, IntArray]:
    """Distinct keys, ascending, and the number of every entry's key among them.

    The same as :func:`numpy.unique` with ``return_inverse``, without its sort where keys ascend or lie densely.
    """
    if not len(keys):
        return keys, keys
    if not (keys[1:] < keys[:-1]).any():
        start = starts_of(keys)
        return keys[start], np.repeat(np.arange(len(start)), np.diff(np.append(start, len(keys))))
    low, high = int(keys.min()), int(keys.max())
    if high - low < 8 * len(keys):
        number = np.zeros(high - low + 1, np.int64)
        number[keys - low] = 1
        found = np.flatnonzero(number)
        number[found] = np.arange(len(found))
        return found + low, number[keys - low]
    found, inverse = np.unique(keys, return_inverse=True)
    return found, inverse.reshape(-1)


def running_maximum(values: IntArray, group: IntArray) -> IntArray:
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
