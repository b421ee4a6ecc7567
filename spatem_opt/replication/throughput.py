"""One segment for throughput: every layer has crossbars of its own, the slowest as fast as the chip allows (M4).

Inferences follow each other at the pace of the slowest layer (M7), so what counts is the least pace at which all layers
fit side by side, and their traffic through the routers; how long one inference takes comes second.
"""

from __future__ import annotations

import numpy as np

from spatem_opt.model.architecture import Architecture
from spatem_opt.replication.modes import Modes
from spatem_opt.replication.segmentation import Segmentation
from spatem_opt.types import IntArray

FREE, DEAR, HALVINGS = -20.0, 20.0, 20
"""Logarithms of the prices of traffic between which the one that just fits is sought, and in how many steps."""


class ThroughputLayers:
    """Ways of all layers, every kind of layer once, and what the chip has for them.

    Parameters
    ----------
    options : list of Modes
        One per layer.
    architecture : Architecture
    router_share : float
        Share of the routers' capacity that traffic may take.
    fill : float
        Share of the crossbars to use.
    """

    def __init__(self, options: list[Modes], architecture: Architecture, router_share: float, fill: float) -> None:
        self.ways = list({id(way): way for way in options}.values())
        number = {id(way): kind for kind, way in enumerate(self.ways)}
        self.kind = np.array([number[id(way)] for way in options])
        self.count = np.bincount(self.kind)
        routers = architecture.mesh_rows * architecture.mesh_cols
        self.router = router_share * routers * architecture.router_bits_per_cycle
        self.crossbars = fill * architecture.crossbars

    def paces(self) -> IntArray:
        """Paces at which some layer has one more way to run, none too fast for any layer; ascending."""
        found = np.unique(np.concatenate([way.cycles for way in self.ways]))
        return found[found >= max(int(way.cycles.min()) for way in self.ways)]

    def pick(self, pace: int) -> IntArray | None:
        """A way of every kind that keeps the pace; None if crossbars or routers do not suffice.

        Of the prices of traffic, in crossbars, the highest at which the ways picked fit the chip (Lagrange): all
        crossbars that are there are spent to spare the routers.
        """
        within = [np.flatnonzero(way.cycles <= pace) for way in self.ways]
        picked = self._cheapest(within, pace, 0.0)
        if self.used(picked)[0] > self.crossbars:
            return None
        low, high = FREE, DEAR
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            dearer = self._cheapest(within, pace, float(np.exp(middle)))
            if self.used(dearer)[0] <= self.crossbars:
                low, picked = middle, dearer
            else:
                high = middle
        return picked if self.used(picked)[1] <= self.router * pace else None

    def _cheapest(self, within: list[IntArray], pace: int, price: float) -> IntArray:
        """Of every kind the way of least crossbars, traffic priced; the least traffic among equals."""
        found = []
        for way, fits in zip(self.ways, within, strict=True):
            cost = way.crossbars[fits] / self.crossbars + price * way.hop_bits[fits] / (self.router * pace)
            found.append(int(fits[np.lexsort((way.hop_bits[fits], cost))[0]]))
        return np.array(found)

    def used(self, picked: IntArray) -> tuple[int, float]:
        """Crossbars, and bit-hops, of all layers."""
        chosen = list(zip(self.ways, picked, self.count.tolist(), strict=True))
        crossbars = sum(int(way.crossbars[k]) * number for way, k, number in chosen)
        return crossbars, sum(float(way.hop_bits[k]) * number for way, k, number in chosen)


def least_period(layers: ThroughputLayers) -> Segmentation | None:
    """One segment of all layers at the least pace, by halving among :meth:`ThroughputLayers.paces`; None if none
    fits."""
    paces = layers.paces()
    first, last = 0, len(paces) - 1
    picked = layers.pick(int(paces[last]))
    if picked is None:
        return None
    while first < last:
        middle = (first + last) // 2
        faster = layers.pick(int(paces[middle]))
        if faster is None:
            first = middle + 1
        else:
            last, picked = middle, faster
    return Segmentation(np.zeros(len(layers.kind), dtype=np.int64), picked[layers.kind], float(paces[last]))
