"""Groupings of any size, seconds at most (``formulations/grouping/README.md``, section Heuristic)."""

from __future__ import annotations

from spatem_opt.grouping import bounds, guillotine, improve, strips
from spatem_opt.grouping.problem import GroupingProblem, GroupingSolution
from spatem_opt.grouping.referee import objective
from spatem_opt.grouping.serpentine import best_serpentine


def solve(problem: GroupingProblem, *, seed: int = 0) -> GroupingSolution | None:
    """The best of strips, walks and guillotine partitions; of small grids improved by moving single OUs.

    Parameters
    ----------
    problem : GroupingProblem
    seed : int
        Of the improvement of small grids.

    Returns
    -------
    GroupingSolution or None
        None if n*m < R*C, which no grouping fits.

    Examples
    --------
    >>> problem = GroupingProblem(rows=4, cols=4, groups=4, size=4, row_cost=1, col_cost=1)
    >>> solution = solve(problem)
    >>> objective(problem, solution)
    16
    """
    if not problem.feasible:
        return None
    plan = strips.best_plan(problem)
    found = [strips.lay_out(problem, plan) if plan else best_serpentine(problem), guillotine.solve(problem)]
    if plan and plan.groups == -(-problem.ous // problem.size):
        found.append(best_serpentine(problem))  # no slot to spare: a walk may beat the strips
    best = min((s for s in found if s is not None), key=lambda s: objective(problem, s))
    if problem.ous <= improve.LARGEST and objective(problem, best) > bounds.lower_bound(problem):
        best = improve.improve(problem, best, seed=seed)
    return best
