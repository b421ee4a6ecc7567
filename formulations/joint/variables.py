"""Variables of the joint model, created all at once (``README.md``, variables)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from formulations.joint.problem import ChannelClass, ColumnKey, JointProblem
from spatem_opt.cost.durations import datum_bits
from spatem_opt.types import OUTSIDE

if TYPE_CHECKING:
    from ortools.sat.python import cp_model

Frame = tuple[int, int]


@dataclass(slots=True)
class JointVariables:
    """Decision variables and what follows from them; every dict is keyed by the indices of the README.

    Parameters
    ----------
    problem : JointProblem
    lower, upper : int
        Proven bound, and a latency that can be reached [cycles].
    way : (layer, way) -> Boolean
        The layer uses this mapping option.
    used : (layer, copy) -> Boolean
    active : (layer, way, copy) -> Boolean
        The copy exists, in this option.
    put : (layer, way, copy, item, crossbar) -> Boolean
        Where every item is.
    on, there : (layer, copy, crossbar) and (layer, copy, tile) -> Boolean
        The copy has an OU there.
    row, col : (layer, way, copy, OU row or column, tile) -> Boolean
        The copy has an OU of that row (column) on the tile.
    home : (layer, way, copy, OU column, tile) -> Boolean
    sent : (layer, way, copy, OU column, tile, tile) -> Boolean
        Partial sums of the column go from the first tile to the second.
    compute, load, interval, sum_delay : (layer, copy) -> cycles
    port : (layer, way, copy, tile) -> bits of one window
    run : (layer, frame, window, copy) -> Boolean
        The copy runs the window.
    begin, end, done : (layer, frame, window) -> cycles
    at, held : (layer, frame, window, tile or crossbar) -> Boolean
        The window runs on the tile (occupies the crossbar).
    pixel_copy : (layer, pixel, copy) -> Boolean
    pixel_done : (node, pixel) -> cycles
        A variable or, for inputs, 0.
    made : (layer, ColumnKey, copy, tile) -> Boolean
        Channels of these columns have their home there.
    busy : (digital node, copy) -> Boolean
        Some window of the node runs at that copy of its host.
    seat : (digital node, copy, tile) -> Boolean
        Windows of the node at that copy of its host run on the tile.
    sub : (node, class, tile) -> Boolean
        The tile subscribes to the channels of the class.
    shared : (node, class, copy, home, tile) -> Boolean
        They go from this home of the copy to the tile.
    packets : (node, copy, home, tile) -> cycles of the bits of one pixel over a router
    delay : (node, copy, tile) -> cycles
    arrival : (node, pixel, tile) -> cycles
    start : (digital node, pixel) -> cycles
    digital_at : (digital node, pixel, tile) -> Boolean
    latency : int
    """

    problem: JointProblem
    lower: int
    upper: int
    latency: Any
    way: dict[tuple[int, int], Any] = field(default_factory=dict)
    used: dict[tuple[int, int], Any] = field(default_factory=dict)
    active: dict[tuple[int, int, int], Any] = field(default_factory=dict)
    put: dict[tuple[int, int, int, int, int], Any] = field(default_factory=dict)
    on: dict[tuple[int, int, int], Any] = field(default_factory=dict)
    there: dict[tuple[int, int, int], Any] = field(default_factory=dict)
    row: dict[tuple[int, int, int, int, int], Any] = field(default_factory=dict)
    col: dict[tuple[int, int, int, int, int], Any] = field(default_factory=dict)
    home: dict[tuple[int, int, int, int, int], Any] = field(default_factory=dict)
    sent: dict[tuple[int, int, int, int, int, int], Any] = field(default_factory=dict)
    compute: dict[tuple[int, int], Any] = field(default_factory=dict)
    load: dict[tuple[int, int], Any] = field(default_factory=dict)
    interval: dict[tuple[int, int], Any] = field(default_factory=dict)
    sum_delay: dict[tuple[int, int], Any] = field(default_factory=dict)
    port: dict[tuple[int, int, int, int], Any] = field(default_factory=dict)
    run: dict[tuple[int, Frame, int, int], Any] = field(default_factory=dict)
    begin: dict[tuple[int, Frame, int], Any] = field(default_factory=dict)
    end: dict[tuple[int, Frame, int], Any] = field(default_factory=dict)
    done: dict[tuple[int, Frame, int], Any] = field(default_factory=dict)
    at: dict[tuple[int, Frame, int, int], Any] = field(default_factory=dict)
    held: dict[tuple[int, Frame, int, int], Any] = field(default_factory=dict)
    pixel_copy: dict[tuple[int, int, int], Any] = field(default_factory=dict)
    pixel_done: dict[tuple[int, int], Any] = field(default_factory=dict)
    made: dict[tuple[int, ColumnKey, int, int], Any] = field(default_factory=dict)
    busy: dict[tuple[int, int], Any] = field(default_factory=dict)
    seat: dict[tuple[int, int, int], Any] = field(default_factory=dict)
    sub: dict[tuple[int, ChannelClass, int], Any] = field(default_factory=dict)
    shared: dict[tuple[int, ChannelClass, int, int, int], Any] = field(default_factory=dict)
    packets: dict[tuple[int, int, int, int], Any] = field(default_factory=dict)
    delay: dict[tuple[int, int, int], Any] = field(default_factory=dict)
    arrival: dict[tuple[int, int, int], Any] = field(default_factory=dict)
    start: dict[tuple[int, int], Any] = field(default_factory=dict)
    digital_at: dict[tuple[int, int, int], Any] = field(default_factory=dict)


@dataclass(slots=True)
class Makers:
    """Creates variables with names made of their indices."""

    model: cp_model.CpModel

    def flags(self, into: dict[Any, Any], name: str, keys: Iterable[Any]) -> None:
        """Booleans for all keys."""
        for key in keys:
            into[key] = self.model.new_bool_var(f"{name}[{_text(key)}]")

    def numbers(self, into: dict[Any, Any], name: str, keys: Iterable[Any], upper: int) -> None:
        """Integers in ``0 .. upper`` for all keys."""
        for key in keys:
            into[key] = self.model.new_int_var(0, upper, f"{name}[{_text(key)}]")


def _text(key: Any) -> str:
    return ",".join(str(part) for part in key) if isinstance(key, tuple) else str(key)


def make_variables(model: cp_model.CpModel, problem: JointProblem, lower: int, upper: int) -> JointVariables:
    """Create all variables."""
    y = JointVariables(problem, lower, upper, model.new_int_var(0, upper, "latency"))
    maker = Makers(model)
    for layer in problem.layers:
        _layer(maker, y, layer)
        _windows(maker, y, layer)
    for node in range(len(problem.network.nodes)):
        _digital(maker, y, node)
    for node in range(len(problem.network.nodes)):
        _traffic(maker, y, node)
    return y


def _layer(maker: Makers, y: JointVariables, layer: int) -> None:
    p, copies, tiles = y.problem, range(y.problem.copies[layer]), y.problem.tiles
    ways = p.ways[layer]
    maker.flags(y.way, "way", ((layer, v) for v in range(len(ways))))
    maker.flags(y.used, "used", ((layer, c) for c in copies))
    maker.flags(y.on, "on", ((layer, c, k) for c in copies for k in p.crossbars))
    maker.flags(y.there, "there", ((layer, c, t) for c in copies for t in tiles))
    for v, way in enumerate(ways):
        items, (rows, cols) = range(len(way.sizes)), way.grid.shape
        maker.flags(y.active, "active", ((layer, v, c) for c in copies))
        maker.flags(y.put, "put", ((layer, v, c, i, k) for c in copies for i in items for k in p.crossbars))
        maker.flags(y.row, "row", ((layer, v, c, r, t) for c in copies for r in range(rows) for t in tiles))
        maker.flags(y.home, "home", ((layer, v, c, j, t) for c in copies for j in range(cols) for t in tiles))
        if len(tiles) > 1:
            maker.flags(y.col, "col", ((layer, v, c, j, t) for c in copies for j in range(cols) for t in tiles))
            ends = [(t, d) for t in tiles for d in tiles if t != d]
            maker.flags(y.sent, "sent", ((layer, v, c, j, *e) for c in copies for j in range(cols) for e in ends))
        most = int(way.row_height.sum()) * way.grid.activation_bits
        maker.numbers(y.port, "port", ((layer, v, c, t) for c in copies for t in tiles), most)
    worst = worst_case(p, layer)
    for table, name, most in (
        (y.compute, "compute", worst[0]),
        (y.load, "load", worst[1]),
        (y.interval, "interval", worst[0] + worst[1]),
        (y.sum_delay, "sum_delay", worst[2]),
    ):
        maker.numbers(table, name, ((layer, c) for c in copies), most)


def worst_case(problem: JointProblem, layer: int) -> tuple[int, int, int]:
    """No placement has a longer compute, load or partial-sum transfer in a window of the layer [cycles]."""
    a = problem.architecture
    compute = load = sums = 0
    for way in problem.ways[layer]:
        grid = way.grid
        bits = problem.copies[layer] * int(way.row_height.sum()) * grid.activation_bits
        if a.input_load == "full":
            bits = full_load_bits(problem, layer)
        total = grid.weights.groups * int(grid.column_sums().sum()) * grid.partial_sum_bits
        compute = max(compute, grid.phases * len(way.row))
        load = max(load, -(-bits // a.buffer_bits_per_cycle))
        sums = max(sums, problem.diameter * a.hop_cycles - (-total // a.router_bits_per_cycle))
    return compute, load, sums if len(problem.tiles) > 1 else 0


def full_load_bits(problem: JointProblem, layer: int) -> int:
    """Bits of a window with ``input_load = full``: the input registers of a PE."""
    a = problem.architecture
    return a.crossbar_rows * a.crossbars_per_pe * problem.ways[layer][0].grid.activation_bits


def _windows(maker: Makers, y: JointVariables, layer: int) -> None:
    p, copies = y.problem, range(y.problem.copies[layer])
    frames = p.frames(layer)
    keys = [(layer, f, w) for f in frames for w in range(int(p.window_of(layer, f).max()) + 1)]
    maker.flags(y.run, "run", ((*key, c) for key in keys for c in copies))
    maker.flags(y.at, "at", ((*key, t) for key in keys for t in p.tiles))
    maker.flags(y.held, "held", ((*key, k) for key in keys for k in p.crossbars))
    for table, name in ((y.begin, "begin"), (y.end, "end"), (y.done, "done")):
        maker.numbers(table, name, keys, y.upper)
    node, pixels = p.network.layers[layer], range(p.node(layer).windows)
    if len(frames) > 1:
        maker.flags(y.pixel_copy, "pixel_copy", ((layer, x, c) for x in pixels for c in copies))
        maker.numbers(y.pixel_done, "pixel_done", ((node, x) for x in pixels), y.upper)
        return
    window = p.window_of(layer, frames[0])
    for x in pixels:
        y.pixel_done[node, x] = y.done[layer, frames[0], int(window[x])]
        for c in copies:
            y.pixel_copy[layer, x, c] = y.run[layer, frames[0], int(window[x]), c]


def digital_cycles(problem: JointProblem, node: int) -> int:
    """Cycles of one window of a digital node (M5)."""
    return -(-problem.network.nodes[node].ops_per_window // problem.architecture.digital_ops_per_cycle)


def _digital(maker: Makers, y: JointVariables, index: int) -> None:
    p = y.problem
    node, host = p.network.nodes[index], p.hosts[index]
    if node.kind == "input":
        y.pixel_done.update({(index, x): 0 for x in range(node.windows)})
    if host == OUTSIDE:
        if node.kind == "digital":
            maker.numbers(y.start, "start", ((index, x) for x in range(node.windows)), y.upper)
            y.pixel_done.update({(index, x): y.start[index, x] + digital_cycles(p, index) for x in range(node.windows)})
        return
    copies = range(p.copies[host])
    for columns in dict.fromkeys(p.columns[index]):
        keys = [(host, columns, c, t) for c in copies for t in p.tiles]
        maker.flags(y.made, "made", (key for key in keys if key not in y.made))
    if node.kind == "digital":
        maker.numbers(y.start, "start", ((index, x) for x in range(node.windows)), y.upper)
        y.pixel_done.update({(index, x): y.start[index, x] + digital_cycles(p, index) for x in range(node.windows)})
        maker.flags(y.busy, "busy", ((index, c) for c in copies))
        maker.flags(y.seat, "seat", ((index, c, t) for c in copies for t in p.tiles))
        maker.flags(y.digital_at, "digital_at", ((index, x, t) for x in range(node.windows) for t in p.tiles))


def destinations(problem: JointProblem, node: int) -> list[int]:
    """Tiles that may subscribe to a node; :data:`OUTSIDE` if a digital node there reads it."""
    found: set[int] = set()
    for reader, other in enumerate(problem.network.nodes):
        if any(node in edge.source for edge in other.edges):
            found |= {OUTSIDE} if problem.hosts[reader] == OUTSIDE else set(problem.tiles)
    return sorted(found)


def _traffic(maker: Makers, y: JointVariables, node: int) -> None:
    p, host, channels = y.problem, y.problem.hosts[node], y.problem.network.nodes[node].channels
    a, pixels = p.architecture, range(p.network.nodes[node].windows)
    targets = destinations(p, node)
    copies = range(1 if host == OUTSIDE else p.copies[host])
    sources = [OUTSIDE] if host == OUTSIDE else list(p.tiles)
    classes = p.classes(node)
    longest = -(-channels * datum_bits(p.network, a)[node] // a.router_bits_per_cycle)
    worst = p.diameter * a.hop_cycles + longest
    ways = [(c, t, d) for c in copies for t in sources for d in targets if t != d]
    maker.flags(y.sub, "sub", ((node, k, d) for k in classes for d in targets))
    maker.flags(y.shared, "shared", ((node, k, *way) for k in classes for way in ways))
    maker.numbers(y.packets, "packets", ((node, *way) for way in ways), longest)
    maker.numbers(y.delay, "delay", ((node, c, d) for c in copies for d in targets), worst)
    maker.numbers(y.arrival, "arrival", ((node, x, d) for x in pixels for d in targets), y.upper + worst)
