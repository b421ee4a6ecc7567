"""``spatem pareto`` and ``spatem solve --pareto``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spatem_opt.cli import main

SMALL = ["lenet5", "--arch", "ou-isaac-4x4", "--set", "adc_bits=5"]


@pytest.mark.parametrize("command", [["pareto", "-o"], ["solve", "--pareto"]])
def test_files_and_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str]) -> None:
    pytest.importorskip("matplotlib")
    assert main([command[0], *SMALL, command[1], str(tmp_path / "front"), "--json", "--time-limit", "0"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert list(data) == ["format", "version", "network", "architecture", "latency_bound", "communication_bound",
                          "seconds", "shortage", "points", "dominated", "cut_short"]  # fmt: skip
    assert list(data["points"][0]) == ["name", "latency_cycles", "communication_bits"]
    found = {path.name for path in (tmp_path / "front").iterdir()}
    assert found == {"front.json", "front.csv", "front.svg", "front.png", "00.json.gz"}
    assert main(["evaluate", str(tmp_path / "front" / "00.json.gz")]) == 0


@pytest.mark.parametrize(
    "option",
    [["-o", "x.json"], ["--method", "woho"], ["--seed", "0"], ["--objective", "energy"], ["--latency-limit", "9"],
     ["--workers", "1"], ["--report", "x.html"], ["--layers"]],
)  # fmt: skip
def test_what_a_front_does_not_heed_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: list[str]
) -> None:
    assert main(["solve", *SMALL, "--pareto", str(tmp_path / "front"), *option]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: solve: ")
    assert "--pareto" in line
    assert not list(tmp_path.iterdir())


def test_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pareto", *SMALL, "-o", str(tmp_path), "--time-limit", "1"]) == 0
    assert "00.json.gz" in capsys.readouterr().out


def test_does_not_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pareto", "resnet18", *SMALL[1:], "-o", str(tmp_path / "front")]) == 4
    assert "infeasible: " in capsys.readouterr().err


def test_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["pareto", *SMALL, "-o", str(tmp_path / "file")]) == 2
    assert main(["pareto", "oops", "-o", str(tmp_path / "front")]) == 2
    assert capsys.readouterr().err.count("error: ") == 2
