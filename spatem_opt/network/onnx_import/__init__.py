"""ONNX import (M2). How an operator becomes nodes or edges is told by its handler:

- `crossbar`: Conv, ConvTranspose, Gemm, MatMul, Einsum and their quantised forms;
- `digital`: pooling, reductions, elementwise operators on several tensors, resize, concat of pixels;
- `movement`: reshapes, slices, padding (edges only) and pointwise operators (fused into the producing node).

Shapes are computed on the way, from the inputs' shapes alone: a graph needs no shape annotations of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from spatem_opt.errors import InstanceError
from spatem_opt.limits import reading
from spatem_opt.network.builder import Builder
from spatem_opt.network.layers import Network
from spatem_opt.network.maps import Tensor
from spatem_opt.network.onnx_import import crossbar, digital, einsum, foreign, movement
from spatem_opt.network.onnx_import.context import COMPUTED, HANDLERS, Context
from spatem_opt.network.onnx_import.fold import fold
from spatem_opt.network.onnx_import.graph import Graph, InputShape, Op, input_shapes, read_graph, taken
from spatem_opt.network.onnx_import.joining import JOINED, joined
from spatem_opt.network.onnx_import.quantisation import WIDTHS, layer_bits, quantised, with_bits
from spatem_opt.network.onnx_import.trace import layouts
from spatem_opt.network.onnx_import.values import Activation, Constant, Value, activation

__all__ = ["crossbar", "digital", "einsum", "foreign", "from_onnx", "movement"]

_STAY = (movement.pointwise, movement.passed, digital.elementwise, foreign.quant)
THROUGH = frozenset(name for name, handler in HANDLERS.items() if handler in _STAY) - {"LRN", "BatchNormalization"}
"""Operators of one computed operand that leave every element where it is."""


def from_onnx(
    path: str | Path, input_shape: InputShape | None = None, outputs: str | Sequence[str] | None = None
) -> Network:
    """The network of an ONNX file.

    Parameters
    ----------
    path : str or Path
        A file of opset 7 or newer. Weights need not be there, only their shapes.
    input_shape : str, sequence of int, mapping or None
        ``"[NAME=]1x3x320x320[,NAME=...]"``, a shape (of the first input) or shapes by name; needed if a dimension
        other than the batch is dynamic. -1 keeps the file's own.
    outputs : str, sequence of str or None
        Names of tensors or operators, ``"NAME[,NAME...]"`` if text: what only others need, such as a tail of
        post-processing, is left out. The graph's own outputs if None.

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
        wanted = [name for name in outputs.split(",") if name] if isinstance(outputs, str) else outputs
        return _from_onnx(read_graph(Path(path), wanted), Path(path).name, input_shape)


def _from_onnx(graph: Graph, name: str, input_shape: InputShape | None) -> Network:
    graph = joined(graph, THROUGH | {"Cast"})
    ctx = Context(Builder(graph.name, f"ONNX file {name}"), dict(graph.constants))
    shapes = input_shapes(graph, input_shape)
    for name, kinds in layouts(graph, shapes, THROUGH | {JOINED, "Softmax"}).items():
        sizes = dict(zip(kinds, shapes[name], strict=True))
        tensor = _input(graph, ctx.builder, name, (sizes.get("c", 1), sizes.get("h", 1), sizes.get("w", 1)))
        ctx.values[name] = activation(tensor, kinds)
    _run(graph, ctx, graph.ops)
    tensors = [v.tensor for v in map(ctx.values.get, graph.outputs) if isinstance(v, Activation)]
    try:
        return ctx.builder.build(tensors)
    except InstanceError as error:
        raise InstanceError(f"{graph.where}: {error.where}", error.field, error.value, error.rule) from error


def _run(graph: Graph, ctx: Context, ops: Sequence[Op]) -> None:
    for op in ops:
        if op.type == "If":
            branch = taken(op, ctx.operand(op, 0))
            ctx.values.update(branch.constants)
            _run(graph, ctx, branch.ops)
            results = [ctx.values[name] for name in branch.outputs]
        else:
            results = _results(graph, ctx, op)
        for name, value in zip(op.outputs, results, strict=False):
            ctx.values[name] = value


def _results(graph: Graph, ctx: Context, op: Op) -> list[Value]:
    operands = ctx.operands(op)
    try:
        if not any(isinstance(o, Activation) for o in operands):
            constants = [o for o in operands if o is None or isinstance(o, Constant)]
            return with_bits(op, operands, [quantised(op, operands)] if op.type in WIDTHS else fold(op, constants))
        if op.type not in HANDLERS:
            raise op.error("operator", op.type, "not supported: neither a crossbar layer nor a known digital operator")
        ctx.builder.bits = layer_bits(op, operands)
        return with_bits(op, operands, HANDLERS[op.type](ctx, op))
    except InstanceError as error:
        where = error.where if error.where.startswith(graph.where) else op.where
        rule = error.rule + (_way_out(graph, ctx, op) if error.field == "operator" or error.value == COMPUTED else "")
        raise InstanceError(where, error.field, error.value, rule) from error
    except Exception as error:
        # Handlers trust attribute types, ranks and axes; a file that breaks the ONNX rules fails here.
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InstanceError(op.where, "", reason, "expected a valid operator") from error


def _way_out(graph: Graph, ctx: Context, op: Op) -> str:
    """How to leave out a tail that cannot be read: outputs that are there already, and what the operator reads."""
    if not ctx.builder.layers:
        return ""
    names = [n for n in dict.fromkeys((*graph.outputs, *op.inputs)) if n not in graph.inputs]
    names = [n for n in names if isinstance(ctx.values.get(n), Activation)]
    return f"; --outputs {','.join(names)} leaves out this operator and what follows" if names else ""


def _input(graph: Graph, builder: Builder, name: str, shape: tuple[int, int, int]) -> Tensor:
    try:
        return builder.input(*shape, name)
    except InstanceError as error:
        raise InstanceError(f"{graph.where}: input {name!r}", error.field, error.value, error.rule) from error
