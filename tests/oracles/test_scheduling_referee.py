"""The scheduling referee: confirms the list scheduler on random problems, names every mistake; the bound holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from spatem_opt.cost.grid import make_grid
from spatem_opt.cost.placed import PlacedNetwork, Times
from spatem_opt.grouping.tiling import tiling_for_serial
from spatem_opt.model.architecture import Architecture
from spatem_opt.model.solution import MappingOption
from spatem_opt.network.builder import Builder
from spatem_opt.planning.plan import Plan, problem_of
from spatem_opt.replication.layout import Allocation, bands, interleaved
from spatem_opt.scheduling import bounds, list_schedule
from spatem_opt.testing import random_chip, random_network, random_plan
from tests.oracles import scheduling_referee

SEEDS = st.integers(0, 2**32 - 1)


def drawn(seed: int) -> PlacedNetwork:
    """Scheduling problem of a random plan, sometimes with barriers, sometimes with late starts."""
    rng = np.random.default_rng(seed)
    network, chip = random_network(rng), random_chip(rng)
    plan = random_plan(rng, network, chip)
    assume(plan is not None)
    assert plan is not None
    problem = problem_of(replace(plan, serial=bool(rng.random() < 0.3)), network, chip)
    if rng.random() < 0.3:
        late = rng.integers(0, 500, len(problem.chunks.layer))
        return replace(problem, chunks=replace(problem.chunks, not_before=late))
    return problem


@settings(max_examples=60)
@given(SEEDS)
def test_confirms_the_list_schedule(seed: int) -> None:
    problem = drawn(seed)
    times = list_schedule.solve(problem)
    verdict = scheduling_referee.check(problem, times)
    assert verdict.violations == ()
    assert verdict.latency == times.latency


@settings(max_examples=60)
@given(SEEDS)
def test_bounds_hold(seed: int) -> None:
    problem = drawn(seed)
    assert max(bounds.latency(problem).values()) <= list_schedule.solve(problem).latency


@pytest.fixture(scope="module")
def problem() -> PlacedNetwork:
    """Two 1x1 convolutions of 4 x 4 channels, 4 windows each, on the two crossbars of one tile.

    Each has a copy of 2 x 2 OUs on either crossbar: layer 0 in two bands, layer 1 interleaved.
    """
    chip = Architecture(
        name="hand", mesh_rows=1, mesh_cols=1, tiles_per_router=1, pes_per_tile=1, crossbars_per_pe=2, crossbar_rows=8,
        crossbar_cols=4, ou_rows=2, ou_cols=2, weight_bits=2, cell_bits=2,
    )  # fmt: skip
    b = Builder("two")
    b.conv(b.conv(b.input(4, 2, 2), 4, 1), 4, 1)
    network = b.build()
    grids = tuple(make_grid(network.nodes[i], MappingOption(), chip) for i in network.layers)
    shape = tiling_for_serial(grids[0], 4, chip.crossbars_per_tile)
    assert shape is not None
    plan = Plan("hand", grids, [
        Allocation(shape, np.array([0, 1]), bands(4, 2)), Allocation(shape, np.array([0, 1]), interleaved(4, 2), 1)
    ])  # fmt: skip
    return problem_of(plan, network, chip)


@pytest.fixture(scope="module")
def times(problem: PlacedNetwork) -> Times:
    """As soon as possible."""
    return list_schedule.solve(problem)


def test_by_hand(problem: PlacedNetwork, times: Times) -> None:
    """A window takes 16 phases x 4 OUs + 1 cycle of load = 65, the tail is 5; inputs pass one router: 1 + 1 cycles.

    Layer 0 begins at 2 on both crossbars and leaves them at 132; its pixels are done at 72, 137, 72, 137. Copy 0 of
    layer 1 needs pixel 0 and begins at 132, copy 1 needs pixel 1 and begins at 137, ends 2 x 65 later, and is done at
    272.
    """
    assert times.start.tolist() == [2, 2, 132, 137]
    assert scheduling_referee.check(problem, times).latency == times.latency == 272


def test_bounds_by_hand(problem: PlacedNetwork) -> None:
    """A crossbar is reserved for 4 x 65 cycles, the last window then takes the tail."""
    assert bounds.latency(problem)["crossbar"] == 4 * 65 + 5


def test_a_barrier_is_checked(problem: PlacedNetwork, times: Times) -> None:
    """Layer 0 is done at 137, the first copy of layer 1 starts at 132."""
    assert scheduling_referee.check(replace(problem, serial=True), times).families == ("barrier",)


def test_windows_are_checked(problem: PlacedNetwork, times: Times) -> None:
    twice = replace(problem.chunks, first=problem.chunks.first * 0)
    assert "windows" in scheduling_referee.check(replace(problem, chunks=twice), times).families


def test_late_starts_are_checked(problem: PlacedNetwork, times: Times) -> None:
    late = replace(problem.chunks, not_before=problem.chunks.not_before + 3)
    assert "start" in scheduling_referee.check(replace(problem, chunks=late), times).families


def shifted(column: np.ndarray, row: int, by: int) -> np.ndarray:
    """The column with one entry moved."""
    return column + np.where(np.arange(len(column)) == row, by, 0)


WRONG: dict[str, tuple[str, Callable[[Times], Times]]] = {
    "a start missing": ("shape", lambda s: replace(s, start=s.start[:-1])),
    "a node missing": ("shape", lambda s: replace(s, done=s.done[:-1])),
    "a pixel missing": ("shape", lambda s: replace(s, done=(*s.done[:-1], s.done[-1][:-1]))),
    "negative start": ("start", lambda s: replace(s, start=shifted(s.start, 0, -3))),
    "ends before it starts": ("start", lambda s: replace(s, end=shifted(s.end, 0, -1000))),
    "two layers at once": ("exclusive", lambda s: replace(s, start=shifted(s.start, 2, -1))),
    "reserved too short": ("reservation", lambda s: replace(s, end=shifted(s.end, 3, -1))),
    "done too early": ("precedence", lambda s: replace(s, done=(*s.done[:-1], s.done[-1] - 1))),
    "done too late": ("precedence", lambda s: replace(s, done=(*s.done[:-1], s.done[-1] + 1))),
    "latency understated": ("latency", lambda s: replace(s, latency=s.latency - 1)),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_names_the_family(problem: PlacedNetwork, times: Times, mistake: str) -> None:
    family, corrupt = WRONG[mistake]
    assert family in scheduling_referee.check(problem, corrupt(times)).families


def test_every_family_is_tried() -> None:
    assert {family for family, _ in WRONG.values()} | {"barrier", "windows"} == set(scheduling_referee.FAMILIES)
