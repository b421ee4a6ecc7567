"""Reservations taken from the replay: from an order of rows to a schedule that holds with queues (M7)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from spatem_opt.errors import ModelError
from spatem_opt.evaluator import Evaluator
from spatem_opt.evaluator.evaluation import Evaluation
from spatem_opt.solution import Solution

ROUNDS = 8
"""Times a schedule is replayed until its reservations are those of the replay; two do unless inputs are reordered."""
SETTLING = {"reservation", "exclusive"}
"""What is violated while reservations are still those of a schedule without queues."""


def settle(
    name: str, solution: Solution, limit: int | None = None, stop: Callable[[], bool] | None = None
) -> tuple[Solution, Evaluation] | None:
    """A solution whose reservations are those of its replay, and what the evaluator says of it.

    Of the schedule given only starts, their order and paces count. None if a buffer is too small, if the latency is not
    below `limit` [cycles], or once `stop` is true. `name` tells whose solution it is, in errors.

    Raises
    ------
    ModelError
        If another constraint is broken, which no schedule could mend.
    """
    evaluate = Evaluator()
    for _ in range(ROUNDS):
        if stop is not None and stop():
            return None
        found = evaluate(solution)
        if limit is not None and (found.latency_cycles or 0) >= limit:
            return None
        families = {violation.family for violation in found.violations}
        if not families:
            return claimed(solution, found), found
        if families - SETTLING or found.arrays is None:
            bad = next(v for v in found.violations if found.arrays is None or v.family not in SETTLING)
            if bad.family == "buffer":
                return None
            raise ModelError(f"{name}: {bad.family}: {bad.message}")
        solution = settled(solution, found)
    raise ModelError(f"{name}: reservations and replay differ after {ROUNDS} rounds")


def settled(solution: Solution, found: Evaluation) -> Solution:
    """The same decisions, with every row reserved from its first begin to its last end in the replay.

    The first row of a copy whose crossbars nobody used before keeps its start: where inputs come from outside, it says
    in which order they are needed (M6). Windows begin no other way than they did: a start is a lower bound.
    """
    if found.arrays is None or found.latency_cycles is None:
        raise ModelError("a schedule that could not be replayed cannot be settled")
    table, place = solution.schedule, solution.placement
    copies = int(max(place.copy.max(), table.copy.max())) + 1
    key, owner = table.layer * copies + table.copy, place.layer * copies + place.copy
    first = np.full(len(solution.mapping) * copies, np.iinfo(np.int64).max)
    np.minimum.at(first, key, table.start)
    earliest = np.full(solution.architecture.crossbars, np.iinfo(np.int64).max)
    np.minimum.at(earliest, place.crossbar, first[owner])
    opens = np.ones(len(first), dtype=np.bool_)
    np.logical_and.at(opens, owner, first[owner] == earliest[place.crossbar])
    holders = np.zeros(solution.architecture.crossbars, dtype=np.int64)
    pair = np.unique(np.stack([place.crossbar, owner]), axis=1)
    np.add.at(holders, pair[0], first[pair[1]] == earliest[pair[0]])
    np.logical_and.at(opens, owner, holders[place.crossbar] == 1)
    keep = opens[key] & (table.start == first[key])
    begin, end = found.arrays.row_begin, found.arrays.row_end
    schedule = replace(table, start=np.where(keep, table.start, begin), pace=np.zeros_like(table.pace), end=end)
    return replace(solution, schedule=schedule)


def claimed(solution: Solution, found: Evaluation) -> Solution:
    """The solution with the replayed latency as its claim."""
    total = {**solution.claims.get("total", {}), "latency": found.latency_cycles}
    return replace(solution, claims={**solution.claims, "total": total})
