"""Inputs of any layout, constants among channels and pixels, and pixels that are split: against runs of the graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from spatem_opt.network import from_json, to_json
from spatem_opt.network.layers import CONSTANT
from spatem_opt.network.stats import total_macs, total_parameters
from tests.network.onnx_models import dependence, implied, imported, ints, model, weight

N = helper.make_node
NHWC = (1, 6, 5, 2)
LAST = N("Transpose", ["t"], ["n"], perm=[0, 3, 1, 2])
CONV = N("Conv", ["n", "w"], ["y"])
W = weight("w", 3, 2, 3, 3)

# Movement between an NHWC input and the Transpose, weights; the shape that the layer reads is 2 channels of pixels.
BEFORE: dict[str, tuple[list[onnx.NodeProto], list[onnx.TensorProto]]] = {
    "pad": ([N("Pad", ["x", "p"], ["t"])], [ints("p", 0, 1, 2, 0, 0, 0, 1, 0)]),
    "slice": ([N("Slice", ["x", "s", "e", "a"], ["t"])], [ints("s", 1), ints("e", 5), ints("a", 1)]),
    "strided slice": (
        [N("Slice", ["x", "s", "e", "a", "d"], ["t"])], [ints("s", 0), ints("e", 5), ints("a", 2), ints("d", 2)],
    ),
    "channels turned": (
        [N("Split", ["x"], ["b", "r"], axis=3, num_outputs=2), N("Concat", ["r", "b"], ["t"], axis=3)], [],
    ),
    "gathered channels": ([N("Gather", ["x", "i"], ["t"], axis=3)], [ints("i", 1, 0)]),
    "reshaped": ([N("Reshape", ["x", "s"], ["r"]), N("Reshape", ["r", "s2"], ["t"])],
                 [ints("s", 30, 2), ints("s2", 1, 6, 5, 2)]),
    "scaled": ([N("Mul", ["x", "k"], ["u"]), N("Pad", ["u", "p"], ["t"])],
               [weight("k", 2), ints("p", 0, 1, 0, 0, 0, 1, 0, 0)]),
    "rolled": (
        [N("Slice", ["x", "s", "e", "a"], ["u"]), N("Slice", ["x", "z", "s", "a"], ["v"]),
         N("Concat", ["u", "v"], ["t"], axis=1)],
        [ints("s", 2), ints("e", 99), ints("z", 0), ints("a", 1)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BEFORE)
def test_channels_last_input(tmp_path: Path, case: str) -> None:
    nodes, weights = BEFORE[case]
    proto = model([*nodes, LAST, CONV], NHWC, [*weights, W])
    network = imported(tmp_path, proto)
    assert [(n.kind, n.channels) for n in network.nodes] == [("input", 2), ("crossbar", 3)]
    assert (network.nodes[0].height, network.nodes[0].width) == (6, 5)
    seen = dependence(proto, "y", NHWC)[0].any(axis=(0, 3, 6))  # any filter; any channel of the input
    assert np.array_equal(implied(network, 1), seen)


def test_focus_of_a_channels_last_input(tmp_path: Path) -> None:
    """Every second pixel as channels of its own (YOLOv5): the layer behind has windows of 6 x 6 pixels, each 4 x 4."""
    parts, weights = [], [ints("e", 99, 99), ints("a", 1, 2), ints("d", 2, 2), weight("w", 3, 8, 3, 3)]
    for i in range(4):
        parts.append(N("Slice", ["x", f"s{i}", "e", "a", "d"], [f"p{i}"]))
        weights.append(ints(f"s{i}", i % 2, i // 2))
    join = N("Concat", [f"p{i}" for i in range(4)], ["t"], axis=3)
    proto = model([*parts, join, LAST, CONV], (1, 8, 8, 2), weights)
    network = imported(tmp_path, proto)
    assert network.nodes[0].channels == 2
    assert network.nodes[-1].weights is not None
    assert network.nodes[-1].weights.rows == 8 * 9
    seen = dependence(proto, "y", (1, 8, 8, 2))[0].any(axis=(0, 3, 6))
    assert np.array_equal(implied(network, len(network.nodes) - 1), seen)


INPUTS: dict[str, tuple[list[onnx.NodeProto], tuple[int, ...], list[onnx.TensorProto], tuple[int, int, int]]] = {
    "samples": (
        [N("Unsqueeze", ["x", "o"], ["u"]), N("Conv", ["u", "v"], ["y"])], (1, 12),
        [ints("o", 1), weight("v", 4, 1, 5)], (1, 1, 12),
    ),
    "channels, rows, columns": (
        [N("Unsqueeze", ["x", "o"], ["u"]), N("Conv", ["u", "w"], ["y"])], (2, 8, 7), [ints("o", 0), W], (2, 8, 7),
    ),
    "rows, columns": (
        [N("Unsqueeze", ["x", "o"], ["u"]), N("Conv", ["u", "v"], ["y"])], (8, 7),
        [ints("o", 0, 1), weight("v", 4, 1, 3, 3)], (1, 8, 7),
    ),
    "rows, columns, channels": (
        [N("Transpose", ["x"], ["c"], perm=[2, 0, 1]), N("Unsqueeze", ["c", "o"], ["u"]),
         N("Conv", ["u", "w"], ["y"])],
        (8, 7, 2), [ints("o", 0), W], (2, 8, 7),
    ),
    "time, features": (
        [N("Transpose", ["x"], ["t"], perm=[0, 2, 1]), N("Conv", ["t", "v"], ["y"])], (1, 12, 2),
        [weight("v", 4, 2, 3)], (2, 1, 12),
    ),
    "tokens behind each other": (
        [N("Transpose", ["x"], ["t"], perm=[1, 0, 2]), N("MatMul", ["t", "v"], ["y"])], (1, 12, 2), [weight("v", 2, 3)],
        (2, 12, 1),
    ),
    "tokens turned in the plane": (
        [N("Mul", ["x", "k"], ["a"]), N("Neg", ["x"], ["n"]), N("Add", ["a", "n"], ["s"]),
         N("MatMul", ["s", "v"], ["y"])],
        (1, 12, 2), [weight("k", 12, 2), weight("v", 2, 3)], (2, 1, 12),
    ),
    "an image in five dimensions": (
        [N("Squeeze", ["x", "o"], ["u"]), N("Conv", ["u", "w"], ["y"])], (1, 1, 2, 8, 7), [ints("o", 1), W], (2, 8, 7),
    ),
    "tokens": ([N("MatMul", ["x", "v"], ["y"])], (1, 12, 2), [weight("v", 2, 3)], (2, 1, 12)),
    "a flat image": (
        [N("Reshape", ["x", "s"], ["u"]), N("Conv", ["u", "v"], ["y"])], (1, 64),
        [ints("s", 1, 1, 8, 8), weight("v", 4, 1, 3, 3)], (1, 64, 1),
    ),
    "a vector": ([N("Gemm", ["x", "v"], ["y"])], (1, 12), [weight("v", 12, 3)], (12, 1, 1)),
}  # fmt: skip


@pytest.mark.parametrize("case", INPUTS)
def test_layout_of_the_input(tmp_path: Path, case: str) -> None:
    nodes, shape, weights, expected = INPUTS[case]
    network = imported(tmp_path, model(nodes, shape, weights))
    first = network.nodes[0]
    assert (first.channels, first.height, first.width) == expected


def test_batch_is_the_axis_that_no_operator_takes_for_another(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"input 'x': shape = '4x6x5x2', expected batch 1"):
        imported(tmp_path, model([N("Identity", ["x"], ["t"]), LAST, CONV], (4, 6, 5, 2), [W]))


SHORTCUT = [
    N("Conv", ["x", "w"], ["a"]), N("Pad", ["a", "p"], ["c"]), N("Conv", ["a", "v"], ["d"]),
    N("Add", ["c", "d"], ["e"]), N("Conv", ["e", "u"], ["y"]),
]  # fmt: skip


def test_zero_channels_of_a_shortcut_need_no_work(tmp_path: Path) -> None:
    """Option A of CIFAR ResNets: of 7 channels 3 are added, the other 4 are those of the convolution alone."""
    weights = [W, ints("p", 0, 2, 0, 0, 0, 2, 0, 0), weight("v", 7, 3, 1, 1), weight("u", 2, 7, 1, 1)]
    network = imported(tmp_path, model(SHORTCUT, initializers=weights))
    assert [(n.kind, n.channels) for n in network.nodes] == [
        ("input", 2), ("crossbar", 3), ("crossbar", 7), ("digital", 3), ("crossbar", 2),
    ]  # fmt: skip
    edge = network.nodes[4].edges[0]
    assert edge.source.tolist() == [2, 2, 3, 3, 3, 2, 2]
    assert edge.channel.tolist() == [0, 1, 0, 1, 2, 5, 6]


def test_constant_channels_are_read_by_a_layer_from_nowhere(tmp_path: Path) -> None:
    """CoordConv: two constant maps are joined to the image; they have weights, but no producer."""
    constant = weight("grid", 1, 2, 6, 6)
    nodes = [N("Concat", ["x", "grid"], ["c"], axis=1), N("Conv", ["c", "v"], ["y"])]
    network = imported(tmp_path, model(nodes, initializers=[constant, weight("v", 3, 4, 3, 3)]))
    edge = network.nodes[1].edges[0]
    assert edge.source.tolist() == [0, 0, CONSTANT, CONSTANT]
    assert edge.producers.tolist() == [0]
    assert (total_parameters(network), total_macs(network)) == (108, 108 * 16)
    again = from_json(to_json(network))
    assert again.nodes[1].edges[0].source.tolist() == edge.source.tolist()


def test_pooled_constants_stay_constants(tmp_path: Path) -> None:
    nodes = [
        N("Concat", ["grid", "x"], ["c"], axis=1), N("MaxPool", ["c"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        N("ReduceMax", ["p", "axes"], ["m"]), N("Mul", ["p", "m"], ["q"]), N("Conv", ["q", "v"], ["y"]),
    ]  # fmt: skip
    weights = [weight("grid", 1, 2, 6, 6), ints("axes", 1), weight("v", 3, 4, 3, 3)]
    network = imported(tmp_path, model(nodes, initializers=weights, outputs=["y", "m"]))
    assert [n.op for n in network.nodes] == ["input", "max_pool", "reduce_max", "mul", "conv"]
    # The maximum is one of constants and of the two channels; products with constants are scaled copies of it.
    assert network.nodes[4].edges[0].source.tolist() == [2, 2, 3, 3]


def test_constant_pixels_are_padding(tmp_path: Path) -> None:
    """A class token: 16 tokens are made of 4 x 4 pixels, and one more in front depends on nothing."""
    nodes = [
        N("Conv", ["x", "w"], ["a"]), N("Reshape", ["a", "s"], ["b"]), N("Transpose", ["b"], ["t"], perm=[0, 2, 1]),
        N("Concat", ["token", "t"], ["c"], axis=1), N("MatMul", ["c", "v"], ["y"]),
    ]  # fmt: skip
    weights = [W, ints("s", 1, 3, 16), weight("token", 1, 1, 3), weight("v", 3, 5)]
    proto = model(nodes, initializers=weights)
    network = imported(tmp_path, proto)
    seen = dependence(proto, "y", (1, 2, 6, 6))[0].any(axis=(1, 2, 3))
    assert network.nodes[-1].windows == 17
    assert np.array_equal(implied(network, len(network.nodes) - 1).reshape(17, 6, 6), seen)


SPLIT: dict[str, tuple[list[onnx.NodeProto], list[onnx.TensorProto], tuple[int, ...]]] = {
    "pixel unshuffle": (
        [N("Reshape", ["x", "s"], ["a"]), N("Transpose", ["a"], ["b"], perm=[0, 1, 3, 5, 2, 4]),
         N("Reshape", ["b", "s2"], ["c"]), N("Conv", ["c", "v"], ["y"])],
        [ints("s", 1, 2, 4, 2, 4, 2), ints("s2", 1, 8, 4, 4), weight("v", 3, 8, 2, 2)], (1, 2, 8, 8),
    ),
    "reorg of YOLOv2": (
        [N("Reshape", ["x", "s"], ["a"]), N("Transpose", ["a"], ["b"], perm=[0, 3, 5, 1, 2, 4]),
         N("Reshape", ["b", "s2"], ["c"]), N("Conv", ["c", "v"], ["y"])],
        [ints("s", 1, 2, 4, 2, 4, 2), ints("s2", 1, -1, 4, 4), weight("v", 3, 8, 2, 2)], (1, 2, 8, 8),
    ),
    "columns by a table": (
        [N("Gather", ["x", "i"], ["a"], axis=3), N("Transpose", ["a"], ["b"], perm=[0, 1, 4, 2, 3]),
         N("Reshape", ["b", "s"], ["c"]), N("Conv", ["c", "v"], ["y"])],
        [onnx.numpy_helper.from_array(np.arange(8).reshape(4, 2), "i"), ints("s", 1, 4, 8, 4),
         weight("v", 3, 4, 2, 2)],
        (1, 2, 8, 8),
    ),
    "patches by a matrix": (  # 2 x 2 pixels of 2 channels, one after the other
        [N("Reshape", ["x", "s"], ["a"]), N("Transpose", ["a"], ["b"], perm=[0, 2, 4, 3, 5, 1]),
         N("Reshape", ["b", "s2"], ["c"]), N("MatMul", ["c", "v"], ["d"]),
         N("Transpose", ["d"], ["y"], perm=[0, 3, 1, 2])],
        [ints("s", 1, 2, 4, 2, 4, 2), ints("s2", 1, 4, 4, 8), weight("v", 8, 3)], (1, 2, 8, 8),
    ),
    "windows in other windows' places": (
        [N("Reshape", ["x", "s"], ["a"]), N("Transpose", ["a"], ["b"], perm=[0, 1, 3, 2, 4]),
         N("Reshape", ["b", "s2"], ["c"]), N("Conv", ["c", "v"], ["y"])],
        [ints("s", 1, 2, 4, 2, 8), ints("s2", 1, 2, 8, 8), weight("v", 3, 2, 2, 2)], (1, 2, 8, 8),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", SPLIT)
def test_pixels_that_are_split(tmp_path: Path, case: str) -> None:
    nodes, weights, shape = SPLIT[case]
    proto = model(nodes, shape, weights)
    network = imported(tmp_path, proto)
    assert len(network.layers) == 1
    seen = dependence(proto, "y", shape)[0].any(axis=(0, 3, 4))
    assert np.array_equal(implied(network, len(network.nodes) - 1), seen)
