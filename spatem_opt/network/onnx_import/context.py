"""What operator handlers work with, and the registry of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spatem_opt.network.builder import Builder, Pads
from spatem_opt.network.maps import Tensor
from spatem_opt.network.onnx_import.graph import Op, integers
from spatem_opt.network.onnx_import.relayout import arranged
from spatem_opt.network.onnx_import.values import KINDS, Activation, Constant, Value, activation


@dataclass(slots=True)
class Context:
    """Values so far, and the builder that collects nodes."""

    builder: Builder
    values: dict[str, Value] = field(default_factory=dict)

    def operands(self, op: Op) -> list[Value | None]:
        """All operands; None for one left out."""
        for name in op.inputs:
            if name and name not in self.values:
                raise op.error("input", name, "is a second output of an operator, which is not supported")
        return [self.values[name] if name else None for name in op.inputs]

    def operand(self, op: Op, position: int) -> Value | None:
        """One operand; None if it is left out."""
        return self.operands(op)[position] if position < len(op.inputs) else None

    def data(self, op: Op, position: int = 0) -> Activation:
        """An operand that depends on the network's inputs."""
        value = self.operand(op, position)
        if not isinstance(value, Activation):
            raise op.error(f"operand {position}", "a constant", "expected a tensor computed from the inputs")
        return value

    def constant(self, op: Op, position: int, needed: str) -> Constant:
        """An operand that must be constant."""
        value = self.operand(op, position)
        if not isinstance(value, Constant):
            found = "missing" if value is None else COMPUTED
            raise op.error(needed, found, "expected a constant")
        return value

    def numbers(self, op: Op, position: int, attribute: str) -> list[int]:
        """Integers that newer opsets give as an operand and older ones as an attribute."""
        if attribute in op.attributes:
            return [int(v) for v in op.attributes[attribute]]
        constant = self.constant(op, position, attribute)
        if not constant.known:
            raise op.error(attribute, "unknown values", "expected values that do not depend on the data")
        return integers(constant)

    def plain(self, op: Op, position: int = 0) -> tuple[Tensor, str]:
        """An operand as a feature map in the usual layout (batch, channels, pixels), and that layout."""
        value = self.data(op, position)
        rank = len(value.axes)
        if rank not in KINDS:
            raise op.error("rank", rank, "expected 1 to 4 dimensions")
        return self.arranged(op, value, KINDS[rank]), KINDS[rank]

    def arranged(self, op: Op, value: Activation, kinds: str) -> Tensor:
        """See :func:`spatem_opt.network.onnx_import.relayout.arranged`."""
        return arranged(self.builder, value, kinds, op.name)


COMPUTED = "computed from the inputs"
"""What a message says of an operand that should have been constant."""
Handler = Callable[[Context, Op], Sequence[Value]]
HANDLERS: dict[str, Handler] = {}


def handles(*types: str) -> Callable[[Handler], Handler]:
    """Register a handler for operators of these types."""

    def register(function: Handler) -> Handler:
        HANDLERS.update(dict.fromkeys(types, function))
        return function

    return register


def pair(op: Op, attribute: str, kinds: str, default: int = 1) -> tuple[int, int]:
    """(height, width) of an attribute with one number per axis of pixels.

    Raises
    ------
    InstanceError
        If their number is wrong or one is negative.
    """
    axes = len(kinds) - 2
    found = op.get(attribute) or [default] * axes
    if len(found) != axes or min(found) < 0:
        raise op.error(attribute, found, f"expected {axes} numbers >= 0")
    return (default, found[0]) if axes == 1 else (found[0], found[1])


def pads(op: Op, kinds: str) -> Pads:
    """The attributes ``auto_pad`` and ``pads``."""
    auto = op.get("auto_pad", "NOTSET")
    if auto not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER", ""):
        raise op.error("auto_pad", auto, "expected NOTSET, VALID, SAME_UPPER or SAME_LOWER")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        return "same" if auto == "SAME_UPPER" else "same_lower"
    axes = len(kinds) - 2
    found = (op.get("pads") if auto != "VALID" else None) or [0] * 2 * axes
    if len(found) != 2 * axes:
        raise op.error("pads", found, f"expected {2 * axes} numbers")
    return (0, found[0], 0, found[1]) if axes == 1 else (found[0], found[1], found[2], found[3])


def result(tensor: Tensor, kinds: str) -> list[Value]:
    """The only output of an operator, in a plain layout."""
    return [activation(tensor, kinds)]


def span(count: int) -> Any:
    """Indices 0 ... count - 1."""
    return np.arange(count, dtype=np.int64)
