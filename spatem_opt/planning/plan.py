"""From decisions about space to a complete solution: placement, schedule, claims."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from math import inf
from typing import Any

import numpy as np

from spatem_opt.cost.grid import Grid
from spatem_opt.cost.placed import Chunks, PlacedNetwork, Times
from spatem_opt.model.architecture import Architecture
from spatem_opt.model.solution import Schedule, Solution
from spatem_opt.network.layers import Network
from spatem_opt.replication.layout import Allocation, placement
from spatem_opt.scheduling.rebalancing import rebalance_windows
from spatem_opt.types import IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """Which grid, copies and positions every layer has; the schedule follows from it.

    Parameters
    ----------
    name : str
        What made it, in a few words: the planner, and what it was told.
    grids : tuple of Grid
    allocations : list of Allocation
    serial : bool
        Layers run one after the other, with a barrier between them.
    regions : int64 array, shape (segments, 2), optional
        First and last place on the walk of the crossbars that each segment may use; without it all of the chip.
    moves : int64 array, shape (segments, routers or tiles), optional
        Router to which what a segment keeps at each router goes, or tile by tile; without it everything stays.
    estimate : float, optional
        Latency that its maker expects [cycles].
    across : bool
        The walk's lanes go across the mesh (:func:`~spatem_opt.replication.layout.serpentine_order`).
    span : int, optional
        Made for inferences that follow each other this fast [cycles], or as fast as the busiest copy can: no copy takes
        longer from its first start to its last end, if it can begin late enough for that.
    tolerance : float
        The plan is dropped if ``estimate`` is so many times above the latency (or period) that counts.
    kind : str
        Estimates of plans of one kind err alike: how far those before were off tells which ones to drop.
    exchanges : tuple of str
        Tile exchanges (by their names in :mod:`spatem_opt.planning.registry`) to be made before it is scheduled, if it
        is not dropped.
    rebalance : bool
        Windows are dealt out to copies by when these are free, before it is scheduled.
    origin : object
        What its planner wants to find again when it is told what became of the plan; can be pickled.
    """

    name: str
    grids: tuple[Grid, ...]
    allocations: list[Allocation]
    serial: bool = False
    regions: IntArray | None = None
    moves: IntArray | None = None
    estimate: float | None = None
    across: bool = False
    span: int | None = None
    tolerance: float = inf
    kind: str = ""
    exchanges: tuple[str, ...] = ()
    rebalance: bool = False
    origin: Any = None

    def digest(self) -> bytes:
        """The same for plans that decide alike."""
        parts = [(a.shape, a.position.tobytes(), a.split.first.tobytes(), a.segment, a.lanes) for a in self.allocations]
        moves = None if self.moves is None else self.moves.tobytes()
        key = repr([moves, *((grid.option, *part) for grid, part in zip(self.grids, parts, strict=True))])
        return hashlib.sha256(f"{self.serial} {self.across} {key}".encode()).digest()

    @property
    def busiest(self) -> int:
        """Cycles that the busiest copy computes: no schedule of the plan is faster."""
        return max(
            grid.phases * a.shape.serial * a.split.most for grid, a in zip(self.grids, self.allocations, strict=True)
        )

    @property
    def segment(self) -> IntArray:
        """Segment of every layer."""
        return np.array([allocation.segment for allocation in self.allocations], dtype=np.int64)


def problem_of(plan: Plan, network: Network, architecture: Architecture) -> PlacedNetwork:
    """The scheduling problem of a plan."""
    placed = placement(architecture, plan.grids, plan.allocations, across=plan.across)
    if plan.moves is not None:
        together = architecture.crossbars // plan.moves.shape[1]
        place, inside = np.divmod(placed.crossbar, together)
        placed = replace(placed, crossbar=plan.moves[plan.segment[placed.layer], place] * together + inside)
    problem = PlacedNetwork(
        architecture, network, plan.grids, placed, chunks(plan.grids, plan.allocations), plan.serial
    )
    return problem if plan.span is None else problem.within(max(plan.span, busiest(problem)))


def busiest(problem: PlacedNetwork) -> int:
    """Cycles that the copy with most to do needs for its windows, one after the other."""
    most = 0
    for layer, placed in enumerate(problem.placed):
        mine = problem.chunks.layer == layer
        windows = (problem.chunks.last - problem.chunks.first)[mine] // problem.chunks.step[mine] + 1
        each = np.bincount(problem.chunks.copy[mine], windows, placed.copies)
        most = max(most, int((each * placed.interval).max()))
    return most


def rebalanced(plan: Plan, problem: PlacedNetwork) -> tuple[Plan, PlacedNetwork]:
    """The same plan with windows dealt out by when copies' crossbars are free; the same objects if none moves."""
    before = [allocation.split for allocation in plan.allocations]
    splits = rebalance_windows(problem, before, plan.segment)
    if all(split is old for split, old in zip(splits, before, strict=True)):
        return plan, problem
    pairs = zip(plan.allocations, splits, strict=True)
    allocations = [replace(allocation, split=split) for allocation, split in pairs]
    return replace(plan, allocations=allocations), problem.with_chunks(chunks(plan.grids, allocations))


def assemble(plan: Plan, problem: PlacedNetwork, times: Times) -> Solution:
    """The solution file's tables for a scheduled problem, without claims."""
    return Solution(
        problem.architecture,
        problem.network,
        tuple(grid.option for grid in plan.grids),
        problem.placement,
        _table(problem.chunks, times),
        plan.segment,
    )


def _table(c: Chunks, times: Times) -> Schedule:
    return Schedule(c.layer, c.copy, c.first, c.last, c.step, c.pace, times.start, times.end)


def chunks(grids: tuple[Grid, ...], allocations: list[Allocation]) -> Chunks:
    """Window chunks of all layers."""
    splits = [allocation.split for allocation in allocations]
    layer = np.repeat(np.arange(len(splits)), [len(split.copy) for split in splits])
    pace = [_pace(grid, allocation) for grid, allocation in zip(grids, allocations, strict=True)]
    return Chunks(
        layer,
        np.concatenate([split.copy for split in splits]),
        np.concatenate([split.first for split in splits]),
        np.concatenate([split.last for split in splits]),
        np.concatenate([split.step for split in splits]),
        np.concatenate(pace),
        np.zeros(len(layer), dtype=np.int64),
    )


def _pace(grid: Grid, allocation: Allocation) -> IntArray:
    """Pace inside chunks that keeps a copy's pace across them: its last window is not held back, nor the next chunk."""
    split = allocation.split
    windows = (split.last - split.first) // split.step + 1
    if not allocation.pace:
        return np.zeros_like(windows)
    lost = allocation.pace - grid.phases * allocation.shape.serial
    return np.asarray(allocation.pace + lost // np.maximum(windows - 1, 1))
