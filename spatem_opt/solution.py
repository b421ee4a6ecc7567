"""A solution: decisions only, as the solution file stores them (``formulations/README.md``, M3-M7)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from spatem_opt.architecture import Architecture
from spatem_opt.network.layers import Network

IntArray = NDArray[np.int64]
Scheme = Literal["im2col", "channel-split", "kernel-split", "parallel-window"]
Storage = Literal["slotted", "filled"]


@dataclass(frozen=True, slots=True)
class MappingOption:
    """How one layer's weights become OUs (M3). ``ph``, ``pw``: windows per patch, 1 unless parallel-window."""

    scheme: Scheme = "im2col"
    storage: Storage = "slotted"
    ph: int = 1
    pw: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Placement:
    """Columns of equal length, one row per rectangle of OUs on a crossbar (M4); all int64.

    ``layer`` is the layer number (:attr:`Network.layers`), ``copy`` counts from 0 in each layer, ``crossbar`` counts
    tile by tile, PE by PE; rows and columns are OU indices of the layer's grid, half open.
    """

    layer: IntArray
    copy: IntArray
    crossbar: IntArray
    row_start: IntArray
    row_stop: IntArray
    col_start: IntArray
    col_stop: IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Schedule:
    """Columns of equal length, one row per reservation of a copy's crossbars (M7); all int64, times in cycles."""

    layer: IntArray
    copy: IntArray
    first_window: IntArray
    last_window: IntArray
    step: IntArray
    pace: IntArray
    start: IntArray
    end: IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Solution:
    """Everything the evaluator needs.

    Parameters
    ----------
    architecture, network
        What the solution is for.
    mapping : tuple of MappingOption
        One per crossbar layer.
    placement : Placement
    schedule : Schedule
    segment : int64 array, shape (layers,)
        Segment of every layer (0 for a single pipeline); information for people, the schedule is what counts.
    claims : dict
        Per step ``{"engine", "status", "objective", "bound", "seconds", "versions", "seed"}`` and, under ``"total"``,
        ``{"objective": name, "latency": cycles, "period": cycles, "communication": bits, "bound": number}``.
    transfers : dict of int64 arrays or None
        Columns ``producer`` (node), ``tile``, ``pixels``, ``channels`` of equal length: what each tile receives of each
        node (M6). They follow from the placement and the schedule; None when not recorded.
    """

    architecture: Architecture
    network: Network
    mapping: tuple[MappingOption, ...]
    placement: Placement
    schedule: Schedule
    segment: IntArray
    claims: dict[str, dict[str, Any]] = field(default_factory=dict)
    transfers: dict[str, IntArray] | None = None
