"""Operators on constants: exact for the short integer vectors of shape arithmetic, by shape only for weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil, prod
from typing import Any

import numpy as np

from spatem_opt.errors import InstanceError
from spatem_opt.limits import check_size
from spatem_opt.network.onnx_import.graph import MAX_KNOWN, Op, integers
from spatem_opt.network.onnx_import.values import Array, Constant, unknown

Operands = Sequence[Constant | None]
Fold = Callable[[Op, list[Any]], Any]
FOLDS: dict[str, Fold] = {}
Shapes = Callable[[Op, list[Any]], list[tuple[int, ...]]]
SHAPES: dict[str, Shapes] = {}
"""Shapes of the results of operators that would copy their operands: long constants (weights) are never there."""
_GROWING = frozenset({"Range", "Tile"})

_ELEMENTWISE: dict[str, Callable[..., Any]] = {
    "Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Pow": np.power, "Mod": np.mod, "Equal": np.equal,
    "Greater": np.greater, "GreaterOrEqual": np.greater_equal, "Less": np.less, "LessOrEqual": np.less_equal,
    "And": np.logical_and, "Or": np.logical_or, "Not": np.logical_not, "Neg": np.negative, "Abs": np.abs,
    "Floor": np.floor, "Ceil": np.ceil, "Round": np.round, "Sqrt": np.sqrt, "Exp": np.exp, "Log": np.log,
    "Reciprocal": np.reciprocal, "Where": np.where, "Identity": np.asarray, "Max": np.maximum, "Min": np.minimum,
    "Div": lambda a, b: a // b if np.issubdtype(a.dtype, np.integer) else a / b,
}  # fmt: skip
# Same shape as the first operand, values of no interest.
_SHAPE_OF_FIRST = frozenset({
    "QuantizeLinear", "DequantizeLinear", "Dropout", "Relu", "Clip", "Tanh", "Sigmoid", "Erf", "Sign", "CastLike",
    "Softmax", "Sin", "Cos", "Tan", "Atan", "Gelu", "HardSwish", "Mish", "Softplus", "LeakyRelu", "IsNaN", "IsInf",
})  # fmt: skip
_CAST = {1: np.float32, 6: np.int32, 7: np.int64, 9: np.bool_, 10: np.float32, 11: np.float64}


def folds(*types: str) -> Callable[[Fold], Fold]:
    """Register a function of (operator, operand arrays) that gives the result array."""

    def register(function: Fold) -> Fold:
        FOLDS.update(dict.fromkeys(types, function))
        return function

    return register


def shaped(*types: str) -> Callable[[Shapes], Shapes]:
    """Register a function of (operator, operand arrays) that gives the shapes of the results."""

    def register(function: Shapes) -> Shapes:
        SHAPES.update(dict.fromkeys(types, function))
        return function

    return register


def fold(op: Op, operands: Operands) -> list[Constant]:
    """Results of an operator of which all operands are constant.

    Raises
    ------
    InstanceError
        If the operator is not known.
    """
    given = [o for o in operands if o is not None]
    if op.type == "Constant":
        return [_constant(op)]
    if op.type in _SHAPE_OF_FIRST:
        return [unknown(given[0].shape, given[0].array.dtype)]
    known = all(o.known for o in given)
    if op.type in _ELEMENTWISE:
        shape = np.broadcast_shapes(*(o.shape for o in given))
        if not known or prod(shape) > MAX_KNOWN:
            return [unknown(shape, given[0].array.dtype)]
        return [Constant(np.asarray(_ELEMENTWISE[op.type](*(o.array for o in given))))]
    if op.type not in FOLDS:
        return inferred(op, operands)
    if op.type in SHAPES and (op.type in _GROWING or any(o.array.size > MAX_KNOWN for o in given)):
        shapes = SHAPES[op.type](op, [o.array if o is not None else None for o in operands])
        if any(prod(shape) > MAX_KNOWN for shape in shapes) or not known:
            return [unknown(shape, given[0].array.dtype) for shape in shapes]
    result = FOLDS[op.type](op, [o.array if o is not None else None for o in operands])
    known = (known or op.type in ("Shape", "Size")) and op.type != "MatMul"
    return [_kept(a, known) for a in (result if isinstance(result, list) else [result])]


_RANDOM = frozenset({
    "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial",
})  # fmt: skip


def inferred(op: Op, operands: Operands) -> list[Constant]:
    """Results of any other operator on constants: shapes by onnx's own inference, values if they are short.

    Raises
    ------
    InstanceError
        If onnx does not know the operator, or the shape depends on values that are not known.
    """
    import onnx
    from onnx import helper, numpy_helper

    fault = op.error("operator", op.type, "not supported on constants")
    if op.node is None or op.domain not in ("", "ai.onnx") or any(a.HasField("g") for a in op.node.attribute):
        raise fault
    node = onnx.NodeProto()
    node.CopyFrom(op.node)
    del node.input[:]
    node.input.extend(f"i{i}" if o is not None else "" for i, o in enumerate(operands))
    inputs, known = [], []
    for i, o in enumerate(operands):
        if o is not None:
            kind = helper.np_dtype_to_tensor_dtype(o.array.dtype)
            inputs.append(helper.make_tensor_value_info(f"i{i}", kind, o.shape))
            known += [numpy_helper.from_array(np.ascontiguousarray(o.array), f"i{i}")] if o.known else []
    outputs = [helper.make_empty_tensor_value_info(name) for name in node.output if name]
    graph = helper.make_graph([node], "constant", inputs, outputs, known)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", op.opset)])
    try:
        found = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph.output
    except (onnx.shape_inference.InferenceError, onnx.checker.ValidationError) as error:
        raise fault from error
    results = {o.name: _shape_of(o, fault) for o in found}
    small = all(prod(shape) <= MAX_KNOWN for shape, _ in results.values())
    if small and len(known) == len(inputs) and op.type not in _RANDOM:
        from onnx.reference import ReferenceEvaluator

        feed = {f"i{i}": o.array for i, o in enumerate(operands) if o is not None}
        values = iter(ReferenceEvaluator(model).run(None, feed))
        return [Constant(np.asarray(next(values))) if name else unknown(()) for name in node.output]
    return [unknown(*results[name]) if name else unknown(()) for name in node.output]


def _shape_of(info: Any, fault: InstanceError) -> tuple[tuple[int, ...], Any]:
    import onnx

    kind = info.type.tensor_type
    if not kind.HasField("shape") or not all(d.HasField("dim_value") for d in kind.shape.dim):
        raise fault
    shape = tuple(int(d.dim_value) for d in kind.shape.dim)
    return shape, onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type) if kind.elem_type else np.float32


def _kept(array: Any, known: bool) -> Constant:
    array = np.asarray(array)
    return Constant(array) if known and array.size <= MAX_KNOWN else unknown(array.shape, array.dtype)


def _constant(op: Op) -> Constant:
    for name, value in op.attributes.items():
        if isinstance(value, Constant):
            return value
        if name in ("value_int", "value_ints", "value_float", "value_floats"):
            return Constant(np.array(value, dtype=np.int64 if "int" in name else np.float32))
    raise op.error("value", sorted(op.attributes), "expected a numeric constant")


def axes_of(op: Op, operands: Sequence[Any], position: int, rank: int) -> list[int] | None:
    """Axes from the attribute (older opsets) or from operand `position`, counted from 0; None if not given."""
    axes = op.get("axes")
    if axes is None and len(operands) > position and operands[position] is not None:
        axes = np.asarray(operands[position]).ravel().tolist()
    return None if axes is None else [axis_at(op, a, rank) for a in axes]


def axis_at(op: Op, axis: Any, rank: int) -> int:
    """An axis counted from 0; raises :class:`InstanceError` if a tensor of that rank has none such."""
    if not -rank <= int(axis) < rank:
        raise op.error("axis", axis, f"expected {-rank} ... {rank - 1}")
    return int(axis) % rank


def positions(op: Op, length: int) -> Array:
    """The positions of an axis that is to be cut, 0 ... length - 1."""
    return np.arange(check_size(op.where, "axis", length, "elements on an axis"))


def slices(op: Op, operands: Sequence[Any], shape: Sequence[int]) -> dict[int, Array]:
    """Per axis the positions that Slice keeps."""
    starts, ends, axes, steps = (
        [int(v) for v in np.ravel(x)] if x is not None else None
        for x in (
            (op.get("starts"), op.get("ends"), op.get("axes"), None)
            if "starts" in op.attributes
            else (*operands[1:], None, None)[:4]
        )
    )
    if starts is None or ends is None:
        raise op.error("starts", None, "is missing")
    axes = axes or list(range(len(starts)))
    steps = steps or [1] * len(starts)
    found = {}
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        axis = axis_at(op, axis, len(shape))
        found[axis] = positions(op, shape[axis])[slice(start, end, step)]
    return found


def target_shape(op: Op, old: Sequence[int], wanted: Sequence[int]) -> tuple[int, ...]:
    """Shape after Reshape: 0 keeps an axis, -1 takes what is left.

    Raises
    ------
    InstanceError
        If the number of elements changes.
    """
    keep = not op.get("allowzero", 0)
    shape = [old[i] if n == 0 and keep else n for i, n in enumerate(wanted)]
    rest = prod(n for n in shape if n != -1)
    total = prod(old)
    if -1 in shape and rest and total % rest == 0:
        shape[shape.index(-1)] = total // rest
    if prod(shape) != total or min(shape, default=1) < 1:
        raise op.error("shape", list(wanted), f"expected a shape of as many elements as {list(old)}")
    return tuple(shape)


def flattened(op: Op, shape: Sequence[int]) -> tuple[int, int]:
    """Shape after Flatten."""
    axis = int(op.get("axis", 1))
    axis = axis + len(shape) if axis < 0 else axis
    if not 0 <= axis <= len(shape):
        raise op.error("axis", op.get("axis"), f"expected {-len(shape)} ... {len(shape)}")
    return prod(shape[:axis]), prod(shape[axis:])


def split_sizes(op: Op, operands: Sequence[Any], length: int) -> list[int]:
    """Lengths of the parts that Split makes."""
    sizes = op.get("split")
    if sizes is None and len(operands) > 1 and operands[1] is not None:
        sizes = np.asarray(operands[1]).ravel().tolist()
    if sizes is None:
        parts = int(op.get("num_outputs", len(op.outputs)))
        size = -(-length // parts)
        sizes = [min(size, length - i * size) for i in range(parts)]
    if sum(sizes) != length:
        raise op.error("split", [int(s) for s in sizes], f"expected a sum of {length}")
    return [int(s) for s in sizes]


@folds("Shape")
def _shape(op: Op, a: list[Any]) -> Any:
    return np.array(a[0].shape[slice(op.get("start", 0), op.get("end"))], dtype=np.int64)


@folds("Size")
def _size(op: Op, a: list[Any]) -> Any:
    return np.array(a[0].size, dtype=np.int64)


@folds("Cast")
def _cast(op: Op, a: list[Any]) -> Any:
    dtype = _CAST.get(op.get("to"), a[0].dtype)
    return a[0] if a[0].size > MAX_KNOWN else a[0].astype(dtype)


@folds("Gather")
def _gather(op: Op, a: list[Any]) -> Any:
    return np.take(a[0], a[1].astype(np.int64), axis=op.get("axis", 0))


@folds("Concat")
def _concat(op: Op, a: list[Any]) -> Any:
    return np.concatenate(a, axis=op.get("axis", 0))


@shaped("Gather")
def _gather_shape(op: Op, a: list[Any]) -> list[tuple[int, ...]]:
    axis = axis_at(op, op.get("axis", 0), a[0].ndim)
    return [(*a[0].shape[:axis], *a[1].shape, *a[0].shape[axis + 1 :])]


@shaped("Concat")
def _concat_shape(op: Op, a: list[Any]) -> list[tuple[int, ...]]:
    axis = axis_at(op, op.get("axis", 0), a[0].ndim)
    others = {x.shape[:axis] + x.shape[axis + 1 :] for x in a}
    if len(others) > 1 or any(x.ndim != a[0].ndim for x in a):
        raise op.error("operands", [list(x.shape) for x in a], f"expected the same shapes but for axis {axis}")
    return [(*a[0].shape[:axis], sum(x.shape[axis] for x in a), *a[0].shape[axis + 1 :])]


@shaped("Slice")
def _slice_shape(op: Op, a: list[Any]) -> list[tuple[int, ...]]:
    kept = {axis: len(index) for axis, index in slices(op, a, a[0].shape).items()}
    return [tuple(kept.get(axis, n) for axis, n in enumerate(a[0].shape))]


@shaped("Split")
def _split_shapes(op: Op, a: list[Any]) -> list[tuple[int, ...]]:
    axis = axis_at(op, op.get("axis", 0), a[0].ndim)
    sizes = split_sizes(op, a, a[0].shape[axis])
    return [(*a[0].shape[:axis], n, *a[0].shape[axis + 1 :]) for n in sizes]


@shaped("Tile")
def _tile_shape(op: Op, a: list[Any]) -> list[tuple[int, ...]]:
    times = [int(n) for n in a[1].ravel()]
    if len(times) != a[0].ndim or min(times, default=1) < 0:
        raise op.error("repeats", times, f"expected {a[0].ndim} numbers >= 0")
    return [tuple(n * t for n, t in zip(a[0].shape, times, strict=True))]


@shaped("Range")
def _range_shape(op: Op, a: list[Any]) -> list[tuple[int, ...]]:
    start, limit, delta = (v.item() for v in a)
    return [(max(0, ceil((limit - start) / delta)),)]


@shaped("ReduceProd", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceMean")
def _reduced_shape(op: Op, a: list[Any]) -> list[tuple[int, ...]]:
    axes = axes_of(op, a, 1, max(a[0].ndim, 1))
    gone = range(a[0].ndim) if axes is None else axes
    kept = [1 if axis in gone else n for axis, n in enumerate(a[0].shape)]
    return [tuple(n for axis, n in enumerate(kept) if op.get("keepdims", 1) or axis not in gone)]


@folds("Unsqueeze")
def _unsqueeze(op: Op, a: list[Any]) -> Any:
    axes = op.get("axes") or [int(v) for v in a[1].ravel()]
    return np.expand_dims(a[0], tuple(axes))


@folds("Squeeze")
def _squeeze(op: Op, a: list[Any]) -> Any:
    axes = axes_of(op, a, 1, max(a[0].ndim, 1))
    return np.squeeze(a[0], None if axes is None else tuple(axes))


@folds("Reshape")
def _reshape(op: Op, a: list[Any]) -> Any:
    return a[0].reshape(target_shape(op, a[0].shape, integers(Constant(a[1]))))


@folds("Flatten")
def _flatten(op: Op, a: list[Any]) -> Any:
    return a[0].reshape(flattened(op, a[0].shape))


@folds("Transpose")
def _transpose(op: Op, a: list[Any]) -> Any:
    return a[0].transpose(op.get("perm"))


@folds("Slice")
def _slice(op: Op, a: list[Any]) -> Any:
    result = a[0]
    for axis, index in slices(op, a, result.shape).items():
        result = np.take(result, index, axis=axis)
    return result


@folds("Split")
def _split(op: Op, a: list[Any]) -> Any:
    axis = op.get("axis", 0)
    return np.split(a[0], np.cumsum(split_sizes(op, a, a[0].shape[axis]))[:-1], axis=axis)


@folds("MatMul")
def _matmul(op: Op, a: list[Any]) -> Any:
    batch = np.broadcast_shapes(a[0].shape[:-2], a[1].shape[:-2])
    if a[0].shape[-1] != a[1].shape[-2]:
        raise op.error("operands", [list(x.shape) for x in a], "expected matrices that can be multiplied")
    return unknown((*batch, a[0].shape[-2], a[1].shape[-1])).array


@folds("ConstantOfShape")
def _constant_of_shape(op: Op, a: list[Any]) -> Any:
    value = op.get("value")
    fill = np.zeros((), np.float32) if value is None else value.array.ravel()[0]
    return np.broadcast_to(fill, tuple(int(n) for n in a[0].ravel()))


@folds("Range")
def _range(op: Op, a: list[Any]) -> Any:
    return np.arange(*(v.item() for v in a))


@folds("Expand")
def _expand(op: Op, a: list[Any]) -> Any:
    return np.broadcast_to(a[0], np.broadcast_shapes(a[0].shape, tuple(int(n) for n in a[1])))


@folds("Tile")
def _tile(op: Op, a: list[Any]) -> Any:
    return np.tile(a[0], a[1].astype(np.int64))


@folds("ReduceProd", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceMean")
def _reduce(op: Op, a: list[Any]) -> Any:
    axes = axes_of(op, a, 1, max(a[0].ndim, 1))
    axis = None if axes is None else tuple(axes)
    name = op.type.removeprefix("Reduce").lower()
    return getattr(np, name)(a[0], axis=axis, keepdims=bool(op.get("keepdims", 1)))
