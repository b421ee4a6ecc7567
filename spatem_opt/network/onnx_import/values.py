"""What a tensor of the graph is: a constant, or feature maps with a layout.

A layout says for every axis of the ONNX tensor which channels, rows or columns of the feature map it runs over, in
parts: 8 rows may be a part of 4 on one axis and a part of 2 on another. Reshape and Transpose only regroup, split and
reorder parts, so Flatten, channel shuffle, windows of pixels, NHWC and token layouts cost nothing; `relayout` makes a
node where an operator needs a layout that no regrouping gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spatem_opt.limits import check_size, table_size
from spatem_opt.network.layers import CONSTANT
from spatem_opt.network.maps import Tensor
from spatem_opt.types import IntArray

Part = tuple[str, int]  # "c", "h" or "w", and its length >= 2
Axis = tuple[Part, ...]  # row-major, the slowest part first; empty: length 1
Array = NDArray[Any]

KINDS = {0: "", 1: "c", 2: "bc", 3: "bcw", 4: "bchw"}
_SIZES = {"c": "channels", "h": "pixels on an axis", "w": "pixels on an axis"}


@dataclass(frozen=True, slots=True, eq=False)
class Constant:
    """A constant tensor. If not `known`, `array` has the right shape and no meaning (and takes no memory).

    `bits` is how many a quantised one has, None if it is not quantised.
    """

    array: Array
    known: bool = True
    bits: int | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of every axis."""
        return self.array.shape


@dataclass(frozen=True, slots=True, eq=False)
class Activation:
    """Feature maps with a layout; each axis of `tensor` is row-major over the parts of its kind in order of the axes.

    `bits` is how many an element has after a quantisation, None if there is none.
    """

    axes: tuple[Axis, ...]
    tensor: Tensor
    bits: int | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of every axis."""
        return tuple(prod(n for _, n in axis) for axis in self.axes)

    def parts(self, kind: str) -> list[tuple[int, int]]:
        """(axis, length) of every part of a kind."""
        return [(a, n) for a, axis in enumerate(self.axes) for k, n in axis if k == kind]


Value = Constant | Activation


def unknown(shape: Sequence[int], dtype: Any = np.float32, bits: int | None = None) -> Constant:
    """A constant of which only the shape matters."""
    return Constant(np.broadcast_to(np.zeros((), dtype), tuple(shape)), known=False, bits=bits)


def activation(tensor: Tensor, kinds: str) -> Activation:
    """Plain layout: one letter per axis, "b" for an axis of length 1."""
    sizes = {"b": 1, "c": tensor.channels, "h": tensor.height, "w": tensor.width}
    return Activation(tuple(merged([(k, sizes[k])]) for k in kinds), tensor)


def usual(rank: int) -> str:
    """The kind of every axis where nothing else says it: batch, channels, pixels; behind them columns in parts."""
    return KINDS.get(rank, "bchw" + "w" * (rank - 4))


def merged(parts: Sequence[Part]) -> Axis:
    """The parts without those of length 1, adjacent ones of a kind as one."""
    out: list[Part] = []
    for kind, n in parts:
        if n > 1 and out and out[-1][0] == kind:
            out[-1] = (kind, out[-1][1] * n)
        elif n > 1:
            out.append((kind, n))
    return tuple(out)


def reshape(value: Activation, shape: Sequence[int]) -> Activation | None:
    """Regrouped to `shape`; None if no part can be split so."""
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
            elif n % length == 0:
                taken.append((kind, length))
                parts.append((kind, n // length))
                length = 1
            else:
                return None
        axes.append(merged(taken))
    return None if parts else replace(value, axes=tuple(axes))


def transpose(value: Activation, perm: Sequence[int]) -> Activation:
    """Axes in another order."""
    tensor = value.tensor
    for kind in "chw":
        parts = value.parts(kind)
        order = [i for a in perm for i, (axis, _) in enumerate(parts) if axis == a]
        if order != sorted(order):
            sizes = [n for _, n in parts]
            tensor = _gathered(tensor, kind, np.arange(prod(sizes)).reshape(sizes).transpose(order).ravel())
    return replace(value, axes=tuple(value.axes[a] for a in perm), tensor=tensor)


def _gathered(t: Tensor, kind: str, index: IntArray) -> Tensor:
    """Positions of one axis of a map; -1 is a constant channel, or a padded pixel."""
    check_size("feature map", "elements", len(index), _SIZES[kind])
    if kind == "c":
        source, channel = (np.where(index >= 0, a[index], f) for a, f in ((t.source, CONSTANT), (t.channel, 0)))
        return replace(t, source=source, channel=channel)
    view = t.rows if kind == "h" else t.cols
    view = np.where(index >= 0, view[index], -1)
    return replace(t, rows=view) if kind == "h" else replace(t, cols=view)


def select(value: Activation, axis: int, index: IntArray, kind: str = "c") -> Activation | None:
    """The given positions of an axis, -1 for constants; None if they cut an axis that runs over several kinds.

    An axis of length 1 that becomes longer becomes one of the given kind.
    """
    parts = list(value.axes[axis]) or [(kind, 1)]
    if len(parts) == 1:
        return _selected(value, axis, 0, parts, index)
    digits = np.unravel_index(np.maximum(index, 0), [n for _, n in parts])
    chosen = [np.unique(d) for d in digits]
    if (index < 0).any() or table_size(*map(len, chosen)) != len(index):
        return None
    grid = np.ravel_multi_index(np.meshgrid(*chosen, indexing="ij"), [n for _, n in parts]).ravel()
    if not np.array_equal(grid, index):
        return None
    for position, keep in enumerate(chosen):
        value = _selected(value, axis, position, parts, keep)
        parts[position] = (parts[position][0], len(keep))
    return replace(value, axes=(*value.axes[:axis], merged(parts), *value.axes[axis + 1 :]))


def _selected(value: Activation, axis: int, position: int, parts: Sequence[Part], index: IntArray) -> Activation:
    """Positions of one part of an axis; the axis is left in its parts, those of length 1 included."""
    kind = parts[position][0]
    lengths = [n for a in range(axis) for k, n in value.axes[a] if k == kind]
    before = len(lengths) + sum(k == kind for k, _ in parts[:position])
    lengths += [n for k, n in parts if k == kind]
    lengths += [n for a in range(axis + 1, len(value.axes)) for k, n in value.axes[a] if k == kind]
    check_size("feature map", "elements", prod(lengths) // lengths[before] * len(index), _SIZES[kind])
    grid = np.arange(prod(lengths)).reshape(lengths)
    some = np.take(grid, np.maximum(index, 0), axis=before)
    mask = (index >= 0).reshape([-1 if i == before else 1 for i in range(len(lengths))])
    tensor = _gathered(value.tensor, kind, np.where(mask, some, -1).ravel())
    new = [(k, len(index) if i == position else n) for i, (k, n) in enumerate(parts)]
    final = merged(new) if len(parts) == 1 else tuple(new)
    return replace(value, axes=(*value.axes[:axis], final, *value.axes[axis + 1 :]), tensor=tensor)


def widened(value: Activation, axis: int, target: Axis) -> Activation:
    """An axis of length 1, repeated so that it has the given parts."""
    for position, (kind, n) in enumerate(target):
        parts = [*value.axes[axis], (kind, 1)]
        value = replace(value, axes=(*value.axes[:axis], tuple(parts), *value.axes[axis + 1 :]))
        value = _selected(value, axis, position, parts, np.zeros(n, dtype=np.int64))
    return value


def is_plain(value: Activation, kinds: str) -> bool:
    """Whether axis by axis the layout is `kinds`, "b" being length 1."""
    pairs = zip(value.axes, kinds, strict=True)
    return all(not axis or (len(axis) == 1 and axis[0][0] == kind) for axis, kind in pairs)
