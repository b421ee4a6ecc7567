"""Compact form of taps and channel gathers in files; the schema is in ``instances/networks/README.md``."""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import Any

import numpy as np

from spatem_opt.errors import InstanceError
from spatem_opt.limits import LIMITS, check_size, table_size
from spatem_opt.network import receptive as r
from spatem_opt.network.layers import CONSTANT
from spatem_opt.types import IntArray

# Larger numbers are a mistake in the file, not a network.
MAX_AXIS = max(LIMITS[kind] for kind in ("channels", "pixels on an axis", "taps on an axis"))
_SLIDING: dict[str, Callable[[int, int, int, int, int, int], IntArray]] = {
    "window": r.window_taps,
    "transposed": r.transposed_taps,
}
_DEFAULTS = {"kernel": 1, "stride": 1, "pad": 0, "dilation": 1}


def integer(where: str, field: str, value: Any, low: int, high: int = MAX_AXIS) -> int:
    """`value` if it is an integer in low ... high (no bool, no float).

    Raises
    ------
    InstanceError
        If not.
    """
    if type(value) is not int or not low <= value <= high:
        raise InstanceError(where, field, value, f"expected an integer in {low} ... {high}")
    return value


def keys(where: str, value: Any, required: Set[str], optional: Set[str] = frozenset()) -> dict[str, Any]:
    """`value` if it is an object with all required and no other than the optional keys.

    Raises
    ------
    InstanceError
        If not.
    """
    if not isinstance(value, dict):
        raise InstanceError(where, "", f"found {type(value).__name__}", "expected an object")
    for key in value:
        if key not in required and key not in optional:
            raise InstanceError(where, str(key), value[key], f"unknown key, expected {sorted(required | optional)}")
    for key in sorted(required - value.keys()):
        raise InstanceError(where, key, None, "is missing")
    return value


def _first_valid(taps: IntArray) -> tuple[int, int, int, int]:
    """Stride, pad and dilation that fit the first valid entries, and the highest entry."""
    ys, iz = np.nonzero(taps >= 0)
    if not len(ys):
        return 1, 0, 1, -1
    y, i, v = int(ys[0]), int(iz[0]), int(taps[ys[0], iz[0]])
    dilation, stride = 1, 1
    same = np.flatnonzero(ys == y)
    if len(same) > 1:
        j = int(iz[same[1]])
        dilation = (int(taps[y, j]) - v) // (j - i)
    other = np.flatnonzero(ys != y)
    if len(other):
        y2, i2 = int(ys[other[0]]), int(iz[other[0]])
        stride = (int(taps[y2, i2]) - v - (i2 - i) * dilation) // (y2 - y)
    return stride, y * stride + i * dilation - v, dilation, int(taps.max())


def write_taps(taps: IntArray, length: int, hint: tuple[int, int] | None = None) -> dict[str, Any]:
    """The shortest object that :func:`read_taps` turns into exactly `taps`.

    Parameters
    ----------
    taps : int64 array, shape (outputs, taps)
    length : int
        Rows (columns) of the producers: the length that readers assume.
    hint : (stride, dilation) or None
        Of a transposed convolution.
    """
    outputs, kernel = taps.shape
    if kernel == length and kernel > 1 and (taps == np.arange(length)).all():
        return {"kind": "full"}
    if hint is not None:
        found = _write_transposed(taps, length, hint)
        return found if found is not None else {"kind": "table", "taps": taps.tolist()}
    stride, pad, dilation, high = _first_valid(taps)
    for n in (length, high + 1):
        if stride >= 0 and dilation >= 1 and n >= 1:
            same = np.array_equal(r.window_taps(outputs, kernel, stride, pad, dilation, n), taps)
            if same:
                return _sliding("window", kernel, stride, pad, dilation, n, length)
    return {"kind": "table", "taps": taps.tolist()}


def _write_transposed(taps: IntArray, length: int, hint: tuple[int, int]) -> dict[str, Any] | None:
    (outputs, kernel), (stride, dilation) = taps.shape, hint
    ys, iz = np.nonzero(taps >= 0)
    pad = int(taps[ys[0], iz[0]]) * stride + int(iz[0]) * dilation - int(ys[0]) if len(ys) else 0
    if np.array_equal(r.transposed_taps(outputs, kernel, stride, pad, dilation, length), taps):
        return _sliding("transposed", kernel, stride, pad, dilation, length, length)
    return None


def _sliding(kind: str, kernel: int, stride: int, pad: int, dilation: int, n: int, length: int) -> dict[str, Any]:
    numbers = {"kernel": kernel, "stride": stride, "pad": pad, "dilation": dilation}
    short: dict[str, Any] = {k: v for k, v in numbers.items() if v != _DEFAULTS[k]}
    if kind != "window":
        short = {"kind": kind, **short}
    return short if n == length else {**short, "length": n}


def read_taps(where: str, value: Any, outputs: int, length: int) -> IntArray:
    """Taps from their object.

    Parameters
    ----------
    where : str
    value : object
        As in the file.
    outputs, length : int
        Rows (columns) of the reading node and of the producers.

    Raises
    ------
    InstanceError
        If the object is wrong.
    """
    kind = value.get("kind", "window") if isinstance(value, dict) else "window"
    if kind == "full":
        keys(where, value, {"kind"})
        check_size(where, "outputs * length", table_size(outputs, length), "taps of one axis of an edge")
        return r.full_taps(outputs, length)
    if kind == "table":
        return _read_table(where, keys(where, value, {"kind", "taps"})["taps"], outputs, length)
    if not isinstance(kind, str) or kind not in _SLIDING:
        raise InstanceError(where, "kind", kind, f"expected one of {sorted([*_SLIDING, 'full', 'table'])}")
    keys(where, value, set(), {"kind", "kernel", "stride", "pad", "dilation", "length"})
    kernel = integer(where, "kernel", value.get("kernel", 1), 1)
    stride = integer(where, "stride", value.get("stride", 1), int(kind == "transposed"))
    pad = integer(where, "pad", value.get("pad", 0), -MAX_AXIS)
    dilation = integer(where, "dilation", value.get("dilation", 1), 1)
    size = integer(where, "length", value.get("length", length), 1, length)
    check_size(where, "kernel * outputs", table_size(kernel, outputs), "taps of one axis of an edge")
    return _SLIDING[kind](outputs, kernel, stride, pad, dilation, size)


def _read_table(where: str, value: Any, outputs: int, length: int) -> IntArray:
    if not isinstance(value, list) or len(value) != outputs or not all(isinstance(row, list) for row in value):
        raise InstanceError(where, "taps", f"{type(value).__name__}", f"expected {outputs} lists, one per output")
    if len({len(row) for row in value}) != 1 or not value[0]:
        raise InstanceError(where, "taps", sorted({len(row) for row in value}), "expected lists of one length >= 1")
    for y, row in enumerate(value):
        for i, tap in enumerate(row):
            integer(where, f"taps[{y}][{i}]", tap, -1, length - 1)
    table = np.array(value, dtype=np.int64)
    table.setflags(write=False)
    return table


def write_channels(source: IntArray, channel: IntArray) -> list[list[int]]:
    """Runs ``[node, first channel, count]`` or ``[node, first channel, count, step]`` that gather the channels."""
    total = len(source)
    jump = np.diff(channel)
    jump[np.diff(source) != 0] = np.iinfo(np.int64).max  # no run crosses from one node to another
    ends = np.append(np.flatnonzero(np.diff(jump)) + 1, total - 1)  # where a run of equal jumps ends
    starts, nodes, jumps, firsts = 0, source.tolist(), jump.tolist(), channel.tolist()
    runs, end = [], 0
    while starts < total:
        while ends[end] <= starts and ends[end] < total - 1:
            end += 1
        broken = starts == total - 1 or jumps[starts] == np.iinfo(np.int64).max
        last = starts if broken else int(ends[end])
        step = 1 if broken else jumps[starts]
        run = [nodes[starts], firsts[starts], last - starts + 1]
        runs.append(run if step == 1 else [*run, step])
        starts = last + 1
    return runs


def read_channels(where: str, value: Any, position: int, channels: list[int]) -> tuple[IntArray, IntArray]:
    """Sources and channels from the runs; `channels` are those of the nodes before `position`.

    Raises
    ------
    InstanceError
        If a run is malformed, names this or a later node or a channel that the node does not have.
    """
    if not isinstance(value, list) or not value:
        raise InstanceError(where, "from", value, "expected a list of [node, first channel, count] or [..., step]")
    sources, gathered, total = [], [], 0
    for i, run in enumerate(value):
        field = f"from[{i}]"
        if not isinstance(run, list) or len(run) not in (3, 4):
            raise InstanceError(where, field, run, "expected [node, first channel, count] or [..., step]")
        node = integer(where, f"{field}[0]", run[0], CONSTANT)
        if node >= position:
            raise InstanceError(where, f"{field}[0]", node, f"expected an earlier node, 0 ... {position - 1}")
        first = integer(where, f"{field}[1]", run[1], 0, channels[node] - 1 if node != CONSTANT else 0)
        count = integer(where, f"{field}[2]", run[2], 1)
        step = integer(where, f"{field}[3]", run[3], -MAX_AXIS) if len(run) == 4 else 1
        last = first + (count - 1) * step
        if node == CONSTANT and last:
            raise InstanceError(where, field, run, f"expected [{CONSTANT}, 0, count, 0] for constants")
        if node != CONSTANT and not 0 <= last < channels[node]:
            raise InstanceError(where, field, run, f"expected channels 0 ... {channels[node] - 1} of node {node}")
        total = check_size(where, "channels", total + count, "channels")
        sources.append(np.full(count, node, dtype=np.int64))
        gathered.append(first + step * np.arange(count, dtype=np.int64))
    if all(run[0] == CONSTANT for run in value):
        raise InstanceError(where, "from", value, "expected a node, not constants only")
    return np.concatenate(sources), np.concatenate(gathered)
