"""Operators that become digital nodes: pooling, reductions, elementwise operators on several tensors, resize."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from math import prod

import numpy as np

from spatem_opt.limits import check_size
from spatem_opt.network import receptive as r
from spatem_opt.network.maps import Read, Tensor
from spatem_opt.network.onnx_import.context import Context, handles, pads, pair, result, span
from spatem_opt.network.onnx_import.fold import axes_of, axis_at
from spatem_opt.network.onnx_import.graph import Op
from spatem_opt.network.onnx_import.joining import JOINED
from spatem_opt.network.onnx_import.movement import selected
from spatem_opt.network.onnx_import.relayout import aligned, digits, follow, taps
from spatem_opt.network.onnx_import.values import Activation, Constant, Value, merged, reshape, select, usual
from spatem_opt.types import IntArray

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
    name = op.type.replace("Reduce", "reduce_").replace("Arg", "arg").lower()
    value = reduced_over(ctx, op, value, axes, name)
    if op.get("keepdims", 1):
        return [value]
    return [replace(value, axes=tuple(axis for a, axis in enumerate(value.axes) if a not in axes))]


def reduced_over(ctx: Context, op: Op, value: Activation, axes: Sequence[int], name: str) -> Activation:
    """A node that sums up (or the like) whole axes, which then have length 1."""
    kept = tuple(() if a in axes else axis for a, axis in enumerate(value.axes))
    if not any(value.axes[a] for a in axes):
        return replace(value, axes=kept)
    t, gone = value.tensor, set(axes)
    rows, cols, channels = (reduced(value, kind, gone) for kind in "hwc")
    shared = [Read(t, rows, cols)] if channels.shape[1] > 1 else []
    count = rows.shape[1] * cols.shape[1] * channels.shape[1]
    out = ctx.builder.digital(op.name, name, [Read(t.take(channels[:, 0]), rows, cols)], count, shared)
    return Activation(kept, out)


def reduced(value: Activation, kind: str, gone: set[int]) -> IntArray:
    """What is read along a kind if whole axes are summed up, shape (outputs, inputs of each)."""
    parts = value.parts(kind)
    own = iter(digits([n for a, n in parts if a not in gone]))
    outputs = prod(n for a, n in parts if a not in gone)
    return taps(outputs, [(n, None if a in gone else next(own)) for a, n in parts])


@handles("Add", "Sub", "Mul", "Div", "Sum", "Max", "Min", "Mean", "Pow", "PRelu", "And", "Or", "Xor", "Equal",
         "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Mod", "BitShift", "BitwiseAnd", "BitwiseOr",
         "BitwiseXor",
         "Where")  # fmt: skip
def elementwise(ctx: Context, op: Op) -> Sequence[Value]:
    """Elementwise operator: fused if only one operand is computed, else a digital node."""
    operands = [o for o in ctx.operands(op) if o is not None]
    return [elementwise_of(ctx, op, operands, _SPECIAL_ELEMENTWISE.get(op.type, op.type.lower()))]


def elementwise_of(ctx: Context, op: Op, operands: Sequence[Value], name: str) -> Activation:
    """The elementwise operator `name` on operands that are broadcast together."""
    computed = [o for o in operands if isinstance(o, Activation)]
    shape = broadcast(op, operands)
    first = replace(computed[0], axes=((),) * (len(shape) - len(computed[0].axes)) + computed[0].axes)
    for axis, n in enumerate(shape):  # a constant may be larger than all that is computed
        if n > 1 and all(((1,) * len(shape) + v.shape)[axis - len(shape)] == 1 for v in computed):
            first = selected(ctx, op, first, axis, np.zeros(n, dtype=np.int64))
    tensors, axes = aligned(ctx.builder, [first, *computed[1:]], op.name)
    out = ctx.builder.elementwise(name, tensors, op.name)
    if 1 < len(computed) < len(operands):
        ctx.builder.fuse(out)
    return Activation(axes, out)


def broadcast(op: Op, operands: Sequence[Value]) -> tuple[int, ...]:
    """The shape of an elementwise result; raises :class:`InstanceError` if there is none."""
    try:
        return tuple(int(n) for n in np.broadcast_shapes(*(o.shape for o in operands)))
    except ValueError:
        rule = "expected shapes that are equal or 1 on every axis"
        raise op.error("operands", [list(o.shape) for o in operands], rule) from None


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
    """Statistics over all pixels (of a group of channels), then a pointwise operator; both in one node."""
    value = ctx.data(op)
    rank = len(value.axes)
    if op.type == "GroupNormalization":
        groups, channels = int(op.get("num_groups", 1)), value.shape[1]
        found = reshape(value, (value.shape[0], groups, channels // max(groups, 1), *value.shape[2:]))
        if found is None:
            raise op.error("num_groups", groups, f"expected a divisor of {channels} channels")
        return [replace(value, tensor=over_axes(ctx, op, found, range(2, rank + 1)).tensor)]
    axes = [axis_at(op, a, rank) for a in op.get("axes", (0, 2, 3))] if op.type.startswith("Mean") else range(2, rank)
    return [over_axes(ctx, op, value, axes)]


@handles("Softmax", "LogSoftmax", "Hardmax", "LpNormalization")
def softmax(ctx: Context, op: Op) -> Sequence[Value]:
    """Along one axis; in opsets before 13 over all axes from there on."""
    value = ctx.data(op)
    rank, older = len(value.axes), op.opset < 13 and op.type != "LpNormalization"
    axis = axis_at(op, op.get("axis", 1 if older else -1), rank)
    return [over_axes(ctx, op, value, range(axis, rank if older else axis + 1))]


@handles("LayerNormalization", "SimplifiedLayerNormalization", "RMSNormalization")
def layer_norm(ctx: Context, op: Op) -> Sequence[Value]:
    """Over an axis and all behind it, then scale and bias; mean and deviation are not available as results."""
    value = ctx.data(op)
    for position in range(1, len(op.inputs)):
        if op.inputs[position]:
            ctx.constant(op, position, f"operand {position}")
    axis = axis_at(op, op.get("axis", -1), len(value.axes))
    return [over_axes(ctx, op, value, range(axis, len(value.axes)))]


@handles(JOINED)
def spelled_out(ctx: Context, op: Op) -> Sequence[Value]:
    """A normalisation that the file spells out (`joining`)."""
    value = ctx.data(op)
    return [over_axes(ctx, op, value, [axis_at(op, a, len(value.axes)) for a in op.get("axes")])]


def over_axes(ctx: Context, op: Op, value: Activation, axes: Iterable[int]) -> Activation:
    """An operator of which every output needs all elements along some axes: a node of 3 operations per element.

    Over the channels of a single pixel it is fused, like local response normalisation (M2).
    """
    t, gone = value.tensor, {a for a in axes if value.axes[a]}
    if not gone or t.height == t.width == 1:
        ctx.builder.fuse(t)
        return value
    every = []
    for kind in "hw":
        parts = value.parts(kind)
        own = digits([n for _, n in parts])
        size = prod(n for _, n in parts)
        every.append(taps(size, [(n, None if a in gone else d) for (a, n), d in zip(parts, own, strict=True)]))
    here, spread = Read(t, r.identity_taps(t.height), r.identity_taps(t.width)), Read(t, every[0], every[1])
    pixels = any(k != "c" for a in gone for k, _ in value.axes[a])
    mixed = any(k == "c" for a in gone for k, _ in value.axes[a]) and len(np.unique(t.source)) > 1
    name = {"Softmax": "softmax", "LogSoftmax": "softmax", "Hardmax": "softmax"}.get(op.type, "normalise")
    out = ctx.builder.digital(op.name, name, [here, spread] if pixels else [here], 3, [spread] if mixed else [])
    return replace(value, tensor=out)


@handles("Concat")
def concat(ctx: Context, op: Op) -> Sequence[Value]:
    """Along channels no node, along rows or columns a node that reads every operand; constants are padding."""
    operands = [v for v in ctx.operands(op) if v is not None]
    rank = max(len(v.shape) for v in operands)
    axis = axis_at(op, op.get("axis", 1), rank)
    if any(len(v.shape) != rank for v in operands):
        raise op.error("operands", [list(v.shape) for v in operands], f"expected {rank} dimensions each")
    if any(v.shape[:axis] + v.shape[axis + 1 :] != (first := operands[0].shape)[:axis] + first[axis + 1 :]
           for v in operands):  # fmt: skip
        texts = [" x ".join(map(str, v.shape)) for v in operands]
        raise op.error("operand", texts[1:], f"expected {texts[0]} like the first operand, but for axis {axis}")
    values = [v for v in operands if isinstance(v, Activation)]
    if len(values) == 1:
        sizes = [v.shape[axis] if isinstance(v, Constant) else -v.shape[axis] for v in operands]
        index = np.concatenate([np.full(n, -1) if n >= 0 else np.arange(-n) for n in sizes])
        return [selected(ctx, op, values[0], axis, index)]
    kind = _along(values, axis)
    if kind is None:
        values = _alike(ctx, op, values, axis)
        kind = _along(values, axis) or usual(rank)[axis]
    if kind == "c":
        return [_channels(ctx, op, _filled(operands, values, axis), axis)]
    return [_pixels(ctx, op, operands, values, axis, kind)]


def _along(values: Sequence[Activation], axis: int) -> str | None:
    """The kind along which values of one layout can be joined; None if their layouts differ."""
    letters = {kind for v in values for kind, _ in v.axes[axis]}
    others = [tuple(a for i, a in enumerate(v.axes) if i != axis) for v in values]
    if len(letters) > 1 or any(len(v.axes[axis]) > 1 for v in values) or any(o != others[0] for o in others):
        return None
    if letters:
        return letters.pop()
    taken = {kind for v in values for a in v.axes for kind, _ in a}
    return next((k for k in "cwh" if k not in taken), "c")  # every part has length 1: any letter will do


def _alike(ctx: Context, op: Op, values: Sequence[Activation], axis: int) -> list[Activation]:
    """All in the layout of the largest, with one part on the axis along which they are joined; else in a plain one."""
    lead = max(values, key=lambda v: prod(v.shape))
    own = lead.axes[axis]
    kind = max((k for k, _ in own), key=lambda k: prod(n for q, n in own if q == k), default="c")
    found = []
    for v in values:
        target = [(((kind, n),) if n > 1 else ()) if a == axis else lead.axes[a] for a, n in enumerate(v.shape)]
        found.append(follow(ctx.builder, v, target, op.name))
    same = [v for v in found if v is not None]
    if len(same) == len(values) and _along(same, axis):
        return same
    rank = len(values[0].axes)
    kinds = "bwc" if rank == 3 else usual(rank)
    return [Activation(tuple(merged([(k, n)]) for k, n in zip(kinds, v.shape, strict=True)),
                       ctx.arranged(op, v, kinds)) for v in values]  # fmt: skip


def _filled(operands: Sequence[Value], values: Sequence[Activation], axis: int) -> list[Activation]:
    """All operands of a concatenation of channels, constant ones as constant channels."""
    computed, lead, out = iter(values), values[0], []
    for v in operands:
        if isinstance(v, Activation):
            out.append(next(computed))
            continue
        n = v.shape[axis]
        channels = prod(m for a, m in lead.parts("c") if a != axis) * n
        check_size("Concat", "channels", channels, "channels")
        axes = (*lead.axes[:axis], (("c", n),) if n > 1 else (), *lead.axes[axis + 1 :])
        out.append(Activation(axes, lead.tensor.constants(channels)))
    return out


def _channels(ctx: Context, op: Op, values: Sequence[Activation], axis: int) -> Value:
    joined = ctx.builder.concat([v.tensor for v in values], op.name)
    before = [n for a, n in values[0].parts("c") if a < axis]
    after = [n for a, n in values[0].parts("c") if a > axis]
    grids, start = [], 0
    for v in values:
        grids.append(np.arange(start, start + v.tensor.channels).reshape([*before, v.shape[axis], *after]))
        start += v.tensor.channels
    axes = list(values[0].axes)
    axes[axis] = merged([("c", sum(v.shape[axis] for v in values))])
    order = np.concatenate(grids, axis=len(before)).ravel()
    same = np.array_equal(order, np.arange(start))
    return Activation(tuple(axes), joined if same else joined.take(order))


def _pixels(
    ctx: Context, op: Op, operands: Sequence[Value], values: Sequence[Activation], axis: int, kind: str
) -> Value:
    """Joined rows or columns: a view if all are parts of one map (a cyclic shift), else a node."""
    computed, total, lead = iter(values), sum(v.shape[axis] for v in operands), values[0]
    check_size(op.where, "axis", total, "pixels on an axis")
    reads, views, start = [], [], 0
    for v in operands:
        n = v.shape[axis]
        if isinstance(v, Activation):
            v = next(computed)
            index = np.full(total, -1)
            index[start : start + n] = np.arange(n)
            wide = select(v, axis, index, kind)
            if wide is None:
                raise op.error("axis", axis, f"cannot be joined: layout {v.axes}")
            views.append(wide)
            t = wide.tensor
            reads.append(Read(t, r.identity_taps(t.height), r.identity_taps(t.width)))
        start += n
    joined = _one_map(views)
    if joined is None:
        joined = ctx.builder.digital(op.name, "concat", reads, 0)
    axes = list(lead.axes)
    axes[axis] = merged([(kind, total)])
    return Activation(tuple(axes), joined)


def _one_map(views: Sequence[Activation]) -> Tensor | None:
    """The views of one map in one: every row and column is there in one of them at most."""
    first = views[0].tensor
    same = (np.array_equal(getattr(first, a), getattr(v.tensor, a)) for v in views for a in ("source", "channel"))
    if not all(same) or any(v.axes != views[0].axes for v in views):
        return None
    rows, cols = (np.stack([getattr(v.tensor, a) for v in views]) for a in ("rows", "cols"))
    apart = [((table >= 0).sum(axis=0) <= 1).all() for table in (rows, cols)]
    equal = [(table == table[0]).all() for table in (rows, cols)]
    if apart[0] and equal[1]:
        return replace(first, rows=rows.max(axis=0))
    if apart[1] and equal[0]:
        return replace(first, cols=cols.max(axis=0))
    return None
