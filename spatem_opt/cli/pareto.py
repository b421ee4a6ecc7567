"""``spatem pareto``: a front of latency against communication, as files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from spatem_opt.cli.common import (
    DONE,
    INFEASIBLE,
    NOTHING_FOUND,
    Arch,
    AsJson,
    Outputs,
    Set,
    Shape,
    make_folder,
    say,
    show,
    show_json,
)
from spatem_opt.cli.watch import Log, logged, progress_line

if TYPE_CHECKING:
    from spatem_opt.model.architecture import Architecture
    from spatem_opt.network import Network
    from spatem_opt.study.pareto import Front


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("pareto")(pareto)


def pareto(
    network: Annotated[
        str,
        typer.Argument(
            help="An .onnx or .json file, or a name from 'spatem networks'.", metavar="NETWORK", show_default=False
        ),
    ],
    output: Annotated[
        str,
        typer.Option(
            "--output", "-o", help="Folder for the solutions and the front.", metavar="DIR", show_default=False
        ),
    ],
    input_shape: Shape = None,
    outputs: Outputs = None,
    arch: Arch = "ou-isaac",
    settings: Set = None,
    time_limit: Annotated[
        float | None, typer.Option(help="Seconds after which what is tried is given up.", min=0.0, metavar="S")
    ] = None,
    log: Log = None,
    as_json: AsJson = False,
) -> None:
    """Find solutions that trade latency against communication, and write each of them.

    DIR gets front.json, front.csv, a figure if matplotlib is there, and one solution file per point, 00.json.gz the
    fastest; all but the figure as soon as a point is found. After Ctrl-C, SIGTERM, a time limit or a crash the same
    command goes on from what is there; the front of another network, chip or version in DIR is refused. Exit
    code 4 if the network provably does not fit.

    \b
    spatem pareto resnet50 -o front
    spatem evaluate front/00.json.gz
    spatem solve resnet50 --pareto front
    """  # fmt: skip
    from spatem_opt.model.presets import load_architecture, parse_overrides
    from spatem_opt.network import load

    chip = load_architecture(arch, parse_overrides(settings or ()))
    with logged(log):
        code = write_front(load(network, input_shape, outputs), chip, output, time_limit, as_json)
    raise typer.Exit(code)


def write_front(network: Network, chip: Architecture, folder: str, time_limit: float | None, as_json: bool) -> int:
    """Compute a front, write its files, print it, and return the exit code."""
    from spatem_opt.evaluator import prepare
    from spatem_opt.study.front_folder import Folder
    from spatem_opt.study.pareto import PRICES, front

    keeper = Folder(make_folder(folder), network, chip, PRICES)
    prepare(say)  # not within the time limit
    with progress_line() as progress:
        found = front(network, chip, time_limit=time_limit, progress=progress, keeper=keeper)
    if found.points:
        _draw(found, folder)
    if as_json:
        show_json(found.to_dict())
    elif found.points:
        _print(found)
        if found.cut:
            say("; ".join(found.cut))
        say(f"wrote {folder}")
    if found.shortage is not None:
        say(f"infeasible: {found.shortage}")
        return INFEASIBLE
    if not found.points:
        say(f"error: {found.network} on {found.architecture}: no solution found within the limits")
        return NOTHING_FOUND
    return DONE


def _draw(found: Front, folder: str) -> None:
    """A small figure beside the files; without matplotlib a hint."""
    from pathlib import Path

    from spatem_opt.errors import InstanceError
    from spatem_opt.report import figures

    try:
        figures.require_matplotlib()
    except InstanceError as error:
        say(f"no figure: {error}")
        return
    for kind in ("svg", "png"):
        figures.save(figures.front(found), Path(folder) / f"front.{kind}")


def _print(found: Front) -> None:
    from spatem_opt.report.grid import Column, Line, TextTable

    columns = (
        Column("file", rank=1, right=False), Column("latency,\ncycles"), Column("communication,\nbits"),
        Column("from", "name", 2, right=False),
    )  # fmt: skip
    lines = [
        Line((f"{number:02}.json.gz", f"{point.latency:,}", f"{point.communication:,}", point.name))
        for number, point in enumerate(found.points)
    ]
    bounds = f"bounds: {found.latency_bound:,} cycles, {found.communication_bound:,} bits"
    note = f"{bounds}; {len(found.dominated)} dominated solutions dropped; {found.seconds:.1f} s"
    show(TextTable(columns, tuple(lines), f"{found.network} on {found.architecture}", (note,)))
