"""Data of the joint model: options, OUs, windows, who reads what (``README.md``, sets and data)."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from spatem_opt.cost.durations import datum_bits, hops
from spatem_opt.cost.grid import Grid, make_grid
from spatem_opt.errors import InstanceError
from spatem_opt.mapping.problem import layer_options
from spatem_opt.model.architecture import Architecture
from spatem_opt.network.layers import Network, Node
from spatem_opt.types import OUTSIDE, IntArray

ColumnKey = tuple[int, ...]
"""Where a channel is made: its OU column under every option of the layer that hosts it; empty for the outside."""


@dataclass(frozen=True, eq=False)
class LayerMode:
    """One mapping option of a layer.

    Parameters
    ----------
    grid : Grid
    frame : (int, int)
        Windows of a patch, rows x columns: options with the same frame have the same windows.
    row, col : int64 arrays, shape (existing OUs,)
        OU row and column, over all groups.
    item : int64 array, shape (existing OUs,)
        What is placed as one: the OU itself, or its storage block if the option is filled.
    """

    grid: Grid
    frame: tuple[int, int]
    row: IntArray
    col: IntArray
    item: IntArray

    @property
    def filled(self) -> bool:
        """Whether an item takes a whole crossbar."""
        return self.grid.option.storage == "filled"

    @cached_property
    def sizes(self) -> IntArray:
        """OUs of every item."""
        return np.bincount(self.item)

    @cached_property
    def row_height(self) -> IntArray:
        """Matrix rows of every OU row, over all groups."""
        return np.tile(self.grid.rows.stop - self.grid.rows.start, self.grid.weights.groups)

    def slots(self, per_crossbar: int) -> int:
        """OU slots of one copy on crossbars of ``per_crossbar`` slots."""
        return len(self.sizes) * per_crossbar if self.filled else len(self.row)

    def rows_reading(self) -> list[list[int]]:
        """Per input channel (of all groups), the OU rows that read it."""
        first, last = self.grid.row_channels()
        channels = self.grid.weights.in_channels
        found: list[list[int]] = [[] for _ in range(self.grid.weights.groups * channels)]
        for row in range(self.grid.shape[0]):
            group, inner = divmod(row, len(first))
            for channel in range(int(first[inner]), int(last[inner])):
                found[group * channels + channel].append(row)
        return found


@dataclass(frozen=True, slots=True)
class ChannelClass:
    """Channels of a node that are made at the same places and read by the same OUs under every option.

    Parameters
    ----------
    columns : ColumnKey
    rows : tuple of (layer, way, OU row)
        OU rows that read them.
    seats : tuple of (digital node, ColumnKey)
        Places of digital channels that read them.
    """

    columns: ColumnKey
    rows: tuple[tuple[int, int, int], ...]
    seats: tuple[tuple[int, ColumnKey], ...]


@dataclass(frozen=True, eq=False)
class JointProblem:
    """A network on a chip, with the options and the number of copies that the model may choose from.

    Parameters
    ----------
    network, architecture
    ways : tuple of tuples of LayerMode
        Options of every crossbar layer.
    copies : tuple of int
        Most copies of every crossbar layer.

    See Also
    --------
    make : from a network and a chip.
    """

    network: Network
    architecture: Architecture
    ways: tuple[tuple[LayerMode, ...], ...]
    copies: tuple[int, ...]

    @property
    def layers(self) -> range:
        """Layer numbers."""
        return range(len(self.ways))

    @property
    def crossbars(self) -> range:
        """Crossbars of the chip."""
        return range(self.architecture.crossbars)

    @property
    def tiles(self) -> range:
        """Tiles of the chip."""
        return range(self.architecture.tiles)

    def tile_crossbars(self, tile: int) -> range:
        """Crossbars of a tile."""
        n = self.architecture.crossbars_per_tile
        return range(tile * n, (tile + 1) * n)

    def node(self, layer: int) -> Node:
        """The node of a layer."""
        return self.network.nodes[self.network.layers[layer]]

    @cached_property
    def layer_of(self) -> dict[int, int]:
        """Layer number of every crossbar node."""
        return {node: layer for layer, node in enumerate(self.network.layers)}

    def frames(self, layer: int) -> list[tuple[int, int]]:
        """Distinct frames of a layer's options."""
        return sorted({way.frame for way in self.ways[layer]})

    def window_of(self, layer: int, frame: tuple[int, int]) -> IntArray:
        """Window of every output pixel of a layer, raster order."""
        node = self.node(layer)
        y, x = np.divmod(np.arange(node.windows), node.width)
        return np.asarray(y // frame[0] * -(-node.width // frame[1]) + x // frame[1], dtype=np.int64)

    @cached_property
    def hosts(self) -> tuple[int, ...]:
        """Layer number of the host of every node (M5), :data:`OUTSIDE` if it is an input."""
        found: list[int] = []
        for index, node in enumerate(self.network.nodes):
            if node.kind == "digital":
                found.append(found[int(node.edges[0].source[0])])
            else:
                found.append(self.layer_of.get(index, OUTSIDE))
        return tuple(found)

    @cached_property
    def host_pixel(self) -> tuple[IntArray, ...]:
        """Per node and output pixel, the pixel of its host whose copy runs it (M5)."""
        found: list[IntArray] = []
        for node in self.network.nodes:
            if node.kind != "digital":
                found.append(np.arange(node.windows))
                continue
            edge = node.edges[0]
            producer = int(edge.source[0])
            y, x = edge.rows.max(axis=1)[:, None], edge.cols.max(axis=1)[None, :]
            last = np.where((y < 0) | (x < 0), 0, y * self.network.nodes[producer].width + x).ravel()
            found.append(found[producer][last])
        return tuple(found)

    @cached_property
    def columns(self) -> tuple[tuple[ColumnKey, ...], ...]:
        """Per node and output channel, where the channel is made."""
        found: list[tuple[ColumnKey, ...]] = []
        for index, node in enumerate(self.network.nodes):
            if node.kind == "digital":
                edge = node.edges[0]
                made = found[int(edge.source[0])]
                found.append(tuple(made[channel] for channel in edge.channel.tolist()))
            elif index in self.layer_of:
                per_way = [_columns(way) for way in self.ways[self.layer_of[index]]]
                found.append(tuple(zip(*per_way, strict=True)))
            else:
                found.append(((),) * node.channels)
        return tuple(found)

    def classes(self, node: int) -> dict[ChannelClass, int]:
        """Classes of a node's channels, and the number of channels in each."""
        rows: defaultdict[int, set[tuple[int, int, int]]] = defaultdict(set)
        seats: defaultdict[int, set[tuple[int, ColumnKey]]] = defaultdict(set)
        for reader, other in enumerate(self.network.nodes):
            for edge in other.edges:
                carried = np.flatnonzero(edge.source == node)
                for j, channel in zip(carried.tolist(), edge.channel[carried].tolist(), strict=True):
                    if reader not in self.layer_of:
                        seats[channel].add((reader, self.columns[reader][j]))
                        continue
                    layer = self.layer_of[reader]
                    for v, reading in enumerate(self.reading[layer]):
                        rows[channel].update((layer, v, row) for row in reading[j])
        found: defaultdict[ChannelClass, int] = defaultdict(int)
        for channel in range(self.network.nodes[node].channels):
            key = tuple(sorted(rows[channel])), tuple(sorted(seats[channel]))
            found[ChannelClass(self.columns[node][channel], *key)] += 1
        return dict(found)

    @cached_property
    def reading(self) -> tuple[tuple[list[list[int]], ...], ...]:
        """Per layer, way and input channel, the OU rows that read it."""
        return tuple(tuple(way.rows_reading() for way in ways) for ways in self.ways)

    def hops(self, source: int, target: int) -> int:
        """Routers between tiles, either of which may be :data:`OUTSIDE` (M1)."""
        if OUTSIDE in (source, target):
            return (
                0
                if source == target
                else int(hops(self.architecture, np.array(OUTSIDE), np.array(max(source, target))))
            )
        return int(hops(self.architecture, np.array(source), np.array(target)))

    @property
    def diameter(self) -> int:
        """Most routers that a datum passes."""
        return self.architecture.mesh_rows + self.architecture.mesh_cols - 1

    def field(self, node: int, pixel: int) -> list[tuple[int, list[int]]]:
        """Receptive field of an output pixel: (producer, its pixels) per edge and producer."""
        here = self.network.nodes[node]
        y, x = divmod(pixel, here.width)
        found = []
        for edge in here.edges:
            rows, cols = set(edge.rows[y].tolist()) - {-1}, set(edge.cols[x].tolist()) - {-1}
            for producer in edge.producers.tolist():
                width = self.network.nodes[producer].width
                found.append((producer, sorted(row * width + col for row in rows for col in cols)))
        return found


def _columns(way: LayerMode) -> list[int]:
    """OU column (over all groups) that every output channel belongs to (M3)."""
    per_group = way.grid.filter_columns()
    groups = np.arange(way.grid.weights.groups)[:, None] * len(way.grid.cols)
    return [int(column) for column in (groups + per_group).ravel()]


def make(
    network: Network,
    architecture: Architecture,
    *,
    schemes: tuple[str, ...] = ("im2col", "channel-split", "kernel-split", "parallel-window"),
    most_copies: int | None = None,
) -> JointProblem:
    """The joint problem of a network on a chip.

    Parameters
    ----------
    network, architecture
    schemes : tuple of str
        Admitted mapping schemes.
    most_copies : int, optional
        Most copies of a layer; the number of crossbars of the chip by default. A layer never has more copies than
        windows, nor more than the chip's OU slots hold.

    Raises
    ------
    InstanceError
        If buffers might bind (:func:`check_buffers`).
    """
    total = architecture.crossbars * architecture.ou_slots
    limit = architecture.crossbars if most_copies is None else most_copies
    ways, copies = [], []
    for index in network.layers:
        node = network.nodes[index]
        found = [way for way in _ways(node, architecture, schemes) if way.slots(architecture.ou_slots) <= total]
        ways.append(tuple(found))
        most = (min(way.grid.windows, total // way.slots(architecture.ou_slots)) for way in found)
        copies.append(min(limit, max(most, default=0)))
    problem = JointProblem(network, architecture, tuple(ways), tuple(copies))
    check_buffers(problem)
    return problem


def _ways(node: Node, architecture: Architecture, schemes: tuple[str, ...]) -> list[LayerMode]:
    """Options of a layer: filled ones only where their OUs, or what fits a crossbar, differ from the slotted ones."""
    found: list[LayerMode] = []
    for storage in ("slotted", "filled"):
        for option in layer_options(node, architecture, storage):
            if option.scheme not in schemes:
                continue
            way = _way(make_grid(node, option, architecture))
            fits = int(way.sizes.max()) <= architecture.ou_slots
            if not (fits and any(same(way.grid, other.grid) for other in found)):
                found.append(way)
    return found


def same(a: Grid, b: Grid) -> bool:
    """Whether two options of a layer cut it into the same OUs and read the same bits."""
    kinds = [("im2col" if o.scheme == "channel-split" else o.scheme, o.ph, o.pw) for o in (a.option, b.option)]
    if kinds[0] != kinds[1]:  # im2col and channel-split have the same rows, cut elsewhere
        return False
    return np.array_equal(a.rows.start, b.rows.start) and np.array_equal(a.cols.start, b.cols.start)


def _way(grid: Grid) -> LayerMode:
    rows, cols = len(grid.rows), len(grid.cols)
    exists = np.ones((rows, cols), dtype=np.bool_) if grid.exists is None else grid.exists
    row, col = np.nonzero(np.kron(np.eye(grid.weights.groups, dtype=np.bool_), exists))
    item = np.arange(len(row))
    if grid.option.storage == "filled":
        blocks = int(grid.cols.block[-1]) + 1
        block = grid.rows.block[row % rows] * blocks + grid.cols.block[col % cols]
        key = row // rows * (int(grid.rows.block[-1]) + 1) * blocks + block
        item = np.unique(key, return_inverse=True)[1].ravel()
    return LayerMode(grid, (grid.option.ph, grid.option.pw), row, col, item)


def check_buffers(problem: JointProblem) -> None:
    """Raise :class:`InstanceError` unless no solution whatever can overrun a buffer (M8): it might hold all data."""
    a, network = problem.architecture, problem.network
    widths = datum_bits(network, a)
    held = sum(node.windows * node.channels * width for node, width in zip(network.nodes, widths, strict=True))
    held *= a.tiles if a.buffer_scope == "chip" else 1
    room = a.buffer_bits * (a.tiles if a.buffer_scope == "chip" else 1)
    if held > room:
        rule = f"expected <= {room}: more might bind, and the joint model does not count them (M8)"
        raise InstanceError(f"network {network.name!r} on chip {a.name!r}", "buffer bits", held, rule)
