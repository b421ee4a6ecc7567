"""A solution: decisions only, as the solution file stores them (``formulations/README.md``, M3-M7)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from spatem_opt.errors import InstanceError
from spatem_opt.model.architecture import Architecture
from spatem_opt.network.layers import Network
from spatem_opt.types import IntArray

Scheme = Literal["im2col", "channel-split", "kernel-split", "parallel-window"]
Storage = Literal["slotted", "filled"]


@dataclass(frozen=True, slots=True)
class MappingOption:
    """How one layer's weights become OUs (M3). ``ph``, ``pw``: windows per patch, 1 unless parallel-window."""

    scheme: Scheme = "im2col"
    storage: Storage = "slotted"
    ph: int = 1
    pw: int = 1


def as_column(where: str, name: str, values: object) -> IntArray:
    """Return a list, or an array of any integers, as a contiguous int64 array; that one itself if it is one.

    Raises
    ------
    InstanceError
        If an entry is no integer (truth values, fractions, objects), or beyond 64 bits.
    """
    if isinstance(values, np.ndarray) and values.dtype == np.int64 and values.flags.c_contiguous:
        return values
    try:
        found = np.asarray(values)
    except ValueError as error:  # lists of different lengths
        raise InstanceError(where, name, type(values).__name__, "expected a column of integers") from error
    if not found.size and isinstance(values, list | tuple):
        found = found.astype(np.int64)
    whole = found.dtype.kind in "iu" or (found.dtype.kind == "f" and bool((np.mod(found, 1) == 0).all()))
    if not whole or (found.size and not -(2**63) <= int(found.min()) <= int(found.max()) < 2**63):
        raise InstanceError(where, name, f"{found.dtype} values", "expected integers of 64 bits")
    return np.ascontiguousarray(found, dtype=np.int64)


def _take_columns(table: object, where: str, names: tuple[str, ...]) -> None:
    for name in names:
        object.__setattr__(table, name, as_column(where, name, getattr(table, name)))


@dataclass(frozen=True, slots=True, eq=False)
class Placement:
    """Columns of equal length, one row per rectangle of OUs on a crossbar (M4); taken as int64 (:func:`as_column`).

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

    def __post_init__(self) -> None:
        names = ("layer", "copy", "crossbar", "row_start", "row_stop", "col_start", "col_stop")
        _take_columns(self, "placement", names)


@dataclass(frozen=True, slots=True, eq=False)
class Schedule:
    """Columns of equal length, one row per reservation of a copy's crossbars (M7), int64 as above; times in cycles."""

    layer: IntArray
    copy: IntArray
    first_window: IntArray
    last_window: IntArray
    step: IntArray
    pace: IntArray
    start: IntArray
    end: IntArray

    def __post_init__(self) -> None:
        names = ("layer", "copy", "first_window", "last_window", "step", "pace", "start", "end")
        _take_columns(self, "schedule", names)


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

    def __post_init__(self) -> None:
        kinds = (("architecture", Architecture), ("network", Network), ("placement", Placement), ("schedule", Schedule),
                 ("claims", dict))  # fmt: skip
        for name, kind in kinds:
            if not isinstance(getattr(self, name), kind):
                raise InstanceError("solution", name, getattr(self, name), f"expected a {kind.__name__}")
        if not isinstance(self.mapping, list | tuple) or not all(isinstance(m, MappingOption) for m in self.mapping):
            raise InstanceError("solution", "mapping", self.mapping, "expected a MappingOption per layer")
        object.__setattr__(self, "mapping", tuple(self.mapping))
        object.__setattr__(self, "segment", as_column("solution", "segment", self.segment))
        if self.transfers is not None:
            if not isinstance(self.transfers, dict):
                raise InstanceError("solution", "transfers", self.transfers, "expected a dict of columns, or None")
            taken = {key: as_column("transfers", key, column) for key, column in self.transfers.items()}
            object.__setattr__(self, "transfers", taken)
