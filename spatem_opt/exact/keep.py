"""How a step hands out what it has so far, so that it is not lost when the step is cut short."""

from __future__ import annotations

from typing import Protocol

from spatem_opt.model.result import Step
from spatem_opt.search.engine import Evaluated


class Keep(Protocol):
    """Takes the best solution so far, never worse than the one before, and a record of the step so far."""

    def __call__(self, found: Evaluated, step: Step | None = None) -> None:
        """Keep them."""
        ...


def ignore(found: Evaluated, step: Step | None = None) -> None:
    """Keep nothing: for a step that is run to its end."""
