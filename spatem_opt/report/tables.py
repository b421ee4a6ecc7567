"""Evaluations as tables on the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from spatem_opt.evaluator import Evaluation
from spatem_opt.model.result import gap
from spatem_opt.report.grid import Column, Line, TextTable

TableRow = tuple[str, str, str]
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
) -> TextTable:
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
    columns = (Column("what", "text", right=False), Column("value", "text"), Column("detail", "text", 1, right=False))
    blocks = [
        _times(evaluation, objective, bound, claimed),
        _utilization(evaluation),
        _traffic(evaluation),
        _energy(evaluation),
        _area(evaluation),
    ]
    lines = []
    for block in blocks:
        rows = list(block)
        lines += [Line(row, ends=row is rows[-1]) for row in rows]
    if seconds is not None:
        lines.append(Line(("solved in", f"{seconds:.2f} s", "")))
    return TextTable(columns, tuple(lines), title, heads=False)


def layers(evaluation: Evaluation) -> TextTable:
    """Return a table with one line per crossbar layer; empty if the solution could not be replayed."""
    heads = {"copies": 1, "crossbars": 2, "tiles": 7, "windows": 6, "OUs/copy": 10, "compute": 8, "load": 9,
             "interval": 3, "start": 4, "end": 5}  # fmt: skip
    shown = (Column("layer", "name", right=False), *(Column(head, rank=rank) for head, rank in heads.items()))
    t = evaluation.layers
    if t is None:
        return TextTable(shown, (), "crossbar layers")
    columns = (
        t.copies, t.crossbars, t.tiles, t.windows, t.ous_per_copy, t.compute_cycles, t.load_cycles, t.interval_cycles,
        t.start, t.end,
    )  # fmt: skip
    rows = zip(t.name, *columns, strict=True)
    lines = tuple(Line((name, *(f"{value:,}" for value in values))) for name, *values in rows)
    return TextTable(shown, lines, "crossbar layers")


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


def _times(e: Evaluation, objective: str, bound: float | None, claimed: float | None) -> Iterator[TableRow]:
    if e.latency_cycles is None or e.latency_ns is None:
        yield "latency", "-", "the solution cannot be replayed"
        return
    yield "latency", f"{e.latency_cycles:,} cycles", f"{e.latency_ns / 1e6:.4f} ms"
    if e.queue_free_cycles is not None:
        yield "  without queues", f"{e.queue_free_cycles:,} cycles", "if routers and ports never made anything wait"
    if e.critical_path is not None and e.latency_cycles:
        parts = {name: cycles / e.latency_cycles for name, cycles in e.critical_path.shares().items()}
        shown = ", ".join(f"{name} {100 * share:.0f} %" for name, share in parts.items() if share >= 0.005)
        yield "  on the critical path", f"{len(e.critical_path.node):,} windows", shown
    if e.period_cycles is not None:
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


def _utilization(e: Evaluation) -> Iterator[TableRow]:
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
            queue = "" if load.longest_queue_bits is None else f"longest queue {load.longest_queue_bits:,} bits"
            yield f"busiest of {name}", share(load.busiest_mean, 1), queue


def _traffic(e: Evaluation) -> Iterator[TableRow]:
    c = e.communication
    if c is None:
        return
    yield "communication", f"{c.total:,} bits", "buffer reads + bits x hops"
    yield "  buffer reads", f"{c.buffer_read_bits:,} bits", share(c.buffer_read_bits, c.total)
    items = f"{c.feature_map_items:,} items between tiles"
    yield "  feature maps", f"{c.feature_map_bit_hops:,} bits", f"{share(c.feature_map_bit_hops, c.total)}, {items}"
    items = f"{c.partial_sum_items:,} items between tiles"
    yield "  partial sums", f"{c.partial_sum_bit_hops:,} bits", f"{share(c.partial_sum_bit_hops, c.total)}, {items}"


def _energy(e: Evaluation) -> Iterator[TableRow]:
    if e.energy is None:
        return
    total = e.energy.total
    yield "energy", joules(total), "per inference"
    for kind in fields(e.energy):
        value = getattr(e.energy, kind.name)
        yield f"  {kind.name.replace('_', ' ')}", joules(value), share(value, total)


def _area(e: Evaluation) -> Iterator[TableRow]:
    if e.area_mm2 is None or not e.area_mm2.total:  # chips need not state it
        return
    total = e.area_mm2.total
    yield "area", f"{total:,.2f} mm2", "of the whole chip"
    for kind in fields(e.area_mm2):
        value = getattr(e.area_mm2, kind.name)
        yield f"  {kind.name}", f"{value:,.2f} mm2", share(value, total)
