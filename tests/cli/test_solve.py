"""``spatem solve`` with the real solver, end to end."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spatem_opt import pipeline
from spatem_opt.cli import main

SMALL = ["lenet5", "--arch", "ou-isaac-4x4", "--set", "adc_bits=5"]


@pytest.mark.parametrize("name", ["out.json", "out.json.gz"])
def test_solve_then_evaluate(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    """The evaluator confirms from the file what solving printed."""
    assert main(["solve", *SMALL, "-o", str(tmp_path / name), "--json"]) == 0
    solved = json.loads(capsys.readouterr().out)
    assert main(["evaluate", str(tmp_path / name), "--json"]) == 0
    evaluated = json.loads(capsys.readouterr().out)
    assert solved["value"] == evaluated["latency_cycles"]
    assert solved["bound"] == evaluated["bound"] <= solved["value"]
    assert {key: evaluated[key] for key in solved["evaluation"]} == solved["evaluation"]
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("objective", ["latency", "throughput", "communication", "energy", "balanced"])
def test_every_objective(capsys: pytest.CaptureFixture[str], objective: str) -> None:
    assert main(["solve", *SMALL, "--objective", objective]) == 0
    assert f"{objective} bound" in capsys.readouterr().out


def test_unknown_method_lists_the_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["solve", *SMALL, "--method", "oops"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert "dense-pipeline" in line


def test_vgg19_does_not_fit_the_default_chip(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """143 652 544 weights x 8 cells exceed 69 888 crossbars x 224 OUs x 72 cells = 1 127 153 664."""
    assert main(["solve", "vgg19", "--set", "adc_bits=5", "-o", str(tmp_path / "out.json")]) == 4
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("infeasible: network 'vgg19' on chip ")
    assert "1127153664 there" in line
    assert "would do: " in line
    assert not list(tmp_path.iterdir())


def test_interrupt_keeps_the_best_so_far(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    search = pipeline.search

    def interrupted(*arguments: Any, **options: Any) -> Iterator[Any]:
        found = next(search(*arguments, **options))
        os.kill(os.getpid(), signal.SIGINT)
        yield found
        pytest.fail("went on after Ctrl-C")

    monkeypatch.setattr(pipeline, "search", interrupted)
    assert main(["solve", *SMALL, "-o", str(tmp_path / "out.json")]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(tmp_path / "out.json")]) == 0
