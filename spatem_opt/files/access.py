"""JSON files: strict reading, atomic writing, gzip by name."""

from __future__ import annotations

import gzip
import os
import tomllib
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from spatem_opt.errors import InstanceError
from spatem_opt.limits import LARGEST_INTEGER as LARGEST
from spatem_opt.limits import LIMITS


def read_json(path: str | Path) -> Any:
    """Return the content of a JSON file, unzipped if its name ends in ``.gz``.

    Raises
    ------
    InstanceError
        If it is missing, truncated, not gzip or not JSON; NaN and Infinity are not JSON.
    """
    where = str(path)
    data = read_bytes(path)
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise InstanceError(where, "", f"not JSON ({' '.join(str(error).split())})", "expected a JSON file") from error


def read_toml(path: str | Path, expected: str) -> dict[str, Any]:
    """Return the content of a TOML file.

    Raises
    ------
    InstanceError
        If it is missing or not TOML (or nested too deep for the parser); `expected` says what it should be.
    """
    where = str(path)
    try:
        return tomllib.loads(read_bytes(path).decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InstanceError(where, "", f"not TOML ({error})", f"expected {expected}") from error
    except RecursionError as error:
        raise InstanceError(where, "", "not TOML (nested too deep)", f"expected {expected}") from error


def read_bytes(path: str | Path) -> bytes:
    """Return the content of a file, unzipped if its name ends in ``.gz``; no more is read than the limit.

    Raises
    ------
    InstanceError
        If it is missing, not gzip, damaged, or longer (unzipped) than ``LIMITS["bytes of a file"]``.
    """
    where, most = str(path), LIMITS["bytes of a file"]
    try:
        with Path(path).open("rb") as file:
            if not where.endswith(".gz"):
                data = file.read(most + 1)
            else:
                with gzip.GzipFile(fileobj=file) as unzipped:
                    data = unzipped.read(most + 1)
    except gzip.BadGzipFile as error:
        raise InstanceError(where, "", "not a gzip file", "expected one, as the name ends in .gz") from error
    except (EOFError, zlib.error) as error:
        raise InstanceError(where, "", "truncated or damaged", "expected a whole gzip file") from error
    except OSError as error:
        raise InstanceError(where, "", "cannot be read", error.strerror or "expected a file") from error
    except (TypeError, ValueError) as error:  # no text, a null byte
        raise InstanceError(where, "", f"no file name ({error})", "expected a file") from error
    if len(data) > most:
        raise InstanceError(where, "", "too long", f"expected <= {most} (bytes of a file)")
    return data


def write_atomically(path: str | Path, data: bytes) -> None:
    """Write a file as a whole or not at all, zipped if its name ends in ``.gz``.

    The data go to a temporary file in the same folder, which then takes the place of `path`: a reader sees the old
    file or the new one, an interrupted writer leaves the old one.

    Raises
    ------
    InstanceError
        If the folder is missing or cannot be written.
    """
    check_writable(path)
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    if str(path).endswith(".gz"):
        data = gzip.compress(data, 6, mtime=0)
    try:
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise InstanceError(str(path), "", "cannot be written", error.strerror or "expected a writable file") from error


def check_writable(path: str | Path) -> None:
    """Raise :class:`InstanceError` if a file cannot be written at `path`, before long work is begun for it."""
    try:
        target = Path(os.path.realpath(path))
        folder, parent = target.is_dir(), target.parent.is_dir()
        allowed = os.access(target.parent, os.W_OK) and (not target.exists() or os.access(target, os.W_OK))
    except (OSError, TypeError, ValueError) as error:  # too long a name, no text, a null byte
        rule = getattr(error, "strerror", None) or f"expected a file name ({error})"
        raise InstanceError(str(path), "", "cannot be written", rule) from error
    if folder or not parent:
        raise InstanceError(
            str(path), "", "cannot be written", "is a folder" if folder else f"no folder {target.parent}"
        )
    if not allowed:
        raise InstanceError(str(path), "", "cannot be written", "no permission")


def members(data: object, where: str, required: Sequence[str], optional: Sequence[str] = ()) -> dict[str, Any]:
    """Return a JSON object that has exactly the required and maybe the optional keys.

    Raises
    ------
    InstanceError
        If `data` is something else, a key is missing or unknown.
    """
    if not isinstance(data, dict):
        raise InstanceError(where, "", type(data).__name__, "expected an object")
    for key in data:
        if key not in required and key not in optional:
            raise InstanceError(where, key, _brief(data[key]), "unknown key")
    for key in required:
        if key not in data:
            raise InstanceError(where, key, None, "missing")
    return data


def integers(values: object, where: str, name: str) -> NDArray[np.int64]:
    """Return a list of integers as a column.

    Raises
    ------
    InstanceError
        If `values` is no list, or an entry is no integer (bools and floats are not) or beyond 2**53.
    """
    if not isinstance(values, list):
        raise InstanceError(where, name, _brief(values), "expected a list of integers")
    if not set(map(type, values)) <= {int}:
        i = next(i for i, value in enumerate(values) if type(value) is not int)
        raise InstanceError(where, f"{name}[{i}]", _brief(values[i]), "expected an integer")
    if values and not -LARGEST <= min(values) <= max(values) <= LARGEST:
        i = next(i for i, value in enumerate(values) if abs(value) > LARGEST)
        raise InstanceError(where, f"{name}[{i}]", values[i], "expected an integer within +-2^53")
    return np.array(values, dtype=np.int64)


def texts(values: object, where: str, name: str) -> list[str]:
    """Return a list of texts; raises :class:`InstanceError` if `values` is something else."""
    if not isinstance(values, list):
        raise InstanceError(where, name, _brief(values), "expected a list of texts")
    for i, value in enumerate(values):
        if not isinstance(value, str):
            raise InstanceError(where, f"{name}[{i}]", _brief(value), "expected a text")
    return values


def columns(
    data: object, where: str, names: Sequence[str], optional: Sequence[str] = ()
) -> dict[str, NDArray[np.int64]]:
    """Return a table of integer columns of equal length; raises :class:`InstanceError` naming table and column."""
    table = {key: integers(value, where, key) for key, value in members(data, where, names, optional).items()}
    length = len(table[names[0]])
    for key, column in table.items():
        if len(column) != length:
            raise InstanceError(where, key, f"{len(column)} entries", f"expected {length}, as {names[0]} has")
    return table


def _brief(value: object) -> object:
    """A value short enough for one line."""
    text = repr(value)
    return value if len(text) <= 40 else f"{text[:40]}..."
