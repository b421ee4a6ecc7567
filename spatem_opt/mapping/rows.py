"""Whether the buffers hold the rows of pixels without which no window runs (M8).

A subscribed row of pixels lies in a buffer as a whole, from the first delivery in it to the last window that reads it.
When a window of a copy begins, all rows of its receptive field are there, each as wide as all windows of the copy over
that row read it. A layer with R copies has, for every row of its output, a copy with at least ``ceil(width / R)`` of
its windows; all tiles of the copy together hold every channel.
"""

from __future__ import annotations

import numpy as np

from spatem_opt.cost.bounds import operations
from spatem_opt.cost.durations import datum_bits
from spatem_opt.model.architecture import Architecture
from spatem_opt.model.result import Shortage
from spatem_opt.network.layers import Edge, Network, Node
from spatem_opt.types import IntArray


def row_shortage(network: Network, architecture: Architecture) -> Shortage | None:
    """What is missing if some window's rows do not fit the buffers, whatever the mapping and the copies; else None."""
    need, name = row_demand(network, architecture)
    whole = architecture.buffer_scope == "chip"
    limit = architecture.buffer_bits * (architecture.tiles if whole else 1)
    if need <= limit:
        return None
    what = f"network {network.name!r} on chip {architecture.name!r}, rows of pixels that a window of {name!r} reads"
    enough = -(-need // architecture.tiles) if whole else need
    return Shortage("buffer", need, limit, "bits", what, (f"--set buffer_bits={enough}",))


def row_demand(network: Network, architecture: Architecture) -> tuple[int, str]:
    """Bits that the buffers of the chip, or of a tile (`buffer_scope`), hold at some time at least; for which node."""
    chip = architecture
    per_crossbar = -(-chip.crossbar_rows // chip.ou_rows) * -(-chip.crossbar_cols // chip.ou_cols)
    least = [_slots(node, chip) for node in network.nodes]
    spare = chip.crossbars * per_crossbar - sum(least)
    bits, hosts = datum_bits(network, chip), _hosts(network)
    worst = 0, ""
    for node, host in zip(network.nodes, hosts, strict=True):
        if host is None:
            continue
        copies = max(1, min(network.nodes[host].windows, 1 + spare // least[host]))
        need = max(_held(edge, node, copies, bits) for edge in node.edges)
        if chip.buffer_scope == "tile":  # what all tiles hold together, one of them holds its share of
            need = -(-need // chip.tiles)
        worst = max(worst, (need, node.name), key=lambda found: found[0])
    return worst


def _slots(node: Node, chip: Architecture) -> int:
    """OUs of one copy at least; 0 for what is no layer."""
    return operations(node, chip, 1) // chip.input_phases(node.weights.activation_bits) if node.weights else 0


def _hosts(network: Network) -> list[int | None]:
    """The layer at whose copies each node runs (M5); None outside."""
    found: list[int | None] = []
    for i, node in enumerate(network.nodes):
        found.append(i if node.weights else found[int(node.edges[0].source[0])] if node.edges else None)
    return found


def _held(edge: Edge, node: Node, copies: int, bits: tuple[int, ...]) -> int:
    """Bits that are in buffers together when a window reads over an edge."""
    live = edge.source >= 0
    pairs = np.unique((edge.source[live] << 32) + edge.channel[live])
    sources, channels = np.unique(pairs >> 32, return_counts=True)
    depth = sum(bits[p] * n for p, n in zip(sources.tolist(), channels.tolist(), strict=True))
    rows = int(_counts(edge.rows).max())
    return int(depth) * rows * _width(edge.cols, -(-node.width // copies))


def _counts(taps: IntArray) -> IntArray:
    """Different inputs that each output reads; one entry if all read the same."""
    table = np.sort(taps[:1] if taps.strides[0] == 0 else taps, axis=1)
    return np.asarray(((table >= 0) & (np.diff(table, axis=1, prepend=-1) > 0)).sum(axis=1), dtype=np.int64)


def _width(taps: IntArray, windows: int) -> int:
    """Different columns that so many outputs read at least.

    Two counts from below: of all pairs of output and column, a column is in as many as read it; and first columns of
    outputs, where they differ, come before those of the output whose first column is the last.
    """
    counts = _counts(taps)
    if len(counts) == 1:
        return int(counts[0])
    output, column = np.nonzero(taps >= 0)[0], taps[taps >= 0]
    if not len(output):
        return 0
    few = np.sort(counts)[:windows]
    pairs = np.unique(column * len(taps) + output)
    readers = int(np.bincount(pairs // len(taps)).max())
    first = np.where(taps >= 0, taps, np.iinfo(np.int64).max).min(axis=1)[counts > 0]
    same = np.sort(np.unique(first, return_counts=True)[1])[::-1].cumsum()
    empty = int((counts == 0).sum())
    firsts = int(np.searchsorted(same, windows - empty)) + 1 if windows > empty else 0
    behind = firsts - 1 + int(counts[counts > 0].min()) if firsts else 0
    return max(int(few[-1]), -(-int(few.sum()) // readers), behind)
