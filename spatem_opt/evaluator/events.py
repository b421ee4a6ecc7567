"""Event replay of windows and packets with first-in-first-out routers and ports (M6-M8), compiled by numba.

Tables are integer columns (:mod:`spatem_opt.evaluator.tables` fills them in); a column's number is a constant below.
Time inside routers is counted in ticks of 1/c cycle (c = bits per cycle of a router), so that b bits take b ticks.

Order of what happens in a cycle: first everything that happens at its beginning (deliveries, ends, dones, begins) until
nothing more follows from it, then ports serve the windows that begin, then heads of packets that arrive at routers
within the cycle are served in the order of their arrival. What comes of a router is delivered in a later cycle at the
earliest.
"""

# mypy: disable-error-code="no-any-unimported,misc,untyped-decorator"
from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numba import int64, njit

from spatem_opt.types import IntArray

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
TREE_ROUTER, TREE_OUT, TREE_BITS, TREE_CHILD, TREE_SIBLING, TREE_LOCAL = range(6)
# Scalars of the state
(NOW, PENDING, FREE_ACTION, FREE_PACKET, LATER, STACK, BEGUN, FAILED, STAMP, TREES, LOCALS) = range(11)
OPENS = 2
"""Kind of what opens an entry; 0 for feature maps, 1 for partial sums."""
# Lists of a cycle; what an action does
ACTIONS, ARRIVALS, HEADS = range(3)
DO_END, DO_DONE, DO_CHECK = range(3)
# Why a window begins when it does
BY_START, BY_DATA, BY_COPY, BY_ORDER = range(4)

NEVER = 1 << 60
TOO_LATE = 2
"""What a replay ends with whose times exceed 64 bits."""


class ReplayTables(NamedTuple):
    """What does not change: see :mod:`spatem_opt.evaluator.tables`. All int64, one or two dimensions."""

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
    pair_sub: IntArray
    rank: IntArray
    shared: IntArray
    reader: IntArray
    inverse_at: IntArray
    inverse: IntArray
    copies_at: IntArray
    copies: IntArray
    cast_of: IntArray
    cast_tree: IntArray
    home_channels: IntArray
    sub_channels: IntArray


class State(NamedTuple):
    """What a replay fills in; ``scalar`` holds the numbers."""

    scalar: IntArray
    win: IntArray
    copy: IntArray
    row_need: IntArray
    left: IntArray
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
    entry_active: IntArray
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
    union: IntArray


# Where the tables of an arena are described: offset, length, width
(
    T_PAR,
    T_NODE,
    T_COPY,
    T_WINDOW_COPY,
    T_TURN_WINDOW,
    T_TURN_EARLIEST,
    T_TURN_ROW,
    T_ROW_COPY,
    T_ROW_NEED,
    T_ROW_NEXT_AT,
    T_ROW_NEXT,
    T_SUMS,
    T_PORT,
    T_HOME,
    T_SUB,
    T_PAIR_AT,
    T_PAIR_SUB,
    T_RANK,
    T_SHARED,
    T_READER,
    T_INVERSE_AT,
    T_INVERSE,
    T_COPIES_AT,
    T_COPIES,
    T_CAST_OF,
    T_CAST_TREE,
    T_HOME_CHANNELS,
    T_SUB_CHANNELS,
) = range(0, 84, 3)
(
    S_SCALAR,
    S_WIN,
    S_COPY,
    S_ROW_NEED,
    S_LEFT,
    S_PACKET,
    S_ACTION,
    S_RING,
    S_LATER,
    S_HEAP,
    S_STACK,
    S_BEGUN,
    S_MARK,
    S_FREE,
    S_PORT_FREE,
    S_ENTRY_AT,
    S_ENTRY_SIZE,
    S_ENTRY_HEAP,
    S_ENTRY_ACTIVE,
    S_ARRIVAL,
    S_ROUTER_BITS,
    S_ROUTER_QUEUE,
    S_ROUTER_WAIT,
    S_NODE_WAIT,
    S_PORT_WAIT,
    S_HOPS,
    S_ITEMS,
    S_TREE,
    S_LOCAL,
    S_TREE_OF,
    S_SERVER_TREE,
    S_UNION,
) = range(0, 96, 3)
T0, S0 = 84, 96
"""Where the first table of each, parameters and scalars, begins."""


def arena(tables: ReplayTables) -> IntArray:
    """All tables in one array, behind offset, length and width of each.

    Compiled functions get two such arrays: with dozens of arrays as arguments they take a minute to compile, not
    seconds, and twice as long to run.
    """
    found = zeros([table.shape for table in tables])
    for number, table in enumerate(tables):
        at = found[3 * number]
        found[at : at + table.size] = table.ravel()
    return found


def zeros(shapes: list[tuple[int, ...]]) -> IntArray:
    """An arena of tables of zeros: memory is taken only where something is written."""
    head, at = [], 3 * len(shapes)
    for length, *width in shapes:
        head += [at, length, width[0] if width else 1]
        at += length * head[-1]
    found = np.zeros(at, np.int64)
    found[: len(head)] = head
    return found


def view(arena: IntArray, table: int) -> IntArray:
    """One table of an arena, shape (length, width) or, of one column, (length,)."""
    at, length, width = arena[table : table + 3].tolist()
    found = arena[at : at + length * width]
    return found.reshape(length, width) if width != 1 else found


NUMBER, ARRAY = int64, int64[::1]
"""Types of what compiled functions get."""
Function = TypeVar("Function", bound=Callable[..., Any])
_BARE: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
inner: Callable[[Function], Function] = njit(**_BARE)
"""For functions that only compiled ones call: nothing of their own is cached, nor made callable from Python.

Everything is compiled once for :func:`simulate`, in 29 s of CPU time instead of 40 with a cached function each.
"""


def outer(function: Callable[..., Any]) -> Any:
    """Compile a function that Python calls, and keep what is compiled between runs.

    It is kept beside this file, or in the user's cache directory if that cannot be written (numba's rule; the
    environment variable ``NUMBA_CACHE_DIR`` names another place). Where neither can, every process compiles anew.
    """
    try:
        return njit(cache=True)(function)
    except RuntimeError:  # numba: no locator available
        return njit(function)


@inner
def _cell(arena: Any, table: int, line: int, column: int) -> int:
    """Where an entry of a table with columns lies in the arena."""
    return int(arena[table] + line * arena[table + 2] + column)


@inner
def _push_heap(s: Any, base: int, size: int, a: int, b: int, c: int) -> int:
    """Put (a, b, c) into a heap ordered by (a, b); returns its new size."""
    i = size
    while i > 0:
        up = (i - 1) >> 1
        if s[base + 3 * up] < a or (s[base + 3 * up] == a and s[base + 3 * up + 1] <= b):
            break
        s[base + 3 * i], s[base + 3 * i + 1], s[base + 3 * i + 2] = (
            s[base + 3 * up],
            s[base + 3 * up + 1],
            s[base + 3 * up + 2],
        )
        i = up
    s[base + 3 * i], s[base + 3 * i + 1], s[base + 3 * i + 2] = a, b, c
    return size + 1


@inner
def _pop_heap(s: Any, base: int, size: int) -> int:
    """Take the first out of a heap; returns its new size."""
    size -= 1
    a, b, c = s[base + 3 * size], s[base + 3 * size + 1], s[base + 3 * size + 2]
    i = 0
    while True:
        down = 2 * i + 1
        if down >= size:
            break
        other = down + 1
        if other < size and (
            s[base + 3 * other] < s[base + 3 * down]
            or (s[base + 3 * other] == s[base + 3 * down] and s[base + 3 * other + 1] < s[base + 3 * down + 1])
        ):
            down = other
        if s[base + 3 * down] > a or (s[base + 3 * down] == a and s[base + 3 * down + 1] >= b):
            break
        s[base + 3 * i], s[base + 3 * i + 1], s[base + 3 * i + 2] = (
            s[base + 3 * down],
            s[base + 3 * down + 1],
            s[base + 3 * down + 2],
        )
        i = down
    s[base + 3 * i], s[base + 3 * i + 1], s[base + 3 * i + 2] = a, b, c
    return size


@inner
def _list_in(s: Any, cycle: int, kind: int, item: int) -> None:
    """Put an action or packet on the list of a cycle."""
    if cycle < s[S0 + NOW] + RING:
        slot = cycle & (RING - 1)
        table = S_ACTION if kind == ACTIONS else S_PACKET
        s[_cell(s, table, item, NEXT)] = s[_cell(s, S_RING, kind, slot)]
        s[_cell(s, S_RING, kind, slot)] = item
        s[S0 + PENDING] += 1
    elif s[S0 + LATER] + 1 >= s[S_LATER + 1]:
        s[S0 + FAILED] = 1
    else:
        s[S0 + LATER] = _push_heap(s, s[S_LATER], s[S0 + LATER], cycle, kind, item)


@inner
def _act(s: Any, cycle: int, what: int, item: int) -> None:
    """Have something done at the beginning of a later cycle."""
    i = s[S0 + FREE_ACTION]
    if s[_cell(s, S_ACTION, i, NEXT)] < 0:
        s[S0 + FAILED] = 1
        return
    s[S0 + FREE_ACTION] = s[_cell(s, S_ACTION, i, NEXT)]
    s[_cell(s, S_ACTION, i, 1)], s[_cell(s, S_ACTION, i, 2)] = what, item
    _list_in(s, cycle, ACTIONS, i)


@inner
def _push(s: Any, what: int, item: int, ref: int, wait: int) -> None:
    """Have something done in this cycle."""
    i = s[S0 + STACK]
    if i + 1 >= s[S_STACK + 1]:
        s[S0 + FAILED] = 1
        return
    s[_cell(s, S_STACK, i, 0)], s[_cell(s, S_STACK, i, 1)], s[_cell(s, S_STACK, i, 2)], s[_cell(s, S_STACK, i, 3)] = (
        what,
        item,
        ref,
        wait,
    )
    s[S0 + STACK] = i + 1


@inner
def _new_packet(s: Any) -> int:
    i = s[S0 + FREE_PACKET]
    if s[_cell(s, S_PACKET, i, NEXT)] < 0:
        s[S0 + FAILED] = 1
        return int(i)
    s[S0 + FREE_PACKET] = s[_cell(s, S_PACKET, i, NEXT)]
    return int(i)


@inner
def _hops(t: Any, source: int, target: int) -> int:
    """Routers passed (M1)."""
    tiles, cols = t[T0 + TILES], t[T0 + MESH_COLS]
    if source == target:
        return 0
    if source == tiles or target == tiles:
        y, x = divmod((target if source == tiles else source) // t[T0 + PER_ROUTER], cols)
        return int(1 + y + (0 if t[T0 + COLUMNS] else x))
    y0, x0 = divmod(source // t[T0 + PER_ROUTER], cols)
    y1, x1 = divmod(target // t[T0 + PER_ROUTER], cols)
    return int(1 + abs(y0 - y1) + abs(x0 - x1))


@inner
def _entry_of(t: Any, tile: int) -> int:
    """Entry by which data from outside reach a tile."""
    return int((tile // t[T0 + PER_ROUTER]) % t[T0 + MESH_COLS]) if t[T0 + COLUMNS] else 0


@inner
def _next_router(t: Any, router: int, target: int) -> int:
    """Router after this one on the way to a tile, -1 at the end; first along x, then along y."""
    cols = t[T0 + MESH_COLS]
    y, x = divmod(router, cols)
    if target == t[T0 + TILES]:
        goal_y, goal_x = 0, (x if t[T0 + COLUMNS] else 0)
    else:
        goal_y, goal_x = divmod(target // t[T0 + PER_ROUTER], cols)
    if x != goal_x:
        return int(router + (1 if goal_x > x else -1))
    if y != goal_y:
        return int(router + (cols if goal_y > y else -cols))
    return -1


@inner
def _output(t: Any, router: int, onward: int, target: int) -> int:
    """Number of the output of a router that leads to the next router, a tile or the outside."""
    if onward >= 0:
        step = onward - router
        if step == 1 or step == -1:
            return 0 if step == 1 else 1
        return 2 if step > 0 else 3
    return int(4 + (t[T0 + PER_ROUTER] if target == t[T0 + TILES] else target % t[T0 + PER_ROUTER]))


@inner
def _server(t: Any, router: int, out: int) -> int:
    return int(router * (5 + t[T0 + PER_ROUTER]) + out) if t[T0 + LINKS] else router


@inner
def _send(t: Any, s: Any, p: int, source: int) -> None:
    """Send a packet that is filled in but for its way: into its first router, or straight there without queues."""
    now = s[S0 + NOW]
    target, bits = s[_cell(s, S_PACKET, p, TARGET)], s[_cell(s, S_PACKET, p, BITS)]
    s[_cell(s, S_PACKET, p, WAITED)], s[_cell(s, S_PACKET, p, ENTRY)] = 0, -1
    if not t[T0 + QUEUES]:
        if s[_cell(s, S_PACKET, p, RUN)] == 0:
            s[s[S_HOPS] + s[_cell(s, S_PACKET, p, IS_SUM)]] += _hops(t, source, target) * bits
        cycle = now + _hops(t, source, target) * t[T0 + HOP] - (-bits // t[T0 + RATE])
        _list_in(s, cycle, ARRIVALS, p)
        return
    s[_cell(s, S_PACKET, p, ROUTER)] = source // t[T0 + PER_ROUTER]
    s[_cell(s, S_PACKET, p, TIME)] = now * t[T0 + RATE]
    _list_in(s, now, HEADS, p)


@inner
def _wait_outside(t: Any, s: Any, p: int, rank: int, entry: int) -> None:
    """Let a packet wait at an entry."""
    base = s[S_ENTRY_HEAP] + 3 * s[s[S_ENTRY_AT] + entry]
    s[s[S_ENTRY_SIZE] + entry] = _push_heap(s, base, s[s[S_ENTRY_SIZE] + entry], rank, s[_cell(s, S_PACKET, p, KEY)], p)
    if not s[s[S_ENTRY_ACTIVE] + entry]:
        s[s[S_ENTRY_ACTIVE] + entry] = 1
        _open_at(t, s, entry, s[S0 + NOW] * t[T0 + RATE])


@inner
def _open_at(t: Any, s: Any, entry: int, time: int) -> None:
    """Open an entry for the next packet at a time [ticks]; what opens it is listed like a packet, before all others."""
    p = _new_packet(s)
    if s[S0 + FAILED]:
        return
    s[_cell(s, S_PACKET, p, IS_SUM)], s[_cell(s, S_PACKET, p, KEY)] = OPENS, -1
    s[_cell(s, S_PACKET, p, ENTRY)], s[_cell(s, S_PACKET, p, TIME)] = entry, time
    _list_in(s, time // t[T0 + RATE], HEADS, p)


@inner
def _open(t: Any, s: Any, entry: int, time: int) -> None:
    """Let in the packet of first use: its head arrives at the entry's router."""
    size = s[s[S_ENTRY_SIZE] + entry]
    if size == 0:
        s[s[S_ENTRY_ACTIVE] + entry] = 0
        return
    base = s[S_ENTRY_HEAP] + 3 * s[s[S_ENTRY_AT] + entry]
    p = s[base + 2]
    s[s[S_ENTRY_SIZE] + entry] = _pop_heap(s, base, size)
    s[_cell(s, S_PACKET, p, ENTRY)], s[_cell(s, S_PACKET, p, ROUTER)] = entry, entry
    s[_cell(s, S_PACKET, p, TIME)] = time
    _list_in(s, time // t[T0 + RATE], HEADS, p)


@inner
def _arrived(t: Any, s: Any, pair: int, pixel: int, sub: int, run: int, node: int, ref: int, wait: int) -> None:
    """A part of a pixel has reached a subscriber; if it was the last one, windows may begin."""
    now = s[S0 + NOW]
    y, x = divmod(pixel - t[_cell(t, T_NODE, node, PIXEL0)], t[_cell(t, T_NODE, node, WIDTH)])
    if run == 0:
        line = t[_cell(t, T_SUB, sub, SUB_ROW0)] + y
        s[s[S_ARRIVAL] + line] = min(s[s[S_ARRIVAL] + line], now)
    s[s[S_LEFT] + pair] -= 1
    if s[s[S_LEFT] + pair] > 0:
        return
    windows, copies = t[T_WINDOW_COPY + 1], t[T_COPY + 1]
    for r in range(t[_cell(t, T_NODE, node, READER0)], t[_cell(t, T_NODE, node, READER1)]):
        at = t[_cell(t, T_READER, r, READ_SUBS)] + sub - t[_cell(t, T_NODE, node, SUB0)]
        c0, c1 = t[t[T_COPIES_AT] + at], t[t[T_COPIES_AT] + at + 1]
        if c0 == c1:
            continue
        s[S0 + STAMP] += 1
        stamp = s[S0 + STAMP]
        for i in range(c0, c1):
            s[s[S_MARK] + t[t[T_COPIES] + i]] = stamp
        reading = t[_cell(t, T_READER, r, READ_NODE)]
        r0, k0 = t[_cell(t, T_READER, r, READ_ROWS)] + y, t[_cell(t, T_READER, r, READ_COLS)] + x
        for i in range(t[t[T_INVERSE_AT] + r0], t[t[T_INVERSE_AT] + r0 + 1]):
            line0 = (
                t[_cell(t, T_NODE, reading, WINDOW0)] + t[t[T_INVERSE] + i] * t[_cell(t, T_NODE, reading, WINDOW_COLS)]
            )
            for j in range(t[t[T_INVERSE_AT] + k0], t[t[T_INVERSE_AT] + k0 + 1]):
                window = line0 + t[t[T_INVERSE] + j]
                c = t[t[T_WINDOW_COPY] + window]
                if s[s[S_MARK] + c] != stamp:
                    continue
                w = run * windows + window
                s[_cell(s, S_WIN, w, NEED)] -= 1
                if s[_cell(s, S_WIN, w, NEED)] == 0:
                    k = run * copies + c
                    turn = s[_cell(s, S_COPY, k, NEXT_TURN)]
                    if turn < t[_cell(t, T_COPY, c, TURN1)] and t[t[T_TURN_WINDOW] + turn] == window:
                        _push(s, DO_CHECK, k * 4 + BY_DATA, ref, wait)


@inner
def _fill(t: Any, s: Any, w: int, pair: int, pixel: int, sub: int, run: int, key: int, bits: int) -> int:
    """A new feature-map packet."""
    p = _new_packet(s)
    s[_cell(s, S_PACKET, p, KEY)], s[_cell(s, S_PACKET, p, IS_SUM)], s[_cell(s, S_PACKET, p, ITEM)] = key, 0, pair
    s[_cell(s, S_PACKET, p, PIXEL)], s[_cell(s, S_PACKET, p, SUB)], s[_cell(s, S_PACKET, p, TARGET)] = (
        pixel,
        sub,
        t[_cell(t, T_SUB, sub, SUB_TILE)],
    )
    (
        s[_cell(s, S_PACKET, p, BITS)],
        s[_cell(s, S_PACKET, p, FROM)],
        s[_cell(s, S_PACKET, p, RUN)],
        s[_cell(s, S_PACKET, p, TREE)],
    ) = bits, w, run, -1
    return int(p)


@inner
def _pixel_done(t: Any, s: Any, w: int, run: int, node: int, copy: int, pixel: int) -> None:
    """Send a pixel to all who subscribe to it."""
    pairs = t[T_PAIR_SUB + 1]
    h0, h1 = t[_cell(t, T_COPY, copy, HOME0)], t[_cell(t, T_COPY, copy, HOME1)]
    columns = t[_cell(t, T_NODE, node, SETS)]
    for at in range(t[t[T_PAIR_AT] + pixel], t[t[T_PAIR_AT] + pixel + 1]):
        sub = t[t[T_PAIR_SUB] + at]
        tile = t[_cell(t, T_SUB, sub, SUB_TILE)]
        for h in range(h0, h1):
            bits = t[
                t[T_SHARED]
                + t[_cell(t, T_NODE, node, SHARED0)]
                + t[_cell(t, T_HOME, h, 1)] * columns
                + t[_cell(t, T_SUB, sub, SUB_SET)]
            ]
            if bits == 0:
                continue
            source = t[_cell(t, T_HOME, h, 0)]
            if source == tile:
                _arrived(t, s, run * pairs + at, pixel, sub, run, node, w, 0)
                continue
            place = (
                (pixel - t[_cell(t, T_NODE, node, PIXEL0)]) * t[_cell(t, T_NODE, node, HOMES)]
                + h
                - t[_cell(t, T_NODE, node, NODE_HOME0)]
            )
            key = (
                run * t[T0 + KEY_SPAN]
                + t[_cell(t, T_NODE, node, MAP_KEY)]
                + place * t[_cell(t, T_NODE, node, SUBS)]
                + sub
                - t[_cell(t, T_NODE, node, SUB0)]
            )
            if run == 0:
                s[s[S_ITEMS] + 0] += bits // t[_cell(t, T_NODE, node, WIDTH_BITS)]
                s[s[S_ITEMS] + 1 if source == t[T0 + TILES] else 2] += bits // t[_cell(t, T_NODE, node, WIDTH_BITS)]
            if t[T0 + MULTICAST]:
                continue
            p = _fill(t, s, w, run * pairs + at, pixel, sub, run, key, bits)
            if s[S0 + FAILED]:
                return
            if source == t[T0 + TILES] and t[T0 + QUEUES]:
                rank = (
                    t[
                        t[T_RANK]
                        + t[_cell(t, T_NODE, node, RANK0)]
                        + at
                        - t[t[T_PAIR_AT] + t[_cell(t, T_NODE, node, PIXEL0)]]
                    ]
                    + run * t[T0 + PERIOD]
                )
                _wait_outside(t, s, p, rank, _entry_of(t, tile))
            else:
                _send(t, s, p, source)


@inner
def _window_done(t: Any, s: Any, w: int) -> None:
    """All pixels of a window are done."""
    run, window = divmod(w, t[T_WINDOW_COPY + 1])
    copy = t[t[T_WINDOW_COPY] + window]
    node = t[_cell(t, T_COPY, copy, NODE)]
    s[_cell(s, S_WIN, w, DONE)] = s[S0 + NOW]
    wy, wx = divmod(window - t[_cell(t, T_NODE, node, WINDOW0)], t[_cell(t, T_NODE, node, WINDOW_COLS)])
    ph, pw = t[_cell(t, T_NODE, node, PATCH_H)], t[_cell(t, T_NODE, node, PATCH_W)]
    for y in range(wy * ph, min((wy + 1) * ph, t[_cell(t, T_NODE, node, HEIGHT)])):
        for x in range(wx * pw, min((wx + 1) * pw, t[_cell(t, T_NODE, node, WIDTH)])):
            pixel = t[_cell(t, T_NODE, node, PIXEL0)] + y * t[_cell(t, T_NODE, node, WIDTH)] + x
            if t[t[T_PAIR_AT] + pixel + 1] > t[t[T_PAIR_AT] + pixel]:
                _pixel_done(t, s, w, run, node, copy, pixel)
                if t[T0 + MULTICAST]:
                    _cast(t, s, w, run, node, copy, pixel)


@inner
def _window_end(t: Any, s: Any, w: int) -> None:
    """A window ends: its copy goes on, rows that waited for its row may begin, its partial sums leave."""
    now = s[S0 + NOW]
    run, window = divmod(w, t[T_WINDOW_COPY + 1])
    copy = t[t[T_WINDOW_COPY] + window]
    k = run * t[T_COPY + 1] + copy
    s[_cell(s, S_WIN, w, END)] = now
    turn = s[_cell(s, S_COPY, k, NEXT_TURN)]
    s[_cell(s, S_COPY, k, NEXT_TURN)], s[_cell(s, S_COPY, k, BUSY)] = turn + 1, 0
    row = run * t[T_ROW_COPY + 1] + t[t[T_TURN_ROW] + turn]
    if turn + 1 == t[_cell(t, T_COPY, copy, TURN1)] or t[t[T_TURN_ROW] + turn + 1] != t[t[T_TURN_ROW] + turn]:
        for i in range(t[t[T_ROW_NEXT_AT] + row], t[t[T_ROW_NEXT_AT] + row + 1]):
            after = t[t[T_ROW_NEXT] + i]
            s[s[S_ROW_NEED] + after] -= 1
            if s[s[S_ROW_NEED] + after] == 0:
                other, which = divmod(after, t[T_ROW_COPY + 1])
                _push(s, DO_CHECK, (other * t[T_COPY + 1] + t[t[T_ROW_COPY] + which]) * 4 + BY_ORDER, w, 0)
    _push(s, DO_CHECK, k * 4 + BY_COPY, w, 0)
    if t[_cell(t, T_NODE, t[_cell(t, T_COPY, copy, NODE)], KIND)] == 1:
        _push(s, DO_DONE, w, 0, 0)
        return
    first, last = t[_cell(t, T_COPY, copy, SUM0)], t[_cell(t, T_COPY, copy, SUM1)]
    s[_cell(s, S_WIN, w, SUMS)] = last - first
    if first == last:
        _finish(t, s, w)
    node = t[_cell(t, T_COPY, copy, NODE)]
    for i in range(first, last):
        p = _new_packet(s)
        if s[S0 + FAILED]:
            return
        order = (window - t[_cell(t, T_NODE, node, WINDOW0)]) * (last - first) + i - first
        s[_cell(s, S_PACKET, p, KEY)] = run * t[T0 + KEY_SPAN] + t[_cell(t, T_NODE, node, SUM_KEY)] + order
        s[_cell(s, S_PACKET, p, IS_SUM)], s[_cell(s, S_PACKET, p, ITEM)], s[_cell(s, S_PACKET, p, FROM)] = 1, w, w
        s[_cell(s, S_PACKET, p, TARGET)], s[_cell(s, S_PACKET, p, BITS)], s[_cell(s, S_PACKET, p, TREE)] = (
            t[_cell(t, T_SUMS, i, 1)],
            t[_cell(t, T_SUMS, i, 2)],
            -1,
        )
        s[_cell(s, S_PACKET, p, RUN)] = run
        _send(t, s, p, t[_cell(t, T_SUMS, i, 0)])


@inner
def _finish(t: Any, s: Any, w: int) -> None:
    """The sums of a window are at home: it is done after the tail."""
    if t[T0 + TAIL]:
        _act(s, s[S0 + NOW] + t[T0 + TAIL], DO_DONE, w)
    else:
        _push(s, DO_DONE, w, 0, 0)


@inner
def _check(t: Any, s: Any, k: int, cause: int, ref: int, wait: int) -> None:
    """Begin the next window of a copy if it may."""
    run, copy = divmod(k, t[T_COPY + 1])
    turn, now = s[_cell(s, S_COPY, k, NEXT_TURN)], s[S0 + NOW]
    if s[_cell(s, S_COPY, k, BUSY)] or turn >= t[_cell(t, T_COPY, copy, TURN1)]:
        return
    w = run * t[T_WINDOW_COPY + 1] + t[t[T_TURN_WINDOW] + turn]
    if s[_cell(s, S_WIN, w, NEED)] > 0:
        return
    row = t[t[T_TURN_ROW] + turn]
    first = turn == t[_cell(t, T_COPY, copy, TURN0)] or t[t[T_TURN_ROW] + turn - 1] != row
    if first and s[s[S_ROW_NEED] + run * t[T_ROW_COPY + 1] + row] > 0:
        return
    earliest = t[t[T_TURN_EARLIEST] + turn] + run * t[T0 + PERIOD]
    if earliest > now:
        if cause != BY_START:
            s[_cell(s, S_WIN, w, REF)] = ref
        if s[_cell(s, S_COPY, k, TIMER)] != turn + 1:
            s[_cell(s, S_COPY, k, TIMER)] = turn + 1
            _act(s, earliest, DO_CHECK, k * 4 + BY_START)
        return
    s[_cell(s, S_COPY, k, BUSY)] = 1
    (
        s[_cell(s, S_WIN, w, BEGIN)],
        s[_cell(s, S_WIN, w, CAUSE)],
        s[_cell(s, S_WIN, w, WAIT)],
    ) = now, cause, wait
    if cause != BY_START:  # else what it had waited for before
        s[_cell(s, S_WIN, w, REF)] = ref
    if t[_cell(t, T_NODE, t[_cell(t, T_COPY, copy, NODE)], KIND)] == 0:
        s[s[S_BEGUN] + s[S0 + BEGUN]] = w
        s[S0 + BEGUN] += 1
    elif t[_cell(t, T_COPY, copy, COMPUTE)]:
        _act(s, now + t[_cell(t, T_COPY, copy, COMPUTE)], DO_END, w)
    else:
        _push(s, DO_END, w, 0, 0)


@inner
def _load(t: Any, s: Any) -> None:
    """Windows that begin in this cycle load their inputs through the ports and compute (M4, M8)."""
    now = s[S0 + NOW]
    count = s[S0 + BEGUN]
    s[S0 + BEGUN] = 0
    order = np.sort(s[s[S_BEGUN] : s[S_BEGUN] + count])
    for w in order:
        copy = t[t[T_WINDOW_COPY] + w % t[T_WINDOW_COPY + 1]]
        load = t[_cell(t, T_COPY, copy, LOAD)]
        if t[T0 + PORTS]:
            served = 0
            for i in range(t[_cell(t, T_COPY, copy, PORT0)], t[_cell(t, T_COPY, copy, PORT1)]):
                tile = t[_cell(t, T_PORT, i, 0)]
                s[s[S_PORT_FREE] + tile] = (
                    max(s[s[S_PORT_FREE] + tile], now * t[T0 + PORT_RATE]) + t[_cell(t, T_PORT, i, 1)]
                )
                served = max(served, s[s[S_PORT_FREE] + tile])
            late = -(-served // t[T0 + PORT_RATE]) - now - load
            if late > 0:
                load += late
                s[s[S_PORT_WAIT] + t[_cell(t, T_COPY, copy, NODE)]] += late
        compute = t[_cell(t, T_COPY, copy, COMPUTE)]
        time = max(compute, load) if t[T0 + OVERLAP] else compute + load
        _act(s, now + time, DO_END, w)


@inner
def _deliver(t: Any, s: Any, p: int) -> None:
    """A packet is there."""
    w = s[_cell(s, S_PACKET, p, FROM)]
    if s[_cell(s, S_PACKET, p, IS_SUM)]:
        s[_cell(s, S_WIN, w, SUMS)] -= 1
        if s[_cell(s, S_WIN, w, SUMS)] == 0:
            _finish(t, s, w)
    else:
        node = t[_cell(t, T_COPY, t[t[T_WINDOW_COPY] + w % t[T_WINDOW_COPY + 1]], NODE)]
        _arrived(
            t,
            s,
            s[_cell(s, S_PACKET, p, ITEM)],
            s[_cell(s, S_PACKET, p, PIXEL)],
            s[_cell(s, S_PACKET, p, SUB)],
            s[_cell(s, S_PACKET, p, RUN)],
            node,
            w,
            s[_cell(s, S_PACKET, p, WAITED)],
        )
    _drop(s, p)


@inner
def _beginning(t: Any, s: Any, slot: int) -> None:
    """Everything that happens at the beginning of the cycle."""
    while True:
        while s[_cell(s, S_RING, ACTIONS, slot)] >= 0:
            i = s[_cell(s, S_RING, ACTIONS, slot)]
            s[_cell(s, S_RING, ACTIONS, slot)] = s[_cell(s, S_ACTION, i, NEXT)]
            s[S0 + PENDING] -= 1
            _push(s, s[_cell(s, S_ACTION, i, 1)], s[_cell(s, S_ACTION, i, 2)], -1, 0)
            s[_cell(s, S_ACTION, i, NEXT)] = s[S0 + FREE_ACTION]
            s[S0 + FREE_ACTION] = i
        while s[_cell(s, S_RING, ARRIVALS, slot)] >= 0:
            p = s[_cell(s, S_RING, ARRIVALS, slot)]
            s[_cell(s, S_RING, ARRIVALS, slot)] = s[_cell(s, S_PACKET, p, NEXT)]
            s[S0 + PENDING] -= 1
            _deliver(t, s, p)
        if s[S0 + STACK] == 0 or s[S0 + FAILED]:
            break
        s[S0 + STACK] -= 1
        i = s[S0 + STACK]
        what, item, ref, wait = (
            s[_cell(s, S_STACK, i, 0)],
            s[_cell(s, S_STACK, i, 1)],
            s[_cell(s, S_STACK, i, 2)],
            s[_cell(s, S_STACK, i, 3)],
        )
        if what == DO_CHECK:
            _check(t, s, item >> 2, item & 3, ref, wait)
        elif what == DO_END:
            _window_end(t, s, item)
        else:
            _window_done(t, s, item)


@inner
def _routers(t: Any, s: Any, slot: int) -> None:
    """Serve the heads that arrive within the cycle, in the order of their arrival."""
    heap = s[S_HEAP]
    size = 0
    while s[_cell(s, S_RING, HEADS, slot)] >= 0 or size > 0:
        while s[_cell(s, S_RING, HEADS, slot)] >= 0:
            p = s[_cell(s, S_RING, HEADS, slot)]
            s[_cell(s, S_RING, HEADS, slot)] = s[_cell(s, S_PACKET, p, NEXT)]
            s[S0 + PENDING] -= 1
            if size + 1 >= s[S_HEAP + 1]:
                s[S0 + FAILED] = 1
                return
            size = _push_heap(s, heap, size, s[_cell(s, S_PACKET, p, TIME)], s[_cell(s, S_PACKET, p, KEY)], p)
        p = s[heap + 2]
        size = _pop_heap(s, heap, size)
        time, entry, tree = (
            s[_cell(s, S_PACKET, p, TIME)],
            s[_cell(s, S_PACKET, p, ENTRY)],
            s[_cell(s, S_PACKET, p, TREE)],
        )
        if s[_cell(s, S_PACKET, p, IS_SUM)] == OPENS:
            _open(t, s, entry, time)
            _drop(s, p)
            continue
        s[_cell(s, S_PACKET, p, ENTRY)] = -1
        end = _pass(t, s, p, time) if tree < 0 else _pass_on(t, s, p, tree, time)
        if entry >= 0:
            _open_at(t, s, entry, end)


@inner
def _drop(s: Any, p: int) -> None:
    """A packet is no longer needed."""
    s[_cell(s, S_PACKET, p, NEXT)] = s[S0 + FREE_PACKET]
    s[S0 + FREE_PACKET] = p


@inner
def _serve(t: Any, s: Any, p: int, router: int, server: int, bits: int, time: int) -> int:
    """Pass a packet through a server; when service begins [ticks]."""
    start = max(time, s[s[S_FREE] + server]) if t[T0 + QUEUES] else time
    s[s[S_FREE] + server] = start + bits
    s[_cell(s, S_PACKET, p, WAITED)] += start - time
    s[s[S_ROUTER_BITS] + router] += bits
    s[s[S_ROUTER_WAIT] + router] += start - time
    s[s[S_ROUTER_QUEUE] + router] = max(s[s[S_ROUTER_QUEUE] + router], start + bits - time)
    copy = t[t[T_WINDOW_COPY] + s[_cell(s, S_PACKET, p, FROM)] % t[T_WINDOW_COPY + 1]]
    s[s[S_NODE_WAIT] + t[_cell(t, T_COPY, copy, NODE)]] += start - time
    if s[_cell(s, S_PACKET, p, RUN)] == 0:
        s[s[S_HOPS] + s[_cell(s, S_PACKET, p, IS_SUM)]] += bits
    return int(start)


@inner
def _pass(t: Any, s: Any, p: int, time: int) -> int:
    """A head has arrived at a router: on to the next one, or to its tile. When the server is free again [ticks]."""
    router, target = s[_cell(s, S_PACKET, p, ROUTER)], s[_cell(s, S_PACKET, p, TARGET)]
    bits, rate = s[_cell(s, S_PACKET, p, BITS)], t[T0 + RATE]
    onward = _next_router(t, router, target)
    server = _server(t, router, _output(t, router, onward, target)) if t[T0 + LINKS] else router
    start = _serve(t, s, p, router, server, bits, time)
    head = start + t[T0 + HOP] * rate
    if onward >= 0:
        s[_cell(s, S_PACKET, p, ROUTER)], s[_cell(s, S_PACKET, p, TIME)] = onward, head
        _list_in(s, head // rate, HEADS, p)
    else:
        _list_in(s, -(-(head + bits) // rate), ARRIVALS, p)
    return int(start + bits)


@inner
def _pass_on(t: Any, s: Any, p: int, tree: int, time: int) -> int:
    """The head of a multicast packet has arrived at a router: through all servers there that it needs (with links
    they are siblings in the tree). When the last one is free again [ticks].
    """
    router, freed = s[_cell(s, S_TREE, tree, TREE_ROUTER)], 0
    while tree >= 0 and not s[S0 + FAILED]:
        bits = s[_cell(s, S_TREE, tree, TREE_BITS)]
        before = s[_cell(s, S_PACKET, p, WAITED)]
        start = _serve(t, s, p, router, _server(t, router, s[_cell(s, S_TREE, tree, TREE_OUT)]), bits, time)
        freed = max(freed, start + bits)
        _branch(t, s, p, tree, start, start + bits)
        s[_cell(s, S_PACKET, p, WAITED)] = before
        tree = s[_cell(s, S_TREE, tree, TREE_SIBLING)] if t[T0 + LINKS] else -1
    _drop(s, p)
    return int(freed)


@inner
def _copy_packet(s: Any, p: int) -> int:
    """Another packet like this one."""
    other = _new_packet(s)
    if not s[S0 + FAILED]:
        for column in range(1, s[S_PACKET + 2]):
            s[_cell(s, S_PACKET, other, column)] = s[_cell(s, S_PACKET, p, column)]
    return int(other)


@inner
def _branch(t: Any, s: Any, p: int, tree: int, start: int, end: int) -> None:
    """A multicast packet has passed a server: on to the next ones, and to the tiles that it has reached."""
    rate, hop = t[T0 + RATE], t[T0 + HOP] * t[T0 + RATE]
    child = s[_cell(s, S_TREE, tree, TREE_CHILD)]
    while child >= 0 and not s[S0 + FAILED]:
        other = _copy_packet(s, p)
        s[_cell(s, S_PACKET, other, TREE)], s[_cell(s, S_PACKET, other, TIME)] = child, start + hop
        _list_in(s, (start + hop) // rate, HEADS, other)
        child = s[_cell(s, S_TREE, child, TREE_SIBLING)] if not t[T0 + LINKS] else -1
    local = s[_cell(s, S_TREE, tree, TREE_LOCAL)]
    while local >= 0 and not s[S0 + FAILED]:
        other = _copy_packet(s, p)
        at = t[t[T_PAIR_AT] + s[_cell(s, S_PACKET, p, PIXEL)]] + s[_cell(s, S_LOCAL, local, 0)]
        s[_cell(s, S_PACKET, other, ITEM)], s[_cell(s, S_PACKET, other, SUB)] = (
            s[_cell(s, S_PACKET, p, RUN)] * t[T_PAIR_SUB + 1] + at,
            t[t[T_PAIR_SUB] + at],
        )
        _list_in(s, -(-(end + hop) // rate), ARRIVALS, other)
        local = s[_cell(s, S_LOCAL, local, 1)]


@inner
def _cast(t: Any, s: Any, w: int, run: int, node: int, copy: int, pixel: int) -> None:
    """Send a pixel from every home as one packet (from outside: one per entry)."""
    pair = t[t[T_PAIR_AT] + pixel]
    h0, h1 = t[_cell(t, T_COPY, copy, HOME0)], t[_cell(t, T_COPY, copy, HOME1)]
    outside = t[_cell(t, T_HOME, h0, 0)] == t[T0 + TILES]
    entries = (t[T0 + MESH_COLS] if t[T0 + COLUMNS] else 1) if outside else 1
    for h in range(h0, h1):
        for entry in range(entries):
            slot = t[t[T_CAST_TREE] + t[t[T_CAST_OF] + pixel]] + (h - h0) * entries + entry
            if s[_cell(s, S_TREE_OF, slot, 0)] == -2:
                _grow(t, s, node, h, pixel, slot, entry if outside else -1)
            tree = s[_cell(s, S_TREE_OF, slot, 0)]
            place = (
                (pixel - t[_cell(t, T_NODE, node, PIXEL0)]) * t[_cell(t, T_NODE, node, HOMES)]
                + h
                - t[_cell(t, T_NODE, node, NODE_HOME0)]
            )
            first = t[t[T_PAIR_SUB] + pair + s[_cell(s, S_TREE_OF, slot, 1)]] if tree >= 0 else 0
            key = (
                run * t[T0 + KEY_SPAN]
                + t[_cell(t, T_NODE, node, MAP_KEY)]
                + place * t[_cell(t, T_NODE, node, SUBS)]
                + first
                - t[_cell(t, T_NODE, node, SUB0)]
            )
            if tree < 0 or s[S0 + FAILED]:
                continue
            p = _fill(t, s, w, 0, pixel, first, run, key, 0)
            if s[S0 + FAILED]:
                return
            s[_cell(s, S_PACKET, p, WAITED)], s[_cell(s, S_PACKET, p, ENTRY)] = 0, -1
            s[_cell(s, S_PACKET, p, TREE)], s[_cell(s, S_PACKET, p, TIME)] = tree, s[S0 + NOW] * t[T0 + RATE]
            if outside and t[T0 + QUEUES]:
                _wait_outside(t, s, p, _first_rank(t, s, node, pixel, entry) + run * t[T0 + PERIOD], entry)
            else:
                _list_in(s, s[S0 + NOW], HEADS, p)


@inner
def _first_rank(t: Any, s: Any, node: int, pixel: int, entry: int) -> int:
    """First use of a pixel at any tile behind an entry."""
    best = NEVER
    base = t[_cell(t, T_NODE, node, RANK0)] - t[t[T_PAIR_AT] + t[_cell(t, T_NODE, node, PIXEL0)]]
    for at in range(t[t[T_PAIR_AT] + pixel], t[t[T_PAIR_AT] + pixel + 1]):
        if _entry_of(t, t[_cell(t, T_SUB, t[t[T_PAIR_SUB] + at], SUB_TILE)]) == entry:
            best = min(best, t[t[T_RANK] + base + at])
    return best


@inner
def _grow(t: Any, s: Any, node: int, home: int, pixel: int, slot: int, entry: int) -> None:
    """The tree by which a pixel goes from a home (or an entry) to its subscribers.

    Servers that follow one server are siblings.
    """
    source, kind = t[_cell(t, T_HOME, home, 0)], t[_cell(t, T_HOME, home, 1)]
    base, first_root, begun = s[S0 + TREES], -1, 0
    for at in range(t[t[T_PAIR_AT] + pixel], t[t[T_PAIR_AT] + pixel + 1]):
        sub = t[t[T_PAIR_SUB] + at]
        tile, wanted = t[_cell(t, T_SUB, sub, SUB_TILE)], t[_cell(t, T_SUB, sub, SUB_SET)]
        if (
            t[t[T_SHARED] + t[_cell(t, T_NODE, node, SHARED0)] + kind * t[_cell(t, T_NODE, node, SETS)] + wanted] == 0
            or tile == source
        ):
            continue
        if entry >= 0 and _entry_of(t, tile) != entry:
            continue
        home_set, sub_set = t[_cell(t, T_NODE, node, HOME_SET0)] + kind, t[_cell(t, T_NODE, node, SUB_SET0)] + wanted
        router, before = (entry if entry >= 0 else source // t[T0 + PER_ROUTER]), -1
        while router >= 0 and not s[S0 + FAILED]:
            onward = _next_router(t, router, tile)
            out = _output(t, router, onward, tile) if t[T0 + LINKS] else 0
            server = _server(t, router, out)
            here = s[s[S_SERVER_TREE] + server]
            if here < base:
                here = s[S0 + TREES]
                if here + 1 >= s[S_TREE + 1]:
                    s[S0 + FAILED] = 1
                    return
                s[S0 + TREES] = here + 1
                s[s[S_SERVER_TREE] + server] = here
                s[_cell(s, S_UNION, here - base, 0) : _cell(s, S_UNION, here - base + 1, 0)] = 0
                s[_cell(s, S_TREE, here, TREE_ROUTER)], s[_cell(s, S_TREE, here, TREE_OUT)] = router, out
                s[_cell(s, S_TREE, here, TREE_CHILD)], s[_cell(s, S_TREE, here, TREE_LOCAL)] = -1, -1
                if before < 0:
                    s[_cell(s, S_TREE, here, TREE_SIBLING)], first_root = first_root, here
                else:
                    s[_cell(s, S_TREE, here, TREE_SIBLING)], s[_cell(s, S_TREE, before, TREE_CHILD)] = (
                        s[_cell(s, S_TREE, before, TREE_CHILD)],
                        here,
                    )
            for channel in range(s[S_UNION + 2]):
                if t[_cell(t, T_HOME_CHANNELS, home_set, channel)] and t[_cell(t, T_SUB_CHANNELS, sub_set, channel)]:
                    s[_cell(s, S_UNION, here - base, channel)] = 1
            before, router = here, onward
        local = s[S0 + LOCALS]
        if local + 1 >= s[S_LOCAL + 1]:
            s[S0 + FAILED] = 1
            return
        s[S0 + LOCALS] = local + 1
        s[_cell(s, S_LOCAL, local, 0)], s[_cell(s, S_LOCAL, local, 1)] = (
            at - t[t[T_PAIR_AT] + pixel],
            s[_cell(s, S_TREE, before, TREE_LOCAL)],
        )
        s[_cell(s, S_TREE, before, TREE_LOCAL)] = local
        if begun == 0:
            s[_cell(s, S_TREE_OF, slot, 1)], begun = at - t[t[T_PAIR_AT] + pixel], 1
    for here in range(base, s[S0 + TREES]):
        s[_cell(s, S_TREE, here, TREE_BITS)] = (
            s[_cell(s, S_UNION, here - base, 0) : _cell(s, S_UNION, here - base + 1, 0)].sum()
            * t[_cell(t, T_NODE, node, WIDTH_BITS)]
        )
    s[_cell(s, S_TREE_OF, slot, 0)] = first_root


@outer
def first_uses(t: Any, estimate: Any, nodes: Any, rank: Any) -> None:
    """Fill in when a window on the subscriber's tile first reads what comes from outside, by the windows' estimates."""
    mark = np.zeros(t[T_COPY + 1], np.int64)
    stamp = 0
    for node in nodes:
        base = t[_cell(t, T_NODE, node, RANK0)] - t[t[T_PAIR_AT] + t[_cell(t, T_NODE, node, PIXEL0)]]
        for pixel in range(
            t[_cell(t, T_NODE, node, PIXEL0)],
            t[_cell(t, T_NODE, node, PIXEL0)] + t[_cell(t, T_NODE, node, HEIGHT)] * t[_cell(t, T_NODE, node, WIDTH)],
        ):
            y, x = divmod(pixel - t[_cell(t, T_NODE, node, PIXEL0)], t[_cell(t, T_NODE, node, WIDTH)])
            for pair in range(t[t[T_PAIR_AT] + pixel], t[t[T_PAIR_AT] + pixel + 1]):
                for r in range(t[_cell(t, T_NODE, node, READER0)], t[_cell(t, T_NODE, node, READER1)]):
                    at = t[_cell(t, T_READER, r, READ_SUBS)] + t[t[T_PAIR_SUB] + pair] - t[_cell(t, T_NODE, node, SUB0)]
                    stamp += 1
                    for i in range(t[t[T_COPIES_AT] + at], t[t[T_COPIES_AT] + at + 1]):
                        mark[t[t[T_COPIES] + i]] = stamp
                    reading, r0, k0 = (
                        t[_cell(t, T_READER, r, READ_NODE)],
                        t[_cell(t, T_READER, r, READ_ROWS)] + y,
                        t[_cell(t, T_READER, r, READ_COLS)] + x,
                    )
                    for i in range(t[t[T_INVERSE_AT] + r0], t[t[T_INVERSE_AT] + r0 + 1]):
                        line = (
                            t[_cell(t, T_NODE, reading, WINDOW0)]
                            + t[t[T_INVERSE] + i] * t[_cell(t, T_NODE, reading, WINDOW_COLS)]
                        )
                        for j in range(t[t[T_INVERSE_AT] + k0], t[t[T_INVERSE_AT] + k0 + 1]):
                            window = line + t[t[T_INVERSE] + j]
                            if mark[t[t[T_WINDOW_COPY] + window]] == stamp:
                                rank[base + pair] = min(rank[base + pair], estimate[window])


@inner
def _begin_runs(t: Any, s: Any, runs: int) -> None:
    """Count what every subscriber expects; have everything begin that may."""
    pairs, copies, windows = t[T_PAIR_SUB + 1], t[T_COPY + 1], t[T_WINDOW_COPY + 1]
    for node in range(t[T_NODE + 1]):
        for pixel in range(
            t[_cell(t, T_NODE, node, PIXEL0)],
            t[_cell(t, T_NODE, node, PIXEL0)] + t[_cell(t, T_NODE, node, HEIGHT)] * t[_cell(t, T_NODE, node, WIDTH)],
        ):
            y, x = divmod(pixel - t[_cell(t, T_NODE, node, PIXEL0)], t[_cell(t, T_NODE, node, WIDTH)])
            line = (y // t[_cell(t, T_NODE, node, PATCH_H)]) * t[_cell(t, T_NODE, node, WINDOW_COLS)] + x // t[
                _cell(t, T_NODE, node, PATCH_W)
            ]
            copy = t[t[T_WINDOW_COPY] + t[_cell(t, T_NODE, node, WINDOW0)] + line]
            for at in range(t[t[T_PAIR_AT] + pixel], t[t[T_PAIR_AT] + pixel + 1]):
                place = t[_cell(t, T_NODE, node, SHARED0)] + t[_cell(t, T_SUB, t[t[T_PAIR_SUB] + at], SUB_SET)]
                count = 0
                for h in range(t[_cell(t, T_COPY, copy, HOME0)], t[_cell(t, T_COPY, copy, HOME1)]):
                    if t[t[T_SHARED] + place + t[_cell(t, T_HOME, h, 1)] * t[_cell(t, T_NODE, node, SETS)]]:
                        count += 1
                for run in range(runs):
                    s[s[S_LEFT] + run * pairs + at] = count
    for run in range(runs):
        for copy in range(copies):
            _act(s, run * t[T0 + PERIOD], DO_CHECK, (run * copies + copy) * 4 + BY_START)
        for node in range(t[T_NODE + 1]):
            if t[_cell(t, T_NODE, node, KIND)] == 2:
                first = t[_cell(t, T_NODE, node, WINDOW0)]
                for window in range(
                    first, first + t[_cell(t, T_NODE, node, HEIGHT)] * t[_cell(t, T_NODE, node, WIDTH)]
                ):
                    for column in (BEGIN, END):
                        s[_cell(s, S_WIN, run * windows + window, column)] = run * t[T0 + PERIOD]
                    _act(s, run * t[T0 + PERIOD], DO_DONE, run * windows + window)


@outer
def simulate(t: Any, s: Any, runs: int) -> int:
    """Replay `runs` inferences, one every ``t[T0 + PERIOD]`` cycles; 1 if a table of the state was too small, or 0."""
    _begin_runs(t, s, runs)
    while (s[S0 + PENDING] or s[S0 + LATER]) and not s[S0 + FAILED]:
        if not s[S0 + PENDING]:
            s[S0 + NOW] = s[_cell(s, S_LATER, 0, 0)]
        while s[S0 + LATER] and s[_cell(s, S_LATER, 0, 0)] < s[S0 + NOW] + RING:
            cycle, kind, item = s[_cell(s, S_LATER, 0, 0)], s[_cell(s, S_LATER, 0, 1)], s[_cell(s, S_LATER, 0, 2)]
            s[S0 + LATER] = _pop_heap(s, s[S_LATER], s[S0 + LATER])
            _list_in(s, cycle, kind, item)
        if s[S0 + NOW] > NEVER // t[T0 + RATE]:
            return TOO_LATE
        slot = s[S0 + NOW] & (RING - 1)
        if s[_cell(s, S_RING, ACTIONS, slot)] >= 0 or s[_cell(s, S_RING, ARRIVALS, slot)] >= 0:
            _beginning(t, s, slot)
            _load(t, s)
        if s[_cell(s, S_RING, HEADS, slot)] >= 0:
            _routers(t, s, slot)
        s[S0 + NOW] += 1
    return int(s[S0 + FAILED])
