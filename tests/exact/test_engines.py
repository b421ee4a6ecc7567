"""Engines of other people for the exact steps, and ours by their names."""

from __future__ import annotations

from collections.abc import Collection
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from formulations.solver import Limits, StepEngine, StepResult
from spatem_opt import InstanceError, solve
from spatem_opt.exact.engines import ENGINES, engine, engines
from spatem_opt.front_end import STEPS
from spatem_opt.planning import registry
from spatem_opt.testing import tiny_instance


class Own:
    """Ours, counted."""

    def __init__(self, step: str = "mapping") -> None:
        self.step, self.asked = step, 0

    def solve(
        self, problem: Any, limits: Limits, *, hint: Any = None, without: Collection[str] = ()
    ) -> StepResult[Any]:
        """Ask our engine."""
        self.asked += 1
        return engine(self.step).solve(problem, limits, hint=hint, without=without)


@pytest.mark.parametrize("step", STEPS)
def test_every_step_asks_the_engine_that_is_given(step: str) -> None:
    asked = 0
    for seed in range(6):  # of a grouping at its bound nobody is asked
        own = Own(step)
        result = solve(*tiny_instance(seed), method="exact", time_limit=20.0, engines={step: own})
        assert [one.step for one in result.steps] == list(STEPS)
        asked += own.asked
        if asked:
            break
    assert asked or step == "grouping"


def test_the_ilp_engine_agrees_with_the_usual_one() -> None:
    network, chip = tiny_instance(0)
    one, other = (
        solve(network, chip, method="exact", time_limit=40.0, engines={"mapping": name}).steps[0]
        for name in ("cpsat", "ilp")
    )
    assert one.engine != other.engine
    assert (one.objective, one.bound) == (other.objective, other.bound)


def test_all_of_ours_are_engines_and_there_is_one_for_each_step() -> None:
    assert tuple(ENGINES) == ("mapping", "grouping", "replication", "scheduling")
    assert set(engines()) == set(STEPS)
    assert all(isinstance(own, StepEngine) for names in ENGINES.values() for own in names.values())


def test_entry_points_bring_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("mapping.mine", f"{__name__}:Own", registry.ENGINES)
    monkeypatch.setattr(registry, "entry_points", lambda group: [point])
    monkeypatch.setattr(EntryPoint, "load", lambda self: Own)
    assert isinstance(engine("mapping", "mine"), Own)


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"packing": "cpsat"}, "expected one of mapping, grouping"),
        ({"mapping": "gurobi"}, "expected one of mapping.cpsat, mapping.ilp"),
        ({"mapping": object()}, "a method solve"),
        ({"mapping": Own}, "expected an object"),
        ("cpsat", "expected a dict"),
    ],
)
def test_what_is_no_engine_is_one_line(wanted: Any, said: str) -> None:
    with pytest.raises(InstanceError, match=said):
        solve(*tiny_instance(0), engines=wanted)


def test_replication_has_no_families_to_leave_out() -> None:
    with pytest.raises(InstanceError, match="no families"):
        engine("replication").solve(None, Limits(1.0), without=["way"])
