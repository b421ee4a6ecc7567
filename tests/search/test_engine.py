"""In which order the search tries plans, and which ones it leaves out."""

from __future__ import annotations

import pytest

from spatem_opt.model.presets import load_architecture
from spatem_opt.network import load
from spatem_opt.planning import segmented
from spatem_opt.planning.plan import Plan
from spatem_opt.planning.protocol import Reason, Task
from spatem_opt.planning.settings import Setting
from spatem_opt.search import engine as module
from spatem_opt.search.realisation import Scheduled
from spatem_opt.tuning import Tuning

Made = list[tuple[Plan, int | None]]


def recorded(monkeypatch: pytest.MonkeyPatch, *, fails: bool = False) -> Made:
    """Plans that are scheduled, as they come, and the latency below which they count."""
    made: Made = []
    attempt = module.attempt

    def noted(plan: Plan, task: Task, limit: int | None) -> Scheduled | Reason:
        made.append((plan, limit))
        return Reason.BUFFER if fails else attempt(plan, task, limit)

    monkeypatch.setattr(module, "attempt", noted)
    return made


def test_after_the_first_plan_others_come_in_the_order_of_their_estimates(monkeypatch: pytest.MonkeyPatch) -> None:
    made = recorded(monkeypatch, fails=True)
    network, chip = load("squeezenet"), load_architecture("ou-isaac-7x7", {"adc_bits": 6})
    assert list(module.search(network, chip, "latency", "heuristic")) == []
    plans = [plan for plan, _ in made if isinstance(plan.origin, Setting)][1:]
    chained, others = ([plan.estimate for plan in plans if plan.origin.chains == chains] for chains in (True, False))
    assert len(chained) > 1
    assert len(others) > 2
    assert chained == sorted(chained)
    assert others == sorted(others)


@pytest.mark.parametrize(("name", "many"), [("squeezenet", 20), ("googlenet", None)])
@pytest.mark.slow
def test_of_many_layers_the_first_answer_takes_few_plans(
    monkeypatch: pytest.MonkeyPatch, name: str, many: int | None
) -> None:
    """SqueezeNet has 26 layers: many, where 20 are few."""
    made = recorded(monkeypatch)
    monkeypatch.setattr(segmented, "FEW_LAYERS", many or segmented.FEW_LAYERS)
    network, chip = load(name), load_architecture("ou-isaac-7x7", {"adc_bits": 6})
    *_, best = module.search(network, chip, "latency", "heuristic")
    assert 1 <= len(made) <= segmented.FEW + 2  # the first one before there are estimates, windows dealt out after all
    assert best.plan.estimate == pytest.approx(best.value, rel=0.2)


def test_with_time_left_other_plans_follow_and_must_be_better(monkeypatch: pytest.MonkeyPatch) -> None:
    made = recorded(monkeypatch)
    network, chip = load("cifar10"), load_architecture("ou-isaac-4x4", {"adc_bits": 6})
    found = list(module.search(network, chip, "latency", "heuristic", stop=lambda: len(made) > 3))
    assert len(made) > 3
    best = [min(value.value for value in found[: i + 1]) for i in range(len(found))]
    assert best == sorted(best, reverse=True)
    limits = [limit for _, limit in made]
    assert limits[0] is None
    most = Tuning().plans.hopeless
    assert all(limit is not None and (plan.estimate or 0) <= most * limit for plan, limit in made[1:])
