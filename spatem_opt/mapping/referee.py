"""Checks a mapping and computes its objective, without a solver."""

from __future__ import annotations

from dataclasses import dataclass

from spatem_opt.mapping.problem import MappingProblem, MappingSolution

FAMILIES = ("assignment", "slack", "capacity")


@dataclass(frozen=True, slots=True)
class MappingVerdict:
    """What a mapping violates and costs.

    Parameters
    ----------
    violations : tuple of (family, message)
    operations : int
        OU operations of one inference.
    communication : int
        Bits read from tile buffers by one inference: the second objective.
    excess : int
        OU operations above the slack limits: the first objective.
    """

    violations: tuple[tuple[str, str], ...]
    operations: int
    communication: int
    excess: int = 0


def check(problem: MappingProblem, solution: MappingSolution) -> MappingVerdict:
    """Every violated constraint of the mapping problem, and the objective values of the choice."""
    bad: list[tuple[str, str]] = []
    if len(solution.choice) != len(problem.layers):
        return MappingVerdict(
            (("assignment", f"{len(solution.choice)} choices for {len(problem.layers)} layers"),), 0, 0
        )
    operations = communication = excess = used = 0
    for layer, choice in enumerate(solution.choice):
        if not 0 <= choice < len(problem.options[layer]):
            bad.append(("assignment", f"layer {problem.layers[layer]!r}: no candidate {choice}"))
            continue
        if not problem.allowed(layer)[choice]:
            bad.append(("slack", f"layer {problem.layers[layer]!r}: candidate {choice} costs too many operations"))
        operations += int(problem.operations[layer][choice])
        communication += int(problem.communication[layer][choice])
        excess += int(problem.excess(layer)[choice])
        used += int(problem.slots[layer][choice])
    if used > problem.capacity:
        bad.append(("capacity", f"{used} OU slots used, {problem.capacity} there"))
    return MappingVerdict(tuple(bad), operations, communication, excess)
