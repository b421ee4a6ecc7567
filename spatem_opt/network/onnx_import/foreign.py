"""Operators of other domains in terms of the standard ones: onnxruntime's (``com.microsoft``), quantisers of QONNX."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from spatem_opt.network.onnx_import.context import HANDLERS, Context, handles
from spatem_opt.network.onnx_import.crossbar import multiplied
from spatem_opt.network.onnx_import.digital import elementwise_of, over_axes
from spatem_opt.network.onnx_import.graph import Op
from spatem_opt.network.onnx_import.movement import regrouped, selected
from spatem_opt.network.onnx_import.products import product
from spatem_opt.network.onnx_import.quantisation import WIDTHS
from spatem_opt.network.onnx_import.values import Activation, Constant, Value, transpose, unknown

_MS = "com.microsoft."
# Operator -> the standard one, and which of its operands that takes; None: all of them.
_SAME: dict[str, tuple[str, Sequence[int] | None]] = {
    "QLinearAdd": ("Add", (0, 3)), "QLinearMul": ("Mul", (0, 3)), "QLinearAveragePool": ("AveragePool", (0,)),
    "QLinearGlobalAveragePool": ("GlobalAveragePool", (0,)), "QLinearSigmoid": ("Sigmoid", (0,)),
    "QLinearLeakyRelu": ("LeakyRelu", (0,)), "QLinearSoftmax": ("Softmax", (0,)),
    "QLinearReduceMean": ("ReduceMean", (0,)), "QLinearWhere": ("Where", (0, 1, 4)), "QGemm": ("Gemm", (0, 3, 6)),
    "QLinearConv": ("QLinearConv", None), "QuantizeLinear": ("QuantizeLinear", None),
    "DequantizeLinear": ("DequantizeLinear", None), "FusedGemm": ("Gemm", (0, 1, 2)), "Gelu": ("Gelu", None),
    "FastGelu": ("Gelu", None), "BiasGelu": ("Gelu", None), "QuickGelu": ("Gelu", None),
    "MatMulIntegerToFloat": ("MatMul", (0, 1)), "DynamicQuantizeMatMul": ("MatMul", (0, 1)),
    "NhwcMaxPool": ("MaxPool", (0,)),
}  # fmt: skip


def _as(op: Op, kind: str, inputs: Sequence[str]) -> Op:
    return replace(op, type=kind, inputs=tuple(inputs), domain="")


@handles(*(f"{_MS}{kind}" for kind in _SAME))
def same(ctx: Context, op: Op) -> Sequence[Value]:
    """A standard operator under another name; channels may be last."""
    name = op.type.removeprefix(_MS)
    kind, taken = _SAME[name]
    inputs = op.inputs if taken is None else [op.inputs[i] for i in taken if i < len(op.inputs)]
    if not (op.get("channels_last", 0) or name.startswith("Nhwc")):
        return HANDLERS[kind](ctx, _as(op, kind, inputs))
    rank = len(ctx.data(op).axes)
    turned = f"{op.name}.channels first"
    ctx.values[turned] = transpose(ctx.data(op), [0, rank - 1, *range(1, rank - 1)])
    found = HANDLERS[kind](ctx, _as(op, kind, [turned, *inputs[1:]]))
    return [transpose(v, [0, *range(2, rank), 1]) if isinstance(v, Activation) else v for v in found]


@handles(f"{_MS}QLinearConcat")
def qlinear_concat(ctx: Context, op: Op) -> Sequence[Value]:
    """Every operand is followed by its scale and zero point; the result's come first."""
    return HANDLERS["Concat"](ctx, _as(op, "Concat", op.inputs[2::3]))


@handles(f"{_MS}FusedConv")
def fused_conv(ctx: Context, op: Op) -> Sequence[Value]:
    """Convolution, sum with a fourth operand, activation."""
    out = HANDLERS["Conv"](ctx, _as(op, "Conv", op.inputs[:3]))[0]
    more = ctx.operand(op, 3)
    if more is not None:
        out = elementwise_of(ctx, replace(op, name=f"{op.name}.add"), [out, more], "add")
    if isinstance(out, Activation):
        ctx.builder.fuse(out.tensor)
    return [out]


@handles(f"{_MS}FusedMatMul", f"{_MS}TransposeMatMul")
def fused_matmul(ctx: Context, op: Op) -> Sequence[Value]:
    """Product of operands that may be transposed."""
    if op.get("transBatchA", 0) or op.get("transBatchB", 0):
        raise op.error("transBatchA, transBatchB", 1, "expected 0")
    a, b = (_turned(ctx, op, i, bool(op.get(flag, 0))) for i, flag in enumerate(("transA", "transB")))
    return [multiplied(ctx, op, a, b)]


def _turned(ctx: Context, op: Op, position: int, flip: bool) -> Value:
    value = ctx.operand(op, position)
    if value is None:
        raise op.error("operands", "missing", "expected two")
    if not flip:
        return value
    if isinstance(value, Constant):
        return replace(value, array=np.swapaxes(value.array, -1, -2))
    rank = len(value.axes)
    return transpose(value, [*range(rank - 2), rank - 1, rank - 2])


@handles(f"{_MS}MatMulNBits")
def matmul_bits(ctx: Context, op: Op) -> Sequence[Value]:
    """Product with weights of a few bits, packed in blocks."""
    weights = unknown((int(op.get("K", 0)), int(op.get("N", 0))), bits=int(op.get("bits", 4)))
    ctx.builder.bits = (weights.bits, ctx.builder.bits[1])
    return [multiplied(ctx, op, ctx.data(op), weights)]


@handles(f"{_MS}SkipLayerNormalization", f"{_MS}SkipSimplifiedLayerNormalization")
def skip_norm(ctx: Context, op: Op) -> Sequence[Value]:
    """Sum of two operands, normalised over the last axis; the sum is the fourth result."""
    operands = [v for v in (ctx.operand(op, 0), ctx.operand(op, 1)) if v is not None]
    total = elementwise_of(ctx, replace(op, name=f"{op.name}.add"), operands, "add")
    out = over_axes(ctx, op, total, [len(total.axes) - 1])
    return [out, unknown(()), unknown(()), total]


@handles(f"{_MS}Attention", f"{_MS}MultiHeadAttention")
def attention(ctx: Context, op: Op) -> Sequence[Value]:
    """Attention of several heads without past or mask of its own; of one operand after a product with its weights."""
    heads = int(op.get("num_heads", 1))
    if op.type.endswith(".Attention"):
        weights = ctx.constant(op, 1, "weights")
        joined = multiplied(ctx, op, ctx.data(op), weights)
        sizes = op.get("qkv_hidden_sizes") or [joined.shape[-1] // 3] * 3
        ends = np.cumsum([0, *sizes])
        parts = [selected(ctx, op, joined, 2, np.arange(a, b)) for a, b in pairwise(ends)]
    else:
        parts = [ctx.data(op, i) for i in range(3)]
    if any(len(v.axes) != 3 or v.shape[2] % heads for v in parts):
        raise op.error(
            "operands", [list(v.shape) for v in parts], f"expected 3 dimensions, the last one in {heads} heads"
        )
    return [attended(ctx, op, parts, heads), *[unknown(())] * 2]


@handles("Attention")
def standard_attention(ctx: Context, op: Op) -> Sequence[Value]:
    """ONNX's own of opset 23: operands in heads, or heads as an attribute; no past, and at most a constant mask."""
    if ctx.operand(op, 4) is not None:
        raise op.error("past_key", "there", "expected no past")
    if ctx.operand(op, 3) is not None:
        ctx.constant(op, 3, "attn_mask")
    parts = [ctx.data(op, i) for i in range(3)]
    if all(len(v.axes) == 4 for v in parts):
        out, heads = None, parts[0].shape[1]
        parts = [regrouped(ctx, op, transpose(v, [0, 2, 1, 3]), _joined_heads(v)) for v in parts]
    else:
        out, heads = 3, int(op.get("q_num_heads", 1))
    if any(len(v.axes) != 3 for v in parts):
        raise op.error("operands", [list(v.shape) for v in parts], "expected 3 or 4 dimensions each")
    found = attended(ctx, op, parts, heads, int(op.get("kv_num_heads", heads)))
    if out is None:
        found = transpose(regrouped(ctx, op, found, (*found.shape[:2], heads, found.shape[2] // heads)), [0, 2, 1, 3])
    return [found]


def _joined_heads(value: Activation) -> tuple[int, ...]:
    batch, heads, tokens, features = value.shape
    return batch, tokens, heads * features


def attended(ctx: Context, op: Op, parts: Sequence[Activation], heads: int, few: int | None = None) -> Activation:
    """softmax(q k^T) v of (1, tokens, heads x features) operands; keys and values may have `few` heads for all."""
    numbers = heads, few or heads, few or heads
    if heads % numbers[1] or any(v.shape[2] % n for v, n in zip(parts, numbers, strict=True)):
        sizes = [v.shape[2] for v in parts]
        raise op.error("heads", list(numbers), f"expected divisors of {sizes}, and the second one of the first")
    split = [regrouped(ctx, op, v, (*v.shape[:2], n, v.shape[2] // n)) for v, n in zip(parts, numbers, strict=True)]
    if numbers[1] < heads:
        split[1:] = [selected(ctx, op, v, 2, np.repeat(np.arange(numbers[1]), heads // numbers[1])) for v in split[1:]]
    q, k, v = (transpose(x, p) for x, p in zip(split, ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]), strict=True))
    scores = product(ctx, op, q, k, f"{op.name}.scores")
    weights = over_axes(ctx, replace(op, name=f"{op.name}.softmax", type="Softmax"), scores, [3])
    out = transpose(product(ctx, op, weights, v, f"{op.name}.values"), [0, 2, 1, 3])
    return regrouped(ctx, op, out, (*out.shape[:2], out.shape[2] * out.shape[3]))


@handles(*WIDTHS)
def quant(ctx: Context, op: Op) -> Sequence[Value]:
    """Passes; its width is that of the result (`quantisation`)."""
    return [ctx.data(op)]
