"""``spatem architectures``: the shipped chips, and every number of one."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table

from spatem_opt import presets
from spatem_opt.cli.common import AsJson, show, show_json
from spatem_opt.errors import InstanceError


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("architectures")(architectures)


def architectures(
    one: Annotated[
        str | None, typer.Option("--show", help="Print every number of this chip (name or .toml file).", metavar="ARCH")
    ] = None,
    as_json: AsJson = False,
    as_toml: Annotated[
        bool, typer.Option("--toml", help="With --show: a file of all fields, to make a chip of your own from.")
    ] = False,
) -> None:
    """List the shipped chips, or every number of one with unit and source.

    \b
    spatem architectures
    spatem architectures --show ou-isaac
    spatem architectures --show mychip.toml --json
    spatem architectures --show ou-isaac --toml > mychip.toml
    """
    if as_toml and (one is None or as_json):
        raise InstanceError("--toml", "", "needs --show", "expected --show ARCH, without --json")
    if one is not None and as_toml:
        sys.stdout.write(presets.load_preset(one).to_toml())
        return
    if one is not None:
        _show_one(presets.load_preset(one), as_json)
        return
    rows = [_brief(presets.load_preset(name)) for name in presets.architectures()]
    if as_json:
        show_json({"architectures": rows})
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("name", no_wrap=True)
    for head in ("tiles", "crossbars", "cells", "OU", "cycle"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("what it is", style="dim")
    for row in rows:
        table.add_row(
            row["name"], f"{row['tiles']:,}", f"{row['crossbars']:,}", f"{row['crossbar_rows']}x{row['crossbar_cols']}",
            f"{row['ou_rows']}x{row['ou_cols']}", f"{row['cycle_ns']:g} ns", row["description"],
        )  # fmt: skip
    show(table)


def _brief(preset: presets.Preset) -> dict[str, Any]:
    """What the list shows of a chip."""
    chip = preset.architecture()
    keys = ("tiles", "crossbars", "crossbar_rows", "crossbar_cols", "ou_rows", "ou_cols", "cycle_ns")
    return {
        "name": preset.name,
        "description": preset.description,
        **{key: getattr(chip, key) for key in keys},
        "area_mm2": round(sum(chip.areas().values()), 6),
        "cautions": [*preset.notes, *chip.cautions()],
    }


def _show_one(preset: presets.Preset, as_json: bool) -> None:
    chip = preset.architecture()
    if as_json:
        entries = {
            k: {"value": e.value, "derive": e.derive or None, "unit": e.unit, "source": e.source}
            for k, e in preset.entries.items()
        }
        areas = {key: round(value, 6) for key, value in chip.areas().items()}
        show_json({**_brief(preset), "fields": entries, "areas_mm2": areas, "references": preset.references})
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=f"{preset.name}: {preset.description}")
    table.title_justify = "left"
    table.add_column("field", no_wrap=True)
    table.add_column("value", justify="right")
    table.add_column("unit", no_wrap=True)
    table.add_column("source", style="dim")
    for key, entry in preset.entries.items():
        formula = f"= {entry.derive}; " if entry.derive else ""
        table.add_row(key, _value(entry), entry.unit, formula + entry.source)
    total = sum(chip.areas().values())
    parts = ", ".join(f"{name} {value:,.2f}" for name, value in chip.areas().items())
    notes = [f"{name}: {text}" for name, text in preset.references.items()]
    notes += [f"caution: {caution}" for caution in (*preset.notes, *chip.cautions())]
    show(table, f"area: {total:,.2f} mm2 ({parts})", *notes)


def _value(entry: presets.Entry) -> str:
    if entry.value is None:
        return "auto"
    if isinstance(entry.value, float):
        return f"{entry.value:.6g}"
    return str(entry.value).lower() if isinstance(entry.value, bool) else str(entry.value)
