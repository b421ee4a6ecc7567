"""Helper processes of the search: they change how fast it is, and nothing else."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import sys
import time
from contextlib import closing

import pytest

from spatem_opt.model.presets import load_architecture
from spatem_opt.network import load
from spatem_opt.planning.candidates import candidates_of
from spatem_opt.planning.protocol import Task
from spatem_opt.planning.segmented import segmented
from spatem_opt.search.engine import search
from spatem_opt.search.workers import Workers

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="helpers are forks")

CHIP = load_architecture("ou-isaac-7x7", {"adc_bits": 6})


@pytest.mark.parametrize(
    ("name", "objective"),
    [
        ("cifar10", "latency"),
        ("lenet5", "balanced"),
        pytest.param("cifar10", "balanced", marks=pytest.mark.slow),
        pytest.param("squeezenet", "latency", marks=pytest.mark.slow),
        pytest.param("squeezenet", "throughput", marks=pytest.mark.slow),
    ],
)
def test_the_first_answer_does_not_depend_on_helpers(name: str, objective: str) -> None:
    found = [
        [(made.name, made.value) for made in search(load(name), CHIP, objective, "heuristic", workers=workers)]
        for workers in (1, 3)
    ]
    assert found[0]
    assert found[0] == found[1]


def test_variations_go_on_with_helpers_until_told_to_stop_and_none_is_left_behind() -> None:
    calls = itertools.count()

    def stop() -> bool:
        return next(calls) > 60

    with closing(search(load("cifar10"), CHIP, "latency", "heuristic", workers=2, stop=stop)) as found:
        first = next(found)
        helpers = multiprocessing.active_children()
        rest = list(found)
    assert min(made.value for made in rest) < first.value
    assert next(calls) == 62
    assert helpers
    until = time.monotonic() + 30.0  # no join: the pool joins them, too, and only one of the two learns of their end
    while any(process.is_alive() for process in helpers) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(process.is_alive() for process in helpers)


def test_what_dead_helpers_leave_undone_is_done_here() -> None:
    task = Task(load("cifar10"), CHIP)
    first, second = task.shared(candidates_of).settings()[:2]
    expected = [segmented(task, setting) for setting in (first, second)]
    with Workers(task, 1):
        plans = [task.order(segmented, first)]
        for process in multiprocessing.active_children():
            os.kill(process.pid or 0, signal.SIGKILL)
            process.join(10.0)
        plans.append(task.order(segmented, second))
        found = [plan() for plan in plans]
    assert [plan and plan.digest() for plan in found] == [plan and plan.digest() for plan in expected]


def test_helpers_leave_ctrl_c_to_the_process_that_asks() -> None:
    task = Task(load("cifar10"), CHIP)
    with Workers(task, 1):
        plan = task.order(segmented, task.shared(candidates_of).settings()[0])
        for process in multiprocessing.active_children():
            os.kill(process.pid or 0, signal.SIGINT)
        assert plan() is not None
