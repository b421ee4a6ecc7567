"""Families ``structure`` and ``mapping``: can the tables be read at all."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from spatem_opt.errors import InstanceError
from spatem_opt.evaluator.arrays import distinct, rows_by_group
from spatem_opt.evaluator.findings import Violation, listed
from spatem_opt.evaluator.grid import OuGrid, mapping_fault, window_shape
from spatem_opt.evaluator.sliding import check_sliding
from spatem_opt.evaluator.transfers import datum_bits
from spatem_opt.limits import LONGEST_TIME as LONGEST
from spatem_opt.limits import Totals
from spatem_opt.model.solution import Placement, Schedule, Solution
from spatem_opt.network.layers import CONSTANT, Network, Node, Weights
from spatem_opt.types import IntArray

PLACEMENT = ("layer", "copy", "crossbar", "row_start", "row_stop", "col_start", "col_stop")
SCHEDULE = ("layer", "copy", "first_window", "last_window", "step", "pace", "start", "end")


def weights_of(node: Node) -> Weights:
    """The weights of a crossbar layer."""
    if node.weights is None:
        raise InstanceError(f"node {node.name!r}", "weights", None, "expected weights for a crossbar layer")
    return node.weights


def check_network(network: Network) -> None:
    """Raise :class:`InstanceError` where edges do not fit their nodes: this is wrong input, not a wrong solution."""
    if not network.layers:
        raise InstanceError(f"network {network.name!r}", "layers", 0, "expected at least one crossbar layer")
    totals = Totals()
    for index, node in enumerate(network.nodes):
        where = f"node {node.name!r}"
        totals.add(where, node.windows)
        if (node.kind == "input") == bool(node.edges):
            raise InstanceError(where, "edges", len(node.edges), "expected none for inputs, at least one otherwise")
        if node.kind == "crossbar":
            weights = weights_of(node)
            if weights.groups * weights.out_channels != node.channels:
                raise InstanceError(where, "channels", node.channels, "expected groups * filters")
            check_sliding(where, weights, node.edges)
        for edge in node.edges:
            carried = weights.groups * weights.in_channels if node.kind == "crossbar" else node.channels
            if len(edge.source) != carried or len(edge.channel) != carried:
                raise InstanceError(where, "edge", len(edge.source), f"expected {carried} channels")
            if not CONSTANT <= edge.source.min() <= edge.source.max() < index or not len(edge.producers):
                raise InstanceError(where, "edge", edge.source.tolist(), "expected producers that come earlier")
            if edge.rows.shape[0] != node.height or edge.cols.shape[0] != node.width:
                raise InstanceError(where, "taps", (len(edge.rows), len(edge.cols)), "expected output height and width")
            _check_producers(network, where, edge.producers, edge.rows, edge.cols)
        if node.kind == "digital" and len(set(node.edges[0].source.tolist())) != 1:
            raise InstanceError(where, "edge", len(node.edges[0].producers), "expected one primary producer")


def _check_producers(network: Network, where: str, producers: IntArray, rows: IntArray, cols: IntArray) -> None:
    for producer in producers:
        source = network.nodes[producer]
        for taps, size in ((rows, source.height), (cols, source.width)):
            if not taps.size:
                raise InstanceError(where, "taps", taps.shape, "expected at least one tap per output")
            if not -1 <= taps.min() <= taps.max() < size:
                raise InstanceError(where, "taps", int(taps.max()), f"expected -1 to {size - 1} ({source.name!r})")


def check_tables(solution: Solution) -> list[Violation]:
    """Columns of equal length and of 64-bit integers, known layers, copies and crossbars, all copies there."""
    found = [
        fault
        for table, names in ((solution.placement, PLACEMENT), (solution.schedule, SCHEDULE))
        for fault in _check_columns(table, names)
    ]
    layers = len(solution.network.layers)
    if len(solution.mapping) != layers:
        message = f"mapping has {len(solution.mapping)} options for {layers} crossbar layers"
        found.append(Violation("structure", message, len(solution.mapping), layers, "options"))
    if found:
        return found
    placement, schedule = solution.placement, solution.schedule
    found += _outside("placement: layer", placement.layer, layers)
    found += _outside("placement: crossbar", placement.crossbar, solution.architecture.crossbars)
    found += _outside("placement: copy", placement.copy, LONGEST)
    found += _outside("schedule: layer", schedule.layer, layers)
    found += _outside("schedule: copy", schedule.copy, LONGEST)
    found += _outside("schedule: pace", schedule.pace, LONGEST)
    for time in ("start", "end"):
        found += _outside(f"schedule: {time}", getattr(schedule, time), LONGEST, least=-LONGEST)
    return found or _check_copies(solution)


def by_layer(placement: Placement, layers: int) -> list[Placement]:
    """The placement of each layer; without copying where rows are sorted by layer."""
    columns = [getattr(placement, name) for name in PLACEMENT]
    if (placement.layer[1:] < placement.layer[:-1]).any():
        order = np.argsort(placement.layer, kind="stable")
        columns = [column[order] for column in columns]
    edge = np.searchsorted(columns[0], np.arange(layers + 1)).tolist()
    return [Placement(*(column[first:last] for column in columns)) for first, last in pairwise(edge)]


def _check_columns(table: Placement | Schedule, names: tuple[str, ...]) -> list[Violation]:
    kind = type(table).__name__.lower()
    first = len(getattr(table, names[0]))
    found = []
    for name in names:
        column = np.asarray(getattr(table, name))
        if column.ndim != 1 or len(column) != first:
            message = f"{kind}: column {name} has shape {column.shape}, column {names[0]} has {first} rows"
            found.append(Violation("structure", message, column.size, first, "rows"))
        elif column.dtype != np.int64:
            message = f"{kind}: column {name} holds {column.dtype}, expected int64"
            found.append(Violation("structure", message, column.size, 0, "rows"))
    return found


def _outside(what: str, values: IntArray, stop: int, least: int = 0) -> list[Violation]:
    """Values below ``least`` or not below ``stop``."""
    bad = np.flatnonzero((values < least) | (values >= stop))
    limit = np.where(values[bad] < least, least, stop - 1)

    def describe(i: int) -> str:
        return f"{what} = {values[bad[i]]} in row {bad[i]}, expected {least} to {stop - 1}"

    return listed("structure", values[bad], limit, "index", describe)


def _check_copies(solution: Solution) -> list[Violation]:
    """Copies of each layer are 0, 1, ... and every scheduled copy is placed."""
    found = []
    layers = solution.network.layers
    placed = by_layer(solution.placement, len(layers))
    scheduled = rows_by_group(solution.schedule.layer, len(layers))
    for node, part, reserved in zip(layers, placed, scheduled, strict=True):
        copies = distinct(part.copy)[0]
        name = solution.network.nodes[node].name
        if not len(copies):
            found.append(Violation("structure", f"layer {name!r} has no copy", 0, 1, "copies"))
        elif copies[-1] != len(copies) - 1:
            message = f"layer {name!r} has {len(copies)} copies, numbered up to {copies[-1]}"
            found.append(Violation("structure", message, int(copies[-1]), len(copies) - 1, "copy"))
        asked = solution.schedule.copy[reserved]
        if len(copies) and len(asked) and asked.max() >= len(copies):
            message = f"layer {name!r} has {len(copies)} copies, copy {asked.max()} is scheduled"
            found.append(Violation("structure", message, int(asked.max()), len(copies) - 1, "copy"))
    return found


def check_mapping(solution: Solution) -> list[Violation]:
    """Family ``mapping``."""
    found = []
    for layer, (index, option) in enumerate(zip(solution.network.layers, solution.mapping, strict=True)):
        node = solution.network.nodes[index]
        if fault := mapping_fault(weights_of(node), option):
            message = f"layer {node.name!r}: {fault}"
            found.append(Violation("mapping", message, layer, layer, "layer"))
    return found


def check_rectangles(solution: Solution, grids: list[OuGrid]) -> list[Violation]:
    """Rectangles lie inside the grid of their layer."""
    placement = solution.placement
    high = np.array([grid.groups * grid.rows for grid in grids], np.int64)[placement.layer]
    wide = np.array([grid.groups * grid.cols for grid in grids], np.int64)[placement.layer]
    found = []
    for axis, size in (("row", high), ("col", wide)):
        start, stop = getattr(placement, f"{axis}_start"), getattr(placement, f"{axis}_stop")
        bad = np.flatnonzero((start < 0) | (stop <= start) | (stop > size))
        describe = _rectangle_message(axis, bad, start, stop, size)
        found += listed("structure", stop[bad], size[bad], f"OU {axis}s", describe)
    return found


def _rectangle_message(
    axis: str, bad: IntArray, start: IntArray, stop: IntArray, size: IntArray
) -> Callable[[int], str]:
    def describe(i: int) -> str:
        row = bad[i]
        return f"placement: {axis}s {start[row]} to {stop[row]} in row {row}, expected within 0 to {size[row]}"

    return describe


def check_windows(solution: Solution) -> list[Violation]:
    """Windows of every reservation lie inside their layer."""
    schedule = solution.schedule
    shapes = [
        window_shape(solution.network.nodes[index], option)
        for index, option in zip(solution.network.layers, solution.mapping, strict=True)
    ]
    windows = np.array([high * wide for high, wide in shapes], np.int64)[schedule.layer]
    first, last, step = schedule.first_window, schedule.last_window, schedule.step
    span = (last - first) % np.maximum(step, 1)
    bad = np.flatnonzero((first < 0) | (last < first) | (last >= windows) | (step < 1) | (span != 0))

    def describe(i: int) -> str:
        row = bad[i]
        return (
            f"schedule: windows {first[row]} to {last[row]} by {step[row]} in row {row}, "
            f"expected first <= last < {windows[row]}, step >= 1 and a last window that the steps meet"
        )

    found = listed("structure", last[bad], windows[bad] - 1, "window", describe)
    # In float64, which does not wrap: its rounding is far below the limit.
    latest = schedule.start + (last - first) // np.maximum(step, 1) * schedule.pace.astype(np.float64)
    late = np.flatnonzero((latest >= LONGEST) & (last < windows))

    def tell_late(i: int) -> str:
        return (
            f"schedule: pace {schedule.pace[late[i]]} in row {late[i]} lets its last window begin after {LONGEST - 1}"
        )

    return found + listed("structure", latest[late], LONGEST - 1, "cycles", tell_late)


def check_magnitude(solution: Solution, grids: list[OuGrid]) -> None:
    """Raise :class:`InstanceError` if cycles or bits of an inference could reach 2^62: 64-bit sums would wrap.

    An upper estimate in Python's integers: every window alone, every bit to every tile over the longest way.
    """
    arch, network = solution.architecture, solution.network
    tiles, hops = arch.tiles + 1, arch.mesh_rows + arch.mesh_cols
    cycles, bits = hops * arch.hop_cycles * len(network.nodes), 0
    for node, width in zip(network.nodes, datum_bits(network, arch.activation_bits), strict=True):
        carried = width * node.channels * node.windows
        bits += carried * tiles * hops
        cycles += node.ops_per_window * node.windows + carried
    for index, grid in zip(network.layers, grids, strict=True):
        node = network.nodes[index]
        weights = weights_of(node)
        width = weights.activation_bits or arch.activation_bits
        read = max(width * grid.groups * int((grid.row_stop - grid.row_start).sum()),
                   width * arch.crossbar_rows * arch.crossbars_per_tile)  # fmt: skip
        sum_bits = weights.partial_sum_bits or arch.sum_bits(weights.rows, weights.weight_bits, weights.activation_bits)
        sums = sum_bits * grid.groups * int(grid.partial_sums.sum())
        work = arch.input_phases(weights.activation_bits) * grid.total
        cycles += node.windows * (work + read + sums + hops * arch.hop_cycles + arch.pipeline_tail_cycles)
        bits += node.windows * (read + sums * hops) * tiles
    for what, number in (("cycles", cycles), ("bits", bits)):
        if number >= 2**62:
            rule = "expected < 2^62 at most: sums have 64 bits"
            raise InstanceError(f"network {network.name!r} on {arch.name!r}", f"{what} of an inference", number, rule)
