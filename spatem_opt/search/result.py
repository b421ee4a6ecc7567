"""What solving returns: a solution with its value, the bound, and what was proven."""

from __future__ import annotations

from dataclasses import dataclass

from spatem_opt.errors import ModelError
from spatem_opt.evaluator import Evaluation
from spatem_opt.model.result import Shortage, Status, Step, gap
from spatem_opt.model.solution import Solution


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """Outcome of solving.

    Parameters
    ----------
    status : Status
    objective : str
        ``latency`` [cycles], ``throughput`` [cycles of a period], ``communication`` [bits], ``energy`` [fJ] or
        ``balanced`` (latency x communication); all are minimised.
    solution : Solution or None
        None if there is none (``INFEASIBLE``, ``UNKNOWN``).
    value : int or None
        Objective of `solution`, as the evaluator computes it.
    bound : int or None
        No solution whatever is below; None if nothing is known.
    seconds : float
        Wall time.
    shortage : Shortage or None
        For ``INFEASIBLE``, and for a baseline that does not fit the chip its way (``UNKNOWN``).
    evaluation : Evaluation or None
        What the evaluator said of `solution`.
    steps : tuple of Step
        What was proven step by step; empty if no exact engine was run.
    cut : tuple of str
        What was cut short or not begun because the time was up or the run was interrupted, one text each.

    Raises
    ------
    ModelError
        If `value` is below `bound`, or `status` is ``OPTIMAL`` and they do not meet: one of them is wrong.

    Examples
    --------
    >>> Result(Status.FEASIBLE, "latency", value=100, bound=150)
    Traceback (most recent call last):
    spatem_opt.errors.ModelError: latency: a value of 100 is below the proven bound of 150
    """

    status: Status
    objective: str
    solution: Solution | None = None
    value: int | None = None
    bound: int | None = None
    seconds: float = 0.0
    shortage: Shortage | None = None
    evaluation: Evaluation | None = None
    steps: tuple[Step, ...] = ()
    cut: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.value is not None and self.bound is not None and self.value < self.bound:
            raise ModelError(f"{self.objective}: a value of {self.value} is below the proven bound of {self.bound}")
        if self.status is Status.OPTIMAL and (self.value is None or self.value != self.bound):
            raise ModelError(f"{self.objective}: optimal, but the value is {self.value}, the bound {self.bound}")

    @property
    def gap(self) -> float | None:
        """Relative gap ``(value - bound) / value`` in 0 .. 1; None if value or bound is missing.

        Examples
        --------
        >>> Result(Status.FEASIBLE, "latency", value=200, bound=150).gap
        0.25
        """
        return gap(self.value, self.bound)
