"""Networks as the models see them: nodes in topological order, read through edges (``formulations/README.md``, M2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from spatem_opt.errors import InstanceError
from spatem_opt.limits import check_size
from spatem_opt.types import IntArray

NodeKind = Literal["input", "crossbar", "digital"]
CONSTANT = -1
"""Source of a channel that no node produces: constant, there without a transfer, as a tap of -1 is a padded pixel."""


@dataclass(frozen=True, slots=True, eq=False)
class Edge:
    """What a node reads: channels gathered from producers, and which pixels of them.

    Parameters
    ----------
    source, channel : int64 arrays, shape (channels,)
        For every channel carried, the index of the producing node and that node's channel; `CONSTANT` and 0 if it is
        the same for every input of the network.
    rows, cols : int64 arrays, shape (output rows, taps) and (output columns, taps)
        Input row (column) read as i-th tap by each output row (column) of the reading node; -1 is padding.
    """

    source: IntArray
    channel: IntArray
    rows: IntArray
    cols: IntArray

    @property
    def producers(self) -> IntArray:
        """Indices of the producing nodes, ascending."""
        found: IntArray = np.unique(self.source)
        return found[found != CONSTANT] if found[:1] == CONSTANT else found


@dataclass(frozen=True, slots=True)
class Weights:
    """The weight tensor of a crossbar layer and how it slides.

    Parameters
    ----------
    groups : int
        Number of groups G; every group has its own block of weights.
    in_channels, out_channels : int
        Input channels and filters *per group*.
    kernel, stride, dilation : (int, int)
        Height first. For ``transposed`` the stride is the upsampling factor.
    transposed : bool
        Transposed convolution.
    weight_bits, activation_bits, partial_sum_bits : int or None
        Override of the architecture's, for this layer.
    """

    groups: int
    in_channels: int
    out_channels: int
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    transposed: bool = False
    weight_bits: int | None = None
    activation_bits: int | None = None
    partial_sum_bits: int | None = None

    @property
    def rows(self) -> int:
        """Rows of one group's weight matrix: kh * kw * Cin."""
        return self.kernel[0] * self.kernel[1] * self.in_channels


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One node of a network.

    Parameters
    ----------
    name : str
        Unique.
    kind : {"input", "crossbar", "digital"}
    op : str
        What it computes, e.g. ``"conv"``, ``"fc"``, ``"max_pool"``, ``"add"``.
    channels, height, width : int
        Shape of the output.
    edges : tuple of Edge
        Empty for inputs, one for crossbar layers, the primary one first for digital nodes.
    weights : Weights or None
        For crossbar layers only.
    ops_per_window : int
        Digital operations per output pixel (all channels); 0 for crossbar layers and inputs.
    fused_ops : int
        Operations of the pointwise operators fused into this node, over the whole output.
    """

    name: str
    kind: NodeKind
    op: str
    channels: int
    height: int
    width: int
    edges: tuple[Edge, ...] = ()
    weights: Weights | None = None
    ops_per_window: int = 0
    fused_ops: int = 0

    def __post_init__(self) -> None:
        where = f"node {self.name!r}"
        for field, kind in (("channels", "channels"), ("height", "pixels on an axis"), ("width", "pixels on an axis")):
            if getattr(self, field) < 1:
                raise InstanceError(where, field, getattr(self, field), "expected >= 1")
            check_size(where, field, getattr(self, field), kind)
        check_size(where, "height * width", self.height * self.width, "pixels of all nodes")

    @property
    def windows(self) -> int:
        """Output pixels."""
        return self.height * self.width


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """A network: nodes in topological order.

    Parameters
    ----------
    name : str
    nodes : tuple of Node
        Every edge names producers that come earlier.
    source : str
        Where the network comes from (provenance; shown to people).
    """

    name: str
    nodes: tuple[Node, ...]
    source: str = ""

    @property
    def layers(self) -> tuple[int, ...]:
        """Node indices of the crossbar layers, in topological order; a *layer number* indexes this tuple."""
        return tuple(i for i, node in enumerate(self.nodes) if node.kind == "crossbar")
