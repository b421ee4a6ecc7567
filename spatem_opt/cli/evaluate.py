"""``spatem evaluate``: check and measure a solution file."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Annotated

import typer

from spatem_opt.cli.common import DONE, VIOLATIONS, AsJson, Outputs, Set, Shape, say, show, show_json
from spatem_opt.cli.reference import cautions, given
from spatem_opt.errors import LONGEST_LINE, one_line

if TYPE_CHECKING:
    from spatem_opt.evaluator import Evaluation


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("evaluate")(evaluate)


def evaluate(
    file: Annotated[str, typer.Argument(help="Solution file (.json or .json.gz).", metavar="FILE", show_default=False)],
    network: Annotated[
        str | None,
        typer.Option(help="The real network (a name or a file): the solution must be for this one.", metavar="NETWORK"),
    ] = None,
    arch: Annotated[
        str | None,
        typer.Option("--arch", "-a", help="The real chip (a name or a .toml file), likewise.", metavar="ARCH"),
    ] = None,
    settings: Set = None,
    input_shape: Shape = None,
    outputs: Outputs = None,
    as_json: AsJson = False,
    layers: Annotated[bool, typer.Option("--layers", help="Also a table of the layers.")] = False,
) -> None:
    """Replay a solution file and report every violated constraint and every number.

    Durations are rebuilt from the placement, bounds are proven again; nothing the file claims is believed. Exit code 3
    if anything is violated.
    The file brings its network and chip along: --network and --arch say what they have to be. Without these, a file
    that names a shipped network or chip and holds another gets a caution.

    \b
    spatem evaluate out/resnet50.json
    spatem evaluate out/resnet50.json --layers
    spatem evaluate out/resnet50.json --network resnet50 --arch ou-isaac
    spatem evaluate out/resnet50.json.gz --json
    """
    from spatem_opt.evaluator import Violation
    from spatem_opt.evaluator import evaluate as replay
    from spatem_opt.exchange.solutions import SummaryWarning, read_solution

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", SummaryWarning)
        solution = read_solution(file)
    real = given(network, (input_shape, outputs), arch, settings)
    found = replay(solution, network=real[0], architecture=real[1])
    doubts = (*cautions(solution, *real), *found.cautions)
    summaries = [Violation("summary", str(w.message), 0, 0, "") for w in caught if w.category is SummaryWarning]
    violations = (*found.violations, *summaries)
    total = solution.claims.get("total", {})
    objective, bound = total.get("objective", "latency"), total.get("bound")
    if as_json:
        head = {"format": "spatem-evaluation", "version": 1, "file": file, "network": solution.network.name,
                "architecture": solution.architecture.name, "objective": objective, "bound": bound}  # fmt: skip
        data = found.to_dict()
        data["valid"] = not violations
        data["violations"] += [_plain(v) for v in summaries]
        data["cautions"] = doubts
        show_json({**head, **data})
    else:
        _print(found, f"{solution.network.name} on {solution.architecture.name}", objective, bound, layers)
    for text in doubts:
        say(f"caution: {one_line(text)}")
    report(violations)
    raise typer.Exit(VIOLATIONS if violations else DONE)


def report(violations: tuple[object, ...]) -> None:
    """Print every violation, with its family, on stderr."""
    for v in violations:
        say(f"violation: {getattr(v, 'family', '')}: {one_line(str(getattr(v, 'message', v)), LONGEST_LINE - 20)}")


def _plain(v: object) -> dict[str, object]:
    return {key: getattr(v, key) for key in ("family", "message", "amount", "limit", "unit")}


def _print(found: Evaluation, title: str, objective: str, bound: object, layers: bool) -> None:
    from spatem_opt.report import tables

    number = bound if isinstance(bound, int | float) and not isinstance(bound, bool) else None
    proven = (found.bounds or {}).get("period" if objective == "throughput" else objective)
    show(tables.overview(found, title=title, objective=objective, bound=proven, claimed=number))
    if layers:
        show(tables.layers(found))
