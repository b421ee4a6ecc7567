"""Lower bounds that hold for any solution whatever (SPEC 5), in cycles, bits or fJ, and which term is the largest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spatem_opt.architecture import Architecture
from spatem_opt.cost_model import datum_bits
from spatem_opt.network.layers import Edge, Network, Node

IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Bound:
    """A lower bound as its terms; the value is the largest.

    Parameters
    ----------
    terms : dict
        ``work``: OU operations over all crossbars; ``path``: the first windows one after the other; ``barrier``: all
        work that must be done before a node that reads everything, then the path from there; ``port``: bits that must
        pass tile ports. For communication and energy a single term.
    """

    terms: dict[str, int]

    @property
    def value(self) -> int:
        """The bound."""
        return max(self.terms.values(), default=0)

    @property
    def binding(self) -> str:
        """Name of the largest term."""
        return max(self.terms, key=lambda name: self.terms[name]) if self.terms else ""


def operations(node: Node, architecture: Architecture) -> int:
    """OU operations of a layer under any mapping.

    The K weights of a filter's bitline take at least ceil(K / h) operations, each of which uses at most h of them; one
    operation serves at most v bitlines of filters and windows.
    """
    w = node.weights
    if w is None:
        return 0
    bitlines = node.windows * w.groups * w.out_channels * architecture.cells_per_weight(w.weight_bits)
    uses = bitlines * -(-w.rows // architecture.ou_rows)
    return architecture.input_phases(w.activation_bits) * -(-uses // architecture.ou_cols)


def port_bits(node: Node, architecture: Architecture) -> int:
    """Bits a layer reads from tile buffers under any mapping: every window brings ``sy * sx`` new pixels at least."""
    w = node.weights
    if w is None:
        return 0
    (kh, kw), (sy, sx) = w.kernel, (1, 1) if w.transposed else w.stride
    channels = w.groups * w.in_channels
    return node.windows * min(kh, sy) * min(kw, sx) * channels * (w.activation_bits or architecture.activation_bits)


def latency(network: Network, architecture: Architecture) -> Bound:
    """No inference ends earlier [cycles]."""
    nodes = network.nodes
    work = np.array([operations(node, architecture) for node in nodes])
    first = np.array([_first_window(node, architecture) for node in nodes])
    head, done = first.copy(), first.copy()  # before any window is done, before all are
    tail = first.copy()
    for i, node in enumerate(nodes):
        for edge in node.edges:
            some, every = _reads(edge)
            before = max(int(head[p]) for p in edge.producers)
            done[i] = max(done[i], before + first[i] if some else 0)
            head[i] = max(head[i], before + first[i] if every else 0)
    for i in range(len(nodes) - 1, -1, -1):
        for edge in nodes[i].edges:
            some, every = _reads(edge)
            after = tail[i] if every else first[i] if some else 0
            for p in edge.producers:
                tail[p] = max(tail[p], first[p] + after)
    terms = {
        "work": _share(int(work.sum()), architecture.crossbars),
        "path": int(done.max(initial=0)),
        "barrier": _barrier(network, work, tail, architecture),
    }
    if architecture.input_load == "needed":
        bits = sum(port_bits(node, architecture) for node in nodes)
        terms["port"] = _share(bits, architecture.tiles * architecture.buffer_bits_per_cycle)
    return Bound(terms)


def period(network: Network, architecture: Architecture) -> Bound:
    """Inferences cannot follow each other faster [cycles]."""
    terms = latency(network, architecture).terms
    return Bound({name: terms[name] for name in ("work", "port") if name in terms})


def communication(network: Network, architecture: Architecture) -> Bound:
    """Bits read from buffers, and network inputs sent in over one hop at least [bits]."""
    reads = sum(port_bits(node, architecture) for node in network.nodes)
    needed = _needed(network, range(len(network.nodes)))
    inputs = sum(
        int(needed[i][0].sum() * needed[i][1].sum()) * node.channels * datum_bits(network, architecture)[i]
        for i, node in enumerate(network.nodes)
        if node.kind == "input"
    )
    if architecture.input_load == "full":
        reads = 0
    return Bound({"reads": reads + inputs})


def energy(network: Network, architecture: Architecture) -> Bound:
    """OU operations with their samples, reads, hops and digital operations that no solution avoids [fJ]."""
    a = architecture
    ous = sum(operations(node, a) for node in network.nodes)
    digital = sum(node.windows * node.ops_per_window + node.fused_ops for node in network.nodes)
    bits = communication(network, a).value
    static = latency(network, a).value * a.tiles * a.static_fj
    return Bound({
        "energy": ous * (a.ou_fj + a.ou_cols * a.adc_fj) + bits * min(a.buffer_bit_fj, a.hop_bit_fj)
        + digital * a.digital_op_fj + static
    })  # fmt: skip


def _reads(edge: Edge) -> tuple[bool, bool]:
    """Whether some window, and whether every window, reads data over an edge: the others read nothing but padding."""
    rows, cols = ((taps >= 0).any(axis=1) for taps in (edge.rows, edge.cols))
    return bool(rows.any() and cols.any()), bool(rows.all() and cols.all())


def _share(amount: int, rate: int) -> int:
    return -(-amount // rate)


def _first_window(node: Node, architecture: Architecture) -> int:
    """Least cycles of one window: at least one OU per crossbar, a cycle of load, and the tail."""
    if node.kind == "input":
        return 0
    if node.kind == "digital":
        return -(-node.ops_per_window // architecture.digital_ops_per_cycle)
    phases = architecture.input_phases(node.weights.activation_bits if node.weights else None)
    per_window = -(-operations(node, architecture) // (phases * node.windows))
    compute = phases * -(-per_window // architecture.crossbars)
    return compute + (0 if architecture.overlap_input else 1) + architecture.pipeline_tail_cycles


def _barrier(network: Network, work: IntArray, tail: IntArray, architecture: Architecture) -> int:
    """Work that must be finished before a node that reads whole feature maps begins, then the path from it."""
    best = 0
    for i, node in enumerate(network.nodes):
        if node.windows == 1 and node.edges and any(edge.rows.shape[1] * edge.cols.shape[1] > 1 for edge in node.edges):
            needed = _needed(network, [i])
            done = sum(
                int(work[j]) // network.nodes[j].windows * int(needed[j][0].sum() * needed[j][1].sum())
                for j in range(i)
            )
            best = max(best, done // architecture.crossbars + int(tail[i]))
    return best


def _needed(network: Network, targets: list[int] | range) -> list[tuple[IntArray, IntArray]]:
    """Rows and columns (as 0/1) of every node's output that lie in the receptive field of the targets."""
    marks = [(np.zeros(n.height, dtype=np.int64), np.zeros(n.width, dtype=np.int64)) for n in network.nodes]
    wanted = set(targets)
    for i in range(len(network.nodes) - 1, -1, -1):
        node = network.nodes[i]
        rows = np.ones(node.height, dtype=np.bool_) if i in wanted else marks[i][0] > 0
        cols = np.ones(node.width, dtype=np.bool_) if i in wanted else marks[i][1] > 0
        if not rows.any() or not cols.any():
            continue
        for edge in node.edges:
            taps_y, taps_x = edge.rows[rows].ravel(), edge.cols[cols].ravel()
            for p in edge.producers:
                marks[p][0][taps_y[taps_y >= 0]] = 1
                marks[p][1][taps_x[taps_x >= 0]] = 1
    return marks
