"""A solution as one HTML file that needs nothing else: tables, figures, claims, terms of the bounds."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spatem_opt.cost import bounds
from spatem_opt.evaluator import Evaluation, evaluate
from spatem_opt.files.access import write_atomically
from spatem_opt.model.architecture import FIELDS
from spatem_opt.model.result import gap
from spatem_opt.model.solution import Solution
from spatem_opt.network.stats import summary
from spatem_opt.report import figures, tables
from spatem_opt.report.grid import TextTable
from spatem_opt.version import __version__

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #1a1a1a; max-width: 1120px; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem; margin-bottom: .2rem } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem }
p.sub { color: #555; margin-top: 0 }
.bad { color: #b00020; font-weight: 600 } .good { color: #00694b; font-weight: 600 }
.tiles { display: flex; flex-wrap: wrap; gap: .8rem; margin: 1rem 0 }
.tile { border: 1px solid #ccc; border-radius: 6px; padding: .5rem .8rem; min-width: 8.2rem }
.tile b { display: block; font-size: 1.25rem } .tile span { color: #555; font-size: .85rem }
table { border-collapse: collapse; font-size: .85rem } .scroll { overflow-x: auto }
td, th { padding: .15rem .7rem .15rem 0; text-align: left; vertical-align: top; white-space: pre-wrap }
th { border-bottom: 1px solid #888 } td.r, th.r { text-align: right; font-variant-numeric: tabular-nums }
tr.end td { border-bottom: 1px solid #ddd } svg { max-width: 100%; height: auto }
details { margin: .6rem 0 } summary { cursor: pointer; color: #0a58a0 }
""".strip()
_SVG_HEAD = re.compile(r"^.*?(?=<svg)", re.DOTALL)


def write_report(solution: Solution, path: str | Path, evaluation: Evaluation | None = None) -> None:
    """Write a solution as one self-contained HTML file.

    Parameters
    ----------
    solution : Solution
    path : str or Path
    evaluation : Evaluation, optional
        Of that solution; evaluated here if it is not given.

    Raises
    ------
    InstanceError
        If the file cannot be written, or matplotlib is missing.
    """
    found = evaluate(solution) if evaluation is None else evaluation
    write_atomically(path, render(solution, found).encode())


def render(solution: Solution, found: Evaluation) -> str:
    """Return the report as HTML text; the same solution gives the same text."""
    title = f"{solution.network.name} on {solution.architecture.name}"
    parts = [
        "<!doctype html>", '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>",
        f"<h1>{escape(title)}</h1>", *_head(solution, found), *_violations(found),
    ]  # fmt: skip
    if found.layers is not None:
        drawn = figures.draw(solution, found)
        parts += _section("When every layer works", _svg(drawn["gantt"], "gantt"))
        parts += _section("The chip", _svg(drawn["floorplan"], "floorplan"))
    parts += _section("Numbers", from_grid(tables.overview(found, title="", **_objective(solution, found))))
    parts += _section("Lower bounds", _bounds(solution, found))
    parts += _section("Layers", _layers(solution, found))
    parts += _section("Claims of the solution", *_claims(solution))
    parts += _section("Architecture", _architecture(solution))
    return "\n".join([*parts, "</body></html>"]) + "\n"


def table(heads: Sequence[str], rows: Iterable[Sequence[object]], right: Sequence[int] = ()) -> str:
    """Return an HTML table; columns in `right` hold numbers.

    Examples
    --------
    >>> table(["a"], [["<b>"]])
    '<div class="scroll"><table><tr><th>a</th></tr><tr><td>&lt;b&gt;</td></tr></table></div>'
    """
    return _table(heads, [(list(row), False) for row in rows], right)


def from_grid(source: TextTable) -> str:
    """Return a table made for the terminal as HTML."""
    right = [i for i, column in enumerate(source.columns) if column.right]
    heads = [column.short for column in source.columns] if source.heads else []
    return _table(heads, [(line.cells, line.ends) for line in source.lines], right)


def _table(heads: Sequence[str], rows: Iterable[tuple[Sequence[object], bool]], right: Sequence[int]) -> str:
    def line(values: Sequence[object], tag: str, end: bool) -> str:
        cells = [f"<{tag}{' class=r' if i in right else ''}>{escape(str(v))}</{tag}>" for i, v in enumerate(values)]
        return f"<tr{' class=end' if end else ''}>{''.join(cells)}</tr>"

    lines = ([line(heads, "th", False)] if heads else []) + [line(values, "td", end) for values, end in rows]
    return f'<div class="scroll"><table>{"".join(lines)}</table></div>'


def _section(title: str, *content: str) -> list[str]:
    return [f"<h2>{escape(title)}</h2>", *content]


def _head(solution: Solution, found: Evaluation) -> Iterator[str]:
    """What matters most, at a glance."""
    n = summary(solution.network)
    yield (
        f'<p class="sub">{n["layers"]} crossbar layers, {n["parameters"]:,} weights, {n["macs"]:,} MACs; '
        f"{escape(solution.network.source)}. Checked by the evaluator of spatem-opt {__version__}.</p>"
    )
    if found.latency_cycles is None or found.communication is None or found.utilization is None:
        return
    bound = bounds.latency(solution.network, solution.architecture).value
    relative = gap(found.latency_cycles, bound)
    facts = [
        ("latency", f"{found.latency_cycles:,} cycles", f"{(found.latency_ns or 0) / 1e6:.4f} ms"),
        ("latency bound", f"{bound:,} cycles", "optimal" if relative == 0 else f"gap {100 * (relative or 0):.1f} %"),
        ("communication", f"{found.communication.total / 1e6:,.1f} Mbit", "buffer reads + bits x hops"),
        ("energy", tables.joules(found.energy.total if found.energy else 0), "per inference"),
        ("area", f"{found.area_mm2.total if found.area_mm2 else 0:,.1f} mm2", "of the whole chip"),
        ("throughput", f"{found.images_per_second or 0:,.0f} images/s", f"period {found.period_cycles:,} cycles"),
        ("crossbars at work", f"{100 * found.utilization.ou_occupancy:.1f} %", "of all crossbar cycles"),
    ]
    tiles = [f'<div class="tile"><span>{a}</span><b>{b}</b><span>{c}</span></div>' for a, b, c in facts]
    yield f'<div class="tiles">{"".join(tiles)}</div>'


def _violations(found: Evaluation) -> Iterator[str]:
    if found.valid:
        yield '<p class="good">No constraint is violated.</p>'
        return
    yield f'<p class="bad">{len(found.violations)} violations</p>'
    rows = [(v.family, v.message) for v in found.violations]
    yield table(["family", "what"], rows)


def _objective(solution: Solution, found: Evaluation) -> dict[str, Any]:
    """What the solution minimises, the evaluator's bound of it, and the claimed one."""
    total = solution.claims.get("total", {})
    objective, claimed = str(total.get("objective", "latency")), total.get("bound")
    proven = (found.bounds or {}).get("period" if objective == "throughput" else objective)
    return {"objective": objective, "bound": proven, "claimed": claimed if _number(claimed) else None}


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _bounds(solution: Solution, found: Evaluation) -> str:
    """Every bound with its terms, and the distance of this solution from it."""
    makers = {
        "latency": (bounds.latency, found.latency_cycles, "cycles"),
        "period": (bounds.period, found.period_cycles, "cycles"),
        "communication": (bounds.communication, tables.objective_value(found, "communication"), "bits"),
        "energy": (bounds.energy, tables.objective_value(found, "energy"), "fJ"),
    }
    rows = []
    for name, (make, value, unit) in makers.items():
        bound = make(solution.network, solution.architecture)
        relative = gap(value, bound.value)
        terms = ", ".join(f"{term} {amount:,}" for term, amount in bound.terms.items())
        shown = (
            "-" if value is None or relative is None else f"{value:,}",
            "" if relative is None else f"{relative:.1%}",
        )
        rows.append((name, unit, shown[0], f"{bound.value:,}", shown[1], bound.binding, terms))
    heads = ["what", "unit", "value", "bound", "gap", "binding term", "terms"]
    return table(heads, rows, right=(2, 3, 4))


def _layers(solution: Solution, found: Evaluation) -> str:
    """The table of the terminal, with segment and mapping."""
    source = tables.layers(found)
    columns: list[list[str]] = [list(column) for column in zip(*(line.cells for line in source.lines), strict=True)]
    if not columns:
        return "<p>The solution could not be replayed.</p>"
    options = [f"{o.scheme}{f' {o.ph}x{o.pw}' if o.ph * o.pw > 1 else ''}, {o.storage}" for o in solution.mapping]
    columns[1:1] = [[str(k) for k in solution.segment.tolist()], options]
    heads = [column.short for column in source.columns]
    heads[1:1] = ["segment", "mapping"]
    return table(heads, list(zip(*columns, strict=True)), right=(1, *range(3, len(heads))))


def _claims(solution: Solution) -> Iterator[str]:
    if not solution.claims:
        yield "<p>None.</p>"
        return
    rows = [(step, key, _text(value)) for step, claim in solution.claims.items() for key, value in claim.items()]
    yield table(["step", "claim", "value"], rows)


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(item)}" for key, item in value.items())
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _architecture(solution: Solution) -> str:
    chip = solution.architecture.to_dict()
    shown = {key: "auto" if value is None else _text(value) for key, value in chip.items()}
    rows = [(key, shown[key], rule.unit, rule.meaning) for key, rule in FIELDS.items()]
    text = table(["field", "value", "unit", "meaning"], rows, right=(1,))
    return f"<details><summary>{len(rows)} numbers</summary>{text}</details>"


def _svg(figure: Figure, name: str) -> str:
    """A figure as inline SVG whose ids do not collide with those of another one."""
    text = io.StringIO()
    figures.write_svg(figure, text)
    plain = _SVG_HEAD.sub("", text.getvalue(), count=1)
    plain = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", plain)
    return f"<figure style='margin:0'>{plain}</figure>"
