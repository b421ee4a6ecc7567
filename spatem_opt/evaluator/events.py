"""Event replay of windows and packets with first-in-first-out routers and ports (M6-M8), compiled by numba.

Tables are integer columns (:mod:`spatem_opt.evaluator.tables` fills them in); a column's number is a constant below. Time
inside routers is counted in ticks of 1/c cycle (c = bits per cycle of a router), so that a packet of b bits takes b ticks.

Order of what happens in a cycle: first everything that happens at its beginning (deliveries, ends, dones, begins) until nothing
more follows from it, then ports serve the windows that begin, then heads of packets that arrive at routers within the cycle
are served in the order of their arrival. What comes of a router is delivered in a later cycle at the earliest.
"""

# mypy: disable-error-code="no-any-unimported,misc,untyped-decorator"
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

IntArray = NDArray[np.int64]

RING = 1 << 14
"""Cycles ahead whose events lie in lists, one per cycle; later ones wait in a heap."""

# Parameters
(RATE, HOP, MESH_COLS, PER_ROUTER, TILES, TAIL, PORT_RATE, QUEUES, LINKS, COLUMNS, MULTICAST, OVERLAP, PORTS, PERIOD,
 KEY_SPAN) = range(15)  # fmt: skip
# Nodes: kind is 0 for crossbar layers, 1 for digital nodes, 2 for inputs
(KIND, HEIGHT, WIDTH, PATCH_H, PATCH_W, WINDOW_COLS, WINDOW0, PIXEL0, SHARED0, SETS, READER0, READER1, MAP_KEY, SUM_KEY,
 HOMES, SUB0, SUBS, RANK0, HOME_SET0, SUB_SET0, WIDTH_BITS, NODE_HOME0) = range(22)  # fmt: skip
# Copies
(NODE, TURN0, TURN1, COMPUTE, LOAD, SUM0, SUM1, PORT0, PORT1, HOME0, HOME1) = range(11)
# State of copies, of windows
NEXT_TURN, BUSY, TIMER = range(3)
NEED, BEGIN, END, DONE, CAUSE, REF, WAIT, SUMS = range(8)
# Subscribers, readers
SUB_TILE, SUB_SET, SUB_ROW0 = range(3)
READ_NODE, READ_ROWS, READ_COLS, READ_SUBS = range(4)
# Packets
(NEXT, TIME, KEY, IS_SUM, ITEM, PIXEL, SUB, TARGET, BITS, ROUTER, ENTRY, WAITED, FROM, RUN, OUT, TREE) = range(16)
# Trees: a server of a multicast tree
T_ROUTER, T_OUT, T_BITS, T_CHILD, T_SIBLING, T_LOCAL = range(6)
# Scalars of the state
(NOW, PENDING, FREE_ACTION, FREE_PACKET, LATER, STACK, BEGUN, FAILED, STAMP, DIRTY, TREES, LOCALS) = range(12)
# Lists of a cycle; what an action does
ACTIONS, ARRIVALS, HEADS = range(3)
DO_END, DO_DONE, DO_CHECK = range(3)
# Why a window begins when it does
BY_START, BY_DATA, BY_COPY, BY_ORDER = range(4)

NEVER = 1 << 60


class Tables(NamedTuple):
    """What does not change: see :mod:`spatem_opt.evaluator.tables`."""

    par: IntArray
    node: IntArray
    copy: IntArray
    window_copy: IntArray
    turn_window: IntArray
    turn_earliest: IntArray
    turn_row: IntArray
    row_copy: IntArray
    row_need: IntArray
    row_next_at: IntArray
    row_next: IntArray
    sums: IntArray
    port: IntArray
    home: IntArray
    sub: IntArray
    pair_at: IntArray
    pair_sub: NDArray[np.int32]
    rank: IntArray
    shared: NDArray[np.int32]
    reader: IntArray
    inverse_at: IntArray
    inverse: IntArray
    copies_at: IntArray
    copies: IntArray
    cast_of: IntArray
    cast_tree: IntArray
    home_channels: NDArray[np.bool_]
    sub_channels: NDArray[np.bool_]


class State(NamedTuple):
    """What a replay fills in; ``scalar`` holds the numbers."""

    scalar: IntArray
    win: IntArray
    copy: IntArray
    row_need: IntArray
    left: NDArray[np.int32]
    packet: IntArray
    action: IntArray
    ring: IntArray
    later: IntArray
    heap: IntArray
    stack: IntArray
    begun: IntArray
    mark: IntArray
    free: IntArray
    port_free: IntArray
    entry_at: IntArray
    entry_size: IntArray
    entry_heap: IntArray
    entry_free: IntArray
    entry_active: IntArray
    dirty: IntArray
    arrival: IntArray
    router_bits: IntArray
    router_queue: IntArray
    router_wait: IntArray
    node_wait: IntArray
    port_wait: IntArray
    hops: IntArray
    items: IntArray
    tree: IntArray
    local: IntArray
    tree_of: IntArray
    server_tree: IntArray
    union: NDArray[np.bool_]


@njit(cache=True)
def _push_heap(heap: Any, size: int, a: int, b: int, c: int) -> int:
    """Put (a, b, c) into a heap ordered by (a, b); returns its new size."""
    i = size
    while i > 0:
        up = (i - 1) >> 1
        if heap[up, 0] < a or (heap[up, 0] == a and heap[up, 1] <= b):
            break
        heap[i, 0], heap[i, 1], heap[i, 2] = heap[up, 0], heap[up, 1], heap[up, 2]
        i = up
    heap[i, 0], heap[i, 1], heap[i, 2] = a, b, c
    return size + 1


@njit(cache=True)
def _pop_heap(heap: Any, size: int) -> int:
    """Take the first out of a heap; returns its new size."""
    size -= 1
    a, b, c = heap[size, 0], heap[size, 1], heap[size, 2]
    i = 0
    while True:
        down = 2 * i + 1
        if down >= size:
            break
        other = down + 1
        if other < size and (
            heap[other, 0] < heap[down, 0] or (heap[other, 0] == heap[down, 0] and heap[other, 1] < heap[down, 1])
        ):
            down = other
        if heap[down, 0] > a or (heap[down, 0] == a and heap[down, 1] >= b):
            break
        heap[i, 0], heap[i, 1], heap[i, 2] = heap[down, 0], heap[down, 1], heap[down, 2]
        i = down
    heap[i, 0], heap[i, 1], heap[i, 2] = a, b, c
    return size


@njit(cache=True)
def _list_in(scalar: Any, ring: Any, later: Any, items: Any, cycle: int, kind: int, item: int) -> None:
    """Put an action or packet on the list of a cycle."""
    if cycle < scalar[NOW] + RING:
        slot = cycle & (RING - 1)
        items[item, NEXT] = ring[kind, slot]
        ring[kind, slot] = item
        scalar[PENDING] += 1
    elif scalar[LATER] + 1 >= len(later):
        scalar[FAILED] = 1
    else:
        scalar[LATER] = _push_heap(later, scalar[LATER], cycle, kind, item)


@njit(cache=True)
def _act(scalar: Any, ring: Any, later: Any, action: Any, cycle: int, what: int, item: int) -> None:
    """Have something done at the beginning of a later cycle."""
    i = scalar[FREE_ACTION]
    if action[i, NEXT] < 0:
        scalar[FAILED] = 1
        return
    scalar[FREE_ACTION] = action[i, NEXT]
    action[i, 1], action[i, 2] = what, item
    _list_in(scalar, ring, later, action, cycle, ACTIONS, i)


@njit(cache=True)
def _push(scalar: Any, stack: Any, what: int, item: int, ref: int, wait: int) -> None:
    """Have something done in this cycle."""
    i = scalar[STACK]
    if i + 1 >= len(stack):
        scalar[FAILED] = 1
        return
    stack[i, 0], stack[i, 1], stack[i, 2], stack[i, 3] = what, item, ref, wait
    scalar[STACK] = i + 1


@njit(cache=True)
def _new_packet(scalar: Any, packet: Any) -> int:
    i = scalar[FREE_PACKET]
    if packet[i, NEXT] < 0:
        scalar[FAILED] = 1
        return int(i)
    scalar[FREE_PACKET] = packet[i, NEXT]
    return int(i)


@njit(cache=True)
def _hops(par: Any, source: int, target: int) -> int:
    """Routers passed (M1)."""
    tiles, cols = par[TILES], par[MESH_COLS]
    if source == target:
        return 0
    if source == tiles or target == tiles:
        y, x = divmod((target if source == tiles else source) // par[PER_ROUTER], cols)
        return int(1 + y + (0 if par[COLUMNS] else x))
    y0, x0 = divmod(source // par[PER_ROUTER], cols)
    y1, x1 = divmod(target // par[PER_ROUTER], cols)
    return int(1 + abs(y0 - y1) + abs(x0 - x1))


@njit(cache=True)
def _entry_of(par: Any, tile: int) -> int:
    """Entry by which data from outside reach a tile."""
    return int((tile // par[PER_ROUTER]) % par[MESH_COLS]) if par[COLUMNS] else 0


@njit(cache=True)
def _next_router(par: Any, router: int, target: int) -> int:
    """Router after this one on the way to a tile, -1 at the end; first along x, then along y."""
    cols = par[MESH_COLS]
    y, x = divmod(router, cols)
    if target == par[TILES]:
        goal_y, goal_x = 0, (x if par[COLUMNS] else 0)
    else:
        goal_y, goal_x = divmod(target // par[PER_ROUTER], cols)
    if x != goal_x:
        return int(router + (1 if goal_x > x else -1))
    if y != goal_y:
        return int(router + (cols if goal_y > y else -cols))
    return -1


@njit(cache=True)
def _output(par: Any, router: int, onward: int, target: int) -> int:
    """Number of the output of a router that leads to the next router, a tile or the outside."""
    if onward >= 0:
        step = onward - router
        if step == 1 or step == -1:
            return 0 if step == 1 else 1
        return 2 if step > 0 else 3
    return int(4 + (par[PER_ROUTER] if target == par[TILES] else target % par[PER_ROUTER]))


@njit(cache=True)
def _server(par: Any, router: int, out: int) -> int:
    return int(router * (5 + par[PER_ROUTER]) + out) if par[LINKS] else router


@njit(cache=True)
def _send(t: Tables, s: State, p: int, source: int) -> None:
    """Send a packet that is filled in but for its way: into its first router, or straight there without queues."""
    par, now = t.par, s.scalar[NOW]
    target, bits = s.packet[p, TARGET], s.packet[p, BITS]
    s.packet[p, WAITED], s.packet[p, ENTRY] = 0, -1
    if not par[QUEUES]:
        if s.packet[p, RUN] == 0:
            s.hops[s.packet[p, IS_SUM]] += _hops(par, source, target) * bits
        cycle = now + _hops(par, source, target) * par[HOP] - (-bits // par[RATE])
        _list_in(s.scalar, s.ring, s.later, s.packet, cycle, ARRIVALS, p)
        return
    s.packet[p, ROUTER] = source // par[PER_ROUTER]
    s.packet[p, TIME] = now * par[RATE]
    _list_in(s.scalar, s.ring, s.later, s.packet, now, HEADS, p)


@njit(cache=True)
def _wait_outside(t: Tables, s: State, p: int, rank: int, entry: int) -> None:
    """Let a packet wait at an entry."""
    first = s.entry_at[entry]
    size = s.entry_size[entry]
    s.entry_size[entry] = _push_heap(s.entry_heap[first : s.entry_at[entry + 1]], size, rank, s.packet[p, KEY], p)
    if not s.entry_active[entry]:
        s.entry_active[entry] = 1
        s.dirty[s.scalar[DIRTY]] = entry
        s.scalar[DIRTY] += 1


@njit(cache=True)
def _enter(t: Tables, s: State, entry: int, time: int) -> int:
    """Let the packet of first use in: its head arrives at the entry's router at `time` [ticks]. Returns it."""
    first = s.entry_at[entry]
    heap = s.entry_heap[first : s.entry_at[entry + 1]]
    p = heap[0, 2]
    s.entry_size[entry] = _pop_heap(heap, s.entry_size[entry])
    s.packet[p, ENTRY], s.packet[p, ROUTER], s.packet[p, TIME] = entry, entry, time
    return int(p)


@njit(cache=True)
def _arrived(t: Tables, s: State, pair: int, pixel: int, sub: int, run: int, node: int, ref: int, wait: int) -> None:
    """A part of a pixel has reached a subscriber; if it was the last one, windows may begin."""
    now = s.scalar[NOW]
    y, x = divmod(pixel - t.node[node, PIXEL0], t.node[node, WIDTH])
    if run == 0:
        line = t.sub[sub, SUB_ROW0] + y
        s.arrival[line] = min(s.arrival[line], now)
    s.left[pair] -= 1
    if s.left[pair] > 0:
        return
    windows, copies = len(t.window_copy), len(t.copy)
    for r in range(t.node[node, READER0], t.node[node, READER1]):
        at = t.reader[r, READ_SUBS] + sub - t.node[node, SUB0]
        c0, c1 = t.copies_at[at], t.copies_at[at + 1]
        if c0 == c1:
            continue
        s.scalar[STAMP] += 1
        stamp = s.scalar[STAMP]
        for i in range(c0, c1):
            s.mark[t.copies[i]] = stamp
        reading = t.reader[r, READ_NODE]
        r0, k0 = t.reader[r, READ_ROWS] + y, t.reader[r, READ_COLS] + x
        for i in range(t.inverse_at[r0], t.inverse_at[r0 + 1]):
            line0 = t.node[reading, WINDOW0] + t.inverse[i] * t.node[reading, WINDOW_COLS]
            for j in range(t.inverse_at[k0], t.inverse_at[k0 + 1]):
                window = line0 + t.inverse[j]
                c = t.window_copy[window]
                if s.mark[c] != stamp:
                    continue
                w = run * windows + window
                s.win[w, NEED] -= 1
                if s.win[w, NEED] == 0:
                    k = run * copies + c
                    turn = s.copy[k, NEXT_TURN]
                    if turn < t.copy[c, TURN1] and t.turn_window[turn] == window:
                        _push(s.scalar, s.stack, DO_CHECK, k * 4 + BY_DATA, ref, wait)


@njit(cache=True)
def _fill(t: Tables, s: State, w: int, pair: int, pixel: int, sub: int, run: int, key: int, bits: int) -> int:
    """A new feature-map packet."""
    p = _new_packet(s.scalar, s.packet)
    s.packet[p, KEY], s.packet[p, IS_SUM], s.packet[p, ITEM] = key, 0, pair
    s.packet[p, PIXEL], s.packet[p, SUB], s.packet[p, TARGET] = pixel, sub, t.sub[sub, SUB_TILE]
    s.packet[p, BITS], s.packet[p, FROM], s.packet[p, RUN], s.packet[p, TREE] = bits, w, run, -1
    return p


@njit(cache=True)
def _pixel_done(t: Tables, s: State, w: int, run: int, node: int, copy: int, pixel: int) -> None:
    """Send a pixel to all who subscribe to it."""
    par, pairs = t.par, len(t.pair_sub)
    h0, h1 = t.copy[copy, HOME0], t.copy[copy, HOME1]
    columns = t.node[node, SETS]
    for at in range(t.pair_at[pixel], t.pair_at[pixel + 1]):
        sub = t.pair_sub[at]
        tile = t.sub[sub, SUB_TILE]
        for h in range(h0, h1):
            bits = t.shared[t.node[node, SHARED0] + t.home[h, 1] * columns + t.sub[sub, SUB_SET]]
            if bits == 0:
                continue
            source = t.home[h, 0]
            if source == tile:
                _arrived(t, s, run * pairs + at, pixel, sub, run, node, w, 0)
                continue
            place = (pixel - t.node[node, PIXEL0]) * t.node[node, HOMES] + h - t.node[node, NODE_HOME0]
            key = run * t.par[KEY_SPAN] + t.node[node, MAP_KEY] + place * t.node[node, SUBS] + sub - t.node[node, SUB0]
            if run == 0:
                s.items[0] += bits // t.node[node, WIDTH_BITS]
                s.items[1 if source == par[TILES] else 2] += bits // t.node[node, WIDTH_BITS]
            if par[MULTICAST]:
                continue
            p = _fill(t, s, w, run * pairs + at, pixel, sub, run, key, bits)
            if s.scalar[FAILED]:
                return
            if source == par[TILES] and par[QUEUES]:
                rank = t.rank[t.node[node, RANK0] + at - t.pair_at[t.node[node, PIXEL0]]] + run * par[PERIOD]
                _wait_outside(t, s, p, rank, _entry_of(par, tile))
            else:
                _send(t, s, p, source)


@njit(cache=True)
def _window_done(t: Tables, s: State, w: int) -> None:
    """All pixels of a window are done."""
    run, window = divmod(w, len(t.window_copy))
    copy = t.window_copy[window]
    node = t.copy[copy, NODE]
    s.win[w, DONE] = s.scalar[NOW]
    wy, wx = divmod(window - t.node[node, WINDOW0], t.node[node, WINDOW_COLS])
    ph, pw = t.node[node, PATCH_H], t.node[node, PATCH_W]
    for y in range(wy * ph, min((wy + 1) * ph, t.node[node, HEIGHT])):
        for x in range(wx * pw, min((wx + 1) * pw, t.node[node, WIDTH])):
            pixel = t.node[node, PIXEL0] + y * t.node[node, WIDTH] + x
            if t.pair_at[pixel + 1] > t.pair_at[pixel]:
                _pixel_done(t, s, w, run, node, copy, pixel)
                if t.par[MULTICAST]:
                    _cast(t, s, w, run, node, copy, pixel)


@njit(cache=True)
def _window_end(t: Tables, s: State, w: int) -> None:
    """A window ends: its copy goes on, rows that waited for its row may begin, its partial sums leave."""
    now, par = s.scalar[NOW], t.par
    run, window = divmod(w, len(t.window_copy))
    copy = t.window_copy[window]
    k = run * len(t.copy) + copy
    s.win[w, END] = now
    turn = s.copy[k, NEXT_TURN]
    s.copy[k, NEXT_TURN], s.copy[k, BUSY] = turn + 1, 0
    row = run * len(t.row_copy) + t.turn_row[turn]
    if turn + 1 == t.copy[copy, TURN1] or t.turn_row[turn + 1] != t.turn_row[turn]:
        for i in range(t.row_next_at[row], t.row_next_at[row + 1]):
            after = t.row_next[i]
            s.row_need[after] -= 1
            if s.row_need[after] == 0:
                other, which = divmod(after, len(t.row_copy))
                _push(s.scalar, s.stack, DO_CHECK, (other * len(t.copy) + t.row_copy[which]) * 4 + BY_ORDER, w, 0)
    _push(s.scalar, s.stack, DO_CHECK, k * 4 + BY_COPY, w, 0)
    if t.node[t.copy[copy, NODE], KIND] == 1:
        _push(s.scalar, s.stack, DO_DONE, w, 0, 0)
        return
    first, last = t.copy[copy, SUM0], t.copy[copy, SUM1]
    s.win[w, SUMS] = last - first
    if first == last:
        _finish(t, s, w)
    node = t.copy[copy, NODE]
    for i in range(first, last):
        p = _new_packet(s.scalar, s.packet)
        if s.scalar[FAILED]:
            return
        order = (window - t.node[node, WINDOW0]) * (last - first) + i - first
        s.packet[p, KEY] = run * par[KEY_SPAN] + t.node[node, SUM_KEY] + order
        s.packet[p, IS_SUM], s.packet[p, ITEM], s.packet[p, FROM] = 1, w, w
        s.packet[p, TARGET], s.packet[p, BITS], s.packet[p, TREE] = t.sums[i, 1], t.sums[i, 2], -1
        s.packet[p, RUN] = run
        _send(t, s, p, t.sums[i, 0])


@njit(cache=True)
def _finish(t: Tables, s: State, w: int) -> None:
    """The sums of a window are at home: it is done after the tail."""
    if t.par[TAIL]:
        _act(s.scalar, s.ring, s.later, s.action, s.scalar[NOW] + t.par[TAIL], DO_DONE, w)
    else:
        _push(s.scalar, s.stack, DO_DONE, w, 0, 0)


@njit(cache=True)
def _check(t: Tables, s: State, k: int, cause: int, ref: int, wait: int) -> None:
    """Begin the next window of a copy if it may."""
    run, copy = divmod(k, len(t.copy))
    turn, now = s.copy[k, NEXT_TURN], s.scalar[NOW]
    if s.copy[k, BUSY] or turn >= t.copy[copy, TURN1]:
        return
    w = run * len(t.window_copy) + t.turn_window[turn]
    if s.win[w, NEED] > 0:
        return
    row = t.turn_row[turn]
    first = turn == t.copy[copy, TURN0] or t.turn_row[turn - 1] != row
    if first and s.row_need[run * len(t.row_copy) + row] > 0:
        return
    earliest = t.turn_earliest[turn] + run * t.par[PERIOD]
    if earliest > now:
        if s.copy[k, TIMER] != turn + 1:
            s.copy[k, TIMER] = turn + 1
            _act(s.scalar, s.ring, s.later, s.action, earliest, DO_CHECK, k * 4 + BY_START)
        return
    s.copy[k, BUSY] = 1
    s.win[w, BEGIN], s.win[w, CAUSE], s.win[w, REF], s.win[w, WAIT] = now, cause, ref, wait
    if t.node[t.copy[copy, NODE], KIND] == 0:
        s.begun[s.scalar[BEGUN]] = w
        s.scalar[BEGUN] += 1
    elif t.copy[copy, COMPUTE]:
        _act(s.scalar, s.ring, s.later, s.action, now + t.copy[copy, COMPUTE], DO_END, w)
    else:
        _push(s.scalar, s.stack, DO_END, w, 0, 0)


@njit(cache=True)
def _load(t: Tables, s: State) -> None:
    """Windows that begin in this cycle load their inputs through the ports and compute (M4, M8)."""
    par, now = t.par, s.scalar[NOW]
    count = s.scalar[BEGUN]
    s.scalar[BEGUN] = 0
    order = np.sort(s.begun[:count]) if count > 1 else s.begun[:count]
    for w in order:
        copy = t.window_copy[w % len(t.window_copy)]
        load = t.copy[copy, LOAD]
        if par[PORTS]:
            served = 0
            for i in range(t.copy[copy, PORT0], t.copy[copy, PORT1]):
                tile = t.port[i, 0]
                s.port_free[tile] = max(s.port_free[tile], now * par[PORT_RATE]) + t.port[i, 1]
                served = max(served, s.port_free[tile])
            late = -(-served // par[PORT_RATE]) - now - load
            if late > 0:
                load += late
                s.port_wait[t.copy[copy, NODE]] += late
        compute = t.copy[copy, COMPUTE]
        time = max(compute, load) if par[OVERLAP] else compute + load
        _act(s.scalar, s.ring, s.later, s.action, now + time, DO_END, w)


@njit(cache=True)
def _deliver(t: Tables, s: State, p: int) -> None:
    """A packet is there."""
    w = s.packet[p, FROM]
    if s.packet[p, IS_SUM]:
        s.win[w, SUMS] -= 1
        if s.win[w, SUMS] == 0:
            _finish(t, s, w)
    else:
        node = t.copy[t.window_copy[w % len(t.window_copy)], NODE]
        _arrived(t, s, s.packet[p, ITEM], s.packet[p, PIXEL], s.packet[p, SUB], s.packet[p, RUN], node, w, s.packet[p, WAITED])
    s.packet[p, NEXT] = s.scalar[FREE_PACKET]
    s.scalar[FREE_PACKET] = p


@njit(cache=True)
def _beginning(t: Tables, s: State, slot: int) -> None:
    """Everything that happens at the beginning of the cycle."""
    while True:
        while s.ring[ACTIONS, slot] >= 0:
            i = s.ring[ACTIONS, slot]
            s.ring[ACTIONS, slot] = s.action[i, NEXT]
            s.scalar[PENDING] -= 1
            _push(s.scalar, s.stack, s.action[i, 1], s.action[i, 2], -1, 0)
            s.action[i, NEXT] = s.scalar[FREE_ACTION]
            s.scalar[FREE_ACTION] = i
        while s.ring[ARRIVALS, slot] >= 0:
            p = s.ring[ARRIVALS, slot]
            s.ring[ARRIVALS, slot] = s.packet[p, NEXT]
            s.scalar[PENDING] -= 1
            _deliver(t, s, p)
        if s.scalar[STACK] == 0 or s.scalar[FAILED]:
            break
        s.scalar[STACK] -= 1
        i = s.scalar[STACK]
        what, item, ref, wait = s.stack[i, 0], s.stack[i, 1], s.stack[i, 2], s.stack[i, 3]
        if what == DO_CHECK:
            _check(t, s, item >> 2, item & 3, ref, wait)
        elif what == DO_END:
            _window_end(t, s, item)
        else:
            _window_done(t, s, item)


@njit(cache=True)
def _routers(t: Tables, s: State, slot: int) -> None:
    """Serve the heads that arrive within the cycle, in the order of their arrival."""
    par, now, packet, heap = t.par, s.scalar[NOW], s.packet, s.heap
    rate, hop, links = par[RATE], par[HOP] * par[RATE], par[LINKS]
    size = 0
    while s.ring[HEADS, slot] >= 0 or size > 0:
        while s.ring[HEADS, slot] >= 0:
            p = s.ring[HEADS, slot]
            s.ring[HEADS, slot] = packet[p, NEXT]
            s.scalar[PENDING] -= 1
            if size + 1 >= len(heap):
                s.scalar[FAILED] = 1
                return
            size = _push_heap(heap, size, packet[p, TIME], packet[p, KEY], p)
        p = heap[0, 2]
        size = _pop_heap(heap, size)
        router, target, bits, time = packet[p, ROUTER], packet[p, TARGET], packet[p, BITS], packet[p, TIME]
        onward, server, tree = -1, router, packet[p, TREE]
        if tree >= 0:
            server = _server(par, router, s.tree[tree, T_OUT])
            bits = s.tree[tree, T_BITS]
        else:
            onward = _next_router(par, router, target)
            if links:
                server = _server(par, router, _output(par, router, onward, target))
        start = max(time, s.free[server]) if par[QUEUES] else time
        end = start + bits
        s.free[server] = end
        packet[p, WAITED] += start - time
        s.router_bits[router] += bits
        s.router_wait[router] += start - time
        s.router_queue[router] = max(s.router_queue[router], end - time)
        node = t.copy[t.window_copy[packet[p, FROM] % len(t.window_copy)], NODE]
        s.node_wait[node] += start - time
        if packet[p, RUN] == 0:
            s.hops[packet[p, IS_SUM]] += bits
        entry = packet[p, ENTRY]
        if entry >= 0:
            packet[p, ENTRY] = -1
            if s.entry_size[entry]:
                other = _enter(t, s, entry, end)
                _list_in(s.scalar, s.ring, s.later, packet, end // rate, HEADS, other)
            else:
                s.entry_active[entry], s.entry_free[entry] = 0, end
        if tree >= 0:
            _branch(t, s, p, tree, start, end)
        elif onward >= 0:
            packet[p, ROUTER], packet[p, TIME] = onward, start + hop
            _list_in(s.scalar, s.ring, s.later, packet, (start + hop) // rate, HEADS, p)
        else:
            _list_in(s.scalar, s.ring, s.later, packet, -(-(end + hop) // rate), ARRIVALS, p)


@njit(cache=True)
def _copy_packet(s: State, p: int) -> int:
    """Another packet like this one."""
    other = _new_packet(s.scalar, s.packet)
    if not s.scalar[FAILED]:
        for column in range(1, s.packet.shape[1]):
            s.packet[other, column] = s.packet[p, column]
    return other


@njit(cache=True)
def _branch(t: Tables, s: State, p: int, tree: int, start: int, end: int) -> None:
    """A multicast packet has passed a server: on to the next ones, and to the tiles that it has reached."""
    rate, hop = t.par[RATE], t.par[HOP] * t.par[RATE]
    child = s.tree[tree, T_CHILD]
    while child >= 0 and not s.scalar[FAILED]:
        other = _copy_packet(s, p)
        s.packet[other, TREE], s.packet[other, ROUTER], s.packet[other, TIME] = child, s.tree[child, T_ROUTER], start + hop
        _list_in(s.scalar, s.ring, s.later, s.packet, (start + hop) // rate, HEADS, other)
        child = s.tree[child, T_SIBLING]
    local = s.tree[tree, T_LOCAL]
    while local >= 0 and not s.scalar[FAILED]:
        other = _copy_packet(s, p)
        at = t.pair_at[s.packet[p, PIXEL]] + s.local[local, 0]
        s.packet[other, ITEM], s.packet[other, SUB] = s.packet[p, RUN] * len(t.pair_sub) + at, t.pair_sub[at]
        _list_in(s.scalar, s.ring, s.later, s.packet, -(-(end + hop) // rate), ARRIVALS, other)
        local = s.local[local, 1]
    s.packet[p, NEXT] = s.scalar[FREE_PACKET]
    s.scalar[FREE_PACKET] = p


@njit(cache=True)
def _cast(t: Tables, s: State, w: int, run: int, node: int, copy: int, pixel: int) -> None:
    """Send a pixel from every home as one packet (from outside: one per entry)."""
    par, pair = t.par, t.pair_at[pixel]
    h0, h1 = t.copy[copy, HOME0], t.copy[copy, HOME1]
    outside = t.home[h0, 0] == par[TILES]
    entries = (par[MESH_COLS] if par[COLUMNS] else 1) if outside else 1
    for h in range(h0, h1):
        for entry in range(entries):
            slot = t.cast_tree[t.cast_of[pixel]] + (h - h0) * entries + entry
            if s.tree_of[slot, 0] == -2:
                _grow(t, s, node, h, pixel, slot, entry if outside else -1)
            tree = s.tree_of[slot, 0]
            place = (pixel - t.node[node, PIXEL0]) * t.node[node, HOMES] + h - t.node[node, NODE_HOME0]
            first = t.pair_sub[pair + s.tree_of[slot, 1]] if tree >= 0 else 0
            key = run * par[KEY_SPAN] + t.node[node, MAP_KEY] + place * t.node[node, SUBS] + first - t.node[node, SUB0]
            while tree >= 0 and not s.scalar[FAILED]:
                p = _fill(t, s, w, 0, pixel, first, run, key, 0)
                s.packet[p, WAITED], s.packet[p, ENTRY], s.packet[p, TREE] = 0, -1, tree
                s.packet[p, ROUTER], s.packet[p, TIME] = s.tree[tree, T_ROUTER], s.scalar[NOW] * par[RATE]
                if outside and par[QUEUES]:
                    _wait_outside(t, s, p, _first_rank(t, s, node, pixel, entry) + run * par[PERIOD], entry)
                else:
                    _list_in(s.scalar, s.ring, s.later, s.packet, s.scalar[NOW], HEADS, p)
                tree = s.tree[tree, T_SIBLING]


@njit(cache=True)
def _first_rank(t: Tables, s: State, node: int, pixel: int, entry: int) -> int:
    """First use of a pixel at any tile behind an entry."""
    best = NEVER
    base = t.node[node, RANK0] - t.pair_at[t.node[node, PIXEL0]]
    for at in range(t.pair_at[pixel], t.pair_at[pixel + 1]):
        if _entry_of(t.par, t.sub[t.pair_sub[at], SUB_TILE]) == entry:
            best = min(best, t.rank[base + at])
    return best


@njit(cache=True)
def _grow(t: Tables, s: State, node: int, home: int, pixel: int, slot: int, entry: int) -> None:
    """The tree by which a pixel goes from a home (or an entry) to its subscribers; servers that share a start are siblings."""
    par, source, kind = t.par, t.home[home, 0], t.home[home, 1]
    base, first_root, begun = s.scalar[TREES], -1, 0
    for at in range(t.pair_at[pixel], t.pair_at[pixel + 1]):
        sub = t.pair_sub[at]
        tile, wanted = t.sub[sub, SUB_TILE], t.sub[sub, SUB_SET]
        if t.shared[t.node[node, SHARED0] + kind * t.node[node, SETS] + wanted] == 0 or tile == source:
            continue
        if entry >= 0 and _entry_of(par, tile) != entry:
            continue
        home_set, sub_set = t.node[node, HOME_SET0] + kind, t.node[node, SUB_SET0] + wanted
        router, before = (entry if entry >= 0 else source // par[PER_ROUTER]), -1
        while router >= 0 and not s.scalar[FAILED]:
            onward = _next_router(par, router, tile)
            out = _output(par, router, onward, tile) if par[LINKS] else 0
            server = _server(par, router, out)
            here = s.server_tree[server]
            if here < base:
                here = s.scalar[TREES]
                if here + 1 >= len(s.tree):
                    s.scalar[FAILED] = 1
                    return
                s.scalar[TREES] = here + 1
                s.server_tree[server] = here
                s.union[here - base, :] = False
                s.tree[here, T_ROUTER], s.tree[here, T_OUT] = router, out
                s.tree[here, T_CHILD], s.tree[here, T_LOCAL] = -1, -1
                if before < 0:
                    s.tree[here, T_SIBLING], first_root = first_root, here
                else:
                    s.tree[here, T_SIBLING], s.tree[before, T_CHILD] = s.tree[before, T_CHILD], here
            for channel in range(s.union.shape[1]):
                if t.home_channels[home_set, channel] and t.sub_channels[sub_set, channel]:
                    s.union[here - base, channel] = True
            before, router = here, onward
        local = s.scalar[LOCALS]
        if local + 1 >= len(s.local):
            s.scalar[FAILED] = 1
            return
        s.scalar[LOCALS] = local + 1
        s.local[local, 0], s.local[local, 1] = at - t.pair_at[pixel], s.tree[before, T_LOCAL]
        s.tree[before, T_LOCAL] = local
        if begun == 0:
            s.tree_of[slot, 1], begun = at - t.pair_at[pixel], 1
    for here in range(base, s.scalar[TREES]):
        s.tree[here, T_BITS] = s.union[here - base].sum() * t.node[node, WIDTH_BITS]
    s.tree_of[slot, 0] = first_root


@njit(cache=True)
def first_uses(t: Tables, estimate: Any, nodes: Any, rank: Any) -> None:
    """Fill in when a window on the subscriber's tile first reads what comes from outside, by the windows' estimates."""
    mark = np.zeros(len(t.copy), np.int64)
    stamp = 0
    for node in nodes:
        base = t.node[node, RANK0] - t.pair_at[t.node[node, PIXEL0]]
        for pixel in range(t.node[node, PIXEL0], t.node[node, PIXEL0] + t.node[node, HEIGHT] * t.node[node, WIDTH]):
            y, x = divmod(pixel - t.node[node, PIXEL0], t.node[node, WIDTH])
            for pair in range(t.pair_at[pixel], t.pair_at[pixel + 1]):
                for r in range(t.node[node, READER0], t.node[node, READER1]):
                    at = t.reader[r, READ_SUBS] + t.pair_sub[pair] - t.node[node, SUB0]
                    stamp += 1
                    for i in range(t.copies_at[at], t.copies_at[at + 1]):
                        mark[t.copies[i]] = stamp
                    reading, r0, k0 = t.reader[r, READ_NODE], t.reader[r, READ_ROWS] + y, t.reader[r, READ_COLS] + x
                    for i in range(t.inverse_at[r0], t.inverse_at[r0 + 1]):
                        line = t.node[reading, WINDOW0] + t.inverse[i] * t.node[reading, WINDOW_COLS]
                        for j in range(t.inverse_at[k0], t.inverse_at[k0 + 1]):
                            window = line + t.inverse[j]
                            if mark[t.window_copy[window]] == stamp:
                                rank[base + pair] = min(rank[base + pair], estimate[window])


@njit(cache=True)
def _begin_runs(t: Tables, s: State, runs: int) -> None:
    """Count what every subscriber expects; have everything begin that may."""
    pairs, copies, windows = len(t.pair_sub), len(t.copy), len(t.window_copy)
    for node in range(len(t.node)):
        for pixel in range(t.node[node, PIXEL0], t.node[node, PIXEL0] + t.node[node, HEIGHT] * t.node[node, WIDTH]):
            y, x = divmod(pixel - t.node[node, PIXEL0], t.node[node, WIDTH])
            line = (y // t.node[node, PATCH_H]) * t.node[node, WINDOW_COLS] + x // t.node[node, PATCH_W]
            copy = t.window_copy[t.node[node, WINDOW0] + line]
            for at in range(t.pair_at[pixel], t.pair_at[pixel + 1]):
                place = t.node[node, SHARED0] + t.sub[t.pair_sub[at], SUB_SET]
                count = 0
                for h in range(t.copy[copy, HOME0], t.copy[copy, HOME1]):
                    if t.shared[place + t.home[h, 1] * t.node[node, SETS]]:
                        count += 1
                for run in range(runs):
                    s.left[run * pairs + at] = count
    for run in range(runs):
        for copy in range(copies):
            _act(s.scalar, s.ring, s.later, s.action, run * t.par[PERIOD], DO_CHECK, (run * copies + copy) * 4 + BY_START)
        for node in range(len(t.node)):
            if t.node[node, KIND] == 2:
                first = t.node[node, WINDOW0]
                for window in range(first, first + t.node[node, HEIGHT] * t.node[node, WIDTH]):
                    for column in (BEGIN, END):
                        s.win[run * windows + window, column] = run * t.par[PERIOD]
                    _act(s.scalar, s.ring, s.later, s.action, run * t.par[PERIOD], DO_DONE, run * windows + window)


@njit(cache=True)
def simulate(t: Tables, s: State, runs: int) -> int:
    """Replay `runs` inferences, one every ``par[PERIOD]`` cycles; 1 if a table of the state was too small, else 0."""
    _begin_runs(t, s, runs)
    scalar = s.scalar
    while (scalar[PENDING] or scalar[LATER]) and not scalar[FAILED]:
        if not scalar[PENDING]:
            scalar[NOW] = s.later[0, 0]
        while scalar[LATER] and s.later[0, 0] < scalar[NOW] + RING:
            cycle, kind, item = s.later[0, 0], s.later[0, 1], s.later[0, 2]
            scalar[LATER] = _pop_heap(s.later, scalar[LATER])
            _list_in(scalar, s.ring, s.later, s.action if kind == ACTIONS else s.packet, cycle, kind, item)
        slot = scalar[NOW] & (RING - 1)
        if s.ring[ACTIONS, slot] >= 0 or s.ring[ARRIVALS, slot] >= 0:
            _beginning(t, s, slot)
            _load(t, s)
            for i in range(scalar[DIRTY]):
                time = max(scalar[NOW] * t.par[RATE], s.entry_free[s.dirty[i]])
                p = _enter(t, s, s.dirty[i], time)
                _list_in(scalar, s.ring, s.later, s.packet, time // t.par[RATE], HEADS, p)
            scalar[DIRTY] = 0
        if s.ring[HEADS, slot] >= 0:
            _routers(t, s, slot)
        scalar[NOW] += 1
    return int(scalar[FAILED])
