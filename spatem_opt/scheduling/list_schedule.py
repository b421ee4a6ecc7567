"""As-soon-as-possible schedule of placed windows, a node at a time in topological order (M5-M7)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spatem_opt.network.layers import Edge, Node
from spatem_opt.scheduling.problem import Problem, Solution, rows_by_layer
from spatem_opt.scheduling.transport import (
    Routes,
    expand,
    routes,
    window_of_pixel,
)

IntArray = NDArray[np.int64]
_BLOCK = 4_000_000
"""Taps looked up at once: bounds the memory of a layer with large windows."""


def solve(problem: Problem, known: Routes | None = None) -> Solution:
    """Start everything as soon as its inputs are there and its crossbars are free of earlier layers.

    Layers that share crossbars run there in topological order; copies that share none of their crossbars overlap
    wherever the data allow it. Exact replay of M5-M7 for this order: the evaluator finds the same latency.

    Parameters
    ----------
    problem : Problem
    known : Routes, optional
        Of the problem, if they are known from an earlier schedule of the same chunks.
    """
    run = _Run(problem, routes(problem) if known is None else known)
    layers = {node: number for number, node in enumerate(problem.network.layers)}
    for index, node in enumerate(problem.network.nodes):
        if node.kind == "input":
            run.done.append(np.zeros(node.windows, dtype=np.int64))
        elif node.kind == "digital":
            run.done.append(run.digital(index, node))
        else:
            run.done.append(run.layer(index, node, layers[index]))
    latency = max(int(done.max()) for done in run.done)
    return Solution(run.start, run.end, latency, tuple(run.done))


class _Run:
    """State of one pass over the network."""

    def __init__(self, problem: Problem, known: Routes) -> None:
        self.problem = problem
        self.known, self.sites = known, known.sites
        self.rows = rows_by_layer(problem.chunks.layer, len(problem.grids))
        self.placements = rows_by_layer(problem.placement.layer, len(problem.grids))
        self.free = np.zeros(problem.architecture.crossbars, dtype=np.int64)
        self.start = np.zeros(len(problem.chunks.layer), dtype=np.int64)
        self.end = np.zeros_like(self.start)
        self.done: list[IntArray] = []

    def digital(self, index: int, node: Node) -> IntArray:
        """Done times of a digital node: one window at a time in each of its host's copies."""
        copy = self.sites[index].copy
        order = np.argsort(copy, kind="stable")
        cycles = -(-node.ops_per_window // self.problem.architecture.digital_ops_per_cycle)
        interval = np.full(int(copy.max()) + 1, cycles)
        done = np.empty(node.windows, dtype=np.int64)
        done[order] = in_turn(self._ready(index, node)[order], copy[order], interval) + cycles
        return done

    def layer(self, index: int, node: Node, number: int) -> IntArray:
        """Done times of a crossbar layer; fills in the reservations of its chunks."""
        placed, chunks, grid = self.problem.placed[number], self.problem.chunks, self.problem.grids[number]
        rows = self.rows[number][np.argsort(chunks.copy[self.rows[number]], kind="stable")]
        window, owner = expand(chunks.first[rows], chunks.last[rows], chunks.step[rows])
        copy = chunks.copy[rows][owner]
        free = np.zeros(placed.copies, dtype=np.int64)
        where = self.placements[number]
        crossbar, holder = self.problem.placement.crossbar[where], self.problem.placement.copy[where]
        np.maximum.at(free, holder, self.free[crossbar])
        pixel_window = window_of_pixel(node, grid.option.ph, grid.option.pw)
        ready = np.zeros(grid.windows, dtype=np.int64)
        np.maximum.at(ready, pixel_window, self._ready(index, node))
        earliest = np.maximum(np.maximum(ready[window], free[copy]), chunks.not_before[rows][owner])
        if self.problem.serial:
            earliest = np.maximum(earliest, max(int(done.max()) for done in self.done))
        begin = self._paced(earliest, owner, copy, rows, placed.interval)
        if self.problem.span is not None:
            latest = _latest(begin + placed.interval[copy], copy, placed.interval, self.problem.span)
            begin = self._paced(np.maximum(earliest, latest[copy]), owner, copy, rows, placed.interval)
        last = np.flatnonzero(np.r_[np.diff(owner) > 0, True])
        first = np.r_[0, last[:-1] + 1]
        self.start[rows], self.end[rows] = begin[first], begin[last] + placed.interval[copy[last]]
        finish = np.zeros(placed.copies, dtype=np.int64)
        np.maximum.at(finish, copy[last], self.end[rows])
        np.maximum.at(self.free, crossbar, finish[holder])
        by_window = np.zeros(grid.windows, dtype=np.int64)
        tail = self.problem.architecture.pipeline_tail_cycles
        by_window[window] = begin + (placed.interval + placed.sum_delay)[copy] + tail
        return by_window[pixel_window]

    def _paced(
        self, earliest: IntArray, owner: IntArray, copy: IntArray, rows: IntArray, interval: IntArray
    ) -> IntArray:
        """Begin times; with a pace, window j of a chunk begins at least j paces after the chunk's first.

        A chunk that starts later because the one before it was slowed down shifts its own windows: repeat until no
        chunk moves (starts only grow, at most as often as a copy has chunks).
        """
        begin = in_turn(earliest, copy, interval)
        pace = self.problem.chunks.pace[rows]
        if not pace.any():
            return begin
        first = np.flatnonzero(np.r_[True, np.diff(owner) > 0])
        behind = (np.arange(len(owner)) - first[owner]) * pace[owner]
        while True:
            starts = begin[first]
            begin = in_turn(np.maximum(earliest, starts[owner] + behind), copy, interval)
            if (begin[first] == starts).all():
                return begin

    def _ready(self, index: int, node: Node) -> IntArray:
        """When each output pixel's inputs have arrived; shape (pixels,)."""
        mine = self.sites[index].class_of[self.sites[index].copy]
        ready = np.zeros(node.windows, dtype=np.int64)
        for edge in node.edges:
            for producer in edge.producers:
                source = self.sites[producer]
                delay = self.known.delays(self.problem, producer, index)
                width = self.problem.network.nodes[producer].width
                from_class = source.class_of[source.copy]
                np.maximum(ready, _arrivals(edge, width, self.done[producer], from_class, mine, delay), out=ready)
        return ready


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
