"""A front of latency against communication: what neither less time nor fewer bits can be had without losing the other.

The segment search is run over a geometric sweep of prices of communication; the one-segment pipeline and the baselines
join, and the undominated remain. A heuristic front: other solutions may dominate its points.
"""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import orjson

from spatem_opt import bounds
from spatem_opt.architecture import Architecture
from spatem_opt.arguments import amount, check_run
from spatem_opt.baselines import BASELINES
from spatem_opt.errors import InstanceError, ModelError
from spatem_opt.files import write_atomically
from spatem_opt.finish import finish
from spatem_opt.heuristic import Candidates
from spatem_opt.io import write_solution
from spatem_opt.network.layers import Network
from spatem_opt.plan import Plan, improved, problem_of
from spatem_opt.result import Shortage
from spatem_opt.settings import Setting
from spatem_opt.shortage import shortage
from spatem_opt.solution import Solution
from spatem_opt.stop import catch_interrupt

PRICES = (0.0, 1.0, 0.1, 10.0, 0.03, 0.3, 3.0, 100.0, 0.01, 30.0)
"""Prices of communication in units of (latency bound) / (communication bound); coarse first, for short limits."""

Progress = Callable[[str], None]
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
    """

    network: str
    architecture: str
    points: tuple[Point, ...]
    dominated: tuple[Point, ...] = ()
    latency_bound: int | None = None
    communication_bound: int | None = None
    seconds: float = 0.0
    shortage: Shortage | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON, without the solutions."""
        return {
            "format": "spatem-front", "version": 1, "network": self.network, "architecture": self.architecture,
            "latency_bound": self.latency_bound, "communication_bound": self.communication_bound,
            "seconds": round(self.seconds, 3), "shortage": self.shortage.to_dict() if self.shortage else None,
            "points": [point.to_dict() for point in self.points],
            "dominated": [point.to_dict() for point in self.dominated],
        }  # fmt: skip


def front(
    network: Network,
    architecture: Architecture,
    *,
    prices: Iterable[float] = PRICES,
    time_limit: float | None = None,
    progress: Progress | None = None,
) -> Front:
    """Sweep the price of communication and keep the undominated solutions.

    Parameters
    ----------
    network, architecture
    prices : iterable of float
        In units of (latency bound) / (communication bound); 0 asks for latency alone.
    time_limit : float, optional
        Seconds after which no further candidate is tried; a first solution is always finished. Ctrl-C has the same
        effect.
    progress : callable, optional
        Told in a few words what is going on.

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
    found: list[Point] = []
    with catch_interrupt() as interrupted:
        for name, make in _planners(network, architecture, prices):
            if progress is not None:
                progress(f"{name}, {len(undominated(found, _values))} points so far")
            plan = make()
            problem = None if plan is None else problem_of(plan, network, architecture)
            made = None if plan is None else finish(plan, network, architecture, problem=problem)
            if plan is not None and problem is not None and made is not None:
                found = _pruned([*found, _point(name, *made)])
                if found[-1].solution is not None:
                    made = finish(improved(plan, problem), network, architecture)
                    found = found if made is None else _pruned([*found, _point(f"{name}, moved", *made)])
            late = time_limit is not None and time.monotonic() - begun > time_limit
            if interrupted(0) or (late and found):
                break
    best = undominated(found, _values)
    return Front(
        network.name, architecture.name, tuple(best), tuple(p for p in found if p not in best),
        bounds.latency(network, architecture).value, bounds.communication(network, architecture).value,
        time.monotonic() - begun,
    )  # fmt: skip


def check_prices(prices: Iterable[float]) -> tuple[float, ...]:
    """Prices as plain numbers; raises :class:`InstanceError` if one is negative or no number."""
    if isinstance(prices, str) or not isinstance(prices, Iterable):
        raise InstanceError("pareto", "prices", prices, "expected numbers >= 0")
    return tuple(amount("pareto", f"prices[{i}]", price) or 0.0 for i, price in enumerate(prices))


def undominated(items: Iterable[Item], values: Callable[[Item], tuple[int, int]]) -> list[Item]:
    """Return the items of which no other is at most as large in both values; of equal ones the first.

    Examples
    --------
    >>> undominated([(3, 1), (1, 3), (2, 3), (2, 2), (1, 3)], lambda pair: pair)
    [(1, 3), (2, 2), (3, 1)]
    """
    kept: list[Item] = []
    for item in sorted(items, key=values):
        if not kept or values(item)[1] < values(kept[-1])[1]:
            kept.append(item)
    return kept


def write(found: Front, folder: Path) -> list[Path]:
    """Write ``front.json``, ``front.csv`` and one solution file per point, ``00.json.gz`` the fastest.

    Raises
    ------
    InstanceError
        If the folder cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InstanceError(str(folder), "", "cannot be made", error.strerror or "expected a folder") from error
    data, text = found.to_dict(), io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file", "name", "latency_cycles", "communication_bits"])
    paths = [folder / f"{number:02}.json.gz" for number in range(len(found.points))]
    for path, point, entry in zip(paths, found.points, data["points"], strict=True):
        if point.solution is None:
            raise ModelError(f"{point.name}: a point of the front without solution")
        write_solution(point.solution, path)
        entry["file"] = path.name
        writer.writerow([path.name, *point.to_dict().values()])
    write_atomically(folder / "front.json", orjson.dumps(data, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    write_atomically(folder / "front.csv", text.getvalue().encode())
    return [*paths, folder / "front.json", folder / "front.csv"]


def _values(point: Point) -> tuple[int, int]:
    return point.latency, point.communication


def _pruned(found: list[Point]) -> list[Point]:
    """Without the solutions of dominated points: they are large."""
    best = undominated(found, _values)
    return [point if point in best else replace(point, solution=None) for point in found]


def _point(name: str, solution: Solution, found: Any) -> Point:
    if found.latency_cycles is None or found.communication is None:
        raise ModelError(f"{name}: a solution without violations could not be replayed")
    latency, communication = found.latency_cycles, found.communication.total
    claims = {
        "total": {"objective": "latency", "latency": latency, "communication": communication},
        "search": {"method": "pareto", "plan": name, "status": "feasible"},
    }
    return Point(name, latency, communication, replace(solution, claims=claims))


def _planners(
    network: Network, architecture: Architecture, prices: Iterable[float]
) -> Iterator[tuple[str, Callable[[], Plan | None]]]:
    candidates = Candidates(network, architecture, "balanced")
    for price in prices:
        beside = price >= 1
        name = f"segments (price {price:g}{', side by side' if beside else ''})"
        yield name, partial(candidates.segmented, Setting(price, side_by_side=beside))
    yield "pipeline", candidates.one_segment
    for name, baseline in BASELINES.items():
        yield name, partial(baseline, network, architecture)
