"""Temporal scheduling: when every window runs (M7, ``formulations/scheduling/README.md``)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from spatem_opt.cost.durations import PlacedLayer, place
from spatem_opt.cost.grid import Grid
from spatem_opt.model.architecture import Architecture
from spatem_opt.model.solution import Placement
from spatem_opt.network.layers import Network
from spatem_opt.types import IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Chunks:
    """Windows in the order they run: columns of equal length, rows of one copy in their order (M7).

    ``pace``: least number of cycles between the beginnings of successive windows. ``not_before``: earliest start.
    """

    layer: IntArray
    copy: IntArray
    first: IntArray
    last: IntArray
    step: IntArray
    pace: IntArray
    not_before: IntArray


@dataclass(frozen=True, eq=False)
class PlacedNetwork:
    """What runs where; the schedule says when.

    Parameters
    ----------
    architecture, network
    grids : tuple of Grid
        One per crossbar layer.
    placement : Placement
    chunks : Chunks
        Every window of every layer once.
    serial : bool
        A layer begins only when everything before it (in topological order) is done.
    span : int, optional
        Cycles from the first start to the last end of a copy that are aimed at: a copy that would wait for inputs in
        between begins later instead, though no later than leaves its end where it is. None: all begin early.
    """

    architecture: Architecture
    network: Network
    grids: tuple[Grid, ...]
    placement: Placement
    chunks: Chunks
    serial: bool = False
    span: int | None = None

    @cached_property
    def placed(self) -> tuple[PlacedLayer, ...]:
        """Durations and homes of every layer."""
        p = self.placement
        edges = (p.row_start, p.row_stop, p.col_start, p.col_stop)
        return tuple(
            place(grid, self.architecture, p.copy[rows], p.crossbar[rows], np.stack([edge[rows] for edge in edges]).T)
            for grid, rows in zip(self.grids, rows_by_layer(p.layer, len(self.grids)), strict=True)
        )

    def within(self, span: int) -> PlacedNetwork:
        """The same problem with a span aimed at."""
        found = replace(self, span=span)
        found.__dict__["placed"] = self.placed
        return found

    def with_chunks(self, chunks: Chunks) -> PlacedNetwork:
        """The same problem with other chunks; keeps what does not depend on them."""
        found = replace(self, chunks=chunks)
        found.__dict__["placed"] = self.placed
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Times:
    """Reservation of every chunk.

    Parameters
    ----------
    start, end : int64 arrays, shape (chunks,)
        Cycles.
    latency : int
        When the last node is done.
    done : tuple of int64 arrays
        Per node, the cycle at which each output pixel is done, raster order.
    """

    start: IntArray
    end: IntArray
    latency: int
    done: tuple[IntArray, ...]


def rows_by_layer(layer: IntArray, layers: int) -> list[IntArray]:
    """Row numbers of every layer, in their order."""
    order = np.argsort(layer, kind="stable")
    return np.split(order, np.searchsorted(layer[order], np.arange(1, layers)))
