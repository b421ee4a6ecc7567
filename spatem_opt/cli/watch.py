"""How a long run shows itself: a line on a terminal, a line now and then elsewhere, and a file of the log."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from spatem_opt.cli.common import say
from spatem_opt.errors import InstanceError
from spatem_opt.files.names import visible
from spatem_opt.search.progress import LOG, Listener, Progress

EVERY = 10.0
"""Seconds between two lines where stderr is no terminal."""

Log = Annotated[
    str | None, typer.Option("--log", help="Write what is done, with times, to the end of this file.", metavar="FILE")
]


class Watched:
    """The last progress told, at any time with the seconds of that moment."""

    def __init__(self) -> None:
        self._last: tuple[float, Progress] | None = None

    def __call__(self, now: Progress) -> None:
        """Take note."""
        self._last = time.monotonic(), now

    def now(self) -> Progress | None:
        """Progress of this moment; None before any was told."""
        last = self._last
        return None if last is None else replace(last[1], seconds=last[1].seconds + time.monotonic() - last[0])

    def __rich__(self) -> Text:
        """What a terminal shows; a text, so that brackets in names are no markup, without control characters."""
        now = self.now()
        return Text("reading" if now is None else visible(str(now)))


@contextmanager
def progress_line(every: float = EVERY) -> Iterator[Listener]:
    """Show on stderr what is going on: on a terminal in one line that changes, elsewhere a line every 10 seconds."""
    watched, console = Watched(), Console(stderr=True)
    if console.is_terminal:
        with console.status(watched):
            yield watched
        return
    ended = threading.Event()
    thread = threading.Thread(target=_lines, args=(watched, ended, every), daemon=True)
    thread.start()
    try:
        yield watched
    finally:
        ended.set()
        thread.join()


def _lines(watched: Watched, ended: threading.Event, every: float) -> None:
    while not ended.wait(every):
        now = watched.now()
        if now is not None:
            say(str(now))
            sys.stderr.flush()


@contextmanager
def logged(path: str | None) -> Iterator[None]:
    """Append the log of the package to a file within the block; without a path, do nothing.

    Raises
    ------
    InstanceError
        If the file cannot be written.
    """
    if path is None:
        yield
        return
    try:
        handler = logging.FileHandler(path, encoding="utf-8")
    except OSError as error:
        raise InstanceError(path, "", "cannot be written", error.strerror or "expected a writable file") from error
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    level = LOG.level
    LOG.addHandler(handler)
    LOG.setLevel(logging.INFO)
    try:
        yield
    finally:
        LOG.setLevel(level)
        LOG.removeHandler(handler)
        handler.close()
