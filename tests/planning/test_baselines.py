"""Baselines: each is what its paper says, uses all the chip it can, and is a valid solution."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from spatem_opt import load_architecture, load_network
from spatem_opt.evaluator import Evaluation
from spatem_opt.model.architecture import Architecture
from spatem_opt.network.layers import Network
from spatem_opt.planning.baselines import BASELINES, missing
from spatem_opt.planning.plan import Plan, problem_of
from spatem_opt.search.realisation import realise

CASES = [("lenet5", "ou-isaac-4x4"), ("cifar10", "ou-isaac-4x4"), ("squeezenet", "ou-isaac-7x7")]
ALL = [(name, *case) for name in BASELINES for case in CASES]
REPLAYED = [
    pytest.param(*case, marks=[pytest.mark.slow] if case[1] == "squeezenet" and case[0] != "layer-serial" else [])
    for case in ALL
]
"""Of the largest network, only one baseline is replayed in the fast run."""


@cache
def planned(name: str, network: str, preset: str) -> tuple[Plan, Network, Architecture]:
    """Plan of a baseline that fits."""
    net, chip = load_network(network), load_architecture(preset)
    plan = BASELINES[name](net, chip)
    assert plan is not None
    return plan, net, chip


@cache
def evaluated(name: str, network: str, preset: str) -> Evaluation:
    """The plan's numbers."""
    found = realise(*planned(name, network, preset))
    assert found is not None
    return found[1]


@pytest.mark.parametrize(("name", "network", "preset"), REPLAYED)
def test_valid(name: str, network: str, preset: str) -> None:
    assert evaluated(name, network, preset).valid


@pytest.mark.parametrize(("name", "network", "preset"), ALL)
def test_every_layer_on_tiles_of_its_own(name: str, network: str, preset: str) -> None:
    plan, net, chip = planned(name, network, preset)
    placement = problem_of(plan, net, chip).placement
    tile = placement.crossbar // chip.crossbars_per_tile
    pairs = np.unique(np.stack([tile, placement.layer]), axis=1)
    assert len(np.unique(tile)) == pairs.shape[1]


@pytest.mark.parametrize(("name", "network", "preset"), ALL)
def test_storage_is_filled(name: str, network: str, preset: str) -> None:
    plan, _, _ = planned(name, network, preset)
    assert {grid.option.storage for grid in plan.grids} == {"filled"}


@pytest.mark.parametrize(("network", "preset"), CASES)
def test_layer_serial_has_one_copy_of_every_layer(network: str, preset: str) -> None:
    plan, _, _ = planned("layer-serial", network, preset)
    assert {len(a.position) for a in plan.allocations} == {1}


@pytest.mark.parametrize(("network", "preset"), CASES)
def test_layer_serial_runs_one_layer_after_the_other(network: str, preset: str) -> None:
    table = evaluated("layer-serial", network, preset).layers
    assert table is not None
    assert (table.start[1:] >= table.end[:-1]).all()


@pytest.mark.parametrize(("network", "preset"), CASES)
def test_kernel_split_splits_every_kernel(network: str, preset: str) -> None:
    plan, _, _ = planned("kernel-split", network, preset)
    for grid in plan.grids:
        assert (grid.option.scheme == "kernel-split") == (grid.weights.kernel != (1, 1))


@pytest.mark.parametrize(("network", "preset"), CASES)
def test_vw_sdk_runs_no_more_operations_than_im2col(network: str, preset: str) -> None:
    pairs = zip(
        planned("vw-sdk", network, preset)[0].grids, planned("dense-pipeline", network, preset)[0].grids, strict=True
    )
    assert all(one.operations <= other.operations for one, other in pairs)


@pytest.mark.parametrize(("network", "preset"), CASES)
def test_woho_copies_in_proportion_to_output_pixels(network: str, preset: str) -> None:
    """Copies over windows is the same for all layers, up to rounding down and at least one copy."""
    plan, _, _ = planned("woho", network, preset)
    low, high = 0.0, np.inf
    for grid, allocation in zip(plan.grids, plan.allocations, strict=True):
        copies = len(allocation.position)
        low = max(low, copies / grid.windows if copies > 1 else 0.0)
        high = min(high, (copies + 1) / grid.windows if copies < grid.windows else np.inf)
    assert low <= high


def free_tiles(plan: Plan, chip: Architecture) -> int:
    """Tiles that no layer uses."""
    used = [-(-len(a.position) * a.shape.crossbars // chip.crossbars_per_tile) for a in plan.allocations]
    return chip.tiles - sum(used)


@pytest.mark.parametrize("name", ["dense-pipeline", "kernel-split", "vw-sdk"])
@pytest.mark.parametrize(("network", "preset"), CASES)
def test_greedy_baselines_leave_no_room_for_another_copy(name: str, network: str, preset: str) -> None:
    plan, _, chip = planned(name, network, preset)
    left = free_tiles(plan, chip)
    for grid, a in zip(plan.grids, plan.allocations, strict=True):
        copies, crossbars = len(a.position), a.shape.crossbars
        extra = -(-(copies + 1) * crossbars // chip.crossbars_per_tile) - -(
            -copies * crossbars // chip.crossbars_per_tile
        )
        assert extra > left or copies == grid.windows


@pytest.mark.parametrize(("network", "preset"), CASES)
def test_woho_leaves_no_room_for_a_larger_scale(network: str, preset: str) -> None:
    """One more copy of every layer that the next larger scale would give no longer fits."""
    plan, _, chip = planned("woho", network, preset)
    windows = np.array([grid.windows for grid in plan.grids])
    copies = np.array([len(a.position) for a in plan.allocations])
    size = np.array([a.shape.crossbars for a in plan.allocations])
    more = np.where(copies < windows, (copies + 1) / windows, np.inf)
    if not np.isfinite(more.min()):
        return
    larger = np.clip((windows * more.min() * (1 + 1e-9)).astype(int), 1, windows)
    assert (-(-size * larger // chip.crossbars_per_tile)).sum() > chip.tiles


@pytest.mark.parametrize("name", BASELINES)
def test_none_if_it_does_not_fit(name: str) -> None:
    """LeNet-5 has six layers, each on tiles of its own, the chip four tiles."""
    assert BASELINES[name](load_network("lenet5"), load_architecture("ou-isaac-2x2")) is None


@pytest.mark.parametrize("name", list(BASELINES))
@pytest.mark.parametrize(("network", "preset"), [("lenet5", "ou-isaac-2x2"), ("resnet18", "ou-isaac-7x7")])
def test_what_is_missing_is_what_keeps_a_baseline_from_fitting(name: str, network: str, preset: str) -> None:
    """It has no plan exactly where crossbars are missing; what would do gives it one, a row less does not."""
    graph, chip = load_network(network), load_architecture(preset, {"adc_bits": 5})
    lacking = missing(name, graph, chip)
    assert (BASELINES[name](graph, chip) is None) == (lacking is not None)
    if lacking is None:
        lacking = missing(name, graph, replace(chip, mesh_rows=1))
        assert lacking is not None
    assert lacking.demand > lacking.capacity
    assert lacking.unit == "crossbars"
    rows = int(lacking.levers[-1].removeprefix("--set mesh_rows="))
    assert BASELINES[name](graph, replace(chip, mesh_rows=rows)) is not None
    assert BASELINES[name](graph, replace(chip, mesh_rows=rows - 1)) is None
    for lever in lacking.levers[:-1]:
        assert BASELINES[name](graph, load_architecture(lever.removeprefix("--arch "))) is not None
