"""Cuts of shipped networks: the exact step is at least as good as the search, and the pipeline can use its cuts."""

from __future__ import annotations

from functools import cache

import pytest

from formulations.replication import master
from formulations.replication.problem import UNIT, check, from_prices, from_segmentation
from spatem_opt.cost.bounds import communication, latency
from spatem_opt.evaluator import evaluate
from spatem_opt.evaluator.settling import SETTLING
from spatem_opt.model.presets import load_architecture
from spatem_opt.network import load
from spatem_opt.placement import places
from spatem_opt.planning.candidates import Candidates
from spatem_opt.planning.plan import Plan, assemble, problem_of
from spatem_opt.replication import segmentation
from spatem_opt.scheduling import list_schedule


@cache
def priced(network: str, chip: str) -> tuple[Candidates, segmentation.SegmentPrices]:
    """Candidates and priced runs of a shipped network."""
    candidates = Candidates(load(network), load_architecture(chip), "latency")
    net, architecture = candidates.network, candidates.architecture
    price = 0.03 * latency(net, architecture).value / communication(net, architecture).value
    return candidates, segmentation.SegmentPrices(
        candidates.ways(candidates.settings()[0]), net, architecture, price, candidates.slots
    )


def gap(network: str, chip: str, target: float) -> float:
    """Proven gap; the heuristic's cuts are a solution, and not better than the bound.

    Its ways, picked at a pace between two of the grid, may cost a little more at that of the grid.
    """
    _, runs = priced(network, chip)
    fills = [
        (fill, cuts) for fill in (0.97, 1.0) if (cuts := segmentation.best_segmentation(runs, fill=fill)) is not None
    ]
    fill, cuts = fills[0]
    problem = from_prices(runs, fill=fill)
    start = from_segmentation(problem, cuts)
    assert check(problem, start).violations == ()
    found = master.solve(problem, time_limit=120, workers=2, hint=start, gap=target)
    assert found.objective is not None
    assert found.bound is not None
    assert found.bound <= found.objective <= check(problem, start).objective <= 1.02 * cuts.cost * UNIT + 1000
    return (found.objective - found.bound) / found.objective


@pytest.mark.parametrize(("network", "chip"), [("lenet5", "ou-isaac-2x2"), ("cifar10", "ou-isaac-4x4")])
def test_small_networks_are_solved(network: str, chip: str) -> None:
    assert gap(network, chip, 0.0) == 0


@pytest.mark.parametrize(("network", "chip"), [("cifar10", "ou-isaac-4x4"), ("squeezenet", "ou-isaac")])
def test_pipeline_takes_the_cuts(network: str, chip: str) -> None:
    candidates, runs = priced(network, chip)
    problem = from_prices(runs)
    found = master.solve(problem, time_limit=60, workers=1, gap=0.01)
    assert found.solution is not None
    assert found.objective is not None
    cuts = found.solution.cuts(problem)
    assert cuts.cost == pytest.approx(found.objective / UNIT)
    placed = places.place_copies(
        cuts, candidates.ways(candidates.settings()[0]), candidates.grids, candidates.network, candidates.architecture
    )
    assert placed is not None
    plan = Plan("segments", placed.grids, placed.allocations)
    scheduling = problem_of(plan, candidates.network, candidates.architecture)
    result = evaluate(assemble(plan, scheduling, list_schedule.solve(scheduling)))
    assert set(result.families) <= SETTLING


@pytest.mark.slow
@pytest.mark.parametrize("network", ["resnet50", "vgg16", "googlenet", "densenet121"])
def test_large_networks(network: str) -> None:
    """The figures of benchmarks/exact_replication.py."""
    assert gap(network, "ou-isaac", 0.02) <= 0.02
