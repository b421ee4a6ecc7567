"""Budgets: work that is given up when its time is up, wherever it is by then, and a list of what was given up."""

from __future__ import annotations

import ctypes
import sys
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from spatem_opt.errors import InstanceError
from spatem_opt.search.progress import LOG

LOOK = 0.05
"""Seconds between two looks at a budget while work is done."""
GRACE = 0.4
"""Seconds for what looks at the budget itself, such as a solver, to end with what it has before it is given up."""
AGAIN = 2.0
"""Seconds after which work that swallowed the exception, say in a destructor, is given up once more."""
WHOLE = frozenset({"importlib", "_frozen_importlib", "threading", "concurrent", "multiprocessing", "queue", "logging"})
"""Packages whose calls are not left half way: half a module would stay behind, which no later import would mend, or a
lock that nobody gives back."""

Answer = TypeVar("Answer")


class CutShort(BaseException):
    """Ends work whose budget is used up. No :class:`Exception`, so that no handler of errors takes it for one."""


class Budget:
    """When work must end, and what had to be cut short for it.

    Parameters
    ----------
    seconds : float or None
        Wall time from now on; None: no limit.
    stop : callable, optional
        Once true, such as after Ctrl-C, the budget is used up as well.

    Examples
    --------
    >>> budget = Budget(0.0)
    >>> budget.spend("counting", lambda: sum(1 for _ in range(10**12)))
    >>> budget.cuts
    ('counting cut short: time was up',)
    """

    def __init__(self, seconds: float | None, stop: Callable[[], bool] | None = None) -> None:
        if seconds is not None and not seconds >= 0:
            raise InstanceError("Budget", "seconds", seconds, "expected >= 0")
        self._end = None if seconds is None else time.monotonic() + seconds
        self._stop = stop
        self._cuts: list[str] = []
        self._whole = self
        self._kept = 0.0

    def part(self, seconds: float | None) -> Budget:
        """A part of this budget, which ends with it at the latest; what is cut short is noted in both."""
        found = Budget(seconds, self._stop)
        found._cuts, found._whole = self._cuts, self._whole
        if self._end is not None:
            found._end = self._end if found._end is None else min(self._end, found._end)
        return found

    def keep(self, seconds: float) -> None:
        """Let this budget and its parts end that much before the time given, for what has to be done at the end."""
        self._whole._kept = seconds

    @property
    def cuts(self) -> tuple[str, ...]:
        """What was cut short or not begun, and why, one text each."""
        return tuple(self._cuts)

    @property
    def interrupted(self) -> bool:
        """Whether it was told to stop."""
        return self._stop is not None and self._stop()

    def over(self) -> bool:
        """Whether it is used up."""
        return self.interrupted or self.left() == 0.0

    @property
    def why(self) -> str:
        """Why it is used up, in words."""
        return "interrupted" if self.interrupted else "time was up"

    def left(self) -> float | None:
        """Seconds left, at least 0; None without a limit."""
        whole = self._whole
        if self._end is None or whole._end is None:
            return None if self._end is None else max(0.0, self._end - time.monotonic())
        return max(0.0, min(self._end, whole._end - whole._kept) - time.monotonic())

    def note(self, what: str, fate: str = "cut short") -> str:
        """Put down what was cut short, or another fate, once; return fate and reason."""
        text = f"{fate}: {self.why}"
        if f"{what} {text}" not in self._cuts:
            self._cuts.append(f"{what} {text}")
            LOG.info("%s %s", what, text)
        return text

    def spend(self, what: str, work: Callable[[], Answer], ready: Callable[[], bool] | None = None) -> Answer | None:
        """What `work` returns; None if the budget is used up, and `ready` true, before it does: that is noted.

        Work is left by an exception that another thread sets in this one (``PyThreadState_SetAsyncExc``): it comes
        between two bytecodes, so a single long call into C ends first; so do an import and calls of the modules in
        :data:`WHOLE`, which would leave half a module or a held lock behind. A solver in a thread of its own
        (:func:`formulations.solver.interruptible`) is such a call: it keeps its own limits. Work must therefore leave
        nothing half done behind: here it computes, and what it has found so far is kept elsewhere.
        """
        if self._end is None and self._stop is None:
            return work()
        answer, cut = cut_off(work, lambda: self.over() and (ready is None or ready()))
        if cut:
            self.note(what)
        return answer


def cut_off(work: Callable[[], Answer], late: Callable[[], bool]) -> tuple[Answer | None, bool]:
    """Work to its end, or until :data:`GRACE` seconds after `late` became true; see :meth:`Budget.spend`.

    Returns
    -------
    answer
        None if it was cut off.
    cut : bool
        Whether it was.
    """

    class Kind(CutShort):
        """Of this work alone: what is cut off within it does not catch it."""

    answer, cut, error = None, False, None
    ended = threading.Event()
    watcher = threading.Thread(target=_watch, args=(threading.get_ident(), Kind, late, ended), daemon=True)
    watcher.start()
    try:
        answer = work()
    except Kind:
        cut = True
    except BaseException as raised:
        cut, error = (True, None) if _caused_by(raised, Kind) else (False, raised)
    while True:  # the exception may still come, and does so where the next function begins at the latest
        try:
            ended.set()
            watcher.join()
            _nothing()
            break
        except Kind:
            cut = answer is None
    if error is not None:
        raise error
    return answer, cut


def _watch(thread: int, kind: type[CutShort], late: Callable[[], bool], ended: threading.Event) -> None:
    """Raise `kind` in a thread when it is late, until the block has ended."""
    while not ended.wait(LOOK):
        if late():
            break
    pause = GRACE
    while not ended.wait(pause):
        if _held(thread):
            pause = LOOK
            continue
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(kind))
        pause = AGAIN


def _nothing() -> None:
    """A call, where an exception comes that waits for it.

    Taking it back (``PyThreadState_SetAsyncExc`` with NULL) would leave the interpreter looking for one for ever: in
    Python 3.11 the first function that is traced or profiled afterwards never begins.
    """


def _held(thread: int) -> bool:
    """Whether the work is within a call that must come to its end (:data:`WHOLE`)."""
    frame = sys._current_frames().get(thread)
    while frame is not None and frame.f_code is not cut_off.__code__:
        if frame.f_globals.get("__name__", "").partition(".")[0] in WHOLE:
            return True
        frame = frame.f_back
    return False


def _caused_by(error: BaseException | None, kind: type[CutShort]) -> bool:
    """Whether an exception stands for another, as extension modules make an ImportError of whatever happens in them."""
    while error is not None and not isinstance(error, kind):
        error = error.__cause__
    return error is not None
