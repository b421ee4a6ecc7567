"""Temporal scheduling of a solved network: its windows in chunks, ordered by CP-SAT, back to a schedule of windows."""

from __future__ import annotations

import time
from dataclasses import replace

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


def run(found: Evaluated, objective: str, limits: Limits) -> tuple[Evaluated, Step]:
    """Order the chunks of the best solution's windows, at its copies, places and paces."""
    begin = time.monotonic()
    layers = len(found.solution.network.layers)
    count = reach.chunks_per_layer(layers)
    try:
        expansion = build(source(found), count)
    except InstanceError as error:
        note = f"no chunk problem: {error}"
        return found, Step("scheduling", "none", Status.UNKNOWN, None, None, 0.0, unit="cycles", note=note)
    hint = chunk_heuristic.solve(expansion.problem)
    result = _solve(expansion.problem, hint, layers, limits.left(begin, 0.8))
    note = f"makespan of {count} chunks a layer at the solution's places and paces, routers left out"
    if layers > reach.TASKS:
        note += f"; beyond reach: {layers} chunks, at most {reach.TASKS}"
    if result.solution is not None:
        found, why = _use(expansion, result.solution, found, objective)
        note += f"; {why}"
    return found, Step(
        "scheduling", result.engine, result.status, result.objective, result.bound, round(time.monotonic() - begin, 3),
        chunks.makespan(expansion.problem, hint.start), "cycles", result.versions, limits.seed, note,
    )  # fmt: skip


def source(found: Evaluated) -> Problem:
    """The scheduling problem behind a solution: its places and paces, free to start when it can."""
    solution, table = found.solution, found.solution.schedule
    free = Chunks(
        table.layer, table.copy, table.first_window, table.last_window, table.step, table.pace,
        np.zeros_like(table.start),
    )  # fmt: skip
    plan = found.plan
    return Problem(solution.architecture, solution.network, plan.grids, solution.placement, free, plan.serial)


def _solve(problem: chunks.Problem, hint: chunks.Solution, layers: int, limits: Limits) -> Result[chunks.Solution]:
    if layers > reach.TASKS:
        return conclude(prepare(problem, hint, use_bound=True), time.monotonic(), "combinatorial", "numpy")
    return cpsat.solve(problem, time_limit=limits.time_limit, seed=limits.seed, workers=limits.workers, hint=hint)


def _use(expansion: Expansion, solution: chunks.Solution, found: Evaluated, objective: str) -> tuple[Evaluated, str]:
    """The better of the solution so far and that of the chunks, and which it is."""
    done = settle(expansion, solution, found, found.value if objective == "latency" else None)
    if done is None or measure(done[1], objective) >= found.value:
        return found, "not used: window by window it is no better"
    value = measure(done[1], objective)
    text = f"used: {objective} {found.value} -> {value}"
    return replace(found, name=f"{found.name}, exact order of chunks", solution=done[0], evaluation=done[1],
                   value=value), text  # fmt: skip


def settle(
    expansion: Expansion, solution: chunks.Solution, found: Evaluated, limit: int | None
) -> tuple[Solution, Evaluation] | None:
    """Windows for given starts of chunks, in this order slowed down until routers and ports can follow.

    None if they never can, if a buffer is too small, or as soon as the latency is not below ``limit``.
    """
    order = np.argsort(np.argsort(solution.start, kind="stable"))
    count = reach.chunks_per_layer(len(expansion.source.grids))
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
        expansion = build(stretch(cut, times, arrays.bins, arrays.bin_load, 1 + 0.02 * attempt), count)
        solution = chunks.Solution(chunk_heuristic.list_schedule(expansion.problem, order))
    return None
