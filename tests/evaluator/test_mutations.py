"""A good solution corrupted once per rule: the evaluator names the family, and no other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spatem_opt.evaluator import FAMILIES, Evaluator, evaluate
from spatem_opt.model.solution import MappingOption, Solution
from tests.evaluator.hand import (
    pipeline,
    repeated_row,
    split_layer,
    tables,
    with_chip,
    with_placement,
    with_schedule,
    without_rows,
)

Mutation = Callable[[Solution], Solution]


def claim(**values: object) -> Mutation:
    """Change claimed totals."""
    return lambda s: replace(s, claims={"total": {**s.claims["total"], **values}})


def unclaimed(mutate: Mutation) -> Mutation:
    """Drop the claims, which a change of times would break as well."""
    return lambda s: mutate(replace(s, claims={}))


MUTATIONS: list[tuple[str, str, Mutation]] = [
    ("structure", "layer", lambda s: with_placement(s, 0, layer=2)),
    ("structure", "crossbar", lambda s: with_placement(s, 0, crossbar=4)),
    ("structure", "negative crossbar", lambda s: with_placement(s, 0, crossbar=-1)),
    ("structure", "copy gap", lambda s: with_placement(s, 0, copy=1)),
    ("structure", "row beyond grid", lambda s: with_placement(s, 0, row_stop=2)),
    ("structure", "empty rectangle", lambda s: with_placement(s, 0, col_start=1)),
    ("structure", "window", lambda s: with_schedule(s, 0, last_window=4)),
    ("structure", "step", lambda s: with_schedule(s, 0, step=0)),
    ("structure", "last window not met", lambda s: with_schedule(s, 0, step=2)),
    ("structure", "pace", lambda s: with_schedule(s, 0, pace=-1)),
    ("structure", "unplaced copy", lambda s: with_schedule(s, 0, copy=1)),
    ("structure", "late beyond replay", lambda s: with_schedule(s, 0, end=2**50)),
    ("structure", "no copy", lambda s: replace(s, placement=without_rows(s.placement, 0))),
    ("structure", "options", lambda s: replace(s, mapping=s.mapping[:1])),
    ("structure", "lengths", lambda s: replace(s, schedule=replace(s.schedule, end=s.schedule.end[:1]))),
    ("structure", "table", lambda s: replace(s, schedule=replace(s.schedule, end=s.schedule.end[:, None]))),
    ("mapping", "patch", lambda s: replace(s, mapping=(MappingOption(ph=2), s.mapping[1]))),
    ("mapping", "one window", lambda s: replace(s, mapping=(MappingOption("parallel-window"), s.mapping[1]))),
    ("mapping", "scheme", lambda s: replace(s, mapping=(MappingOption("sparse"), s.mapping[1]))),  # type: ignore[arg-type]
    ("coverage", "missing", unclaimed(lambda s: with_placement(s, 1, row_stop=1))),
    ("coverage", "twice", unclaimed(lambda s: replace(s, placement=repeated_row(s.placement, 1, crossbar=3)))),
    (
        "capacity",
        "slots",
        unclaimed(lambda s: with_chip(with_schedule(s, 1, end=50), crossbar_rows=4, crossbar_cols=4)),
    ),
    ("capacity", "part of a block", unclaimed(lambda s: split_block(s))),
    ("capacity", "block shared", unclaimed(lambda s: with_placement(filled(s), 1, crossbar=0))),
    ("windows", "missing", lambda s: with_schedule(s, 0, last_window=2)),
    ("windows", "twice", lambda s: replace(s, schedule=repeated_row(s.schedule, 0, start=50, end=90))),
    ("windows", "none", lambda s: replace(s, schedule=without_rows(s.schedule, 0, 1))),
    ("start", "negative", lambda s: with_schedule(s, 0, start=-1)),
    ("start", "backwards", lambda s: with_schedule(s, 1, end=19)),
    ("reservation", "short", unclaimed(lambda s: with_schedule(s, 0, end=18))),
    ("reservation", "late inputs", unclaimed(lambda s: with_schedule(s, 1, end=37))),
    ("reservation", "rows wait for each other", unclaimed(lambda s: never_begins(s))),
    ("exclusive", "shared crossbar", unclaimed(lambda s: with_placement(with_schedule(s, 1, start=18), 1, crossbar=0))),
    ("exclusive", "same copy", lambda s: overlapping_rows(s)),
    ("buffer", "chip", lambda s: with_chip(s, buffer_bits=31)),
    ("buffer", "tile", lambda s: with_chip(s, buffer_bits=63, buffer_scope="tile")),
    ("transfers", "nothing recorded", lambda s: replace(s, transfers=recorded())),
    ("transfers", "to a tile that reads nothing", lambda s: replace(s, transfers=recorded((0, 1, 1, 1)))),
    ("claims", "latency", claim(latency=42)),
    ("claims", "period", claim(period=15)),  # conv's crossbar works for 16
    ("claims", "communication", claim(communication=111)),
    ("claims", "bound", claim(bound=43.5)),
    ("claims", "bound beyond the proof", claim(bound=21)),
    ("claims", "optimal", claim(status="optimal")),
    ("claims", "bound of another objective", claim(objective="throughput", bound=22)),
    ("claims", "bound of a product", claim(objective="balanced", bound=43 * 112 + 1)),
    ("claims", "bound that is no number", claim(bound="43")),
    ("claims", "unknown objective", claim(objective="beauty")),
]


def recorded(*rows: tuple[int, int, int, int]) -> dict[str, np.ndarray[Any, Any]]:
    """A table of transfers."""
    table = np.array(rows, dtype=np.int64).reshape(-1, 4)
    return dict(zip(("producer", "tile", "pixels", "channels"), table.T, strict=True))


def never_begins(solution: Solution) -> Solution:
    """fc on the crossbar of conv, whose outputs it needs, but reserved before it."""
    shared = with_placement(solution, 1, crossbar=0)
    return with_schedule(with_schedule(shared, 0, start=20, end=60), 1, start=0, end=20)


def filled(solution: Solution) -> Solution:
    """All layers stored as filled blocks; each of the pipeline's two is a single block."""
    return replace(solution, mapping=(MappingOption(storage="filled"),) * 2)


def split_block(solution: Solution) -> Solution:
    """The block of fc on two crossbars."""
    upper = with_placement(filled(solution), 1, row_stop=1)
    return replace(upper, placement=repeated_row(upper.placement, 1, crossbar=3, row_start=1, row_stop=2))


def overlapping_rows(solution: Solution) -> Solution:
    """Two reservations of conv's copy, the second starting before the first ends."""
    first = with_schedule(solution, 0, last_window=1, end=12)
    rows = repeated_row(first.schedule, 0, first_window=2, last_window=3, start=11, end=19)
    return replace(first, schedule=rows, claims={})


@pytest.mark.parametrize(("family", "mutate"), [pytest.param(f, m, id=f"{f}-{name}") for f, name, m in MUTATIONS])
def test_mutation_is_named(family: str, mutate: Mutation) -> None:
    result = evaluate(mutate(pipeline()))
    named = set(result.families)
    assert family in named
    if family != "start":  # nothing can run in no time: "reservation" and "exclusive" break as well
        assert named == {family}


def test_one_evaluator_after_the_other_says_what_a_new_one_would() -> None:
    """Whatever it saw before; also of schedules, mappings and chips changed on the same placement."""
    evaluator, good = Evaluator(), pipeline()
    for _, _, mutate in MUTATIONS:
        for solution in (mutate(good), good):
            found, fresh = evaluator(solution), evaluate(solution)
            assert repr(found.violations) == repr(fresh.violations)  # some amounts are no numbers
            assert found.latency_cycles == fresh.latency_cycles
            assert found.communication == fresh.communication


def test_one_evaluator_sees_windows_that_went_to_another_copy() -> None:
    """On the same placement: what tiles receive changes with it, and must not be what it was before."""
    placement, schedule = tables(
        [(0, 0, 0, 0, 1, 0, 1), (0, 1, 3, 0, 1, 0, 1), (1, 0, 2, 0, 2, 0, 1)],
        [(0, 0, 0, 1, 1, 0, 0, 60), (0, 1, 2, 3, 1, 0, 0, 60), (1, 0, 0, 0, 1, 0, 60, 100)],
    )
    even = replace(pipeline(), placement=placement, schedule=schedule, claims={})
    uneven = with_schedule(with_schedule(even, 0, last_window=2), 1, first_window=3)
    evaluator, found = Evaluator(), []
    for solution in (even, with_schedule(even, 1, start=8), uneven, even):
        fresh = evaluate(solution)
        found.append(fresh.communication)
        again = evaluator(solution)
        assert fresh.valid
        assert again.latency_cycles == fresh.latency_cycles
        assert again.communication == fresh.communication
    assert found[0] == found[1] == found[3] != found[2]


def test_every_family_is_mutated() -> None:
    """But ``instance``: it is about what the caller gives (``test_instance.py``)."""
    assert {family for family, _, _ in MUTATIONS} == set(FAMILIES) - {"instance"}


def test_all_violations_are_reported_together() -> None:
    broken = with_schedule(pipeline(), 0, end=18)
    broken = with_chip(with_placement(broken, 1, row_stop=1), buffer_bits=8)
    assert set(evaluate(broken).families) == {"coverage", "reservation", "buffer", "claims"}


@pytest.mark.parametrize(("rows", "copies"), [([3], [1]), ([1, 3], [0, 1]), ([1], [0])])
def test_wrong_copies_are_told_from_those_beside_them(rows: list[int], copies: list[int]) -> None:
    """Copies cut alike are checked together: none may hide behind a good one, nor a good one be blamed."""
    base = split_layer()
    placement, schedule = tables(
        [(0, c, 2 * i + c, i, i + 1, 0, 1) for c in range(2) for i in range(2)],
        [(0, c, c, c, 1, 0, 0, 20) for c in range(2)],
    )
    good = replace(base, placement=placement, schedule=schedule)
    assert evaluate(good).valid
    bad = good
    for row in rows:  # OU row 0 once more instead of row 1
        bad = with_placement(bad, row, row_start=0, row_stop=1)
    assert [v.message for v in evaluate(bad).violations] == [
        f"layer 'conv', copy {copy}: of 2 OUs 1 missing, 1 placed too often" for copy in copies
    ]


def test_violation_carries_its_numbers() -> None:
    found = evaluate(with_schedule(replace(pipeline(), claims={}), 0, end=18)).violations
    assert [(v.family, v.amount, v.limit, v.unit) for v in found] == [("reservation", 19, 18, "cycles")]
    assert found[0].message == "schedule: row 0 (layer 0, copy 0) ends at cycle 19, reserved until 18"


def test_broken_structure_has_no_times() -> None:
    result = evaluate(with_placement(pipeline(), 0, crossbar=4))
    assert (result.valid, result.latency_cycles, result.to_dict()["latency_cycles"]) == (False, None, None)


def test_many_violations_are_counted_after_the_worst() -> None:
    base = pipeline()
    rows = np.arange(30)
    schedule = replace(
        base.schedule,
        **{name: np.append(getattr(base.schedule, name), np.full(30, value)) for name, value in
           {"layer": 0, "copy": 0, "first_window": 0, "last_window": 0, "step": 1, "pace": 0}.items()},
        start=np.append(base.schedule.start, -rows - 1), end=np.append(base.schedule.end, -rows),
    )  # fmt: skip
    found = [v for v in evaluate(replace(base, schedule=schedule)).violations if v.family == "start"]
    assert (found[0].amount, found[-1].amount, found[-1].unit) == (-30, 10, "violations")
