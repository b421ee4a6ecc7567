"""Tuned constants that influence answers: one frozen structure, with range and evidence of each, loadable from TOML.

Limits of resources (seconds, memory, numbers of layers from which on something takes too long) are not here. What a
constant was set by is its evidence; ``benchmarks/fit/constant.py`` tries others over a suite of networks.

A file has a table per group, with the constants that differ from the usual ones::

    [modes]
    door = 0.55
    [plans]
    fills = [1.0, 0.95, 0.9]
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import Field, asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from spatem_opt.errors import InstanceError
from spatem_opt.files.access import read_toml

FITTED = "fitted to evaluated plans of the shipped networks on the default chip"
CHOSEN = "chosen on the shipped networks on the default chip, a few values by hand; not refitted"


def tuned(default: Any, low: float, high: float, what: str, evidence: str = CHOSEN) -> Any:
    """A field: usual value (a number, or several), range of each number, what it is, and what it was set by."""
    return field(default=default, metadata={"low": low, "high": high, "what": what, "evidence": evidence})


@dataclass(frozen=True, slots=True)
class ModeTuning:
    """How modes of a layer are estimated (:mod:`spatem_opt.replication.modes`)."""

    door: float = tuned(0.6, 0.1, 1.0, "share of a router that a copy's partial sums and outputs may take", FITTED)
    entry: float = tuned(
        0.95, 0.1, 1.0, "share of an entry's router that network inputs may take, and of others what is gathered there"
    )  # fmt: skip
    ragged: float = tuned(0.6, 0.0, 1.0, "columns that blocks wider in some rows than in others need more", FITTED)
    beside: tuple[float, ...] = tuned(
        (3.3, 0.85), 0.0, 10.0, "mean hops of an input, and their growth with the side of the consuming copy", FITTED
    )
    home: tuple[float, ...] = tuned(
        (1.15, 0.75), 0.0, 10.0, "mean hops of a partial sum, and their growth with the side of its strip", FITTED
    )


@dataclass(frozen=True, slots=True)
class PlacingTuning:
    """How placements are estimated (:mod:`spatem_opt.placement.congestion`)."""

    room: float = tuned(400.0, 0.0, 1e5, "queue [cycles] that a router may have after a segment", FITTED)
    evener: float = tuned(0.45, 0.0, 1.0, "share above the mean of busy routers that exchanges of tiles leave", FITTED)


@dataclass(frozen=True, slots=True)
class ReliefTuning:
    """Exchanges of tiles that relieve routers (:mod:`spatem_opt.planning.exchanges`)."""

    quiet: float = tuned(0.85, 0.1, 1.0, "share of what routers pass in a segment's time below which nothing is gained")
    meet: float = tuned(4096.0, 1.0, 1e6, "cycles around which what another segment sends meets a segment's in queues")
    relieved: float = tuned(0.95, 0.1, 1.0, "share of a router that a period's traffic may take before it is relieved")


@dataclass(frozen=True, slots=True)
class PlanTuning:
    """Settings of segments that are tried first, and what plans of theirs are dropped (:mod:`spatem_opt.planning`)."""

    latency_prices: tuple[float, ...] = tuned((0.003, 0.03), 0.0, 1e3, "prices of communication tried first")
    throughput_prices: tuple[float, ...] = tuned((0.003, 0.03), 0.0, 1e3, "prices of communication tried first")
    communication_prices: tuple[float, ...] = tuned((1.0, 10.0, 100.0), 0.0, 1e3, "prices of communication tried first")
    energy_prices: tuple[float, ...] = tuned((0.3, 1.0, 10.0), 0.0, 1e3, "prices of communication tried first")
    balanced_prices: tuple[float, ...] = tuned((0.3, 0.1, 1.0, 3.0), 0.0, 1e3, "prices of communication tried first")
    fills: tuple[float, ...] = tuned(
        (1.0, 0.985, 0.97, 0.9, 0.8), 0.1, 1.0, "shares of the crossbars that segments may plan with, in turn"
    )
    steady_shares: tuple[float, ...] = tuned((0.6, 0.8, 0.4), 0.05, 1.5, "shares of routers for one segment")
    steady_fills: tuple[float, ...] = tuned((1.0, 0.97, 0.94), 0.1, 1.0, "shares of crossbars for one segment")
    small_share: float = tuned(0.2, 0.05, 1.5, "share of routers tried for small networks, too")
    chain_share: float = tuned(0.65, 0.05, 1.5, "share of routers that chains may use")
    hopeless: float = tuned(
        1.2, 1.0, 5.0, "plans whose estimate is so many times above the latency that counts are dropped",
        "estimates are hardly ever a fifth too high",
    )  # fmt: skip
    hopeless_beside: float = tuned(
        1.6, 1.0, 5.0, "the same of segments side by side, which need not take turns",
        "these estimates are too high by up to a half",
    )  # fmt: skip
    believed: float = tuned(
        0.9, 0.0, 1.0, "share of the least error of a kind's estimates that is expected of the next plan of the kind",
        "SqueezeNet: as good an answer by fewer replays; AlexNet, MobileNetV2: the same plans",
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class VariationTuning:
    """How the best plan is varied (:mod:`spatem_opt.planning.segmented`)."""

    spread: float = tuned(0.7, 0.01, 3.0, "standard deviation of the logarithm of a varied price")
    close: float = tuned(0.2, 0.01, 3.0, "the same where prices are bounded by a latency limit")
    edited: float = tuned(0.5, 0.0, 1.0, "how often a variation is an edit of the best plan, at least")
    chained: float = tuned(0.1, 0.0, 1.0, "how often a variation has chains where there were none, or the reverse")
    laid_out: float = tuned(0.4, 0.0, 1.0, "how often it changes how segments follow each other")
    run_freed: float = tuned(0.5, 0.0, 1.0, "how often it changes the weight of a run of layers only")
    focused: float = tuned(0.7, 0.0, 1.0, "how often that run is a segment, the likelier the more cycles it lost")


@dataclass(frozen=True, slots=True)
class Tuning:
    """All groups.

    Examples
    --------
    >>> usual = Tuning()
    >>> usual.digest == Tuning().digest, usual.digest == usual.changed("modes.door", 0.5).digest
    (True, False)
    >>> usual.changed("modes.door", 2)
    Traceback (most recent call last):
    spatem_opt.errors.InstanceError: tuning: modes.door = 2, expected 0.1 ... 1.0
    """

    modes: ModeTuning = ModeTuning()
    placing: PlacingTuning = PlacingTuning()
    relief: ReliefTuning = ReliefTuning()
    plans: PlanTuning = PlanTuning()
    variation: VariationTuning = VariationTuning()

    @property
    def digest(self) -> str:
        """The same for equal constants: what claims of a solution file say of them."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]

    def prices(self, objective: str) -> tuple[float, ...]:
        """Prices of communication tried first for an objective, in units of (latency bound) / (communication bound)."""
        found: tuple[float, ...] = getattr(self.plans, f"{objective}_prices")
        return found

    def changed(self, name: str, value: Any, where: str = "tuning") -> Tuning:
        """With one constant, ``"group.name"``, changed; :class:`InstanceError` if it is none, or out of range."""
        group, _, constant = name.partition(".")
        here: Any = getattr(self, group, None) if group in {own.name for own in fields(self)} else None
        known = {own.name: own for own in fields(here)} if here is not None else {}
        if constant not in known:
            names = [f"{own.name}.{inner.name}" for own in fields(self) for inner in fields(getattr(self, own.name))]
            raise InstanceError(where, "constant", name, f"expected one such as {', '.join(names[:6])}, ...")
        right = _checked(where, name, value, known[constant])
        groups: dict[str, Any] = {group: replace(here, **{constant: right})}
        return replace(self, **groups)


def _checked(where: str, name: str, value: Any, known: Field[Any]) -> float | tuple[float, ...]:
    low, high = known.metadata["low"], known.metadata["high"]
    usual: Any = known.default
    several = isinstance(usual, tuple)
    numbers = value if several and isinstance(value, list | tuple) else [value]
    right = all(isinstance(n, int | float) and not isinstance(n, bool) and low <= n <= high for n in numbers)
    fixed = several and known.name in ("beside", "home")  # pairs
    if not numbers or not right or (fixed and len(numbers) != len(usual)):
        many = f"{len(usual)} numbers in " if fixed else "numbers in " if several else ""
        raise InstanceError(where, name, value, f"expected {many}{low} ... {high}")
    return tuple(float(n) for n in numbers) if several else float(value)


def load_tuning(path: str | Path) -> Tuning:
    """The usual constants with those of a TOML file; :class:`InstanceError` if it has others, or out of range."""
    found, where = Tuning(), str(path)
    for group, constants in read_toml(path, "a table for each group of constants").items():
        if not isinstance(constants, dict):
            raise InstanceError(where, group, constants, "expected a table of constants")
        for name, value in constants.items():
            found = found.changed(f"{group}.{name}", value, where)
    return found
