"""Planners of other people: found by name, checked, tried, told what became of their plans."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spatem_opt import load_architecture, load_network, solve
from spatem_opt.cli import main
from spatem_opt.errors import InstanceError
from spatem_opt.front_end import OBJECTIVES
from spatem_opt.planning import registry
from spatem_opt.planning.baselines import BASELINES, Baseline
from spatem_opt.planning.plan import Plan
from spatem_opt.planning.policy import POLICIES
from spatem_opt.planning.protocol import Outcome, Planner, Reason, Task, TileExchange
from spatem_opt.search.engine import TURN, Search
from spatem_opt.study.compare import compare
from spatem_opt.testing import check_planner, tiny_instance

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_planner.py"
SPEC = f"{EXAMPLE}:Proportional"
SMALL = load_architecture("ou-isaac-4x4", {"adc_bits": 5})


class Told:
    """Passes on a baseline's plans, changed, and remembers what became of them."""

    name = "told"

    def __init__(self, change: Any = lambda plan, task: plan, more: int = 0) -> None:
        self.change, self.more, self.outcomes = change, more, list[Outcome]()

    def plans(self, task: Task, rng: np.random.Generator) -> Iterator[Plan | None]:
        """One plan, and the same again and again."""
        plan = BASELINES["dense-pipeline"](task.network, task.architecture)
        for _ in range(0 if plan is None else 1 + self.more):
            yield self.change(plan, task)

    def learn(self, plan: Plan, outcome: Outcome) -> None:
        """Remember."""
        self.outcomes.append(outcome)


def test_the_example_is_short_and_holds_its_promises() -> None:
    assert len(EXAMPLE.read_text().splitlines()) <= 30
    assert check_planner(registry.planner(SPEC)) > 5


def test_the_example_has_a_row_in_compare_and_solves(capsys: pytest.CaptureFixture[str]) -> None:
    network, chip = tiny_instance(0)
    rows = compare(network, chip, planners=[SPEC]).rows
    (row,) = [row for row in rows if row.method == "proportional"]
    assert row.solved
    assert main(["solve", "lenet5", "--arch", "ou-isaac-4x4", "--set", "adc_bits=5", "--planner", SPEC, "--json"]) == 0
    assert '"status": "feasible"' in capsys.readouterr().out


@pytest.mark.parametrize("name", sorted(registry.OWN_PLANNERS))
def test_our_planners_keep_the_rules_of_the_kit(name: str) -> None:
    objective = "throughput" if name == "steady" else "communication"
    assert check_planner(registry.planner(name), instances=5, objective=objective) > 0


def test_entry_points_bring_planners_under_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("mine", "spatem_opt.planning.one_segment:Pipeline", registry.PLANNERS)
    monkeypatch.setattr(registry, "entry_points", lambda group: [point] if group == registry.PLANNERS else [])
    assert registry.planner("mine").name == "pipeline"
    with pytest.raises(InstanceError, match=r"expected one of steady, .*, mine, or"):
        registry.planner("yours")


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("nope.module:Class", "cannot be loaded"),
        ("nowhere.py:Class", "cannot be loaded"),
        (f"{EXAMPLE}:Nope", "expected a class of"),
        ("spatem_opt.planning.plan:problem_of", "made without arguments"),
        ("spatem_opt.errors:InstanceError", "made without arguments"),
        (Told, "not its class"),
        (object(), "has no name and no plans"),
    ],
)
def test_what_is_no_planner_is_one_line(what: Any, said: str) -> None:
    with pytest.raises(InstanceError, match=said) as caught:
        registry.planner(what)
    assert "\n" not in str(caught.value)


def lost_copy(plan: Plan, task: Task) -> Plan:
    """The first layer's copies beyond the chip."""
    own = plan.allocations[0]
    return replace(plan, allocations=[replace(own, position=own.position + 10**6), *plan.allocations[1:]])


def shared_place(plan: Plan, task: Task) -> Plan:
    """All layers begin on crossbar 0."""
    return replace(plan, allocations=[
        replace(own, position=own.position - own.position.min()) for own in plan.allocations
    ])  # fmt: skip


def lost_window(plan: Plan, task: Task) -> Plan:
    """The first layer's first window is not run."""
    own = plan.allocations[0]
    split = replace(own.split, first=own.split.first + own.split.step * (own.split.first == 0))
    return replace(plan, allocations=[replace(own, split=split), *plan.allocations[1:]])


BROKEN = [
    (lambda plan, task: replace(plan, allocations=plan.allocations[:-1]), "allocations for"),
    (lambda plan, task: replace(plan, grids=plan.grids[::-1]), "that of another layer"),
    (lost_copy, "copies on crossbars"),
    (lost_window, "window 0 is run 0 times|up to a last one"),
    (shared_place, "capacity"),
    (lambda plan, task: 7, "expected a Plan or None, not int"),
    (lambda plan, task: replace(plan, allocations=[
        replace(own, segment=2 * i) for i, own in enumerate(plan.allocations)
    ]), "expected 0, 1, ... in the order"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "said"), BROKEN)
def test_the_kit_says_what_is_wrong(change: Any, said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        check_planner(Told(change), instances=10)


def test_the_kit_sees_other_plans_of_the_same_seed() -> None:
    class Random(Told):
        def plans(self, task: Task, rng: np.random.Generator) -> Iterator[Plan | None]:
            for plan in super().plans(task, rng):
                assert plan is not None
                yield replace(plan, across=bool(np.random.default_rng().integers(2)))

    with pytest.raises(AssertionError, match="the same seed gives other plans"):
        check_planner(Random(), instances=15)


@pytest.mark.parametrize(("change", "detail"), [pair for pair in BROKEN if "not int" not in pair[1]])
def test_the_search_leaves_broken_plans_out_and_says_why(change: Any, detail: str) -> None:
    told = Told(change)
    result = solve(load_network("lenet5"), SMALL, planners=[told, Baseline("layer-serial")])
    (outcome,) = told.outcomes
    assert outcome.reason is Reason.NO_FIT
    assert re.search(detail, outcome.detail)
    assert result.value is not None


def test_a_planner_learns_what_became_of_each_plan_and_that_it_was_known() -> None:
    told = Told(more=2)
    solve(*tiny_instance(0), planners=[told])
    assert [outcome.reason for outcome in told.outcomes] == [Reason.ACCEPTED, Reason.NOT_BETTER, Reason.NOT_BETTER]
    assert [outcome.known for outcome in told.outcomes] == [False, True, True]
    assert told.outcomes[0].solution is not None


def test_an_endless_planner_leaves_others_their_turn() -> None:
    told, last = Told(more=10**9), Told()
    assert solve(*tiny_instance(0), planners=[told, last]).value is not None
    assert len(told.outcomes) == TURN
    assert len(last.outcomes) == 1


def test_an_endless_search_asks_useless_planners_less_often() -> None:
    network, chip = tiny_instance(0)
    useless, useful = Told(more=10**9), Told(more=10**9)
    asked = iter(range(10**6))
    task = Task(network, chip, endless=True)
    list(Search(task, [useless, useful], stop=lambda: next(asked) > 600).run())
    assert len(useless.outcomes) > TURN
    assert len(useful.outcomes) > TURN


def test_every_objective_has_a_row_and_our_planners_are_planners() -> None:
    assert tuple(POLICIES) == OBJECTIVES
    for policy in POLICIES.values():
        assert all(isinstance(planner, Planner) for planner in registry.usual(policy))
        assert all(isinstance(registry.exchange(name), TileExchange) for name in policy.exchanges)
        assert policy.leaves_out <= set(registry.OWN_PLANNERS)


def test_a_solution_to_begin_from_is_the_answer_unless_another_is_better() -> None:
    network, chip = load_network("lenet5"), SMALL
    good, bad = solve(network, chip, method="dense-pipeline"), solve(network, chip, method="layer-serial")
    assert good.solution is not None
    assert bad.solution is not None
    assert solve(network, chip, planners=["layer-serial"], start=good.solution).value == good.value
    assert solve(network, chip, planners=["dense-pipeline"], start=bad.solution).value == good.value
    with pytest.raises(InstanceError, match=r"start.*expected a valid solution"):
        solve(network, replace(chip, router_bits_per_cycle=1), start=good.solution)
    with pytest.raises(InstanceError, match="latency within the limit"):
        solve(network, chip, start=bad.solution, latency_limit=good.value)


def test_a_stopping_criterion_ends_an_endless_search() -> None:
    seen: list[float] = []

    def stop(best: float) -> bool:
        seen.append(best)
        return len(seen) > 30

    network, chip = tiny_instance(0)
    result = solve(network, chip, method="heuristic", stop=stop)
    assert len(seen) == 31 or result.value == result.bound
    assert seen == sorted(seen, reverse=True)


@pytest.mark.parametrize("wrong", [[], "segments", 7])
def test_planners_are_a_list(wrong: Any) -> None:
    with pytest.raises(InstanceError, match=r"planners.*at least one"):
        solve(*tiny_instance(0), planners=wrong)
