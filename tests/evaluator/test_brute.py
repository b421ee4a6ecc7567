"""The vectorised replay agrees with the plain one on random tiny solutions."""

from __future__ import annotations

from dataclasses import fields, replace
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from spatem_opt.evaluator import Evaluation, evaluate
from spatem_opt.model.solution import Placement, Solution
from tests.evaluator.brute import OUTSIDE, Brute
from tests.evaluator.generate import scrambled, solution

seeds = st.integers(0, 119)  # few enough to meet again in other tests, which share what is made of them
few = settings(max_examples=60)
fewer = settings(few, max_examples=20)


@lru_cache(maxsize=256)
def both(seed: int) -> tuple[Solution, Evaluation, dict[str, Any], Brute]:
    generated = solution(seed)
    slow = Brute(generated)
    return generated, evaluate(generated), slow.report(), slow


@few
@given(seeds)
def test_times(seed: int) -> None:
    _, fast, report, slow = both(seed)
    assert (fast.latency_cycles, fast.queue_free_cycles) == (report["latency"], report["queue_free"])
    assert fast.nodes is not None
    assert fast.nodes.start.tolist() == [min(s.begin for s in spans.values()) for spans in slow.spans]
    assert fast.nodes.end.tolist() == [max(s.done for s in spans.values()) for spans in slow.spans]


@fewer
@given(seeds)
def test_period_is_one_that_holds(seed: int) -> None:
    _, fast, report, slow = both(seed)
    assert fast.period_cycles is not None
    assert 0 < fast.period_cycles <= report["latency"]
    assert slow.steady(fast.period_cycles)


@few
@given(seeds)
def test_rows_that_wait_for_each_other(seed: int) -> None:
    """Starts in any order: the same times, or the same verdict that some windows never begin."""
    generated = scrambled(seed)
    fast, slow = evaluate(generated), Brute(generated)
    assert fast.latency_cycles == slow.latency
    ends = generated.schedule.end.tolist()
    late = any(slow.replay.row_end.get((0, row), end + 1) > end for row, end in enumerate(ends))
    assert ("reservation" in fast.families) == late
    assert set(fast.families) <= {"reservation", "exclusive", "buffer"}


@few
@given(seeds)
def test_recorded_transfers(seed: int) -> None:
    """The right table is found right; a row less, or a pixel more, is not."""
    generated, fast, _, slow = both(seed)
    rows = sorted(
        (p, tile, len(slow.pixels[p, tile]), len(channels))
        for (p, tile), channels in slow.channels.items()
        if tile != OUTSIDE and channels and slow.pixels[p, tile]
    )
    names = ("producer", "tile", "pixels", "channels")

    def families(table: np.ndarray[Any, Any]) -> set[str]:
        sent = dict(zip(names, table.T, strict=True))
        return set(evaluate(replace(generated, transfers=sent)).families)

    table, known = np.array(rows, dtype=np.int64), set(fast.families)
    assert families(table) == known
    assert families(table[1:]) == families(table + np.array([0, 0, 1, 0])) == known | {"transfers"}
    assert families(np.concatenate([table, table[:1]])) == known | {"transfers"}


@few
@given(seeds)
def test_order_of_placement_rows_does_not_matter(seed: int) -> None:
    generated, fast, _, _ = both(seed)
    order = np.random.default_rng(seed).permutation(len(generated.placement.layer))
    columns = (getattr(generated.placement, field.name)[order] for field in fields(Placement))
    assert evaluate(replace(generated, placement=Placement(*columns))).to_dict() == fast.to_dict()


@few
@given(seeds)
def test_traffic_and_energy(seed: int) -> None:
    generated, fast, report, _ = both(seed)
    traffic, energy, used = fast.communication, fast.energy, fast.utilization
    assert traffic is not None
    assert energy is not None
    assert used is not None
    assert traffic.buffer_read_bits == report["buffer_read"]
    assert traffic.feature_map_bit_hops == report["map_bit_hops"]
    assert traffic.partial_sum_bit_hops == report["sum_bit_hops"]
    assert traffic.feature_map_items == report["map_items"]
    assert traffic.partial_sum_items == report["sum_items"]
    assert energy.buffer_write == report["written"] * generated.architecture.buffer_bit_fj
    assert (used.ou_operations, used.cells_used) == (report["ou_operations"], report["cells"])


@few
@given(seeds)
def test_loads(seed: int) -> None:
    generated, fast, report, _ = both(seed)
    assert fast.arrays is not None
    assert fast.routers is not None
    assert nonzero(fast.arrays.router_bits) == positive(report["router_bits"])
    assert nonzero(fast.arrays.router_queue_bits) == positive(report["router_queue"])
    assert nonzero(fast.arrays.tile_port_bits) == positive(report["port_bits"])
    assert fast.routers.longest_queue_bits == most(report["router_queue"])
    if generated.architecture.router_service == "shared":
        serve = generated.architecture.router_bits_per_cycle * report["latency"]
        assert fast.routers.busiest_mean == pytest.approx(most(report["router_bits"]) / serve)


@few
@given(seeds)
@example(86)  # rows that come after the last window that reads other channels of them
def test_buffers(seed: int) -> None:
    _, fast, report, _ = both(seed)
    assert fast.arrays is not None
    assert fast.buffers is not None
    assert fast.buffers.chip_peak_bits == report["chip_peak"]
    assert nonzero(fast.arrays.tile_buffer_peak_bits) == positive(report["tile_peak"])


@few
@given(seeds)
def test_verdict(seed: int) -> None:
    generated, fast, report, _ = both(seed)
    arch = generated.architecture
    full = most(report["tile_peak"]) > arch.buffer_bits
    if arch.buffer_scope == "chip":
        full = report["chip_peak"] > arch.tiles * arch.buffer_bits
    assert set(fast.families) == ({"buffer"} if full else set())


def nonzero(values: Any) -> dict[int, int]:
    return {i: int(value) for i, value in enumerate(values) if value}


def positive(values: dict[int, Any]) -> dict[int, int]:
    return {i: int(value) for i, value in values.items() if value}


def most(values: dict[int, Any]) -> float:
    return float(max(values.values(), default=0))
