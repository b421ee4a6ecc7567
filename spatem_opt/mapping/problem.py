"""Weight mapping: which option each layer's weights use (M3, ``formulations/mapping/README.md``)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spatem_opt.cost.grid import make_grid, patch_size
from spatem_opt.model.architecture import Architecture
from spatem_opt.model.solution import MappingOption, Storage
from spatem_opt.network.layers import Network, Node
from spatem_opt.types import IntArray


@dataclass(frozen=True, slots=True, eq=False)
class MappingProblem:
    """One option per layer: least excess OU operations, then least communication, within the chip's OU slots.

    The *excess* of a candidate are its OU operations above the layer's slack limit, ``floor(best * (100 + slack) /
    100)``. Without pressure on slots every layer keeps within its limit, the excess is 0, and communication decides.

    Parameters
    ----------
    layers : tuple of str
        Names of the crossbar layers.
    options : tuple of tuples of MappingOption
        Candidates of every layer.
    operations : tuple of int64 arrays
        OU operations of one inference [cycles on one crossbar], per candidate.
    communication : tuple of int64 arrays
        Bits read from tile buffers by one inference, the layer in one tile, per candidate.
    slots : tuple of int64 arrays
        OU slots one copy takes, per candidate.
    capacity : int
        OU slots of the chip.
    slack_percent : int
        A layer may spend this many percent more OU operations than its best candidate to save communication.
    """

    layers: tuple[str, ...]
    options: tuple[tuple[MappingOption, ...], ...]
    operations: tuple[IntArray, ...]
    communication: tuple[IntArray, ...]
    slots: tuple[IntArray, ...]
    capacity: int
    slack_percent: int = 0

    def excess(self, layer: int) -> IntArray:
        """OU operations of every candidate of a layer above the layer's slack limit."""
        ops = self.operations[layer]
        return np.asarray(np.maximum(0, ops - ops.min() * (100 + self.slack_percent) // 100), dtype=np.int64)

    def allowed(self, layer: int) -> NDArray[np.bool_]:
        """Candidates that some optimum may use: those within the slack, and smaller ones, for the network to fit.

        Any other has excess, and a candidate without excess takes no more slots.
        """
        slots, close = self.slots[layer], self.excess(layer) == 0
        return np.asarray(close | (slots < slots[close].min()), dtype=np.bool_)


@dataclass(frozen=True, slots=True)
class MappingSolution:
    """Index of the chosen candidate of every layer."""

    choice: tuple[int, ...]


def build(
    network: Network,
    architecture: Architecture,
    *,
    schemes: tuple[str, ...] = ("im2col", "kernel-split"),
    storage: Storage = "slotted",
    slack_percent: int = 0,
) -> MappingProblem:
    """The mapping problem of a network on a chip.

    Parameters
    ----------
    network, architecture
    schemes : tuple of str
        Admitted schemes; ``parallel-window`` adds every patch whose channel fits one OU row or one crossbar column.
    storage : {"slotted", "filled"}
    slack_percent : int
        See :class:`MappingProblem`.
    """
    nodes = [network.nodes[i] for i in network.layers]
    columns: list[tuple[tuple[MappingOption, ...], IntArray, IntArray, IntArray]] = []
    seen: dict[object, tuple[tuple[MappingOption, ...], IntArray, IntArray, IntArray]] = {}
    for node in nodes:
        key = (node.weights, node.height, node.width)
        if key not in seen:
            seen[key] = _candidates(node, architecture, schemes, storage)
        columns.append(seen[key])
    capacity = architecture.crossbars * architecture.ou_slots
    options, operations, communication, slots = zip(*columns, strict=True) if columns else ((), (), (), ())
    return MappingProblem(
        tuple(node.name for node in nodes), options, operations, communication, slots, capacity, slack_percent
    )


def _candidates(
    node: Node, architecture: Architecture, schemes: tuple[str, ...], storage: Storage
) -> tuple[tuple[MappingOption, ...], IntArray, IntArray, IntArray]:
    options = [o for o in layer_options(node, architecture, storage) if o.scheme in schemes]
    grids = [make_grid(node, option, architecture) for option in options]
    per_block = architecture.ou_slots
    rows = [
        (g.operations, g.windows * g.window_input_bits, g.blocks * per_block if storage == "filled" else g.ous)
        for g in grids
    ]
    table = np.array(rows, dtype=np.int64)
    keep = _undominated(table)
    return tuple(options[i] for i in keep), table[keep, 0], table[keep, 1], table[keep, 2]


def layer_options(node: Node, architecture: Architecture, storage: Storage = "slotted") -> list[MappingOption]:
    """All options that make sense for a layer, im2col first.

    Parallel windows are enumerated as in VW-SDK (DATE 2022): every patch of windows whose input patch fits the rows of
    a crossbar and whose columns of one filter fit its bitlines.
    """
    weights = node.weights
    if weights is None:
        return []
    options = [MappingOption("im2col", storage)]
    if weights.in_channels > 1 and weights.kernel[0] * weights.kernel[1] > 1:
        options.append(MappingOption("channel-split", storage))
    if weights.kernel != (1, 1) and not weights.transposed:
        options.append(MappingOption("kernel-split", storage))
    if weights.dilation == (1, 1) and not weights.transposed and node.windows > 1 and weights.kernel != (1, 1):
        cells = architecture.cells_per_weight(weights.weight_bits)
        for ph in range(1, node.height + 1):
            for pw in range(1, node.width + 1):
                option = MappingOption("parallel-window", storage, ph, pw)
                height, width = patch_size(weights, option)
                if height * width > architecture.crossbar_rows or ph * pw * cells > architecture.crossbar_cols:
                    break
                if ph * pw > 1:
                    options.append(option)
    return options


def _undominated(table: IntArray) -> list[int]:
    """Rows that no other row (or earlier equal row) is at least as good as in every column."""
    no_worse = (table[:, None, :] <= table[None, :, :]).all(axis=2)
    better = (table[:, None, :] < table[None, :, :]).any(axis=2)
    earlier = np.arange(len(table))[:, None] < np.arange(len(table))[None, :]
    dominated = (no_worse & (better | earlier)).any(axis=0)
    return [int(i) for i in np.flatnonzero(~dominated)]
