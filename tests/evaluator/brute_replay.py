"""M6-M8 of ``formulations/README.md`` in plain Python: packets, servers, windows, one event after the other.

Network times are whole ticks of ``1/c`` cycle (a server passes one bit per tick), port times whole parts of ``1/p``
cycle. At a tick that is a whole cycle first everything that happens to windows in that cycle is settled, then entries
let packets in, then heads arrive, by the rule for equal times.

Where the text leaves a choice, this is what is done here:

- *overlapped input that waits at a port* (M8): ``end = max(begin + compute, loaded)``.
- *an entry, links, multicast* (M6): the next packet comes in when the last output would be free of the one before.
- *queue-free* (M7): entries and ports never make anything wait either.
- *several inferences* (M7): the earlier one first wherever times are equal: at servers, entries (after the first use,
  before the node), ports (before the layer), rows of equal shifted start. A digital (node, copy) runs all windows of
  one inference before the next one's.
- *what only digital windows read* comes last at an entry even if it belongs to an earlier inference.
- *equal arrivals with hop_cycles = 0*: the packet that goes first does so at all routers it reaches in that instant.
"""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from spatem_opt.model.architecture import Architecture
from tests.evaluator.brute_place import OUTSIDE, Router, ceil, entry, route, sum_width

if TYPE_CHECKING:
    from tests.evaluator.brute import Brute

Pixel = tuple[int, int]


@dataclass
class Span:
    """One window replayed."""

    copy: int
    begin: int
    end: int = -1
    done: int = -1


@dataclass
class Stop:
    """A server that a packet passes: the bits over it, the routers and the tiles right behind it."""

    server: tuple[Any, ...]
    bits: int
    onward: list[Router]
    tiles: list[int]


@dataclass
class Packet:
    """``key`` decides between equal arrivals; ``what`` is told the world at every tile reached."""

    key: tuple[int, ...]
    what: tuple[Any, ...]
    first: Router
    stops: dict[Router, list[Stop]]
    from_outside: bool = False


def itinerary(arch: Architecture, source: int, wanted: dict[int, set[int]], width: int) -> dict[Router, list[Stop]]:
    """Servers on the way to all destinations, by router, the first router first; `wanted`: items per destination."""
    behind: dict[tuple[Router, tuple[Any, ...]], list[tuple[Router | None, int]]] = defaultdict(list)
    for d in sorted(wanted):
        passed = route(arch, source, d)
        for here, after in zip(passed, [*passed[1:], None], strict=True):
            output = ("tile", d) if after is None else ("router", after)
            behind[here, (here,) if arch.router_service == "shared" else (here, *output)].append((after, d))
    stops: dict[Router, list[Stop]] = defaultdict(list)
    for (here, server), targets in behind.items():
        bits = width * len(set().union(*(wanted[d] for _, d in targets)))
        onward = sorted({after for after, _ in targets if after is not None})
        stops[here].append(Stop(server, bits, onward, [d for after, d in targets if after is None]))
    return stops


def packets_of(arch: Architecture, home: int, wanted: dict[int, set[int]]) -> list[dict[int, set[int]]]:
    """Which destinations of one (pixel, home) share a packet."""
    away = {d: items for d, items in sorted(wanted.items()) if d != home}
    if not arch.multicast:
        return [{d: items} for d, items in away.items()]
    if home != OUTSIDE:
        return [away] if away else []
    entries = sorted({entry(arch, d) for d in away})
    return [{d: items for d, items in away.items() if entry(arch, d) == at} for at in entries]


@dataclass
class Task:
    """A window to be run; ``row`` is -1 for digital ones."""

    inference: int
    node: int
    copy: int
    window: int
    bound: int
    row: int = -1
    first: bool = False
    last: bool = False


@dataclass
class Unit:
    """A copy, or a (digital node, copy): one window at a time, in order."""

    tasks: list[Task]
    at: int = 0
    busy: bool = False


@dataclass
class Gate:
    """An entry: what waits there, by first use."""

    waiting: list[tuple[Any, ...]] = field(default_factory=list)
    idle: bool = True


class Replay:
    """`inferences` of them, `distance` cycles apart; without `queues` servers are always free."""

    def __init__(self, plan: Brute, inferences: int = 1, distance: int = 0, queues: bool = True) -> None:
        self.plan, self.arch, self.queues = plan, plan.arch, queues
        self.inferences, self.distance = inferences, distance
        self.spans: list[list[dict[int, Span]]] = [[{} for _ in plan.nodes] for _ in range(inferences)]
        self.missing: dict[tuple[int, int, Pixel, int], int] = {}  # packets of a pixel that a tile still waits for
        self.row_first: dict[tuple[int, int, int, int], int] = {}  # (inference, node, row of pixels, tile): delivery
        self.row_end: dict[tuple[int, int], int] = {}  # (inference, row of the schedule)
        self.sums_left: dict[tuple[int, int, int], int] = {}
        self.free: dict[Any, int] = defaultdict(int)  # servers, in ticks
        self.port_free: dict[int, int] = defaultdict(int)  # ports, in parts
        self.gates: dict[Router, Gate] = defaultdict(Gate)
        self.router_bits: dict[Router, int] = defaultdict(int)
        self.router_queue: dict[Router, int] = defaultdict(int)
        self.router_wait = self.port_wait = 0  # ticks; cycles
        self.todo: list[tuple[int, int, Any]] = []  # (cycle, serial number, what happens)
        self.heads: list[tuple[Any, ...]] = []  # (tick, 0, entry) and (tick, 1, key, router, serial number, packet)
        self.serial = 0
        self.units = self._layers() + self._digital()
        self._begin()
        self._run()

    # what there is to do

    def _layers(self) -> list[Unit]:
        s, units = self.plan.sol.schedule, []
        for index, layer in self.plan.layer_of.items():
            for copy, rows in enumerate(self.plan.rows[layer]):
                order = sorted(self._order(i, row) for i in range(self.inferences) for row in rows)
                tasks = []
                for start, i, row in order:
                    windows = self.plan.row_windows(row)
                    for j, w in enumerate(windows):
                        bound = start + j * int(s.pace[row])
                        tasks.append(Task(i, index, copy, w, bound, row, j == 0, j == len(windows) - 1))
                units.append(Unit(tasks))
        return units

    def _order(self, inference: int, row: int) -> tuple[int, int, int]:
        return int(self.plan.sol.schedule.start[row]) + inference * self.distance, inference, row

    def _digital(self) -> list[Unit]:
        units = []
        for index, node in enumerate(self.plan.nodes):
            if node.kind == "digital":
                of_copy: dict[int, list[Task]] = defaultdict(list)
                for i in range(self.inferences):
                    for w in self.plan.all_windows(index):
                        copy = self.plan.copy_of(index, w)
                        of_copy[copy].append(Task(i, index, copy, w, i * self.distance))
                units += [Unit(tasks) for tasks in of_copy.values()]
        return units

    def _begin(self) -> None:
        for unit in self.units:
            for task in unit.tasks:
                self._at(task.bound, ("wake",))
        for i in range(self.inferences):
            for index, node in enumerate(self.plan.nodes):
                if node.kind == "input":
                    for w in self.plan.all_windows(index):
                        now = i * self.distance
                        self.spans[i][index][w] = Span(0, now, now)
                        self._at(now, ("done", i, index, w))

    def _at(self, cycle: int, what: tuple[Any, ...]) -> None:
        self.serial += 1
        heapq.heappush(self.todo, (cycle, self.serial, what))

    # the loop

    def _run(self) -> None:
        c = self.arch.router_bits_per_cycle
        while self.todo or self.heads:
            if self.todo and (not self.heads or self.todo[0][0] * c <= self.heads[0][0]):
                self._cycle(self.todo[0][0])
            else:
                event = heapq.heappop(self.heads)
                if event[1] == 0:
                    self._open(event[0], event[2])
                else:
                    self._arrive(event[0], event[3], event[5])

    def _cycle(self, now: int) -> None:
        """Everything that happens to windows in a cycle, until nothing more does."""
        begun: list[tuple[Unit, Task]] = []
        while True:
            while self.todo and self.todo[0][0] == now:
                what = heapq.heappop(self.todo)[2]
                if what[0] != "wake":
                    getattr(self, "_" + what[0])(now, *what[1:])
            started = [unit for unit in self.units if self._may_begin(now, unit)]
            for unit in started:
                task = unit.tasks[unit.at]
                unit.busy = True
                self.spans[task.inference][task.node][task.window] = Span(task.copy, now)
                if task.row < 0:
                    self._at(now + self.plan.digital_cycles(task.node), ("end", unit, task))
                else:
                    begun.append((unit, task))
            if not started:
                break
        begun.sort(key=lambda pair: (pair[1].inference, pair[1].node, pair[1].window))
        for unit, task in begun:
            self._at(self._load(now, task), ("end", unit, task))

    def _may_begin(self, now: int, unit: Unit) -> bool:
        if unit.busy or unit.at == len(unit.tasks):
            return False
        task = unit.tasks[unit.at]
        if task.bound > now or (task.first and self._blocked(task)):
            return False
        i = task.inference
        return all(self.missing.get((i, *need)) == 0 for need in self.plan.needs(task.node, task.window))

    def _blocked(self, task: Task) -> bool:
        mine = self._order(task.inference, task.row)
        return any(
            self._order(i, row) < mine and (i, row) not in self.row_end
            for row in self.plan.rows_sharing(task.row)
            for i in range(self.inferences)
        )

    def _load(self, now: int, task: Task) -> int:
        """The window asks its ports; when it ends."""
        arch, at = self.arch, self.plan.copies[self.plan.layer_of[task.node]][task.copy]
        loaded = now + at.load
        if arch.input_load == "needed" and self.queues:
            rate = arch.buffer_bits_per_cycle
            for tile, bits in at.port.items():
                self.port_free[tile] = max(self.port_free[tile], now * rate) + bits
                loaded = max(loaded, ceil(self.port_free[tile], rate))
        self.port_wait += loaded - now - at.load
        return max(now + at.compute, loaded) if arch.overlap_input else loaded + at.compute

    # what happens

    def _end(self, now: int, unit: Unit, task: Task) -> None:
        i, node, w = task.inference, task.node, task.window
        unit.busy, unit.at = False, unit.at + 1
        self.spans[i][node][w].end = now
        if task.row < 0:
            self._done(now, i, node, w)
            return
        if task.last:
            self.row_end[i, task.row] = now
        sums = self.plan.copies[self.plan.layer_of[node]][task.copy].sums
        width = sum_width(self.arch, self.plan.nodes[node].weights)
        self.sums_left[i, node, w] = len(sums)
        for (t, d), items in sums.items():
            stops = itinerary(self.arch, t, {d: set(range(items))}, width)
            self._send(now, Packet((i, node, 1, w, t, d), ("summed", i, node, w), next(iter(stops)), stops))
        if not sums:
            self._at(now + self.arch.pipeline_tail_cycles, ("done", i, node, w))

    def _summed(self, now: int, i: int, node: int, w: int, tile: int) -> None:
        self.sums_left[i, node, w] -= 1
        if not self.sums_left[i, node, w]:
            self._at(now + self.arch.pipeline_tail_cycles, ("done", i, node, w))

    def _done(self, now: int, i: int, node: int, w: int) -> None:
        self.spans[i][node][w].done = now
        for pixel in self.plan.pixels_of(node, w):
            number = pixel[0] * self.plan.nodes[node].width + pixel[1]
            subscribed = self.plan.wanted(node, pixel)
            for d in {d for wanted in subscribed.values() for d in wanted}:
                self.missing[i, node, pixel, d] = sum(d in wanted for wanted in subscribed.values())
            for home, wanted in subscribed.items():
                if home in wanted:
                    self._delivered(now, i, node, pixel, home)
                for group in packets_of(self.arch, home, wanted):
                    key = (i, node, 0, number, home, min(group))
                    stops = itinerary(self.arch, home, group, self.plan.width[node])
                    packet = Packet(key, ("delivered", i, node, pixel), next(iter(stops)), stops, home == OUTSIDE)
                    use = min(self.plan.first_use(node, pixel, d) for d in group) + i * self.distance
                    self._send(now, packet, use)

    def _delivered(self, now: int, i: int, node: int, pixel: Pixel, tile: int) -> None:
        self.missing[i, node, pixel, tile] -= 1
        self.row_first.setdefault((i, node, pixel[0], tile), now)

    def _send(self, now: int, packet: Packet, use: float = math.inf) -> None:
        tick = now * self.arch.router_bits_per_cycle
        if not (packet.from_outside and self.queues):
            self._head(tick, packet.first, packet)
            return
        gate = self.gates[packet.first]
        i, node, _, number, _, d = packet.key
        self.serial += 1
        heapq.heappush(gate.waiting, (use, i, node, number, d, self.serial, packet))
        if gate.idle:
            gate.idle = False
            heapq.heappush(self.heads, (tick, 0, packet.first))

    def _open(self, tick: int, at: Router) -> None:
        """An entry may let in the next packet."""
        gate = self.gates[at]
        gate.idle = not gate.waiting
        if gate.waiting:
            self._head(tick, at, heapq.heappop(gate.waiting)[-1])

    def _head(self, tick: int, router: Router, packet: Packet) -> None:
        self.serial += 1
        heapq.heappush(self.heads, (tick, 1, packet.key, router, self.serial, packet))

    def _arrive(self, tick: int, router: Router, packet: Packet) -> None:
        """A head arrives at a router: all its servers there are told."""
        c, h = self.arch.router_bits_per_cycle, self.arch.hop_cycles
        freed = 0
        for stop in packet.stops[router]:
            begin = max(tick, self.free[stop.server]) if self.queues else tick
            self.free[stop.server] = begin + stop.bits
            freed = max(freed, begin + stop.bits)
            self.router_wait += begin - tick
            self.router_bits[router] += stop.bits
            self.router_queue[router] = max(self.router_queue[router], begin + stop.bits - tick)
            for after in stop.onward:
                self._head(begin + h * c, after, packet)
            for tile in stop.tiles:
                self._at(ceil(begin + h * c + stop.bits, c), (*packet.what, tile))
        if packet.from_outside and router == packet.first and self.queues:
            heapq.heappush(self.heads, (freed, 0, router))

    # what comes out

    @property
    def stuck(self) -> list[Task]:
        """The next window of everything that never gets on."""
        return [unit.tasks[unit.at] for unit in self.units if unit.at < len(unit.tasks)]

    @property
    def latencies(self) -> list[int] | None:
        """Of every inference, after its own start; None if one never ends."""
        if self.stuck:
            return None
        return [
            max(span.done for spans in inference for span in spans.values()) - i * self.distance
            for i, inference in enumerate(self.spans)
        ]
