"""Checks a mapping and computes its objective, without a solver."""

from __future__ import annotations

from dataclasses import dataclass

from spatem_opt.mapping.problem import Problem, Solution

FAMILIES = ("assignment", "slack", "capacity")


@dataclass(frozen=True, slots=True)
class Verdict:
    """All violations as (family, message), and the two objectives in order."""

    violations: tuple[tuple[str, str], ...]
    operations: int
    communication: int


def check(problem: Problem, solution: Solution) -> Verdict:
    """Every violated constraint of the mapping problem, and the objective values of the choice."""
    bad: list[tuple[str, str]] = []
    if len(solution.choice) != len(problem.layers):
        return Verdict((("assignment", f"{len(solution.choice)} choices for {len(problem.layers)} layers"),), 0, 0)
    operations = communication = used = 0
    for layer, choice in enumerate(solution.choice):
        if not 0 <= choice < len(problem.options[layer]):
            bad.append(("assignment", f"layer {problem.layers[layer]!r}: no candidate {choice}"))
            continue
        if not problem.allowed(layer)[choice]:
            bad.append(("slack", f"layer {problem.layers[layer]!r}: candidate {choice} costs too many operations"))
        operations += int(problem.operations[layer][choice])
        communication += int(problem.communication[layer][choice])
        used += int(problem.slots[layer][choice])
    if used > problem.capacity:
        bad.append(("capacity", f"{used} OU slots used, {problem.capacity} there"))
    return Verdict(tuple(bad), operations, communication)
