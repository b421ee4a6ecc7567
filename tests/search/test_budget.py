"""Budgets: work is given up when time is up or it is told to stop, wherever it is, and that is noted."""

from __future__ import annotations

import importlib
import subprocess
import sys
import threading
import time
from itertools import count
from pathlib import Path

import pytest

from spatem_opt.errors import InstanceError
from spatem_opt.search import budget as budget_module
from spatem_opt.search.budget import Budget, cut_off


def for_ever() -> None:
    """Never ends, and looks at no clock."""
    for _ in count():
        pass


def test_work_within_the_budget_is_not_touched() -> None:
    budget = Budget(3600.0)
    assert budget.spend("adding", lambda: 1 + 1) == 2
    assert budget.cuts == ()
    assert not budget.over()


def test_work_that_never_looks_is_cut_and_noted_once() -> None:
    budget = Budget(0.05)
    assert budget.spend("counting", for_ever) is None
    assert budget.spend("counting", for_ever) is None
    assert budget.cuts == ("counting cut short: time was up",)


def test_what_swallows_the_exception_is_cut_again() -> None:
    def stubborn() -> None:
        try:
            for_ever()
        except BaseException:  # as an error in a destructor is
            for_ever()

    assert cut_off(stubborn, lambda: True) == (None, True)


def test_work_goes_on_until_it_may_be_cut() -> None:
    """Over at once, ready after ten steps: so many are made at least."""
    steps: list[int] = []

    def work() -> None:
        for step in count():
            steps.append(step)

    Budget(0.0).spend("steps", work, lambda: len(steps) >= 10)
    assert len(steps) >= 10


def test_an_interrupt_is_the_reason_given() -> None:
    pressed = threading.Event()
    budget = Budget(None, pressed.is_set)
    threading.Timer(0.1, pressed.set).start()
    assert budget.spend("counting", for_ever) is None
    assert budget.cuts == ("counting cut short: interrupted",)


def test_an_inner_budget_does_not_end_the_outer_work() -> None:
    outer = Budget(3600.0)
    inner = outer.part(0.0)

    def work() -> str:
        inner.spend("inner", for_ever)
        return "outer is done"

    assert outer.spend("outer", work) == "outer is done"
    assert outer.cuts == inner.cuts == ("inner cut short: time was up",)


def test_the_end_of_the_outer_one_passes_through_the_inner_work() -> None:
    outer, inner = Budget(0.05), Budget(3600.0)
    assert outer.spend("outer", lambda: inner.spend("inner", for_ever)) is None
    assert outer.cuts == ("outer cut short: time was up",)
    assert inner.cuts == ()


def test_a_part_ends_with_the_whole() -> None:
    assert Budget(0.0).part(3600.0).over()
    assert Budget(0.0).part(None).over()
    assert not Budget(3600.0).part(None).over()
    assert Budget(3600.0).part(0.0).over()


def test_errors_of_the_work_come_out() -> None:
    with pytest.raises(ZeroDivisionError):
        Budget(3600.0).spend("dividing", lambda: 1 / 0)


def test_nothing_comes_after_work_that_ended_as_time_ran_out() -> None:
    """Work ends about when the exception is set: whichever is first, none is left to come later."""
    for pause in (0.38, 0.4, 0.42, 0.44, 0.46):
        cut_off(lambda pause=pause: time.sleep(pause), lambda: True)  # type: ignore[misc]
    for _ in range(100_000):  # where one that is left would come
        pass


TRACED = """
import sys, time
from spatem_opt.search import budget as budget_module
from spatem_opt.search.budget import cut_off
for pause in (0.0, 0.45):
    cut_off(lambda: time.sleep(pause), lambda: True)
    sys.settrace(lambda *event: None)
    (lambda: None)()
    sys.settrace(None)
    sys.setprofile(lambda *event: None)
    (lambda: None)()
    sys.setprofile(None)
print("traced")
"""


def test_what_comes_afterwards_can_be_traced() -> None:
    """Python 3.11 went on for ever in the first traced function after an exception for a thread was taken back."""
    ran = subprocess.run([sys.executable, "-c", TRACED], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout == "traced\n"


def test_works_in_any_thread() -> None:
    found: list[tuple[str, ...]] = []

    def work() -> None:
        budget = Budget(0.0)
        budget.spend("counting", for_ever)
        found.append(budget.cuts)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [("counting cut short: time was up",)]


@pytest.mark.parametrize("seconds", [-1.0, float("nan")])
def test_bad_seconds(seconds: float) -> None:
    with pytest.raises(InstanceError, match="expected >= 0"):
        Budget(seconds)


def test_an_import_is_not_cut_in_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second and a half at the import, cut 0.5 s after the begin without it: the module is whole, then work ends."""
    lines = ("import time", "end = time.monotonic() + 1.5", "while time.monotonic() < end:", "    time.sleep(0.01)",
             "whole = True")  # fmt: skip
    (tmp_path / "slow_to_import.py").write_text("\n".join(lines) + "\n")
    monkeypatch.syspath_prepend(tmp_path)
    budget = Budget(0.1)

    def work() -> None:
        importlib.import_module("slow_to_import")
        while True:
            time.sleep(0.01)

    budget.spend("importing", work)
    assert budget.cuts == ("importing cut short: time was up",)
    assert sys.modules["slow_to_import"].whole


def test_an_error_that_stands_for_the_cut_is_none() -> None:
    """Extension modules that are left while they are loaded make an ImportError of it."""
    budget = Budget(0.1)

    def work() -> None:
        try:
            while True:
                time.sleep(0.01)
        except BaseException as cut:
            raise ImportError("initialization failed") from cut

    budget.spend("loading", work)
    assert budget.cuts == ("loading cut short: time was up",)


def test_an_error_of_the_work_is_one() -> None:
    def work() -> None:
        raise ImportError("no such module") from KeyError("name")

    with pytest.raises(ImportError, match="no such module"):
        Budget(10.0).spend("loading", work)


def test_no_lock_stays_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work that often holds the lock of an event is cut off again and again: others can still set it."""
    monkeypatch.setattr(budget_module, "GRACE", 0.001)
    monkeypatch.setattr(budget_module, "LOOK", 0.0005)
    for _ in range(10):
        event, end = threading.Event(), time.monotonic() + 0.002

        def work(event: threading.Event = event) -> None:
            while True:
                event.set()
                sum(range(20))

        _, cut = budget_module.cut_off(work, lambda end=end: time.monotonic() > end)
        other = threading.Thread(target=event.set, daemon=True)
        other.start()
        other.join(5)
        assert cut
        assert not other.is_alive()
