"""Named cases in which bounds once were above solutions that exist; the right values by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spatem_opt import evaluate, load_architecture, solve
from spatem_opt.cost import bounds
from spatem_opt.evaluator import Evaluation
from spatem_opt.evaluator.proof import prove
from spatem_opt.model.architecture import Architecture
from spatem_opt.model.solution import MappingOption, Solution
from spatem_opt.network.builder import Builder
from spatem_opt.network.layers import Network
from tests.evaluator.hand import tables

CHIP = load_architecture("ou-isaac-2x2", {"adc_bits": "5"})


def pooled_input() -> Network:
    """A pool at the outside port: 3 x 16 x 16 of the 3 x 64 x 64 values enter."""
    b = Builder("pooled")
    b.conv(b.pool(b.input(3, 64, 64), "average", 4, stride=4), 8, 1)
    return b.build()


def one_channel() -> Network:
    """One of 16 channels is read."""
    b = Builder("slice")
    b.conv(b.input(16, 14, 14).take(np.array([3])), 8, 3, pads=1)
    return b.build()


def row_and_column() -> Network:
    """Row 5 and column 9 of a map are read, which share a pixel."""
    b = Builder("cross")
    x = b.input(1, 64, 64)
    b.conv(x.pad(-5, 0, -58, 0), 8, 1)
    b.conv(x.pad(0, -9, 0, -54), 8, 1)
    return b.build()


COMMUNICATION = [
    # Outputs of the pool over one hop, and each read by its window of one pixel. Was 208 896.
    (pooled_input, 3 * 16 * 16 * 16 + 256 * 3 * 16),
    # One channel over one hop, and one new pixel for each of as many windows. Was 53 312.
    (one_channel, 14 * 14 * 16 + 196 * 16),
    # 64 + 64 - 1 pixels over one hop, 64 windows of one pixel each for either layer. Was 67 584.
    (row_and_column, 127 * 16 + 128 * 16),
]


@pytest.mark.parametrize(("make", "value"), COMMUNICATION)
def test_communication_by_hand(make: object, value: int) -> None:
    network = make()  # type: ignore[operator]
    assert bounds.communication(network, CHIP).value == prove(network, CHIP)["communication"] == value


@pytest.mark.parametrize("objective", ["communication", "energy", "balanced"])
@pytest.mark.parametrize(("make", "value"), COMMUNICATION)
def test_solutions_are_not_below(make: object, value: int, objective: str) -> None:
    result = solve(make(), CHIP, objective=objective, method="heuristic")  # type: ignore[operator]
    assert result.solution is not None
    assert result.value is not None
    assert result.bound is not None
    assert value > 0
    assert result.bound <= result.value
    assert evaluate(result.solution).valid


def test_the_pool_at_the_input_is_solved_to_optimality() -> None:
    """One tile with one copy reaches the bound, so it cannot be weaker than it has to be."""
    result = solve(pooled_input(), CHIP, objective="communication", method="heuristic")
    assert (str(result.status), result.value, result.bound) == ("optimal", 24_576, 24_576)


def crossed_map() -> tuple[Network, Architecture]:
    """A 16 x 16 map of which a sum reads row 0 and column 0, a fully connected layer, and a slow digital node.

    Two crossbars on a tile; every layer is one or more OUs of 256 x 1 cells, 16 phases.
    """
    b = Builder("crossed")
    y = b.conv(b.input(1, 16, 16), 1, 1)
    row, column = y.pad(0, 0, -15, 0), y.pad(0, 0, 0, -15)
    z = b.fc(b.elementwise("add", [row, column]), 1)
    b.pool(z, "slow", 1)
    network = b.build()
    nodes = (*network.nodes[:-1], replace(network.nodes[-1], ops_per_window=4000))
    chip = Architecture(
        name="two", mesh_rows=1, mesh_cols=1, tiles_per_router=1, pes_per_tile=1, crossbars_per_pe=2,
        crossbar_rows=256, crossbar_cols=1, ou_rows=256, ou_cols=1, cell_bits=2, weight_bits=2, adc_bits=16,
        activation_bits=16, digital_ops_per_cycle=1, pipeline_tail_cycles=5,
    )  # fmt: skip
    return replace(network, nodes=nodes), chip


def needed_first() -> Evaluation:
    """Row 0, then the rest of column 0 on crossbar 0, then fc on crossbar 1; the other windows meanwhile."""
    network, chip = crossed_map()
    rest = [(0, 0, 16 * y + 1, 16 * y + 15, 1, 0, 600 + 300 * y, 900 + 300 * y) for y in range(1, 16)]
    placement, schedule = tables(
        [(0, 0, 0, 0, 1, 0, 1), (1, 0, 1, 0, 1, 0, 1)],
        [(0, 0, 0, 15, 1, 0, 0, 300), (0, 0, 16, 240, 16, 0, 300, 600), *rest, (1, 0, 0, 0, 1, 0, 0, 2000)],
    )
    options = (MappingOption(), MappingOption())
    return evaluate(Solution(chip, network, options, placement, schedule, np.zeros(2, np.int64)))


def test_barrier_by_hand() -> None:
    """Only 31 of 256 pixels must be done before the fully connected layer.

    The input enters in 1 hop and 1 cycle; 31 windows of 1 OU and 16 phases on 2 crossbars take 248 cycles, the tail 5;
    then fc: 16 cycles, load 1, tail 5; the last node: 4 000. With all 256 pixels it would be 2 + 2048 + 5 + 4022.
    """
    network, chip = crossed_map()
    assert bounds.latency(network, chip).terms["barrier"] == 2 + 248 + 5 + 22 + 4000


def test_a_schedule_that_the_product_of_unions_forbids() -> None:
    """Needed windows first: valid, and shorter than 256 windows before the fully connected layer would allow."""
    found = needed_first()
    assert found.valid, found.violations
    assert found.latency_cycles is not None
    assert found.bounds is not None
    assert found.bounds["latency"] <= found.latency_cycles < 2048 + 22 + 4000
