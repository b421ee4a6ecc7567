"""The bytes of an ONNX file without the data of its large tensors: shapes are all that the importer needs of weights.

A protocol buffer is a list of fields, each a tag, and for what is long a number of bytes. The file is mapped, the
fields that can hold tensors are walked, and data too long to be shape arithmetic are stepped over: they are never read.
"""

from __future__ import annotations

import mmap
from pathlib import Path

LONGEST = 2**15
"""Bytes of tensor data that are kept: 4096 integers of 64 bits, and all messages that are shorter as they are."""
_DEPTH = 100  # of messages in messages, as protobuf's own limit
_VARINT, _FIXED64, _LEN, _FIXED32 = 0, 1, 2, 5
# Message -> field -> the message in it; data of a tensor are None.
_FIELDS: dict[str, dict[int, str | None]] = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": dict.fromkeys((4, 5, 6, 7, 9, 10, 11)),
}


class IncompleteError(ValueError):
    """The bytes are no protocol buffer, or end too early."""


def stripped(path: Path) -> bytes:
    """The file's model as bytes, without the data of large tensors.

    Raises
    ------
    OSError
        If it cannot be read.
    IncompleteError
        If it is no protocol buffer, or truncated.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        if not size:
            return b""
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _message(data, 0, size, "model", 0)


def _message(data: mmap.mmap, start: int, end: int, kind: str, depth: int) -> bytes:
    if depth > _DEPTH:
        raise IncompleteError("messages are nested too deeply")
    inside, parts, kept, at = _FIELDS[kind], [], start, start
    while at < end:
        begin = at
        tag, at = _varint(data, at, end)
        wire, field = tag & 7, tag >> 3
        if wire == _VARINT:
            _, at = _varint(data, at, end)
            continue
        length, at = _varint(data, at, end) if wire == _LEN else ({_FIXED64: 8, _FIXED32: 4}.get(wire, -1), at)
        if length < 0 or at + length > end or not field:
            raise IncompleteError("a field ends behind its message")
        if wire == _LEN and length > LONGEST and field in inside:
            parts.append(data[kept:begin])
            child = inside[field]
            if child is not None:
                body = _message(data, at, at + length, child, depth + 1)
                parts += [_encoded(tag), _encoded(len(body)), body]
            kept = at + length
        at += length
    parts.append(data[kept:end])
    return b"".join(parts)


def _varint(data: mmap.mmap, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift < 70:
        byte = data[at]
        value |= (byte & 127) << shift
        at += 1
        if byte < 128:
            return value, at
        shift += 7
    raise IncompleteError("a number does not end")


def _encoded(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)
