"""From decisions about space to a complete solution: placement, schedule, claims."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spatem_opt.architecture import Architecture
from spatem_opt.mapping.grid import Grid
from spatem_opt.network.layers import Network
from spatem_opt.replication.layout import Allocation, placement
from spatem_opt.scheduling.problem import Chunks, Problem
from spatem_opt.scheduling.problem import Solution as Times
from spatem_opt.solution import Schedule, Solution


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """Which grid, copies and positions every layer has; the schedule follows from it.

    Parameters
    ----------
    name : str
        Method that made it.
    grids : tuple of Grid
    allocations : list of Allocation
    serial : bool
        Layers run one after the other, with a barrier between them.
    """

    name: str
    grids: tuple[Grid, ...]
    allocations: list[Allocation]
    serial: bool = False


def problem_of(plan: Plan, network: Network, architecture: Architecture) -> Problem:
    """The scheduling problem of a plan."""
    placed = placement(architecture, plan.grids, plan.allocations)
    return Problem(architecture, network, plan.grids, placed, chunks(plan.allocations), plan.serial)


def assemble(plan: Plan, problem: Problem, times: Times) -> Solution:
    """The solution file's tables for a scheduled problem; it claims the latency that the scheduler computed."""
    return Solution(
        problem.architecture,
        problem.network,
        tuple(grid.option for grid in plan.grids),
        problem.placement,
        _table(problem.chunks, times),
        np.array([allocation.segment for allocation in plan.allocations], dtype=np.int64),
        {"total": {"latency": times.latency}},
    )


def _table(c: Chunks, times: Times) -> Schedule:
    return Schedule(c.layer, c.copy, c.first, c.last, c.step, c.pace, times.start, times.end)


def chunks(allocations: list[Allocation]) -> Chunks:
    """Window chunks of all layers."""
    splits = [allocation.split for allocation in allocations]
    layer = np.repeat(np.arange(len(splits)), [len(split.copy) for split in splits])
    return Chunks(
        layer,
        np.concatenate([split.copy for split in splits]),
        np.concatenate([split.first for split in splits]),
        np.concatenate([split.last for split in splits]),
        np.concatenate([split.step for split in splits]),
        np.zeros(len(layer), dtype=np.int64),
        np.zeros(len(layer), dtype=np.int64),
    )
