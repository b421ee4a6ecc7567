"""What each objective asks of planning and search: one row each, and nobody else compares names of objectives."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod

from spatem_opt.errors import InstanceError
from spatem_opt.grouping.substitution import LITTLE_MORE, MUCH_MORE


@dataclass(frozen=True, slots=True)
class ObjectivePolicy:
    """One objective.

    Parameters
    ----------
    name, unit : str
    factors : tuple of {"latency", "period", "communication", "energy"}
        The value, which is minimised, is the product of these numbers of an evaluation [cycles, cycles, bits, fJ].
    prices : tuple of float
        Of communication, tried first, in units of (latency bound) / (communication bound).
    faster : bool
        Only what is faster than the best can be better: latencies from the best one on are of no use, estimates of
        latency tell plans apart, and routers that a segment crowds are relieved before a plan is scheduled.
    follows : bool
        Counts how fast inferences follow each other: replays determine the period; of equal ones the latency decides.
    side_by_side : bool
        Segments may have parts of the chip to themselves from the first plan on; otherwise they take turns, with as
        many stripes of the serpentine order as keep routers least busy.
    detour : float
        Times the traffic that tilings may take for better groups; 0: none are exchanged.
    exchanges : tuple of str
        Tile exchanges that are tried on every better solution (:mod:`spatem_opt.planning.exchanges`).
    leaves_out : frozenset of str
        Planners of the usual set that cannot win: no barrier and no lone copy can be fast.
    """

    name: str
    unit: str
    factors: tuple[str, ...]
    prices: tuple[float, ...]
    faster: bool = False
    follows: bool = False
    side_by_side: bool = False
    detour: float = 0.0
    exchanges: tuple[str, ...] = ()
    leaves_out: frozenset[str] = field(default_factory=frozenset)

    def value(self, **numbers: int) -> int:
        """The objective value of an evaluation's numbers, named as in ``factors``."""
        return prod(numbers[factor] for factor in self.factors)


SERIAL = frozenset({"layer-serial"})
NEARER = ("shorten",)
POLICIES: dict[str, ObjectivePolicy] = {
    policy.name: policy
    for policy in (
        ObjectivePolicy(
            "latency", "cycles", ("latency",), (0.003, 0.03), faster=True, detour=MUCH_MORE, leaves_out=SERIAL
        ),
        ObjectivePolicy(
            "throughput", "cycles", ("period",), (0.003, 0.03), follows=True, detour=LITTLE_MORE, leaves_out=SERIAL
        ),
        ObjectivePolicy(
            "communication", "bits", ("communication",), (1.0, 10.0, 100.0), side_by_side=True, exchanges=NEARER
        ),
        ObjectivePolicy("energy", "fJ", ("energy",), (0.3, 1.0, 10.0), side_by_side=True, exchanges=NEARER),
        ObjectivePolicy(
            "balanced", "cycles x bits", ("latency", "communication"), (0.3, 0.1, 1.0, 3.0), side_by_side=True,
            exchanges=NEARER, leaves_out=SERIAL,
        ),
    )
}  # fmt: skip
"""``balanced`` is latency times communication: what the abstract's headline weighs against each other."""


def policy_of(objective: object) -> ObjectivePolicy:
    """The row of an objective; raises :class:`InstanceError` if there is none."""
    if not isinstance(objective, str) or objective not in POLICIES:
        raise InstanceError("solve", "objective", objective, f"expected one of {', '.join(POLICIES)}")
    return POLICIES[objective]
