"""Stop criteria as objects (after PyVRP): ask ``criterion(best)`` once per iteration, stop when it is true.

A criterion is used for one run. Clocks are passed in, so that tests need no time.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol

from spatem_opt.errors import InstanceError

Clock = Callable[[], float]


class StoppingCriterion(Protocol):
    """Decides when an iterative method ends."""

    def __call__(self, best: float) -> bool:
        """Return whether to stop now; `best` is the best objective so far (minimised)."""
        ...


def _check(name: str, value: float, low: float = 0) -> None:
    if isinstance(value, bool) or not value >= low:  # NaN is not >= either
        raise InstanceError(name, "limit", value, f"expected >= {low}")


class MaxRuntime:
    """Stop when `seconds` have passed since the first call.

    Parameters
    ----------
    seconds : float
        At least 0.
    clock : callable
        Seconds since some moment; monotonic.

    Examples
    --------
    >>> ticks = iter([10.0, 11.0, 12.0])
    >>> stop = MaxRuntime(1.5, clock=lambda: next(ticks))
    >>> stop(7), stop(7), stop(7)
    (False, False, True)
    """

    def __init__(self, seconds: float, clock: Clock = time.monotonic) -> None:
        _check("MaxRuntime", seconds)
        self._seconds, self._clock = seconds, clock
        self._start: float | None = None

    def __call__(self, best: float) -> bool:
        """Return whether the time is up."""
        now = self._clock()
        if self._start is None:
            self._start = now
        return now - self._start >= self._seconds

    def remaining(self) -> float:
        """Seconds left, at least 0; all of them before the first call."""
        if self._start is None:
            return self._seconds
        return max(0.0, self._seconds - (self._clock() - self._start))


class MaxIterations:
    """Stop after `iterations` calls.

    Examples
    --------
    >>> stop = MaxIterations(2)
    >>> stop(7), stop(7), stop(7)
    (False, False, True)
    """

    def __init__(self, iterations: int) -> None:
        _check("MaxIterations", iterations)
        self._left = iterations

    def __call__(self, best: float) -> bool:
        """Return whether the iterations are used up."""
        self._left -= 1
        return self._left < 0


class NoImprovement:
    """Stop after `iterations` calls in a row without a better `best`.

    Examples
    --------
    >>> stop = NoImprovement(2)
    >>> [stop(best) for best in (9, 9, 8, 8, 8)]
    [False, False, False, False, True]
    """

    def __init__(self, iterations: int) -> None:
        _check("NoImprovement", iterations)
        self._limit, self._since = iterations, 0
        self._best: float | None = None

    def __call__(self, best: float) -> bool:
        """Return whether nothing has become better for too long."""
        if self._best is None or best < self._best:
            self._best, self._since = best, 0
        else:
            self._since += 1
        return self._since >= self._limit


class Interrupted:
    """Stop after the first Ctrl-C or SIGTERM, so that the best solution so far is kept; a second one ends the program.

    Use it as the criterion inside :func:`catch_interrupt`.
    """

    def __init__(self) -> None:
        self.pressed = False

    def __call__(self, best: float) -> bool:
        """Return whether Ctrl-C was pressed, or SIGTERM came."""
        return self.pressed


class Terminated(SystemExit):
    """SIGTERM came: the program ends, with the exit code that a shell gives for it, after clearing away."""

    def __init__(self) -> None:
        super().__init__(128 + signal.SIGTERM)


def terminate(number: int, frame: FrameType | None) -> None:
    """Handler of SIGTERM that raises :class:`Terminated`, so that what is begun is cleared away."""
    raise Terminated


SIGNALS: dict[signal.Signals, type[BaseException]] = {signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: Terminated}
"""Those that mean stop, and what a second one raises."""


@contextmanager
def catch_interrupt() -> Iterator[Interrupted]:
    """Turn the first SIGINT or SIGTERM within the block into a criterion that is true.

    The second raises KeyboardInterrupt, or :class:`Terminated`. Outside the main thread, where signals
    cannot be caught, the criterion is simply never true.
    """
    criterion = Interrupted()

    def note(number: int, frame: FrameType | None) -> None:
        if criterion.pressed:
            raise SIGNALS[signal.Signals(number)]
        criterion.pressed = True

    try:
        before = {number: signal.signal(number, note) for number in SIGNALS}
    except ValueError:
        yield criterion
        return
    try:
        yield criterion
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class MultipleCriteria:
    """Stop when any of the criteria says so; all are asked every time.

    Examples
    --------
    >>> stop = MultipleCriteria(MaxIterations(5), NoImprovement(1))
    >>> stop(3), stop(3)
    (False, True)
    """

    def __init__(self, *criteria: StoppingCriterion) -> None:
        if not criteria:
            raise InstanceError("MultipleCriteria", "criteria", (), "expected at least one")
        self._criteria = criteria

    def __call__(self, best: float) -> bool:
        """Return whether any criterion is met."""
        answers = [criterion(best) for criterion in self._criteria]
        return any(answers)
