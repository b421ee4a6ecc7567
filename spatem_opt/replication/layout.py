"""Where copies lie: a walk over the tiles, and the placement rows and window chunks of copies along it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spatem_opt.architecture import Architecture
from spatem_opt.mapping.grid import Grid
from spatem_opt.replication.shapes import Shape, rectangles
from spatem_opt.scheduling.problem import Chunks
from spatem_opt.solution import Placement

IntArray = NDArray[np.int64]


def walk(architecture: Architecture) -> IntArray:
    """Crossbars in the order of a space-filling walk over the mesh: neighbours on the walk are near each other.

    Serpentine over router rows; the tiles of a router and the crossbars of a tile stay together.
    """
    y, x = np.divmod(np.arange(architecture.mesh_rows * architecture.mesh_cols), architecture.mesh_cols)
    router = y * architecture.mesh_cols + np.where(y % 2 == 0, x, architecture.mesh_cols - 1 - x)
    per_router = architecture.tiles_per_router * architecture.crossbars_per_tile
    return np.asarray((router[:, None] * per_router + np.arange(per_router)).ravel())


@dataclass(frozen=True, slots=True, eq=False)
class Allocation:
    """One layer's copies along the walk.

    Parameters
    ----------
    shape : Shape
    position : int64 array, shape (copies,)
        Place on the walk of each copy's first crossbar.
    split : {"bands", "interleaved"}
        Which copy runs which windows.
    segment : int
        Segment the layer belongs to.
    """

    shape: Shape
    position: IntArray
    split: str
    segment: int = 0


def placement(architecture: Architecture, grids: tuple[Grid, ...], allocations: list[Allocation]) -> Placement:
    """Placement rows of all layers."""
    order = walk(architecture)
    columns: list[tuple[IntArray, ...]] = []
    for layer, (grid, allocation) in enumerate(zip(grids, allocations, strict=True)):
        rect = rectangles(grid, allocation.shape, architecture.crossbars_per_tile)
        copies = len(allocation.position)
        crossbar = order[(allocation.position[:, None] + np.arange(len(rect))).ravel()]
        copy = np.repeat(np.arange(copies), len(rect))
        rects = np.tile(rect, (copies, 1))
        columns.append((np.full(len(copy), layer), copy, crossbar, *rects.T))
    return Placement(*(np.concatenate(column) for column in zip(*columns, strict=True)))


def chunks(grids: tuple[Grid, ...], allocations: list[Allocation]) -> Chunks:
    """Window chunks of all layers: one per copy."""
    rows: list[tuple[IntArray, ...]] = []
    for layer, (grid, allocation) in enumerate(zip(grids, allocations, strict=True)):
        first, last, step = split_windows(grid.windows, len(allocation.position), allocation.split)
        copy = np.arange(len(first))
        rows.append((np.full(len(first), layer), copy, first, last, step, np.zeros_like(first)))
    return Chunks(*(np.concatenate(column) for column in zip(*rows, strict=True)))


def split_windows(windows: int, copies: int, split: str) -> tuple[IntArray, IntArray, IntArray]:
    """First window, last window and step of every copy; ``copies <= windows``."""
    if split == "interleaved":
        first = np.arange(copies)
        return first, first + (windows - 1 - first) // copies * copies, np.full(copies, copies)
    edge = np.arange(copies + 1) * windows // copies
    return edge[:-1], edge[1:] - 1, np.ones(copies, dtype=np.int64)
