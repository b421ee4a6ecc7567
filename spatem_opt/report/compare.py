"""Comparisons as tables: for the terminal, as Markdown to paste, as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, fields
from statistics import median

from spatem_opt.files.names import visible
from spatem_opt.report.grid import Column, Line, TextTable
from spatem_opt.report.tables import joules
from spatem_opt.study.compare import COMPARABLE, OURS, PAPER, Comparison, MethodRow, Summary

Lines = list[tuple[str, ...]]
GAP_HEADS = ("network", "gap of heuristic", "binding term of the bound", "crossbars at work", "busiest router, mean")
COLUMNS = (
    Column("method", right=False), Column("cycles"), Column("ms", rank=4), Column("communication,\nbits", rank=1),
    Column("energy", rank=5), Column("occupancy", rank=6), Column("cells", rank=8), Column("bound,\ncycles", rank=3),
    Column("gap", rank=2), Column("seconds", rank=7),
)  # fmt: skip
HEADS = tuple(column.short for column in COLUMNS)


def table(comparison: Comparison) -> TextTable:
    """One line per method; the best baseline is marked; below it why a method has no solution."""
    best = comparison.best
    lines, notes = [], []
    for row in comparison.rows:
        mark = " *" if best is not None and row.method == best.method else ""
        if row.solved:
            lines.append(Line((row.method + mark, *_cells(row)), style="bold" if row.method in OURS else None))
        else:
            lines.append(Line((row.method, *["-"] * (len(COLUMNS) - 1)), style="dim"))
            notes.append(f"{row.method}: {row.note}")
    return TextTable(COLUMNS, tuple(lines), _title(comparison), tuple(notes))


def summary_table(summary: Summary) -> TextTable:
    """Reductions against the best baseline of each network, and the geometric means.

    Every head says which row it is of, since any column may be left out: first of all the gaps, then what there is of
    ``half-latency``, the baseline (it is marked above), and ``balanced``.
    """
    _, lines, means = _summary(summary)
    columns = [Column("network", right=False), Column("best baseline", rank=5, right=False)]
    for rank, method in zip((1, 3, 6), OURS, strict=True):
        columns += [
            Column(f"{method}\nlatency", rank=rank), Column(f"{method}\ncommunication", rank=rank + 1),
            Column(f"{method}\ngap", rank=rank + 7),
        ]  # fmt: skip
    shown = [Line(line, ends=line is lines[-1]) for line in lines] + [Line(line, style="bold") for line in means]
    return TextTable(tuple(columns), tuple(shown), "less than the best baseline")


def remark(summary: Summary) -> str:
    """What the means rest on, and what is not comparable."""
    left_out = [f"{c.network} ({_why(c)})" for c in summary.comparisons if not c.reductions]
    out = f" Not in the means: {', '.join(left_out)}." if left_out else ""
    return f"* best baseline: lowest latency; both reductions are against it.{out} {COMPARABLE}"


def markdown(summary: Summary, *, rows: bool = True) -> str:
    """Return the tables as Markdown; `rows` includes one table of all methods per network."""
    parts: list[str] = []
    for comparison in summary.comparisons if rows else ():
        parts.append(f"**{_title(comparison)}**")
        best = comparison.best
        lines: Lines = []
        for row in comparison.rows:
            mark = " \\*" if best is not None and row.method == best.method else ""
            cells = _cells(row) if row.solved else (row.note, *[""] * (len(HEADS) - 2))
            lines.append((row.method + mark, *cells))
        if lines:
            parts.append(_markdown_table(HEADS, lines, 1))
    heads, lines, means = _summary(summary)
    parts.append(_markdown_table(heads, lines + [tuple(f"**{x}**" if x else "" for x in mean) for mean in means], 2))
    parts.append(_markdown_table(GAP_HEADS, _gaps(summary), 1))
    return "\n\n".join([*parts, remark(summary).replace("*", "\\*")]) + "\n"


def to_csv(summary: Summary) -> str:
    """Return one line per network and method; numbers are plain, what is missing is empty."""
    text = io.StringIO()
    names = [field.name for field in fields(MethodRow)]
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([
        "network", "architecture", *names, "baseline", "latency_reduction", "communication_reduction"
    ])  # fmt: skip
    for comparison in summary.comparisons:
        against = {r.method: (r.baseline, r.latency, r.communication) for r in comparison.reductions}
        where = (comparison.network, comparison.architecture)
        rows = comparison.rows or (MethodRow("", note=f"does not fit: {comparison.shortage}"),)
        for row in rows:
            writer.writerow([*where, *asdict(row).values(), *against.get(row.method, ("", "", ""))])
    return text.getvalue()


def _title(comparison: Comparison) -> str:
    title = f"{comparison.network} on {comparison.architecture}"
    return title if comparison.shortage is None else f"{title}: does not fit: {comparison.shortage}"


def _cells(row: MethodRow) -> tuple[str, ...]:
    return (
        _count(row.latency_cycles), "" if row.latency_ms is None else f"{row.latency_ms:,.3f}",
        _count(row.communication_bits), joules(row.energy_fj or 0), _percent(row.ou_occupancy),
        _percent(row.cells_used), _count(row.bound), _percent(row.gap), f"{row.seconds:.1f}",
    )  # fmt: skip


def _count(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f} %"


def _summary(summary: Summary) -> tuple[tuple[str, ...], Lines, Lines]:
    """Heads, a line per network, and lines for the means and the paper."""
    heads = ["network", "best baseline"]
    for method in OURS:
        heads += [f"{method}: latency", "communication", "gap"]
    lines = [_network_line(comparison) for comparison in summary.comparisons]
    mean = ["geometric mean", ""]
    for method in OURS:
        known = next((m for m in summary.means if m.method == method), None)
        mean += ["-", "-", ""] if known is None else [_percent(known.latency), _percent(known.communication), ""]
        mean[1] = mean[1] if known is None else f"{known.networks} network" + "s" * (known.networks > 1)
    paper = ["paper, its average", "", _percent_of_paper("latency"), _percent_of_paper("communication"), ""]
    return tuple(heads), lines, [tuple(mean), tuple(paper + [""] * (len(heads) - len(paper)))]


def _gaps(summary: Summary) -> Lines:
    """What stands between the solution of least latency and its bound, network by network; a median last."""
    rows = [(c.network, row) for c in summary.comparisons for row in c.rows if row.method == "heuristic" and row.solved]
    lines: Lines = [
        (name, _percent(row.gap), row.binding or "", _percent(row.ou_occupancy), _percent(row.busiest_router))
        for name, row in rows
    ]
    gaps = [row.gap for _, row in rows if row.gap is not None]
    return [*lines, ("**median**", f"**{_percent(median(gaps))}**", "", "", "")] if gaps else lines


def _percent_of_paper(name: str) -> str:
    return f"{100 * PAPER[name]:.2f} %"


def _network_line(comparison: Comparison) -> tuple[str, ...]:
    best, against = comparison.best, {r.method: r for r in comparison.reductions}
    rows = {row.method: row for row in comparison.rows}
    line = [comparison.network, _why(comparison) if best is None else best.method]
    for method in OURS:
        row, reduction = rows.get(method), against.get(method)
        line += ["-", "-"] if reduction is None else [_percent(reduction.latency), _percent(reduction.communication)]
        line.append("-" if row is None or not row.solved else _percent(row.gap))
    return tuple(line)


def _why(comparison: Comparison) -> str:
    """Why there is nothing to compare with."""
    if comparison.shortage is not None:
        return "does not fit the chip"
    return "no baseline fits" if comparison.best is None else "nothing of ours"


def _markdown_table(heads: Sequence[str], lines: Lines, left: int) -> str:
    """A Markdown table whose first `left` columns are texts."""
    rule = ["---" if i < left else "---:" for i in range(len(heads))]
    return "\n".join(markdown_row(row) for row in [heads, rule, *lines])


def markdown_row(cells: Sequence[str]) -> str:
    """A line of a Markdown table; a bar in a cell does not end it."""
    return "| " + " | ".join(visible(cell).replace("|", "\\|") for cell in cells) + " |"
