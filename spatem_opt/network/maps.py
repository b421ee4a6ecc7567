"""Feature maps as layers read them: channels gathered from nodes, through a view of their pixels."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from spatem_opt.limits import check_size
from spatem_opt.network import receptive as r
from spatem_opt.network.layers import CONSTANT, Edge
from spatem_opt.types import BoolArray, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """A feature map that layers read: channels gathered from nodes, seen through a view of their pixels.

    Parameters
    ----------
    source, channel : int64 arrays, shape (channels,)
        Node (number in the builder) and its channel, for every channel of the map; `CONSTANT` and 0 for a constant one.
    rows, cols : int64 arrays, shape (height,) and (width,)
        The pixel of the producers that each pixel of the map is, -1 for padding.
    """

    source: IntArray
    channel: IntArray
    rows: IntArray
    cols: IntArray

    def __post_init__(self) -> None:
        check_size("feature map", "channels", len(self.source), "channels")
        for axis in ("rows", "cols"):
            check_size("feature map", axis, len(getattr(self, axis)), "pixels on an axis")

    @property
    def channels(self) -> int:
        """Number of channels."""
        return len(self.source)

    @property
    def height(self) -> int:
        """Rows of pixels."""
        return len(self.rows)

    @property
    def width(self) -> int:
        """Columns of pixels."""
        return len(self.cols)

    @property
    def constant(self) -> BoolArray:
        """Channels that no node produces, shape (channels,)."""
        return np.asarray(self.source == CONSTANT)

    def constants(self, channels: int) -> Tensor:
        """As many constant channels, of the pixels of this map."""
        none = np.full(channels, CONSTANT, dtype=np.int64)
        return replace(self, source=none, channel=np.zeros(channels, dtype=np.int64))

    def take(self, channels: IntArray) -> Tensor:
        """The same map with the channels at the given indices: split, slice and shuffle are no nodes."""
        return replace(self, source=self.source[channels], channel=self.channel[channels])

    def split(self, parts: int) -> list[Tensor]:
        """Equal consecutive parts of the channels."""
        return [self.take(part) for part in np.split(np.arange(self.channels), parts)]

    def shuffle(self, groups: int) -> Tensor:
        """Channel shuffle (ShuffleNet, CVPR 2018): transpose of (groups, channels per group)."""
        return self.take(np.arange(self.channels).reshape(groups, -1).T.ravel())

    def pad(self, top: int, left: int, bottom: int, right: int) -> Tensor:
        """Surrounded by padding (negative numbers crop); the reading layer's taps take care of it."""
        return replace(self, rows=r.padded(self.rows, top, bottom), cols=r.padded(self.cols, left, right))

    def same_as(self, other: Tensor) -> bool:
        """Whether both are the same pixels of the same channels."""
        pairs = zip(_columns(self), _columns(other), strict=True)
        return all(a is b or np.array_equal(a, b) for a, b in pairs)


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    """A map and the taps (into it, not into its producers) by which a node reads it; see :class:`Edge`."""

    tensor: Tensor
    rows: IntArray
    cols: IntArray

    def edge(self, channels: IntArray | None = None) -> Edge:
        """The edge, of the given channels only."""
        t = self.tensor if channels is None else self.tensor.take(channels)
        return Edge(t.source, t.channel, r.through_view(t.rows, self.rows), r.through_view(t.cols, self.cols))


def _columns(tensor: Tensor) -> tuple[IntArray, ...]:
    return tensor.source, tensor.channel, tensor.rows, tensor.cols
