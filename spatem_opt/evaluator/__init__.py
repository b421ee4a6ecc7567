"""The independent evaluator: replays a solution and reports every violation (``formulations/README.md``, M1-M9).

It shares the data types with the rest of the package and nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from spatem_opt.errors import InstanceError
from spatem_opt.evaluator import events as ev
from spatem_opt.evaluator.arrays import distinct, rows_by_group
from spatem_opt.evaluator.buffers import buffer_use, check_buffers
from spatem_opt.evaluator.claims import check_claims, needs_proof
from spatem_opt.evaluator.coverage import check_coverage, check_filled, check_slotted
from spatem_opt.evaluator.durations import Pieces, Placed, clip, place
from spatem_opt.evaluator.evaluation import Communication, Energy, Evaluation, Utilization
from spatem_opt.evaluator.findings import FAMILIES, Violation, listed
from spatem_opt.evaluator.grid import OuGrid, build_grid, check_grid
from spatem_opt.evaluator.instance import check_instance
from spatem_opt.evaluator.mesh import Mesh
from spatem_opt.evaluator.period import shortest_period
from spatem_opt.evaluator.proof import prove
from spatem_opt.evaluator.received import check_transfers
from spatem_opt.evaluator.replay import NodeReplay, Replayed, prepare, runs_of, simulate
from spatem_opt.evaluator.reservations import (
    Turns,
    check_exclusive,
    check_start,
    check_turns,
    reserved,
    row_limits,
    turns_of,
)
from spatem_opt.evaluator.structure import (
    by_layer,
    check_magnitude,
    check_mapping,
    check_network,
    check_rectangles,
    check_tables,
    check_windows,
    weights_of,
)
from spatem_opt.evaluator.summary import Facts, least_period, port_bits, summarize
from spatem_opt.evaluator.tables import Fixed, fixed, scheduled
from spatem_opt.evaluator.wiring import Wire, copies_of, wire
from spatem_opt.model.architecture import Architecture
from spatem_opt.model.solution import Placement, Schedule, Solution
from spatem_opt.network.layers import Network
from spatem_opt.types import IntArray

__all__ = [
    "FAMILIES", "Communication", "Energy", "Evaluation", "Evaluator", "Utilization", "Violation", "evaluate", "prepare",
    "settle",
]  # fmt: skip


def evaluate(
    solution: Solution, *, network: Network | None = None, architecture: Architecture | None = None
) -> Evaluation:
    """Replay a solution at window granularity.

    Every duration is rebuilt from the placement. All violations are reported; a solution whose tables cannot be read
    (families ``structure``, ``mapping``) or whose windows are not all there (``windows``) has no times.

    Parameters
    ----------
    solution : Solution
        Decisions, with the architecture and the network they are for.
    network, architecture : optional
        The real ones: what the solution brings along must be the same (family ``instance``).

    Returns
    -------
    Evaluation
        Violations and, where the solution can be replayed, all numbers of M9; ``bounds`` in any case.

    Raises
    ------
    InstanceError
        If the *network* is inconsistent (edges that do not fit their nodes, weights that do not fit their taps), sizes
        are beyond :data:`spatem_opt.limits.LIMITS`, or an argument has another type.
    """
    for name, value, kind in (
        ("solution", solution, Solution), ("network", network, Network), ("architecture", architecture, Architecture)
    ):  # fmt: skip
        if not isinstance(value, kind) and (value is not None or name == "solution"):
            raise InstanceError("evaluate", name, value, f"expected a {kind.__name__}")
    found = Evaluator()(solution)
    if found.bounds is None:
        found = replace(found, bounds=prove(solution.network, solution.architecture))
    other = check_instance((solution.network, solution.architecture), network, architecture)
    return replace(found, violations=(*other, *found.violations)) if other else found


class Evaluator:
    """:func:`evaluate` for one solution after the other: those of the same placement have it derived only once.

    The same means the same object; tables must not be changed meanwhile. Bounds are proven only where something that
    is claimed needs them. ``seconds``: what the last evaluation took that derived a placement.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._last: Solution | None = None
        self._placed: tuple[list[Placed], list[Violation], list[Violation]] = [], [], []
        self._copies: list[IntArray] = []
        self._wires: list[Wire] = []
        self._fixed: Fixed | None = None

    def __call__(self, solution: Solution, *, full: bool = True) -> Evaluation:
        """Replay a solution. Unless `full`, without queue-free latency and period, which take further replays."""
        begun, new = time.monotonic(), not self._knows(solution)
        check_network(solution.network)
        grids, unreadable = _read(solution)
        if unreadable:
            return Evaluation(tuple(unreadable))
        if new:
            self._last, self._placed, self._copies = solution, _place_all(solution, grids), []
        placed, known, empty = self._placed
        turns, gaps = _expand_all(solution)
        found = known + gaps + check_start(solution.schedule)
        if empty:
            return Evaluation(tuple(empty + found))
        held = reserved(solution.schedule, placed)
        found += check_exclusive(solution.schedule, held)
        if gaps:
            return Evaluation(tuple(found))
        replayed = _replayed(solution, placed, self._wired(solution, turns), turns, found, full=full)
        if new:
            self.seconds = time.monotonic() - begun
        return replayed

    def limits(self, solution: Solution) -> IntArray:
        """Earliest start of what comes after each row of a solution's schedule, of the placement replayed last."""
        return row_limits(solution.schedule, reserved(solution.schedule, self._placed[0]))

    def _wired(self, solution: Solution, turns: list[Turns]) -> tuple[list[Wire], Fixed]:
        """Who sends what to whom: as before, if copies still compute the same windows."""
        copies, placed = [copies_of(turn) for turn in turns], self._placed[0]
        if self._fixed is None or not self._copies or not all(map(np.array_equal, copies, self._copies)):
            mesh = Mesh(solution.architecture)
            self._wires, self._copies = wire(mesh, solution.network, solution.mapping, placed, copies), copies
            self._fixed = fixed(mesh, solution.network, self._wires, placed)
        return self._wires, self._fixed

    def _knows(self, solution: Solution) -> bool:
        """Whether the last solution differs at most in its schedule."""
        last = self._last
        return (
            last is not None
            and last.placement is solution.placement
            and last.network is solution.network
            and last.architecture == solution.architecture
            and last.mapping == solution.mapping
        )


def _read(solution: Solution) -> tuple[list[OuGrid], list[Violation]]:
    """OU grid of every layer; families ``structure`` and ``mapping``, without which nothing can be replayed."""
    found = check_tables(solution)
    if len(solution.mapping) == len(solution.network.layers):
        found += check_mapping(solution)
    if found:
        return [], found
    for index, option in zip(solution.network.layers, solution.mapping, strict=True):
        node = solution.network.nodes[index]
        check_grid(f"layer {node.name!r}", solution.architecture, weights_of(node), option)
    grids = [
        build_grid(solution.architecture, weights_of(solution.network.nodes[index]), option)
        for index, option in zip(solution.network.layers, solution.mapping, strict=True)
    ]
    check_magnitude(solution, grids)
    return grids, check_rectangles(solution, grids) + check_windows(solution)


def _place_all(solution: Solution, grids: list[OuGrid]) -> tuple[list[Placed], list[Violation], list[Violation]]:
    """What the placement implies, families ``coverage`` and ``capacity``, and copies without an OU.

    Nothing is placed if there are such copies. The rectangles, by far the longest tables, are needed no further.
    """
    tables = by_layer(solution.placement, len(grids))
    pieces = [clip(grid, table) for grid, table in zip(grids, tables, strict=True)]
    found, empty = _check_cells(solution, grids, pieces), _empty_copies(solution, tables, pieces)
    if empty:
        return [], found, empty
    placed = [
        place(solution.architecture, weights_of(solution.network.nodes[index]), option, grid, part)
        for index, option, grid, part in zip(solution.network.layers, solution.mapping, grids, pieces, strict=True)
    ]
    return placed, found, empty


def _check_cells(solution: Solution, grids: list[OuGrid], pieces: list[Pieces]) -> list[Violation]:
    """Families ``coverage`` and ``capacity``."""
    arch = solution.architecture
    names = [solution.network.nodes[index].name for index in solution.network.layers]
    found = []
    for name, grid, part in zip(names, grids, pieces, strict=True):
        found += check_coverage(name, grid, part)
    slotted = [part for part, option in zip(pieces, solution.mapping, strict=True) if option.storage == "slotted"]
    found += check_slotted(arch, slotted)
    if any(option.storage == "filled" for option in solution.mapping):
        tenants = np.zeros(arch.crossbars, np.int64)
        for part in pieces:
            copies = int(part.copy.max(initial=0)) + 1
            held = distinct(part.crossbar * copies + part.copy)[0] // copies
            tenants += np.bincount(held, minlength=arch.crossbars)
        for name, grid, part, option in zip(names, grids, pieces, solution.mapping, strict=True):
            if option.storage == "filled" and len(part.crossbar):
                found += check_filled(name, grid, part, tenants)
    return found


def _expand_all(solution: Solution) -> tuple[list[Turns], list[Violation]]:
    """Windows in order of execution, per layer, and family ``windows``."""
    schedule, nodes = solution.schedule, solution.network.nodes
    turns, found = [], []
    rows = rows_by_group(schedule.layer, len(solution.mapping))
    for index, option, part in zip(solution.network.layers, solution.mapping, rows, strict=True):
        node = nodes[index]
        turns.append(turns_of(schedule, part))
        windows = -(-node.height // option.ph) * -(-node.width // option.pw)
        found += check_turns(node.name, turns[-1], windows)
    return turns, found


def _empty_copies(solution: Solution, tables: list[Placement], pieces: list[Pieces]) -> list[Violation]:
    """Copies (0, 1, ... are there) whose rectangles hold no existing OU: nothing to run."""
    found = []
    for index, table, part in zip(solution.network.layers, tables, pieces, strict=True):
        held = np.bincount(part.copy, minlength=int(table.copy.max()) + 1)
        copies = np.flatnonzero(held == 0)
        name = solution.network.nodes[index].name
        found += listed("structure", np.zeros(len(copies), np.int64), 1, "OUs", _empty_message(name, copies))
    return found


def _empty_message(name: str, copies: IntArray) -> Callable[[int], str]:
    def describe(i: int) -> str:
        return f"layer {name!r}, copy {copies[i]}: its rectangles hold no OU"

    return describe


def _replayed(
    solution: Solution,
    placed: list[Placed],
    wired: tuple[list[Wire], Fixed],
    turns: list[Turns],
    found: list[Violation],
    *,
    full: bool,
) -> Evaluation:
    """Replay, check what needs times, and report."""
    arch, network, mesh = solution.architecture, solution.network, Mesh(solution.architecture)
    wires, known = wired
    prepare()
    tables = scheduled(known, network, placed, turns, solution.schedule)
    queued = simulate(tables, known)
    if queued.stuck:
        return Evaluation((*found, *_check_stuck(queued, network)))
    runs = runs_of(queued, network, wires)
    layer_runs = [runs[index] for index in network.layers]
    found += _check_reservations(solution.schedule, turns, layer_runs)
    buffers = buffer_use(arch, runs)
    found += check_buffers(arch, buffers)
    found += check_transfers(solution.transfers, runs, arch)
    free = simulate(tables, known, queues=False).latency if full else None
    facts = Facts(mesh, network, placed, runs, layer_runs, queued, free, port_bits(mesh, placed, layer_runs), buffers)

    def tables_of(inferences: int, period: int) -> ev.ReplayTables:
        return scheduled(known, network, placed, turns, solution.schedule, inferences, period)

    period = shortest_period(known, tables_of, least_period(facts, known), queued.latency) if full else None
    result = summarize(facts, tuple(found), period)
    if needs_proof(solution.claims):
        result = replace(result, bounds=prove(network, arch))
    return replace(result, violations=(*found, *check_claims(solution.claims, result)))


def _check_stuck(queued: Replayed, network: Network) -> list[Violation]:
    """Family ``reservation``: windows that never begin."""
    found = []
    for index, node in enumerate(network.nodes):
        first = queued.tables.node[index, ev.WINDOW0]
        end = queued.tables.node[index + 1, ev.WINDOW0] if index + 1 < len(network.nodes) else len(queued.window)
        never = int((queued.window[first:end, ev.DONE] < 0).sum())
        if never:
            message = f"node {node.name!r}: {never} of {end - first} windows never begin: rows wait for each other"
            found.append(Violation("reservation", message, never, 0, "windows"))
    return found


def _check_reservations(schedule: Schedule, turns: list[Turns], runs: list[NodeReplay]) -> list[Violation]:
    """Family ``reservation``: the last window of each reservation ends in time."""
    row = np.concatenate([turn.row for turn in turns])
    end = np.concatenate([run.end[turn.window[turn.last]] for turn, run in zip(turns, runs, strict=True)])
    bad = np.flatnonzero(end > schedule.end[row])

    def describe(i: int) -> str:
        at = row[bad[i]]
        return (
            f"schedule: row {at} (layer {schedule.layer[at]}, copy {schedule.copy[at]}) ends at cycle "
            f"{end[bad[i]]}, reserved until {schedule.end[at]}"
        )

    return listed("reservation", end[bad], schedule.end[row[bad]], "cycles", describe)


from spatem_opt.evaluator.settling import settle  # noqa: E402  stands on the class above
