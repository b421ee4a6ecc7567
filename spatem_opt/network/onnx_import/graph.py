"""Reads an ONNX file into plain data: operators in topological order, constants, inputs with their shapes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from spatem_opt.errors import InstanceError
from spatem_opt.files.names import suggestions
from spatem_opt.limits import check_size
from spatem_opt.network.onnx_import.inline import inlined
from spatem_opt.network.onnx_import.stripped import IncompleteError, stripped
from spatem_opt.network.onnx_import.values import Constant, unknown

# Shape arithmetic works on short vectors; of longer constants (weights) only the shape is kept.
MAX_KNOWN = 4096
MIN_OPSET = 7
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
    node: Any = None
    domain: str = ""

    @property
    def needs(self) -> list[str]:
        """Names of what it reads, also inside of its branches."""
        inner = [n for b in self.attributes.values() if isinstance(b, Branch) for n in b.captured]
        return [*self.inputs, *inner] if inner else list(self.inputs)

    def error(self, name: str, value: object, rule: str) -> InstanceError:
        """A message about this operator."""
        return InstanceError(self.where, name, value, rule)

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute."""
        return self.attributes.get(name, default)


@dataclass(frozen=True, slots=True, eq=False)
class Branch:
    """A graph inside of an operator: one way of an If. `captured` are the names from outside."""

    ops: list[Op]
    constants: dict[str, Constant]
    outputs: list[str]
    captured: list[str]


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


def read_graph(path: Path, outputs: Sequence[str] | None = None) -> Graph:
    """The live graph of a file: what its outputs need, or the given tensors instead of them.

    Raises
    ------
    InstanceError
        If the file is missing, truncated or no ONNX, the opset is older than 7, a name is undefined or there is a
        cycle.
    """
    model = _load(path)
    where = str(path)
    opsets = {o.domain or "ai.onnx": int(o.version) for o in model.opset_import}
    opset = opsets.get("ai.onnx", 0)
    if not opset or not (model.graph.node or model.graph.output):
        raise InstanceError(where, "", "no graph or no opset", "expected an ONNX model")
    if opset < MIN_OPSET:
        rule = f"expected >= {MIN_OPSET}; onnx.version_converter converts older files"
        raise InstanceError(where, "opset", opset, rule)
    if not model.graph.output:
        raise InstanceError(where, "outputs", [], "expected at least one")
    graph = model.graph
    check_size(where, "nodes", len(graph.node), "nodes")
    constants = _constants(graph)
    inputs = {i.name: _dims(i) for i in graph.input if i.name not in constants}
    ops = [_op(where, i, node, opset) for i, node in enumerate(graph.node)]
    wanted = _wanted(where, ops, [o.name for o in graph.output], outputs)
    live = ordered(where, ops, {*constants, *inputs}, wanted)
    users: dict[str, list[Op]] = {}
    for op in live:
        for name in op.inputs:
            users.setdefault(name, []).append(op)
    return Graph(where, path.stem, live, constants, inputs, wanted, users)


def _wanted(where: str, ops: Sequence[Op], own: list[str], given: Sequence[str] | None) -> list[str]:
    """Names of the tensors to compute: the graph's outputs, or those of `--outputs` (of tensors, or of operators)."""
    if given is None:
        return own
    tensors = {name for op in ops for name in op.outputs if name} | set(own)
    of_node = {op.name: [name for name in op.outputs if name][:1] for op in ops}
    wanted: list[str] = []
    for name in given:
        if name not in tensors and name not in of_node:
            close = ", ".join(suggestions(name, sorted(tensors))) or ", ".join(own)
            raise InstanceError(where, "--outputs", name, f"expected the name of a tensor of the graph: {close}")
        wanted += [name] if name in tensors else of_node[name]
    if not wanted:
        raise InstanceError(where, "--outputs", "", "expected NAME[,NAME...]")
    return wanted


def _constants(graph: Any) -> dict[str, Constant]:
    found = {t.name: constant(t) for t in graph.initializer}
    for sparse in graph.sparse_initializer:
        found[sparse.values.name] = unknown(tuple(sparse.dims))
    return found


def _branch(where: str, graph: Any, opset: int) -> Branch:
    constants, outputs = _constants(graph), [o.name for o in graph.output]
    ops = [_op(where, i, node, opset) for i, node in enumerate(graph.node)]
    inside = {*constants, *(i.name for i in graph.input), *(o for op in ops for o in op.outputs if o)}
    read = dict.fromkeys([*(n for op in ops for n in op.needs if n), *outputs])
    captured = [n for n in read if n not in inside]
    return Branch(ordered(where, ops, {*inside.difference(o for op in ops for o in op.outputs), *captured}, outputs),
                  constants, outputs, captured)  # fmt: skip


def _load(path: Path) -> Any:
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped, unused-ignore]

    try:
        model = onnx.ModelProto.FromString(stripped(path))
    except OSError as error:
        raise InstanceError(str(path), "", error.strerror or "unreadable", "expected a readable file") from error
    except (DecodeError, IncompleteError) as error:
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
    # Some exporters write a dynamic dimension as -1 or 0.
    return [int(d.dim_value) if d.HasField("dim_value") and d.dim_value > 0 else (d.dim_param or "?")
            for d in kind.shape.dim]  # fmt: skip


def _op(where: str, index: int, node: Any, opset: int) -> Op:
    kind = node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"
    name = node.name or next((o for o in node.output if o), f"{kind}_{index}")
    here = f"{where}: node {name!r} ({kind})"
    attributes = {a.name: _attribute(a) if not a.HasField("g") else _branch(here, a.g, opset) for a in node.attribute}
    return Op(name, kind, tuple(node.input), tuple(node.output), attributes, opset, here, node, node.domain)


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


def ordered(where: str, ops: list[Op], given: set[str], outputs: list[str]) -> list[Op]:
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
            missing = [(i, op.where) for i in op.needs if i and not done.get(i)]
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
    if any(position.get(name, -1) >= i for i, op in enumerate(as_written) for name in op.needs):
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
            shape = _filled(where, dims, override[name], text)
        elif dims is None or any(isinstance(d, str) for d in dims[1:]) or (len(dims) == 1 and dims[0] == "?"):
            example = "x".join(str(d) if isinstance(d, int) else "224" if i else "1" for i, d in enumerate(dims or []))
            rule = f"expected numbers; give them with --input-shape {name}={example or '1x3x224x224'}"
            raise InstanceError(where, "shape", text, rule)
        else:
            shape = tuple(d if isinstance(d, int) else 1 for d in dims)
        if len(shape) > 4 and sum(n > 1 for n in shape) > 3:
            raise InstanceError(where, "shape", _show(shape), "expected 1 to 4 dimensions, or no more than 3 above 1")
        if min(shape, default=1) < 1:
            raise InstanceError(where, "shape", _show(shape), "expected dimensions >= 1; --input-shape overrides them")
        shapes[name] = shape
    return shapes


def _filled(where: str, dims: list[int | str] | None, given: tuple[int, ...], text: str) -> tuple[int, ...]:
    """The shape that is given; -1 in it stands for the file's dimension, or a batch of 1."""
    if dims is not None and len(dims) != len(given):
        raise InstanceError(where, "--input-shape", _show(given), f"expected {len(dims)} numbers ({text})")
    own = dims or ["?"] * len(given)
    filled = [n if n != -1 else d if isinstance(d, int) else 1 if not i else -1
              for i, (n, d) in enumerate(zip(given, own, strict=True))]  # fmt: skip
    if min(filled, default=1) < 1:
        raise InstanceError(where, "--input-shape", _show(given), f"expected dimensions >= 1 ({text})")
    return tuple(filled)


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


def taken(op: Op, condition: object) -> Branch:
    """The branch of an If whose condition is known.

    Raises
    ------
    InstanceError
        If it depends on the inputs' values.
    """
    if not isinstance(condition, Constant) or not condition.known or condition.array.size != 1:
        raise op.error("condition", "not constant", "expected one that constants and shapes decide")
    branch = op.get("then_branch" if bool(condition.array.ravel()[0]) else "else_branch")
    if not isinstance(branch, Branch):
        raise op.error("branch", None, "is missing")
    return branch


def integers(value: Constant) -> list[int]:
    """Values of a known constant as integers."""
    return [int(v) for v in np.asarray(value.array).ravel()]
