"""``spatem export``: the tables of a solution as CSV, a network as JSON, or a step's model for another solver."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import fields
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spatem_opt.cli.common import DONE, INFEASIBLE, SOLUTION, VIOLATIONS, Outputs, Shape, check_output, make_folder, say
from spatem_opt.errors import InstanceError

if TYPE_CHECKING:
    from spatem_opt.evaluator import Evaluation
    from spatem_opt.model.architecture import Architecture
    from spatem_opt.model.solution import Solution
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
    """Formats of models."""

    MPS = "mps"
    LP = "lp"
    CPSAT = "cpsat"


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
            help="Folder for the CSV files, .json file of the network, or file of the model.",
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
            help="Must suit the name of the file: .mps, .lp; cpsat: .pbtxt, .pb. Without it the name decides.",
            case_sensitive=False,
            rich_help_panel=MODEL,
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
    """Write what other tools read: tables of a solution as CSV, a network as JSON, a step's model for another solver.

    Of a solution: layers.csv (mapping, copies, cycles, as the evaluator finds them), placement.csv, schedule.csv,
    tiles.csv, routers.csv. Exit code 3 if the solution violates constraints.

    Of a step: the exact model as MPS, LP or CP-SAT file, and beside it FILE.json, with which 'spatem import' reads a
    solution back. Exit code 4 if the network provably does not fit the chip.

    \b
    spatem export resnet50.json -o tables
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
    for option, value in chosen.items():
        if value is not None:
            raise InstanceError("export", option, str(value), "expected only with --step")
    if what.endswith(SOLUTION):
        raise typer.Exit(_export_solution(what, output))
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


def _export_solution(file: str, output: str) -> int:
    from spatem_opt.cli.evaluate import report
    from spatem_opt.evaluator import evaluate
    from spatem_opt.exchange.solutions import read_solution
    from spatem_opt.files.access import write_atomically

    solution = read_solution(file)
    found = evaluate(solution)
    folder = make_folder(output)
    for name, columns in _tables(solution, found).items():
        write_atomically(folder / f"{name}.csv", _csv(columns))
        say(f"wrote {Path(output) / f'{name}.csv'}")
    report(found.violations)
    return VIOLATIONS if found.violations else DONE


def _tables(solution: Solution, found: Evaluation) -> dict[str, dict[str, Sequence[Any]]]:
    """Columns by table; what the evaluator could not measure is left out."""

    def columns(table: Any) -> dict[str, Sequence[Any]]:
        return {field.name: getattr(table, field.name) for field in fields(table)}

    tables = {"placement": columns(solution.placement), "schedule": columns(solution.schedule)}
    if found.layers is not None:
        names = ("scheme", "storage", "ph", "pw")
        options = {key: [getattr(option, key) for option in solution.mapping] for key in names}
        tables["layers"] = {**columns(found.layers), "segment": solution.segment.tolist(), **options}
    if found.arrays is not None:
        arrays = columns(found.arrays)
        tables["tiles"] = {key: arrays[key] for key in arrays if key.startswith("tile_")}
        tables["routers"] = {"router_bits": arrays["router_bits"]}
    return tables


def _csv(columns: Mapping[str, Sequence[Any]]) -> bytes:
    """A CSV file of columns; numbered rows where a tile or router is meant by its place."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["number", *columns])
    writer.writerows((number, *row) for number, row in enumerate(zip(*columns.values(), strict=True)))
    return text.getvalue().encode()
