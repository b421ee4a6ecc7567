"""Small ONNX graphs, and the dependency of outputs on inputs: as the importer has it and as a run shows it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from spatem_opt.network import from_onnx
from spatem_opt.network.layers import Network


def weight(name: str, *shape: int) -> onnx.TensorProto:
    """Positive weights, so that no output cancels out."""
    rng = np.random.default_rng(len(name) + sum(shape))
    return numpy_helper.from_array(rng.uniform(0.5, 1.5, shape).astype(np.float32), name)


def ints(name: str, *values: int) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(values, dtype=np.int64), name)


def model(nodes: Sequence[onnx.NodeProto], shape: Sequence[int | str] = (1, 2, 6, 6),
          initializers: Sequence[onnx.TensorProto] = (), outputs: Sequence[str] = ("y",), opset: int = 18,
          inputs: dict[str, Sequence[int | str]] | None = None) -> onnx.ModelProto:  # fmt: skip
    """A model with input(s) ``x`` (or `inputs`); outputs have no shape, the importer has to find it."""
    given = inputs or {"x": shape}
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in given.items()],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in outputs],
        list(initializers),
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


def imported(path: Path, proto: onnx.ModelProto, input_shape: object = None) -> Network:
    """The network of a model, by way of a file."""
    file = path / "model.onnx"
    file.write_bytes(proto.SerializeToString())
    return from_onnx(file, input_shape)  # type: ignore[arg-type]


def implied(network: Network, node: int) -> np.ndarray:
    """Which pixels of the first input each pixel of a node depends on: bool (height, width, input h, input w)."""
    shape = (network.nodes[0].height, network.nodes[0].width)
    found: list[np.ndarray] = []
    for i, n in enumerate(network.nodes[: node + 1]):
        field = np.zeros((n.height, n.width, *shape), dtype=bool)
        if n.kind == "input" and i == 0:
            ys, xs = np.mgrid[: n.height, : n.width]
            field[ys, xs, ys, xs] = True
        for edge in n.edges:
            for producer in edge.producers:
                for y in range(n.height):
                    for x in range(n.width):
                        rows, cols = edge.rows[y][edge.rows[y] >= 0], edge.cols[x][edge.cols[x] >= 0]
                        field[y, x] |= found[producer][np.ix_(rows, cols)].any(axis=(0, 1))
        found.append(field)
    return found[node]


def observed(proto: onnx.ModelProto, output: str, shape: Sequence[int], layout: str = "bchw") -> np.ndarray:
    """The same, by changing every input pixel and running the model; the output must have `layout` too."""
    from onnx.reference import ReferenceEvaluator

    run = ReferenceEvaluator(proto)
    rng = np.random.default_rng(0)
    x = rng.uniform(0.5, 1.5, shape).astype(np.float32)

    def outputs(data: np.ndarray) -> np.ndarray:
        y = run.run([output], {"x": data})[0]
        return np.asarray(y).transpose([layout.index(k) for k in "bchw"])[0]

    base = outputs(x)
    fields = np.zeros((*base.shape[1:], *shape[2:]), dtype=bool)
    for c in range(shape[1]):
        for i in range(shape[2]):
            for j in range(shape[3]):
                changed = x.copy()
                changed[0, c, i, j] += 1000.0  # large: it wins every maximum
                fields[:, :, i, j] |= (outputs(changed) != base).any(axis=0)
    return fields


def dependence(proto: onnx.ModelProto, output: str, shape: Sequence[int]) -> np.ndarray:
    """Which elements of an output change with which of the input: bool (*output shape, *input shape)."""
    from onnx.reference import ReferenceEvaluator

    run = ReferenceEvaluator(doubled(proto))
    x = np.random.default_rng(0).uniform(0.5, 1.5, shape).astype(np.float64)
    base = run.run([output], {"x": x})[0]
    found = np.zeros((*base.shape, x.size), dtype=bool)
    for i in range(x.size):
        changed = x.copy()
        changed.flat[i] += 3.0
        found[..., i] = run.run([output], {"x": changed})[0] != base
    return found.reshape(*base.shape, *shape)


def doubled(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The model with all floats as doubles, so that no change is lost in rounding."""
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    for tensor in copy.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float64), tensor.name))
    for value in (*copy.graph.input, *copy.graph.output):
        value.type.tensor_type.elem_type = TensorProto.DOUBLE
    return copy
