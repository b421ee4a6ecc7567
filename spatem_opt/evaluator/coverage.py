"""Families ``coverage`` and ``capacity``: every OU once, no crossbar overfull (M4)."""

from __future__ import annotations

import numpy as np

from spatem_opt.evaluator.arrays import distinct, starts_of
from spatem_opt.evaluator.durations import Pieces
from spatem_opt.evaluator.findings import Violation, listed
from spatem_opt.evaluator.grid import OuGrid
from spatem_opt.model.architecture import Architecture
from spatem_opt.types import IntArray


def check_coverage(name: str, grid: OuGrid, pieces: Pieces) -> list[Violation]:
    """OUs of each copy that are placed not once: missing, or on several crossbars.

    Copies cut into the same rectangles are checked once. Of each pattern, the grid is reduced to the cells between
    distinct rectangle edges.
    """
    if not len(pieces.copy):
        return []
    copies, pattern, shapes = _patterns(pieces)
    missing, extra = np.array([_miscounts(grid, shape) for shape in shapes], np.int64)[pattern].T
    bad = np.flatnonzero((missing > 0) | (extra > 0))

    def describe(i: int) -> str:
        at = bad[i]
        return (
            f"layer {name!r}, copy {copies[at]}: of {grid.total} OUs {missing[at]} missing, "
            f"{extra[at]} placed too often"
        )

    return listed("coverage", (grid.total - missing + extra)[bad], grid.total, "OUs", describe)


def _patterns(pieces: Pieces) -> tuple[IntArray, IntArray, list[IntArray]]:
    """Distinct copies, the number of each one's pattern, and the patterns: rectangles (group, r0, r1, c0, c1).

    Mostly all copies have the same rectangles in the same order; that is seen without sorting and copying.
    """
    columns, copy = (pieces.group, pieces.r0, pieces.r1, pieces.c0, pieces.c1), pieces.copy
    each = int((copy == copy[0]).sum())
    numbers = copy[::each]
    ordered = bool((numbers[1:] > numbers[:-1]).all()) and np.array_equal(copy, np.repeat(numbers, each))
    if ordered and all((column.reshape(-1, each) == column[:each]).all() for column in columns):
        return numbers, np.zeros(len(numbers), np.int64), [np.stack([column[:each] for column in columns], axis=1)]
    order = np.lexsort((pieces.c0, pieces.r0, pieces.group, copy))
    shape, copy = np.stack(columns, axis=1)[order], copy[order]
    start = starts_of(copy)
    known: dict[bytes, int] = {}
    pattern = np.empty(len(start), np.int64)
    shapes: list[IntArray] = []
    for i, part in enumerate(np.split(shape, start[1:])):
        pattern[i] = known.setdefault(part.tobytes(), len(known))
        if pattern[i] == len(shapes):
            shapes.append(part)
    return copy[start], pattern, shapes


def _miscounts(grid: OuGrid, shape: IntArray) -> tuple[int, int]:
    """Existing OUs missing from, and placed too often by, the rectangles of one copy (group, r0, r1, c0, c1)."""
    group, r0, r1, c0, c1 = shape.T
    rows, row = distinct(np.concatenate([r0, r1, [0, grid.rows]]))
    cols, col = distinct(np.concatenate([c0, c1, [0, grid.cols]]))
    (top, bottom), (left, right) = np.split(row[:-2], 2), np.split(col[:-2], 2)
    size = (grid.groups, len(rows), len(cols))
    change = np.zeros(grid.groups * len(rows) * len(cols), np.int64)
    for y, x, sign in ((top, left, 1), (bottom, right, 1), (top, right, -1), (bottom, left, -1)):
        change += sign * np.bincount((group * len(rows) + y) * len(cols) + x, minlength=len(change))
    times = change.reshape(size).cumsum(1).cumsum(2)[:, :-1, :-1]
    existing = grid.count_ous(rows[:-1, None], rows[1:, None], cols[:-1], cols[1:])
    missing = int((existing * (times == 0)).sum())
    return missing, int((existing * np.maximum(times - 1, 0)).sum())


def check_slotted(arch: Architecture, slotted: list[Pieces]) -> list[Violation]:
    """Crossbars that hold more than A OUs of all copies of the slotted layers."""
    held = np.zeros(arch.crossbars, np.int64)
    for pieces in slotted:
        np.add.at(held, pieces.crossbar, pieces.ous)
    bad = np.flatnonzero(held > arch.ou_slots)

    def describe(i: int) -> str:
        return f"crossbar {bad[i]} holds {held[bad[i]]} OUs, it has {arch.ou_slots} slots"

    return listed("capacity", held[bad], arch.ou_slots, "OUs", describe)


def check_filled(name: str, grid: OuGrid, pieces: Pieces, tenants: IntArray) -> list[Violation]:
    """Crossbars of a filled layer that hold anything but one whole block.

    ``tenants``: (layer, copy) pairs on every crossbar of the chip.
    """
    row_edges = np.append(starts_of(grid.row_block), grid.rows)
    col_edges = np.append(starts_of(grid.col_block), grid.cols)
    row, col = grid.row_block[pieces.r0], grid.col_block[pieces.c0]
    across = (grid.row_block[pieces.r1 - 1] != row) | (grid.col_block[pieces.c1 - 1] != col)
    block = (pieces.group * (len(row_edges) - 1) + row) * (len(col_edges) - 1) + col
    whole = grid.count_ous(row_edges[row], row_edges[row + 1], col_edges[col], col_edges[col + 1])
    order = np.lexsort((block, pieces.crossbar))
    crossbar = pieces.crossbar[order]
    start = starts_of(crossbar)
    blocks = np.maximum.reduceat(block[order], start) != np.minimum.reduceat(block[order], start)
    held = np.add.reduceat(pieces.ous[order], start)
    shared = tenants[crossbar[start]] > 1
    broken = blocks | shared | np.logical_or.reduceat(across[order], start) | (held != whole[order][start])
    bad = np.flatnonzero(broken)

    def describe(i: int) -> str:
        at = start[bad[i]]
        return (
            f"crossbar {crossbar[at]} (layer {name!r}, filled) holds {held[bad[i]]} OUs of "
            f"{tenants[crossbar[at]]} copies, expected one whole block of {whole[order][at]} OUs"
        )

    return listed("capacity", held[bad], whole[order][start][bad], "OUs", describe)
