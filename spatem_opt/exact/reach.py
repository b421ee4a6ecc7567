"""What is beyond the reach of the exact models, from sizes alone, before anything is solved."""

from __future__ import annotations

from spatem_opt.grouping.tiling import slot_options
from spatem_opt.model.architecture import Architecture
from spatem_opt.network.layers import Network, Node
from spatem_opt.replication.segmentation import PACES, SLOW_PACES

GRID = 8
"""OU rows, and columns, of a grid up to which nearly all groupings are proven within seconds; of those of all shipped
networks, most of them larger, 239 of 396 (``benchmarks/README.md``)."""
RUNS_PER_SECOND = 2_000_000
"""Runs, layers i..j-1 x slots x pace, that the bounds of the replication step price in a second on one core."""
ALL_PACES = PACES + SLOW_PACES
SHARES = {"mapping": 0.2, "replication": 0.5, "grouping": 0.25, "scheduling": 1.0}
"""Share of the time left that each step may take, in the order in which they run. Replication may make a new plan, so
it goes before grouping and scheduling, which start from a plan."""
TASKS, CHUNKS = 170, 32
"""Chunks of a schedule that CP-SAT begins with, at most, and most chunks of one layer."""
FINEST, LISTED = 1_000, 4_000
"""Most chunks that CP-SAT is given, where fewer have been proven and there is time left; most of a list schedule."""


def chunks_per_layer(layers: int) -> int:
    """Chunks per layer of the scheduling step: as many as CP-SAT can take, at least one."""
    return max(1, min(CHUNKS, TASKS // max(1, layers)))


def runs(layers: int, slots: int, paces: int) -> int:
    """Runs that the replication step prices."""
    return layers * (layers + 1) // 2 * slots * paces


def beyond_reach(network: Network, architecture: Architecture, seconds: float) -> list[str]:
    """What the exact steps will not prove, one text per step, and the sizes that say so.

    Parameters
    ----------
    network, architecture
    seconds : float
        Time for all exact steps together.

    Examples
    --------
    >>> from spatem_opt import load_architecture, load_network
    >>> chip = load_architecture("ou-isaac-2x2", {"adc_bits": 5})
    >>> print(*beyond_reach(load_network("lenet5"), chip, 60.0))
    grouping: 5 of 6 kinds of layers have more than 8 x 8 OUs: bounded, proven only where that bound is met
    """
    nodes = [network.nodes[i] for i in network.layers]
    found = []
    kinds = {(node.weights, node.windows): node for node in nodes}
    large = sum(not _small(node, architecture) for node in kinds.values())
    if large:
        found.append(
            f"grouping: {large} of {len(kinds)} kinds of layers have more than {GRID} x {GRID} OUs: "
            "bounded, proven only where that bound is met"
        )
    priced = runs(len(nodes), len(slot_options(architecture.ou_slots)), ALL_PACES)
    most = RUNS_PER_SECOND * seconds * SHARES["replication"]
    if priced > most:
        found.append(
            f"replication: {priced:.2g} runs of layers to price, reach {most:.2g} in {seconds:g} s: bounded only"
        )
    if len(nodes) > TASKS:
        found.append(f"scheduling: {len(nodes)} layers, reach {TASKS} chunks: bounded only")
    return found


def _small(node: Node, architecture: Architecture) -> bool:
    """Whether the im2col grid of a layer is within reach."""
    weights = node.weights
    if weights is None:
        return True
    cells = weights.out_channels * architecture.cells_per_weight(weights.weight_bits)
    return weights.rows <= GRID * architecture.ou_rows and cells <= GRID * architecture.ou_cols
