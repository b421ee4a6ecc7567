"""Operators, constants and files of other writers: opsets 7 and 8, If, Einsum, onnxruntime's and QONNX's domains."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from spatem_opt.errors import InstanceError
from spatem_opt.network import Network, from_onnx
from spatem_opt.network.layers import Node
from spatem_opt.network.stats import total_macs, total_parameters
from tests.network.onnx_models import dependence, implied, imported, ints, model, weight

N = helper.make_node
W = weight("w", 3, 2, 3, 3)
U = weight("u", 2, 3, 1, 1)
MS, QONNX = "com.microsoft", "qonnx.custom_op.general"


def array(name: str, values: object, dtype: type) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(values, dtype), name)


def node(network: Network, name: str) -> Node:
    return next(n for n in network.nodes if n.name == name)


def between(*nodes: onnx.NodeProto) -> list[onnx.NodeProto]:
    """The operators between a convolution (to "a") and another one (from "b")."""
    return [N("Conv", ["x", "w"], ["a"]), *nodes, N("Conv", ["b", "u"], ["y"])]


@pytest.mark.parametrize("opset", [7, 8])
def test_old_opsets_of_the_model_zoo(tmp_path: Path, opset: int) -> None:
    nodes = [
        N("Conv", ["x", "w"], ["a"]), N("BatchNormalization", ["a", "s", "s", "s", "s"], ["n"]),
        N("Relu", ["n"], ["r"]),
        N("MaxPool", ["r"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        N("Upsample", ["p"], ["q"], scales=[1.0, 1.0, 2.0, 2.0], mode="nearest"), N("Dropout", ["q"], ["d"]),
        N("Reshape", ["d", "shape"], ["f"]), N("Gemm", ["f", "v", "b"], ["g"], transB=1), N("Softmax", ["g"], ["y"]),
    ]  # fmt: skip
    weights = [W, weight("s", 3), ints("shape", 1, -1), weight("v", 5, 48), weight("b", 5)]
    proto = model(nodes, initializers=weights, opset=opset)
    for tensor in weights:  # files of that time list their weights among the inputs
        proto.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    network = imported(tmp_path, proto)
    assert [n.op for n in network.nodes] == ["input", "conv", "max_pool", "resize", "fc"]
    assert (total_parameters(network), total_macs(network)) == (54 + 240, 54 * 16 + 240)


@pytest.mark.parametrize("kind", ["GreaterOrEqual", "LessOrEqual"])
def test_where_of_one_tensor_is_fused(tmp_path: Path, kind: str) -> None:
    nodes = between(N("Mul", ["a", "k"], ["n"]), N(kind, ["a", "z"], ["m"]), N("Where", ["m", "a", "n"], ["b"]))
    proto = model(nodes, initializers=[W, U, weight("k"), weight("z")])
    assert [n.op for n in imported(tmp_path, proto).nodes] == ["input", "conv", "conv"]


def test_where_of_two_tensors_is_a_node(tmp_path: Path) -> None:
    nodes = between(N("Conv", ["x", "w"], ["c"]), N("Less", ["a", "c"], ["m"]), N("Where", ["m", "a", "c"], ["b"]))
    network = imported(tmp_path, model(nodes, initializers=[W, U]))
    assert [n.op for n in network.nodes] == ["input", "conv", "conv", "less", "where", "conv"]


@pytest.mark.parametrize("kind", ["Tan", "Atan", "Sinh", "Asinh", "IsNaN", "IsInf"])
def test_more_pointwise_operators(tmp_path: Path, kind: str) -> None:
    network = imported(tmp_path, model(between(N(kind, ["a"], ["b"])), initializers=[W, U], opset=20))
    assert node(network, "a").fused_ops == 3 * 16


def branch(name: str, *nodes: onnx.NodeProto, output: str) -> onnx.GraphProto:
    value = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
    return helper.make_graph(nodes, name, [], [value], [weight(f"{name}.w", 3, 3, 1, 1)])


@pytest.mark.parametrize("condition", [True, False])
def test_if_with_a_known_condition(tmp_path: Path, condition: bool) -> None:
    yes = branch("yes", N("Conv", ["a", "yes.w"], ["c"]), N("Relu", ["c"], ["d"]), output="d")
    no = branch("no", N("LSTM", ["a"], ["e"]), output="a")
    nodes = between(N("If", ["known"], ["b"], then_branch=yes, else_branch=no))
    proto = model(nodes, initializers=[W, U, array("known", condition, bool)])
    network = imported(tmp_path, proto)
    assert [n.name for n in network.nodes] == (["x", "a", "c", "y"] if condition else ["x", "a", "y"])


def test_if_on_a_shape(tmp_path: Path) -> None:
    """torch's squeeze of an axis that may have length 1."""
    yes, no = branch("yes", N("Relu", ["a"], ["d"]), output="d"), branch("no", N("LSTM", ["a"], ["e"]), output="e")
    nodes = between(
        N("Shape", ["a"], ["s"]), N("Gather", ["s", "one"], ["n"]), N("Equal", ["n", "three"], ["known"]),
        N("If", ["known"], ["b"], then_branch=yes, else_branch=no),
    )  # fmt: skip
    proto = model(nodes, initializers=[W, U, array("one", 1, np.int64), array("three", 3, np.int64)])
    assert [n.name for n in imported(tmp_path, proto).nodes] == ["x", "a", "y"]


def test_if_on_data_is_refused(tmp_path: Path) -> None:
    yes, no = branch("yes", N("Relu", ["a"], ["d"]), output="d"), branch("no", N("Tanh", ["a"], ["e"]), output="e")
    nodes = between(N("If", ["x"], ["b"], then_branch=yes, else_branch=no))
    with pytest.raises(InstanceError, match=r"\(If\): condition = 'not constant', expected one that constants"):
        imported(tmp_path, model(nodes, initializers=[W, U]))


CONSTANTS: dict[str, tuple[list[onnx.NodeProto], list[onnx.TensorProto]]] = {
    "weight norm": (
        [N("ReduceL2", ["v", "axes"], ["n"]), N("Div", ["v", "n"], ["d"]), N("Mul", ["d", "g"], ["w"])],
        [weight("v", 3, 2, 3, 3), ints("axes", 1, 2, 3), weight("g", 3, 1, 1, 1)],
    ),
    "padded kernel": ([N("Pad", ["v", "p"], ["w"])], [weight("v", 3, 2, 1, 1), ints("p", 0, 0, 1, 1, 0, 0, 1, 1)]),
    "scattered": (
        [N("ScatterElements", ["v", "i", "one"], ["w"], axis=0)],
        [weight("v", 3, 2, 3, 3), array("i", [[[[1]]]], np.int64), weight("one", 1, 1, 1, 1)],
    ),
    "gathered": ([N("GatherND", ["v", "i"], ["w"])], [weight("v", 5, 2, 3, 3), array("i", [[4], [0], [2]], np.int64)]),
    "large": (  # of large ones only the shape is kept
        [N("Einsum", ["v", "k"], ["m"], equation="oi,ik->ok"), N("ReduceSum", ["m", "axes"], ["r"], keepdims=0),
         N("Reshape", ["r", "s"], ["e"]), N("Expand", ["e", "t"], ["w"])],
        [weight("v", 3, 200), weight("k", 200, 300), ints("axes", 1), ints("s", 3, 1, 1, 1), ints("t", 3, 2, 3, 3)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CONSTANTS)
def test_weights_of_any_operator(tmp_path: Path, case: str) -> None:
    nodes, weights = CONSTANTS[case]
    network = imported(tmp_path, model([*nodes, N("Conv", ["x", "w"], ["y"])], initializers=weights))
    assert total_parameters(network) == 54


def test_shapes_through_rare_operators(tmp_path: Path) -> None:
    nodes = between(
        N("Shape", ["a"], ["s"]), N("GatherND", ["s", "i"], ["n"]), N("CumSum", ["n", "zero"], ["c"]),
        N("Reshape", ["a", "n"], ["b"]),
    )  # fmt: skip
    weights = [W, U, array("i", [[0], [1], [2], [3]], np.int64), array("zero", 0, np.int64)]
    assert node(imported(tmp_path, model(nodes, initializers=weights)), "y").height == 4


EINSUMS: dict[str, tuple[str, tuple[int, ...], tuple[str, int, int, int]]] = {
    "a matrix for every pixel": ("bchw,cd->bdhw", (3, 5), ("crossbar", 5, 4, 4)),
    "a matrix first": ("bchw,dc->bdhw", (5, 3), ("crossbar", 5, 4, 4)),
    "with an ellipsis": ("b...w,wd->b...d", (4, 5), ("crossbar", 5, 3, 4)),
    "a matrix per row": ("bchw,hcd->bdhw", (4, 3, 5), ("crossbar", 20, 1, 4)),
    "scaled": ("bchw,c->bchw", (3,), ("crossbar", 3, 4, 4)),
}


@pytest.mark.parametrize("case", EINSUMS)
def test_einsum_with_constants(tmp_path: Path, case: str) -> None:
    equation, shape, (kind, channels, *_) = EINSUMS[case]
    proto = model([N("Conv", ["x", "w"], ["a"]), N("Einsum", ["a", "v"], ["y"], equation=equation)],
                  initializers=[W, weight("v", *shape)])  # fmt: skip
    network = imported(tmp_path, proto)
    last = network.nodes[-1]
    assert (last.kind, last.channels) == (kind, channels)
    if case != "scaled":
        assert last.weights is not None
        assert last.weights.groups * last.weights.rows * last.weights.out_channels == np.prod(shape)


PAIRS = {
    "scores": ("bchw,bcxy->bhwxy", 3), "rows": ("bchw,bchv->bhwv", 3), "weighted": ("bchw,bchw->bchw", 1),
    "summed": ("bchw,bchw->bhw", 3),
}  # fmt: skip


@pytest.mark.parametrize("case", PAIRS)
def test_einsum_of_two_activations(tmp_path: Path, case: str) -> None:
    equation, inner = PAIRS[case]
    nodes = [
        N("Conv", ["x", "w"], ["a"]),
        N("Conv", ["x", "v"], ["c"]),
        N("Einsum", ["a", "c"], ["y"], equation=equation),
    ]
    proto = model(nodes, initializers=[W, weight("v", 3, 2, 3, 3)])
    network = imported(tmp_path, proto)
    last = network.nodes[-1]
    assert last.kind == "digital"
    assert last.ops_per_window == last.channels * inner
    seen = dependence(proto, "y", (1, 2, 6, 6)).any(axis=-3)  # any channel of the input
    pixels = seen.reshape(1, -1, 6, 6) if case != "weighted" else seen[0].any(axis=0).reshape(1, -1, 6, 6)
    field = implied(network, len(network.nodes) - 1)
    if case in ("weighted", "summed"):
        assert np.array_equal(field.reshape(-1, 6, 6), pixels.reshape(16, -1, 6, 6).any(axis=1))
    else:  # what is no pixel of the node is one of its channels: a pixel has the fields of all of them
        assert np.array_equal(field.reshape(-1, 6, 6), pixels.reshape(16, -1, 6, 6).any(axis=1))


@pytest.mark.parametrize("equation", ["bchw->bc", "bchw->bhwc"])
def test_einsum_of_one_operand(tmp_path: Path, equation: str) -> None:
    nodes = [N("Conv", ["x", "w"], ["a"]), N("Einsum", ["a"], ["y"], equation=equation)]
    network = imported(tmp_path, model(nodes, initializers=[W]))
    assert [n.op for n in network.nodes] == ["input", "conv"] + (["reduce_sum"] if equation.endswith("bc") else [])


@pytest.mark.parametrize("equation", ["bchw,cd", "bccw,cd->bdw", "bchw,cd->bdhz", "bchw->bdhw"])
def test_wrong_einsum(tmp_path: Path, equation: str) -> None:
    operands = ["x", "v"] if "," in equation else ["x"]
    proto = model([N("Einsum", operands, ["y"], equation=equation)], initializers=[weight("v", 2)])
    with pytest.raises(InstanceError, match=r"\(Einsum\): equation"):
        imported(tmp_path, proto)


@pytest.mark.parametrize("batch", [-1, 0, "n"])
def test_dynamic_batch(tmp_path: Path, batch: int | str) -> None:
    network = imported(tmp_path, model([N("Conv", ["x", "w"], ["y"])], (batch, 2, 6, 6), [W]))
    assert network.nodes[1].windows == 16


def test_minus_one_in_a_given_shape_keeps_the_dimension(tmp_path: Path) -> None:
    proto = model([N("Conv", ["x", "w"], ["y"])], ("n", 2, "h", 6), [W])
    assert imported(tmp_path, proto, "x=-1x-1x9x-1").nodes[1].height == 7
    with pytest.raises(InstanceError, match=r"--input-shape = '-1x2x-1x6', expected dimensions >= 1"):
        imported(tmp_path, proto, "-1x2x-1x6")


TAIL = [N("Conv", ["x", "w"], ["a"], name="head"), N("Conv", ["a", "u"], ["y"]), N("NonZero", ["y"], ["z"])]


@pytest.mark.parametrize(("outputs", "nodes"), [("y", 3), ("a", 2), (["head"], 2), ("y,a", 3)])
def test_outputs_leave_out_a_tail(tmp_path: Path, outputs: str | Sequence[str], nodes: int) -> None:
    file = tmp_path / "m.onnx"
    file.write_bytes(model(TAIL, initializers=[W, U], outputs=["z"]).SerializeToString())
    with pytest.raises(InstanceError, match=r"\(NonZero\): operator.*; --outputs y leaves out this operator"):
        from_onnx(file)
    assert len(from_onnx(file, outputs=outputs).nodes) == nodes
    with pytest.raises(InstanceError, match=r"--outputs = 'v', expected the name of a tensor of the graph: "):
        from_onnx(file, outputs="v")


SCALE = [array("s", 0.1, np.float32), array("z", 0, np.uint8)]
KERNELS = [array("k", np.ones((3, 2, 3, 3)), np.int8), array("kz", 0, np.int8)]
MICROSOFT: dict[str, tuple[list[onnx.NodeProto], list[str]]] = {
    "QLinearAdd": ([N("QLinearAdd", ["a", "s", "z", "c", "s", "z", "s", "z"], ["b"], domain=MS)], ["add"]),
    "QLinearMul": ([N("QLinearMul", ["a", "s", "z", "c", "s", "z", "s", "z"], ["b"], domain=MS)], ["mul"]),
    "QLinearConcat": ([N("QLinearConcat", ["s", "z", "a", "s", "z", "c", "s", "z"], ["b"], domain=MS, axis=2)],
    ["concat"]),
    "QLinearAveragePool": (
        [N("QLinearAveragePool", ["a", "s", "z", "s", "z"], ["b"], domain=MS, kernel_shape=[2, 2])], ["average_pool"],
    ),
    "QLinearGlobalAveragePool": (
        [N("QLinearGlobalAveragePool", ["a", "s", "z", "s", "z"], ["b"], domain=MS)], ["global_average_pool"],
    ),
    "QLinearSigmoid": ([N("QLinearSigmoid", ["a", "s", "z", "s", "z"], ["b"], domain=MS)], []),
    "QLinearLeakyRelu": ([N("QLinearLeakyRelu", ["a", "s", "z", "s", "z"], ["b"], domain=MS, alpha=0.1)], []),
    "channels last": (
        [N("Transpose", ["a"], ["t"], perm=[0, 2, 3, 1]),
         N("QLinearAveragePool", ["t", "s", "z", "s", "z"], ["p"], domain=MS, kernel_shape=[2, 2], channels_last=1),
         N("Transpose", ["p"], ["b"], perm=[0, 3, 1, 2])], ["average_pool"],
    ),
    "FusedConv": ([N("FusedConv", ["a", "u3", "", "c"], ["b"], domain=MS, activation="Relu")], ["conv", "add"]),
    "FastGelu": ([N("FastGelu", ["a", "g"], ["b"], domain=MS)], []),
    "SkipLayerNormalization": ([N("SkipLayerNormalization", ["a", "c", "g4"], ["b"], domain=MS)], ["add", "normalise"]),
    "FusedMatMul": ([N("FusedMatMul", ["a", "c"], ["b"], domain=MS, transB=1)], ["matmul", "reshape"]),
}  # fmt: skip


@pytest.mark.parametrize("case", MICROSOFT)
def test_operators_of_onnxruntime(tmp_path: Path, case: str) -> None:
    nodes, expected = MICROSOFT[case]
    quantised = ["x", "s", "z", "k", "s", "kz", "s", "z"]
    both = [N("QLinearConv", quantised, ["a"]), N("QLinearConv", quantised, ["c"])]
    weights = [*SCALE, *KERNELS, U, weight("u3", 3, 3, 1, 1), weight("g", 4), weight("g4", 4)]
    network = imported(tmp_path, model([*both, *nodes, N("Conv", ["b", "u"], ["y"])], initializers=weights))
    middle = [n.op for n in network.nodes if n.name not in ("x", "a", "c", "y")]
    assert middle == expected
    first = node(network, "a").weights
    assert first is not None
    assert (first.weight_bits, first.activation_bits) == (8, 8)


def test_attention_of_onnxruntime(tmp_path: Path) -> None:
    nodes = [N("Attention", ["x", "v", "b"], ["a"], domain=MS, num_heads=2), N("MatMul", ["a", "u8"], ["y"])]
    network = imported(tmp_path, model(nodes, (1, 12, 8), [weight("v", 8, 24), weight("b", 24), weight("u8", 8, 8)]))
    assert [(n.op, n.channels, n.windows) for n in network.nodes] == [
        ("input", 8, 12), ("matmul", 24, 12), ("matmul", 24, 12), ("softmax", 24, 12), ("matmul", 8, 12),
        ("matmul", 8, 12),
    ]  # fmt: skip


@pytest.mark.parametrize("shape", [(1, 12, 8), (1, 2, 12, 4)])
def test_attention_of_onnx(tmp_path: Path, shape: tuple[int, ...]) -> None:
    """Of two heads; and of two heads of queries that share one of keys and values."""
    nodes = [N("MatMul", ["x", "v"], ["a"]), N("Attention", ["a", "a", "a"], ["y"], q_num_heads=2, kv_num_heads=2)]
    network = imported(tmp_path, model(nodes, shape, [weight("v", shape[-1], shape[-1])], opset=23))
    kinds = [n.op for n in network.nodes if n.op != "reshape"]
    assert kinds == ["input", "matmul", "matmul", "softmax", "matmul"]
    products = [n for n in network.nodes if n.kind == "digital" and n.op == "matmul"]
    assert [n.ops_per_window * n.windows for n in products] == [2 * 12 * 12 * 4] * 2


def test_attention_of_grouped_queries(tmp_path: Path) -> None:
    nodes = [
        N("MatMul", ["x", "v"], ["q"]), N("MatMul", ["x", "u4"], ["k"]),
        N("Attention", ["q", "k", "k"], ["y"], q_num_heads=2, kv_num_heads=1),
    ]  # fmt: skip
    network = imported(tmp_path, model(nodes, (1, 12, 8), [weight("v", 8, 8), weight("u4", 8, 4)], opset=23))
    assert network.nodes[-1].channels == 8


def test_gemm_of_onnxruntime(tmp_path: Path) -> None:
    nodes = [N("QGemm", ["x", "s", "z", "k", "s", "kz"], ["y"], domain=MS, transB=1)]
    weights = [*SCALE, array("k", np.ones((5, 8)), np.int8), array("kz", 0, np.int8)]
    layer = node(imported(tmp_path, model(nodes, (1, 8), weights)), "y").weights
    assert layer is not None
    assert (layer.rows, layer.out_channels, layer.weight_bits, layer.activation_bits) == (8, 5, 8, 8)


def test_bits_of_qonnx(tmp_path: Path) -> None:
    """Widths of the quantisers are those of the layers; moved data keep theirs, a sigmoid makes new ones."""
    nodes = [
        N("Quant", ["x", "s1", "z1", "b6"], ["q"], domain=QONNX),
        N("Quant", ["w", "s1", "z1", "b4"], ["wq"], domain=QONNX),
        N("Conv", ["q", "wq"], ["a"]), N("Relu", ["a"], ["r"]),
        N("Quant", ["r", "s1", "z1", "b3"], ["p"], domain=QONNX),
        N("MaxPool", ["p"], ["m"], kernel_shape=[2, 2]), N("BipolarQuant", ["u", "s1"], ["uq"], domain=QONNX),
        N("Conv", ["m", "uq"], ["c"]), N("Sigmoid", ["p"], ["f"]), N("Conv", ["f", "u"], ["d"]),
    ]  # fmt: skip
    weights = [W, U, *(array(n, v, np.float32) for n, v in (("s1", 0.1), ("z1", 0), ("b6", 6), ("b4", 4), ("b3", 3)))]
    network = imported(tmp_path, model(nodes, initializers=weights, outputs=["c", "d"]))
    found = {n.name: (n.weights.weight_bits, n.weights.activation_bits) for n in network.nodes if n.weights}
    assert found == {"a": (4, 6), "c": (1, 3), "d": (None, None)}


@pytest.mark.parametrize(("dtype", "bits"), [(TensorProto.INT8, 8), (TensorProto.UINT4, 4), (TensorProto.INT16, 16)])
def test_bits_of_qdq(tmp_path: Path, dtype: int, bits: int) -> None:
    zero = helper.make_tensor("z", dtype, [], [0])
    kernel = helper.make_tensor("k", dtype, [3, 2, 3, 3], [1] * 54)
    nodes = [
        N("QuantizeLinear", ["x", "s", "z"], ["q"]), N("DequantizeLinear", ["q", "s", "z"], ["d"]),
        N("DequantizeLinear", ["k", "s", "z"], ["w"]), N("Conv", ["d", "w"], ["y"]),
    ]  # fmt: skip
    network = imported(tmp_path, model(nodes, initializers=[zero, kernel, SCALE[0]], opset=21))
    layer = node(network, "y").weights
    assert layer is not None
    assert (layer.weight_bits, layer.activation_bits) == (bits, bits)


@pytest.mark.parametrize("width", [0.0, 65.0])
def test_impossible_widths(tmp_path: Path, width: float) -> None:
    nodes = [N("Quant", ["w", "s", "s", "bits"], ["q"], domain=QONNX), N("Conv", ["x", "q"], ["y"])]
    weights = [W, SCALE[0], array("bits", width, np.float32)]
    with pytest.raises(InstanceError, match=r"Quant\): bit width = .*, expected 1 \.\.\. 64"):
        imported(tmp_path, model(nodes, initializers=weights))
