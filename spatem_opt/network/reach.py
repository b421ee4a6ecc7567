"""Exact sets of what nodes read: over one edge, of one producer by many readers, and through the whole network.

What all windows of a node read over one edge is a product of channels, rows and columns. The union of several such
products is none, and neither is a receptive field through several layers; both are kept as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from spatem_opt.network.layers import Network
from spatem_opt.network.readings import Reading, readings
from spatem_opt.types import BoolArray, IntArray


class Axis:
    """The taps of an edge along one axis.

    Parameters
    ----------
    taps : int64 array, shape (outputs, taps)
        Input that each output reads as its i-th tap, -1 for padding.
    length : int
        Inputs of the producer on this axis.
    """

    def __init__(self, taps: IntArray, length: int) -> None:
        # Outputs that share one line of memory read the same: one of them tells all.
        self.same = taps.strides[0] == 0 or len(taps) == 1
        self.taps, self.length = taps[:1] if self.same else taps, length
        filled = (self.taps >= 0).any(axis=1)
        self.some, self.every = bool(filled.any()), bool(filled.all())
        self.read = np.zeros(length, np.bool_)
        self.read[self.taps[self.taps >= 0]] = True

    @cached_property
    def common(self) -> BoolArray:
        """Inputs that every output reads, shape (length,)."""
        if self.same:
            return self.read
        found = np.zeros(self.length, np.bool_)
        if np.intersect1d(self.taps[0], self.taps[-1]).max(initial=-1) < 0:  # the usual case: a window slides away
            return found
        ordered = np.sort(self.taps, axis=1)  # an output may read an input twice
        once = ordered[np.diff(ordered, axis=1, prepend=-1) > 0]
        found[:] = np.bincount(once, minlength=self.length) == len(self.taps)
        return found

    def spread(self, wanted: BoolArray) -> BoolArray:
        """Inputs that wanted outputs read, per column: shape (outputs, n) to (length, n)."""
        if self.same:
            wanted = np.logical_or.reduce(wanted, axis=0, keepdims=True)
        found = np.zeros((self.length, wanted.shape[1]), np.bool_)
        output, start, source = self._pairs
        if len(output):
            found[source] = np.logical_or.reduceat(wanted[output], start, axis=0)
        return found

    @cached_property
    def _pairs(self) -> tuple[IntArray, IntArray, IntArray]:
        """Outputs sorted by the input that they read, where each input begins, and the inputs."""
        output, tap = np.nonzero(self.taps >= 0)
        source = self.taps[output, tap]
        order = np.argsort(source, kind="stable")
        found, start = np.unique(source[order], return_index=True)
        return output[order], start, found


@dataclass(frozen=True, slots=True, eq=False)
class EdgeRead:
    """What all windows of one node read of one producer over one edge.

    Parameters
    ----------
    node, producer : int
    channels : bool array, shape (channels of the producer,)
    rows, cols : Axis
    """

    node: int
    producer: int
    channels: BoolArray
    rows: Axis
    cols: Axis

    @property
    def some(self) -> bool:
        """Whether some window reads data: the others read nothing but padding."""
        return self.rows.some and self.cols.some

    @property
    def every(self) -> bool:
        """Whether every window reads data."""
        return self.rows.every and self.cols.every

    @property
    def common(self) -> BoolArray:
        """Pixels that every window reads, shape (rows, columns of the producer)."""
        return np.outer(self.rows.common, self.cols.common)


def reads(network: Network) -> list[list[EdgeRead]]:
    """Return the reads of every node: one per edge and producer."""
    known: dict[tuple[int, int], Axis] = {}

    def axis(taps: IntArray, length: int) -> Axis:
        key = id(taps), length
        if key not in known:
            known[key] = Axis(taps, length)
        return known[key]

    found = []
    for i, node in enumerate(network.nodes):
        of_node = []
        for reading in readings(node):
            edge = reading.edge
            for p, channels in _carried(reading, network):
                producer = network.nodes[p]
                pixels = axis(edge.rows, producer.height), axis(edge.cols, producer.width)
                of_node.append(EdgeRead(i, p, channels, *pixels))
        found.append(of_node)
    return found


def _carried(reading: Reading, network: Network) -> list[tuple[int, BoolArray]]:
    """Producers of a reading, and the channels of each that it carries."""
    found = []
    for p in reading.producers:
        channels = np.zeros(network.nodes[p].channels, np.bool_)
        channels[reading.edge.channel[reading.edge.source == p]] = True
        found.append((p, channels))
    return found


def volume(boxes: Sequence[EdgeRead]) -> int:
    """Count the distinct (channel, row, column) in a union of reads of one producer.

    Reads of the same pixels are joined first. Then channels, rows and columns that lie in the same boxes are counted
    together, so that memory does not grow with the map.

    Examples
    --------
    >>> import numpy as np
    >>> every, row = Axis(np.arange(4)[:, None], 4), Axis(np.zeros((1, 1), np.int64), 4)
    >>> one = np.ones(3, np.bool_)
    >>> volume([EdgeRead(1, 0, one, row, every), EdgeRead(2, 0, one, every, row)])  # a row and a column of 4 x 4 pixels
    21
    """
    joined: dict[tuple[bytes, bytes], list[BoolArray]] = {}
    for box in boxes:
        key = box.rows.read.tobytes(), box.cols.read.tobytes()
        parts = joined.setdefault(key, [np.zeros_like(box.channels), box.rows.read, box.cols.read])
        parts[0] |= box.channels
    if len(joined) == 1:
        return int(np.prod([int(part.sum()) for part in next(iter(joined.values()))]))
    if not joined:
        return 0
    sides = [np.unique(np.array(side), axis=1, return_counts=True) for side in zip(*joined.values(), strict=True)]
    (channels, many), (rows, high), (cols, wide) = sides
    total = 0
    for pattern, count in zip(channels.T, many.tolist(), strict=True):
        covered = rows[pattern].T.astype(np.float32) @ cols[pattern].astype(np.float32) > 0
        total += count * int(high @ covered @ wide)
    return total


def needed(network: Network, found: list[list[EdgeRead]], target: int) -> IntArray:
    """Pixels of every node that must be done before any window of a node begins, shape (nodes,).

    The closure of what all windows of the target read in common. A window waits for all channels that it reads, and a
    pixel is done in all channels at once: pixels suffice, channels need not be told apart.
    """
    counts = np.zeros(len(network.nodes), np.int64)
    masks: dict[int, BoolArray] = {}

    def want(p: int, pixels: BoolArray) -> None:
        masks[p] = masks[p] | pixels if p in masks else pixels

    for read in found[target]:
        want(read.producer, read.common)
    for j in range(target - 1, -1, -1):
        mask = masks.pop(j, None)
        if mask is None or not (count := int(np.count_nonzero(mask))):
            continue
        counts[j] = count
        for read in found[j]:
            if count == mask.size:
                want(read.producer, np.outer(read.rows.read, read.cols.read))
            else:
                want(read.producer, read.cols.spread(read.rows.spread(mask).T).T)
    return counts
