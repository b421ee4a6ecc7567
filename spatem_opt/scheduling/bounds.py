"""Lower bounds on the latency of any schedule of a given placement [cycles]."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spatem_opt.network.layers import Edge, Node
from spatem_opt.scheduling.problem import Problem

IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Times:
    """Least cycles of a node: from the begin of a window until it is done, and from the first begin to all done."""

    window: int
    all_windows: int


def latency(problem: Problem) -> dict[str, int]:
    """Bounds whatever the order and the begin times; the bound is the largest term.

    ``path``: a node begins after some window of each producer (all windows, if one of its own reads all), and ends at
    least one window after its producers, or its slowest copy's windows after it began. ``crossbar``: the reservations
    of one crossbar take turns, after the earliest begin of any of them and before the shortest way from there to the
    end. Transfers between tiles count as nothing.
    """
    nodes = problem.network.nodes
    times = [_times(problem, index) for index in range(len(nodes))]
    begin, end = np.zeros(len(nodes), dtype=np.int64), np.zeros(len(nodes), dtype=np.int64)
    first_done = np.zeros(len(nodes), dtype=np.int64)
    for i, node in enumerate(nodes):
        begin[i] = max((_wait(edge, p, nodes[p], first_done, end) for edge, p in _reads(node)), default=0)
        if problem.serial and node.kind == "crossbar":
            begin[i] = max(begin[i], end[:i].max(initial=0))
        first_done[i] = begin[i] + times[i].window
        after = [int(end[p]) + times[i].window for edge, p in _reads(node) if _reads_all(edge, nodes[p])]
        end[i] = max([int(begin[i]) + times[i].all_windows, *after])
    return {"path": int(end.max(initial=0)), "crossbar": _crossbar(problem, begin)}


def _reads(node: Node) -> list[tuple[Edge, int]]:
    return [(edge, int(p)) for edge in node.edges for p in edge.producers]


def _times(problem: Problem, index: int) -> _Times:
    node = problem.network.nodes[index]
    if node.kind == "input":
        return _Times(0, 0)
    if node.kind == "digital":
        cycles = -(-node.ops_per_window // problem.architecture.digital_ops_per_cycle)
        return _Times(cycles, cycles)
    layer = problem.network.layers.index(index)
    placed, tail = problem.placed[layer], problem.architecture.pipeline_tail_cycles
    windows = _windows(problem)
    work = [windows[layer, copy] * int(placed.interval[copy]) for copy in range(placed.copies)]
    return _Times(int((placed.interval + placed.sum_delay).min()) + tail, int((work + placed.sum_delay).max()) + tail)


def _windows(problem: Problem) -> Counter[tuple[int, int]]:
    """Windows that each (layer, copy) runs."""
    c = problem.chunks
    count = (c.last - c.first) // c.step + 1
    found: Counter[tuple[int, int]] = Counter()
    for layer, copy, n in zip(c.layer.tolist(), c.copy.tolist(), count.tolist(), strict=True):
        found[layer, copy] += n
    return found


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


def _crossbar(problem: Problem, begin: IntArray) -> int:
    """Largest sum of reservations on one crossbar, from the earliest begin there to the shortest way to the end."""
    windows, layers, p = _windows(problem), problem.network.layers, problem.placement
    tail = problem.architecture.pipeline_tail_cycles
    tenants: dict[int, set[tuple[int, int]]] = defaultdict(set)
    for layer, copy, crossbar in zip(p.layer.tolist(), p.copy.tolist(), p.crossbar.tolist(), strict=True):
        tenants[crossbar].add((layer, copy))
    best = 0
    for here in tenants.values():
        work = sum(windows[key] * int(problem.placed[key[0]].interval[key[1]]) for key in here)
        first = min(int(begin[layers[layer]]) for layer, _ in here)
        last = min(int(problem.placed[layer].sum_delay[copy]) for layer, copy in here)
        best = max(best, first + work + last + tail)
    return best
