"""Well-known totals of a network."""

from __future__ import annotations

from spatem_opt.network.layers import Network, Node


def parameters(node: Node) -> int:
    """Weights of a crossbar layer, biases not counted; 0 for other nodes."""
    w = node.weights
    return 0 if w is None else w.groups * w.rows * w.out_channels


def macs(node: Node) -> int:
    """Multiply-accumulate operations of a crossbar layer, padding and stuffed zeros included; 0 for other nodes.

    Every window of a crossbar layer, transposed ones too, uses every weight once: the number that the crossbars see.
    """
    return parameters(node) * node.windows


def total_parameters(network: Network) -> int:
    """Weights of all crossbar layers."""
    return sum(map(parameters, network.nodes))


def total_macs(network: Network) -> int:
    """Multiply-accumulate operations of one inference."""
    return sum(map(macs, network.nodes))


def summary(network: Network) -> dict[str, int]:
    """Counts that describe a network: nodes, layers, edges, parameters, macs."""
    return {
        "nodes": len(network.nodes),
        "layers": len(network.layers),
        "edges": sum(len(node.edges) for node in network.nodes),
        "parameters": total_parameters(network),
        "macs": total_macs(network),
    }
