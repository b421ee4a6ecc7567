"""Builds networks layer by layer; the ONNX importer and the shipped networks use it too.

Examples
--------
>>> b = Builder("tiny")
>>> x = b.input(3, 8, 8)
>>> y = b.conv(x, 16, 3, pads=1, name="conv1")
>>> y = b.fuse(y)  # activation
>>> y = b.pool(y, "max", 2, stride=2, name="pool1")
>>> y = b.fc(y, 10, name="fc")
>>> [(n.name, n.kind, n.channels, n.height) for n in b.build().nodes[1:]]
[('conv1', 'crossbar', 16, 8), ('pool1', 'digital', 16, 4), ('fc', 'crossbar', 10, 1)]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import Literal

import numpy as np

from spatem_opt.errors import InstanceError
from spatem_opt.limits import Totals, check_size
from spatem_opt.network import receptive as r
from spatem_opt.network.check import check, tally
from spatem_opt.network.layers import CONSTANT, Edge, Network, Node, NodeKind, Weights
from spatem_opt.network.maps import Read, Tensor
from spatem_opt.types import IntArray

Pair = int | tuple[int, int]
Pads = int | tuple[int, int, int, int] | Literal["same", "same_lower"]


def pair(value: Pair) -> tuple[int, int]:
    """(height, width) of one or two numbers."""
    return (value, value) if isinstance(value, int) else value


def _axis_pads(pads: Pads, axis: int, length: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    if isinstance(pads, str):
        return r.same_pads(length, kernel, stride, dilation, upper=pads == "same")
    return (pads, pads) if isinstance(pads, int) else (pads[axis], pads[axis + 2])


def _sliding(
    x: Tensor, kernel: Pair, stride: Pair, pads: Pads, dilation: Pair, ceil: bool = False
) -> tuple[IntArray, IntArray]:
    """Row and column taps of a window sliding over `x`; no outputs if it does not fit."""
    taps = []
    for axis, length in enumerate((x.height, x.width)):
        k, s, d = pair(kernel)[axis], pair(stride)[axis], pair(dilation)[axis]
        around = _axis_pads(pads, axis, length, k, s, d)
        outputs = max(r.window_size(length, k, s, around, d, ceil), 0)
        taps.append(r.window_taps(outputs, k, s, around[0], d, length))
    return taps[0], taps[1]


class Builder:
    """Collects nodes in topological order and gives back maps to read from.

    Parameters
    ----------
    name, source : str
        Name and provenance of the network.

    Notes
    -----
    `name` arguments default to the operator; repeated names get a number. Operations are counted per output pixel:
    pooling ``taps * channels``, elementwise ``channels * (operands - 1)``, resize ``taps * channels`` (0 for nearest),
    data movement (pad, slice, reshape, concat of rows) 0.
    """

    def __init__(self, name: str, source: str = "") -> None:
        self.name, self.source = name, source
        self._nodes: list[Node] = []
        self._fused: list[int] = []
        self._names: dict[str, int] = {}
        self._totals = Totals()
        self._taps: dict[tuple[tuple[int, ...], bytes], IntArray] = {}
        self.bits: tuple[int | None, int | None] = (None, None)
        """Bits of weights and activations of the crossbar layers that are added; None for those of the chip."""

    @property
    def layers(self) -> int:
        """Crossbar layers so far."""
        return sum(node.kind == "crossbar" for node in self._nodes)

    def _add(self, name: str, kind: NodeKind, op: str, shape: tuple[int, int, int], edges: tuple[Edge, ...] = (),
             weights: Weights | None = None, ops: int = 0) -> Tensor:  # fmt: skip
        while (count := self._names.get(name, 0)) > 0:
            self._names[name] += 1
            name = f"{name}~{count + 1}"
        self._names[name] = 1
        index = len(self._nodes)
        edges = tuple(replace(edge, rows=self._one(edge.rows), cols=self._one(edge.cols)) for edge in edges)
        self._nodes.append(Node(name, kind, op, *shape, edges, weights, ops))
        tally(self._totals, f"node {name!r}", self._nodes[-1])
        self._fused.append(0)
        return self._tensor(index)

    def _one(self, taps: IntArray) -> IntArray:
        """The one array of all taps that are equal: who reads the network tells them apart as arrays."""
        if not taps.strides[0]:  # `receptive` has each of these once
            return taps
        key = taps.shape, blake2b(np.ascontiguousarray(taps).tobytes()).digest()
        return self._taps.setdefault(key, taps)

    def _tensor(self, index: int) -> Tensor:
        node = self._nodes[index]
        source = np.full(node.channels, index, dtype=np.int64)
        return Tensor(source, r.identity_view(node.channels), r.identity_view(node.height), r.identity_view(node.width))

    def input(self, channels: int, height: int = 1, width: int = 1, name: str = "input") -> Tensor:
        """An input of the network, ``channels x height x width``."""
        return self._add(name, "input", "input", (channels, height, width))

    def crossbar(self, name: str, op: str, read: Read, weights: Weights) -> Tensor:
        """A crossbar layer, given its edge and weights; constants if it reads nothing else."""
        if read.tensor.constant.all():
            return _pixels(read).constants(weights.groups * weights.out_channels)
        shape, edge = (weights.groups * weights.out_channels, len(read.rows), len(read.cols)), read.edge()
        if not weights.transposed:  # over a view of every second pixel, a stride of 1 is one of 2
            (sy, dy), (sx, dx) = r.steps(edge.rows), r.steps(edge.cols)
            (ty, tx), (ey, ex) = weights.stride, weights.dilation
            weights = replace(weights, stride=(abs(sy) or ty, abs(sx) or tx), dilation=(abs(dy) or ey, abs(dx) or ex))
        weights = replace(weights, weight_bits=self.bits[0], activation_bits=self.bits[1])
        return self._add(name, "crossbar", op, shape, (edge,), weights)

    def conv(self, x: Tensor, filters: int, kernel: Pair, stride: Pair = 1, pads: Pads = 0, dilation: Pair = 1,
             groups: int = 1, name: str = "conv") -> Tensor:  # fmt: skip
        """Convolution.

        Parameters
        ----------
        x : Tensor
        filters : int
            Output channels, of all groups together.
        kernel, stride, dilation : int or (height, width)
        pads : int, (top, left, bottom, right), "same" or "same_lower"
        groups : int
            Must divide the channels of `x` and `filters`.

        Raises
        ------
        InstanceError
            If the groups do not divide the channels, or the kernel does not fit the padded input.
        """
        if groups < 1 or x.channels % groups or filters % groups:
            rule = f"expected a divisor of {x.channels} input channels and {filters} filters"
            raise InstanceError(f"node {name!r}", "groups", groups, rule)
        rows, cols = _sliding(x, kernel, stride, pads, dilation)
        sizes = (groups, x.channels // groups, filters // groups)
        weights = Weights(*sizes, pair(kernel), pair(stride), pair(dilation))
        return self.crossbar(name, "conv", Read(x, rows, cols), weights)

    def conv_transpose(self, x: Tensor, filters: int, kernel: Pair, stride: Pair = 1, pads: Pads = 0,
                       dilation: Pair = 1, groups: int = 1, output_padding: Pair = 0,
                       name: str = "conv_transpose") -> Tensor:  # fmt: skip
        """Transposed convolution; parameters as :meth:`conv`, `pads` crop the output and are numbers."""
        if groups < 1 or x.channels % groups or filters % groups:
            rule = f"expected a divisor of {x.channels} input channels and {filters} filters"
            raise InstanceError(f"node {name!r}", "groups", groups, rule)
        taps = []
        for axis, length in enumerate((x.height, x.width)):
            k, s, d, extra = (pair(v)[axis] for v in (kernel, stride, dilation, output_padding))
            around = _axis_pads(pads, axis, length, k, s, d)
            outputs = max((length - 1) * s + (k - 1) * d + 1 + extra - sum(around), 0)
            taps.append(r.transposed_taps(outputs, k, s, around[0], d, length))
        sizes = (groups, x.channels // groups, filters // groups)
        weights = Weights(*sizes, pair(kernel), pair(stride), pair(dilation), transposed=True)
        return self.crossbar(name, "conv_transpose", Read(x, *taps), weights)

    def fc(self, x: Tensor, filters: int, name: str = "fc") -> Tensor:
        """Fully connected: one window, whose kernel is the whole map."""
        read = Read(x, r.full_taps(1, x.height), r.full_taps(1, x.width))
        return self.crossbar(name, "fc", read, Weights(1, x.channels, filters, (x.height, x.width)))

    def digital(self, name: str, op: str, reads: Sequence[Read], ops: int, shared: Sequence[Read] = ()) -> Tensor:
        """A digital node per producer of the primary read's channels.

        Parameters
        ----------
        name, op : str
            If the primary read gathers from several producers, ``name#0``, ``name#1`` ... one for each.
        reads : sequence of Read
            The primary first; each carries one channel per output channel.
        ops : int
            Operations per output pixel and channel.
        shared : sequence of Read
            What the output channels need in common. Every edge of a digital node carries one channel per output
            channel, so the channels are dealt out over as many edges as it takes: all pixels are waited for, and
            every channel is read by one of the output channels.
        """
        primary = reads[0].tensor
        producers = primary.source[np.sort(np.unique(primary.source, return_index=True)[1])]
        size = (len(reads[0].rows), len(reads[0].cols))
        source, channel = np.empty_like(primary.source), np.zeros_like(primary.source)
        for i, producer in enumerate(producers):
            part = np.flatnonzero(primary.source == producer)
            own = name if len(producers) == 1 else f"{name}#{i}"
            mine = [replace(read, tensor=read.tensor.take(part)) for read in reads]
            if producer == CONSTANT:
                led = _led(mine, shared)
                out = self.digital(own, op, led, ops, shared) if led else _pixels(mine[0]).constants(len(part))
            else:
                edges = [read.edge() for read in mine if not read.tensor.constant.all()]
                for read in shared:
                    edges += _dealt(read, mine[0])
                out = self._add(own, "digital", op, (len(part), *size), tuple(edges), ops=ops * len(part))
            source[part], channel[part] = out.source, out.channel
        return Tensor(source, channel, r.identity_view(size[0]), r.identity_view(size[1]))

    def pool(self, x: Tensor, kind: str, kernel: Pair, stride: Pair = 1, pads: Pads = 0, dilation: Pair = 1,
             ceil: bool = False, name: str = "") -> Tensor:  # fmt: skip
        """Pooling; `kind` is ``"max"``, ``"average"`` ..., `ceil` rounds the output size up; others as :meth:`conv`."""
        rows, cols = _sliding(x, kernel, stride, pads, dilation, ceil)
        op = f"{kind}_pool"
        return self.digital(name or op, op, [Read(x, rows, cols)], rows.shape[1] * cols.shape[1])

    def global_pool(self, x: Tensor, kind: str = "average", name: str = "") -> Tensor:
        """Pooling over all pixels."""
        read = Read(x, r.full_taps(1, x.height), r.full_taps(1, x.width))
        op = f"global_{kind}_pool"
        return self.digital(name or op, op, [read], x.height * x.width)

    def elementwise(self, op: str, operands: Sequence[Tensor], name: str = "") -> Tensor:
        """Addition, multiplication ... of maps of one shape; an axis of length 1 is broadcast.

        The primary operand is, among those that cover the whole output, the one with the fewest producers, then the
        one produced last. Equal operands (``x * sigmoid(x)``) are one; if no second is left, the operator is fused.
        """
        distinct: list[Tensor] = []
        for t in operands:
            if not any(t.same_as(other) for other in distinct):
                distinct.append(t)
        if len(distinct) == 1:
            return self.fuse(distinct[0])
        channels, height, width = (max(getattr(t, a) for t in distinct) for a in ("channels", "height", "width"))
        reads = []
        for t in distinct:
            if any(n not in (1, m) for n, m in zip(_shape(t), (channels, height, width), strict=True)):
                rule = f"expected {channels} x {height} x {width} or 1 on an axis"
                raise InstanceError(f"node {(name or op)!r}", "operand", " x ".join(map(str, _shape(t))), rule)
            wide = t if t.channels == channels else t.take(np.zeros(channels, dtype=np.int64))
            reads.append(Read(wide, _stretch(t.height, height), _stretch(t.width, width)))
        reads.sort(key=lambda read: _primary_rank(read, height * width), reverse=True)
        held, code = np.unique([read.tensor.constant for read in reads], axis=1, return_inverse=True)
        if not held.any():
            return self.digital(name or op, op, reads, len(reads) - 1)
        parts = [np.flatnonzero(code == value) for value in range(held.shape[1])]
        taken = [[replace(x, tensor=x.tensor.take(p)) for x in reads] for p in parts]
        made = [self._with_constants(op, some, name or op) for some in taken]
        return self.concat(made, name or op).take(np.argsort(np.concatenate(parts), kind="stable"))

    def _with_constants(self, op: str, reads: Sequence[Read], name: str) -> Tensor:
        """An elementwise operator on channels of which some operands are constant: with one left it is fused."""
        live = [read for read in reads if not read.tensor.constant.all()]
        if len(live) > 1:
            return self.digital(name, op, live, len(live) - 1)
        if not live:
            return _pixels(reads[0]).constants(reads[0].tensor.channels)
        t, read = live[0].tensor, live[0]
        rows, cols = (r.through_view(v, x)[:, 0] for v, x in ((t.rows, read.rows), (t.cols, read.cols)))
        return self.fuse(replace(t, rows=rows, cols=cols))

    def add(self, *operands: Tensor, name: str = "add") -> Tensor:
        """Sum of maps; see :meth:`elementwise`."""
        return self.elementwise("add", operands, name)

    def plain(self, x: Tensor, op: str = "pad", name: str = "") -> Tensor:
        """The map as a node of its own if it is a padded or cropped view, else itself."""
        if all(np.array_equal(v, r.identity_view(len(v))) for v in (x.rows, x.cols)):
            return x
        return self.digital(name or op, op, [Read(x, r.identity_taps(x.height), r.identity_taps(x.width))], 0)

    def concat(self, parts: Sequence[Tensor], name: str = "concat") -> Tensor:
        """Channels of all parts, in order: no node, except for parts that are padded or cropped differently."""
        views = [(t.rows, t.cols) for t in parts if not t.constant.all()] or [(parts[0].rows, parts[0].cols)]
        if any(not (np.array_equal(a, views[0][0]) and np.array_equal(b, views[0][1])) for a, b in views):
            parts = [self.plain(t, name=f"{name}.pad") for t in parts]
        first = next((t for t in parts if not t.constant.all()), parts[0])
        for t in parts:
            if (t.height, t.width) != (first.height, first.width):
                rule = f"expected {first.height} x {first.width} pixels like the first operand"
                raise InstanceError(f"node {name!r}", "operand", f"{t.height} x {t.width}", rule)
        check_size(f"node {name!r}", "channels", sum(t.channels for t in parts), "channels")
        source, channel = (np.concatenate([getattr(t, a) for t in parts]) for a in ("source", "channel"))
        return replace(first, source=source, channel=channel)

    def upsample(self, x: Tensor, scale: Pair, name: str = "upsample") -> Tensor:
        """Nearest-neighbour upsampling by integers."""
        sizes = zip(pair(scale), (x.height, x.width), strict=True)
        rows, cols = (r.resize_taps(s * length, length) for s, length in sizes)
        return self.digital(name, "upsample", [Read(x, rows, cols)], 0)

    def fuse(self, x: Tensor, ops: int = 1) -> Tensor:
        """Count a pointwise operator (`ops` operations per element) at the nodes that produce `x`."""
        counts = np.bincount(x.source[~x.constant])
        for producer in np.flatnonzero(counts).tolist():
            self._fused[producer] += int(counts[producer]) * x.height * x.width * ops
        return x

    def build(self, outputs: Sequence[Tensor] | None = None) -> Network:
        """The network, checked; given `outputs`, without the nodes that none of them needs."""
        keep = np.ones(len(self._nodes), dtype=bool)
        if outputs is not None:
            keep[:] = False
            for t in outputs:
                keep[t.source[~t.constant]] = True
            for i in reversed(range(len(self._nodes))):
                for edge in self._nodes[i].edges if keep[i] else ():
                    keep[edge.producers] = True
        number = np.append(np.cumsum(keep) - 1, CONSTANT)  # the last one is what CONSTANT is an index of
        nodes = []
        for i in np.flatnonzero(keep).tolist():
            node = self._nodes[i]
            edges = tuple(replace(edge, source=number[edge.source]) for edge in node.edges)
            nodes.append(replace(node, edges=edges, fused_ops=self._fused[i]))
        network = Network(self.name, tuple(nodes), self.source)
        check(network)
        return network


def _shape(t: Tensor) -> tuple[int, int, int]:
    return t.channels, t.height, t.width


def _stretch(length: int, outputs: int) -> IntArray:
    return r.identity_taps(length) if length == outputs else r.broadcast_taps(outputs)


def _pixels(read: Read) -> Tensor:
    """A map of the pixels that a read makes, whatever its channels."""
    return replace(read.tensor, rows=r.identity_view(len(read.rows)), cols=r.identity_view(len(read.cols)))


def _led(reads: Sequence[Read], shared: Sequence[Read]) -> list[Read]:
    """Reads of a digital node whose primary one is constant, another one first; empty if there is none."""
    width = reads[0].tensor.channels
    for i, read in enumerate(reads):
        if not read.tensor.constant.all():
            return [read, *reads[:i], *reads[i + 1 :]]
    for read in shared:
        live = np.flatnonzero(~read.tensor.constant)
        if len(live):
            return [replace(read, tensor=read.tensor.take(np.resize(live, width)))]
    return []


def _dealt(read: Read, primary: Read) -> list[Edge]:
    """Edges of as many channels as `primary` that together carry what `read` has and `primary` has not."""
    index, width = np.arange(read.tensor.channels), primary.tensor.channels
    if read.rows is primary.rows and read.cols is primary.cols:
        every, own = ((t.source << 32) + t.channel for t in (read.tensor, primary.tensor))
        index = index[~np.isin(every, own)]
    index = index[~read.tensor.constant[index]]
    check_size("node", "edges", -(-len(index) // width), "edges of a node")
    whole = read.edge()  # all with the same taps, as arrays too
    parts = (np.resize(index[i : i + width], width) for i in range(0, len(index), width))
    return [replace(whole, source=whole.source[part], channel=whole.channel[part]) for part in parts]


def _primary_rank(read: Read, pixels: int) -> tuple[bool, int, int]:
    t = read.tensor
    # A mask that all channels share is broadcast as well, and one entry per channel of it: tell by what differs.
    whole = t.height * t.width == pixels and len(np.unique((t.source << 32) + t.channel)) == t.channels
    return whole, -len(np.unique(t.source)), int(t.source.max())


def chain(layers: int, channels: int = 16, size: int = 16, kernel: int = 3) -> Network:
    """A synthetic chain of equal convolutions, for benchmarks.

    Examples
    --------
    >>> len(chain(5).layers)
    5
    """
    b = Builder(f"chain{layers}", f"synthetic: {layers} convolutions {kernel}x{kernel}, {channels} channels")
    x = b.input(channels, size, size)
    for i in range(layers):
        x = b.fuse(b.conv(x, channels, kernel, pads="same", name=f"conv{i + 1}"))
    return b.build()
