"""Suites of comparisons: which networks on which chips, run in parallel processes, one JSON line each."""

from __future__ import annotations

import multiprocessing
import os
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from spatem_opt.errors import InstanceError
from spatem_opt.files import shipped
from spatem_opt.files.access import read_toml
from spatem_opt.files.names import find
from spatem_opt.limits import reading
from spatem_opt.model.architecture import Architecture, ArchitectureWarning
from spatem_opt.model.arguments import MAX_WORKERS, amount, as_path, check_flag, check_type, whole
from spatem_opt.model.presets import load_architecture
from spatem_opt.network import load
from spatem_opt.search.processes import begin_helper, interrupt_held
from spatem_opt.study.compare import Comparison, compare
from spatem_opt.study.store import Store, code_version, key_of

Progress = Callable[[str], None]


METHOD, SEED = "compare", 0
"""What a suite runs, and its seed; both are part of a result's key."""
ENDS = 2.0
"""Seconds that a process which was killed is given to be gone."""


@dataclass(frozen=True, slots=True)
class SuiteEntry:
    """One comparison: a network (name or file), a chip (name or file), and changes to the chip as (key, value)."""

    network: str
    architecture: str
    settings: tuple[tuple[str, Any], ...] = ()

    def chip(self) -> Architecture:
        """Read the chip; its cautions are said when a suite is checked."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ArchitectureWarning)
            return load_architecture(self.architecture, dict(self.settings))

    def key(self, time_limit: float | None) -> str:
        """Hash of what must be equal for a stored result to be taken again: contents, not names (:func:`key_of`)."""
        return key_of(load(self.network), self.chip(), METHOD, _options(time_limit))

    def to_dict(self) -> dict[str, Any]:
        """Names and changes, for people who read the store."""
        return {"network": self.network, "architecture": self.architecture, "set": dict(self.settings)}


@dataclass(frozen=True, slots=True)
class Suite:
    """A named list of entries."""

    name: str
    description: str
    entries: tuple[SuiteEntry, ...]


def suites() -> tuple[str, ...]:
    """Names of the shipped suites, sorted.

    Examples
    --------
    >>> "small" in suites()
    True
    """
    return tuple(sorted(path.stem for path in (shipped.root() / "suites").glob("*.toml")))


def load_suite(name_or_path: str | Path) -> Suite:
    """Read a suite: a shipped name, or a TOML file with ``name``, ``description`` and tables ``[[entries]]``.

    An entry has ``networks`` (list of names or files), ``architecture`` and maybe ``set`` (a table of overrides).

    Raises
    ------
    InstanceError
        If there is no such suite, or something in it is wrong.

    Examples
    --------
    >>> [entry.network for entry in load_suite("small").entries]
    ['lenet5', 'cifar10']
    """
    path = as_path("suite", "name_or_path", name_or_path)
    with reading(str(path), "a suite"):
        if path.suffix != ".toml":
            name = find(str(name_or_path), suites())
            if name is None:
                rule = f"expected a .toml file or {', '.join(suites())}"
                raise InstanceError("suite", "", str(name_or_path), rule)
            path = shipped.root() / "suites" / f"{name}.toml"
        return _suite(str(path), read_toml(path, "a suite"))


def _suite(where: str, data: dict[str, Any]) -> Suite:
    _keys(where, data, {"name", "description", "entries"}, {"name", "entries"})
    if not isinstance(data["entries"], list):
        raise InstanceError(where, "entries", data["entries"], "expected tables [[entries]]")
    entries = tuple(e for i, table in enumerate(data["entries"]) for e in _entries(f"{where}: entries[{i}]", table))
    return Suite(str(data["name"]), str(data.get("description", "")), entries)


def run(
    suite: Suite,
    path: Path,
    *,
    time_limit: float | None = None,
    workers: int = 1,
    fresh: bool = False,
    progress: Progress | None = None,
) -> list[Comparison]:
    """Compare on every entry and add each result to the store at `path` as soon as it is there.

    Parameters
    ----------
    suite : Suite
    path : Path
        Of a :class:`~spatem_opt.study.store.Store`, which may have results of other suites, limits and versions, and
        other
        runs writing to it at the same time. Results under the same key are taken, unless `fresh`: then they are made
        again, and the last one of a key counts from then on.
    time_limit : float, optional
        As in :func:`spatem_opt.study.compare.compare`.
    workers : int
        Processes; results do not depend on it, seconds do.
    progress : callable, optional
        Told about every result.

    Returns
    -------
    list of Comparison
        In the order of the suite, without the entries that failed: those are told, and the others go on.

    Raises
    ------
    InstanceError
        If a network or chip of the suite is wrong (before anything runs), or `path` holds something else.
    KeyboardInterrupt
        After Ctrl-C; for SIGTERM as its handler says. What runs is given up at once, what is done is in the store.
    """
    check_type("bench", "suite", suite, Suite)
    check_flag("bench", "fresh", fresh)
    path = as_path("bench", "path", path)
    time_limit, workers = amount("bench", "time_limit", time_limit), whole("bench", "workers", workers, 1, MAX_WORKERS)
    tell = progress if progress is not None else _silent
    store = Store(path)
    keys = {entry: entry.key(time_limit) for entry in suite.entries}
    known = store.read()
    if store.torn:
        tell(f"warning: {path}: the last line was not finished by its writer and is left out")
    todo = [entry for entry, key in keys.items() if fresh or key not in known]
    taken = (lambda entry: False) if fresh else (lambda entry: keys[entry] in store.read())
    there, failed = len(keys) - len(todo), set()
    for entry, record in _results(todo, time_limit, workers, taken):
        there += 1
        if isinstance(record, str):
            failed.add(entry)
            tell(f"failed: {entry.network} on {entry.architecture}: {record}")
            continue
        if record is not None:
            store.add(keys[entry], {"entry": entry.to_dict(), "options": _options(time_limit), **record})
        took = "done by another run" if record is None else f"{record['seconds']:.1f} s"
        tell(f"{there}/{len(keys)} {entry.network}: {took}")
    found = store.read()
    wanted = [keys[entry] for entry in suite.entries if entry not in failed]
    with reading(str(path), "results of spatem bench"):
        return [Comparison.from_dict(found[key]["result"]) for key in wanted if key in found]


def compare_entry(entry: SuiteEntry, time_limit: float | None) -> dict[str, Any]:
    """Run one entry: what it took, what computed it, and the result."""
    begun = time.monotonic()
    result = compare(load(entry.network), entry.chip(), time_limit=time_limit, seed=SEED).to_dict()
    return {"seconds": round(time.monotonic() - begun, 1), "code": code_version(), "result": result}


def _options(time_limit: float | None) -> dict[str, Any]:
    return {"time_limit": time_limit, "seed": SEED}


Record = dict[str, Any] | str | None
"""A result, why there is none, or None where another run has it by now."""


def _results(
    todo: list[SuiteEntry], time_limit: float | None, workers: int, taken: Callable[[SuiteEntry], bool]
) -> Iterator[tuple[SuiteEntry, Record]]:
    """Results as they come; a process per comparison, so that memory is given back. Killed when no more are wanted."""
    waiting, running = deque(todo), dict[Connection, tuple[SuiteEntry, BaseProcess]]()
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                entry = waiting.popleft()
                if taken(entry):
                    yield entry, None
                else:
                    receiver, process = _started(entry, time_limit)
                    running[receiver] = entry, process
            ready = wait(list(running))
            for receiver in [one for one in running if one in ready]:
                entry, process = running.pop(receiver)
                yield entry, _received(receiver, process)
    finally:
        for _, process in running.values():
            process.kill()
        for _, process in running.values():
            process.join(ENDS)


def _started(entry: SuiteEntry, time_limit: float | None) -> tuple[Connection, BaseProcess]:
    """A process that compares, and where its answer will come."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_compare, args=(sender, entry, time_limit, os.getpid()), daemon=True)
    with interrupt_held():
        process.start()
    sender.close()  # the process alone holds it: its end is an answer, too
    return receiver, process


def _compare(sender: Connection, entry: SuiteEntry, time_limit: float | None, parent: int) -> None:
    """Send the result of one entry, or in a line why there is none."""
    begin_helper(parent)
    try:
        sender.send(compare_entry(entry, time_limit))
    except Exception as error:
        sender.send(" ".join(f"{type(error).__name__}: {error}".split()))


def _received(receiver: Connection, process: BaseProcess) -> Record:
    """What a process sent, once it has ended."""
    try:
        found: Record = receiver.recv()
    except EOFError:
        process.join(ENDS)
        found = f"its process ended with code {process.exitcode} (for lack of memory?)"
    receiver.close()
    process.join()
    return found


def _silent(text: str) -> None:
    pass


def _keys(where: str, data: dict[str, Any], allowed: set[str], required: set[str]) -> None:
    for key in data:
        if key not in allowed:
            raise InstanceError(where, key, data[key], f"unknown key; expected {', '.join(sorted(allowed))}")
    for key in sorted(required - data.keys()):
        raise InstanceError(where, key, None, "missing")


def _entries(where: str, table: object) -> list[SuiteEntry]:
    if not isinstance(table, dict):
        raise InstanceError(where, "", table, "expected a table")
    _keys(where, table, {"networks", "architecture", "set"}, {"networks", "architecture"})
    networks, settings = table["networks"], table.get("set", {})
    if not isinstance(networks, list) or not all(isinstance(name, str) for name in networks):
        raise InstanceError(where, "networks", networks, "expected a list of texts")
    if not isinstance(table["architecture"], str):
        raise InstanceError(where, "architecture", table["architecture"], "expected a text")
    if not isinstance(settings, dict):
        raise InstanceError(where, "set", settings, "expected a table")
    return [SuiteEntry(name, table["architecture"], tuple(settings.items())) for name in networks]
