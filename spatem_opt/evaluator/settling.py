"""Reservations taken from the replay: from an order of rows to a schedule that holds with queues (M7)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from spatem_opt.errors import ModelError
from spatem_opt.evaluator import Evaluator
from spatem_opt.evaluator.evaluation import Evaluation
from spatem_opt.model.solution import Solution

ROUNDS, TIGHT = 16, 4
"""Times a schedule is replayed until its reservations are those of the replay; two do unless inputs are reordered.
Starts order inputs (M6), and a replay may answer every small change with another one: after every so many rounds rows
get room, and the rounds that follow move only those that need still more."""
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
    below `limit` [cycles], or once `stop` is true. `name` tells whose solution it is, in errors. `full` as for
    :class:`~spatem_opt.evaluator.Evaluator`.

    Raises
    ------
    ModelError
        If another constraint is broken, which no schedule could mend.
    """
    evaluate = Evaluator()
    for number in range(ROUNDS):
        if stop is not None and stop():
            return None
        found = evaluate(solution, full=False)
        if limit is not None and (found.latency_cycles or 0) >= limit:
            return None
        families = {violation.family for violation in found.violations}
        if not families:
            solution = claimed(solution, found)
            return solution, evaluate(solution) if full else found
        if families - SETTLING or found.arrays is None:
            bad = next(v for v in found.violations if found.arrays is None or v.family not in SETTLING)
            if bad.family == "buffer":
                return None
            raise ModelError(f"{name}: {bad.family}: {bad.message}")
        if number < TIGHT:
            tight = solution, found
        solution = again(number, solution, found, tight)
    raise ModelError(f"{name}: reservations and replay differ after {ROUNDS} rounds")


def again(number: int, solution: Solution, found: Evaluation, tight: tuple[Solution, Evaluation]) -> Solution:
    """What is replayed after round `number`, which replayed `solution`; ``tight``: the last round without room."""
    if number < TIGHT:
        return settled(solution, found)
    if number % TIGHT:
        return settled(solution, found, keep=True)
    return settled(*tight, ROOM * MORE ** (number // TIGHT - 1))


def settled(solution: Solution, found: Evaluation, longer: float = 0.0, *, keep: bool = False) -> Solution:
    """The same decisions, with rows reserved no earlier than their crossbars are free in the replay, to their last end.

    A start is a lower bound: raised to when crossbars are free it changes nothing, but for the paces counted from it,
    which are dropped there, and the order of inputs (M6). All times are stretched by the share `longer`: the later a
    row, the further it may fall behind. With `keep` no row ends earlier than before.
    """
    if found.arrays is None or found.latency_cycles is None:
        raise ModelError("a schedule that could not be replayed cannot be settled")
    table = solution.schedule
    free, end = (
        np.where(times > 0, times + np.ceil(longer * (times + BEFORE)).astype(np.int64), times)
        for times in (found.arrays.row_free, found.arrays.row_end)
    )
    pace = np.where(free > table.start, 0, table.pace)
    end = np.maximum(end, table.end) if keep else end
    schedule = replace(table, start=np.maximum(table.start, free), pace=pace, end=end)
    return replace(solution, schedule=schedule)


def claimed(solution: Solution, found: Evaluation) -> Solution:
    """The solution with the replayed latency as its claim."""
    total = {**solution.claims.get("total", {}), "latency": found.latency_cycles}
    return replace(solution, claims={**solution.claims, "total": total})
