"""Large weights are stepped over: what is left is the same model but for their data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from spatem_opt.errors import InstanceError
from spatem_opt.network import from_onnx
from spatem_opt.network.onnx_import.stripped import LONGEST, stripped
from spatem_opt.network.stats import total_parameters
from tests.network.onnx_models import model, weight

N = helper.make_node


def deep() -> onnx.ModelProto:
    """Large weights as an initializer, in a Constant, in a branch, and as lists of numbers instead of bytes."""
    listed = helper.make_tensor("v", onnx.TensorProto.FLOAT, [64, 64, 3, 3], np.ones(64 * 64 * 9))
    inner = helper.make_graph(
        [N("Constant", [], ["k"], value=weight("k", 64, 64, 3, 3)), N("Conv", ["c", "k"], ["d"])],
        "yes", [], [helper.make_tensor_value_info("d", onnx.TensorProto.FLOAT, None)],
    )  # fmt: skip
    nodes = [
        N("Conv", ["x", "w"], ["a"]), N("Constant", [], ["u"], value=weight("u", 64, 64, 3, 3)),
        N("Conv", ["a", "u"], ["b"]),
        N("Conv", ["b", "v"], ["c"]), N("If", ["yes"], ["y"], then_branch=inner, else_branch=inner),
    ]  # fmt: skip
    yes = numpy_helper.from_array(np.array(True), "yes")
    return model(nodes, (1, 2, 12, 12), [weight("w", 64, 2, 3, 3), listed, yes])


def test_only_data_of_large_tensors_are_left_out(tmp_path: Path) -> None:
    proto = deep()
    file = tmp_path / "m.onnx"
    file.write_bytes(proto.SerializeToString())
    short = stripped(file)
    assert len(short) < LONGEST < file.stat().st_size // 15
    for tensor in proto.graph.initializer[1:2]:
        tensor.ClearField("float_data")
    proto.graph.node[1].attribute[0].t.ClearField("raw_data")
    for branch in proto.graph.node[4].attribute:
        branch.g.node[0].attribute[0].t.ClearField("raw_data")
    assert onnx.ModelProto.FromString(short) == proto
    assert total_parameters(from_onnx(file)) == 64 * 18 + 3 * 64 * 64 * 9


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 10**9), byte=st.integers(0, 255), cut=st.booleans())
def test_damaged_files_are_refused_in_one_line_or_read(tmp_path: Path, place: int, byte: int, cut: bool) -> None:
    content = bytearray(deep().SerializeToString())
    place %= len(content)
    if cut:
        del content[place:]
    else:
        content[place] = byte
    (tmp_path / "m.onnx").write_bytes(bytes(content))
    message = ""
    try:
        from_onnx(tmp_path / "m.onnx")
    except InstanceError as error:
        message = str(error)
    assert "\n" not in message


def test_truncation_inside_of_data_that_are_stepped_over(tmp_path: Path) -> None:
    content = deep().SerializeToString()
    (tmp_path / "m.onnx").write_bytes(content[: len(content) // 2])
    with pytest.raises(InstanceError, match="expected a complete ONNX file"):
        from_onnx(tmp_path / "m.onnx")
