"""Consistency of a network: what every reader of :class:`spatem_opt.network.layers.Network` may rely on."""

from __future__ import annotations

import numpy as np

from spatem_opt.errors import InstanceError
from spatem_opt.limits import Totals, check_size, table_size
from spatem_opt.network import receptive as r
from spatem_opt.network.layers import CONSTANT, Edge, Network, Node, Weights
from spatem_opt.types import IntArray


def _counts(where: str, node: Node) -> None:
    for field in ("ops_per_window", "fused_ops"):
        if getattr(node, field) < 0:
            raise InstanceError(where, field, getattr(node, field), "expected >= 0")
    edges = len(node.edges)
    if node.kind == "input" and edges:
        raise InstanceError(where, "edges", edges, "expected none for an input")
    if node.kind == "crossbar" and edges != 1:
        raise InstanceError(where, "edges", edges, "expected exactly 1 for a crossbar layer")
    if node.kind == "digital" and not edges:
        raise InstanceError(where, "edges", edges, "expected >= 1 for a digital node")
    if (node.weights is not None) != (node.kind == "crossbar"):
        raise InstanceError(where, "weights", node.weights, "expected for crossbar layers and for no other node")


def _weights(where: str, node: Node, weights: Weights) -> None:
    for field in ("groups", "in_channels", "out_channels"):
        if getattr(weights, field) < 1:
            raise InstanceError(where, f"weights.{field}", getattr(weights, field), "expected >= 1")
    for field in ("kernel", "stride", "dilation"):
        if min(getattr(weights, field)) < 1:
            raise InstanceError(where, f"weights.{field}", list(getattr(weights, field)), "expected >= 1")
    for field in ("weight_bits", "activation_bits", "partial_sum_bits"):
        bits = getattr(weights, field)
        if bits is not None and bits < 1:
            raise InstanceError(where, f"weights.{field}", bits, "expected >= 1 or none")
    check_size(where, "weights.rows", table_size(*weights.kernel, weights.in_channels), "rows of a weight matrix")
    edge = node.edges[0]
    if weights.groups * weights.in_channels != len(edge.source):
        rule = f"expected groups * in_channels = the {len(edge.source)} channels read"
        raise InstanceError(where, "weights.in_channels", weights.in_channels, rule)
    if weights.groups * weights.out_channels != node.channels:
        rule = f"expected groups * out_channels = the {node.channels} channels of the output"
        raise InstanceError(where, "weights.out_channels", weights.out_channels, rule)
    if (edge.rows.shape[1], edge.cols.shape[1]) != weights.kernel:
        taps = [edge.rows.shape[1], edge.cols.shape[1]]
        raise InstanceError(where, "weights.kernel", list(weights.kernel), f"expected the taps of the edge, {taps}")
    _sliding(where, weights, edge)


def _sliding(where: str, weights: Weights, edge: Edge) -> None:
    """Stride and dilation are those of the taps: bits read and patches of windows are counted by them."""
    for axis, (name, taps) in enumerate((("rows", edge.rows), ("cols", edge.cols))):
        stride, dilation = weights.stride[axis], weights.dilation[axis]
        if weights.transposed:
            way = next((d for d in (-dilation, dilation) if r.slides(taps, 1, d)), 0)  # tap 0 first, or last
            found, whole = (r.upsampling(taps, way) if way else 0, 0), way != 0
        else:
            found, whole = r.steps(taps), r.slides(taps, stride, dilation)
        for field, step, have in (("stride", found[0], stride), ("dilation", found[1], dilation)):
            if step and abs(step) != have:
                value = list(getattr(weights, field))
                raise InstanceError(where, f"weights.{field}", value, f"expected {abs(step)}, the step of the {name}")
        if not whole:
            rule = f"expected those with which the {name} are windows that slide"
            raise InstanceError(where, "weights.stride, dilation", [stride, dilation], rule)


def _taps(where: str, field: str, taps: IntArray, outputs: int, length: int) -> None:
    if taps.ndim != 2 or taps.shape[0] != outputs or taps.shape[1] < 1:
        raise InstanceError(where, field, list(taps.shape), f"expected ({outputs}, taps >= 1) entries")
    low, high = int(taps.min()), int(taps.max())
    if low < -1 or high >= length:
        rule = f"expected -1 (padding) or 0 ... {length - 1}"
        raise InstanceError(where, field, low if low < -1 else high, rule)


def _edge(where: str, node: Node, edge: Edge, position: int, shapes: IntArray) -> None:
    if len(edge.source) < 1 or len(edge.source) != len(edge.channel):
        raise InstanceError(where, "channel", len(edge.channel), f"expected one per source ({len(edge.source)}), >= 1")
    low, high = int(edge.source.min()), int(edge.source.max())
    if low < CONSTANT or high >= position or high == CONSTANT:
        rule = f"expected an earlier node, 0 ... {position - 1}, or {CONSTANT} (a constant) for some of the channels"
        raise InstanceError(where, "source", low if low < CONSTANT else high, rule)
    shape = shapes[edge.source]
    shape[edge.source == CONSTANT] = 1, 2**62, 2**62  # any pixel of a constant is there
    wrong = np.flatnonzero((edge.channel < 0) | (edge.channel >= shape[:, 0]))
    if len(wrong):
        i = wrong[0]
        rule = f"expected a channel of node {int(edge.source[i])}, 0 ... {int(shape[i, 0]) - 1}"
        raise InstanceError(where, "channel", int(edge.channel[i]), rule)
    _taps(where, "rows", edge.rows, node.height, int(shape[:, 1].min()))
    _taps(where, "cols", edge.cols, node.width, int(shape[:, 2].min()))


def tally(totals: Totals, where: str, node: Node) -> None:
    """Add a node to the sizes of its network; raises :class:`InstanceError` if they are beyond a limit."""
    channels = sum(len(edge.source) for edge in node.edges)
    totals.add(where, node.windows, channels, sum(_held(edge.rows) + _held(edge.cols) for edge in node.edges))


def _held(taps: IntArray) -> int:
    """Entries that take memory: a row that all outputs share is there once (:func:`receptive.full_taps`)."""
    return int(taps.shape[-1]) if not taps.strides[0] else int(taps.size)


def check(network: Network, where: str = "") -> None:
    """Raise unless the network is consistent (``formulations/README.md``, M2).

    Parameters
    ----------
    network : Network
    where : str
        What the message begins with, e.g. the file; the network's name if empty.

    Raises
    ------
    InstanceError
        If there are no nodes or no crossbar layers, names repeat, an edge reads a later node, a missing channel or a
        missing pixel, the weights do not fit the shapes, a digital node's primary edge has several producers, or
        any of its edges has not one channel per output channel.
    """
    where = where or f"network {network.name!r}"
    if not network.layers:
        raise InstanceError(where, "nodes", len(network.nodes), "expected at least one crossbar layer (Conv, Gemm ...)")
    shapes = np.array([(n.channels, n.height, n.width) for n in network.nodes], dtype=np.int64)
    names: set[str] = set()
    totals = Totals()
    for position, node in enumerate(network.nodes):
        here = f"{where}: node {node.name!r}"
        if node.name in names:
            raise InstanceError(here, "name", node.name, "expected a name of its own")
        names.add(node.name)
        _counts(here, node)
        tally(totals, here, node)
        for i, edge in enumerate(node.edges):
            _edge(f"{here}: edges[{i}]", node, edge, position, shapes)
        if node.weights is not None:
            _weights(here, node, node.weights)
        if node.kind == "digital":
            _primary(here, node)


def _primary(where: str, node: Node) -> None:
    producers = np.unique(node.edges[0].source).tolist()
    if len(producers) != 1:
        raise InstanceError(f"{where}: edges[0]", "source", producers, "expected one producer in the primary edge")
    for i, edge in enumerate(node.edges):
        if len(edge.source) != node.channels:
            rule = f"expected one per channel of the node, {node.channels}"
            raise InstanceError(f"{where}: edges[{i}]", "channel", len(edge.source), rule)
