"""Bits of a layer of its own: in transfers, buffers and partial sums, by hand; models and evaluator agree (M4, M6)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spatem_opt import evaluate
from spatem_opt.cost.bounds import communication
from spatem_opt.cost.durations import datum_bits
from spatem_opt.cost.grid import make_grid
from spatem_opt.evaluator import Evaluation
from spatem_opt.evaluator.transfers import datum_bits as datum_bits_of_evaluator
from spatem_opt.model.architecture import Architecture
from spatem_opt.model.solution import MappingOption, Solution
from spatem_opt.network.builder import Builder
from spatem_opt.network.layers import Network
from spatem_opt.testing import assert_confirmed, random_chip, random_network, random_plan, scheduled
from tests.evaluator.hand import pipeline, split_layer, with_chip, with_schedule

SEEDS = range(40)


def with_bits(network: Network, bits: dict[str, int], field: str = "activation_bits") -> Network:
    """The network whose named layers have bits of their own."""
    nodes = []
    for node in network.nodes:
        if node.name in bits:
            assert node.weights is not None
            node = replace(node, weights=replace(node.weights, **{field: bits[node.name]}))
        nodes.append(node)
    return replace(network, nodes=tuple(nodes))


def measured(solution: Solution) -> Evaluation:
    found = evaluate(solution)
    assert found.communication is not None
    return found


def wide_fc() -> Solution:
    """:func:`pipeline` whose fully connected layer reads 5 bits where the chip has 2; its reservation is longer."""
    solution = with_schedule(pipeline(), 1, end=100)
    return replace(solution, network=with_bits(solution.network, {"fc": 5}), claims={})


def test_bits_of_data_by_hand() -> None:
    """fc takes 5 bits of pool, hence pool makes them and takes them of conv; conv takes the chip's 2 of the input."""
    solution = wide_fc()
    assert datum_bits(solution.network, solution.architecture) == (2, 5, 5, 2)


def test_layer_bits_in_transfers_by_hand() -> None:
    """The input sends 4 pixels x 4 channels x 2 bits over 1 hop, pool 2 x 4 x 5 bits over 2 hops to the other tile."""
    found = measured(wide_fc())
    assert found.communication is not None
    assert found.communication.feature_map_bit_hops == 32 * 1 + 40 * 2
    assert found.communication.feature_map_items == 16 + 8
    assert found.communication.from_outside_items == 16


def test_layer_bits_in_buffers_by_hand() -> None:
    """Written at 100 fJ a bit: 32 of the input, 4 x 4 x 5 of conv for pool, 2 x 4 x 5 of pool for fc."""
    found = measured(wide_fc())
    assert found.energy is not None
    assert found.energy.buffer_write == 100 * (32 + 80 + 40)
    assert found.arrays is not None
    assert found.arrays.tile_buffer_peak_bits.tolist()[1] == 40


def test_layer_bits_in_delays_by_hand() -> None:
    """A pixel of pool takes 2 hops + ceil(4 x 5 / 4) = 7 cycles instead of 2 + ceil(4 x 2 / 4) = 4; fc computes 5
    phases x 2 OUs and loads ceil(8 x 5 / 4) = 10 instead of 4 and 4 cycles: 3 + 6 + 6 cycles later than 43."""
    found = measured(wide_fc())
    assert not found.violations
    assert found.latency_cycles == 43 + 3 + 6 + 6


def test_narrow_layer_by_hand() -> None:
    """conv reads 1 bit instead of 2: the input sends and occupies half."""
    solution = pipeline()
    found = measured(replace(solution, network=with_bits(solution.network, {"conv": 1}), claims={}))
    assert found.communication is not None
    assert found.communication.feature_map_bit_hops == 16 + 16 * 2
    assert communication(with_bits(solution.network, {"conv": 1}), solution.architecture).value <= (
        found.communication.total
    )


def test_the_widest_reader_counts() -> None:
    b = Builder("fork", "")
    x = b.input(2, 4, 4)
    y = b.conv(x, 2, 1)
    b.conv(y, 3, 1)
    b.add(y, b.conv(y, 2, 1))
    network = b.build()
    names = [network.nodes[i].name for i in network.layers]
    chip = Architecture(activation_bits=8)
    narrow = with_bits(network, {names[0]: 3, names[1]: 5})
    index = narrow.layers[0]
    # y: 5 bits for one reader, the chip's 8 for the two others
    assert datum_bits(narrow, chip)[:2] == (3, 8)
    assert index == 1
    wide = with_bits(network, {names[1]: 12})
    assert datum_bits(wide, chip)[1] == 12


# 8 rows of one bit plane: one of two OU rows is on the other tile, which sends a partial sum of each of 4 filters
@pytest.mark.parametrize(
    ("chip", "layer", "bits"),
    [
        ({}, {}, 3),
        ({"partial_sum_bits": None}, {}, 2 + 2 + 3),  # 2 phases, 1 slice of 2 bits, 8 rows
        ({"partial_sum_bits": None, "differential": True}, {}, 2 + 2 + 3 + 1),
        ({"partial_sum_bits": None, "activation_bits": 4}, {}, 4 + 2 + 3),
        ({"partial_sum_bits": None}, {"conv": 9}, 9),
    ],
)
def test_width_of_partial_sums_by_hand(chip: dict[str, object], layer: dict[str, int], bits: int) -> None:
    """Two windows send 4 partial sums over 2 hops each; pairs of columns take two OU columns, the sums are as many."""
    solution = with_schedule(with_chip(split_layer(), **chip), 0, end=400)
    network = with_bits(solution.network, layer, "partial_sum_bits")
    if chip.get("differential"):
        assert make_grid(network.nodes[1], MappingOption(), solution.architecture).partial_sum_bits == bits
        return
    found = measured(replace(solution, network=network))
    assert found.communication is not None
    assert found.communication.partial_sum_bit_hops == 2 * 4 * 2 * bits


@pytest.mark.parametrize("seed", SEEDS)
def test_models_and_evaluator_agree(seed: int) -> None:
    """Latency, period and communication that a schedule claims are what the evaluator finds, whatever the bits."""
    rng = np.random.default_rng(seed)
    plan = None
    while plan is None:  # some have no room
        network, chip = with_random_bits(rng)
        plan = random_plan(rng, network, chip)
    assert datum_bits(network, chip) == tuple(datum_bits_of_evaluator(network, chip.activation_bits))
    assert_confirmed(scheduled(plan, network, chip))


def with_random_bits(rng: np.random.Generator) -> tuple[Network, Architecture]:
    network, chip = random_network(rng), random_chip(rng)
    chip = replace(chip, partial_sum_bits=None if rng.random() < 0.5 else chip.partial_sum_bits)
    layers = [network.nodes[i].name for i in network.layers if rng.random() < 0.7]
    return with_bits(network, {name: int(rng.integers(1, 7)) for name in layers}), chip
