"""Normalisations that a file spells out (mean, difference, square, mean, root, quotient), put together again.

Exporters before opset 17 write a layer normalisation as nine operators, a softmax by hand as five. Whatever their
names: operators that begin in one tensor, end in one, and are reductions over the same axes and elementwise operators
make an operator of which every output needs all elements along these axes. As one node it is read over an edge or two,
not over one for each channel that is summed up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from spatem_opt.network.onnx_import.graph import Graph, Op, ordered
from spatem_opt.network.onnx_import.values import Constant

JOINED = "Normalise"
"""Type of the operators that are put in their place, with the axes as attribute."""
LONGEST = 24
"""Operators that are looked through backwards from a quotient."""
_REDUCTIONS = frozenset({"ReduceMean", "ReduceSum", "ReduceMax", "ReduceL2", "ReduceL1", "ReduceSumSquare"})


@dataclass(frozen=True, slots=True)
class _Facts:
    """What is known of a graph: producers by name, users, names of constants, and the constants in the file."""

    ops: Sequence[Op]
    producer: dict[str, tuple[int, Op]]
    users: dict[str, list[Op]]
    constant: set[str]
    values: dict[str, Constant]
    outputs: set[str]
    elementwise: frozenset[str]


def joined(graph: Graph, elementwise: frozenset[str]) -> Graph:
    """The graph with spelled-out normalisations as one operator each.

    Parameters
    ----------
    graph : Graph
    elementwise : frozenset of str
        Types of operators of which every output element needs the elements at its own place only.
    """
    if not any(op.type in _REDUCTIONS for op in graph.ops):
        return graph
    facts = _facts(graph, elementwise)
    replaced: dict[int, Op] = {}
    gone: set[int] = set()
    for position in reversed(range(len(graph.ops))):
        op = graph.ops[position]
        if position in gone or op.type not in elementwise or len(_computed(op, facts)) < 2:
            continue
        found = _region(position, op, facts)
        if found is not None:
            source, axes, inside = found
            replaced[position] = replace(op, type=JOINED, inputs=(source,), attributes={"axes": axes})
            gone |= inside
    if not replaced:
        return graph
    ops = [replaced.get(i, op) for i, op in enumerate(graph.ops)]
    live = ordered(graph.where, ops, {*graph.constants, *graph.inputs}, graph.outputs)
    users: dict[str, list[Op]] = {}
    for op in live:
        for name in op.inputs:
            users.setdefault(name, []).append(op)
    return replace(graph, ops=live, users=users)


def _facts(graph: Graph, elementwise: frozenset[str]) -> _Facts:
    constant, values = set(graph.constants), dict(graph.constants)
    users: dict[str, list[Op]] = {}
    for op in graph.ops:
        for name in op.needs:
            users.setdefault(name, []).append(op)
        if all(not name or name in constant for name in op.needs) or op.type in ("Shape", "Size"):
            constant.update(op.outputs)
        value = op.get("value")
        if op.type == "Constant" and isinstance(value, Constant):
            values[op.outputs[0]] = value
    producer = {name: (i, op) for i, op in enumerate(graph.ops) for name in op.outputs if name}
    return _Facts(graph.ops, producer, users, constant, values, set(graph.outputs), elementwise)


def _computed(op: Op, facts: _Facts) -> list[str]:
    return list(dict.fromkeys(name for name in op.inputs if name and name not in facts.constant))


def _region(position: int, op: Op, facts: _Facts) -> tuple[str, list[int], set[int]] | None:
    """Source, axes and operators (without `op` itself) of the largest region that ends in an operator."""
    front, inside, axes = set(_computed(op, facts)), {position}, None
    best, counted, reductions = None, 0, 0
    while len(inside) <= LONGEST:
        name = max(front, key=lambda n: facts.producer[n][0] if n in facts.producer else -1)
        if name not in facts.producer:
            break
        index, producer = facts.producer[name]
        if producer.type in _REDUCTIONS:
            own = _axes(producer, facts)
            if own is None or axes not in (None, own):
                break
            axes, reductions = own, reductions + 1
        elif not _plain(producer, facts):
            break
        inside.add(index)
        front = (front - set(producer.outputs)) | set(_computed(producer, facts))
        if len(front) == 1 and reductions > counted and axes is not None and _closed(inside, position, facts):
            source = next(iter(front))
            if _whole(source, inside, position, facts):
                best, counted = (source, list(axes), inside - {position}), reductions
    return best


def _closed(inside: set[int], last: int, facts: _Facts) -> bool:
    """Whether only the last operator's result is used outside."""
    names = {name for i in inside if i != last for name in facts.ops[i].outputs if name}
    members = {id(facts.ops[i]) for i in inside}
    return not names & facts.outputs and all(id(user) in members for n in names for user in facts.users.get(n, ()))


def _whole(source: str, inside: set[int], last: int, facts: _Facts) -> bool:
    """Whether the last operator's result has the source's shape: elements reach it that no reduction has taken in."""
    whole = {source}
    for i in sorted(inside):
        op = facts.ops[i]
        if op.type not in _REDUCTIONS and whole.intersection(op.inputs):
            whole.update(op.outputs)
    return bool(whole.intersection(facts.ops[last].outputs))


def _plain(op: Op, facts: _Facts) -> bool:
    """Whether an operator is elementwise, with constants of one element only: none that enlarges the result."""
    if op.type == "Expand":
        return True
    sizes = [facts.values[n].array.size if n in facts.values else 2 for n in op.inputs if n in facts.constant]
    return op.type in facts.elementwise and all(size == 1 for size in sizes)


def _axes(op: Op, facts: _Facts) -> Sequence[int] | None:
    """Axes of a reduction that keeps them with length 1; None if they are not known."""
    if not op.get("keepdims", 1):
        return None
    axes = op.get("axes")
    if axes is None and len(op.inputs) > 1:
        value = facts.values.get(op.inputs[1])
        axes = [int(v) for v in value.array.ravel()] if value is not None and value.known else None
    return tuple(axes) if axes else None
