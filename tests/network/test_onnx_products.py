"""Products of two activations, softmax and normalisation over any axes: fields against runs, operations by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from spatem_opt.network import Network
from spatem_opt.network.layers import Node
from tests.network.onnx_models import dependence, implied, imported, ints, model, weight

N = helper.make_node


def product(network: Network, name: str) -> Node:
    return next(n for n in network.nodes if n.name == name)


def fields_agree(network: Network, proto: onnx.ModelProto, shape: tuple[int, ...], tokens: tuple[int, ...]) -> None:
    """Fields of the last node against a run; `tokens`: axes of the output that its pixels run over,
    in raster order."""
    seen = dependence(proto, "y", shape)
    rank = seen.ndim - len(shape)
    pixels = seen.shape[rank + 1 :] if len(shape) == 4 else seen.shape[rank + 1 : rank + 2]
    away = tuple(a for a in range(rank) if a not in tokens)
    channel = (rank, rank + 1) if len(shape) == 4 else (rank, rank + 2)
    seen = seen.any(axis=(*away, *channel))
    found = implied(network, len(network.nodes) - 1)
    assert np.array_equal(found.reshape(-1, found.shape[2] * found.shape[3]), seen.reshape(-1, np.prod(pixels[-2:])))


HEADS = [  # 12 tokens of 8 features, 2 heads of 4
    N("MatMul", ["x", "wq"], ["q0"]), N("MatMul", ["x", "wk"], ["k0"]), N("MatMul", ["x", "wv"], ["v0"]),
    N("Reshape", ["q0", "s"], ["q1"]), N("Reshape", ["k0", "s"], ["k1"]), N("Reshape", ["v0", "s"], ["v1"]),
    N("Transpose", ["q1"], ["q"], perm=[0, 2, 1, 3]), N("Transpose", ["k1"], ["k"], perm=[0, 2, 3, 1]),
    N("Transpose", ["v1"], ["v"], perm=[0, 2, 1, 3]), N("MatMul", ["q", "k"], ["scores"]),
    N("Div", ["scores", "root"], ["scaled"]), N("Softmax", ["scaled"], ["p"], axis=-1),
    N("MatMul", ["p", "v"], ["o0"]), N("Transpose", ["o0"], ["o1"], perm=[0, 2, 1, 3]),
    N("Reshape", ["o1", "t"], ["o"]), N("MatMul", ["o", "wo"], ["y"]),
]  # fmt: skip
HEAD_WEIGHTS = [
    *(weight(n, 8, 8) for n in ("wq", "wk", "wv", "wo")), ints("s", 1, 12, 2, 4), ints("t", 1, 12, 8),
    weight("root", 1),
]  # fmt: skip


def test_attention_of_several_heads(tmp_path: Path) -> None:
    proto = model(HEADS, (1, 12, 8), HEAD_WEIGHTS)
    network = imported(tmp_path, proto)
    assert [n.op for n in network.nodes] == ["input", *["matmul"] * 4, "softmax", "matmul", "matmul"]
    scores, values = product(network, "scores"), product(network, "o0")
    assert (scores.kind, scores.channels, scores.windows) == ("digital", 2 * 12, 12)
    assert scores.ops_per_window == 2 * 12 * 4  # 4 products for each of 12 keys in 2 heads
    assert (values.channels, values.windows, values.ops_per_window) == (8, 12, 8 * 12)
    for edge in scores.edges:  # every head reads its own features, each of them in some output channel
        head = np.arange(24) // 12
        assert (edge.channel // 4 == head).all()
        assert sorted(set(edge.channel.tolist())) == list(range(8))
    fields_agree(network, proto, (1, 12, 8), (1,))


def test_attention_with_pixels_on_the_right(tmp_path: Path) -> None:
    """YOLO11: features x tokens; scores are q^T k, and values are multiplied by their transpose."""
    nodes = [
        N("Conv", ["x", "w"], ["qkv"]), N("Reshape", ["qkv", "s"], ["r"]),
        N("Split", ["r", "parts"], ["q", "k", "v"], axis=2),
        N("Transpose", ["q"], ["qt"], perm=[0, 1, 3, 2]), N("MatMul", ["qt", "k"], ["scores"]),
        N("Softmax", ["scores"], ["p"], axis=-1), N("Transpose", ["p"], ["pt"], perm=[0, 1, 3, 2]),
        N("MatMul", ["v", "pt"], ["o"]), N("Reshape", ["o", "t"], ["m"]), N("Conv", ["m", "u"], ["y"]),
    ]  # fmt: skip
    weights = [
        weight("w", 16, 2, 3, 3), ints("s", 1, 2, 8, 9), ints("parts", 2, 2, 4), ints("t", 1, 8, 3, 3),
        weight("u", 8, 8, 1, 1),
    ]  # fmt: skip
    proto = model(nodes, (1, 2, 5, 5), weights)
    network = imported(tmp_path, proto)
    scores, values = product(network, "scores"), product(network, "o")
    assert (scores.channels, scores.height, scores.width, scores.ops_per_window) == (18, 3, 3, 18 * 2)
    assert (values.channels, values.height, values.width, values.ops_per_window) == (8, 3, 3, 8 * 9)
    assert len(network.layers) == 2
    fields_agree(network, proto, (1, 2, 5, 5), (2, 3))


@pytest.mark.parametrize("shift", [False, True])
def test_attention_in_windows(tmp_path: Path, shift: bool) -> None:
    """Swin: 4 x 4 pixels in windows of 2 x 2,
    also after a cyclic shift by one row; an output depends on its window."""
    roll = [
        N("Slice", ["x", "one", "end", "a2"], ["low"]), N("Slice", ["x", "zero", "one", "a2"], ["up"]),
        N("Concat", ["low", "up"], ["rolled"], axis=2),
    ]  # fmt: skip
    nodes = [
        *(roll if shift else [N("Identity", ["x"], ["rolled"])]),
        N("Reshape", ["rolled", "s"], ["a"]), N("Transpose", ["a"], ["b"], perm=[0, 2, 4, 3, 5, 1]),
        N("Reshape", ["b", "t"], ["c"]), N("MatMul", ["c", "wq"], ["q"]), N("MatMul", ["c", "wk"], ["k"]),
        N("Transpose", ["k"], ["kt"], perm=[0, 2, 1]), N("MatMul", ["q", "kt"], ["scores"]),
        N("Add", ["scores", "bias"], ["biased"]), N("Softmax", ["biased"], ["p"], axis=-1),
        N("MatMul", ["p", "c"], ["o"]),
        N("MatMul", ["o", "wo"], ["m"]), N("Reshape", ["m", "back"], ["d"]),
        N("Transpose", ["d"], ["e"], perm=[0, 5, 1, 3, 2, 4]), N("Reshape", ["e", "image"], ["f"]),
        N("Conv", ["f", "u"], ["y"]),
    ]  # fmt: skip
    weights = [
        ints("one", 1), ints("end", 99), ints("a2", 2), ints("zero", 0), ints("s", 1, 6, 2, 2, 2, 2),
        ints("t", 4, 4, 6),
        weight("wq", 6, 6), weight("wk", 6, 6), weight("wo", 6, 6), weight("bias", 1, 4, 4),
        ints("back", 1, 2, 2, 2, 2, 6),
        ints("image", 1, 6, 4, 4), weight("u", 3, 6, 1, 1),
    ]  # fmt: skip
    proto = model(nodes, (1, 6, 4, 4), weights)
    network = imported(tmp_path, proto)
    assert len(network.layers) == 4
    assert not [n for n in network.nodes if n.op == "reshape"]
    assert product(network, "scores").ops_per_window == 4 * 6
    fields_agree(network, proto, (1, 6, 4, 4), (2, 3))


AXES: dict[str, tuple[onnx.NodeProto, list[onnx.TensorProto]]] = {
    "softmax of a row": (N("Softmax", ["a"], ["s"], axis=3), []),
    "softmax of a column": (N("LogSoftmax", ["a"], ["s"], axis=2), []),
    "softmax of channels": (N("Softmax", ["a"], ["s"], axis=1), []),
    "layer norm of rows and columns": (N("LayerNormalization", ["a", "g"], ["s"], axis=2), [weight("g", 4, 4)]),
    "layer norm of all": (N("LayerNormalization", ["a", "g"], ["s"], axis=1), [weight("g", 3, 4, 4)]),
    "group norm": (N("GroupNormalization", ["a", "g", "g"], ["s"], num_groups=3), [weight("g", 3)]),
    "norm of a row": (N("LpNormalization", ["a"], ["s"], axis=-1, p=2), []),
}


@pytest.mark.parametrize("case", AXES)
def test_operators_over_axes(tmp_path: Path, case: str) -> None:
    op, weights = AXES[case]
    nodes = [N("Conv", ["x", "w"], ["a"]), op, N("Conv", ["s", "u"], ["y"])]
    proto = model(nodes, initializers=[weight("w", 3, 2, 3, 3), weight("u", 2, 3, 1, 1), *weights])
    network = imported(tmp_path, proto)
    assert [(n.kind, n.ops_per_window) for n in network.nodes][2] == ("digital", 3 * 3)
    fields_agree(network, proto, (1, 2, 6, 6), (2, 3))


def test_softmax_over_the_last_axes_of_older_opsets(tmp_path: Path) -> None:
    """Before opset 13 the axis is where the flattened rest begins."""
    nodes = [N("Conv", ["x", "w"], ["a"]), N("Softmax", ["a"], ["s"], axis=2), N("Conv", ["s", "u"], ["y"])]
    weights = [weight("w", 3, 2, 3, 3), weight("u", 2, 3, 1, 1)]
    network = imported(tmp_path, model(nodes, initializers=weights, opset=11))
    assert implied(network, 2).all()


def test_softmax_of_a_vector_is_fused(tmp_path: Path) -> None:
    nodes = [N("Gemm", ["x", "w"], ["a"]), N("Softmax", ["a"], ["y"])]
    network = imported(tmp_path, model(nodes, (1, 8), [weight("w", 8, 5)]))
    assert [(n.op, n.fused_ops) for n in network.nodes] == [("input", 0), ("fc", 5)]


def test_channel_attention_has_one_window(tmp_path: Path) -> None:
    """Products along pixels (cross-covariance attention): no pixel is left in the scores."""
    nodes = [
        N("Conv", ["x", "w"], ["a"]), N("Reshape", ["a", "s"], ["r"]), N("Transpose", ["r"], ["t"], perm=[0, 2, 1]),
        N("MatMul", ["r", "t"], ["scores"]), N("MatMul", ["scores", "r"], ["o"]), N("Reshape", ["o", "u"], ["m"]),
        N("Conv", ["m", "v"], ["y"]),
    ]  # fmt: skip
    weights = [weight("w", 3, 2, 3, 3), ints("s", 1, 3, 16), ints("u", 1, 3, 4, 4), weight("v", 2, 3, 1, 1)]
    proto = model(nodes, initializers=weights)
    network = imported(tmp_path, proto)
    scores, out = product(network, "scores"), product(network, "o")
    assert (scores.channels, scores.windows, scores.ops_per_window) == (9, 1, 9 * 16)
    assert (out.channels, out.windows, out.ops_per_window) == (3, 16, 3 * 3)
    fields_agree(network, proto, (1, 2, 6, 6), (2, 3))


def test_products_of_constants_per_group(tmp_path: Path) -> None:
    """A matrix for each of 2 heads: a grouped layer; weights and MACs are those of the constant."""
    nodes = [
        N("MatMul", ["x", "w"], ["a"]), N("Reshape", ["a", "s"], ["r"]),
        N("Transpose", ["r"], ["t"], perm=[0, 2, 1, 3]),
        N("MatMul", ["t", "v"], ["y"]),
    ]  # fmt: skip
    weights = [weight("w", 8, 6), ints("s", 1, 5, 2, 3), weight("v", 2, 3, 4)]
    network = imported(tmp_path, model(nodes, (1, 5, 8), weights))
    layer = product(network, "y")
    assert layer.weights is not None
    assert (layer.weights.groups, layer.weights.rows, layer.weights.out_channels, layer.windows) == (2, 3, 4, 5)


def spelled_layer_norm(source: str, result: str, end: str) -> list[onnx.NodeProto]:
    """As torch writes it before opset 17; the quotient, or a product with the reciprocal."""
    last = [N("Div", ["d", "sd"], [result])]
    if end == "reciprocal":
        last = [N("Reciprocal", ["sd"], ["inverse"]), N("Mul", ["d", "inverse"], [result])]
    return [
        N("ReduceMean", [source], ["mean"], axes=[1, 3]), N("Sub", [source, "mean"], ["d"]),
        N("Pow", ["d", "two"], ["sq"]),
        N("ReduceMean", ["sq"], ["var"], axes=[1, 3]), N("Add", ["var", "eps"], ["ve"]), N("Sqrt", ["ve"], ["sd"]),
        *last,
    ]  # fmt: skip


def spelled_softmax(source: str, result: str, end: str) -> list[onnx.NodeProto]:
    return [
        N("ReduceMax", [source], ["m"], axes=[-1]), N("Sub", [source, "m"], ["d"]), N("Exp", ["d"], ["e"]),
        N("ReduceL1", ["e"], ["s"], axes=[-1]), N("Div", ["e", "s"], [result]),
    ]  # fmt: skip


SCALARS = [onnx.numpy_helper.from_array(np.array(v, np.float32), n) for n, v in (("two", 2), ("eps", 1e-5))]


@pytest.mark.parametrize("end", ["quotient", "reciprocal"])
@pytest.mark.parametrize("spelled", [spelled_layer_norm, spelled_softmax])
def test_spelled_out_normalisations_are_one_node(
    tmp_path: Path, spelled: Callable[..., list[onnx.NodeProto]], end: str
) -> None:
    nodes = [N("Conv", ["x", "w"], ["a"]), *spelled("a", "n", end), N("Conv", ["n", "u"], ["y"])]
    proto = model(nodes, initializers=[weight("w", 3, 2, 3, 3), weight("u", 2, 3, 1, 1), *SCALARS], opset=13)
    network = imported(tmp_path, proto)
    assert [(n.op, n.ops_per_window, len(n.edges)) for n in network.nodes if n.kind == "digital"] == [
        ("normalise", 9, 2)
    ]
    fields_agree(network, proto, (1, 2, 6, 6), (2, 3))


def test_tokens_whose_normalisation_comes_first(tmp_path: Path) -> None:
    """12 tokens of 8 features: what is normalised over the last axis has its channels there; a sum is joined."""
    nodes = [*spelled_layer_norm("x", "n", "")[:-1], N("Div", ["d", "sd"], ["n"]), N("Add", ["n", "x"], ["y"])]
    for node in nodes:
        for attribute in node.attribute:
            attribute.ints[:] = [-1]
    nodes.append(N("MatMul", ["y", "v"], ["z"]))
    network = imported(tmp_path, model(nodes, (1, 12, 8), [weight("v", 8, 8), *SCALARS], ["z"], opset=13))
    assert [(n.op, n.channels, n.windows) for n in network.nodes] == [
        ("input", 8, 12), ("normalise", 8, 12), ("matmul", 8, 12),
    ]  # fmt: skip


def test_what_is_used_elsewhere_is_not_joined(tmp_path: Path) -> None:
    nodes = [N("Conv", ["x", "w"], ["a"]), *spelled_layer_norm("a", "n", ""), N("Conv", ["n", "u"], ["y"])]
    weights = [weight("w", 3, 2, 3, 3), weight("u", 2, 3, 1, 1), *SCALARS]
    network = imported(tmp_path, model(nodes, initializers=weights, opset=13, outputs=["y", "var"]))
    assert [n.op for n in network.nodes if n.kind == "digital"] == ["normalise", "reduce_mean", "div"]


def test_reductions_over_other_axes_are_not_joined(tmp_path: Path) -> None:
    nodes = [
        N("Conv", ["x", "w"], ["a"]), N("ReduceMean", ["a"], ["m"], axes=[2]), N("ReduceMax", ["a"], ["n"], axes=[3]),
        N("Add", ["m", "n"], ["s"]), N("Mul", ["a", "s"], ["p"]), N("Conv", ["p", "u"], ["y"]),
    ]  # fmt: skip
    proto = model(nodes, initializers=[weight("w", 3, 2, 3, 3), weight("u", 2, 3, 1, 1)], opset=13)
    network = imported(tmp_path, proto)
    assert [n.op for n in network.nodes if n.kind == "digital"] == ["reduce_mean", "reduce_max", "add", "mul"]
    fields_agree(network, proto, (1, 2, 6, 6), (2, 3))


def test_a_mean_that_is_normalised_keeps_its_shape(tmp_path: Path) -> None:
    """The mean of rows is divided by its sum: what is joined begins behind the mean."""
    nodes = [
        N("Conv", ["x", "w"], ["a"]), N("ReduceMean", ["a"], ["m"], axes=[2]), N("ReduceSum", ["m", "axes"], ["s"]),
        N("Div", ["m", "s"], ["n"]), N("Conv", ["n", "u"], ["y"]),
    ]  # fmt: skip
    weights = [weight("w", 3, 2, 3, 3), weight("u", 2, 3, 1, 1), ints("axes", 2)]
    network = imported(tmp_path, model(nodes, initializers=weights, opset=13))
    assert (network.nodes[-1].height, network.nodes[-1].width) == (1, 4)
