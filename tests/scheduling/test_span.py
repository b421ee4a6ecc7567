"""Late starts: a copy that would wait for inputs begins later, so that its crossbars are held no longer than needed."""

from __future__ import annotations

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from spatem_opt.cost.placed import PlacedNetwork, Times
from spatem_opt.planning.plan import busiest, problem_of
from spatem_opt.scheduling import list_schedule
from spatem_opt.testing import random_chip, random_network, random_plan
from tests.oracles import scheduling_referee

SEEDS = st.integers(0, 2**32 - 1)


def drawn(seed: int) -> PlacedNetwork:
    """Scheduling problem of a random plan."""
    rng = np.random.default_rng(seed)
    network, chip = random_network(rng), random_chip(rng)
    plan = random_plan(rng, network, chip)
    assume(plan is not None)
    assert plan is not None
    return problem_of(plan, network, chip)


def longest(problem: PlacedNetwork, times: Times) -> int:
    """Cycles from the first start to the last end of a copy, at most."""
    copies = problem.chunks.layer * len(problem.placement.copy) + problem.chunks.copy
    spans = (times.end[copies == c].max() - times.start[copies == c].min() for c in np.unique(copies))
    return int(max(spans))


@settings(max_examples=60)
@given(SEEDS, st.integers(0, 2000))
def test_no_copy_takes_longer_than_the_span_or_its_work(seed: int, span: int) -> None:
    problem = drawn(seed)
    assume(not problem.chunks.pace.any())
    late = problem.within(span)
    assert longest(problem, list_schedule.solve(late)) <= max(span, busiest(problem))


@settings(max_examples=60)
@given(SEEDS, st.integers(0, 2000))
def test_the_referee_confirms_it(seed: int, span: int) -> None:
    problem = drawn(seed).within(span)
    times = list_schedule.solve(problem)
    verdict = scheduling_referee.check(problem, times)
    assert verdict.violations == ()
    assert verdict.latency == times.latency


@settings(max_examples=60)
@given(SEEDS)
def test_starting_late_never_makes_faster_and_a_wide_span_changes_nothing(seed: int) -> None:
    problem = drawn(seed)
    early = list_schedule.solve(problem)
    assert list_schedule.solve(problem.within(0)).latency >= early.latency
    assert (list_schedule.solve(problem.within(early.latency)).start == early.start).all()
