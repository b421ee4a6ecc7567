"""Bit widths of quantised tensors: which operators set them, keep them, and what a layer takes from its operands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from spatem_opt.network.onnx_import.graph import Op
from spatem_opt.network.onnx_import.values import Activation, Constant, Value

_QONNX = ("qonnx.custom_op.general", "onnx.brevitas", "finn.custom_op.general")
WIDTHS = {f"{d}.{kind}": position for d in _QONNX for kind, position in
          (("Quant", 3), ("IntQuant", 3), ("BipolarQuant", -1), ("Trunc", 4))}  # fmt: skip
"""Operators that quantise -> operand that holds the bit width, -1 if it is one bit."""
_KEPT = frozenset({
    "Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze", "Slice", "Split", "Gather", "Pad", "Expand", "Tile",
    "Identity", "Dropout", "Cast", "CastLike", "Relu", "Clip", "Abs", "Neg", "MaxPool", "GlobalMaxPool", "ReduceMax",
    "ReduceMin", "Max", "Min", "Concat", "DepthToSpace", "SpaceToDepth", "DequantizeLinear", "Upsample",
})  # fmt: skip
_BY_WEIGHTS = {"QLinearConv": 3, "QLinearMatMul": 3}
_BITS = {"float8": 8, "int4": 4, "int2": 2}


def dtype_bits(dtype: Any) -> int | None:
    """Bits of a type that quantised tensors have; None for others."""
    name = str(np.dtype(dtype))
    for part, bits in _BITS.items():
        if part in name:
            return bits
    return np.dtype(dtype).itemsize * 8 if name.lstrip("u") in ("int8", "int16") else None


def quantised(op: Op, operands: Sequence[Value | None]) -> Value:
    """The first operand with the bits that a quantising operator (:data:`WIDTHS`) gives it.

    Raises
    ------
    InstanceError
        If the width is unknown or out of 1 ... 64.
    """
    value, position = operands[0], WIDTHS[op.type]
    if value is None:
        raise op.error("operand 0", "missing", "expected a tensor")
    if position < 0:
        return replace(value, bits=1)
    width = operands[position] if position < len(operands) else None
    if not isinstance(width, Constant) or not width.known or not width.array.size:
        raise op.error("bit width", "missing or unknown", "expected a known constant")
    bits = float(np.max(width.array))
    if not 1 <= bits <= 64:
        raise op.error("bit width", bits, "expected 1 ... 64")
    return replace(value, bits=int(np.ceil(bits)))


def with_bits(op: Op, operands: Sequence[Value | None], results: Sequence[Value]) -> list[Value]:
    """Results of an operator with the bits of their elements."""
    bits = _bits(op, operands)
    return [replace(v, bits=bits) if v.bits != bits else v for v in results]


def _bits(op: Op, operands: Sequence[Value | None]) -> int | None:
    if op.type in WIDTHS:
        return quantised(op, operands).bits
    plain = op.type.rpartition(".")[2]
    if plain in ("QuantizeLinear", "DynamicQuantizeLinear"):
        zero = operands[2] if plain == "QuantizeLinear" and len(operands) > 2 else None
        return (dtype_bits(zero.array.dtype) if isinstance(zero, Constant) else None) or _output_bits(op)
    if plain.startswith("QLinear"):
        return 8
    data = [o for o in operands if o is not None]
    first = data[0] if data else None
    if isinstance(first, Constant):
        kept = plain in _KEPT or plain in ("Mul", "Div", "Sub", "Add")
        own = dtype_bits(first.array.dtype) if plain == "DequantizeLinear" else None
        return (first.bits or own) if kept else None
    scaled = plain in ("Mul", "Div") and all(isinstance(o, Activation) or o.array.size == 1 for o in data)
    if plain not in _KEPT and not scaled:
        return None
    found = [o.bits for o in data if isinstance(o, Activation)]
    return None if None in found else max((b for b in found if b is not None), default=None)


def _output_bits(op: Op) -> int:
    """Of QuantizeLinear without a zero point: the attribute ``output_dtype`` (0: uint8)."""
    import onnx

    kind = int(op.get("output_dtype", 0) or 0)
    return (dtype_bits(onnx.helper.tensor_dtype_to_np_dtype(kind)) if kind else None) or 8


def layer_bits(op: Op, operands: Sequence[Value | None]) -> tuple[int | None, int | None]:
    """Bits of weights and activations of the layer that an operator becomes; None for those of the chip."""
    plain = op.type.rpartition(".")[2]
    integers = plain.startswith("QLinear") or plain.endswith("Integer") or plain == "QGemm"
    data = next((o for o in operands if isinstance(o, Activation)), None)
    position = _BY_WEIGHTS.get(plain, 3 if plain == "QGemm" else 1)
    weights = operands[position] if position < len(operands) else None
    if not isinstance(weights, Constant):
        weights = next((o for o in operands[:1] if isinstance(o, Constant)), None)
    own = None
    if weights is not None:
        own = weights.bits or (dtype_bits(weights.array.dtype) if integers else None)
    return own, (data.bits or (8 if integers else None)) if data is not None else None
