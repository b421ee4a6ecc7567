"""``spatem compare``: every baseline and the heuristic, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from spatem_opt.cli import solve as solving
from spatem_opt.cli.common import DONE, INFEASIBLE, Arch, AsJson, Set, check_output, say, show, show_json, write
from spatem_opt.cli.solve import Seed, WorkerCount, warn_beyond_reach
from spatem_opt.cli.watch import Log, logged, progress_line

if TYPE_CHECKING:
    from spatem_opt.study.compare import Comparison


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("compare")(compare)


Networks = Annotated[
    list[str],
    typer.Argument(
        help=".onnx or .json files, or names from 'spatem networks'.", metavar="NETWORK...", show_default=False
    ),
]
TimeLimit = Annotated[
    float | None, typer.Option(help="Seconds for each of our rows, which use all of them.", min=0.0, metavar="S")
]
Planners = Annotated[
    list[str] | None,
    typer.Option(
        "--planner",
        help="Also a row of this planner: a name, or path/file.py:Class; again for more. Those of installed packages "
        "have a row anyway.",
        metavar="PLANNER",
    ),
]
Exact = Annotated[
    bool, typer.Option("--exact", help="Also a row of the exact steps, and what they prove of each step.")
]
AsMarkdown = Annotated[bool, typer.Option("--markdown", help="Print tables as Markdown.")]
Rows = Annotated[str | None, typer.Option("--output", "-o", help="Also write all rows here as CSV.", metavar="FILE")]


def compare(
    networks: Networks,
    arch: Arch = "ou-isaac",
    settings: Set = None,
    time_limit: TimeLimit = None,
    seed: Seed = 0,
    planner: Planners = None,
    exact: Exact = False,
    workers: WorkerCount = None,
    log: Log = None,
    as_json: AsJson = False,
    as_markdown: AsMarkdown = False,
    output: Rows = None,
) -> None:
    """Run all baselines and the heuristic on the same chip, through the same evaluator.

    Rows: the five baselines; `heuristic` minimises latency; `balanced` minimises latency times communication;
    `half-latency` has least communication at no more than half of the best baseline's latency. A star
    marks the best baseline of a network, the one of lowest latency: both reductions are against that one. The bound is
    that of the latency. With --exact also a row `exact`, 120 s unless --time-limit says else, and per step heuristic
    against exact: objective, bound, gap, time; on tiny instances all steps in one model, and the price of decoupling.

    \b
    spatem compare resnet18
    spatem compare lenet5 resnet50 --arch ou-isaac-7x7 -o rows.csv
    spatem compare resnet18 resnet50 vgg16 --markdown
    spatem compare lenet5 cifar10 --arch ou-isaac-4x4 --exact
    spatem compare lenet5 --planner examples/own_planner.py:Proportional

    Exit code 4 if no network fits the chip.
    """  # fmt: skip
    from spatem_opt.evaluator import prepare
    from spatem_opt.files.access import write_atomically
    from spatem_opt.model.presets import load_architecture, parse_overrides
    from spatem_opt.network import load
    from spatem_opt.study.compare import compare as run
    from spatem_opt.study.compare import installed_planners, summarize

    if output is not None:
        check_output(output, (".csv", ".csv.gz"), "a table of rows")
    chip = load_architecture(arch, parse_overrides(settings or ()))
    graphs = [load(name) for name in networks]
    planners = [*(planner or ()), *(name for name in installed_planners() if name not in (planner or ()))]
    for graph in graphs if exact else ():
        warn_beyond_reach(graph, chip, time_limit)
    prepare(say)  # not within the time limit
    with logged(log), progress_line() as tell:
        summary = summarize([
            run(graph, chip, time_limit=time_limit, seed=seed, planners=planners, exact=exact,
                workers=workers or solving.cores(), progress=tell)
            for graph in graphs
        ])  # fmt: skip
    if output is not None:
        from spatem_opt.report.compare import to_csv

        write_atomically(output, to_csv(summary).encode())
    head = {"architecture": chip.name, "time_limit": time_limit, "seed": seed}
    print_summary(summary, head, as_json=as_json, as_markdown=as_markdown)
    raise typer.Exit(INFEASIBLE if all(c.shortage is not None for c in summary.comparisons) else DONE)


def print_summary(summary: Any, head: dict[str, Any], *, as_json: bool, as_markdown: bool) -> None:
    """Print a :class:`~spatem_opt.study.compare.Summary`; `head` goes into the JSON."""
    from spatem_opt.cli.solve import show_steps
    from spatem_opt.report import compare as report

    if as_json:
        show_json({"format": "spatem-comparison", "version": 1, **head, **summary.to_dict()})
        return
    if as_markdown:
        write(report.markdown(summary))
        for comparison in summary.comparisons:
            _echo_steps(comparison)
        return
    for comparison in summary.comparisons:
        show(report.table(comparison))
        show_steps(comparison.steps)
        if comparison.decoupling is not None:
            show(comparison.decoupling.text)
    show(report.summary_table(summary), report.remark(summary))


def _echo_steps(comparison: Comparison) -> None:
    """Print heuristic against exact, step by step, as Markdown; nothing without exact steps."""
    from spatem_opt.cli.solve import STEP_COLUMNS, step_cells
    from spatem_opt.report.compare import markdown_row

    if not comparison.steps:
        return
    heads = [column.short for column in STEP_COLUMNS]
    rule = ["---:" if column.right else "---" for column in STEP_COLUMNS]
    lines = [heads, rule, *(step_cells(step) for step in comparison.steps)]
    title = f"\n**{comparison.network} on {comparison.architecture}: each step's own problem**\n"
    write("\n".join([title, *map(markdown_row, lines), ""]))
    if comparison.decoupling is not None:
        write(f"\n{comparison.decoupling.text}\n")
