"""Tiny mapping problems and their optima by enumeration."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from spatem_opt.mapping.problem import MappingProblem
from spatem_opt.model.solution import MappingOption


@dataclass(frozen=True)
class Case:
    """Rows (operations, communication, slots) of all candidates, layer by layer, and how many each layer has."""

    rows: tuple[tuple[int, int, int], ...]
    counts: tuple[int, ...]
    capacity: int
    slack: int


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Up to three layers of up to three candidates."""
    counts = draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
    row = st.tuples(st.integers(1, 20), st.integers(0, 20), st.integers(1, 9))
    rows = draw(st.lists(row, min_size=sum(counts), max_size=sum(counts)))
    return Case(tuple(rows), tuple(counts), draw(st.integers(1, 27)), draw(st.sampled_from((0, 10, 50))))


def problem(case: Case) -> MappingProblem:
    """The problem of a case."""
    table = np.array(case.rows, dtype=np.int64)
    parts = np.split(table, np.cumsum(case.counts)[:-1])
    options = tuple((MappingOption(),) * len(part) for part in parts)
    columns = [tuple(part[:, k] for part in parts) for k in range(3)]
    names = tuple(f"layer{i}" for i in range(len(parts)))
    return MappingProblem(names, options, columns[0], columns[1], columns[2], case.capacity, case.slack)


def optimum(p: MappingProblem, *, only_allowed: bool = False) -> tuple[int, int] | None:
    """Least (excess, communication), from the definition; None if nothing fits."""
    best: tuple[int, int] | None = None
    for choice in itertools.product(*(range(len(slots)) for slots in p.slots)):
        if sum(int(p.slots[i][c]) for i, c in enumerate(choice)) > p.capacity:
            continue
        if only_allowed and not all(p.allowed(i)[c] for i, c in enumerate(choice)):
            continue
        limit = [int(ops.min()) * (100 + p.slack_percent) // 100 for ops in p.operations]
        excess = sum(max(0, int(p.operations[i][c]) - limit[i]) for i, c in enumerate(choice))
        value = excess, sum(int(p.communication[i][c]) for i, c in enumerate(choice))
        best = value if best is None else min(best, value)
    return best
