"""Windows dealt out anew among the copies of a layer."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spatem_opt.model.architecture import Architecture
from spatem_opt.model.presets import load_architecture
from spatem_opt.network import load
from spatem_opt.planning.candidates import Candidates
from spatem_opt.planning.plan import Plan, problem_of, rebalanced
from spatem_opt.planning.settings import Setting
from spatem_opt.replication.layout import shared_blocks
from spatem_opt.scheduling import list_schedule
from spatem_opt.scheduling.rebalancing import shares
from spatem_opt.testing import assert_confirmed, scheduled


def plan_of(name: str, chip: Architecture, setting: Setting) -> Plan:
    plan = Candidates(load(name), chip, "latency").segmented(setting)
    assert plan is not None
    return plan


@settings(max_examples=200)
@given(st.lists(st.floats(0, 50), min_size=1, max_size=12), st.integers(0, 100))
def test_shares_end_together(begin: list[float], more: int) -> None:
    """All windows; whoever has more than the least share ends with the others, who begin too late for more."""
    start, windows = np.array(begin), len(begin) + more
    share = shares(start, windows)
    assert share.sum() == pytest.approx(windows)
    assert (share > 0).all()
    level = (windows + start.sum()) / len(start)
    if (level - start >= 1).all():
        assert start + share == pytest.approx(np.full(len(start), level))


@settings(max_examples=200)
@given(st.integers(1, 9), st.integers(1, 9), st.data())
def test_shared_blocks_are_a_partition(height: int, width: int, data: st.DataObject) -> None:
    """Of the windows, into blocks of the sizes asked for, to a window; copies run theirs in raster order."""
    blocks = data.draw(st.integers(1, width))
    rows = data.draw(st.integers(1, height))
    share = np.array(data.draw(st.lists(st.floats(0.5, 9), min_size=blocks * rows, max_size=blocks * rows)))
    share = (share * (height * width / share.sum())).reshape(blocks, rows)
    split = shared_blocks(height, width, share, np.zeros(blocks * rows))
    if split is None:
        assert share.sum(axis=1).min() < height * rows  # too few windows for each copy to have one
        return
    lists = [range(first, last + 1) for first, last in zip(split.first.tolist(), split.last.tolist(), strict=True)]
    assert Counter(window for mine in lists for window in mine) == Counter(range(height * width))
    size = np.bincount(split.copy // rows, split.last - split.first + 1, blocks)
    assert abs(size - share.sum(axis=1)).max() <= 1
    for copy in range(blocks * rows):
        assert (np.diff(split.first[split.copy == copy]) > 0).all()
        assert (split.last // width == split.first // width).all()


def test_rows_go_to_the_copy_that_is_done_first() -> None:
    split = shared_blocks(6, 1, np.array([[2.0, 4.0]]), np.array([2.0, 0.0]))
    assert split is not None
    assert split.first[split.copy == 1].tolist() == [0, 1, 3, 5]
    assert split.first[split.copy == 0].tolist() == [2, 4]


@pytest.mark.parametrize(
    ("name", "preset"), [("squeezenet", "ou-isaac-7x7"), pytest.param("resnet18", "ou-isaac", marks=pytest.mark.slow)]
)
def test_a_layer_after_a_long_segment_ends_earlier(name: str, preset: str) -> None:
    """A segment begins on crossbars that are free at very different times."""
    chip = load_architecture(preset, {"adc_bits": 5})
    plan = plan_of(name, chip, Setting(0.003, 0.8))
    problem = problem_of(plan, load(name), chip)
    other = rebalanced(plan, problem)[0]
    assert_confirmed(scheduled(other, problem.network, chip))
    after = problem_of(other, problem.network, chip)
    assert list_schedule.solve(after).latency < 0.995 * list_schedule.solve(problem).latency  # without queues
    assert (after.placement.crossbar == problem.placement.crossbar).all()


def test_the_same_plan_where_nothing_is_gained() -> None:
    chip = load_architecture("ou-isaac-4x4", {"adc_bits": 5})
    plan = plan_of("lenet5", chip, Setting(0.003))
    network = load("lenet5")
    again = rebalanced(plan, problem_of(plan, network, chip))[0]
    assert rebalanced(again, problem_of(again, network, chip))[0] is again


@pytest.mark.parametrize("name", ["lenet5", "cifar10"])
@pytest.mark.parametrize("share", [0.6, 1.0])
def test_never_later_than_before(name: str, share: float) -> None:
    chip = load_architecture("ou-isaac-4x4", {"adc_bits": 5})
    plan = plan_of(name, chip, Setting(0.003, share))
    problem = problem_of(plan, load(name), chip)
    other = rebalanced(plan, problem)[0]
    assert_confirmed(scheduled(other, problem.network, chip))
    after = list_schedule.solve(problem_of(other, problem.network, chip)).latency
    assert after <= list_schedule.solve(problem).latency  # without queues
