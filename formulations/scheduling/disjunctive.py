"""Disjunctive ILP of temporal scheduling, of any horizon: for export. Equation labels are those of ``README.md``."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any

from formulations.scheduling.steps import twins
from formulations.solver import pulp_minimisation
from spatem_opt.errors import InstanceError
from spatem_opt.scheduling.chunk_bounds import ordered
from spatem_opt.scheduling.chunks import ChunkProblem


@dataclass(slots=True)
class DisjunctiveVariables:
    """Decision variables.

    Parameters
    ----------
    problem : ChunkProblem
    lower, upper : int
        Proven bound, and a makespan that can be reached [cycles].
    start : per task, int
        When it begins, between its head and `upper` less its tail.
    first : (i, j) -> bool
        Of two tasks i < j that share a crossbar, i goes first.
    makespan : int
    """

    problem: ChunkProblem
    lower: int
    upper: int
    start: list[Any]
    first: dict[tuple[int, int], Any]
    makespan: Any

    def reach(self, i: int, j: int) -> int:
        """The most by which the end of i may be after the start of j, within the horizon [cycles]."""
        p = self.problem
        return self.upper - int(p.tails[i]) + int(p.duration[i]) - int(p.heads[j])


def pairs(problem: ChunkProblem) -> list[tuple[int, int]]:
    """Tasks i < j that share a crossbar."""
    return sorted({pair for members in problem.resources for pair in combinations(sorted(members.tolist()), 2)})


def size(problem: ChunkProblem) -> int:
    """Variables of the model."""
    return problem.tasks + len(pairs(problem)) + 1


def make_variables(model: Any, problem: ChunkProblem, lower: int, upper: int) -> DisjunctiveVariables:
    """Create all variables."""
    latest = (upper - problem.tails).tolist()
    start = [
        model.add_variable(f"start_{i}", head, last, cat="Integer")
        for i, (head, last) in enumerate(zip(problem.heads.tolist(), latest, strict=True))
    ]
    first = {(i, j): model.add_variable(f"first_{i}_{j}", cat="Binary") for i, j in pairs(problem)}
    return DisjunctiveVariables(
        problem, lower, upper, start, first, model.add_variable("makespan", 0, upper, cat="Integer")
    )


def add_precedence(model: Any, y: DisjunctiveVariables) -> None:
    r"""No window of a chunk begins before its inputs are there (D1), as S1.

    .. math:: s_j \ge s_i + l_{ij} \qquad \forall (i, j) \in E
    """
    p = y.problem
    for k, (i, j, lag) in enumerate(zip(p.before.tolist(), p.after.tolist(), p.lag.tolist(), strict=True)):
        model.addConstraint(y.start[j] - y.start[i] >= lag, name=f"precedence[{i},{j},{k}]")


def add_exclusive(model: Any, y: DisjunctiveVariables) -> None:
    r"""Of two chunks that share a crossbar one goes first (D2), for S2; M the least that switches the row off.

    .. math:: s_j \ge s_i + d_i - M_{ij} (1 - x_{ij}),\; s_i \ge s_j + d_j - M_{ji} x_{ij} \qquad
              \forall i < j \in K_r, \quad M_{ij} = \bar z - \hat q_i + d_i - \hat r_j
    """
    for (i, j), x in y.first.items():
        there, back = max(0, y.reach(i, j)), max(0, y.reach(j, i))
        held = int(y.problem.duration[i]) - there, int(y.problem.duration[j])
        model.addConstraint(y.start[j] - y.start[i] - there * x >= held[0], name=f"exclusive[{i},{j}]")
        model.addConstraint(y.start[i] - y.start[j] + back * x >= held[1], name=f"exclusive[{j},{i}]")


def add_horizon(model: Any, y: DisjunctiveVariables) -> None:
    r"""Chunks wait for the network's inputs, and everything that follows from them ends by the makespan (D3), for S3.

    .. math:: s_i \ge r_i,\; s_i + q_i \le z \qquad \forall i, \qquad z \ge \underline{z}_0
    """
    p = y.problem
    for i, (release, tail) in enumerate(zip(p.release.tolist(), p.tail.tolist(), strict=True)):
        model.addConstraint(y.start[i] >= release, name=f"horizon[{i},release]")
        model.addConstraint(y.makespan - y.start[i] >= tail, name=f"horizon[{i},tail]")
    model.addConstraint(y.makespan >= p.floor, name="horizon[floor]")


def add_order(model: Any, y: DisjunctiveVariables) -> None:
    r"""Redundant: orders on shared crossbars that the lags decide (D4), as S5.

    .. math:: s_j \ge s_i + d_i \qquad \forall (i, j) \in O
    """
    p, tight = y.problem, ordered(y.problem)
    new = slice(len(p.lag), None)
    orders = zip(tight.before[new].tolist(), tight.after[new].tolist(), tight.lag[new].tolist(), strict=True)
    for k, (i, j, lag) in enumerate(orders):
        model.addConstraint(y.start[j] - y.start[i] >= lag, name=f"order[{i},{j},{k}]")


def add_bound(model: Any, y: DisjunctiveVariables) -> None:
    r"""Redundant: the makespan is at least a proven bound (D5), as S6.

    .. math:: z \ge \underline{z}
    """
    model.addConstraint(y.makespan >= y.lower, name="bound[0]")


def add_symmetry(model: Any, y: DisjunctiveVariables) -> None:
    r"""Symmetry: chunks that are alike in everything begin in the order of their numbers (D6), as S7.

    .. math:: s_i \le s_{i'} \qquad \forall i < i' \text{ successive in a class of twins}
    """
    for group in twins(y.problem):
        for i, j in pairwise(group):
            model.addConstraint(y.start[j] - y.start[i] >= 0, name=f"symmetry[{i},{j}]")


FAMILIES: dict[str, Callable[[Any, DisjunctiveVariables], None]] = {
    "precedence": add_precedence,
    "exclusive": add_exclusive,
    "horizon": add_horizon,
    "order": add_order,
    "bound": add_bound,
    "symmetry": add_symmetry,
}


def build(
    problem: ChunkProblem, without: Collection[str] = (), *, lower: int = 0, upper: int
) -> tuple[Any, DisjunctiveVariables]:
    """The model, a PuLP problem.

    Parameters
    ----------
    problem : ChunkProblem
    without : collection of str
        Families to leave out (:data:`FAMILIES`).
    lower, upper : int
        Proven lower bound for the family ``bound``; a makespan that can be reached [cycles].

    Raises
    ------
    InstanceError
        If routers are limited: this model has no family for them.
    """
    if problem.load is not None:
        raise InstanceError("disjunctive ILP", "load", "given", "expected None: routers need time-indexed variables")
    model = pulp_minimisation("scheduling")
    y = make_variables(model, problem, lower, upper)
    model += y.makespan
    for name, add in FAMILIES.items():
        if name not in without:
            add(model, y)
    return model, y
