"""Bad ONNX files: one line that names file, object, field, value and rule."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import helper

from spatem_opt.errors import InstanceError
from spatem_opt.network import from_onnx
from tests.network.onnx_models import imported, ints, model, weight

N = helper.make_node
W = weight("w", 3, 2, 3, 3)
CONV = N("Conv", ["x", "w"], ["y"])

BAD: dict[str, tuple[onnx.ModelProto, str]] = {
    "operator": (model([N("LSTM", ["x", "w"], ["y"], name="cell")], initializers=[W]), r"'cell' \(LSTM\).*not supp"),
    "foreign operator": (model([N("Attention", ["x"], ["y"], domain="com.microsoft")]), r"com\.microsoft\.Attention"),
    "product of two activations": (
        model([N("Conv", ["x", "w"], ["a"]), N("MatMul", ["a", "a"], ["y"])], (1, 2, 6, 7), initializers=[W]),
        r"node 'y' \(MatMul\).*matrices that can be multiplied",
    ),
    "computed weights": (model([N("Conv", ["x", "x"], ["y"])]), r"\(Conv\): weights = 'computed from the inputs'"),
    "groups": (model([N("Conv", ["x", "w"], ["y"], group=2)], initializers=[W]), r"weights = \[3, 2, 3, 3\].*2 groups"),
    "channels": (model([CONV], (1, 5, 6, 6), [W]), r"expected 5 input channels"),
    "kernel too large": (model([CONV], (1, 2, 2, 6), [W]), r"\(Conv\): height = 0, expected >= 1"),
    "stride 0": (model([N("Conv", ["x", "w"], ["y"], strides=[0, 1])], initializers=[W]), r"strides, dilations = \[0"),
    "too few strides": (model([N("Conv", ["x", "w"], ["y"], strides=[1])], initializers=[W]), r"strides = \[1\].*2 n"),
    "auto_pad": (model([N("Conv", ["x", "w"], ["y"], auto_pad="SOME")], initializers=[W]), r"auto_pad = 'SOME'"),
    "attribute of a wrong type": (model([N("Conv", ["x", "w"], ["y"], strides="a")], initializers=[W]), r"node 'y'"),
    "3-D convolution": (model([CONV], (1, 2, 6, 6, 6), [weight("w", 3, 2, 3, 3, 3)]), r"1x2x6x6x6', expected 1 to 4"),
    "dynamic size": (
        model([CONV], ("batch", 2, "height", 6), [W]),
        r"input 'x': shape = 'batch x 2 x height x 6', expected numbers; give them with --input-shape x=1x2x224x6",
    ),
    "batch": (model([CONV], (8, 2, 6, 6), [W]), r"shape = '8x2x6x6', expected batch 1"),
    "zero size": (model([CONV], (1, 2, 0, 6), [W]), r"shape = '1 x 2 x \? x 6', expected numbers"),
    "zero-size weights": (model([CONV], initializers=[weight("w", 0, 2, 3, 3)]), r"weights = \[0, 2, 3, 3\]"),
    "cycle": (model([N("Add", ["x", "z"], ["y"]), N("Relu", ["y"], ["z"])]), r"'y' \(Add\).*cycle|'z' \(Relu\).*cycle"),
    "undefined input": (model([N("Relu", ["nowhere"], ["y"])]), r"\(Relu\): input = 'nowhere', expected the name"),
    "undefined output": (model([N("Relu", ["x"], ["z"])]), r"input = 'y', expected the name"),
    "old opset": (model([CONV], initializers=[W], opset=6), r"opset = 6, expected >= 7; onnx.version_conv"),
    "no crossbar layer": (model([N("Relu", ["x"], ["y"])]), r"at least one crossbar layer"),
    "elements": (
        model([N("Reshape", ["x", "s"], ["y"])], initializers=[ints("s", 1, 7, -1)]), r"shape = \[1, 7, -1\].*elements",
    ),
    "shapes of operands": (
        model([N("Conv", ["x", "w"], ["a"]), N("Add", ["a", "x"], ["y"])], initializers=[W]),
        r"\(Add\): operands = \[\[1, 3, 4, 4\], \[1, 2, 6, 6\]\]",
    ),
    "concat of different sizes": (
        model([N("Conv", ["x", "w"], ["a"]), N("Concat", ["a", "x"], ["y"], axis=1)], initializers=[W]),
        r"\(Concat\): operand = \['1 x 2 x 6 x 6'\], expected 1 x 3 x 4 x 4 like",
    ),
    "padding of channels": (
        model([N("Pad", ["x", "p"], ["a"]), N("Conv", ["a", "w"], ["y"])],
              initializers=[W, ints("p", 0, 1, 0, 0, 0, 0, 0, 0)]), r"\(Conv\): weights = .*3 input channels",
    ),
    "data-dependent shape": (
        model([N("Conv", ["x", "w"], ["a"]), N("Reshape", ["a", "x"], ["y"])], initializers=[W]), r"Reshape\): shape =",
    ),
    "indices of MaxPool": (
        model([N("MaxPool", ["x"], ["a", "i"], kernel_shape=[2, 2]), N("Relu", ["i"], ["y"])]), r"second output",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_graph(tmp_path: Path, case: str) -> None:
    proto, pattern = BAD[case]
    with pytest.raises(InstanceError, match=pattern) as caught:
        imported(tmp_path, proto)
    assert str(caught.value).startswith(str(tmp_path / "model.onnx"))
    assert "\n" not in str(caught.value)


FILES = {
    "empty": (b"", "expected an ONNX model"),
    "text": (b"this is not a model\n", "not readable|expected an ONNX model"),
    "JSON": (b'{"format": "spatem-network"}', "not readable|expected an ONNX model"),
    "truncated": (model([CONV], initializers=[W]).SerializeToString()[:-40], "expected a complete ONNX file"),
}


@pytest.mark.parametrize("case", FILES)
def test_file(tmp_path: Path, case: str) -> None:
    content, pattern = FILES[case]
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(InstanceError, match=rf"m\.onnx: .*({pattern})"):
        from_onnx(tmp_path / "m.onnx")


WHOLE = model([CONV], initializers=[W]).SerializeToString()


@pytest.mark.parametrize("length", range(0, len(WHOLE), 7))
def test_any_truncation(tmp_path: Path, length: int) -> None:
    (tmp_path / "m.onnx").write_bytes(WHOLE[:length])
    with pytest.raises(InstanceError, match=r"^[^\n]*$"):
        from_onnx(tmp_path / "m.onnx")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InstanceError, match=r"none\.onnx: No such file or directory, expected a readable file"):
        from_onnx(tmp_path / "none.onnx")


def test_directory(tmp_path: Path) -> None:
    with pytest.raises(InstanceError, match="directory"):
        from_onnx(tmp_path)


DYNAMIC = model([CONV], ("n", 2, "h", "w"), [W])


@pytest.mark.parametrize("given", ["1x2x8x9", "x=1x2x8x9", (1, 2, 8, 9), {"x": (1, 2, 8, 9)}])
def test_input_shape(tmp_path: Path, given: object) -> None:
    network = imported(tmp_path, DYNAMIC, given)
    assert (network.nodes[1].height, network.nodes[1].width) == (6, 7)


@pytest.mark.parametrize(
    ("given", "pattern"),
    [
        ("1x2x8", r"'1x2x8', expected 4 numbers"),
        ("z=1x2x8x8", r"--input-shape = 'z', expected the name of an input: x"),
        ("1x2xax8", r"expected \[NAME=\]1x3x320x320"),
        ("1x2x-8x8", r"expected dimensions >= 1"),
        ("2x2x8x8", r"expected batch 1"),
        ("", r"expected \[NAME=\]"),
        ({"x": None}, r"expected \[NAME=\]"),
    ],
)
def test_bad_input_shape(tmp_path: Path, given: object, pattern: str) -> None:
    with pytest.raises(InstanceError, match=pattern):
        imported(tmp_path, DYNAMIC, given)
