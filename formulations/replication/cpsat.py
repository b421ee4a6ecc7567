"""CP-SAT models of replication: one run, and the master over runs. Equation labels are those of ``EXACT.md``."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from formulations.replication.columns import SegmentColumn, SegmentColumns
from formulations.solver import Limits, run_cpsat
from formulations.solver import SolverRun as Outcome
from spatem_opt.model.result import Status

if TYPE_CHECKING:
    from ortools.sat.python import cp_model


@dataclass(slots=True)
class Choice:
    """Variables of one run: ``x[k][w]``: layer k of the run takes the w-th of its ways."""

    run: SegmentColumn
    x: list[list[Any]]

    def total(self, name: str) -> Any:
        """Sum of a use over the chosen ways: ``"cost"``, ``"crossbars"`` or ``"hop_bits"``."""
        table = self.run.use(name)
        return sum(
            int(use) * x for uses, row in zip(table, self.x, strict=True) for use, x in zip(uses, row, strict=True)
        )


def add_way(model: cp_model.CpModel, y: Choice) -> None:
    r"""Every layer of the run takes one way that fits its slots and pace (E1).

    .. math:: \sum_{w \in W_k(s, p)} x_{kw} = 1 \qquad \forall k = i..j-1
    """
    for k, row in enumerate(y.x):
        model.add_exactly_one(row).with_name(f"way[{k}]")


def add_crossbars(model: cp_model.CpModel, y: Choice) -> None:
    r"""The run's copies fit on the crossbars (E2).

    .. math:: \sum_{kw} n_{kw} x_{kw} \le N_{j-i}
    """
    model.add(y.total("crossbars") <= y.run.room).with_name("crossbars[0]")


def add_router(model: cp_model.CpModel, y: Choice) -> None:
    r"""Routers carry the run's traffic within its pace (E3).

    .. math:: \sum_{kw} h_{kw} x_{kw} \le \lfloor R\, T_p \rfloor
    """
    model.add(y.total("hop_bits") <= y.run.problem.traffic(y.run.pace)).with_name("router[0]")


SEGMENT_FAMILIES: dict[str, Callable[[cp_model.CpModel, Choice], None]] = {
    "way": add_way,
    "crossbars": add_crossbars,
    "router": add_router,
}


@dataclass(slots=True)
class Path:
    """Variables of the master: ``z[c]``: column c is taken."""

    columns: SegmentColumns
    z: list[Any]


def add_cover(model: cp_model.CpModel, y: Path) -> None:
    r"""Every layer is in one run (E4).

    .. math:: \sum_{c:\, i_c \le l < j_c} z_c = 1 \qquad \forall l
    """
    for layer, members in enumerate(y.columns.covering()):
        model.add_exactly_one(y.z[c] for c in members).with_name(f"cover[{layer}]")


def add_slots(model: cp_model.CpModel, y: Path) -> None:
    r"""All runs together take no more than the slots of a crossbar (E5).

    .. math:: \sum_c s_c z_c \le A
    """
    used = sum(int(s) * z for s, z in zip(y.columns.taken(), y.z, strict=True))
    model.add(used <= y.columns.problem.capacity).with_name("slots[0]")


def add_bound(model: cp_model.CpModel, y: Path) -> None:
    r"""Redundant: the objective is at least a proven bound (E6).

    .. math:: \sum_c c_c z_c \ge \underline{z}
    """
    model.add(_cost(y) >= y.columns.lower).with_name("bound[0]")


MASTER_FAMILIES: dict[str, Callable[[cp_model.CpModel, Path], None]] = {
    "cover": add_cover,
    "slots": add_slots,
    "bound": add_bound,
}
FAMILIES = (*SEGMENT_FAMILIES, *MASTER_FAMILIES)
REDUNDANT = frozenset(("bound",))


def _cost(y: Path) -> Any:
    return sum(int(cost) * z for cost, z in zip(y.columns.cost, y.z, strict=True))


def build_segment(run: SegmentColumn, without: Collection[str] = ()) -> tuple[cp_model.CpModel, Choice]:
    """Model of one run: the cheapest ways, without the cost of its pace."""
    from ortools.sat.python import cp_model

    model = cp_model.CpModel()
    y = Choice(run, [[model.new_bool_var(f"x[{k},{w}]") for w in ways.tolist()] for k, ways in enumerate(run.ways)])
    for name, add in SEGMENT_FAMILIES.items():
        if name not in without:
            add(model, y)
    model.minimize(y.total("cost"))
    return model, y


def build_master(columns: SegmentColumns, without: Collection[str] = ()) -> tuple[cp_model.CpModel, Path]:
    """Set partitioning of the layers by columns."""
    from ortools.sat.python import cp_model

    model = cp_model.CpModel()
    y = Path(columns, [model.new_bool_var(f"z[{c}]") for c in range(len(columns))])
    for name, add in MASTER_FAMILIES.items():
        if name not in without:
            add(model, y)
    model.minimize(_cost(y))
    return model, y


def hint_master(model: cp_model.CpModel, y: Path, chosen: Collection[int]) -> None:
    """Hint every column."""
    for c, z in enumerate(y.z):
        model.add_hint(z, c in chosen)


def solve_segment(run: SegmentColumn, limits: Limits) -> tuple[Outcome, list[int] | None]:
    """Cheapest ways of one run, as indices into its layers' menus."""
    if any(not len(ways) for ways in run.ways):
        return Outcome(Status.INFEASIBLE, None, None, lambda _: 0), None
    model, y = build_segment(run)
    found = run_cpsat(model, limits)
    return found, _ways(run, [[found.value(x) for x in row] for row in y.x]) if found.solved else None


def solve_master(
    columns: SegmentColumns, limits: Limits, chosen: Collection[int] = (), *, log: bool = False
) -> tuple[Outcome, list[int]]:
    """Cheapest set of columns; ``chosen``: a feasible one to start from."""
    model, y = build_master(columns)
    if chosen:
        hint_master(model, y, chosen)
    found = run_cpsat(model, limits, log=log)
    return found, [c for c, z in enumerate(y.z) if found.value(z)] if found.solved else []


def _ways(run: SegmentColumn, table: list[list[int]]) -> list[int]:
    return [int(ways[row.index(1)]) for ways, row in zip(run.ways, table, strict=True)]
