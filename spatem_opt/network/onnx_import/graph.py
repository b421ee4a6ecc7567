"""Reads an ONNX file into plain data: operators in topological order, constants, inputs with their shapes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from spatem_opt.errors import InstanceError
from spatem_opt.limits import check_size
from spatem_opt.network.onnx_import.inline import inlined
from spatem_opt.network.onnx_import.values import Constant, unknown

# Shape arithmetic works on short vectors; of longer constants (weights) only the shape is kept.
MAX_KNOWN = 4096
MIN_OPSET = 9
InputShape = str | Sequence[int] | Mapping[str, Sequence[int]]


@dataclass(frozen=True, slots=True, eq=False)
class Op:
    """One operator; `where` is what messages about it begin with."""

    name: str
    type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]
    opset: int
    where: str

    def error(self, name: str, value: object, rule: str) -> InstanceError:
        """A message about this operator."""
        return InstanceError(self.where, name, value, rule)

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute."""
        return self.attributes.get(name, default)


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """The live part of an ONNX graph. Dimensions of inputs are numbers, or text if dynamic; None without a shape."""

    where: str
    name: str
    ops: list[Op]
    constants: dict[str, Constant]
    inputs: dict[str, list[int | str] | None]
    outputs: list[str]
    users: dict[str, list[Op]] = field(default_factory=dict)


def read_graph(path: Path) -> Graph:
    """The live graph of a file.

    Raises
    ------
    InstanceError
        If the file is missing, truncated or no ONNX, the opset is older than 9, a name is undefined or there is a
        cycle.
    """
    model = _load(path)
    where = str(path)
    opsets = {o.domain or "ai.onnx": int(o.version) for o in model.opset_import}
    opset = opsets.get("ai.onnx", 0)
    if not opset or not (model.graph.node or model.graph.output):
        raise InstanceError(where, "", "no graph or no opset", "expected an ONNX model")
    if opset < MIN_OPSET:
        raise InstanceError(where, "opset", opset, f"expected >= {MIN_OPSET}")
    if not model.graph.output:
        raise InstanceError(where, "outputs", [], "expected at least one")
    graph = model.graph
    check_size(where, "nodes", len(graph.node), "nodes")
    constants = {t.name: constant(t) for t in graph.initializer}
    for sparse in graph.sparse_initializer:
        constants[sparse.values.name] = unknown(tuple(sparse.dims))
    inputs = {i.name: _dims(i) for i in graph.input if i.name not in constants}
    ops = [_op(where, i, node, opset) for i, node in enumerate(graph.node)]
    outputs = [o.name for o in graph.output]
    live = _ordered(where, ops, {*constants, *inputs}, outputs)
    users: dict[str, list[Op]] = {}
    for op in live:
        for name in op.inputs:
            users.setdefault(name, []).append(op)
    return Graph(where, path.stem, live, constants, inputs, outputs, users)


def _load(path: Path) -> Any:
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped, unused-ignore]

    try:
        model = onnx.load(str(path), load_external_data=False)
    except OSError as error:
        raise InstanceError(str(path), "", error.strerror or "unreadable", "expected a readable file") from error
    except DecodeError as error:
        raise InstanceError(str(path), "", "not readable as ONNX", "expected a complete ONNX file") from error
    return inlined(model, str(path))


def constant(tensor: Any) -> Constant:
    """A TensorProto: with its values if it is short and they are in the file, else its shape."""
    import onnx

    shape = tuple(tensor.dims)
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
    if tensor.data_location == onnx.TensorProto.EXTERNAL or prod(shape) > MAX_KNOWN:
        return unknown(shape, dtype)
    try:
        return Constant(onnx.numpy_helper.to_array(tensor))
    except (ValueError, TypeError):  # fewer values than the shape says: stripped weights
        return unknown(shape, dtype)


def _dims(info: Any) -> list[int | str] | None:
    kind = info.type.tensor_type
    if not kind.HasField("shape"):
        return None
    return [int(d.dim_value) if d.HasField("dim_value") else (d.dim_param or "?") for d in kind.shape.dim]


def _op(where: str, index: int, node: Any, opset: int) -> Op:
    kind = node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"
    name = node.name or next((o for o in node.output if o), f"{kind}_{index}")
    attributes = {a.name: _attribute(a) for a in node.attribute}
    return Op(name, kind, tuple(node.input), tuple(node.output), attributes, opset, f"{where}: node {name!r} ({kind})")


def _attribute(attribute: Any) -> Any:
    import onnx

    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, onnx.TensorProto):
        return constant(value)
    if isinstance(value, onnx.SparseTensorProto):
        return unknown(tuple(value.dims))
    return list(value) if isinstance(value, Iterable) and not isinstance(value, str) else value


def _ordered(where: str, ops: list[Op], given: set[str], outputs: list[str]) -> list[Op]:
    """Operators that the outputs need, producers first: depth first, without recursion for the sake of long graphs."""
    producer = {name: op for op in ops for name in op.outputs if name}
    done: dict[str, bool] = dict.fromkeys(given, True)  # False: on the path that is being followed
    order: list[Op] = []
    for output in outputs:
        stack = [(output, where)]
        while stack:
            name, reader = stack[-1]
            if done.get(name):
                stack.pop()
                continue
            if name not in producer:
                raise InstanceError(reader, "input", name, "expected the name of an input, a constant or an output")
            op = producer[name]
            missing = [(i, op.where) for i in op.inputs if i and not done.get(i)]
            if not missing:
                order.append(op)
                done.update((o, True) for o in op.outputs)
                stack.pop()
                continue
            done.update((o, False) for o in op.outputs)
            for needed, _ in missing:
                if needed in done:
                    raise InstanceError(op.where, "input", needed, "needs the node's own output: a cycle")
            stack.extend(missing)
    return _in_file_order(ops, order)


def _in_file_order(ops: list[Op], order: list[Op]) -> list[Op]:
    """The operators of `order` as the file has them, if producers come first there (as ONNX demands)."""
    needed = {id(op) for op in order}
    as_written = [op for op in ops if id(op) in needed]
    position = {name: i for i, op in enumerate(as_written) for name in op.outputs if name}
    if any(position.get(name, -1) >= i for i, op in enumerate(as_written) for name in op.inputs):
        return order
    return as_written


def input_shapes(graph: Graph, given: InputShape | None) -> dict[str, tuple[int, ...]]:
    """Shape of every input that is used.

    Raises
    ------
    InstanceError
        If `given` is malformed or names no input, a dimension other than the first is dynamic and not given, the batch
        is not 1, or a dimension is 0.
    """
    used = {n: dims for n, dims in graph.inputs.items() if n in graph.users or n in graph.outputs}
    override = _given(graph.where, list(used), given)
    shapes = {}
    for name, dims in used.items():
        where = f"{graph.where}: input {name!r}"
        text = "no shape" if dims is None else " x ".join(map(str, dims))
        if name in override:
            shape = override[name]
            if dims is not None and len(dims) != len(shape):
                raise InstanceError(where, "--input-shape", _show(shape), f"expected {len(dims)} numbers ({text})")
        elif dims is None or any(isinstance(d, str) for d in dims[1:]) or (len(dims) == 1 and dims[0] == "?"):
            example = "x".join(str(d) if isinstance(d, int) else "224" if i else "1" for i, d in enumerate(dims or []))
            rule = f"expected numbers; give them with --input-shape {name}={example or '1x3x224x224'}"
            raise InstanceError(where, "shape", text, rule)
        else:
            shape = tuple(d if isinstance(d, int) else 1 for d in dims)
        if not 1 <= len(shape) <= 4:
            raise InstanceError(where, "shape", _show(shape), "expected 1 to 4 dimensions")
        if min(shape) < 1:
            raise InstanceError(where, "shape", _show(shape), "expected dimensions >= 1; --input-shape overrides them")
        shapes[name] = shape
    return shapes


def _show(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def _given(where: str, names: list[str], given: InputShape | None) -> dict[str, tuple[int, ...]]:
    """Shapes by input name from ``"[NAME=]1x3x320x320[,NAME=...]"``, a sequence (of the first input) or a mapping."""
    items: list[tuple[str, Any]]
    if given is None:
        return {}
    if isinstance(given, str):
        split = [item.rpartition("=") for item in given.split(",")]
        items = [(name, text.lower().split("x")) for name, _, text in split]
    else:
        items = list(given.items()) if isinstance(given, Mapping) else [("", given)]
    shapes = {}
    for name, dims in items:
        name = name or (names[0] if names else "")
        if name not in names:
            raise InstanceError(where, "--input-shape", name, f"expected the name of an input: {', '.join(names)}")
        try:
            shapes[name] = tuple(int(d) for d in dims)
        except (TypeError, ValueError):
            rule = "expected [NAME=]1x3x320x320"
            raise InstanceError(where, "--input-shape", given, rule) from None
    return shapes


def integers(value: Constant) -> list[int]:
    """Values of a known constant as integers."""
    return [int(v) for v in np.asarray(value.array).ravel()]
