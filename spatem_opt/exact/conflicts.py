"""Which constraint families cannot hold together, found by leaving them out one at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence

from formulations.mapping import cpsat
from formulations.replication.problem import SegmentationProblem
from formulations.solver import Limits, run_cpsat, versions
from spatem_opt.mapping import bounds
from spatem_opt.mapping.problem import build
from spatem_opt.model.architecture import Architecture
from spatem_opt.model.result import Shortage, Status, Step
from spatem_opt.network.layers import Network


def irreducible(families: Sequence[str], infeasible: Callable[[Collection[str]], bool]) -> tuple[str, ...]:
    """Families that together are infeasible, but not without any one of them; empty if all together are feasible.

    Parameters
    ----------
    families : sequence of str
    infeasible : callable
        Whether the model without some families is proven infeasible.

    Examples
    --------
    >>> irreducible("abcd", lambda without: not {"b", "d"} & set(without))
    ('b', 'd')
    """
    if not infeasible(()):
        return ()
    left_out: list[str] = []
    for family in families:
        if infeasible([*left_out, family]):
            left_out.append(family)
    return tuple(family for family in families if family not in left_out)


def mapping(network: Network, architecture: Architecture, limits: Limits) -> Step:
    """The record of a mapping step that is infeasible, with the families of its model that cannot hold together."""
    begin = time.monotonic()
    problem = build(network, architecture)

    def infeasible(without: Collection[str]) -> bool:
        return run_cpsat(cpsat.build(problem, without)[0], limits.left(begin)).status is Status.INFEASIBLE

    found = irreducible(tuple(cpsat.FAMILIES), infeasible)
    note = f"{bounds.slots(problem)} OU slots needed, {problem.capacity} there"
    if found:
        note += f"; in conflict: {', '.join(found)}"
    status = Status.INFEASIBLE if found else Status.UNKNOWN
    seconds = round(time.monotonic() - begin, 3)
    return Step("mapping", "cpsat", status, None, None, seconds, None, "bits", versions("ortools"), limits.seed, note)


def of_layers(problem: SegmentationProblem) -> Shortage | None:
    """What a single layer lacks that no cuts can give it; None if every layer could run alone.

    A layer alone may use all crossbars and the slowest pace, so only ``crossbars``, ``router`` or, where copies are
    too large for a crossbar's slots, ``slots`` can be short.
    """
    slowest = len(problem.paces) - 1
    for layer, menu in enumerate(problem.menus):
        fits = {
            "slots": (menu.serial, int(problem.slots[problem.slots <= problem.capacity].max(initial=0)), "OU slots"),
            "crossbars": (menu.crossbars, problem.alone, "crossbars"),
            "router": (menu.hop_bits, problem.traffic(slowest), "bit-hops"),
        }
        left = menu.serial >= 0
        for family, (need, there, unit) in fits.items():
            if not (left & (need <= there)).any():
                return Shortage(family, int(need[left].min()), there, unit, f"layer {layer}")
            left &= need <= there
    return None
