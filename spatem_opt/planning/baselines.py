"""What existing tools do, on the same chip and through the same evaluator. Each uses all the chip it can."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.random import Generator

from spatem_opt.cost.grid import Grid, make_grid, operations_of
from spatem_opt.grouping.tile_parts import filled_tiling
from spatem_opt.mapping.problem import layer_options
from spatem_opt.mapping.shortage import levers
from spatem_opt.model.architecture import Architecture
from spatem_opt.model.result import Shortage
from spatem_opt.model.solution import MappingOption
from spatem_opt.network.layers import Network, Node
from spatem_opt.planning.plan import Plan
from spatem_opt.planning.protocol import Outcome, Task
from spatem_opt.replication.layout import Allocation, interleaved
from spatem_opt.types import IntArray


def dense_pipeline(network: Network, architecture: Architecture) -> Plan | None:
    """Im2col, filled crossbars, each layer on tiles of its own, the slowest layer copied until the chip is full."""
    grids = _grids(network, architecture, _im2col)
    return _pipeline("dense-pipeline", grids, architecture, _greedy(grids, architecture))


def layer_serial(network: Network, architecture: Architecture) -> Plan | None:
    """Im2col, filled crossbars, one copy of each layer, one layer after the other."""
    grids = _grids(network, architecture, _im2col)
    return _pipeline("layer-serial", grids, architecture, np.ones(len(grids), dtype=np.int64), serial=True)


def kernel_split(network: Network, architecture: Architecture) -> Plan | None:
    """One sub-matrix per kernel position in crossbars of its own (Peng et al., ISCAS 2019), otherwise as dense."""
    grids = _grids(network, architecture, _split)
    return _pipeline("kernel-split", grids, architecture, _greedy(grids, architecture))


def woho(network: Network, architecture: Architecture) -> Plan | None:
    """Copies in proportion to output pixels (Wo x Ho), as many as fit; otherwise as dense."""
    grids = _grids(network, architecture, _im2col)
    windows = np.array([grid.windows for grid in grids])
    need = np.array([filled_tiling(grid).crossbars for grid in grids])

    def copies(scale: float) -> IntArray:
        return np.clip((windows * scale).astype(np.int64), 1, windows)

    if _tiles(need, copies(0.0), architecture) > architecture.tiles:
        return None
    low, high = 0.0, 2.0  # at scale 1 every window has a copy of its own
    for _ in range(40):
        middle = (low + high) / 2
        fits = _tiles(need, copies(middle), architecture) <= architecture.tiles
        low, high = (middle, high) if fits else (low, middle)
    return _pipeline("woho", grids, architecture, copies(low))


def vw_sdk(network: Network, architecture: Architecture) -> Plan | None:
    """Per layer the parallel window of fewest OU operations (VW-SDK, DATE 2022), im2col if none is better."""
    grids = _grids(network, architecture, partial(_window, architecture))
    return _pipeline("vw-sdk", grids, architecture, _greedy(grids, architecture))


BASELINES: dict[str, Callable[[Network, Architecture], Plan | None]] = {
    "dense-pipeline": dense_pipeline,
    "layer-serial": layer_serial,
    "kernel-split": kernel_split,
    "woho": woho,
    "vw-sdk": vw_sdk,
}
"""Name -> what makes its plan, None if the network does not fit the chip its way."""


class Baseline:
    """A planner of one plan, laid out across the mesh and along it: what suits it better counts.

    Parameters
    ----------
    name : str
        One of :data:`BASELINES`.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._solved = True

    def plans(self, task: Task, rng: Generator) -> Iterator[Plan | None]:
        """The plan both ways; the second one only if the first is fast enough, or anything is."""
        plan = BASELINES[self.name](task.network, task.architecture)
        if plan is not None:
            yield replace(plan, across=True)
            if self._solved or task.best is None:
                yield plan

    def learn(self, plan: Plan, outcome: Outcome) -> None:
        """Whether the last plan led to a solution."""
        self._solved = outcome.solved

    def missing(self, task: Task) -> Shortage | None:
        """What the chip lacks."""
        return missing(self.name, task.network, task.architecture)


def missing(name: str, network: Network, architecture: Architecture) -> Shortage | None:
    """What a baseline lacks on a chip that holds not even one copy of every layer its way; None if that fits.

    Parameters
    ----------
    name : str
        One of :data:`BASELINES`.
    network, architecture

    Returns
    -------
    Shortage or None
        In crossbars of whole tiles: no two layers of a baseline share a tile.
    """
    need = _least_tiles(name, network, architecture)
    if need <= architecture.tiles:
        return None
    per_row = architecture.mesh_cols * architecture.tiles_per_router
    would_do = levers(
        architecture, lambda chip: _least_tiles(name, network, chip) <= chip.tiles, -(-need // per_row)
    )  # fmt: skip
    what = f"network {network.name!r} by {name!r} on chip {architecture.name!r}, every layer on tiles of its own"
    crossbars = need * architecture.crossbars_per_tile
    return Shortage("tiles", crossbars, architecture.crossbars, "crossbars", what, would_do)


def _least_tiles(name: str, network: Network, architecture: Architecture) -> int:
    """Tiles of one copy of every layer."""
    options: dict[str, Callable[[Node], MappingOption]] = {
        "kernel-split": _split, "vw-sdk": partial(_window, architecture)
    }  # fmt: skip
    grids = _grids(network, architecture, options.get(name, _im2col))
    need = np.array([filled_tiling(grid).crossbars for grid in grids])
    return _tiles(need, np.ones(len(grids), dtype=np.int64), architecture)


def _window(architecture: Architecture, node: Node) -> MappingOption:
    """The parallel window of fewest OU operations."""
    options = [o for o in layer_options(node, architecture, "filled") if o.scheme in ("im2col", "parallel-window")]
    return min(options, key=lambda option: operations_of(node, option, architecture))


def _im2col(node: Node) -> MappingOption:
    return MappingOption("im2col", "filled")


def _split(node: Node) -> MappingOption:
    weights = node.weights
    plain = weights is None or weights.kernel == (1, 1) or weights.transposed
    return MappingOption("im2col" if plain else "kernel-split", "filled")


def _grids(network: Network, architecture: Architecture, option: Callable[[Node], MappingOption]) -> tuple[Grid, ...]:
    made: dict[object, Grid] = {}
    for index in network.layers:
        node = network.nodes[index]
        key = (node.weights, node.height, node.width)
        if key not in made:
            made[key] = make_grid(node, option(node), architecture)
    return tuple(made[(n.weights, n.height, n.width)] for n in (network.nodes[i] for i in network.layers))


def _tiles(need: IntArray, copies: IntArray, architecture: Architecture) -> int:
    return int((-(-need * copies // architecture.crossbars_per_tile)).sum())


def _greedy(grids: Sequence[Grid], architecture: Architecture) -> IntArray:
    """One more copy for the slowest layer, as long as whole tiles are left for it."""
    shapes = [filled_tiling(grid) for grid in grids]
    interval = [grid.phases * shape.serial for grid, shape in zip(grids, shapes, strict=True)]
    copies = np.ones(len(grids), dtype=np.int64)
    need = np.array([shape.crossbars for shape in shapes])
    left = architecture.tiles - _tiles(need, copies, architecture)
    per_tile = architecture.crossbars_per_tile
    queue = [(-grid.windows * step, i) for i, (grid, step) in enumerate(zip(grids, interval, strict=True))]
    heapq.heapify(queue)
    while queue:
        _, i = heapq.heappop(queue)
        r, n = int(copies[i]), int(need[i])
        extra = -(-n * (r + 1) // per_tile) - -(-n * r // per_tile)
        if extra <= left and r < grids[i].windows:
            left -= extra
            copies[i] += 1
            windows = -(-grids[i].windows // (r + 1))
            heapq.heappush(queue, (-windows * interval[i], i))
    return copies


def _pipeline(
    name: str, grids: tuple[Grid, ...], architecture: Architecture, copies: IntArray, *, serial: bool = False
) -> Plan | None:
    """Layers one after the other along the tiles, each from a new tile on; interleaved windows."""
    shapes = [filled_tiling(grid) for grid in grids]
    need = np.array([shape.crossbars for shape in shapes])
    if _tiles(need, copies, architecture) > architecture.tiles:
        return None
    tiles = -(-need * copies // architecture.crossbars_per_tile)
    first = (np.cumsum(tiles) - tiles) * architecture.crossbars_per_tile
    allocations = [
        Allocation(shape, start + np.arange(r) * shape.crossbars, interleaved(grid.windows, int(r)))
        for grid, shape, start, r in zip(grids, shapes, first, copies, strict=True)
    ]
    return Plan(name, grids, allocations, serial)
