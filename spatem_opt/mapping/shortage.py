"""Whether a network's weights fit a chip at all, and if not, which chip would do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import ceil

from spatem_opt.mapping import bounds, problem
from spatem_opt.model.architecture import Architecture
from spatem_opt.model.result import Shortage
from spatem_opt.network.layers import Network


def shortage(network: Network, architecture: Architecture) -> Shortage | None:
    """What is missing if one copy of every layer needs more OU slots than the chip has under any mapping; else None."""
    need = bounds.slots(problem.build(network, architecture))
    capacity = architecture.crossbars * architecture.ou_slots
    if need <= capacity:
        return None
    cells = architecture.ou_rows * architecture.ou_cols
    what = f"network {network.name!r} on chip {architecture.name!r}"
    per_row = replace(architecture, mesh_rows=1).crossbars * architecture.ou_slots
    would_do = levers(architecture, lambda chip: chip.crossbars * chip.ou_slots >= need, ceil(need / per_row))
    return Shortage("capacity", need * cells, capacity * cells, "cells", what, would_do)


def levers(architecture: Architecture, fits: Callable[[Architecture], bool], mesh_rows: int) -> tuple[str, ...]:
    """What would do instead of a chip that is too small.

    Parameters
    ----------
    architecture : Architecture
    fits : callable
        Whether a chip with the same cells and OUs is large enough.
    mesh_rows : int
        Rows of routers with which `architecture` would be.

    Returns
    -------
    tuple of str
        The smallest preset that fits, if any does, and the rows of routers, as options of the command line.
    """
    from spatem_opt.model.presets import architectures, load_preset

    same = ("crossbar_rows", "crossbar_cols", "ou_rows", "ou_cols", "cell_bits", "weight_bits", "differential")
    fitting = []
    for name in architectures():
        chip = load_preset(name).architecture()
        alike = all(getattr(chip, field) == getattr(architecture, field) for field in same)
        if alike and fits(chip):
            fitting.append((chip.crossbars, name))
    return (*([f"--arch {min(fitting)[1]}"] if fitting else []), f"--set mesh_rows={mesh_rows}")
