"""Lower bounds on the objective of spatial replication: the sum of the segments' paces [cycles].

All of them drop the load of the ports, the distances, and that copies are rectangles.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from spatem_opt.cost.grid import Grid
from spatem_opt.types import IntArray
from tests.oracles.replication_problem import ReplicationProblem


def cycles(problem: ReplicationProblem) -> dict[str, int]:
    """Bounds for any cuts into segments; the bound is the largest term.

    ``work``: in a segment of pace T every crossbar fires at most T times, so all OU operations over all crossbars
    bound the sum of paces. ``layer``: some segment holds the slowest layer, which has the whole chip at most.
    """
    crossbars = problem.architecture.crossbars
    work = sum(min(grid.operations for grid in admitted) for admitted in problem.grids)
    alone = [min(_alone(grid, problem) for grid in admitted) for admitted in problem.grids]
    return {"work": -(-work // crossbars), "layer": max(alone, default=0)}


def one_segment(problem: ReplicationProblem) -> int | None:
    """Bound when all layers form one segment: no pace below it lets every layer have crossbars enough.

    At pace T, a layer that runs ``w`` windows on each of ``ceil(W / w)`` copies must spread each copy over at least
    ``ceil(OUs / m)`` crossbars, m = T // (q w) <= A.

    Returns
    -------
    int or None
        None if the layers do not fit on disjoint crossbars at all.
    """
    crossbars = problem.architecture.crossbars

    def fits(time: int) -> bool:
        need = (min(_crossbars(grid, time, problem) for grid in admitted) for admitted in problem.grids)
        return sum(need) <= crossbars

    high = max((grid.phases * grid.windows * grid.ous for admitted in problem.grids for grid in admitted), default=0)
    return _least(fits, high)


def slots(problem: ReplicationProblem) -> int:
    """OU slots that one copy of every layer takes at least; infeasible if above the chip's."""
    return sum(min(_slots(grid, problem) for grid in admitted) for admitted in problem.grids)


def _slots(grid: Grid, problem: ReplicationProblem) -> int:
    return grid.blocks * problem.architecture.ou_slots if grid.option.storage == "filled" else grid.ous


def _alone(grid: Grid, problem: ReplicationProblem) -> int:
    """Least time of a layer that has the whole chip."""
    high = grid.phases * grid.windows * grid.ous
    return _least(lambda time: _crossbars(grid, time, problem) <= problem.architecture.crossbars, high) or high


def _crossbars(grid: Grid, time: int, problem: ReplicationProblem) -> int:
    """Fewest crossbars on which a layer can run all its windows in the given time; huge if none suffice."""
    each = _windows_per_copy(grid.windows)
    copies = -(-grid.windows // each)
    if grid.option.storage == "filled":
        serial = _fullest_block(grid)
        need = np.where(each * serial * grid.phases <= time, copies * grid.blocks, 2**40)
        return int(need.min())
    serials = np.minimum(time // (grid.phases * each), problem.architecture.ou_slots)
    spread = -(-grid.ous // np.maximum(serials, 1))
    return int(np.where(serials > 0, copies * spread, 2**40).min())


@lru_cache(maxsize=256)
def _windows_per_copy(windows: int) -> IntArray:
    """Windows of the busiest copy, for every number of copies; each value once."""
    return np.unique(-(-windows // np.arange(1, windows + 1)))


def _fullest_block(grid: Grid) -> int:
    """OUs of the fullest storage block: at least the mean."""
    return -(-grid.ous // grid.blocks)


def _least(fits: Callable[[int], bool], high: int) -> int | None:
    """Least time that fits; ``fits`` is monotone."""
    if not fits(high):
        return None
    low = -1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if fits(middle) else (middle, high)
    return high
