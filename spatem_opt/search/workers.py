"""Helper processes of the search: they make, schedule and evaluate plans side by side."""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
import warnings
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any, TypeVar

from spatem_opt.evaluator import Evaluation, prepare
from spatem_opt.model.solution import MappingOption, Schedule, Solution
from spatem_opt.planning.plan import Plan, problem_of
from spatem_opt.planning.protocol import PlanAnswer, Reason, Task
from spatem_opt.search.processes import begin_helper, interrupt_held
from spatem_opt.search.realisation import Scheduled, attempt

POLL = 0.005
"""Seconds of a turn of waiting for a helper."""
Answer = TypeVar("Answer")
Attempt = Callable[[], Scheduled | Reason]
"""What came of a plan, there by now, or waited for."""


@dataclass(frozen=True, slots=True, eq=False)
class PackedPlan:
    """A plan without its grids, which every process has or makes, and their options."""

    plan: Plan
    options: tuple[MappingOption, ...]

    @classmethod
    def of(cls, plan: Plan) -> PackedPlan:
        """Pack a plan."""
        return cls(replace(plan, grids=()), tuple(grid.option for grid in plan.grids))

    def unpacked(self, task: Task) -> Plan:
        """The plan again."""
        return replace(self.plan, grids=tuple(task.grid(layer, option) for layer, option in enumerate(self.options)))


Made = tuple[PackedPlan, Schedule, dict[str, dict[str, Any]], Evaluation, float]
"""A plan as it was scheduled, what of its solution does not follow from it, and seconds of an evaluation."""


class Workers:
    """Makes plans and schedules them, in helpers, which begin at once, or here when the answer is asked for.

    Helpers are forks of this process, so that they have what planners have computed before the first order, need
    no ``if __name__ == "__main__"`` in the user's script, and answer the same. Systems other than Linux, where forks
    are not safe, have none. Use it as a context manager: what helpers are doing at its end is given up.

    Parameters
    ----------
    task : Task
        Orders of planners come here from now on.
    helpers : int
        Processes.
    """

    def __init__(self, task: Task, helpers: int) -> None:
        self.task, self.helpers = task, helpers if sys.platform == "linux" else 0
        self._pool: ProcessPoolExecutor | None = None
        self._processes: list[BaseProcess] = []
        task.helpers = self.helpers
        task.through(self.plan if self.helpers else None)

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.task.through(None)
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            for process in self._processes:
                process.kill()  # SIGTERM would only be noted by one that is not ready yet

    def plan(self, work: Callable[..., Plan | None], *more: object) -> PlanAnswer:
        """What ``work(task, *more)`` plans."""
        answer = self._order(_plan, work, *more)

        def unpacked() -> Plan | None:
            packed = answer()
            return None if packed is None else packed.unpacked(self.task)

        return unpacked

    def attempt(self, plan: Plan, limit: int | None) -> Attempt:
        """A plan scheduled and evaluated, as in :func:`~spatem_opt.search.realisation.attempt`."""
        answer = self._order(_attempt, PackedPlan.of(plan), limit)

        def made() -> Scheduled | Reason:
            found = answer()
            return found if isinstance(found, Reason) else self._completed(*found)

        return made

    def _completed(
        self, packed: PackedPlan, schedule: Schedule, claims: dict[str, dict[str, Any]], evaluation: Evaluation,
        seconds: float,
    ) -> Scheduled:  # fmt: skip
        """What a helper made, with what follows from the plan."""
        plan, network, chip = packed.unpacked(self.task), self.task.network, self.task.architecture
        placement = problem_of(plan, network, chip).placement
        solution = Solution(chip, network, packed.options, placement, schedule, plan.segment, claims)
        return Scheduled(plan, solution, evaluation, seconds)

    def _order(self, work: Callable[..., Answer], *more: object) -> Callable[[], Answer]:
        """Have a helper do it at once; done here later if there is none, or they have died (for lack of memory?)."""
        here = partial(work, self.task, *more)
        if not self.helpers:
            return here
        try:
            future = self._started().submit(_in_helper, work, *more)
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
            self._pool = ProcessPoolExecutor(self.helpers, context, _begin, (self.task, os.getpid()))
            with warnings.catch_warnings(), interrupt_held():  # or a fork not yet ready ends as its parent would
                warnings.simplefilter("ignore", DeprecationWarning)  # numpy's threads take forks well
                self._pool.submit(int)  # all are forked with the first order
            self._processes = [p for p in multiprocessing.active_children() if p.pid not in before]
        return self._pool


_own: Task
"""Of a helper."""


def _begin(task: Task, parent: int) -> None:
    global _own
    _own = task
    task.through(None)
    begin_helper(parent)


def _awaited(future: Future[Answer]) -> Answer:
    """The result of a helper; waited for in short turns, between which an exception for this thread can come.

    Asleep rather than in the future's own wait, which is not left half way (:data:`~spatem_opt.search.budget.WHOLE`).
    """
    while not future.done():
        time.sleep(POLL)
    return future.result()


def _in_helper(work: Callable[..., Answer], *more: object) -> Answer:
    return work(_own, *more)


def _plan(task: Task, work: Callable[..., Plan | None], *more: object) -> PackedPlan | None:
    plan = work(task, *more)
    return None if plan is None else PackedPlan.of(plan)


def _attempt(task: Task, packed: PackedPlan, limit: int | None) -> Made | Reason:
    made = attempt(packed.unpacked(task), task, limit)
    if isinstance(made, Reason):
        return made
    return PackedPlan.of(made.plan), made.solution.schedule, made.solution.claims, made.evaluation, made.replay_seconds
