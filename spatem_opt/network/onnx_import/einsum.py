"""Einsum of one or two operands: transposition, elementwise product, crossbar layer or product of two activations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from spatem_opt.network.onnx_import.context import Context, handles
from spatem_opt.network.onnx_import.digital import elementwise_of, reduced_over
from spatem_opt.network.onnx_import.graph import Op
from spatem_opt.network.onnx_import.movement import regrouped
from spatem_opt.network.onnx_import.products import contracted, product
from spatem_opt.network.onnx_import.values import Activation, Constant, Value, transpose

_MORE = "0123456789"


@dataclass(frozen=True, slots=True)
class _Labelled:
    value: Value
    labels: str

    def size(self, labels: str) -> list[int]:
        """Lengths of some of the axes."""
        return [self.value.shape[self.labels.index(k)] for k in labels]


@handles("Einsum")
def einsum(ctx: Context, op: Op) -> Sequence[Value]:
    """Sums of products along named axes."""
    values = [v for v in ctx.operands(op) if v is not None]
    inputs, output = _equation(op, [len(v.shape) for v in values])
    terms = [_Labelled(v, labels) for v, labels in zip(values, inputs, strict=True)]
    if len(terms) == 1:
        return [_ordered(ctx, op, terms[0], output)]
    if len(terms) != 2:
        raise op.error("operands", len(terms), "expected 1 or 2")
    terms = [_summed(ctx, op, t, inputs[1 - i] + output) for i, t in enumerate(terms)]
    shared = [k for k in terms[0].labels if k in terms[1].labels]
    if any(terms[0].size(k) != terms[1].size(k) and 1 not in terms[0].size(k) + terms[1].size(k) for k in shared):
        raise op.error("operands", [list(v.shape) for v in values], f"expected equal lengths of {''.join(shared)}")
    inner = "".join(k for k in shared if k not in output)
    if not inner:
        return [elementwise_of(ctx, op, [_spread(t, output) for t in terms], "mul")]
    return [_product(ctx, op, terms[0], terms[1], inner, output)]


def _equation(op: Op, ranks: Sequence[int]) -> tuple[list[str], str]:
    """Labels of the operands and of the result, with a digit for each axis of an ellipsis."""
    text = "".join(str(op.get("equation", "")).split())
    left, arrow, output = text.partition("->")
    inputs = left.split(",")
    if len(inputs) != len(ranks) or any(c in _MORE for c in text):
        raise op.error("equation", text, f"expected letters for {len(ranks)} operands")
    wide = max((n - len(k) + 3 for n, k in zip(ranks, inputs, strict=True) if "..." in k), default=0)
    more = _MORE[:wide]
    inputs = [k.replace("...", more[wide - (n - len(k) + 3) :] if "..." in k else "") for n, k in
              zip(ranks, inputs, strict=True)]  # fmt: skip
    if not arrow:
        joined = "".join(inputs)
        output = more + "".join(sorted(k for k in set(joined) if joined.count(k) == 1 and k not in more))
    output = output.replace("...", more)
    if any(len(set(k)) != len(k) for k in (*inputs, output)) or [len(k) for k in inputs] != list(ranks):
        raise op.error(
            "equation", text, f"expected different letters, as many as the operands have axes, {list(ranks)}"
        )
    if not set(output) <= set("".join(inputs)):
        raise op.error("equation", text, "expected no letter in the result that no operand has")
    return inputs, output


def _summed(ctx: Context, op: Op, term: _Labelled, others: str) -> _Labelled:
    """Without the axes that nobody else has."""
    gone = [i for i, k in enumerate(term.labels) if k not in others]
    labels = "".join(k for k in term.labels if k in others)
    if not gone:
        return term
    if isinstance(term.value, Constant):
        keep = tuple(n for i, n in enumerate(term.value.shape) if i not in gone)
        return _Labelled(Constant(np.broadcast_to(np.zeros((), np.float32), keep), known=False), labels)
    value = reduced_over(ctx, op, term.value, gone, "reduce_sum")
    return _Labelled(replace(value, axes=tuple(a for i, a in enumerate(value.axes) if i not in gone)), labels)


def _ordered(ctx: Context, op: Op, term: _Labelled, output: str) -> Value:
    term = _summed(ctx, op, term, output)
    perm = [term.labels.index(k) for k in output]
    if isinstance(term.value, Activation):
        return transpose(term.value, perm)
    return Constant(term.value.array.transpose(perm), term.value.known)


def _spread(term: _Labelled, output: str) -> Value:
    """With an axis for each label of the result, of length 1 where the operand has none."""
    mine = [k for k in output if k in term.labels]
    perm = [term.labels.index(k) for k in mine]
    missing = [i for i, k in enumerate(output) if k not in term.labels]
    if isinstance(term.value, Constant):
        return Constant(np.expand_dims(term.value.array.transpose(perm), missing), term.value.known)
    turned, axes = transpose(term.value, perm), []
    own = iter(turned.axes)
    for i in range(len(output)):
        axes.append(() if i in missing else next(own))
    return replace(turned, axes=tuple(axes))


def _product(ctx: Context, op: Op, a: _Labelled, b: _Labelled, inner: str, output: str) -> Value:
    """Matrix products: axes of both and of the result are a batch, `inner` is summed up."""
    if isinstance(a.value, Constant):
        a, b = b, a
    batch = "".join(k for k in output if k in a.labels and k in b.labels)
    free = ["".join(k for k in output if k in t.labels and k not in batch) for t in (a, b)]
    k, n = prod(a.size(inner)), prod(b.size(free[1]))
    labels = batch + free[0] + free[1]
    sizes = [max(s) for s in zip(a.size(batch), b.size(batch), strict=True)] + a.size(free[0]) + b.size(free[1])
    assert isinstance(a.value, Activation)
    left = transpose(a.value, [a.labels.index(c) for c in batch + free[0] + inner])
    if isinstance(b.value, Constant):
        groups = prod(b.size(batch))
        shape = [*([prod(a.size(batch))] if groups > 1 else a.size(batch)), *a.size(free[0]), k]
        if groups > 1 and groups != prod(a.size(batch)):
            raise op.error("operands", [a.size(batch), b.size(batch)], "expected a matrix for each position")
        out = contracted(ctx, op, regrouped(ctx, op, left, shape), -1, (k, n), groups)
    else:
        right = transpose(b.value, [b.labels.index(c) for c in batch + inner + free[1]])
        out = product(ctx, op, regrouped(ctx, op, left, [*a.size(batch), prod(a.size(free[0])), k]),
                      regrouped(ctx, op, right, [*b.size(batch), k, n]), op.name)  # fmt: skip
    return transpose(regrouped(ctx, op, out, sizes), [labels.index(c) for c in output])
