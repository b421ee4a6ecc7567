"""``spatem compare``: exit codes and keys."""

from __future__ import annotations

import csv
import json
from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

import spatem_opt.study.compare as library
from spatem_opt.cli import main
from spatem_opt.model.architecture import Architecture
from spatem_opt.network import load
from spatem_opt.planning.baselines import BASELINES
from spatem_opt.study.compare import Comparison, MethodRow, compare

CHIP = ["--arch", "ou-isaac-4x4", "--set", "adc_bits=5"]


@lru_cache
def compared(path: str, chip: Architecture) -> Comparison:
    """A network by all methods, once for all tests."""
    return compare(load(path), chip)


@pytest.fixture(autouse=True)
def _compare_once(monkeypatch: pytest.MonkeyPatch, small: str) -> None:
    def cached(network: Any, chip: Architecture, **options: Any) -> Comparison:
        return compared(small, chip) if network.name == "small" else compare(network, chip, **options)

    monkeypatch.setattr(library, "compare", cached)


def test_json_keys(capsys: pytest.CaptureFixture[str], small: str) -> None:
    assert main(["compare", small, *CHIP, "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert list(data) == ["format", "version", "architecture", "time_limit", "seed", "comparisons", "geometric_means",
                          "paper"]  # fmt: skip
    (comparison,) = data["comparisons"]
    assert list(comparison) == [
        "network",
        "architecture",
        "shortage",
        "rows",
        "best_baseline",
        "reductions",
        "steps",
        "decoupling",
    ]
    assert comparison["best_baseline"] in BASELINES
    assert list(comparison["rows"][0]) == [field.name for field in fields(MethodRow)]
    assert list(comparison["reductions"][0]) == ["method", "baseline", "latency", "communication"]
    assert list(data["geometric_means"][0]) == ["method", "networks", "latency", "communication"]
    assert data["paper"]["latency"] == 0.2924
    assert data["paper"]["communication"] == 0.3128


def test_table_and_csv(tmp_path: Path, capsys: pytest.CaptureFixture[str], small: str) -> None:
    assert main(["compare", small, *CHIP, "-o", str(tmp_path / "rows.csv")]) == 0
    out = capsys.readouterr().out
    for word in (*BASELINES, "heuristic", "balanced", "geometric mean", "29.24 %", "31.28 %", "not public"):
        assert word in out
    rows = list(csv.DictReader((tmp_path / "rows.csv").open()))
    assert [row["method"] for row in rows] == [*BASELINES, "heuristic", "balanced", "half-latency"]
    assert rows[0]["latency_reduction"] == ""
    assert float(rows[-2]["latency_reduction"]) > 0


def test_markdown(capsys: pytest.CaptureFixture[str], small: str) -> None:
    assert main(["compare", small, *CHIP, "--markdown"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("**small on ou-isaac-4x4")
    assert "| --- |" in out


def test_exact_is_a_row_beside_the_heuristic(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with_exact = ["--exact", "--time-limit", "1", "-o", str(tmp_path / "rows.csv")]
    assert main(["compare", "cifar10", *CHIP, *with_exact]) == 0
    out, err = capsys.readouterr()
    assert "each step's own problem" in out
    assert "beyond reach: cifar10" in err
    rows = {row["method"]: row for row in csv.DictReader((tmp_path / "rows.csv").open())}
    assert list(rows)[-1] == "exact"
    assert int(rows["exact"]["latency_cycles"]) <= int(rows["heuristic"]["latency_cycles"])
    assert rows["exact"]["bound"] == rows["heuristic"]["bound"]


def test_exact_as_markdown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "cifar10", *CHIP, "--exact", "--time-limit", "0.5", "--markdown"]) == 0
    out = capsys.readouterr().out
    assert "**cifar10 on ou-isaac-4x4 [adc_bits=5]: each step's own problem**" in out
    assert out.count("\n| mapping | cpsat | optimal | ") == 1


def test_nothing_fits(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "resnet18", *CHIP]) == 4
    assert "does not fit" in capsys.readouterr().out


def test_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "lenet5", "oops", *CHIP]) == 2
    assert main(["compare", "lenet5", *CHIP, "-o", str(tmp_path / "no" / "rows.csv")]) == 2
    assert all(line.startswith("error: ") for line in capsys.readouterr().err.splitlines())
