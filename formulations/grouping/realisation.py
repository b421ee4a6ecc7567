"""Groupings composed from a profile whose numbers are all integer (``README.md``, section Realisation)."""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Hashable, Iterator
from dataclasses import dataclass

import numpy as np

from formulations.grouping.complement_matching import PatternPlan, match_complements
from formulations.grouping.dual_bound import DualPrices, narrowed
from formulations.grouping.patterns import Pattern, Profile
from formulations.grouping.program import Floats, Program, ProgramEngine, profile_program
from formulations.grouping.tree_decomposition import columns
from formulations.solver import Limits
from spatem_opt.grouping.problem import GroupingProblem, GroupingSolution

PLANS, TRIES, WIDE = 8, 30, 5
"""Integer profiles tried; ways to deal the pieces of one out that are tried; ways that are too entangled after which no
more are."""
REACH = 10_000
"""Most OUs of a grid, so that a try takes seconds at most."""
SHARE, TRY = 0.5, 0.3
"""Shares of the time left that an integer program may take: a profile, and the columns of one."""


@dataclass(frozen=True, slots=True)
class Refuted:
    """A grouping within a target if one was found, or whether it is proven that there is none.

    Parameters
    ----------
    solution : GroupingSolution or None
    proven : bool
    """

    solution: GroupingSolution | None
    proven: bool


def realise(
    problem: GroupingProblem, prices: DualPrices, target: int, engine: ProgramEngine, limits: Limits
) -> Refuted:
    """A grouping of at most `target` bits with the shapes and pieces of an integer profile; there may be no profile.

    Parameters
    ----------
    problem : GroupingProblem
    prices : DualPrices
        They leave few shapes and patterns if `target` is near the bound.
    target : int
        [bits per window].
    engine : ProgramEngine
    limits : Limits
    """
    prof, begin, rng = narrowed(problem, prices, target), time.monotonic(), random.Random(limits.seed)
    if not prof.sides or problem.ous > REACH:
        return Refuted(None, False)
    first = engine.integer(plan_program(problem, prof, target, None), limits.left(begin, SHARE))
    if first.value is None:
        return Refuted(None, first.infeasible)
    for value in _profiles(problem, prof, target, first.value, engine, rng, limits.left(begin)):
        axis, plan = min(enumerate(plans(prof, value, rng)), key=lambda item: _pieces(item[1]))
        solution = realise_plan(plan, engine, rng, limits.left(begin))
        if solution is not None:
            return Refuted(solution.transposed() if axis else solution, False)
    return Refuted(None, False)


def _profiles(
    problem: GroupingProblem,
    prof: Profile,
    target: int,
    first: Floats,
    engine: ProgramEngine,
    rng: random.Random,
    limits: Limits,
) -> Iterator[Floats]:
    """The first profile, one for each other number of groups of its commonest shape, then any."""
    common, begin = int(np.argmax(first[: len(prof.shapes)])), time.monotonic()
    yield first
    ranges = deque(_beside(first[common], 0, problem.groups))
    for _ in range(1, PLANS):
        if limits.over(begin):
            break
        any_number = not ranges
        fewest, most = (0, problem.groups) if any_number else ranges.popleft()
        program = plan_program(problem, prof, target, rng if any_number else None)
        for key, least, sign in (("fewest", fewest, 1), ("most", -most, -1)):
            program.add_row(key, least)
            program.columns[common][program.rows[key]] = sign
        value = engine.integer(program, limits.left(begin, SHARE)).value
        if value is not None:
            ranges += [] if any_number else _beside(value[common], fewest, most)
            yield value


def _beside(number: float, fewest: int, most: int) -> list[tuple[int, int]]:
    """What is left of a range without a number of it."""
    parts = (fewest, round(number) - 1), (round(number) + 1, most)
    return [(low, high) for low, high in parts if low <= high]


def realise_plan(
    plan: PatternPlan, engine: ProgramEngine, rng: random.Random, limits: Limits
) -> GroupingSolution | None:
    """A grouping whose groups touch no more rows and columns than planned, or None: there may be one all the same."""
    begin, wide = time.monotonic(), 0
    for _ in range(TRIES):
        if limits.over(begin) or wide == WIDE:
            break
        pieces = match_complements(plan, rng)
        if pieces is None:
            continue
        made = columns(plan, pieces)
        if made is None:
            wide += 1
            continue
        value = engine.integer(made.program, limits.left(begin, TRY)).value
        if value is not None:
            return made.read(value)
    return None


def plan_program(problem: GroupingProblem, prof: Profile, target: int, rng: random.Random | None) -> Program:
    """The profile within `target` [bits per window], all numbers integer; another objective to find another profile."""
    program = profile_program(problem, prof, 0)
    program.integer = set(range(len(program.cost)))
    key: Hashable = ("target",)
    program.add_row(key, -target)
    for column, cost in zip(program.columns, program.cost, strict=True):
        if cost:
            column[program.rows[key]] = -cost
    program.cost = [0 if rng is None else rng.randrange(10) for _ in program.cost]
    return program


def plans(prof: Profile, value: Floats, rng: random.Random) -> list[PatternPlan]:
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
        made.append(
            PatternPlan(side.length, tuple(groups), tuple(_path(stops, side.length) for _ in range(side.lines)))
        )
    return made


def _path(stops: dict[int, list[int]], length: int) -> Pattern:
    """Pieces of a path from 0 to `length`, taken out of the arcs."""
    at, pieces = 0, []
    while at < length:
        stop = stops[at].pop()
        pieces.append(stop - at)
        at = stop
    return tuple(pieces)


def _pieces(plan: PatternPlan) -> int:
    """Pieces of a plan: the fewer there are, the freer they are."""
    return sum(len(line) for line in plan.lines)
