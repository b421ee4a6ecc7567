"""Runs side by side: least costs against enumeration; segments of a shelf have crossbars of their own."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest

from spatem_opt import evaluate, load_architecture, load_network
from spatem_opt.evaluator.settling import SETTLING
from spatem_opt.placement import places
from spatem_opt.planning.candidates import Candidates
from spatem_opt.planning.plan import assemble, problem_of
from spatem_opt.planning.settings import Setting
from spatem_opt.replication import segmentation
from spatem_opt.replication.side_by_side import CELLS, WIDTHS, SideBySide
from spatem_opt.scheduling import list_schedule
from tests.oracles import replication_referee
from tests.oracles.replication_problem import ReplicationProblem, solution_of

LAYERS, SLOTS = 4, 2


def random_costs(seed: int) -> dict[int, np.ndarray]:
    """Costs of runs of every width, a third of them impossible."""
    rng = np.random.default_rng(seed)
    found = {}
    for width in WIDTHS:
        cost = rng.integers(1, 100, (SLOTS, LAYERS + 1, LAYERS + 1)).astype(float)
        cost[rng.random(cost.shape) < 0.3] = np.inf
        cost[:, np.tril_indices(LAYERS + 1)[0], np.tril_indices(LAYERS + 1)[1]] = np.inf
        found[width] = cost
    return found


def least(cost: dict[int, np.ndarray], slots: int, first: int, stop: int) -> float:
    """Least cost over all cuts of layers first..stop-1 and all widths that fit the cells together."""
    best = np.inf
    for parts in range(1, stop - first + 1):
        for inner in combinations(range(first + 1, stop), parts - 1):
            edges = [first, *inner, stop]
            options = {0: 0.0}
            for i, j in pairwise(edges):
                options = {
                    used + width: min(
                        total + cost[w][slots, i, j]
                        for u, total in options.items() for w in WIDTHS if u + w == used + width
                    )
                    for used in options for width in WIDTHS if used + width <= CELLS
                }  # fmt: skip
            best = min([best, *options.values()])
    return best


@pytest.mark.parametrize("seed", range(8))
def test_arcs_are_the_least_costs_and_runs_lead_to_them(seed: int) -> None:
    cost = random_costs(seed)
    shelves = SideBySide(cost)
    arcs = shelves.arcs()
    for slots in range(SLOTS):
        for first in range(LAYERS):
            for stop in range(first + 1, LAYERS + 1):
                assert arcs[slots, first, stop] == least(cost, slots, first, stop)
                if np.isfinite(arcs[slots, first, stop]):
                    runs = shelves.runs(slots, first, stop)
                    assert sum(cost[w][slots, i, j] for i, j, _, w in runs) == arcs[slots, first, stop]
                    assert [i for i, *_ in runs] == [first, *(j for _, j, *_ in runs[:-1])]
                    cells = [(cell, cell + w) for _, _, cell, w in runs]
                    assert all(a[1] <= b[0] for a, b in pairwise(cells))
                    assert cells[-1][1] <= CELLS


@pytest.mark.parametrize("price", [1.0, 10.0])
@pytest.mark.parametrize("name", ["lenet5", "cifar10"])
def test_plans_with_runs_side_by_side_are_valid(name: str, price: float) -> None:
    made = Candidates(load_network(name), load_architecture("ou-isaac", {"adc_bits": 5}), "communication")
    setting = Setting(price, side_by_side=True)
    cuts = segmentation.best_segmentation(made.runs(setting))
    plain = segmentation.best_segmentation(made.runs(Setting(price)))
    plan = made.segmented(setting)
    assert cuts is not None
    assert plain is not None
    assert plan is not None
    problem = ReplicationProblem(made.architecture, tuple(made.grids))
    assert replication_referee.check(problem, solution_of(problem, plan.grids, plan.allocations)).violations == ()
    scheduling = problem_of(plan, made.network, made.architecture)
    found = evaluate(assemble(plan, scheduling, list_schedule.solve(scheduling)))
    assert set(found.families) <= SETTLING
    first, last = places.segment_regions(cuts, made.architecture)[cuts.segment].T
    for allocation, low, high in zip(plan.allocations, first, last, strict=True):
        assert (allocation.position >= low).all()
        assert (allocation.position + allocation.shape.crossbars <= high).all()
