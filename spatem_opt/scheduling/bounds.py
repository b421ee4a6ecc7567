"""Lower bounds on the latency of any schedule of a given placement [cycles]."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spatem_opt.cost.placed import PlacedNetwork, rows_by_layer
from spatem_opt.network.layers import Edge, Node
from spatem_opt.network.readings import readings
from spatem_opt.types import IntArray


@dataclass(frozen=True, slots=True)
class _Times:
    """Least cycles of a node: from the begin of a window until it is done, and from the first begin to all done."""

    window: int
    all_windows: int


def latency(problem: PlacedNetwork) -> dict[str, int]:
    """Bounds whatever the order and the begin times; the bound is the largest term.

    ``path``: a node begins after some window of each producer (all windows, if one of its own reads all), and ends at
    least one window after its producers, or its slowest copy's windows after it began. ``crossbar``: the reservations
    of one crossbar take turns, after the earliest begin of any of them and before the shortest way from there to the
    end. Transfers between tiles count as nothing.
    """
    begin, end = path(problem)
    return {"path": int(end.max(initial=0)), "crossbar": _crossbar(problem, begin)}


def path(problem: PlacedNetwork) -> tuple[IntArray, IntArray]:
    """Least times at which each node's first window can begin and all of its windows are done; shape (nodes,) each."""
    nodes = problem.network.nodes
    windows = _windows(problem)
    times = [_times(problem, index, windows) for index in range(len(nodes))]
    begin, end = np.zeros(len(nodes), dtype=np.int64), np.zeros(len(nodes), dtype=np.int64)
    first_done = np.zeros(len(nodes), dtype=np.int64)
    for i, node in enumerate(nodes):
        begin[i] = max((_wait(edge, p, nodes[p], first_done, end) for edge, p in _reads(node)), default=0)
        if problem.serial and node.kind == "crossbar":
            begin[i] = max(begin[i], end[:i].max(initial=0))
        first_done[i] = begin[i] + times[i].window
        after = [int(end[p]) + times[i].window for edge, p in _reads(node) if _reads_all(edge, nodes[p])]
        end[i] = max([int(begin[i]) + times[i].all_windows, *after])
    return begin, end


def _reads(node: Node) -> list[tuple[Edge, int]]:
    return [(reading.edge, p) for reading in readings(node) for p in reading.producers]


def _times(problem: PlacedNetwork, index: int, windows: list[IntArray]) -> _Times:
    node = problem.network.nodes[index]
    if node.kind == "input":
        return _Times(0, 0)
    if node.kind == "digital":
        cycles = -(-node.ops_per_window // problem.architecture.digital_ops_per_cycle)
        return _Times(cycles, cycles)
    layer = problem.network.layers.index(index)
    placed, tail = problem.placed[layer], problem.architecture.pipeline_tail_cycles
    longest = (windows[layer] * placed.interval + placed.sum_delay).max()
    return _Times(int((placed.interval + placed.sum_delay).min()) + tail, int(longest) + tail)


def _windows(problem: PlacedNetwork) -> list[IntArray]:
    """Windows that each copy runs, layer by layer."""
    c = problem.chunks
    count = (c.last - c.first) // c.step + 1
    rows = rows_by_layer(c.layer, len(problem.placed))
    return [
        np.bincount(c.copy[mine], count[mine], placed.copies).astype(np.int64)
        for mine, placed in zip(rows, problem.placed, strict=True)
    ]


def _wait(edge: Edge, producer: int, node: Node, first_done: IntArray, end: IntArray) -> int:
    """Least time at which any window can have its inputs from a producer: 0 if some window reads padding only."""
    rows, cols = (edge.rows >= 0).any(axis=1), (edge.cols >= 0).any(axis=1)
    if not (rows.all() and cols.all()):
        return 0
    every = len(edge.rows) * len(edge.cols) == 1 and _reads_all(edge, node)
    return int(end[producer] if every else first_done[producer])


def _reads_all(edge: Edge, node: Node) -> bool:
    """Whether every pixel of a producer is read by some window."""
    rows, cols = np.unique(edge.rows[edge.rows >= 0]), np.unique(edge.cols[edge.cols >= 0])
    return len(rows) == node.height and len(cols) == node.width


def _crossbar(problem: PlacedNetwork, begin: IntArray) -> int:
    """Largest sum of reservations on one crossbar, from the earliest begin there to the shortest way to the end."""
    p, windows = problem.placement, _windows(problem)
    first_copy = np.cumsum([0, *(placed.copies for placed in problem.placed)])
    work = np.concatenate([w * placed.interval for w, placed in zip(windows, problem.placed, strict=True)])
    delay = np.concatenate([placed.sum_delay for placed in problem.placed])
    here = np.unique(np.stack([p.crossbar, first_copy[p.layer] + p.copy, p.layer]), axis=1)
    start = np.flatnonzero(np.r_[True, np.diff(here[0]) > 0])
    total = np.add.reduceat(work[here[1]], start) + np.minimum.reduceat(delay[here[1]], start)
    total += np.minimum.reduceat(begin[np.array(problem.network.layers)[here[2]]], start)
    return int(total.max()) + problem.architecture.pipeline_tail_cycles
