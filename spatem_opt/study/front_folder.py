"""The folder of a front: every point is written as soon as it is found, and a run that was ended goes on from there.

``front.json`` says of what the front is and which candidates were tried, ``front.csv`` is the table, ``00.json.gz`` the
fastest solution, ``01.json.gz`` the next one. Files are written and renamed one by one; a run that is killed in between
leaves some under a hidden or an old name, which the next one finds by what they hold.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import orjson

from spatem_opt.errors import InstanceError, ModelError
from spatem_opt.evaluator import evaluate
from spatem_opt.exchange.solutions import read_solution, write_solution
from spatem_opt.files.access import read_json, write_atomically
from spatem_opt.model.architecture import Architecture
from spatem_opt.network.json_io import to_json
from spatem_opt.network.layers import Network
from spatem_opt.study.pareto import Front, Point
from spatem_opt.study.store import digest, key_of

NEW, MOVING = ".new.json.gz", ".{}.json.gz"
OURS = re.compile(r"\.?(new|\d{2,})\.json\.gz")


class Folder:
    """Keeps a front in a folder.

    Parameters
    ----------
    path : Path
        Made if it is not there.
    network, architecture
    prices : sequence of float
        Of the sweep.
    """

    def __init__(self, path: Path, network: Network, architecture: Architecture, prices: Sequence[float]) -> None:
        self.path = path
        self._key = key_of(network, architecture, "pareto", {"prices": list(prices)})
        self._of = digest(to_json(network)), digest(architecture.to_dict())
        self._files: dict[str, str] = {}

    def begin(self) -> tuple[list[Point], set[str]]:
        """Return the points that are there, dominated ones without solution, and the candidates that were tried.

        A solution file that is damaged or that the evaluator does not accept is no point, and its candidate is tried
        again.

        Raises
        ------
        InstanceError
            If the folder cannot be made or read, or holds the front of something else.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            names = sorted(path.name for path in self.path.iterdir() if OURS.fullmatch(path.name))
        except OSError as error:
            raise InstanceError(str(self.path), "", "cannot be made", error.strerror or "expected a folder") from error
        told = self.path / "front.json"
        if not told.exists():
            if names:
                rule = "expected front.json beside it; choose another folder"
                raise InstanceError(str(self.path / names[0]), "", "a solution of no front", rule)
            return [], set()
        before = read_json(told)
        if not isinstance(before, dict) or before.get("key") != self._key:
            rule = "expected this network, chip and version of the code; choose another folder or remove it"
            raise InstanceError(str(told), "", "another front", rule)
        points = [point for point in map(self._read, names) if point is not None]
        try:
            rest = [Point(p["name"], p["latency_cycles"], p["communication_bits"], None) for p in before["dominated"]]
            known = {point.name for point in (*points, *rest)}
            lost = {point["name"] for point in before["points"]} - known
            return [*points, *rest], set(before["tried"]) - {name.removesuffix(", moved") for name in lost}
        except (KeyError, TypeError) as error:
            raise InstanceError(str(told), "", "another format", "expected what spatem pareto writes") from error

    def _read(self, name: str) -> Point | None:
        """The point of a solution file, by what the evaluator says; None if it is none of this front."""
        try:
            solution = read_solution(self.path / name)
            if (digest(to_json(solution.network)), digest(solution.architecture.to_dict())) != self._of:
                return None
            found = evaluate(solution)
        except InstanceError:
            return None
        plan = solution.claims.get("search", {}).get("plan")
        if found.violations or found.latency_cycles is None or found.communication is None or not isinstance(plan, str):
            return None
        self._files[plan] = name
        return Point(plan, found.latency_cycles, found.communication.total, solution)

    def keep(self, found: Front, tried: Iterable[str]) -> list[Path]:
        """Write what is new of a front and rename the others; return all files.

        Raises
        ------
        InstanceError
            If something cannot be written.
        """
        names = {point.name: f"{number:02}" for number, point in enumerate(found.points)}
        for point in found.points:
            if point.name not in self._files:
                if point.solution is None:
                    raise ModelError(f"{point.name}: a point of the front without solution")
                write_solution(point.solution, self.path / NEW)
                self._move(point.name, MOVING.format(f"9{len(self._files):04}"), NEW)
        for name in [name for name in self._files if name not in names]:
            (self.path / self._files.pop(name)).unlink(missing_ok=True)
        changed = [name for name, number in names.items() if self._files[name] != f"{number}.json.gz"]
        for name in changed:
            self._move(name, MOVING.format(names[name]))
        for name in changed:
            self._move(name, f"{names[name]}.json.gz")
        return [self.path / self._files[name] for name in names] + self._tables(found, tried)

    def _move(self, name: str, to: str, source: str | None = None) -> None:
        try:
            (self.path / (self._files[name] if source is None else source)).replace(self.path / to)
        except OSError as error:
            rule = error.strerror or "expected a writable folder"
            raise InstanceError(str(self.path / to), "", "cannot be written", rule) from error
        self._files[name] = to

    def _tables(self, found: Front, tried: Iterable[str]) -> list[Path]:
        """Write ``front.csv``, then ``front.json``."""
        data: dict[str, Any] = {**found.to_dict(), "key": self._key, "tried": sorted(tried)}
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["file", "name", "latency_cycles", "communication_bits"])
        for point, entry in zip(found.points, data["points"], strict=True):
            entry["file"] = self._files[point.name]
            writer.writerow([entry["file"], *point.to_dict().values()])
        json = orjson.dumps(data, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        write_atomically(self.path / "front.csv", text.getvalue().encode())
        write_atomically(self.path / "front.json", json)
        return [self.path / "front.json", self.path / "front.csv"]
