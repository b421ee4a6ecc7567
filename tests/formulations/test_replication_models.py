"""Cuts into runs: brute force = labels with either engine = both masters; bounds, referee, flips, hints."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import replace
from itertools import combinations, product
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from formulations.replication import cpsat, ilp, master
from formulations.replication.columns import SegmentColumn
from formulations.replication.pricing import Pricing
from formulations.replication.problem import (
    FAMILIES,
    UNIT,
    LayerModes,
    SegmentationProblem,
    SegmentationSolution,
    check,
    from_segmentation,
    segment_cost,
)
from formulations.solver import Limits, run_cpsat, run_pulp
from spatem_opt.errors import InstanceError
from spatem_opt.model.result import Status

LIMITS = Limits(60, 0, 1, 20)


def ints(*values: int) -> np.ndarray:
    """Integer column."""
    return np.array(values, dtype=np.int64)


@st.composite
def problems(draw: st.DrawFn) -> SegmentationProblem:
    """At most four layers of at most three ways, tight in crossbars, routers or slots."""
    layers = draw(st.integers(1, 4))

    def menu() -> LayerModes:
        size = draw(st.integers(1, 3))
        columns = [st.integers(1, 3), st.integers(1, 6), st.integers(1, 40), st.integers(0, 90), st.integers(0, 9000)]
        return LayerModes(*(np.array(draw(st.lists(c, min_size=size, max_size=size)), dtype=np.int64) for c in columns))

    made = [menu() for _ in range(draw(st.integers(1, layers)))]
    menus = tuple(made[draw(st.integers(0, len(made) - 1))] for _ in range(layers))
    lag = np.array(draw(st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.5]), min_size=layers, max_size=layers)))
    paces = np.array([10.0, 22.5, 45.0])[: draw(st.integers(2, 3))]
    router = draw(st.sampled_from([3.0, 6.5, 50.0]))
    few = draw(st.integers(4, 12))
    alone = few + draw(st.integers(0, 2))
    return SegmentationProblem(menus, ints(1, 2, 3), paces, lag, few, alone, router, draw(st.integers(3, 5)))


def brute(problem: SegmentationProblem) -> int | None:
    """Least objective over all cuts, slots, paces and ways; None if there is none."""
    best = None
    for count in range(problem.layers):
        for inner in combinations(range(1, problem.layers), count):
            edges = [0, *inner, problem.layers]
            for slots in product(range(len(problem.slots)), repeat=count + 1):
                if sum(int(problem.slots[s]) for s in slots) > problem.capacity:
                    continue
                runs = [cheapest(problem, edges[k], edges[k + 1], s) for k, s in enumerate(slots)]
                if all(run is not None for run in runs):
                    total = sum(run for run in runs if run is not None)
                    best = total if best is None else min(best, total)
    return best


def cheapest(problem: SegmentationProblem, first: int, stop: int, slots: int) -> int | None:
    """Cheapest run over all paces and ways."""
    costs = [
        segment_cost(problem, first, stop, pace, np.array(way))
        for pace in range(len(problem.paces))
        for way in product(*(range(len(menu.serial)) for menu in problem.menus[first:stop]))
        if allowed(problem, first, slots, pace, way)
    ]
    return min(costs, default=None)


def allowed(problem: SegmentationProblem, first: int, slots: int, pace: int, way: tuple[int, ...]) -> bool:
    """Whether ways fit a run."""
    menus = problem.menus[first : first + len(way)]
    pairs = list(zip(menus, way, strict=True))
    return (
        all(m.serial[w] <= problem.slots[slots] and m.cycles[w] <= problem.paces[pace] for m, w in pairs)
        and sum(int(m.crossbars[w]) for m, w in pairs) <= problem.room(len(way))
        and sum(int(m.hop_bits[w]) for m, w in pairs) <= problem.traffic(pace)
    )


def agrees(found: object, status: Status, objective: int | None, optimum: int | None) -> None:
    """A proven answer is that of brute force."""
    assert (status, objective) == ((Status.INFEASIBLE, None) if optimum is None else (Status.OPTIMAL, optimum)), found


@settings(max_examples=60)
@given(problems())
def test_labels_are_brute_force(problem: SegmentationProblem) -> None:
    found = master.solve(problem, time_limit=60, workers=1, deterministic_limit=20)
    agrees(found, found.status, found.objective, brute(problem))


@settings(max_examples=15)
@given(problems())
def test_labels_with_ilp_are_brute_force(problem: SegmentationProblem) -> None:
    found = master.solve(problem, time_limit=60, workers=1, engine="ilp")
    agrees(found, found.status, found.objective, brute(problem))


@settings(max_examples=6)
@given(problems())
def test_masters_are_brute_force(problem: SegmentationProblem) -> None:
    optimum, columns = brute(problem), master.all_columns(problem, LIMITS)
    if not all(columns.covering()):
        assert optimum is None
        return
    for solve in (cpsat.solve_master, ilp.solve_master):
        found, chosen = solve(columns, LIMITS)
        assert found.solved == (optimum is not None)
        if optimum is not None:
            assert (found.status, found.objective) == (Status.OPTIMAL, optimum)
            assert sum(int(columns.cost[c]) for c in chosen) == optimum


@settings(max_examples=40)
@given(problems())
def test_every_run_lies_between_its_bounds(problem: SegmentationProblem) -> None:
    pricing = Pricing(problem, len(problem.paces))
    for first in range(problem.layers):
        lower, upper = pricing.runs(first)
        for slots, pace, length in np.ndindex(lower.shape):
            stop = first + length + 1
            ways = product(*(range(len(menu.serial)) for menu in problem.menus[first:stop]))
            costs = [
                segment_cost(problem, first, stop, pace, np.array(way))
                for way in ways
                if allowed(problem, first, slots, pace, way)
            ]
            exact = min(costs, default=np.inf)
            assert lower[slots, pace, length] <= exact <= upper[slots, pace, length]
            if np.isfinite(upper[slots, pace, length]):
                way = pricing.allocation(first, stop, slots, pace)
                assert way is not None
                assert segment_cost(problem, first, stop, pace, way) == upper[slots, pace, length]


@settings(max_examples=20)
@given(problems())
def test_heuristic_and_hints_are_no_better(problem: SegmentationProblem) -> None:
    """A loose run gives a solution; started from it, the search ends at the same optimum."""
    first = master.solve(problem, time_limit=60, workers=1, deterministic_limit=20, gap=1.0)
    if first.solution is None or first.objective is None:
        return
    second = master.solve(problem, time_limit=60, workers=1, deterministic_limit=20, hint=first.solution)
    assert second.objective is not None
    assert first.bound is not None
    assert first.bound <= second.objective <= first.objective
    again = from_segmentation(problem, first.solution.cuts(problem))
    assert check(problem, again).violations == ()
    assert check(problem, again).objective <= first.objective


def example(**fields: object) -> SegmentationProblem:
    """Two layers of one menu; ways: (serial 1, 4 crossbars), (serial 1, 2, twice the cycles), (serial 2, 2).

    With 6 crossbars, 3 slots, paces 10 and 20, and one bit-hop per cycle. Both layers in one run at pace 10 need ways 0
    and 2: serial 2, crossbars 6, hops 5 + 5 = 10. Cost 10 cycles, and 0.001 + 0.004.
    """
    menu = LayerModes(ints(1, 1, 2), ints(4, 2, 2), ints(10, 20, 10), ints(5, 5, 5), ints(1, 2, 4))
    problem = SegmentationProblem((menu, menu), ints(1, 2), np.array([10.0, 20.0]), np.zeros(2), 6, 6, 1.0, 3)
    return replace(problem, **fields)  # type: ignore[arg-type]


def best(problem: SegmentationProblem) -> SegmentationSolution:
    """The optimum of the example, by hand."""
    return SegmentationSolution(ints(0), ints(1), ints(0), ints(0, 2))


def test_hand_example() -> None:
    found = master.solve(example(), time_limit=30, workers=1)
    assert (found.objective, found.status) == (10 * UNIT + 5, Status.OPTIMAL)
    assert check(example(), best(example())).objective == 10 * UNIT + 5
    assert list(found.versions) == ["ortools"]


def run_status(run: SegmentColumn, without: Collection[str], engine: str) -> bool:
    """Whether the model of a run has a solution."""
    if engine == "cpsat":
        return run_cpsat(cpsat.build_segment(run, without)[0], LIMITS).solved
    return run_pulp(ilp.build_segment(run, without)[0], LIMITS).solved


@pytest.mark.parametrize("engine", ["cpsat", "ilp"])
@pytest.mark.parametrize(
    ("family", "fields"),
    [("crossbars", {"crossbars": 3}), ("router", {"router": 0.9})],
)
def test_run_family_flip(engine: str, family: str, fields: dict[str, object]) -> None:
    run = SegmentColumn(example(**fields), 0, 2, 1, 0)
    assert not run_status(run, (), engine)
    assert run_status(run, (family,), engine)


@pytest.mark.parametrize("engine", [cpsat, ilp])
def test_without_ways_a_run_costs_nothing(engine: object) -> None:
    run = SegmentColumn(example(), 0, 2, 1, 0)
    model = engine.build_segment(run, ("way",))[0]  # type: ignore[attr-defined]
    found = run_cpsat(model, LIMITS) if engine is cpsat else run_pulp(model, LIMITS)
    assert found.objective == 0


@pytest.mark.parametrize("engine", [cpsat, ilp])
@pytest.mark.parametrize(("family", "capacity"), [("slots", 1), ("cover", 3)])
def test_master_family_flip(engine: object, family: str, capacity: int) -> None:
    """Only runs of 2 slots are offered: with one slot they do not fit; uncovered layers cost nothing."""
    problem = example(capacity=capacity)
    columns = master.all_columns(problem, LIMITS)
    columns = columns.select(columns.slots == 1)
    values = []
    for without in ((), (family,)):
        model = engine.build_master(columns, without)[0]  # type: ignore[attr-defined]
        values.append((run_cpsat(model, LIMITS) if engine is cpsat else run_pulp(model, LIMITS)).objective)
    optimum = 10 * UNIT + 5
    assert values == ([None, optimum] if family == "slots" else [optimum, 0])


def test_master_hint_is_complete() -> None:
    columns = master.all_columns(example(), LIMITS)
    found, chosen = cpsat.solve_master(columns, LIMITS)
    model, y = cpsat.build_master(columns)
    cpsat.hint_master(model, y, chosen)
    assert len(model.proto.solution_hint.vars) == len(model.proto.variables)
    log = cpsat.solve_master(columns, LIMITS, chosen, log=True)[0].log
    assert "The solution hint is complete and is feasible" in log
    assert found.status is Status.OPTIMAL


def test_same_families_in_both_engines_and_the_referee() -> None:
    assert cpsat.FAMILIES == ilp.FAMILIES
    assert set(FAMILIES) - {"shape"} == set(cpsat.FAMILIES) - cpsat.REDUNDANT


@pytest.mark.parametrize(
    ("fields", "mutant", "family"),
    [
        ({}, {"first": ints(1)}, "cover"),
        ({}, {"slots": ints(0)}, "way"),
        ({"capacity": 1}, {}, "slots"),
        ({}, {"way": ints(0, 1)}, "way"),
        ({}, {"way": ints(0, 0)}, "crossbars"),
        ({"router": 0.9}, {}, "router"),
        ({}, {"way": ints(0)}, "shape"),
        ({}, {"pace": ints(2)}, "shape"),
    ],
)
def test_referee_names_the_family(fields: dict[str, object], mutant: dict[str, np.ndarray], family: str) -> None:
    problem = example(**fields)
    assert check(example(), best(problem)).violations == ()
    assert family in {name for name, _ in check(problem, replace(best(problem), **mutant)).violations}


@pytest.mark.parametrize(
    ("field", "value"), [("lag", np.zeros(1)), ("slots", ints(2, 1)), ("paces", np.zeros(2)), ("alone", 5)]
)
def test_wrong_data_are_named(field: str, value: object) -> None:
    with pytest.raises(InstanceError, match=field):
        example(**{field: value})


def test_infeasible_says_what_is_missing() -> None:
    """One slot is not enough for both layers: at pace 20 they need a slot each, or two in one run."""
    found = master.solve(example(capacity=1, crossbars=3, alone=3), time_limit=30, workers=1)
    assert found.status is Status.INFEASIBLE
    assert found.shortage is not None
    assert (found.shortage.family, found.shortage.demand, found.shortage.capacity) == ("slots", 2, 1)


def test_unknown_engine_is_named() -> None:
    with pytest.raises(InstanceError, match="engine"):
        master.solve(example(), time_limit=1, engine="gurobi")  # type: ignore[arg-type]


def test_more_is_never_worse() -> None:
    """More crossbars, slots or router capacity never cost more."""
    value = master.solve(example(), time_limit=30, workers=1).objective
    for fields in ({"crossbars": 8, "alone": 8}, {"capacity": 4}, {"router": 2.0}):
        more = master.solve(example(**fields), time_limit=30, workers=1).objective
        assert value is not None
        assert more is not None
        assert more <= value


@pytest.mark.parametrize("engine", [cpsat, ilp])
def test_labels_of_equations_and_code_agree(engine: ModuleType) -> None:
    text = Path(str(cpsat.__file__)).with_name("EXACT.md").read_text()
    rows = re.findall(r"^\| (E\d+) \| `(\w+)` \|", text, re.MULTILINE)
    families = {**engine.SEGMENT_FAMILIES, **engine.MASTER_FAMILIES}
    assert rows == [(re.findall(r"\((E\d+)\)", str(add.__doc__))[0], name) for name, add in families.items()]
