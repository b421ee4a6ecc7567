"""What a row of OUs costs in a strip of many rows, by the width of the strip: an estimate, not a bound.

A strip of w columns is divided into columns of groups of u OU columns each. Groups of p rows cost a row of the strip
``a + b*u/p`` each, and leave ``m/p - u`` slots free per row, which have a price where slots are scarce. The best
division follows by dynamic programming over the width, for all sizes m of groups at once.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from spatem_opt.types import FloatArray, IntArray

PRICES = (0.0, 0.3, 1.0)
"""Of a free slot, in costs per OU of the cheapest group."""
WIDEST = 384
"""Widths that are tabulated; wider strips have some columns of groups of the best width more."""


class Widths:
    """Costs per row of strips of all widths in groups of at most 1..most OUs, for every price of a free slot.

    Parameters
    ----------
    most : int
    row_cost, col_cost : int
        Of a group [bits per window].

    Attributes
    ----------
    price : float array, shape (prices, most + 1)
        Of a free slot [bits per window].

    Examples
    --------
    Nine groups of 8 OUs of a row, or eight and what 5 OUs cost that share groups with other rows:

    >>> known = Widths(8, 144, 16)
    >>> known.cost(np.array([72, 69]), np.array([8, 8]))[0].round().tolist()
    [2448.0, 2400.0]
    """

    def __init__(self, most: int, row_cost: int, col_cost: int) -> None:
        self.most = most
        cost, self.price = _columns(most, row_cost, col_cost)
        self._best = (cost[..., 1:] / np.arange(1, most + 1)).argmin(axis=-1) + 1
        self._least = np.take_along_axis(cost, self._best[..., None], axis=-1)[..., 0]
        self._table = np.zeros((*cost.shape[:2], WIDEST + 1))
        for w in range(1, WIDEST + 1):
            some = min(w, most)
            rest = self._table[..., w - some : w][..., ::-1]
            np.min(cost[..., 1 : some + 1] + rest, axis=-1, out=self._table[..., w])

    def cost(self, width: IntArray, size: IntArray) -> FloatArray:
        """Cost of a row [bits per window], with its free slots at every price; shape (prices, strips).

        Parameters
        ----------
        width, size : int64 arrays, shape (strips,)
            Columns of the strips, most OUs of a group.
        """
        best = self._best[:, size]
        more = -(-np.maximum(0, width - WIDEST) // best)
        table = self._table[np.arange(len(PRICES))[:, None], size, width - more * best]
        return np.asarray(table + more * self._least[:, size])


widths = lru_cache(maxsize=16)(Widths)


def _columns(most: int, a: int, b: int) -> tuple[FloatArray, FloatArray]:
    """Cost per row of one column of groups, shape (prices, most + 1, most + 1), for m and u; inf if none fits.

    As in :mod:`spatem_opt.grouping.strips`: groups of whole rows; of whole rows and one piece of a shared row; of whole
    rows and as many OUs of shared rows as there is room for. Second, the prices, shape (prices, most + 1).
    """
    m, u = np.arange(most + 1)[:, None], np.arange(most + 1)[None, :]
    fits = (u > 0) & (u <= m)
    wide = np.maximum(u, 1)
    whole, spare = np.maximum(m // wide, 1), m % wide
    high = whole + 1 / -(-wide // np.maximum(spare, 1))
    kinds = (
        (fits, a + b * u / whole, m / whole - u),
        (fits & (spare > 0), (a * (whole + 1) + b * u) / high, m / high - u),
        (fits & (spare > 0), (a * (whole + 1 + spare / wide) + b * u) * wide / np.maximum(m, 1), 0 * wide),
    )
    per_ou = np.minimum.reduce([np.where(may, cost / wide, np.inf) for may, cost, _ in kinds]).min(axis=1)
    price = np.array(PRICES)[:, None] * np.where(np.isfinite(per_ou), per_ou, 0)
    costs = [np.where(may, cost + price[..., None] * free, np.inf) for may, cost, free in kinds]
    return np.minimum.reduce(costs), price
