"""A model of either engine as text, and its constraints checked exactly, in integers, without a solver."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from spatem_opt.errors import InstanceError, ModelError

Violations = list[tuple[str, str]]
"""(family, message) of every constraint that does not hold."""
FORMATS = {"mps": (".mps",), "lp": (".lp",), "cpsat": (".pbtxt", ".pb")}
"""Formats, and how their files' names end."""
EXACT = 10**12
"""PuLP writes 12 digits: larger coefficients would be rounded."""
LARGEST = 200_000
"""Most variables of a model that is written."""


@dataclass(frozen=True, slots=True)
class Variable:
    """An integer variable: name, least and largest value."""

    name: str
    low: int
    high: int


class Model(ABC):
    """A model that can be written, and that can judge values."""

    variables: list[Variable]
    rows: frozenset[str]
    """Names of constraints that may stand beside those of variables in a values file."""
    constraint_count: int

    @abstractmethod
    def render(self, suffix: str, name: str) -> bytes:
        """Content of a file whose name ends in `suffix`, the model called `name`."""

    @abstractmethod
    def objective(self, values: Mapping[str, int]) -> int:
        """Value of the objective."""

    @abstractmethod
    def violations(self, values: Mapping[str, int]) -> Violations:
        """Every constraint that values within their bounds violate."""

    def check(self, values: Mapping[str, int]) -> Violations:
        """Every bound (family ``bounds``) and constraint that values violate.

        Parameters
        ----------
        values : mapping of str to int
            Of all variables.
        """
        outside = [
            ("bounds", f"{v.name} = {values[v.name]}, expected {v.low}..{v.high}")
            for v in self.variables
            if not v.low <= values[v.name] <= v.high
        ]
        return outside or self.violations(values)


def _checked(variables: Iterable[Variable]) -> list[Variable]:
    """The variables, their names fit for files.

    Raises
    ------
    InstanceError
        If there are more than :data:`LARGEST`.
    ModelError
        If two have one name, or a name has spaces.
    """
    found = list(variables)
    if len(found) > LARGEST:
        raise InstanceError("model", "variables", len(found), f"expected <= {LARGEST}")
    if len({v.name for v in found}) < len(found) or any(len(v.name.split()) != 1 for v in found):
        raise ModelError("names of variables are not unique, or have spaces")
    return found


class PulpModel(Model):
    """A ``pulp.LpProblem`` whose variables are all integer.

    Parameters
    ----------
    problem : pulp.LpProblem
    families : collection of str
        What names of constraints begin with.
    """

    def __init__(self, problem: Any, families: Collection[str]) -> None:
        self.problem, self.families = problem, sorted(families, key=len, reverse=True)
        self.variables = _checked(Variable(v.name, int(v.lowBound), int(v.upBound)) for v in problem.variables())
        constraints = problem.constraints  # a dict in PuLP 3, a method in PuLP 4
        pairs = [(c.name, c) for c in constraints()] if callable(constraints) else list(constraints.items())
        self.constraints = {_row(name): constraint for name, constraint in pairs}
        if len(self.constraints) < len(pairs):
            raise ModelError("names of constraints are not unique")
        self.rows, self.constraint_count = frozenset(self.constraints), len(pairs)

    def render(self, suffix: str, name: str) -> bytes:
        """See :meth:`Model.render`; raises :class:`InstanceError` if a number needs more digits than the file has."""
        largest = max(abs(c) for e in [self.problem.objective, *self.constraints.values()] for c in _numbers(e))
        if largest >= EXACT:
            raise InstanceError("model", "coefficient", largest, f"expected < {EXACT}, as files keep 12 digits")
        if self.problem.objective.constant:
            raise ModelError("the objective has a constant, which MPS files lose")
        self.problem.name = name
        with TemporaryDirectory() as folder:
            path = Path(folder) / f"model{suffix}"
            (self.problem.writeMPS if suffix == ".mps" else self.problem.writeLP)(str(path))
            return _row(path.read_text()).encode()

    def objective(self, values: Mapping[str, int]) -> int:
        """See :meth:`Model.objective`."""
        return int(sum(c * values[v.name] for v, c in self.problem.objective.items() if v.name in values))

    def violations(self, values: Mapping[str, int]) -> Violations:
        """See :meth:`Model.violations`."""
        found: Violations = []
        for name, row in self.constraints.items():
            left, right = sum(c * values[v.name] for v, c in row.items()), -row.constant
            if not (left == right or (left < right and row.sense < 0) or (left > right and row.sense > 0)):
                family = next(family for family in self.families if name.startswith(family))
                found.append((family, f"{name}: {left}, expected {'=><'[row.sense]}{'=' * bool(row.sense)} {right}"))
        return found


def _row(text: str) -> str:
    """Commas, which only names of constraints have, made underscores: some readers of LP files refuse them."""
    return text.replace(",", "_")


def _numbers(expression: Any) -> list[Any]:
    return [expression.constant, *expression.values()]


class CpsatModel(Model):
    """A ``CpModel``.

    Parameters
    ----------
    model : cp_model.CpModel
    """

    def __init__(self, model: Any) -> None:
        from ortools.sat import cp_model_pb2

        flaw = model.validate()
        if flaw:
            raise ModelError(f"malformed CP-SAT model: {flaw}")
        self.model = model
        self.proto = cp_model_pb2.CpModelProto()
        self.proto.ParseFromString(self._file(".pb"))
        self.variables = _checked(Variable(v.name, v.domain[0], v.domain[-1]) for v in self.proto.variables)
        self.rows, self.constraint_count = frozenset(), len(self.proto.constraints)

    def _file(self, suffix: str) -> bytes:
        with TemporaryDirectory() as folder:
            path = Path(folder) / f"model{suffix}"
            self.model.export_to_file(str(path))
            return path.read_bytes()

    def render(self, suffix: str, name: str) -> bytes:
        """See :meth:`Model.render`."""
        self.model.name = name
        return self._file(suffix)

    def objective(self, values: Mapping[str, int]) -> int:
        """See :meth:`Model.objective`."""
        objective = self.proto.objective
        pairs = zip(objective.vars, objective.coeffs, strict=True)
        return int(objective.offset + sum(c * values[self.variables[v].name] for v, c in pairs))

    def violations(self, values: Mapping[str, int]) -> Violations:
        """See :meth:`Model.violations`.

        Raises
        ------
        ModelError
            If there is a kind of constraint that is not known here.
        """
        held = Held(self.proto, [values[v.name] for v in self.variables])
        found: Violations = []
        for constraint in self.proto.constraints:
            message = held.broken(constraint)
            if message:
                found.append((constraint.name.partition("[")[0], f"{constraint.name}: {message}"))
        return found


class Held:
    """Whether constraints of a CP-SAT model hold.

    Parameters
    ----------
    proto : CpModelProto
    values : list of int
        Of all variables.
    """

    def __init__(self, proto: Any, values: list[int]) -> None:
        self.proto, self.values = proto, values
        self.kinds: dict[str, Callable[[Any], str]] = {
            "linear": self._linear,
            "exactly_one": lambda c: self._count(c.literals, 1, 1),
            "at_most_one": lambda c: self._count(c.literals, 0, 1),
            "bool_or": lambda c: self._count(c.literals, 1, len(c.literals)),
            "bool_and": lambda c: self._count(c.literals, len(c.literals), len(c.literals)),
            "interval": self._interval,
            "no_overlap": self._no_overlap,
            "cumulative": self._cumulative,
        }

    def broken(self, constraint: Any) -> str:
        """What is wrong; empty if the constraint holds or is not enforced."""
        kind = constraint.WhichOneof("constraint")
        if kind not in self.kinds:
            raise ModelError(f"constraint {constraint.name!r}: no check for {kind}")
        if not all(self._true(literal) for literal in constraint.enforcement_literal):
            return ""
        return self.kinds[kind](getattr(constraint, kind))

    def _true(self, literal: int) -> bool:
        """Value of a literal; -1 - i is the negation of i."""
        return bool(self.values[literal]) if literal >= 0 else not self.values[-1 - literal]

    def _expression(self, expression: Any) -> int:
        pairs = zip(expression.vars, expression.coeffs, strict=True)
        return int(expression.offset + sum(c * self.values[v] for v, c in pairs))

    def _linear(self, c: Any) -> str:
        total = sum(k * self.values[v] for v, k in zip(c.vars, c.coeffs, strict=True))
        ranges = list(zip(c.domain[::2], c.domain[1::2], strict=True))
        return "" if any(low <= total <= high for low, high in ranges) else f"{total}, expected {_shown(ranges)}"

    def _count(self, literals: Iterable[int], least: int, most: int) -> str:
        true = sum(map(self._true, literals))
        return "" if least <= true <= most else f"{true} true, expected {_shown([(least, most)])}"

    def _span(self, index: int) -> tuple[int, int]:
        interval = self.proto.constraints[index].interval
        return self._expression(interval.start), self._expression(interval.end)

    def _interval(self, c: Any) -> str:
        start, size, end = (self._expression(part) for part in (c.start, c.size, c.end))
        return "" if start + size == end and size >= 0 else f"start {start}, size {size}, end {end}"

    def _no_overlap(self, c: Any) -> str:
        spans = sorted(self._span(i) for i in c.intervals)
        for (first, end), (second, _) in pairwise(spans):
            if second < end:
                return f"{first}..{end} overlaps what begins at {second}"
        return ""

    def _cumulative(self, c: Any) -> str:
        capacity, demands = self._expression(c.capacity), [self._expression(d) for d in c.demands]
        spans = [self._span(i) for i in c.intervals]
        for at, _ in spans:
            used = sum(d for d, (start, end) in zip(demands, spans, strict=True) if start <= at < end)
            if used > capacity:
                return f"{used} used at {at}, capacity {capacity}"
        return ""


def _shown(ranges: list[tuple[int, int]]) -> str:
    """Ranges for people: ``3``, ``>= 2``, ``0..5``."""
    far = 2**62
    return " or ".join(
        str(low) if low == high else f"<= {high}" if low < -far else f">= {low}" if high > far else f"{low}..{high}"
        for low, high in ranges
    )
