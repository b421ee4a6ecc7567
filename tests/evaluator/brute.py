"""M5-M9 of ``formulations/README.md`` in plain Python: one dict entry per window and datum. Slow and simple.

Shares nothing with the evaluator but the data types; expects a well-formed solution.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from spatem_opt.network.layers import Edge
from spatem_opt.solution import Solution
from tests.evaluator.brute_place import OUTSIDE, ceil, place, route, sum_width, transfer

# --- M5, M6, M7 -------------------------------------------------------------------------------------------------------


@dataclass
class Span:
    """One window replayed."""

    copy: int
    begin: int
    end: int
    done: int


def field_of(edge: Edge, y: int, x: int) -> set[tuple[int, int]]:
    return {(int(r), int(c)) for r in edge.rows[y] for c in edge.cols[x] if r >= 0 and c >= 0}


class Brute:
    """A solution replayed. ``choose(self, layer, copy, earlier)`` overrides the starts."""

    def __init__(self, sol: Solution, choose: Callable[[Brute, int, int, int], int] | None = None) -> None:
        self.sol, self.arch, self.nodes = sol, sol.architecture, sol.network.nodes
        self.layer_of = {node: layer for layer, node in enumerate(sol.network.layers)}
        self.width = [self._bits_of(index) for index in range(len(self.nodes))]
        self.copies = [place(sol, layer) for layer in range(len(sol.mapping))]
        self.choose = choose
        self.row_start: dict[int, int] = {}
        self.row_end: dict[int, int] = {}
        self.spans: list[dict[int, Span]] = [{} for _ in self.nodes]  # by window
        self.pixel_copy: list[dict[tuple[int, int], int]] = [{} for _ in self.nodes]
        self.home: list[dict[tuple[int, int], int]] = [{} for _ in self.nodes]  # by (copy, channel)
        self.rows: list[list[list[int]]] = [self._rows_by_copy(layer) for layer in range(len(sol.mapping))]
        for index in range(len(self.nodes)):
            self._locate(index)
        self.channels: dict[tuple[int, int], set[int]] = defaultdict(set)  # by (producer, tile)
        self.pixels: dict[tuple[int, int], set[tuple[int, int]]] = defaultdict(set)
        for index in range(len(self.nodes)):
            self._subscribe(index)
        for index in range(len(self.nodes)):
            self._run(index)

    def _bits_of(self, index: int) -> int:
        """Bits of a datum of a node: its widest reader counts; what is pooled or added is as wide as the result."""
        needs = []
        for node in self.nodes:
            if any(index in edge.source.tolist() for edge in node.edges):
                if node.kind == "crossbar":
                    assert node.weights is not None
                    needs.append(node.weights.activation_bits or self.arch.activation_bits)
                else:
                    needs.append(self._bits_of(self.nodes.index(node)))
        return max(needs, default=self.arch.activation_bits)

    # windows and pixels

    def patch(self, index: int) -> tuple[int, int]:
        if index not in self.layer_of:
            return 1, 1
        option = self.sol.mapping[self.layer_of[index]]
        return option.ph, option.pw

    def window(self, index: int, pixel: tuple[int, int]) -> int:
        ph, pw = self.patch(index)
        return pixel[0] // ph * ceil(self.nodes[index].width, pw) + pixel[1] // pw

    def pixels_of(self, index: int, window: int) -> list[tuple[int, int]]:
        node, (ph, pw) = self.nodes[index], self.patch(index)
        y, x = divmod(window, ceil(node.width, pw))
        return [
            (i, j)
            for i in range(y * ph, min((y + 1) * ph, node.height))
            for j in range(x * pw, min((x + 1) * pw, node.width))
        ]

    def all_windows(self, index: int) -> list[int]:
        node, (ph, pw) = self.nodes[index], self.patch(index)
        return list(range(ceil(node.height, ph) * ceil(node.width, pw)))

    def reads(self, index: int, edge: Edge, window: int) -> set[tuple[int, int]]:
        return {pixel for y, x in self.pixels_of(index, window) for pixel in field_of(edge, y, x)}

    def copy_of(self, index: int, window: int) -> int:
        return self.pixel_copy[index][self.pixels_of(index, window)[0]]

    # where things run

    def _rows_by_copy(self, layer: int) -> list[list[int]]:
        s = self.sol.schedule
        rows = [
            [i for i in range(len(s.layer)) if s.layer[i] == layer and s.copy[i] == c]
            for c in range(len(self.copies[layer]))
        ]
        return [sorted(mine, key=lambda i: s.start[i]) for mine in rows]

    def row_windows(self, row: int) -> list[int]:
        s = self.sol.schedule
        return list(range(int(s.first_window[row]), int(s.last_window[row]) + 1, int(s.step[row])))

    def _locate(self, index: int) -> None:
        node = self.nodes[index]
        pixels = [(y, x) for y in range(node.height) for x in range(node.width)]
        if node.kind == "crossbar":
            layer = self.layer_of[index]
            runs_at = {w: c for c, rows in enumerate(self.rows[layer]) for row in rows for w in self.row_windows(row)}
            self.pixel_copy[index] = {pixel: runs_at[self.window(index, pixel)] for pixel in pixels}
            self.home[index] = {(c, ch): t for c, at in enumerate(self.copies[layer]) for ch, t in at.home.items()}
        elif node.kind == "input":
            self.pixel_copy[index] = dict.fromkeys(pixels, 0)
            self.home[index] = {(0, ch): OUTSIDE for ch in range(node.channels)}
        else:
            edge, producer = node.edges[0], int(node.edges[0].source[0])
            for y, x in pixels:
                last = max(field_of(edge, y, x), default=(0, 0))
                self.pixel_copy[index][y, x] = self.pixel_copy[producer][last]
            for (copy, channel), tile in self.home[producer].items():
                for j in range(node.channels):
                    if edge.channel[j] == channel:
                        self.home[index][copy, j] = tile

    def tiles(self, index: int, copy: int) -> set[int]:
        """Tiles that a copy of a node runs its windows on."""
        if index in self.layer_of:
            return set(self.copies[self.layer_of[index]][copy].rows)
        return {self.home[index][copy, j] for j in range(self.nodes[index].channels)}

    def _subscribe(self, index: int) -> None:
        node = self.nodes[index]
        for edge in node.edges:
            for window in self.all_windows(index):
                copy = self.copy_of(index, window)
                for tile in self.tiles(index, copy):
                    for p in set(edge.source.tolist()):
                        self.pixels[p, tile] |= self.reads(index, edge, window)
                if node.kind == "digital":
                    for j in range(node.channels):
                        self.channels[int(edge.source[j]), self.home[index][copy, j]].add(int(edge.channel[j]))
            if node.kind == "crossbar":
                for at in self.copies[self.layer_of[index]]:
                    for tile, rows in at.rows.items():
                        for j, _ in rows:
                            self.channels[int(edge.source[j]), tile].add(int(edge.channel[j]))

    def sent(self, p: int, copy: int) -> dict[tuple[int, int], int]:
        """Channels per pixel from each home of a copy of p to each subscriber."""
        count: dict[tuple[int, int], int] = defaultdict(int)
        for (q, d), channels in self.channels.items():
            if q == p:
                for channel in channels:
                    count[self.home[p][copy, channel], d] += 1
        return count

    def delay(self, p: int, copy: int, tiles: set[int]) -> int:
        width = self.width[p]
        found = [transfer(self.arch, t, d, width * n) for (t, d), n in self.sent(p, copy).items() if d in tiles]
        return max(found, default=0)

    # when things run

    def ready(self, index: int, window: int) -> int:
        tiles = self.tiles(index, self.copy_of(index, window))
        ready = -(10**15)
        for edge in self.nodes[index].edges:
            for p in set(edge.source.tolist()):
                for pixel in self.reads(index, edge, window):
                    done = self.spans[p][self.window(p, pixel)].done
                    ready = max(ready, done + self._delay(p, self.pixel_copy[p][pixel], frozenset(tiles)))
        return ready

    def _delay(self, p: int, copy: int, tiles: frozenset[int]) -> int:
        if not hasattr(self, "_delays"):
            self._delays: dict[Any, int] = {}
        if (p, copy, tiles) not in self._delays:
            self._delays[p, copy, tiles] = self.delay(p, copy, set(tiles))
        return self._delays[p, copy, tiles]

    def _run(self, index: int) -> None:
        node = self.nodes[index]
        if node.kind == "input":
            self.spans[index] = {w: Span(0, 0, 0, 0) for w in self.all_windows(index)}
        elif node.kind == "crossbar":
            self._run_layer(index)
        else:
            length = ceil(node.ops_per_window, self.arch.digital_ops_per_cycle)
            free: dict[int, int] = defaultdict(int)
            for window in self.all_windows(index):
                copy = self.copy_of(index, window)
                begin = max(free[copy], self.ready(index, window))
                free[copy] = begin + length
                self.spans[index][window] = Span(copy, begin, begin + length, begin + length)

    def _run_layer(self, index: int) -> None:
        layer, s = self.layer_of[index], self.sol.schedule
        for c, at in enumerate(self.copies[layer]):
            free = -(10**15)
            for row in self.rows[layer][c]:
                start = int(s.start[row]) if self.choose is None else self.choose(self, layer, c, max(free, 0))
                self.row_start[row] = start
                for j, window in enumerate(self.row_windows(row)):
                    begin = max(free, start + j * int(s.pace[row]), self.ready(index, window))
                    free = begin + at.interval
                    done = free + at.sum_delay + self.arch.pipeline_tail_cycles
                    self.spans[index][window] = Span(c, begin, free, done)
                self.row_end[row] = free

    # --- M7-M9: what comes out

    @property
    def latency(self) -> int:
        return max(span.done for spans in self.spans for span in spans.values())

    def port_bins(self) -> dict[int, dict[int, int]]:
        load: dict[int, dict[int, int]] = defaultdict(lambda: defaultdict(int))
        for index, layer in self.layer_of.items():
            for span in self.spans[index].values():
                for tile, bits in self.copies[layer][span.copy].port.items():
                    load[tile][span.begin // self.arch.contention_cycles] += bits
        return load

    def window_reads_row(self, index: int, p: int, row: int, tile: int) -> list[Span]:
        """Windows of a node, run on the tile, that read the row of pixels of p."""
        return [
            span
            for w, span in self.spans[index].items()
            if tile in self.tiles(index, span.copy)
            and any(
                p in edge.source and row in {y for y, _ in self.reads(index, edge, w)}
                for edge in self.nodes[index].edges
            )
        ]

    def row_users(self, p: int, row: int, tile: int) -> list[Span]:
        return [span for i in range(p + 1, len(self.nodes)) for span in self.window_reads_row(i, p, row, tile)]

    def map_bits(self) -> dict[tuple[int, int, int], int]:
        """Feature-map bits by (producer, home, destination), within tiles too."""
        bits: dict[tuple[int, int, int], int] = defaultdict(int)
        for (p, d), channels in self.channels.items():
            for pixel in self.pixels[p, d]:
                for channel in channels:
                    bits[p, self.home[p][self.pixel_copy[p][pixel], channel], d] += self.width[p]
        return bits

    def router_bins(self) -> dict[tuple[int, int], dict[int, Fraction]]:
        arch, width = self.arch, self.arch.contention_cycles
        load: dict[tuple[int, int], dict[int, Fraction]] = defaultdict(lambda: defaultdict(Fraction))
        for (p, t, d), bits in self.map_bits().items():
            share: dict[int, Fraction] = defaultdict(Fraction)
            if self.nodes[p].kind == "input":
                for row in {y for y, _ in self.pixels[p, d]}:
                    first = min(span.begin for span in self.row_users(p, row, d))
                    part = sum(y == row for y, _ in self.pixels[p, d])
                    share[first // width] += Fraction(part, len(self.pixels[p, d]))
            else:
                here = [
                    pixel for pixel, copy in self.pixel_copy[p].items()
                    if any(self.home[p][copy, ch] == t for ch in range(self.nodes[p].channels))
                ]  # fmt: skip
                for pixel in here:
                    share[self.spans[p][self.window(p, pixel)].done // width] += Fraction(1, len(here))
            for router in route(arch, t, d):
                for when, part in share.items():
                    load[router][when] += part * bits
        for index, layer in self.layer_of.items():
            w = self.nodes[index].weights
            for span in self.spans[index].values():
                for (t, d), items in self.copies[layer][span.copy].sums.items():
                    for router in route(arch, t, d):
                        bits = items * sum_width(arch, w)
                        load[router][span.done // width] += bits
        return load

    @staticmethod
    def waiting(bins: dict[int, Any], capacity: int) -> Any:
        """Most bits waiting after any bin."""
        most = left = 0
        for when in range(min(bins), max(bins) + 1):
            left = max(0, left + bins.get(when, 0) - capacity)
            most = max(most, left)
        return most

    def buffer_peaks(self) -> tuple[int, dict[int, int]]:
        held = []
        for (p, d), channels in self.channels.items():
            if d == OUTSIDE:
                continue
            for row in {y for y, _ in self.pixels[p, d]}:
                pixels = [pixel for pixel in self.pixels[p, d] if pixel[0] == row]
                users = self.row_users(p, row, d)
                start = min(span.begin for span in users)
                if self.nodes[p].kind != "input":
                    start = min(self._arrival(p, pixel, d) for pixel in pixels)
                bits = len(pixels) * len(channels) * self.width[p]
                held.append((d, start, max(span.end for span in users), bits))
        times = {start for _, start, _, _ in held}
        chip = max((sum(b for _, s, e, b in held if s <= t < e) for t in times), default=0)
        tiles = {d: max(sum(b for k, s, e, b in held if k == d and s <= t < e) for t in times) for d, *_ in held}
        return chip, tiles

    def _arrival(self, p: int, pixel: tuple[int, int], d: int) -> int:
        copy, width = self.pixel_copy[p][pixel], self.width[p]
        done = self.spans[p][self.window(p, pixel)].done
        sent = self.sent(p, copy)
        return done + min(transfer(self.arch, t, e, width * n) for (t, e), n in sent.items() if e == d)

    def period(self) -> int:
        arch, s, p = self.arch, self.sol.schedule, self.sol.placement
        spans = [0]
        for x in set(p.crossbar.tolist()):
            rows = [i for i in range(len(s.layer)) if x in self.copies[s.layer[i]][s.copy[i]].ous]
            if rows:
                spans.append(max(int(s.end[i]) for i in rows) - min(int(s.start[i]) for i in rows))
        for index, node in enumerate(self.nodes):
            if node.kind == "digital":
                for copy in {span.copy for span in self.spans[index].values()}:
                    mine = [span for span in self.spans[index].values() if span.copy == copy]
                    spans.append(max(span.end for span in mine) - min(span.begin for span in mine))
        if arch.input_load == "needed":
            spans += [ceil(sum(bins.values()), arch.buffer_bits_per_cycle) for bins in self.port_bins().values()]
        for bins in self.router_bins().values():
            total = sum(bins.values(), Fraction(0))
            assert total.denominator == 1
            spans.append(ceil(total.numerator, arch.router_bits_per_cycle))
        return max(spans)

    def sums(self) -> list[tuple[int, int, int]]:
        """Partial sums of every window: hops, number, bits of each."""
        arch = self.arch
        return [
            (len(route(arch, t, d)), items, sum_width(arch, self.nodes[index].weights))
            for index, layer in self.layer_of.items()
            for span in self.spans[index].values()
            for (t, d), items in self.copies[layer][span.copy].sums.items()
        ]

    def report(self) -> dict[str, Any]:
        arch = self.arch
        maps, routers, ports = self.map_bits(), self.router_bins(), self.port_bins()
        chip, tiles = self.buffer_peaks()
        sums = self.sums()
        ous = sum(
            sum(self.copies[layer][span.copy].ous.values())
            * arch.input_phases(self.nodes[index].weights.activation_bits)
            for index, layer in self.layer_of.items()
            for span in self.spans[index].values()
        )
        return {
            "latency": self.latency,
            "period": self.period(),
            "buffer_read": sum(sum(bins.values()) for bins in ports.values()),
            "map_bit_hops": sum(bits * len(route(arch, t, d)) for (_, t, d), bits in maps.items()),
            "sum_bit_hops": sum(hops * items * width for hops, items, width in sums),
            "map_items": sum(bits // self.width[p] for (p, t, d), bits in maps.items() if t != d),
            "sum_items": sum(items for _, items, _ in sums),
            "written": sum(bits for (_, _, d), bits in maps.items() if d != OUTSIDE),
            "ou_operations": ous,
            "cells": sum(copy.cells for copies in self.copies for copy in copies),
            "router_waiting": {
                y * arch.mesh_cols + x: self.waiting(bins, arch.router_bits_per_cycle * arch.contention_cycles)
                for (y, x), bins in routers.items()
            },
            "router_bits": {y * arch.mesh_cols + x: sum(bins.values()) for (y, x), bins in routers.items()},
            "router_peak": {y * arch.mesh_cols + x: max(bins.values()) for (y, x), bins in routers.items()},
            "port_waiting": {
                tile: self.waiting(bins, arch.buffer_bits_per_cycle * arch.contention_cycles)
                for tile, bins in ports.items()
            },
            "port_bits": {tile: sum(bins.values()) for tile, bins in ports.items()},
            "chip_peak": chip,
            "tile_peak": tiles,
        }
