"""One segment: all layers at once on disjoint crossbars, copies balanced by the slowest layer (M4)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from spatem_opt.cost.grid import Grid
from spatem_opt.grouping.tiling import Tiling, slot_options, tiling_for_serial
from spatem_opt.model.architecture import Architecture
from spatem_opt.planning.candidates import candidates_of
from spatem_opt.planning.plan import Plan
from spatem_opt.planning.protocol import Task
from spatem_opt.replication.layout import Allocation, interleaved, pack
from spatem_opt.types import NEVER, IntArray


class Pipeline:
    """A planner of one plan: all layers at once, the slowest as fast as the chip allows."""

    name = "pipeline"

    def plans(self, task: Task, rng: Generator) -> Iterator[Plan | None]:
        """The plan; where only faster ones count, it is seldom one, and has its turn after others."""
        if task.policy.faster and task.best is not None:
            yield None
        plan = task.shared(pipeline)
        if plan is not None:
            yield plan


def pipeline(task: Task) -> Plan | None:
    """The plan of :class:`Pipeline`; None if one copy of every layer does not fit."""
    grids = tuple(options[0] for options in task.shared(candidates_of).grids)
    allocations = balance_segment(grids, task.architecture)
    return None if allocations is None else Plan(
        Pipeline.name, grids, allocations, span=0 if task.policy.follows else None
    )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class _Choices:
    """Shapes of one layer: crossbars and interval [cycles] of a copy, ascending in serial OUs."""

    windows: int
    shapes: tuple[Tiling, ...]
    crossbars: IntArray
    interval: IntArray

    def cheapest(self, cycles: int) -> tuple[int, int, int]:
        """(crossbars, shape index, copies) of the cheapest way to run all windows in the given time."""
        per_copy = np.minimum(cycles // self.interval, self.windows)
        copies = -(-self.windows // np.maximum(per_copy, 1))
        total = np.where(per_copy > 0, copies * self.crossbars, NEVER)
        best = int(total.argmin())
        return int(total[best]), best, int(copies[best])


def balance_segment(
    grids: tuple[Grid, ...], architecture: Architecture, *, crossbars: int | None = None
) -> list[Allocation] | None:
    """Copies and shapes of every layer so that the slowest layer is as fast as the chip allows.

    Exact for ``min max_l ceil(W_l / r_l) * interval_l`` subject to ``sum_l r_l * n_l <= crossbars``: the crossbars that
    the cheapest choice of every layer needs fall with the time allowed, so a binary search finds the least time.

    Parameters
    ----------
    grids, architecture
    crossbars : int, optional
        Crossbars to use; all by default.

    Returns
    -------
    list of Allocation or None
        None if one copy of every layer does not fit.
    """
    budget = architecture.crossbars if crossbars is None else crossbars
    found = {id(grid): _choices(grid, architecture) for grid in {id(grid): grid for grid in grids}.values()}
    choices = [found[id(grid)] for grid in grids]
    if sum(int(c.crossbars.min()) for c in choices) > budget:
        return None
    low, high = 0, max(c.windows * int(c.interval.max()) for c in choices)
    while high - low > 1:
        middle = (low + high) // 2
        fits = sum(c.cheapest(middle)[0] for c in choices) <= budget
        low, high = (low, middle) if fits else (middle, high)
    picked = [c.cheapest(high) for c in choices]
    size = np.concatenate(
        [np.full(copies, c.shapes[i].crossbars) for c, (_, i, copies) in zip(choices, picked, strict=True)]
    )
    place = pack(architecture, size, size, 0, architecture.crossbars)
    if place is None:
        return None
    edges = np.cumsum([copies for _, _, copies in picked])
    return [
        Allocation(choice.shapes[shape], position, interleaved(choice.windows, copies))
        for choice, (_, shape, copies), position in zip(choices, picked, np.split(place, edges[:-1]), strict=True)
    ]


def _choices(grid: Grid, architecture: Architecture) -> _Choices:
    """Shapes of the menu that no other one beats in both crossbars and serial OUs."""
    shapes: list[Tiling] = []
    for serial in slot_options(architecture.ou_slots).tolist():
        shape = tiling_for_serial(grid, serial, architecture.crossbars_per_tile)
        if shape is not None and (not shapes or shape.crossbars < shapes[-1].crossbars):
            shapes.append(shape)
    crossbars = np.array([shape.crossbars for shape in shapes])
    compute = grid.phases * np.array([shape.serial for shape in shapes])
    together = np.maximum(1, architecture.crossbars_per_tile // crossbars)
    load = -(-grid.window_input_bits * together // architecture.buffer_bits_per_cycle)
    interval = np.maximum(compute, load) if architecture.overlap_input else compute + load
    return _Choices(grid.windows, tuple(shapes), crossbars, interval)
