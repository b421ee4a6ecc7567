"""The planner of segments: first the settings that help most networks, then variations of what led to the best plan."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import zip_longest
from math import inf

import numpy as np
from numpy.random import Generator

from spatem_opt.model.solution import Solution
from spatem_opt.planning.candidates import FEW_LAYERS, candidates_of
from spatem_opt.planning.plan import Plan
from spatem_opt.planning.protocol import Outcome, PlanAnswer, Reason, Task
from spatem_opt.planning.settings import CHAINED_SHARES, Setting
from spatem_opt.types import IntArray

HALVINGS, PREFIXES, STEEP = 6, 4, 4
"""Prices tried to meet a latency limit as closely as possible; numbers of layers tried with a price beyond what meets
it, and how far beyond."""
FEW, SOME = 2, 5
"""Plans that are scheduled for the first answer of a network with many layers, and with few, if the first one has a
solution."""
SCREENED = 3
"""Variations planned at a time, of which the one with the lowest estimate is scheduled."""
EDITED = 0.5
"""How often a variation is an edit of the best plan, at least."""
NEARBY = 10
"""Variations of the best of these that belong to the first answer under a latency limit."""
SPREAD, CLOSE = 0.7, 0.2
"""How far prices are varied, and where they are bounded by a latency limit."""

Plans = Iterator[Plan | None]


class Segmented:
    """A planner: consecutive layers run as pipelines that take turns on the whole chip, or have parts of it."""

    name = "segments"

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        """Of another task nothing is left."""
        self.ahead = False
        self._fits = self._varying = False
        self._gains = {True: 0, False: 0}  # better plans by edits, by other variations
        self._best: Setting | None = None
        self._lost: IntArray | None = None

    def plans(self, task: Task, rng: Generator) -> Plans:
        """First answers, then, after the others' turn, variations."""
        self._forget()
        candidates = task.shared(candidates_of)
        if task.policy.follows and task.best is not None and not candidates.scarce:
            return  # a steady plan has all the cells it needs
        if _foreseen(task):
            yield from self._promising(task, candidates.settings())
        elif task.latency_limit is not None:
            first = candidates.settings()[0]
            yield from self._halvings(task, first)
            yield from self._halvings(task, replace(first, router_share=CHAINED_SHARES[-1], chains=True))
        else:
            yield from self._each(task, candidates.settings())
        yield None
        self._varying = True
        if task.endless and task.latency_limit is None:
            yield from self._each(task, candidates.more_settings())
        yield from self._variations(task, rng)

    def learn(self, plan: Plan, outcome: Outcome) -> None:
        """The setting of the best plan so far is the one to vary."""
        self._fits = outcome.solved
        if outcome.reason is Reason.ACCEPTED and isinstance(plan.origin, Setting):
            if self._varying:
                before = 0 if self._best is None else len(self._best.edits)
                self._gains[len(plan.origin.edits) > before] += 1
            self._best = plan.origin
            turns = not plan.origin.side_by_side and outcome.solution is not None
            self._lost = lost_cycles(plan, outcome.solution) if turns and outcome.solution is not None else None

    def _promising(self, task: Task, settings: list[Setting]) -> Plans:
        """The first plan at once, then the others in the order of their estimates.

        For a first answer no more than a few; of short inferences all, whose estimates are the least certain.
        """
        candidates = task.shared(candidates_of)
        first = candidates.segmented(settings[0])
        others = [task.order(segmented, setting) for setting in settings[1:]]
        yield from _there(first)
        made = [(settings[0], first), *zip(settings[1:], (plan() for plan in others), strict=True)]
        plans = _in_turn(sorted(made, key=lambda pair: estimate(pair[1])))
        few = FEW if len(task.layers) > FEW_LAYERS else SOME
        number = len(plans) if task.endless or candidates.short else few
        yield from self._ahead(task, [partial(_same, plan) for plan in plans[:number]])
        for plan in plans[number:]:
            if task.best is None:
                yield from _there(plan)

    def _each(self, task: Task, settings: Sequence[Setting]) -> Plans:
        """One plan after the other; helpers plan ahead."""
        return self._ahead(task, [task.order(segmented, setting) for setting in settings])

    def _ahead(self, task: Task, plans: Iterable[PlanAnswer]) -> Plans:
        """Plans that do not hang on what becomes of each other, without those that there are not.

        With helpers the next one is known before one is handed out, so that the last one is known for it.
        """
        self.ahead, last = True, None
        for make in plans:
            plan = make()
            if plan is not None and task.helpers:
                plan, last = last, plan
            if plan is not None:
                yield plan
        self.ahead = False
        yield from _there(last)

    def _halvings(self, task: Task, base: Setting) -> Plans:
        for setting in self._prices(task, base):
            plan = task.shared(candidates_of).segmented(setting)
            self._fits = False
            yield from _there(plan)

    def _prices(self, task: Task, setting: Setting) -> Iterator[Setting]:
        """Prices closer and closer to the highest that meets the latency limit; then a higher one for the first layers.

        Between two prices next to each other the plan may change all of a sudden: pricing only the first layers much
        higher leads through plans in between.
        """
        fast = slow = None
        price = setting.price
        for _ in range(HALVINGS):
            yield replace(setting, price=price)
            if self._fits:
                fast = price
            else:
                slow = price
            if fast is not None and slow is not None:
                price = (fast * slow) ** 0.5
            else:
                price = price / 5 if fast is None else price * 5
        if fast is None or slow is None:
            return
        few, many = 0, len(task.layers)
        for _ in range(PREFIXES):
            first = (few + many) // 2
            weights = (math.log2(STEEP * slow / fast),) * first + (0.0,) * (len(task.layers) - first)
            yield replace(setting, price=fast, weights=weights)
            few, many = (first, many) if self._fits else (few, first)

    def _variations(self, task: Task, rng: Generator) -> Plans:
        """Plans near the best one. While one is evaluated, helpers make the next, if the answer may depend on time."""
        candidates = task.shared(candidates_of)
        effort: float = candidates.effort + (0 if task.latency_limit is None else NEARBY)
        if task.policy.follows and self._best is None:
            effort = 0  # a steady plan is the best one
        effort, ahead = (inf, max(1, task.helpers)) if task.endless else (effort, 1)
        self.ahead = task.endless
        waiting: deque[PlanAnswer] = deque()
        while effort > 0 or waiting:
            while effort > 0 and len(waiting) < ahead:
                effort -= 1
                waiting.append(self._variation(task, rng))
            yield waiting.popleft()()

    def _edits(self, task: Task, rng: Generator) -> bool:
        """Whether an edit of the best plan is tried next, the likelier the more often edits made plans better."""
        share = (1 + self._gains[True]) / (2 + self._gains[True] + self._gains[False])
        return not task.policy.follows and bool(rng.random() < max(EDITED, share))

    def _variation(self, task: Task, rng: Generator) -> PlanAnswer:
        """Variations of the best setting, of which the plan of the lowest estimate counts."""
        candidates = task.shared(candidates_of)
        spread, layers = SPREAD if task.latency_limit is None else CLOSE, len(task.layers)
        number = SCREENED if _foreseen(task) and not candidates.effort else 1
        best = candidates.settings()[0] if self._best is None else self._best
        edited = candidates.edit(best, rng, self._lost) if self._edits(task, rng) else None
        if edited is not None:
            return task.order(segmented, edited)
        best = replace(best, edits=())
        settings = [best.vary(rng, layers, spread, self._lost) for _ in range(number)]
        if number == 1:
            return task.order(segmented, settings[0])
        return task.order(likeliest, settings, frozenset(task.verdicts))


def _in_turn(made: Sequence[tuple[Setting, Plan | None]]) -> list[Plan | None]:
    """Plans with and without chains in turn, each kind in the given order: their estimates err in different ways."""
    kinds = [[pair for pair in made if pair[0].chains == chains] for chains in (True, False)]
    return [item[1] for pair in zip_longest(*kinds) for item in pair if item is not None]


def segmented(task: Task, setting: Setting) -> Plan | None:
    """The plan of a setting."""
    return task.shared(candidates_of).segmented(setting)


def likeliest(task: Task, settings: Sequence[Setting], known: Collection[bytes]) -> Plan | None:
    """Of the plans of settings that are not known by their digests, the one with the lowest estimate."""
    plans = [segmented(task, setting) for setting in settings]
    return min((plan for plan in plans if plan is not None and plan.digest() not in known), key=estimate, default=None)


def estimate(plan: Plan | None) -> float:
    """Latency that a plan's maker expects [cycles]."""
    return inf if plan is None or plan.estimate is None else plan.estimate


def _foreseen(task: Task) -> bool:
    """Whether estimates of latency tell plans apart, so that those of the lowest ones come first."""
    return task.policy.faster and task.latency_limit is None


def _same(plan: Plan | None) -> Plan | None:
    return plan


def _there(plan: Plan | None) -> Plans:
    """The plan, if there is one."""
    if plan is not None:
        yield plan


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
