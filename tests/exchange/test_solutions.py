"""Solution files: round trip, atomic writing, and an error with a path for every corruption."""

from __future__ import annotations

import copy
import dataclasses
import gzip
import json
import math
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spatem_opt.errors import InstanceError
from spatem_opt.exchange.solutions import (
    SummaryWarning,
    read_solution,
    solution_from_json,
    solution_to_json,
    summarize,
    write_solution,
)
from spatem_opt.files import access
from spatem_opt.model.solution import Solution

Edit = Callable[[dict[str, Any]], object]


@pytest.fixture
def data(tiny_solution: Solution, tmp_path: Path) -> dict[str, Any]:
    """The file of the tiny solution as plain JSON."""
    write_solution(tiny_solution, tmp_path / "good.json")
    content: dict[str, Any] = json.loads((tmp_path / "good.json").read_text())
    return content


def same(a: Solution, b: Solution) -> bool:
    """Whether two solutions are written alike."""
    return files_equal(solution_to_json(a), solution_to_json(b))


def files_equal(a: Any, b: Any) -> bool:
    return json.dumps(a, default=np.ndarray.tolist) == json.dumps(b, default=np.ndarray.tolist)


@pytest.mark.parametrize("name", ["s.json", "s.json.gz"])
def test_round_trip(tiny_solution: Solution, tmp_path: Path, name: str) -> None:
    write_solution(tiny_solution, tmp_path / name)
    assert same(read_solution(tmp_path / name), tiny_solution)


def test_round_trip_with_transfers(tiny_solution: Solution, tmp_path: Path) -> None:
    sent = {key: np.arange(3) for key in ("producer", "tile", "pixels", "channels")}
    write_solution(dataclasses.replace(tiny_solution, transfers=sent), tmp_path / "s.json")
    read = read_solution(tmp_path / "s.json")
    assert read.transfers is not None
    assert all((read.transfers[key] == sent[key]).all() for key in sent)


def test_same_solution_same_bytes(tiny_solution: Solution, tmp_path: Path) -> None:
    for name in ("a.json", "b.json", "a.json.gz", "b.json.gz"):
        write_solution(tiny_solution, tmp_path / name)
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert gzip.decompress((tmp_path / "a.json.gz").read_bytes()) == (tmp_path / "a.json").read_bytes()
    assert (tmp_path / "a.json.gz").read_bytes() == (tmp_path / "b.json.gz").read_bytes()


def test_summary_by_hand(tiny_solution: Solution) -> None:
    summary = {key: column.tolist() for key, column in summarize(tiny_solution).items()}
    assert summary == {"copies": [2, 1], "crossbars": [1, 2], "serial_ous": [8, 3]}


def test_pace_may_be_absent(data: dict[str, Any]) -> None:
    del data["schedule"]["pace"]
    assert solution_from_json(data).schedule.pace.tolist() == [0, 0, 0]


def remove(*path: str) -> Edit:
    def edit(data: dict[str, Any]) -> None:
        for key in path[:-1]:
            data = data[key]
        del data[path[-1]]

    return edit


def put(value: object, *path: str | int) -> Edit:
    def edit(data: Any) -> None:
        for key in path[:-1]:
            data = data[key]
        data[path[-1]] = value

    return edit


CORRUPTIONS: list[tuple[Edit, str]] = [
    (put("other", "format"), "f: format = 'other', expected 'spatem-solution'"),
    (remove("format"), "f: format = None"),
    (put(2, "version"), "f: version = 2, expected 1"),
    (put(True, "version"), "f: version = True, expected 1"),
    (put(1.0, "version"), "f: version = 1.0, expected 1"),
    (put(0, "extra"), "f: extra = 0, unknown key"),
    *((remove(name), f"f: {name} = None, missing") for name in (
        "architecture", "network", "mapping", "grouping", "replication", "placement", "schedule", "claims")),
    *((put(value, name), f"f: {name}") for value in (None, 3, "x", []) for name in (
        "architecture", "network", "mapping", "grouping", "replication", "placement", "schedule", "claims")),
    (put(0, "architecture", "ou_rows"), "f: architecture: ou_rows = 0, expected >= 1"),
    (put("9", "architecture", "ou_rows"), "f: architecture: ou_rows = '9', expected an integer"),
    (put(True, "architecture", "ou_rows"), "f: architecture: ou_rows = True, expected an integer"),
    (put(9.0, "architecture", "ou_rows"), "f: architecture: ou_rows = 9.0, expected an integer"),
    (put(200, "architecture", "ou_rows"), "f: architecture: ou_rows = 200, expected <= crossbar_rows = 128"),
    (put(math.nan, "architecture", "cycle_ns"), "f: architecture: cycle_ns = nan"),
    (put(1, "architecture", "oops"), "f: architecture: oops = 1, unknown field"),
    (put(9, "architecture", "contention_cycles"), "f: architecture: contention_cycles = 9, removed: routers"),
    (remove("architecture", "ou_rows"), "f: architecture: ou_rows = None, missing"),
    (put("x", "network", "nodes"), "f: network"),
    (put(0, "network", "nodes", 1, "shape", 0), "f: network"),
    (put(1, "mapping", "oops"), "f: mapping: oops = 1, unknown key"),
    (put(["conv"], "mapping", "layer"), "f: mapping: layer = '1 entries', expected 2, one per layer"),
    (put("fc2", "mapping", "layer", 1), "f: mapping: layer[1] = 'fc2', expected 'fc', as in network"),
    (put("sdk", "mapping", "scheme", 0), "f: mapping: scheme[0] = 'sdk', expected im2col or channel-split or"),
    (put(None, "mapping", "storage", 1), "f: mapping: storage[1] = None, expected a text"),
    (put(1.5, "mapping", "ph", 0), "f: mapping: ph[0] = 1.5, expected an integer"),
    (put(7, "mapping", "pw"), "f: mapping: pw = 'int', expected a list"),
    (put([1], "grouping", "crossbars"), "f: grouping: crossbars = '1 entries', expected 2"),
    (put(True, "grouping", "serial_ous", 0), "f: grouping: serial_ous[0] = True, expected an integer"),
    (put("1", "replication", "copies", 0), "f: replication: copies[0] = '1', expected an integer"),
    (put([0, 0, 0], "replication", "segment"), "f: replication: segment = '3 entries', expected 2"),
    (remove("placement", "crossbar"), "f: placement: crossbar = None, missing"),
    (put([0], "placement", "oops"), "f: placement: oops = [0], unknown key"),
    (put([0], "placement", "crossbar"), "f: placement: crossbar = '1 entries', expected 4, as layer has"),
    (put(0.0, "placement", "row_stop", 2), "f: placement: row_stop[2] = 0.0, expected an integer"),
    (put(False, "placement", "copy", 3), "f: placement: copy[3] = False, expected an integer"),
    (put("2", "placement", "crossbar", 0), "f: placement: crossbar[0] = '2', expected an integer"),
    (put(None, "schedule", "start", 0), "f: schedule: start[0] = None, expected an integer"),
    (put(2**60, "schedule", "end", 1), "f: schedule: end[1] = 1152921504606846976, expected an integer within"),
    (put(2.0**70, "schedule", "end", 1), "f: schedule: end[1]"),
    (put([], "schedule", "pace"), "f: schedule: pace = '0 entries', expected 3, as layer has"),
    (put({"producer": [0]}, "transfers"), "f: transfers: tile = None, missing"),
    (put(3, "claims", "mapping"), "f: claims: mapping = 'int', expected an object"),
]  # fmt: skip


@pytest.mark.parametrize(("edit", "message"), CORRUPTIONS, ids=[message for _, message in CORRUPTIONS])
def test_every_corruption_is_one_line_with_the_path(data: dict[str, Any], edit: Edit, message: str) -> None:
    edit(data)
    with pytest.raises(InstanceError) as error:
        solution_from_json(data, "f")
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("section", "key"), [("grouping", "crossbars"), ("grouping", "serial_ous"), ("replication", "copies")]
)
def test_wrong_summary_is_reported(data: dict[str, Any], section: str, key: str) -> None:
    data[section][key][1] += 1
    with pytest.warns(SummaryWarning, match=f"f: {section}: {key} of layer 'fc' = "):
        solution_from_json(data, "f")


def test_placement_outside_the_grid_is_left_to_the_evaluator(data: dict[str, Any]) -> None:
    data["placement"]["row_stop"][0] = 99
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert solution_from_json(data).placement.row_stop[0] == 99


@pytest.mark.parametrize("cut", [0, 1, 100, -2])
def test_truncated_file(tiny_solution: Solution, tmp_path: Path, cut: int) -> None:
    write_solution(tiny_solution, tmp_path / "s.json")
    content = (tmp_path / "s.json").read_bytes()
    (tmp_path / "s.json").write_bytes(content[:cut])
    with pytest.raises(InstanceError, match=r"s\.json: not JSON"):
        read_solution(tmp_path / "s.json")


def test_truncated_gzip(tiny_solution: Solution, tmp_path: Path) -> None:
    write_solution(tiny_solution, tmp_path / "s.gz")
    (tmp_path / "s.gz").write_bytes((tmp_path / "s.gz").read_bytes()[:-20])
    with pytest.raises(InstanceError, match="truncated or damaged"):
        read_solution(tmp_path / "s.gz")


def test_no_gzip(tmp_path: Path) -> None:
    (tmp_path / "s.gz").write_text("{}")
    with pytest.raises(InstanceError, match="not a gzip file"):
        read_solution(tmp_path / "s.gz")


@pytest.mark.parametrize("text", ["NaN", '{"format": NaN}', "[1,]", "\x00", "[" * 5000])
def test_not_json(tmp_path: Path, text: str) -> None:
    (tmp_path / "s.json").write_text(text)
    with pytest.raises(InstanceError, match="not JSON"):
        read_solution(tmp_path / "s.json")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InstanceError, match=r"s\.json: cannot be read, No such file"):
        read_solution(tmp_path / "s.json")


def test_folder(tmp_path: Path) -> None:
    with pytest.raises(InstanceError, match="cannot be read, Is a directory"):
        read_solution(tmp_path)


@pytest.mark.parametrize("value", [math.nan, math.inf, np.float64("nan"), object()])
def test_claims_that_are_no_json(tiny_solution: Solution, tmp_path: Path, value: object) -> None:
    claims = {**copy.deepcopy(tiny_solution.claims), "total": {"bound": [value]}}
    with pytest.raises(InstanceError, match=r"claims\.total\.bound"):
        write_solution(dataclasses.replace(tiny_solution, claims=claims), tmp_path / "s.json")
    assert not list(tmp_path.iterdir())


def test_interrupted_writing_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "s.json"
    target.write_text("old")

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(InstanceError, match=r"s\.json: cannot be written, No space left on device"):
        access.write_atomically(target, b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["s.json"]
    assert target.read_text() == "old"


def test_keyboard_interrupt_while_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        access.write_atomically(tmp_path / "s.json", b"new")
    assert not list(tmp_path.iterdir())


def test_writing_follows_links(tmp_path: Path) -> None:
    (tmp_path / "link.json").symlink_to(tmp_path / "real.json")
    access.write_atomically(tmp_path / "link.json", b"new")
    assert (tmp_path / "link.json").is_symlink()
    assert (tmp_path / "real.json").read_bytes() == b"new"


def test_check_writable(tmp_path: Path) -> None:
    access.check_writable(tmp_path / "s.json")
    with pytest.raises(InstanceError, match="no folder"):
        access.check_writable(tmp_path / "absent" / "s.json")
    with pytest.raises(InstanceError, match="is a folder"):
        access.check_writable(tmp_path)
    assert not list(tmp_path.iterdir())
