"""``spatem export``."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from spatem_opt.cli import main
from spatem_opt.io import write_solution
from spatem_opt.network import load
from spatem_opt.solution import Solution


def test_tables_of_a_solution(tiny_solution: Solution, tmp_path: Path) -> None:
    write_solution(tiny_solution, tmp_path / "tiny.json")
    assert main(["export", str(tmp_path / "tiny.json"), "-o", str(tmp_path / "out")]) == 0
    tables = {path.stem: list(csv.DictReader(path.open())) for path in (tmp_path / "out").iterdir()}
    assert {name: len(rows) for name, rows in tables.items()} == {
        "placement": 4, "schedule": 3, "layers": 2, "tiles": 4, "routers": 4
    }  # fmt: skip
    assert tables["schedule"][2]["start"] == "1000"
    assert tables["layers"][0]["name"] == "conv"
    assert tables["layers"][0]["interval_cycles"] == "129"


def test_violations(tiny_solution: Solution, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny_solution.schedule.end[0] = 100
    write_solution(tiny_solution, tmp_path / "bad.json")
    assert main(["export", str(tmp_path / "bad.json"), "-o", str(tmp_path / "out")]) == 3
    assert "violation: reservation" in capsys.readouterr().err


def test_a_network_comes_back(tmp_path: Path) -> None:
    assert main(["export", "lenet5", "-o", str(tmp_path / "net.json")]) == 0
    assert load(tmp_path / "net.json").layers == load("lenet5").layers
    assert main(["export", "oops", "-o", str(tmp_path / "net.json")]) == 2
