"""Certified bounds and allocations of all runs at once: Lagrangian relaxation of crossbars and routers (``EXACT.md``).

For every run, slots and pace, a fixed set of multipliers gives a lower bound of the cost and a choice of ways; where
the choice fits, it is an upper bound.
"""

from __future__ import annotations

import numpy as np

from formulations.replication.problem import LayerModes, SegmentationProblem
from spatem_opt.types import FloatArray, IntArray

SHARES = ((0.0, 0.0), *((a, b) for a in (0.01, 0.03, 0.1, 0.3, 1.0, 3.0) for b in (0.0, 0.1, 0.5, 3.0)))
"""Price of all crossbars and of all router traffic, in units of the pace."""
RAYS = ((1.0, 0.0), (0.0, 1.0), (0.5, 0.5), (0.8, 0.2), (0.2, 0.8))
"""Weights of crossbars and traffic: if the least weighted use is above 1, nothing fits."""


class Pricing:
    """Tables of one problem; prefix sums over layers price every run in a few additions.

    Parameters
    ----------
    problem : SegmentationProblem
    paces : int
        Paces considered: the first so many.
    """

    def __init__(self, problem: SegmentationProblem, paces: int) -> None:
        self.problem, self.paces = problem, paces
        self.budget = np.array([problem.traffic(p) for p in range(paces)], dtype=np.float64)
        kinds, which = problem.kinds
        self.which, self.single = which, [self._alone(menu) for menu in kinds]
        tables = [self._kind(menu) for menu in kinds]
        shape = (len(SHARES), len(problem.slots), paces, problem.layers + 1)
        self.value, self.cost, self.crossbars, self.traffic = (np.zeros(shape) for _ in range(4))
        self.ray, self.none = np.zeros((len(RAYS), *shape[1:])), np.zeros(shape[1:], dtype=np.int64)
        for layer, kind in enumerate(which):
            one, rays, none = tables[kind]
            np.add(self.none[..., layer], none, out=self.none[..., layer + 1])
            for total, part in zip((self.value, self.cost, self.crossbars, self.traffic), one, strict=True):
                np.add(total[..., layer], part, out=total[..., layer + 1])
            np.add(self.ray[..., layer], rays, out=self.ray[..., layer + 1])

    def multipliers(self, pace: int) -> tuple[FloatArray, FloatArray]:
        """Prices of a crossbar and of a bit-hop at a pace, one per share [1/1000 cycle]."""
        shares = np.array(SHARES) * 1000 * float(self.problem.paces[pace])
        return shares[:, 0] / self.problem.crossbars, shares[:, 1] / max(1.0, float(self.budget[pace]))

    def _kind(self, menu: LayerModes) -> tuple[FloatArray, FloatArray, IntArray]:
        """Least priced use of one layer, (4, shares, slots, paces) and (rays, slots, paces); where no way fits."""
        slots, paces = self.problem.slots, self.paces
        # 0 where no way fits: an infinite entry would swallow the digits of every sum it is part of.
        out = np.zeros((4, len(SHARES), len(slots), paces))
        rays = np.zeros((len(RAYS), len(slots), paces))
        none = np.ones((len(slots), paces), dtype=np.int64)
        order = np.argsort(menu.serial, kind="stable")
        order = order[menu.crossbars[order] <= self.problem.crossbars]
        for p in range(paces):
            way = order[(menu.cycles[order] <= self.problem.paces[p]) & (menu.hop_bits[order] <= self.budget[p])]
            upto = np.searchsorted(menu.serial[way], slots, side="right") - 1
            known = upto >= 0
            if not known.any():
                continue
            none[known, p] = 0
            use = np.stack([menu.cost[way], menu.crossbars[way], menu.hop_bits[way]]).astype(np.float64)
            a, b = self.multipliers(p)
            priced = use[0] + a[:, None] * use[1] + b[:, None] * use[2]
            best = _running_argmin(priced)[:, upto[known]]
            out[0][:, known, p] = np.take_along_axis(priced, best, axis=1)
            out[1:, :, known, p] = use[:, best]
            weight = np.array(RAYS)
            share = weight[:, :1] * use[1] / self.problem.crossbars + weight[:, 1:] * use[2] / max(1.0, self.budget[p])
            rays[:, known, p] = np.minimum.accumulate(share, axis=1)[:, upto[known]]
        return out, rays, none

    def _alone(self, menu: LayerModes) -> FloatArray:
        """Exact cost of runs of this layer only; shape (slots, paces), inf: none."""
        cost = np.full((len(self.problem.slots), self.paces), np.inf)
        order = np.argsort(menu.serial, kind="stable")
        order = order[menu.crossbars[order] <= self.problem.alone]
        for p in range(self.paces):
            way = order[(menu.cycles[order] <= self.problem.paces[p]) & (menu.hop_bits[order] <= self.budget[p])]
            upto = np.searchsorted(menu.serial[way], self.problem.slots, side="right")
            least = np.r_[np.inf, np.minimum.accumulate(menu.cost[way].astype(np.float64))]
            cost[:, p] = least[upto]
        return cost

    def runs(self, first: int) -> tuple[FloatArray, FloatArray]:
        """Lower and upper bound of the cost of runs first..j-1; shape (slots, paces, layers - first), inf: none."""
        stop = slice(first + 1, None)
        shape = (len(self.problem.slots), self.paces, self.problem.layers - first)
        lower, upper = np.zeros(shape), np.full(shape, np.inf)
        pace = 1000 * self.problem.paces[: self.paces, None]
        for m, (a, b) in enumerate(SHARES):
            np.maximum(lower, self.value[m, :, :, stop] - self.value[m, :, :, first, None] - (a + b) * pace, out=lower)
            crossbars = self.crossbars[m, :, :, stop] - self.crossbars[m, :, :, first, None]
            traffic = self.traffic[m, :, :, stop] - self.traffic[m, :, :, first, None]
            fits = (crossbars <= self.problem.crossbars) & (traffic <= self.budget[:, None])
            cost = self.cost[m, :, :, stop] - self.cost[m, :, :, first, None]
            np.minimum(upper, np.where(fits, cost, np.inf), out=upper)
        for m in range(len(RAYS)):
            share = self.ray[m, :, :, stop] - self.ray[m, :, :, first, None]
            lower[share > 1 + 1e-9] = np.inf
        base = self.problem.base(first)[: self.paces].astype(np.float64)
        none = self.none[:, :, stop] > self.none[:, :, first, None]
        lower[none], upper[none] = np.inf, np.inf
        lower[..., 0] = upper[..., 0] = self.single[self.which[first]]
        return np.asarray(base + np.ceil(lower - 1e-2)), np.asarray(base + upper)

    def allocation(self, first: int, stop: int, slots: int, pace: int) -> IntArray | None:
        """The cheapest of the choices that fit; None if none fits."""
        a, b = self.multipliers(pace)
        best, least = None, np.inf
        menus = self.problem.menus[first:stop]
        # All ways in the order of the tables: ties must fall alike.
        ways = [within(self.problem, menu, slots, pace, len(menus), front=False) for menu in menus]
        if not all(len(way) for way in ways):
            return None
        for x, y in zip(a, b, strict=True):
            pick = [
                w[(menu.cost[w] + x * menu.crossbars[w] + y * menu.hop_bits[w]).argmin()]
                for menu, w in zip(menus, ways, strict=True)
            ]
            cost, crossbars, hops = (
                sum(int(getattr(menu, name)[w]) for menu, w in zip(menus, pick, strict=True))
                for name in ("cost", "crossbars", "hop_bits")
            )
            if crossbars <= self.problem.room(len(menus)) and hops <= self.budget[pace] and cost < least:
                best, least = np.array(pick), cost
        return best


def within(
    problem: SegmentationProblem, menu: LayerModes, slots: int, pace: int, layers: int, *, front: bool = True
) -> IntArray:
    """Ways of a layer that fit a run of so many layers, ascending in serial OUs.

    ``front``: only those that no other beats in cost, crossbars and traffic.
    """
    way = np.argsort(menu.serial, kind="stable")
    fits = (menu.serial <= problem.slots[slots]) & (menu.cycles <= problem.paces[pace])
    fits &= (menu.crossbars <= problem.room(layers)) & (menu.hop_bits <= problem.traffic(pace))
    way = way[fits[way]]
    if front:
        way = way[_undominated(np.stack([menu.cost[way], menu.crossbars[way], menu.hop_bits[way]]))]
    return np.asarray(way)


def _undominated(use: IntArray) -> IntArray:
    """Columns that no other beats in all rows."""
    kept: list[int] = []
    front = np.empty((3, 0), dtype=np.int64)
    for k in np.lexsort(use[::-1]).tolist():
        if not (front <= use[:, k : k + 1]).all(axis=0).any():
            kept.append(k)
            front = np.concatenate([front, use[:, k : k + 1]], axis=1)
    return np.array(sorted(kept), dtype=np.int64)


def _running_argmin(values: FloatArray) -> IntArray:
    """Per row and prefix, where the least value is."""
    least = np.minimum.accumulate(values, axis=1)
    new = np.concatenate([np.ones((len(values), 1), dtype=np.bool_), least[:, 1:] < least[:, :-1]], axis=1)
    return np.asarray(np.maximum.accumulate(np.where(new, np.arange(values.shape[1]), 0), axis=1))
