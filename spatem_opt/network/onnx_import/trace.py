"""Which axis of a network input is which: found by following its elements through all operators that only move data.

Exporters transpose, slice, pad, split and join inputs before the first operator that knows channels from pixels. The
elements are numbered, the numbers are moved as the graph says, and that first operator tells along which of its axes
which axes of the input lie.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from spatem_opt.errors import InstanceError
from spatem_opt.limits import table_size
from spatem_opt.network import receptive as r
from spatem_opt.network.onnx_import.fold import FOLDS, axis_at, fold
from spatem_opt.network.onnx_import.graph import Graph, Op, integers, taken
from spatem_opt.network.onnx_import.joining import JOINED
from spatem_opt.network.onnx_import.values import Array, Constant
from spatem_opt.network.onnx_import.values import usual as layout_of

MOST = 2**25
"""Inputs of more elements than this are not followed: they are taken as most exporters have them."""
_MOVED = frozenset({"Concat", "Slice", "Split", "Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Gather",
                    "Expand", "Tile"})  # fmt: skip
_CHANNELS_SECOND = frozenset({
    "Conv", "QLinearConv", "ConvInteger", "FusedConv", "ConvTranspose", "MaxPool", "AveragePool", "LpPool",
    "GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool", "Resize", "Upsample", "BatchNormalization",
    "InstanceNormalization", "GroupNormalization", "LRN", "DepthToSpace", "SpaceToDepth", "QLinearAveragePool",
    "QLinearGlobalAveragePool",
})  # fmt: skip
_PRODUCTS = frozenset({
    "MatMul", "MatMulInteger", "QLinearMatMul", "FusedMatMul", "TransposeMatMul", "MatMulNBits", "MatMulIntegerToFloat",
    "DynamicQuantizeMatMul", "Attention", "MultiHeadAttention",
})  # fmt: skip
_MOST_LANES = 4
_NORMS = frozenset({"LayerNormalization", "SimplifiedLayerNormalization", "RMSNormalization", JOINED})


@dataclass(frozen=True, slots=True, eq=False)
class _Ids:
    """Numbers of elements of inputs, -1 for constants; where tensors were added (or the like), those of each."""

    arrays: tuple[Array, ...]


def layouts(graph: Graph, shapes: dict[str, tuple[int, ...]], through: frozenset[str]) -> dict[str, str]:
    """The kind of every axis of every input, e.g. ``"bhwc"``: "b" (length 1), "c", "h" or "w".

    Parameters
    ----------
    graph : Graph
    shapes : dict
        Of the inputs.
    through : frozenset of str
        Operators that leave every element where it is.

    Raises
    ------
    InstanceError
        If an input has a batch other than 1, or more than three axes longer than 1.
    """
    found: dict[str, dict[int, str]] = {}
    values: dict[str, Constant | _Ids] = dict(graph.constants)
    offsets: dict[str, int] = {}
    total = 0
    for name, shape in shapes.items():
        if table_size(*shape) <= MOST:
            values[name] = _Ids((np.arange(total, total + prod(shape), dtype=np.int64).reshape(shape),))
            offsets[name] = total
            total += prod(shape)
    _follow(graph.ops, values, through, shapes, offsets, found)
    return {name: _kinds(graph.where, name, shape, found.get(name)) for name, shape in shapes.items()}


def _follow(ops: Sequence[Op], values: dict[str, Constant | _Ids], through: frozenset[str],
            shapes: dict[str, tuple[int, ...]], offsets: dict[str, int],
            found: dict[str, dict[int, str]]) -> None:  # fmt: skip
    for op in ops:
        if len(found) == len(offsets):
            return
        operands = [values.get(name) if name else None for name in op.inputs]
        _votes(op, operands, shapes, offsets, found)
        if any(o is None for o, name in zip(operands, op.inputs, strict=True) if name):
            continue
        try:
            if op.type == "If":
                branch = taken(op, operands[0])
                values.update(branch.constants)
                _follow(branch.ops, values, through, shapes, offsets, found)
                results: Sequence[Constant | _Ids] = [values[name] for name in branch.outputs]
            else:
                results = _results(op, operands, through)
        except (InstanceError, ValueError, IndexError, KeyError, TypeError, AttributeError):
            continue  # the importer itself will say what is wrong
        values.update(zip(op.outputs, results, strict=False))


def _results(op: Op, operands: Sequence[Constant | _Ids | None], through: frozenset[str]) -> Sequence[Constant | _Ids]:
    ids = [o for o in operands if isinstance(o, _Ids)]
    if not ids:
        return fold(op, [o for o in operands if not isinstance(o, _Ids)])
    if op.type in ("Shape", "Size"):
        return [Constant(np.asarray(FOLDS[op.type](op, [ids[0].arrays[0]])))]
    if op.type in through:
        return [_Ids(_together(operands, ids))]
    if op.type not in _MOVED and op.type != "Pad":
        return []
    given = [o for o in operands if isinstance(o, Constant)]
    size = sum(o.arrays[0].size for o in ids) + sum(o.array.size for o in given if op.type == "Concat")
    if size > MOST or any(o.array.size > MOST or (not o.known and op.type != "Concat") for o in given):
        return []  # the importer itself will say what is wrong with it
    lanes = [_moved(op, operands, lane) for lane in range(max(len(o.arrays) for o in ids))]
    return [_Ids(tuple(result)) for result in zip(*lanes, strict=True)]


def _moved(op: Op, operands: Sequence[Constant | _Ids | None], lane: int) -> list[Array]:
    """Results of an operator that moves elements, for one of the tensors that were added."""
    arrays: list[Array | None] = []
    for o in operands:
        if isinstance(o, _Ids):
            arrays.append(o.arrays[min(lane, len(o.arrays) - 1)])
        else:
            arrays.append(None if o is None else np.full(o.shape, -1) if op.type == "Concat" else o.array)
    if op.type == "Pad" and arrays[0] is not None:
        return [_padded(op, arrays[0], operands)]
    moved = FOLDS[op.type](op, arrays)
    return moved if isinstance(moved, list) else [moved]


def _together(operands: Sequence[Constant | _Ids | None], ids: Sequence[_Ids]) -> tuple[Array, ...]:
    """What an elementwise operator joins."""
    shape = np.broadcast_shapes(*((o.arrays[0] if isinstance(o, _Ids) else o.array).shape for o in operands if o))
    found = [
        np.broadcast_to(a, shape if len(shape) == a.ndim or len(ids) > 1 else a.shape) for o in ids for a in o.arrays
    ]
    return tuple(found[:_MOST_LANES])


def _padded(op: Op, array: Array, operands: Sequence[Constant | _Ids | None]) -> Array:
    amounts = op.get("pads") or integers(operands[1])  # type: ignore[arg-type]
    given = operands[3] if len(operands) > 3 else None
    axes = [axis_at(op, a, array.ndim) for a in (integers(given) if isinstance(given, Constant) else range(array.ndim))]
    for axis, before, after in zip(axes, amounts[: len(axes)], amounts[len(axes) :], strict=True):
        index = r.padded(np.arange(array.shape[axis]), before, after, op.get("mode", "constant"))
        shape = [-1 if a == axis else 1 for a in range(array.ndim)]
        array = np.where((index >= 0).reshape(shape), np.take(array, np.maximum(index, 0), axis=axis), -1)
        if array.size > MOST:
            raise op.error("pads", list(amounts), "expected fewer elements")
    return array


def _roles(op: Op, position: int, rank: int, constant: bool) -> str | None:
    """What an operator takes the axes of an operand for."""
    kind = op.type.rpartition(".")[2]  # of any domain
    if kind in _CHANNELS_SECOND and position == 0 and rank in (3, 4) and not op.get("channels_last", 0):
        return "bcw" if rank == 3 else "bchw"
    if kind in ("Gemm", "QGemm", "FusedGemm") and rank == 2:
        turned = op.get("transA") if position == 0 else not op.get("transB")
        return "cb" if turned else "bc"
    if kind in _PRODUCTS and 2 <= rank <= 4:
        pixels = {2: "b", 3: "bw", 4: "bhw"}[rank]
        left = position > 0 and constant and rank > 1
        return f"{pixels[:-1]}c{pixels[-1]}" if left and rank > 2 else f"{pixels}c"
    last = [a % rank for a in op.get("axes", [op.get("axis", -1)])] == [rank - 1] if rank else False
    if kind in _NORMS and position == 0 and last and 2 <= rank <= 4:
        return {2: "b", 3: "bw", 4: "bhw"}[rank] + "c"
    return None


def _votes(op: Op, operands: Sequence[Constant | _Ids | None], shapes: dict[str, tuple[int, ...]],
           offsets: dict[str, int], found: dict[str, dict[int, str]]) -> None:  # fmt: skip
    for position, value in enumerate(operands):
        if not isinstance(value, _Ids):
            continue
        other = isinstance(operands[0], Constant)
        roles = _roles(op, position, value.arrays[0].ndim, other)
        if roles is None:
            continue
        for name, array in ((n, a) for a in value.arrays for n in offsets):
            if name not in found and (said := _said(array, roles, shapes[name], offsets[name])) is not None:
                found[name] = said


def _said(array: Array, roles: str, shape: tuple[int, ...], offset: int) -> dict[int, str] | None:
    """Kinds of the axes of an input of which an operand has elements; None if it has none."""
    inside = (array >= offset) & (array < offset + prod(shape))
    if not inside.any():
        return None
    place = [n // 2 for n in array.shape]
    if not inside[tuple(place)]:
        some = np.argwhere(inside)
        place = some[len(some) // 2].tolist()
    varies: list[list[int]] = []
    for axis in range(array.ndim):
        index = tuple(slice(None) if a == axis else place[a] for a in range(array.ndim))
        line, keep = array[index], inside[index]
        where = np.unravel_index(line[keep] - offset, shape)
        varies.append([a for a, w in enumerate(where) if len(np.unique(w)) > 1])
    said: dict[int, str] = {}
    for axis in sorted(range(array.ndim), key=lambda a: "bhwc".index(roles[a])):
        new = [a for a in varies[axis] if a not in said]
        letters = roles[axis] if len(new) == 1 else ""
        if len(new) == 2 and roles[axis] in "hw":
            letters = "hw"  # an image whose rows were joined
        if letters == "b" and new[0] > 0:  # windows of a matrix, where the batch is an axis of length 1 elsewhere
            letters = "" if "h" in roles else "h"
        if not set(letters) & set(said.values()) - {"b"}:
            said.update(zip(new, letters, strict=False))
    return said


def _kinds(where: str, name: str, shape: tuple[int, ...], said: dict[int, str] | None) -> str:
    usual = layout_of(len(shape))
    kinds = {a: k for a, k in (said or {}).items() if shape[a] > 1}
    for a, n in enumerate(shape):
        if a not in kinds and n > 1:
            taken = set(kinds.values())
            mine = usual[a] if usual[a] != "b" or said is None else ""
            free = [k for k in mine + "chw" if k not in taken]
            kinds[a] = free[0] if free else "b"
    for a in range(len(shape)):
        kinds.setdefault(a, "b")
    for a, n in enumerate(shape):
        if kinds[a] == "b" and n > 1:
            rule = "expected batch 1 as the first dimension; --input-shape overrides it"
            raise InstanceError(f"{where}: input {name!r}", "shape", "x".join(map(str, shape)), rule)
    return "".join(kinds[a] for a in range(len(shape)))
