"""From a plan that is worth scheduling to what is scheduled: tiles exchanged, windows dealt out."""

from __future__ import annotations

from dataclasses import replace

from spatem_opt.cost.placed import PlacedNetwork
from spatem_opt.model.architecture import Architecture
from spatem_opt.network.layers import Network
from spatem_opt.planning import registry
from spatem_opt.planning.exchanges import exchanged
from spatem_opt.planning.plan import Plan, problem_of, rebalanced


def ready(plan: Plan, network: Network, architecture: Architecture) -> tuple[Plan, PlacedNetwork]:
    """The plan as it is to be scheduled, and its problem."""
    for name in plan.exchanges:
        plan = exchanged(plan, registry.exchange(name), network, architecture)
    balance, plan = plan.rebalance, replace(plan, exchanges=(), rebalance=False)
    problem = problem_of(plan, network, architecture)
    return rebalanced(plan, problem) if balance else (plan, problem)
