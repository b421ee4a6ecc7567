"""Operators that only move data (views, no nodes) and pointwise ones (fused into the producing nodes)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

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
from spatem_opt.network.onnx_import.values import (
    KINDS,
    Activation,
    Constant,
    Value,
    arranged,
    merged,
    reshape,
    scrambled,
    select,
    transpose,
    unknown,
)
from spatem_opt.types import IntArray

_PAD_MODES = ("constant", "reflect", "edge", "wrap")


@handles("Relu", "LeakyRelu", "Elu", "Selu", "Celu", "ThresholdedRelu", "Sigmoid", "HardSigmoid", "HardSwish", "Tanh",
         "Softplus", "Softsign", "Softmax", "LogSoftmax", "Hardmax", "Clip", "Gelu", "Mish", "Swish", "Erf", "Exp",
         "Log", "Sqrt", "Reciprocal", "Neg", "Abs", "Floor", "Ceil", "Round", "Sign", "Sin", "Cos", "Not", "Shrink",
         "LRN", "BatchNormalization", "LayerNormalization", "LpNormalization", "SimplifiedLayerNormalization",
         "RMSNormalization")  # fmt: skip
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


def _regrouped(ctx: Context, op: Op, value: Activation, wanted: Sequence[int]) -> Sequence[Value]:
    found = reshape(value, wanted)
    if found is None:
        if len(wanted) not in KINDS or (len(wanted) > 1 and wanted[0] != 1):
            raise op.error("shape", list(wanted), "cuts rows of pixels; expected 1 to 4 dimensions, the first one 1")
        found = scrambled(ctx.builder, value, wanted, op.name)
    return [found]


@handles("Reshape")
def reshape_op(ctx: Context, op: Op) -> Sequence[Value]:
    """Another shape of the same elements."""
    value = ctx.data(op)
    return _regrouped(ctx, op, value, target_shape(op, value.shape, ctx.numbers(op, 1, "shape")))


@handles("Flatten")
def flatten(ctx: Context, op: Op) -> Sequence[Value]:
    """To two axes."""
    value = ctx.data(op)
    return _regrouped(ctx, op, value, flattened(op, value.shape))


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


def _selected(ctx: Context, op: Op, value: Activation, axis: int, index: IntArray) -> Activation:
    if not len(index):
        raise op.error("axis", axis, "expected at least one element to stay")
    if np.array_equal(index, positions(op, value.shape[axis])):
        return value
    found = select(value, axis, index)
    if found is None and len(value.axes) in KINDS:
        kinds = "bwc" if len(value.axes) == 3 else KINDS[len(value.axes)]
        tensor = arranged(ctx.builder, value, kinds, op.name)
        axes = tuple(merged([(k, n)]) for k, n in zip(kinds, value.shape, strict=True))
        found = select(Activation(axes, tensor), axis, index)
    if found is None:
        raise op.error("axis", axis, f"cannot be cut: layout {value.axes}")
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
        value = _selected(ctx, op, value, axis, index)
    return [value]


@handles("Split")
def split(ctx: Context, op: Op) -> Sequence[Value]:
    """Consecutive parts."""
    value = ctx.data(op)
    axis = axis_at(op, op.get("axis", 0), len(value.axes))
    operands = [o.array if isinstance(o, Constant) else None for o in ctx.operands(op)]
    ends = np.cumsum(split_sizes(op, operands, value.shape[axis]))
    parts = np.split(positions(op, value.shape[axis]), ends[:-1])
    return [_selected(ctx, op, value, axis, part) for part in parts]


@handles("Gather")
def gather(ctx: Context, op: Op) -> Sequence[Value]:
    """Channels, rows or columns at constant indices."""
    value, index = ctx.data(op), ctx.constant(op, 1, "indices")
    if not index.known or index.array.ndim > 1:
        raise op.error("indices", list(index.shape), "expected a known number or vector")
    axis = axis_at(op, op.get("axis", 0), len(value.axes))
    wanted, length = np.atleast_1d(index.array).astype(np.int64), value.shape[axis]
    if ((wanted < -length) | (wanted >= length)).any():
        raise op.error("indices", wanted.tolist(), f"expected within 0 ... {length - 1}, the length of axis {axis}")
    found = _selected(ctx, op, value, axis, wanted % length)
    if index.array.ndim == 0:
        found = replace(found, axes=found.axes[:axis] + found.axes[axis + 1 :])
    return [found]


@handles("Pad")
def pad(ctx: Context, op: Op) -> Sequence[Value]:
    """Padding of rows and columns: a view, which the taps of the reading layer take up."""
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
            value = _padded_axis(op, value, axis, (before, after), mode)
    return [value]


def _padded_axis(op: Op, value: Activation, axis: int, amounts: tuple[int, int], mode: str) -> Activation:
    parts = value.axes[axis] or ((KINDS.get(len(value.axes), "")[axis:][:1], 1),)
    kind = parts[0][0]
    taken = {k for a, other in enumerate(value.axes) if a != axis for k, _ in other}
    if len(parts) > 1 or kind not in ("h", "w") or kind in taken:
        raise op.error("pads", list(amounts), f"expected padding of rows or columns of pixels, not of axis {axis}")
    view = r.padded(value.tensor.rows if kind == "h" else value.tensor.cols, *amounts, mode)
    if not len(view):
        raise op.error("pads", list(amounts), "expected pixels to be left")
    axes = list(value.axes)
    axes[axis] = merged([(kind, len(view))])
    t = value.tensor
    return Activation(tuple(axes), replace(t, rows=view) if kind == "h" else replace(t, cols=view))


@handles("Expand", "Tile")
def expand(ctx: Context, op: Op) -> Sequence[Value]:
    """Repetition along axes of length 1: a view."""
    value = ctx.data(op)
    wanted = ctx.numbers(op, 1, "shape")
    if op.type == "Tile":
        if any(n > 1 < m for n, m in zip(value.shape, wanted, strict=True)):
            raise op.error("repeats", wanted, f"expected repetition of axes of length 1 only, of {list(value.shape)}")
        wanted = [n * m for n, m in zip(value.shape, wanted, strict=True)]
    final = np.broadcast_shapes(value.shape, tuple(wanted))
    axes = [()] * (len(final) - len(value.axes)) + list(value.axes)
    tensor = value.tensor
    for a, n in enumerate(final):
        if n == 1 or axes[a]:
            continue
        kind = (KINDS.get(len(final)) or "b" * len(final))[a]
        used = {k for axis in axes for k, _ in axis}
        if kind == "b" or kind in used:
            raise op.error("shape", list(final), f"cannot expand axis {a} of {list(value.shape)}")
        check_size(op.where, "shape", n, "pixels on an axis")
        zeros = np.zeros(n, dtype=np.int64)
        views = {"c": ("source", "channel"), "h": ("rows",), "w": ("cols",)}[kind]
        tensor = replace(tensor, **{f: getattr(tensor, f)[zeros] for f in views})
        axes[a] = ((kind, n),)
    return [Activation(tuple(axes), tensor)]
