"""How operators become nodes, edges and fused operations, on graphs made by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from spatem_opt.network import Network
from spatem_opt.network.layers import Node, Weights
from tests.network.onnx_models import imported, ints, model, weight

N = helper.make_node


def node(network: Network, name: str) -> Node:
    return next(n for n in network.nodes if n.name == name)


def ops(network: Network) -> list[str]:
    return [n.op for n in network.nodes]


def test_depthwise_has_a_group_per_channel(tmp_path: Path) -> None:
    proto = model([N("Conv", ["x", "w"], ["y"], group=8)], (1, 8, 5, 5), [weight("w", 16, 1, 3, 3)])
    assert node(imported(tmp_path, proto), "y").weights == Weights(8, 1, 2, (3, 3))


def test_one_dimensional_convolution(tmp_path: Path) -> None:
    attributes = {"pads": [2, 1], "strides": [2], "dilations": [2]}
    proto = model([N("Conv", ["x", "w"], ["y"], **attributes)], (1, 4, 10), [weight("w", 6, 4, 3)])
    y = node(imported(tmp_path, proto), "y")
    assert (y.channels, y.height, y.width) == (6, 1, 5)
    assert y.weights == Weights(1, 4, 6, (1, 3), (1, 2), (1, 2))


def test_matmul_on_tokens_has_a_window_per_token(tmp_path: Path) -> None:
    nodes = [N("MatMul", ["x", "w"], ["a"]), N("Add", ["a", "b"], ["c"]), N("MatMul", ["c", "v"], ["y"])]
    network = imported(tmp_path, model(nodes, (1, 7, 4), [weight("w", 4, 9), weight("b", 9), weight("v", 9, 3)]))
    assert [(n.op, n.channels, n.height, n.width) for n in network.nodes] == [
        ("input", 4, 1, 7), ("matmul", 9, 1, 7), ("matmul", 3, 1, 7),
    ]  # fmt: skip
    assert node(network, "a").fused_ops == 9 * 7


@pytest.mark.parametrize(("shape", "transposed"), [((5, 8), 1), ((8, 5), 0)])
def test_gemm_after_a_feature_map_is_a_kernel_of_its_size(
    tmp_path: Path, shape: tuple[int, int], transposed: int
) -> None:
    nodes = [N("Conv", ["x", "w"], ["a"]), N("Flatten", ["a"], ["f"]), N("Gemm", ["f", "v"], ["y"], transB=transposed)]
    proto = model(nodes, (1, 2, 4, 4), [weight("w", 2, 2, 3, 3), weight("v", *shape)])
    y = node(imported(tmp_path, proto), "y")
    assert (y.op, y.weights, y.edges[0].rows.tolist()) == ("fc", Weights(1, 2, 5, (2, 2)), [[0, 1]])


def test_gemm_with_a_computed_bias_adds_it(tmp_path: Path) -> None:
    nodes = [N("Gemm", ["x", "w"], ["a"]), N("Gemm", ["x", "v", "a"], ["y"])]
    network = imported(tmp_path, model(nodes, (1, 4), [weight("w", 4, 3), weight("v", 4, 3)]))
    assert ops(network) == ["input", "fc", "fc", "add"]


def test_concat_and_split_are_edges(tmp_path: Path) -> None:
    nodes = [
        N("Conv", ["x", "w"], ["a"]), N("Conv", ["x", "w"], ["b"]), N("Concat", ["a", "b"], ["c"], axis=1),
        N("Split", ["c", "s"], ["d", "e"], axis=1), N("Conv", ["e", "v"], ["y"]),
    ]  # fmt: skip
    proto = model(nodes, (1, 2, 5, 5), [weight("w", 3, 2, 3, 3), ints("s", 2, 4), weight("v", 1, 4, 1, 1)])
    network = imported(tmp_path, proto)
    assert ops(network) == ["input", "conv", "conv", "conv"]
    edge = node(network, "y").edges[0]
    assert (edge.source.tolist(), edge.channel.tolist()) == ([1, 2, 2, 2], [2, 0, 1, 2])


def test_pool_over_a_concat_is_a_node_per_producer(tmp_path: Path) -> None:
    nodes = [
        N("Conv", ["x", "w"], ["a"]), N("Conv", ["x", "v"], ["b"]), N("Concat", ["a", "b"], ["c"], axis=1),
        N("MaxPool", ["c"], ["p"], kernel_shape=[2, 2], strides=[2, 2]), N("Conv", ["p", "u"], ["y"]),
    ]  # fmt: skip
    weights = [weight("w", 3, 2, 3, 3), weight("v", 2, 2, 3, 3), weight("u", 1, 5, 1, 1)]
    network = imported(tmp_path, model(nodes, (1, 2, 6, 6), weights))
    pools = [n for n in network.nodes if n.kind == "digital"]
    assert [(n.name, n.channels, n.ops_per_window) for n in pools] == [("p#0", 3, 12), ("p#1", 2, 8)]
    assert node(network, "y").edges[0].source.tolist() == [3, 3, 3, 4, 4]


def test_channel_shuffle_is_an_edge(tmp_path: Path) -> None:
    nodes = [
        N("Conv", ["x", "w"], ["a"], group=2), N("Reshape", ["a", "s"], ["b"]),
        N("Transpose", ["b"], ["c"], perm=[0, 2, 1, 3, 4]), N("Reshape", ["c", "t"], ["d"]),
        N("Conv", ["d", "v"], ["y"], group=3),
    ]  # fmt: skip
    weights = [weight("w", 6, 1, 1, 1), ints("s", 1, 2, 3, 4, 4), ints("t", 0, 6, -1, 4), weight("v", 3, 2, 1, 1)]
    network = imported(tmp_path, model(nodes, (1, 2, 4, 4), weights))
    assert ops(network) == ["input", "conv", "conv"]
    assert node(network, "y").edges[0].channel.tolist() == [0, 3, 1, 4, 2, 5]


def test_activation_times_its_input_is_fused(tmp_path: Path) -> None:
    nodes = [N("Conv", ["x", "w"], ["a"]), N("Sigmoid", ["a"], ["s"]), N("Mul", ["a", "s"], ["y"])]
    network = imported(tmp_path, model(nodes, initializers=[weight("w", 3, 2, 3, 3)]))
    assert ops(network) == ["input", "conv"]
    assert node(network, "a").fused_ops == 2 * 3 * 4 * 4


def test_primary_operand_covers_the_output(tmp_path: Path) -> None:
    nodes = [
        N("Conv", ["x", "w"], ["a"]), N("GlobalAveragePool", ["a"], ["g"]), N("Conv", ["g", "v"], ["s"]),
        N("Mul", ["s", "a"], ["y"]),
    ]  # fmt: skip
    network = imported(tmp_path, model(nodes, initializers=[weight("w", 3, 2, 3, 3), weight("v", 3, 3, 1, 1)]))
    assert [e.producers.tolist() for e in node(network, "y").edges] == [[1], [3]]
    assert node(network, "y").edges[1].rows.tolist() == [[0]] * 4


def test_channel_broadcast(tmp_path: Path) -> None:
    """A 1 x H x W mask (spatial attention) is read by every channel."""
    nodes = [N("Conv", ["x", "w"], ["a"]), N("Conv", ["x", "v"], ["m"]), N("Mul", ["a", "m"], ["y"])]
    network = imported(tmp_path, model(nodes, initializers=[weight("w", 3, 2, 3, 3), weight("v", 1, 2, 3, 3)]))
    y = node(network, "y")
    assert [e.channel.tolist() for e in y.edges] == [[0, 1, 2], [0, 0, 0]]


def test_every_edge_of_a_digital_node_has_its_channels(tmp_path: Path) -> None:
    nodes = [N("Conv", ["x", "w"], ["a"]), N("ReduceMax", ["a"], ["m"], axes=[1]), N("Conv", ["m", "v"], ["y"])]
    weights = [weight("w", 3, 2, 3, 3), weight("v", 1, 1, 1, 1)]
    network = imported(tmp_path, model(nodes, initializers=weights, opset=13))
    assert [e.channel.tolist() for e in node(network, "m").edges] == [[0], [1], [2]]


def test_reshape_that_cuts_pixels_depends_on_everything(tmp_path: Path) -> None:
    nodes = [N("Conv", ["x", "w"], ["a"]), N("Reshape", ["a", "s"], ["r"]), N("MatMul", ["r", "v"], ["y"])]
    network = imported(
        tmp_path, model(nodes, initializers=[weight("w", 3, 2, 3, 3), ints("s", 1, 8, 6), weight("v", 6, 5)])
    )
    reshape = node(network, "r.reshape")
    assert (reshape.channels, reshape.width, reshape.ops_per_window) == (6, 8, 0)
    assert set(reshape.edges[0].channel.tolist()) == {0, 1, 2}
    assert reshape.edges[0].rows.tolist() == [[0, 1, 2, 3]]


def test_several_outputs_and_dead_operators(tmp_path: Path) -> None:
    nodes = [
        N("Conv", ["x", "w"], ["a"]), N("Conv", ["a", "v"], ["b"]), N("Conv", ["a", "v"], ["c"]),
        N("NonZero", ["a"], ["dead"]), N("Conv", ["x", "w"], ["only its shape"]), N("Shape", ["only its shape"], ["s"]),
        N("Reshape", ["b", "s2"], ["d"]),
    ]  # fmt: skip
    weights = [weight("w", 3, 2, 3, 3), weight("v", 3, 3, 1, 1), ints("s2", 1, 48)]
    network = imported(tmp_path, model(nodes, initializers=weights, outputs=["c", "d", "s"]))
    assert [n.name for n in network.nodes] == ["x", "a", "b", "c"]


def test_several_inputs(tmp_path: Path) -> None:
    nodes = [N("Conv", ["a", "w"], ["c"]), N("Add", ["c", "b"], ["y"])]
    inputs: dict[str, list[int | str]] = {"a": [1, 2, 5, 5], "b": [1, 3, "h", "w"], "unused": ["?", "?"]}
    proto = model(nodes, inputs=inputs, initializers=[weight("w", 3, 2, 3, 3)])
    network = imported(tmp_path, proto, "b=1x3x3x3")
    assert [(n.name, n.kind) for n in network.nodes] == [
        ("a", "input"), ("b", "input"), ("c", "crossbar"), ("y", "digital"),
    ]  # fmt: skip


def test_output_that_is_computed_nowhere_else(tmp_path: Path) -> None:
    nodes = [N("Conv", ["x", "w"], ["a"]), N("Pad", ["a", "p"], ["z"])]
    network = imported(
        tmp_path, model(nodes, initializers=[weight("w", 3, 2, 3, 3), ints("p", 0, 0, 1, 1, 0, 0, 1, 1)], outputs=["z"])
    )
    assert ops(network) == ["input", "conv"]


def test_padding_differently_before_a_concat_makes_nodes(tmp_path: Path) -> None:
    nodes = [
        N("Conv", ["x", "w"], ["a"]), N("Conv", ["x", "v"], ["b"]), N("Pad", ["a", "p"], ["z"]),
        N("Concat", ["z", "b"], ["c"], axis=1), N("Conv", ["c", "u"], ["y"]),
    ]  # fmt: skip
    weights = [
        weight("w", 3, 2, 3, 3), weight("v", 2, 2, 1, 1), ints("p", 0, 0, 1, 1, 0, 0, 1, 1), weight("u", 1, 5, 3, 3),
    ]  # fmt: skip
    network = imported(tmp_path, model(nodes, initializers=weights))
    assert ops(network) == ["input", "conv", "conv", "pad", "conv"]
    assert network.nodes[3].edges[0].rows.tolist() == [[-1], [0], [1], [2], [3], [-1]]


WEIGHTS = {
    "Constant": [N("Constant", [], ["w"], value=weight("w", 3, 2, 3, 3))],
    "ConstantOfShape": [
        N("Constant", [], ["s"], value_ints=[3, 2, 3, 3]),
        N("ConstantOfShape", ["s"], ["w"], value=helper.make_tensor("v", TensorProto.FLOAT, [1], [1.0])),
    ],
    "Transpose of Reshape": [
        N("Constant", [], ["k"], value=weight("k", 54)), N("Constant", [], ["s"], value_ints=[2, 3, 3, -1]),
        N("Reshape", ["k", "s"], ["r"]), N("Identity", ["r"], ["i"]), N("Transpose", ["i"], ["w"], perm=[3, 0, 1, 2]),
    ],
    "DequantizeLinear": [
        N("Constant", [], ["q"], value=numpy_helper.from_array(np.ones((3, 2, 3, 3), np.int8))),
        N("Constant", [], ["scale"], value_float=0.1), N("DequantizeLinear", ["q", "scale"], ["w"]),
    ],
    "MatMul of constants": [
        N("Constant", [], ["a"], value=weight("a", 3, 4)), N("Constant", [], ["b"], value=weight("b", 4, 18)),
        N("Constant", [], ["s"], value_ints=[3, 2, 3, 3]), N("MatMul", ["a", "b"], ["m"]),
        N("Reshape", ["m", "s"], ["w"]),
    ],
    "Cast": [
        N("Constant", [], ["h"], value=numpy_helper.from_array(np.ones((3, 2, 3, 3), np.float16))),
        N("Cast", ["h"], ["w"], to=TensorProto.FLOAT),
    ],
}  # fmt: skip


@pytest.mark.parametrize("kind", WEIGHTS)
def test_weights_may_be(tmp_path: Path, kind: str) -> None:
    network = imported(tmp_path, model([*WEIGHTS[kind], N("Conv", ["x", "w"], ["y"])], opset=13))
    bits = 8 if kind == "DequantizeLinear" else None
    assert node(network, "y").weights == Weights(1, 2, 3, (3, 3), weight_bits=bits)


def test_external_weights_may_be_missing(tmp_path: Path) -> None:
    w = weight("w", 3, 2, 3, 3)
    w.ClearField("raw_data")
    w.data_location = TensorProto.EXTERNAL
    w.external_data.add(key="location", value="not_there.bin")
    network = imported(tmp_path, model([N("Conv", ["x", "w"], ["y"])], initializers=[w]))
    assert node(network, "y").weights == Weights(1, 2, 3, (3, 3))


def test_shape_arithmetic_of_exporters_is_folded(tmp_path: Path) -> None:
    nodes = [
        N("Conv", ["x", "w"], ["a"]), N("Shape", ["a"], ["s"]), N("Gather", ["s", "zero"], ["n"], axis=0),
        N("Unsqueeze", ["n", "zeros"], ["u"]), N("Constant", [], ["rest"], value_ints=[-1]),
        N("Concat", ["u", "rest"], ["t"], axis=0), N("Reshape", ["a", "t"], ["f"]), N("Gemm", ["f", "v"], ["y"]),
    ]  # fmt: skip
    zero = numpy_helper.from_array(np.array(0, np.int64), "zero")
    weights = [weight("w", 3, 2, 3, 3), zero, ints("zeros", 0), weight("v", 48, 5)]
    network = imported(tmp_path, model(nodes, ["batch", 2, 6, 6], weights, opset=13))
    assert node(network, "y").weights == Weights(1, 3, 5, (4, 4))


def test_quantised_operators(tmp_path: Path) -> None:
    scale = numpy_helper.from_array(np.array(0.1, np.float32), "s")
    zero = numpy_helper.from_array(np.array(0, np.uint8), "z")
    w = numpy_helper.from_array(np.ones((3, 2, 3, 3), np.uint8), "w")
    v = numpy_helper.from_array(np.ones((48, 5), np.uint8), "v")
    nodes = [
        N("QuantizeLinear", ["x", "s", "z"], ["q"]),
        N("QLinearConv", ["q", "s", "z", "w", "s", "z", "s", "z"], ["c"]), N("Flatten", ["c"], ["f"]),
        N("QLinearMatMul", ["f", "s", "z", "v", "s", "z", "s", "z"], ["m"]),
        N("DequantizeLinear", ["m", "s", "z"], ["y"]),
    ]  # fmt: skip
    network = imported(tmp_path, model(nodes, initializers=[scale, zero, w, v]))
    assert ops(network) == ["input", "conv", "fc"]


def test_channels_last_input(tmp_path: Path) -> None:
    turned = N("Transpose", ["a"], ["t"], perm=[0, 3, 1, 2])
    nodes = [N("Sub", ["x", "mean"], ["a"]), turned, N("Conv", ["t", "w"], ["y"])]
    network = imported(tmp_path, model(nodes, (1, 6, 5, 2), [weight("mean", 2), weight("w", 3, 2, 3, 3)]))
    assert [(n.channels, n.height, n.width) for n in network.nodes] == [(2, 6, 5), (3, 4, 3)]
    assert network.nodes[0].fused_ops == 60


def test_local_functions_are_inlined(tmp_path: Path) -> None:
    proto = model([N("Block", ["x", "w"], ["y"], domain="mine")], initializers=[weight("w", 3, 2, 3, 3)])
    body = [N("Conv", ["a", "b"], ["c"]), N("Relu", ["c"], ["d"])]
    opset = [helper.make_opsetid("", 18)]
    proto.functions.append(helper.make_function("mine", "Block", ["a", "b"], ["d"], body, opset))
    proto.opset_import.append(helper.make_opsetid("mine", 1))
    assert ops(imported(tmp_path, proto)) == ["input", "conv"]


def test_unsorted_graph_is_sorted(tmp_path: Path) -> None:
    nodes = [N("Conv", ["a", "v"], ["y"]), N("Conv", ["x", "w"], ["a"])]
    network = imported(tmp_path, model(nodes, initializers=[weight("w", 3, 2, 3, 3), weight("v", 3, 3, 1, 1)]))
    assert [n.name for n in network.nodes] == ["x", "a", "y"]


@pytest.mark.parametrize("opset", [9, 11, 13, 18, 21])
def test_opsets(tmp_path: Path, opset: int) -> None:
    """Operators whose arguments moved from attributes to inputs."""
    initializers = [weight("w", 3, 2, 3, 3), weight("v", 12, 4)]
    nodes = [N("Conv", ["x", "w"], ["a"])]
    if opset < 13:
        nodes += [N("Squeeze", ["g"], ["q"], axes=[2, 3]), N("Unsqueeze", ["q"], ["u"], axes=[2, 3])]
    else:
        initializers.append(ints("axes", 2, 3))
        nodes += [N("Squeeze", ["g", "axes"], ["q"]), N("Unsqueeze", ["q", "axes"], ["u"])]
    reduce = N("ReduceMean", ["a"], ["g"], axes=[2, 3]) if opset < 18 else N("ReduceMean", ["a", "axes"], ["g"])
    scales = numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "scales")
    resize = N("Upsample", ["u", "scales"], ["r"]) if opset < 10 else N("Resize", ["u", "", "scales"], ["r"])
    nodes = [nodes[0], reduce, *nodes[1:], resize, N("Flatten", ["r"], ["f"]), N("Gemm", ["f", "v"], ["y"])]
    network = imported(tmp_path, model(nodes, initializers=[*initializers, scales], opset=opset))
    assert ops(network) == ["input", "conv", "reduce_mean", "resize", "fc"]


def test_model_with_stripped_weights_and_no_names(tmp_path: Path) -> None:
    w = onnx.TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[3, 2, 3, 3])
    assert node(imported(tmp_path, model([N("Conv", ["x", "w"], ["y"])], initializers=[w])), "y").channels == 3
