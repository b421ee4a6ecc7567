"""``spatem architectures``: the shipped chips, and every number of one."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from spatem_opt.cli.common import AsJson, show, show_json, write
from spatem_opt.errors import InstanceError
from spatem_opt.model import presets
from spatem_opt.report.grid import Column, Line, TextTable


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
        write(presets.load_preset(one).to_toml())
        return
    if one is not None:
        _show_one(presets.load_preset(one), as_json)
        return
    rows = [_brief(presets.load_preset(name)) for name in presets.architectures()]
    if as_json:
        show_json({"architectures": rows})
        return
    heads = {"tiles": 4, "crossbars": 2, "cells": 3, "OU": 1, "cycle": 5}
    columns = (
        Column("name", right=False), *(Column(head, rank=rank) for head, rank in heads.items()),
        Column("what it is", "text", 6, right=False),
    )  # fmt: skip
    lines = [
        Line((
            row["name"], f"{row['tiles']:,}", f"{row['crossbars']:,}", f"{row['crossbar_rows']}x{row['crossbar_cols']}",
            f"{row['ou_rows']}x{row['ou_cols']}", f"{row['cycle_ns']:g} ns", row["description"],
        ))
        for row in rows
    ]  # fmt: skip
    show(TextTable(columns, tuple(lines)))


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
    columns = (
        Column("field", right=False), Column("value"), Column("unit", rank=1, right=False),
        Column("source", "text", 2, right=False),
    )  # fmt: skip
    lines = []
    for key, entry in preset.entries.items():
        formula = f"= {entry.derive}; " if entry.derive else ""
        lines.append(Line((key, _value(entry), entry.unit, formula + entry.source)))
    parts = ", ".join(f"{name} {value:,.2f}" for name, value in chip.areas().items())
    notes = [f"area: {sum(chip.areas().values()):,.2f} mm2 ({parts})"]
    notes += [f"{name}: {text}" for name, text in preset.references.items()]
    notes += [f"caution: {caution}" for caution in (*preset.notes, *chip.cautions())]
    show(TextTable(columns, tuple(lines), f"{preset.name}: {preset.description}", tuple(notes)))


def _value(entry: presets.ParameterEntry) -> str:
    if entry.value is None:
        return "auto"
    if isinstance(entry.value, float):
        return f"{entry.value:.6g}"
    return str(entry.value).lower() if isinstance(entry.value, bool) else str(entry.value)
