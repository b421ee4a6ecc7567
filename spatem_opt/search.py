"""The heuristic search: candidate plans, each scheduled and evaluated; what it learns steers what it tries next."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from spatem_opt.architecture import Architecture
from spatem_opt.baselines import BASELINES
from spatem_opt.evaluator import Evaluation
from spatem_opt.finish import finish, measure, rank
from spatem_opt.heuristic import FEW_LAYERS, Candidates
from spatem_opt.network import Network
from spatem_opt.plan import Plan, improved, problem_of, relieved
from spatem_opt.scheduling.problem import Problem
from spatem_opt.settings import Setting
from spatem_opt.solution import Solution

PRICED = ("communication", "energy", "balanced")
"""Objectives for which a shorter way of the data is worth a longer latency."""
HALVINGS, PREFIXES, STEEP = 6, 4, 4
"""Prices tried to meet a latency limit as closely as possible; numbers of layers tried with a price beyond what meets
it, and how far beyond."""
HOPELESS, BESIDE = 1.2, 1.6
"""A plan is dropped if its estimate is so many times above the latency that counts: estimates are hardly ever a fifth
too high, but of segments side by side, which need not take turns, by up to a half. Of the shortest inferences they may
be twice too high: none is dropped."""
FEW, SOME = 2, 5
"""Plans that are scheduled for the first answer of a network with many layers, and with few, if the first one has a
solution."""
SCREENED = 3
"""Variations planned at a time, of which the one with the lowest estimate is scheduled."""
NEARBY = 10
"""Variations of the best of these that belong to the first answer."""
SPREAD, CLOSE = 0.7, 0.2
"""How far prices are varied, and where they are bounded by a latency limit."""

IntArray = NDArray[np.int64]
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True, eq=False)
class Evaluated:
    """A solution that the evaluator accepts, its numbers, when it was found, and what it came from.

    ``setting`` is what the segment search was told; None for plans of other makers.
    """

    name: str
    solution: Solution
    evaluation: Evaluation
    value: int
    seconds: float
    plan: Plan
    setting: Setting | None = None


def search(
    network: Network,
    architecture: Architecture,
    objective: str,
    method: str,
    progress: Progress | None = None,
    *,
    seed: int = 0,
    stop: Callable[[], bool] | None = None,
    latency_limit: int | None = None,
) -> Iterator[Evaluated]:
    """Evaluated solutions, one after the other as they are found; not necessarily better and better.

    Parameters
    ----------
    network, architecture
    objective : str
        What is to be small (:func:`measure`).
    method : str
        A baseline; anything else: all candidates.
    progress : callable, optional
        Told in a few words what is going on.
    seed : int
        Of the variations.
    stop : callable, optional
        With it the search goes on, varying what led to the best solution so far, until it is true; before there is a
        solution, all first candidates are tried.
    latency_limit : int, optional
        Cycles; slower solutions do not count.
    """
    begun = time.monotonic()
    run = _Search(network, architecture, objective, method, seed, latency_limit)
    planners = run.planners(endless=stop is not None)

    def ended() -> bool:
        return stop is not None and (run.best is not None or run.varied) and stop()

    while not ended():  # also before others are planned, to tell which is next
        name, make, setting = next(planners, ("", None, None))
        if make is None or ended():
            return
        if progress is not None:
            progress(name + (f", best so far {run.best}" if run.best is not None else ""))
        plan, problem = make() or (None, None)
        made = None if plan is None else finish(plan, network, architecture, run.limit, problem)
        better = run.tell(setting, made, plan)
        if plan is None or problem is None or made is None:
            continue
        yield Evaluated(name, *made, measure(made[1], objective), time.monotonic() - begun, plan, setting)
        if better and objective in PRICED and method not in BASELINES:
            moved = improved(plan, problem)
            made = finish(moved, network, architecture, run.limit)
            if run.tell(setting, made, moved) and made is not None:
                name = f"{name}, moved"
                yield Evaluated(name, *made, measure(made[1], objective), time.monotonic() - begun, moved, setting)


Planner = Callable[[], tuple[Plan, Problem] | None]


class _Search:
    """What is to be tried next, and what is known so far.

    ``best`` is the best value so far, ``rank`` what must be beaten; ``fits`` whether the last plan led to a solution
    (within the latency limit); ``varied`` whether the first candidates are all tried.
    """

    def __init__(
        self, network: Network, architecture: Architecture, objective: str, method: str, seed: int, limit: int | None
    ) -> None:
        self.network, self.architecture, self.objective, self.method = network, architecture, objective, method
        self.candidates = Candidates(network, architecture, objective)
        self.random = np.random.default_rng(seed)
        self.latency_limit = limit
        self.best: int | None = None
        self.rank: tuple[int, int] | None = None
        self.fits = self.varied = False
        self.lost: IntArray | None = None
        self._verdicts: dict[bytes, bool] = {}
        self._key = b""

    @property
    def limit(self) -> int | None:
        """Latency [cycles] from which on a solution is of no use."""
        allowed = [] if self.latency_limit is None else [self.latency_limit + 1]
        if self.objective == "latency" and self.best is not None:
            allowed.append(self.best)
        return min(allowed, default=None)

    @property
    def goal(self) -> int | None:
        """Cycles that a plan must be able to do better than: the limit, or the best period."""
        periods = [self.best] if self.objective == "throughput" and self.best is not None else []
        return min([*periods, *([] if self.limit is None else [self.limit])], default=None)

    def tell(self, setting: Setting | None, made: tuple[Solution, Evaluation] | None, plan: Plan | None) -> bool:
        """Learn what became of the last plan; True if it is the best so far."""
        self.fits = self._verdicts.setdefault(self._key, made is not None)
        if made is None or (self.rank is not None and rank(made[1], self.objective) >= self.rank):
            return False
        self.rank = rank(made[1], self.objective)
        self.best = self.rank[0]
        if setting is not None:
            self.candidates.best = setting
            turns = plan is not None and not setting.side_by_side and not setting.steady
            self.lost = lost_cycles(plan, made[0]) if plan is not None and turns else None
        return True

    def planners(self, *, endless: bool) -> Iterator[tuple[str, Planner, Setting | None]]:
        """Names and makers of plans, and settings of the segment search."""
        if self.method in BASELINES:
            yield from self._baseline(self.method)
            return
        for setting in self.candidates.steady_settings():
            yield setting.name, partial(self._fresh, setting), setting
        if self._foreseen:
            yield from self._promising(self.candidates.settings(), endless)
        else:
            for setting in self._segment_settings():
                yield setting.name, partial(self._fresh, setting), setting
        if self.best is None or self.objective != "latency":  # as a run of all layers it was among the segments
            yield "pipeline", partial(self._plain, self.candidates.one_segment), None
        for name in BASELINES:
            if self.candidates.may_win(name):
                yield from self._baseline(name)
        self.varied = True
        effort = self.candidates.effort + (0 if self.latency_limit is None else NEARBY)
        if endless and self.latency_limit is None:
            for setting in self.candidates.more_settings():
                yield setting.name, partial(self._fresh, setting), setting
        while endless or effort > 0:
            effort -= 1
            spread = SPREAD if self.latency_limit is None else CLOSE
            setting, plan = self._likeliest([
                self.candidates.best.vary(self.random, len(self.network.layers), spread, self.lost)
                for _ in range(SCREENED if self._foreseen and not self.candidates.effort else 1)
            ])  # fmt: skip
            yield setting.name, partial(self._fresh, setting, plan), setting

    @property
    def _foreseen(self) -> bool:
        """Whether estimates of latency tell plans apart, so that those of the lowest ones come first."""
        return self.objective == "latency" and self.latency_limit is None

    def _promising(self, settings: list[Setting], endless: bool) -> Iterator[tuple[str, Planner, Setting | None]]:
        """The first plan at once, then the others in the order of their estimates.

        For a first answer no more than a few; of short inferences all, whose estimates are the least certain.
        """
        plans = [(settings[0], self.candidates.segmented(settings[0]))]
        yield settings[0].name, partial(self._fresh, *plans[0]), settings[0]
        plans += [(setting, self.candidates.segmented(setting)) for setting in settings[1:]]
        number = FEW if len(self.network.layers) > FEW_LAYERS else SOME
        number = len(plans) if endless or self.candidates.short else number
        for k, (setting, plan) in enumerate(sorted(plans, key=lambda item: _estimate(item[1]))):
            if plan is not None and (k < number or self.best is None):
                yield setting.name, partial(self._fresh, setting, plan), setting

    def _likeliest(self, settings: list[Setting]) -> tuple[Setting, Plan | None]:
        """The setting whose plan has the lowest estimate, and that plan; a single setting has its plan made later."""
        if len(settings) == 1:
            return settings[0], None
        plans = [(setting, self.candidates.segmented(setting)) for setting in settings]
        new = [(setting, plan) for setting, plan in plans if plan is not None and plan.digest() not in self._verdicts]
        return min(new, key=lambda item: _estimate(item[1])) if new else plans[0]

    def _baseline(self, name: str) -> Iterator[tuple[str, Planner, Setting | None]]:
        """A baseline laid out both ways: what suits it better counts."""
        plan = BASELINES[name](self.network, self.architecture)
        if plan is not None:
            yield name, partial(self._plain, lambda: replace(plan, across=True)), None
            if self.fits or self.method == name:
                yield name, partial(self._plain, lambda: plan), None

    def _segment_settings(self) -> Iterator[Setting]:
        """First settings of the segment search; none for throughput where a steady plan has all the cells it needs."""
        if self.objective == "throughput" and self.best is not None and not self.candidates.scarce:
            return
        yield from self.candidates.settings() if self.latency_limit is None else self._halvings()

    def _halvings(self) -> Iterator[Setting]:
        """Prices closer and closer to the highest that meets the latency limit; then a higher one for the first layers.

        Between two prices next to each other the plan may change all of a sudden: pricing only the first layers much
        higher leads through plans in between.
        """
        setting = self.candidates.settings()[0]
        fast = slow = None
        price = setting.price
        for _ in range(HALVINGS):
            yield replace(setting, price=price)
            if self.fits:
                fast = price
            else:
                slow = price
            if fast is not None and slow is not None:
                price = (fast * slow) ** 0.5
            else:
                price = price / 5 if fast is None else price * 5
        if fast is None or slow is None:
            return
        few, many = 0, len(self.network.layers)
        for _ in range(PREFIXES):
            first = (few + many) // 2
            weights = (math.log2(STEEP * slow / fast),) * first + (0.0,) * (len(self.network.layers) - first)
            yield replace(setting, price=fast, weights=weights)
            few, many = (first, many) if self.fits else (few, first)

    def _fresh(self, setting: Setting, plan: Plan | None = None) -> tuple[Plan, Problem] | None:
        """The plan of a setting, made now or before; None if another setting led to it before (or none does)."""
        if setting.steady:
            made = self._plain(partial(self.candidates.steady, setting))
            if made is None:
                return None
            plan = relieved(*made)
            crowded = self.goal is not None and (plan.span or 0) >= self.goal
            return None if crowded else (plan, problem_of(plan, self.network, self.architecture))
        plan = self.candidates.segmented(setting) if plan is None else plan
        certain = self.goal is not None and not self.candidates.effort
        most = (BESIDE if setting.side_by_side else HOPELESS) * (self.goal or 0) if certain else None
        late = plan is not None and most is not None and (plan.estimate or 0) > most
        if plan is None or self._known(plan) or late:
            return None
        return self.candidates.ready(plan, setting)

    def _plain(self, make: Callable[[], Plan | None]) -> tuple[Plan, Problem] | None:
        """A plan of another maker, None if it was made before or cannot be fast enough."""
        plan = make()
        late = plan is not None and self.goal is not None and plan.busiest >= self.goal
        unfit = self._known(plan) or late
        return None if plan is None or unfit else (plan, problem_of(plan, self.network, self.architecture))

    def _known(self, plan: Plan | None) -> bool:
        """Whether a plan was made before, or is none; what is told next is about it."""
        self._key = b"" if plan is None else plan.digest()
        return plan is None or self._key in self._verdicts


def lost_cycles(plan: Plan, solution: Solution) -> IntArray:
    """First and last layer of every segment that takes turns, and the cycles it lost: shape (segments, 3).

    Lost is what a segment's end comes later after the one before than its busiest copy computes; at least 1.
    """
    segment, schedule = plan.segment, solution.schedule
    first = np.flatnonzero(np.diff(segment, prepend=-1))
    last = np.append(first[1:], len(segment)) - 1
    end = np.zeros(len(first), dtype=np.int64)
    np.maximum.at(end, segment[schedule.layer], schedule.end)
    compute = np.array([
        grid.phases * a.shape.serial * a.split.most for grid, a in zip(plan.grids, plan.allocations, strict=True)
    ])  # fmt: skip
    lost = np.diff(np.maximum.accumulate(end), prepend=0) - np.maximum.reduceat(compute, first)
    return np.stack([first, last, np.maximum(lost, 1)], axis=1)


def _estimate(plan: Plan | None) -> float:
    return math.inf if plan is None or plan.estimate is None else plan.estimate
