"""M5, M6, M8, M9 of ``formulations/README.md`` in plain Python: who runs and reads what, and what comes out.

The replay itself is :mod:`brute_replay`. Shares nothing with the evaluator but the data types; expects a well-formed
solution.
"""

from __future__ import annotations

import math
from collections import defaultdict
from functools import cached_property
from typing import Any

from spatem_opt.model.solution import Solution
from spatem_opt.network.layers import Edge
from tests.evaluator.brute_place import OUTSIDE, ceil, place, route, sum_width
from tests.evaluator.brute_replay import Pixel, Replay, Span, itinerary, packets_of


def field_of(edge: Edge, y: int, x: int) -> set[tuple[int, int]]:
    return {(int(r), int(c)) for r in edge.rows[y] for c in edge.cols[x] if r >= 0 and c >= 0}


class Brute:
    """A solution, replayed once when it is asked for; :meth:`steady` replays it again at a distance."""

    def __init__(self, sol: Solution) -> None:
        self.sol, self.arch, self.nodes = sol, sol.architecture, sol.network.nodes
        self.layer_of = {node: layer for layer, node in enumerate(sol.network.layers)}
        self.width = [self._bits_of(index) for index in range(len(self.nodes))]
        self.copies = [place(sol, layer) for layer in range(len(sol.mapping))]
        self.pixel_copy: list[dict[tuple[int, int], int]] = [{} for _ in self.nodes]
        self.home: list[dict[tuple[int, int], int]] = [{} for _ in self.nodes]  # by (copy, channel)
        self.rows: list[list[list[int]]] = [self._rows_by_copy(layer) for layer in range(len(sol.mapping))]
        for index in range(len(self.nodes)):
            self._locate(index)
        self.channels: dict[tuple[int, int], set[int]] = defaultdict(set)  # by (producer, tile)
        self.pixels: dict[tuple[int, int], set[tuple[int, int]]] = defaultdict(set)
        for index in range(len(self.nodes)):
            self._subscribe(index)
        self._needs: dict[tuple[int, int], list[tuple[int, Pixel, int]]] = {}

    @cached_property
    def replay(self) -> Replay:
        return Replay(self)

    @property
    def spans(self) -> list[dict[int, Span]]:
        """By node, then window."""
        return self.replay.spans[0]

    @property
    def latency(self) -> int | None:
        """None if rows wait for each other."""
        found = self.replay.latencies
        return found[0] if found else None

    @property
    def queue_free(self) -> int | None:
        found = Replay(self, queues=False).latencies
        return found[0] if found else None

    def steady(self, distance: int, inferences: int = 8) -> bool:
        """Whether from the third on no inference takes longer than the one before."""
        found = Replay(self, inferences, distance).latencies
        return found is not None and all(found[i] <= found[i - 1] for i in range(2, inferences))

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

    # what the replay asks

    def digital_cycles(self, index: int) -> int:
        return ceil(self.nodes[index].ops_per_window, self.arch.digital_ops_per_cycle)

    def needs(self, index: int, window: int) -> list[tuple[int, Pixel, int]]:
        """What a window waits for: (producer, pixel, tile)."""
        if (index, window) not in self._needs:
            copy = self.copy_of(index, window)
            self._needs[index, window] = [
                (p, pixel, d)
                for edge in self.nodes[index].edges
                for p in set(edge.source.tolist())
                for pixel in self.reads(index, edge, window)
                for d in self.tiles(index, copy)
                if any(edge.source[j] == p for j in self.carried(index, copy, d))
            ]
        return self._needs[index, window]

    def carried(self, index: int, copy: int, tile: int) -> set[int]:
        """Channels of its edge that a copy itself reads on a tile."""
        if index in self.layer_of:
            return {j for j, _ in self.copies[self.layer_of[index]][copy].rows[tile]}
        return {j for j in range(self.nodes[index].channels) if self.home[index][copy, j] == tile}

    def wanted(self, p: int, pixel: Pixel) -> dict[int, dict[int, set[int]]]:
        """Channels of a pixel that tiles subscribe to, by home and tile (the home among them)."""
        found: dict[int, dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
        for (q, d), channels in sorted(self.channels.items()):
            if q == p and pixel in self.pixels[p, d]:
                for channel in channels:
                    found[self.home[p][self.pixel_copy[p][pixel], channel]][d].add(channel)
        return dict(sorted(found.items()))

    @cached_property
    def _uses(self) -> dict[tuple[int, Pixel, int], int]:
        """First use of pixels on tiles by crossbar windows."""
        s, found = self.sol.schedule, {}
        for index, layer in self.layer_of.items():
            for copy, rows in enumerate(self.rows[layer]):
                every = self.copies[layer][copy].interval
                for row in rows:
                    for j, window in enumerate(self.row_windows(row)):
                        use = int(s.start[row]) + j * max(every, int(s.pace[row]))
                        for need in self.needs(index, window):
                            found[need] = min(use, found.get(need, use))
        return found

    def first_use(self, p: int, pixel: Pixel, tile: int) -> float:
        return self._uses.get((p, pixel, tile), math.inf)

    def rows_sharing(self, row: int) -> list[int]:
        """Rows of the schedule on a crossbar of this one's, itself included."""
        s = self.sol.schedule
        mine = self.copies[s.layer[row]][s.copy[row]].ous.keys()
        return [i for i in range(len(s.layer)) if mine & self.copies[s.layer[i]][s.copy[i]].ous.keys()]

    # --- M8, M9: what comes out

    def port_bits(self) -> dict[int, int]:
        bits: dict[int, int] = defaultdict(int)
        for index, layer in self.layer_of.items():
            for window in self.all_windows(index):
                for tile, n in self.copies[layer][self.copy_of(index, window)].port.items():
                    bits[tile] += n
        return bits

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

    def map_bit_hops(self) -> int:
        """Bits over servers of all feature-map packets, packet by packet as they are sent."""
        total = 0
        for p in range(len(self.nodes)):
            for pixel in self.pixel_copy[p]:
                for home, wanted in self.wanted(p, pixel).items():
                    for group in packets_of(self.arch, home, wanted):
                        stops = itinerary(self.arch, home, group, self.width[p])
                        total += sum(stop.bits for at in stops.values() for stop in at)
        return total

    def buffer_peaks(self) -> tuple[int, dict[int, int]]:
        held = []
        for (p, d), channels in self.channels.items():
            if d == OUTSIDE:
                continue
            for row in {y for y, _ in self.pixels[p, d]}:
                pixels = [pixel for pixel in self.pixels[p, d] if pixel[0] == row]
                start, end = self.replay.row_first[0, p, row, d], max(span.end for span in self.row_users(p, row, d))
                held.append((d, start, end, len(pixels) * len(channels) * self.width[p]))
        times = {start for _, start, _, _ in held}
        chip = max((sum(b for _, s, e, b in held if s <= t < e) for t in times), default=0)
        tiles = {d: max(sum(b for k, s, e, b in held if k == d and s <= t < e) for t in times) for d, *_ in held}
        return chip, tiles

    def sums(self) -> list[tuple[int, int, int]]:
        """Partial sums of every window: hops, number, bits of each."""
        arch = self.arch
        return [
            (len(route(arch, t, d)), items, sum_width(arch, self.nodes[index].weights))
            for index, layer in self.layer_of.items()
            for window in self.all_windows(index)
            for (t, d), items in self.copies[layer][self.copy_of(index, window)].sums.items()
        ]

    def report(self) -> dict[str, Any]:
        arch, replay = self.arch, self.replay
        maps, ports, sums = self.map_bits(), self.port_bits(), self.sums()
        chip, tiles = self.buffer_peaks()
        ous = sum(
            sum(self.copies[layer][self.copy_of(index, window)].ous.values())
            * arch.input_phases(self.nodes[index].weights.activation_bits)
            for index, layer in self.layer_of.items()
            for window in self.all_windows(index)
        )
        return {
            "latency": self.latency,
            "queue_free": self.queue_free,
            "buffer_read": sum(ports.values()),
            "map_bit_hops": self.map_bit_hops(),
            "sum_bit_hops": sum(hops * items * width for hops, items, width in sums),
            "map_items": sum(bits // self.width[p] for (p, t, d), bits in maps.items() if t != d),
            "sum_items": sum(items for _, items, _ in sums),
            "written": sum(bits for (_, _, d), bits in maps.items() if d != OUTSIDE),
            "ou_operations": ous,
            "cells": sum(copy.cells for copies in self.copies for copy in copies),
            "router_bits": {y * arch.mesh_cols + x: bits for (y, x), bits in replay.router_bits.items()},
            "router_queue": {y * arch.mesh_cols + x: bits for (y, x), bits in replay.router_queue.items()},
            "waits": {"router_ticks": replay.router_wait, "port_cycles": replay.port_wait},
            "port_bits": ports,
            "chip_peak": chip,
            "tile_peak": tiles,
        }
