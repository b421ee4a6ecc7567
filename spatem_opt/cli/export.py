"""``spatem export``: the tables of a solution as CSV, a network as JSON, or a step's model for another solver."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spatem_opt.cli.common import DONE, INFEASIBLE, SOLUTION, VIOLATIONS, Outputs, Shape, check_output, make_folder, say
from spatem_opt.errors import InstanceError

if TYPE_CHECKING:
    from spatem_opt.model.architecture import Architecture
    from spatem_opt.network import Network


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("export")(export)


MODEL = "Model of a step, for another solver"


class ExportStep(StrEnum):
    """Steps that have models."""

    MAPPING = "mapping"
    GROUPING = "grouping"
    REPLICATION = "replication"
    SCHEDULING = "scheduling"


class Format(StrEnum):
    """Formats of models, and of the tables of a solution."""

    MPS = "mps"
    LP = "lp"
    CPSAT = "cpsat"
    CSV = "csv"
    LATEX = "latex"
    PERFETTO = "perfetto"


PRINTED = ("layers", "nodes", "critical_path", "totals")
"""Tables that are short enough for a page."""
TABLES = (Format.CSV, Format.LATEX, Format.PERFETTO)
"""Those of a solution."""


def export(
    what: Annotated[
        str,
        typer.Argument(
            help="A solution file, or a network (.onnx or a shipped name; with --step also .json).",
            metavar="FILE|NETWORK",
            show_default=False,
        ),
    ],
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            help="Folder for the tables, .json file of the trace or network, or file of the model.",
            metavar="PATH",
            show_default=False,
        ),
    ],
    input_shape: Shape = None,
    outputs: Outputs = None,
    step: Annotated[
        ExportStep | None,
        typer.Option(help="Write the model of this step of a network.", case_sensitive=False, rich_help_panel=MODEL),
    ] = None,
    format_: Annotated[
        Format | None,
        typer.Option(
            "--format",
            help="Of a solution: csv (without it), latex, or perfetto, a trace for ui.perfetto.dev (.json). Of a "
            "model, as the name of the file without it: mps, lp, cpsat (.pbtxt, .pb).",
            case_sensitive=False,
        ),
    ] = None,
    arch: Annotated[
        str | None,
        typer.Option("--arch", "-a", help="Chip; ou-isaac without it.", metavar="ARCH", rich_help_panel=MODEL),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            "-s",
            help="Change one number of the chip; may be repeated.",
            metavar="KEY=VALUE",
            rich_help_panel=MODEL,
        ),
    ] = None,
    layer: Annotated[
        str | None, typer.Option(help="grouping: of this layer.", metavar="NAME", rich_help_panel=MODEL)
    ] = None,
    chunks: Annotated[
        int | None, typer.Option(help="scheduling: chunks per copy, 8 without it.", metavar="N", rich_help_panel=MODEL)
    ] = None,
    run: Annotated[
        int | None,
        typer.Option(help="replication: only this run of layers, 0 the first.", metavar="N", rich_help_panel=MODEL),
    ] = None,
    max_excess: Annotated[
        int | None,
        typer.Option(
            help="mapping: the first level's optimum, where it is not known.", metavar="N", rich_help_panel=MODEL
        ),
    ] = None,
) -> None:
    """Write what other tools read: tables or a trace of a solution, a network as JSON, a step's model for a solver.

    Of a solution, as CSV or LaTeX: totals (latency, communication, energy and area by part), layers (mapping, copies,
    cycles), nodes (with waiting), critical_path; as CSV also placement, schedule, tiles, routers. As a trace: when
    every copy of every layer works, and the critical path, for ui.perfetto.dev. Exit code 3 if the solution violates
    constraints.

    Of a step: the exact model as MPS, LP or CP-SAT file, and beside it FILE.json, with which 'spatem import' reads a
    solution back. Exit code 4 if the network provably does not fit the chip.

    \b
    spatem export resnet50.json -o tables
    spatem export resnet50.json --format latex -o tables
    spatem export resnet50.json --format perfetto -o trace.json
    spatem export model.onnx --input-shape 1x3x320x320 -o model.json
    spatem export resnet18 --step scheduling --chunks 4 -o schedule.mps
    spatem export lenet5 --step grouping --layer conv2 --format cpsat -o grouping.pbtxt
    """  # fmt: skip
    chosen = {"format": format_, "arch": arch, "set": settings, "layer": layer, "chunks": chunks, "run": run,
              "max-excess": max_excess}  # fmt: skip
    if step is not None:
        options = {"layer": layer, "chunks": chunks, "run": run, "max_excess": max_excess}
        name = None if format_ is None else format_.value
        raise typer.Exit(
            _export_model(load_problem(what, (input_shape, outputs), arch, settings), step.value, output, name, options)
        )
    whole = what.endswith(SOLUTION)
    for option, value in chosen.items():
        if value is not None and not (whole and option == "format"):
            raise InstanceError("export", option, str(value), "expected only with --step")
    if whole:
        raise typer.Exit(_export_solution(what, output, format_))
    import orjson

    from spatem_opt.files.access import write_atomically
    from spatem_opt.network import load, to_json

    check_output(output, SOLUTION, "a network")
    data = to_json(load(what, input_shape, outputs))
    write_atomically(output, orjson.dumps(data, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE))
    say(f"wrote {output}")


def load_problem(
    network: str, reading: tuple[str | None, str | None], arch: str | None, settings: list[str] | None
) -> tuple[Network, Architecture]:
    """Network and chip; `reading`: what ``--input-shape`` and ``--outputs`` say."""
    from spatem_opt.model.presets import DEFAULT, load_architecture, parse_overrides
    from spatem_opt.network import load

    chip = load_architecture(arch or DEFAULT, parse_overrides(settings or ()))
    return load(network, *reading), chip


def _export_model(
    problem: tuple[Network, Architecture], step: str, output: str, name: str | None, options: dict[str, Any]
) -> int:
    # The only commands that use `formulations`; imported here, as that package stands on this one.
    from spatem_opt.exchange.cases import Options
    from spatem_opt.exchange.model_files import export as write
    from spatem_opt.mapping.shortage import shortage

    missing = shortage(*problem)
    if missing is not None:
        say(f"infeasible: {missing}")
        return INFEASIBLE
    made = write(*problem, step, output, format=name, options=Options(**options))
    say(f"{made.step}: {made.what}")
    objective = "objective of the model" if made.scale == 1 else f"{made.scale} x objective of the model"
    offset = f" + {made.offset}" if made.offset else ""
    say(f"{made.variables} variables; {made.unit} = {objective}{offset}, proven to be at least {made.bound}")
    for file in made.files:
        say(f"wrote {file}")
    return DONE


def _export_solution(file: str, output: str, format_: Format | None) -> int:
    from spatem_opt.cli.evaluate import report
    from spatem_opt.evaluator import evaluate
    from spatem_opt.exchange.solutions import read_solution
    from spatem_opt.files.access import write_atomically
    from spatem_opt.report.columns import tables, to_csv, to_latex
    from spatem_opt.report.trace import trace

    kind = Format.CSV if format_ is None else format_
    if kind not in TABLES:
        raise InstanceError("export", "--format", kind.value, f"expected {', '.join(TABLES)} for a solution")
    if kind is Format.PERFETTO:
        check_output(output, (".json", ".json.gz"), "a trace")
    solution = read_solution(file)
    found = evaluate(solution)
    if kind is Format.PERFETTO:
        write_atomically(output, trace(solution, found))
        say(f"wrote {output}; open it at ui.perfetto.dev")
    else:
        folder = make_folder(output)
        for name, columns in tables(solution, found).items():
            if kind is Format.LATEX and name not in PRINTED:
                continue
            title = f"{name.replace('_', ' ').capitalize()} of {solution.network.name} on {solution.architecture.name}"
            suffix, data = (
                ("csv", to_csv(columns)) if kind is Format.CSV else ("tex", to_latex(columns, title))
            )
            write_atomically(folder / f"{name}.{suffix}", data)
            say(f"wrote {Path(output) / f'{name}.{suffix}'}")
    report(found.violations)
    return VIOLATIONS if found.violations else DONE
