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

ROUNDS, TIGHT, FEW, MANY_ROWS, KEPT = 36, 20, 5, 10_000, 4
"""Times a schedule is replayed until its reservations are those of the replay; two do unless inputs are reordered.
Starts order inputs (M6), and a replay may answer every small change with another one: after ``TIGHT`` rounds, or
``FEW`` with many rows (hardly any change then comes alone), rows get room, more of it after each ``KEPT`` rounds,
between which only those are moved that need still more."""
ROOM, MORE, BEFORE = 2.0**-8, 4.0, 4096
"""Room the first time, as a share of all times; by what it grows from one time to the next; cycles that count as if
they had gone before the first, so that early rows have some, too."""
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
    below `limit` [cycles], once `stop` is true, or if inputs still change places after :data:`ROUNDS` replays. `name`
    tells whose solution it is, in errors. `full` as for :class:`~spatem_opt.evaluator.Evaluator`.

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
    evaluate: Evaluator | None = None,
) -> tuple[Solution, Evaluation] | Literal["buffer", "limit", "stopped", "unsettled"]:
    """As :func:`settle`, but a word in place of None."""
    evaluate = Evaluator() if evaluate is None else evaluate
    tight: tuple[Solution, Evaluation]
    rounds = TIGHT if len(solution.schedule.layer) <= MANY_ROWS else FEW
    for number in range(ROUNDS):
        if stop is not None and stop():
            return "stopped"
        found = evaluate(solution, full=False)
        if limit is not None and (found.latency_cycles or 0) >= limit:
            return "limit"
        families = {violation.family for violation in found.violations}
        if not families:
            solution = claimed(tightened(solution, found), found)
            return solution, evaluate(solution) if full else found
        if families - SETTLING or found.arrays is None:
            bad = next(v for v in found.violations if found.arrays is None or v.family not in SETTLING)
            if bad.family == "buffer":
                return "buffer"
            raise ModelError(f"{name}: {bad.family}: {bad.message}")
        if number <= rounds:
            tight = solution, found
        if number < rounds:
            solution = settled(evaluate, solution, found, number)
        elif (number - rounds) % KEPT == 0:
            solution = roomy(*tight, ROOM * MORE ** ((number - rounds) // KEPT))
        else:
            solution = roomy(solution, found)
    return "unsettled"


def settled(evaluate: Evaluator, solution: Solution, found: Evaluation, number: int) -> Solution:
    """The same decisions, with rows reserved from about when they begin in the replay until the next ones do.

    A start is a lower bound: raised to no later than the row begins it changes nothing, but for the paces counted from
    it, which are dropped there, and the order of inputs (M6). So that this stays, in round ``number`` 0 rows keep their
    order where they can: each starts with the one before, or when its crossbars are free, or when it begins. Where
    inputs change places nevertheless most reservations still hold, since rows wait for data much longer than for
    crossbars; of the others, starts are raised to the beginning.
    """
    if found.arrays is None or found.latency_cycles is None:
        raise ModelError("a schedule that could not be replayed cannot be settled")
    table, begin, free = solution.schedule, found.arrays.row_begin, found.arrays.row_free
    start = np.where(free > table.start, np.maximum(begin, free), table.start)
    if number == 0:
        early, order = np.maximum(table.start, free), np.argsort(table.start, kind="stable")
        start[order] = np.maximum.accumulate(early[order])
        start = np.clip(start, early, np.maximum(begin, early))
    pace = np.where(start > table.start, 0, table.pace)
    schedule = replace(table, start=start, pace=pace)
    limit = evaluate.limits(replace(solution, schedule=schedule))
    end = np.maximum(np.minimum(limit, found.latency_cycles), found.arrays.row_end)
    return replace(solution, schedule=replace(schedule, end=end))


def roomy(solution: Solution, found: Evaluation, longer: float = 0.0) -> Solution:
    """The same decisions with all times of the replay stretched: the later a row, the further it may fall behind.

    Not stretched, only rows are moved that need more than they have, and none ends earlier than before.
    """
    if found.arrays is None:
        raise ModelError("a schedule that could not be replayed cannot be given room")
    table = solution.schedule
    free, end = (
        np.where(times > 0, times + np.ceil(longer * (times + BEFORE)).astype(np.int64), times)
        for times in (found.arrays.row_free, found.arrays.row_end)
    )
    schedule = replace(
        table, start=np.maximum(table.start, free), pace=np.where(free > table.start, 0, table.pace),
        end=end if longer else np.maximum(end, table.end),
    )  # fmt: skip
    return replace(solution, schedule=schedule)


def tightened(solution: Solution, found: Evaluation) -> Solution:
    """The same schedule with reservations that end when the replay says."""
    if found.arrays is None:
        raise ModelError("a schedule that could not be replayed cannot be tightened")
    return replace(solution, schedule=replace(solution.schedule, end=found.arrays.row_end))


def claimed(solution: Solution, found: Evaluation) -> Solution:
    """The solution with the replayed latency as its claim."""
    total = {**solution.claims.get("total", {}), "latency": found.latency_cycles}
    return replace(solution, claims={**solution.claims, "total": total})
