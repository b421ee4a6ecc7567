"""What a node reads by equal taps, as one: channels dealt out over many edges cost no more than those of one edge."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from spatem_opt.network.layers import Edge, Node
from spatem_opt.types import IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """Edges of one node that read the same pixels.

    Parameters
    ----------
    edge : Edge
        Their channels, one edge after the other.
    output : int64 array, shape (channels,)
        Output channel of a digital node (channel of the edge of a crossbar layer) that reads each of them.
    producers : tuple of int
        Indices of the producing nodes, ascending.
    """

    edge: Edge
    output: IntArray
    producers: tuple[int, ...]


@lru_cache(maxsize=16384)
def readings(node: Node) -> tuple[Reading, ...]:
    """Readings of a node: the primary edge by itself, the others joined where they share their taps.

    Taps are told apart as arrays, not by what is in them: the builder and the readers of files make each once.
    """
    groups: dict[tuple[int, int, bool], list[Edge]] = {}
    for number, edge in enumerate(node.edges):
        groups.setdefault((id(edge.rows), id(edge.cols), number == 0), []).append(edge)
    return tuple(_joined(edges) for edges in groups.values())


def _joined(edges: list[Edge]) -> Reading:
    first = edges[0]
    output = np.concatenate([np.arange(len(edge.source)) for edge in edges])
    if len(edges) > 1:
        source, channel = (np.concatenate([getattr(edge, part) for edge in edges]) for part in ("source", "channel"))
        first = Edge(source, channel, first.rows, first.cols)
    return Reading(first, output, tuple(first.producers.tolist()))
