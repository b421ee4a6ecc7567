"""When every layer works: windows of a replay, summed over its copies, per slice of time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spatem_opt.evaluator.arrays import rows_by_group
from spatem_opt.evaluator.durations import clip, place
from spatem_opt.evaluator.grid import build_grid
from spatem_opt.evaluator.mesh import Mesh
from spatem_opt.evaluator.replay import runs_of, simulate
from spatem_opt.evaluator.reservations import turns_of
from spatem_opt.evaluator.structure import by_layer, weights_of
from spatem_opt.evaluator.tables import fixed, scheduled
from spatem_opt.evaluator.wiring import copies_of, wire
from spatem_opt.model.solution import Solution
from spatem_opt.types import FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Activity:
    """Shares of time, 0 .. 1.

    Parameters
    ----------
    edges : float64 array, shape (slices + 1,)
        Cycles.
    busy : float64 array, shape (layers, slices)
        Share of the layer's copies that compute a window.
    occupancy : float64 array, shape (slices,)
        OU operations over all crossbars.
    """

    edges: FloatArray
    busy: FloatArray
    occupancy: FloatArray


def activity(solution: Solution, slices: int = 800) -> Activity:
    """Replay a solution that the evaluator accepts and return who is busy when.

    Parameters
    ----------
    solution : Solution
        Valid.
    slices : int
        Slices of equal length from cycle 0 to the last end of a window.
    """
    arch, network = solution.architecture, solution.network
    weights = [weights_of(network.nodes[index]) for index in network.layers]
    placed, turns, operations = [], [], []
    cells = by_layer(solution.placement, len(weights))
    rows = rows_by_group(solution.schedule.layer, len(weights))
    for layer, weight in enumerate(weights):
        grid = build_grid(arch, weight, solution.mapping[layer])
        pieces = clip(grid, cells[layer])
        placed.append(place(arch, weight, solution.mapping[layer], grid, pieces))
        turns.append(turns_of(solution.schedule, rows[layer]))
        operations.append(placed[-1].phases * int(pieces.ous[pieces.copy == 0].sum()))
    mesh = Mesh(arch)
    wires = wire(mesh, network, solution.mapping, placed, [copies_of(turn) for turn in turns])
    known = fixed(mesh, network, wires, placed)
    tables = scheduled(known, network, placed, turns, solution.schedule)
    runs = runs_of(simulate(tables, known), network, wires)
    ends = [int(run.done.max()) for run in runs]
    edges = np.linspace(0, max(max(ends), 1), slices + 1)
    busy, done = np.zeros((len(weights), slices)), np.zeros(slices)
    for layer, index in enumerate(network.layers):
        run = runs[index]
        time = overlap(edges, run.begin, run.end)
        busy[layer] = time / placed[layer].copies
        length = float((run.end - run.begin).sum()) / len(run.begin)
        done += time * (operations[layer] / max(length, 1.0))
    width = edges[1] - edges[0]
    return Activity(edges, busy / width, done / (width * arch.crossbars))


def overlap(edges: FloatArray, begin: NDArray[np.int64], end: NDArray[np.int64]) -> FloatArray:
    """Return the time that intervals spend in each slice, summed over the intervals.

    Examples
    --------
    >>> overlap(np.array([0.0, 10, 20]), np.array([5, 5]), np.array([8, 15])).tolist()
    [8.0, 5.0]
    """
    return np.diff(_below(edges, end) - _below(edges, begin))


def _below(edges: FloatArray, times: NDArray[np.int64]) -> FloatArray:
    """The sum of ``min(t, x)`` over all times x, for every edge t."""
    ordered = np.sort(times)
    total = np.concatenate([[0], np.cumsum(ordered)])
    at = np.searchsorted(ordered, edges, side="right")
    found: FloatArray = total[at] + edges * (len(ordered) - at)
    return found
