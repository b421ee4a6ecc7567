"""Arguments of the front end, checked before any work: a wrong one is one line with its name, value and rule."""

from __future__ import annotations

import math
import os
from numbers import Integral, Real
from pathlib import Path
from typing import Any, NamedTuple

from spatem_opt.errors import InstanceError
from spatem_opt.model.architecture import Architecture
from spatem_opt.network.layers import Network

MAX_SEED, MAX_WORKERS = 2**31 - 1, 1024
"""Solvers take seeds of 31 bits; more workers than this are a typing slip."""


class RunArguments(NamedTuple):
    """Checked arguments of a run, as plain Python numbers."""

    time_limit: float | None
    seed: int
    workers: int


def check_run(
    where: str,
    inputs: tuple[Any, Any],
    *,
    time_limit: Any = None,
    seed: Any = 0,
    workers: Any = 1,
    progress: Any = None,
) -> RunArguments:
    """Check what all runs take.

    Parameters
    ----------
    where : str
        The function, named in messages.
    inputs : (network, architecture)
    time_limit, seed, workers, progress
        As in :func:`spatem_opt.solve`.

    Raises
    ------
    InstanceError
        If one has the wrong type or is out of range.
    """
    check_type(where, "network", inputs[0], Network)
    check_type(where, "architecture", inputs[1], Architecture)
    check_listener(where, "progress", progress)
    return RunArguments(
        amount(where, "time_limit", time_limit),
        whole(where, "seed", seed, 0, MAX_SEED),
        whole(where, "workers", workers, 1, MAX_WORKERS),
    )


def check_type(where: str, name: str, value: object, kind: type) -> None:
    """Raise :class:`InstanceError` if an argument is of another type."""
    if not isinstance(value, kind):
        article = "an" if kind.__name__[0] in "AEIOU" else "a"
        raise InstanceError(where, name, value, f"expected {article} {kind.__name__}, not {type(value).__name__}")


def check_listener(where: str, name: str, value: object) -> None:
    """Raise :class:`InstanceError` if an argument is neither None nor something to call."""
    if value is not None and not callable(value):
        raise InstanceError(where, name, value, "expected a function of one argument, or None")


def check_flag(where: str, name: str, value: object) -> None:
    """Raise :class:`InstanceError` if an argument is not True or False."""
    if not isinstance(value, bool):
        raise InstanceError(where, name, value, "expected True or False")


def whole(where: str, name: str, value: object, low: int, high: int) -> int:
    """An integer in low ... high (numpy's are taken, truth values are not); raises :class:`InstanceError`."""
    if isinstance(value, bool) or not isinstance(value, Integral) or not low <= int(value) <= high:
        raise InstanceError(where, name, value, f"expected an integer in {low} ... {high}")
    return int(value)


def amount(where: str, name: str, value: object) -> float | None:
    """A finite number >= 0, or None; raises :class:`InstanceError`."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value) or value < 0:
        raise InstanceError(where, name, value, "expected a number >= 0, or None")
    return float(value)


def as_path(where: str, name: str, value: object) -> Path:
    """A file name as a path; raises :class:`InstanceError`."""
    if not isinstance(value, str | os.PathLike):
        raise InstanceError(where, name, value, "expected a file name (text or Path)")
    path = os.fspath(value)
    if not isinstance(path, str) or not path or "\0" in path:
        raise InstanceError(where, name, value, "expected a file name (text or Path)")
    return Path(path)
