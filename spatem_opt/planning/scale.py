"""What the search measures its prices by: a round number of cycles and of bits for a network on a chip.

No bounds, though made like them: they count neither the way into the chip nor what is written back, and stay as they
are when a bound becomes better. A price that followed the bounds would change answers with every such step.
"""

from __future__ import annotations

from spatem_opt.cost.bounds import Floors, operations
from spatem_opt.model.architecture import Architecture
from spatem_opt.network.layers import Network, Node


class _Bare(Floors):
    """Work on all crossbars and first windows, nothing else."""

    def window(self, node: Node) -> int:
        """Cycles of a first window: compute, and one of load."""
        a, w = self.chip, node.weights
        if w is None:
            return super().window(node)
        phases = a.input_phases(w.activation_bits)
        ous = -(-operations(node, a) // (phases * node.windows))
        return phases * -(-ous // a.crossbars) + (0 if a.overlap_input else 1)

    def turn(self, i: int) -> int:
        """Windows of digital nodes may all run side by side."""
        return 1

    def way(self, read: object) -> int:
        """Transfers take no time."""
        return 0

    def spent(self, work: int) -> int:
        """Cycles of so many OU operations."""
        return work // self.chip.crossbars

    def due(self, i: int, pixels: int) -> int:
        """OU operations of so many output pixels, whole ones for each."""
        return self.work[i] // self.nodes[i].windows * pixels


def cycles(network: Network, architecture: Architecture) -> int:
    """Cycles that an inference is measured by."""
    found = _Bare(network, architecture)
    work = -(-sum(found.work) // architecture.crossbars)
    port = found.carried().get("port", 0)
    return max(work, found.path(), found.barrier(), port)


def bits(network: Network, architecture: Architecture) -> int:
    """Bits that the communication of an inference is measured by: buffer reads where they are needed, and inputs."""
    found = _Bare(network, architecture)
    return (found.port if architecture.input_load == "needed" else 0) + found.crossing
