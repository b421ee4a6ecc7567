"""Local functions of an ONNX model, put in place of their calls; what would never end is refused first."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from spatem_opt.errors import InstanceError
from spatem_opt.limits import check_size

MAX_DEPTH = 64
"""Calls inside calls; onnx's own inliner recurses and would run out of stack."""
Key = tuple[str, str, str]


def inlined(model: Any, where: str) -> Any:
    """The model without local functions.

    Raises
    ------
    InstanceError
        If a function calls itself, calls are nested deeper than :data:`MAX_DEPTH`, or too many nodes would result.
    """
    if not model.functions:
        return model
    from onnx import inliner

    bodies = {(f.domain, f.name, getattr(f, "overload", "")): f.node for f in model.functions}
    sizes: dict[Key, int] = {}
    for key in bodies:
        _size(where, key, bodies, sizes, ())
    total = sum(1 + sizes.get(_key(node), 0) for node in _nested(model.graph.node))
    check_size(where, "nodes with functions in place", total, "nodes")
    return inliner.inline_local_functions(model)


def _size(where: str, key: Key, bodies: dict[Key, Any], sizes: dict[Key, int], path: tuple[Key, ...]) -> int:
    """Nodes of a function with all that it calls in place."""
    if key in sizes:
        return sizes[key]
    if key in path:
        raise InstanceError(where, "function", key[1], "calls itself, expected no recursion")
    if len(path) >= MAX_DEPTH:
        raise InstanceError(where, "function", key[1], f"expected calls at most {MAX_DEPTH} deep")
    total = 0
    for node in _nested(bodies[key]):
        callee = _key(node)
        total += 1 + (_size(where, callee, bodies, sizes, (*path, key)) if callee in bodies else 0)
        check_size(where, f"nodes of function {key[1]!r}", total, "nodes")
    sizes[key] = total
    return total


def _key(node: Any) -> Key:
    return node.domain, node.op_type, getattr(node, "overload", "")


def _nested(nodes: Iterable[Any]) -> Iterable[Any]:
    """The nodes, and those of the subgraphs in their attributes."""
    todo = list(nodes)
    while todo:
        node = todo.pop()
        yield node
        for attribute in node.attribute:
            graphs = [attribute.g] if attribute.HasField("g") else attribute.graphs
            todo.extend(inner for graph in graphs for inner in graph.node)
