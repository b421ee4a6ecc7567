"""Helper processes of the heuristic search: they make, schedule and evaluate plans side by side."""

from __future__ import annotations

import multiprocessing
import os
import sys
import warnings
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any, TypeVar

from spatem_opt.cost.placed import PlacedNetwork
from spatem_opt.evaluator import Evaluation, prepare
from spatem_opt.model.solution import MappingOption, Schedule, Solution
from spatem_opt.planning.candidates import Candidates
from spatem_opt.planning.plan import Plan, problem_of
from spatem_opt.planning.settings import Setting
from spatem_opt.search.processes import begin_helper, interrupt_held
from spatem_opt.search.realisation import realise

POLL = 0.1
"""Seconds of a turn of waiting for a helper."""
Answer = TypeVar("Answer")
Packed = tuple[Plan, tuple[MappingOption, ...]]
"""A plan without its grids, which every process has, and their options."""
Outcome = tuple[Packed, Schedule, dict[str, dict[str, Any]], Evaluation]
"""The plan as it was scheduled, and what of its solution does not follow from it."""


@dataclass(frozen=True, slots=True, eq=False)
class Scheduled:
    """A plan as it was scheduled, its problem, and a solution that the evaluator accepts."""

    plan: Plan
    problem: PlacedNetwork
    solution: Solution
    evaluation: Evaluation


Planned = Callable[[], Plan | None]
Attempt = Callable[[], Scheduled | None]
"""A plan, and what came of one, None if nothing: there by now, or waited for."""


class Workers:
    """Makes plans, in helpers, which begin at once, or here when they are asked for; helpers schedule plans as well.

    Helpers are forks of this process, so that they have what the candidates have computed before the first order, need
    no ``if __name__ == "__main__"`` in the user's script, and answer the same. Systems other than Linux, where forks
    are not safe, have none. Use it as a context manager: what helpers are doing at its end is given up.

    Parameters
    ----------
    candidates : Candidates
    helpers : int
        Processes.
    """

    def __init__(self, candidates: Candidates, helpers: int) -> None:
        self.candidates, self.helpers = candidates, helpers if sys.platform == "linux" else 0
        self._pool: ProcessPoolExecutor | None = None
        self._processes: list[BaseProcess] = []

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            for process in self._processes:
                process.kill()  # SIGTERM would only be noted by one that is not ready yet

    def plan(self, setting: Setting) -> Planned:
        """The plan of a setting."""
        answer = self._order(_plan, setting)
        return lambda: self._unpacked(answer())

    def attempt(self, plan: Plan | None, setting: Setting, limit: int | None) -> Attempt | None:
        """A plan scheduled and evaluated by a helper, if there is one, as in
        :func:`~spatem_opt.search.realisation.realise`."""
        if plan is None or not self.helpers:
            return None
        return self._made(self._order(_attempt, _packed(plan), setting, limit))

    def likeliest(
        self, settings: Sequence[Setting], known: Collection[bytes], limit: int | None
    ) -> Callable[[], tuple[Setting, Planned, Attempt | None]]:
        """The setting whose plan, of those not known by their digests, has the lowest estimate, and that plan.

        Helpers attempt it as well.
        """
        if len(settings) == 1 and not self.helpers:
            return lambda: (settings[0], self.plan(settings[0]), None)
        answer = self._order(_likeliest, settings, frozenset(known), limit, bool(self.helpers))

        def unpacked() -> tuple[Setting, Planned, Attempt | None]:
            setting, packed, outcome = answer()
            plan = self._unpacked(packed)
            return setting, lambda: plan, self._made(lambda: outcome) if self.helpers else None

        return unpacked

    def _order(self, task: Callable[..., Answer], *args: object) -> Callable[[], Answer]:
        """Have a helper do it at once; done here later if there is none, or they have died (for lack of memory?)."""
        here = partial(task, self.candidates, *args)
        if not self.helpers:
            return here
        try:
            future = self._started().submit(_in_helper, task, *args)
        except BrokenProcessPool:
            return here

        def answer() -> Answer:
            try:
                return _awaited(future)
            except BrokenProcessPool:
                return here()

        return answer

    def _started(self) -> ProcessPoolExecutor:
        """The helpers, forked on the first call."""
        if self._pool is None:
            prepare()  # once, not in every helper
            before = {process.pid for process in multiprocessing.active_children()}
            context = multiprocessing.get_context("fork")
            self._pool = ProcessPoolExecutor(self.helpers, context, _begin, (self.candidates, os.getpid()))
            with warnings.catch_warnings(), interrupt_held():  # or a fork not yet ready ends as its parent would
                warnings.simplefilter("ignore", DeprecationWarning)  # numpy's threads take forks well
                self._pool.submit(int)  # all are forked with the first order
            self._processes = [p for p in multiprocessing.active_children() if p.pid not in before]
        return self._pool

    def _made(self, answer: Callable[[], Outcome | None]) -> Attempt:
        """What a helper made, completed by what follows from the plan."""

        def made() -> Scheduled | None:
            outcome = answer()
            if outcome is None:
                return None
            packed, schedule, claims, evaluation = outcome
            plan, network, chip = (
                _unpacked(self.candidates, packed),
                self.candidates.network,
                self.candidates.architecture,
            )
            problem = problem_of(plan, network, chip)
            options = tuple(grid.option for grid in plan.grids)
            solution = Solution(chip, network, options, problem.placement, schedule, plan.segment, claims)
            return Scheduled(plan, problem, solution, evaluation)

        return made

    def _unpacked(self, packed: Packed | None) -> Plan | None:
        return None if packed is None else _unpacked(self.candidates, packed)


_own: Candidates
"""Of a helper."""


def _begin(candidates: Candidates, parent: int) -> None:
    global _own
    _own = candidates
    begin_helper(parent)


def _awaited(future: Future[Answer]) -> Answer:
    """The result of a helper; waited for in short turns, since no exception for this thread comes in one long one."""
    while wait([future], POLL).not_done:
        pass
    return future.result()


def _in_helper(task: Callable[..., Answer], *args: object) -> Answer:
    return task(_own, *args)


def _packed(plan: Plan) -> Packed:
    return replace(plan, grids=()), tuple(grid.option for grid in plan.grids)


def _unpacked(candidates: Candidates, packed: Packed) -> Plan:
    plan, options = packed
    grids = [{grid.option: grid for grid in own}[o] for own, o in zip(candidates.grids, options, strict=True)]
    return replace(plan, grids=tuple(grids))


def _plan(candidates: Candidates, setting: Setting) -> Packed | None:
    plan = candidates.segmented(setting)
    return None if plan is None else _packed(plan)


def _attempt(candidates: Candidates, packed: Packed, setting: Setting, limit: int | None) -> Outcome | None:
    return _outcome(candidates, _unpacked(candidates, packed), setting, limit)


def _outcome(candidates: Candidates, plan: Plan, setting: Setting, limit: int | None) -> Outcome | None:
    plan, problem = candidates.ready(plan, setting)
    full = candidates.objective == "throughput"
    made = realise(plan, candidates.network, candidates.architecture, limit, problem, full=full)
    return None if made is None else (_packed(plan), made[0].schedule, made[0].claims, made[1])


def _likeliest(
    candidates: Candidates, settings: Sequence[Setting], known: Collection[bytes], limit: int | None, attempt: bool
) -> tuple[Setting, Packed | None, Outcome | None]:
    """The setting whose plan has the lowest estimate, that plan, and what came of it if wanted."""
    plans = [(setting, candidates.segmented(setting)) for setting in settings]
    new = [(setting, plan) for setting, plan in plans if plan is not None and plan.digest() not in known]
    if not new:
        return settings[0], None if plans[0][1] is None else _packed(plans[0][1]), None
    setting, plan = min(new, key=lambda item: estimate(item[1]))
    return setting, _packed(plan), _outcome(candidates, plan, setting, limit) if attempt else None


def estimate(plan: Plan | None) -> float:
    """Latency that a plan's maker expects [cycles]."""
    return inf if plan is None or plan.estimate is None else plan.estimate
