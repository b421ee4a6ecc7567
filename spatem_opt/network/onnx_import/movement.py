"""Operators that only move data (views, no nodes) and pointwise ones (fused into the producing nodes)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod

import numpy as np

from spatem_opt.limits import check_size
from spatem_opt.network import receptive as r
from spatem_opt.network.onnx_import.context import Context, handles
from spatem_opt.network.onnx_import.fold import (
    axes_of,
    axis_at,
    flattened,
    positions,
    slices,
    split_sizes,
    target_shape,
)
from spatem_opt.network.onnx_import.graph import Op
from spatem_opt.network.onnx_import.relayout import relaid, scrambled
from spatem_opt.network.onnx_import.values import (
    Activation,
    Constant,
    Value,
    reshape,
    select,
    transpose,
    unknown,
    usual,
)
from spatem_opt.types import IntArray

_PAD_MODES = ("constant", "reflect", "edge", "wrap")


@handles("Relu", "LeakyRelu", "Elu", "Selu", "Celu", "ThresholdedRelu", "Sigmoid", "HardSigmoid", "HardSwish", "Tanh",
         "Softplus", "Softsign", "Clip", "Gelu", "Mish", "Swish", "Erf", "Exp", "Log", "Sqrt",
         "Reciprocal", "Neg", "Abs", "Floor", "Ceil", "Round", "Sign", "Sin", "Cos", "Tan", "Asin",
         "Acos", "Atan", "Sinh", "Cosh", "Asinh", "Acosh", "Atanh", "Not", "BitwiseNot", "IsNaN", "IsInf", "Shrink",
         "Trilu", "LRN", "BatchNormalization")  # fmt: skip
def pointwise(ctx: Context, op: Op) -> Sequence[Value]:
    """One fused operation per element."""
    value = ctx.data(op)
    for position in range(1, len(op.inputs)):
        if op.inputs[position]:
            ctx.constant(op, position, f"operand {position}")
    ctx.builder.fuse(value.tensor)
    return [value]


@handles("Identity", "Dropout", "Cast", "CastLike", "QuantizeLinear", "DequantizeLinear")
def passed(ctx: Context, op: Op) -> Sequence[Value]:
    """Nothing happens on this accelerator."""
    return [ctx.data(op)]


@handles("DynamicQuantizeLinear")
def dynamic_quantise(ctx: Context, op: Op) -> Sequence[Value]:
    """The scale and the zero point count as constants."""
    return [ctx.data(op), unknown(()), unknown((), np.uint8)]


@handles("Shape")
def shape(ctx: Context, op: Op) -> Sequence[Value]:
    """The shape, known."""
    found = ctx.data(op).shape[slice(op.get("start", 0), op.get("end"))]
    return [Constant(np.array(found, dtype=np.int64))]


@handles("Size")
def size(ctx: Context, op: Op) -> Sequence[Value]:
    """The number of elements, known."""
    return [Constant(np.array(np.prod(ctx.data(op).shape), dtype=np.int64))]


def regrouped(ctx: Context, op: Op, value: Activation, wanted: Sequence[int]) -> Activation:
    """The value in another shape: a view, or a node of which every output depends on everything."""
    found = reshape(value, wanted)
    return scrambled(ctx.builder, value, wanted, op.name) if found is None else found


@handles("Reshape")
def reshape_op(ctx: Context, op: Op) -> Sequence[Value]:
    """Another shape of the same elements."""
    value = ctx.data(op)
    return [regrouped(ctx, op, value, target_shape(op, value.shape, ctx.numbers(op, 1, "shape")))]


@handles("Flatten")
def flatten(ctx: Context, op: Op) -> Sequence[Value]:
    """To two axes."""
    value = ctx.data(op)
    return [regrouped(ctx, op, value, flattened(op, value.shape))]


@handles("Squeeze")
def squeeze(ctx: Context, op: Op) -> Sequence[Value]:
    """Without axes of length 1."""
    value = ctx.data(op)
    given = [o.array if isinstance(o, Constant) else None for o in ctx.operands(op)]
    axes = axes_of(op, given, 1, len(value.axes))
    gone = [a for a, n in enumerate(value.shape) if n == 1] if axes is None else axes
    if any(value.shape[a] != 1 for a in gone):
        raise op.error("axes", gone, f"expected axes of length 1 of {list(value.shape)}")
    return [replace(value, axes=tuple(axis for a, axis in enumerate(value.axes) if a not in gone))]


@handles("Unsqueeze")
def unsqueeze(ctx: Context, op: Op) -> Sequence[Value]:
    """With more axes of length 1."""
    value = ctx.data(op)
    wanted = ctx.numbers(op, 1, "axes")
    rank = len(value.axes) + len(wanted)
    new, old = {axis_at(op, a, rank) for a in wanted}, iter(value.axes)
    return [replace(value, axes=tuple(() if a in new else next(old) for a in range(rank)))]


@handles("Transpose")
def transpose_op(ctx: Context, op: Op) -> Sequence[Value]:
    """Axes in another order."""
    value = ctx.data(op)
    perm = op.get("perm") or list(range(len(value.axes)))[::-1]
    if sorted(perm) != list(range(len(value.axes))):
        raise op.error("perm", perm, f"expected a permutation of 0 ... {len(value.axes) - 1}")
    return [transpose(value, perm)]


def selected(ctx: Context, op: Op, value: Activation, axis: int, index: IntArray) -> Activation:
    """The given positions of an axis, -1 for constants: a view, behind a reshape where the axis has several kinds."""
    if not len(index):
        raise op.error("axis", axis, "expected at least one element to stay")
    rank, kinds = len(value.axes), usual(len(value.axes))
    if np.array_equal(index, positions(op, value.shape[axis])):
        return value
    kind = kinds[axis] if kinds[axis] != "b" else "c"
    found = select(value, axis, index, kind)
    if found is None:
        parts = value.axes[axis]
        one = max((k for k, _ in parts), key=lambda k: prod(n for q, n in parts if q == k))
        letters = ["".join(k for k, _ in axis) for axis in value.axes]
        letters[axis] = one * len(parts)
        found = select(relaid(ctx.builder, value, letters, op.name), axis, index, kind)
    if found is None:
        raise op.error("axis", axis, f"of {rank} cannot be cut: layout {value.axes}")
    return found


@handles("Slice")
def slice_op(ctx: Context, op: Op) -> Sequence[Value]:
    """Some channels, rows or columns."""
    value, operands = ctx.data(op), ctx.operands(op)
    for position in range(1, len(operands)):
        if operands[position] is not None and not ctx.constant(op, position, "starts, ends, axes, steps").known:
            raise op.error("starts, ends, axes, steps", "unknown values", "expected constants")
    arrays = [None, *(o.array if isinstance(o, Constant) else None for o in operands[1:])]
    for axis, index in slices(op, arrays, value.shape).items():
        value = selected(ctx, op, value, axis, index)
    return [value]


@handles("Split")
def split(ctx: Context, op: Op) -> Sequence[Value]:
    """Consecutive parts."""
    value = ctx.data(op)
    axis = axis_at(op, op.get("axis", 0), len(value.axes))
    operands = [o.array if isinstance(o, Constant) else None for o in ctx.operands(op)]
    ends = np.cumsum(split_sizes(op, operands, value.shape[axis]))
    parts = np.split(positions(op, value.shape[axis]), ends[:-1])
    return [selected(ctx, op, value, axis, part) for part in parts]


@handles("Gather")
def gather(ctx: Context, op: Op) -> Sequence[Value]:
    """Channels, rows or columns at constant indices; an axis for each of the indices' own."""
    value, index = ctx.data(op), ctx.constant(op, 1, "indices")
    if not index.known:
        raise op.error("indices", list(index.shape), "expected known numbers")
    axis = axis_at(op, op.get("axis", 0), len(value.axes))
    wanted, length = index.array.ravel().astype(np.int64), value.shape[axis]
    if ((wanted < -length) | (wanted >= length)).any():
        raise op.error("indices", wanted.tolist(), f"expected within 0 ... {length - 1}, the length of axis {axis}")
    found = selected(ctx, op, value, axis, wanted % length)
    if index.array.ndim != 1:
        shape = (*found.shape[:axis], *index.shape, *found.shape[axis + 1 :])
        return [regrouped(ctx, op, found, shape)]
    return [found]


@handles("Pad")
def pad(ctx: Context, op: Op) -> Sequence[Value]:
    """Padding: of pixels a view, which the taps of the reading layer take up, of channels constant channels."""
    value = ctx.data(op)
    rank = len(value.axes)
    amounts = ctx.numbers(op, 1, "pads")
    given = ctx.numbers(op, 3, "axes") if ctx.operand(op, 3) is not None else range(rank)
    axes = [axis_at(op, a, rank) for a in given]
    mode = op.get("mode", "constant")
    if len(amounts) != 2 * len(axes) or mode not in _PAD_MODES:
        raise op.error("pads", [mode, *amounts], f"expected {2 * len(axes)} numbers and a known mode")
    for axis, before, after in zip(axes, amounts[: len(axes)], amounts[len(axes) :], strict=True):
        if before or after:
            index = r.padded(positions(op, value.shape[axis]), before, after, mode)
            if not len(index):
                raise op.error("pads", [before, after], "expected elements to be left")
            value = selected(ctx, op, value, axis, index)
    return [value]


@handles("Expand", "Tile")
def expand(ctx: Context, op: Op) -> Sequence[Value]:
    """Repetition along axes: a view."""
    value = ctx.data(op)
    wanted = ctx.numbers(op, 1, "shape")
    if op.type == "Tile":
        wanted = [n * m for n, m in zip(value.shape, wanted, strict=True)]
    else:
        wanted = list(np.broadcast_shapes(value.shape, tuple(wanted)))
    value = replace(value, axes=((),) * (len(wanted) - len(value.axes)) + value.axes)
    for axis, (old, new) in enumerate(zip(value.shape, wanted, strict=True)):
        check_size(op.where, "shape", new, "elements on an axis")
        if old != new:
            value = selected(ctx, op, value, axis, np.arange(new) % old)
    return [value]
