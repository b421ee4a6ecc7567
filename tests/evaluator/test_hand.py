"""Numbers derived by hand from M3-M9 (``formulations/README.md``)."""

from __future__ import annotations

import json

import numpy as np
import pytest

from spatem_opt.errors import InstanceError
from spatem_opt.evaluator import evaluate
from spatem_opt.model.solution import Solution
from spatem_opt.network.layers import Network, Node
from tests.evaluator.brute import Brute
from tests.evaluator.generate import edge, whole
from tests.evaluator.hand import pipeline, same, split_layer, tables, with_chip


def test_split_layer_times() -> None:
    # Each tile holds one OU of 4 rows: compute 2 * 1 cycles, port 4 * 2 = 8 bits, load 8 / 4 = 2, interval 4. Home of
    # the only OU column: a tie, so tile 0. Tile 1 sends 4 sums of 3 bits: 2 + 12 / 4 = 5 cycles. Inputs of 8 bits
    # take the corner router 2 cycles each; they enter, pixel by pixel, at 0, 2, 4, 6: pixel 0 is at tile 0 at 3, at
    # tile 1 at 2 + 2 + 2 = 6, pixel 1 at 7 and 10. Windows begin at 6 and 10, the second ends at 14 and is done at 14
    # + 5 + 5 = 24. Without queues inputs take 3 and 4: windows begin at 4 and 8, done at 12 + 10 = 22.
    result = evaluate(split_layer())
    assert result.violations == ()
    assert (result.latency_cycles, result.latency_ns, result.queue_free_cycles) == (24, 240.0, 22)
    table = result.layers
    assert (table.compute_cycles[0], table.load_cycles[0], table.interval_cycles[0]) == (2, 2, 4)
    assert (table.sum_delay_cycles[0], table.start[0], table.end[0]) == (5, 6, 24)
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


def test_split_layer_period() -> None:
    # Crossbars work for 8 cycles, ports for 16 / 4 = 4, router 0 for 56 / 4 = 14: no period below. At 14 partial sums
    # meet the inputs of the next inference; the plain replay settles from 18 on.
    result = evaluate(split_layer())
    assert 14 <= result.period_cycles <= 24
    assert Brute(split_layer()).steady(result.period_cycles)
    assert result.images_per_second == pytest.approx(1e8 / result.period_cycles)


def test_split_layer_utilization_and_energy() -> None:
    # 2 windows * 2 OUs * 2 phases = 8 OU operations, 4 bitlines each; 32 bits read and 32 written (2 pixels of 8 bits
    # to two tiles); 96 bit-hops; no digital operations; 24 cycles on 2 tiles.
    result = evaluate(split_layer())
    used = result.utilization
    assert (used.crossbars_used, used.tiles_used, used.cells_used, used.cells) == (2, 2, 32, 256)
    assert (used.ou_operations, used.ou_occupancy) == (8, 8 / (24 * 4))
    energy = result.energy
    assert (energy.ou, energy.adc, energy.buffer_read, energy.buffer_write) == (8, 320, 3200, 3200)
    assert (energy.network, energy.digital, energy.static) == (96_000, 0, 336)
    assert result.arrays.tile_ou_operations.tolist() == [4, 4]


def test_split_layer_buffers() -> None:
    # Either tile holds its 4 channels of both pixels, 16 bits: tile 0 from the first delivery at 3, tile 1 from 6, to
    # the last end at 14.
    buffers = evaluate(split_layer()).buffers
    assert (buffers.chip_peak_bits, buffers.chip_peak_cycle) == (32, 6)
    assert (buffers.tile_peak_bits, buffers.tile) == (16, 0)


def test_overlapped_input_hides_the_load() -> None:
    # interval max(2, 2) = 2: windows begin at 6 and 10, when their inputs are there, the last is done at 12 + 5 + 5.
    assert evaluate(with_chip(split_layer(), overlap_input=True)).latency_cycles == 22


def test_full_input_load() -> None:
    # A PE refills 8 rows * 2 crossbars of 2 bits = 32 bits in 8 cycles: interval 10, windows begin at 6 and 16, the
    # last is done at 26 + 10. Reservation ends at 14: too early. One PE on each tile: 2 windows * 2 * 32 bits.
    result = evaluate(with_chip(split_layer(), input_load="full"))
    assert (result.latency_cycles, result.families) == (36, ("reservation",))
    assert result.communication.buffer_read_bits == 128
    assert result.ports is None


def test_pipeline_times() -> None:
    # conv: interval 2 + 8 / 4 = 4; inputs enter at 0, 2, 4, 6, are there 1 + 8 / 4 = 3 cycles later; begins 3, 7, 11,
    # 15; done 12, 16, 20, 24. pool, in the home tile 0, 8 / 4 = 2 cycles: 16 to 18 and 24 to 26. fc: 2 OUs, compute
    # 4, port 16 bits, load 4, interval 8; a pixel of 8 bits arrives 2 + 2 = 4 cycles later, at 22 and 30; 30 to 38,
    # done 43.
    result = evaluate(pipeline())
    assert result.violations == ()
    assert result.latency_cycles == result.queue_free_cycles == 43
    assert result.nodes.start.tolist() == [0, 3, 16, 30]
    assert result.nodes.end.tolist() == [0, 24, 26, 43]


def test_pipeline_communication() -> None:
    # Port: 4 windows of 8 bits and one of 16. Maps: 4 input pixels of 8 bits over 1 hop, 2 pooled ones over 2 hops.
    # conv's output stays in tile 0. Items: 16 from outside, 8 between tiles.
    traffic = evaluate(pipeline()).communication
    assert (traffic.buffer_read_bits, traffic.feature_map_bit_hops, traffic.partial_sum_bit_hops) == (48, 64, 0)
    assert (traffic.feature_map_items, traffic.from_outside_items) == (24, 16)


def test_pipeline_period() -> None:
    # conv's crossbar works for 4 * 4 = 16 cycles, fc's for 8, the pool for 4, router 0 for 48 / 4 = 12. At 16 conv's
    # window 0 begins at 19 again, when crossbar and pixel are there. Pixel 1 enters at 18, together with the first
    # pooled pixel, of the earlier inference, which goes first: it is there at 20 + 3 = 23, when window 1 begins.
    # Pixels 2 and 3 enter at 22 and 24, the second pooled pixel passes at 26 as before.
    period = evaluate(with_claims(pipeline(), {})).period_cycles
    assert 16 <= period <= 43
    assert Brute(pipeline()).steady(period)
    assert Brute(pipeline()).steady(16)
    assert not Brute(pipeline()).steady(15)


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
    # Copies on both crossbars of tile 0: 16 bits load in 4 cycles, interval 6. Inputs are there at 3, 5, 7, 9. Copy 0
    # runs windows 0, 2 from 3 and 9, copy 1 windows 1, 3 from 5 and 11; done at 14, 20 and 16, 22. The port serves
    # each window in 2 cycles, when the one before is served. Copy 0 pools nothing (last pixels 1, 3 are copy 1's): 16
    # to 18, 22 to 24.
    placement, schedule = tables(
        [(0, 0, 0, 0, 1, 0, 1), (0, 1, 1, 0, 1, 0, 1), (1, 0, 2, 0, 2, 0, 1)],
        [(0, 0, 0, 2, 2, 0, 0, 15), (0, 1, 1, 3, 2, 0, 0, 17), (1, 0, 0, 0, 1, 0, 20, 40)],
    )
    base = pipeline()
    solution = Solution(base.architecture, base.network, base.mapping, placement, schedule, base.segment)
    result = evaluate(solution)
    assert result.violations == ()
    assert result.layers.interval_cycles.tolist() == [6, 8]
    assert result.nodes.end.tolist() == [0, 22, 24, 24 + 4 + 8 + 5]


def test_inputs_by_columns() -> None:
    # Tile 1 has an entry of its own: both tiles have pixel 0 at 3, pixel 1 at 5. Windows begin at 3 and 7, the second
    # ends at 11, done at 11 + 5 + 5. Inputs pass one router each: 2 * (8 + 12) bits at router 0 and at router 1.
    result = evaluate(with_chip(split_layer(), input_entry="columns"))
    assert (result.violations, result.latency_cycles, result.queue_free_cycles) == ((), 21, 21)
    assert (result.communication.feature_map_bit_hops, result.arrays.router_bits.tolist()) == (32, [40, 40])


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
    # Scaled pixels are done at 1, 2, 3, 4, enter at 1, 3, 5, 7 and arrive 3 cycles later, at 4, 6, 8, 10: windows
    # begin at 4, 8, 12, 16, done at 25.
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
