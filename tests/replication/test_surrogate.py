"""The surrogate of the segment search against schedule and evaluator: how far it is off (formulations/replication)."""

from __future__ import annotations

import pytest

from spatem_opt import evaluate, load_architecture, load_network
from spatem_opt.planning.candidates import Candidates
from spatem_opt.planning.plan import assemble, problem_of
from spatem_opt.planning.settings import Setting
from spatem_opt.replication import segmentation
from spatem_opt.scheduling import list_schedule

CASES = [
    ("lenet5", "ou-isaac-4x4", 0.0),
    ("lenet5", "ou-isaac-4x4", 0.3),
    ("cifar10", "ou-isaac-4x4", 0.0),
    ("cifar10", "ou-isaac-4x4", 0.3),
    *(
        pytest.param(name, "ou-isaac", price, marks=pytest.mark.slow)
        for name in ("resnet18", "resnet50", "googlenet")
        for price in (0.0, 0.3)
    ),
]


@pytest.mark.parametrize(("name", "preset", "price"), CASES)
def test_surrogate_and_evaluation_agree_roughly(name: str, preset: str, price: float) -> None:
    """Latency before routers slow it down: -30 to +15 %. Communication: -25 to +40 %."""
    chip = load_architecture(preset, {"adc_bits": 5})
    made = Candidates(load_network(name), chip, "latency")
    runs = made.runs(Setting(price))
    cuts = segmentation.best_segmentation(runs)
    assert cuts is not None
    plan = made.place(cuts, Setting(price))
    assert plan is not None
    bits = sum(float(ways.bits[way]) for ways, way in zip(runs.options, cuts.way, strict=True))
    problem = problem_of(plan, made.network, chip)
    times = list_schedule.solve(problem)
    found = evaluate(assemble(plan, problem, times)).communication
    assert found is not None
    assert 0.70 <= cuts.cycles.sum() / times.latency <= 1.15
    assert 0.75 <= bits / found.total <= 1.40
