"""PuLP models of replication: one run, and the master over runs. Equation labels are those of ``EXACT.md``."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from formulations.replication.columns import SegmentColumn, SegmentColumns
from formulations.replication.cpsat import Choice, Path
from formulations.solver import Limits, pulp_minimisation, pulp_sum, run_pulp
from formulations.solver import SolverRun as Outcome
from spatem_opt.model.result import Status


def total(y: Choice, name: str) -> Any:
    """Sum of a use over the chosen ways: ``"cost"``, ``"crossbars"`` or ``"hop_bits"``."""
    table = y.run.use(name)
    return pulp_sum(
        int(use) * x for uses, row in zip(table, y.x, strict=True) for use, x in zip(uses, row, strict=True)
    )


def add_way(model: Any, y: Choice) -> None:
    r"""Every layer of the run takes one way that fits its slots and pace (E1).

    .. math:: \sum_{w \in W_k(s, p)} x_{kw} = 1 \qquad \forall k = i..j-1
    """
    for k, row in enumerate(y.x):
        model.addConstraint(pulp_sum(row) == 1, name=f"way[{k}]")


def add_crossbars(model: Any, y: Choice) -> None:
    r"""The run's copies fit on the crossbars (E2).

    .. math:: \sum_{kw} n_{kw} x_{kw} \le N_{j-i}
    """
    model.addConstraint(total(y, "crossbars") <= y.run.room, name="crossbars[0]")


def add_router(model: Any, y: Choice) -> None:
    r"""Routers carry the run's traffic within its pace (E3).

    .. math:: \sum_{kw} h_{kw} x_{kw} \le \lfloor R\, T_p \rfloor
    """
    model.addConstraint(total(y, "hop_bits") <= y.run.problem.traffic(y.run.pace), name="router[0]")


SEGMENT_FAMILIES: dict[str, Callable[[Any, Choice], None]] = {
    "way": add_way,
    "crossbars": add_crossbars,
    "router": add_router,
}


def add_cover(model: Any, y: Path) -> None:
    r"""Every layer is in one run (E4).

    .. math:: \sum_{c:\, i_c \le l < j_c} z_c = 1 \qquad \forall l
    """
    for layer, members in enumerate(y.columns.covering()):
        model.addConstraint(pulp_sum(y.z[c] for c in members) == 1, name=f"cover[{layer}]")


def add_slots(model: Any, y: Path) -> None:
    r"""All runs together take no more than the slots of a crossbar (E5).

    .. math:: \sum_c s_c z_c \le A
    """
    used = pulp_sum(int(s) * z for s, z in zip(y.columns.taken(), y.z, strict=True))
    model.addConstraint(used <= y.columns.problem.capacity, name="slots[0]")


def add_bound(model: Any, y: Path) -> None:
    r"""Redundant: the objective is at least a proven bound (E6).

    .. math:: \sum_c c_c z_c \ge \underline{z}
    """
    model.addConstraint(_cost(y) >= y.columns.lower, name="bound[0]")


MASTER_FAMILIES: dict[str, Callable[[Any, Path], None]] = {
    "cover": add_cover,
    "slots": add_slots,
    "bound": add_bound,
}
FAMILIES = (*SEGMENT_FAMILIES, *MASTER_FAMILIES)
REDUNDANT = frozenset(("bound",))


def _cost(y: Path) -> Any:
    return pulp_sum(int(cost) * z for cost, z in zip(y.columns.cost, y.z, strict=True))


def build_segment(run: SegmentColumn, without: Collection[str] = ()) -> tuple[Any, Choice]:
    """Model of one run: the cheapest ways, without the cost of its pace."""
    model = pulp_minimisation("run")
    y = Choice(
        run,
        [[model.add_variable(f"x_{k}_{w}", cat="Binary") for w in ways.tolist()] for k, ways in enumerate(run.ways)],
    )
    model += total(y, "cost")
    for name, add in SEGMENT_FAMILIES.items():
        if name not in without:
            add(model, y)
    return model, y


def build_master(columns: SegmentColumns, without: Collection[str] = ()) -> tuple[Any, Path]:
    """Set partitioning of the layers by columns."""
    model = pulp_minimisation("master")
    y = Path(columns, [model.add_variable(f"z_{c}", cat="Binary") for c in range(len(columns))])
    model += _cost(y)
    for name, add in MASTER_FAMILIES.items():
        if name not in without:
            add(model, y)
    return model, y


def solve_segment(run: SegmentColumn, limits: Limits) -> tuple[Outcome, list[int] | None]:
    """Cheapest ways of one run, as indices into its layers' menus."""
    if any(not len(ways) for ways in run.ways):
        return Outcome(Status.INFEASIBLE, None, None, lambda _: 0), None
    model, y = build_segment(run)
    found = run_pulp(model, limits)
    if not found.solved:
        return found, None
    return found, [int(ways[[found.value(x) for x in row].index(1)]) for ways, row in zip(run.ways, y.x, strict=True)]


def solve_master(columns: SegmentColumns, limits: Limits, chosen: Collection[int] = ()) -> tuple[Outcome, list[int]]:
    """Cheapest set of columns; ``chosen``: a feasible one to start from."""
    model, y = build_master(columns)
    for c, z in enumerate(y.z):
        z.setInitialValue(int(c in chosen))
    found = run_pulp(model, limits, warm=bool(chosen))
    return found, [c for c, z in enumerate(y.z) if found.value(z)] if found.solved else []
