"""Groupings composed from a profile whose numbers are all integer (``README.md``, section Realisation)."""

from __future__ import annotations

import random
import time
from collections.abc import Hashable
from dataclasses import dataclass

from formulations.grouping.prices import Prices, narrowed
from formulations.grouping.profile import Pattern, Profile
from formulations.grouping.program import Engine, Floats, Program, profile_program
from formulations.grouping.realise import Plan, realise
from formulations.solver import Limits
from spatem_opt.grouping.problem import Problem, Solution

PLANS, TRIES = 12, 20
"""Integer profiles tried, and groupings tried of either axis of each."""
REACH = 10_000
"""Most OUs of a grid, so that a try takes seconds at most."""
SHARE = 0.5
"""Share of the time left that an integer program may take."""


@dataclass(frozen=True, slots=True)
class Refuted:
    """A grouping within a target if one was found, or whether it is proven that there is none.

    Parameters
    ----------
    solution : Solution or None
    proven : bool
    """

    solution: Solution | None
    proven: bool


def compose(problem: Problem, prices: Prices, target: int, engine: Engine, limits: Limits) -> Refuted:
    """A grouping of at most `target` bits with the shapes and pieces of an integer profile; there may be no profile.

    Parameters
    ----------
    problem : Problem
    prices : Prices
        They leave few shapes and patterns if `target` is near the bound.
    target : int
        [bits per window].
    engine : Engine
    limits : Limits
    """
    prof, begin, rng = narrowed(problem, prices, target), time.monotonic(), random.Random(limits.seed)
    for attempt in range(PLANS if prof.sides and problem.ous <= REACH else 0):
        if limits.over(begin):
            break
        program = plan_program(problem, prof, target, rng if attempt else None)
        answer = engine.integer(program, limits.left(begin, SHARE))
        if answer.value is None:
            return Refuted(None, answer.infeasible)
        for axis, plan in sorted(enumerate(plans(prof, answer.value, rng)), key=lambda item: _pieces(item[1])):
            for _ in range(TRIES):
                found = None if limits.over(begin) else realise(plan, rng)
                if found is not None:
                    return Refuted(found.transposed() if axis else found, False)
    return Refuted(None, False)


def plan_program(problem: Problem, prof: Profile, target: int, rng: random.Random | None) -> Program:
    """The profile within `target` [bits per window], all numbers integer; another objective to find another profile."""
    program = profile_program(problem, prof, 0)
    program.integer = set(range(len(program.cost)))
    key: Hashable = ("target",)
    program.add_row(key, -target)
    for column, cost in zip(program.columns, program.cost, strict=True):
        if cost:
            column[program.rows[key]] = -cost
    if rng is not None:
        program.cost = [rng.randrange(10) for _ in program.cost]
    return program


def plans(prof: Profile, value: Floats, rng: random.Random) -> list[Plan]:
    """Pieces of rows, then of columns, that a solution of :func:`plan_program` stands for."""
    numbers = iter(round(float(number)) for number in value)
    for _ in prof.shapes:
        next(numbers)
    made = []
    for axis, side in enumerate(prof.sides):
        groups = []
        for shape, pattern in side.group_patterns:
            groups += [(prof.shapes[shape][1 - axis], pattern)] * next(numbers)
        stops: dict[int, list[int]] = {}
        for first, stop in side.arcs:
            stops.setdefault(first, []).extend([stop] * next(numbers))
        for _ in range(2, side.length + 1):
            next(numbers)
        for ends in stops.values():
            rng.shuffle(ends)
        made.append(Plan(side.length, tuple(groups), tuple(_path(stops, side.length) for _ in range(side.lines))))
    return made


def _path(stops: dict[int, list[int]], length: int) -> Pattern:
    """Pieces of a path from 0 to `length`, taken out of the arcs."""
    at, pieces = 0, []
    while at < length:
        stop = stops[at].pop()
        pieces.append(stop - at)
        at = stop
    return tuple(pieces)


def _pieces(plan: Plan) -> int:
    """Pieces of a plan: the fewer there are, the freer they are."""
    return sum(len(line) for line in plan.lines)
