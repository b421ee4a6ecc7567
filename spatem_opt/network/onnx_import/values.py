"""What a tensor of the graph is: a constant, or feature maps with a layout.

A layout says for every axis of the ONNX tensor which channels, rows or columns of the feature map it runs over. Reshape
and Transpose only regroup and reorder these parts, so Flatten, channel shuffle, NHWC and token layouts cost nothing;
:func:`arranged` inserts a ``reshape`` node where an operator needs a layout that no regrouping gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spatem_opt.errors import InstanceError
from spatem_opt.limits import check_size, table_size
from spatem_opt.network import receptive as r
from spatem_opt.network.builder import Builder, Read, Tensor
from spatem_opt.types import IntArray

Part = tuple[str, int]  # "c", "h" or "w", and its length >= 2
Axis = tuple[Part, ...]  # row-major, the slowest part first; empty: length 1
Array = NDArray[Any]

KINDS = {1: "c", 2: "bc", 3: "bcw", 4: "bchw"}


@dataclass(frozen=True, slots=True, eq=False)
class Constant:
    """A constant tensor. If not `known`, `array` has the right shape and no meaning (and takes no memory)."""

    array: Array
    known: bool = True

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of every axis."""
        return self.array.shape


@dataclass(frozen=True, slots=True, eq=False)
class Activation:
    """Feature maps with a layout; the channels of `tensor` are row-major over the "c" parts in order of the axes."""

    axes: tuple[Axis, ...]
    tensor: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of every axis."""
        return tuple(prod(n for _, n in axis) for axis in self.axes)

    @property
    def channel_parts(self) -> list[tuple[int, int]]:
        """(axis, length) of every "c" part."""
        return [(a, n) for a, axis in enumerate(self.axes) for kind, n in axis if kind == "c"]


Value = Constant | Activation


def unknown(shape: Sequence[int], dtype: Any = np.float32) -> Constant:
    """A constant of which only the shape matters."""
    return Constant(np.broadcast_to(np.zeros((), dtype), tuple(shape)), known=False)


def activation(tensor: Tensor, kinds: str) -> Activation:
    """Plain layout: one letter per axis, "b" for an axis of length 1."""
    sizes = {"b": 1, "c": tensor.channels, "h": tensor.height, "w": tensor.width}
    return Activation(tuple(merged([(k, sizes[k])]) for k in kinds), tensor)


def merged(parts: Sequence[Part]) -> Axis:
    """The parts without those of length 1, adjacent "c" parts as one."""
    out: list[Part] = []
    for kind, n in parts:
        if n > 1 and kind == "c" and out and out[-1][0] == "c":
            out[-1] = ("c", out[-1][1] * n)
        elif n > 1:
            out.append((kind, n))
    return tuple(out)


def reshape(value: Activation, shape: Sequence[int]) -> Activation | None:
    """Regrouped to `shape`; None if that would cut rows or columns of pixels."""
    parts = [part for axis in value.axes for part in axis][::-1]
    axes: list[Axis] = []
    for length in shape:
        taken: list[Part] = []
        while length > 1:
            if not parts:
                return None
            kind, n = parts.pop()
            if length % n == 0:
                taken.append((kind, n))
                length //= n
            elif kind == "c" and n % length == 0:
                taken.append((kind, length))
                parts.append((kind, n // length))
                length = 1
            else:
                return None
        axes.append(merged(taken))
    return None if parts else Activation(tuple(axes), value.tensor)


def transpose(value: Activation, perm: Sequence[int]) -> Activation:
    """Axes in another order."""
    parts = value.channel_parts
    sizes = [n for _, n in parts]
    order = [i for a in perm for i, (axis, _) in enumerate(parts) if axis == a]
    index = np.arange(value.tensor.channels).reshape(sizes).transpose(order).ravel()
    tensor = value.tensor if order == sorted(order) else value.tensor.take(index)
    return Activation(tuple(value.axes[a] for a in perm), tensor)


def select(value: Activation, axis: int, index: IntArray) -> Activation | None:
    """The given positions of an axis that runs over channels, rows or columns only; None if it runs over several."""
    parts, t = value.axes[axis], value.tensor
    if len(parts) > 1 or (not parts and len(index) != 1):
        return None
    axes = list(value.axes)
    if parts:
        kind = parts[0][0]
        axes[axis] = merged([(kind, len(index))])
        if kind == "c":
            places = [a for a, _ in value.channel_parts]
            grid = np.arange(t.channels).reshape([n for _, n in value.channel_parts])
            t = t.take(np.take(grid, index, axis=places.index(axis)).ravel())
        else:
            t = replace(t, rows=t.rows[index]) if kind == "h" else replace(t, cols=t.cols[index])
    return Activation(tuple(axes), t)


def is_plain(value: Activation, kinds: str) -> bool:
    """Whether axis by axis the layout is `kinds`, "b" being length 1."""
    pairs = zip(value.axes, kinds, strict=True)
    return all(not axis or (len(axis) == 1 and axis[0][0] == kind) for axis, kind in pairs)


def arranged(b: Builder, value: Activation, kinds: str, name: str) -> Tensor:
    """The map whose channels, rows and columns are the axes of `value` that `kinds` names.

    If the layout is another, a digital node ``reshape`` without operations makes it. Its taps are exact for rows that
    stay rows (pixel shuffle); otherwise every output depends on all rows, and likewise for columns and channels.

    Raises
    ------
    InstanceError
        If an axis that `kinds` calls "b" is longer than 1.
    """
    if is_plain(value, kinds):
        return value.tensor
    shape, t = value.shape, value.tensor
    for axis, kind in enumerate(kinds):
        if kind == "b" and shape[axis] != 1:
            raise InstanceError(f"node {name!r}", "shape", list(shape), f"expected length 1 on axis {axis} (batch)")
    size = {k: shape[kinds.index(k)] if k in kinds else 1 for k in "chw"}
    _check_sizes(name, size["c"], size["h"], size["w"])
    rows = _moved(value, kinds, "h", size["h"], t.height)
    cols = _moved(value, kinds, "w", size["w"], t.width)
    channel = np.zeros(size["c"], dtype=np.int64)
    complete = True
    for axis, parts in enumerate(value.axes):
        inner = prod(n for _, n in parts)
        for kind, n in parts:
            inner //= n
            if kind == "c":
                here = axis == kinds.find("c")
                complete &= here
                channel = channel * n + (np.arange(size["c"]) // inner % n if here else 0)
    shared = [] if complete else [Read(t, rows, cols)]
    return b.digital(f"{name}.reshape", "reshape", [Read(t.take(channel), rows, cols)], 0, shared)


def _check_sizes(name: str, channels: int, height: int, width: int) -> None:
    """Refuse feature maps that are too large, before they are made."""
    check_size(f"node {name!r}", "channels", channels, "channels")
    for pixels in (height, width):
        check_size(f"node {name!r}", "pixels", pixels, "pixels on an axis")


def _moved(value: Activation, kinds: str, kind: str, outputs: int, length: int) -> IntArray:
    for axis, parts in zip(kinds, value.axes, strict=True):
        inner = prod(n for _, n in parts)
        for part, n in parts:
            inner //= n
            if part == kind and axis == kind:
                return (np.arange(outputs) // inner % n)[:, None]
    return r.full_taps(outputs, length)


def scrambled(b: Builder, value: Activation, shape: Sequence[int], name: str) -> Activation:
    """A reshape that cuts rows of pixels: a node of which every output depends on everything."""
    kinds = "bwc" if len(shape) == 3 else KINDS[len(shape)]
    size = dict(zip(kinds, shape, strict=True))
    c, h, w = (size.get(k, 1) for k in "chw")
    _check_sizes(name, c, h, w)
    t = value.tensor
    every = Read(t, r.full_taps(h, t.height), r.full_taps(w, t.width))
    primary = replace(every, tensor=t.take(np.arange(c) * t.channels // c))
    return activation(b.digital(f"{name}.reshape", "reshape", [primary], 0, [every]), kinds)


def aligned(b: Builder, values: Sequence[Activation], name: str) -> tuple[list[Tensor], tuple[Axis, ...]]:
    """Operands of an elementwise operator with the same channels, and the layout of the result.

    Axes of rows and columns keep length 1 where they are to be broadcast; channels are repeated.

    Raises
    ------
    InstanceError
        If the shapes cannot be broadcast together.
    """
    rank = max(len(v.axes) for v in values)
    shapes = [(1,) * (rank - len(v.axes)) + v.shape for v in values]
    if any(len({n for n in lengths if n != 1}) > 1 for lengths in zip(*shapes, strict=True)):
        rule = "expected shapes that are equal or 1 on every axis"
        raise InstanceError(f"node {name!r}", "operands", [list(v.shape) for v in values], rule)
    values = [replace(v, axes=((),) * (rank - len(v.axes)) + v.axes) for v in values]
    axes = [max((v.axes[a] for v in values), key=len) for a in range(rank)]
    if any(v.axes[a] not in ((), axes[a]) for v in values for a in range(rank)):
        kinds = KINDS[rank]
        values = [activation(arranged(b, v, kinds, name), kinds) for v in values]
        axes = [max((v.axes[a] for v in values), key=len) for a in range(rank)]
    sizes = [[n for kind, n in axis if kind == "c"] for axis in axes]
    tensors = []
    for v in values:
        own = [n if v.axes[a] else 1 for a in range(rank) for n in sizes[a]]
        check_size(f"node {name!r}", "channels", table_size(*(n for s in sizes for n in s)), "channels")
        wide = np.broadcast_to(np.arange(v.tensor.channels).reshape(own), [n for s in sizes for n in s])
        same = wide.size == v.tensor.channels
        tensors.append(v.tensor if same else v.tensor.take(wide.ravel()))
    return tensors, tuple(axes)
