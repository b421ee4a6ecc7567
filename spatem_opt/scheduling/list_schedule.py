"""As-soon-as-possible schedule of placed windows, a node at a time in topological order (M5-M7)."""

from __future__ import annotations

from copy import copy as shallow_copy
from dataclasses import fields
from typing import Self

import numpy as np

from spatem_opt.cost.placed import Chunks, PlacedNetwork, Times, rows_by_layer
from spatem_opt.cost.transport import Routes, expand, routes, window_of_pixel
from spatem_opt.network.layers import Edge, Node
from spatem_opt.network.readings import readings
from spatem_opt.types import IntArray

_BLOCK = 4_000_000
"""Taps looked up at once: bounds the memory of a layer with large windows."""


def solve(problem: PlacedNetwork, known: Routes | None = None) -> Times:
    """Start everything as soon as its inputs are there and its crossbars are free of earlier layers.

    Layers that share crossbars run there in topological order; copies that share none of their crossbars overlap
    wherever the data allow it. Exact replay of M5-M7 for this order: the evaluator finds the same latency.

    Parameters
    ----------
    problem : PlacedNetwork
    known : Routes, optional
        Of the problem, if they are known from an earlier schedule of the same chunks.
    """
    run = ScheduledNode(problem, routes(problem) if known is None else known)
    for index in range(len(problem.network.nodes)):
        run.step(index)
    start = np.empty(len(problem.chunks.layer), dtype=np.int64)
    end = np.empty_like(start)
    for rows, times in zip(rows_by_layer(problem.chunks.layer, len(problem.grids)), run.times, strict=True):
        start[rows], end[rows] = times
    return Times(start, end, run.latency, tuple(run.done))


class ScheduledNode:
    """One pass over the network: every node before the next one is scheduled.

    ``chunks`` and ``times`` (start and end of every chunk) are by layer, ``sites`` and ``done`` by node, ``free`` by
    crossbar.
    """

    def __init__(self, problem: PlacedNetwork, known: Routes) -> None:
        layers = len(problem.grids)
        self.problem, self.known = problem, known
        self.sites = list(known.sites)
        self.chunks = [_rows(problem.chunks, rows) for rows in rows_by_layer(problem.chunks.layer, layers)]
        self.placements = rows_by_layer(problem.placement.layer, layers)
        self.free = np.zeros(problem.architecture.crossbars, dtype=np.int64)
        self.times: list[tuple[IntArray, IntArray]] = []
        self.done: list[IntArray] = []

    def fork(self) -> Self:
        """Another run that goes on from here."""
        other = shallow_copy(self)
        other.sites, other.chunks, other.free = list(self.sites), list(self.chunks), self.free.copy()
        other.times, other.done = list(self.times), list(self.done)
        return other

    @property
    def latency(self) -> int:
        """When the last node so far is done."""
        return max(int(done.max()) for done in self.done)

    def step(self, index: int) -> None:
        """Schedule the next node."""
        node = self.problem.network.nodes[index]
        if node.kind == "input":
            self.done.append(np.zeros(node.windows, dtype=np.int64))
        elif node.kind == "digital":
            self.done.append(self.digital(index, node))
        else:
            self.done.append(self.layer(index, node, len(self.times)))

    def digital(self, index: int, node: Node) -> IntArray:
        """Done times of a digital node: one window at a time in each of its host's copies."""
        copy = self.sites[index].copy
        order = np.argsort(copy, kind="stable")
        cycles = -(-node.ops_per_window // self.problem.architecture.digital_ops_per_cycle)
        interval = np.full(int(copy.max()) + 1, cycles)
        done = np.empty(node.windows, dtype=np.int64)
        done[order] = in_turn(self._arrived(index, node)[order], copy[order], interval) + cycles
        return done

    def layer(self, index: int, node: Node, number: int) -> IntArray:
        """Done times of a crossbar layer; fills in the reservations of its chunks."""
        placed, chunks = self.problem.placed[number], self.chunks[number]
        order = np.argsort(chunks.copy, kind="stable")
        chunks = _rows(chunks, order)
        window, owner = expand(chunks.first, chunks.last, chunks.step)
        copy = chunks.copy[owner]
        pixel_window = self.pixel_window(node, number)
        ready = self.ready(index, node, number)
        earliest = np.maximum(np.maximum(ready[window], self.free_copies(number)[copy]), chunks.not_before[owner])
        if self.problem.serial:
            earliest = np.maximum(earliest, self.latency)
        begin = self._paced(earliest, owner, copy, chunks.pace, placed.interval)
        if self.problem.span is not None:
            latest = _latest(begin + placed.interval[copy], copy, placed.interval, self.problem.span)
            begin = self._paced(np.maximum(earliest, latest[copy]), owner, copy, chunks.pace, placed.interval)
        last = np.flatnonzero(np.r_[np.diff(owner) > 0, True])
        first = np.r_[0, last[:-1] + 1]
        start, end = np.empty((2, len(order)), dtype=np.int64)
        start[order], end[order] = begin[first], begin[last] + placed.interval[copy[last]]
        self.times.append((start, end))
        finish = np.zeros(placed.copies, dtype=np.int64)
        np.maximum.at(finish, copy[last], end[order])
        place, where = self.problem.placement, self.placements[number]
        np.maximum.at(self.free, place.crossbar[where], finish[place.copy[where]])
        by_window = np.zeros(len(ready), dtype=np.int64)
        tail = self.problem.architecture.pipeline_tail_cycles
        by_window[window] = begin + (placed.interval + placed.sum_delay)[copy] + tail
        return by_window[pixel_window]

    def pixel_window(self, node: Node, number: int) -> IntArray:
        """Window of a layer that computes each output pixel."""
        option = self.problem.grids[number].option
        return window_of_pixel(node, option.ph, option.pw)

    def ready(self, index: int, node: Node, number: int) -> IntArray:
        """When the inputs of every window of a layer have arrived; shape (windows,)."""
        ready = np.zeros(self.problem.grids[number].windows, dtype=np.int64)
        np.maximum.at(ready, self.pixel_window(node, number), self._arrived(index, node))
        return ready

    def free_copies(self, number: int) -> IntArray:
        """When the crossbars of every copy of a layer are free of earlier layers; shape (copies,)."""
        free = np.zeros(self.problem.placed[number].copies, dtype=np.int64)
        place, where = self.problem.placement, self.placements[number]
        np.maximum.at(free, place.copy[where], self.free[place.crossbar[where]])
        return free

    def _paced(
        self, earliest: IntArray, owner: IntArray, copy: IntArray, pace: IntArray, interval: IntArray
    ) -> IntArray:
        """Begin times; with a pace, window j of a chunk begins at least j paces after the chunk's first.

        A chunk that starts later because the one before it was slowed down shifts its own windows: repeat until no
        chunk moves (starts only grow, at most as often as a copy has chunks).
        """
        begin = in_turn(earliest, copy, interval)
        if not pace.any():
            return begin
        first = np.flatnonzero(np.r_[True, np.diff(owner) > 0])
        behind = (np.arange(len(owner)) - first[owner]) * pace[owner]
        while True:
            starts = begin[first]
            begin = in_turn(np.maximum(earliest, starts[owner] + behind), copy, interval)
            if (begin[first] == starts).all():
                return begin

    def _arrived(self, index: int, node: Node) -> IntArray:
        """When each output pixel's inputs have arrived; shape (pixels,)."""
        mine = self.sites[index].class_of[self.sites[index].copy]
        ready = np.zeros(node.windows, dtype=np.int64)
        for reading in readings(node):
            for producer in reading.producers:
                source = self.sites[producer]
                delay = self.known.delays(self.problem, producer, index)
                width = self.problem.network.nodes[producer].width
                from_class = source.class_of[source.copy]
                came = _arrivals(reading.edge, width, self.done[producer], from_class, mine, delay)
                np.maximum(ready, came, out=ready)
        return ready


def _rows(chunks: Chunks, rows: IntArray) -> Chunks:
    return Chunks(*(getattr(chunks, column.name)[rows] for column in fields(Chunks)))


def _latest(end: IntArray, copy: IntArray, interval: IntArray, span: int) -> IntArray:
    """Latest start of every copy that leaves its end where it is, or the one that makes it last no longer than a span.

    ``end``: of every window.
    """
    finish = np.zeros(len(interval), dtype=np.int64)
    np.maximum.at(finish, copy, end)
    return np.asarray(finish - np.maximum(span, np.bincount(copy, minlength=len(interval)) * interval))


def _arrivals(
    edge: Edge, width: int, done: IntArray, from_class: IntArray, to_class: IntArray, delay: IntArray
) -> IntArray:
    """Latest arrival over the receptive field of every output pixel."""
    height, columns = len(edge.rows), len(edge.cols)
    arrival = np.zeros((height, columns), dtype=np.int64)
    to = to_class.reshape(height, columns)
    per_row = columns * edge.rows.shape[1] * edge.cols.shape[1]
    step = max(1, _BLOCK // per_row)
    for y in range(0, height, step):
        rows, cols = edge.rows[y : y + step, None, :, None], edge.cols[None, :, None, :]
        pixel = np.maximum(rows, 0) * width + np.maximum(cols, 0)
        value = done[pixel] + delay[from_class[pixel], to[y : y + step, :, None, None]]
        arrival[y : y + step] = np.where((rows >= 0) & (cols >= 0), value, 0).max(axis=(2, 3))
    return arrival.ravel()


def in_turn(earliest: IntArray, copy: IntArray, interval: IntArray) -> IntArray:
    """Begin times of windows that take turns: those of one copy are adjacent and run in the order given.

    ``begin[i] = max(earliest[i], begin[i-1] + interval)`` within a copy, solved by a running maximum of
    ``earliest - prefix``.
    """
    first = np.flatnonzero(np.r_[True, np.diff(copy) != 0])
    segment = np.cumsum(np.r_[0, np.diff(copy) != 0])
    prefix = (np.arange(len(copy)) - first[segment]) * interval[copy]
    relative = earliest - prefix
    span = int(relative.max() - relative.min()) + 1
    return np.asarray(np.maximum.accumulate(relative + segment * span) - segment * span + prefix)
