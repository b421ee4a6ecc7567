"""Receptive fields against a run of the graph: change an input pixel, see which outputs change."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import helper

from tests.network.onnx_models import implied, imported, ints, model, observed, weight

N = helper.make_node

CASES: dict[str, tuple[list[onnx.NodeProto], list[onnx.TensorProto]]] = {
    "dilation": ([N("Conv", ["x", "w"], ["y"], dilations=[2, 1])], [weight("w", 3, 2, 3, 3)]),
    "groups": ([N("Conv", ["x", "w"], ["y"], group=2)], [weight("w", 4, 1, 3, 3)]),
    "asymmetric pads": ([N("Conv", ["x", "w"], ["y"], pads=[0, 1, 2, 0], strides=[2, 1])], [weight("w", 3, 2, 3, 2)]),
    "same upper": ([N("Conv", ["x", "w"], ["y"], auto_pad="SAME_UPPER", strides=[2, 2])], [weight("w", 3, 2, 3, 3)]),
    "same lower": ([N("Conv", ["x", "w"], ["y"], auto_pad="SAME_LOWER", strides=[2, 2])], [weight("w", 3, 2, 3, 3)]),
    "valid": ([N("Conv", ["x", "w"], ["y"], auto_pad="VALID", strides=[2, 3])], [weight("w", 3, 2, 2, 3)]),
    "transposed": (
        [N("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2], pads=[1, 0, 1, 0], output_padding=[1, 1])],
        [weight("w", 2, 3, 3, 3)],
    ),
    "transposed dilated": (
        [N("ConvTranspose", ["x", "w"], ["y"], strides=[3, 2], dilations=[2, 1])], [weight("w", 2, 3, 2, 2)],
    ),
    "transposed with output shape": (
        [N("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2], output_shape=[12, 13], auto_pad="SAME_UPPER")],
        [weight("w", 2, 3, 3, 3)],
    ),
    "pool, then conv": (
        [N("MaxPool", ["x"], ["p"], kernel_shape=[2, 2], strides=[2, 2]), N("Conv", ["p", "w"], ["y"])],
        [weight("w", 3, 2, 2, 2)],
    ),
    "ceil mode": (
        [N("MaxPool", ["x"], ["p"], kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1), N("Conv", ["p", "w"], ["y"])],
        [weight("w", 3, 2, 1, 1)],
    ),
    "average pool, padded": (
        [N("AveragePool", ["x"], ["p"], kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 1, 1]),
         N("Conv", ["p", "w"], ["y"])],
        [weight("w", 3, 2, 1, 1)],
    ),
    "pad, then conv": (
        [N("Pad", ["x", "p"], ["z"]), N("Conv", ["z", "w"], ["y"], strides=[2, 2])],
        [ints("p", 0, 0, 1, 2, 0, 0, 0, 1), weight("w", 3, 2, 3, 3)],
    ),
    "reflect pad, then conv": (
        [N("Pad", ["x", "p"], ["z"], mode="reflect"), N("Conv", ["z", "w"], ["y"])],
        [ints("p", 0, 0, 2, 1, 0, 0, 2, 1), weight("w", 3, 2, 3, 3)],
    ),
    "strided slice, then conv": (
        [N("Slice", ["x", "s", "e", "a", "t"], ["z"]), N("Conv", ["z", "w"], ["y"], pads=[1, 1, 1, 1])],
        [ints("s", 1, -1), ints("e", 6, -9), ints("a", 2, 3), ints("t", 2, -2), weight("w", 3, 2, 3, 3)],
    ),
    "residual": (
        [N("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1]), N("Relu", ["a"], ["b"]),
         N("Conv", ["b", "v"], ["c"], pads=[0, 1, 0, 1]), N("Add", ["c", "b"], ["y"])],
        [weight("w", 3, 2, 3, 3), weight("v", 3, 3, 1, 3)],
    ),
    "squeeze and excite": (
        [N("Conv", ["x", "w"], ["a"]), N("GlobalAveragePool", ["a"], ["g"]), N("Conv", ["g", "v"], ["s"]),
         N("Mul", ["a", "s"], ["y"])],
        [weight("w", 3, 2, 3, 3), weight("v", 3, 3, 1, 1)],
    ),
    "resize nearest": (
        [N("Conv", ["x", "w"], ["a"]), N("Resize", ["a", "", "s"], ["y"], mode="nearest",
           coordinate_transformation_mode="asymmetric", nearest_mode="floor")],
        [weight("w", 3, 2, 3, 3), onnx.numpy_helper.from_array(np.array([1, 1, 2, 1.5], np.float32), "s")],
    ),
    "resize linear to a size": (
        [N("Conv", ["x", "w"], ["a"]), N("Resize", ["a", "", "", "s"], ["y"], mode="linear")],
        [weight("w", 3, 2, 3, 3), ints("s", 1, 3, 7, 9)],
    ),
    "concat of rows": (
        [N("Conv", ["x", "w"], ["a"]), N("Conv", ["x", "v"], ["b"]), N("Concat", ["a", "b"], ["y"], axis=2)],
        [weight("w", 3, 2, 3, 3), weight("v", 3, 2, 2, 3)],
    ),
    "pixel shuffle": (
        [N("Conv", ["x", "w"], ["a"]), N("Reshape", ["a", "s"], ["b"]), N("Transpose", ["b"], ["c"],
           perm=[0, 1, 4, 2, 5, 3]), N("Reshape", ["c", "t"], ["d"]), N("Conv", ["d", "v"], ["y"])],
        [weight("w", 8, 2, 3, 3), ints("s", 1, 2, 2, 2, 4, 4), ints("t", 1, 2, 8, 8), weight("v", 1, 2, 3, 3)],
    ),
    "depth to space": (
        [N("Conv", ["x", "w"], ["a"]), N("DepthToSpace", ["a"], ["d"], blocksize=2), N("Conv", ["d", "v"], ["y"])],
        [weight("w", 8, 2, 3, 3), weight("v", 1, 2, 3, 3)],
    ),
    "space to depth": (
        [N("SpaceToDepth", ["x"], ["d"], blocksize=2), N("Conv", ["d", "v"], ["y"], pads=[1, 1, 1, 1])],
        [weight("v", 1, 8, 2, 2)],
    ),
    "instance norm": (
        [N("Conv", ["x", "w"], ["a"]), N("InstanceNormalization", ["a", "g", "g"], ["b"]),
         N("Conv", ["b", "v"], ["y"])],
        [weight("w", 3, 2, 3, 3), weight("g", 3), weight("v", 1, 3, 1, 1)],
    ),
    "mean over channels": (
        [N("Conv", ["x", "w"], ["a"]), N("ReduceMean", ["a", "axes"], ["m"]), N("Mul", ["a", "m"], ["y"])],
        [weight("w", 3, 2, 3, 3), ints("axes", 1)],
    ),
    "max over rows": (
        [N("Conv", ["x", "w"], ["a"]), N("ReduceMax", ["a", "axes"], ["y"])],
        [weight("w", 3, 2, 3, 3), ints("axes", 2)],
    ),
    "flatten and fully connected": (
        [N("MaxPool", ["x"], ["p"], kernel_shape=[3, 3], strides=[3, 3]), N("Flatten", ["p"], ["f"]),
         N("Gemm", ["f", "w"], ["z"], transB=1), N("Reshape", ["z", "s"], ["y"])],
        [weight("w", 5, 8), ints("s", 1, 5, 1, 1)],
    ),
    "expand": (
        [N("GlobalMaxPool", ["x"], ["g"]), N("Expand", ["g", "s"], ["e"]), N("Conv", ["e", "w"], ["y"])],
        [ints("s", 1, 2, 4, 3), weight("w", 1, 2, 2, 2)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_field_is_what_a_run_shows(tmp_path: Path, case: str) -> None:
    nodes, weights = CASES[case]
    proto = model(nodes, initializers=weights)
    network = imported(tmp_path, proto)
    assert np.array_equal(implied(network, len(network.nodes) - 1), observed(proto, "y", (1, 2, 6, 6)))


TOKENS: dict[str, tuple[list[onnx.NodeProto], list[onnx.TensorProto], str]] = {
    "channels last": (
        [N("Transpose", ["x"], ["t"], perm=[0, 2, 3, 1]), N("MatMul", ["t", "w"], ["y"])], [weight("w", 2, 3)], "bhwc",
    ),
    "tokens mixed by a matrix on the left": (
        [N("Conv", ["x", "w"], ["a"]), N("Reshape", ["a", "s"], ["b"]), N("MatMul", ["v", "b"], ["c"]),
         N("Unsqueeze", ["c", "axes"], ["y"])],
        [weight("w", 3, 2, 3, 3), ints("s", 1, 3, 16), weight("v", 4, 3), ints("axes", 2)], "bchw",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", TOKENS)
def test_field_of_matrix_products(tmp_path: Path, case: str) -> None:
    nodes, weights, layout = TOKENS[case]
    proto = model(nodes, initializers=weights)
    network = imported(tmp_path, proto)
    seen = observed(proto, "y", (1, 2, 6, 6), layout)
    # Pixels may be in one axis of the output and in two of the node: compare them in raster order.
    assert np.array_equal(implied(network, len(network.nodes) - 1).reshape(-1, 6, 6), seen.reshape(-1, 6, 6))


@st.composite
def sliding(draw: st.DrawFn) -> tuple[str, dict[str, object], tuple[int, int]]:
    kernel = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    kind = draw(st.sampled_from(["Conv", "ConvTranspose", "MaxPool"]))
    attributes: dict[str, object] = {
        "strides": draw(st.lists(st.integers(1, 3), min_size=2, max_size=2)),
        "dilations": draw(st.lists(st.integers(1, 2), min_size=2, max_size=2)),
        "pads": [draw(st.integers(0, kernel[i % 2] - 1)) for i in range(4)],
    }
    if kind == "MaxPool":
        attributes["ceil_mode"] = draw(st.integers(0, 1))
    return kind, attributes, kernel


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=sliding())
def test_shape_of_any_sliding_operator_is_that_of_onnx(
    tmp_path: Path, case: tuple[str, dict[str, object], tuple[int, int]]
) -> None:
    kind, attributes, kernel = case
    w = weight("w", 2, 2, *kernel)
    if kind == "MaxPool":
        nodes = [N("MaxPool", ["x"], ["y"], kernel_shape=kernel, **attributes), N("Conv", ["y", "v"], ["z"])]
    else:
        nodes = [N(kind, ["x", "w"], ["y"], **attributes), N("Conv", ["y", "v"], ["z"])]
    proto = model(nodes, (1, 2, 7, 9), [w, weight("v", 1, 2, 1, 1)], ["z"])
    inferred = {
        v.name: [d.dim_value for d in v.type.tensor_type.shape.dim]
        for v in onnx.shape_inference.infer_shapes(proto, strict_mode=True).graph.value_info
    }
    if min(inferred["y"]) < 1:
        return
    network = imported(tmp_path, proto)
    node = network.nodes[1]
    for axis, length in ((0, 7), (1, 9)):  # PyTorch's and the text's rule, which ONNX's inference does not apply
        begins = (inferred["y"][axis + 2] - 1) * attributes["strides"][axis]  # type: ignore[index]
        if attributes.get("ceil_mode") and begins >= length + attributes["pads"][axis]:  # type: ignore[index]
            inferred["y"][axis + 2] -= 1
    assert [1, node.channels, node.height, node.width] == inferred["y"]
    ran = observed(proto, "z", (1, 2, 7, 9)) if kind != "MaxPool" else None  # its reference ignores some dilations
    if ran is not None:
        assert np.array_equal(implied(network, len(network.nodes) - 1), ran)
