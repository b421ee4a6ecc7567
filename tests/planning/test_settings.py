"""Settings of the segment search, and what the search learns from a solution."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from spatem_opt.cost.grid import make_grid
from spatem_opt.model.presets import load_architecture
from spatem_opt.network import load
from spatem_opt.network.builder import chain
from spatem_opt.planning.candidates import FEW_LAYERS, SHORT_LAYERS, Candidates
from spatem_opt.planning.edits import Edit
from spatem_opt.planning.segmented import lost_cycles
from spatem_opt.planning.settings import CHAINED, LARGE, MORE, Setting
from spatem_opt.replication.layout import stripe_counts
from spatem_opt.search.realisation import realise

CHIP = "ou-isaac-4x4"


def candidates(name: str, objective: str = "latency") -> Candidates:
    return Candidates(load(name), load_architecture(CHIP, {"adc_bits": 6}), objective)


@pytest.mark.parametrize("name", ["cifar10", "resnet50"])
def test_larger_networks_try_fewer_settings_first(name: str) -> None:
    made = candidates(name)
    first, more = made.settings(), made.more_settings()
    assert len(more) == len(MORE)
    assert set(more) <= set(first) if len(made.nodes) <= FEW_LAYERS else first == [*LARGE, CHAINED[0]]


@pytest.mark.parametrize("objective", ["throughput", "communication", "energy", "balanced"])
def test_other_objectives_have_no_settings_for_latency(objective: str) -> None:
    assert not candidates("cifar10", objective).more_settings()


def test_of_several_numbers_of_lanes_the_best_estimate_counts() -> None:
    made = Candidates(load("squeezenet"), load_architecture("ou-isaac", {"adc_bits": 6, "cycle_ns": 7.68}), "latency")
    free, *fixed = (made.segmented(Setting(0.003, lanes=lanes)) for lanes in (0, *stripe_counts(made.architecture)))
    estimates = {plan.allocations[0].lanes: plan.estimate for plan in fixed if plan is not None}
    assert len(set(estimates.values())) > 1
    assert free is not None
    assert free.estimate == min(value for value in estimates.values() if value is not None)
    assert free.estimate == estimates[free.allocations[0].lanes]


def test_weights_count_for_routers_only_where_latency_is_asked_for() -> None:
    for objective, factor in (("latency", 2.0), ("balanced", 1.0)):
        made = candidates("cifar10", objective)
        setting = Setting(0.003, weights=(2.0,) * len(made.nodes))
        plain, heavy = made.runs(replace(setting, weights=())).options, made.runs(setting).options
        for before, after in zip(plain, heavy, strict=True):
            assert np.array_equal(after.bits, 4 * before.bits)
            assert np.array_equal(after.hop_bits, factor * before.hop_bits)


def test_names_tell_settings_apart() -> None:
    """Traces and claims name what was tried by its setting: every field that differs must show."""
    base = Setting(0.003)
    others = [
        replace(base, price=0.1), replace(base, router_share=0.8), replace(base, side_by_side=True),
        replace(base, weights=(1.0,)), replace(base, steady=0.9), replace(base, lanes=3),
        replace(base, woven=8), replace(base, chains=True),
        replace(base, edits=(Edit("cut", 1, -1),)),
    ]  # fmt: skip
    assert len({setting.name for setting in (base, *others)}) == len(others) + 1
    assert len(others) == len(fields(Setting))


def test_variations_prefer_the_segment_that_lost_most() -> None:
    lost = np.array([[0, 3, 1], [4, 9, 1_000_000]])
    rng = np.random.default_rng(0)
    varied = [Setting(0.003).vary(rng, 10, 0.5, lost) for _ in range(300)]
    weighted = [np.flatnonzero(setting.weights).tolist() for setting in varied if any(setting.weights)]
    assert weighted.count([4, 5, 6, 7, 8, 9]) > len(weighted) / 2
    assert {setting.lanes for setting in varied} > {0}
    assert {setting.woven for setting in varied} > {0}


def test_lost_cycles_are_the_latency_less_what_is_computed() -> None:
    made = candidates("cifar10")
    plan = made.segmented(Setting(0.003))
    assert plan is not None
    done = realise(plan, made.network, made.architecture)
    assert done is not None
    first, last, cycles = lost_cycles(plan, done[0]).T
    assert np.array_equal(first, np.flatnonzero(np.diff(plan.segment, prepend=-1)))
    assert np.array_equal(first[1:], last[:-1] + 1)
    computed = np.array(
        [grid.phases * a.shape.serial * a.split.most for grid, a in zip(plan.grids, plan.allocations, strict=True)]
    )
    busiest = sum(int(computed[i : j + 1].max()) for i, j in zip(first, last, strict=True))
    assert len(first) > 1
    assert (cycles >= 1).all()
    assert cycles.sum() >= done[0].schedule.end.max() - busiest  # more where segments overlap: none loses less than 1


def test_kernels_that_span_ou_rows_may_begin_channels_with_one() -> None:
    made = candidates("resnet18")
    schemes = [[grid.option.scheme for grid in grids] for grids in made.grids]
    assert "channel-split" in schemes[0]  # 7 x 7
    assert all("channel-split" not in found for found in schemes[1:])  # 3 x 3 fills a row of 9, 1 x 1 has no choice
    grids = {grid.option.scheme: grid for grid in made.grids[0]}
    assert grids["channel-split"].operations <= 1.15 * grids["im2col"].operations
    assert make_grid(made.nodes[0], grids["channel-split"].option, made.architecture).ous == grids["channel-split"].ous


@pytest.mark.parametrize(("layers", "size", "short"), [(20, 64, True), (SHORT_LAYERS, 32, True), (120, 32, False)])
def test_only_networks_that_are_quick_to_plan_try_every_plan_of_short_inferences(
    layers: int, size: int, short: bool
) -> None:
    chip = load_architecture("ou-isaac", {"adc_bits": 5})
    made = Candidates(chain(layers, channels=16, size=size), chip, "latency")
    assert made.short == short


@pytest.mark.parametrize(("network", "small"), [("lenet5", True), ("alexnet", False)])
def test_variations_belong_to_the_first_answer_of_small_networks_only(network: str, small: bool) -> None:
    """AlexNet has few windows, but weights that take a second to lay down."""
    made = Candidates(load(network), load_architecture("ou-isaac", {"adc_bits": 5}), "latency")
    assert (made.effort > 0) == small
