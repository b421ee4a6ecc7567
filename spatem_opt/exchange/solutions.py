"""Solution files (M3-M7); the format is described in ``instances/README.md``."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from spatem_opt.cost.arrays import distinct
from spatem_opt.cost.durations import rectangle_ous
from spatem_opt.cost.grid import make_grid
from spatem_opt.errors import InstanceError
from spatem_opt.files.access import columns, integers, members, read_json, texts, write_atomically
from spatem_opt.limits import LONGEST_TIME, check_size, reading
from spatem_opt.model import architecture as architectures
from spatem_opt.model.solution import MappingOption, Placement, Schedule, Solution
from spatem_opt.network.check import check
from spatem_opt.network.json_io import from_json, to_json
from spatem_opt.network.layers import Network
from spatem_opt.types import IntArray

FORMAT = "spatem-solution"
VERSION = 1
SECTIONS = ("architecture", "network", "mapping", "grouping", "replication", "placement", "schedule", "claims")
SCHEMES = ("im2col", "channel-split", "kernel-split", "parallel-window")
STORAGES = ("slotted", "filled")
_PLACEMENT = tuple(f.name for f in fields(Placement))
_SCHEDULE = tuple(f.name for f in fields(Schedule))
_CLAIMED_NUMBERS = ("latency", "period", "communication", "energy", "bound")
_TRANSFERS = ("producer", "tile", "pixels", "channels")


class SummaryWarning(UserWarning):
    """The summaries of a solution file (``grouping``, copies) do not agree with its placement, which is what counts."""


def write_solution(solution: Solution, path: str | Path) -> None:
    """Write a solution file, atomically; zipped if the name ends in ``.gz``.

    Raises
    ------
    InstanceError
        If the file cannot be written, or `solution` holds what JSON cannot (NaN in the claims).
    """
    if not isinstance(solution, Solution):
        raise InstanceError("write_solution", "solution", solution, "expected a Solution")
    data = solution_to_json(solution)
    write_atomically(path, orjson.dumps(data, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE))


def read_solution(path: str | Path) -> Solution:
    """Read a solution file, strictly.

    Returns
    -------
    Solution
        Well-formed; whether it respects the constraints is for :func:`spatem_opt.evaluator.evaluate` to say.

    Raises
    ------
    InstanceError
        If the file is missing, damaged or of another format, if a key is unknown or missing, if a value has the wrong
        type, or if columns differ in length. The message names the path inside the file.

    Warns
    -----
    SummaryWarning
        If the summaries written for people do not agree with the placement.
    """
    return solution_from_json(read_json(path), str(path))


def solution_to_json(solution: Solution) -> dict[str, Any]:
    """Return the content of a solution file: plain objects and int64 columns.

    Raises
    ------
    InstanceError
        If :func:`solution_from_json` would refuse it: sizes or times beyond the limits, an inconsistent network, claims
        that are not JSON.
    """
    _check_times({key: getattr(solution.schedule, key) for key in _SCHEDULE}, "solution: schedule")
    _check_patches([m.ph for m in solution.mapping], [m.pw for m in solution.mapping], "solution: mapping")
    check(solution.network)
    names = layer_names(solution.network)
    summary = summarize(solution)
    _check_json(solution.claims, "claims")
    data: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "architecture": solution.architecture.to_dict(),
        "network": to_json(solution.network),
        "mapping": {
            "layer": names,
            "scheme": [option.scheme for option in solution.mapping],
            "storage": [option.storage for option in solution.mapping],
            "ph": [option.ph for option in solution.mapping],
            "pw": [option.pw for option in solution.mapping],
        },
        "grouping": {"layer": names, "crossbars": summary["crossbars"], "serial_ous": summary["serial_ous"]},
        "replication": {"layer": names, "copies": summary["copies"], "segment": solution.segment},
        "placement": {key: getattr(solution.placement, key) for key in _PLACEMENT},
        "schedule": {key: getattr(solution.schedule, key) for key in _SCHEDULE},
    }
    if solution.transfers is not None:
        data["transfers"] = solution.transfers
    return {**data, "claims": solution.claims}


def solution_from_json(data: object, where: str = "solution") -> Solution:
    """Return the solution that the content of a file spells; see :func:`read_solution`."""
    with reading(where, "a solution file"):
        return _from_json(data, where)


def _from_json(data: object, where: str) -> Solution:
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        found = data.get("format") if isinstance(data, dict) else type(data).__name__
        raise InstanceError(where, "format", found, f"expected {FORMAT!r}")
    if type(data.get("version")) is not int or data["version"] != VERSION:
        raise InstanceError(where, "version", data.get("version"), f"expected {VERSION}")
    members(data, where, ("format", "version", *SECTIONS), ("transfers",))
    network = from_json(data["network"], f"{where}: network")
    copies, segment = _replication(data["replication"], f"{where}: replication", network)
    transfers = columns(data["transfers"], f"{where}: transfers", _TRANSFERS) if "transfers" in data else None
    solution = Solution(
        architecture=architectures.from_dict(data["architecture"], f"{where}: architecture"),
        network=network,
        mapping=_mapping(data["mapping"], f"{where}: mapping", network),
        placement=Placement(**columns(data["placement"], f"{where}: placement", _PLACEMENT)),
        schedule=_schedule(data["schedule"], f"{where}: schedule"),
        segment=segment,
        claims=_claims(data["claims"], f"{where}: claims"),
        transfers=transfers,
    )
    written = {"copies": copies, **_grouping(data["grouping"], f"{where}: grouping", network)}
    _compare(solution, written, where)
    return solution


def layer_names(network: Network) -> list[str]:
    """Names of the crossbar layers, by layer number."""
    return [network.nodes[i].name for i in network.layers]


def summarize(solution: Solution) -> dict[str, IntArray]:
    """Derive what people want to know first from the placement, per layer.

    Returns
    -------
    dict of int64 arrays, shape (layers,)
        ``copies``; ``crossbars``: n, the most crossbars any copy uses; ``serial_ous``: m, the most existing OUs of one
        copy on one crossbar.

    Raises
    ------
    InstanceError
        If a mapping option cannot be used, or the placement names OUs that the grids do not have.
    """
    p, layers = solution.placement, solution.network.layers
    result = {key: np.zeros(len(layers), dtype=np.int64) for key in ("copies", "crossbars", "serial_ous")}
    order = np.argsort(p.layer, kind="stable")
    bounds = np.searchsorted(p.layer[order], np.arange(len(layers) + 1))
    for number, index in enumerate(layers):
        rows = order[bounds[number] : bounds[number + 1]]
        if not len(rows):
            continue
        grid = make_grid(solution.network.nodes[index], solution.mapping[number], solution.architecture)
        rect = np.stack([p.row_start[rows], p.row_stop[rows], p.col_start[rows], p.col_stop[rows]]).T
        stops, starts = rect[:, 1::2], rect[:, ::2]
        if (starts < 0).any() or (starts >= stops).any() or (stops > grid.shape).any():
            raise InstanceError("placement", "rectangles", number, f"expected within the grid {grid.shape}")
        (copies, copy), (crossbars, crossbar) = distinct(p.copy[rows]), distinct(p.crossbar[rows])
        pair, owner = distinct(copy * len(crossbars) + crossbar)
        result["copies"][number] = len(copies)
        result["crossbars"][number] = np.bincount(pair // len(crossbars)).max()
        result["serial_ous"][number] = int(np.bincount(owner, rectangle_ous(grid, rect)).max())
    return result


def _compare(solution: Solution, written: dict[str, IntArray], where: str) -> None:
    """Warn where the summaries in the file and the placement differ, in one line."""
    try:
        derived = summarize(solution)
    except InstanceError:
        return  # the evaluator says what is wrong with the placement or the mapping
    for key, values in written.items():
        for number in np.flatnonzero(values != derived[key])[:1]:
            name, section = layer_names(solution.network)[number], "replication" if key == "copies" else "grouping"
            warnings.warn(
                f"{where}: {section}: {key} of layer {name!r} = {values[number]}, "
                f"but the placement has {derived[key][number]}",
                SummaryWarning,
                stacklevel=4,
            )


def _by_layer(data: object, where: str, network: Network, names: tuple[str, ...]) -> dict[str, Any]:
    """A table with one entry per crossbar layer, in order, named."""
    table = members(data, where, ("layer", *names))
    expected = layer_names(network)
    for i, (found, name) in enumerate(zip(texts(table["layer"], where, "layer"), expected, strict=False)):
        if found != name:
            raise InstanceError(where, f"layer[{i}]", found, f"expected {name!r}, as in network")
    for key, column in table.items():
        if not isinstance(column, list):
            raise InstanceError(where, key, type(column).__name__, "expected a list")
        if len(column) != len(expected):
            raise InstanceError(where, key, f"{len(column)} entries", f"expected {len(expected)}, one per layer")
    return table


def _mapping(data: object, where: str, network: Network) -> tuple[MappingOption, ...]:
    table = _by_layer(data, where, network, ("scheme", "storage", "ph", "pw"))
    for key, allowed in (("scheme", SCHEMES), ("storage", STORAGES)):
        for i, value in enumerate(texts(table[key], where, key)):
            if value not in allowed:
                raise InstanceError(where, f"{key}[{i}]", value, "expected " + " or ".join(allowed))
    heights, widths = integers(table["ph"], where, "ph").tolist(), integers(table["pw"], where, "pw").tolist()
    _check_patches(heights, widths, where)
    return tuple(map(MappingOption, table["scheme"], table["storage"], heights, widths))


def _grouping(data: object, where: str, network: Network) -> dict[str, IntArray]:
    names = ("crossbars", "serial_ous")
    table = _by_layer(data, where, network, names)
    return {key: integers(table[key], where, key) for key in names}


def _replication(data: object, where: str, network: Network) -> tuple[IntArray, IntArray]:
    table = _by_layer(data, where, network, ("copies", "segment"))
    return integers(table["copies"], where, "copies"), integers(table["segment"], where, "segment")


def _schedule(data: object, where: str) -> Schedule:
    required = tuple(name for name in _SCHEDULE if name != "pace")
    table = columns(data, where, required, ("pace",))
    table.setdefault("pace", np.zeros_like(table["start"]))
    _check_times(table, where)
    return Schedule(**table)


def _check_times(table: dict[str, IntArray], where: str) -> None:
    for key in ("start", "end", "pace"):
        late = np.flatnonzero((table[key] >= LONGEST_TIME) | (table[key] <= -LONGEST_TIME))
        if len(late):
            value = int(table[key][late[0]])
            raise InstanceError(where, f"{key}[{late[0]}]", value, f"expected within +-{LONGEST_TIME} cycles")


def _check_patches(heights: Sequence[int], widths: Sequence[int], where: str) -> None:
    for i, (height, width) in enumerate(zip(heights, widths, strict=True)):
        for key, value in (("ph", height), ("pw", width), ("ph * pw", height * width)):
            check_size(where, f"{key}[{i}]", value, "windows of a patch")


def _claims(data: object, where: str) -> dict[str, dict[str, Any]]:
    if not isinstance(data, dict):
        raise InstanceError(where, "", type(data).__name__, "expected an object")
    for key, value in data.items():
        if not isinstance(value, dict):
            raise InstanceError(where, key, type(value).__name__, "expected an object")
    total = data.get("total", {})
    if not isinstance(total.get("objective", ""), str):
        raise InstanceError(where, "total.objective", total["objective"], "expected a text")
    for key in _CLAIMED_NUMBERS:
        value = total.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float | None):
            raise InstanceError(where, f"total.{key}", value, "expected a number")
    return data


def _check_json(value: object, where: str) -> None:
    """Raise if `value` is not JSON: orjson would write NaN as null."""
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise InstanceError(where, "key", key, "expected a text")
            _check_json(item, f"{where}.{key}")
    elif isinstance(value, list | tuple):
        for item in value:
            _check_json(item, where)
    elif isinstance(value, float | np.floating) and not math.isfinite(value):
        raise InstanceError(where, "value", value, "expected a finite number")
    elif not isinstance(value, str | bool | int | float | np.integer | np.floating | None):
        raise InstanceError(where, "value", type(value).__name__, "expected text, number, list or object")
