"""Cuts of a network into runs of layers: the problem behind ``segments.cut``, its solutions, and their referee.

Costs are integers in thousandths of a cycle (:data:`UNIT`); no solver here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from spatem_opt.errors import InstanceError
from spatem_opt.model.verdict import Verdict
from spatem_opt.replication.segmentation import Segmentation, SegmentPrices
from spatem_opt.types import FloatArray, IntArray

UNIT = 1000
"""Parts of a cycle that costs count."""
FAMILIES = ("shape", "cover", "slots", "way", "crossbars", "router")


@dataclass(frozen=True, slots=True, eq=False)
class LayerModes:
    """Ways to run one layer: int64 columns of equal length.

    Parameters
    ----------
    serial : int64 array
        OUs on the fullest crossbar.
    crossbars : int64 array
        Of all copies.
    cycles : int64 array
        For all windows.
    hop_bits : int64 array
        Traffic between tiles [bit-hops].
    cost : int64 array
        Priced communication [1/1000 cycle].
    """

    serial: IntArray
    crossbars: IntArray
    cycles: IntArray
    hop_bits: IntArray
    cost: IntArray

    def fits(self, slots: int, pace: float) -> IntArray:
        """Ways within slots and pace."""
        return np.flatnonzero((self.serial <= slots) & (self.cycles <= pace))


@dataclass(frozen=True, eq=False)
class SegmentationProblem:
    """Cut the layers into consecutive runs; choose slots and pace of every run and a way for every layer.

    Parameters
    ----------
    menus : tuple of LayerModes
        One per layer; layers of one kind share theirs.
    slots : int64 array
        Slots of every crossbar that a run may take, ascending.
    paces : float array
        Paces that a run may have [cycles], ascending.
    lag : float array, shape (layers,)
        How far each layer trails the start of the network's pipeline, in paces.
    crossbars : int
        Crossbars that a run of several layers may use.
    alone : int
        Crossbars that a run of one layer may use, at least as many.
    router : float
        Traffic that routers carry [bit-hops per cycle].
    capacity : int
        OU slots of a crossbar, shared by all runs.

    Raises
    ------
    InstanceError
        If there is no layer, or slots or paces are not ascending and positive.
    """

    menus: tuple[LayerModes, ...]
    slots: IntArray
    paces: FloatArray
    lag: FloatArray
    crossbars: int
    alone: int
    router: float
    capacity: int

    def __post_init__(self) -> None:
        if not self.menus or len(self.lag) != self.layers:
            raise InstanceError(
                "runs", "lag", len(self.lag), f"expected one per layer, and layers; {self.layers} menus"
            )
        if self.alone < self.crossbars:
            raise InstanceError("runs", "alone", self.alone, f"expected >= {self.crossbars}, that of several layers")
        for name, values in (("slots", self.slots), ("paces", self.paces)):
            if not len(values) or values[0] <= 0 or (np.diff(values) <= 0).any():
                raise InstanceError("runs", name, values, "expected positive numbers, ascending")

    @property
    def layers(self) -> int:
        """Number of layers."""
        return len(self.menus)

    @cached_property
    def kinds(self) -> tuple[list[LayerModes], list[int]]:
        """Different menus, and which one each layer has."""
        index = {id(menu): k for k, menu in reversed(list(enumerate(self.menus)))}
        order = {first: k for k, first in enumerate(sorted(set(index.values())))}
        return [self.menus[first] for first in sorted(order)], [order[index[id(menu)]] for menu in self.menus]

    def trail(self, first: int) -> FloatArray:
        """How far the last layer of runs first..j-1 trails their start, j = first + 1, ...; in paces."""
        return np.asarray(np.maximum(np.maximum.accumulate(self.lag[first:]) - self.lag[first], 0))

    def base(self, first: int) -> IntArray:
        """Cost of the pace of runs first..j-1 alone, rounded up; shape (paces, layers - first)."""
        cycles = self.paces[:, None] * (1 + self.trail(first))
        return np.ceil(UNIT * cycles - 1e-6).astype(np.int64)

    def room(self, layers: int) -> int:
        """Crossbars for a run of so many layers."""
        return self.crossbars if layers > 1 else self.alone

    def traffic(self, pace: int) -> int:
        """Bit-hops that routers carry within a pace."""
        return int(self.router * float(self.paces[pace]))


@dataclass(frozen=True, slots=True, eq=False)
class SegmentationSolution:
    """Decisions: ``first`` layer, index of ``slots`` and index of ``pace`` per run, ``way`` per layer; all int64."""

    first: IntArray
    slots: IntArray
    pace: IntArray
    way: IntArray

    def cuts(self, problem: SegmentationProblem) -> Segmentation:
        """The same decisions for :func:`spatem_opt.placement.places.place_copies`."""
        segment = np.searchsorted(self.first, np.arange(len(self.way)), side="right") - 1
        return Segmentation(segment, self.way, objective(problem, self) / UNIT)


def from_prices(runs: SegmentPrices, *, fill: float = 0.97) -> SegmentationProblem:
    """The problem whose heuristic is ``segments.cut(runs, fill=fill)``."""
    known: dict[int, LayerModes] = {}
    for way in runs.options:
        if id(way) not in known:
            hops = np.rint(way.hop_bits).astype(np.int64)
            cost = np.ceil(UNIT * runs.price * way.bits).astype(np.int64)
            known[id(way)] = LayerModes(way.serial, way.crossbars, way.cycles, hops, cost)
    menus = tuple(known[id(way)] for way in runs.options)
    chip = runs.architecture
    few, every = int(fill * chip.crossbars), chip.crossbars
    return SegmentationProblem(menus, runs.slots, runs.paces, runs.lag, few, every, runs.router, chip.ou_slots)


def from_segmentation(problem: SegmentationProblem, cuts: Segmentation) -> SegmentationSolution:
    """Solution of given cuts and ways: every run takes the least slots and pace that its ways need."""
    first = np.flatnonzero(np.r_[True, np.diff(cuts.segment) != 0])
    need = [(m.serial[w], m.cycles[w], m.hop_bits[w]) for m, w in zip(problem.menus, cuts.way, strict=True)]
    serial, cycles, hops = np.array(need, dtype=np.int64).T
    carried = np.array([problem.traffic(pace) for pace in range(len(problem.paces))])
    slots = np.searchsorted(problem.slots, np.maximum.reduceat(serial, first))
    pace = np.searchsorted(problem.paces, np.maximum.reduceat(cycles, first))
    pace = np.maximum(pace, np.searchsorted(carried, np.add.reduceat(hops, first)))
    return SegmentationSolution(first, slots, pace, np.asarray(cuts.way, dtype=np.int64))


def segment_cost(problem: SegmentationProblem, first: int, stop: int, pace: int, way: IntArray) -> int:
    """Cost of a run [1/1000 cycle]; ``way`` of its layers only."""
    priced = sum(int(m.cost[w]) for m, w in zip(problem.menus[first:stop], way, strict=True))
    return int(problem.base(first)[pace, stop - first - 1]) + priced


def objective(problem: SegmentationProblem, solution: SegmentationSolution) -> int:
    """Sum of the runs' paces with trails, and priced communication [1/1000 cycle]."""
    edges = [*solution.first.tolist(), problem.layers]
    return sum(
        segment_cost(problem, i, j, int(p), solution.way[i:j])
        for (i, j), p in zip(pairwise(edges), solution.pace, strict=True)
    )


def check(problem: SegmentationProblem, solution: SegmentationSolution) -> Verdict:
    """Every violated constraint of a solution, by family, and its objective.

    Families: ``shape`` (columns of equal length, indices that exist), ``cover`` (the first run begins at layer 0, runs
    are not empty), ``slots`` (of all runs within the capacity), ``way`` (within slots and pace of its run),
    ``crossbars`` and ``router`` (of every run within the chip's).
    """
    bad = _shape(problem, solution)
    if bad:
        return Verdict((("shape", bad),), 0)
    edges = [*solution.first.tolist(), problem.layers]
    if edges[0] != 0 or (np.diff(edges) <= 0).any():
        return Verdict((("cover", f"runs begin at {edges[:-1]}, expected 0 first and ascending numbers"),), 0)
    found: list[tuple[str, str]] = []
    used = int(problem.slots[solution.slots].sum())
    if used > problem.capacity:
        found.append(("slots", f"{used} slots used, capacity {problem.capacity}"))
    for run, (i, j) in enumerate(pairwise(edges)):
        found += _check_run(problem, solution, run, i, j)
    return Verdict(tuple(found), objective(problem, solution))


def _shape(problem: SegmentationProblem, solution: SegmentationSolution) -> str:
    runs = len(solution.first)
    if len(solution.way) != problem.layers or not len(solution.slots) == len(solution.pace) == runs > 0:
        lengths = [len(column) for column in (solution.first, solution.slots, solution.pace, solution.way)]
        return f"columns of lengths {lengths}, expected one per run and {problem.layers} ways"
    limits = [(solution.slots, len(problem.slots)), (solution.pace, len(problem.paces))]
    limits += [(solution.way[k : k + 1], len(menu.serial)) for k, menu in enumerate(problem.menus)]
    return "" if all(bool(((v >= 0) & (v < n)).all()) for v, n in limits) else "an index that does not exist"


def _check_run(
    problem: SegmentationProblem, solution: SegmentationSolution, run: int, first: int, stop: int
) -> list[tuple[str, str]]:
    slots, pace = int(problem.slots[solution.slots[run]]), float(problem.paces[solution.pace[run]])
    found: list[tuple[str, str]] = []
    crossbars = hops = 0
    for layer in range(first, stop):
        menu, way = problem.menus[layer], int(solution.way[layer])
        crossbars, hops = crossbars + int(menu.crossbars[way]), hops + int(menu.hop_bits[way])
        if menu.serial[way] > slots or menu.cycles[way] > pace:
            text = f"{menu.serial[way]} serial OUs, {menu.cycles[way]} cycles; its run has {slots} and {pace:g}"
            found.append(("way", f"layer {layer}: {text}"))
    if crossbars > problem.room(stop - first):
        there = problem.room(stop - first)
        found.append(("crossbars", f"run {run}: {crossbars} crossbars, {there} there"))
    if hops > problem.traffic(int(solution.pace[run])):
        there = problem.traffic(int(solution.pace[run]))
        found.append(("router", f"run {run}: {hops} bit-hops, routers carry {there} within the pace"))
    return found
