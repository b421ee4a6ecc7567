"""Plain replay of a schedule, one window at a time (M5-M7): what the referee of the step compares with."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from spatem_opt.cost.durations import datum_bits, transfer_cycles
from spatem_opt.cost.placed import PlacedNetwork, Times
from spatem_opt.network.layers import CONSTANT, Edge, Node
from spatem_opt.types import OUTSIDE

Pixel = tuple[int, int]


class Replay:
    """Nodes replayed in topological order.

    Attributes
    ----------
    done : list of dict
        Per node replayed so far, when each output pixel (row, column) is done [cycles].
    copy : list of dict
        Per node, the copy of its host that runs each pixel.
    home : list of dict
        Per node, the home tile of every (copy, channel).
    chunk_end : dict
        When the last window of every chunk ends.
    """

    def __init__(self, problem: PlacedNetwork, solution: Times) -> None:
        self.problem, self.solution = problem, solution
        self.layer_of = {node: layer for layer, node in enumerate(problem.network.layers)}
        self.done: list[dict[Pixel, int]] = []
        self.copy: list[dict[Pixel, int]] = []
        self.home: list[dict[tuple[int, int], int]] = []
        self.chunk_end: dict[int, int] = {}
        for index in range(len(problem.network.nodes)):
            self._site(index)
        self.tiles = [self._tiles(index) for index in range(len(problem.network.nodes))]
        self.read = self._subscriptions()
        self._delay: dict[tuple[int, int, int, int], int] = {}

    def _site(self, index: int) -> None:
        """Copies and homes of a node (M4, M5)."""
        node = self.problem.network.nodes[index]
        pixels = [(y, x) for y in range(node.height) for x in range(node.width)]
        if node.kind == "input":
            self.copy.append(dict.fromkeys(pixels, 0))
            self.home.append({(0, channel): OUTSIDE for channel in range(node.channels)})
        elif node.kind == "crossbar":
            layer = self.layer_of[index]
            self.copy.append({p: self._copy_of_window(layer)[self._window(layer, p)] for p in pixels})
            table = self.problem.placed[layer].channel_home()
            self.home.append({(int(c), int(k)): int(tile) for (c, k), tile in np.ndenumerate(table)})
        else:
            primary = node.edges[0]
            producer = int(primary.source[0])
            self.copy.append({p: self.copy[producer][self._last(primary, p)] for p in pixels})
            self.home.append({
                (copy, k): self.home[producer][copy, int(primary.channel[k])]
                for copy in {c for c, _ in self.home[producer]}
                for k in range(node.channels)
            })  # fmt: skip

    def _copy_of_window(self, layer: int) -> dict[int, int]:
        c = self.problem.chunks
        return {
            window: int(c.copy[i])
            for i in np.flatnonzero(c.layer == layer).tolist()
            for window in range(int(c.first[i]), int(c.last[i]) + 1, int(c.step[i]))
        }

    def _window(self, layer: int, pixel: Pixel) -> int:
        option, width = self.problem.grids[layer].option, self.problem.grids[layer].window_cols
        return pixel[0] // option.ph * width + pixel[1] // option.pw

    def _last(self, edge: Edge, pixel: Pixel) -> Pixel:
        """Raster-last pixel of the receptive field, the first pixel of the map if the field is empty."""
        y, x = int(edge.rows[pixel[0]].max()), int(edge.cols[pixel[1]].max())
        return (y, x) if y >= 0 and x >= 0 else (0, 0)

    def _tiles(self, index: int) -> dict[int, set[int]]:
        """Tiles of every copy of a node: those with OUs of a layer, the homes of a digital node's channels."""
        found: dict[int, set[int]] = defaultdict(set)
        if self.problem.network.nodes[index].kind == "crossbar":
            placed = self.problem.placed[self.layer_of[index]]
            for copy, tile in zip(placed.pair_copy.tolist(), placed.pair_tile.tolist(), strict=True):
                found[copy].add(tile)
        else:
            for (copy, _), tile in self.home[index].items():
                found[copy].add(tile)
        return found

    def _subscriptions(self) -> dict[tuple[int, int], set[int]]:
        """Channels of a node that a tile reads, by (node, tile) (M6)."""
        found: dict[tuple[int, int], set[int]] = defaultdict(set)
        for index, node in enumerate(self.problem.network.nodes):
            for edge in node.edges:
                for tile, carried in self._reads(index, node, edge):
                    if edge.source[carried] != CONSTANT:
                        found[int(edge.source[carried]), tile].add(int(edge.channel[carried]))
        return found

    def _reads(self, index: int, node: Node, edge: Edge) -> set[tuple[int, int]]:
        """(tile, channel of the edge) pairs that a node's copies read."""
        if node.kind == "crossbar":
            placed = self.problem.placed[self.layer_of[index]]
            pairs, channels = np.nonzero(placed.channels_read())
            return {(int(placed.pair_tile[pair]), int(k)) for pair, k in zip(pairs, channels, strict=True)}
        running = set(self.copy[index].values())
        return {(tile, k) for (copy, k), tile in self.home[index].items() if copy in running}

    def delay(self, producer: int, source: int, consumer: int, target: int) -> int:
        """Slowest transfer from a copy of the producer to a copy of the consumer (M6)."""
        key = producer, source, consumer, target
        if key not in self._delay:
            architecture = self.problem.architecture
            width = datum_bits(self.problem.network, architecture)[producer]
            channels: dict[int, set[int]] = defaultdict(set)
            for (copy, channel), tile in self.home[producer].items():
                if copy == source:
                    channels[tile].add(channel)
            self._delay[key] = max(
                int(transfer_cycles(architecture, np.array(t), np.array(d), np.array(bits)))
                for t, homed in channels.items()
                for d in self.tiles[consumer][target]
                for bits in [len(homed & self.read[producer, d]) * width]
            )
        return self._delay[key]

    def ready(self, index: int, pixel: Pixel) -> int:
        """When everything in a pixel's receptive field has arrived."""
        latest = 0
        for edge in self.problem.network.nodes[index].edges:
            rows, cols = edge.rows[pixel[0]].tolist(), edge.cols[pixel[1]].tolist()
            field = [(y, x) for y in rows for x in cols if y >= 0 and x >= 0]
            for producer in edge.producers.tolist():
                for p in field:
                    way = self.delay(producer, self.copy[producer][p], index, self.copy[index][pixel])
                    latest = max(latest, self.done[producer][p] + way)
        return latest

    def run(self, index: int) -> None:
        """Replay one node; the nodes before it must have been."""
        node = self.problem.network.nodes[index]
        if node.kind == "input":
            self.done.append(dict.fromkeys(self.copy[index], 0))
        elif node.kind == "crossbar":
            self.done.append(self._layer(index))
        else:
            self.done.append(self._digital(index, node))

    def _digital(self, index: int, node: Node) -> dict[Pixel, int]:
        cycles = -(-node.ops_per_window // self.problem.architecture.digital_ops_per_cycle)
        free: dict[int, int] = defaultdict(int)
        done = {}
        for pixel, copy in self.copy[index].items():
            free[copy] = max(self.ready(index, pixel), free[copy]) + cycles
            done[pixel] = free[copy]
        return done

    def _layer(self, index: int) -> dict[Pixel, int]:
        layer = self.layer_of[index]
        placed, c, times = self.problem.placed[layer], self.problem.chunks, self.solution
        pixels: dict[int, list[Pixel]] = defaultdict(list)
        for pixel in self.copy[index]:
            pixels[self._window(layer, pixel)].append(pixel)
        free: dict[int, int] = defaultdict(int)
        done = {}
        for i in sorted(np.flatnonzero(c.layer == layer).tolist(), key=lambda i: int(times.start[i])):
            copy = int(c.copy[i])
            for j, window in enumerate(range(int(c.first[i]), int(c.last[i]) + 1, int(c.step[i]))):
                inputs = max(self.ready(index, pixel) for pixel in pixels[window])
                begin = max(int(times.start[i]) + j * int(c.pace[i]), inputs, free[copy])
                free[copy] = begin + int(placed.interval[copy])
                end = free[copy] + int(placed.sum_delay[copy]) + self.problem.architecture.pipeline_tail_cycles
                done.update(dict.fromkeys(pixels[window], end))
            self.chunk_end[i] = free[copy]
        return done
