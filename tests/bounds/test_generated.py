"""Bounds of generated instances: below whatever solution there is, and the same as the evaluator proves."""

from __future__ import annotations

import numpy as np
import pytest

from spatem_opt.cost import bounds
from spatem_opt.cost.durations import datum_bits
from spatem_opt.evaluator import Evaluation
from spatem_opt.evaluator.proof import prove
from spatem_opt.mapping.shortage import shortage
from spatem_opt.model.architecture import Architecture
from spatem_opt.network.layers import Network
from spatem_opt.search.realisation import measure
from spatem_opt.testing import assert_confirmed, random_plan, scheduled
from tests.bounds import generate

FAST, ALL, PART = 140, 2800, 280
"""Instances of the fast run, of all, and of each part of the slow one; about a seventh has no room on its chip."""


def instance(seed: int) -> tuple[Network, Architecture]:
    """Network and chip of a seed; the chip is drawn again until the weights fit. Odd ones have layers of own bits."""
    rng = np.random.default_rng([seed, 18])
    network, chip = generate.network(rng, generate.KINDS[seed % len(generate.KINDS)]), generate.chip(rng)
    if seed % 2:  # the kinds are seven: every kind is drawn either way
        network = generate.own_bits(np.random.default_rng([seed, 20]), network)
    while shortage(network, chip) is not None:
        chip = generate.chip(rng)
    return network, chip


def solutions(seed: int, network: Network, chip: Architecture) -> list[Evaluation]:
    """A random solution, of three plans at most; none where no plan has room."""
    rng = np.random.default_rng([seed, 19])
    for _ in range(3):
        plan = random_plan(rng, network, chip)
        if plan is not None:
            return [assert_confirmed(scheduled(plan, network, chip))]
    return []


def check(seeds: range) -> int:
    """Check all objectives on so many instances; returns how many had a solution."""
    solved = 0
    for seed in seeds:
        network, chip = instance(seed)
        made = {objective: maker(network, chip) for objective, maker in bounds.MAKERS.items()}
        proven = prove(network, chip)
        assert {**proven, "throughput": proven["period"]} == {
            **{objective: bound.value for objective, bound in made.items()}, "period": made["throughput"].value
        }, seed  # fmt: skip
        for found in solutions(seed, network, chip):
            solved += 1
            for objective, bound in made.items():
                assert bound.value <= measure(found, objective), (seed, objective, bound)
    return solved


def test_bounds_are_below_solutions_and_proven_twice() -> None:
    assert check(range(FAST)) >= 0.7 * FAST


@pytest.mark.slow
@pytest.mark.parametrize("first", range(FAST, ALL + FAST, PART))
def test_bounds_are_below_solutions_and_proven_twice_on_all(first: int) -> None:
    """In all more than 2 000 instances with a solution."""
    assert check(range(first, first + PART)) >= 0.72 * PART


def test_layers_of_own_bits_widen_what_is_sent() -> None:
    """Some data must be wider than the chip's activations, and some narrower, or the test above says nothing."""
    widths = {
        (width > chip.activation_bits) - (width < chip.activation_bits)
        for network, chip in map(instance, range(1, 70, 2))
        for width in datum_bits(network, chip)
    }
    assert widths == {-1, 0, 1}


def test_instances_have_what_they_should() -> None:
    """Crops, strides, channels nobody reads, pooling and resizing at the input, concat, two inputs, nodes outside."""
    seen: set[str] = set()
    for seed in range(70):
        network, _ = instance(seed)
        nodes = network.nodes
        for node in nodes:
            for edge in node.edges:
                producer = nodes[int(edge.source[0])]
                seen |= {"concat"} if len(edge.producers) > 1 else set()
                seen |= {"crop"} if len(np.unique(edge.rows[edge.rows >= 0])) < producer.height else set()
                seen |= {"channels"} if len(np.unique(edge.channel)) < producer.channels else set()
                at_input = producer.kind == "input" and node.kind == "digital"
                seen |= {f"input {node.op}"} if at_input else set()
            seen |= {"stride"} if node.weights is not None and max(node.weights.stride) > 1 else set()
        seen |= {"inputs"} if sum(node.kind == "input" for node in nodes) > 1 else set()
    needed = {
        "crop",
        "stride",
        "channels",
        "concat",
        "inputs",
        "input average_pool",
        "input max_pool",
        "input upsample",
    }
    assert needed | {"input pad", "input mul", "input add"} <= seen
