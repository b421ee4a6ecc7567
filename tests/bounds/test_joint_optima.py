"""Latency bounds against proven optima of the model of all steps, which does not know them here."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from formulations.joint import cpsat
from formulations.joint.problem import make
from formulations.solver import Limits, run_cpsat
from spatem_opt.cost import bounds
from spatem_opt.model.architecture import Architecture
from spatem_opt.model.result import Status
from spatem_opt.network.builder import Builder
from spatem_opt.network.layers import Network
from spatem_opt.network.maps import Tensor
from spatem_opt.testing import TINY, tiny_instance
from tests.bounds.generate import as_it_is


def pooled(b: Builder, x: Tensor) -> None:
    """A pool at the outside port."""
    b.conv(b.pool(x, "max", (1, 2), stride=(1, 2)), 2, 1)


def resized(b: Builder, x: Tensor) -> None:
    """The input twice as wide, of which one column is left out."""
    b.conv(b.upsample(x, (1, 2)).pad(0, 0, 0, -1), 1, (1, 2), stride=2)


def crossed(b: Builder, x: Tensor) -> None:
    """One row and one column of a layer, added up, then all of it."""
    y = b.conv(x, 2, 1)
    b.fc(b.elementwise("add", [y.pad(0, 0, -1, 0), y.pad(0, 0, 0, -1)]), 1)


def one_of_two(b: Builder, x: Tensor) -> None:
    """One channel, by two layers, of different pixels."""
    b.conv(x.take(np.array([1])).pad(-1, 0, 0, 0), 1, 1)
    b.conv(x.take(np.array([1])).pad(0, 0, 0, -1), 2, 1)


def back_outside(b: Builder, x: Tensor) -> None:
    """A node at the input reads a layer."""
    y = b.conv(x, 2, 1)
    b.digital("mix", "mul", [as_it_is(x), as_it_is(y)], ops=3)


def two_inputs(b: Builder, x: Tensor) -> None:
    """Two inputs side by side."""
    b.conv(b.concat([x, b.input(1, 2, 2, name="second")]), 2, 2)


def built(add: Callable[[Builder, Tensor], None]) -> Network:
    """The network of a case on an input of 2 x 2 x 2."""
    b = Builder(add.__name__)
    add(b, b.input(2, 2, 2))
    return b.build()


def shortest(network: Network, chip: Architecture, limits: Limits) -> tuple[Status, int | None]:
    """Status and latency of the model without the bound."""
    run = run_cpsat(cpsat.build(make(network, chip), without=("bound",))[0], limits)
    return run.status, run.objective


def order(network: Network, chip: Architecture) -> int:
    """What comes of work and order: the model does not count what ports and routers pass."""
    terms = bounds.latency(network, chip).terms
    return max(terms["work"], terms["path"], terms["barrier"])


@pytest.mark.parametrize("seed", [4, 9, 15])
@pytest.mark.parametrize("add", [pooled, resized, crossed, one_of_two, back_outside, two_inputs])
def test_not_above_the_optimum(add: Callable[[Builder, Tensor], None], seed: int) -> None:
    network, chip = built(add), tiny_instance(seed)[1]
    status, least = shortest(network, chip, Limits(60.0, workers=1))
    assert status is Status.OPTIMAL
    assert least is not None
    assert order(network, chip) <= least


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(TINY))
def test_not_above_what_the_model_finds(seed: int) -> None:
    """Most of these it proves optimal; what it finds of the others is a solution, too."""
    network, chip = tiny_instance(seed)
    _, least = shortest(network, chip, Limits(10.0, workers=2))
    assert least is None or order(network, chip) <= least
