"""Spatial replication of a solved network: its cuts into segments, solved to the end (``replication/EXACT.md``)."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from formulations.replication import master
from formulations.replication.problem import (
    UNIT,
    SegmentationProblem,
    SegmentationSolution,
    from_prices,
    from_segmentation,
)
from formulations.replication.problem import objective as cost_of
from formulations.solver import Limits, StepResult, concluded, versions
from spatem_opt.exact import conflicts, reach
from spatem_opt.exact.keep import Keep, ignore
from spatem_opt.model.result import Status, Step
from spatem_opt.planning.candidates import Candidates
from spatem_opt.planning.ready import ready
from spatem_opt.planning.settings import FILLS, Setting
from spatem_opt.replication import segmentation
from spatem_opt.search.engine import Evaluated
from spatem_opt.search.realisation import measure, realise


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """The problem at one setting, and the heuristic's answer; None if it has none."""

    problem: SegmentationProblem
    hint: SegmentationSolution | None


def run(found: Evaluated, objective: str, limits: Limits, keep: Keep = ignore) -> tuple[Evaluated, Step]:
    """Solve the cuts at the setting that led to the best plan; a better answer becomes a plan of its own."""
    begin = time.monotonic()
    solution = found.solution
    candidates = Candidates(solution.network, solution.architecture, objective)
    setting = found.setting if found.setting is not None else candidates.settings()[0]
    turns = replace(setting, side_by_side=False)
    start = prepare(candidates, turns)
    known = None if start.hint is None else cost_of(start.problem, start.hint)
    keep(found, _record(start, combinatorial_result(start, known), setting, limits, begin))
    result = _solve(start, known, limits.left(begin))
    step = _record(start, result, setting, limits, begin)
    keep(found, step)
    if result.solution is not None and (known is None or _must(result.objective) < known):
        found, why = _use(result.solution.cuts(start.problem), candidates, found, turns, limits)
        step = replace(step, seconds=round(time.monotonic() - begin, 3), note=f"{step.note}; {why}")
    return found, step


def _record(
    start: Start, result: StepResult[SegmentationSolution], setting: Setting, limits: Limits, begin: float
) -> Step:
    """What is proven of the cuts so far."""
    known = None if start.hint is None else cost_of(start.problem, start.hint)
    value, bound = _cycles(result.objective), _cycles(result.bound)
    note = f"surrogate cost at price {setting.price:.3g}, router share {setting.router_share:.2g}"
    if setting.side_by_side:
        note += ", of segments that take turns (the best plan so far has some side by side)"
    beyond = not _within_reach(start.problem, limits.left(begin).time_limit)
    if result.engine == "combinatorial" and beyond and not limits.stopped:
        note += f"; beyond reach: {_size(start.problem):.2g} runs to price in {limits.time_limit:.0f} s"
    if result.status is Status.INFEASIBLE:
        note += f"; {conflicts.of_layers(start.problem) or result.shortage or 'no cuts fit'}"
    status = result.status if value is None else concluded(value, bound)
    return Step(
        "replication", result.engine, status, value, bound, round(time.monotonic() - begin, 3), _cycles(known),
        "cycles", result.versions, limits.seed, note,
    )  # fmt: skip


def prepare(candidates: Candidates, setting: Setting) -> Start:
    """The problem of a setting, with the first share of crossbars for which the heuristic's cuts can be placed."""
    runs = candidates.runs(setting)
    for fill in FILLS:
        cuts = segmentation.best_segmentation(runs, fill=fill)
        if cuts is not None and candidates.place(cuts, setting) is not None:
            problem = from_prices(runs, fill=fill)
            return Start(problem, from_segmentation(problem, cuts))
    return Start(from_prices(runs, fill=1.0), None)


def combinatorial(problem: SegmentationProblem) -> int:
    """A bound of any cuts [1/1000 cycle], in no time: work over all crossbars, and each layer's cheapest way.

    All layers of a run of pace T have ``cycles <= T`` on crossbars of their own, hence
    ``sum crossbars * cycles <= T * crossbars of the chip``; summed over runs, the paces are no less than the work.
    """
    work = sum(int((menu.crossbars * menu.cycles).min()) for menu in problem.menus)
    priced = sum(int(menu.cost.min()) for menu in problem.menus)
    slowest = max(int(menu.cycles.min()) for menu in problem.menus)
    return max(UNIT * work // problem.alone, UNIT * slowest) + priced


def _size(problem: SegmentationProblem) -> int:
    return reach.runs(problem.layers, len(problem.slots), len(problem.paces))


def _within_reach(problem: SegmentationProblem, seconds: float) -> bool:
    """Whether all runs can be priced in time."""
    return _size(problem) <= reach.RUNS_PER_SECOND * seconds


def combinatorial_result(start: Start, known: int | None) -> StepResult[SegmentationSolution]:
    """The heuristic's answer and the bound that takes no time."""
    bound = combinatorial(start.problem)
    return StepResult(concluded(known, bound), start.hint, known, bound, 0.0, "combinatorial", versions("numpy"))


def _solve(start: Start, known: int | None, limits: Limits) -> StepResult[SegmentationSolution]:
    """Solve to the end, or beyond reach only bound."""
    problem = start.problem
    if _within_reach(problem, limits.time_limit):
        result = master.solve(
            problem, time_limit=limits.time_limit, seed=limits.seed, workers=limits.workers, hint=start.hint,
            stop=limits.stop,
        )  # fmt: skip
        if result.bound or result.status is Status.INFEASIBLE:
            return result  # else interrupted before there was a bound
    return combinatorial_result(start, known)


def _use(
    cuts: segmentation.Segmentation, candidates: Candidates, found: Evaluated, setting: Setting, limits: Limits
) -> tuple[Evaluated, str]:
    """The better of the solution so far and that of the cuts, and which it is."""
    interrupted = "not used: interrupted"
    if limits.stopped:
        return found, interrupted
    plan = candidates.place(cuts, setting)
    if plan is None:
        return found, "not used: its copies do not fit tile by tile"
    plan, problem = ready(plan, candidates.network, candidates.architecture)
    limit = found.value if candidates.policy.faster else None
    done = realise(plan, candidates.network, candidates.architecture, limit, problem, limits.stop)
    if done is None and limits.stopped:
        return found, interrupted
    if done is None or measure(done[1], candidates.policy.name) >= found.value:
        return found, "not used: placed and scheduled it is no better"
    value = measure(done[1], candidates.policy.name)
    text = f"used: {candidates.policy.name} {found.value} -> {value}"
    name = f"exact cuts at price {setting.price:.3g}, router share {setting.router_share:.2g}"
    return replace(found, name=name, solution=done[0], evaluation=done[1], value=value, plan=plan), text


def _cycles(cost: int | None) -> int | None:
    """Whole cycles, rounded up: of a cost as of a bound, since a cost of whole cycles is no less than either."""
    return None if cost is None else -(-cost // UNIT)


def _must(value: int | None) -> int:
    assert value is not None  # a result with a solution has an objective
    return value
