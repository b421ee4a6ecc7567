"""All baselines and the heuristic on the same chip through the same evaluator."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from spatem_opt.cost import bounds
from spatem_opt.cost.bounds import Bound
from spatem_opt.errors import InstanceError, ModelError
from spatem_opt.evaluator import Evaluation
from spatem_opt.front_end import EXACT_SECONDS, decoupling, prove
from spatem_opt.mapping.shortage import shortage
from spatem_opt.model.architecture import Architecture
from spatem_opt.model.arguments import check_flag, check_run
from spatem_opt.model.result import Decoupling, Shortage, Step, gap
from spatem_opt.network.layers import Network
from spatem_opt.planning import registry
from spatem_opt.planning.baselines import BASELINES
from spatem_opt.planning.protocol import Planner, Task, lacking
from spatem_opt.search.budget import Budget
from spatem_opt.search.engine import Evaluated, Search, Tell, search
from spatem_opt.search.progress import Listener, Teller
from spatem_opt.search.realisation import measure
from spatem_opt.search.stop import catch_interrupt

HALF = "half-latency"
"""Row of least communication with at most half of the best baseline's latency."""
OURS = {"heuristic": "latency", "balanced": "balanced", HALF: "communication"}
"""Row -> objective it searches for. ``balanced`` minimises latency times communication. Each row is the best of all
that is found for any of them."""
EXACT = "exact"
"""Row of the exact steps, where asked for: they start from the solution of least latency of the heuristic's."""
PAPER = {"latency": 0.2924, "communication": 0.3128}
"""Average reductions that the abstract reports (ASP-DAC 2022, pp. 702-707)."""
COMPARABLE = (
    "The paper's networks, chip and baselines are not public, so its averages are no yardstick for these: what is "
    "comparable is each row with the baselines of its own network, on the same chip, through the same evaluator."
)


@dataclass(frozen=True, slots=True)
class MethodRow:
    """One method on one network; numbers are None if it has no solution, and `note` says why.

    Parameters
    ----------
    method : str
        A planner, or one of ours.
    plan : str or None
        Candidate that won.
    latency_cycles, latency_ms, period_cycles, communication_bits, energy_fj
    buffer_read_bits, feature_map_bit_hops, partial_sum_bit_hops
        Parts of the communication.
    ou_occupancy, crossbars_used, cells_used : float or None
        Shares of the chip, 0 .. 1.
    busiest_router : float or None
        Load of the busiest router over its capacity, mean over the latency.
    bound, gap
        Proven bound of the latency [cycles]; relative distance from it.
    binding : str or None
        Term of the bound that is the largest (:class:`~spatem_opt.cost.bounds.Bound`).
    seconds : float
        Wall time; that of our rows includes the baselines in their portfolio.
    note : str
        Empty for a solution.
    """

    method: str
    plan: str | None = None
    latency_cycles: int | None = None
    latency_ms: float | None = None
    period_cycles: int | None = None
    communication_bits: int | None = None
    buffer_read_bits: int | None = None
    feature_map_bit_hops: int | None = None
    partial_sum_bit_hops: int | None = None
    energy_fj: int | None = None
    ou_occupancy: float | None = None
    crossbars_used: float | None = None
    cells_used: float | None = None
    busiest_router: float | None = None
    bound: int | None = None
    gap: float | None = None
    binding: str | None = None
    seconds: float = 0.0
    note: str = ""

    @property
    def solved(self) -> bool:
        """Whether there is a solution."""
        return self.latency_cycles is not None


@dataclass(frozen=True, slots=True)
class Reduction:
    """``1 - ours / baseline`` against one and the same baseline; negative where we lose."""

    method: str
    baseline: str
    latency: float
    communication: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """All methods on one network and chip; `shortage` if its weights provably do not fit (then there are no rows).

    ``steps`` is what was proven step by step, and ``decoupling`` what solving them one by one costs, if that was asked
    for.
    """

    network: str
    architecture: str
    rows: tuple[MethodRow, ...] = ()
    shortage: Shortage | None = None
    steps: tuple[Step, ...] = ()
    decoupling: Decoupling | None = None

    @property
    def best(self) -> MethodRow | None:
        """The baseline of lowest latency (ties: less communication), None if none has a solution."""
        known = [row for row in self.rows if row.method in BASELINES and row.solved]
        return min(known, key=lambda row: (row.latency_cycles, row.communication_bits), default=None)

    @property
    def reductions(self) -> tuple[Reduction, ...]:
        """Each of our rows against :attr:`best`; empty without a baseline."""
        best = self.best
        if best is None:
            return ()
        return tuple(_reduction(row, best) for row in self.rows if row.method in OURS and row.solved)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; :meth:`from_dict` reads it again."""
        best = self.best
        return {
            "network": self.network,
            "architecture": self.architecture,
            "shortage": None if self.shortage is None else self.shortage.to_dict(),
            "rows": [asdict(row) for row in self.rows],
            "best_baseline": None if best is None else best.method,
            "reductions": [asdict(reduction) for reduction in self.reductions],
            "steps": [step.to_dict() for step in self.steps],
            "decoupling": None if self.decoupling is None else asdict(self.decoupling),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Comparison:
        """Read what :meth:`to_dict` writes; raises :class:`InstanceError` if it is something else."""
        try:
            missing = data["shortage"]
            if missing is not None:
                missing = Shortage.from_dict(missing)
            rows = tuple(MethodRow(**row) for row in data["rows"])
            steps = tuple(Step.from_dict(step) for step in data.get("steps", ()))
            price = data.get("decoupling")
            decoupled = None if price is None else Decoupling(**price)
            return cls(data["network"], data["architecture"], rows, missing, steps, decoupled)
        except (KeyError, TypeError) as error:
            raise InstanceError("comparison", "", str(error), "expected what to_dict writes") from error


@dataclass(frozen=True, slots=True)
class Mean:
    """Reductions by the geometric means of our ratios to the best baseline, over `networks` networks."""

    method: str
    networks: int
    latency: float
    communication: float


@dataclass(frozen=True, slots=True)
class Summary:
    """Comparisons of several networks and what they say together."""

    comparisons: tuple[Comparison, ...]
    means: tuple[Mean, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "comparisons": [comparison.to_dict() for comparison in self.comparisons],
            "geometric_means": [asdict(mean) for mean in self.means],
            "paper": {**PAPER, "note": COMPARABLE},
        }


def compare(
    network: Network,
    architecture: Architecture,
    *,
    time_limit: float | None = None,
    seed: int = 0,
    planners: Sequence[Planner | str] = (),
    exact: bool = False,
    workers: int = 1,
    progress: Listener | None = None,
) -> Comparison:
    """Run every baseline, and the heuristic for the rows of :data:`OURS`.

    Parameters
    ----------
    network, architecture
    time_limit : float, optional
        Seconds for each of our rows, which use all of them to improve. Baselines are always finished.
    seed : int
        Of the improvement.
    planners : sequence of Planner or str
        More planners, each alone for latency in a row of its own: objects, names, or ``path/file.py:Class``. With a
        time limit they have all of it.
    exact : bool
        Also a row :data:`EXACT`, and what it proves of each step, within the same time limit
        (:data:`~spatem_opt.front_end.EXACT_SECONDS` without one).
    workers : int
        Processes of the heuristic that make plans, and threads of CP-SAT.
    progress : callable, optional
        Told what is tried, as in :func:`spatem_opt.front_end.solve`; numbers only where there is a bound.

    Returns
    -------
    Comparison
        Rows in the order of :data:`~spatem_opt.planning.baselines.BASELINES`, then ``planners``, :data:`OURS`, maybe
        :data:`EXACT`.

    Examples
    --------
    >>> from spatem_opt import load_architecture
    >>> from spatem_opt.network import chain
    >>> found = compare(chain(2, 4, 6), load_architecture("ou-isaac-2x2", {"adc_bits": 5}))
    >>> [row.method for row in found.rows][-2:], found.best.method in BASELINES
    (['balanced', 'half-latency'], True)
    """
    time_limit, seed, workers = check_run(
        "compare", (network, architecture), time_limit=time_limit, seed=seed, workers=workers, progress=progress
    )
    check_flag("compare", "exact", exact)
    others = [registry.planner(planner) for planner in planners]
    tell = Teller(progress, network.name)
    short = shortage(network, architecture)
    if short is not None:
        return Comparison(network.name, architecture.name, shortage=short)
    bound = bounds.latency(network, architecture)
    run = _Compared(network, architecture, bound, tell, time_limit, seed, workers)
    done = [run.alone(registry.planner(name), None) for name in BASELINES]
    rows = [row for row, _ in done] + [run.alone(planner, time_limit)[0] for planner in others]
    pool = [(row.method, found) for row, found in done if found is not None]
    fastest = min((found.latency_cycles or 0 for _, found in pool), default=None)
    ours, best = run.ours(pool, fastest)
    steps: tuple[Step, ...] = ()
    price: Decoupling | None = None
    if exact and best is not None:
        exact_seconds = EXACT_SECONDS if time_limit is None else time_limit
        row, steps, price = _exact(best, bound, exact_seconds, seed, workers, tell)
        ours.append(row)
    return Comparison(network.name, architecture.name, (*rows, *ours), steps=steps, decoupling=price)


@dataclass(frozen=True, slots=True, eq=False)
class _Compared:
    """What all rows of a comparison have in common."""

    network: Network
    architecture: Architecture
    bound: Bound
    tell: Teller
    time_limit: float | None
    seed: int
    workers: int

    def alone(self, planner: Planner, time_limit: float | None) -> tuple[MethodRow, Evaluation | None]:
        """The row of one planner for latency, and what it found; without a time limit a first answer."""
        self.tell(planner.name)
        budget = Budget(time_limit)
        task = Task(self.network, self.architecture, "latency", endless=time_limit is not None)
        short = lacking(planner, task)
        if short is not None:
            return MethodRow(planner.name, bound=self.bound.value, note=f"does not fit: {short}"), None
        begun = time.monotonic()
        stop = None if time_limit is None else budget.over
        solutions = Search(task, [planner], (), self.seed, self.workers, stop, budget).run()
        found = min(solutions, key=lambda made: made.value, default=None)
        seconds = time.monotonic() - begun
        if found is None:
            note = "no schedule that ports, routers and buffers can follow"
            return MethodRow(planner.name, bound=self.bound.value, seconds=seconds, note=note), None
        return _row(planner.name, found.name, found.evaluation, self.bound, seconds), found.evaluation

    def ours(
        self, pool: list[tuple[str, Evaluation]], fastest: int | None
    ) -> tuple[list[MethodRow], Evaluated | None]:
        """The rows of :data:`OURS`, from all that is found for any of them, and the fastest solution."""
        seconds, fastest_of_ours = {}, _Fastest()
        for name, objective in OURS.items():
            begun = time.monotonic()
            limit = fastest // 2 if name == HALF and fastest is not None else None
            if name != HALF or limit is not None:
                budget = None if self.time_limit is None else Budget(self.time_limit)
                found = search(
                    self.network, self.architecture, objective, "heuristic", self.tell, seed=self.seed,
                    latency_limit=limit, workers=self.workers, stop=None if budget is None else budget.over,
                    budget=budget,
                )  # fmt: skip
                pool += [fastest_of_ours.seen(one) for one in found]
            seconds[name] = time.monotonic() - begun
        rows = [_ours(name, pool, fastest, self.bound, spent) for name, spent in seconds.items()]
        return rows, fastest_of_ours.best


def installed_planners() -> tuple[str, ...]:
    """Names of planners that other packages brought along."""
    return tuple(registry.installed(registry.PLANNERS))


def summarize(comparisons: Iterable[Comparison]) -> Summary:
    """Geometric means over all networks that have both a baseline and our row.

    Examples
    --------
    >>> rows = (
    ...     MethodRow("woho", "woho", 100, communication_bits=50),
    ...     MethodRow("heuristic", "x", 25, communication_bits=40),
    ... )
    >>> summarize([Comparison("a", "chip", rows)]).means
    (Mean(method='heuristic', networks=1, latency=0.75, communication=0.2),)
    """
    comparisons = tuple(comparisons)
    means = []
    for method in OURS:
        found = [r for comparison in comparisons for r in comparison.reductions if r.method == method]
        if found:
            shares = [r.latency for r in found], [r.communication for r in found]
            means.append(Mean(method, len(found), *(_mean(values) for values in shares)))
    return Summary(comparisons, tuple(means))


def _mean(reductions: Sequence[float]) -> float:
    """Reduction by the geometric mean of the remaining shares; a share of nothing (reduction 1) makes it 1."""
    if any(reduction >= 1 for reduction in reductions):
        return 1.0
    return round(1 - math.exp(sum(math.log(1 - reduction) for reduction in reductions) / len(reductions)), 12)


def _reduction(ours: MethodRow, base: MethodRow) -> Reduction:
    def share(value: int | None, reference: int | None) -> float:
        return 1 - (value or 0) / reference if reference else 0.0

    return Reduction(
        ours.method, base.method, share(ours.latency_cycles, base.latency_cycles),
        share(ours.communication_bits, base.communication_bits),
    )  # fmt: skip


class _Fastest:
    """Keeps the solution of least latency, whatever it was searched for."""

    def __init__(self) -> None:
        self.best: Evaluated | None = None

    def seen(self, found: Evaluated) -> tuple[str, Evaluation]:
        """Take note of a solution; returns its entry in the pool."""
        latency = measure(found.evaluation, "latency")
        if self.best is None or latency < self.best.value:
            self.best = replace(found, value=latency)
        return found.name, found.evaluation


def _exact(
    best: Evaluated, bound: Bound, seconds: float, seed: int, workers: int, tell: Tell
) -> tuple[MethodRow, tuple[Step, ...], Decoupling | None]:
    """The row of the exact steps, what they prove, and what solving them one by one costs (None after Ctrl-C)."""
    begun = time.monotonic()
    with catch_interrupt() as interrupted:
        stop = partial(interrupted, 0.0)
        found, steps = prove(best, "latency", Budget(seconds, stop), (seed, workers), tell)
        spent = time.monotonic() - begun
        tell("all steps at once")
        price = None if interrupted.pressed else decoupling(found, seconds, seed, workers, Budget(seconds, stop))
    return _row(EXACT, found.name, found.evaluation, bound, spent), steps, price


def _ours(
    name: str, pool: Sequence[tuple[str, Evaluation]], fastest: int | None, bound: Bound, seconds: float
) -> MethodRow:
    """Best of all found so far, the baselines among them: they are in the heuristic's portfolio."""
    objective = OURS[name]

    def rank(entry: tuple[str, Evaluation]) -> tuple[int, int]:
        latency = measure(entry[1], "latency")
        slow = name == HALF and fastest is not None and 2 * latency > fastest
        return (1, latency) if slow else (0, measure(entry[1], objective))

    if not pool:
        return MethodRow(name, bound=bound.value, seconds=seconds, note="no solution found")
    plan, evaluation = min(pool, key=rank)
    return _row(name, plan, evaluation, bound, seconds)


def _row(method: str, plan: str, found: Evaluation, bound: Bound, seconds: float) -> MethodRow:
    c, u, e, r = found.communication, found.utilization, found.energy, found.routers
    if found.latency_cycles is None or found.latency_ns is None or not (c and u and e and r):
        raise ModelError(f"{method}: a solution without violations could not be replayed")
    return MethodRow(
        method, plan, found.latency_cycles, found.latency_ns / 1e6, found.period_cycles, c.total,
        c.buffer_read_bits, c.feature_map_bit_hops, c.partial_sum_bit_hops, e.total,
        u.ou_occupancy, u.crossbars_used / u.crossbars, u.cells_used / u.cells,
        r.busiest_mean, bound.value, gap(found.latency_cycles, bound.value), bound.binding, round(seconds, 3),
    )  # fmt: skip
