"""Replication in one linear model: columns and the ways of their runs, linked. Labels are those of ``EXACT.md``."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from formulations.replication.columns import SegmentColumn, SegmentColumns
from formulations.replication.problem import SegmentationSolution
from formulations.solver import pulp_minimisation, pulp_sum

if TYPE_CHECKING:
    from ortools.sat.python import cp_model

Terms = list[tuple[Any, int]]


class LinearRow(NamedTuple):
    """``sum(factor * variable) <sense> right``; `key` distinguishes the rows of a family."""

    key: str
    terms: Terms
    sense: Literal["<=", "==", ">="]
    right: int


@dataclass(slots=True)
class LinkedVariables:
    """Decision variables.

    Parameters
    ----------
    columns : SegmentColumns
        Their costs are not used.
    runs : list of SegmentColumn
        One per column.
    z : per column, bool
        The column is taken.
    x : per column, layer of its run and way that fits, bool
        The column is taken and the layer runs this way.
    """

    columns: SegmentColumns
    runs: list[SegmentColumn]
    z: list[Any]
    x: list[list[list[Any]]]

    def total(self, c: int, name: str) -> Terms:
        """Use of a column: ``"cost"``, ``"crossbars"`` or ``"hop_bits"``."""
        table = zip(self.runs[c].use(name), self.x[c], strict=True)
        return [(x, int(use)) for uses, row in table for use, x in zip(uses, row, strict=True)]

    @property
    def cost(self) -> Terms:
        """The objective [1/1000 cycle]."""
        paces = [(z, run.base) for run, z in zip(self.runs, self.z, strict=True)]
        return paces + [term for c in range(len(self.z)) for term in self.total(c, "cost")]


def way(y: LinkedVariables) -> Iterator[LinearRow]:
    r"""Every layer of a column that is taken takes one way (L1).

    .. math:: \sum_{w \in W_k(s_c, p_c)} x_{ckw} = z_c \qquad \forall c, k = i_c..j_c-1
    """
    for c, table in enumerate(y.x):
        for k, row in enumerate(table):
            yield LinearRow(f"{c},{k}", [*((x, 1) for x in row), (y.z[c], -1)], "==", 0)


def crossbars(y: LinkedVariables) -> Iterator[LinearRow]:
    r"""The copies of a column fit on the crossbars (L2).

    .. math:: \sum_{kw} n_{kw} x_{ckw} \le N_{j_c-i_c} z_c \qquad \forall c
    """
    for c, run in enumerate(y.runs):
        yield LinearRow(str(c), [*y.total(c, "crossbars"), (y.z[c], -run.room)], "<=", 0)


def router(y: LinkedVariables) -> Iterator[LinearRow]:
    r"""Routers carry the traffic of a column within its pace (L3).

    .. math:: \sum_{kw} h_{kw} x_{ckw} \le \lfloor R\, T_{p_c} \rfloor z_c \qquad \forall c
    """
    for c, run in enumerate(y.runs):
        yield LinearRow(str(c), [*y.total(c, "hop_bits"), (y.z[c], -run.problem.traffic(run.pace))], "<=", 0)


def cover(y: LinkedVariables) -> Iterator[LinearRow]:
    r"""Every layer is in one column (L4).

    .. math:: \sum_{c:\, i_c \le l < j_c} z_c = 1 \qquad \forall l
    """
    for layer, members in enumerate(y.columns.covering()):
        yield LinearRow(str(layer), [(y.z[c], 1) for c in members], "==", 1)


def slots(y: LinkedVariables) -> Iterator[LinearRow]:
    r"""All columns together take no more than the slots of a crossbar (L5).

    .. math:: \sum_c s_c z_c \le A
    """
    taken = zip(y.z, y.columns.taken().tolist(), strict=True)
    yield LinearRow("0", list(taken), "<=", y.columns.problem.capacity)


def bound(y: LinkedVariables) -> Iterator[LinearRow]:
    r"""Redundant: the objective is at least a proven bound (L6).

    .. math:: \sum_c \lceil 1000\, T_{p_c} (1 + \tau_c) \rceil z_c + \sum_{ckw} v_{kw} x_{ckw} \ge \underline{z}
    """
    yield LinearRow("0", y.cost, ">=", y.columns.lower)


FAMILIES: dict[str, Callable[[LinkedVariables], Iterator[LinearRow]]] = {
    "way": way,
    "crossbars": crossbars,
    "router": router,
    "cover": cover,
    "slots": slots,
    "bound": bound,
}


def _make_variables(columns: SegmentColumns, new: Callable[[str, list[int]], Any]) -> LinkedVariables:
    """Create all variables."""
    runs = [columns.run(c) for c in range(len(columns))]
    x = [
        [[new("x", [c, k, w]) for w in ways.tolist()] for k, ways in enumerate(run.ways)] for c, run in enumerate(runs)
    ]
    return LinkedVariables(columns, runs, [new("z", [c]) for c in range(len(columns))], x)


def build_cpsat(columns: SegmentColumns, without: Collection[str] = ()) -> tuple[cp_model.CpModel, LinkedVariables]:
    """The model for CP-SAT.

    Parameters
    ----------
    columns : SegmentColumns
        For example of :func:`formulations.replication.master.open_columns`.
    without : collection of str
        Families to leave out (:data:`FAMILIES`).
    """
    from ortools.sat.python import cp_model

    model = cp_model.CpModel()

    def total(terms: Terms) -> Any:
        return cp_model.LinearExpr.weighted_sum([x for x, _ in terms], [factor for _, factor in terms])

    y = _make_variables(columns, lambda name, index: model.new_bool_var(f"{name}{index}".replace(" ", "")))
    for name, rows in FAMILIES.items():
        for row in () if name in without else rows(y):
            left = total(row.terms)
            holds = {"<=": left <= row.right, "==": left == row.right, ">=": left >= row.right}[row.sense]
            model.add(holds).with_name(f"{name}[{row.key}]")
    model.minimize(total(y.cost))
    return model, y


def build_ilp(columns: SegmentColumns, without: Collection[str] = ()) -> tuple[Any, LinkedVariables]:
    """The model for PuLP; parameters as of :func:`build_cpsat`."""
    model = pulp_minimisation("replication")

    def total(terms: Terms) -> Any:
        return pulp_sum(factor * x for x, factor in terms)

    y = _make_variables(
        columns, lambda name, index: model.add_variable("_".join([name, *map(str, index)]), cat="Binary")
    )
    for name, rows in FAMILIES.items():
        for row in () if name in without else rows(y):
            left = total(row.terms)
            holds = {"<=": left <= row.right, "==": left == row.right, ">=": left >= row.right}[row.sense]
            model.addConstraint(holds, name=f"{name}[{row.key}]")
    model.setObjective(total(y.cost))
    return model, y


def read(y: LinkedVariables, value: Callable[[Any], int]) -> SegmentationSolution:
    """Solution of the values of the variables, of either engine."""
    columns = y.columns
    chosen = sorted((c for c, z in enumerate(y.z) if value(z)), key=lambda c: int(columns.first[c]))
    picked = [
        int(ways[[value(x) for x in row].index(1)])
        for c in chosen
        for ways, row in zip(y.runs[c].ways, y.x[c], strict=True)
    ]
    return SegmentationSolution(
        columns.first[chosen], columns.slots[chosen], columns.pace[chosen], np.array(picked, dtype=np.int64)
    )
