"""What is printed: whole numbers at any width, names as they are, one caution, quiet pipes, files of the right kind."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import spatem_opt
from spatem_opt import front_end
from spatem_opt.cli import main
from spatem_opt.cli.common import show
from spatem_opt.evaluator import evaluate
from spatem_opt.exchange.solutions import write_solution
from spatem_opt.model.presets import architectures
from spatem_opt.model.result import Status, Step
from spatem_opt.model.solution import Solution
from spatem_opt.network import load, to_json
from spatem_opt.report import compare as report
from spatem_opt.report import tables
from spatem_opt.search.result import Result
from spatem_opt.study.compare import Comparison, MethodRow, summarize
from spatem_opt.study.pareto import Front, Point

WIDTHS = (80, 60, 40)
CODES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
NUMBER = re.compile(r"\d[\d,.]*\d|\d")
HERE = {**os.environ, "PYTHONPATH": str(Path(spatem_opt.__file__).parents[1])}
"""A process started elsewhere runs the package that is tested."""
SMALL = ["--arch", "ou-isaac-4x4", "--set", "adc_bits=5"]


@pytest.fixture(params=WIDTHS)
def terminal(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """A terminal of 80, 60 or 40 columns, as rich sees it."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(request.param))
    return int(request.param)


def row(method: str, latency: int, communication: int) -> MethodRow:
    """A method with numbers as long as those of the largest networks."""
    return MethodRow(
        method, method, latency, latency * 7.68e-6, latency, communication, energy_fj=17_000_000_000_000,
        ou_occupancy=0.89, cells_used=0.906, bound=106_786, gap=0.101, seconds=1234.5,
    )  # fmt: skip


COMPARED = Comparison(
    "inception_v3", "ou-isaac [ou_rows=16]",
    (row("dense-pipeline", 376_105_456, 18_020_255_168), row("heuristic", 528_316, 5_706_137_008),
     row("balanced", 1_387_855, 4_186_280_992), row("half-latency", 3_487_090, 4_012_832_144)),
)  # fmt: skip


def fits(text: str, width: int) -> None:
    """No line is longer than the terminal, and nothing was cut."""
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    assert "..." not in text


def test_compare(terminal: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Method 16, cycles 11 and communication 14 cells wide, edges and gaps 6: 47. At 40 the last is left out."""
    show(report.table(COMPARED))
    text = CODES.sub("", capsys.readouterr().out)
    fits(text, terminal)
    assert "inception_v3 on ou-isaac [ou_rows=16]" in text
    assert {"376,105,456", "528,316", "1,387,855", "3,487,090"} <= set(NUMBER.findall(text))
    said = " ".join(text.partition("Left out, as the terminal is narrow:")[2].split())
    assert ("18,020,255,168" in text) != ("communication, bits" in said)
    assert ("18,020,255,168" in text) == (terminal > 40)
    assert "seconds" in said


def test_summary(terminal: int, capsys: pytest.CaptureFixture[str]) -> None:
    show(report.summary_table(summarize([COMPARED])))
    text = CODES.sub("", capsys.readouterr().out)
    fits(text, terminal)
    saved = {"80": "99.9 % 68.3 % 99.6 % 76.8 %", "60": "99.9 % 68.3 % 99.6 %", "40": "99.9 %"}[str(terminal)]
    line = next(line for line in text.splitlines() if line.strip().startswith("inception_v3"))
    assert " ".join(line.split()).startswith(f"inception_v3 {saved}")


def test_layers_and_overview(terminal: int, tiny_solution: Solution, capsys: pytest.CaptureFixture[str]) -> None:
    found = evaluate(tiny_solution)
    assert found.utilization is not None
    found = replace(found, utilization=replace(found.utilization, cells_used=1_037_915_136, cells=1_145_044_992))
    show(tables.overview(found, title="tiny", bound=527), tables.layers(found))
    text = CODES.sub("", capsys.readouterr().out)
    fits(text, terminal)
    assert {"1,054", "1,037,915,136", "1,145,044,992", "527"} <= set(NUMBER.findall(text))


def test_steps_and_fronts(terminal: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from spatem_opt.cli import pareto, solve

    step = Step("replication", "cpsat", Status.FEASIBLE, 1_234_567, 1_234_000, 12.5, 2_345_678, "bit hops", note="x")
    solve.show_steps([step])
    point = Point("segments (price 11.2, router share 0.6)", 118_733, 4_250_930_928, None)
    pareto._print(Front("resnet[50]", "ou-isaac", (point,), (), 1, 2, 3.0))
    text = CODES.sub("", capsys.readouterr().out)
    fits(text, terminal)
    assert {"1,234,567", "118,733", "4,250,930,928"} <= set(NUMBER.findall(text))
    assert "resnet[50] on ou-isaac" in text


@pytest.mark.parametrize("arguments", [["networks"], ["architectures"], ["architectures", "--show", "ou-isaac"]])
def test_lists(terminal: int, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    text = CODES.sub("", capsys.readouterr().out)
    fits(text, terminal)
    for name in architectures() if arguments == ["architectures"] else ():
        assert re.search(rf"^ {name} ", text, re.MULTILINE)


@pytest.mark.parametrize("arguments", [["networks"], ["architectures"], ["architectures", "--show", "isaac"]])
def test_a_pipe_gets_whole_lines(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is left out; every row is one line, without spaces at its end."""
    assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert not any(line.endswith(" ") for line in lines)
    assert "Left out" not in "\n".join(lines)
    if arguments == ["networks"]:
        assert all(sum(name in line.split() for line in lines) == 1 for name in ("alexnet", "vgg19"))


# --- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["res[/x]", "a [bold]b[/bold]", "x\x1b[2Jy", "two\nlines", "bidi\u202e"])
def test_a_network_of_any_name_is_solved_and_printed(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], tiny_solution: Solution,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    named = replace(tiny_solution, network=replace(tiny_solution.network, name=name))
    result = Result(Status.FEASIBLE, "latency", named, 1054, 527, 0.5, evaluation=evaluate(named))
    monkeypatch.setattr(front_end, "solve", lambda *_, **__: result)
    monkeypatch.setattr("spatem_opt.network.load", lambda *_: named.network)
    assert main(["solve", "x.json", "--set", "adc_bits=5", "--layers"]) == 0
    out = capsys.readouterr().out
    shown = name.encode("unicode_escape").decode()
    assert out.splitlines()[0] == f"{shown} on ou-isaac [adc_bits=5] (feasible)"


def test_markup_in_messages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["solve", "[red]x[/]\n\x1b[31m"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert r"[red]x[/]\n\x1b[31m" in line


def test_bars_do_not_end_a_cell_of_markdown() -> None:
    text = report.markdown(summarize([replace(COMPARED, network="a|b")]))
    assert "| a\\|b |" in text


def test_help_shows_brackets(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["solve", "--help"]) == 0
    assert "[NAME=]1x3x320x320" in "".join(capsys.readouterr().out.split("\n"))


@pytest.mark.parametrize("method", ["LAYER_SERIAL", "Layer-Serial"])
def test_methods_and_objectives_fold(method: str, capsys: pytest.CaptureFixture[str]) -> None:
    chip = ["--arch", "OU_ISAAC-4x4", "--set", "adc_bits=5"]
    assert main(["solve", "LeNet-5", *chip, "--method", method, "--objective", "Latency", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["method"] == "layer-serial"


def test_a_wrong_method_is_answered_with_the_next(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["solve", "lenet5", "--method", "layer-seriel"]) == 2
    assert capsys.readouterr().err.endswith("did you mean layer-serial?\n")


# --- files of the right kind ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        (["export", "lenet5", "-o", "x.csv"], "the name of a network ends in .json or .json.gz"),
        (["solve", "lenet5", "--report", "r.pdf"], "the name of a report ends in .html or .htm"),
        (["solve", "lenet5", "-o", "out.csv"], "the name of a solution file ends in .json or .json.gz"),
        (["solve", "lenet5", "-o", "out"], "the name of a solution file ends in .json or .json.gz"),
        (["solve", "lenet5", "--pareto", "front.png"], "expected a folder, and .png is the end of a file"),
        (["compare", "lenet5", "-o", "rows.xlsx"], "the name of a table of rows ends in .csv or .csv.gz"),
        (["bench", "small", "-o", "rows.csv"], "the name of a file of JSON lines ends in .jsonl"),
        (["pareto", "lenet5", "-o", "front.csv"], "expected a folder, and .csv is the end of a file"),
        (["plot", "tiny.json", "-o", "figure.svg"], "expected a folder, and .svg is the end of a file"),
        (["export", "tiny.json", "-o", "tables.csv"], "expected a folder, and .csv is the end of a file"),
    ],
)
def test_other_kinds_of_files_are_refused_before_any_work(
    arguments: list[str], rule: str, tiny_solution: Solution, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    write_solution(tiny_solution, tmp_path / "tiny.json")
    for name in ("spatem_opt.front_end.solve", "spatem_opt.study.compare.compare", "spatem_opt.study.pareto.front"):
        monkeypatch.setattr(name, lambda *_, **__: pytest.fail("worked in spite of wrong input"))
    assert main(arguments) == 2
    (line,) = [text for text in capsys.readouterr().err.splitlines() if not text.startswith("warning: ")]
    assert line.startswith("error: ")
    assert rule in line
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.json"]


# --- cautions ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "count"),
    [(["solve", "lenet5", "--method", "layer-serial", "--arch", "ou-isaac-4x4"], 1),
     (["architectures", "--show", "ou-isaac"], 1), (["architectures"], 0), (["networks"], 0),
     (["export", "lenet5", "--step", "mapping", "-o", "x.mps", "--arch", "ou-isaac-4x4"], 0),
     (["compare", "resnet18", "--arch", "ou-isaac-4x4"], 0)],
)  # fmt: skip
def test_the_caution_about_adc_bits_is_said_once_and_where_it_matters(
    arguments: list[str], count: int, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    main(arguments)
    assert "".join(capsys.readouterr()).count("5 bits would hold it") == count


# --- what does not fit ---------------------------------------------------------------------------


def test_a_baseline_that_does_not_fit_says_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    """LeNet-5 has 6 crossbar layers, each on tiles of its own: 6 tiles at least, and there are 4."""
    chip = ["--arch", "ou-isaac-2x2", "--set", "adc_bits=5"]
    assert main(["solve", "lenet5", *chip, "--method", "woho"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        "error: does not fit this way: network 'lenet5' by 'woho' on chip 'ou-isaac-2x2 [adc_bits=5]', every layer on "
        "tiles of its own: tiles: 576 crossbars needed, 384 there, 192 short; would do: --arch ou-isaac-4x4 or "
        "--set mesh_rows=3; or another --method"
    )
    assert main(["solve", "lenet5", "--arch", "ou-isaac-2x2", "--set", "mesh_rows=3", "--method", "woho"]) == 0


# --- pipes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "both"),
    [(["networks"], 0, False), (["networks", "--json"], 0, False), (["--help"], 0, True),
     (["solve", "--help"], 0, False), (["--version"], 0, True),
     (["evaluate", "bad.json"], 3, False), (["evaluate", "bad.json"], 3, True),
     (["evaluate", "bad.json", "--json"], 3, False), (["solve", "oops"], 2, False), (["solve", "oops"], 2, True)],
)  # fmt: skip
def test_a_closed_pipe_changes_no_exit_code(
    arguments: list[str], code: int, both: bool, tiny_solution: Solution, tmp_path: Path
) -> None:
    """Nobody reads stdout, or neither stdout nor stderr; the buffers are flushed at the end of the program, too."""
    tiny_solution.schedule.end[0] = 100
    write_solution(tiny_solution, tmp_path / "bad.json")
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-c", "import sys; from spatem_opt.cli import main; sys.exit(main())", *arguments]
    end = write if both else subprocess.PIPE
    done = subprocess.run(command, stdout=write, stderr=end, text=True, check=False, cwd=tmp_path, env=HERE)
    os.close(write)
    assert done.returncode == code
    assert both or "Traceback" not in done.stderr
    assert both or "Exception" not in done.stderr


def test_names_that_no_terminal_can_show(tmp_path: Path) -> None:
    """A terminal of plain ASCII gets what it can show, and no traceback."""
    data = to_json(load("lenet5"))
    data["name"] = "réseau"
    (tmp_path / "net.json").write_text(json.dumps(data))
    command = [sys.executable, "-c", "import sys; from spatem_opt.cli import main; sys.exit(main())"]
    command += ["solve", str(tmp_path / "net.json"), "--method", "layer-serial", *SMALL]
    ascii_only = {**HERE, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=ascii_only)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("r\\xe9seau on ou-isaac-4x4")
