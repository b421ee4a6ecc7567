"""Checks an allocation of copies and computes its objective, without a solver and without a search.

Slow and plain on purpose: one dictionary entry per OU, crossbar and window.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from spatem_opt.cost.durations import place
from spatem_opt.cost.grid import Grid
from spatem_opt.grouping.tile_parts import rectangles
from spatem_opt.replication.layout import Allocation, serpentine_order
from spatem_opt.types import IntArray
from tests.oracles.replication_problem import ReplicationProblem, ReplicationSolution

FAMILIES = ("assignment", "chip", "shape", "coverage", "capacity", "windows", "disjoint", "segments")
"""``assignment``: one known option and one allocation per layer. ``chip``: crossbars exist. ``shape``: a copy has the
crossbars and serial OUs that its shape says. ``coverage``: every existing OU of a copy exactly once. ``capacity``: at
most A OUs on a crossbar, or one filled block and nothing else. ``windows``: every window exactly once, by a copy that
exists, and no copy idle. ``disjoint``: copies of one segment share no crossbar. ``segments``: numbered 0, 1, ... in
topological order."""
LISTED = 20
"""Most violations of one family that are listed one by one."""


@dataclass(frozen=True, slots=True)
class ReplicationVerdict:
    """All violations as (family, message), and the objective.

    Parameters
    ----------
    violations : tuple of (str, str)
        At most :data:`LISTED` per family, then one that counts the rest.
    cycles : int or None
        Sum over segments of the time of its slowest copy [cycles]; None if the solution cannot be read.
    """

    violations: tuple[tuple[str, str], ...]
    cycles: int | None

    @property
    def families(self) -> tuple[str, ...]:
        """Violated families, each once."""
        return tuple(dict.fromkeys(family for family, _ in self.violations))


def check(problem: ReplicationProblem, solution: ReplicationSolution) -> ReplicationVerdict:
    """Every violated constraint of the replication problem, and the sum of the segments' paces."""
    bad = _assignment(problem, solution)
    if bad:
        return ReplicationVerdict(tuple(bad), None)
    grids = tuple(admitted[i] for admitted, i in zip(problem.grids, solution.option, strict=True))
    try:
        rects = [rectangles(grid, own.shape) for grid, own in zip(grids, solution.allocations, strict=True)]
    except ValueError as impossible:
        return ReplicationVerdict((("shape", str(impossible)),), None)
    bad += _chip(problem, solution, rects)
    for layer, (grid, allocation, rect) in enumerate(zip(grids, solution.allocations, rects, strict=True)):
        bad += _shape(layer, grid, allocation, rect)
        bad += _coverage(layer, grid, rect)
        bad += _windows(layer, grid, allocation)
    bad += _capacity(problem, solution, grids, rects)
    bad += _disjoint(solution, rects) + _segments(solution)
    readable = not {"chip", "coverage", "windows"} & {family for family, _ in bad}
    return ReplicationVerdict(shortened(bad), _cycles(problem, solution, grids) if readable else None)


def pace(problem: ReplicationProblem, grid: Grid, allocation: Allocation) -> int:
    """Cycles that the slowest copy of a layer takes for all its windows, waiting for nothing (M4)."""
    order = serpentine_order(problem.architecture)
    rect = rectangles(grid, allocation.shape)
    copies = len(allocation.position)
    crossbar = order[(allocation.position[:, None] + rect[:, 0]).ravel()]
    placed = place(
        grid, problem.architecture, np.repeat(np.arange(copies), len(rect)), crossbar, np.tile(rect[:, 1:], (copies, 1))
    )
    windows = Counter(copy for copy, _ in _assigned(allocation))
    return max(windows[copy] * int(placed.interval[copy]) for copy in range(copies))


def _assigned(allocation: Allocation) -> list[tuple[int, int]]:
    """(copy, window) of every window that a split names, as often as it names it."""
    split = allocation.split
    rows = zip(split.copy.tolist(), split.first.tolist(), split.last.tolist(), split.step.tolist(), strict=True)
    return [(copy, window) for copy, first, last, step in rows for window in range(first, last + 1, step)]


def _ous(grid: Grid, rect: IntArray) -> list[tuple[int, int]]:
    """Existing OUs (row, column) in one rectangle."""
    found = []
    rows, cols = len(grid.rows), len(grid.cols)
    top, bottom, left, right = (int(v) for v in rect)
    for r in range(top, bottom):
        for c in range(max(left, r // rows * cols), min(right, (r // rows + 1) * cols)):
            if grid.exists is None or grid.exists[r % rows, c % cols]:
                found.append((r, c))
    return found


def _assignment(problem: ReplicationProblem, solution: ReplicationSolution) -> list[tuple[str, str]]:
    layers = len(problem.grids)
    if len(solution.option) != layers or len(solution.allocations) != layers:
        counts = f"{len(solution.option)} options and {len(solution.allocations)} allocations"
        return [("assignment", f"{counts} for {layers} layers")]
    return [
        ("assignment", f"layer {layer}: no mapping option {option}")
        for layer, option in enumerate(solution.option)
        if not 0 <= option < len(problem.grids[layer])
    ]


def _chip(problem: ReplicationProblem, solution: ReplicationSolution, rects: list[IntArray]) -> list[tuple[str, str]]:
    bad = []
    for layer, (allocation, rect) in enumerate(zip(solution.allocations, rects, strict=True)):
        for copy, first in enumerate(allocation.position.tolist()):
            last = first + int(rect[:, 0].max())
            if first < 0 or last >= problem.architecture.crossbars:
                where = f"crossbars {first}..{last} of the walk"
                message = f"layer {layer}, copy {copy}: {where}, the chip has {problem.architecture.crossbars}"
                bad.append(("chip", message))
    return bad


def _shape(layer: int, grid: Grid, allocation: Allocation, rect: IntArray) -> list[tuple[str, str]]:
    shape = allocation.shape
    bad = []
    held = _held(grid, rect)
    if max(held) >= shape.crossbars:
        bad.append(("shape", f"layer {layer}: {max(held) + 1} crossbars, the shape says {shape.crossbars}"))
    serial = max(held.values())
    if serial > shape.serial:
        bad.append(("shape", f"layer {layer}: {serial} OUs on a crossbar, the shape says {shape.serial}"))
    return bad


def _held(grid: Grid, rect: IntArray) -> Counter[int]:
    """Existing OUs on every crossbar of a copy."""
    held: Counter[int] = Counter()
    for crossbar, *rectangle in rect.tolist():
        held[crossbar] += len(_ous(grid, np.array(rectangle)))
    return held


def _coverage(layer: int, grid: Grid, rect: IntArray) -> list[tuple[str, str]]:
    held = Counter(ou for r in rect for ou in _ous(grid, r[1:]))
    rows, cols = grid.shape
    return [
        ("coverage", f"layer {layer}: OU {ou} is on {held[ou]} crossbars of a copy, expected 1")
        for ou in _ous(grid, np.array([0, rows, 0, cols]))
        if held[ou] != 1
    ]


def _windows(layer: int, grid: Grid, allocation: Allocation) -> list[tuple[str, str]]:
    assigned = _assigned(allocation)
    times = Counter(window for _, window in assigned)
    copies = len(allocation.position)
    bad = [
        ("windows", f"layer {layer}: window {window} runs {times[window]} times, expected once")
        for window in sorted(set(range(grid.windows)) | set(times))
        if times[window] != (1 if 0 <= window < grid.windows else 0)
    ]
    busy = {copy for copy, _ in assigned}
    bad += [("windows", f"layer {layer}: no copy {copy}") for copy in sorted(busy - set(range(copies)))]
    bad += [("windows", f"layer {layer}: copy {copy} runs no window") for copy in sorted(set(range(copies)) - busy)]
    return bad


def _capacity(
    problem: ReplicationProblem, solution: ReplicationSolution, grids: tuple[Grid, ...], rects: list[IntArray]
) -> list[tuple[str, str]]:
    slots: Counter[int] = Counter()
    tenants: Counter[int] = Counter()
    filled: set[int] = set()
    for grid, allocation, rect in zip(grids, solution.allocations, rects, strict=True):
        held = _held(grid, rect)
        for first in allocation.position.tolist():
            for crossbar, ous in held.items():
                slots[first + crossbar] += ous
                tenants[first + crossbar] += 1
                if grid.option.storage == "filled":
                    filled.add(first + crossbar)
    most = problem.architecture.ou_slots
    over = [(at, ous) for at, ous in sorted(slots.items()) if ous > most and at not in filled]
    bad = [("capacity", f"crossbar {at} of the walk holds {ous} OUs, at most {most}") for at, ous in over]
    shared = [at for at in sorted(filled) if tenants[at] > 1]
    return bad + [("capacity", f"crossbar {at} of the walk holds a filled block and more") for at in shared]


def _disjoint(solution: ReplicationSolution, rects: list[IntArray]) -> list[tuple[str, str]]:
    tenant: dict[tuple[int, int], tuple[int, int]] = {}
    bad = []
    for layer, (allocation, rect) in enumerate(zip(solution.allocations, rects, strict=True)):
        for copy, first in enumerate(allocation.position.tolist()):
            for at in (first + np.unique(rect[:, 0])).tolist():
                other = tenant.setdefault((allocation.segment, at), (layer, copy))
                if other != (layer, copy):
                    both = f"(layer, copy) {other} and {(layer, copy)}"
                    bad.append(("disjoint", f"segment {allocation.segment}: {both} share crossbar {at} of the walk"))
    return bad


def _segments(solution: ReplicationSolution) -> list[tuple[str, str]]:
    numbers = [allocation.segment for allocation in solution.allocations]
    bad = []
    for layer, (before, number) in enumerate(zip([-1, *numbers], numbers, strict=False)):
        allowed = {0} if layer == 0 else {before, before + 1}
        if number not in allowed:
            bad.append(("segments", f"layer {layer}: segment {number}, expected one of {sorted(allowed)}"))
    return bad


def _cycles(problem: ReplicationProblem, solution: ReplicationSolution, grids: tuple[Grid, ...]) -> int:
    slowest: Counter[int] = Counter()
    for grid, allocation in zip(grids, solution.allocations, strict=True):
        slowest[allocation.segment] = max(slowest[allocation.segment], pace(problem, grid, allocation))
    return sum(slowest.values())


def shortened(bad: list[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """The first :data:`LISTED` violations of every family, then one that counts the rest of each."""
    seen: Counter[str] = Counter()
    kept = []
    for family, message in bad:
        seen[family] += 1
        if seen[family] <= LISTED:
            kept.append((family, message))
    return (*kept, *((family, f"and {count - LISTED} more") for family, count in seen.items() if count > LISTED))
