"""The schedule replayed window by window and packet by packet (M5-M8): tables in, times out."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spatem_opt.errors import InstanceError
from spatem_opt.evaluator import events as ev
from spatem_opt.evaluator.arrays import starts_of
from spatem_opt.evaluator.tables import Fixed
from spatem_opt.evaluator.taps import readers
from spatem_opt.evaluator.transfers import NEVER, Host, Reader, Supply
from spatem_opt.evaluator.wiring import Wire
from spatem_opt.network.layers import Network
from spatem_opt.types import IntArray

LARGEST = 2**27
"""Entries at which a table of the state is given up."""


@dataclass(frozen=True, slots=True, eq=False)
class Delivery:
    """What one node's subscribers get, and when.

    Parameters
    ----------
    supply : Supply
    arrival, last_use : int64 arrays, shape (tiles, rows)
        First delivery of something of the row, last end of a window that reads it.
    """

    supply: Supply
    arrival: IntArray
    last_use: IntArray


@dataclass(frozen=True, slots=True, eq=False)
class NodeReplay:
    """One node replayed; times in cycles, shape (windows,), raster order. ``delivery`` is None if nothing reads it."""

    at: Host
    begin: IntArray
    end: IntArray
    done: IntArray
    delivery: Delivery | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Replayed:
    """Everything that an event replay counts.

    Parameters
    ----------
    tables : ReplayTables
    window : int64 array, shape (inferences * windows, 8)
        Columns ``BEGIN``, ``END``, ``DONE``, ``CAUSE``, ``REF``, ``WAIT`` of :mod:`spatem_opt.evaluator.events`.
    arrival : int64 array
        First delivery of every subscribed row of pixels.
    router_bits, router_queue, router_wait : int64 arrays, shape (routers,)
        Bits that pass, longest queue [bits], waiting of all packets [ticks of 1/c cycle].
    node_wait, port_wait : int64 arrays, shape (nodes,)
        Waiting of a node's packets [ticks], of its windows at ports [cycles].
    hops : (int, int)
        Bits times routers of feature maps and of partial sums, of the first inference.
    items : (int, int)
        Activations between tiles, from outside included, and those from outside.
    """

    tables: ev.ReplayTables
    window: IntArray
    arrival: IntArray
    router_bits: IntArray
    router_queue: IntArray
    router_wait: IntArray
    node_wait: IntArray
    port_wait: IntArray
    hops: tuple[int, int]
    items: tuple[int, int]

    @property
    def stuck(self) -> bool:
        """Whether windows never begin, because rows wait for each other."""
        return bool((self.window[:, ev.DONE] < 0).any())

    @property
    def latency(self) -> int:
        """When the last window is done [cycles]."""
        return int(self.window[:, ev.DONE].max())


def prepare(tell: Callable[[str], None] | None = None) -> None:
    """Compile the replay, or load what an earlier run compiled, unless this process has it already.

    Replaying does it by itself; programs that keep time limits, or fork, do it before. Compiling is told (logged at
    INFO by default): it
    takes half a minute of CPU time, once per version of this package, of numba and kind of CPU.
    """
    if ev.simulate.signatures:
        return
    if not _kept():
        tell = logging.getLogger(__name__).info if tell is None else tell
        tell("compiling the event replay: about 30 s, once; later runs load what is kept")
    ev.simulate.compile((ev.ARRAY, ev.ARRAY, ev.NUMBER))
    ev.first_uses.compile((ev.ARRAY,) * 4)


def _kept() -> bool:
    """Whether there is an index of compiled functions younger than their source."""
    index = Path(ev.simulate.stats.cache_path or "").glob("events.simulate-*.nbi")
    source = Path(ev.__file__).stat().st_mtime
    return any(path.stat().st_mtime >= source for path in index)


def simulate(tables: ev.ReplayTables, known: Fixed, runs: int = 1, *, queues: bool = True) -> Replayed:
    """Replay `runs` inferences by tables made from ``known``; tables of packets grow until they suffice."""
    par = tables.par.copy()
    par[ev.QUEUES], par[ev.PORTS] = queues, par[ev.PORTS] and queues
    tables = tables._replace(par=par)
    inputs = int((tables.node[:, ev.KIND] == 2) @ (tables.node[:, ev.HEIGHT] * tables.node[:, ev.WIDTH]))
    need, lines = known.need, int(known.at.line[-1])
    usual = runs * (2 * (len(tables.copy) + inputs) + len(tables.pair_sub) // 8) + (1 << 15)
    size = known.room.get((runs, queues), usual)
    packed = ev.arena(tables)
    while True:
        state = _state(tables, need, lines, runs, size)
        ended = ev.simulate(packed, state, runs)
        if ended == ev.TOO_LATE:
            latest = ev.NEVER // int(par[ev.RATE])
            raise InstanceError("replay", "cycles", latest, "expected to end before, at this router_bits_per_cycle")
        if not ended:
            known.room[runs, queues] = size
            return _counted(tables, state)
        size *= 4
        if size > LARGEST:
            raise MemoryError(f"more than {LARGEST} packets under way at once")


def _counted(tables: ev.ReplayTables, state: IntArray) -> Replayed:
    """What a finished replay has counted, taken out of its arena."""
    hops, items = (ev.view(state, table).tolist() for table in (ev.S_HOPS, ev.S_ITEMS))
    return Replayed(
        tables,
        window=ev.view(state, ev.S_WIN).copy(),
        arrival=ev.view(state, ev.S_ARRIVAL).copy(),
        router_bits=ev.view(state, ev.S_ROUTER_BITS).copy(),
        router_queue=ev.view(state, ev.S_ROUTER_QUEUE).copy(),
        router_wait=ev.view(state, ev.S_ROUTER_WAIT).copy(),
        node_wait=ev.view(state, ev.S_NODE_WAIT).copy(),
        port_wait=ev.view(state, ev.S_PORT_WAIT).copy(),
        hops=(hops[0], hops[1]),
        items=(items[0], items[1]),
    )


def _state(t: ev.ReplayTables, need: IntArray, lines: int, runs: int, size: int) -> IntArray:
    """Arena of a state (:class:`~spatem_opt.evaluator.events.State`) in which nothing has happened."""
    cols, routers = int(t.par[ev.MESH_COLS]), int(t.par[ev.TILES] // t.par[ev.PER_ROUTER])
    servers = routers * (5 + int(t.par[ev.PER_ROUTER])) if t.par[ev.LINKS] else routers
    entries = cols if t.par[ev.COLUMNS] else 1
    sent = np.bincount(_entries(t, entries), minlength=entries) * runs
    cast, copies, nodes = bool(t.par[ev.MULTICAST]), runs * len(t.copy), len(t.node)
    shapes: dict[str, tuple[int, ...]] = {
        "scalar": (ev.LOCALS + 1,), "win": (runs * len(need), ev.SUMS + 1), "copy": (copies, ev.TIMER + 1),
        "row_need": t.row_need.shape, "left": (runs * len(t.pair_sub),), "packet": (size, ev.TREE + 1),
        "action": (size, 3), "ring": (3, ev.RING), "later": (size, 3), "heap": (size, 3), "stack": (size, 4),
        "begun": (copies + 1,), "mark": (len(t.copy),),
        "free": (servers,), "port_free": (int(t.par[ev.TILES]) + 1,),
        "entry_at": (entries + 1,), "entry_size": (entries,), "entry_heap": (int(sent.sum()), 3),
        "entry_active": (entries,), "arrival": (lines,),
        "router_bits": (routers,), "router_queue": (routers,), "router_wait": (routers,),
        "node_wait": (nodes,), "port_wait": (nodes,), "hops": (2,), "items": (3,),
        "tree": (size if cast else 0, ev.TREE_LOCAL + 1), "local": (size if cast else 0, 2),
        "tree_of": (int(t.cast_tree[-1]) if cast else 0, 2), "server_tree": (servers,),
        "union": (servers, t.home_channels.shape[1]) if cast else (0, 2),
    }  # fmt: skip
    arena = ev.zeros([shapes[name] for name in ev.State._fields])
    state = ev.State(*(ev.view(arena, 3 * number) for number in range(len(shapes))))
    state.win[:] = -1
    state.win[:, ev.NEED] = np.tile(need, runs)
    state.copy[:, ev.NEXT_TURN] = np.tile(t.copy[:, ev.TURN0], runs)
    for unused in (state.packet, state.action):
        unused[:, ev.NEXT] = np.append(np.arange(1, size), -1)
    state.row_need[:], state.entry_at[1:] = t.row_need, np.cumsum(sent)
    state.ring[:], state.arrival[:], state.tree_of[:], state.server_tree[:] = -1, NEVER, -2, -1
    return arena


def _entries(t: ev.ReplayTables, entries: int) -> IntArray:
    """Entry of every packet that comes from outside."""
    outside = t.home[t.node[:, ev.NODE_HOME0], 0] == t.par[ev.TILES]
    end = t.node[:, ev.PIXEL0] + t.node[:, ev.HEIGHT] * t.node[:, ev.WIDTH]
    parts = [
        t.pair_sub[t.pair_at[a] : t.pair_at[b]] for a, b in zip(t.node[outside, ev.PIXEL0], end[outside], strict=True)
    ]
    tile = t.sub[np.concatenate([np.zeros(0, np.int32), *parts]), ev.SUB_TILE]
    tile = tile[tile < t.par[ev.TILES]]
    return tile // t.par[ev.PER_ROUTER] % t.par[ev.MESH_COLS] if entries > 1 else np.zeros(len(tile), np.int64)


def runs_of(found: Replayed, network: Network, wires: list[Wire]) -> list[NodeReplay]:
    """Times of the first inference, node by node."""
    node = found.tables.node
    runs = []
    for i, wire in enumerate(wires):
        own = found.window[node[i, ev.WINDOW0] : node[i, ev.WINDOW0] + len(wire.at.window_copy)]
        begin, end, done = (np.ascontiguousarray(own[:, column]) for column in (ev.BEGIN, ev.END, ev.DONE))
        runs.append(NodeReplay(wire.at, begin, end, done))
    return [_delivered(found, network, wires, runs, i) for i in range(len(wires))]


def _delivered(found: Replayed, network: Network, wires: list[Wire], runs: list[NodeReplay], index: int) -> NodeReplay:
    """Add when rows arrive, and are last used."""
    run, supply = runs[index], wires[index].supply
    if supply is None:
        return run
    height, tables = network.nodes[index].height, found.tables
    first = tables.sub[tables.node[index, ev.SUB0], ev.SUB_ROW0]
    arrival = found.arrival[first : first + len(supply.tiles) * height].reshape(-1, height)
    last = np.full(arrival.shape, -NEVER)
    for reader in wires[index].readers:
        where, end = _last_uses(reader, runs[reader.node], height)
        place = np.searchsorted(supply.tiles, where)
        last[place] = np.maximum(last[place], end)
    return NodeReplay(run.at, run.begin, run.end, run.done, Delivery(supply, arrival, last))


def _last_uses(reader: Reader, run: NodeReplay, height: int) -> tuple[IntArray, IntArray]:
    """Tiles of a reader; per tile and row of the producer the last end of a window that reads it."""
    high, wide = len(reader.rows), len(reader.cols)
    reads = np.tile((reader.cols >= 0).any(1), high)  # a window that reads no column reads no row
    key = (reader.window_copy * high + np.arange(high * wide) // wide)[reads]
    end = np.full(reader.copies * high, -NEVER)
    np.maximum.at(end, key, run.end[reads])
    order = np.argsort(reader.pair_tile, kind="stable")
    start = starts_of(reader.pair_tile[order])
    end = np.maximum.reduceat(end.reshape(-1, high)[reader.pair_copy[order]], start, axis=0)
    end = np.concatenate([end, np.full((len(start), 1), -NEVER)], axis=1)
    lines = readers(reader.rows, height)
    last = end[:, lines[:, 0]]
    for slot in lines.T[1:]:
        np.maximum(last, end[:, slot], out=last)
    return reader.pair_tile[order][start], last
