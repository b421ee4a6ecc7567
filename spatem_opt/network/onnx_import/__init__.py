"""ONNX import (M2). How an operator becomes nodes or edges is told by its handler:

- `crossbar`: Conv, ConvTranspose, Gemm, MatMul and their quantised forms;
- `digital`: pooling, reductions, elementwise operators on several tensors, resize, concat of pixels;
- `movement`: reshapes, slices, padding (edges only) and pointwise operators (fused into the producing node).

Shapes are computed on the way, from the inputs' shapes alone: a graph needs no shape annotations of its own.
"""

from __future__ import annotations

from pathlib import Path

from spatem_opt.errors import InstanceError
from spatem_opt.limits import reading
from spatem_opt.network.builder import Builder
from spatem_opt.network.layers import Network
from spatem_opt.network.maps import Tensor
from spatem_opt.network.onnx_import import crossbar, digital, movement
from spatem_opt.network.onnx_import.context import HANDLERS, Context
from spatem_opt.network.onnx_import.fold import fold
from spatem_opt.network.onnx_import.graph import Graph, InputShape, Op, input_shapes, read_graph
from spatem_opt.network.onnx_import.trace import layouts
from spatem_opt.network.onnx_import.values import Activation, Constant, Value, activation

__all__ = ["crossbar", "digital", "from_onnx", "movement"]

_STAY = (movement.pointwise, movement.passed, digital.elementwise)
THROUGH = frozenset(name for name, handler in HANDLERS.items() if handler in _STAY) - {"LRN", "BatchNormalization"}
"""Operators of one computed operand that leave every element where it is."""


def from_onnx(path: str | Path, input_shape: InputShape | None = None) -> Network:
    """The network of an ONNX file.

    Parameters
    ----------
    path : str or Path
        A file of opset 9 or newer. Weights need not be there, only their shapes.
    input_shape : str, sequence of int, mapping or None
        ``"[NAME=]1x3x320x320[,NAME=...]"``, a shape (of the first input) or shapes by name; needed if a dimension
        other than the batch is dynamic.

    Returns
    -------
    Network
        Named after the file.

    Raises
    ------
    InstanceError
        If the file is missing, truncated or no ONNX, an operator is not supported, a shape is unknown or inconsistent,
        or there is no crossbar layer.
    """
    with reading(str(path), "an ONNX model"):
        return _from_onnx(Path(path), input_shape)


def _from_onnx(path: Path, input_shape: InputShape | None) -> Network:
    graph = read_graph(path)
    ctx = Context(Builder(graph.name, f"ONNX file {path.name}"), dict(graph.constants))
    shapes = input_shapes(graph, input_shape)
    for name, kinds in layouts(graph, shapes, THROUGH).items():
        sizes = dict(zip(kinds, shapes[name], strict=True))
        tensor = _input(graph, ctx.builder, name, (sizes.get("c", 1), sizes.get("h", 1), sizes.get("w", 1)))
        ctx.values[name] = activation(tensor, kinds)
    for op in graph.ops:
        for name, value in zip(op.outputs, _results(graph, ctx, op), strict=False):
            ctx.values[name] = value
    outputs = [v.tensor for v in map(ctx.values.get, graph.outputs) if isinstance(v, Activation)]
    try:
        return ctx.builder.build(outputs)
    except InstanceError as error:
        raise InstanceError(f"{graph.where}: {error.where}", error.field, error.value, error.rule) from error


def _results(graph: Graph, ctx: Context, op: Op) -> list[Value]:
    operands = ctx.operands(op)
    try:
        if not any(isinstance(o, Activation) for o in operands):
            return list(fold(op, [o for o in operands if o is None or isinstance(o, Constant)]))
        if op.type not in HANDLERS:
            raise op.error("operator", op.type, "not supported: neither a crossbar layer nor a known digital operator")
        return list(HANDLERS[op.type](ctx, op))
    except InstanceError as error:
        if error.where.startswith(graph.where):
            raise
        raise InstanceError(op.where, error.field, error.value, error.rule) from error
    except Exception as error:
        # Handlers trust attribute types, ranks and axes; a file that breaks the ONNX rules fails here.
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InstanceError(op.where, "", reason, "expected a valid operator") from error


def _input(graph: Graph, builder: Builder, name: str, shape: tuple[int, int, int]) -> Tensor:
    try:
        return builder.input(*shape, name)
    except InstanceError as error:
        raise InstanceError(f"{graph.where}: input {name!r}", error.field, error.value, error.rule) from error
