"""What a long run tells while it is at work: a few numbers, to a caller and to the log.

The log is ``logging.getLogger("spatem_opt")``, silent until the caller gives it a handler, as usual for a library.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from spatem_opt.model.result import gap

LOG = logging.getLogger("spatem_opt")
LOG.addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is.

    Parameters
    ----------
    seconds : float
        Since it began.
    trying : str
        What is done now, in a few words.
    value : int or None
        Objective of the best solution so far, in the unit of the objective; None before there is one.
    bound : int or None
        No solution whatever is below; None if it is not known.

    Examples
    --------
    >>> print(Progress(12.34, "exact mapping", 2000, 1500))
    12.3 s: exact mapping, best so far 2,000, bound 1,500, gap 25.0 %
    """

    seconds: float
    trying: str
    value: int | None = None
    bound: int | None = None

    @property
    def gap(self) -> float | None:
        """Relative gap of value and bound, see :func:`spatem_opt.model.result.gap`."""
        return gap(self.value, self.bound)

    def __str__(self) -> str:
        parts = [f"{self.seconds:.1f} s: {self.trying}"]
        if self.value is not None:
            parts.append(f"best so far {self.value:,}")
        if self.bound is not None:
            parts.append(f"bound {self.bound:,}")
        if self.gap is not None:
            parts.append(f"gap {100 * self.gap:.1f} %")
        return ", ".join(parts)


Listener = Callable[[Progress], None]


class Teller:
    """Tells a listener, if there is one, and the log what is tried, with the numbers so far.

    Parameters
    ----------
    listener : callable, optional
    subject : str
        Put before what is tried: the network, where several are worked on.
    bound : int, optional
    """

    def __init__(self, listener: Listener | None, subject: str = "", bound: int | None = None) -> None:
        self._listener, self._subject, self._begun = listener, subject, time.monotonic()
        self._bound = bound
        self._value: int | None = None
        self._trying = ""

    @property
    def seconds(self) -> float:
        """Since this object was made."""
        return time.monotonic() - self._begun

    def __call__(self, trying: str) -> None:
        """Tell what is tried now."""
        self._trying = f"{self._subject}: {trying}" if self._subject else trying
        self._tell()

    def better(self, value: int) -> None:
        """Tell that there is a better solution."""
        self._value = value
        self._tell()

    def _tell(self) -> None:
        now = Progress(self.seconds, self._trying, self._value, self._bound)
        LOG.info("%s", now)
        if self._listener is not None:
            self._listener(now)
