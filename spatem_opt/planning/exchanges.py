"""Tile exchanges: what tiles of a placed plan hold changes places, for shorter ways or less busy routers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spatem_opt.cost.placed import PlacedNetwork
from spatem_opt.cost.traffic import flows, traffic
from spatem_opt.model.architecture import Architecture
from spatem_opt.network.layers import Network
from spatem_opt.placement.period_relief import relieve_period
from spatem_opt.placement.segment_relief import relieve_segments
from spatem_opt.placement.shortening import shorten
from spatem_opt.planning.plan import Plan, busiest, problem_of
from spatem_opt.planning.protocol import TileExchange
from spatem_opt.replication.layout import serpentine_order
from spatem_opt.types import IntArray

RELIEVED = 0.95
"""Share of a router that its traffic may take before tiles are exchanged to relieve it, for throughput."""


class Shorten:
    """Routers of a segment change places so that its data go shorter ways; the latency may change."""

    name = "shorten"

    def exchange(self, plan: Plan, network: Network, architecture: Architecture) -> IntArray:
        """New router of what each segment keeps at each router."""
        problem = problem_of(plan, network, architecture)
        chip, segment = architecture, plan.segment
        per_router = chip.crossbars_per_tile * chip.tiles_per_router
        router = serpentine_order(chip, across=plan.across)[::per_router] // per_router
        allowed = np.ones((int(segment.max()) + 1, len(router)), dtype=np.bool_)
        if plan.regions is not None:
            place = np.arange(len(router)) * per_router
            allowed[:, router] = (place >= plan.regions[:, :1]) & (place < plan.regions[:, 1:])
        return shorten(traffic(problem, segment), chip, allowed)


class RelieveSegments:
    """Tiles of a segment that hold the same layers change places, so that its routers are less busy.

    The segment before has the same layers on both as well: which tile is free when, and needed, hardly changes.
    """

    name = "relieve-segments"

    def exchange(self, plan: Plan, network: Network, architecture: Architecture) -> IntArray:
        """New tile of what each segment keeps at each tile."""
        problem = problem_of(replace(plan, moves=None), network, architecture)
        chip, segment = architecture, plan.segment
        shape = int(segment.max()) + 1, chip.tiles
        lasts, held = np.zeros(shape[0]), np.zeros((len(segment), chip.tiles), dtype=np.bool_)
        for layer, (placed, own) in enumerate(zip(problem.placed, plan.allocations, strict=True)):
            held[layer, placed.pair_tile] = True
            lasts[segment[layer]] = max(lasts[segment[layer]], int(placed.interval.max()) * own.split.most)
        near = [held[(segment == s) | (segment == s - 1)] for s in range(shape[0])]
        kinds = [np.unique(own, axis=1, return_inverse=True)[1].ravel() for own in near]
        for layer, own in enumerate(plan.allocations):
            if own.split.tied:  # lies where its neighbours in the image are near
                kinds[segment[layer]] = np.arange(chip.tiles)
        return relieve_segments(flows(problem, segment, by_tile=True), np.array(kinds), lasts, chip, plan.moves)


class RelievePeriod:
    """Tiles change places until the busiest router is not what inferences wait for, if possible."""

    name = "relieve-period"

    def exchange(self, plan: Plan, network: Network, architecture: Architecture) -> IntArray:
        """New tile of what lies at each tile."""
        return _relieved(plan, problem_of(plan, network, architecture))[0]


def period_relieved(plan: Plan, problem: PlacedNetwork) -> Plan:
    """The plan with :class:`RelievePeriod`, for inferences that follow each other as fast as routers then allow."""
    moves, bits = _relieved(plan, problem)
    return replace(plan, moves=moves, span=int(bits / problem.architecture.router_bits_per_cycle))


def _relieved(plan: Plan, problem: PlacedNetwork) -> tuple[IntArray, float]:
    """New tile of what lies at each tile, shape (1, tiles), and the bits of the busiest router."""
    chip = problem.architecture
    enough = RELIEVED * busiest(problem) * chip.router_bits_per_cycle
    place, bits = relieve_period(traffic(problem, plan.segment, by_tile=True), chip, enough)
    return place[None], bits


def exchanged(plan: Plan, exchange: TileExchange, network: Network, architecture: Architecture) -> Plan:
    """The plan after an exchange."""
    return replace(plan, moves=exchange.exchange(plan, network, architecture))
