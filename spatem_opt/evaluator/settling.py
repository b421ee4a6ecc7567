"""Reservations taken from the replay: from an order of rows to a schedule that holds with queues (M7)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import numpy as np

from spatem_opt.errors import ModelError
from spatem_opt.evaluator import Evaluator
from spatem_opt.evaluator.evaluation import Evaluation
from spatem_opt.model.solution import Solution

ROUNDS = 8
"""Times a schedule is replayed until its reservations are those of the replay; two do unless inputs are reordered."""
SETTLING = {"reservation", "exclusive"}
"""What is violated while reservations are still those of a schedule without queues."""


def settle(
    name: str,
    solution: Solution,
    limit: int | None = None,
    stop: Callable[[], bool] | None = None,
    *,
    full: bool = True,
) -> tuple[Solution, Evaluation] | None:
    """A solution whose reservations are those of its replay, and what the evaluator says of it.

    Of the schedule given only starts, their order and paces count. None if a buffer is too small, if the latency is not
    below `limit` [cycles], or once `stop` is true. `name` tells whose solution it is, in errors. `full` as for
    :class:`~spatem_opt.evaluator.Evaluator`.

    Raises
    ------
    ModelError
        If another constraint is broken, which no schedule could mend.
    """
    done = settle_or_say(name, solution, limit, stop, full=full)
    return None if isinstance(done, str) else done


def settle_or_say(
    name: str,
    solution: Solution,
    limit: int | None = None,
    stop: Callable[[], bool] | None = None,
    *,
    full: bool = True,
) -> tuple[Solution, Evaluation] | Literal["buffer", "limit", "stopped"]:
    """As :func:`settle`, but a word in place of None."""
    evaluate = Evaluator()
    for _ in range(ROUNDS):
        if stop is not None and stop():
            return "stopped"
        found = evaluate(solution, full=False)
        if limit is not None and (found.latency_cycles or 0) >= limit:
            return "limit"
        families = {violation.family for violation in found.violations}
        if not families:
            solution = claimed(solution, found)
            return solution, evaluate(solution) if full else found
        if families - SETTLING or found.arrays is None:
            bad = next(v for v in found.violations if found.arrays is None or v.family not in SETTLING)
            if bad.family == "buffer":
                return "buffer"
            raise ModelError(f"{name}: {bad.family}: {bad.message}")
        solution = settled(solution, found)
    raise ModelError(f"{name}: reservations and replay differ after {ROUNDS} rounds")


def settled(solution: Solution, found: Evaluation) -> Solution:
    """The same decisions, with rows reserved no earlier than their crossbars are free in the replay, to their last end.

    A start is a lower bound: raised to when crossbars are free it changes nothing, but for the paces counted from it,
    which are dropped there, and the order of inputs (M6).
    """
    if found.arrays is None or found.latency_cycles is None:
        raise ModelError("a schedule that could not be replayed cannot be settled")
    table, free = solution.schedule, found.arrays.row_free
    pace = np.where(free > table.start, 0, table.pace)
    schedule = replace(table, start=np.maximum(table.start, free), pace=pace, end=found.arrays.row_end)
    return replace(solution, schedule=schedule)


def claimed(solution: Solution, found: Evaluation) -> Solution:
    """The solution with the replayed latency as its claim."""
    total = {**solution.claims.get("total", {}), "latency": found.latency_cycles}
    return replace(solution, claims={**solution.claims, "total": total})
