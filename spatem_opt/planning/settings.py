"""Settings of the segment search: how they vary, and which are tried first."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from spatem_opt.planning.edits import Edit, describe
from spatem_opt.tuning import Tuning
from spatem_opt.types import IntArray

USUAL = Tuning()

HEAVIEST = 2
"""Largest weight of a layer's communication, as a power of two."""
LANES = (0, 0, 0, 2, 3, 4, 5)
"""Numbers of lanes that a variation of how segments are laid out chooses from; 0: what the estimate says is best."""
WOVEN = (0, 6, 8, 12, 12, 16, 24)
"""Numbers of strips that the walk is dealt out to, that it chooses from; 0: it is not."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What the segment search is told.

    Parameters
    ----------
    price : float
        Of communication, in units of (latency bound) / (communication bound).
    router_share : float
        Share of its routers' capacity that a segment may use.
    side_by_side : bool
        Whether segments may have parts of the chip to themselves.
    weights : tuple of float
        Per layer, the power of two by which its communication is priced higher; empty: all 0.
    steady : float
        If not 0, no segments: all layers at once at the least pace, on this share of the crossbars.
    lanes : int
        Of the walk that copies lie along; 0: as many as keep routers least busy.
    woven : int
        Strips that the walk is dealt out to, alike in all segments; 0: layers lie near those that they read.
    chains : bool
        Whether segments may be chains (:mod:`~spatem_opt.replication.chains`).
    edits : tuple of Edit
        What is changed in the segmentation found with all this.
    """

    price: float
    router_share: float = 0.6
    side_by_side: bool = False
    weights: tuple[float, ...] = ()
    steady: float = 0.0
    lanes: int = 0
    woven: int = 0
    chains: bool = False
    edits: tuple[Edit, ...] = ()

    @property
    def name(self) -> str:
        """In words, for progress bars and traces."""
        if self.steady:
            return f"steady (router share {self.router_share:.2g}, crossbars {self.steady:.2g})"
        more = ", side by side" if self.side_by_side else ""
        more += f", lanes {self.lanes}" if self.lanes else ""
        more += f", woven {self.woven}" if self.woven else ""
        more += ", chains" if self.chains else ""
        more += ", layers weighted" if any(self.weights) else ""
        more += describe(self.edits)
        return f"segments (price {self.price:.3g}, router share {self.router_share:.2g}{more})"

    @property
    def kind(self) -> str:
        """Of plans whose estimates err alike: the more of routers they count on, the more they lose in queues."""
        return f"{'chains' if self.chains else 'segments'}, router share {self.router_share:.1g}"

    def vary(
        self, rng: np.random.Generator, layers: int, spread: float, lost: IntArray | None = None,
        tuning: Tuning = USUAL,
    ) -> Setting:  # fmt: skip
        """A setting nearby: another price and share, other segments, or another weight of a run of layers.

        ``spread``: standard deviation of the logarithm of the price. ``lost``, shape (segments, 3): first and last
        layer of every segment of the best plan, and the cycles that it lost; runs to change are then drawn from these.
        """
        if self.steady:
            fills = tuning.plans.steady_fills
            share = float(np.clip(self.router_share * np.exp(rng.normal(0.0, 0.2)), 0.1, 1.5))
            return replace(self, router_share=share, steady=float(rng.uniform(min(fills), max(fills))))
        if rng.random() < tuning.variation.chained:
            return replace(self, chains=not self.chains)
        if not self.side_by_side and rng.random() < tuning.variation.laid_out:
            lanes, woven = (int(rng.choice(values)) for values in (LANES, WOVEN))
            return replace(self, lanes=lanes, woven=woven)
        if self.price > 0 and rng.random() < tuning.variation.run_freed:
            first, last = np.sort(rng.integers(0, layers, 2))
            if lost is not None and rng.random() < tuning.variation.focused:
                first, last, _ = lost[rng.choice(len(lost), p=lost[:, 2] / lost[:, 2].sum())]
            weights = np.array(self.weights if self.weights else (0.0,) * layers)
            weights[first : last + 1] = np.clip(weights[first : last + 1] + rng.choice((-1, 1)), -HEAVIEST, HEAVIEST)
            return replace(self, weights=tuple(weights.tolist()))
        price = max(self.price, 0.003) * float(np.exp(rng.normal(0.0, spread)))
        share = float(np.clip(self.router_share * np.exp(rng.normal(0.0, 0.4)), 0.1, 1.5))
        return replace(self, price=price if self.side_by_side or rng.random() > 0.1 else 0.0, router_share=share)


MORE = (Setting(0.003, 0.8, woven=16), Setting(0.003, 0.8), Setting(0.003), Setting(0.003, 0.45))
"""More settings for latency, and for throughput where layers take turns; what helped most networks first."""
CHAINED = (Setting(0.003, 0.15, woven=16, chains=True), Setting(0.003, 0.4, woven=16, chains=True))
"""Settings with chains for latency: estimates of pipelined segments are too low where routers are busy, so that these
may use little of them."""
CHAINED_SHARES = (0.6, 0.15)
"""The same for other objectives."""
LARGE = (Setting(0.003, 0.65, woven=16), Setting(0.003, 0.8, woven=16), Setting(0.003, 1.0, woven=16))
"""Settings for latency of networks with many layers: what suits them differs most in these."""
