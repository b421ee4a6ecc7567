"""Small networks that read in every odd way: crops, strides, channels nobody reads, digital nodes at the inputs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spatem_opt.model.architecture import Architecture
from spatem_opt.network import receptive
from spatem_opt.network.builder import Builder
from spatem_opt.network.layers import Network
from spatem_opt.network.maps import Read, Tensor

Rng = np.random.Generator
KINDS = ("chain", "strips", "sides", "inputs", "mixed", "gate", "shared")
"""What every instance is sure to have, besides a random rest; see :func:`network`."""


def chip(rng: Rng) -> Architecture:
    """1 to 4 tiles of few small crossbars; now and then slow ports, routers, or digital units."""
    ou_rows, ou_cols = int(rng.integers(2, 6)), int(rng.integers(2, 5))
    slow = rng.random() < 0.3
    return Architecture(
        name="small", mesh_rows=int(rng.integers(1, 3)), mesh_cols=int(rng.integers(1, 3)),
        tiles_per_router=int(rng.integers(1, 3)), pes_per_tile=int(rng.integers(1, 3)),
        crossbars_per_pe=int(rng.integers(2, 5)),
        crossbar_rows=ou_rows * int(rng.integers(2, 5)) + int(rng.integers(0, 2)),
        crossbar_cols=ou_cols * int(rng.integers(2, 5)) + int(rng.integers(0, 2)),
        ou_rows=ou_rows, ou_cols=ou_cols, cell_bits=2, dac_bits=int(rng.integers(1, 3)), adc_bits=8,
        weight_bits=int(rng.integers(2, 5)), activation_bits=int(rng.integers(1, 6)),
        partial_sum_bits=int(rng.integers(1, 8)), pipeline_tail_cycles=int(rng.integers(0, 6)),
        buffer_bits_per_cycle=int(rng.integers(3, 12)) if slow else 1000, overlap_input=bool(rng.random() < 0.4),
        input_load="full" if rng.random() < 0.2 else "needed",
        router_bits_per_cycle=int(rng.integers(1, 6)) if slow else int(rng.integers(20, 60)),
        hop_cycles=int(rng.integers(0, 3)),
        router_service=str(rng.choice(["shared", "links"])), input_entry=str(rng.choice(["columns", "corner"])),
        multicast=bool(rng.random() < 0.2), digital_ops_per_cycle=int(rng.integers(1, 9)),
        static_fj=int(rng.integers(0, 3)) * 1000,
    )  # fmt: skip


def network(rng: Rng, kind: str) -> Network:
    """At most four crossbar layers.

    ``strips``: one row and one column of a map are read; ``sides``: a digital node at the input with one on the chip
    behind it; ``inputs``: two of them, joined; ``mixed``: a node at an input reads a layer; ``gate``: a map times what
    all its pixels give; ``shared``: two crops of one input, of other channels each.
    """
    b = Builder(kind, "generated for a test")
    x = _before(rng, b, b.input(int(rng.integers(1, 4)), int(rng.integers(2, 7)), int(rng.integers(2, 7))))
    if kind == "strips":
        y = _layer(rng, b, x) if rng.random() < 0.6 else x
        row, column = b.conv(_crop(rng, y, rows=1), 2, 1), b.conv(_crop(rng, y, cols=1), 1, 1)
        x = b.concat([b.global_pool(row), b.global_pool(column)]) if rng.random() < 0.5 else row
    elif kind == "sides":
        y = b.pool(x, "max", (min(2, x.height), 1), stride=int(rng.integers(1, 3)))
        x = b.concat([_same(b, y, 2), b.pool(y, "average", 1)])
    elif kind == "inputs":
        other = b.input(int(rng.integers(1, 4)), x.height, x.width, name="second")
        joined = b.add(x, other) if other.channels == x.channels else b.concat([x, other])
        x = b.add(_same(b, joined, 2), _same(b, _some(rng, other), 2))
    elif kind == "mixed":
        y = _same(b, x, x.channels)
        x = b.digital("mix", "mul", [as_it_is(x), as_it_is(y)], ops=int(rng.integers(0, 4)))
    elif kind == "gate":
        y = _layer(rng, b, x)
        x = b.elementwise("mul", [y, b.conv(b.global_pool(y), y.channels, 1)])
    elif kind == "shared":
        b.conv(_crop(rng, _some(rng, x)), 2, 1)
        x = b.conv(_crop(rng, _some(rng, x)), 2, 1)
    if kind == "chain" or rng.random() < 0.6:
        x = _layer(rng, b, x)
    if rng.random() < 0.4:
        x = b.fc(_crop(rng, _some(rng, x)), 2)
        if rng.random() < 0.3:
            b.digital("slow", "softmax", [as_it_is(x)], ops=int(rng.integers(1, 40)))
    return b.build()


def own_bits(rng: Rng, network: Network) -> Network:
    """The network with bits of their own for about half of its layers' weights, activations and partial sums."""
    nodes = []
    for node in network.nodes:
        if node.weights is not None:
            fields = ("weight_bits", "activation_bits", "partial_sum_bits")
            bits = {name: int(rng.integers(1, 9)) for name in fields if rng.random() < 0.5}
            node = replace(node, weights=replace(node.weights, **bits))
        nodes.append(node)
    return replace(network, nodes=tuple(nodes))


def _before(rng: Rng, b: Builder, x: Tensor) -> Tensor:
    """The input as it is, pooled, resized, cropped, padded, or some of its channels."""
    draw = rng.integers(7)
    if draw == 0:
        return b.pool(x, "average", 2, stride=2)
    if draw == 1:
        return b.upsample(x, (1, 2))
    if draw == 2:
        return _crop(rng, x)
    if draw == 3:
        return b.plain(x.pad(1, 0, 0, 1))
    return _some(rng, x) if draw == 4 else x


def _layer(rng: Rng, b: Builder, x: Tensor) -> Tensor:
    """A convolution with any kernel, stride and padding, sometimes of some channels only, sometimes transposed."""
    x = _some(rng, x) if rng.random() < 0.3 else x
    filters, draw = int(rng.integers(1, 4)), rng.integers(6)
    if draw == 0:
        return b.conv_transpose(x, filters, 2, 2) if x.height * x.width < 17 else b.conv(x, filters, 1, stride=2)
    kernel = min(int(rng.integers(1, 4)), x.height), min(int(rng.integers(1, 4)), x.width)
    groups = x.channels if draw == 1 else 1
    y = b.conv(x, filters * groups, kernel, stride=int(rng.integers(1, 4)), pads=int(rng.integers(0, 2)), groups=groups)
    return b.pool(y, "max", 2, stride=int(rng.integers(1, 3))) if draw == 2 and min(y.height, y.width) > 1 else y


def _same(b: Builder, x: Tensor, filters: int) -> Tensor:
    return b.conv(x, filters, 3 if min(x.height, x.width) > 2 else 1, pads="same")


def _some(rng: Rng, x: Tensor) -> Tensor:
    """Some of the channels, in any order."""
    return x.take(rng.permutation(x.channels)[: int(rng.integers(1, x.channels + 1))])


def _crop(rng: Rng, x: Tensor, rows: int | None = None, cols: int | None = None) -> Tensor:
    """A part of the pixels: so many rows of all columns, so many columns of all rows, or any rectangle."""
    high = rows or (x.height if cols else int(rng.integers(1, x.height + 1)))
    wide = cols or (x.width if rows else int(rng.integers(1, x.width + 1)))
    top, left = int(rng.integers(x.height - high + 1)), int(rng.integers(x.width - wide + 1))
    return x.pad(-top, -left, high + top - x.height, wide + left - x.width)


def as_it_is(x: Tensor) -> Read:
    """Every pixel read by its own window."""
    return Read(x, receptive.identity_taps(x.height), receptive.identity_taps(x.width))
