"""``spatem export``: the tables of a solution as CSV, or a network as JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spatem_opt.cli.common import DONE, VIOLATIONS, say

if TYPE_CHECKING:
    from spatem_opt.evaluator import Evaluation
    from spatem_opt.solution import Solution

SOLUTIONS = (".json", ".json.gz")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("export")(export)


def export(
    what: Annotated[
        str,
        typer.Argument(
            help="A solution file, or a network (.onnx or a shipped name).", metavar="FILE|NETWORK", show_default=False
        ),
    ],
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            help="Folder for the CSV files, or the .json file of the network.",
            metavar="PATH",
            show_default=False,
        ),
    ],
    input_shape: Annotated[
        str | None, typer.Option("--input-shape", help="Fixes dynamic inputs of an ONNX graph.", metavar="SHAPE")
    ] = None,
) -> None:
    """Write the tables of a solution as CSV for other tools, or a network as JSON to read and to change.

    Of a solution: layers.csv (mapping, copies, cycles, as the evaluator finds them), placement.csv, schedule.csv,
    tiles.csv, routers.csv. Exit code 3 if the solution violates constraints.

    \b
    spatem export resnet50.json -o tables
    spatem export model.onnx --input-shape 1x3x320x320 -o model.json
    """  # fmt: skip
    if what.endswith(SOLUTIONS):
        raise typer.Exit(_export_solution(what, output))
    import orjson

    from spatem_opt.files import write_atomically
    from spatem_opt.network import load, to_json

    data = to_json(load(what, input_shape))
    write_atomically(output, orjson.dumps(data, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE))
    say(f"wrote {output}")


def _export_solution(file: str, output: str) -> int:
    from spatem_opt.cli.evaluate import report
    from spatem_opt.cli.plot import make_folder
    from spatem_opt.evaluator import evaluate
    from spatem_opt.files import write_atomically
    from spatem_opt.io import read_solution

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
