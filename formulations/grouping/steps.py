"""What both engines do before and after their solver runs."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass

from formulations.grouping import dual_bound
from formulations.grouping.branch import raised
from formulations.grouping.generation import BranchNode, generate
from formulations.grouping.interval_flow import layout
from formulations.grouping.patterns import Profile, profile
from formulations.grouping.program import ProgramEngine, bits, profile_program
from formulations.grouping.realisation import realise
from formulations.solver import Limits, StepResult, concluded, versions
from spatem_opt.errors import ModelError
from spatem_opt.grouping import bounds, heuristic, improve
from spatem_opt.grouping.problem import GroupingProblem, GroupingSolution
from spatem_opt.grouping.referee import check
from spatem_opt.model.result import Shortage, Status

STEPS, RUNS = 100_000, 8
"""Moves of a run of the longer search, about half a second, and runs."""
PRICES, PROFILE, COMPOSE, FLOW, ANNEAL, BRANCH = 0.4, 0.3, 0.8, 0.6, 0.3, 0.6
"""Shares of the time left for the stages."""


@dataclass(slots=True)
class GroupingIncumbent:
    """Best grouping and bound so far.

    Parameters
    ----------
    best : GroupingSolution or None
        None only if the problem is infeasible.
    objective : int or None
    bound : int
        0 if nothing better is known.
    root : Prices or None
        The best prices of :meth:`combine`.
    """

    best: GroupingSolution | None
    objective: int | None
    bound: int
    root: dual_bound.DualPrices | None = None

    @property
    def closed(self) -> bool:
        """Whether objective and bound meet."""
        return self.objective == self.bound

    def raise_bound(self, bound: int | None) -> None:
        """Take a proven bound over if it is better."""
        if bound is not None:
            self.bound = max(self.bound, bound)

    def combine(
        self, problem: GroupingProblem, engine: ProgramEngine, without: Collection[str], limits: Limits
    ) -> Profile:
        """All stages before the full model; the shapes and patterns that they do not rule out, all without a bound."""
        begin = time.monotonic()
        if self.closed or not self.bound or self.best is None or self.objective is None:
            return Profile((), ()) if self.closed else profile(problem)
        root = None
        if dual_bound.within_reach(problem):
            root = generate(problem, self.best, self.objective, engine.linear, limits.left(begin, PRICES))
            self.root = root.prices
            self.raise_bound(root.prices.bound(problem))
            self.compose(problem, root, engine, limits.left(begin, COMPOSE))
            composed = self.bound
            self.solve_profile(problem, self.left(problem, root), without, engine, limits.left(begin, PROFILE))
            if self.bound > composed:
                self.compose(problem, root, engine, limits.left(begin, COMPOSE))
            self.place(problem, root, engine, limits.left(begin, FLOW))
        self.anneal(problem, limits.left(begin, ANNEAL))
        if root is not None and not self.closed and not limits.stopped:
            self.raise_bound(raised(root, self.objective, engine.linear, limits.left(begin, BRANCH)))
        return profile(problem) if root is None else self.left(problem, root)

    def left(self, problem: GroupingProblem, root: BranchNode) -> Profile:
        """What prices leave of the shapes and patterns."""
        return Profile((), ()) if self.objective is None else dual_bound.narrowed(problem, root.prices, self.objective)

    def solve_profile(
        self, problem: GroupingProblem, prof: Profile, without: Collection[str], engine: ProgramEngine, limits: Limits
    ) -> None:
        """Raise the bound by the profile with integer numbers of shapes."""
        if not self.closed and self.bound and prof.sides and not limits.stopped:
            bound = engine.integer(profile_program(problem, prof, self.bound, without), limits).bound
            self.raise_bound(None if bound is None else bits(problem, bound))

    def compose(self, problem: GroupingProblem, root: BranchNode, engine: ProgramEngine, limits: Limits) -> None:
        """Look for a grouping as cheap as the bound; where there is provably none, raise the bound and look again."""
        begin, proven = time.monotonic(), True
        while proven and not self.closed and not limits.over(begin):
            found = realise(problem, root.prices, self.bound, engine, limits.left(begin))
            proven = found.proven
            if proven:
                self.raise_bound(bits(problem, self.bound + 1))
            if found.solution is not None:
                self.improve(problem, found.solution, None)

    def place(self, problem: GroupingProblem, root: BranchNode, engine: ProgramEngine, limits: Limits) -> None:
        """Look for any good grouping of intervals, among the shapes left near the bound."""
        begin = time.monotonic()
        prof = Profile((), ()) if self.closed else dual_bound.narrowed(problem, root.prices, self.bound)
        for axis in range(len(prof.sides)):
            flow = None if self.closed or limits.over(begin) else layout(problem, prof, axis, root.prices)
            value = None if flow is None else engine.integer(flow.program, limits.left(begin, FLOW)).value
            if flow is not None and value is not None:
                self.improve(problem, flow.read(value), None)

    def anneal(self, problem: GroupingProblem, limits: Limits) -> None:
        """Search longer than the heuristic does, where a gap is left and the grid is small."""
        if not self.bound or problem.ous > improve.LARGEST:
            return
        begin = time.monotonic()
        for run in range(RUNS):
            late = limits.stopped or (run > 0 and limits.over(begin))
            if not self.closed and self.best is not None and not late:
                better = improve.improve(problem, self.best, seed=limits.seed + run, steps=STEPS, target=self.bound)
                self.improve(problem, better, None)

    def improve(self, problem: GroupingProblem, solution: GroupingSolution, claimed: int | None) -> None:
        """Take a solution over if it is better.

        Raises
        ------
        ModelError
            If the referee finds a violation, or a higher objective than claimed.
        """
        objective = accepted(problem, solution)
        # A model may count a touch of no OU while it is not proven optimal: the claim may be above, never below.
        if claimed is not None and objective > claimed:
            raise ModelError(f"grouping: the model claims {claimed}, the referee finds {objective}")
        if self.objective is None or objective < self.objective:
            self.best, self.objective = solution, objective


def accepted(problem: GroupingProblem, solution: GroupingSolution) -> int:
    """Objective of a solution as the referee computes it.

    Raises
    ------
    ModelError
        If the solution violates a constraint.
    """
    verdict = check(problem, solution)
    if verdict.violations:
        family, message = verdict.violations[0]
        raise ModelError(f"grouping: {len(verdict.violations)} violations, the first: {family}: {message}")
    return verdict.objective


def prepare(
    problem: GroupingProblem, hint: GroupingSolution | None, *, use_bound: bool, seed: int
) -> GroupingIncumbent:
    """Start from the better of hint and heuristic, and from the combinatorial bound if wanted."""
    found = [s for s in (hint, heuristic.solve(problem, seed=seed)) if s is not None]
    if not found:
        return GroupingIncumbent(None, None, 0)
    costs = [accepted(problem, solution) for solution in found]
    best = costs.index(min(costs))
    return GroupingIncumbent(found[best], costs[best], bounds.lower_bound(problem) if use_bound else 0)


def finish(
    problem: GroupingProblem, found: GroupingIncumbent, begin: float, engine: str, log: str = ""
) -> StepResult[GroupingSolution]:
    """Result of a run that began at `begin`."""
    seconds = time.monotonic() - begin
    packages = versions("ortools" if engine == "cpsat" else "pulp")
    if found.best is None:
        there = problem.groups * problem.size
        shortage = Shortage("size", problem.ous, there, "OUs", f"grid of {problem.rows} x {problem.cols} OUs")
        return StepResult(Status.INFEASIBLE, None, None, None, seconds, engine, packages, shortage, log)
    status = concluded(found.objective, found.bound)
    return StepResult(status, found.best, found.objective, found.bound, seconds, engine, packages, None, log)
