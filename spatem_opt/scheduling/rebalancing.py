"""Windows dealt out anew: copies whose crossbars are free later than others' get fewer of them.

Segments take turns on the same crossbars, and a segment's layers are done one after the other. A layer of the next one
whose copies all have as many windows waits for those on the crossbars that are free last.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby

import numpy as np

from spatem_opt.cost.placed import Chunks, PlacedNetwork
from spatem_opt.cost.transport import Routes, expand, last_pixel, routes
from spatem_opt.network.layers import Node
from spatem_opt.replication.layout import Split, shared_blocks
from spatem_opt.scheduling.list_schedule import ScheduledNode
from spatem_opt.types import FloatArray, IntArray

WORTH = 2
"""Windows by which a layer must end earlier for its copies to get other ones: blocks of other widths need more data."""


def rebalance_windows(problem: PlacedNetwork, splits: list[Split], segment: IntArray) -> list[Split]:
    """New splits of the windows, or the same objects where they are as good.

    Segment by segment, both the given splits and such that let all copies of a layer end together are scheduled; what
    is done earlier stays. Layers whose windows keep a pace keep their splits.

    Parameters
    ----------
    problem : PlacedNetwork
        With chunks of these splits.
    splits : list of Split
        Per layer, blocks of columns (:func:`~spatem_opt.replication.layout.column_blocks`).
    segment : int64 array, shape (layers,)
    """
    run = _Deal(problem, routes(problem), splits)
    for _, nodes in groupby(range(len(problem.network.nodes)), key=_segments(problem, segment).__getitem__):
        plain, other = run, run.fork()
        other.dealing = True
        for index in nodes:
            plain.step(index)
            other.step(index)
        run = min(plain, other, key=lambda run: (run.latency, run.free.mean()))
        run.dealing = False
    return run.splits


def _segments(problem: PlacedNetwork, segment: IntArray) -> IntArray:
    """Segment of every node: that of the last layer so far."""
    crossbar = np.array([node.kind == "crossbar" for node in problem.network.nodes])
    return np.asarray(np.maximum.accumulate(segment)[np.maximum(np.cumsum(crossbar) - 1, 0)])


class _Deal(ScheduledNode):
    """A run that may change the splits of the layers it comes to."""

    def __init__(self, problem: PlacedNetwork, known: Routes, splits: list[Split]) -> None:
        super().__init__(problem, known)
        self.splits = splits
        self.dealing = False

    def digital(self, index: int, node: Node) -> IntArray:
        """The same, where the host's windows run now (M5)."""
        primary = node.edges[0]
        producer = int(primary.source[0])
        last = last_pixel(primary, self.problem.network.nodes[producer].width)
        self.sites[index] = replace(self.sites[index], copy=self.sites[producer].copy[last])
        return super().digital(index, node)

    def layer(self, index: int, node: Node, number: int) -> IntArray:
        """The same, with another split if that ends earlier."""
        split = self._other_split(index, node, number) if self.dealing else None
        if split is not None:
            self.splits = [*self.splits[:number], split, *self.splits[number + 1 :]]
            zero = np.zeros_like(split.copy)
            self.chunks[number] = Chunks(
                zero + number, split.copy, split.first, split.last, split.step, pace=zero, not_before=zero
            )
            window, owner = expand(split.first, split.last, split.step)
            copy = np.empty(len(window), dtype=np.int64)
            copy[window] = split.copy[owner]
            self.sites[index] = replace(self.sites[index], copy=copy[self.pixel_window(node, number)])
        return super().layer(index, node, number)

    def _other_split(self, index: int, node: Node, number: int) -> Split | None:
        """A split with which all copies end together; None if the present one is as good."""
        split, grid, interval = self.splits[number], self.problem.grids[number], self.problem.placed[number].interval
        copies = len(interval)
        blocks = len(np.unique(split.copy[split.first < grid.window_cols]))
        if split.tied or copies == 1 or copies % blocks or self.chunks[number].pace.any():
            return None
        ready = self.ready(index, node, number)
        begin = np.maximum(self.free_copies(number), ready.min())
        share = shares(begin / interval, grid.windows)
        end = max(float((begin + share * interval).max()), float(ready.max() + interval.min()))
        enough = end + WORTH * interval.min()
        if _ends(begin, split, interval) <= enough:
            return None
        found = shared_blocks(grid.window_rows, grid.window_cols, share.reshape(blocks, -1), begin / interval)
        better = found is not None and _ends(begin, found, interval) < _ends(begin, split, interval)
        return found if better else None


def shares(begin: FloatArray, windows: int) -> FloatArray:
    """How many of the windows copies take that end together, at least about one each; shape (copies,).

    Parameters
    ----------
    begin : float array, shape (copies,)
        When each can begin, in windows.
    windows : int
        At least as many as copies.
    """
    early = np.sort(begin)
    level = (windows + np.cumsum(early)) / np.arange(1, len(begin) + 1)  # when the first copies alone would end
    end = level[np.flatnonzero(level > early)[-1]]
    share = np.maximum(end - begin, 1.0)
    return np.asarray(share * (windows / share.sum()))


def _ends(begin: IntArray, split: Split, interval: IntArray) -> int:
    """When the last copy ends if no window waits for its data."""
    windows = np.bincount(split.copy, (split.last - split.first) // split.step + 1, len(interval))
    return int((begin + windows * interval).max())
