"""A front of latency against communication: what neither less time nor fewer bits can be had without losing the other.

The segment search is run over a geometric sweep of prices of communication; the one-segment pipeline and the baselines
join, and the undominated remain. A heuristic front: other solutions may dominate its points.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol, TypeVar

from numpy.random import default_rng

from spatem_opt.cost import bounds
from spatem_opt.errors import InstanceError, ModelError
from spatem_opt.evaluator import Evaluation
from spatem_opt.mapping.shortage import shortage
from spatem_opt.model.architecture import Architecture
from spatem_opt.model.arguments import amount, check_run
from spatem_opt.model.result import Shortage
from spatem_opt.model.solution import Solution
from spatem_opt.network.layers import Network
from spatem_opt.planning.baselines import BASELINES
from spatem_opt.planning.candidates import candidates_of
from spatem_opt.planning.exchanges import Shorten, exchanged
from spatem_opt.planning.one_segment import Pipeline
from spatem_opt.planning.plan import Plan
from spatem_opt.planning.protocol import Task
from spatem_opt.planning.settings import Setting
from spatem_opt.search.budget import Budget
from spatem_opt.search.progress import Listener, Teller
from spatem_opt.search.realisation import realise
from spatem_opt.search.stop import catch_interrupt

PRICES = (0.0, 1.0, 0.1, 10.0, 0.03, 0.3, 3.0, 100.0, 0.01, 30.0)
"""Prices of communication in units of (latency bound) / (communication bound); coarse first, for short limits."""

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """One solution.

    Parameters
    ----------
    name : str
        Candidate that it comes from.
    latency, communication : int
        Cycles, bits.
    solution : Solution or None
        Valid by the evaluator; None for dominated points, of which only the numbers are kept.
    """

    name: str
    latency: int
    communication: int
    solution: Solution | None

    def to_dict(self) -> dict[str, Any]:
        """Name and numbers."""
        return {"name": self.name, "latency_cycles": self.latency, "communication_bits": self.communication}


@dataclass(frozen=True, slots=True, eq=False)
class Front:
    """Undominated solutions by rising latency, hence falling communication.

    Parameters
    ----------
    network, architecture : str
    points : tuple of Point
        Empty if nothing was found, or with `shortage` if nothing can be.
    dominated : tuple of Point
        The others that were evaluated.
    latency_bound, communication_bound : int or None
        No solution whatever is below either.
    seconds : float
    shortage : Shortage or None
    cut : tuple of str
        What was cut short because the time was up or the run was interrupted.
    """

    network: str
    architecture: str
    points: tuple[Point, ...]
    dominated: tuple[Point, ...] = ()
    latency_bound: int | None = None
    communication_bound: int | None = None
    seconds: float = 0.0
    shortage: Shortage | None = None
    cut: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON, without the solutions."""
        return {
            "format": "spatem-front", "version": 1, "network": self.network, "architecture": self.architecture,
            "latency_bound": self.latency_bound, "communication_bound": self.communication_bound,
            "seconds": round(self.seconds, 3), "shortage": self.shortage.to_dict() if self.shortage else None,
            "points": [point.to_dict() for point in self.points],
            "dominated": [point.to_dict() for point in self.dominated], "cut_short": list(self.cut),
        }  # fmt: skip


class Keeper(Protocol):
    """Keeps points as they come, such as :class:`spatem_opt.study.front_folder.Folder`."""

    def begin(self) -> tuple[list[Point], set[str]]:
        """Return the points of a run before this one, and the candidates that it tried."""
        ...

    def keep(self, found: Front, tried: Iterable[str]) -> object:
        """Keep the front as it is now."""
        ...


def front(
    network: Network,
    architecture: Architecture,
    *,
    prices: Iterable[float] = PRICES,
    time_limit: float | None = None,
    progress: Listener | None = None,
    keeper: Keeper | None = None,
) -> Front:
    """Sweep the price of communication and keep the undominated solutions.

    Parameters
    ----------
    network, architecture
    prices : iterable of float
        In units of (latency bound) / (communication bound); 0 asks for latency alone.
    time_limit : float, optional
        Seconds, after which what is tried is given up; a first solution is always finished. Ctrl-C and SIGTERM have the
        same effect.
    progress : callable, optional
        Told what is tried.
    keeper : Keeper, optional
        Given the front with every new point; what it has of a run before this one is not tried again.

    Returns
    -------
    Front
        Baselines are candidates too, so no baseline dominates a point unless time ran out before it was tried.

    Examples
    --------
    >>> from spatem_opt import load_architecture, load_network
    >>> found = front(load_network("lenet5"), load_architecture("ou-isaac-4x4", {"adc_bits": 5}), prices=[0, 1])
    >>> all(a.latency < b.latency and a.communication > b.communication
    ...     for a, b in zip(found.points, found.points[1:]))
    True
    """
    time_limit = check_run("pareto", (network, architecture), time_limit=time_limit, progress=progress).time_limit
    prices = check_prices(prices)
    begun = time.monotonic()
    missing = shortage(network, architecture)
    if missing is not None:
        return Front(network.name, architecture.name, (), shortage=missing)
    with catch_interrupt() as interrupted:
        sweep = _Sweep(network, architecture, Budget(time_limit, partial(interrupted, 0.0)), keeper)
        tell = Teller(progress)
        for name, make in _planners(network, architecture, prices):
            if name in sweep.tried:
                continue
            if sweep.ended():
                break
            tell(f"{name}, {len(undominated(sweep.found, values))} points so far")
            sweep.attempt(name, make)
    return sweep.front(time.monotonic() - begun)


def check_prices(prices: Iterable[float]) -> tuple[float, ...]:
    """Prices as plain numbers; raises :class:`InstanceError` if one is negative or no number."""
    if isinstance(prices, str) or not isinstance(prices, Iterable):
        raise InstanceError("pareto", "prices", prices, "expected numbers >= 0")
    return tuple(amount("pareto", f"prices[{i}]", price) or 0.0 for i, price in enumerate(prices))


class _Sweep:
    """What was found so far, ``found``, of which candidates, ``tried``."""

    def __init__(self, network: Network, architecture: Architecture, budget: Budget, keeper: Keeper | None) -> None:
        self._network, self._architecture, self._budget, self._keeper = network, architecture, budget, keeper
        self.found, self.tried = ([], set[str]()) if keeper is None else keeper.begin()
        self._bounds = bounds.latency(network, architecture).value, bounds.communication(network, architecture).value
        self._keep()

    def ended(self) -> bool:
        """Whether no other candidate is to be tried."""
        return bool(self.found) and self._budget.over()

    def attempt(self, name: str, make: Callable[[], Plan | None]) -> None:
        """Try a candidate, then with its copies moved nearer to each other; cut short, it counts as not tried."""
        cuts = self._budget.cuts
        made = self._budget.spend(name, partial(self._first, make), self.ended)
        if made is not None:
            plan, solution, evaluation = made
            point = self._add(_point(name, solution, evaluation))
            if point.solution is not None:
                again = partial(self._moved, plan)
                moved = self._budget.spend(f"{name}, moved,", again, self.ended)
                if moved is not None:
                    self._add(_point(f"{name}, moved", *moved))
        if self._budget.cuts == cuts:
            self.tried.add(name)
            self._keep()

    def front(self, seconds: float) -> Front:
        """The front so far."""
        best = undominated(self.found, values)
        return Front(
            self._network.name, self._architecture.name, tuple(best), tuple(p for p in self.found if p not in best),
            *self._bounds, seconds, cut=self._budget.cuts,
        )  # fmt: skip

    def _first(self, make: Callable[[], Plan | None]) -> tuple[Plan, Solution, Evaluation] | None:
        plan = make()
        if plan is None:
            return None
        made = realise(plan, self._network, self._architecture, full=False)
        return None if made is None else (plan, *made)

    def _moved(self, plan: Plan) -> tuple[Solution, Evaluation] | None:
        moved = exchanged(plan, Shorten(), self._network, self._architecture)
        return realise(moved, self._network, self._architecture, full=False)

    def _add(self, point: Point) -> Point:
        """Take a point, unless a run before this one had it; returns it without its solution if it is dominated."""
        if any(point.name == other.name for other in self.found):
            return point
        self.found = _pruned([*self.found, point])
        self._keep()
        return self.found[-1]

    def _keep(self) -> None:
        if self._keeper is not None:
            self._keeper.keep(self.front(0.0), self.tried)


def undominated(items: Iterable[Item], of: Callable[[Item], tuple[int, int]]) -> list[Item]:
    """Return the items of which no other is at most as large in both values; of equal ones the first.

    Examples
    --------
    >>> undominated([(3, 1), (1, 3), (2, 3), (2, 2), (1, 3)], lambda pair: pair)
    [(1, 3), (2, 2), (3, 1)]
    """
    kept: list[Item] = []
    for item in sorted(items, key=of):
        if not kept or of(item)[1] < of(kept[-1])[1]:
            kept.append(item)
    return kept


def values(point: Point) -> tuple[int, int]:
    """Latency [cycles] and communication [bits]."""
    return point.latency, point.communication


def _pruned(found: list[Point]) -> list[Point]:
    """Without the solutions of dominated points: they are large."""
    best = undominated(found, values)
    return [point if point in best else replace(point, solution=None) for point in found]


def _point(name: str, solution: Solution, found: Evaluation) -> Point:
    if found.latency_cycles is None or found.communication is None:
        raise ModelError(f"{name}: a solution without violations could not be replayed")
    latency, communication = found.latency_cycles, found.communication.total
    claims: dict[str, dict[str, Any]] = {
        "total": {"objective": "latency", "latency": latency, "communication": communication},
        "search": {"method": "pareto", "plan": name, "status": "feasible"},
    }
    return Point(name, latency, communication, replace(solution, claims=claims))


def _planners(
    network: Network, architecture: Architecture, prices: Iterable[float]
) -> Iterator[tuple[str, Callable[[], Plan | None]]]:
    task = Task(network, architecture, "balanced")
    candidates = task.shared(candidates_of)
    for price in prices:
        beside = price >= 1
        name = f"segments (price {price:g}{', side by side' if beside else ''})"
        yield name, partial(candidates.segmented, Setting(price, side_by_side=beside))
    yield "pipeline", lambda: next(Pipeline().plans(task, default_rng(0)), None)
    for name, baseline in BASELINES.items():
        yield name, partial(baseline, network, architecture)
