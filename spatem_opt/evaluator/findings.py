"""What the evaluator finds wrong: families of constraints and violations of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

#: Constraint families and what each demands (``formulations/README.md``, M3-M8).
FAMILIES: dict[str, str] = {
    "structure": "known layers, crossbars and windows, rectangles inside the grid, copies 0, 1, ...",
    "instance": "network and chip are the given ones, if any are given",
    "mapping": "the mapping option is allowed for the layer (M3)",
    "coverage": "every existing OU of every copy is on exactly one crossbar (M4)",
    "capacity": "a crossbar holds at most A OUs, or one filled block and nothing else (M4)",
    "windows": "every window of a layer is scheduled exactly once (M7)",
    "start": "reservations start at cycle 0 or later and end after they start (M7)",
    "reservation": "the last window of a reservation ends by its end; rows do not wait for each other (M7)",
    "exclusive": "reservations that share a crossbar, or belong to one copy, do not overlap (M7)",
    "buffer": "data produced and not yet consumed fits the buffers (M8)",
    "transfers": "recorded transfers, if any, are what tiles subscribe to (M6)",
    "claims": "claimed values are the evaluated ones, claimed bounds and optima are proven here, too",
}

#: At most this many violations of one rule are listed one by one, the worst first; the rest is counted.
LISTED = 20


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken constraint.

    Parameters
    ----------
    family : str
        A key of :data:`FAMILIES`.
    message : str
        One line with the object and the numbers.
    amount, limit : int or float
        What there is and what is allowed, in ``unit``.
    unit : str
        For example ``"OUs"``, ``"bits"``, ``"cycles"``.
    """

    family: str
    message: str
    amount: float
    limit: float
    unit: str


def listed(
    family: str,
    amount: ArrayLike,
    limit: ArrayLike,
    unit: str,
    describe: Callable[[int], str],
) -> list[Violation]:
    """One violation per entry, the largest excess first, at most :data:`LISTED`; the others as one that counts them.

    Parameters
    ----------
    amount, limit : array-like, shape (entries,)
        ``limit`` may be a scalar. Every entry is a violation.
    describe : callable
        Message of entry ``i``.
    """
    have, most = np.broadcast_arrays(np.asarray(amount), np.asarray(limit))
    worst = np.argsort(-np.abs(have - most), kind="stable")
    found = [Violation(family, describe(int(i)), have[i].item(), most[i].item(), unit) for i in worst[:LISTED]]
    if (rest := len(worst) - LISTED) > 0:
        found.append(Violation(family, f"and {rest} more like the last one", rest, 0, "violations"))
    return found
