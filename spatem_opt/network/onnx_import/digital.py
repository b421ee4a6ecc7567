"""Operators that become digital nodes: pooling, reductions, elementwise operators on several tensors, resize."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from spatem_opt.network import receptive as r
from spatem_opt.network.builder import Read
from spatem_opt.network.onnx_import.context import Context, handles, pads, pair, result, span
from spatem_opt.network.onnx_import.fold import axes_of, axis_at
from spatem_opt.network.onnx_import.graph import Op
from spatem_opt.network.onnx_import.values import Activation, Constant, Value, aligned, merged

_POOLS = {"MaxPool": "max", "AveragePool": "average", "LpPool": "lp"}
_SPECIAL_ELEMENTWISE = {"Sum": "add", "PRelu": "prelu"}


@handles(*_POOLS)
def pool(ctx: Context, op: Op) -> Sequence[Value]:
    """Pooling; the indices of MaxPool are not available."""
    x, kinds = ctx.plain(op)
    kernel, stride, dilation = (pair(op, name, kinds) for name in ("kernel_shape", "strides", "dilations"))
    if min(*kernel, *stride, *dilation) < 1:
        raise op.error("kernel_shape, strides, dilations", [*kernel, *stride, *dilation], "expected >= 1")
    ceil = bool(op.get("ceil_mode", 0))
    out = ctx.builder.pool(x, _POOLS[op.type], kernel, stride, pads(op, kinds), dilation, ceil, op.name)
    return result(out, kinds)


@handles("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool")
def global_pool(ctx: Context, op: Op) -> Sequence[Value]:
    """Pooling over all pixels."""
    x, kinds = ctx.plain(op)
    kind = op.type.removeprefix("Global").removesuffix("Pool").lower()
    return result(ctx.builder.global_pool(x, kind, op.name), kinds)


@handles("ReduceMean", "ReduceMax", "ReduceMin", "ReduceSum", "ReduceL1", "ReduceL2", "ReduceProd", "ReduceSumSquare",
         "ReduceLogSum", "ReduceLogSumExp", "ArgMax", "ArgMin")  # fmt: skip
def reduce(ctx: Context, op: Op) -> Sequence[Value]:
    """Reduction over any axes: rows, columns (global pooling) or channels."""
    value, operands = ctx.data(op), ctx.operands(op)
    rank = len(value.axes)
    given = [o.array if isinstance(o, Constant) else None for o in operands]
    axes = [axis_at(op, op.get("axis", 0), rank)] if op.type.startswith("Arg") else axes_of(op, given, 1, rank)
    if not axes:
        axes = [] if op.get("noop_with_empty_axes", 0) else list(range(rank))
    gone = {kind for a in axes for kind, _ in value.axes[a]}
    kept: list[Any] = [() if a in axes else axis for a, axis in enumerate(value.axes)]
    if not op.get("keepdims", 1):
        kept = [axis for a, axis in enumerate(value.axes) if a not in axes]
    if not gone:
        return [Activation(tuple(kept), value.tensor)]
    t = value.tensor
    grid = np.arange(t.channels).reshape([n for _, n in value.channel_parts])
    index = grid[tuple(0 if a in axes else slice(None) for a, _ in value.channel_parts)].ravel()
    rows = r.full_taps(1, t.height) if "h" in gone else r.identity_taps(t.height)
    cols = r.full_taps(1, t.width) if "w" in gone else r.identity_taps(t.width)
    shared = [Read(t, rows, cols)] if len(index) < t.channels else []
    taps = rows.shape[1] * cols.shape[1] * (t.channels // len(index))
    name = op.type.replace("Reduce", "reduce_").replace("Arg", "arg").lower()
    out = ctx.builder.digital(op.name, name, [Read(t.take(index), rows, cols)], taps, shared)
    return [Activation(tuple(kept), out)]


@handles("Add", "Sub", "Mul", "Div", "Sum", "Max", "Min", "Mean", "Pow", "PRelu", "And", "Or", "Xor", "Equal",
         "Greater", "Less", "Mod", "BitShift")  # fmt: skip
def elementwise(ctx: Context, op: Op) -> Sequence[Value]:
    """Elementwise operator: fused if only one operand is computed, else a digital node."""
    operands = [o for o in ctx.operands(op) if o is not None]
    computed = [o for o in operands if isinstance(o, Activation)]
    tensors, axes = aligned(ctx.builder, computed, op.name)
    shape = tuple(prod(n for _, n in axis) for axis in axes)
    if np.broadcast_shapes(*(o.shape for o in operands)) != shape:
        wide = [list(o.shape) for o in operands if isinstance(o, Constant)]
        raise op.error("constant operand", wide, f"expected shapes that do not enlarge the result {list(shape)}")
    name = _SPECIAL_ELEMENTWISE.get(op.type, op.type.lower())
    out = ctx.builder.elementwise(name, tensors, op.name)
    if 1 < len(computed) < len(operands):
        ctx.builder.fuse(out)
    return [Activation(axes, out)]


@handles("Resize", "Upsample")
def resize(ctx: Context, op: Op) -> Sequence[Value]:
    """Nearest, linear or cubic resize; operations: taps per pixel and channel, none for nearest."""
    x, kinds = ctx.plain(op)
    mode = {"bilinear": "linear"}.get(op.get("mode", "nearest"), op.get("mode", "nearest"))
    asymmetric = op.opset < 11 or op.type == "Upsample"
    coordinates = "asymmetric" if asymmetric else op.get("coordinate_transformation_mode", "half_pixel")
    rounding = "floor" if asymmetric else op.get("nearest_mode", "round_prefer_floor")
    if mode not in ("nearest", "linear", "cubic") or coordinates not in r.COORDINATES or rounding not in r.ROUNDING:
        raise op.error("mode", [mode, coordinates, rounding], "expected nearest, linear or cubic, of known coordinates")
    if op.get("antialias", 0) or op.get("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise op.error("antialias, keep_aspect_ratio_policy", op.attributes, "expected the defaults")
    lengths = {"h": x.height, "w": x.width}
    taps = {"h": r.identity_taps(x.height), "w": r.identity_taps(x.width)}
    for kind, (size, scale) in _resized(ctx, op, kinds).items():
        if kind in "bc" and size not in (None, 1 if kind == "b" else x.channels):
            raise op.error("sizes", size, "expected batch and channels to stay")
        if kind in "hw" and size is not None:
            if size < 1:
                raise op.error("sizes", size, "expected >= 1")
            taps[kind] = r.resize_taps(size, lengths[kind], scale, mode, coordinates, rounding)
    ops = 0 if mode == "nearest" else taps["h"].shape[1] * taps["w"].shape[1]
    return result(ctx.builder.digital(op.name, "resize", [Read(x, taps["h"], taps["w"])], ops), kinds)


def _resized(ctx: Context, op: Op, kinds: str) -> dict[str, tuple[int | None, float | None]]:
    """Size and scale per axis, from sizes or scales."""
    shape = ctx.data(op).shape
    axes = [axis_at(op, a, len(kinds)) for a in op.get("axes") or range(len(kinds))]
    sizes = ctx.operand(op, 3)
    if isinstance(sizes, Constant) and sizes.array.size:
        return {kinds[a]: (n, None) for a, n in zip(axes, ctx.numbers(op, 3, "sizes"), strict=True)}
    if "scales" in op.attributes:
        scales = np.array(op.attributes["scales"])
    else:
        given = ctx.constant(op, 1 if op.opset < 11 or op.type == "Upsample" else 2, "scales")
        if not given.known:
            raise op.error("scales", "unknown values", "expected values that do not depend on the data")
        scales = given.array
    return {kinds[a]: (int(np.floor(shape[a] * s + 1e-6)), float(s)) for a, s in zip(axes, scales, strict=True)}


@handles("DepthToSpace")
def depth_to_space(ctx: Context, op: Op) -> Sequence[Value]:
    """Channels to pixels; a pixel is taken to depend on all channels of the pixel that it comes from."""
    x, kinds = ctx.plain(op)
    block = int(op.get("blocksize", 1))
    if len(kinds) != 4 or block < 1 or x.channels % block**2:
        raise op.error("blocksize", block, f"expected its square to divide {x.channels} channels")
    rows, cols = (r.resize_taps(block * n, n) for n in (x.height, x.width))
    channels = x.channels // block**2
    first = span(channels) * (block**2 if op.get("mode", "DCR") == "CRD" else 1)
    primary = Read(x.take(first), rows, cols)
    return result(ctx.builder.digital(op.name, "depth_to_space", [primary], 0, [Read(x, rows, cols)]), kinds)


@handles("SpaceToDepth")
def space_to_depth(ctx: Context, op: Op) -> Sequence[Value]:
    """Pixels to channels; every channel is taken to depend on the whole block."""
    x, kinds = ctx.plain(op)
    block = int(op.get("blocksize", 1))
    if len(kinds) != 4 or block < 1 or x.height % block or x.width % block:
        raise op.error("blocksize", block, f"expected a divisor of {x.height} and {x.width}")
    rows, cols = (r.window_taps(n // block, block, block, length=n) for n in (x.height, x.width))
    primary = Read(x.take(np.tile(span(x.channels), block**2)), rows, cols)
    return result(ctx.builder.digital(op.name, "space_to_depth", [primary], 0), kinds)


@handles("InstanceNormalization", "GroupNormalization", "MeanVarianceNormalization")
def normalise(ctx: Context, op: Op) -> Sequence[Value]:
    """Statistics over all pixels, then a pointwise operator; both in one node: 3 operations per element."""
    x, kinds = ctx.plain(op)
    here = Read(x, r.identity_taps(x.height), r.identity_taps(x.width))
    every = Read(x, r.full_taps(x.height, x.height), r.full_taps(x.width, x.width))
    alone = op.type == "InstanceNormalization"
    reads, shared = ([here, every], []) if alone else ([here], [every])
    return result(ctx.builder.digital(op.name, "normalise", reads, 3, shared), kinds)


@handles("Concat")
def concat(ctx: Context, op: Op) -> Sequence[Value]:
    """Along channels no node, along rows or columns a node that reads every operand."""
    values = [ctx.data(op, i) for i in range(len(op.inputs))]
    rank = len(values[0].axes)
    axis = axis_at(op, op.get("axis", 1), rank)
    if any(len(v.axes) != rank for v in values):
        raise op.error("operands", [list(v.shape) for v in values], f"expected {rank} dimensions, as the first has")
    if len(values) == 1:
        return values
    letters = {kind for v in values for kind, _ in v.axes[axis]}
    if len(letters) > 1 or any(len(v.axes[axis]) > 1 for v in values) or _differ(values, axis):
        kinds = "bwc" if rank == 3 else "bchw"[:rank]
        values = [Activation(tuple(merged([(k, n)]) for k, n in zip(kinds, v.shape, strict=True)),
                             ctx.arranged(op, v, kinds)) for v in values]  # fmt: skip
        letters = {kinds[axis]}
    if letters <= {"c"} and letters:
        return [_channels(ctx, op, values, axis)]
    if not letters:  # every part has length 1: any letter will do that the other axes do not use
        taken = {kind for v in values for a in v.axes for kind, _ in a}
        letters = set(next(k for k in "cwh" if k not in taken))
        if letters == {"c"}:
            return [_channels(ctx, op, values, axis)]
    return [_pixels(ctx, op, values, axis, letters.pop())]


def _differ(values: Sequence[Activation], axis: int) -> bool:
    others = [tuple(a for i, a in enumerate(v.axes) if i != axis) for v in values]
    return any(other != others[0] for other in others)


def _channels(ctx: Context, op: Op, values: Sequence[Activation], axis: int) -> Value:
    joined = ctx.builder.concat([v.tensor for v in values], op.name)
    before = [n for a, n in values[0].channel_parts if a < axis]
    after = [n for a, n in values[0].channel_parts if a > axis]
    grids, start = [], 0
    for v in values:
        grids.append(np.arange(start, start + v.tensor.channels).reshape([*before, v.shape[axis], *after]))
        start += v.tensor.channels
    axes = list(values[0].axes)
    axes[axis] = merged([("c", sum(v.shape[axis] for v in values))])
    order = np.concatenate(grids, axis=len(before)).ravel()
    same = np.array_equal(order, np.arange(start))
    return Activation(tuple(axes), joined if same else joined.take(order))


def _pixels(ctx: Context, op: Op, values: Sequence[Activation], axis: int, kind: str) -> Value:
    sizes = [v.shape[axis] for v in values]
    reads, start = [], 0
    for v, n in zip(values, sizes, strict=True):
        along = r.window_taps(sum(sizes), 1, 1, start, 1, n)
        start += n
        t = v.tensor
        rows, cols = (along, r.identity_taps(t.width)) if kind == "h" else (r.identity_taps(t.height), along)
        reads.append(Read(t, rows, cols))
    axes = list(values[0].axes)
    axes[axis] = merged([(kind, sum(sizes))])
    return Activation(tuple(axes), ctx.builder.digital(op.name, "concat", reads, 0))
