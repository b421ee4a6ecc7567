"""Temporal scheduling of a solved network: its windows in chunks, ordered by CP-SAT, back to a schedule of windows."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np

from formulations.exact import reach
from formulations.scheduling import cpsat
from formulations.scheduling.steps import finish as conclude
from formulations.scheduling.steps import prepare
from formulations.solver import Limits, Result
from spatem_opt.errors import InstanceError
from spatem_opt.evaluator import Evaluation, evaluate
from spatem_opt.pipeline import CONTENTION, Evaluated, measure
from spatem_opt.plan import assemble
from spatem_opt.result import Status, Step
from spatem_opt.scheduling import chunk_heuristic, chunks
from spatem_opt.scheduling.expansion import Expansion, build
from spatem_opt.scheduling.problem import Chunks, Problem
from spatem_opt.scheduling.stretch import stretch
from spatem_opt.solution import Solution

ROUNDS = 6
"""Times a chunk schedule is slowed down where routers cannot follow, before it is given up."""


@dataclass(frozen=True, slots=True, eq=False)
class Round:
    """One chunk problem: ``count`` chunks a layer, the list schedule's makespan [cycles], and the result."""

    count: int
    expansion: Expansion
    heuristic: int
    result: Result[chunks.Solution]


def run(found: Evaluated, objective: str, limits: Limits) -> tuple[Evaluated, Step]:
    """Order the chunks of the best solution's windows, at its copies, places and paces; finer ones while proven."""
    begin = time.monotonic()
    layers = len(found.solution.network.layers)
    try:
        last = _round(source(found), reach.chunks_per_layer(layers), limits.left(begin, 0.8))
    except InstanceError as error:
        note = f"no chunk problem: {error}"
        return found, Step("scheduling", "none", Status.UNKNOWN, None, None, 0.0, unit="cycles", note=note)
    best, used = _use(last, found, objective)
    while last.result.status is Status.OPTIMAL and layers <= reach.TASKS and _finer(last, layers, limits.left(begin)):
        finer = _round(source(found), 2 * last.count, limits.left(begin, 0.8))
        best, better = _use(finer, best, objective)
        used = better or used
        if finer.result.status is not Status.OPTIMAL:
            break
        last = finer
    result = last.result
    note = f"makespan of {last.count} chunks a layer at the solution's places and paces, routers left out"
    if layers > reach.TASKS:
        note += f"; beyond reach: {layers} layers, at most {reach.TASKS} chunks"
    return best, Step(
        "scheduling", result.engine, result.status, result.objective, result.bound, round(time.monotonic() - begin, 3),
        last.heuristic, "cycles", result.versions, limits.seed,
        f"{note}; {used or 'not used: window by window it is no better'}",
    )  # fmt: skip


def _finer(last: Round, layers: int, limits: Limits) -> bool:
    """Whether twice as many chunks are worth a try."""
    room = 2 * last.count <= reach.CHUNKS and 2 * last.count * layers <= reach.FINEST
    return room and limits.time_limit > 2 * last.result.seconds + 1


def _round(problem: Problem, count: int, limits: Limits) -> Round:
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
            expansion.problem, time_limit=left.time_limit, seed=left.seed, workers=left.workers, hint=hint
        )
    return Round(count, expansion, chunks.makespan(expansion.problem, hint.start), result)


def source(found: Evaluated) -> Problem:
    """The scheduling problem behind a solution: its places and paces, free to start when it can."""
    solution, table = found.solution, found.solution.schedule
    free = Chunks(
        table.layer, table.copy, table.first_window, table.last_window, table.step, table.pace,
        np.zeros_like(table.start),
    )  # fmt: skip
    plan = found.plan
    return Problem(solution.architecture, solution.network, plan.grids, solution.placement, free, plan.serial)


def _use(last: Round, found: Evaluated, objective: str) -> tuple[Evaluated, str]:
    """The better of the solution so far and that of the chunks; a text if it is the latter."""
    if last.result.solution is None:
        return found, ""
    done = settle(last, last.result.solution, found, found.value if objective == "latency" else None)
    if done is None or measure(done[1], objective) >= found.value:
        return found, ""
    value = measure(done[1], objective)
    name = f"{found.name}, order of {last.count} chunks a layer"
    text = f"used: {objective} {found.value} -> {value}"
    return replace(found, name=name, solution=done[0], evaluation=done[1], value=value), text


def settle(
    last: Round, solution: chunks.Solution, found: Evaluated, limit: int | None
) -> tuple[Solution, Evaluation] | None:
    """Windows for given starts of chunks, in this order slowed down until routers and ports can follow.

    None if they never can, if a buffer is too small, or as soon as the latency is not below ``limit``.
    """
    order, expansion = np.argsort(np.argsort(solution.start, kind="stable")), last.expansion
    for attempt in range(ROUNDS):
        cut, times = expansion.timetable(solution)
        if limit is not None and times.latency >= limit:
            return None
        complete = assemble(found.plan, cut, times)
        evaluation = evaluate(complete)
        families = {violation.family for violation in evaluation.violations}
        if not families:
            return complete, evaluation
        if families - CONTENTION or evaluation.arrays is None:
            return None
        arrays = evaluation.arrays
        expansion = build(stretch(cut, times, arrays.bins, arrays.bin_load, 1 + 0.02 * attempt), last.count)
        solution = chunks.Solution(chunk_heuristic.list_schedule(expansion.problem, order))
    return None
