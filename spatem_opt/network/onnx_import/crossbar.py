"""Operators with constant weights: crossbar layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod

import numpy as np

from spatem_opt.network.builder import Pads
from spatem_opt.network.maps import Tensor
from spatem_opt.network.onnx_import.context import Context, handles, pads, pair, result
from spatem_opt.network.onnx_import.graph import Op
from spatem_opt.network.onnx_import.products import contracted, product
from spatem_opt.network.onnx_import.relayout import aligned
from spatem_opt.network.onnx_import.values import Activation, Constant, Value, transpose, widened

# Where the weights are among the operands; quantised operators have scales and zero points between.
_WEIGHTS = {"QLinearConv": 3, "QLinearMatMul": 3}


def _kernel(ctx: Context, op: Op) -> tuple[Tensor, str, Sequence[int]]:
    """Input, its layout and the shape of the weights of a convolution."""
    x, kinds = ctx.plain(op)
    shape = ctx.constant(op, _WEIGHTS.get(op.type, 1), "weights").shape
    if len(kinds) < 3 or len(shape) != len(kinds):
        raise op.error("weights", list(shape), f"expected as many dimensions as the input, {len(kinds)} (3 or 4)")
    if min(shape) < 1:
        raise op.error("weights", list(shape), "expected dimensions >= 1")
    return x, kinds, shape


def _size(shape: Sequence[int]) -> tuple[int, int]:
    return (1, shape[2]) if len(shape) == 3 else (shape[2], shape[3])


@handles("Conv", "QLinearConv", "ConvInteger")
def conv(ctx: Context, op: Op) -> Sequence[Value]:
    """Convolution, 1-D or 2-D; weights (filters, channels per group, kernel)."""
    x, kinds, shape = _kernel(ctx, op)
    groups = int(op.get("group", 1))
    if shape[1] * groups != x.channels:
        rule = f"expected {x.channels} input channels / {groups} groups in the second dimension"
        raise op.error("weights", list(shape), rule)
    stride, dilation = pair(op, "strides", kinds), pair(op, "dilations", kinds)
    if min(*stride, *dilation) < 1:
        raise op.error("strides, dilations", [*stride, *dilation], "expected >= 1")
    out = ctx.builder.conv(x, shape[0], _size(shape), stride, pads(op, kinds), dilation, groups, op.name)
    return result(out, kinds)


@handles("ConvTranspose")
def conv_transpose(ctx: Context, op: Op) -> Sequence[Value]:
    """Transposed convolution; weights (channels, filters per group, kernel)."""
    x, kinds, shape = _kernel(ctx, op)
    groups = int(op.get("group", 1))
    if shape[0] != x.channels:
        raise op.error("weights", list(shape), f"expected {x.channels} input channels in the first dimension")
    kernel, stride, dilation = _size(shape), pair(op, "strides", kinds), pair(op, "dilations", kinds)
    extra = pair(op, "output_padding", kinds, 0)
    if min(*stride, *dilation) < 1:
        raise op.error("strides, dilations", [*stride, *dilation], "expected >= 1")
    around = _cropped(op, kinds, x, kernel, stride, dilation, extra)
    filters = shape[1] * groups
    return result(
        ctx.builder.conv_transpose(x, filters, kernel, stride, around, dilation, groups, extra, op.name), kinds
    )


def _cropped(op: Op, kinds: str, x: Tensor, kernel: tuple[int, int], stride: tuple[int, int],
             dilation: tuple[int, int], extra: tuple[int, int]) -> Pads:  # fmt: skip
    """Pads as numbers; ONNX derives them from the output's size if that is given or "same"."""
    around = pads(op, kinds)
    wanted = op.get("output_shape")
    if not wanted and not isinstance(around, str):
        return around
    lengths = (x.height, x.width)
    sizes = [n * s for n, s in zip(lengths, stride, strict=True)] if not wanted else [1, *wanted][-2:]
    begin, end = [], []
    for n, k, s, d, e, size in zip(lengths, kernel, stride, dilation, extra, sizes, strict=True):
        total = s * (n - 1) + e + (k - 1) * d + 1 - size
        half = total // 2 if around == "same" else total - total // 2
        begin.append(half)
        end.append(total - half)
    return begin[0], begin[1], end[0], end[1]


@handles("Gemm")
def gemm(ctx: Context, op: Op) -> Sequence[Value]:
    """Matrix product of a vector with constant weights, either side; a third operand that is computed is added."""
    a, b = ctx.operand(op, 0), ctx.operand(op, 1)
    if isinstance(a, Activation) and isinstance(b, Constant):
        x, weight, axis, turned = a, b, 0 if op.get("transA") else 1, bool(op.get("transB"))
    elif isinstance(b, Activation) and isinstance(a, Constant):
        x, weight, axis, turned = b, a, 1 if op.get("transB") else 0, not op.get("transA")
    elif isinstance(a, Activation) and isinstance(b, Activation):
        turn = [transpose(v, (1, 0)) if op.get(f) else v for v, f in ((a, "transA"), (b, "transB"))]
        return _biased(ctx, op, product(ctx, op, turn[0], turn[1], op.name))
    else:
        raise op.error("operands", "missing", "expected two")
    if len(x.axes) != 2 or len(weight.shape) != 2:
        raise op.error("operands", [list(x.shape), list(weight.shape)], "expected matrices")
    flip = op.get("transA") if x is a else op.get("transB")
    out = contracted(ctx, op, x, axis, weight.shape[::-1] if turned else weight.shape)
    if flip and isinstance(out, Activation):
        out = Activation(out.axes[::-1], out.tensor)
    return _biased(ctx, op, out)


def _biased(ctx: Context, op: Op, out: Value) -> list[Value]:
    bias = ctx.operand(op, 2)
    if isinstance(bias, Activation) and isinstance(out, Activation):
        tensors, axes = aligned(ctx.builder, [out, bias], op.name)
        return [Activation(axes, ctx.builder.add(*tensors, name=f"{op.name}.add"))]
    return [out]


@handles("MatMul", "MatMulInteger", "QLinearMatMul")
def matmul(ctx: Context, op: Op) -> Sequence[Value]:
    """Matrix product: with constant weights, either side, every other position of the operand is a window."""
    a, b = ctx.operand(op, 0), ctx.operand(op, _WEIGHTS.get(op.type, 1))
    if a is None or b is None:
        raise op.error("operands", "missing", "expected two")
    return [multiplied(ctx, op, a, b)]


def multiplied(ctx: Context, op: Op, a: Value, b: Value) -> Activation:
    """numpy's matmul of two operands, one of them computed at least; vectors are matrices of one row or column."""
    single = [len(v.shape) == 1 for v in (a, b)]
    a = _with_axis(a, 0) if single[0] else a
    b = _with_axis(b, 1) if single[1] else b
    if isinstance(a, Activation) and isinstance(b, Constant):
        out = _by_constant(ctx, op, a, b.shape, -1)
    elif isinstance(b, Activation) and isinstance(a, Constant):
        out = _by_constant(ctx, op, b, (*a.shape[:-2], a.shape[-1], a.shape[-2]), -2)
    elif isinstance(a, Activation) and isinstance(b, Activation):
        out = product(ctx, op, a, b, op.name)
    else:
        raise op.error("operands", "both constant", "expected one that is computed")
    drop = {len(out.axes) - 2} if single[0] else set()
    drop |= {len(out.axes) - 1} if single[1] else set()
    return replace(out, axes=tuple(axis for i, axis in enumerate(out.axes) if i not in drop))


def _with_axis(value: Value, position: int) -> Value:
    if isinstance(value, Constant):
        return Constant(np.expand_dims(value.array, position), value.known, value.bits)
    return replace(value, axes=(*value.axes[:position], (), *value.axes[position:]))


def _by_constant(ctx: Context, op: Op, x: Activation, shape: Sequence[int], axis: int) -> Activation:
    """Product with one matrix, or with one for each position of the operand's batch: a group of the layer each."""
    batch = [n for n in shape[:-2] if n != 1]
    groups = prod(batch)
    out_rank = max(len(shape), len(x.axes))
    x = replace(x, axes=((),) * (out_rank - len(x.axes)) + x.axes)
    if groups > 1:
        full = [1] * (out_rank - len(shape)) + list(shape[:-2])
        where = [a for a, n in enumerate(full) if n > 1]
        if any(x.shape[a] not in (1, full[a]) for a in where):
            raise op.error("weights", list(shape), f"expected a batch that fits that of the operand, {list(x.shape)}")
        for a in where:
            x = x if x.axes[a] else widened(x, a, (("c", full[a]),))
        if len(where) > 1 or any(n > 1 for a, n in enumerate(x.shape[:-2]) if a < where[0]):
            raise op.error("weights", list(shape), "expected one matrix, or one for each position of the first axis")
    return contracted(ctx, op, x, axis, (shape[-2], shape[-1]), groups)
