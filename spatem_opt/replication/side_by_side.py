"""Runs side by side: shelves of consecutive runs that share their slots but not their crossbars (M4).

A shelf takes M slots of every crossbar of the chip, which is cut into :data:`CELLS` equal cells. Its runs have whole
cells of their own, in order, so they need not take turns, and their copies lie close together.
"""

from __future__ import annotations

import numpy as np

from spatem_opt.errors import ModelError
from spatem_opt.types import FloatArray

CELLS = 8
"""Equal parts of the chip."""
WIDTHS = (8, 6, 4, 2, 1)
"""Cells that a run may take; the first is the whole chip."""


class SideBySide:
    """Least costs of covering layers i..j-1 with consecutive runs in a number of cells.

    Parameters
    ----------
    cost : dict from width to float array, shape (slots, layers + 1, layers + 1)
        Cost of one run of layers i..j-1 in so many cells; inf: impossible.
    """

    def __init__(self, cost: dict[int, FloatArray]) -> None:
        self.cost = cost
        shape = next(iter(cost.values())).shape
        empty = np.full(shape, np.inf)
        empty[:, np.arange(shape[1]), np.arange(shape[1])] = 0.0
        self.least = [empty]
        for cells in range(1, CELLS + 1):
            best = self.least[cells - 1].copy()
            for width, one in cost.items():
                if width <= cells:
                    np.minimum(best, _then(one, self.least[cells - width]), out=best)
            self.least.append(best)

    def arcs(self) -> FloatArray:
        """Cost of the best shelf of layers i..j-1; shape (slots, layers + 1, layers + 1)."""
        return self.least[CELLS]

    def runs(self, slots: int, first: int, stop: int) -> list[tuple[int, int, int, int]]:
        """The best shelf's runs as (first layer, stop, first cell, cells)."""
        found: list[tuple[int, int, int, int]] = []
        cells = CELLS
        while first < stop:
            least = self.least[cells][slots, first, stop]
            if cells > 1 and self.least[cells - 1][slots, first, stop] <= least:
                cells -= 1
                continue
            width, middle = self._step(slots, first, stop, cells, float(least))
            taken = sum(run[3] for run in found)
            found.append((first, middle, taken, width))
            first, cells = middle, cells - width
        return found

    def _step(self, slots: int, first: int, stop: int, cells: int, least: float) -> tuple[int, int]:
        for width, one in self.cost.items():
            if width <= cells:
                total = one[slots, first] + self.least[cells - width][slots, :, stop]
                if total.min() <= least:
                    return width, int(total.argmin())
        raise ModelError("shelves: no run leads to the least cost")


def _then(one: FloatArray, rest: FloatArray) -> FloatArray:
    """Least cost of a run and what follows it: a product of matrices over (min, +)."""
    best = np.full_like(one, np.inf)
    for middle in range(one.shape[1]):
        reach = np.flatnonzero(np.isfinite(one[:, :, middle]).any(axis=0))
        if len(reach):
            total = one[:, reach, middle, None] + rest[:, None, middle, middle:]
            part = best[:, reach, middle:]
            best[:, reach, middle:] = np.minimum(part, total)
    return best
