"""The heuristic search: candidate plans, each scheduled and evaluated; what it learns steers what it tries next."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, zip_longest
from typing import TypeVar

import numpy as np

from spatem_opt.cost.placed import PlacedNetwork
from spatem_opt.evaluator import Evaluation
from spatem_opt.model.architecture import Architecture
from spatem_opt.model.solution import Solution
from spatem_opt.network import Network
from spatem_opt.planning.baselines import BASELINES
from spatem_opt.planning.candidates import FEW_LAYERS, Candidates
from spatem_opt.planning.plan import Plan, period_relieved, problem_of, shortened
from spatem_opt.planning.settings import CHAINED_SHARES, Setting
from spatem_opt.search.budget import Budget
from spatem_opt.search.realisation import measure, rank, realise
from spatem_opt.search.workers import Attempt, Planned, Scheduled, Workers, estimate
from spatem_opt.types import IntArray

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
EDITED = 0.5
"""How often a variation is an edit of the best plan, at least."""
NEARBY = 10
"""Variations of the best of these that belong to the first answer."""
SPREAD, CLOSE = 0.7, 0.2
"""How far prices are varied, and where they are bounded by a latency limit."""

Answer = TypeVar("Answer")
Tell = Callable[[str], None]


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
    progress: Tell | None = None,
    *,
    seed: int = 0,
    stop: Callable[[], bool] | None = None,
    latency_limit: int | None = None,
    workers: int = 1,
    budget: Budget | None = None,
) -> Generator[Evaluated, None, None]:
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
    workers : int
        Processes that make plans; with one no other than this. First candidates do not depend on it.
    budget : Budget, optional
        Once it is used up, what is being tried is given up and the search ends, if there is a solution or all first
        candidates are tried.
    """
    begun = time.monotonic()
    candidates = Candidates(network, architecture, objective)
    budget = budget if budget is not None else Budget(None)
    with Workers(candidates, workers if workers > 1 else 0) as crew:
        yield from _found(_Search(candidates, crew, method, seed, latency_limit), begun, progress, stop, budget)


def _found(
    run: _Search, begun: float, progress: Tell | None, stop: Callable[[], bool] | None, budget: Budget
) -> Iterator[Evaluated]:
    """Schedule and evaluate one plan after the other, and tell the search what became of it."""
    planners = run.planners(endless=stop is not None)
    trying = "what is next"

    def settled() -> bool:
        return run.best is not None or run.varied

    def ended() -> bool:
        return settled() and ((stop is not None and stop()) or budget.over())

    def within(work: Callable[[], Answer]) -> Answer | None:
        return budget.spend(f"search, {trying}", work, settled)

    def evaluated(name: str, made: Scheduled, setting: Setting | None) -> Evaluated:
        value, seconds = measure(made.evaluation, run.objective), time.monotonic() - begun
        return Evaluated(name, made.solution, made.evaluation, value, seconds, made.plan, setting)

    while not ended():  # also before others are planned, to tell which is next
        trying = "what is next"
        name, make, setting = within(lambda: next(planners, None)) or ("", None, None)
        if make is None or ended():
            return
        trying = name
        if progress is not None:
            progress(name)
        made = within(make)
        better = run.tell(setting, made)
        if made is None:
            continue
        yield evaluated(name, made, setting)
        if better and run.objective in PRICED and run.method not in BASELINES:
            moved = within(partial(run.moved, made))
            if run.tell(setting, moved) and moved is not None:
                yield evaluated(f"{name}, moved", moved, setting)


Tried = Iterator[tuple[str, Attempt, Setting | None]]
"""Names of plans, what comes of them, and settings of the segment search."""


class _Search:
    """What is to be tried next, and what is known so far.

    ``best`` is the best value so far, ``rank`` what must be beaten; ``fits`` whether the last plan led to a solution
    (within the latency limit); ``varied`` whether the first candidates are all tried.
    """

    def __init__(self, candidates: Candidates, crew: Workers, method: str, seed: int, limit: int | None) -> None:
        self.candidates, self.crew, self.method = candidates, crew, method
        self.network, self.architecture = candidates.network, candidates.architecture
        self.objective = candidates.objective
        self.random = np.random.default_rng(seed)
        self.latency_limit = limit
        self.best: int | None = None
        self.rank: tuple[int, int] | None = None
        self.fits = self.varied = False
        self.gains = {True: 0, False: 0}  # better plans by edits, by other variations
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

    def tell(self, setting: Setting | None, made: Scheduled | None) -> bool:
        """Learn what became of the last plan; True if it is the best so far."""
        self.fits = self._verdicts.setdefault(self._key, made is not None)
        if made is None or (self.rank is not None and rank(made.evaluation, self.objective) >= self.rank):
            return False
        self.rank = rank(made.evaluation, self.objective)
        self.best = self.rank[0]
        if setting is not None:
            if self.varied:
                self.gains[len(setting.edits) > len(self.candidates.best.edits)] += 1
            self.candidates.best = setting
            turns = not setting.side_by_side and not setting.steady
            self.lost = lost_cycles(made.plan, made.solution) if turns else None
        return True

    def planners(self, *, endless: bool) -> Tried:
        """Everything that is tried, in turn."""
        if self.method in BASELINES:
            yield from self._baseline(self.method)
            return
        for setting in self.candidates.steady_settings():
            yield setting.name, partial(self._steady, setting), setting
        if self._foreseen:
            yield from self._promising(self.candidates.settings(), endless)
        elif self.objective == "throughput" and self.best is not None and not self.candidates.scarce:
            pass  # a steady plan has all the cells it needs
        elif self.latency_limit is not None:
            chained = replace(self.candidates.settings()[0], router_share=CHAINED_SHARES[-1], chains=True)
            for setting in chain(self._halvings(self.candidates.settings()[0]), self._halvings(chained)):
                yield setting.name, partial(self._fresh, setting, self.crew.plan(setting)), setting
        else:
            yield from self._each(self.candidates.settings())
        if self.best is None or self.objective != "latency":  # as a run of all layers it was among the segments
            yield "pipeline", partial(self._plain, self.candidates.one_segment), None
        for name in BASELINES:
            if self.candidates.may_win(name):
                yield from self._baseline(name)
        self.varied = True
        if endless and self.latency_limit is None:
            yield from self._each(self.candidates.more_settings())
        yield from self._variations(endless)

    def _each(self, settings: list[Setting]) -> Tried:
        """One plan after the other; helpers plan ahead."""
        planned = [(setting, self.crew.plan(setting)) for setting in settings]
        return self._ahead((setting, plan()) for setting, plan in planned)

    def _ahead(self, plans: Iterable[tuple[Setting, Plan | None]]) -> Tried:
        """One plan after the other, each helper at one; those that come to nothing are left out."""
        waiting: deque[tuple[Setting, Plan, Attempt | None]] = deque()
        for setting, plan in plans:
            if plan is None:
                continue
            promising = plan.digest() not in self._verdicts and not self._late(setting, plan)
            waiting.append((setting, plan, self.crew.attempt(plan, setting, self.limit) if promising else None))
            if len(waiting) > self.crew.helpers:
                yield self._next(*waiting.popleft())
        while waiting:
            yield self._next(*waiting.popleft())

    def _next(self, setting: Setting, plan: Plan, attempt: Attempt | None) -> tuple[str, Attempt, Setting]:
        return setting.name, lambda: self._fresh(setting, lambda: plan, attempt), setting

    def _variations(self, endless: bool) -> Tried:
        """Plans near the best one. While one is evaluated, helpers make the next, if the answer may depend on time."""
        effort: float = self.candidates.effort + (0 if self.latency_limit is None else NEARBY)
        effort, ahead = (math.inf, max(1, self.crew.helpers)) if endless else (effort, 1)
        waiting: deque[Callable[[], tuple[Setting, Planned, Attempt | None]]] = deque()
        while effort > 0 or waiting:
            while effort > 0 and len(waiting) < ahead and not self.candidates.best.steady:
                effort -= 1
                waiting.append(self.crew.likeliest(self._varied(), self._verdicts, self.limit))
            if waiting:
                setting, plan, attempt = waiting.popleft()()
                yield setting.name, partial(self._fresh, setting, plan, attempt), setting
            else:
                effort -= 1
                (setting,) = self._varied()
                yield setting.name, partial(self._steady, setting), setting

    def _varied(self) -> list[Setting]:
        """Variations of the best setting, of which one is scheduled."""
        edited = self.candidates.edit(self.candidates.best, self.random, self.lost) if self._edits() else None
        if edited is not None:
            return [edited]
        spread, layers = SPREAD if self.latency_limit is None else CLOSE, len(self.network.layers)
        number = SCREENED if self._foreseen and not self.candidates.effort else 1
        best = replace(self.candidates.best, edits=())
        return [best.vary(self.random, layers, spread, self.lost) for _ in range(number)]

    def _edits(self) -> bool:
        """Whether an edit of the best plan is tried next, the likelier the more often edits made plans better."""
        share = (1 + self.gains[True]) / (2 + self.gains[True] + self.gains[False])
        return self.objective != "throughput" and bool(self.random.random() < max(EDITED, share))

    @property
    def _foreseen(self) -> bool:
        """Whether estimates of latency tell plans apart, so that those of the lowest ones come first."""
        return self.objective == "latency" and self.latency_limit is None

    def _promising(self, settings: list[Setting], endless: bool) -> Tried:
        """The first plan at once, then the others in the order of their estimates.

        For a first answer no more than a few; of short inferences all, whose estimates are the least certain.
        """
        first = self.candidates.segmented(settings[0])
        attempt = self.crew.attempt(first, settings[0], self.limit)
        others = [(setting, self.crew.plan(setting)) for setting in settings[1:]]
        yield settings[0].name, partial(self._fresh, settings[0], lambda: first, attempt), settings[0]
        plans = [(settings[0], first), *((setting, plan()) for setting, plan in others)]
        plans.sort(key=lambda item: estimate(item[1]))
        plans = _in_turn(plans)
        few = FEW if len(self.network.layers) > FEW_LAYERS else SOME
        number = len(plans) if endless or self.candidates.short else few
        yield from self._ahead(plans[:number])
        for plan in plans[number:]:
            if self.best is None:
                yield from self._ahead([plan])

    def _baseline(self, name: str) -> Tried:
        """A baseline laid out both ways: what suits it better counts."""
        plan = BASELINES[name](self.network, self.architecture)
        if plan is not None:
            yield name, partial(self._plain, lambda: replace(plan, across=True)), None
            if self.fits or self.method == name:
                yield name, partial(self._plain, lambda: plan), None

    def _halvings(self, setting: Setting) -> Iterator[Setting]:
        """Prices closer and closer to the highest that meets the latency limit; then a higher one for the first layers.

        Between two prices next to each other the plan may change all of a sudden: pricing only the first layers much
        higher leads through plans in between.
        """
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

    def _fresh(self, setting: Setting, planned: Planned, attempt: Attempt | None = None) -> Scheduled | None:
        """What comes of a plan; nothing if it was tried before, or can hardly be fast enough."""
        plan = planned()
        self._begin(plan)
        if plan is None or self._known(plan) or self._late(setting, plan):
            return None
        made = self.tried(*self.candidates.ready(plan, setting)) if attempt is None else attempt()
        late = made is not None and self.limit is not None and (made.evaluation.latency_cycles or 0) >= self.limit
        return None if late else made

    def _steady(self, setting: Setting) -> Scheduled | None:
        """What comes of a setting for a steady stream of inferences, if its plan is a new one and fast enough."""
        plan = self._unknown(partial(self.candidates.steady, setting))
        if plan is None:
            return None
        plan = period_relieved(plan, problem_of(plan, self.network, self.architecture))
        return None if self.goal is not None and (plan.span or 0) >= self.goal else self.tried(plan)

    def moved(self, made: Scheduled) -> Scheduled | None:
        """What comes of a plan whose copies are moved nearer to each other."""
        return self.tried(shortened(made.plan, made.problem))

    def tried(self, plan: Plan, problem: PlacedNetwork | None = None) -> Scheduled | None:
        """What comes of a plan that is tried here."""
        problem = problem_of(plan, self.network, self.architecture) if problem is None else problem
        made = realise(plan, self.network, self.architecture, self.limit, problem, full=self.objective == "throughput")
        return None if made is None else Scheduled(plan, problem, *made)

    def _late(self, setting: Setting, plan: Plan) -> bool:
        """Whether a plan can hardly be fast enough."""
        if self.goal is None or self.candidates.effort:
            return False
        return (plan.estimate or 0) > (BESIDE if setting.side_by_side else HOPELESS) * self.goal

    def _plain(self, make: Callable[[], Plan | None]) -> Scheduled | None:
        """What comes of a plan of another maker, nothing if it was tried before or cannot be fast enough."""
        plan = self._unknown(make)
        return None if plan is None else self.tried(plan)

    def _unknown(self, make: Callable[[], Plan | None]) -> Plan | None:
        plan = make()
        self._begin(plan)
        late = plan is not None and self.goal is not None and plan.busiest >= self.goal
        return None if self._known(plan) or late else plan

    def _begin(self, plan: Plan | None) -> None:
        """What is told next is about this plan."""
        self._key = b"" if plan is None else plan.digest()

    def _known(self, plan: Plan | None) -> bool:
        """Whether a plan was tried before, or is none."""
        return plan is None or plan.digest() in self._verdicts


def _in_turn(plans: list[tuple[Setting, Plan | None]]) -> list[tuple[Setting, Plan | None]]:
    """Plans with and without chains in turn, each kind in the given order: their estimates err in different ways."""
    kinds = [[item for item in plans if item[0].chains == chains] for chains in (True, False)]
    pairs = zip_longest(*kinds)
    return [item for pair in pairs for item in pair if item is not None]


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
