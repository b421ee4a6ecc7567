"""Who reads what: subscriptions of tiles to feature maps (M5, M6)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spatem_opt.evaluator.arrays import any_by_group, distinct
from spatem_opt.evaluator.mesh import Mesh
from spatem_opt.evaluator.taps import read_pixels, readers
from spatem_opt.network.layers import Edge, Network, Node
from spatem_opt.types import BoolArray, IntArray

#: Later than any time.
NEVER = np.int64(2**60)


@dataclass(frozen=True, slots=True, eq=False)
class Host:
    """Where a node computes.

    Parameters
    ----------
    copies : int
    window_copy : int64 array, shape (windows,)
    window_shape : (int, int)
        Rows and columns of windows (patches for parallel-window).
    pixel_window : int64 array, shape (pixels,)
    homes : int64 array, shape (copies, channels)
        Home tile of every output channel; the outside is one more tile.
    home_copy, home_tile : int64 arrays, shape (homes,)
        Distinct (copy, home tile) pairs, ascending.
    home_channels : bool array, shape (homes, channels)
    """

    copies: int
    window_copy: IntArray
    window_shape: tuple[int, int]
    pixel_window: IntArray
    homes: IntArray
    home_copy: IntArray
    home_tile: IntArray
    home_channels: BoolArray

    @property
    def pixel_copy(self) -> IntArray:
        """Copy that computes each pixel."""
        return self.window_copy[self.pixel_window]


def host(node: Node, patch: tuple[int, int], window_copy: IntArray, homes: IntArray) -> Host:
    """Complete a :class:`Host` from the copy of every window and the home of every channel."""
    shape = -(-node.height // patch[0]), -(-node.width // patch[1])
    pixel_window = (np.arange(node.height) // patch[0])[:, None] * shape[1] + np.arange(node.width) // patch[1]
    tiles = int(homes.max()) + 1
    key = distinct((np.arange(len(homes))[:, None] * tiles + homes).ravel())[0]
    home_copy, home_tile = np.divmod(key, tiles)
    channels = homes[home_copy] == home_tile[:, None]
    return Host(len(homes), window_copy, shape, pixel_window.ravel(), homes, home_copy, home_tile, channels)


def digital_copy(edge: Edge, producer: Node, pixel_copy: IntArray) -> IntArray:
    """Copy of the host that each window of a digital node runs at: that of the raster-last pixel it reads (M5)."""
    row, col = edge.rows.max(1), edge.cols.max(1)
    last = row[:, None] * producer.width + col
    empty = (row < 0)[:, None] | (col < 0)
    return pixel_copy[np.where(empty, 0, last).ravel()]


@dataclass(frozen=True, slots=True, eq=False)
class Reader:
    """One node's reading of one producer over one edge.

    Parameters
    ----------
    node : int
    pair_copy, pair_tile : int64 arrays, shape (pairs,)
        Tiles that each copy runs its windows on, by copy.
    channels : bool array, shape (pairs, channels of the producer)
    rows, cols : int64 arrays
        Taps of the windows.
    window_copy : int64 array, shape (windows,)
    """

    node: int
    pair_copy: IntArray
    pair_tile: IntArray
    channels: BoolArray
    rows: IntArray
    cols: IntArray
    window_copy: IntArray

    @property
    def copies(self) -> int:
        """Copies of the reading node."""
        return int(self.pair_copy[-1]) + 1


def carry(channel: IntArray, line: IntArray, channels: int, read: BoolArray) -> BoolArray:
    """Channels of a producer that each pair reads, shape (pairs, channels).

    ``channel``: those that are carried, each for whoever reads the column ``line`` of ``read``.
    """
    if len(channel) == read.shape[1] == channels and (channel == np.arange(channels)).all() and (line == channel).all():
        return read  # the usual case: the whole producer as it is
    if len(distinct(channel)[0]) < len(channel):  # a channel may be carried twice
        return any_by_group(read.T[line], channel, channels).T
    found = np.zeros((len(read), channels), np.bool_)
    found[:, channel] = read[:, line]
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Subscription:
    """What the tiles read of one producer.

    Parameters
    ----------
    tiles : int64 array, shape (tiles,)
        Subscribing tiles, ascending.
    channels : bool array, shape (tiles, channels)
    kind : int64 array, shape (tiles,)
        Tiles with equal ``kind`` read the same pixels.
    pixels : bool array, shape (kinds, pixels)
    """

    tiles: IntArray
    channels: BoolArray
    kind: IntArray
    pixels: BoolArray


def subscribe(node: Node, read_by: list[Reader]) -> Subscription:
    """Join the readers of ``node``: per tile, the channels read by any times the pixels read by any (M6)."""
    tiles = distinct(np.concatenate([reader.pair_tile for reader in read_by]))[0]
    channels = np.zeros((len(tiles), node.channels), np.bool_)
    kinds = np.zeros((len(tiles), len(read_by)), np.int64)
    masks = []
    for column, reader in enumerate(read_by):
        place = np.searchsorted(tiles, reader.pair_tile)
        channels |= any_by_group(reader.channels, place, len(tiles))
        member = np.zeros((len(tiles), reader.copies), np.bool_)
        member[place, reader.pair_copy] = True
        sets, kinds[:, column] = _distinct_rows(member)
        masks.append(_pixels_of(node, reader, sets))
    if len(read_by) == 1:
        return Subscription(tiles, channels, kinds[:, 0], masks[0])
    combos, kind = np.unique(kinds, axis=0, return_inverse=True)
    pixels = masks[0][combos[:, 0]]
    for column, mask in enumerate(masks[1:], start=1):
        pixels |= mask[combos[:, column]]
    return Subscription(tiles, channels, kind.reshape(-1), pixels)


def _distinct_rows(member: BoolArray) -> tuple[BoolArray, IntArray]:
    """Distinct rows of a bool matrix and the number of each row among them."""
    packed = np.ascontiguousarray(np.packbits(member, axis=1))
    _, first, inverse = np.unique(
        packed.view(np.dtype((np.void, packed.shape[1]))).ravel(), return_index=True, return_inverse=True
    )
    return member[first], inverse.reshape(-1)


def _pixels_of(node: Node, reader: Reader, member: BoolArray) -> BoolArray:
    """Pixels of ``node`` read by the windows of sets of copies, shape (sets, pixels)."""
    windows = member[:, reader.window_copy].reshape(len(member), len(reader.rows), len(reader.cols))
    rows, cols = readers(reader.rows, node.height), readers(reader.cols, node.width)
    return read_pixels(windows, rows, cols).reshape(len(member), node.windows)


@dataclass(frozen=True, slots=True, eq=False)
class Supply:
    """What one producer sends.

    Parameters
    ----------
    width : int
        Bits of one datum.
    tiles : int64 array, shape (tiles,)
        Subscribers, ascending; the outside is one more tile.
    channels : int64 array, shape (tiles,)
        How many each subscribes to.
    row_bits : int64 array, shape (tiles, rows)
        Subscribed bits of every row of pixels.
    kind, pixels
        As in :class:`Subscription`.
    home_set, sub_set : int64 arrays, shape (homes,) and (tiles,)
        Number of the set of channels of each (copy, home tile) and of each subscriber.
    home_channels, sub_channels : bool arrays, shape (sets, channels)
        Those sets.
    shared : int64 array, shape (home sets, subscriber sets)
        Bits of one pixel from a home to a subscriber.
    """

    width: int
    tiles: IntArray
    channels: IntArray
    row_bits: IntArray
    kind: IntArray
    pixels: BoolArray
    home_set: IntArray
    sub_set: IntArray
    home_channels: BoolArray
    sub_channels: BoolArray
    shared: IntArray


def datum_bits(network: Network, default: int) -> list[int]:
    """Bits of one datum of every node: what its widest reader takes, ``default`` if nobody reads it (M6).

    A crossbar layer takes its own activation bits, a digital node those of the data that it makes.
    """
    bits = [0] * len(network.nodes)
    for index in range(len(bits) - 1, -1, -1):
        node = network.nodes[index]
        bits[index] = bits[index] or default
        takes = bits[index] if node.weights is None else node.weights.activation_bits or default
        for producer in np.unique(np.concatenate([edge.producers for edge in node.edges])) if node.edges else ():
            bits[producer] = max(bits[producer], takes)
    return bits


def supply(mesh: Mesh, node: Node, at: Host, read_by: list[Reader], width: int) -> Supply:
    """What goes from the homes of a producer to its subscribers; ``width``: bits of a datum."""
    wanted = subscribe(node, read_by)
    held, home = _distinct_rows(at.home_channels)
    read, tile = _distinct_rows(wanted.channels)
    shared = width * (held.astype(np.float32) @ read.T.astype(np.float32)).astype(np.int64)
    channels = wanted.channels.sum(1)
    in_row = wanted.pixels.reshape(-1, node.height, node.width).sum(2)[wanted.kind]
    row_bits = in_row * channels[:, None] * width
    return Supply(width, wanted.tiles, channels, row_bits, wanted.kind, wanted.pixels, home, tile, held, read, shared)
