"""Weight mapping without solvers: problem, heuristic, bounds, referee."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings

from spatem_opt.cost.grid import make_grid
from spatem_opt.errors import InstanceError
from spatem_opt.mapping import bounds, heuristic
from spatem_opt.mapping.problem import MappingSolution, build, layer_options
from spatem_opt.mapping.referee import check
from spatem_opt.model.architecture import Architecture
from spatem_opt.model.solution import MappingOption
from spatem_opt.network import load
from spatem_opt.network.layers import Node, Weights
from tests.mapping.tiny import Case, cases, optimum, problem


@settings(max_examples=60)
@given(cases())
def test_bound_optimum_heuristic_in_order(case: Case) -> None:
    p = problem(case)
    best, found = optimum(p), heuristic.solve(p)
    assert (best is None) == (found is None) == (bounds.slots(p) > p.capacity)
    if best is not None and found is not None:
        verdict = check(p, found)
        assert not verdict.violations
        assert bounds.excess(p) <= best[0] <= verdict.excess
        assert best <= (verdict.excess, verdict.communication)
        assert bounds.communication(p) <= best[1]


@settings(max_examples=60)
@given(cases())
def test_slack_loses_no_optimum(case: Case) -> None:
    p = problem(case)
    assert optimum(p) == optimum(p, only_allowed=True)


def test_a_layer_trades_operations_for_communication_within_the_slack() -> None:
    # Limits: 100 -> 110. Candidate 1 is within and reads less; candidate 2 reads nothing but is beyond.
    case = Case(((100, 50, 4), (110, 30, 4), (111, 0, 4)), (3,), capacity=4, slack=10)
    assert heuristic.solve(problem(case)) == MappingSolution((1,))
    assert heuristic.solve(problem(replace(case, slack=9))) == MappingSolution((0,))


def test_excess_bound_by_hand() -> None:
    # Two layers, best 10 slots with 0 excess or 4 slots with 6: 20 slots do not fit in 14, one layer must shrink: 6.
    case = Case(((10, 1, 10), (16, 1, 4), (10, 1, 10), (16, 1, 4)), (2, 2), capacity=14, slack=0)
    assert bounds.excess(problem(case)) == 6
    # In 17 slots half a shrunken layer would do on paper: 3.
    assert bounds.excess(problem(replace(case, capacity=17))) == 3


MUTANTS = {
    "assignment": (MappingSolution((9,)), 4),
    "slack": (MappingSolution((2,)), 9),
    "capacity": (MappingSolution((0,)), 3),
}


@pytest.mark.parametrize("family", sorted(MUTANTS))
def test_referee_names_what_was_corrupted(family: str) -> None:
    solution, capacity = MUTANTS[family]
    case = Case(((100, 50, 4), (110, 30, 4), (111, 0, 4)), (3,), capacity=capacity, slack=10)
    assert {name for name, _ in check(problem(case), solution).violations} == {family}


def test_referee_counts_choices() -> None:
    case = Case(((1, 1, 1),), (1,), capacity=1, slack=0)
    assert check(problem(case), MappingSolution(())).violations[0][0] == "assignment"


def test_grid_of_a_convolution_by_hand() -> None:
    # 3x3 over 16 channels, 32 filters of 8 cells: 144 rows = 16 OU rows of 9, 256 bitlines = 32 OU columns of 8.
    node = Node("conv", "crossbar", "conv", 32, 14, 14, (), Weights(1, 16, 32, (3, 3), stride=(2, 2)))
    chip = Architecture()
    dense = make_grid(node, MappingOption("im2col"), chip)
    assert dense.shape == (16, 32)
    assert dense.operations == 16 * 196 * 16 * 32
    assert dense.window_input_bits == 144 * 16
    split = make_grid(node, MappingOption("kernel-split"), chip)
    assert split.shape == (9 * 2, 32)  # 16 rows of a kernel position make 2 OU rows
    assert split.window_input_bits == 16 * 4 * 16  # stride 2 x 2: four fresh pixels
    filled = make_grid(node, MappingOption("im2col", "filled"), chip)
    assert filled.shape == (15 + 2, 32)  # 128 rows and 16 rows
    assert filled.blocks == 2 * 2


def test_channel_split_begins_every_channel_with_an_ou_row() -> None:
    # 7x7 over 3 channels: 49 rows of a channel are 5 OU rows of 9 and one of 4, where im2col has 147 rows in 17.
    node = Node("conv", "crossbar", "conv", 8, 9, 9, (), Weights(1, 3, 8, (7, 7)))
    grid = make_grid(node, MappingOption("channel-split"), Architecture())
    assert (grid.rows.stop - grid.rows.start).tolist() == [9, 9, 9, 9, 9, 4] * 3
    first, stop = grid.row_channels()
    assert first.tolist() == [0] * 6 + [1] * 6 + [2] * 6
    assert stop.tolist() == [1] * 6 + [2] * 6 + [3] * 6
    assert grid.window_input_bits == 147 * 16
    # 2x2 over 5 channels: two channels of 4 rows fit in an OU row of 9, the fifth has one to itself.
    small = Node("conv", "crossbar", "conv", 8, 9, 9, (), Weights(1, 5, 8, (2, 2)))
    grid = make_grid(small, MappingOption("channel-split"), Architecture())
    assert (grid.rows.stop - grid.rows.start).tolist() == [8, 8, 4]


def test_grouped_layers_repeat_one_group() -> None:
    node = Node("dw", "crossbar", "conv", 8, 4, 4, (), Weights(8, 1, 1, (3, 3)))
    grid = make_grid(node, MappingOption("im2col"), Architecture())
    assert grid.shape == (8, 8)
    assert grid.ous == 8


@pytest.mark.parametrize(
    ("option", "field"),
    [
        (MappingOption("parallel-window", "slotted", 1, 1), "ph x pw"),
        (MappingOption("im2col", "slotted", 2, 1), "ph x pw"),
        (MappingOption("magic"), "scheme"),  # type: ignore[arg-type]
        (MappingOption("im2col", "loose"), "storage"),  # type: ignore[arg-type]
        (MappingOption("parallel-window", "slotted", 2, 2), "scheme"),
    ],
)
def test_wrong_options_name_the_field(option: MappingOption, field: str) -> None:
    node = Node("conv", "crossbar", "conv", 4, 5, 5, (), Weights(1, 2, 4, (3, 3), dilation=(2, 2)))
    with pytest.raises(InstanceError) as error:
        make_grid(node, option, Architecture())
    assert error.value.field == field


def test_parallel_windows_store_no_zero_ous() -> None:
    # One channel, 1x2 windows of a 1x1 kernel: each row feeds one window only; with v = 8 both windows share a column.
    node = Node("conv", "crossbar", "conv", 1, 1, 4, (), Weights(1, 1, 1, (1, 1)))
    grid = make_grid(node, MappingOption("parallel-window", "slotted", 1, 2), Architecture(ou_rows=1))
    assert grid.exists is not None
    assert grid.exists.tolist() == [[True, False], [False, True]]


def test_options_of_a_fully_connected_layer() -> None:
    node = Node("fc", "crossbar", "fc", 10, 1, 1, (), Weights(1, 84, 10, (1, 1)))
    assert [option.scheme for option in layer_options(node, Architecture())] == ["im2col"]


@pytest.mark.parametrize("name", ["lenet5", "resnet18"])
def test_shipped_networks_fit_and_have_no_excess(name: str) -> None:
    p = build(load(name), Architecture(), slack_percent=10)
    found = heuristic.solve(p)
    assert found is not None
    verdict = check(p, found)
    assert not verdict.violations
    assert verdict.excess == bounds.excess(p) == 0
    assert verdict.communication == bounds.communication(p)
