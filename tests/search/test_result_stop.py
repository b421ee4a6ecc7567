"""Results and stop criteria."""

from __future__ import annotations

import math
import os
import signal
import threading

import pytest

from spatem_opt.errors import InstanceError
from spatem_opt.model.result import Shortage, Status, Step, gap
from spatem_opt.search.result import Result
from spatem_opt.search.stop import (
    MaxIterations,
    MaxRuntime,
    MultipleCriteria,
    NoImprovement,
    Terminated,
    catch_interrupt,
)


@pytest.mark.parametrize(
    ("value", "bound", "expected"),
    [(200, 150, 0.25), (5, 5, 0.0), (0, 0, 0.0), (None, 5, None), (5, None, None), (4, 0, 1.0)],
)
def test_gap(value: int | None, bound: int | None, expected: float | None) -> None:
    assert gap(value, bound) == expected
    assert Result(Status.FEASIBLE, "latency", value=value, bound=bound).gap == expected


def test_missing_is_none_not_zero() -> None:
    result = Result(Status.UNKNOWN, "latency")
    assert (result.value, result.bound, result.gap, result.solution) == (None, None, None, None)


def test_status_vocabulary() -> None:
    assert [str(status) for status in Status] == ["optimal", "feasible", "infeasible", "unknown"]


def test_shortage_in_words_and_json() -> None:
    shortage = Shortage("capacity", 7, 5, "cells")
    assert str(shortage) == "capacity: 7 cells needed, 5 there, 2 short"
    assert list(shortage.to_dict()) == ["family", "what", "demand", "capacity", "unit", "levers", "conflict"]
    assert shortage.conflict == ("assignment", "capacity")
    assert Shortage.from_dict(shortage.to_dict()) == shortage


def test_a_step_comes_back_from_json() -> None:
    step = Step("grouping", "cpsat", Status.FEASIBLE, 20, 15, 1.5, 22, "bits", {"ortools": "9"}, 3, "why")
    assert step.to_dict()["gap"] == 0.25
    assert Step.from_dict(step.to_dict()) == step


def test_max_runtime_counts_from_the_first_call() -> None:
    now = 100.0
    stop = MaxRuntime(2, clock=lambda: now)
    assert stop.remaining() == 2
    assert not stop(0)
    now = 101.5
    assert not stop(0)
    assert stop.remaining() == 0.5
    now = 102.0
    assert stop(0)
    assert stop.remaining() == 0


def test_max_runtime_zero_stops_at_once() -> None:
    assert MaxRuntime(0)(0)


def test_max_iterations() -> None:
    stop = MaxIterations(3)
    assert [stop(0) for _ in range(4)] == [False, False, False, True]


def test_no_improvement_starts_again_after_each() -> None:
    stop = NoImprovement(2)
    assert [stop(best) for best in (5, 5, 4, 4, 4)] == [False, False, False, False, True]


def test_multiple_asks_all_criteria_every_time() -> None:
    counting = MaxIterations(3)
    stop = MultipleCriteria(MaxIterations(0), counting)
    for _ in range(3):
        assert stop(0)
    assert counting(0)


@pytest.mark.parametrize("kind", [MaxRuntime, MaxIterations, NoImprovement])
@pytest.mark.parametrize("limit", [-1, math.nan, True])
def test_bad_limits(kind: type, limit: float) -> None:
    with pytest.raises(InstanceError, match=r"limit = .*, expected >= 0"):
        kind(limit)


def test_multiple_needs_one() -> None:
    with pytest.raises(InstanceError, match="expected at least one"):
        MultipleCriteria()


@pytest.mark.parametrize(("number", "second"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)])
def test_first_interrupt_is_a_criterion_the_second_an_exception(number: int, second: type[BaseException]) -> None:
    before = signal.getsignal(number)
    with catch_interrupt() as stop:
        assert not stop(0)
        os.kill(os.getpid(), number)
        assert stop(0)
        with pytest.raises(second):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before


def test_terminated_ends_a_program_with_the_code_of_the_shell() -> None:
    assert Terminated().code == 143


def test_interrupt_in_another_thread_is_never_pressed() -> None:
    seen: list[bool] = []

    def work() -> None:
        with catch_interrupt() as stop:
            seen.append(stop(0))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False]
