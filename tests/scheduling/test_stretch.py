"""Slowing a schedule down keeps its order and takes load off routers and ports."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from spatem_opt import load_architecture, load_network
from spatem_opt.architecture import Architecture
from spatem_opt.baselines import dense_pipeline
from spatem_opt.evaluator import evaluate
from spatem_opt.finish import finish
from spatem_opt.mapping.grid import make_grid
from spatem_opt.network.builder import Builder
from spatem_opt.plan import Plan, assemble, problem_of
from spatem_opt.replication.layout import Allocation, Split
from spatem_opt.replication.shapes import Shape
from spatem_opt.scheduling import list_schedule, referee
from spatem_opt.scheduling.list_schedule import in_turn
from spatem_opt.scheduling.problem import Chunks, Problem, Solution
from spatem_opt.scheduling.stretch import longer, pieces, stretch, too_long
from spatem_opt.solution import MappingOption
from spatem_opt.testing import random_chip, random_network, random_plan

SEEDS = st.integers(0, 2**32 - 1)


def stretched(seed: int) -> tuple[Problem, Solution, Problem]:
    """A random problem, its schedule, and the problem slowed down by random loads."""
    rng = np.random.default_rng(seed)
    network, chip = random_network(rng, 3), random_chip(rng)
    plan = random_plan(rng, network, chip)
    assume(plan is not None)
    assert plan is not None
    problem = problem_of(plan, network, chip)
    times = list_schedule.solve(problem)
    bins = np.arange(times.latency // chip.contention_cycles + 1)
    return problem, times, stretch(problem, times, bins, rng.uniform(0.1, 3.0, len(bins)))


def windows(chunks: Chunks) -> list[tuple[int, int, int]]:
    """Layer, copy and number of all windows, in the order of the chunks."""
    rows = zip(*(getattr(chunks, name).tolist() for name in ("layer", "copy", "first", "last", "step")), strict=True)
    return [(layer, copy, window) for layer, copy, *run in rows for window in range(run[0], run[1] + 1, run[2])]


@settings(max_examples=50)
@given(SEEDS)
def test_pieces_have_the_windows_of_their_chunks(seed: int) -> None:
    problem, _, slower = stretched(seed)
    assert windows(slower.chunks) == windows(problem.chunks)


def firsts(problem: Problem, slower: Problem) -> np.ndarray:
    """Earliest start of the first piece of every chunk."""
    old, new = problem.chunks, slower.chunks
    keys = list(zip(new.layer.tolist(), new.first.tolist(), strict=True))
    return np.array([
        new.not_before[keys.index(key)] for key in zip(old.layer.tolist(), old.first.tolist(), strict=True)
    ])  # fmt: skip


@settings(max_examples=50)
@given(SEEDS)
def test_starts_keep_their_order_and_none_is_earlier(seed: int) -> None:
    problem, times, slower = stretched(seed)
    order, first = np.argsort(times.start, kind="stable"), firsts(problem, slower)
    assert (np.diff(first[order]) >= 0).all()
    assert (first >= times.start).all()


def test_a_chunk_is_cut_where_time_slows_down() -> None:
    """Six windows at 0, 10, .. 50; bins of 20 cycles, the second of which lasts twice as long, and a bit more.

    Windows 2 and 3 (at 20 and 30) are stretched, those before and after keep their distance.
    """
    column = (np.array([value]) for value in (0, 0, 0, 5, 1, 0, 0))
    bends = np.array([20.0, 40.0])
    piece, chunk, begin, final = pieces(Chunks(*column), np.array([0]), np.array([50]), bends)
    assert chunk.tolist() == [0, 0, 0]
    assert piece.first.tolist() == [0, 2, 4]
    assert piece.last.tolist() == [1, 3, 5]
    assert begin.tolist() == [0, 20, 40]
    assert final.tolist() == [10, 30, 50]


def test_only_queues_that_some_bin_cannot_serve_are_shortened() -> None:
    """Above 0.5 twice: up to 0.9, which a bin's burst serves, and up to 1.2."""
    found = too_long(np.array([0.2, 0.7, 0.9, 0.4, 0.6, 1.2, 0.8]), 0.5)
    assert found.tolist() == [0.2, 0.5, 0.5, 0.4, 0.6, 1.2, 0.8]


@settings(max_examples=50)
@given(SEEDS)
def test_stretching_never_makes_faster(seed: int) -> None:
    """Not even without overload is it the identity: an even pace holds back windows that were ahead of their mean."""
    problem, times, slower = stretched(seed)
    for other in (slower, stretch(problem, times, np.array([0]), np.array([1.0]))):
        assert list_schedule.solve(other).latency >= times.latency


def test_a_chunk_pushed_back_by_the_pace_of_the_one_before_keeps_its_own() -> None:
    """One copy, two chunks of two windows of 65 cycles, at a pace of 100, inputs there at 2.

    The first chunk begins its windows at 2 and 102 and ends at 167; there the second starts, and its second window
    begins 100 later, at 267: it ends at 332.
    """
    chip = Architecture(
        name="hand", mesh_rows=1, mesh_cols=1, tiles_per_router=1, pes_per_tile=1, crossbars_per_pe=2, crossbar_rows=8,
        crossbar_cols=4, ou_rows=2, ou_cols=2, weight_bits=2, cell_bits=2,
    )  # fmt: skip
    b = Builder("one")
    b.conv(b.input(4, 2, 2), 4, 1)
    network = b.build()
    grid = make_grid(network.nodes[1], MappingOption(), chip)
    split = Split(*(np.array(column) for column in ([0, 0], [0, 2], [1, 3], [1, 1])))
    problem = problem_of(
        Plan("hand", (grid,), [Allocation(Shape(1, 1, 2, 1, 1, 4), np.array([0]), split)]), network, chip
    )
    paced = replace(problem, chunks=replace(problem.chunks, pace=np.array([100, 100])))
    times = list_schedule.solve(paced)
    assert times.end.tolist() == [167, 332]
    assert referee.check(paced, times).violations == ()


@settings(max_examples=50)
@given(SEEDS)
def test_copies_begin_apart_only_while_queues_are_too_long(seed: int) -> None:
    """Evenly over a bin, in the order of their numbers."""
    problem, times, _ = stretched(seed)
    width = problem.architecture.contention_cycles
    bins = np.arange(times.latency // width + 1)
    for queue, crowded in ((2.0, True), (0.5, False)):
        together, apart = (stretch(problem, times, bins, np.full(len(bins), queue), apart=a).chunks for a in (0.0, 1.0))
        copies = np.array([placed.copies for placed in problem.placed])[apart.layer]
        later = width * apart.copy // copies if crowded else np.zeros_like(copies)
        assert (apart.not_before - together.not_before == later).all()


@pytest.mark.slow
def test_copies_that_send_at_one_time_find_a_schedule() -> None:
    """Those of AlexNet's last convolution: its fully connected layer is sent all their outputs."""
    network, chip = load_network("alexnet"), load_architecture("ou-isaac", {"adc_bits": 5})
    plan = dense_pipeline(network, chip)
    assert plan is not None
    found = finish(replace(plan, across=True), network, chip)
    assert found is not None
    assert found[1].valid


def test_finish_resolves_contention() -> None:
    """LeNet-5 with routers of 16 bits per cycle: too fast at first, valid after stretching, and slower."""
    network = load_network("lenet5")
    chip = load_architecture("ou-isaac-4x4", {"router_bits_per_cycle": 16, "contention_cycles": 1024})
    plan = dense_pipeline(network, chip)
    assert plan is not None
    problem = problem_of(plan, network, chip)
    times = list_schedule.solve(problem)
    assert "router" in evaluate(assemble(plan, problem, times)).families
    found = finish(plan, network, chip)
    assert found is not None
    assert found[1].families == ()
    assert found[1].latency_cycles is not None
    assert found[1].latency_cycles >= times.latency


@given(st.data())
def test_windows_in_turn_against_a_loop(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 30))
    copy = np.sort(np.array(data.draw(st.lists(st.integers(0, 4), min_size=n, max_size=n))))
    earliest = np.array(data.draw(st.lists(st.integers(0, 100), min_size=n, max_size=n)))
    interval = np.array(data.draw(st.lists(st.integers(1, 20), min_size=5, max_size=5)))
    expected: list[int] = []
    for i in range(n):
        free = expected[-1] + int(interval[copy[i]]) if i and copy[i] == copy[i - 1] else 0
        expected.append(max(int(earliest[i]), free))
    assert in_turn(earliest, copy, interval).tolist() == expected


LOADS = st.lists(st.integers(0, 30), min_size=1, max_size=12)


def queue(load: list[int], extra: np.ndarray) -> np.ndarray:
    """What waits after every bin of a resource that serves 10 in a bin, and more in bins that last longer."""
    left, found = 0.0, []
    for bits, more in zip(load, extra, strict=True):
        left = max(0.0, left + bits - 10 * (1 + more))
        found.append(left / 10)
    return np.array(found)


@given(LOADS, st.floats(0.0, 1.0))
def test_bins_last_as_long_as_the_queue_needs(load: list[int], allowed: float) -> None:
    """Of one resource: no queue beyond what is allowed, and full where a bin lasts longer, so none could be shorter."""
    extra = longer(queue(load, np.zeros(len(load))), allowed)
    after = queue(load, extra)
    assert (extra >= 0).all()
    assert (after <= allowed + 1e-9).all()
    assert np.allclose(after[extra > 1e-9], allowed)


def test_a_queue_that_ran_empty_was_not_helped() -> None:
    assert longer(np.array([2.0, 0.0, 1.5]), 1.0).tolist() == [1.0, 0.0, 0.5]
