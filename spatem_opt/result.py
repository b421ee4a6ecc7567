"""What solving returns: a status, values with bounds, and for infeasible inputs what is missing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from spatem_opt.solution import Solution

if TYPE_CHECKING:
    from spatem_opt.evaluator import Evaluation


class Status(StrEnum):
    """What is known about a result.

    ``OPTIMAL``: value and bound meet. ``FEASIBLE``: a solution, maybe not the best. ``INFEASIBLE``: proven that there
    is none. ``UNKNOWN``: none found within the limits. An interrupted or timed out run is ``FEASIBLE`` if it has a
    solution.
    """

    OPTIMAL = "optimal"
    FEASIBLE = "feasible"
    INFEASIBLE = "infeasible"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Shortage:
    """Why an input is infeasible, in numbers.

    Parameters
    ----------
    family : str
        The constraint that cannot hold, named as everywhere, e.g. ``"capacity"``.
    demand, capacity : int
        What is needed at least, and what there is, in `unit`.
    unit : str
        For example ``"cells"``, ``"crossbars"``, ``"bits"``.
    what : str
        The object, e.g. ``"network 'vgg19' on chip 'ou-isaac'"``.
    levers : tuple of str
        What would do, each a phrase, e.g. ``"--arch ou-isaac-24x24"``, ``"--set mesh_rows=16"``.

    Examples
    --------
    >>> print(Shortage("capacity", 120, 100, "crossbars", "network 'a'", ("--arch c", "--set mesh_rows=3")))
    network 'a': capacity: 120 crossbars needed, 100 there, 20 short; would do: --arch c or --set mesh_rows=3
    """

    family: str
    demand: int
    capacity: int
    unit: str
    what: str = ""
    levers: tuple[str, ...] = ()

    def __str__(self) -> str:
        what = f"{self.what}: " if self.what else ""
        would_do = f"; would do: {' or '.join(self.levers)}" if self.levers else ""
        return (
            f"{what}{self.family}: {self.demand} {self.unit} needed, {self.capacity} there, "
            f"{self.demand - self.capacity} short{would_do}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the fields, for JSON."""
        return {
            "family": self.family, "what": self.what, "demand": self.demand, "capacity": self.capacity,
            "unit": self.unit, "levers": list(self.levers),
        }  # fmt: skip


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
        For ``INFEASIBLE``.
    evaluation : Evaluation or None
        What the evaluator said of `solution`.
    """

    status: Status
    objective: str
    solution: Solution | None = None
    value: int | None = None
    bound: int | None = None
    seconds: float = 0.0
    shortage: Shortage | None = None
    evaluation: Evaluation | None = None

    @property
    def gap(self) -> float | None:
        """Relative gap ``(value - bound) / value`` in 0 .. 1; None if value or bound is missing.

        Examples
        --------
        >>> Result(Status.FEASIBLE, "latency", value=200, bound=150).gap
        0.25
        """
        return gap(self.value, self.bound)


def gap(value: float | None, bound: float | None) -> float | None:
    """Relative gap of a minimisation, ``(value - bound) / value``; None if either is missing, 0 if they meet.

    Examples
    --------
    >>> gap(200, 150), gap(0, 0), gap(None, 3)
    (0.25, 0.0, None)
    """
    if value is None or bound is None:
        return None
    return (value - bound) / value if value != bound else 0.0
