"""The command line: exit codes, one clear line per error, stable JSON keys."""

from __future__ import annotations

import json
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import spatem_opt
from spatem_opt.cli import main
from spatem_opt.exchange.solutions import write_solution
from spatem_opt.front_end import METHODS
from spatem_opt.model.architecture import FIELDS
from spatem_opt.model.result import Shortage, Status
from spatem_opt.model.solution import Solution
from spatem_opt.search.result import Result
from spatem_opt.version import __version__

Run = Callable[..., tuple[int, str, str]]
Fake = Callable[[Callable[..., Result]], None]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command: exit code, stdout, stderr."""

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.fixture
def file(tiny_solution: Solution, tmp_path: Path) -> Path:
    """A good solution file."""
    write_solution(tiny_solution, tmp_path / "tiny.json")
    return tmp_path / "tiny.json"


@pytest.fixture
def solver(monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Replace what solves, so that every outcome can be had at once."""

    def install(solve: Callable[..., Result]) -> None:
        module = types.SimpleNamespace(solve=solve, METHODS=METHODS)
        monkeypatch.setitem(sys.modules, "spatem_opt.front_end", module)
        monkeypatch.setattr(spatem_opt, "front_end", module, raising=False)

    return install


def edit(file: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """Change the content of a JSON file."""
    data = json.loads(file.read_text())
    change(data)
    file.write_text(json.dumps(data))
    return file


def one_error(code: int, out: str, err: str) -> str:
    """The one line of a command that refused its input."""
    assert code == 2
    assert out == ""
    lines = [line for line in err.splitlines() if not line.startswith("warning: ")]
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    return lines[0]


# --- usage ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [["oops"], ["solve"], ["evaluate"], ["solve", "lenet5", "--oops"], ["solve", "lenet5", "--objective", "x"],
     ["solve", "lenet5", "--seed", "-1"], ["solve", "lenet5", "--time-limit", "soon"], ["networks", "x"],
     ["solve", "lenet5", "--workers", "0"], ["solve", "lenet5", "--arch"]],
)  # fmt: skip
def test_wrong_usage_is_one_line(run: Run, arguments: list[str]) -> None:
    assert "Try 'spatem" in one_error(*run(*arguments))


def test_no_arguments_show_help(run: Run) -> None:
    code, out, err = run()
    assert code == 2
    assert "solve" in out + err


@pytest.mark.parametrize("command", [[], ["solve"], ["evaluate"], ["networks"], ["architectures"]])
def test_help_teaches_by_example(run: Run, command: list[str]) -> None:
    code, out, _ = run(*command, "--help")
    assert code == 0
    assert "spatem " + (command[0] if command else "solve") + " " in out.replace("Usage: spatem", "")


def test_version(run: Run) -> None:
    assert run("--version") == (0, f"spatem-opt {__version__}\n", "")


# --- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--arch", "nosuch"], ["architecture: name = 'nosuch'", "ou-isaac"]),
        (["--arch", "nosuch.toml"], ["nosuch.toml: cannot be read"]),
        (["--set", "ou_rows"], ["--set: ou_rows, expected key=value"]),
        (["--set", "ou_row=3"], ["unknown field, did you mean ou_rows?"]),
        (["--set", "ou_rows=nan"], ["ou_rows = 'nan', expected an integer"]),
        (["--set", "ou_rows=129"], ["ou_rows = 129, expected <= crossbar_rows = 128"]),
        (["--set", "buffer_bits_per_cycle=0"], ["buffer_bits_per_cycle = 0, expected >= 1"]),
        (["--set", "cycle_ns=inf"], ["cycle_ns = inf, expected a finite number > 0"]),
        (["-o", "no/such/folder.json"], ["no/such/folder.json: cannot be written, no folder"]),
        (["-o", "."], [".: cannot be written, is a folder"]),
    ],
)
def test_solve_refuses(run: Run, solver: Fake, arguments: list[str], parts: list[str]) -> None:
    solver(lambda *_, **__: pytest.fail("solved in spite of wrong input"))
    line = one_error(*run("solve", "lenet5", *arguments))
    assert all(part in line for part in parts), line


@pytest.mark.parametrize("name", ["nosuch", "nosuch.onnx", "nosuch.json"])
def test_missing_network(run: Run, solver: Fake, name: str) -> None:
    solver(lambda *_, **__: pytest.fail("solved in spite of wrong input"))
    assert name in one_error(*run("solve", name))


@pytest.mark.parametrize("name", ["x.onnx", "x.json"])
@pytest.mark.parametrize("content", [b"", b"no graph at all", b"\x08\x07\x12\x04onnx"])
def test_not_a_network(run: Run, solver: Fake, tmp_path: Path, name: str, content: bytes) -> None:
    solver(lambda *_, **__: pytest.fail("solved in spite of wrong input"))
    (tmp_path / name).write_bytes(content)
    assert name in one_error(*run("solve", tmp_path / name))


def test_evaluate_missing_file(run: Run, tmp_path: Path) -> None:
    assert "absent.json: cannot be read" in one_error(*run("evaluate", tmp_path / "absent.json"))


def test_evaluate_truncated(run: Run, file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-50])
    assert "tiny.json: not JSON" in one_error(*run("evaluate", file))


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda d: d.update(oops=1), "oops = 1, unknown key"),
        (lambda d: d["architecture"].update(ou_rows="9"), "architecture: ou_rows = '9', expected an integer"),
        (lambda d: d["placement"]["layer"].pop(), "placement: copy = '4 entries', expected 3"),
        (lambda d: d["placement"]["layer"].__setitem__(0, True), "placement: layer[0] = True"),
        (lambda d: d["schedule"]["end"].__setitem__(0, 1.5), "schedule: end[0] = 1.5"),
        (lambda d: d["claims"].update(total={"latency": "3"}), "claims: total.latency = '3', expected a number"),
        (lambda d: d["claims"].update(total={"objective": []}), "claims: total.objective = [], expected a text"),
    ],
)
def test_evaluate_corrupted(run: Run, file: Path, change: Callable[[dict[str, Any]], object], part: str) -> None:
    assert part in one_error(*run("evaluate", edit(file, change)))


def test_nan_is_not_json(run: Run, file: Path) -> None:
    file.write_text(file.read_text().replace('"cycle_ns":7.68', '"cycle_ns":NaN'))
    assert "not JSON" in one_error(*run("evaluate", file))


# --- evaluate ------------------------------------------------------------------------------------


def test_evaluate_good(run: Run, file: Path) -> None:
    """Latency by hand: fc starts at 1000, takes 16 phases x 3 OUs + 1 to load, and a tail of 5."""
    code, out, err = run("evaluate", file, "--layers")
    assert (code, err) == (0, "")
    assert "1,054 cycles" in out
    assert all(word in out for word in ("latency", "period", "crossbars used", "communication", "energy", "conv", "fc"))


@pytest.mark.parametrize(
    ("family", "change"),
    [
        ("start", lambda d: d["schedule"]["start"].__setitem__(1, -5)),
        ("coverage", lambda d: d["placement"]["col_stop"].__setitem__(0, 3)),
        ("structure", lambda d: d["placement"]["crossbar"].__setitem__(0, 10**6)),
        ("claims", lambda d: d["claims"].update(total={"latency": 7})),
        ("summary", lambda d: d["replication"]["copies"].__setitem__(0, 7)),
    ],
)
def test_violations_are_named(run: Run, file: Path, family: str, change: Callable[[dict[str, Any]], object]) -> None:
    code, _, err = run("evaluate", edit(file, change))
    assert code == 3
    assert any(line.startswith(f"violation: {family}: ") for line in err.splitlines())


def test_violations_in_json(run: Run, file: Path) -> None:
    code, out, _ = run("evaluate", edit(file, lambda d: d["schedule"]["start"].__setitem__(1, -5)), "--json")
    data = json.loads(out)
    assert (code, data["valid"], data["violations"][0]["family"]) == (3, False, "start")


# --- solve ---------------------------------------------------------------------------------------


def good(solution: Solution, **more: Any) -> Callable[..., Result]:
    """A solver that always finds `solution`."""
    return lambda *_, **__: Result(
        Status.FEASIBLE, "latency", solution, 1054, 527, 0.5, evaluation=spatem_opt.evaluate(solution), **more
    )


def test_solve_prints_value_bound_gap_and_writes(
    run: Run, solver: Fake, tiny_solution: Solution, tmp_path: Path
) -> None:
    solver(good(tiny_solution))
    code, out, err = run("solve", "lenet5", "--set", "adc_bits=5", "-o", tmp_path / "out.json.gz")
    assert (code, err) == (0, f"wrote {tmp_path / 'out.json.gz'}\n")
    assert "1,054 cycles" in out
    assert "527 cycles" in out
    assert "gap 50.0 %" in out
    assert run("evaluate", tmp_path / "out.json.gz")[0] == 0


def test_solve_passes_the_options_on(run: Run, solver: Fake, tiny_solution: Solution) -> None:
    seen: dict[str, Any] = {}

    def solve(network: Any, chip: Any, **options: Any) -> Result:
        seen.update(options, network=network.name, chip=chip.ou_rows)
        return good(tiny_solution)()

    solver(solve)
    options = "--objective energy --method heuristic --time-limit 2.5 --seed 7 --workers 2 --set ou_rows=8"
    options += " --latency-limit 900"
    run("solve", "lenet5", *options.split())
    assert callable(seen.pop("progress"))
    assert seen.pop("on_solution") is None  # no -o
    assert 0 <= seen.pop("time_limit") <= 2.5  # less what loading took
    assert seen.pop("network").startswith("lenet")
    assert seen == {
        "chip": 8, "objective": "energy", "method": "heuristic", "latency_limit": 900, "seed": 7, "workers": 2,
        "planners": None, "start": None, "tuning": None,
    }  # fmt: skip


def test_infeasible_says_what_is_missing(run: Run, solver: Fake, tmp_path: Path) -> None:
    shortage = Shortage("capacity", 9, 4, "cells", "network 'x' on chip 'y'", ("--arch z",))
    solver(lambda *_, **__: Result(Status.INFEASIBLE, "latency", shortage=shortage))
    code, out, err = run("solve", "lenet5", "--set", "adc_bits=5", "-o", tmp_path / "out.json")
    assert (code, out) == (4, "")
    assert (
        err == "infeasible: network 'x' on chip 'y': capacity: 9 cells needed, 4 there, 5 short; would do: --arch z; "
        "families in conflict: assignment, capacity\n"
    )
    assert not list(tmp_path.iterdir())


def test_nothing_found_is_exit_1(run: Run, solver: Fake) -> None:
    solver(lambda *_, **__: Result(Status.UNKNOWN, "latency"))
    code, _, err = run("solve", "lenet5", "--set", "adc_bits=5")
    assert code == 1
    assert "no solution found within the limits" in err


def test_interrupt_without_a_solution(run: Run, solver: Fake, tmp_path: Path) -> None:
    def solve(*_: Any, **__: Any) -> Result:
        raise KeyboardInterrupt

    solver(solve)
    code, _, err = run("solve", "lenet5", "--set", "adc_bits=5", "-o", tmp_path / "out.json")
    assert (code, err) == (130, "interrupted\n")
    assert not list(tmp_path.iterdir())


def test_a_wrong_solution_of_ours_is_exit_3(run: Run, solver: Fake, tiny_solution: Solution) -> None:
    tiny_solution.schedule.start[1] = -5
    solver(good(tiny_solution))
    code, _, err = run("solve", "lenet5")
    assert code == 3
    assert "violation: start: " in err


def test_caution_is_one_line_on_stderr(run: Run, solver: Fake, tiny_solution: Solution) -> None:
    solver(good(tiny_solution))
    code, out, err = run("solve", "lenet5", "--json")
    assert code == 0
    assert err.startswith("warning: ou-isaac: adc_bits = 4, but 9 x 8 OUs can sum to 27: 5 bits would hold it")
    assert err.count("\n") == 1
    json.loads(out)


# --- JSON ----------------------------------------------------------------------------------------

EVALUATION = {
    "valid", "violations", "latency_cycles", "queue_free_cycles", "latency_ns", "period_cycles", "images_per_second",
    "communication", "critical_path", "cautions", "utilization", "energy", "area_mm2", "buffers", "ports", "routers",
    "layers", "nodes", "bounds", "arrays",
}  # fmt: skip


def test_keys_of_solve(run: Run, solver: Fake, tiny_solution: Solution) -> None:
    solver(good(tiny_solution))
    data = json.loads(run("solve", "lenet5", "--json")[1])
    assert set(data) == {
        "format", "version", "network", "architecture", "method", "seed", "output", "objective", "status", "value",
        "bound", "gap", "seconds", "shortage", "steps", "cut_short", "evaluation",
    }  # fmt: skip
    assert set(data["evaluation"]) == EVALUATION
    assert (data["format"], data["version"], data["gap"]) == ("spatem-result", 1, 0.5)


def test_keys_of_infeasible(run: Run, solver: Fake) -> None:
    solver(lambda *_, **__: Result(Status.INFEASIBLE, "latency", shortage=Shortage("capacity", 9, 4, "cells")))
    code, out, _ = run("solve", "lenet5", "--json")
    data = json.loads(out)
    assert (code, data["status"], data["value"], data["evaluation"]) == (4, "infeasible", None, None)
    assert data["shortage"]["demand"] == 9


def test_keys_of_evaluate(run: Run, file: Path) -> None:
    data = json.loads(run("evaluate", file, "--json")[1])
    head = {"format", "version", "file", "network", "architecture", "objective", "bound", "cautions"}
    assert set(data) == head | EVALUATION
    assert (data["format"], data["latency_cycles"]) == ("spatem-evaluation", 1054)


def test_networks(run: Run) -> None:
    code, out, _ = run("networks")
    assert code == 0
    assert all(name in out for name in ("lenet5", "resnet50", "vgg19"))


def test_keys_of_networks(run: Run) -> None:
    data = json.loads(run("networks", "--json")[1])
    assert set(data["networks"][0]) == {"name", "inputs", "nodes", "layers", "edges", "parameters", "macs", "source"}


def test_architectures(run: Run) -> None:
    code, out, _ = run("architectures")
    assert code == 0
    assert all(name in out for name in ("ou-isaac", "isaac", "pimcomp"))


def test_keys_of_architectures(run: Run) -> None:
    data = json.loads(run("architectures", "--json")[1])
    keys = {"name", "description", "tiles", "crossbars", "crossbar_rows", "crossbar_cols", "ou_rows", "ou_cols",
            "cycle_ns", "area_mm2", "cautions"}  # fmt: skip
    assert set(data["architectures"][0]) == keys


def test_one_architecture(run: Run) -> None:
    code, out, _ = run("architectures", "--show", "isaac")
    assert code == 0
    assert all(key in out for key in FIELDS if key != "name")
    assert "fJ" in out
    assert "ISCA 2016" in out


def test_one_architecture_in_json(run: Run) -> None:
    data = json.loads(run("architectures", "--show", "isaac", "--json")[1])
    assert set(data["fields"]) == set(FIELDS) - {"name"}
    assert set(data["fields"]["ou_rows"]) == {"value", "derive", "unit", "source"}
    assert data["fields"]["ou_rows"]["derive"] is None
    assert data["fields"]["router_bits_per_cycle"]["derive"] == "32 * max(1, floor(1.2 * cycle_ns))"
    assert sum(data["areas_mm2"].values()) == pytest.approx(data["area_mm2"], abs=1e-5)


# --- as a process --------------------------------------------------------------------------------


def test_installed_command() -> None:
    spatem = Path(sys.executable).with_name("spatem")
    done = subprocess.run([spatem, "evaluate", "absent.json"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: absent.json: cannot be read, No such file or directory\n"
