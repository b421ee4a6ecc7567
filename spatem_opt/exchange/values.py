"""Values of variables as other solvers write them: CBC, HiGHS, Gurobi, SCIP, plain lines, responses of CP-SAT."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from spatem_opt.errors import InstanceError
from spatem_opt.exchange.models import Model
from spatem_opt.files.access import read_bytes
from spatem_opt.limits import reading

LONGEST = 10_000
"""Characters of a line with a name and a value."""
TOLERANCE = 1e-5
"""Farthest from an integer that a value may be."""
NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
CBC = re.compile(rf"(?P<status>\S.*?) - objective value\s+(?P<claim>{NUMBER})$")
NO_SOLUTION = re.compile(r"infeasible|unbounded|no integer solution|no solution|\bnone\b|\bunknown\b", re.IGNORECASE)
STATUS = re.compile(r"^[ \t]*status:[ \t]*[A-Z_]+[ \t\r]*$", re.MULTILINE)
"""Blanks of one line only: ``\\s`` would run over blank lines, from each of them to the last again."""
DUMMY = "__dummy"
"""PuLP's variable for an objective without terms."""


@dataclass(frozen=True, slots=True)
class Values:
    """What a values file says.

    Parameters
    ----------
    values : dict of str to int
        Of all variables of the model.
    claim : float or None
        Objective, if the file tells one.
    """

    values: dict[str, int]
    claim: float | None


def read(path: str | Path, model: Model, name: str) -> Values:
    """Read a values file for a model.

    Parameters
    ----------
    path : str or Path
        Lines ``name value``, maybe with an index before or after, comments (``#``), and the headings of CBC, HiGHS
        (raw and sparse), Gurobi and SCIP; or a ``CpSolverResponse`` as JSON or text. Formats that leave out zeros are
        known by their headings (CBC, SCIP, sparse HiGHS); in all others a variable that is missing is an error.
    model : Model
    name : str
        Name of the model: a file that says that it is for another one is refused.

    Raises
    ------
    InstanceError
        If the file cannot be read, is cut off, holds no solution, names unknown variables, names one twice, lacks one,
        or has a value that is no integer within :data:`TOLERANCE`.
    """
    where = str(path)
    try:
        text = read_bytes(path).decode()
    except UnicodeDecodeError as error:
        raise InstanceError(where, "", "not text", "expected a values file in UTF-8") from error
    with reading(where, "a values file"):
        return _read(where, text, model, name)


def _read(where: str, text: str, model: Model, name: str) -> Values:
    if text.lstrip().startswith("{"):
        return _response(where, *_json(where, text), model)
    if STATUS.search(text):
        return _response(where, *_pbtxt(where, text), model)
    lines = _Lines(where, model, name)
    for number, line in enumerate(text.splitlines(), 1):
        lines.add(f"{where}: line {number}", line.strip())
    return lines.finish()


def integer(where: str, name: str, value: float) -> int:
    """The integer that a value stands for; :class:`InstanceError` if it is none."""
    if not math.isfinite(value) or abs(value - round(value)) > TOLERANCE:
        raise InstanceError(where, name, value, f"expected an integer, within {TOLERANCE:g}")
    return round(value)


def _json(where: str, text: str) -> tuple[str, list[Any], float | None]:
    """Status, values and objective of a response in JSON."""
    try:
        data = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InstanceError(where, "", f"not JSON ({' '.join(str(error).split())})", "expected a response") from error
    if not isinstance(data, dict):
        raise InstanceError(where, "", type(data).__name__, "expected a response of CP-SAT")
    solution = data.get("solution", [])
    claim = data.get("objectiveValue", data.get("objective_value", 0.0))
    if not isinstance(solution, list) or not isinstance(claim, int | float):
        raise InstanceError(where, "solution", "no list, or no objectiveValue", "expected a response of CP-SAT")
    return str(data.get("status", "UNKNOWN")), solution, float(claim)


def _pbtxt(where: str, text: str) -> tuple[str, list[Any], float | None]:
    """Status, values and objective of a response as protocol buffer text."""
    fields: dict[str, list[str]] = {"status": [], "solution": [], "objective_value": []}
    for key, value in _pairs(where, text):
        if key in fields:
            fields[key] += [part.strip() for part in value.split(",") if part.strip()]
    claims = fields["objective_value"] or ["0"]
    try:
        return fields["status"][0], [*fields["solution"]], float(claims[0])
    except ValueError as error:
        raise InstanceError(where, "objective_value", claims[0], "expected a number") from error


def _pairs(where: str, text: str) -> Iterator[tuple[str, str]]:
    """Key and value of all lines ``key: value`` and ``key: [value, value ...]``; each character is looked at once."""
    line, behind = re.compile(r"^(\w+):[ \t]*(\[|\S+)", re.MULTILINE), 0
    while found := line.search(text, behind):
        behind, value = found.end(), found[2]
        if value == "[":
            end = text.find("]", behind)
            if end < 0:
                raise InstanceError(where, found[1], "a list without end", "expected ]")
            behind, value = end + 1, text[behind:end]
        yield found[1], value.strip("[]")


def _response(where: str, status: str, solution: Sequence[Any], claim: float | None, model: Model) -> Values:
    if status not in ("OPTIMAL", "FEASIBLE"):
        raise InstanceError(where, "status", status, "expected OPTIMAL or FEASIBLE: a solution")
    names = [v.name for v in model.variables]
    if len(solution) != len(names):
        raise InstanceError(where, "values of solution", len(solution), f"expected {len(names)}, as the model has")
    try:
        return Values({n: _whole(v) for n, v in zip(names, solution, strict=True)}, claim)
    except (TypeError, ValueError) as error:
        raise InstanceError(where, "solution", "not all integers", "expected 64-bit integers") from error


def _whole(value: object) -> int:
    """An integer of a response, which JSON writes as a text; ValueError if it is none of 64 bits."""
    if not isinstance(value, str) and type(value) is not int:
        raise ValueError(value)
    number = int(value)
    if not -(2**63) <= number < 2**63:
        raise ValueError(value)
    return number


class _Lines:
    """State of reading lines."""

    def __init__(self, where: str, model: Model, name: str) -> None:
        self.where, self.model, self.name = where, model, name
        self.known = {v.name for v in model.variables}
        self.values: dict[str, int] = {}
        self.claim: float | None = None
        self.sparse = False
        self.part = "plain"
        """What the lines are: "plain" values, or HiGHS' "status", "primal", "columns" and "rest"."""
        self.first = True

    def add(self, where: str, line: str) -> None:
        """Take a line in."""
        if not line:
            return
        if len(line) > LONGEST:
            raise InstanceError(where, "", f"{len(line)} characters", f"expected <= {LONGEST}: a name and a value")
        first, self.first = self.first, False
        if first and line == "Model status":
            self.part = "status"
        elif self.part not in ("plain", "columns"):
            self._highs(where, line)
        elif self.part == "columns" and line.startswith("#"):
            self.part = "rest"
        elif not self._heading(where, line, first):
            self._value(where, line.split())

    def _heading(self, where: str, line: str, first: bool) -> bool:
        """Whether a line is a heading of CBC, Gurobi or SCIP, or a comment."""
        cbc = CBC.match(line) if first else None
        scip = re.match(r"(solution status|objective value):\s*(.*)", line)
        if cbc:
            self.sparse, self.claim = True, float(cbc["claim"])
            self._solved(where, cbc["status"])
        elif scip and scip[1] == "solution status":
            self.sparse = True
            self._solved(where, scip[2])
        elif scip:
            self.claim = self._number(where, "objective value", scip[2])
        elif line.startswith("#"):
            model = re.match(r"#\s*Solution for model\s+(\S+)", line)
            if model and model[1] != self.name:
                raise InstanceError(
                    where, "model", model[1], f"expected {self.name}: these values are of another model"
                )
            claim = re.match(rf"#\s*Objective value\s*=\s*({NUMBER})", line)
            self.claim = float(claim[1]) if claim else self.claim
        elif line.startswith("no solution"):
            self._solved(where, line)
        else:
            return False
        return True

    def _highs(self, where: str, line: str) -> None:
        """A line of HiGHS outside its columns."""
        if self.part == "status":
            self.part = "before"
        elif line == "# Primal solution values":
            self.part = "primal"
        elif self.part == "primal" and line.startswith("# Columns"):
            self.part, self.sparse = "columns", line.split()[-1].startswith("-")
        elif self.part == "primal" and line.startswith("Objective"):
            self.claim = self._number(where, "Objective", line.split()[-1])
        elif self.part == "primal":
            self._solved(where, line)

    def _solved(self, where: str, status: str) -> None:
        if NO_SOLUTION.search(status):
            raise InstanceError(where, "status", status, "expected a solution")

    def _value(self, where: str, words: list[str]) -> None:
        """``name value [index]``, ``index name value [reduced cost]`` or SCIP's ``name value (obj:c)``."""
        words = words[1:] if words[0] == "**" else words
        if len(words) >= 3 and words[0].isdecimal():
            words = words[1:]
        if len(words) < 2 or len(words) > 3:
            raise InstanceError(where, "", " ".join(words)[:60], "expected a name and a value")
        name = words[0]
        if name in self.model.rows or name == DUMMY:
            return
        if name not in self.known:
            raise InstanceError(where, "variable", name, f"expected one of model {self.name}")
        if name in self.values:
            raise InstanceError(where, "variable", name, "expected every variable once")
        self.values[name] = integer(where, name, self._number(where, name, words[1]))

    def _number(self, where: str, name: str, text: str) -> float:
        try:
            return float(text)
        except ValueError as error:
            raise InstanceError(where, name, text, "expected a number") from error

    def finish(self) -> Values:
        """All values."""
        missing = [v.name for v in self.model.variables if v.name not in self.values]
        if not self.values and not self.sparse:
            raise InstanceError(self.where, "", "no values", "expected lines with a name and a value")
        if missing and not self.sparse:
            rule = f"missing, and {len(missing) - 1} more; only CBC, SCIP and sparse HiGHS files may leave out zeros"
            raise InstanceError(self.where, missing[0], None, rule)
        return Values(self.values | dict.fromkeys(missing, 0), self.claim)
