"""Evaluations as tables on the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from rich import box
from rich.table import Table

from spatem_opt.evaluator import Evaluation
from spatem_opt.result import gap

Row = tuple[str, str, str]
_UNITS = {
    "latency": "cycles",
    "throughput": "cycles",
    "communication": "bits",
    "energy": "fJ",
    "balanced": "cycles x bits",
}
_PREFIXES = ((1e15, ""), (1e12, "m"), (1e9, "u"), (1e6, "n"), (1e3, "p"), (1, "f"))


def overview(
    evaluation: Evaluation,
    *,
    title: str,
    objective: str = "latency",
    bound: float | None = None,
    claimed: float | None = None,
    seconds: float | None = None,
) -> Table:
    """Return the main table: time, bound, utilization, communication, energy and area by kind.

    Parameters
    ----------
    evaluation : Evaluation
    title : str
    objective : str
        What `bound` bounds: ``latency``, ``throughput``, ``communication``, ``energy`` or ``balanced``.
    bound : float, optional
        Proven lower bound, in cycles, bits or fJ.
    claimed : float, optional
        What a file says that the bound is, shown beside the one that this run has proven.
    seconds : float, optional
        Time that solving took.
    """
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, show_header=False, pad_edge=False)
    table.add_column("what")
    table.add_column("value", justify="right")
    table.add_column("detail", style="dim")
    blocks = [
        _times(evaluation, objective, bound, claimed),
        _utilization(evaluation),
        _traffic(evaluation),
        _energy(evaluation),
        _area(evaluation),
    ]
    for block in blocks:
        rows = list(block)
        for i, row in enumerate(rows):
            table.add_row(*row, end_section=i == len(rows) - 1)
    if seconds is not None:
        table.add_row("solved in", f"{seconds:.2f} s", "")
    return table


def layers(evaluation: Evaluation) -> Table:
    """Return a table with one line per crossbar layer; empty if the solution could not be replayed."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title="crossbar layers", title_justify="left")
    table.add_column("layer", overflow="fold")
    heads = ("copies", "crossbars", "tiles", "windows", "OUs/copy", "compute", "load", "interval", "start", "end")
    for head in heads:
        table.add_column(head, justify="right")
    t = evaluation.layers
    if t is None:
        return table
    columns = (
        t.copies, t.crossbars, t.tiles, t.windows, t.ous_per_copy, t.compute_cycles, t.load_cycles, t.interval_cycles,
        t.start, t.end,
    )  # fmt: skip
    for name, *values in zip(t.name, *columns, strict=True):
        table.add_row(name, *(f"{value:,}" for value in values))
    return table


def objective_value(evaluation: Evaluation, objective: str) -> int | None:
    """Return what `objective` minimises, None if the solution could not be replayed."""
    if evaluation.latency_cycles is None or evaluation.communication is None or evaluation.energy is None:
        return None
    return {
        "latency": evaluation.latency_cycles,
        "balanced": evaluation.latency_cycles * evaluation.communication.total,
        "throughput": evaluation.period_cycles,
        "communication": evaluation.communication.total,
        "energy": evaluation.energy.total,
    }.get(objective)


def share(part: float, whole: float) -> str:
    """Return a percentage, or nothing of nothing.

    Examples
    --------
    >>> share(1, 8), share(0, 0)
    ('12.5 %', '-')
    """
    return f"{100 * part / whole:.1f} %" if whole else "-"


def joules(femtojoules: float) -> str:
    """Return an energy with a readable prefix.

    Examples
    --------
    >>> joules(1_928_256), joules(3e12), joules(0)
    ('1.928 nJ', '3.000 mJ', '0.000 fJ')
    """
    scale, prefix = next((item for item in _PREFIXES if femtojoules >= item[0]), _PREFIXES[-1])
    return f"{femtojoules / scale:.3f} {prefix}J"


def _times(e: Evaluation, objective: str, bound: float | None, claimed: float | None) -> Iterator[Row]:
    if e.latency_cycles is None or e.latency_ns is None or e.period_cycles is None:
        yield "latency", "-", "the solution cannot be replayed"
        return
    yield "latency", f"{e.latency_cycles:,} cycles", f"{e.latency_ns / 1e6:.4f} ms"
    rate = "" if e.images_per_second is None else f"{e.images_per_second:,.1f} images/s"
    yield "period", f"{e.period_cycles:,} cycles", rate
    relative = gap(objective_value(e, objective), bound)
    if bound is None or relative is None:
        yield f"{objective} bound", "-", "none"
    else:
        detail = "optimal" if relative == 0 else f"gap {100 * relative:.1f} %"
        yield f"{objective} bound", f"{bound:,} {_UNITS.get(objective, '')}", detail
    if claimed is not None:
        kept = bound is not None and claimed <= bound
        yield "  as claimed", f"{claimed:,} {_UNITS.get(objective, '')}", "proven" if kept else "not proven"


def _utilization(e: Evaluation) -> Iterator[Row]:
    u = e.utilization
    if u is None:
        return
    yield "crossbars used", f"{u.crossbars_used:,} of {u.crossbars:,}", share(u.crossbars_used, u.crossbars)
    yield "cells used", f"{u.cells_used:,} of {u.cells:,}", share(u.cells_used, u.cells)
    yield "OU operations", f"{u.ou_operations:,}", f"{share(u.ou_occupancy, 1)} of all crossbar cycles"
    if e.buffers is not None:
        yield "buffer peak", f"{e.buffers.chip_peak_bits:,} bits", f"fullest tile {e.buffers.tile_peak_bits:,} bits"
    for name, load in (("ports", e.ports), ("routers", e.routers)):
        if load is not None:
            yield f"busiest of {name}", share(load.busiest_mean, 1), f"fullest bin {share(load.peak_bin, 1)}"


def _traffic(e: Evaluation) -> Iterator[Row]:
    c = e.communication
    if c is None:
        return
    yield "communication", f"{c.total:,} bits", "buffer reads + bits x hops"
    yield "  buffer reads", f"{c.buffer_read_bits:,} bits", share(c.buffer_read_bits, c.total)
    items = f"{c.feature_map_items:,} items between tiles"
    yield "  feature maps", f"{c.feature_map_bit_hops:,} bits", f"{share(c.feature_map_bit_hops, c.total)}, {items}"
    items = f"{c.partial_sum_items:,} items between tiles"
    yield "  partial sums", f"{c.partial_sum_bit_hops:,} bits", f"{share(c.partial_sum_bit_hops, c.total)}, {items}"


def _energy(e: Evaluation) -> Iterator[Row]:
    if e.energy is None:
        return
    total = e.energy.total
    yield "energy", joules(total), "per inference"
    for kind in fields(e.energy):
        value = getattr(e.energy, kind.name)
        yield f"  {kind.name.replace('_', ' ')}", joules(value), share(value, total)


def _area(e: Evaluation) -> Iterator[Row]:
    if e.area_mm2 is None or not e.area_mm2.total:  # chips need not state it
        return
    total = e.area_mm2.total
    yield "area", f"{total:,.2f} mm2", "of the whole chip"
    for kind in fields(e.area_mm2):
        value = getattr(e.area_mm2, kind.name)
        yield f"  {kind.name}", f"{value:,.2f} mm2", share(value, total)
