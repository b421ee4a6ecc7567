"""Grouping of columns without loops; the evaluator has helpers of its own."""

from __future__ import annotations

import numpy as np

from spatem_opt.types import BoolArray, IntArray


def starts_of(sorted_keys: IntArray) -> IntArray:
    """Where each run of equal keys begins."""
    return np.flatnonzero(np.append(True, sorted_keys[1:] != sorted_keys[:-1])[: len(sorted_keys)])


def distinct(keys: IntArray) -> tuple[IntArray, IntArray]:
    """Distinct keys, ascending, and the number of every entry's key among them.

    The same as :func:`numpy.unique` with ``return_inverse`` for one axis. Keys of tables mostly ascend in long runs: a
    stable sort merges these, which takes a tenth of the time.

    Examples
    --------
    >>> distinct(np.array([2, 5, 2]))
    (array([2, 5]), array([0, 1, 0]))
    """
    if (keys[1:] >= keys[:-1]).all():
        start = starts_of(keys)
        return keys[start], np.repeat(np.arange(len(start)), np.diff(np.append(start, len(keys))))
    order = np.argsort(keys, kind="stable")
    found, number = distinct(keys[order])
    inverse = np.empty_like(number)
    inverse[order] = number
    return found, inverse


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
