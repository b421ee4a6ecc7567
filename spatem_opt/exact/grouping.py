"""OU grouping of a solved network: every kind of layer at the crossbars and serial OUs that its copies have."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np

from formulations.grouping import cpsat
from formulations.solver import Limits, concluded, versions
from spatem_opt.cost.grid import Grid
from spatem_opt.cost.placed import rows_by_layer
from spatem_opt.exact.keep import Keep, ignore
from spatem_opt.grouping import bounds
from spatem_opt.grouping.problem import GroupingProblem, GroupingSolution, from_table
from spatem_opt.grouping.referee import objective as cost_of
from spatem_opt.model.result import Step
from spatem_opt.model.solution import Placement
from spatem_opt.model.solution import Solution as FullSolution
from spatem_opt.planning.plan import problem_of
from spatem_opt.planning.policy import policy_of
from spatem_opt.search.engine import Evaluated
from spatem_opt.search.realisation import measure, realise
from spatem_opt.types import IntArray

PROOFS = 0.8
"""Share of the step's time for proofs; the rest is for trying what is cheaper."""


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """Layers whose copies are grouped alike.

    Parameters
    ----------
    problem : GroupingProblem
        Of one block of the grid (one group of a grouped convolution).
    chosen : GroupingSolution
        The grouping that the solution has; groups in the order of a copy's crossbars.
    layers : tuple of int
    times : int
        How often the block's cost is paid: blocks x windows, of all these layers.
    blocks : int
        Blocks of a copy's grid.
    """

    problem: GroupingProblem
    chosen: GroupingSolution
    layers: tuple[int, ...]
    times: int
    blocks: int


@dataclass(frozen=True, slots=True, eq=False)
class Proof:
    """The best grouping known of a kind, its cost and bound [bits per window], and whether a solver was asked."""

    best: GroupingSolution
    cost: int
    bound: int
    solved: bool


def run(found: Evaluated, objective: str, limits: Limits, keep: Keep = ignore) -> tuple[Evaluated, Step]:
    """Prove or bound the groupings of the best solution; try those that cost less."""
    begin = time.monotonic()
    known, left_out = kinds(found)
    proofs = prove_all(known, limits.left(begin, PROOFS))
    step = _record(known, proofs, left_out, limits, begin)
    keep(found, step)
    if step.objective is not None and step.heuristic is not None and step.objective < step.heuristic:
        found, why = use(known, proofs, found, objective, limits.left(begin), keep)
        step = replace(step, seconds=round(time.monotonic() - begin, 3), note=f"{step.note}; {why}")
    return found, step


def _record(known: list[Kind], proofs: list[Proof], left_out: int, limits: Limits, begin: float) -> Step:
    """What is proven of the groupings so far."""
    start, value, bound = (
        sum(kind.times * cost for kind, cost in zip(known, costs, strict=True))
        for costs in (
            [cost_of(kind.problem, kind.chosen) for kind in known],
            [proof.cost for proof in proofs],
            [proof.bound for proof in proofs],
        )
    )
    proven = sum(proof.cost == proof.bound for proof in proofs)
    note = f"inputs and partial sums of all groups at the solution's (n, m); {proven} of {len(known)} kinds proven"
    if left_out:
        note += f"; {left_out} layers whose storage leaves no choice"
    engine = "cpsat" if any(proof.solved for proof in proofs) else "combinatorial"
    packages = versions("ortools" if engine == "cpsat" else "numpy")
    return Step(
        "grouping", engine, concluded(value, bound), value, bound, round(time.monotonic() - begin, 3), start, "bits",
        packages, limits.seed, note,
    )  # fmt: skip


def kinds(found: Evaluated) -> tuple[list[Kind], int]:
    """Kinds of layers of a solution, and the number of layers left out: filled grids, and such with missing OUs."""
    place, grids = found.solution.placement, found.planned.grids
    made: dict[tuple[GroupingProblem, bytes, int], Kind] = {}
    left_out = 0
    for layer, (grid, rows) in enumerate(zip(grids, rows_by_layer(place.layer, len(grids)), strict=True)):
        if grid.option.storage == "filled" or grid.exists is not None:
            left_out += 1
            continue
        chosen = _of_one_block(grid, place, rows[place.copy[rows] == 0])
        problem, blocks = _problem(grid, chosen), grid.weights.groups
        key = (problem, chosen.table().tobytes(), blocks)
        before = made.get(key, Kind(problem, chosen, (), 0, blocks))
        times = before.times + blocks * grid.windows
        made[key] = replace(before, layers=(*before.layers, layer), times=times)
    return list(made.values()), left_out


def _of_one_block(grid: Grid, place: Placement, rows: IntArray) -> GroupingSolution:
    """Grouping of the first block of a copy's grid; a crossbar's number is its place in the copy's order."""
    height, width = len(grid.rows), len(grid.cols)
    rows = rows[(place.row_start[rows] < height) & (place.col_start[rows] < width)]
    table = np.stack([
        _numbered(place.crossbar[rows]),
        place.row_start[rows], np.minimum(place.row_stop[rows], height),
        place.col_start[rows], np.minimum(place.col_stop[rows], width),
    ], axis=1)  # fmt: skip
    return from_table(table)


def _numbered(values: IntArray) -> IntArray:
    """Values replaced by the order in which they first occur."""
    _, first, which = np.unique(values, return_index=True, return_inverse=True)
    return np.asarray(np.argsort(np.argsort(first))[which])


def _problem(grid: Grid, chosen: GroupingSolution) -> GroupingProblem:
    """What the chosen grouping answers: as many groups, as large, at the cost of a full OU row and column."""
    area = (chosen.row_stop - chosen.row_start) * (chosen.col_stop - chosen.col_start)
    sizes = np.bincount(chosen.group, area).astype(np.int64)
    row = int((grid.rows.stop - grid.rows.start).max()) * grid.activation_bits
    col = int(grid.column_sums().max()) * grid.partial_sum_bits
    return GroupingProblem(len(grid.rows), len(grid.cols), len(sizes), int(sizes.max()), row, col)


def prove_all(known: list[Kind], limits: Limits) -> list[Proof]:
    """Proofs of all kinds: each gets its share of the time, then those left open share what the others did not need."""
    begin = time.monotonic()
    proofs = [prove(kind, limits.left(begin, 1 / (len(known) - i))) for i, kind in enumerate(known)]
    still = [i for i, proof in enumerate(proofs) if proof.cost > proof.bound]
    for number, i in enumerate(still):
        longer = limits.left(begin, 1 / (len(still) - number))
        if longer.time_limit > limits.time_limit / len(known):
            again = prove(known[i], longer)
            best = min(proofs[i], again, key=lambda proof: proof.cost)
            proofs[i] = replace(best, bound=max(proofs[i].bound, again.bound))
    return proofs


def prove(kind: Kind, limits: Limits) -> Proof:
    """The best grouping and bound of all stages of the CP-SAT engine that the grid is small enough for."""
    problem, cost = kind.problem, cost_of(kind.problem, kind.chosen)
    bound = bounds.lower_bound(problem)
    if cost == bound or limits.stopped:
        return Proof(kind.chosen, cost, bound, False)
    result = cpsat.solve(
        problem, time_limit=limits.time_limit, seed=limits.seed, workers=limits.workers, hint=kind.chosen,
        stop=limits.stop,
    )  # fmt: skip
    assert result.solution is not None  # there is a hint
    assert result.objective is not None
    assert result.bound is not None
    return Proof(result.solution, result.objective, result.bound, True)


def use(
    known: list[Kind], proofs: list[Proof], found: Evaluated, objective: str, limits: Limits, keep: Keep = ignore
) -> tuple[Evaluated, str]:
    """Exchange groupings for cheaper ones while the whole gets no worse.

    Those inside tiles at once, which changes nothing but the groups; the others kind by kind, most bits saved first.
    """
    saved = [k.times * (cost_of(k.problem, k.chosen) - p.cost) for k, p in zip(known, proofs, strict=True)]
    cheaper = [i for i in np.argsort(saved)[::-1].tolist() if saved[i] > 0 and known[i].blocks == 1]
    across = [i for i in cheaper if spread(found.solution, known[i])]
    inside = [i for i in cheaper if i not in across]
    before, used, tried, begin = found.value, 0, 0, time.monotonic()
    for together in [inside] * bool(inside) + [[i] for i in across]:
        spent = time.monotonic() - begin
        late = spent + spent / max(1, tried) >= limits.time_limit  # the next one takes as long as those before
        if late or limits.stopped:
            break
        tried += 1
        placement = found.solution.placement
        for i in together:
            placement = exchange(placement, known[i], proofs[i].best, found.solution.architecture.crossbars_per_tile)
        better = _exchanged(found, placement, objective, limits)
        used += 0 if better is None else len(together)
        found = better or found
        keep(found)
    text = f"{len(cheaper)} cheaper groupings, {len(across)} where copies span tiles, so that it matters"
    change = f": {objective} {before} -> {found.value}" if found.value < before else ""
    why = ": the whole is worse" if tried and not used and not limits.stopped else ""
    return found, f"{text}; {used} used{change}{why}"


def _exchanged(found: Evaluated, placement: Placement, objective: str, limits: Limits) -> Evaluated | None:
    """The solution with another placement, scheduled anew; None if that is worse, or not done in time."""
    source = problem_of(found.planned, found.solution.network, found.solution.architecture)
    moved = replace(source, placement=placement)
    limit = found.value + 1 if policy_of(objective).faster else None
    done = realise(found.planned, source.network, source.architecture, limit, moved, stop=limits.stop)
    if done is None or measure(done[1], objective) > found.value:
        return None
    return replace(found, solution=done[0], evaluation=done[1], value=measure(done[1], objective))


def spread(solution: FullSolution, kind: Kind) -> bool:
    """Whether a copy of the kind lies on several tiles: inside a tile, crossbars share inputs and add up for free."""
    place, architecture = solution.placement, solution.architecture
    rows = np.isin(place.layer, kind.layers)
    copy = np.stack([place.layer[rows], place.copy[rows]])
    tile = place.crossbar[rows] // architecture.crossbars_per_tile
    copies = np.unique(copy, axis=1).shape[1]
    return bool(np.unique(np.vstack([copy, tile]), axis=1).shape[1] > copies)


def exchange(place: Placement, kind: Kind, best: GroupingSolution, per_tile: int) -> Placement:
    """The placement with another grouping in all copies of a kind, on the same crossbars, ``per_tile`` of each tile.

    A group goes to a crossbar of a tile that had most of its OUs before, as far as all of them can.
    """
    columns = [getattr(place, name) for name in Placement.__dataclass_fields__]
    keep = ~np.isin(place.layer, kind.layers)
    parts = [[column[keep] for column in columns]]
    ranks: dict[bytes, IntArray] = {}
    for layer in kind.layers:
        rows = np.flatnonzero(place.layer == layer)
        for copy in np.unique(place.copy[rows]).tolist():
            crossbar = place.crossbar[rows[place.copy[rows] == copy]]
            own = crossbar[np.sort(np.unique(crossbar, return_index=True)[1])]
            tile = _numbered(own // per_tile)
            if tile.tobytes() not in ranks:
                ranks[tile.tobytes()] = _places(_overlaps(kind, best, tile), np.bincount(tile))[best.group]
            one = np.ones(len(best), dtype=np.int64)
            parts.append([
                layer * one, copy * one, own[np.argsort(tile, kind="stable")[ranks[tile.tobytes()]]],
                best.row_start, best.row_stop, best.col_start, best.col_stop,
            ])  # fmt: skip
    table = [np.concatenate(column) for column in zip(*parts, strict=True)]
    order = np.lexsort((table[1], table[0]))
    return Placement(*(column[order] for column in table))


def _overlaps(kind: Kind, best: GroupingSolution, tile: IntArray) -> IntArray:
    """OUs of every new group that lie on each tile now; ``tile`` by crossbar of a copy; shape (groups, tiles)."""
    old, tiles = tile[kind.chosen.labels(kind.problem)], int(tile.max()) + 1
    new = best.labels(kind.problem)
    found = np.bincount((new * tiles + old).ravel(), minlength=kind.problem.groups * tiles)
    return np.asarray(found.reshape(-1, tiles), dtype=np.int64)


def _places(overlap: IntArray, room: IntArray) -> IntArray:
    """Place of every group on the tiles, one after the other, so that most OUs stay in their tile: a minimum-cost flow.

    Parameters
    ----------
    overlap : int64 array, shape (groups, tiles)
    room : int64 array, shape (tiles,)
        Groups that each tile takes; as many as there are in all.
    """
    from ortools.graph.python import min_cost_flow

    groups, tiles = overlap.shape
    flow, anywhere = min_cost_flow.SimpleMinCostFlow(), groups + tiles
    group, tile = np.nonzero(overlap)
    most = int(overlap.max())
    flow.add_arcs_with_capacity_and_unit_cost(group, groups + tile, np.ones_like(group), most - overlap[group, tile])
    flow.add_arcs_with_capacity_and_unit_cost(
        np.arange(groups), np.full(groups, anywhere), np.ones(groups, dtype=np.int64), np.full(groups, most)
    )
    flow.add_arcs_with_capacity_and_unit_cost(
        np.full(tiles, anywhere), groups + np.arange(tiles), room, np.zeros(tiles, dtype=np.int64)
    )
    flow.set_nodes_supplies(np.arange(groups + tiles), np.concatenate([np.ones(groups, dtype=np.int64), -room]))
    status = flow.solve()
    assert status == flow.OPTIMAL  # any group may go anywhere
    at = np.full(groups, -1)
    used = flow.flows(np.arange(len(group))) > 0
    at[group[used]] = tile[used]
    left = room - np.bincount(at[at >= 0], minlength=tiles)
    at[at < 0] = np.repeat(np.arange(tiles), left)
    return np.asarray(np.argsort(np.argsort(at, kind="stable")))
