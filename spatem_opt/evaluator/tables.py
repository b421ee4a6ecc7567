"""Flat integer tables of a solution for the event replay (:mod:`spatem_opt.evaluator.events`)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from spatem_opt.evaluator import events as ev
from spatem_opt.evaluator.arrays import distinct, expand, running_maximum
from spatem_opt.evaluator.durations import Placed
from spatem_opt.evaluator.mesh import Mesh
from spatem_opt.evaluator.reservations import Turns
from spatem_opt.evaluator.taps import inverse_taps
from spatem_opt.evaluator.transfers import Reader
from spatem_opt.evaluator.wiring import Wire
from spatem_opt.model.solution import Schedule
from spatem_opt.network.layers import Network
from spatem_opt.types import IntArray

CHUNK = 4_000_000
"""Elements of the largest temporary table."""


@dataclass(frozen=True, slots=True, eq=False)
class NodeLayout:
    """Where nodes begin in the numbering of windows, pixels, copies, subscribers and rows of subscribed pixels."""

    window: IntArray
    pixel: IntArray
    copy: IntArray
    home: IntArray
    sub: IntArray
    line: IntArray


def _ends(sizes: list[int]) -> IntArray:
    return np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)]).astype(np.int64)


def layout_of(network: Network, wires: list[Wire]) -> NodeLayout:
    """Number everything node after node."""
    subs = [len(wire.supply.tiles) if wire.supply else 0 for wire in wires]
    return NodeLayout(
        _ends([len(wire.at.window_copy) for wire in wires]),
        _ends([node.windows for node in network.nodes]),
        _ends([wire.at.copies for wire in wires]),
        _ends([len(wire.at.home_copy) for wire in wires]),
        _ends(subs),
        _ends([n * node.height for n, node in zip(subs, network.nodes, strict=True)]),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Fixed:
    """What does not depend on times: tables without turns, rows and ranks; arrivals that every window waits for.

    ``crossbar`` and ``holder``: crossbars and the copies (of all nodes) on them; one of many crossbars with the same
    copies. ``room``: entries for packets under way that sufficed in replays so far, by inferences and with or without
    queues; all else stays as it is.
    """

    at: NodeLayout
    tables: ev.ReplayTables
    need: IntArray
    crossbar: IntArray
    holder: IntArray
    room: dict[tuple[int, bool], int] = field(default_factory=dict)


def fixed(mesh: Mesh, network: Network, wires: list[Wire], placed: list[Placed]) -> Fixed:
    """Tables that hold as long as copies compute the same windows at the same places."""
    at, none = layout_of(network, wires), np.zeros(0, np.int64)
    node = _nodes(mesh, network, wires, at)
    shared, home_set, sub_set = _shared(network, wires, node)
    reader, need = _readers(network, wires, at, node)
    copy, sums, port = _copies(mesh, network, wires, placed, at)
    pair_at, pair_sub = _pairs(network, wires, at)
    window_copy = np.concatenate([wire.at.window_copy + at.copy[i] for i, wire in enumerate(wires)])
    casts = _casts(mesh, network, wires, at, (pair_at, pair_sub, window_copy))
    tables = ev.ReplayTables(
        _parameters(mesh, node), node, copy, window_copy, none, none, none, none, none, none, none,
        sums, port, np.stack([_join([w.at.home_tile for w in wires]), home_set], axis=1),
        np.stack([_join([w.supply.tiles for w in wires if w.supply]), sub_set, _lines(network, wires, at)], axis=1),
        pair_at, pair_sub, none, shared, *reader, *casts,
    )  # fmt: skip
    return Fixed(at, tables, need, *_holders(network, placed, at))


def scheduled(
    known: Fixed, network: Network, placed: list[Placed], turns: list[Turns], schedule: Schedule,
    runs: int = 1, period: int = 0,
) -> ev.ReplayTables:  # fmt: skip
    """Tables of `runs` inferences, one every `period` cycles."""
    tables = _with_turns(known, network, turns, len(schedule.layer))
    par = tables.par.copy()
    par[ev.PERIOD] = period
    waits, at, then = _order(known, network, schedule, len(tables.row_copy), runs, period)
    tables = tables._replace(par=par, row_need=waits, row_next_at=at, row_next=then)
    return tables._replace(rank=_ranks(tables, network, placed, known.at))


def _join(parts: list[IntArray]) -> IntArray:
    return np.concatenate([np.zeros(0, np.int64), *parts])


def _parameters(mesh: Mesh, node: IntArray) -> IntArray:
    arch = mesh.arch
    found = np.zeros(ev.KEY_SPAN + 1, np.int64)
    found[ev.RATE], found[ev.HOP] = arch.router_bits_per_cycle, arch.hop_cycles
    found[ev.MESH_COLS], found[ev.PER_ROUTER], found[ev.TILES] = arch.mesh_cols, arch.tiles_per_router, arch.tiles
    found[ev.TAIL], found[ev.PORT_RATE] = arch.pipeline_tail_cycles, arch.buffer_bits_per_cycle
    found[ev.QUEUES], found[ev.LINKS] = 1, arch.router_service == "links"
    found[ev.COLUMNS], found[ev.MULTICAST] = arch.input_entry == "columns", arch.multicast
    found[ev.OVERLAP], found[ev.PORTS] = arch.overlap_input, arch.input_load == "needed"
    found[ev.KEY_SPAN] = node[-1, ev.SUM_KEY] + 2**36
    return found


def _nodes(mesh: Mesh, network: Network, wires: list[Wire], at: NodeLayout) -> IntArray:
    """A line per node; keys leave room for every packet that it may send."""
    found = np.zeros((len(wires), ev.NODE_HOME0 + 1), np.int64)
    readers = shared = key = rank = home_set = sub_set = 0
    for i, (node, wire) in enumerate(zip(network.nodes, wires, strict=True)):
        line, supply, homes = found[i], wire.supply, int(at.home[i + 1] - at.home[i])
        line[ev.KIND] = {"crossbar": 0, "digital": 1, "input": 2}[node.kind]
        line[ev.HEIGHT], line[ev.WIDTH] = node.height, node.width
        line[ev.PATCH_H], line[ev.PATCH_W] = wire.patch
        line[ev.WINDOW_COLS] = wire.at.window_shape[1]
        line[ev.WINDOW0], line[ev.PIXEL0], line[ev.NODE_HOME0] = at.window[i], at.pixel[i], at.home[i]
        line[ev.SUB0], line[ev.SUBS], line[ev.HOMES] = at.sub[i], at.sub[i + 1] - at.sub[i], homes
        line[ev.SHARED0], line[ev.RANK0] = shared, rank
        line[ev.HOME_SET0], line[ev.SUB_SET0] = home_set, sub_set
        line[ev.WIDTH_BITS] = mesh.arch.activation_bits if supply is None else supply.width
        if supply is not None:
            line[ev.SETS] = supply.shared.shape[1]
            shared += supply.shared.size
            home_set, sub_set = home_set + len(supply.shared), sub_set + supply.shared.shape[1]
            if wire.at.home_tile[0] == mesh.outside:
                rank += int(supply.pixels.sum(axis=1)[supply.kind[supply.channels > 0]].sum())
        line[ev.READER0], line[ev.READER1] = readers, readers + len(wire.readers)
        readers += len(wire.readers)
        line[ev.MAP_KEY] = key
        key += node.windows * homes * int(line[ev.SUBS])
        line[ev.SUM_KEY] = key
        key += len(wire.at.window_copy) * 2**12
    return found


def _shared(network: Network, wires: list[Wire], node: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Bits from homes by their channels to subscribers by theirs; the set of channels of every home and subscriber."""
    tables = [wire.supply.shared.ravel() for wire in wires if wire.supply]
    home = [wire.supply.home_set if wire.supply else np.zeros(len(wire.at.home_tile), np.int64) for wire in wires]
    sub = [wire.supply.sub_set for wire in wires if wire.supply]
    return _join(tables), _join(home), _join(sub)


def _lines(network: Network, wires: list[Wire], at: NodeLayout) -> IntArray:
    """First row of pixels of every subscriber."""
    parts = [
        at.line[i] + np.arange(len(wire.supply.tiles)) * network.nodes[i].height
        for i, wire in enumerate(wires)
        if wire.supply
    ]
    return _join(parts)


def _readers(
    network: Network, wires: list[Wire], at: NodeLayout, node: IntArray
) -> tuple[tuple[IntArray, IntArray, IntArray, IntArray, IntArray], IntArray]:
    """Who reads which pixels: lines of readers, windows by input row and column, copies by subscriber.

    Behind these tables: the arrivals that every window awaits.
    """
    lines: list[list[int]] = []
    inverse_at, inverse, copies_at, copies = [np.zeros(1, np.int64)], [], [np.zeros(1, np.int64)], []
    taps = held = entries = tiles = 0
    need = np.zeros(at.window[-1], np.int64)
    for i, wire in enumerate(wires):
        for reader in wire.readers:
            lines.append([reader.node, entries, entries + network.nodes[i].height, tiles])
            for axis, size in ((reader.rows, network.nodes[i].height), (reader.cols, network.nodes[i].width)):
                count, output = inverse_taps(axis, size)
                inverse_at.append(taps + np.cumsum(count))
                inverse.append(output)
                taps, entries = taps + len(output), entries + size
            assert wire.supply is not None
            count, copy = _copies_by_tile(reader, wire.supply.tiles)
            copies_at.append(held + np.cumsum(count))
            copies.append(at.copy[reader.node] + copy)
            held, tiles = held + len(copy), tiles + len(count)
            rows, cols = (_distinct_taps(axis) for axis in (reader.rows, reader.cols))
            on = np.bincount(copy, minlength=reader.copies)
            first = at.window[reader.node]
            need[first : first + len(reader.window_copy)] += np.outer(rows, cols).ravel() * on[reader.window_copy]
    table = np.array(lines, np.int64).reshape(-1, 4)
    return (table, _join(inverse_at), _join(inverse), _join(copies_at), _join(copies)), need


def _distinct_taps(taps: IntArray) -> IntArray:
    """How many different inputs every output reads along one axis."""
    ordered = np.sort(taps, axis=1)
    fresh = np.ones(ordered.shape, np.bool_)
    fresh[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    found: IntArray = (fresh & (ordered >= 0)).sum(axis=1)
    return found


def _copies_by_tile(reader: Reader, tiles: IntArray) -> tuple[IntArray, IntArray]:
    """Copies of a reader that read something on each of the tiles: how many, and which."""
    some = reader.channels.any(axis=1)
    place, copy = np.searchsorted(tiles, reader.pair_tile[some]), reader.pair_copy[some]
    order = np.argsort(place, kind="stable")
    return np.bincount(place, minlength=len(tiles)), copy[order]


def _copies(
    mesh: Mesh, network: Network, wires: list[Wire], placed: list[Placed], at: NodeLayout
) -> tuple[IntArray, IntArray, IntArray]:
    """A line per copy; its partial sums and its ports."""
    found = np.zeros((at.copy[-1], ev.HOME1 + 1), np.int64)
    layer_of = {index: number for number, index in enumerate(network.layers)}
    sums, ports, sum0, port0 = [], [], 0, 0
    turn = 0
    for i, (node, wire) in enumerate(zip(network.nodes, wires, strict=True)):
        line = found[at.copy[i] : at.copy[i + 1]]
        line[:, ev.NODE] = i
        count = np.bincount(wire.at.window_copy, minlength=wire.at.copies) * (node.kind != "input")
        line[:, ev.TURN1] = turn + np.cumsum(count)
        line[:, ev.TURN0] = line[:, ev.TURN1] - count
        turn += int(count.sum())
        line[:, ev.HOME0] = at.home[i] + np.searchsorted(wire.at.home_copy, np.arange(wire.at.copies))
        line[:, ev.HOME1] = at.home[i] + np.searchsorted(wire.at.home_copy, np.arange(wire.at.copies), side="right")
        if i not in layer_of:
            line[:, ev.COMPUTE] = -(-node.ops_per_window // mesh.arch.digital_ops_per_cycle)
            continue
        layer = placed[layer_of[i]]
        copies = np.arange(layer.copies)
        line[:, ev.COMPUTE], line[:, ev.LOAD] = layer.compute, layer.load
        sender = layer.pair_copy[layer.sum_pair]
        for column, side in ((ev.SUM0, "left"), (ev.SUM1, "right")):
            line[:, column] = sum0 + np.searchsorted(sender, copies, side=side)  # type: ignore[call-overload]
        for column, side in ((ev.PORT0, "left"), (ev.PORT1, "right")):
            line[:, column] = port0 + np.searchsorted(layer.pair_copy, copies, side=side)  # type: ignore[call-overload]
        sums.append(np.stack([layer.pair_tile[layer.sum_pair], layer.sum_target, layer.sum_bits], axis=1))
        ports.append(np.stack([layer.pair_tile, layer.port_bits], axis=1))
        sum0, port0 = sum0 + len(sender), port0 + len(layer.pair_tile)
    return (
        found,
        np.concatenate([np.zeros((0, 3), np.int64), *sums]),
        np.concatenate([np.zeros((0, 2), np.int64), *ports]),
    )


def _pairs(network: Network, wires: list[Wire], at: NodeLayout) -> tuple[IntArray, IntArray]:
    """Subscribers of every pixel, ascending."""
    counts, found = [np.zeros(1, np.int64)], [np.zeros(0, np.int64)]
    for i, (node, wire) in enumerate(zip(network.nodes, wires, strict=True)):
        if wire.supply is None:
            counts.append(np.zeros(node.windows, np.int64))
            continue
        supply = wire.supply
        block = max(CHUNK // max(len(supply.tiles), 1), 1)
        for first in range(0, node.windows, block):
            wanted = supply.pixels[:, first : first + block].T[:, supply.kind] & (supply.channels > 0)
            pixel, sub = np.nonzero(wanted)
            counts.append(np.bincount(pixel, minlength=len(wanted)))
            found.append(at.sub[i] + sub)
    return np.cumsum(np.concatenate(counts)), np.concatenate(found)


def _casts(
    mesh: Mesh, network: Network, wires: list[Wire], at: NodeLayout, pairs: tuple[IntArray, IntArray, IntArray]
) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """For multicast: pixels of one copy that go to the same subscribers, where their trees begin, sets of channels."""
    if not mesh.arch.multicast:
        none = np.zeros(0, np.int64)
        return none, none, np.zeros((0, 2), np.int64), np.zeros((0, 2), np.int64)
    pair_at, pair_sub, _ = pairs
    mixed = np.random.default_rng(0).integers(0, 2**63 - 1, at.sub[-1] + 1, dtype=np.uint64)  # hashes of subscribers
    total = np.concatenate([np.zeros(1, np.uint64), np.cumsum(mixed[pair_sub], dtype=np.uint64)])
    pixel_copy = _join([wire.at.pixel_copy + at.copy[i] for i, wire in enumerate(wires)])
    mark = total[pair_at[1:]] - total[pair_at[:-1]]
    key = np.stack([pixel_copy.astype(np.uint64), mark], axis=1)
    _, first, cast_of = np.unique(key, axis=0, return_index=True, return_inverse=True)
    entries = mesh.arch.mesh_cols if mesh.arch.input_entry == "columns" else 1
    slots = np.concatenate([
        np.bincount(wire.at.home_copy, minlength=wire.at.copies)
        * (entries if wire.at.home_tile[0] == mesh.outside else 1)
        for wire in wires
    ])[pixel_copy[first]]  # fmt: skip
    wide = max(node.channels for node in network.nodes)
    supplies = [wire.supply for wire in wires if wire.supply]
    home = [_padded(supply.home_channels, wide) for supply in supplies]
    sub = [_padded(supply.sub_channels, wide) for supply in supplies]
    return cast_of.ravel(), np.concatenate([[0], np.cumsum(slots)]), np.concatenate(home), np.concatenate(sub)


def _padded(table: NDArray[np.bool_], wide: int) -> IntArray:
    found: IntArray = np.pad(table, ((0, 0), (0, wide - table.shape[1]))).astype(np.int64)
    return found


def _with_turns(known: Fixed, network: Network, turns: list[Turns], rows: int) -> ev.ReplayTables:
    """Windows of every copy in order of execution; behind the schedule's rows one for every copy of a digital node."""
    tables, at = known.tables, known.at
    size = int(tables.copy[:, ev.TURN1].max(initial=0))
    window, earliest, row = (np.zeros(size, np.int64) for _ in range(3))
    digital = np.flatnonzero((tables.node[:, ev.KIND] == 1)[tables.copy[:, ev.NODE]])
    row_copy = np.zeros(rows + len(digital), np.int64)
    row_copy[rows:] = digital
    number = {index: layer for layer, index in enumerate(network.layers)}
    place = 0
    for i, node in enumerate(network.nodes):
        if node.kind == "input":
            continue
        windows = slice(place, place + int(at.window[i + 1] - at.window[i]))
        place = windows.stop
        if i in number:
            turn = turns[number[i]]
            window[windows], earliest[windows] = at.window[i] + turn.window, turn.earliest
            row[windows] = np.repeat(turn.row, np.diff(turn.last, prepend=-1))
            row_copy[turn.row] = at.copy[i] + turn.copy[turn.last]
        else:
            copy = tables.window_copy[at.window[i] : at.window[i + 1]]
            window[windows] = at.window[i] + np.argsort(copy, kind="stable")
            row[windows] = rows + np.searchsorted(digital, np.sort(copy, kind="stable"))
    return tables._replace(turn_window=window, turn_earliest=earliest, turn_row=row, row_copy=row_copy)


def _holders(network: Network, placed: list[Placed], at: NodeLayout) -> tuple[IntArray, IntArray]:
    """Crossbars and the copies on them, crossbar by crossbar; of crossbars that hold the same copies only one."""
    base = at.copy[np.array(network.layers, np.int64)]
    crossbar = _join([layer.crossbar for layer in placed])
    holder = _join([base[number] + layer.crossbar_copy for number, layer in enumerate(placed)])
    order = np.argsort(crossbar, kind="stable")
    crossbar, holder = crossbar[order], holder[order]
    mixed = np.random.default_rng(0).integers(0, 2**63 - 1, at.copy[-1], dtype=np.uint64)  # hashes of copies
    begin = np.flatnonzero(np.diff(crossbar, prepend=-1))
    _, kept = np.unique(np.add.reduceat(mixed[holder], begin), return_index=True)
    keep = np.isin(crossbar, crossbar[begin[kept]])
    return crossbar[keep], holder[keep]


def _order(known: Fixed, network: Network, schedule: Schedule, rows: int, runs: int, period: int) -> list[IntArray]:
    """Which rows (of which inference: ``run * rows + row``) wait for which: on a crossbar each for the one before.

    Returns how many each waits for, where those that wait for it begin, and these.
    """
    own, copies = len(schedule.layer), int(known.at.copy[-1])
    row_copy = known.at.copy[np.array(network.layers, np.int64)][schedule.layer] + schedule.copy
    start = (schedule.start[None, :] + np.arange(runs)[:, None] * period).ravel()
    rank = np.empty(runs * own, np.int64)
    rank[np.lexsort((np.tile(np.arange(own), runs), np.repeat(np.arange(runs), own), start))] = np.arange(runs * own)
    row = (np.arange(runs)[:, None] * rows + np.arange(own)).ravel()
    copy = (np.arange(runs)[:, None] * copies + row_copy).ravel()
    before, after = _followers(known, copies, runs, (rank, row, copy))
    later = np.arange(rows, rows * runs)  # a digital copy's windows: inference by inference
    later = later[later % rows >= own]
    key = distinct(np.concatenate([before, later - rows]) * (rows * runs) + np.concatenate([after, later]))[0]
    before, after = np.divmod(key, rows * runs)
    then = np.concatenate([[0], np.cumsum(np.bincount(before, minlength=rows * runs))])
    return [np.bincount(after, minlength=rows * runs), then, after]


def _followers(
    known: Fixed, copies: int, runs: int, listed: tuple[IntArray, IntArray, IntArray]
) -> tuple[IntArray, IntArray]:
    """Rows that follow each other on a crossbar, of different copies (or inferences).

    ``listed``: rank by start, number and copy of every row of every inference. Where the rows of the copies of a
    crossbar do not mix, the last row of one copy and the first of the next do for all.
    """
    rank, row, copy = listed
    order = np.lexsort((rank, copy))
    rank, row, copy = rank[order], row[order], copy[order]
    first = np.searchsorted(copy, np.arange(runs * copies))
    stop = np.searchsorted(copy, np.arange(runs * copies), side="right")
    where = np.tile(known.crossbar, runs)
    holder = (np.arange(runs)[:, None] * copies + known.holder).ravel()
    some = stop[holder] > first[holder]
    where, holder = where[some], holder[some]
    order = np.lexsort((rank[first[holder]], where))
    where, holder = where[order], holder[order]
    begin, end = rank[first[holder]], rank[stop[holder] - 1]
    until = running_maximum(end, where)
    mixed = np.isin(where, where[1:][(where[1:] == where[:-1]) & (begin[1:] < until[:-1])])
    plain = np.flatnonzero((where[1:] == where[:-1]) & ~mixed[1:])
    before, after = row[stop[holder[plain]] - 1], row[first[holder[plain + 1]]]
    entry, number = expand((stop - first)[holder[mixed]])
    place = first[holder[mixed]][entry] + number
    order = np.lexsort((rank[place], where[mixed][entry]))
    place, at = place[order], where[mixed][entry][order]
    meets = np.flatnonzero((at[1:] == at[:-1]) & (copy[place[1:]] != copy[place[:-1]]))
    return np.concatenate([before, row[place[meets]]]), np.concatenate([after, row[place[meets + 1]]])


def _ranks(tables: ev.ReplayTables, network: Network, placed: list[Placed], at: NodeLayout) -> IntArray:
    """First use of what comes from outside: the earliest time at full speed of a window on the tile that reads it."""
    outside = tables.home[tables.node[:, ev.NODE_HOME0], 0] == tables.par[ev.TILES]
    sizes = tables.pair_at[at.pixel[1:]] - tables.pair_at[at.pixel[:-1]]
    rank = np.full(int(sizes[outside].sum()), ev.NEVER)
    estimate = np.full(len(tables.window_copy), ev.NEVER)
    row = tables.turn_row
    interval = np.zeros(len(tables.copy), np.int64)
    for number, index in enumerate(network.layers):
        interval[at.copy[index] : at.copy[index + 1]] = placed[number].interval
    begin = np.flatnonzero(np.diff(row, prepend=-1))
    inside = np.arange(len(row)) - np.repeat(begin, np.diff(np.append(begin, len(row))))
    copy = tables.window_copy[tables.turn_window]
    layer = tables.node[tables.copy[copy, ev.NODE], ev.KIND] == 0
    first = tables.turn_earliest[begin][np.cumsum(np.diff(row, prepend=-1) != 0) - 1]
    time = np.maximum(tables.turn_earliest, first + inside * interval[copy])
    estimate[tables.turn_window[layer]] = time[layer]
    ev.first_uses(ev.arena(tables), estimate, np.flatnonzero(outside), rank)
    return rank
