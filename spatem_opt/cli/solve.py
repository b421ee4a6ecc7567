"""``spatem solve``: from a network to a schedule that the evaluator has confirmed."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spatem_opt.cli.common import (
    DONE,
    INFEASIBLE,
    NOTHING_FOUND,
    SOLUTION,
    VIOLATIONS,
    Arch,
    AsJson,
    Outputs,
    Set,
    Shape,
    cautions,
    check_output,
    say,
    show,
    show_json,
)
from spatem_opt.cli.evaluate import report
from spatem_opt.cli.watch import Log, logged, progress_line
from spatem_opt.errors import InstanceError
from spatem_opt.files.names import find, suggestions
from spatem_opt.report.grid import Column, Line, TextTable

if TYPE_CHECKING:
    from spatem_opt.evaluator import Evaluation
    from spatem_opt.model.architecture import Architecture
    from spatem_opt.model.result import Step
    from spatem_opt.network import Network
    from spatem_opt.search.result import Result


WITH_FRONT = frozenset({"network", "input_shape", "arch", "settings", "time_limit", "pareto", "log", "as_json"})
"""Parameters of ``solve`` that ``--pareto`` heeds."""
STEP_COLUMNS = (
    Column("step", right=False), Column("engine", rank=5, right=False), Column("status", rank=1, right=False),
    Column("heuristic", rank=4), Column("objective"), Column("bound", rank=2), Column("gap", rank=3),
    Column("seconds", rank=6),
)  # fmt: skip


class Objective(StrEnum):
    """What to minimise."""

    LATENCY = "latency"
    THROUGHPUT = "throughput"
    COMMUNICATION = "communication"
    ENERGY = "energy"
    BALANCED = "balanced"


NetworkName = Annotated[
    str,
    typer.Argument(
        help="An .onnx or .json file, or a name from 'spatem networks'.", metavar="NETWORK", show_default=False
    ),
]
Minimised = Annotated[
    Objective,
    typer.Option(
        help="What to minimise (throughput: the period; balanced: latency x communication).", case_sensitive=False
    ),
]
Method = Annotated[
    str,
    typer.Option(
        help="auto, exact, heuristic, or a baseline such as dense-pipeline; a wrong name lists all.", metavar="METHOD"
    ),
]
Planners = Annotated[
    list[str] | None,
    typer.Option(
        "--planner",
        help="Plans come from this planner: a name, or path/file.py:Class; again for more; 'usual': ours.",
        metavar="PLANNER",
    ),
]
LatencyLimit = Annotated[
    int | None,
    typer.Option(
        help="Slower solutions do not count: what is the least communication within this time?", min=1, metavar="CYCLES"
    ),
]
TimeLimit = Annotated[
    float | None,
    typer.Option(
        help="Seconds from the start of the program; without it the first answer, for exact 120 s.",
        min=0.0,
        metavar="S",
    ),
]
Start = Annotated[
    str | None,
    typer.Option("--start", help="A solution file to begin from: the answer if nothing is better.", metavar="FILE"),
]
Constants = Annotated[
    str | None, typer.Option("--tuning", help="Constants that differ from the usual ones, in TOML.", metavar="FILE")
]
Seed = Annotated[int, typer.Option(help="Same seed, same answer.", min=0, metavar="N")]
WorkerCount = Annotated[
    int | None,
    typer.Option(
        help="Processes that make plans, and threads of CP-SAT; the heuristic's answer is the same with any number. "
        "[default: number of cores]",
        show_default=False, min=1, metavar="N",
    ),
]  # fmt: skip
Output = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        help="Write the solution file here (.json or .json.gz), anew with each better solution.",
        metavar="FILE",
    ),
]
Report = Annotated[
    str | None, typer.Option("--report", help="Write tables and figures here as one HTML file.", metavar="FILE")
]
Pareto = Annotated[
    str | None,
    typer.Option(
        "--pareto", help="A front of latency against communication, into this folder ('spatem pareto').", metavar="DIR"
    ),
]
Layers = Annotated[bool, typer.Option("--layers", help="Also a table of the layers.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("solve")(solve)


def solve(
    context: typer.Context,
    network: NetworkName,
    input_shape: Shape = None,
    outputs: Outputs = None,
    arch: Arch = "ou-isaac",
    settings: Set = None,
    objective: Minimised = Objective.LATENCY,
    method: Method = "auto",
    planner: Planners = None,
    latency_limit: LatencyLimit = None,
    time_limit: TimeLimit = None,
    start: Start = None,
    tuning: Constants = None,
    seed: Seed = 0,
    workers: WorkerCount = None,
    output: Output = None,
    html: Report = None,
    pareto: Pareto = None,
    log: Log = None,
    as_json: AsJson = False,
    layers: Layers = False,
) -> None:
    """Map a network onto a chip, schedule it, and confirm the result with the independent evaluator.

    \b
    spatem solve resnet50 -o resnet50.json
    spatem solve model.onnx --input-shape 1x3x320x320
    spatem solve vgg19 --arch ou-isaac-24x24 --objective throughput
    spatem solve resnet18 --set ou_rows=16 --set ou_cols=16 --set adc_bits=6
    spatem solve resnet50 --objective communication --latency-limit 200000
    spatem solve lenet5 --method layer-serial --json
    spatem solve resnet18 --method exact --time-limit 300 --workers 8
    spatem solve lenet5 --planner examples/own_planner.py:Proportional

    With --method exact, or auto and a time limit, every step is then proven or improved on its own: one line each says
    what is known of the step's problem. No bound of a step is one of the whole; that one is in the table.

    A time limit holds once there is a first solution, which is always finished: what then runs is cut short, and a line
    says what. Ctrl-C or SIGTERM keeps the best solution found so far, and what the exact step at work has proven; a
    second one ends the program. Exit code 4 if the network provably does not fit the chip.
    """  # fmt: skip
    options = SolveOptions(**{name: value for name, value in context.params.items() if name != "pareto"})
    if pareto is None:
        raise typer.Exit(_solved(options, context.obj))
    _only_for_fronts(context)
    raise typer.Exit(_front(options, pareto))


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class SolveOptions:
    """What the command is told, as typed; fields are those of :func:`solve`."""

    network: str
    input_shape: str | None
    outputs: str | None
    arch: str
    settings: list[str] | None
    objective: Objective
    method: str
    planner: list[str] | None
    latency_limit: int | None
    time_limit: float | None
    start: str | None
    tuning: str | None
    seed: int
    workers: int | None
    output: str | None
    html: str | None
    log: str | None
    as_json: bool
    layers: bool

    def load(self) -> tuple[Network, Architecture]:
        """Network and chip; says what is doubtful of the chip."""
        from spatem_opt.model.presets import load_architecture, parse_overrides
        from spatem_opt.network import load

        with cautions() as cautious:
            chip = load_architecture(self.arch, parse_overrides(self.settings or ()))
        graph = load(self.network, self.input_shape, self.outputs)
        for caution in cautious:
            say(f"warning: {caution}")
        return graph, chip

    def check(self) -> str:
        """The method that is meant; refuses outputs that cannot be written before any work is done."""
        from spatem_opt.report.figures import require_matplotlib

        if self.output is not None:
            check_output(self.output, SOLUTION, "a solution file")
        if self.html is not None:
            check_output(self.html, (".html", ".htm"), "a report")
            require_matplotlib()
        return known_method(self.method)


def _front(options: SolveOptions, folder: str) -> int:
    from spatem_opt.cli.pareto import write_front

    graph, chip = options.load()
    with logged(options.log):
        return write_front(graph, chip, folder, options.time_limit, options.as_json)


def _planners(names: list[str], objective: str) -> Any:
    from spatem_opt.front_end import usual_planners

    return usual_planners(names, objective)


def _solved(options: SolveOptions, begun: float | None) -> int:
    """Solve, write and print; the exit code."""
    from spatem_opt.evaluator import prepare
    from spatem_opt.exchange.solutions import read_solution, write_solution
    from spatem_opt.front_end import solve as run
    from spatem_opt.report.html import write_report

    method = options.check()
    graph, chip = options.load()
    objective, output = options.objective.value, options.output
    planners = _planners(options.planner, objective) if options.planner else None
    start = None if options.start is None else read_solution(options.start)
    if method == "exact":
        warn_beyond_reach(graph, chip, options.time_limit)
    prepare(say)  # not within the time limit
    on_solution = None if output is None else partial(write_solution, path=output)
    with logged(options.log), progress_line() as progress:
        result = run(graph, chip, objective=objective, method=method, planners=planners, start=start,
                     tuning=options.tuning,
                     latency_limit=options.latency_limit, time_limit=_left(options.time_limit, begun),
                     seed=options.seed, workers=options.workers or cores(), progress=progress,
                     on_solution=on_solution)  # fmt: skip
    found = result.evaluation
    for caution in found.cautions if found is not None else ():
        say(f"warning: {chip.name}: {caution}")
    if output is not None and result.solution is not None:
        write_solution(result.solution, output)
    if options.html is not None and result.solution is not None:
        write_report(result.solution, options.html, found)
    title = f"{graph.name} on {chip.name}"
    if options.as_json:
        head = {"network": graph.name, "architecture": chip.name, "method": method, "seed": options.seed}
        show_json(_json(result, found, {**head, "output": output}))
    elif found is not None:
        _print(result, found, f"{title} ({result.status})", options.layers)
        for path in filter(None, (output, options.html)):
            say(f"wrote {path}")
    return _outcome(result, found, title)


def known_method(name: str) -> str:
    """The method that a name means, whatever its case and dashes; raises :class:`InstanceError` with what there is."""
    from spatem_opt.front_end import METHODS

    found = find(name, METHODS)
    if found is None:
        rule = f"expected one of {', '.join(METHODS)}"
        close = suggestions(name, METHODS)
        hint = f"; did you mean {' or '.join(close)}?" if len(close) < len(METHODS) else ""
        raise InstanceError("solve", "method", name, rule + hint)
    return found


def _only_for_fronts(context: typer.Context) -> None:
    """Refuse options that a front has no use for, instead of ignoring them.

    Raises
    ------
    InstanceError
        If one is given.
    """
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if source is not None and source.name == "COMMANDLINE" and parameter.name not in WITH_FRONT:
            rule = "'--pareto' makes a front of many solutions: expected without this option"
            raise InstanceError("solve", parameter.opts[0], context.params[parameter.name or ""], rule)


def _left(time_limit: float | None, begun: float | None) -> float | None:
    """Seconds left of a limit that counts from `begun` (of :func:`time.monotonic`)."""
    if time_limit is None or begun is None:
        return time_limit
    return max(0.0, time_limit - (time.monotonic() - begun))


def warn_beyond_reach(network: Network, chip: Architecture, time_limit: float | None) -> None:
    """Say in one line what the exact steps will bound but not prove, if anything."""
    from spatem_opt.front_end import beyond_reach

    too_large = beyond_reach(network, chip, time_limit)
    if too_large:
        say(f"beyond reach: {network.name} on {chip.name}: {'; '.join(too_large)}")


def _outcome(result: Result, found: Evaluation | None, what: str) -> int:
    """Say what went wrong, if anything, and return the exit code."""
    if found is not None:
        report(found.violations)
        return VIOLATIONS if found.violations else DONE
    if result.shortage is not None and str(result.status) != "infeasible":  # of a baseline: another method may fit
        say(f"error: does not fit this way: {result.shortage}; or another --method")
        return NOTHING_FOUND
    if result.shortage is not None:
        conflict = result.shortage.conflict
        families = f"; families in conflict: {', '.join(conflict)}" if len(conflict) > 1 else ""
        say(f"infeasible: {result.shortage}{families}")
        return INFEASIBLE
    if str(result.status) == "infeasible":
        say(f"infeasible: {what}: proven that there is no solution")
        return INFEASIBLE
    say(f"error: {what}: no solution found within the limits; allow more with --time-limit")
    return NOTHING_FOUND


def _print(result: Result, found: Evaluation, title: str, layers: bool) -> None:
    from spatem_opt.report import tables

    show(tables.overview(found, title=title, objective=result.objective, bound=result.bound, seconds=result.seconds))
    if layers:
        show(tables.layers(found))
    show_steps(result.steps)
    if result.cut:
        say("; ".join(result.cut))


def show_steps(steps: Sequence[Step]) -> None:
    """Print what is proven step by step, one line each, and what the numbers are of; nothing without steps."""
    if steps:
        notes = tuple(f"{step.step}: {step.note}" for step in steps)
        show(TextTable(STEP_COLUMNS, tuple(Line(step_cells(step)) for step in steps), "each step's own problem", notes))


def step_cells(step: Step) -> tuple[str, ...]:
    """One step under :data:`STEP_COLUMNS`."""
    numbers = ("" if n is None else f"{n:,} {step.unit}" for n in (step.heuristic, step.objective, step.bound))
    gap = "" if step.gap is None else f"{100 * step.gap:.2f} %"
    return (step.step, step.engine, str(step.status), *numbers, gap, f"{step.seconds:.2f}")


def _json(result: Result, found: Evaluation | None, head: dict[str, Any]) -> dict[str, Any]:
    """What ``--json`` prints; described in README."""
    return {
        "format": "spatem-result",
        "version": 1,
        **head,
        "objective": result.objective,
        "status": str(result.status),
        "value": result.value,
        "bound": result.bound,
        "gap": result.gap,
        "seconds": result.seconds,
        "shortage": result.shortage.to_dict() if result.shortage is not None else None,
        "steps": [step.to_dict() for step in result.steps],
        "cut_short": list(result.cut),
        "evaluation": found.to_dict() if found is not None else None,
    }
