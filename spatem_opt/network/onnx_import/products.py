"""Products of matrices: with constants a crossbar layer, of two activations a digital node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from spatem_opt.limits import check_size
from spatem_opt.network import receptive as r
from spatem_opt.network.layers import Weights
from spatem_opt.network.maps import Read
from spatem_opt.network.onnx_import.context import Context
from spatem_opt.network.onnx_import.graph import Op
from spatem_opt.network.onnx_import.relayout import digits, relaid, taps
from spatem_opt.network.onnx_import.values import Activation, Axis, merged, widened
from spatem_opt.types import IntArray


def contracted(
    ctx: Context, op: Op, value: Activation, axis: int, weight: Sequence[int], groups: int = 1
) -> Activation:
    """Product with a (inputs, outputs) matrix along an axis: a window per remaining pixel, the rest is its kernel.

    Parameters
    ----------
    ctx, op : Context, Op
    value : Activation
        With several groups its first axis longer than 1 is theirs, and each has a matrix of its own.
    axis : int
    weight : (int, int)
    groups : int

    Raises
    ------
    InstanceError
        If the lengths differ.
    """
    inputs, outputs = weight
    axis %= len(value.axes)
    if value.shape[axis] != inputs:
        raise op.error("weights", list(weight), f"expected {value.shape[axis]} rows, the length of axis {axis}")
    grouped = next((a for a, n in enumerate(value.shape) if n > 1), 0) if groups > 1 else -1
    value = _windows(ctx, op, value, axis, grouped)
    t = value.tensor
    rows, cols = (_along(value, kind, axis) for kind in "hw")
    if not all(_slides(taps) for taps in (r.through_view(t.rows, rows), r.through_view(t.cols, cols))):
        letters = ["".join("c" if a == axis else k for k, _ in parts) for a, parts in enumerate(value.axes)]
        value = relaid(ctx.builder, value, letters, op.name)
        t, rows, cols = value.tensor, r.identity_taps(value.tensor.height), r.identity_taps(value.tensor.width)
    weights = Weights(groups, t.channels // groups, outputs, (rows.shape[1], cols.shape[1]))
    kind = "fc" if len(rows) * len(cols) == 1 else "matmul"
    out = ctx.builder.crossbar(op.name, kind, Read(t, rows, cols), weights)
    axes = list(value.axes)
    axes[axis] = (("c", outputs),) if outputs > 1 else ()
    return Activation(tuple(axes), out)


def _slides(table: IntArray) -> bool:
    along, within = r.steps(table)
    return r.slides(table, abs(along) or 1, abs(within) or 1)


def _windows(ctx: Context, op: Op, value: Activation, axis: int, grouped: int) -> Activation:
    """The value such that the axis of groups and that of the matrix have channels, and all others pixels only."""
    letters = []
    for a, parts in enumerate(value.axes):
        kinds = [k for k, _ in parts]
        if a == grouped:
            kinds = ["c"] * len(kinds)
        elif a != axis:
            kinds = ["h" if k == "c" else k for k in kinds]
        letters.append("".join(kinds))
    if letters != ["".join(k for k, _ in parts) for parts in value.axes]:
        value = relaid(ctx.builder, value, letters, op.name)
    if grouped > axis >= 0:
        raise op.error("weights", list(value.shape), "expected the axis of groups before that of their matrices")
    return value


def _along(value: Activation, kind: str, axis: int) -> IntArray:
    """Taps of one axis of pixels: the parts on `axis` are the kernel, the others the windows."""
    parts = value.parts(kind)
    outer = digits([n for a, n in parts if a != axis])
    own = iter(outer)
    outputs = prod(n for a, n in parts if a != axis)
    return taps(outputs, [(n, None if a == axis else next(own)) for a, n in parts])


@dataclass(frozen=True, slots=True)
class _Operand:
    """An operand of a product: its free axis, and the axis along which it is summed up (the other of the last two)."""

    value: Activation
    free: int

    @property
    def summed(self) -> int:
        """The axis that the product sums up."""
        rank = len(self.value.axes)
        return rank - 1 if self.free == rank - 2 else rank - 2


def product(ctx: Context, op: Op, a: Activation, b: Activation, name: str) -> Activation:
    """Matrix product (..., M, K) x (..., K, N) of two activations: a digital node of K operations per output.

    The windows of the node are the pixels of one of the operands, the leading one: the left, unless only the right one
    has pixels along its free axis. Positions along the other's free axis become channels. The channels to be summed up
    are dealt out over the output channels that need them all, where these are enough (M2, `Builder.digital`).

    Raises
    ------
    InstanceError
        If the shapes do not fit.
    """
    rank = max(len(a.axes), len(b.axes))
    a, b = (replace(v, axes=((),) * (rank - len(v.axes)) + v.axes) for v in (a, b))
    fits = all(n == m or 1 in (n, m) for n, m in zip(a.shape[:-2], b.shape[:-2], strict=True))
    if a.shape[-1] != b.shape[-2] or not fits:
        raise op.error("operands", [list(a.shape), list(b.shape)], "expected matrices that can be multiplied")
    for axis in range(rank - 2):
        a = a if a.axes[axis] else widened(a, axis, b.axes[axis])
    pixels = [any(k != "c" for k, _ in v.axes[free]) for v, free in ((a, rank - 2), (b, rank - 1))]
    left, right = _Operand(a, rank - 2), _Operand(b, rank - 1)
    lead, other = (right, left) if pixels[1] and not pixels[0] else (left, right)
    if lead is right:
        for axis in range(rank - 2):
            b = b if b.axes[axis] else widened(b, axis, a.axes[axis])
        lead = _Operand(b, rank - 1)
    axes: list[Axis] = list(lead.value.axes)
    free = other.value.shape[other.free]
    axes[lead.summed] = (("c", free),) if free > 1 else ()
    reads = _Reads(lead, other, tuple(axes), name)
    out = ctx.builder.digital(name, "matmul", [*reads.leading(), *reads.others()], a.shape[-1])
    return Activation(tuple(map(merged, axes)), out)


@dataclass(frozen=True, slots=True)
class _Reads:
    """What the output `axes` of a product read of either operand."""

    lead: _Operand
    other: _Operand
    axes: tuple[Axis, ...]
    name: str

    def own(self, kind: str) -> dict[tuple[int, int], IntArray]:
        """Digits of the outputs by (axis, part of that axis) for every part of a kind."""
        keys = [(a, i) for a, axis in enumerate(self.axes) for i, (k, _) in enumerate(axis) if k == kind]
        return dict(zip(keys, digits([self.axes[a][i][1] for a, i in keys]), strict=True))

    def size(self, kind: str) -> int:
        """Outputs along a kind."""
        return prod(n for axis in self.axes for k, n in axis if k == kind)

    def leading(self) -> list[Read]:
        """Reads of the leading operand: its own pixels and channels, all along the summed axis."""
        skip = self.lead.summed
        table = {k: {key: d for key, d in self.own(k).items() if key[0] != skip} for k in "chw"}
        spare = self.own("c").get((skip, 0))
        return self._reads(self.lead, table, spare, self.axes[skip][0][1] if spare is not None else 1)

    def others(self) -> list[Read]:
        """Reads of the other operand: all pixels, but those of the batch axes that both share."""
        value, free, to = self.other.value, self.other.free, self.lead.summed
        table: dict[str, dict[tuple[int, int], IntArray]] = {k: {} for k in "chw"}
        for k in "chw":
            for (a, i), d in self.own(k).items():
                if a < len(self.axes) - 2 and value.axes[a] == self.lead.value.axes[a]:
                    table[k][a, i] = d
        across = self.own("c").get((to, 0))
        if across is not None:
            found = np.unravel_index(across, [n for _, n in value.axes[free]])
            for i, ((k, _), d) in enumerate(zip(value.axes[free], found, strict=True)):
                if k == "c":
                    table["c"][free, i] = d.astype(np.int64)
        spare, size = _mixed([(n, self.own("c").get((self.lead.free, i)))
                              for i, (_, n) in enumerate(self.lead.value.axes[self.lead.free])])  # fmt: skip
        if across is not None and not any(k == "c" for k, _ in value.axes[free]):
            spare, size = across, self.axes[to][0][1]
        return self._reads(self.other, table, spare, size)

    def _reads(
        self, operand: _Operand, table: dict[str, dict[tuple[int, int], IntArray]], spare: IntArray | None, size: int
    ) -> list[Read]:
        keys = [(k, (a, i), n) for a, axis in enumerate(operand.value.axes) for i, (k, n) in enumerate(axis)]
        every = {k: [(n, table[k].get(key)) for kind, key, n in keys if kind == k] for k in "chw"}
        rows, cols = (taps(self.size(k), every[k]) for k in "hw")
        channels = taps(self.size("c"), every["c"])
        width = channels.shape[1]
        t = operand.value.tensor
        edges = -(-width // size)
        check_size(f"node {self.name!r}", "edges", edges, "edges of a node")
        turn = np.zeros(len(channels), np.int64) if spare is None else spare
        index = np.arange(len(channels))
        return [Read(t.take(channels[index, (turn + e * size) % width]), rows, cols) for e in range(edges)]


def _mixed(parts: Sequence[tuple[int, IntArray | None]]) -> tuple[IntArray | None, int]:
    """One digit of several, and its size."""
    given = [(n, digit) for n, digit in parts if digit is not None]
    if not given:
        return None, 1
    out = np.zeros_like(given[0][1])
    for n, digit in given:
        out = out * n + digit
    return out, prod(n for n, _ in given)
