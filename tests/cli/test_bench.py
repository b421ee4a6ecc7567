"""``spatem bench``: JSON lines, resumed; exit codes."""

from __future__ import annotations

import json
import multiprocessing
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from spatem_opt.cli import main
from spatem_opt.errors import ModelError
from spatem_opt.study import bench

SUITE = """
name = "tiny"
[[entries]]
networks = ["{}"]
architecture = "ou-isaac-4x4"
set = {{ adc_bits = 5 }}
[[entries]]
networks = ["resnet18"]
architecture = "ou-isaac-4x4"
"""


@pytest.fixture
def suite(tmp_path: Path, small: str) -> str:
    """A suite of one network that fits and one that does not."""
    (tmp_path / "tiny.toml").write_text(SUITE.format(small))
    return str(tmp_path / "tiny.toml")


def test_lines_then_resume(
    suite: str, small: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.jsonl"
    assert main(["bench", suite, "--workers", "2", "-o", str(out), "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert list(first)[:5] == ["format", "version", "suite", "output", "time_limit"]
    assert [comparison["network"] for comparison in first["comparisons"]] == ["small", "resnet18"]
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert {line["entry"]["network"] for line in lines} == {small, "resnet18"}

    def forbidden(*arguments: object) -> None:
        pytest.fail("ran again what was there")

    monkeypatch.setattr(bench, "_started", forbidden)
    assert main(["bench", suite, "-o", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["comparisons"] == first["comparisons"]


class Thread(threading.Thread):
    """A thread that looks like a process of a comparison."""

    exitcode = 0


def in_a_thread(entry: bench.SuiteEntry, time_limit: float | None) -> tuple[Connection, Thread]:
    """A comparison in this process, so that what it calls may be replaced."""
    receiver, sender = multiprocessing.Pipe(duplex=False)

    def work() -> None:
        try:
            sender.send(bench.compare_entry(entry, time_limit))
        except ModelError as error:
            sender.send(f"ModelError: {error}")

    thread = Thread(target=work)
    thread.start()
    return receiver, thread


def test_a_failed_entry_does_not_end_the_suite(
    suite: str, small: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = bench.compare_entry

    def failing(entry: bench.SuiteEntry, time_limit: float | None) -> dict[str, Any]:
        if entry.network == small:
            raise ModelError("for the test")
        return run(entry, time_limit)

    monkeypatch.setattr(bench, "compare_entry", failing)
    monkeypatch.setattr(bench, "_started", in_a_thread)
    assert main(["bench", suite, "-o", str(tmp_path / "out.jsonl")]) == 1
    assert f"failed: {small} on ou-isaac-4x4: ModelError: for the test" in capsys.readouterr().err
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 1


def test_another_time_limit_is_another_result(suite: str, tmp_path: Path) -> None:
    key = bench.load_suite(suite).entries[0].key(None)
    assert key != bench.load_suite(suite).entries[0].key(1.0)


def test_bad_input(suite: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "other.jsonl").write_text("[1]\n")
    assert main(["bench", "oops"]) == 2
    assert "shipped-default" in capsys.readouterr().err
    assert main(["bench", suite, "-o", str(tmp_path / "other.jsonl")]) == 2
    assert "expected a line of spatem bench" in capsys.readouterr().err
    assert main(["bench", suite, "-o", str(tmp_path / "no" / "out.jsonl")]) == 2
    (tmp_path / "bad.toml").write_text('name = "a"\n[[entries]]\nnetworks = ["oops.json"]\narchitecture = "isaac"\n')
    assert main(["bench", str(tmp_path / "bad.toml"), "-o", str(tmp_path / "out.jsonl")]) == 2
