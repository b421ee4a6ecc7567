"""The problems of the steps on a network and a chip, ready to be written as models and to judge solutions."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from typing import Any

from formulations.replication.problem import SegmentationProblem as Runs
from formulations.replication.problem import SegmentationSolution as Cuts
from spatem_opt.errors import InstanceError
from spatem_opt.exchange.models import LARGEST, CpsatModel, Model, PulpModel
from spatem_opt.model.architecture import Architecture
from spatem_opt.network.layers import Network
from spatem_opt.planning.candidates import SLACK_PERCENT, Candidates
from spatem_opt.planning.plan import Plan, problem_of
from spatem_opt.planning.settings import FILLS

STEPS = ("mapping", "grouping", "replication", "scheduling")
CHUNKS = 8
"""Chunks per copy unless told otherwise."""
CaseValue = Callable[[Any], int]


@dataclass(frozen=True, slots=True)
class Options:
    """Which model of a step; None where the step does not have the choice.

    Parameters
    ----------
    max_excess : int or None
        Mapping: OU operations above the slack limits that the second level (communication) may spend.
    layer : str or None
        Grouping: the layer.
    run : int or None
        Replication: the ways of this run of the heuristic's cuts, all else as there.
    chunks : int or None
        Scheduling: chunks per copy.
    """

    max_excess: int | None = None
    layer: str | None = None
    run: int | None = None
    chunks: int | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """What the referee of a step says of a solution.

    Parameters
    ----------
    violations : tuple of (family, message)
    objective : int
    decisions : dict
        The solution, for JSON.
    """

    violations: tuple[tuple[str, str], ...]
    objective: int
    decisions: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ExportCase:
    """One model of one step.

    Parameters
    ----------
    what : str
        Which model, in a line.
    unit : str
        Of the objective.
    bound : int
        Proven: no solution of the model is below.
    build : function
        Engine (``"cpsat"`` or ``"ilp"``) to model and the engine's variables.
    judge : function
        Variables and their values to the referee's verdict.
    scale, offset : int
        Objective of the step = scale * objective of the model + offset.
    """

    what: str
    unit: str
    bound: int
    build: Callable[[str], tuple[Model, Any]]
    judge: Callable[[Any, CaseValue], Judged]
    scale: int = 1
    offset: int = 0


def case(step: str, network: Network, architecture: Architecture, options: Options) -> ExportCase:
    """The model of a step.

    Raises
    ------
    InstanceError
        If there is no such step, an option is not one of the step's or wrong, the heuristic finds no plan to take the
        step's data from, or the model is too large.
    """
    makers = {"mapping": mapping, "grouping": grouping, "replication": replication, "scheduling": scheduling}
    if step not in makers:
        raise InstanceError("export", "step", step, f"expected one of {', '.join(STEPS)}")
    home = {"max_excess": "mapping", "layer": "grouping", "run": "replication", "chunks": "scheduling"}
    for field in fields(options):
        value = getattr(options, field.name)
        if value is not None and home[field.name] != step:
            raise InstanceError("export", field.name.replace("_", "-"), value, f"expected with step {home[field.name]}")
    return makers[step](network, architecture, options)


def plan_of(network: Network, architecture: Architecture) -> Plan:
    """The heuristic's first plan for latency."""
    candidates = Candidates(network, architecture, "latency")
    plan = candidates.segmented(candidates.settings()[0])
    if plan is None:
        raise InstanceError(f"network {network.name!r}", "plan", None, "the heuristic finds none on this chip")
    return plan


def _maker(
    cpsat: Callable[[], tuple[Any, Any]], ilp: Callable[[], tuple[Any, Any]], families: Collection[str]
) -> Callable[[str], tuple[Model, Any]]:
    """Builds with either engine; `families` are those of the ILP."""

    def make(engine: str) -> tuple[Model, Any]:
        model, y = cpsat() if engine == "cpsat" else ilp()
        return CpsatModel(model) if engine == "cpsat" else PulpModel(model, families), y

    return make


def mapping(network: Network, architecture: Architecture, options: Options) -> ExportCase:
    """Weight mapping: the second level, or the first where its optimum is not known (``mapping/README.md``)."""
    from formulations.mapping import cpsat, ilp
    from formulations.mapping.steps import costs
    from spatem_opt.mapping import bounds, heuristic
    from spatem_opt.mapping.problem import build
    from spatem_opt.mapping.referee import check

    problem = build(network, architecture, slack_percent=SLACK_PERCENT)
    start, least, most = heuristic.solve(problem), bounds.excess(problem), options.max_excess
    if most is None and start is not None and check(problem, start).excess == least:
        most = least
    if most is not None and most < least:
        raise InstanceError("export", "max-excess", most, f"expected >= {least}, which is proven")
    level = int(most is not None)

    def judge(y: Any, value: CaseValue) -> Judged:
        solution = cpsat.read(y, value)
        verdict = check(problem, solution)
        chosen = [problem.options[i][c] for i, c in enumerate(solution.choice)]
        names = [f"{o.scheme} {o.storage} {o.ph}x{o.pw}" for o in chosen]
        found = {"mapping": dict(zip(problem.layers, names, strict=True)), "excess": verdict.excess}
        return Judged(verdict.violations, verdict.communication if level else verdict.excess, found)

    what, unit, bound = f"second level: communication with excess <= {most}", "bits", bounds.communication(problem)
    if not level:
        what, unit, bound = "first level: excess; export again with its optimum as --max-excess", "cycles", least
    make = _maker(
        lambda: cpsat.build(problem, level=level, most_excess=most),
        lambda: ilp.build(problem, level=level, most_excess=most),
        ilp.FAMILIES,
    )
    return ExportCase(what, unit, bound, make, judge, costs(problem, level)[1])


def grouping(network: Network, architecture: Architecture, options: Options) -> ExportCase:
    """OU grouping of one copy of a layer, with the crossbars and serial OUs that the heuristic's plan gives it.

    One block of a grouped convolution. Rows cost the inputs of a full OU row, columns the partial sums of a full OU
    column.
    """
    from formulations.grouping import cpsat, ilp
    from spatem_opt.grouping import bounds
    from spatem_opt.grouping.problem import GroupingProblem
    from spatem_opt.grouping.referee import check

    names = [network.nodes[i].name for i in network.layers]
    if options.layer not in names:
        near = difflib.get_close_matches(options.layer or "", names) or names[:5]
        raise InstanceError("export", "layer", options.layer, f"expected a crossbar layer, such as {', '.join(near)}")
    plan = plan_of(network, architecture)
    grid, shape = plan.grids[names.index(options.layer)], plan.allocations[names.index(options.layer)].shape
    rows, cols = len(grid.rows), len(grid.cols)
    problem = GroupingProblem(
        rows, cols, shape.parts * shape.size, min(shape.serial, rows * cols),
        int((grid.rows.stop - grid.rows.start).max()) * grid.activation_bits,
        int(grid.column_sums().max()) * grid.partial_sum_bits,
    )  # fmt: skip
    pairs, lower = problem.ous * min(problem.groups, problem.ous), bounds.lower_bound(problem)
    if pairs > LARGEST:
        rule = f"expected <= {LARGEST}: OUs times crossbars of a copy"
        raise InstanceError(f"layer {options.layer!r}", "variables x", pairs, rule)

    def judge(y: Any, value: CaseValue) -> Judged:
        solution = cpsat.read(y, value)
        verdict = check(problem, solution)
        table = {field.name: getattr(solution, field.name).tolist() for field in fields(solution)}
        return Judged(verdict.violations, verdict.objective, {"grouping": table})

    what = f"layer {options.layer!r}: {rows} x {cols} OUs, at most {problem.groups} groups of at most {problem.size}"
    make = _maker(lambda: cpsat.build(problem, lower=lower), lambda: ilp.build(problem, lower=lower), ilp.FAMILIES)
    return ExportCase(what, "bits per window", lower, make, judge)


def replication(network: Network, architecture: Architecture, options: Options) -> ExportCase:
    """Cuts into runs on the heuristic's tables (``replication/EXACT.md``): all of it, or one run of the heuristic."""
    from formulations.replication.problem import from_prices, from_segmentation
    from spatem_opt.replication import segmentation

    candidates = Candidates(network, architecture, "latency")
    runs = candidates.runs(candidates.settings()[0])
    for fill in FILLS:
        cuts = segmentation.best_segmentation(runs, fill=fill)
        if cuts is not None:
            problem = from_prices(runs, fill=fill)
            hint = from_segmentation(problem, cuts)
            return _cuts(problem, hint) if options.run is None else _run(problem, hint, options.run)
    raise InstanceError(f"network {network.name!r}", "plan", None, "the heuristic finds no cuts on this chip")


def _cuts(problem: Runs, hint: Cuts) -> ExportCase:
    """Cuts, slots, paces and ways, over the runs that a best solution may consist of."""
    from formulations.replication import linked
    from formulations.replication.master import open_columns

    columns = open_columns(problem, hint)

    def judge(y: Any, value: CaseValue) -> Judged:
        return _judged(problem, linked.read(y, value))

    what = f"{problem.layers} layers, {len(columns)} runs that may be part of a best solution, and their ways"
    make = _maker(lambda: linked.build_cpsat(columns), lambda: linked.build_ilp(columns), linked.FAMILIES)
    return ExportCase(what, "cycles / 1000", columns.lower, make, judge)


def _run(problem: Runs, hint: Cuts, number: int) -> ExportCase:
    """The ways of one run of the heuristic's cuts, all else as there."""
    from formulations.replication import cpsat, ilp
    from formulations.replication.columns import SegmentColumn
    from formulations.replication.pricing import Pricing
    from formulations.replication.problem import segment_cost

    edges = list(pairwise([*hint.first.tolist(), problem.layers]))
    if not 0 <= number < len(edges):
        raise InstanceError("export", "run", number, f"expected 0..{len(edges) - 1}: the heuristic's runs")
    (first, stop), slots, pace = edges[number], int(hint.slots[number]), int(hint.pace[number])
    run = SegmentColumn(problem, first, stop, slots, pace)
    bound = int(Pricing(problem, pace + 1).runs(first)[0][slots, pace, stop - first - 1])

    def judge(y: Any, value: CaseValue) -> Judged:
        way = hint.way.copy()
        way[first:stop] = [ways[[value(x) for x in row].index(1)] for ways, row in zip(run.ways, y.x, strict=True)]
        found = _judged(problem, replace(hint, way=way))
        return replace(found, objective=segment_cost(problem, first, stop, pace, way[first:stop]))

    what = f"run {number} of {len(edges)}: layers {first}..{stop - 1}, {problem.slots[slots]} slots"
    make = _maker(lambda: cpsat.build_segment(run), lambda: ilp.build_segment(run), ilp.SEGMENT_FAMILIES)
    return ExportCase(what, "cycles / 1000", bound, make, judge, offset=run.base)


def _judged(problem: Runs, solution: Cuts) -> Judged:
    from formulations.replication.problem import check

    verdict = check(problem, solution)
    table = {field.name: getattr(solution, field.name).tolist() for field in fields(solution)}
    return Judged(verdict.violations, verdict.objective, {"replication": table})


def scheduling(network: Network, architecture: Architecture, options: Options) -> ExportCase:
    """Start times of chunks of the heuristic's plan (``scheduling/README.md``).

    The ILP is time-indexed where that is small enough, else disjunctive.
    """
    from formulations.scheduling import cpsat, disjunctive, ilp
    from spatem_opt.scheduling import chunk_bounds, chunk_heuristic
    from spatem_opt.scheduling.chunks import check, makespan
    from spatem_opt.scheduling.expansion import build

    chunks = CHUNKS if options.chunks is None else options.chunks
    problem = build(problem_of(plan_of(network, architecture), network, architecture), chunks).problem
    upper = makespan(problem, chunk_heuristic.solve(problem).start)
    lower = chunk_bounds.lower_bound(chunk_bounds.ordered(problem))

    def linear() -> tuple[Any, Any]:
        if ilp.size(problem, upper) <= ilp.REACH:
            return ilp.build(problem, lower=lower, upper=upper)
        if disjunctive.size(problem) > LARGEST:
            rule = f"expected fewer: {disjunctive.size(problem)} variables of a disjunctive ILP, at most {LARGEST}"
            raise InstanceError("export", "chunks", chunks, rule)
        return disjunctive.build(problem, lower=lower, upper=upper)

    def judge(y: Any, value: CaseValue) -> Judged:
        read = ilp.solution_of if isinstance(y, ilp.TimeVariables) else cpsat.solution_of
        solution = read(y, value)
        verdict = check(problem, solution, value(y.makespan))
        return Judged(verdict.violations, verdict.objective, {"start": solution.start.tolist()})

    what = (
        f"{problem.tasks} chunks, {len(problem.lag)} lags, {len(problem.resources)} resources, horizon {upper} cycles"
    )
    families = {*ilp.FAMILIES, *disjunctive.FAMILIES}
    make = _maker(lambda: cpsat.build(problem, lower=lower, upper=upper), linear, families)
    return ExportCase(what, "cycles", lower, make, judge)
