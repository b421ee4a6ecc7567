"""Random graphs of operators that move, join, reduce and multiply: no dependency that a run shows may be missing."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from spatem_opt.network.layers import Network
from tests.network.onnx_models import dependence, implied, imported, ints, model, weight

N = helper.make_node
MOST = 600
"""Elements of a tensor, for the sake of time."""


@dataclass
class Chain:
    """A chain of operators that is being made; the last tensor is `last`, of `shape`."""

    rng: random.Random
    shape: list[int]
    last: str = "x"
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: list[onnx.TensorProto] = field(default_factory=list)

    def add(self, kind: str, shape: Sequence[int], operands: Sequence[onnx.TensorProto | str] = (),
            **attributes: object) -> None:  # fmt: skip
        """One more operator, that reads the last tensor first; constants are renamed."""
        name, inputs = f"t{len(self.nodes)}", [self.last]
        for i, operand in enumerate(operands):
            if isinstance(operand, onnx.TensorProto):
                operand.name = f"{name}.{i}"
                self.weights.append(operand)
                inputs.append(operand.name)
            else:
                inputs.append(operand)
        self.nodes.append(N(kind, inputs, [name], **attributes))
        self.last, self.shape = name, list(shape)

    def axis(self, first: int = 1) -> int:
        return self.rng.randrange(first if len(self.shape) > first else 0, len(self.shape))

    def with_axis(self, axis: int, length: int) -> list[int]:
        return [*self.shape[:axis], length, *self.shape[axis + 1 :]]


def reshape(c: Chain) -> None:
    shape: list[int] = []
    for n in c.shape:
        low = c.rng.choice([d for d in range(1, n + 1) if n % d == 0])
        shape += [low, n // low] if n > 3 and c.rng.random() < 0.4 else [n]
    if len(shape) > 2 and c.rng.random() < 0.5:
        i = c.rng.randrange(1, len(shape) - 1)
        shape[i : i + 2] = [shape[i] * shape[i + 1]]
    if len(shape) < 8:
        c.add("Reshape", shape, [ints("", *shape)])


def transpose(c: Chain) -> None:
    perm = list(range(1, len(c.shape)))
    c.rng.shuffle(perm)
    c.add("Transpose", [c.shape[a] for a in (0, *perm)], perm=[0, *perm])


def cut(c: Chain) -> None:
    axis, step = c.axis(), c.rng.choice([1, 2])
    end = max(2, c.shape[axis] - c.rng.randint(0, 1))
    if c.shape[axis] > 2:
        length = len(range(1, end, step))
        c.add("Slice", c.with_axis(axis, length), [ints("", 1), ints("", end), ints("", axis), ints("", step)])


def pad(c: Chain) -> None:
    axis, pads = c.axis(), [0] * 2 * len(c.shape)
    pads[axis], pads[len(c.shape) + axis] = c.rng.randint(0, 1), 1
    c.add("Pad", c.with_axis(axis, c.shape[axis] + pads[axis] + 1), [ints("", *pads)])


def twice(c: Chain) -> None:
    axis = c.axis()
    c.add("Concat", c.with_axis(axis, 2 * c.shape[axis]), [c.last], axis=axis)


def with_constant(c: Chain) -> None:
    axis = c.axis()
    c.add("Concat", c.with_axis(axis, c.shape[axis] + 1), [weight("", *c.with_axis(axis, 1))], axis=axis)


def gather(c: Chain) -> None:
    axis = c.axis()
    index = [c.rng.randrange(c.shape[axis]) for _ in range(c.rng.randint(1, 4))]
    c.add("Gather", c.with_axis(axis, len(index)), [ints("", *index)], axis=axis)


def mean(c: Chain) -> None:
    axis = c.axis()
    c.add("ReduceMean", c.with_axis(axis, 1), [ints("", axis)])


def softmax(c: Chain) -> None:
    c.add("Softmax", c.shape, axis=c.axis(0))


def matrix(c: Chain) -> None:
    c.add("MatMul", [*c.shape[:-1], 3], [weight("", c.shape[-1], 3)])


def itself(c: Chain) -> None:
    labels = "abcdefg"[: len(c.shape)]
    gone = c.rng.choice(labels[1:])
    shape = [n for n, k in zip(c.shape, labels, strict=True) if k != gone]
    c.add("Einsum", shape, [c.last], equation=f"{labels},{labels}->{labels.replace(gone, '')}")


def attention(c: Chain) -> None:
    turned, rank = f"u{len(c.nodes)}", len(c.shape)
    c.nodes.append(N("Transpose", [c.last], [turned], perm=[*range(rank - 2), rank - 1, rank - 2]))
    c.add("MatMul", [*c.shape[:-1], c.shape[-2]], [turned])


MOVING: list[Callable[[Chain], None]] = [reshape, reshape, transpose, transpose, cut, pad, twice, gather]
OTHERS: list[Callable[[Chain], None]] = [with_constant, mean, softmax, matrix, itself, attention]


def chain(seed: int) -> tuple[onnx.ModelProto, tuple[int, ...], list[str]] | None:
    """A model, the shape of its input, and what its axes are; None if it grew too large."""
    rng = random.Random(seed)
    behind = rng.random() < 0.5
    c = Chain(rng, [1, 2, 4, 6] if behind else list(rng.choice([(1, 4, 6, 2), (1, 2, 4, 6), (1, 24, 2), (1, 4, 12)])))
    shape = tuple(c.shape)
    if behind:
        c.add("Conv", [1, 4, 4, 6], [weight("", 4, 2, 1, 1)])
    for _ in range(rng.randint(1, 6)):
        if len(c.shape) > 2:
            rng.choice([*MOVING, *(OTHERS if behind else [])])(c)
        if np.prod(c.shape) > MOST:
            return None
    rest = c.shape[1:]
    while len(rest) > 3:
        rest = [rest[0] * rest[1], *rest[2:]]
    final = [1, *rest[:1], *[1] * (3 - len(rest)), *rest[1:]]
    c.add("Reshape", final, [ints("", *final)])
    c.add("Conv", [], [weight("", 2, final[1], min(2, final[2]), min(2, final[3]))])
    c.nodes[-1].output[0] = "y"
    return model(c.nodes, shape, c.weights), shape, [n.op_type for n in c.nodes]


def by_pixels(seen: np.ndarray, network: Network, shape: tuple[int, ...]) -> list[np.ndarray]:
    """What is seen, for pixels of the input in every layout that its node may stand for."""
    first = network.nodes[0]
    found = []
    axes = range(len(shape))
    for c in (*axes, None):
        rest = [a for a in axes if a != c and shape[a] > 1]
        if (shape[c] if c is not None else 1) != first.channels:
            continue
        gone = tuple(2 + a for a in axes if a not in rest)
        pixels = seen.any(axis=gone)
        for order in ((0, 1, 2, 3), (0, 1, 3, 2)) if len(rest) == 2 else ((0, 1, 2),) if len(rest) == 1 else ():
            turned = pixels.transpose(order)
            sizes = turned.shape[2:] if len(rest) == 2 else None
            if sizes in (None, (first.height, first.width)):
                found.append(turned.reshape(*seen.shape[:2], first.height, first.width))
    return found


@pytest.mark.parametrize("seed", range(120))
def test_no_dependency_is_missing(tmp_path: Path, seed: int) -> None:
    made = chain(seed)
    if made is None:
        return
    proto, shape, kinds = made
    network = imported(tmp_path, proto)
    seen = dependence(proto, "y", shape)[0].any(axis=0)
    field = implied(network, len(network.nodes) - 1)
    possible = by_pixels(seen, network, shape)
    assert possible, kinds
    assert any(field.shape == pixels.shape and not (pixels & ~field).any() for pixels in possible), kinds
