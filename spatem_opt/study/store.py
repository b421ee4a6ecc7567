"""Results of comparisons in one file of lines that is only ever added to, by any number of processes at once.

A result is kept under a hash of all that it depends on: network, chip, method, options, code. What has another key, of
another suite, limit, chip or version, stays where it is. The lock is ``flock`` of the file itself, from the standard
library: the kernel frees it when its holder ends, however that one ends, and there is nothing to install. Where there
is no ``flock`` (Windows) a file beside the store is created as a lock.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import orjson

from spatem_opt.errors import InstanceError
from spatem_opt.files.access import read_bytes
from spatem_opt.model.architecture import Architecture
from spatem_opt.network.json_io import to_json
from spatem_opt.network.layers import Network
from spatem_opt.version import __version__

try:
    import fcntl
except ImportError:  # no POSIX
    fcntl = None  # type: ignore[assignment]

START = b'{"format":"spatem-bench","version":2,'
"""How every line begins: a last line that was torn is a part of this, or goes on from it."""
PRINTING = ("cli", "report")
"""Parts of the package that only print what others have computed: no part of the code version."""
WAIT = 30.0
"""Seconds to wait for a lock file, where there is no flock."""


class Store:
    """Records under keys; of several under one key the last counts.

    Parameters
    ----------
    path : Path
        Made with the first record.

    Attributes
    ----------
    torn : bool
        Whether the last reading found a last line that its writer did not finish. Its result is lost, and no other.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.torn = path, False

    def read(self) -> dict[str, dict[str, Any]]:
        """Return all records, by key.

        Raises
        ------
        InstanceError
            If the file cannot be read or is beyond the limit of files, or a line is something else; the line is named.
        """
        if not self.path.exists():
            return {}
        *lines, rest = read_bytes(self.path).split(b"\n")
        self.torn = bool(rest)
        if rest and not _torn(rest):
            raise InstanceError(f"{self.path}:{len(lines) + 1}", "", "not JSON", "expected a line of spatem bench")
        found = {}
        for number, text in enumerate(lines, 1):
            record = _record(text, f"{self.path}:{number}")
            found[record["key"]] = record
        return found

    def add(self, key: str, record: dict[str, Any]) -> None:
        """Append a record, on disk when this returns.

        The rest of a torn last line, of a writer that was killed, is taken away: nothing could read it.

        Raises
        ------
        InstanceError
            If the file cannot be written.
        """
        line = START + orjson.dumps({"key": key, **record})[1:] + b"\n"
        try:
            with self.path.open("a+b") as file, _locked(file):
                end = file.seek(0, os.SEEK_END)
                if end:
                    file.truncate(_end_of_lines(file, end))
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise InstanceError(
                str(self.path), "", "cannot be written", error.strerror or "expected a writable file"
            ) from error


def _torn(rest: bytes) -> bool:
    """Whether a last line without its end may be one of ours."""
    return rest.startswith(START) if len(rest) >= len(START) else START.startswith(rest)


def _record(text: bytes, where: str) -> dict[str, Any]:
    try:
        line = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InstanceError(where, "", "not JSON", "expected a line of spatem bench") from error
    if isinstance(line, dict) and {"entry", "seconds", "result"} <= line.keys() and "key" not in line:
        rule = "expected another file: results of spatem bench before 'key' do not say of which chip and code they are"
        raise InstanceError(where, "", "an old format", rule)
    known = {"format": "spatem-bench", "version": 2}
    if not isinstance(line, dict) or any(line.get(name) != value for name, value in known.items()):
        raise InstanceError(where, "", "another format", "expected a line of spatem bench")
    if not isinstance(line.get("key"), str) or not isinstance(line.get("result"), dict):
        raise InstanceError(where, "", "another format", "expected a line of spatem bench")
    return line


def _end_of_lines(file: BinaryIO, end: int) -> int:
    """Where the last whole line of a file of `end` bytes ends."""
    block = 1 << 16
    while end:
        begin = max(0, end - block)
        file.seek(begin)
        at = file.read(end - begin).rfind(b"\n")
        if at >= 0:
            return begin + at + 1
        end = begin
    return 0


@contextmanager
def _locked(file: BinaryIO) -> Iterator[None]:
    """Hold the lock of an open file."""
    if fcntl is not None:
        fcntl.flock(file, fcntl.LOCK_EX)  # freed when the file is closed
        yield
        return
    beside = f"{file.name}.lock"
    until = time.monotonic() + WAIT
    while True:
        try:
            os.close(os.open(beside, os.O_CREAT | os.O_EXCL))
            break
        except FileExistsError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
    try:
        yield
    finally:
        os.unlink(beside)


def key_of(network: Network, architecture: Architecture, method: str, options: dict[str, Any]) -> str:
    """Hash of all that a result depends on: SHA-256 in hexadecimal digits.

    Parameters
    ----------
    network, architecture
        Their whole content counts, not their names alone.
    method : str
    options : dict
        Plain data, such as limits and seed.

    Examples
    --------
    >>> from spatem_opt import load_architecture, load_network
    >>> lenet5, chip = load_network("lenet5"), load_architecture("ou-isaac-4x4", {"adc_bits": 5})
    >>> key_of(lenet5, chip, "compare", {}) == key_of(lenet5, chip, "compare", {"seed": 1})
    False
    """
    parts = {
        "network": digest(to_json(network)), "architecture": digest(architecture.to_dict()), "method": method,
        "options": options, "code": code_version(),
    }  # fmt: skip
    return digest(parts)


def digest(data: object) -> str:
    """SHA-256 of plain data and integer columns, in hexadecimal digits; the order of keys does not matter."""
    option = orjson.OPT_SORT_KEYS | orjson.OPT_SERIALIZE_NUMPY
    return hashlib.sha256(orjson.dumps(data, option=option, default=_plain)).hexdigest()


def _plain(value: object) -> object:
    """Columns that are no contiguous memory, which orjson does not take."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is no plain data")


@cache
def code_version() -> str:
    """Release and the first digits of a hash of all code that results come from; an edited line makes another one."""
    package = Path(__file__).resolve().parents[1]
    found = hashlib.sha256()
    for root in (package, package.parent / "formulations"):
        for path in sorted(root.rglob("*.py")):
            name = path.relative_to(root.parent).parts
            if name[0] != package.name or name[1] not in PRINTING:
                found.update("/".join(name).encode() + b"\0" + path.read_bytes() + b"\0")
    return f"{__version__}+{found.hexdigest()[:16]}"
