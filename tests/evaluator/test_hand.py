"""Numbers derived by hand from M3-M9 (``formulations/README.md``)."""

from __future__ import annotations

import json

import numpy as np
import pytest

from spatem_opt.errors import InstanceError
from spatem_opt.evaluator import evaluate
from spatem_opt.network.layers import Network, Node
from spatem_opt.solution import Solution
from tests.evaluator.generate import edge, whole
from tests.evaluator.hand import pipeline, same, split_layer, tables, with_chip


def test_split_layer_times() -> None:
    # Each tile holds one OU of 4 rows: compute 2 * 1 cycles, port 4 * 2 = 8 bits, load 8 / 4 = 2, interval 4.
    # Home of the only OU column: a tie, so tile 0. Tile 1 sends 4 sums of 3 bits: 2 + 12 / 4 = 5 cycles.
    # Inputs of 8 bits: to tile 0 in 1 + 2 = 3, to tile 1 in 2 + 2 = 4 cycles. Windows begin at 4 and 8, the second ends
    # at 12 and is done at 12 + 5 + 5 = 22.
    result = evaluate(split_layer())
    assert result.violations == ()
    assert (result.latency_cycles, result.latency_ns) == (22, 220.0)
    table = result.layers
    assert (table.compute_cycles[0], table.load_cycles[0], table.interval_cycles[0]) == (2, 2, 4)
    assert (table.sum_delay_cycles[0], table.start[0], table.end[0]) == (5, 4, 22)
    assert (table.copies[0], table.crossbars[0], table.tiles[0], table.ous_per_copy[0]) == (1, 2, 2, 2)


def test_split_layer_traffic() -> None:
    # Two windows. Port: 8 bits on each of two tiles. Inputs: 8 bits to tile 0 (1 hop) and to tile 1 (2 hops).
    # Partial sums: 12 bits over 2 hops. Router 0 passes 2 * (8 + 8 + 12), router 1 2 * (8 + 12).
    result = evaluate(split_layer())
    traffic = result.communication
    assert (traffic.buffer_read_bits, traffic.feature_map_bit_hops, traffic.partial_sum_bit_hops) == (32, 48, 48)
    assert (traffic.total, traffic.feature_map_items, traffic.partial_sum_items) == (128, 16, 8)
    assert traffic.from_outside_items == 16
    assert result.arrays.router_bits.tolist() == [56, 40]
    assert result.arrays.tile_port_bits.tolist() == [16, 16]


def test_split_layer_period_is_that_of_the_busiest_router() -> None:
    # Crossbars are reserved for 12 cycles, ports need 16 / 4 = 4, router 0 needs 56 / 4 = 14.
    result = evaluate(split_layer())
    assert result.period_cycles == 14
    assert result.images_per_second == pytest.approx(1e9 / 140)


def test_split_layer_utilization_and_energy() -> None:
    # 2 windows * 2 OUs * 2 phases = 8 OU operations, 4 bitlines each; 32 bits read and 32 written (2 pixels of 8 bits
    # to two tiles); 96 bit-hops; no digital operations; 22 cycles on 2 tiles.
    result = evaluate(split_layer())
    used = result.utilization
    assert (used.crossbars_used, used.tiles_used, used.cells_used, used.cells) == (2, 2, 32, 256)
    assert (used.ou_operations, used.ou_occupancy) == (8, 8 / (22 * 4))
    energy = result.energy
    assert (energy.ou, energy.adc, energy.buffer_read, energy.buffer_write) == (8, 320, 3200, 3200)
    assert (energy.network, energy.digital, energy.static) == (96_000, 0, 308)
    assert result.arrays.tile_ou_operations.tolist() == [4, 4]


def test_split_layer_buffers() -> None:
    # Either tile holds its 4 channels of both pixels, 16 bits, from the first use at 4 to the last end at 12.
    buffers = evaluate(split_layer()).buffers
    assert (buffers.chip_peak_bits, buffers.chip_peak_cycle) == (32, 4)
    assert (buffers.tile_peak_bits, buffers.tile) == (16, 0)


def test_overlapped_input_hides_the_load() -> None:
    # interval max(2, 2) = 2: windows begin at 4 and 6, the last is done at 8 + 5 + 5.
    assert evaluate(with_chip(split_layer(), overlap_input=True)).latency_cycles == 18


def test_full_input_load() -> None:
    # A PE refills 8 rows * 2 crossbars of 2 bits = 32 bits in 8 cycles: interval 10, windows begin at 4 and 14, the
    # last is done at 24 + 10. Reservation ends at 12: too early. One PE on each tile: 2 windows * 2 * 32 bits.
    result = evaluate(with_chip(split_layer(), input_load="full"))
    assert (result.latency_cycles, result.families) == (34, ("reservation",))
    assert result.communication.buffer_read_bits == 128
    assert result.ports is None


def test_pipeline_times() -> None:
    # conv: interval 2 + 8 / 4 = 4; inputs after 1 + 8 / 4 = 3; begins 3, 7, 11, 15; done 12, 16, 20, 24.
    # pool, in the home tile 0, 8 / 4 = 2 cycles: 16 to 18 and 24 to 26. fc: 2 OUs, compute 4, port 16 bits, load 4,
    # interval 8; a pixel of 8 bits arrives 2 + 2 = 4 cycles later, at 22 and 30; 30 to 38, done 43.
    result = evaluate(pipeline())
    assert result.violations == ()
    assert result.latency_cycles == 43
    assert result.nodes.start.tolist() == [0, 3, 16, 30]
    assert result.nodes.end.tolist() == [0, 24, 26, 43]


def test_pipeline_communication() -> None:
    # Port: 4 windows of 8 bits and one of 16. Maps: 4 input pixels of 8 bits over 1 hop, 2 pooled ones over 2 hops.
    # conv's output stays in tile 0. Items: 16 from outside, 8 between tiles.
    traffic = evaluate(pipeline()).communication
    assert (traffic.buffer_read_bits, traffic.feature_map_bit_hops, traffic.partial_sum_bit_hops) == (48, 64, 0)
    assert (traffic.feature_map_items, traffic.from_outside_items) == (24, 16)


def test_pipeline_period() -> None:
    # fc's crossbar is reserved from 19 to 40, conv's from 0 to 19, the pool runs from 16 to 26, router 0 takes 48 bits.
    assert evaluate(with_claims(pipeline(), {})).period_cycles == 21


def test_pipeline_buffers() -> None:
    # Tile 0: input row 32 bits from 3 to 19, conv's row 32 bits from 12 to 26. Tile 1: pooled row 16 bits, 22 to 38.
    # Peak 64 at cycle 12.
    buffers = evaluate(pipeline()).buffers
    assert (buffers.chip_peak_bits, buffers.chip_peak_cycle, buffers.tile_peak_bits, buffers.tile) == (64, 12, 64, 0)


def test_pipeline_energy_counts_digital_and_fused_operations() -> None:
    # Two pooled pixels of 8 operations, 3 fused ones.
    assert evaluate(pipeline()).energy.digital == 19 * 10_000


def test_pace_holds_windows_back() -> None:
    # Pace 10 from cycle 0: conv's windows begin at 3, 10, 20, 30, the last is done at 39, pooled at 41, arrives at 45;
    # fc ends at 53 and is done at 58.
    placement, schedule = tables(
        [(0, 0, 0, 0, 1, 0, 1), (1, 0, 2, 0, 2, 0, 1)], [(0, 0, 0, 3, 1, 10, 0, 34), (1, 0, 0, 0, 1, 0, 0, 53)]
    )
    base = pipeline()
    solution = Solution(base.architecture, base.network, base.mapping, placement, schedule, base.segment)
    result = evaluate(solution)
    assert (result.violations, result.latency_cycles) == ((), 58)


def test_two_copies_of_one_tile_share_its_port() -> None:
    # Copies on both crossbars of tile 0: 16 bits load in 4 cycles, interval 6. Windows 0, 1 begin at 3, 2, 3 at 9; done
    # at 9 + 5, 15 + 5. Copy 0 pools window 0 (last pixel 1 is copy 1's): both pools run at copy 1, 14 to 16, 20 to 22.
    placement, schedule = tables(
        [(0, 0, 0, 0, 1, 0, 1), (0, 1, 1, 0, 1, 0, 1), (1, 0, 2, 0, 2, 0, 1)],
        [(0, 0, 0, 2, 2, 0, 0, 15), (0, 1, 1, 3, 2, 0, 0, 15), (1, 0, 0, 0, 1, 0, 20, 40)],
    )
    base = pipeline()
    solution = Solution(base.architecture, base.network, base.mapping, placement, schedule, base.segment)
    result = evaluate(solution)
    assert result.violations == ()
    assert result.layers.interval_cycles.tolist() == [6, 8]
    assert result.nodes.end.tolist() == [0, 20, 22, 22 + 4 + 8 + 5]


def test_leaky_bucket_lets_one_bin_wait() -> None:
    # Bins of 4 cycles, ports of 4 bits per cycle serve 16 bits per bin; conv's windows of 8 bits begin in bins 0 to 3.
    # Nothing ever waits; fc's 16 bits in bin 7 neither. Routers serve 16 bits as well; router 0 gets 32 bits of input
    # in bin 0: 16 wait, which is just allowed.
    result = evaluate(with_chip(pipeline(), contention_cycles=4))
    assert result.violations == ()
    assert (result.ports.peak_waiting, result.ports.peak_bin) == (0.0, 1.0)
    assert (result.routers.peak_waiting, result.routers.peak_bin) == (1.0, 2.0)


def test_an_inference_shorter_than_a_bin_leaves_time_for_all_of_its_bits() -> None:
    # One bit per cycle, pixels of 8 bits: router 0 passes 8 x 16 bits of input and 8 x 8 of pooled pixels. Bins of 4096
    # cycles would let all of them wait; but the last node is done at cycle 175.
    result = evaluate(with_chip(pipeline(), router_bits_per_cycle=1, activation_bits=8))
    late = [v for v in result.violations if v.family == "router"]
    assert [(v.message, v.amount, v.limit) for v in late] == [("router 0: 192 bits, 175 cycles serve 175", 192, 175)]
    assert not [v for v in evaluate(with_chip(pipeline(), router_bits_per_cycle=1)).violations if v.family == "router"]


def test_digital_node_of_an_input_runs_outside() -> None:
    # The input itself is pooled outside: no subscriber tile but the outside port, which moves no bits.
    base = pipeline()
    x, conv = base.network.nodes[:2]
    scale = Node("scale", "digital", "mul", 4, 1, 4, (edge(whole(0, 4), same(1), same(4)),), None, 4)
    nodes = (x, scale, Node("conv", "crossbar", "conv", 4, 1, 4, (edge(whole(1, 4), same(1), same(4)),), conv.weights))
    placement, schedule = tables([(0, 0, 0, 0, 1, 0, 1)], [(0, 0, 0, 3, 1, 0, 0, 40)])
    solution = Solution(
        base.architecture, Network("n", nodes), base.mapping[:1], placement, schedule, np.zeros(1, np.int64)
    )
    # Scaled pixels are done at 1, 2, 3, 4 and arrive 3 cycles later: windows begin at 4, 8, 12, 16, done at 25.
    result = evaluate(solution)
    assert (result.violations, result.latency_cycles) == ((), 25)
    assert result.communication.feature_map_items == 16


def test_to_dict_is_json() -> None:
    found = json.loads(json.dumps(evaluate(pipeline()).to_dict()))
    assert found["latency_cycles"] == 43
    assert found["communication"]["total"] == 112
    assert found["layers"]["name"] == ["conv", "fc"]


def test_inconsistent_network_is_an_error() -> None:
    base = pipeline()
    nodes = list(base.network.nodes)
    nodes[2] = Node("pool", "digital", "max_pool", 3, 1, 2, nodes[2].edges, None, 8)
    with pytest.raises(InstanceError, match="node 'pool': edge"):
        evaluate(
            Solution(
                base.architecture, Network("n", tuple(nodes)), base.mapping, base.placement, base.schedule, base.segment
            )
        )


def with_claims(solution: Solution, total: dict[str, object]) -> Solution:
    return Solution(
        solution.architecture, solution.network, solution.mapping, solution.placement, solution.schedule,
        solution.segment, {"total": total},
    )  # fmt: skip
