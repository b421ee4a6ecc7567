"""Suites of comparisons: which networks on which chips, run in parallel processes, one JSON line each."""

from __future__ import annotations

import multiprocessing
import time
import tomllib
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

import spatem_opt
from spatem_opt import instances
from spatem_opt.architecture import ArchitectureWarning
from spatem_opt.compare import Comparison, compare
from spatem_opt.errors import InstanceError
from spatem_opt.files import write_atomically
from spatem_opt.names import find
from spatem_opt.network import load
from spatem_opt.presets import load_architecture

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Entry:
    """One comparison: a network (name or file), a chip (name or file), and changes to the chip as (key, value)."""

    network: str
    architecture: str
    settings: tuple[tuple[str, Any], ...] = ()

    def key(self, time_limit: float | None) -> dict[str, Any]:
        """What must be equal for a stored result to be taken again."""
        return {
            "network": self.network, "architecture": self.architecture, "set": dict(self.settings),
            "time_limit": time_limit, "version": spatem_opt.__version__,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Suite:
    """A named list of entries."""

    name: str
    description: str
    entries: tuple[Entry, ...]


def suites() -> tuple[str, ...]:
    """Names of the shipped suites, sorted.

    Examples
    --------
    >>> "small" in suites()
    True
    """
    return tuple(sorted(path.stem for path in (instances.root() / "suites").glob("*.toml")))


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
    path = Path(name_or_path)
    if path.suffix != ".toml":
        name = find(str(name_or_path), suites())
        if name is None:
            rule = f"expected a .toml file or {', '.join(suites())}"
            raise InstanceError("suite", "", str(name_or_path), rule)
        path = instances.root() / "suites" / f"{name}.toml"
    where = str(path)
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InstanceError(where, "", "cannot be read", error.strerror or "expected a file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InstanceError(where, "", f"not TOML ({error})", "expected a suite") from error
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
    """Compare on every entry and keep each result as a JSON line of `path` as soon as it is there.

    Parameters
    ----------
    suite : Suite
    path : Path
        Results of the same entry, version and time limit that are already there are taken, unless `fresh`.
    time_limit : float, optional
        As in :func:`spatem_opt.compare.compare`.
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
    """
    tell = progress if progress is not None else _silent
    for entry in suite.entries:
        load_architecture(entry.architecture, dict(entry.settings))
        if entry.network.endswith((".onnx", ".json")):
            load(entry.network)
    keys = [entry.key(time_limit) for entry in suite.entries]
    known = [] if fresh else [line for line in _stored(path) if line["entry"] in keys]
    todo = [entry for entry, key in zip(suite.entries, keys, strict=True) if key not in [k["entry"] for k in known]]
    lines = list(known)
    for entry, line in _results(todo, time_limit, workers):
        if isinstance(line, Exception):
            tell(f"failed: {entry.network} on {entry.architecture}: {type(line).__name__}: {line}")
            continue
        lines.append(line)
        write_atomically(path, b"".join(orjson.dumps(item) + b"\n" for item in lines))
        tell(f"{len(lines)}/{len(keys)} {entry.network}: {line['seconds']:.1f} s")
    by_key = {orjson.dumps(line["entry"]): line["result"] for line in lines}
    return [Comparison.from_dict(by_key[name]) for name in map(orjson.dumps, keys) if name in by_key]


def compare_entry(entry: Entry, time_limit: float | None) -> dict[str, Any]:
    """Run one entry: the content of its JSON line."""
    begun = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ArchitectureWarning)  # said when the suite is checked
        chip = load_architecture(entry.architecture, dict(entry.settings))
    result = compare(load(entry.network), chip, time_limit=time_limit).to_dict()
    return {"entry": entry.key(time_limit), "seconds": round(time.monotonic() - begun, 1), "result": result}


def _results(
    todo: list[Entry], time_limit: float | None, workers: int
) -> Iterator[tuple[Entry, dict[str, Any] | Exception]]:
    """Results as they come; a process per comparison, so that memory is given back."""
    if not todo:
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(todo)), mp_context=context, max_tasks_per_child=1) as pool:
        futures = {pool.submit(compare_entry, entry, time_limit): entry for entry in todo}
        try:
            for future in as_completed(futures):
                error = future.exception()
                if error is not None and not isinstance(error, Exception):
                    raise error
                yield futures[future], error if error is not None else future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _silent(text: str) -> None:
    pass


def _stored(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    found = []
    for number, text in enumerate(path.read_bytes().splitlines(), 1):
        try:
            line = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise InstanceError(f"{path}:{number}", "", "not JSON", "expected a line of spatem bench") from error
        if not isinstance(line, dict) or not {"entry", "seconds", "result"} <= line.keys():
            raise InstanceError(f"{path}:{number}", "", "another format", "expected a line of spatem bench")
        found.append(line)
    return found


def _keys(where: str, data: dict[str, Any], allowed: set[str], required: set[str]) -> None:
    for key in data:
        if key not in allowed:
            raise InstanceError(where, key, data[key], f"unknown key; expected {', '.join(sorted(allowed))}")
    for key in sorted(required - data.keys()):
        raise InstanceError(where, key, None, "missing")


def _entries(where: str, table: object) -> list[Entry]:
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
    return [Entry(name, table["architecture"], tuple(settings.items())) for name in networks]
