"""What a planner is: somebody who proposes plans. The search schedules, replays and judges them.

A planner has a name and a method ``plans(task, rng)`` that yields plans, the most promising first, maybe without end:

>>> class Mine:
...     name = "mine"
...
...     def plans(self, task, rng):
...         yield Plan(self.name, grids, allocations)  # doctest: +SKIP

A :class:`~spatem_opt.planning.plan.Plan` says which grid of OUs each layer has, and in an
:class:`~spatem_opt.replication.layout.Allocation` each, which tiling, where its copies lie, and which copy runs which
windows. ``task`` has network, chip and objective, what is to be beaten, and grids that are made only once
(:meth:`Task.grid`). Times, queues, buffers and all numbers are the search's business.

Optional:

- ``learn(plan, outcome)``: told what became of each plan before the next one is asked for. ``outcome.reason`` says why
  a plan came to nothing.
- ``yield None`` passes the turn: other planners go first, the next plan is asked for in the next round. A search
  without a time limit asks for a next round only planners that have passed; one that has no more plans just returns.
- ``ahead``, an attribute: while it is true, the next plan does not hang on what became of those before, so that it may
  be asked for while helper processes are at work on them.
- ``missing(task)``: a :class:`~spatem_opt.model.result.Shortage`, if the network cannot fit the chip this way.
- ``task.order(work, *more)``: makes plans in helper processes. ``work(task, *more) -> Plan | None`` is a function at
  the top level of a module, and what it is given can be pickled.

All random choices come from ``rng``, so that the same seed gives the same plans;
:func:`spatem_opt.testing.check_planner` tries that, and whether the evaluator confirms what comes of the plans. A class
becomes known by name through an entry point of the group :data:`~spatem_opt.planning.registry.PLANNERS`; see
``examples/own_planner.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Any, Protocol, TypeVar, runtime_checkable

from numpy.random import Generator

from spatem_opt.cost.grid import Grid, make_grid
from spatem_opt.model.architecture import Architecture
from spatem_opt.model.result import Shortage
from spatem_opt.model.solution import MappingOption, Solution
from spatem_opt.network.layers import Network, Node
from spatem_opt.planning.plan import Plan
from spatem_opt.planning.policy import ObjectivePolicy, policy_of
from spatem_opt.types import IntArray

Shared = TypeVar("Shared")
PlanAnswer = Callable[[], Plan | None]
"""A plan that is there by now, or waited for; None if there is none."""


class Reason(StrEnum):
    """Why a plan became what it became."""

    ACCEPTED = "accepted"
    """The best so far."""
    NOT_BETTER = "not better"
    """A solution, within the latency limit, but not the best."""
    TOO_SLOW = "too slow"
    """By its estimate, by what its copies compute, or scheduled without queues; not faster than what is asked for."""
    ROUTER = "router"
    """Fast enough but for queues at routers (M6)."""
    PORT = "port"
    """Fast enough but for tiles' ports: windows take longer to load than to compute (M6)."""
    BUFFER = "buffer"
    """A tile's buffer is too small (M8)."""
    NO_FIT = "no fit"
    """Copies lie on top of each other, beyond the chip, or not within one tile (M4)."""


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What became of a plan.

    Parameters
    ----------
    reason : Reason
    known : bool
        The same decisions were tried before; `reason` is what became of them then (never the best so far again).
    value, latency : int or None
        Objective value, and cycles, if there is a solution.
    solution : Solution or None
    detail : str
        In words, where there is more to say.
    """

    reason: Reason
    known: bool = False
    value: int | None = None
    latency: int | None = None
    solution: Solution | None = None
    detail: str = ""

    @property
    def solved(self) -> bool:
        """Whether there is a solution that counts."""
        return self.reason in (Reason.ACCEPTED, Reason.NOT_BETTER)


@dataclass(slots=True, eq=False)
class Task:
    """What plans are wanted for. Planners read it; the search moves ``best``, ``latency`` and ``verdicts``.

    Parameters
    ----------
    network, architecture
    objective : str
        One of :data:`~spatem_opt.planning.policy.POLICIES`.
    latency_limit : int, optional
        Cycles; slower solutions do not count.
    endless : bool
        Plans are wanted until the search is stopped; otherwise a first answer is.
    helpers : int
        Processes that work for :meth:`order`.
    best : int or None
        Best objective value so far.
    verdicts : dict of bytes to Reason
        What became of plans, by :meth:`Plan.digest <spatem_opt.planning.plan.Plan.digest>`.
    """

    network: Network
    architecture: Architecture
    objective: str = "latency"
    latency_limit: int | None = None
    endless: bool = False
    helpers: int = 0
    best: int | None = None
    verdicts: dict[bytes, Reason] = field(default_factory=dict)
    _shared: dict[Any, Any] = field(default_factory=dict)
    _grids: dict[Any, Grid] = field(default_factory=dict)
    _order: Callable[..., PlanAnswer] | None = None

    @property
    def policy(self) -> ObjectivePolicy:
        """The row of the objective."""
        return policy_of(self.objective)

    @property
    def limit(self) -> int | None:
        """Latency [cycles] from which on a solution is of no use; None if any will do."""
        allowed = [] if self.latency_limit is None else [self.latency_limit + 1]
        if self.policy.faster and self.best is not None:
            allowed.append(self.best)
        return min(allowed, default=None)

    @property
    def goal(self) -> int | None:
        """Cycles that a plan's busiest copy must be able to do better than: the limit, or the best period."""
        periods = [self.best] if self.policy.follows and self.best is not None else []
        return min([*periods, *([] if self.limit is None else [self.limit])], default=None)

    @property
    def layers(self) -> list[Node]:
        """Crossbar layers, in order."""
        return [self.network.nodes[i] for i in self.network.layers]

    def known(self, plan: Plan) -> bool:
        """Whether the same decisions were tried before."""
        return plan.digest() in self.verdicts

    def grid(self, layer: int, option: MappingOption) -> Grid:
        """OUs of a crossbar layer (its number among crossbar layers) under a mapping option; made only once."""
        node = self.network.nodes[self.network.layers[layer]]
        key = (node.weights, node.height, node.width, len(node.edges[0].channel)), option
        if key not in self._grids:
            self._grids[key] = make_grid(node, option, self.architecture)
        return self._grids[key]

    def shared(self, make: Callable[[Task], Shared]) -> Shared:
        """What `make` computes of this task, only once: helpers have what was computed before they began."""
        if make not in self._shared:
            self._shared[make] = make(self)
        found: Shared = self._shared[make]
        return found

    def order(self, work: Callable[..., Plan | None], *more: object) -> PlanAnswer:
        """Have a helper run ``work(task, *more)`` at once; without helpers it is done here when the answer is asked."""
        return partial(work, self, *more) if self._order is None else self._order(work, *more)

    def through(self, order: Callable[..., PlanAnswer] | None) -> None:
        """From now on orders go to whoever has helpers."""
        self._order = order


@runtime_checkable
class Planner(Protocol):
    """Proposes plans; see the module for what else it may have."""

    @property
    def name(self) -> str:
        """In tables, and for ``--planner``; a word."""
        ...

    def plans(self, task: Task, rng: Generator) -> Iterator[Plan | None]:
        """Plans, the most promising first; None passes the turn."""
        ...


@runtime_checkable
class TileExchange(Protocol):
    """Moves the contents of tiles of a placed plan, segment by segment; copies and windows stay as they are."""

    @property
    def name(self) -> str:
        """A word."""
        ...

    def exchange(self, plan: Plan, network: Network, architecture: Architecture) -> IntArray:
        """New tile (or router) of what each segment keeps at each one: a permutation, shape (segments, tiles)."""
        ...


def learn(planner: Planner, plan: Plan, outcome: Outcome) -> None:
    """Tell a planner, if it wants to know."""
    told = getattr(planner, "learn", None)
    if told is not None:
        told(plan, outcome)




def lacking(planner: Planner, task: Task) -> Shortage | None:
    """What the chip lacks for a planner's way, if it says so."""
    missing: Callable[[Task], Shortage | None] | None = getattr(planner, "missing", None)
    return None if missing is None else missing(task)
