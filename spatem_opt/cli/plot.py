"""``spatem plot``: a solution file as figures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spatem_opt.cli.common import DONE, VIOLATIONS, make_folder, say


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("plot")(plot)


def plot(
    file: Annotated[str, typer.Argument(help="Solution file (.json or .json.gz).", metavar="FILE", show_default=False)],
    output: Annotated[
        str, typer.Option("--output", "-o", help="Folder for the figures; made if missing.", metavar="DIR")
    ] = ".",
    formats: Annotated[str, typer.Option("--format", help="svg, png, pdf, or several.", metavar="LIST")] = "svg,png",
    width: Annotated[
        float | None,
        typer.Option(help="Inches, such as 3.5 for a column of a paper.", min=1.0, max=40.0, show_default=False),
    ] = None,
    only: Annotated[
        str | None, typer.Option(help="gantt or floorplan; both without it.", metavar="NAME", show_default=False)
    ] = None,
) -> None:
    """Draw a solution: what works when, and what every tile and router of the chip does.

    NAME-gantt: one bar per layer, darker the more of its copies compute, a colour per segment; above it how many
    crossbars work. NAME-floorplan: heat maps of the chip. Needs matplotlib:
    pip install 'spatem-opt\\[plot]'. Exit code 3 if the solution violates constraints.

    \b
    spatem solve resnet50 -o resnet50.json
    spatem plot resnet50.json -o figures
    spatem plot resnet50.json --format pdf --width 3.5 --only gantt -o figures
    """
    from spatem_opt.cli.evaluate import report
    from spatem_opt.errors import InstanceError
    from spatem_opt.evaluator import evaluate
    from spatem_opt.exchange.solutions import read_solution
    from spatem_opt.report import figures

    figures.require_matplotlib()
    kinds = [kind.strip() for kind in formats.split(",") if kind.strip()]
    for kind in kinds:
        if kind not in figures.FORMATS:
            raise InstanceError("plot", "--format", kind, f"expected {' or '.join(figures.FORMATS)}")
    if not kinds:
        raise InstanceError("plot", "--format", formats, f"expected {' or '.join(figures.FORMATS)}")
    if only is not None and only not in figures.DRAWN:
        raise InstanceError("plot", "--only", only, f"expected {' or '.join(figures.DRAWN)}")
    solution = read_solution(file)
    found = evaluate(solution)
    report(found.violations)
    if found.layers is None:
        raise typer.Exit(VIOLATIONS)
    folder = make_folder(output)
    stem = Path(file).name.removesuffix(".gz").removesuffix(".json")
    for name, figure in figures.draw(solution, found).items():
        if only not in (None, name):
            continue
        if width is not None:
            figures.resize(figure, width)
        for kind in kinds:
            path = folder / f"{stem}-{name}.{kind}"
            figures.save(figure, path)
            say(f"wrote {path}")
    raise typer.Exit(VIOLATIONS if found.violations else DONE)
