"""Nodes that put feature maps into the layout that an operator needs, and operands into a common one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from math import prod

import numpy as np

from spatem_opt.errors import InstanceError
from spatem_opt.limits import check_size
from spatem_opt.network import receptive as r
from spatem_opt.network.builder import Builder
from spatem_opt.network.maps import Read, Tensor
from spatem_opt.network.onnx_import.values import (
    Activation,
    Axis,
    Part,
    is_plain,
    merged,
    usual,
    widened,
)
from spatem_opt.types import IntArray

MAX_CROSSING = 64
"""Rows that become columns (or columns that become rows) are read over an edge each, up to so many."""
Digits = Sequence[tuple[int, IntArray | None]]


def taps(outputs: int, parts: Digits) -> IntArray:
    """What every output reads along one axis of a map, which is row-major over some parts.

    Parameters
    ----------
    outputs : int
    parts : sequence of (length, digit)
        Per part, its position that each output reads, shape (outputs,), -1 if none; None if it reads all of them.

    Examples
    --------
    >>> taps(2, [(2, np.arange(2)), (3, None)]).tolist()  # two blocks of three
    [[0, 1, 2], [3, 4, 5]]
    """
    free = prod(n for n, digit in parts if digit is None)
    if free == prod(n for n, _ in parts):
        return r.full_taps(outputs, free)
    r.check_table(outputs, free)
    table, valid = np.zeros((outputs, 1), dtype=np.int64), np.ones((outputs, 1), dtype=bool)
    for n, digit in parts:
        if digit is None:
            table = (table[:, :, None] * n + np.arange(n)).reshape(outputs, -1)
        else:
            table, valid = table * n + digit[:, None], valid & (digit >= 0)[:, None]
    if free == 1 and valid.all() and np.array_equal(table[:, 0], np.arange(outputs)):
        return r.identity_taps(outputs)
    found = np.where(valid, table, -1)
    found.setflags(write=False)
    return found


def digits(lengths: Sequence[int]) -> list[IntArray]:
    """Position in every part of each element of an axis that is row-major over them."""
    if not lengths:
        return []
    return [d.astype(np.int64) for d in np.unravel_index(np.arange(prod(lengths)), list(lengths))]


def relaid(b: Builder, value: Activation, kinds: Sequence[str], name: str) -> Activation:
    """The same elements in another layout, made by a digital node ``reshape`` without operations.

    Parameters
    ----------
    b : Builder
    value : Activation
    kinds : sequence of str
        Per axis, one letter for each of its parts: what it is to run over.
    name : str
        Of the operator that needs it.

    Notes
    -----
    Exact for rows that stay rows and for rows that become columns (an edge for each, up to `MAX_CROSSING`). A channel
    that is made of pixels (pixel unshuffle) depends on all of them, a pixel made of channels on all of those.
    """
    flat = [(*part, to) for axis, letters in zip(value.axes, kinds, strict=True)
            for part, to in zip(axis, letters, strict=True)]  # fmt: skip
    size = {k: prod(n for _, n, to in flat if to == k) for k in "chw"}
    _check_sizes(name, size["c"], size["h"], size["w"])
    own: dict[int, IntArray] = {}
    for k in "chw":
        mine = [i for i, (_, _, to) in enumerate(flat) if to == k]
        own.update(zip(mine, digits([flat[i][1] for i in mine]), strict=True))
    gathered = list(_channels(name, flat, own, size["c"]))
    reads = [Read(value.tensor.take(c), *pixels) for pixels in _pixels(flat, own, size) for c in gathered]
    out = b.digital(f"{name}.reshape", "reshape", reads, 0)
    axes: list[Axis] = []
    for axis, letters in zip(value.axes, kinds, strict=True):
        axes.append(tuple((to, n) for (_, n), to in zip(axis, letters, strict=True)))
    return replace(value, axes=tuple(map(merged, axes)), tensor=out)


def _pixels(
    flat: Sequence[tuple[str, int, str]], own: dict[int, IntArray], size: dict[str, int]
) -> Iterator[tuple[IntArray, IntArray]]:
    """Row and column taps: one pair for each value of the parts that cross from one axis of pixels to the other."""
    crossing = [i for i, (kind, _, to) in enumerate(flat) if {kind, to} == {"h", "w"}]
    if prod(flat[i][1] for i in crossing) > MAX_CROSSING:
        crossing = []
    for values in product(*(range(flat[i][1]) for i in crossing)):
        here = dict(zip(crossing, values, strict=True))
        pair = []
        for k in "hw":
            mask = np.ones(size[k], dtype=bool)
            for i, v in here.items():
                if flat[i][2] == k:
                    mask &= own[i] == v
            parts: list[tuple[int, IntArray | None]] = [(1, np.where(mask, 0, -1))] if not mask.all() else []
            for i, (kind, n, to) in enumerate(flat):
                if kind == k and i in here:
                    parts.append((n, np.full(size[k], here[i])))
                elif kind == k:
                    parts.append((n, own[i] if to == k else None))
            pair.append(taps(size[k], parts))
        yield pair[0], pair[1]


def _channels(
    name: str, flat: Sequence[tuple[str, int, str]], own: dict[int, IntArray], channels: int
) -> Iterator[IntArray]:
    """Channels read: one list for each value of the channel parts that become pixels."""
    parts = [(n, own[i] if to == "c" else None) for i, (kind, n, to) in enumerate(flat) if kind == "c"]
    table = taps(channels, parts)
    check_size(f"node {name!r}", "edges", table.shape[1], "edges of a node")
    yield from table.T


def arranged(b: Builder, value: Activation, kinds: str, name: str) -> Tensor:
    """The map whose channels, rows and columns are the axes of `value` that `kinds` names; see :func:`relaid`.

    Raises
    ------
    InstanceError
        If an axis that `kinds` calls "b" is longer than 1.
    """
    if is_plain(value, kinds):
        return value.tensor
    shape = value.shape
    for axis, kind in enumerate(kinds):
        if kind == "b" and shape[axis] != 1:
            raise InstanceError(f"node {name!r}", "shape", list(shape), f"expected length 1 on axis {axis} (batch)")
    letters = [kind * len(axis) for axis, kind in zip(value.axes, kinds, strict=True)]
    return relaid(b, value, letters, name).tensor


def _check_sizes(name: str, channels: int, height: int, width: int) -> None:
    """Refuse feature maps that are too large, before they are made."""
    check_size(f"node {name!r}", "channels", channels, "channels")
    for pixels in (height, width):
        check_size(f"node {name!r}", "pixels", pixels, "pixels on an axis")


def scrambled(b: Builder, value: Activation, shape: Sequence[int], name: str) -> Activation:
    """A reshape that cuts parts: a node of which every output depends on everything."""
    kinds = "bwc" if len(shape) == 3 else usual(len(shape))
    if len(shape) > 1 and shape[0] != 1:
        kinds = "h" + kinds[1:]
    size = {k: prod(n for n, kind in zip(shape, kinds, strict=True) if kind == k) for k in "chw"}
    c, h, w = size["c"], size["h"], size["w"]
    _check_sizes(name, c, h, w)
    t = value.tensor
    every = Read(t, r.full_taps(h, t.height), r.full_taps(w, t.width))
    primary = replace(every, tensor=t.take(np.arange(c) * t.channels // c))
    out = b.digital(f"{name}.reshape", "reshape", [primary], 0, [every])
    return replace(value, axes=_whole(shape, kinds), tensor=out)


def _whole(shape: Sequence[int], kinds: str) -> tuple[Axis, ...]:
    """Axes of one part each."""
    return tuple(((kind, n),) if n > 1 else () for kind, n in zip(kinds, shape, strict=True))


def refined(first: Axis, second: Axis) -> tuple[list[Part], list[Part]] | None:
    """Both axes in parts of the same lengths; None if there are none such."""
    left, right = list(first)[::-1], list(second)[::-1]
    a: list[Part] = []
    b: list[Part] = []
    while left and right:
        (k, n), (q, m) = left.pop(), right.pop()
        if n % m and m % n:
            return None
        low = min(n, m)
        a.append((k, low))
        b.append((q, low))
        # Row-major: what is split off first is the slowest part.
        if n > low:
            left.append((k, n // low))
        if m > low:
            right.append((q, m // low))
    return None if left or right else (a, b)


def follow(b: Builder, value: Activation, target: Sequence[Axis], name: str) -> Activation | None:
    """A value of the target's shape (or 1 on an axis) in the target's layout; None if their parts do not match."""
    axes, kinds = [], []
    for mine, theirs in zip(value.axes, target, strict=True):
        both = refined(mine, theirs or mine)
        if mine and both is None:
            return None
        own, wanted = both if mine and both else ([], [])
        axes.append(tuple(own))
        kinds.append("".join(k for k, _ in wanted))
    if all(k == "".join(p for p, _ in axis) for axis, k in zip(axes, kinds, strict=True)):
        return value
    return relaid(b, replace(value, axes=tuple(axes)), kinds, name)


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
    whole = sorted(range(len(values)), key=lambda i: -prod(shapes[i]))
    axes = [next((values[i].axes[a] for i in whole if values[i].axes[a]), ()) for a in range(rank)]
    if any(v.axes[a] not in ((), axes[a]) for v in values for a in range(rank)):
        found = [follow(b, v, axes, name) for v in values]
        if any(v is None for v in found):
            kinds = usual(rank)
            found = [replace(v, axes=_whole(v.shape, kinds), tensor=arranged(b, v, kinds, name)) for v in values]
        values = [v for v in found if v is not None]
        axes = [next((values[i].axes[a] for i in whole if values[i].axes[a]), ()) for a in range(rank)]
    return [_broadcast(v, axes).tensor for v in values], tuple(axes)


def _broadcast(value: Activation, axes: Sequence[Axis]) -> Activation:
    """Channels repeated; rows and columns only where some of their parts are there already."""
    while True:
        present = {"c", *(k for axis in value.axes for k, _ in axis)}
        missing = [a for a, axis in enumerate(axes) if not value.axes[a] and any(k in present for k, _ in axis)]
        if not missing:
            return value
        value = widened(value, missing[0], axes[missing[0]])
