"""Whether a plan can be laid down at all: said in one line, before anything of it is computed."""

from __future__ import annotations

import numpy as np

from spatem_opt.network.layers import Node
from spatem_opt.planning.plan import Plan
from spatem_opt.planning.protocol import Task
from spatem_opt.replication.layout import Allocation, Split


def misfit(plan: Plan, task: Task) -> str | None:
    """What is wrong with a plan; None if every layer has a grid of its own weights, copies on the chip, and windows.

    Whether copies lie on top of each other, or grids are covered, is the evaluator's business.
    """
    layers = task.layers
    for name, columns in (("grids", plan.grids), ("allocations", plan.allocations)):
        if len(columns) != len(layers):
            return f"{len(columns)} {name} for {len(layers)} crossbar layers"
    for node, grid, allocation in zip(layers, plan.grids, plan.allocations, strict=True):
        patches = grid.option.scheme == "parallel-window"  # of several windows each
        if grid.weights != node.weights or (grid.windows != node.windows and not patches):
            return f"layer {node.name!r}: its grid is that of another layer"
        wrong = _misplaced(allocation, task.architecture.crossbars) or _unscheduled(allocation.split, grid.windows)
        if wrong:
            return f"layer {node.name!r}: {wrong}"
    return _out_of_order(plan, layers)


def _misplaced(allocation: Allocation, crossbars: int) -> str | None:
    position = np.asarray(allocation.position)
    if position.ndim != 1 or position.dtype.kind != "i" or not len(position):
        return f"positions are a column of integers, one per copy, not {position.dtype} of shape {position.shape}"
    last = int(position.max()) + allocation.shape.crossbars
    if position.min() < 0 or last > crossbars:
        return f"copies on crossbars {int(position.min())} ... {last - 1} of 0 ... {crossbars - 1}"
    copies = np.unique(allocation.split.copy)
    if not np.array_equal(copies, np.arange(len(position))):
        return f"{len(position)} copies have places, {len(copies)} have windows"
    return None


def _unscheduled(split: Split, windows: int) -> str | None:
    """Which windows are not there exactly once."""
    if (split.step < 1).any() or (split.last < split.first).any() or split.first.min() < 0:
        return "chunks of windows go from a first one >= 0 up to a last one in steps >= 1"
    if split.last.max() >= windows:
        return f"window {int(split.last.max())} of 0 ... {windows - 1}"
    count = (split.last - split.first) // split.step + 1
    row = np.repeat(np.arange(len(count)), count)
    nth = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    often = np.bincount(split.first[row] + nth * split.step[row], minlength=windows)
    bad = np.flatnonzero(often != 1)
    return f"window {bad[0]} is run {often[bad[0]]} times ({len(bad)} such windows)" if len(bad) else None


def _out_of_order(plan: Plan, layers: list[Node]) -> str | None:
    """Segments are numbered 0, 1, ... in the order of the layers."""
    step = np.diff(plan.segment, prepend=0)
    bad = np.flatnonzero((step < 0) | (step > 1))
    if not len(bad):
        return None
    return f"layer {layers[bad[0]].name!r}: segment {plan.segment[bad[0]]}: expected 0, 1, ... in the order of layers"
