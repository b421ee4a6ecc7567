"""Replication by cuts, exactly: bounds of all runs, labels on the path of cuts, single runs solved where they decide.

The method is in ``EXACT.md``. Every number it reports as a bound is one for all cuts, slots, paces and ways.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from formulations.replication import cpsat, ilp
from formulations.replication.columns import Labels, SegmentColumn, SegmentColumns, labels, path
from formulations.replication.pricing import Pricing
from formulations.replication.problem import SegmentationProblem, SegmentationSolution, check
from formulations.solver import Limits, StepResult, Stop, concluded, pulp_engine, versions
from formulations.solver import SolverRun as Outcome
from spatem_opt.errors import InstanceError, ModelError
from spatem_opt.model.result import Shortage, Status
from spatem_opt.types import FloatArray, IntArray

MasterEngine = Literal["cpsat", "ilp"]
SolveSegment = Callable[[SegmentColumn, Limits], tuple[Outcome, list[int] | None]]
SOLVE_SEGMENT: dict[str, SolveSegment] = {"cpsat": cpsat.solve_segment, "ilp": ilp.solve_segment}
BATCH = 24
"""Runs solved exactly between two passes of the labels, at most."""
IMPOSSIBLE = 10**17
"""Cost of a run that does not exist."""
SEGMENT_SECONDS = 10.0
"""Wall time for one run."""


def solve(
    problem: SegmentationProblem,
    *,
    time_limit: float,
    seed: int = 0,
    workers: int = 2,
    hint: SegmentationSolution | None = None,
    gap: float = 0.0,
    engine: MasterEngine = "cpsat",
    deterministic_limit: float | None = None,
    stop: Stop | None = None,
) -> StepResult[SegmentationSolution]:
    """Cuts, slots, paces and ways of least cost, with a proven bound.

    Parameters
    ----------
    problem : SegmentationProblem
    time_limit : float
        Wall time [s]; the tables of bounds are finished even so.
    seed, workers : int
    hint : SegmentationSolution or None
        Feasible solution to start from (:func:`formulations.replication.problem.from_segmentation`).
    gap : float
        Stop when ``(objective - bound) / objective`` is no larger.
    engine : {"cpsat", "ilp"}
        Solves single runs.
    deterministic_limit : float or None
        Deterministic time of each run of CP-SAT.
    stop : callable or None
        As in :class:`~formulations.solver.Limits`; the tables of bounds end, too, and there may be no bound.

    Raises
    ------
    InstanceError
        If there is no such engine.
    ModelError
        If a solution does not pass the referee: a bug of ours.
    """
    if engine not in SOLVE_SEGMENT:
        raise InstanceError("replication", "engine", engine, f"expected one of {', '.join(SOLVE_SEGMENT)}")
    begin, limits = time.monotonic(), Limits(time_limit, seed, workers, deterministic_limit, stop)
    search = _Search(problem, limits, begin, SOLVE_SEGMENT[engine])
    if hint is not None:
        search.accept(hint)
    search.open(gap)
    search.refine(gap)
    return search.result(engine)


@dataclass(slots=True)
class _Open:
    """Columns that may be part of a better solution: bounds, what is known to be possible, which were solved."""

    columns: SegmentColumns
    upper: FloatArray
    known: dict[int, IntArray]
    tried: set[int]


class _Search:
    """State of one solution process."""

    def __init__(self, problem: SegmentationProblem, limits: Limits, begin: float, solve_run: SolveSegment) -> None:
        self.problem, self.limits, self.begin, self.solve_run = problem, limits, begin, solve_run
        self.best: SegmentationSolution | None = None
        self.objective, self.bound, self.proven_empty = np.inf, 0, False
        self.pricing: Pricing
        self.lower: list[FloatArray] = []
        none = np.zeros(0, dtype=np.int64)
        self.table = _Open(SegmentColumns(problem, none, none, none, none, none), np.zeros(0), {}, set())

    def accept(self, solution: SegmentationSolution) -> None:
        """Take a solution over if it is better."""
        verdict = check(self.problem, solution)
        if verdict.violations:
            family, message = verdict.violations[0]
            raise ModelError(f"replication: {len(verdict.violations)} violations, the first: {family}: {message}")
        if verdict.objective < self.objective:
            self.best, self.objective = solution, verdict.objective

    def raise_bound(self, bound: float) -> None:
        """Take a bound over if it is better; no path at all below the best solution proves that one optimal."""
        if np.isfinite(bound):
            self.bound = max(self.bound, min(int(np.ceil(bound - 1e-3)), int(min(self.objective, 1e18))))
        elif self.best is None:
            self.proven_empty = True
        else:
            self.bound = int(self.objective)

    def closed(self, gap: float) -> bool:
        """Whether the gap is small enough."""
        return self.proven_empty or bool(self.objective - self.bound <= gap * self.objective < np.inf)

    def open(self, gap: float) -> None:
        """Bounds of all runs, a first path, and the columns that may be part of a better one."""
        problem = self.problem
        paces = int(np.searchsorted(problem.paces * 1000, self.objective, side="right"))
        pricing = self.pricing = Pricing(problem, max(1, paces))
        lower = self.lower
        upper: list[FloatArray] = []
        pace: list[IntArray] = []
        for first in range(problem.layers):
            if self.limits.stopped:
                return
            low, high = pricing.runs(first)
            lower.append(low.min(axis=1))
            upper.append(high.min(axis=1))
            pace.append(high.argmin(axis=1))
        steps = path(problem, upper, labels(problem, upper))
        if steps:
            picked = [(i, j, s, int(pace[i][s, j - i - 1])) for i, j, s in steps]
            self.accept(self._solution(picked, [_must(pricing.allocation(*step)) for step in picked]))
        found = labels(problem, lower)
        self.raise_bound(found.best)
        if not self.closed(gap):
            self._collect(lower, found)

    def _collect(self, lower: list[FloatArray], found: Labels, below: int = 0) -> None:
        """Columns through which a path may be better than the best solution by more than `below`."""
        problem, parts = self.problem, []
        for first in range(problem.layers):
            low, high = self.pricing.runs(first)
            stop = np.arange(first + 1, problem.layers + 1)
            for s, k in enumerate(problem.slots.tolist()):
                if k > problem.capacity or not np.isfinite(lower[first][s]).any():
                    continue
                around = found.through(first, stop, k, np.zeros(len(stop)))
                p, j = np.nonzero(low[s] + around < self.objective - below)
                one = np.ones(len(p))
                parts.append(np.stack([first * one, stop[j], s * one, p, low[s][p, j], high[s][p, j]]))
        table = np.concatenate(parts, axis=1) if parts else np.zeros((6, 0))
        self.table = _Open(SegmentColumns(problem, *table[:5].astype(np.int64)), table[5], {}, set())

    def _arcs(self, cost: FloatArray) -> tuple[list[FloatArray], dict[tuple[int, int, int], int]]:
        """Cheapest pace per (first, stop, slots): arcs for the labels, and the column behind each."""
        columns, problem = self.table.columns, self.problem
        arcs = [np.full((len(problem.slots), problem.layers - i), np.inf) for i in range(problem.layers)]
        behind: dict[tuple[int, int, int], int] = {}
        for c in np.argsort(cost, kind="stable")[::-1].tolist():
            i, j, s = int(columns.first[c]), int(columns.stop[c]), int(columns.slots[c])
            if cost[c] < IMPOSSIBLE:
                arcs[i][s, j - i - 1], behind[i, j, s] = cost[c], c
        return arcs, behind

    def refine(self, gap: float) -> None:
        """Solve runs of the cheapest path exactly until it is made of solved runs only."""
        while not self.closed(gap) and not self.limits.over(self.begin):
            self._prune()
            cost = self.table.columns.cost.astype(np.float64)
            arcs, behind = self._arcs(cost)
            found = labels(self.problem, arcs)
            steps = path(self.problem, arcs, found)
            self.raise_bound(found.best)
            if not steps or self.closed(gap):
                return
            todo = [behind[step] for step in steps if self._is_open(behind[step])]
            for c in todo + self._next(found, todo):
                self._solve_column(c)
            self._improve()
            if not todo:
                return

    def _is_open(self, c: int) -> bool:
        return c not in self.table.tried and bool(self.table.columns.cost[c] < self.table.upper[c])

    def _next(self, found: Labels, todo: list[int]) -> list[int]:
        """Other open columns on good paths."""
        columns = self.table.columns
        open_ = np.flatnonzero(columns.cost < self.table.upper)
        open_ = open_[~np.isin(open_, [*todo, *self.table.tried])]
        if len(open_) > 20_000:
            return []
        taken = columns.taken()
        cost = columns.cost.astype(np.float64)
        around = [
            found.through(int(columns.first[c]), columns.stop[c : c + 1], int(taken[c]), cost[c : c + 1])[0]
            for c in open_
        ]
        return [int(c) for c in open_[np.argsort(around, kind="stable")[: BATCH - len(todo)]]]

    def _solve_column(self, c: int) -> None:
        """Exact cost of one column, or a better bound of it."""
        left = self.limits.left(self.begin)
        if left.time_limit <= 0 or left.stopped:
            return
        self.table.tried.add(c)
        columns, run = self.table.columns, self.table.columns.run(c)
        found, ways = self.solve_run(run, replace(left, time_limit=min(SEGMENT_SECONDS, left.time_limit)))
        if found.status is Status.INFEASIBLE:
            columns.cost[c] = self.table.upper[c] = IMPOSSIBLE
            return
        if found.bound is not None:
            columns.cost[c] = max(int(columns.cost[c]), run.base + found.bound)
        if ways is not None and found.objective is not None and run.base + found.objective <= self.table.upper[c]:
            self.table.upper[c], self.table.known[c] = run.base + found.objective, np.array(ways)

    def _improve(self) -> None:
        """The best path over what is known to be possible."""
        arcs, behind = self._arcs(self.table.upper.copy())
        steps = path(self.problem, arcs, labels(self.problem, arcs))
        if steps and sum(self.table.upper[behind[step]] for step in steps) < self.objective:
            chosen = [behind[step] for step in steps]
            columns = self.table.columns
            picked = [(i, j, s, int(columns.pace[c])) for (i, j, s), c in zip(steps, chosen, strict=True)]
            self.accept(self._solution(picked, [self._known(c) for c in chosen]))

    def _known(self, c: int) -> IntArray:
        """Ways of a column at its upper bound: of its exact solution, or those that the bound came from."""
        if c in self.table.known:
            return self.table.known[c]
        run = self.table.columns.run(c)
        return _must(self.pricing.allocation(run.first, run.stop, run.slots, run.pace))

    def _prune(self) -> None:
        """Drop columns that cannot be part of a better solution."""
        columns = self.table.columns
        keep = columns.cost < min(self.objective, IMPOSSIBLE)
        if keep.all():
            return
        place = np.cumsum(keep) - 1
        known = {int(place[c]): ways for c, ways in self.table.known.items() if keep[c]}
        tried = {int(place[c]) for c in self.table.tried if keep[c]}
        self.table = _Open(columns.select(keep), self.table.upper[keep], known, tried)

    def _solution(self, picked: list[tuple[int, int, int, int]], ways: list[IntArray]) -> SegmentationSolution:
        first, _, slots, pace = (np.array(column, dtype=np.int64) for column in zip(*picked, strict=True))
        return SegmentationSolution(first, slots, pace, np.concatenate(ways))

    def result(self, engine: str) -> StepResult[SegmentationSolution]:
        """Everything found."""
        seconds = time.monotonic() - self.begin
        name, package = ("cpsat", "ortools") if engine == "cpsat" else (f"ilp ({pulp_engine()})", "pulp")
        if self.best is None:
            status = Status.INFEASIBLE if self.proven_empty else Status.UNKNOWN
            return StepResult(
                status, None, None, self.bound or None, seconds, name, versions(package), self._shortage()
            )
        objective = int(self.objective)
        status = concluded(objective, self.bound)
        return StepResult(status, self.best, objective, self.bound, seconds, name, versions(package))

    def _shortage(self) -> Shortage | None:
        """How many slots the cheapest cuts in slots need, if more than there are."""
        if not self.proven_empty:
            return None
        layers, least = self.problem.layers, [0.0]
        for stop in range(1, layers + 1):
            some = (np.isfinite(arcs[:, stop - i - 1]) for i, arcs in enumerate(self.lower[:stop]))
            need = [float(self.problem.slots[s].min()) if s.any() else np.inf for s in some]
            least.append(min(a + b for a, b in zip(least, need, strict=True)))
        if not self.problem.capacity < least[-1] < 1e9:
            return None
        return Shortage("slots", int(least[-1]), self.problem.capacity, "OU slots of a crossbar", f"{layers} layers")


def all_columns(problem: SegmentationProblem, limits: Limits, engine: MasterEngine = "cpsat") -> SegmentColumns:
    """Every run with every slots and pace that is possible, solved exactly: the whole master, for small problems."""
    rows: list[tuple[int, int, int, int, int]] = []
    for first in range(problem.layers):
        for stop in range(first + 1, problem.layers + 1):
            for slots, pace in np.ndindex(len(problem.slots), len(problem.paces)):
                run = SegmentColumn(problem, first, stop, slots, pace)
                found, _ = SOLVE_SEGMENT[engine](run, limits)
                if found.status is Status.OPTIMAL and found.objective is not None:
                    rows.append((first, stop, slots, pace, run.base + found.objective))
    table = np.array(rows, dtype=np.int64).reshape(-1, 5).T
    return SegmentColumns(problem, table[0], table[1], table[2], table[3], table[4])


def open_columns(problem: SegmentationProblem, hint: SegmentationSolution) -> SegmentColumns:
    """All runs that a best solution may consist of: a path of lower bounds through them is no worse than one known.

    Parameters
    ----------
    problem : SegmentationProblem
    hint : SegmentationSolution
        Feasible.

    Returns
    -------
    SegmentColumns
        Costs are lower bounds; ``lower`` is one of the whole problem.
    """
    search = _Search(problem, Limits(0.0), time.monotonic(), cpsat.solve_segment)
    search.accept(hint)
    search.open(np.inf)
    search._collect(search.lower, labels(problem, search.lower), -1)
    return replace(search.table.columns, lower=search.bound)


def _must(ways: IntArray | None) -> IntArray:
    if ways is None:
        raise ModelError("replication: a priced run cannot be rebuilt")
    return ways
