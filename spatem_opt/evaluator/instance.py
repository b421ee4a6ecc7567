"""Family ``instance``: the network and the chip that a solution brings along are the ones they are said to be."""

from __future__ import annotations

from dataclasses import fields

import numpy as np

from spatem_opt.evaluator.findings import Violation
from spatem_opt.model.architecture import Architecture
from spatem_opt.network.layers import Edge, Network, Node, Weights

#: So many differences are named, the first ones; the rest is counted.
NAMED = 3
_NODE = ("kind", "channels", "height", "width", "ops_per_window", "fused_ops")


def network_differences(found: Network, real: Network) -> list[str]:
    """What is not the same in two networks, node by node, in words; names, operators and provenance do not matter."""
    told = [f"nodes = {len(found.nodes)}, not {len(real.nodes)}"] if len(found.nodes) != len(real.nodes) else []
    for mine, other in zip(found.nodes, real.nodes, strict=False):
        told += [f"node {mine.name!r}: {text}" for text in _node_differences(mine, other)]
    return told


def chip_differences(found: Architecture, real: Architecture) -> list[str]:
    """What is not the same in two chips, field by field, in words; the name does not matter."""
    names = [part.name for part in fields(Architecture) if part.name != "name"]
    pairs = ((name, getattr(found, name), getattr(real, name)) for name in names)
    return [f"{name} = {mine!r}, not {other!r}" for name, mine, other in pairs if mine != other]


def check_instance(
    found: tuple[Network, Architecture], network: Network | None, architecture: Architecture | None
) -> list[Violation]:
    """Family ``instance``: differences from the given network and chip, one violation for each of the two."""
    told = []
    if network is not None:
        told.append((f"network {found[0].name!r}", network.name, network_differences(found[0], network)))
    if architecture is not None:
        told.append((f"chip {found[1].name!r}", architecture.name, chip_differences(found[1], architecture)))
    return [
        Violation("instance", f"{what} is not {name!r}: {first(texts)}", len(texts), 0, "differences")
        for what, name, texts in told
        if texts
    ]


def first(texts: list[str]) -> str:
    """The first differences, and how many more there are.

    Examples
    --------
    >>> first(["a", "b", "c", "d", "e"])
    'a; b; c; and 2 more'
    """
    more = len(texts) - NAMED
    return "; ".join([*texts[:NAMED], *([f"and {more} more"] if more > 0 else [])])


def _node_differences(mine: Node, other: Node) -> list[str]:
    told = [
        f"{name} = {getattr(mine, name)!r}, not {getattr(other, name)!r}"
        for name in _NODE
        if getattr(mine, name) != getattr(other, name)
    ]
    if (mine.weights is None) != (other.weights is None):
        told.append(f"weights {'missing' if mine.weights is None else 'given'}")
    elif mine.weights is not None:
        told += [
            f"weights.{part.name} = {getattr(mine.weights, part.name)!r}, not {getattr(other.weights, part.name)!r}"
            for part in fields(Weights)
            if getattr(mine.weights, part.name) != getattr(other.weights, part.name)
        ]
    if len(mine.edges) != len(other.edges):
        return [*told, f"edges = {len(mine.edges)}, not {len(other.edges)}"]
    for number, (one, two) in enumerate(zip(mine.edges, other.edges, strict=True)):
        told += [
            f"edges[{number}].{part.name} differ"
            for part in fields(Edge)
            if not np.array_equal(getattr(one, part.name), getattr(two, part.name))
        ]
    return told
