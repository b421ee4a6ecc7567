"""Temporal scheduling of a solved network: its windows in chunks, ordered by CP-SAT, back to a schedule of windows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from formulations.scheduling import cpsat
from formulations.scheduling.steps import finish as conclude
from formulations.scheduling.steps import prepare
from formulations.solver import Limits, StepResult, Stop
from spatem_opt.cost.placed import Chunks, PlacedNetwork
from spatem_opt.errors import InstanceError
from spatem_opt.evaluator import Evaluation, settle
from spatem_opt.exact import reach
from spatem_opt.exact.keep import Keep, ignore
from spatem_opt.model.result import Status, Step
from spatem_opt.model.solution import Solution
from spatem_opt.planning.plan import assemble
from spatem_opt.planning.policy import policy_of
from spatem_opt.scheduling import chunk_heuristic, chunks
from spatem_opt.scheduling.expansion import Expansion, build
from spatem_opt.search.engine import Evaluated
from spatem_opt.search.realisation import measure
from spatem_opt.types import IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Round:
    """One chunk problem: ``count`` chunks a layer, the list schedule's makespan [cycles], and the result."""

    count: int
    expansion: Expansion
    heuristic: int
    result: StepResult[chunks.ChunkSchedule]


def run(found: Evaluated, objective: str, limits: Limits, keep: Keep = ignore) -> tuple[Evaluated, Step]:
    """Order the chunks of the best solution's windows, at its copies, places and paces.

    While few chunks are proven, more are tried; then a list schedule of ever finer chunks follows the order found.
    """
    begin, start = time.monotonic(), found
    layers = len(found.solution.network.layers)
    problem = source(found)
    try:
        rounds = [_round(problem, reach.chunks_per_layer(layers), limits.left(begin, 0.5))]
    except InstanceError as error:
        note = f"no chunk problem: {error}"
        return found, Step("scheduling", "none", Status.UNKNOWN, None, None, 0.0, unit="cycles", note=note)
    late = partial(limits.over, begin)

    def kept(best: Evaluated) -> Evaluated:
        keep(best, _record(rounds, (start, best), objective, limits, begin))
        return best

    best = kept(_use(rounds[-1], kept(found), objective, late))
    while rounds[-1].result.status is Status.OPTIMAL and _finer(rounds[-1], layers, limits.left(begin)):
        rounds.append(_round(problem, 2 * rounds[-1].count, limits.left(begin, 0.5)))
        best = kept(_use(rounds[-1], best, objective, late))
    for finer in _refine(rounds[-1], best, objective, late):
        best = kept(finer)
    return best, _record(rounds, (start, best), objective, limits, begin)


def _record(
    rounds: list[Round], change: tuple[Evaluated, Evaluated], objective: str, limits: Limits, begin: float
) -> Step:
    """What is proven of the orders so far; `change` is the solution before the step and the best one now."""
    before, best = change
    layers = len(before.solution.network.layers)
    last = next((one for one in reversed(rounds) if one.result.status is Status.OPTIMAL), rounds[0])
    result = last.result
    note = f"makespan of {last.count} chunks a layer at the solution's places and paces, routers left out"
    if layers > reach.TASKS:
        note += f"; beyond reach: {layers} layers, at most {reach.TASKS} chunks"
    better = best.value < before.value
    note += f"; used: {objective} {before.value} -> {best.value}" if better else "; not used: the whole is no better"
    return Step(
        "scheduling", result.engine, result.status, result.objective, result.bound, round(time.monotonic() - begin, 3),
        last.heuristic, "cycles", result.versions, limits.seed, note,
    )  # fmt: skip


def _finer(last: Round, layers: int, limits: Limits) -> bool:
    """Whether twice as many chunks are worth a try."""
    room = 2 * last.count <= reach.CHUNKS and 2 * last.count * layers <= reach.FINEST
    return layers <= reach.TASKS and room and limits.time_limit > 2 * last.result.seconds + 1 and not limits.stopped


def _round(problem: PlacedNetwork, count: int, limits: Limits) -> Round:
    """Solve the chunk problem; with too many layers only bound it."""
    begin = time.monotonic()
    expansion = build(problem, count)
    hint = chunk_heuristic.solve(expansion.problem)
    if len(problem.grids) > reach.TASKS:
        start = prepare(expansion.problem, hint, use_bound=True)
        result = conclude(start, begin, "combinatorial", "numpy")
    else:
        left = limits.left(begin)
        result = cpsat.solve(
            expansion.problem, time_limit=left.time_limit, seed=left.seed, workers=left.workers, hint=hint,
            stop=left.stop,
        )  # fmt: skip
    return Round(count, expansion, chunks.makespan(expansion.problem, hint.start), result)


def source(found: Evaluated) -> PlacedNetwork:
    """The scheduling problem behind a solution: its places and paces, free to start when it can."""
    solution, table = found.solution, found.solution.schedule
    free = Chunks(
        table.layer, table.copy, table.first_window, table.last_window, table.step, table.pace,
        np.zeros_like(table.start),
    )  # fmt: skip
    plan = found.planned
    return PlacedNetwork(solution.architecture, solution.network, plan.grids, solution.placement, free, plan.serial)


def _refine(last: Round, found: Evaluated, objective: str, late: Stop) -> Iterator[Evaluated]:
    """The best so far after list schedules of twice, four times ... as many chunks, in the order of those solved."""
    tasks, count = last.expansion.problem.tasks, 2 * last.count
    while not late():
        finer = build(last.expansion.source, count)
        if not tasks < finer.problem.tasks <= reach.LISTED:
            break
        own = chunk_heuristic.solve(finer.problem)
        same = chunks.ChunkSchedule(chunk_heuristic.list_schedule(finer.problem, _order(last, finer)))
        start = min(same, own, key=lambda one: chunks.makespan(finer.problem, one.start))
        found = _settled(finer, count, start, found, objective, late)
        yield found
        tasks, count = finer.problem.tasks, 2 * count


def _order(coarse: Round, finer: Expansion) -> IntArray:
    """Place of every finer chunk in the order in which the coarse ones, cut evenly, would begin."""
    if coarse.result.solution is None:
        return np.arange(finer.problem.tasks)
    start, duration = coarse.result.solution.start, coarse.expansion.problem.duration
    time_of = np.zeros(finer.problem.tasks)
    for team in np.unique(finer.team):
        parts, whole = np.flatnonzero(finer.team == team), np.flatnonzero(coarse.expansion.team == team)
        place = np.arange(len(parts)) * len(whole) / len(parts)
        part = place.astype(np.int64)
        time_of[parts] = start[whole[part]] + (place - part) * duration[whole[part]]
    return np.asarray(np.argsort(np.argsort(time_of, kind="stable")))


def _use(last: Round, found: Evaluated, objective: str, late: Stop) -> Evaluated:
    """The better of the solution so far and that of the chunks."""
    if last.result.solution is None:
        return found
    return _settled(last.expansion, last.count, last.result.solution, found, objective, late)


def _settled(
    expansion: Expansion, count: int, solution: chunks.ChunkSchedule, found: Evaluated, objective: str, late: Stop
) -> Evaluated:
    """The better of the solution so far and that of some starts of chunks."""
    done = windows_of(expansion, count, solution, found, found.value if policy_of(objective).faster else None, late)
    if done is None or measure(done[1], objective) >= found.value:
        return found
    name = f"{found.name.partition(', order of')[0]}, order of {count} chunks a layer"
    return replace(found, name=name, solution=done[0], evaluation=done[1], value=measure(done[1], objective))


def windows_of(
    expansion: Expansion,
    count: int,
    solution: chunks.ChunkSchedule,
    found: Evaluated,
    limit: int | None = None,
    late: Stop = lambda: False,
) -> tuple[Solution, Evaluation] | None:
    """Windows for given starts of chunks, in this order, as the replay with queues has them.

    None if a buffer is too small, if the latency is not below ``limit``, or once it is ``late``.
    """
    cut, times = expansion.timetable(solution)
    if limit is not None and times.latency >= limit:
        return None
    return settle(f"{count} chunks a layer", assemble(found.planned, cut, times), limit, late)
