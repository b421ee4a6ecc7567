"""Channels that no node makes: solved and replayed, with the work of their weights and without a transfer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spatem_opt import evaluate, load_architecture, solve
from spatem_opt.cost import bounds
from spatem_opt.evaluator.proof import prove
from spatem_opt.network import Network, Tensor
from spatem_opt.network.builder import Builder


def network(constants: bool) -> Network:
    """Two layers that read two more channels each, of an input of four; constant ones, or the input's last."""
    b = Builder("constants")
    x = b.input(4, 8, 8)
    image, more = x.take(np.arange(2)), x.take(np.arange(2, 4))
    first = b.conv(b.concat([more.constants(2) if constants else more, image]), 6, 3, pads=1, name="first")
    pooled = b.pool(_joined(b, first, constants), "max", 2, 2, name="pool")
    b.conv(pooled, 4, 1, groups=2, name="second")
    return b.build()


def _joined(b: Builder, x: Tensor, constants: bool) -> Tensor:
    more = x.constants(2) if constants else x.take(np.arange(2))
    return b.concat([more, x])


@pytest.mark.parametrize("router_service", ["shared", "links"])
def test_constants_are_there_without_a_transfer(router_service: str) -> None:
    chip = load_architecture("ou-isaac-4x4", {"router_service": router_service})
    found = {}
    for constants in (False, True):
        result = solve(network(constants), chip)
        assert result.solution is not None
        evaluation = evaluate(result.solution)
        assert not evaluation.violations
        found[constants] = evaluation
    entering = [prove(network(c), chip) for c in (False, True)]
    assert entering[1]["communication"] < entering[0]["communication"]
    assert found[True].communication is not None
    assert found[False].communication is not None
    assert found[True].communication.from_outside_items < found[False].communication.from_outside_items


def test_both_bounds_read_constants_alike() -> None:
    chip = load_architecture("ou-isaac-4x4")
    proven = prove(network(True), chip)
    for objective in ("latency", "communication", "energy", "balanced"):
        assert proven[objective] == bounds.MAKERS[objective](network(True), chip).value


def test_a_solution_with_constants_fits_no_other_network() -> None:
    chip = load_architecture("ou-isaac-4x4")
    result = solve(network(True), chip)
    assert result.solution is not None
    other = replace(result.solution, network=network(False))
    assert evaluate(other, network=network(True)).violations
