"""Family ``claims``: what a solution file says of its own value, and of bounds, must come out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from spatem_opt.evaluator.evaluation import Evaluation
from spatem_opt.evaluator.findings import Violation

Claims = dict[str, dict[str, Any]]
OWN_PROBLEM = ("mapping", "grouping", "replication", "scheduling", "joint")
"""Sections on problems of their own: a step with the others given, the joint model with its restrictions. What they
prove is their engine's word; the evaluator proves nothing of it, and demands that it agrees with itself."""
UNITS = {"latency": "cycles", "period": "cycles", "communication": "bits", "energy": "fJ", "balanced": "cycles x bits"}


def needs_proof(claims: Claims) -> bool:
    """Whether anything claimed is about a bound of the whole."""
    return any(True for _ in _bounds(claims)) or any(True for _ in _optima(claims))


def check_claims(claims: Claims, found: Evaluation) -> list[Violation]:
    """Everything claimed that the evaluation does not confirm.

    Values under ``total`` must be those found. A bound of the whole must not exceed what the evaluator proves
    (``found.bounds``), ``optimal`` is confirmed only where that meets the value. Sections of :data:`OWN_PROBLEM` must
    not have a bound beyond their objective, nor be optimal where both differ.
    """
    values = _values(found)
    if not values:
        return []
    wrong = list(_totals(claims, values)) + list(_own(claims))
    if not needs_proof(claims):
        return wrong
    objective = (claims.get("total") or {}).get("objective", "latency")
    name = "period" if objective == "throughput" else objective
    if name == "period" and name not in values:
        return wrong  # nobody asked for it
    if name not in values:
        rule = f"objective {objective!r} is not one of {', '.join(values)}"
        return [*wrong, Violation("claims", rule, 0, 0, "")]
    return wrong + list(_whole(claims, name, values[name], (found.bounds or {}).get(name, 0)))


def _values(found: Evaluation) -> dict[str, int]:
    if found.communication is None or found.energy is None or found.latency_cycles is None:
        return {}
    traffic = found.communication.total
    values = {
        "latency": found.latency_cycles, "communication": traffic,
        "energy": found.energy.total, "balanced": found.latency_cycles * traffic,
    }  # fmt: skip
    return values if found.period_cycles is None else values | {"period": found.period_cycles}


def _totals(claims: Claims, values: dict[str, int]) -> Iterator[Violation]:
    total = claims.get("total") or {}
    for name, value in values.items():
        claimed, unit = total.get(name), UNITS[name]
        if claimed is not None and claimed != value:
            text = f"{name} is {value} {unit}, claimed {claimed!r}"
            yield Violation("claims", text, _number(claimed), _number(value), unit)


def _own(claims: Claims) -> Iterator[Violation]:
    for section in OWN_PROBLEM:
        claim = claims.get(section) or {}
        objective, bound, unit = claim.get("objective"), claim.get("bound"), str(claim.get("unit") or "")
        amount, limit = _number(bound), _number(objective)
        if bound is not None and objective is not None and not amount <= limit:
            text = f"{section}: bound {bound!r} exceeds its objective {objective!r}"
            yield Violation("claims", text, amount, limit, unit)
        elif claim.get("status") == "optimal" and amount != limit:
            text = f"{section}: optimal, but its objective is {objective!r} and its bound {bound!r}"
            yield Violation("claims", text, amount, limit, unit)


def _whole(claims: Claims, name: str, value: int, proven: int) -> Iterator[Violation]:
    """Bounds and optima of the whole, all of the objective ``name``."""
    unit = UNITS[name]
    for where, bound in _bounds(claims):
        amount = _number(bound)
        if not amount <= value:
            text = f"{where}: bound {bound!r} exceeds the {name} of {value} {unit}"
            yield Violation("claims", text, amount, value, unit)
        elif not amount <= proven:
            text = f"{where}: bound {bound!r} of the {name} is not confirmed, proven are {proven} {unit}"
            yield Violation("claims", text, amount, proven, unit)
    for where in _optima(claims):
        if value != proven:
            text = f"{where}: optimal is not confirmed, the {name} is {value} {unit}, proven are {proven}"
            yield Violation("claims", text, value, proven, unit)


def _bounds(claims: Claims) -> Iterator[tuple[str, object]]:
    """Bounds claimed of the whole, and where; of a trace the largest."""
    for section, claim in claims.items():
        if section in OWN_PROBLEM:
            continue
        if claim.get("bound") is not None:
            yield section, claim["bound"]
        trace = claim.get("trace")
        rows = trace if isinstance(trace, list | tuple) else ()
        said = [row[2] for row in rows if isinstance(row, list | tuple) and len(row) > 2 and row[2] is not None]
        if said:
            yield f"{section}: trace", max(said, key=_rank)


def _optima(claims: Claims) -> Iterator[str]:
    """Sections that claim an optimum of the whole."""
    return (name for name, claim in claims.items() if name not in OWN_PROBLEM and claim.get("status") == "optimal")


def _number(value: object) -> float:
    """``value`` where it is a number, else NaN."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else float("nan")


def _rank(value: object) -> float:
    """Order of claimed bounds; what is no number comes last, for it is wrong in any case."""
    number = _number(value)
    return float("inf") if math.isnan(number) else number
