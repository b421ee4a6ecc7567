"""``spatem solve`` with the real solver, end to end."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spatem_opt.cli import main
from spatem_opt.search.engine import Evaluated, Search

STEPS = ("mapping", "grouping", "replication", "scheduling")
CHIP = ["--arch", "ou-isaac-4x4", "--set", "adc_bits=5"]
SMALL = ["lenet5", *CHIP]


@pytest.mark.parametrize(("network", "name"), [("lenet5", "out.json"), (None, "out.json.gz")])
def test_solve_then_evaluate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], small: str, network: str | None, name: str
) -> None:
    """The evaluator confirms from the file what solving printed."""
    assert main(["solve", network or small, *CHIP, "-o", str(tmp_path / name), "--json"]) == 0
    solved = json.loads(capsys.readouterr().out)
    assert main(["evaluate", str(tmp_path / name), "--json"]) == 0
    evaluated = json.loads(capsys.readouterr().out)
    assert solved["value"] == evaluated["latency_cycles"]
    assert solved["bound"] == evaluated["bound"] <= solved["value"]
    assert {key: evaluated[key] for key in solved["evaluation"]} == solved["evaluation"]
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("objective", ["latency", "throughput", "communication", "energy", "balanced"])
def test_every_objective(capsys: pytest.CaptureFixture[str], small: str, objective: str) -> None:
    assert main(["solve", small, *CHIP, "--objective", objective]) == 0
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


EXACT = ["lenet5", "--arch", "ou-isaac-2x2", "--set", "adc_bits=5", "--method", "exact", "--time-limit", "20"]


def test_exact_prints_a_line_per_step(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["solve", *EXACT]) == 0
    out, err = capsys.readouterr()
    table = out.partition("each step's own problem")[2].splitlines()
    lines = {line.split()[0]: line.split() for line in table if line.split() and line.split()[0] in STEPS}
    assert list(lines) == list(STEPS)
    assert all(words[2] in ("optimal", "feasible") for words in lines.values())
    assert all(words[-2] == "%" for words in lines.values())
    assert "grouping: 5 of 6 kinds of layers have more than 8 x 8 OUs" in err
    said = [line for line in err.splitlines() if not re.match(r"\d+\.\d s", line)]  # how far it is, after 10 s
    assert [line.partition(":")[0] for line in said] == ["beyond reach"]


def test_exact_prints_keys_per_step(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["solve", *EXACT, "--json"]) == 0
    steps = json.loads(capsys.readouterr().out)["steps"]
    assert [step["step"] for step in steps] == list(STEPS)
    keys = {"step", "engine", "status", "heuristic", "objective", "bound", "gap", "unit", "seconds", "versions", "seed",
            "note"}  # fmt: skip
    assert all(set(step) == keys for step in steps)


def test_infeasible_names_the_families(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["solve", "vgg16", "--arch", "ou-isaac-2x2", "--set", "adc_bits=5", "--method", "exact", "--json"]) == 4
    out, err = capsys.readouterr()
    data = json.loads(out)
    assert data["shortage"]["conflict"] == ["assignment", "capacity"]
    assert [step["status"] for step in data["steps"]] == ["infeasible"]
    assert err.splitlines()[-1].endswith("; families in conflict: assignment, capacity")


def test_interrupt_keeps_the_best_so_far(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Search.run

    def interrupted(search: Search, start: Evaluated | None) -> Iterator[Any]:
        found = next(run(search, start))
        os.kill(os.getpid(), signal.SIGINT)
        yield found
        pytest.fail("went on after Ctrl-C")

    monkeypatch.setattr(Search, "run", interrupted)
    assert main(["solve", *SMALL, "-o", str(tmp_path / "out.json")]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(tmp_path / "out.json")]) == 0


SOLVE = "import sys; from spatem_opt.cli import main; sys.exit(main())"


@pytest.mark.slow
@pytest.mark.parametrize(("presses", "code"), [(1, 0), (2, 130)])
def test_an_interrupt_ends_a_long_step(tmp_path: Path, presses: int, code: int) -> None:
    """Pressed in the step of groupings, which may take many minutes; a second time, the program ends."""
    arguments = ["solve", "resnet18", "--method", "exact", "--time-limit", "3600", "--json"]
    terminal, its_end = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", SOLVE, *arguments, "-o", str(tmp_path / "out.json")],
        stdin=its_end, stdout=subprocess.PIPE, stderr=its_end, env={**os.environ, "TERM": "xterm"},
    ) as process:  # fmt: skip
        os.close(its_end)
        seen = ""
        while "exact grouping" not in seen:
            seen += os.read(terminal, 4096).decode(errors="replace")
        time.sleep(1)  # a solver is at work
        for _ in range(presses):
            process.send_signal(signal.SIGINT)
            time.sleep(0.02)  # two signals at once are one
        out, _ = process.communicate(timeout=120)
    os.close(terminal)
    assert process.returncode == code
    assert (tmp_path / "out.json").exists() == (code == 0)
    if code == 0:
        steps = {step["step"]: step for step in json.loads(out)["steps"]}
        assert steps["grouping"]["status"] == "feasible"
        assert steps["grouping"]["bound"] < steps["grouping"]["objective"]
        assert steps["grouping"]["note"].endswith("; interrupted")
        assert steps["scheduling"]["note"] == "not begun: interrupted"
        assert main(["evaluate", str(tmp_path / "out.json")]) == 0
