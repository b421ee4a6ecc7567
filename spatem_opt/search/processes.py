"""Helper processes that never outlive the process that started them, however that one ends."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

PR_SET_PDEATHSIG = 1
"""``prctl(2)``: the kernel sends a signal when the parent ends."""


def begin_helper(parent: int) -> None:
    """To be called first in a helper: Ctrl-C is for the process that asks, and the helper ends with it.

    Parameters
    ----------
    parent : int
        Process number of the one that started the helper; if it has ended by now, the helper ends here.

    Notes
    -----
    On Linux the kernel kills the helper when the thread that started it ends, even by ``kill -9``. Elsewhere a thread
    waits for the pipe that :mod:`multiprocessing` holds open as long as the parent lives.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a fork has its parent's handler, which only takes note
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)
    else:
        threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    process = multiprocessing.parent_process()
    if process is not None:
        process.join()
        os._exit(1)


@contextmanager
def interrupt_held() -> Iterator[None]:
    """Hold back Ctrl-C within the block: processes started in it never see one, not even while they still import.

    What comes meanwhile is delivered to this process afterwards. Without effect where signals cannot be held back.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
