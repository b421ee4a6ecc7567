"""``spatem bench``: a suite of comparisons, in parallel processes, resumable."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spatem_opt.cli.common import DONE, NOTHING_FOUND, AsJson, check_output, say
from spatem_opt.cli.watch import Log, logged


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("bench")(bench)


def bench(
    suite: Annotated[
        str,
        typer.Argument(
            help="A shipped suite (a wrong name lists all) or a .toml file.", metavar="SUITE", show_default=False
        ),
    ],
    time_limit: Annotated[
        float | None,
        typer.Option(help="Seconds for each of our rows, which use all of them.", min=0.0, metavar="S"),
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes, one comparison each.", min=1, metavar="N")] = 1,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="JSON lines, one per comparison as it ends, added to what is there; SUITE.jsonl by default. What is "
            "already there for the same network, chip, limit and code is not run again.",
        ),
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Run everything again.")] = False,
    log: Log = None,
    as_json: AsJson = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print tables as Markdown.")] = False,
) -> None:
    """Compare all methods on a suite of networks and chips.

    \b
    spatem bench small
    spatem bench shipped-default --workers 4 --time-limit 60 -o default.jsonl
    spatem bench my-suite.toml --markdown

    The file may be shared: by suites, by runs with other limits, by several runs at once. Ctrl-C and SIGTERM give up
    the comparisons at work and keep those that are done; run the command again to go on.

    Exit code 1 if an entry failed; the others are there. 130 after Ctrl-C, 143 after SIGTERM.
    """  # fmt: skip
    from spatem_opt.cli.compare import print_summary
    from spatem_opt.evaluator import prepare
    from spatem_opt.study.bench import load_suite, run
    from spatem_opt.study.compare import summarize

    chosen = load_suite(suite)
    path = Path(output if output is not None else f"{chosen.name}.jsonl")
    check_output(path, (".jsonl",), "a file of JSON lines")
    prepare(say)  # once, and not within the time limit
    with logged(log):
        found = run(chosen, path, time_limit=time_limit, workers=workers, fresh=fresh, progress=_told)
    head = {"suite": chosen.name, "output": str(path), "time_limit": time_limit}
    print_summary(summarize(found), head, as_json=as_json, as_markdown=as_markdown)
    raise typer.Exit(DONE if len(found) == len(chosen.entries) else NOTHING_FOUND)


def _told(line: str) -> None:
    """A line for people, and for the log."""
    from spatem_opt.search.progress import LOG

    LOG.info("%s", line)
    say(line)
