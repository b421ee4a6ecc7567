"""All tables of a solution as columns, and these as CSV and LaTeX."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

from spatem_opt.evaluator import Evaluation
from spatem_opt.model.solution import Solution

Columns = Mapping[str, Sequence[Any]]
"""Columns of equal length by name."""


BOUND_UNITS = {"latency": "cycles", "period": "cycles", "communication": "bits", "energy": "fJ",
               "balanced": "cycles x bits"}  # fmt: skip


def tables(solution: Solution, found: Evaluation) -> dict[str, Columns]:
    """Columns by table; what the evaluator could not measure is left out.

    ``totals`` has name, value and unit; ``placement`` and ``schedule`` are those of the file; ``layers`` (mapping
    option, segment, copies, cycles), ``nodes`` (with waiting), ``tiles``, ``routers`` and ``critical_path`` are the
    evaluator's.
    """
    made: dict[str, Columns] = {"placement": _columns(solution.placement), "schedule": _columns(solution.schedule)}
    if found.layers is not None:
        names = ("scheme", "storage", "ph", "pw")
        options = {key: [getattr(option, key) for option in solution.mapping] for key in names}
        made["layers"] = {**_columns(found.layers), "segment": solution.segment.tolist(), **options}
    if found.nodes is not None:
        made["nodes"] = _columns(found.nodes)
    if found.critical_path is not None:
        made["critical_path"] = _columns(found.critical_path)
    if found.arrays is not None:
        arrays = _columns(found.arrays)
        made["tiles"] = {key: arrays[key] for key in arrays if key.startswith("tile_")}
        made["routers"] = {key: arrays[key] for key in arrays if key.startswith("router_")}
    if found.latency_cycles is not None:
        made["totals"] = dict(zip(("name", "value", "unit"), zip(*_totals(found), strict=True), strict=True))
    return made


def _columns(table: Any) -> dict[str, Sequence[Any]]:
    return {field.name: getattr(table, field.name) for field in fields(table)}


def _totals(found: Evaluation) -> Iterator[tuple[str, Any, str]]:
    """Name, value and unit of every single number."""
    yield "latency", found.latency_cycles, "cycles"
    yield "latency without queues", found.queue_free_cycles, "cycles"
    yield "period", found.period_cycles, "cycles"
    for name, bound in (found.bounds or {}).items():
        yield f"bound of {name}", bound, BOUND_UNITS.get(name, "")
    for title, table, unit in (
        ("communication", found.communication, "bits"), ("energy", found.energy, "fJ"), ("area", found.area_mm2, "mm2")
    ):  # fmt: skip
        for part in () if table is None else fields(table):
            yield f"{title}, {part.name}", getattr(table, part.name), "data" if part.name.endswith("items") else unit
    for part in () if found.utilization is None else fields(found.utilization):
        yield f"utilization, {part.name}", getattr(found.utilization, part.name), ""
    for name, cycles in {} if found.critical_path is None else found.critical_path.shares().items():
        yield f"critical path, {name}", cycles, "cycles"


def to_csv(columns: Columns) -> bytes:
    """A CSV file; rows are numbered, since tiles and routers are meant by their place."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["number", *columns])
    writer.writerows((number, *row) for number, row in enumerate(zip(*columns.values(), strict=True)))
    return text.getvalue().encode()


SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}


def to_latex(columns: Columns, caption: str) -> bytes:
    """A ``tabular`` in a ``table`` (package booktabs), numbers to the right."""
    numbers = [all(isinstance(value, int | float) or hasattr(value, "dtype") for value in c) for c in columns.values()]
    lines = [
        r"\begin{table}", r"\centering", rf"\caption{{{_escaped(caption)}}}",
        rf"\begin{{tabular}}{{{''.join('r' if right else 'l' for right in numbers)}}}", r"\toprule",
        " & ".join(_escaped(name.replace("_", " ")) for name in columns) + r" \\", r"\midrule",
        *(" & ".join(map(_cell, row)) + r" \\" for row in zip(*columns.values(), strict=True)),
        r"\bottomrule", r"\end{tabular}", r"\end{table}", "",
    ]  # fmt: skip
    return "\n".join(lines).encode()


def _cell(value: Any) -> str:
    if value is None:
        return "--"
    if isinstance(value, str):
        return _escaped(value)
    if float(value) == int(value):
        return f"{int(value):,}".replace(",", r"\,")
    return f"{float(value):.4g}"


def _escaped(text: str) -> str:
    return re.sub(r"[\\~^&%$#_{}]", lambda found: SPECIAL.get(found[0], f"\\{found[0]}"), text)
