"""Reservations taken from the replay, what the last output waited for, cautions, and when the replay is compiled."""

from __future__ import annotations

import logging
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from spatem_opt import load_architecture, load_network
from spatem_opt.errors import ModelError
from spatem_opt.evaluator import Evaluation, evaluate, prepare, settle, settling
from spatem_opt.evaluator import replay as module
from spatem_opt.evaluator.settling import SETTLING
from spatem_opt.model.solution import Schedule, Solution
from spatem_opt.planning.baselines import BASELINES
from spatem_opt.planning.plan import assemble, problem_of
from spatem_opt.scheduling import list_schedule
from spatem_opt.search.realisation import realise
from tests.evaluator.hand import with_chip
from tests.evaluator.hand_routers import fork, merge

NAMES = ["lenet5", "cifar10"]


@cache
def soonest(network: str, baseline: str = "kernel-split") -> Solution:
    """A baseline with everything as soon as without queues: windows end later than reserved."""
    net, chip = load_network(network), load_architecture("ou-isaac", {"adc_bits": 5})
    plan = BASELINES[baseline](net, chip)
    assert plan is not None
    problem = problem_of(plan, net, chip)
    return assemble(plan, problem, list_schedule.solve(problem))


@cache
def done(network: str) -> Solution:
    found = settle("a baseline", soonest(network))
    assert found is not None
    return found[0]


def equal(one: Schedule, other: Schedule) -> bool:
    return all(np.array_equal(getattr(one, column.name), getattr(other, column.name)) for column in fields(Schedule))


@pytest.mark.parametrize("network", NAMES)
def test_rows_keep_their_windows_and_their_order(network: str) -> None:
    before, after = soonest(network).schedule, done(network).schedule
    for column in ("layer", "copy", "first_window", "last_window", "step"):
        assert np.array_equal(getattr(before, column), getattr(after, column))
    copies = int(before.copy.max()) + 1
    for key in np.unique(before.layer * copies + before.copy):
        own = np.flatnonzero(before.layer * copies + before.copy == key)
        assert np.array_equal(np.argsort(before.start[own], kind="stable"), np.argsort(after.start[own], kind="stable"))


@pytest.mark.parametrize("network", NAMES)
def test_the_settled_schedule_is_what_its_replay_says(network: str) -> None:
    found = evaluate(done(network))
    assert found.families == ()
    assert found.latency_cycles == done(network).claims["total"]["latency"]
    assert found.latency_cycles == evaluate(soonest(network)).latency_cycles  # starts are lower bounds: nothing moves
    again = settle("once more", done(network))
    assert again is not None
    assert equal(again[0].schedule, done(network).schedule)


def test_rows_get_room_where_replay_and_reservations_never_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if no round without room sufficed: valid, and hardly slower."""
    tight = evaluate(done("cifar10")).latency_cycles
    monkeypatch.setattr(settling, "TIGHT", 0)
    given: list[float] = []
    usual = settling.roomy

    def roomy(solution: Solution, found: Evaluation, longer: float = 0.0) -> Solution:
        given.append(longer)
        return usual(solution, found, longer)

    monkeypatch.setattr(settling, "roomy", roomy)
    found = settle("test", soonest("cifar10"))
    assert found is not None
    assert given[0] == settling.ROOM
    assert evaluate(found[0]).families == ()
    assert tight is not None
    assert tight <= (found[1].latency_cycles or 0) <= 1.2 * tight


@pytest.mark.parametrize("network", NAMES)
def test_before_only_reservations_are_wrong(network: str) -> None:
    families = set(evaluate(soonest(network)).families)
    assert families
    assert families <= SETTLING


def test_there_is_none_at_or_above_the_limit_or_once_told_to_stop() -> None:
    """merge takes 111 cycles with inputs by columns, 112 by the corner, as its chip has it (test_hand_routers)."""
    assert settle("merge", merge(), 112) is None
    assert settle("merge", merge(), 113) is not None
    assert settle("merge", merge(), stop=lambda: True) is None


def test_there_is_none_where_a_buffer_is_too_small() -> None:
    assert settle("merge", with_chip(merge(), buffer_bits=16, buffer_scope="tile")) is None


def test_what_no_schedule_mends_is_an_error() -> None:
    """One OU of A is laid down nowhere."""
    solution = merge()
    place = solution.placement
    less = replace(place, col_stop=np.where(np.arange(len(place.layer)) == 0, place.col_stop - 1, place.col_stop))
    with pytest.raises(ModelError, match="merge: coverage"):
        settle("merge", replace(solution, placement=less))


@pytest.mark.parametrize("baseline", sorted(BASELINES))
@pytest.mark.parametrize("network", NAMES)
def test_every_baseline_that_fits_has_a_schedule(network: str, baseline: str) -> None:
    """Slow is slow, not infeasible."""
    net, chip = load_network(network), load_architecture("ou-isaac", {"adc_bits": 5})
    plan = BASELINES[baseline](net, chip)
    assert plan is not None
    found = realise(plan, net, chip)
    assert found is not None
    assert evaluate(found[0]).families == ()


def test_the_critical_path_of_the_fork() -> None:
    """A's first window begins when its pixel is there, at 2, and is done at 2 + 17 + 5 = 24.

    C's pixel is there at 29: 1 cycle in the queue behind B's packet, 3 routers, 1 cycle of bits. A delivers one every
    17 cycles, which is what C takes for a window: 46, 63, 80, where copy and datum tie. Done at 80 + 17 + 5 = 102.
    """
    path = evaluate(fork()).critical_path
    assert path is not None
    assert path.node == ("x", "A", "C", "C", "C", "C")
    assert path.begin.tolist() == [0, 2, 29, 46, 63, 80]
    assert path.done.tolist() == [0, 24, 51, 68, 85, 102]
    assert path.cause[1:] == ("data", "data", "copy", "copy", "copy")
    assert path.queue_cycles.tolist() == [0, 0, 1, 0, 0, 0]
    assert path.shares() == {"compute": 5 * 17, "sums": 2 * 5, "travel": 2 + 4, "queues": 1, "start": 0}


@pytest.mark.parametrize("network", NAMES)
def test_causes_on_the_critical_path_agree_with_times(network: str) -> None:
    found = evaluate(done(network))
    path = found.critical_path
    assert path is not None
    assert path.done[-1] == found.latency_cycles
    assert (path.end >= path.begin).all()
    assert (path.done >= path.end).all()
    assert path.begin[0] == 0  # nothing is waited for before an input, or a window that begins at once
    assert sum(path.shares().values()) == found.latency_cycles
    for i in range(1, len(path.cause)):
        cause, begin = path.cause[i], path.begin[i]
        if cause == "data":
            assert begin >= path.done[i - 1] + path.queue_cycles[i]
        elif cause == "start":
            assert begin > path.end[i - 1]
        else:
            assert begin == path.end[i - 1]
            assert cause in ("copy", "order")
            assert (path.node[i] == path.node[i - 1]) or cause == "order"


def test_a_queue_longer_than_a_router_holds_is_a_caution() -> None:
    """fork: at cycle 75 two packets of 16 bits arrive at router 0; no others meet (test_hand_routers)."""
    assert evaluate(fork()).cautions == ()
    assert evaluate(with_chip(fork(), router_buffer_bits=32)).cautions == ()
    found = evaluate(with_chip(fork(), router_buffer_bits=31))
    assert found.families == ()
    assert len(found.cautions) == 1
    assert found.cautions[0].startswith("router_buffer_bits = 31, but the queue at router (0, 0) grows to 32 bits;")


@pytest.mark.parametrize("kept", [False, True])
def test_compiling_is_told_unless_it_was_done_before(
    kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    compiled: list[object] = []
    fake = SimpleNamespace(signatures=[], stats=SimpleNamespace(cache_path=str(tmp_path)), compile=compiled.append)
    monkeypatch.setattr(module.ev, "simulate", fake)
    if kept:
        (tmp_path / "events.simulate-1.py311.nbi").touch()
    with caplog.at_level(logging.INFO, "spatem_opt"):
        prepare()
    assert len(compiled) == 1
    assert [record.levelname for record in caplog.records] == ([] if kept else ["INFO"])
    fake.signatures = compiled
    prepare()
    assert len(compiled) == 1
