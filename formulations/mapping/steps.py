"""What both engines of weight mapping do before and after their solver runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from math import gcd

from formulations.solver import Limits, SolverRun, StepResult, versions
from spatem_opt.errors import ModelError
from spatem_opt.mapping import bounds, heuristic
from spatem_opt.mapping.problem import MappingProblem, MappingSolution
from spatem_opt.mapping.referee import MappingVerdict, check
from spatem_opt.model.result import Shortage, Status
from spatem_opt.types import IntArray

Stage = Callable[[int, int | None, MappingSolution], tuple[SolverRun, MappingSolution | None]]
"""Runs the solver: level (0 excess, 1 communication), most excess allowed, hint -> outcome and choice."""


def costs(problem: MappingProblem, level: int) -> tuple[list[IntArray], int]:
    """Objective of a level per layer and candidate, divided by the common divisor, the second item."""
    tables = [problem.excess(i) if level == 0 else problem.communication[i] for i in range(len(problem.layers))]
    scale = gcd(*(int(value) for table in tables for value in table)) or 1
    return [table // scale for table in tables], scale


def accepted(problem: MappingProblem, solution: MappingSolution, without: Collection[str] = ()) -> MappingVerdict:
    """Verdict of the referee.

    Raises
    ------
    ModelError
        If a constraint that was not left out is violated.
    """
    verdict = check(problem, solution)
    bad = [violation for violation in verdict.violations if violation[0] not in without]
    if bad:
        raise ModelError(f"mapping: {len(bad)} violations, the first: {bad[0][0]}: {bad[0][1]}")
    return verdict


def solve(
    problem: MappingProblem,
    hint: MappingSolution | None,
    engine: str,
    limits: Limits,
    without: Collection[str],
    stage: Stage,
) -> StepResult[MappingSolution]:
    """Lexicographic: least excess, then least communication with that excess."""
    begin = time.monotonic()
    packages = versions("ortools" if engine == "cpsat" else "pulp")
    best = hint if hint is not None else heuristic.solve(problem)
    if best is None and "capacity" not in without:
        shortage = Shortage("capacity", bounds.slots(problem), problem.capacity, "OU slots", "all layers, smallest")
        return StepResult(Status.INFEASIBLE, None, None, None, time.monotonic() - begin, engine, packages, shortage)
    if best is None:
        best = MappingSolution((0,) * len(problem.layers))
    proven: list[int | None] = []
    for level in (0, 1):
        most = None if level == 0 else accepted(problem, best, without).excess
        run, choice = stage(level, most, best)
        if run.status is Status.INFEASIBLE:
            raise ModelError(f"mapping: level {level} infeasible beside a feasible start")
        scale = costs(problem, level)[1]
        bound = run.bound * scale if run.bound is not None else None
        if choice is not None:
            verdict = accepted(problem, choice, without)
            value = verdict.communication if level else verdict.excess
            if run.objective is None or value != run.objective * scale:
                raise ModelError(f"mapping: the model claims {run.objective} x {scale}, the referee finds {value}")
            before = accepted(problem, best, without)
            if (verdict.excess, verdict.communication) < (before.excess, before.communication):
                best = choice
        proven.append(bound)
    return _result(problem, best, proven, time.monotonic() - begin, engine, packages, without)


def _result(
    problem: MappingProblem, best: MappingSolution, proven: list[int | None], seconds: float, engine: str,
    packages: dict[str, str], without: Collection[str],
) -> StepResult[MappingSolution]:  # fmt: skip
    verdict = accepted(problem, best, without)
    least = max(proven[0] or 0, bounds.excess(problem) if "capacity" not in without else 0)
    floor = bounds.communication(problem) if "slack" not in without else 0
    # A bound on communication holds for the excess it was proven with; that is the optimum only if proven, too.
    bound = max(proven[1] or 0, floor) if least == verdict.excess else floor
    if bound >= verdict.communication and least < verdict.excess:
        bound = min(bound, verdict.communication - 1)  # first objective open: nothing is proven optimal
    status = Status.OPTIMAL if bound == verdict.communication else Status.FEASIBLE
    levels = ((verdict.excess, least),)
    return StepResult(status, best, verdict.communication, bound, seconds, engine, packages, None, "", levels)
