"""The best solution of a run so far, and what its file will claim."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import Any

from spatem_opt.cost import bounds
from spatem_opt.errors import ModelError
from spatem_opt.evaluator import evaluate
from spatem_opt.evaluator.proof import prove as prove_bounds
from spatem_opt.model.result import Status, Step
from spatem_opt.model.solution import Solution
from spatem_opt.planning.policy import policy_of
from spatem_opt.search.budget import Budget
from spatem_opt.search.engine import Evaluated
from spatem_opt.search.progress import Teller
from spatem_opt.search.realisation import rank
from spatem_opt.search.result import Result

Trace = list[tuple[float, int, str]]
"""Seconds, value and name of every solution that was better than those before."""


@dataclass(slots=True, eq=False)
class Record:
    """The best solution so far, and when each better one was found; ``how`` is what the claims say of it."""

    objective: str
    bound: bounds.Bound
    tell: Teller
    on_solution: Callable[[Solution], None] | None
    how: dict[str, Any]
    best: Evaluated | None = None
    trace: Trace = field(default_factory=list)

    @property
    def status(self) -> Status:
        """Of the best solution."""
        met = self.best is not None and self.best.value == self.bound.value
        return Status.OPTIMAL if met else Status.FEASIBLE

    def seen(self, found: Evaluated) -> int:
        """Take note of a solution; returns the best value so far."""
        if self.best is not None and rank(found.evaluation, self.objective) >= rank(
            self.best.evaluation, self.objective
        ):
            return self.best.value
        self.best = found
        self.trace.append((round(self.tell.seconds, 3), found.value, found.name))
        self.tell.better(found.value)
        if self.on_solution is not None:
            self.on_solution(self.solution())
        return found.value

    def solution(self, steps: tuple[Step, ...] = (), cut: tuple[str, ...] = ()) -> Solution:
        """The best solution with its claims."""
        if self.best is None:
            raise ModelError("there is no solution yet")
        return replace(self.best.solution, claims=_claims(self.best, self, steps, cut))


    def result(self, steps: tuple[Step, ...], budget: Budget) -> Result:
        """What is given back."""
        seconds, bound = self.tell.seconds, self.bound.value
        if self.best is None:
            return Result(Status.UNKNOWN, self.objective, bound=bound, seconds=seconds, cut=budget.cuts)
        self.best = replace(self.best, evaluation=evaluate(self.best.solution))  # with its period
        return _proven_twice(Result(
            self.status, self.objective, self.solution(steps, budget.cuts), self.best.value, bound, seconds,
            evaluation=self.best.evaluation, steps=steps, cut=budget.cuts,
        ))  # fmt: skip


def _proven_twice(result: Result) -> Result:
    """The result with the evaluator's bounds, which must be its own: else its file would not be valid."""
    if result.solution is None or result.evaluation is None:
        return result
    proven = prove_bounds(result.solution.network, result.solution.architecture)
    policy = policy_of(result.objective)
    found = proven["period" if policy.follows else policy.name]
    if found != result.bound:
        raise ModelError(f"{result.objective}: a bound of {result.bound}, of which the evaluator proves {found}")
    return replace(result, evaluation=replace(result.evaluation, bounds=proven))


def _claims(
    best: Evaluated, record: Record, steps: tuple[Step, ...], cut: tuple[str, ...]
) -> dict[str, dict[str, Any]]:
    """What the solution file claims: numbers that the evaluator must be able to confirm, and how they were found."""
    found, bound = best.evaluation, record.bound
    total = {
        "objective": record.objective, "bound": bound.value, "latency": found.latency_cycles,
        "period": found.period_cycles, "communication": found.communication.total if found.communication else None,
        "energy": found.energy.total if found.energy else None,
    }  # fmt: skip
    how = {**record.how, "plan": best.name, "status": str(record.status), "binding": bound.binding}
    return {
        "total": total,
        **{step.step: {key: value for key, value in step.to_dict().items() if key != "step"} for step in steps},
        "search": {
            **how,
            "seconds": round(record.tell.seconds, 3),
            "versions": _versions(),
            "trace": [[seconds, value, bound.value, name] for seconds, value, name in record.trace],
            **({"cut_short": list(cut)} if cut else {}),
        },
    }


def _versions() -> dict[str, str]:
    return {"python": platform.python_version(), **{name: version(name) for name in ("spatem-opt", "numpy")}}
