"""``spatem export`` and ``spatem import``."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from onnx import helper

from spatem_opt.cli import main
from spatem_opt.evaluator import evaluate
from spatem_opt.exchange.solutions import write_solution
from spatem_opt.model.solution import Solution
from spatem_opt.network import load
from tests.network.onnx_models import model as graph
from tests.network.onnx_models import weight


def test_tables_of_a_solution(tiny_solution: Solution, tmp_path: Path) -> None:
    write_solution(tiny_solution, tmp_path / "tiny.json")
    assert main(["export", str(tmp_path / "tiny.json"), "-o", str(tmp_path / "out")]) == 0
    tables = {path.stem: list(csv.DictReader(path.open())) for path in (tmp_path / "out").iterdir()}
    assert {name: len(rows) for name, rows in tables.items()} == {
        "placement": 4, "schedule": 3, "layers": 2, "tiles": 4, "routers": 4, "nodes": 3, "critical_path": 4,
        "totals": len(tables["totals"]),
    }  # fmt: skip
    whole = [row for row in tables["totals"] if row["unit"] in ("cycles", "bits", "fJ")]
    totals = {row["name"]: int(row["value"]) for row in whole}
    found = evaluate(tiny_solution)
    assert found.communication is not None
    assert found.energy is not None
    assert totals["latency"] == found.latency_cycles
    assert sum(value for name, value in totals.items() if name.startswith("critical path")) == found.latency_cycles
    assert sum(value for name, value in totals.items() if name.startswith("communication")) == found.communication.total
    assert sum(value for name, value in totals.items() if name.startswith("energy")) == found.energy.total
    assert tables["schedule"][2]["start"] == "1000"
    assert tables["layers"][0]["name"] == "conv"
    assert tables["layers"][0]["interval_cycles"] == "129"


def test_tables_for_papers(tiny_solution: Solution, tmp_path: Path) -> None:
    write_solution(tiny_solution, tmp_path / "tiny.json")
    assert main(["export", str(tmp_path / "tiny.json"), "--format", "latex", "-o", str(tmp_path / "out")]) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "critical_path.tex", "layers.tex", "nodes.tex", "totals.tex"
    ]  # fmt: skip
    for path in (tmp_path / "out").iterdir():
        text = path.read_text()
        body = text.split(r"\midrule")[1].split(r"\bottomrule")[0]
        columns = re.search(r"tabular}{([lr]+)}", text)
        assert columns is not None
        assert {row.count(" & ") + 1 for row in body.strip().splitlines()} == {len(columns[1])}
        assert not re.search(r"(?<!\\)[_%#&](?! )", body)


def test_a_trace_has_every_row_and_the_critical_path(tiny_solution: Solution, tmp_path: Path) -> None:
    write_solution(tiny_solution, tmp_path / "tiny.json")
    target = tmp_path / "trace.json"
    assert main(["export", str(tmp_path / "tiny.json"), "--format", "perfetto", "-o", str(target)]) == 0
    found, trace = evaluate(tiny_solution), orjson.loads(target.read_bytes())
    assert found.arrays is not None
    assert found.critical_path is not None
    assert trace["otherData"]["latency_cycles"] == found.latency_cycles
    bars = [event for event in trace["traceEvents"] if event["ph"] == "X"]
    rows = [bar for bar in bars if "first_window" in bar["args"]]
    assert sorted((bar["ts"], bar["dur"]) for bar in rows) == sorted(
        zip(found.arrays.row_begin.tolist(), (found.arrays.row_end - found.arrays.row_begin).tolist(), strict=True)
    )
    path = [bar["name"] for bar in bars if "waited_for" in bar["args"]]
    assert path == list(found.critical_path.node)
    busy = [event["args"]["copies"] for event in trace["traceEvents"] if event["ph"] == "C"]
    assert min(busy) == 0
    assert max(busy) >= 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [(["--format", "mps", "-o", "x.mps"], "expected csv, latex, perfetto for a solution"),
     (["--format", "perfetto", "-o", "x.csv"], "a trace ends in .json")],
)  # fmt: skip
def test_formats_of_a_solution(
    tiny_solution: Solution, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    write_solution(tiny_solution, tmp_path / "tiny.json")
    assert main(["export", str(tmp_path / "tiny.json"), *arguments]) == 2
    err = capsys.readouterr().err
    assert told in err
    assert err.count("\n") == 1


def test_violations(tiny_solution: Solution, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny_solution.schedule.end[0] = 100
    write_solution(tiny_solution, tmp_path / "bad.json")
    assert main(["export", str(tmp_path / "bad.json"), "-o", str(tmp_path / "out")]) == 3
    assert "violation: reservation" in capsys.readouterr().err


def test_a_network_comes_back(tmp_path: Path) -> None:
    assert main(["export", "lenet5", "-o", str(tmp_path / "net.json")]) == 0
    assert load(tmp_path / "net.json").layers == load("lenet5").layers
    assert main(["export", "oops", "-o", str(tmp_path / "net.json")]) == 2


def test_outputs_stop_before_a_tail(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"]), helper.make_node("NonZero", ["y"], ["z"])]
    file, target = tmp_path / "tail.onnx", tmp_path / "net.json"
    file.write_bytes(graph(nodes, initializers=[weight("w", 3, 2, 3, 3)], outputs=["z"]).SerializeToString())
    assert main(["export", str(file), "-o", str(target)]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "--outputs y leaves out this operator" in told
    assert main(["export", str(file), "--outputs", "y", "-o", str(target)]) == 0
    assert len(load(target).nodes) == 2
    assert main(["export", "lenet5", "--outputs", "y", "-o", str(target)]) == 2
    assert "expected none: only ONNX graphs take one" in capsys.readouterr().err


@pytest.fixture
def model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """An exported mapping model."""
    path = tmp_path / "mapping.pbtxt"
    assert main(["export", "lenet5", "--step", "mapping", "-o", str(path)]) == 0
    told = capsys.readouterr().err
    assert "mapping: second level" in told
    assert f"wrote {path}\nwrote {path}.json" in told
    return path


def response(model: Path) -> str:
    """What CP-SAT says of a model file."""
    from ortools.sat.python import cp_model

    problem, solver = cp_model.CpModel(), cp_model.CpSolver()
    problem.proto.parse_text_format(model.read_text())
    solver.parameters.num_workers = 1
    solver.solve(problem)
    return str(solver.response_proto)


def test_a_model_goes_out_and_its_solution_comes_back(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = tmp_path / "values.txt"
    values.write_text(response(model))
    assert main(["import", str(model), "--values", str(values)]) == 0
    assert "mapping (optimal)" in capsys.readouterr().out
    assert main(["import", str(model), "--values", str(values), "--json"]) == 0
    found = orjson.loads(capsys.readouterr().out)
    assert set(found) == {"format", "version", "file", "values", "step", "what", "status", "objective", "unit", "bound",
                          "gap", "violations", "solution"}  # fmt: skip
    assert (found["format"], found["step"], found["status"], found["gap"]) == ("spatem-import", "mapping", "optimal", 0)
    assert list(found["solution"]["mapping"]) == [load("lenet5").nodes[i].name for i in load("lenet5").layers]


def test_a_changed_value_is_a_violation(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = tmp_path / "values.txt"
    values.write_text(re.sub("solution: 1", "solution: 0", response(model), count=1))
    assert main(["import", str(model), "--values", str(values)]) == 3
    assert "violation: assignment: assignment[conv1]: 0 true, expected 1" in capsys.readouterr().err
    assert main(["import", str(model), "--values", str(values), "--json"]) == 3
    found = orjson.loads(capsys.readouterr().out)
    assert (found["status"], found["objective"], found["gap"], found["solution"]) == ("unknown", None, None, None)
    assert found["violations"][0]["family"] == "assignment"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["export", "lenet5", "--layer", "conv1", "-o", "x.mps"], "layer = 'conv1', expected only with --step"),
        (["export", "lenet5", "--arch", "isaac", "-o", "x.json"], "arch = 'isaac', expected only with --step"),
        (["export", "lenet5", "--step", "grouping", "-o", "x.mps"], "layer = None, expected a crossbar layer"),
        (["export", "lenet5", "--step", "mapping", "-o", "x.txt"], "ends in .mps or .lp"),
        (["export", "lenet5", "--step", "mapping", "--format", "lp", "-o", "x.mps"], "ends in .lp"),
        (["export", "lenet5", "--step", "oops", "-o", "x.mps"], "'oops' is not one of 'mapping'"),
        (["export", "oops", "--step", "mapping", "-o", "x.mps"], "oops"),
        (["import", "nothing.mps", "--values", "x"], "nothing.mps.json: cannot be read"),
        (["import", "nothing.txt", "--values", "x"], "ends in .mps or .lp"),
        (["import", "nothing.mps"], "Missing option '--values'"),
    ],
)
def test_wrong_use_of_models(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ")
    assert message in error
    assert list(tmp_path.iterdir()) == []


def test_a_network_that_does_not_fit_has_no_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "vgg19", "--step", "mapping", "-o", str(tmp_path / "x.mps")]) == 4
    assert "infeasible: network 'vgg19'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments", [["export", "--help"], ["import", "--help"], ["export", "lenet5", "-o", "n.json"]]
)
def test_only_models_load_solvers(arguments: list[str], tmp_path: Path) -> None:
    code = f"""
import sys
from spatem_opt.cli import main
main({arguments!r})
print("LOADED", {{m.split('.')[0] for m in sys.modules}} & {{"ortools", "pulp", "highspy", "formulations"}})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert "LOADED set()" in done.stdout
