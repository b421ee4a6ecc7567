"""How fast inferences may follow each other by one schedule: distances that were replayed (M7)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from spatem_opt.evaluator import events as ev
from spatem_opt.evaluator.replay import simulate
from spatem_opt.evaluator.tables import Fixed

INFERENCES, FEW = 8, 4
"""Inferences in a row that are replayed, and those that tell quickly that a distance is too short."""
MOST = 6_000_000
"""Pixels delivered to tiles, in all inferences in a row, beyond which no distance below the latency is tried: a try
of as many takes about ten seconds."""
NEARLY = 0.9
"""Share of the latency from which on inferences hardly meet, and no shorter distance is looked for."""
FACTORS = (1.0, 1.02, 1.05, 1.1, 1.2, 1.4, 1.7)
"""Distances tried, over the least there can be. Whether inferences keep up does not grow with the distance, so that
none between two of them can be told from these."""


def shortest_period(known: Fixed, tables: Callable[[int, int], ev.ReplayTables], least: int, latency: int) -> int:
    """A distance at which, of eight inferences in a row, none from the third on takes longer than the one before.

    Parameters
    ----------
    known : Fixed
    tables : callable
        Tables of so many inferences at such a distance.
    least, latency : int
        Cycles: what no distance falls short of, and what one inference takes (at that distance they do not meet).
    """
    if INFERENCES * len(known.tables.pair_sub) > MOST:
        return latency
    for factor in FACTORS:
        distance = int(least * factor)
        if distance >= NEARLY * latency:
            break
        if all(_steady(known, tables(number, distance), number, distance) for number in (FEW, INFERENCES)):
            return distance
    return latency


def _steady(known: Fixed, tables: ev.ReplayTables, number: int, distance: int) -> bool:
    """Whether inferences in a row do not take longer and longer."""
    found = simulate(tables, known, number)
    if found.stuck:
        return False
    done = found.window[:, ev.DONE].reshape(number, -1).max(axis=1)
    took = [int(end) - i * distance for i, end in enumerate(done)]
    return all(later <= before for before, later in pairwise(took[1:]))
