"""What is missing when a network does not fit, and that what it says would do does."""

from __future__ import annotations

import pytest

from spatem_opt import Shortage, Status, load_architecture, load_network, solve
from spatem_opt.mapping.shortage import shortage

VGG19_PARAMETERS = 143_652_544


@pytest.fixture(scope="module")
def missing() -> Shortage:
    """Of VGG-19 on the default chip."""
    found = shortage(load_network("vgg19"), load_architecture("ou-isaac"))
    assert found is not None
    return found


def test_capacity_of_the_chip(missing: Shortage) -> None:
    """69 888 crossbars of 14 x 16 OUs of 9 x 8 cells."""
    assert missing.capacity == 69_888 * 14 * 16 * 72
    assert missing.unit == "cells"


def test_demand_is_the_weights_in_whole_ous(missing: Shortage) -> None:
    """8 cells per weight; rounding up to OU rows of 9 adds less than 1 %: only 7 of 19 layers have rows to round."""
    assert VGG19_PARAMETERS * 8 <= missing.demand <= VGG19_PARAMETERS * 8 * 1.01


def test_a_preset_and_a_number_of_routers_are_named(missing: Shortage) -> None:
    assert {lever.split()[0] for lever in missing.levers} == {"--arch", "--set"}


def test_what_is_named_would_do(missing: Shortage) -> None:
    for lever in missing.levers:
        option, value = lever.split()
        field, _, number = value.partition("=")
        chip = load_architecture(value) if option == "--arch" else load_architecture("ou-isaac", {field: number})
        assert shortage(load_network("vgg19"), chip) is None


def test_one_router_row_less_would_not(missing: Shortage) -> None:
    rows = int(next(lever for lever in missing.levers if "mesh_rows" in lever).split("=")[1])
    assert shortage(load_network("vgg19"), load_architecture("ou-isaac", {"mesh_rows": rows - 1})) is not None


def test_solve_says_infeasible(missing: Shortage) -> None:
    result = solve(load_network("vgg19"), load_architecture("ou-isaac"))
    assert (result.status, result.shortage) == (Status.INFEASIBLE, missing)


@pytest.mark.parametrize("name", ["lenet5", "cifar10", "vgg16", "resnet50"])
def test_networks_that_fit(name: str) -> None:
    assert shortage(load_network(name), load_architecture("ou-isaac")) is None


@pytest.mark.slow
def test_the_chip_with_that_many_routers_is_solved(missing: Shortage) -> None:
    rows = int(next(lever for lever in missing.levers if "mesh_rows" in lever).split("=")[1])
    result = solve(load_network("vgg19"), load_architecture("ou-isaac", {"mesh_rows": rows}))
    assert result.status is Status.FEASIBLE
