"""What both engines do before and after their solver runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from formulations.solver import StepResult, concluded, versions
from spatem_opt.errors import ModelError
from spatem_opt.scheduling import chunk_bounds, chunk_heuristic
from spatem_opt.scheduling.chunks import ChunkProblem, ChunkSchedule, check, makespan


@dataclass(slots=True)
class ChunkIncumbent:
    """Best schedule and bound so far [cycles]."""

    best: ChunkSchedule
    objective: int
    bound: int

    @property
    def closed(self) -> bool:
        """Whether objective and bound meet."""
        return self.objective == self.bound

    def raise_bound(self, bound: int | None) -> None:
        """Take a proven bound over if it is better."""
        if bound is not None:
            self.bound = max(self.bound, bound)

    def improve(self, problem: ChunkProblem, solution: ChunkSchedule, claimed: int | None) -> None:
        """Take a solution over if it is better.

        Raises
        ------
        ModelError
            If the referee finds a violation, or a longer makespan than claimed.
        """
        objective = accepted(problem, solution, claimed)
        if objective < self.objective:
            self.best, self.objective = solution, objective


def accepted(problem: ChunkProblem, solution: ChunkSchedule, claimed: int | None = None) -> int:
    """Makespan of a schedule as the referee computes it.

    Raises
    ------
    ModelError
        If the schedule violates a constraint, or the claim is below the makespan.
    """
    verdict = check(problem, solution, claimed)
    if verdict.violations:
        family, message = verdict.violations[0]
        raise ModelError(f"scheduling: {len(verdict.violations)} violations, the first: {family}: {message}")
    return verdict.objective


def prepare(problem: ChunkProblem, hint: ChunkSchedule | None, *, use_bound: bool) -> ChunkIncumbent:
    """Start from the hint or the heuristic, and from the combinatorial bound if wanted."""
    best = hint if hint is not None else chunk_heuristic.solve(problem)
    bound = chunk_bounds.lower_bound(chunk_bounds.ordered(problem)) if use_bound else problem.floor
    return ChunkIncumbent(best, accepted(problem, best), bound)


def read(problem: ChunkProblem, value: Callable[[int], int]) -> ChunkSchedule:
    """Solution from the start of every task."""
    return ChunkSchedule(np.array([value(task) for task in range(problem.tasks)], dtype=np.int64))


def canonical(problem: ChunkProblem, solution: ChunkSchedule) -> ChunkSchedule:
    """The same schedule with twins (:func:`twins`) renamed so that lower numbers begin first."""
    start = solution.start.copy()
    for group in twins(problem):
        start[group] = np.sort(start[group])
    if makespan(problem, start) != makespan(problem, solution.start):
        raise ModelError("scheduling: twins are not alike")
    return ChunkSchedule(start)


def twins(problem: ChunkProblem) -> list[list[int]]:
    """Tasks alike in everything, hence exchangeable: same durations, lags, resources and traffic."""
    groups: dict[tuple[object, ...], list[int]] = {}
    for task in range(problem.tasks):
        lags = [
            tuple(sorted(zip(other.tolist(), lag.tolist(), strict=True)))
            for other, lag in (problem.incoming[task], problem.outgoing[task])
        ]
        load = int(problem.load[task]) if problem.load is not None else 0
        numbers = (int(problem.duration[task]), int(problem.release[task]), int(problem.tail[task]), load)
        groups.setdefault((*numbers, *lags, tuple(problem.held[task])), []).append(task)
    return [group for group in groups.values() if len(group) > 1]


def finish(found: ChunkIncumbent, begin: float, engine: str, package: str, log: str = "") -> StepResult[ChunkSchedule]:
    """Result of a run that began at `begin`."""
    seconds, status = time.monotonic() - begin, concluded(found.objective, found.bound)
    return StepResult(status, found.best, found.objective, found.bound, seconds, engine, versions(package), None, log)
