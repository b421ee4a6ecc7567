"""Who computes where and sends what to whom, before any times (M5, M6)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spatem_opt.evaluator.arrays import distinct
from spatem_opt.evaluator.durations import Placed
from spatem_opt.evaluator.mesh import Mesh
from spatem_opt.evaluator.reservations import Turns
from spatem_opt.evaluator.taps import of_equal_taps, patch_taps
from spatem_opt.evaluator.transfers import Host, Reader, Supply, carry, datum_bits, digital_copy, host, supply
from spatem_opt.model.solution import MappingOption
from spatem_opt.network.layers import CONSTANT, Network, Node
from spatem_opt.types import IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Wire:
    """A node's host, its windows' rows and columns of pixels, who reads it, and what these get (None: nobody does)."""

    at: Host
    patch: tuple[int, int]
    readers: list[Reader]
    supply: Supply | None


def copies_of(turns: Turns) -> IntArray:
    """Copy that computes each window of a layer; every window must be scheduled once."""
    copy = np.empty(len(turns.window), np.int64)
    copy[turns.window] = turns.copy
    return copy


def wire(
    mesh: Mesh, network: Network, mapping: tuple[MappingOption, ...], placed: list[Placed], copies: list[IntArray]
) -> list[Wire]:
    """Wires of all nodes; ``copies``: per crossbar layer the copy that computes each window, and each holds an OU."""
    layer_of = {node: layer for layer, node in enumerate(network.layers)}
    hosts: list[Host] = []
    patches: list[tuple[int, int]] = []
    readers: list[list[Reader]] = [[] for _ in network.nodes]
    for index, node in enumerate(network.nodes):
        layer, patch = layer_of.get(index), (1, 1)
        if layer is None:
            at = _digital_host(mesh, network, node, hosts)
        else:
            patch = mapping[layer].ph, mapping[layer].pw
            at = host(node, patch, copies[layer], placed[layer].homes)
        hosts.append(at)
        patches.append(patch)
        if node.edges:
            _enter(network, index, patch, at, None if layer is None else placed[layer], readers)
    widths = datum_bits(network, mesh.arch.activation_bits)
    return [
        Wire(at, patch, read_by, supply(mesh, node, at, read_by, width) if read_by else None)
        for node, at, patch, read_by, width in zip(network.nodes, hosts, patches, readers, widths, strict=True)
    ]


def _digital_host(mesh: Mesh, network: Network, node: Node, hosts: list[Host]) -> Host:
    """A digital node computes where the pixels that it reads last are; network inputs come from outside."""
    if not node.edges:
        outside = np.full((1, node.channels), mesh.outside, np.int64)
        return host(node, (1, 1), np.zeros(node.windows, np.int64), outside)
    edge, source = node.edges[0], int(node.edges[0].source[0])
    producer = hosts[source]
    copy = digital_copy(edge, network.nodes[source], producer.pixel_copy)
    return host(node, (1, 1), copy, producer.homes[:, edge.channel])


def _enter(
    network: Network, index: int, patch: tuple[int, int], at: Host, placed: Placed | None, readers: list[list[Reader]]
) -> None:
    """Enter a node as a reader of its producers."""
    node = network.nodes[index]
    if placed is not None:
        copy, tile, read = placed.pair_copy, placed.pair_tile, placed.channels
    else:
        used = np.isin(at.home_copy, at.window_copy)
        copy, tile, read = at.home_copy[used], at.home_tile[used], at.home_channels[used]
    for edges in of_equal_taps(node):
        rows, cols = patch_taps(edges[0].rows, patch[0]), patch_taps(edges[0].cols, patch[1])
        lines = np.concatenate([np.arange(len(edge.source)) for edge in edges])
        source = np.concatenate([edge.source for edge in edges])
        channel = np.concatenate([edge.channel for edge in edges])
        for producer in distinct(source[source != CONSTANT])[0].tolist():
            mine = source == producer
            channels = carry(channel[mine], lines[mine], network.nodes[producer].channels, read)
            readers[producer].append(Reader(index, copy, tile, channels, rows, cols, at.window_copy))
