"""Placements of other people: timed as ours are, refused in one line where they break a rule."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from spatem_opt import (
    InstanceError,
    MappingOption,
    Solution,
    evaluate,
    load_architecture,
    load_network,
    schedule,
    solve,
)
from spatem_opt.model.solution import Placement
from spatem_opt.testing import tiny_instance

NETWORK, CHIP = load_network("lenet5"), load_architecture("ou-isaac-4x4", {"adc_bits": 5})


@pytest.fixture(scope="module")
def known() -> Solution:
    """A baseline's solution."""
    found = solve(NETWORK, CHIP, method="dense-pipeline").solution
    assert found is not None
    return found


def test_a_baselines_placement_is_timed_as_the_baseline(known: Solution) -> None:
    own = schedule(NETWORK, CHIP, known.mapping[0], known.placement)
    assert not evaluate(own).violations
    assert own.claims["total"]["latency"] == known.claims["total"]["latency"]


def test_windows_and_barriers_of_ones_own(known: Solution) -> None:
    same = schedule(NETWORK, CHIP, known.mapping, known.placement, windows=known.schedule, segment=known.segment)
    slow = schedule(NETWORK, CHIP, known.mapping, known.placement, serial=True)
    assert same.claims["total"]["latency"] == known.claims["total"]["latency"]
    assert slow.claims["total"]["latency"] > same.claims["total"]["latency"]
    assert not evaluate(slow).violations


@pytest.mark.parametrize("seed", range(10))
def test_solutions_of_the_heuristic_are_accepted_as_they_are(seed: int) -> None:
    network, chip = tiny_instance(seed)
    found = solve(network, chip, planners=["segments"]).solution
    if found is not None:
        own = schedule(network, chip, found.mapping, found.placement, windows=found.schedule)
        assert not evaluate(own).violations


def changed(placement: Placement, **columns: Any) -> Placement:
    """With the first row changed."""
    new = {field.name: np.array(getattr(placement, field.name)) for field in fields(placement)}
    for name, value in columns.items():
        new[name][0] = value
    return Placement(**new)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"layer": 99}, r"placement.layer = 99, expected 0 \.\.\. "),
        ({"crossbar": 10**6}, "crossbar"),
        ({"row_stop": 0}, "structure|coverage"),
        ({"copy": 10**6}, "copies of"),
        ({"crossbar": 40}, "capacity|coverage|structure"),
    ],
)
def test_what_breaks_a_rule_is_one_line(known: Solution, columns: dict[str, int], said: str) -> None:
    with pytest.raises(InstanceError, match=said) as caught:
        schedule(NETWORK, CHIP, known.mapping, changed(known.placement, **columns))
    assert "\n" not in str(caught.value)


def test_a_window_too_few_and_a_mapping_too_many(known: Solution) -> None:
    known = solve(NETWORK, CHIP, method="layer-serial").solution or known  # copies run one window each, these do not
    table = known.schedule
    longest = (table.last_window - table.first_window).argmax()
    cut = np.where(np.arange(len(table.layer)) == longest, table.first_window, table.last_window)
    less = replace(table, last_window=cut)
    with pytest.raises(InstanceError, match="windows"):
        schedule(NETWORK, CHIP, known.mapping, known.placement, windows=less)
    with pytest.raises(InstanceError, match="expected one option for each of"):
        schedule(NETWORK, CHIP, known.mapping[1:], known.placement)
    with pytest.raises(InstanceError, match=r"ph \* pw"):
        schedule(NETWORK, CHIP, MappingOption("parallel-window", "filled", 99, 99), known.placement)


def test_a_small_buffer_is_said_to_be_one(known: Solution) -> None:
    with pytest.raises(InstanceError, match="buffer"):
        schedule(NETWORK, replace(CHIP, buffer_bits=100), known.mapping, known.placement)
