"""What the referee of a step says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Verdict:
    """All violations, and the objective as the referee computes it.

    Parameters
    ----------
    violations : tuple of (str, str)
        Family and message of each.
    objective : int
        In the unit of the step's problem.
    """

    violations: tuple[tuple[str, str], ...]
    objective: int

    @property
    def families(self) -> tuple[str, ...]:
        """Violated families, each once."""
        return tuple(dict.fromkeys(family for family, _ in self.violations))
