"""The schedule replayed window by window, nodes in topological order (M5-M7)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spatem_opt.evaluator.arrays import running_maximum, starts_of
from spatem_opt.evaluator.durations import Placed
from spatem_opt.evaluator.mesh import Mesh
from spatem_opt.evaluator.reservations import Turns
from spatem_opt.evaluator.taps import patch_taps, readers
from spatem_opt.evaluator.transfers import (
    NEVER,
    Host,
    Reader,
    carry,
    copy_delay,
    digital_copy,
    first_arrivals,
    host,
    ready_times,
    subscribe,
    traffic,
)
from spatem_opt.network.layers import Network
from spatem_opt.solution import MappingOption

IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Delivery:
    """What one node's subscribers get.

    Parameters
    ----------
    tiles : int64 array, shape (tiles,)
        Subscribers, ascending; the outside is one more tile.
    channels : int64 array, shape (tiles,)
        How many each subscribes to.
    row_bits : int64 array, shape (tiles, rows)
        Subscribed bits of every row of pixels.
    first_use, arrival, last_use : int64 arrays, shape (tiles, rows)
        First begin of a window that reads the row, first arrival of the row, last end of a window that reads it.
    bits : int64 array, shape (homes, tiles)
        From each (copy, home tile) to each subscriber, staying bits included.
    """

    tiles: IntArray
    channels: IntArray
    row_bits: IntArray
    first_use: IntArray
    arrival: IntArray
    last_use: IntArray
    bits: IntArray


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


@dataclass(slots=True, eq=False)
class Replay:
    """State of a replay: fill with :func:`replay`.

    Parameters
    ----------
    mesh, network, mapping, placed, turns
        Per crossbar layer its option, placement and windows in order.
    hosts : list of Host
    read_by : list of list of Reader
        Per node.
    ready : dict
        Node to the time its windows have the inputs published so far.
    """

    mesh: Mesh
    network: Network
    mapping: tuple[MappingOption, ...]
    placed: list[Placed]
    turns: list[Turns]
    hosts: list[Host]
    read_by: list[list[Reader]]
    ready: dict[int, IntArray]


def replay(
    mesh: Mesh, network: Network, mapping: tuple[MappingOption, ...], placed: list[Placed], turns: list[Turns]
) -> list[Run]:
    """Run every node; every window of every layer must be scheduled once, every copy hold an OU."""
    state = Replay(mesh, network, mapping, placed, turns, [], [[] for _ in network.nodes], {})
    layer_of = {node: layer for layer, node in enumerate(network.layers)}
    for index in range(len(network.nodes)):
        _add_host(state, index, layer_of.get(index))
    runs: list[Run] = []
    unused: list[Delivery | None] = []
    for index in range(len(network.nodes)):
        run = _run(state, index, layer_of.get(index))
        runs.append(run)
        unused.append(_publish(state, index, run))
    return [_deliver(state, index, run, unused[index], runs) for index, run in enumerate(runs)]


def _add_host(state: Replay, index: int, layer: int | None) -> None:
    """Find where the node computes, and enter it as a reader of its producers."""
    node = state.network.nodes[index]
    patch = (1, 1)
    if layer is not None:
        placed, turns, option = state.placed[layer], state.turns[layer], state.mapping[layer]
        patch = option.ph, option.pw
        copy = np.empty(len(turns.window), np.int64)
        copy[turns.window] = turns.copy
        at = host(node, patch, copy, placed.homes)
        read, pairs = placed.channels, (placed.pair_copy, placed.pair_tile)
    elif not node.edges:
        outside = np.full((1, node.channels), state.mesh.outside, np.int64)
        at = host(node, patch, np.zeros(node.windows, np.int64), outside)
    else:
        edge, source = node.edges[0], int(node.edges[0].source[0])
        producer = state.hosts[source]
        copy = digital_copy(edge, state.network.nodes[source], producer.pixel_copy)
        at = host(node, patch, copy, producer.homes[:, edge.channel])
        used = np.isin(at.home_copy, copy)
        read, pairs = at.home_channels[used], (at.home_copy[used], at.home_tile[used])
    state.hosts.append(at)
    for edge in node.edges:
        rows, cols = patch_taps(edge.rows, patch[0]), patch_taps(edge.cols, patch[1])
        for source in edge.producers.tolist():
            channels = carry(edge, source, state.network.nodes[source].channels, read)
            state.read_by[source].append(Reader(index, *pairs, channels, rows, cols, at.window_copy))


def _run(state: Replay, index: int, layer: int | None) -> Run:
    node, at = state.network.nodes[index], state.hosts[index]
    windows = len(at.window_copy)
    ready = state.ready.pop(index, np.full(windows, -NEVER))
    if not node.edges:
        zero = np.zeros(windows, np.int64)
        return Run(at, zero, zero, zero)
    if layer is None:
        order = np.argsort(at.window_copy, kind="stable")
        length = -(-node.ops_per_window // state.mesh.arch.digital_ops_per_cycle)
        duration = np.full(windows, length)
        begin = _begins(order, at.window_copy[order], np.zeros(windows, np.int64), ready, duration)
        return Run(at, begin, begin + duration, begin + duration)
    placed, turns = state.placed[layer], state.turns[layer]
    duration = placed.interval[at.window_copy]
    begin = _begins(turns.window, turns.copy, turns.earliest, ready, duration)
    tail = placed.sum_delay[at.window_copy] + state.mesh.arch.pipeline_tail_cycles
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


def _publish(state: Replay, index: int, run: Run) -> Delivery | None:
    """Send a node's output: readers learn when it reaches them. Returns what is sent, as if never used."""
    node, read_by = state.network.nodes[index], state.read_by[index]
    if not read_by:
        return None
    wanted = subscribe(node, read_by)
    sent = traffic(state.mesh, run.at, wanted)
    done, copy = run.pixel_done, run.at.pixel_copy
    for reader in read_by:
        ready = ready_times(node, reader, done, copy, copy_delay(reader, wanted, sent))
        state.ready[reader.node] = np.maximum(state.ready.get(reader.node, ready), ready)
    pixels = wanted.pixels.reshape(-1, node.height, node.width).sum(2)[wanted.kind]
    channels = wanted.channels.sum(1)
    row_bits = pixels * channels[:, None] * state.mesh.arch.activation_bits
    arrival = first_arrivals(node, run.at, wanted, sent, done)
    first, last = np.full(arrival.shape, NEVER), np.full(arrival.shape, -NEVER)
    return Delivery(wanted.tiles, channels, row_bits, first, arrival, last, sent.bits)


def _deliver(state: Replay, index: int, run: Run, sent: Delivery | None, runs: list[Run]) -> Run:
    """Add when rows are first and last used; all nodes have run by now."""
    if sent is None:
        return run
    first, last = sent.first_use, sent.last_use
    for reader in state.read_by[index]:
        where, begin, end = _uses(reader, runs[reader.node], state.network.nodes[index].height)
        place = np.searchsorted(sent.tiles, where)
        first[place] = np.minimum(first[place], begin)
        last[place] = np.maximum(last[place], end)
    return Run(run.at, run.begin, run.end, run.done, sent)


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
