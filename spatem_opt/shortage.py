"""Whether a network's weights fit a chip at all, and if not, which chip would do."""

from __future__ import annotations

from dataclasses import replace
from math import ceil

from spatem_opt.architecture import Architecture
from spatem_opt.mapping import bounds, problem
from spatem_opt.network.layers import Network
from spatem_opt.result import Shortage


def shortage(network: Network, architecture: Architecture) -> Shortage | None:
    """What is missing if one copy of every layer needs more OU slots than the chip has under any mapping; else None."""
    need = bounds.slots(problem.build(network, architecture))
    capacity = architecture.crossbars * architecture.ou_slots
    if need <= capacity:
        return None
    cells = architecture.ou_rows * architecture.ou_cols
    what = f"network {network.name!r} on chip {architecture.name!r}"
    return Shortage("capacity", need * cells, capacity * cells, "cells", what, _levers(network, architecture, need))


def _levers(network: Network, architecture: Architecture, need: int) -> tuple[str, ...]:
    """The smallest preset that holds the weights, and the number of router rows that would."""
    from spatem_opt.presets import architectures, load_architecture

    fitting = []
    for name in architectures():
        chip = load_architecture(name)
        if chip.crossbars * chip.ou_slots >= bounds.slots(problem.build(network, chip)):
            fitting.append((chip.crossbars * chip.crossbar_rows * chip.crossbar_cols, name))
    per_row = replace(architecture, mesh_rows=1).crossbars * architecture.ou_slots
    levers = [f"--arch {min(fitting)[1]}"] if fitting else []
    return (*levers, f"--set mesh_rows={ceil(need / per_row)}")
