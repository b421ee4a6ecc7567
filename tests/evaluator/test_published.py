"""Numbers of an OU-level simulator that nobody here wrote: counts exactly, cycles within the stated tolerance.

`golden/published.json` holds the numbers, where they come from and how the counts are derived.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spatem_opt import load_architecture, load_network
from spatem_opt.evaluator import Evaluation, settle
from spatem_opt.evaluator.evaluation import Communication, LayerTable, Utilization
from spatem_opt.model.architecture import Architecture
from spatem_opt.planning.baselines import layer_serial
from spatem_opt.planning.plan import assemble, problem_of
from spatem_opt.scheduling import list_schedule
from spatem_opt.testing import pixel_pipeline

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parents[1] / "golden" / "published.json").read_text())
SMALL = ("lenet5", "cifar10")


@cache
def chip() -> Architecture:
    """The simulator's: PEs refill their whole input register, fetch and operation take turns."""
    return load_architecture("ou-isaac", {"overlap_input": False, "input_load": "full"})


@cache
def run(name: str, serial: bool) -> Evaluation:
    """One copy of every layer on tiles of its own, layer by layer or as a pixel pipeline."""
    network = load_network(name)
    plan = layer_serial(network, chip()) if serial else pixel_pipeline(network, chip())
    assert plan is not None
    problem = problem_of(plan, network, chip())
    done = settle(name, assemble(plan, problem, list_schedule.solve(problem)))
    assert done is not None
    return done[1]


def layers(name: str) -> LayerTable:
    """Layer table of the pipeline."""
    found = run(name, serial=False).layers
    assert found is not None
    return found


def used(name: str) -> Utilization:
    """What the pipeline uses of the chip."""
    found = run(name, serial=False).utilization
    assert found is not None
    return found


def sent(name: str) -> Communication:
    """What the pipeline sends."""
    found = run(name, serial=False).communication
    assert found is not None
    return found


@pytest.mark.parametrize("serial", [True, False])
@pytest.mark.parametrize("name", SMALL)
def test_solution_is_valid(name: str, serial: bool) -> None:
    assert run(name, serial).families == ()


@pytest.mark.parametrize("name", [*SMALL, "vgg16"])
def test_crossbars_per_layer(name: str) -> None:
    network = load_network(name)
    plan = pixel_pipeline(network, chip())
    assert plan is not None
    assert [a.shape.crossbars for a in plan.allocations] == GOLDEN[name]["crossbars_per_layer"]


@pytest.mark.parametrize("name", [*SMALL, "vgg16"])
def test_tiles(name: str) -> None:
    network = load_network(name)
    plan = pixel_pipeline(network, chip())
    assert plan is not None
    crossbar = problem_of(plan, network, chip()).placement.crossbar
    assert len(np.unique(crossbar // chip().crossbars_per_tile)) == GOLDEN[name]["tiles_used"]


@pytest.mark.parametrize("name", SMALL)
def test_crossbars_and_tiles_as_evaluated(name: str) -> None:
    assert layers(name).crossbars.tolist() == GOLDEN[name]["crossbars_per_layer"]
    assert used(name).tiles_used == GOLDEN[name]["tiles_used"]


@pytest.mark.parametrize("name", SMALL)
def test_ou_operations_in_total(name: str) -> None:
    assert used(name).ou_operations == GOLDEN[name]["ou_operations_total"]


@pytest.mark.parametrize("name", SMALL)
def test_ou_operations_per_window(name: str) -> None:
    table = layers(name)
    assert (table.ou_operations // table.windows).tolist() == GOLDEN[name]["ou_operations_per_window"]


@pytest.mark.parametrize("name", SMALL)
def test_ou_operations_of_the_fullest_crossbar(name: str) -> None:
    assert layers(name).compute_cycles.tolist() == GOLDEN[name]["max_ou_operations_per_crossbar_and_window"]


@pytest.mark.parametrize("name", SMALL)
def test_items_between_tiles(name: str) -> None:
    assert sent(name).feature_map_items == GOLDEN[name]["inter_tile_items_16bit"]


@pytest.mark.parametrize("name", SMALL)
def test_items_from_outside(name: str) -> None:
    assert sent(name).from_outside_items == GOLDEN[name]["items_from_outside"]


@pytest.mark.parametrize("name", SMALL)
def test_no_partial_sums_between_tiles(name: str) -> None:
    assert sent(name).partial_sum_items == 0


@pytest.mark.parametrize("name", SMALL)
def test_cycles_layer_by_layer(name: str) -> None:
    found = run(name, serial=True).latency_cycles
    tolerance = GOLDEN["tolerance"]["cycles_layer_by_layer"]
    assert found == pytest.approx(GOLDEN[name]["cycles_layer_by_layer"], rel=tolerance)


@pytest.mark.parametrize("name", SMALL)
def test_cycles_of_the_pixel_pipeline(name: str) -> None:
    found = run(name, serial=False).latency_cycles
    tolerance = GOLDEN["tolerance"]["cycles_pixel_pipeline"]
    assert found == pytest.approx(GOLDEN[name]["cycles_pixel_pipeline"], rel=tolerance)
