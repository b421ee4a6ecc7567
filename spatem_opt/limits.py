"""The largest sizes that are taken on a file's word, and the check that is made before anything is allocated.

A few bytes of a file can ask for terabytes: a width of 2^31, a kernel of 2^40. Every size that comes from outside is
compared with a limit of :data:`LIMITS` first. The limits are far beyond any network or chip that the models are for,
and such that what is made of one file stays within a few gibibytes, whatever it says.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod

from spatem_opt.errors import InstanceError, ModelError

LARGEST_INTEGER = 2**53
"""Integers in files stay within what every JSON reader keeps exactly."""
LONGEST_TIME = 2**40
"""Cycles before which a schedule ends (an inference of hours): sums of times stay far inside 64 bits, and float64
keeps loads to the bit. The scheduler, the solution file and the evaluator all hold to it."""
LIMITS: dict[str, int] = {
    "bytes of a file": 2**29,
    "channels": 2**22,
    "pixels on an axis": 2**22,
    "pixels of all nodes": 2**26,
    "taps on an axis": 2**22,
    "taps of one axis of an edge": 2**24,
    "taps of all edges": 2**25,
    "channels read by all edges": 2**25,
    "nodes": 2**17,
    "edges of a node": 2**16,
    "elements on an axis": 2**24,
    "rows of a weight matrix": 2**24,
    "OU rows of a layer": 2**21,
    "OU columns of a layer": 2**22,
    "entries of a table of OUs": 2**26,
    "entries of a table of tiles": 2**27,
    "windows of a patch": 2**16,
    "crossbars": 2**24,
}
"""What is counted -> the most of it."""


def check_size(where: str, field: str, value: int, kind: str) -> int:
    """Return `value` if it is at most the limit of its kind.

    Parameters
    ----------
    where, field : str
        Named in the message.
    value : int
        A size, for example the product of the lengths of a table to be made.
    kind : str
        A key of :data:`LIMITS`.

    Raises
    ------
    InstanceError
        If it is larger, with the number and the limit.

    Examples
    --------
    >>> check_size("node 'conv1'", "kernel", 2**40, "taps on an axis")
    Traceback (most recent call last):
    ...
    spatem_opt.errors.InstanceError: node 'conv1': kernel = 1099511627776, expected <= 4194304 (taps on an axis)
    """
    if value > LIMITS[kind]:
        raise InstanceError(where, field, value, f"expected <= {LIMITS[kind]} ({kind})")
    return value


@dataclass(slots=True)
class Totals:
    """Sizes of the nodes of one network so far, so that many nodes just below the limits are refused as well."""

    pixels: int = 0
    channels: int = 0
    taps: int = 0
    nodes: int = 0

    def add(self, where: str, pixels: int, channels: int = 0, taps: int = 0) -> None:
        """Count one more node: its output pixels, the channels and the taps of its edges.

        Raises
        ------
        InstanceError
            If all nodes together are beyond a limit.
        """
        self.nodes = check_size(where, "nodes", self.nodes + 1, "nodes")
        self.pixels = check_size(where, "pixels", self.pixels + pixels, "pixels of all nodes")
        self.channels = check_size(where, "channels", self.channels + channels, "channels read by all edges")
        self.taps = check_size(where, "taps", self.taps + taps, "taps of all edges")


def table_size(*lengths: int) -> int:
    """Entries of a table, as a Python integer: numpy's would wrap."""
    return prod(int(n) for n in lengths)


@contextmanager
def reading(where: str, expected: str) -> Iterator[None]:
    """Turn whatever a damaged input makes a reader trip over into one :class:`InstanceError`.

    Readers check what they know of by name; this is the last line behind them (IndexError, RecursionError,
    OverflowError, MemoryError ...). Our own errors and warnings pass.

    Parameters
    ----------
    where : str
        The file, or what is read.
    expected : str
        What it should have been, e.g. ``"an ONNX model"``.
    """
    try:
        yield
    except (InstanceError, ModelError, Warning):
        raise
    except Exception as error:
        reason = f"cannot be read ({type(error).__name__}: {error})"
        raise InstanceError(where, "", reason, f"expected {expected}") from error
