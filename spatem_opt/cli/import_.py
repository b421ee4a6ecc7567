"""``spatem import``: a solution that another solver found for an exported model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from spatem_opt.cli.common import DONE, VIOLATIONS, AsJson, say, show, show_json
from spatem_opt.model.result import gap
from spatem_opt.report.grid import Column, Line, TextTable

if TYPE_CHECKING:
    from spatem_opt.exchange.model_files import Import


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("import")(import_)


def import_(
    file: Annotated[
        str,
        typer.Argument(
            help="Model file of 'spatem export --step'; FILE.json lies beside it.", metavar="FILE", show_default=False
        ),
    ],
    values: Annotated[
        str,
        typer.Option(help="Values of its variables, as the solver wrote them.", metavar="VALUES", show_default=False),
    ],
    as_json: AsJson = False,
) -> None:
    """Read back a solution that another solver found for an exported model, and check it.

    VALUES holds lines 'name value', as .sol files of CBC, HiGHS, Gurobi and SCIP do, or for CP-SAT models the
    solver's response as JSON or text. Every constraint is checked in integers, then the step's own referee judges
    the solution and computes its objective. --json prints the solution. Exit code 3 if anything is violated.

    \b
    spatem export resnet18 --step mapping -o mapping.mps
    cbc mapping.mps -branch -solution mapping.sol
    spatem import mapping.mps --values mapping.sol
    """  # fmt: skip
    # Imported here: `formulations` stands on this package, and only these commands use it.
    from spatem_opt.exchange.model_files import import_values

    found = import_values(file, values)
    if as_json:
        show_json(_json(found, file, values))
    elif not found.violations:
        show(_table(found))
    for family, message in found.violations:
        say(f"violation: {family}: {message}")
    raise typer.Exit(VIOLATIONS if found.violations else DONE)


def _table(found: Import) -> TextTable:
    share = gap(found.objective, found.bound)
    rows = (
        ("model", found.what),
        ("objective", f"{found.objective:,} {found.unit}"),
        ("bound", f"{found.bound:,} {found.unit}" + ("" if share is None else f"   gap {100 * share:.1f} %")),
    )
    columns = (Column("what", right=False), Column("value", "text", right=False))
    return TextTable(columns, tuple(map(Line, rows)), f"{found.step} ({found.status})", heads=False)


def _json(found: Import, file: str, values: str) -> dict[str, object]:
    """What ``--json`` prints; described in README."""
    return {
        "format": "spatem-import",
        "version": 1,
        "file": file,
        "values": values,
        "step": found.step,
        "what": found.what,
        "status": str(found.status),
        "objective": found.objective,
        "unit": found.unit,
        "bound": found.bound,
        "gap": gap(found.objective, found.bound),
        "violations": [{"family": family, "message": message} for family, message in found.violations],
        "solution": found.decisions or None,
    }
