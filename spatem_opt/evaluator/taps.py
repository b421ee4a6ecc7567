"""Receptive fields along edges: pixels that windows read, and the other way round."""

from __future__ import annotations

import numpy as np

from spatem_opt.evaluator.arrays import distinct, expand
from spatem_opt.network.layers import Edge, Node
from spatem_opt.types import BoolArray, IntArray


def of_equal_taps(node: Node) -> list[list[Edge]]:
    """The primary edge, then the others, joined where they read the same pixels.

    Channels that mix are dealt out over edges, up to one for each of them; these share their taps in memory. Whoever
    reads such edges subscribes to all of their channels at once.
    """
    found: dict[tuple[int, int, bool], list[Edge]] = {}
    for number, edge in enumerate(node.edges):
        found.setdefault((id(edge.rows), id(edge.cols), number == 0), []).append(edge)
    return list(found.values())


def patch_taps(taps: IntArray, patch: int) -> IntArray:
    """Taps of patches of ``patch`` neighbouring outputs, shape (patches, patch * taps); -1 where there is none."""
    if patch == 1:
        return taps
    outputs, width = taps.shape
    padded = np.full((-(-outputs // patch) * patch, width), -1, np.int64)
    padded[:outputs] = taps
    return padded.reshape(-1, patch * width)


def readers(taps: IntArray, size: int) -> IntArray:
    """For every input 0 .. size - 1 the outputs that read it, shape (size, most readers); ``len(taps)`` where none."""
    output, tap = np.nonzero(taps >= 0)
    source = taps[output, tap]
    key = distinct(source * len(taps) + output)[0]
    source, output = np.divmod(key, len(taps))
    count = np.bincount(source, minlength=size)
    found = np.full((size, max(int(count.max(initial=0)), 1)), len(taps), np.int64)
    found[source, expand(count)[1]] = output
    return found


def inverse_taps(taps: IntArray, size: int) -> tuple[IntArray, IntArray]:
    """For every input 0 .. size - 1 how many outputs read it, and the outputs, input after input."""
    output, tap = np.nonzero(taps >= 0)
    key = distinct(taps[output, tap] * len(taps) + output)[0]
    source, output = np.divmod(key, len(taps))
    return np.bincount(source, minlength=size), output


def read_pixels(windows: BoolArray, rows: IntArray, cols: IntArray) -> BoolArray:
    """Pixels in the receptive fields of windows.

    Parameters
    ----------
    windows : bool array, shape (k, output rows, output columns)
    rows, cols : int64 arrays
        :func:`readers` of the row and of the column taps.

    Returns
    -------
    bool array, shape (k, input rows, input columns)
        The receptive field is a product of rows and columns, so the two axes can be done one after the other.
    """
    k, high, wide = windows.shape
    padded = np.zeros((k, high + 1, wide), np.bool_)
    padded[:, :high] = windows
    by_row = np.zeros((k, len(rows), wide + 1), np.bool_)
    for slot in rows.T:
        by_row[:, :, :wide] |= padded[:, slot]
    found = np.zeros((k, len(rows), len(cols)), np.bool_)
    for slot in cols.T:
        found |= by_row[:, :, slot]
    return found
