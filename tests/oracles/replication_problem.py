"""Spatial replication: how many copies of each layer, of which shape, where, for which windows (M4, M7)."""

from __future__ import annotations

from dataclasses import dataclass

from spatem_opt.cost.grid import Grid
from spatem_opt.model.architecture import Architecture
from spatem_opt.replication.layout import Allocation


@dataclass(frozen=True, slots=True, eq=False)
class ReplicationProblem:
    """Copies, shapes, places, window splits and segments of all layers, for the least sum of segment paces.

    Parameters
    ----------
    architecture : Architecture
    grids : tuple of tuples of Grid
        Admitted mapping options of every layer, in topological order of the layers.

    Notes
    -----
    The *pace* of a segment is the time in which the slowest copy of its layers runs all its windows. Segments take
    turns on the same crossbars, so the sum of their paces is what an inference takes when pipelines fill at once and
    nothing waits for data (``formulations/replication/README.md``).
    """

    architecture: Architecture
    grids: tuple[tuple[Grid, ...], ...]


@dataclass(frozen=True, slots=True, eq=False)
class ReplicationSolution:
    """Decisions of the step.

    Parameters
    ----------
    option : tuple of int
        Index of every layer's mapping option.
    allocations : tuple of Allocation
        Shape, places on the walk, window split and segment of every layer.
    """

    option: tuple[int, ...]
    allocations: tuple[Allocation, ...]


def solution_of(
    problem: ReplicationProblem, grids: tuple[Grid, ...], allocations: list[Allocation]
) -> ReplicationSolution:
    """The solution that a heuristic or baseline gives as chosen grids and allocations.

    Raises
    ------
    ValueError
        If a grid is none of the problem's.
    """
    option: list[int] = []
    for layer, (grid, admitted) in enumerate(zip(grids, problem.grids, strict=True)):
        known = [i for i, candidate in enumerate(admitted) if candidate.option == grid.option]
        if not known:
            raise ValueError(f"layer {layer}: mapping option {grid.option} is not admitted")
        option.append(known[0])
    return ReplicationSolution(tuple(option), tuple(allocations))
