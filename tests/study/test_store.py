"""The store of results: nothing is lost, torn ends are taken for what they are, keys follow contents."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from spatem_opt.errors import InstanceError
from spatem_opt.model.presets import load_architecture
from spatem_opt.network import load
from spatem_opt.study import bench, store
from spatem_opt.study.store import START, Store, code_version, key_of

RESULT = {"seconds": 1.0, "result": {"value": 1}}


def test_the_last_record_of_a_key_counts(tmp_path: Path) -> None:
    kept = Store(tmp_path / "a.jsonl")
    assert kept.read() == {}
    for key, value in (("a", 1), ("b", 2), ("a", 3)):
        kept.add(key, {"result": {"value": value}})
    assert {key: record["result"]["value"] for key, record in kept.read().items()} == {"a": 3, "b": 2}
    assert len((tmp_path / "a.jsonl").read_bytes().splitlines()) == 3
    assert all(line.startswith(START) for line in (tmp_path / "a.jsonl").read_bytes().splitlines())


@pytest.mark.parametrize("rest", [1, 10, 60, -1])
def test_a_torn_last_line_is_left_out_and_no_other_is_lost(tmp_path: Path, rest: int) -> None:
    kept = Store(tmp_path / "a.jsonl")
    kept.add("a", RESULT)
    whole = (tmp_path / "a.jsonl").read_bytes()
    (tmp_path / "a.jsonl").write_bytes(whole + whole[:rest])
    assert set(kept.read()) == {"a"}
    assert kept.torn
    kept.add("b", RESULT)
    assert set(kept.read()) == {"a", "b"}
    assert not kept.torn


def test_a_file_that_is_nothing_but_a_torn_line(tmp_path: Path) -> None:
    kept = Store(tmp_path / "a.jsonl")
    kept.path.write_bytes(START + b'"key":"' + b"x" * 200_000)  # longer than what is read at a time
    assert kept.read() == {}
    kept.add("b", RESULT)
    assert set(kept.read()) == {"b"}


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b'{"entry": {}, "seconds": 1.0, "result": {}}\n', "an old format"),
        (b"[1]\n", "another format"),
        (b"my notes, no line end", "not JSON"),
        (b"my notes\n", "not JSON"),
        (b'{"format":"spatem-bench","version":3,"key":"a","result":{}}\n', "another format"),
        (b'{"format":"spatem-bench","version":2,"key":1,"result":{}}\n', "another format"),
    ],
)
def test_other_files_are_refused_in_one_line_and_stay(tmp_path: Path, content: bytes, rule: str) -> None:
    (tmp_path / "a.jsonl").write_bytes(content)
    with pytest.raises(InstanceError, match=rule) as caught:
        Store(tmp_path / "a.jsonl").read()
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path / 'a.jsonl'}:1: ")
    assert (tmp_path / "a.jsonl").read_bytes() == content


ADD = """
import sys
from pathlib import Path
from spatem_opt.study.store import Store
for i in range(40):
    Store(Path(sys.argv[1])).add(f"{sys.argv[2]}{i}", {"result": {"text": "x" * 20_000}})
"""


@pytest.mark.parametrize("locks", ["flock", "file"])
def test_processes_that_write_at_once_lose_nothing(tmp_path: Path, locks: str) -> None:
    code = ADD if locks == "flock" else f"import spatem_opt.study.store as s; s.fcntl = None\n{ADD}"
    writers = [subprocess.Popen([sys.executable, "-c", code, tmp_path / "a.jsonl", name]) for name in "abc"]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    assert set(Store(tmp_path / "a.jsonl").read()) == {f"{name}{i}" for name in "abc" for i in range(40)}
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]


def test_a_key_follows_contents_not_names(monkeypatch: pytest.MonkeyPatch) -> None:
    network, chip = load("lenet5"), load_architecture("ou-isaac-4x4", {"adc_bits": 5})
    key = key_of(network, chip, "compare", {"time_limit": None})
    assert key == key_of(load("lenet5"), chip, "compare", {"time_limit": None})
    nodes = [replace(node, name=f"{node.name}!") if not i else node for i, node in enumerate(network.nodes)]
    others = [
        key_of(replace(network, nodes=tuple(nodes)), chip, "compare", {"time_limit": None}),
        key_of(network, load_architecture("ou-isaac-4x4", {"adc_bits": 6}), "compare", {"time_limit": None}),
        key_of(network, chip, "solve", {"time_limit": None}),
        key_of(network, chip, "compare", {"time_limit": 1.0}),
    ]
    monkeypatch.setattr(store, "code_version", lambda: "other code")
    others.append(key_of(network, chip, "compare", {"time_limit": None}))
    assert len({key, *others}) == 6


def test_an_edited_chip_file_is_another_chip(tmp_path: Path) -> None:
    """Same name, same path, one number changed: what was stored for the chip before is not taken."""
    text = 'name = "mine"\nbase = "ou-isaac-4x4"\n[adc_bits]\nvalue = {}\nunit = "bits"\nsource = "test"\n'
    entry, keys = bench.SuiteEntry("lenet5", str(tmp_path / "mine.toml")), []
    for bits in (5, 6):
        (tmp_path / "mine.toml").write_text(text.format(bits))
        keys.append(entry.key(None))
    assert keys[0] != keys[1]


def test_the_code_version_follows_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planning, printing = "spatem_opt/planning/plan.py", "spatem_opt/cli/app.py"
    for name in ("spatem_opt/study/store.py", planning, printing, "formulations/solver.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    monkeypatch.setattr(store, "__file__", str(tmp_path / "spatem_opt" / "study" / "store.py"))
    found = []
    for name in ("spatem_opt/study/store.py", printing, planning, "formulations/solver.py"):
        (tmp_path / name).write_text("# edited")
        found.append(code_version.__wrapped__())
    assert found[0] == found[1]  # what prints computes nothing
    assert len(set(found)) == 3


def test_lines_are_json_with_the_parts_of_their_key(tmp_path: Path) -> None:
    Store(tmp_path / "a.jsonl").add("a", RESULT)
    line = orjson.loads((tmp_path / "a.jsonl").read_bytes())
    assert line == {"format": "spatem-bench", "version": 2, "key": "a", **RESULT}
