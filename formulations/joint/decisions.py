"""From a solution file to the decisions of the joint model, and back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from formulations.joint.problem import JointProblem, same
from formulations.joint.variables import Frame, JointVariables
from spatem_opt.cost.grid import make_grid
from spatem_opt.cost.placed import Chunks, Times
from spatem_opt.cost.placed import PlacedNetwork as Timetable
from spatem_opt.model.solution import MappingOption, Placement, Schedule, Solution
from spatem_opt.scheduling.replay import Replay


@dataclass(frozen=True, slots=True, eq=False)
class Decisions:
    """What the model decides; everything else follows.

    Parameters
    ----------
    ways : tuple of int
        Option of every layer.
    crossbar : dict of (layer, copy, item) to crossbar
    copy : dict of (layer, window) to copy
    begin : dict of (layer, window) to cycles
    """

    ways: tuple[int, ...]
    crossbar: dict[tuple[int, int, int], int]
    copy: dict[tuple[int, int], int]
    begin: dict[tuple[int, int], int]


def read(y: JointVariables, value: Callable[[Any], int]) -> Decisions:
    """The decisions in the values of a run; copies without windows are dropped and the others renumbered."""
    p = y.problem
    chosen = {layer: v for (layer, v), literal in y.way.items() if value(literal)}
    ways = tuple(chosen[layer] for layer in p.layers)
    copy, begin = {}, {}
    for (layer, frame, w, c), run in y.run.items():
        if frame == p.ways[layer][ways[layer]].frame and value(run):
            copy[layer, w] = c
            begin[layer, w] = value(y.begin[layer, frame, w])
    ranks = {layer: sorted({c for (at, _), c in copy.items() if at == layer}) for layer in p.layers}
    crossbar = {
        (layer, ranks[layer].index(c), i): k
        for (layer, v, c, i, k), x in y.put.items()
        if v == ways[layer] and c in ranks[layer] and value(x)
    }
    copy = {(layer, w): ranks[layer].index(c) for (layer, w), c in copy.items()}
    return Decisions(ways, crossbar, copy, begin)


def to_solution(problem: JointProblem, decisions: Decisions, claims: dict[str, dict[str, Any]]) -> Solution:
    """The solution file's tables: one placement row per OU, one reservation per window."""
    placement = _placement(problem, decisions)
    keys = sorted(decisions.copy)
    layer = np.array([key[0] for key in keys], dtype=np.int64)
    window = np.array([key[1] for key in keys], dtype=np.int64)
    copy = np.array([decisions.copy[key] for key in keys], dtype=np.int64)
    begin = np.array([decisions.begin[key] for key in keys], dtype=np.int64)
    one, none = np.ones_like(layer), np.zeros_like(layer)
    grids = tuple(ways[v].grid for ways, v in zip(problem.ways, decisions.ways, strict=True))
    chunks = Chunks(layer, copy, window, window, one, none, begin)
    placed = Timetable(problem.architecture, problem.network, grids, placement, chunks).placed
    interval = np.array([int(placed[at].interval[c]) for at, c in zip(layer.tolist(), copy.tolist(), strict=True)])
    schedule = Schedule(layer, copy, window, window.copy(), one, none, begin, begin + interval)
    mapping = tuple(grid.option for grid in grids)
    segment = np.zeros(len(mapping), dtype=np.int64)
    return Solution(problem.architecture, problem.network, mapping, placement, schedule, segment, claims)


def _placement(problem: JointProblem, decisions: Decisions) -> Placement:
    rows = []
    for (layer, c, item), k in sorted(decisions.crossbar.items()):
        way = problem.ways[layer][decisions.ways[layer]]
        for ou in np.flatnonzero(way.item == item).tolist():
            row, col = int(way.row[ou]), int(way.col[ou])
            rows.append((layer, c, k, row, row + 1, col, col + 1))
    return Placement(*np.array(rows, dtype=np.int64).T.copy())


def from_solution(problem: JointProblem, solution: Solution) -> Decisions | None:
    """The decisions of a valid solution, copies and crossbars in the model's order; None outside the model's space.

    Outside are options and numbers of copies that the problem does not admit, and copies that run no window.
    """
    found = [_index(problem, layer, option) for layer, option in enumerate(solution.mapping)]
    ways = tuple(v for v in found if v is not None)
    if len(ways) < len(found):
        return None
    crossbar = _crossbars(problem, ways, solution.placement)
    copy, begin = _times(problem, solution)
    for layer in problem.layers:
        copies = {c for (at, c, _) in crossbar if at == layer}
        if len(copies) > problem.copies[layer] or copies != {c for (at, _), c in copy.items() if at == layer}:
            return None
    return ordered(problem, Decisions(ways, crossbar, copy, begin))


def _index(problem: JointProblem, layer: int, option: MappingOption) -> int | None:
    """Number of the option, or of the slotted one that cuts the layer into the same OUs."""
    options = [way.grid.option for way in problem.ways[layer]]
    if option in options:
        return options.index(option)
    grid = make_grid(problem.node(layer), option, problem.architecture)
    return next((v for v, way in enumerate(problem.ways[layer]) if same(grid, way.grid)), None)


def _crossbars(problem: JointProblem, ways: tuple[int, ...], placement: Placement) -> dict[tuple[int, int, int], int]:
    found = {}
    p = placement
    columns = (p.layer, p.copy, p.crossbar, p.row_start, p.row_stop, p.col_start, p.col_stop)
    for layer, c, k, r0, r1, c0, c1 in zip(*(column.tolist() for column in columns), strict=True):
        way = problem.ways[layer][ways[layer]]
        inside = (way.row >= r0) & (way.row < r1) & (way.col >= c0) & (way.col < c1)
        found.update({(layer, c, item): k for item in way.item[inside].tolist()})
    return found


def _times(problem: JointProblem, solution: Solution) -> tuple[dict[tuple[int, int], int], dict[tuple[int, int], int]]:
    """Copy and begin of every window, by replay."""
    s, network = solution.schedule, solution.network
    grids = tuple(
        make_grid(network.nodes[i], option, solution.architecture)
        for i, option in zip(network.layers, solution.mapping, strict=True)
    )
    chunks = Chunks(s.layer, s.copy, s.first_window, s.last_window, s.step, s.pace, s.start)
    table = Timetable(solution.architecture, network, grids, solution.placement, chunks)
    replay = Replay(table, Times(s.start, s.end, 0, ()))
    for node in range(len(network.nodes)):
        replay.run(node)
    copy, begin = {}, {}
    tail = solution.architecture.pipeline_tail_cycles
    for layer, (node, placed) in enumerate(zip(network.layers, table.placed, strict=True)):
        option, width = solution.mapping[layer], network.nodes[node].width
        window = problem.window_of(layer, (option.ph, option.pw))
        for (py, px), done in replay.done[node].items():
            c, w = replay.copy[node][py, px], int(window[py * width + px])
            copy[layer, w] = c
            begin[layer, w] = done - tail - int(placed.sum_delay[c]) - int(placed.interval[c])
    return copy, begin


def ordered(problem: JointProblem, decisions: Decisions) -> Decisions:
    """The same decisions with copies and crossbars numbered as ``copy_order`` and ``crossbar_order`` want."""
    rank: dict[tuple[int, int], int] = {}
    for layer in problem.layers:
        windows = sorted(w for at, w in decisions.copy if at == layer)
        for c in dict.fromkeys(decisions.copy[layer, w] for w in windows):
            rank[layer, c] = len([1 for at, _ in rank if at == layer])
    placed = {(layer, rank[layer, c], i): k for (layer, c, i), k in decisions.crossbar.items()}
    number: dict[int, int] = {}
    per_tile = problem.architecture.crossbars_per_tile
    taken = [0] * len(problem.tiles)
    for key in sorted(placed):
        k = placed[key]
        if k not in number:
            tile = k // per_tile
            number[k] = tile * per_tile + taken[tile]
            taken[tile] += 1
    copy = {(layer, w): rank[layer, c] for (layer, w), c in decisions.copy.items()}
    return Decisions(decisions.ways, {key: number[k] for key, k in placed.items()}, copy, decisions.begin)


def literals(y: JointVariables, decisions: Decisions) -> dict[Any, int]:
    """Values of the variables that are decisions, by their index in the model.

    With these fixed, everything else follows from the families that define it.
    """
    p = y.problem
    frames: list[Frame] = [p.ways[layer][v].frame for layer, v in enumerate(decisions.ways)]
    found: dict[Any, int] = {}
    for (layer, v), way in y.way.items():
        found[way.index] = int(decisions.ways[layer] == v)
    for (layer, v, c, i, k), x in y.put.items():
        found[x.index] = int(decisions.ways[layer] == v and decisions.crossbar.get((layer, c, i)) == k)
    for (layer, frame, w, c), run in y.run.items():
        found[run.index] = int(frames[layer] == frame and decisions.copy[layer, w] == c)
    for (layer, frame, w), begin in y.begin.items():
        found[begin.index] = decisions.begin[layer, w] if frames[layer] == frame else 0
    return found
