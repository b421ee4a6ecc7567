"""What solving returns: a status, values with bounds, and for infeasible inputs what is missing."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


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


DEMAND_OF = {"capacity": "assignment", "size": "cover", "slots": "cover", "crossbars": "way", "router": "way"}
"""Family that limits something -> family whose demand exceeds it, of the models in ``formulations``."""


@dataclass(frozen=True, slots=True)
class Decoupling:
    """What solving the steps one after the other costs against solving all at once.

    Parameters
    ----------
    latency : int
        Of the solution found step by step [cycles].
    joint, bound : int or None
        Latency and proven bound of all steps at once [cycles]; None if the instance is beyond reach.
    text : str
        The price in words, or why it is unknown.
    """

    latency: int
    joint: int | None
    bound: int | None
    text: str


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

    @property
    def conflict(self) -> tuple[str, ...]:
        """Families of the model that cannot hold together, though without any one of them there is a solution.

        `family` limits what there is; the other one says that everything has to be somewhere.
        """
        return (*((DEMAND_OF[self.family],) if self.family in DEMAND_OF else ()), self.family)

    def __str__(self) -> str:
        what = f"{self.what}: " if self.what else ""
        would_do = f"; would do: {' or '.join(self.levers)}" if self.levers else ""
        return (
            f"{what}{self.family}: {self.demand} {self.unit} needed, {self.capacity} there, "
            f"{self.demand - self.capacity} short{would_do}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the fields and :attr:`conflict`, for JSON."""
        return {
            "family": self.family, "what": self.what, "demand": self.demand, "capacity": self.capacity,
            "unit": self.unit, "levers": list(self.levers), "conflict": list(self.conflict),
        }  # fmt: skip

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Shortage:
        """Read what :meth:`to_dict` writes."""
        known = {key: value for key, value in data.items() if key != "conflict"}
        return cls(**{**known, "levers": tuple(known["levers"])})


@dataclass(frozen=True, slots=True)
class Step:
    """What an exact engine found and proved of one step, on that step's own problem.

    The problem of a step takes the other steps' decisions as given: its optimum is no optimum of the whole, and its
    bound no bound of the whole.

    Parameters
    ----------
    step : {"mapping", "grouping", "replication", "scheduling"}
    engine : str
        For example ``"cpsat"``; ``"combinatorial"`` where no solver was run.
    status : Status
        ``OPTIMAL`` only if objective and bound meet.
    objective, bound : int or None
        In `unit`, minimised; None if there is none.
    seconds : float
        Wall time.
    heuristic : int or None
        Objective of the heuristic's answer to the same problem.
    unit : str
        What is counted, for example ``"bits"``, ``"cycles"``.
    versions : dict of str to str
        Of the packages that took part.
    seed : int
    note : str
        What the numbers are of, what is beyond reach, whether the answer is used.
    """

    step: str
    engine: str
    status: Status
    objective: int | None
    bound: int | None
    seconds: float
    heuristic: int | None = None
    unit: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    seed: int = 0
    note: str = ""

    @property
    def gap(self) -> float | None:
        """Relative gap, see :func:`gap`."""
        return gap(self.objective, self.bound)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields and the gap, for JSON."""
        return {**asdict(self), "status": str(self.status), "gap": self.gap}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Step:
        """Read what :meth:`to_dict` writes."""
        known = {key: value for key, value in data.items() if key != "gap"}
        return cls(**{**known, "status": Status(known["status"])})


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
