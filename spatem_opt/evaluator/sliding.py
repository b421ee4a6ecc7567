"""Weights against taps: kernel, stride and dilation are what the taps of a crossbar layer's edge show."""

from __future__ import annotations

import numpy as np

from spatem_opt.errors import InstanceError
from spatem_opt.network.layers import Edge, Weights
from spatem_opt.types import IntArray


def check_sliding(where: str, weights: Weights, edges: tuple[Edge, ...]) -> None:
    """Raise :class:`InstanceError` where weights and taps contradict each other.

    Bits read and patches of windows are counted by stride and dilation, times by the taps: both must be the same layer.
    """
    if len(edges) != 1:
        raise InstanceError(where, "edges", len(edges), "expected exactly 1 for a crossbar layer")
    taps = edges[0].rows, edges[0].cols
    kernel = tuple(table.shape[1] for table in taps)
    if kernel != tuple(weights.kernel):
        raise InstanceError(where, "weights.kernel", weights.kernel, f"expected {kernel}, the taps of the edge")
    for axis, name, table in zip((0, 1), ("rows", "cols"), taps, strict=True):
        stride, dilation = weights.stride[axis], weights.dilation[axis]
        if min(stride, dilation) < 1:
            raise InstanceError(where, "weights.stride, dilation", (stride, dilation), "expected >= 1")
        fits = _upsamples(table, stride, dilation) if weights.transposed else _strides(table, stride, dilation)
        if not fits:
            rule = f"expected those of the {name} that the edge reads"
            raise InstanceError(where, "weights.stride, dilation", (stride, dilation), rule)


def _strides(table: IntArray, stride: int, dilation: int) -> bool:
    """Whether window y reads with tap i what lies at ``y * stride + i * dilation``, in whatever order it lies there.

    What lies there may be cropped, padded or turned round, but neighbours (two thirds of them, by the median) are one
    apart: a view of every second pixel is a stride of two.
    """
    at = np.arange(len(table))[:, None] * stride + np.arange(table.shape[1]) * dilation
    if not _same_everywhere(at, table):
        return False
    known = ((table[1:] - table[:-1])[(table[1:] >= 0) & (table[:-1] >= 0)], stride)
    inside = ((table[:, 1:] - table[:, :-1])[(table[:, 1:] >= 0) & (table[:, :-1] >= 0)], dilation)
    for apart, step in (known, inside):
        middle = int(np.sort(apart)[len(apart) // 2]) if len(apart) else 0
        if middle and abs(middle) != step and 3 * np.count_nonzero(apart == middle) > 2 * len(apart):
            return False
    return True


def _upsamples(table: IntArray, stride: int, dilation: int) -> bool:
    """Whether input j reaches output ``j * stride + i * dilation - pad`` through tap i, counted from either end."""
    for step in (-dilation, dilation):
        at = np.arange(len(table))[:, None] + np.arange(table.shape[1]) * step
        inputs = np.unique(at[table >= 0])
        if _same_everywhere(at, table) and (len(inputs) < 2 or np.gcd.reduce(inputs - inputs[0]) == stride):
            return True
    return False


def _same_everywhere(at: IntArray, table: IntArray) -> bool:
    """Whether entries at the same position are equal."""
    place = np.unique(at, return_inverse=True)[1].ravel()
    low, high = np.full(int(place.max()) + 1, np.iinfo(np.int64).max), np.full(int(place.max()) + 1, -2)
    np.minimum.at(low, place, table.ravel())
    np.maximum.at(high, place, table.ravel())
    return bool((low == high).all())
