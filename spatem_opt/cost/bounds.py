"""Lower bounds that hold for any solution whatever, in cycles, bits or fJ, and which term is the largest.

Statement and proof of every term: ``formulations/README.md``, "Bounds" (B1-B9); the evaluator has a second
implementation of that page.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from spatem_opt.cost.durations import datum_bits
from spatem_opt.model.architecture import Architecture
from spatem_opt.network.layers import Network, Node
from spatem_opt.network.reach import EdgeRead, needed, reads, volume


@dataclass(frozen=True, slots=True)
class Bound:
    """A lower bound as its terms; the value is the largest.

    Parameters
    ----------
    terms : dict
        ``work``: OU operations over all crossbars; ``path``: the first windows one after the other; ``barrier``: all
        work that must be done before a node that reads everything, then the path from there; ``port``: bits that must
        pass tile ports; ``entry``: bits that must pass the router at which they enter or leave the chip; of a period
        also ``interval``: one window; ``digital``: the windows of a digital node in turn. For communication and energy
        a single term.
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


def latency(network: Network, architecture: Architecture) -> Bound:
    """No inference ends earlier [cycles]."""
    return Floors(network, architecture).latency()


def period(network: Network, architecture: Architecture) -> Bound:
    """Inferences cannot follow each other faster [cycles]."""
    return Floors(network, architecture).period()


def communication(network: Network, architecture: Architecture) -> Bound:
    """Bits read from buffers, and bits that enter and leave the chip over one hop at least [bits] (B2, B3)."""
    return Floors(network, architecture).communication()


def energy(network: Network, architecture: Architecture) -> Bound:
    """OU operations with their samples, reads, writes, hops and digital operations that no solution avoids [fJ]."""
    return Floors(network, architecture).energy()


def balanced(network: Network, architecture: Architecture) -> Bound:
    """Latency times communication [cycles x bits]: each factor is at least its own bound."""
    floors = Floors(network, architecture)
    return Bound({"latency x communication": floors.latency().value * floors.communication().value})


MAKERS = {
    "latency": latency,
    "throughput": period,
    "communication": communication,
    "energy": energy,
    "balanced": balanced,
}
"""Objective -> its bound."""


def operations(node: Node, architecture: Architecture, windows: int | None = None) -> int:
    """OU operations of a layer, or of so many of its windows, under any mapping (B1).

    The K weights of a filter's bitline take at least ceil(K / h) operations, each of which uses at most h of them; one
    operation serves at most v bitlines of filters and windows.
    """
    w = node.weights
    if w is None:
        return 0
    count = node.windows if windows is None else windows
    bitlines = count * w.groups * w.out_channels * architecture.cells_per_weight(w.weight_bits)
    uses = bitlines * -(-w.rows // architecture.ou_rows)
    return architecture.input_phases(w.activation_bits) * -(-uses // architecture.ou_cols)


def port_bits(node: Node, architecture: Architecture) -> int:
    """Bits a layer reads from tile buffers under any mapping (B2).

    Every window brings ``min(kh, sy) * min(kw, sx)`` new pixels at least. With ``input_load = full`` every PE with an
    OU of the copy refills its registers, for every window or patch.
    """
    w = node.weights
    if w is None:
        return 0
    a = architecture
    bits = w.activation_bits or a.activation_bits
    if a.input_load == "full":
        ous = operations(node, a) // a.input_phases(w.activation_bits)
        refills = -(-ous // (a.crossbars_per_pe * _most_ous(a)))
        return refills * a.crossbar_rows * a.crossbars_per_pe * bits
    return node.windows * _new_pixels(node) * w.groups * w.in_channels * bits


def _new_pixels(node: Node) -> int:
    if node.weights is None:
        return 0
    w = node.weights
    (kh, kw), (sy, sx) = w.kernel, (1, 1) if w.transposed else w.stride
    return min(kh, sy) * min(kw, sx)


def _most_ous(a: Architecture) -> int:
    """OUs that one crossbar can hold: a filled block is cut with a remainder on both sides."""
    return -(-a.crossbar_rows // a.ou_rows) * -(-a.crossbar_cols // a.ou_cols)


def _share(amount: int, rate: int) -> int:
    return -(-amount // rate)


class Floors:
    """Everything the bounds of one network on one chip have in common; lists have one entry per node.

    Parameters
    ----------
    network, architecture
    """

    def __init__(self, network: Network, architecture: Architecture) -> None:
        self.nodes, self.network, self.chip = network.nodes, network, architecture
        self.bits = datum_bits(network, architecture)
        self.reads = reads(network)
        self.readers: list[list[EdgeRead]] = [[] for _ in network.nodes]
        for read in (read for of_node in self.reads for read in of_node):
            self.readers[read.producer].append(read)
        self.host = self._hosts()
        self.interval = [self.window(node) for node in self.nodes]
        tail = architecture.pipeline_tail_cycles
        tails = [tail if node.weights else 0 for node in self.nodes]
        self.first = [least + own for least, own in zip(self.interval, tails, strict=True)]
        self.turns = [self.turn(i) for i in range(len(self.nodes))]
        self.work = [operations(node, architecture) for node in self.nodes]

    def _hosts(self) -> list[int]:
        """Layer that a node runs at, -1 at the outside port (M5)."""
        found: list[int] = []
        for i, node in enumerate(self.nodes):
            if node.kind == "digital":
                found.append(found[int(node.edges[0].source[0])])
            else:
                found.append(i if node.kind == "crossbar" else -1)
        return found

    def window(self, node: Node) -> int:
        """Least cycles between the begin of a window and the next (B4)."""
        a, w = self.chip, node.weights
        if w is None:
            return _share(node.ops_per_window, a.digital_ops_per_cycle) if node.kind == "digital" else 0
        phases, bits = a.input_phases(w.activation_bits), w.activation_bits or a.activation_bits
        compute = phases * _share(operations(node, a, 1) // phases, a.crossbars)
        if a.input_load == "full":
            load = _share(a.crossbar_rows * a.crossbars_per_pe * bits, a.buffer_bits_per_cycle)
        else:
            new = _new_pixels(node) * w.groups * w.in_channels * bits
            load = _share(new, a.tiles * a.buffer_bits_per_cycle)
        return max(compute, load) if a.overlap_input else compute + load

    def turn(self, i: int) -> int:
        """Windows of a digital node that must run one after the other: one copy of its host has so many (B4)."""
        node = self.nodes[i]
        if node.kind != "digital":
            return 1
        if self.host[i] < 0:
            return node.windows
        host = self.nodes[self.host[i]]
        phases = self.chip.input_phases(host.weights.activation_bits if host.weights else None)
        room = self.chip.crossbars * _most_ous(self.chip) // (operations(host, self.chip, 1) // phases)
        return _share(node.windows, max(1, min(host.windows, room)))

    def outside(self, i: int) -> bool:
        """Whether a node is at the outside port."""
        return self.host[i] < 0

    def way(self, read: EdgeRead) -> int:
        """Least cycles of a pixel over the edge of the chip: of n channels to T tiles one gets n/T (B4)."""
        if self.outside(read.node) == self.outside(read.producer):
            return 0
        a = self.chip
        channels = _share(int(read.channels.sum()), a.tiles)
        return a.hop_cycles + _share(self.bits[read.producer] * channels, a.router_bits_per_cycle)

    @cached_property
    def heads(self) -> list[int]:
        """Before which no window of a node is done [cycles] (B5)."""
        found: list[int] = []
        for of_node, first in zip(self.reads, self.first, strict=True):
            begin = max((found[r.producer] + self.way(r) for r in of_node if r.every), default=0)
            found.append(begin + first)
        return found

    @cached_property
    def tails(self) -> list[int]:
        """Cycles that are left when no window of a node has begun yet (B5)."""
        found = [0] * len(self.nodes)
        for i in range(len(self.nodes) - 1, -1, -1):
            after = [
                self.way(r) + (found[r.node] if r.every else self.first[r.node]) for r in self.readers[i] if r.some
            ]
            found[i] = max(self.first[i] + max(after, default=0), self.turns[i] * self.interval[i])
        return found

    def path(self) -> int:
        """All windows done of every node, looked at from its first ones (B5)."""
        best = 0
        for i, of_node in enumerate(self.reads):
            begin = self.heads[i] - self.first[i]
            best = max(best, self.heads[i], begin + self.turns[i] * self.interval[i])
            for r in of_node:
                if r.some:
                    best = max(best, self.heads[r.producer] + self.way(r) + self.first[i])
        return best

    @cached_property
    def before(self) -> int:
        """Cycles before which no crossbar layer begins (B6)."""
        return min((self.heads[i] - self.first[i] for i in self.network.layers), default=0)

    def spent(self, work: int) -> int:
        """Cycles until so many OU operations are done, results written back (B6)."""
        return self.before + _share(work, self.chip.crossbars) + self.chip.pipeline_tail_cycles if work else 0

    def barrier(self) -> int:
        """Work that must be done before any window of a node begins, then the path from there (B7).

        Nodes are tried in the order of what they could give if all nodes before them were needed.
        """
        total = np.concatenate([[0], np.cumsum(np.array(self.work, dtype=object))])
        able = [
            (self.spent(int(total[i])) + self.tails[i], i)
            for i, of_node in enumerate(self.reads)
            if any(int(r.rows.common.sum()) * int(r.cols.common.sum()) > 1 for r in of_node)
        ]
        best = 0
        for most, i in sorted(able, reverse=True):
            if most <= best:
                break
            pixels = needed(self.network, self.reads, i)
            done = sum(self.due(j, int(pixels[j])) for j in np.flatnonzero(pixels).tolist())
            best = max(best, self.spent(done) + self.tails[i])
        return best

    def due(self, i: int, pixels: int) -> int:
        """OU operations of so many output pixels of a node (B1)."""
        return operations(self.nodes[i], self.chip, pixels)

    def _crosses(self, *, inwards: bool) -> int:
        """Bits that cross the edge of the chip one way: data read on the other side than where they are (B3)."""
        return sum(
            self.bits[p] * volume([r for r in of_node if self.outside(r.node) != inwards])
            for p, of_node in enumerate(self.readers)
            if self.outside(p) == inwards
        )

    @cached_property
    def entering(self) -> int:
        """Bits that enter the chip."""
        return self._crosses(inwards=True)

    @cached_property
    def leaving(self) -> int:
        """Bits that leave the chip."""
        return self._crosses(inwards=False)

    @property
    def crossing(self) -> int:
        """Bits that enter or leave the chip."""
        return self.entering + self.leaving

    def written(self) -> int:
        """Bits that must be in a tile's buffer: data read by any node on the chip (B9)."""
        return sum(
            self.bits[p] * volume([r for r in of_node if not self.outside(r.node)])
            for p, of_node in enumerate(self.readers)
        )

    @cached_property
    def port(self) -> int:
        """Bits read from tile buffers (B2)."""
        return sum(port_bits(node, self.chip) for node in self.nodes)

    def carried(self) -> dict[str, int]:
        """Cycles in which ports and entries pass what they must (B8)."""
        a = self.chip
        entries = a.mesh_cols if a.input_entry == "columns" else 1
        busiest = self.crossing if a.router_service == "shared" else max(self.entering, self.leaving)
        terms = {"entry": _share(busiest, entries * a.router_bits_per_cycle)}
        if a.input_load == "needed":
            terms["port"] = _share(self.port, a.tiles * a.buffer_bits_per_cycle)
        return terms

    def latency(self) -> Bound:
        """See :func:`latency`."""
        terms = {"work": self.spent(sum(self.work)), "path": self.path(), "barrier": self.barrier()}
        return Bound(terms | self.carried())

    def period(self) -> Bound:
        """See :func:`period`."""
        rows = zip(self.nodes, self.turns, self.interval, strict=True)
        terms = {
            "work": _share(sum(self.work), self.chip.crossbars),
            "interval": max((self.interval[i] for i in self.network.layers), default=0),
            "digital": max((turns * least for node, turns, least in rows if not node.weights), default=0),
        }
        carried = self.carried()
        if self.chip.router_service == "links":
            del carried["entry"]
        return Bound(terms | carried)

    def communication(self) -> Bound:
        """See :func:`communication`."""
        return Bound({"traffic": self.port + self.crossing})

    def energy(self) -> Bound:
        """See :func:`energy` (B9)."""
        a = self.chip
        digital = sum(node.windows * node.ops_per_window + node.fused_ops for node in self.nodes)
        return Bound({
            "energy": sum(self.work) * (a.ou_fj + a.ou_cols * a.adc_fj)
            + (self.port + self.written()) * a.buffer_bit_fj + self.crossing * a.hop_bit_fj
            + digital * a.digital_op_fj + self.latency().value * a.tiles * a.static_fj
        })  # fmt: skip
