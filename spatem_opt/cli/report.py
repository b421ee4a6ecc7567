"""``spatem report``: a solution file as one page of HTML."""

from __future__ import annotations

from typing import Annotated

import typer

from spatem_opt.cli.common import DONE, VIOLATIONS, check_output, say


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("report")(report)


def report(
    file: Annotated[str, typer.Argument(help="Solution file (.json or .json.gz).", metavar="FILE", show_default=False)],
    output: Annotated[
        str, typer.Option("--output", "-o", help="The page (.html).", metavar="FILE", show_default=False)
    ],
) -> None:
    """Write a saved solution as one self-contained HTML page: numbers, figures, tables, where the latency goes.

    The same page as 'spatem solve --report'. Needs matplotlib: pip install 'spatem-opt\\[plot]'. Exit code 3 if the
    solution violates constraints; the page then says which.

    \b
    spatem solve resnet50 -o resnet50.json
    spatem report resnet50.json -o resnet50.html
    """
    from spatem_opt.cli.evaluate import report as tell
    from spatem_opt.evaluator import evaluate
    from spatem_opt.exchange.solutions import read_solution
    from spatem_opt.report.figures import require_matplotlib
    from spatem_opt.report.html import write_report

    check_output(output, (".html", ".htm"), "a report")
    require_matplotlib()
    solution = read_solution(file)
    found = evaluate(solution)
    write_report(solution, output, found)
    say(f"wrote {output}")
    tell(found.violations)
    raise typer.Exit(VIOLATIONS if found.violations else DONE)
