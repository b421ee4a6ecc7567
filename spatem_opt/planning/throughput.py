"""The planner of steady streams: all layers at once at the least pace, routers relieved for a period's traffic (M7)."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf

from numpy.random import Generator

from spatem_opt.planning.candidates import Candidates, candidates_of
from spatem_opt.planning.exchanges import period_relieved
from spatem_opt.planning.one_segment import pipeline
from spatem_opt.planning.plan import Plan, problem_of
from spatem_opt.planning.protocol import Outcome, Reason, Task
from spatem_opt.planning.settings import STEADY_FILLS, Setting

FEW_SLOTS = 8
"""OUs per crossbar up to which one segment may be faster than several that take turns (pimcomp: 1; ou-isaac: 224)."""
SPREAD = 0.7
"""How far prices would be varied; these plans have none."""


class Steady:
    """A planner: no segments, every layer on crossbars of its own all the time."""

    name = "steady"

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        """Of another task nothing is left."""
        self._best: Setting | None = None
        self._seen: set[bytes] = set()

    def plans(self, task: Task, rng: Generator) -> Iterator[Plan | None]:
        """The usual settings, then, after the others' turn, variations of the best."""
        self._forget()
        candidates = task.shared(candidates_of)
        settings = candidates.steady_settings()
        if not task.policy.follows:
            yield None
            yield None  # also before variations of segments, which seldom leave this planner a chance
            if not self._may_win(task):
                return
            settings = [setting for setting in settings if setting.steady == STEADY_FILLS[0]]
        for setting in settings:
            plan = self._plan(task, candidates, setting)
            if plan is not None:
                yield plan
        if task.policy.follows:
            yield None
        effort: float = inf if task.endless else candidates.effort
        while effort > 0 and self._best is not None:
            effort -= 1
            yield self._plan(task, candidates, self._best.vary(rng, len(task.layers), SPREAD))

    def _may_win(self, task: Task) -> bool:
        """Where not the period counts: if crossbars hold few OUs, so that segments cannot share them one after another.

        And if only what is faster counts, if the busiest copy of a balanced segment can be fast enough.
        """
        if task.architecture.ou_slots > FEW_SLOTS:
            return False
        plan = task.shared(pipeline)
        return plan is not None and not _late(plan.busiest, task.goal)

    def learn(self, plan: Plan, outcome: Outcome) -> None:
        """The setting of the best plan so far is the one to vary."""
        if outcome.reason is Reason.ACCEPTED and isinstance(plan.origin, Setting):
            self._best = plan.origin

    def _plan(self, task: Task, candidates: Candidates, setting: Setting) -> Plan | None:
        """A new plan of a setting that can be fast enough."""
        plan = candidates.steady(setting)
        if plan is None or plan.digest() in self._seen or _late(plan.busiest, task.goal):
            return None
        self._seen.add(plan.digest())
        plan = period_relieved(plan, problem_of(plan, task.network, task.architecture))
        return None if _late(plan.span or 0, task.goal) else plan


def _late(cycles: int, goal: int | None) -> bool:
    return goal is not None and cycles >= goal
