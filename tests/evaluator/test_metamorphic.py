"""What must hold between evaluations of one solution on different chips; random tiny solutions."""

from __future__ import annotations

from functools import lru_cache

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from spatem_opt.evaluator import Evaluation, evaluate
from spatem_opt.model.solution import Solution
from tests.evaluator.brute import Brute
from tests.evaluator.brute_replay import Replay
from tests.evaluator.generate import solution
from tests.evaluator.hand import with_chip

seeds = st.integers(1000, 1099)  # few enough to meet again in other tests, which share what is made of them
few = settings(max_examples=25)
RATES = ("router_bits_per_cycle", "buffer_bits_per_cycle")


@lru_cache(maxsize=256)
def generated(seed: int) -> tuple[Solution, Evaluation]:
    found = solution(seed)
    return found, evaluate(found)


def faster(base: Solution, rate: str, factor: int) -> Solution:
    return with_chip(base, **{rate: factor * getattr(base.architecture, rate)})


@few
@given(seeds)
def test_very_fast_servers_make_no_queues(seed: int) -> None:
    """All bits of the inference, at all routers together, pass in less than half a cycle.

    So whatever waits, at an entry and at all routers of its way, and passes, takes less than a cycle more than the
    hops: rounded up one, as alone. Likewise ports. (A factor of 1000 would leave waits of more than a cycle.)
    """
    quick, _ = generated(seed)
    for rate in RATES:
        quick = faster(quick, rate, 10**6)
    result = evaluate(quick)
    assert result.arrays is not None
    assert 2 * int(result.arrays.router_bits.sum()) < quick.architecture.router_bits_per_cycle
    assert int(result.arrays.tile_port_bits.max()) < quick.architecture.buffer_bits_per_cycle
    assert result.latency_cycles == result.queue_free_cycles


@few
@given(seeds)
def test_queues_never_help(seed: int) -> None:
    _, result = generated(seed)
    assert result.queue_free_cycles is not None
    assert result.latency_cycles is not None
    assert result.queue_free_cycles <= result.latency_cycles


@few
@given(seeds)
def test_bits_at_routers_are_the_traffic(seed: int) -> None:
    _, result = generated(seed)
    assert result.arrays is not None
    traffic = result.communication
    assert traffic is not None
    passed = int(result.arrays.router_bits.sum())
    assert passed == traffic.feature_map_bit_hops + traffic.partial_sum_bit_hops


@few
@given(seeds)
def test_multicast_moves_no_more_bits(seed: int) -> None:
    """The same items arrive; on a shared router none passes more often than before."""
    base, _ = generated(seed)
    one, tree = (evaluate(with_chip(base, router_service="shared", multicast=how)) for how in (False, True))
    assert one.arrays is not None
    assert tree.arrays is not None
    assert (tree.arrays.router_bits <= one.arrays.router_bits).all()
    assert tree.communication is not None
    assert one.communication is not None
    assert tree.communication.feature_map_items == one.communication.feature_map_items
    assert tree.communication.partial_sum_bit_hops == one.communication.partial_sum_bit_hops


@few
@given(seeds)
def test_without_queues_kind_of_service_does_not_matter(seed: int) -> None:
    base, _ = generated(seed)
    shared, links = (
        evaluate(with_chip(base, router_service=how, multicast=False)).queue_free_cycles for how in ("shared", "links")
    )
    assert shared == links


@few
@given(seeds)
def test_entries_of_a_single_column_are_one(seed: int) -> None:
    base, _ = generated(seed)
    assume(base.architecture.mesh_cols == 1)
    columns, corner = (evaluate(with_chip(base, input_entry=how)).to_dict() for how in ("columns", "corner"))
    assert columns == corner


@pytest.mark.parametrize("rate", RATES)
@few
@given(seed=st.integers(0, 10**9))
def test_twice_the_rate_hurts_at_most_a_little(rate: str, seed: int) -> None:
    """Without queues never. With queues packets may meet in another order, first in first out is no optimal one.

    (As in Graham's anomalies of list scheduling; no small bound can be proven.) Tolerance: a packet that falls behind
    others it was ahead of waits for what stands before it, at most the longest queue, here in cycles of the slower
    chip. Measured with the plain replay on 250 seeds: one solution, 2 cycles slower of 324, its longest queue 8.
    """
    base, slow = generated(seed)
    fast = evaluate(faster(base, rate, 2))
    assert slow.arrays is not None
    assert fast.queue_free_cycles is not None
    assert slow.queue_free_cycles is not None
    assert fast.queue_free_cycles <= slow.queue_free_cycles
    assert fast.latency_cycles is not None
    assert slow.latency_cycles is not None
    queue = -(-int(slow.arrays.router_queue_bits.max()) // base.architecture.router_bits_per_cycle)
    assert fast.latency_cycles <= slow.latency_cycles + queue


@few
@given(seeds)
def test_inferences_that_do_not_meet_are_alike(seed: int) -> None:
    """At a distance of one latency; the plain replay agrees that this is a period, hence the evaluator finds one."""
    base, result = generated(seed)
    assert result.latency_cycles is not None
    assert result.period_cycles is not None
    assert Replay(Brute(base), 3, result.latency_cycles).latencies == [result.latency_cycles] * 3
    assert result.period_cycles <= result.latency_cycles
