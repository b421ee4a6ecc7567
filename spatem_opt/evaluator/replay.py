"""The schedule replayed window by window, nodes in topological order (M5-M7)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spatem_opt.evaluator.arrays import running_maximum, starts_of
from spatem_opt.evaluator.durations import Placed
from spatem_opt.evaluator.mesh import Mesh
from spatem_opt.evaluator.reservations import Turns
from spatem_opt.evaluator.taps import readers
from spatem_opt.evaluator.transfers import NEVER, Host, Reader, Supply, first_arrivals, ready_times
from spatem_opt.evaluator.wiring import Wire
from spatem_opt.network.layers import Network, Node

IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Delivery:
    """What one node's subscribers get, and when.

    Parameters
    ----------
    supply : Supply
    first_use, arrival, last_use : int64 arrays, shape (tiles, rows)
        First begin of a window that reads the row, first arrival of the row, last end of a window that reads it.
    """

    supply: Supply
    first_use: IntArray
    arrival: IntArray
    last_use: IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """One node replayed; times in cycles, shape (windows,), raster order. ``delivery`` is None if nothing reads it."""

    at: Host
    begin: IntArray
    end: IntArray
    done: IntArray
    delivery: Delivery | None = None

    @property
    def pixel_done(self) -> IntArray:
        """When each output pixel is done."""
        return self.done[self.at.pixel_window]


def replay(mesh: Mesh, network: Network, wires: list[Wire], placed: list[Placed], turns: list[Turns]) -> list[Run]:
    """Run every node; every window of every layer must be scheduled once, every copy hold an OU.

    ``placed`` and ``turns`` are per crossbar layer, ``wires`` per node.
    """
    layer_of = {node: layer for layer, node in enumerate(network.layers)}
    ready = [np.full(len(wire.at.window_copy), -NEVER) for wire in wires]
    runs: list[Run] = []
    for index, (node, wire) in enumerate(zip(network.nodes, wires, strict=True)):
        layer = layer_of.get(index)
        if layer is None:
            run = _digital(mesh, node, wire.at, ready[index])
        else:
            run = _crossbars(mesh, wire.at, placed[layer], turns[layer], ready[index])
        if wire.supply is not None:
            for reader, delay in zip(wire.readers, wire.supply.delay, strict=True):
                arrived = ready_times(node, reader, run.pixel_done, wire.at.pixel_copy, delay)
                np.maximum(ready[reader.node], arrived, out=ready[reader.node])
        runs.append(run)
    return [_deliver(network.nodes[index], wire, runs, index) for index, wire in enumerate(wires)]


def _digital(mesh: Mesh, node: Node, at: Host, ready: IntArray) -> Run:
    windows = len(at.window_copy)
    if not node.edges:
        zero = np.zeros(windows, np.int64)
        return Run(at, zero, zero, zero)
    order = np.argsort(at.window_copy, kind="stable")
    duration = np.full(windows, -(-node.ops_per_window // mesh.arch.digital_ops_per_cycle))
    begin = _begins(order, at.window_copy[order], np.zeros(windows, np.int64), ready, duration)
    return Run(at, begin, begin + duration, begin + duration)


def _crossbars(mesh: Mesh, at: Host, placed: Placed, turns: Turns, ready: IntArray) -> Run:
    duration = placed.interval[at.window_copy]
    begin = _begins(turns.window, turns.copy, turns.earliest, ready, duration)
    tail = placed.sum_delay[at.window_copy] + mesh.arch.pipeline_tail_cycles
    return Run(at, begin, begin + duration, begin + duration + tail)


def _begins(order: IntArray, copy: IntArray, earliest: IntArray, ready: IntArray, duration: IntArray) -> IntArray:
    """When windows begin: as soon as allowed, ready, and the copy's window before has ended.

    With intervals I of one copy, b[j] = max(r[j], b[j-1] + I), hence b[j] - j*I is the running maximum of r[j] - j*I.
    """
    start = starts_of(copy)
    number = np.arange(len(copy)) - np.repeat(start, np.diff(np.append(start, len(copy))))
    before = number * duration[order]
    found = np.empty_like(ready)
    found[order] = running_maximum(np.maximum(earliest, ready[order]) - before, copy) + before
    return found


def _deliver(node: Node, wire: Wire, runs: list[Run], index: int) -> Run:
    """Add when rows arrive, and are first and last used."""
    run, supply = runs[index], wire.supply
    if supply is None:
        return run
    arrival = first_arrivals(node, run.at, supply, run.pixel_done)
    first, last = np.full(arrival.shape, NEVER), np.full(arrival.shape, -NEVER)
    for reader in wire.readers:
        where, begin, end = _uses(reader, runs[reader.node], node.height)
        place = np.searchsorted(supply.tiles, where)
        first[place] = np.minimum(first[place], begin)
        last[place] = np.maximum(last[place], end)
    return Run(run.at, run.begin, run.end, run.done, Delivery(supply, first, arrival, last))


def _uses(reader: Reader, run: Run, height: int) -> tuple[IntArray, IntArray, IntArray]:
    """Tiles of a reader; per tile and row of the producer the first begin and the last end of windows reading it."""
    high, wide = len(reader.rows), len(reader.cols)
    reads = np.tile((reader.cols >= 0).any(1), high)  # a window that reads no column reads no row
    key = (reader.window_copy * high + np.arange(high * wide) // wide)[reads]
    begin, end = np.full(reader.copies * high, NEVER), np.full(reader.copies * high, -NEVER)
    np.minimum.at(begin, key, run.begin[reads])
    np.maximum.at(end, key, run.end[reads])
    order = np.argsort(reader.pair_tile, kind="stable")
    start = starts_of(reader.pair_tile[order])
    copy = reader.pair_copy[order]
    none = np.full((len(start), 1), NEVER)
    begin = np.minimum.reduceat(begin.reshape(-1, high)[copy], start, axis=0)
    end = np.maximum.reduceat(end.reshape(-1, high)[copy], start, axis=0)
    begin, end = np.concatenate([begin, none], axis=1), np.concatenate([end, -none], axis=1)
    lines = readers(reader.rows, height)
    first, last = begin[:, lines[:, 0]], end[:, lines[:, 0]]
    for slot in lines.T[1:]:
        np.minimum(first, begin[:, slot], out=first)
        np.maximum(last, end[:, slot], out=last)
    return reader.pair_tile[order][start], first, last
