"""Linear and integer programs that either engine solves, and the profile as such a program (``README.md``, Profile)."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Hashable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from formulations.grouping.patterns import Profile
from formulations.solver import Limits
from spatem_opt.grouping.problem import GroupingProblem

Floats = NDArray[np.float64]


@dataclass(slots=True)
class Program:
    """``min cost x`` with ``sum_j column_j x_j >= rhs``, ``x >= 0``, some of x integer.

    Parameters
    ----------
    rows : dict of key to int
        Number of a constraint by its key.
    rhs, cost : lists of int
        Of constraints, of variables.
    columns : list of dict of constraint to coefficient
        Of variables.
    integer : set of int
        Variables that are integer.
    """

    rows: dict[Hashable, int] = field(default_factory=dict)
    rhs: list[int] = field(default_factory=list)
    cost: list[int] = field(default_factory=list)
    columns: list[dict[int, int]] = field(default_factory=list)
    integer: set[int] = field(default_factory=set)

    def add_row(self, key: Hashable, least: int) -> None:
        """Add a constraint."""
        self.rows[key] = len(self.rhs)
        self.rhs.append(least)

    def add(self, cost: int, entries: dict[Hashable, int], *, integer: bool = False) -> None:
        """Add a variable; entries of constraints that are not there are left out."""
        if integer:
            self.integer.add(len(self.cost))
        self.cost.append(cost)
        self.columns.append({self.rows[key]: value for key, value in entries.items() if key in self.rows})


@dataclass(frozen=True, slots=True, eq=False)
class ProgramAnswer:
    """What an engine says of a program.

    Parameters
    ----------
    bound : float or None
        No solution costs less; None if nothing is known.
    value : float array, shape (columns,), or None
        A solution, optimal of a linear program; None if none is known.
    dual : float array, shape (rows,)
        Dual values of a linear program; any will do, optimal ones do well.
    infeasible : bool
        Proven: there is no solution.
    """

    bound: float | None
    value: Floats | None
    dual: Floats
    infeasible: bool = False


@dataclass(frozen=True, slots=True)
class ProgramEngine:
    """Solvers of linear and of integer programs."""

    linear: Callable[[Program], ProgramAnswer]
    integer: Callable[[Program, Limits], ProgramAnswer]


def bits(problem: GroupingProblem, value: float) -> int:
    """The least cost there can be, not below a proven value: a multiple of gcd(a, b) [bits per window]."""
    step = math.gcd(problem.row_cost, problem.col_cost) or 1
    return math.ceil(value / step - 1e-6) * step


def profile_program(problem: GroupingProblem, prof: Profile, lower: int, without: Collection[str] = ()) -> Program:
    """The profile with integer numbers of shapes; patterns and pieces of lines may be fractions, equations are ``>=``.

    Parameters
    ----------
    problem : GroupingProblem
    prof : Profile
        With sides.
    lower : int
        Proven bound.
    without : collection of str
        Families to leave out: ``pieces``, ``line_flow``, ``group_pattern``, ``group_count``, ``bound``.
    """
    p, program = problem, Program()
    rows: dict[tuple[Hashable, ...], int] = {
        ("group_count", "least"): -(-p.ous // p.size), ("group_count", "most"): -p.groups, ("bound",): lower,
    }  # fmt: skip
    for axis, side in enumerate(prof.sides):
        rows |= {("pieces", axis, k): 0 for k in range(1, side.length + 1)}
        rows |= {("line_flow", axis, k): side.lines * (k == 0) for k in range(side.length)}
        rows |= {("group_pattern", axis, t): 0 for t in range(len(prof.shapes))}
    for key, least in rows.items():
        if key[0] not in without:
            program.add_row(key, least)
    for t, (r, c) in enumerate(prof.shapes):
        cost = p.row_cost * r + p.col_cost * c
        entries: dict[Hashable, int] = {("group_pattern", axis, t): 1 for axis in (0, 1)}
        entries |= {("group_count", "least"): 1, ("group_count", "most"): -1, ("bound",): cost}
        program.add(cost, entries, integer=True)
    for axis, side in enumerate(prof.sides):
        for t, pattern in side.group_patterns:
            offered: dict[Hashable, int] = {("pieces", axis, k): pattern.count(k) for k in set(pattern)}
            program.add(0, offered | {("group_pattern", axis, t): -1})
        for i, j in side.arcs:
            program.add(0, {("line_flow", axis, i): 1, ("line_flow", axis, j): -1, ("pieces", axis, j - i): -1})
        for k in range(2, side.length + 1):  # a piece may serve as a smaller one
            program.add(0, {("pieces", axis, k): -1, ("pieces", axis, k - 1): 1})
    return program
