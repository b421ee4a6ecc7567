"""Candidate plans of the heuristic, most promising first (SPEC 3; ``formulations/replication/README.md``)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property, partial

from spatem_opt.architecture import Architecture
from spatem_opt.bounds import communication, latency
from spatem_opt.mapping.grid import Grid, make_grid
from spatem_opt.mapping.problem import build
from spatem_opt.network.layers import Network, Node
from spatem_opt.plan import Plan
from spatem_opt.replication import pipeline, segments
from spatem_opt.solution import MappingOption

PRICES = {
    "latency": (0.0, 0.03),
    "throughput": (0.0, 0.03),
    "communication": (1.0, 10.0, 100.0),
    "energy": (0.3, 1.0, 10.0),
    "balanced": (0.03, 0.06, 0.1, 0.2),
}
"""Prices of communication tried per objective, in units of (latency bound) / (communication bound)."""
SLACK_PERCENT = 15
"""OU operations a layer may spend beyond its best mapping to read less."""


class Candidates:
    """Plans for one network, chip and objective; what they share is computed once, on first use."""

    def __init__(self, network: Network, architecture: Architecture, objective: str) -> None:
        self.network, self.architecture, self.objective = network, architecture, objective

    def planners(self) -> Iterator[tuple[str, Callable[[int | None], Plan | None]]]:
        """(name, function that makes the plan), most promising first."""
        for price in PRICES[self.objective]:
            yield f"segments (price {price:g})", partial(self._segmented, price)
        yield "pipeline", lambda best: self.promising(self.one_segment(), best)

    def _segmented(self, price: float, best: int | None) -> Plan | None:
        return self.segmented(price)

    def segmented(self, price: float) -> Plan | None:
        """Segments that take turns on the whole chip."""
        worth = price * latency(self.network, self.architecture).value
        worth /= max(1, communication(self.network, self.architecture).value)
        runs = segments.Runs(self.ways, self.network, self.architecture, worth)
        for fill in (0.97, 0.9, 1.0, 0.8):
            cuts = segments.cut(runs, fill=fill)
            placed = None if cuts is None else segments.allocate(cuts, self.ways, self.grids, self.architecture)
            if placed is not None:
                return Plan("segments", *placed)
        return None

    def one_segment(self) -> Plan | None:
        """All layers at once, the slowest as fast as the chip allows."""
        grids = tuple(options[0] for options in self.grids)
        allocations = pipeline.balance(grids, self.architecture)
        return None if allocations is None else Plan("pipeline", grids, allocations)

    def may_win(self, baseline: str) -> bool:
        """Whether a baseline is worth its time for the objective: no barrier and no lone copy can be fast."""
        return baseline != "layer-serial" or self.objective in ("communication", "energy")

    def promising(self, plan: Plan | None, best: int | None) -> Plan | None:
        """The plan, unless its slowest layer alone takes longer than the best latency known."""
        if plan is None or best is None or self.objective != "latency":
            return plan
        slowest = max(
            -(-grid.windows // len(allocation.position)) * grid.phases * allocation.shape.serial
            for grid, allocation in zip(plan.grids, plan.allocations, strict=True)
        )
        return plan if slowest < best else None

    @cached_property
    def grids(self) -> list[tuple[Grid, ...]]:
        """Grids of every layer under its admitted mapping options, fewest OU operations first."""
        problem = build(self.network, self.architecture, slack_percent=SLACK_PERCENT)
        made: dict[tuple[object, MappingOption], Grid] = {}
        found: list[tuple[Grid, ...]] = []
        for layer, node in enumerate(self.nodes):
            order = sorted(problem.allowed(layer).nonzero()[0], key=lambda i: int(problem.operations[layer][i]))
            for i in order:
                key = (_kind(node), problem.options[layer][i])
                if key not in made:
                    made[key] = make_grid(node, problem.options[layer][i], self.architecture)
            found.append(tuple(made[_kind(node), problem.options[layer][i]] for i in order))
        return found

    @cached_property
    def ways(self) -> list[segments.Ways]:
        """Ways to run every layer."""
        slots = segments.menu(self.architecture.ou_slots)
        made: dict[object, segments.Ways] = {}
        found: list[segments.Ways] = []
        for node, grids in zip(self.nodes, self.grids, strict=True):
            outside = any(self.network.nodes[p].kind == "input" for edge in node.edges for p in edge.producers)
            key = (_kind(node), outside)
            if key not in made:
                made[key] = segments.ways(grids, node, self.architecture, slots, outside)
            found.append(made[key])
        return found

    @property
    def nodes(self) -> list[Node]:
        """Crossbar layers."""
        return [self.network.nodes[i] for i in self.network.layers]


def _kind(node: Node) -> object:
    """Layers of one kind have the same grids and ways."""
    return node.weights, node.height, node.width, len(node.edges[0].channel)
