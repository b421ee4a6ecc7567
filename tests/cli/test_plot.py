"""``spatem plot`` and ``spatem solve --report``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from spatem_opt.cli import main
from spatem_opt.exchange.solutions import write_solution
from spatem_opt.model.solution import Solution

pytest.importorskip("matplotlib")


@pytest.fixture
def file(tiny_solution: Solution, tmp_path: Path) -> Path:
    """A good solution file."""
    write_solution(tiny_solution, tmp_path / "tiny.json.gz")
    return tmp_path / "tiny.json.gz"


def test_four_files(file: Path, tmp_path: Path) -> None:
    assert main(["plot", str(file), "-o", str(tmp_path / "new" / "folder")]) == 0
    found = sorted(path.name for path in (tmp_path / "new" / "folder").iterdir())
    assert found == ["tiny-floorplan.png", "tiny-floorplan.svg", "tiny-gantt.png", "tiny-gantt.svg"]


def test_a_figure_that_fails_half_way_leaves_the_old_one(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from matplotlib.figure import Figure

    def half(self: Figure, target: object, **_: object) -> None:
        getattr(target, "write", lambda _: Path(str(target)).write_bytes(b"half"))(b"half")
        raise KeyboardInterrupt

    old = tmp_path / "tiny-gantt.svg"
    old.write_text("the old figure")
    monkeypatch.setattr(Figure, "savefig", half)
    assert main(["plot", str(file), "-o", str(tmp_path), "--format", "svg"]) == 130
    assert old.read_text() == "the old figure"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tiny-gantt.svg", "tiny.json.gz"]


def test_one_format(file: Path, tmp_path: Path) -> None:
    assert main(["plot", str(file), "-o", str(tmp_path / "out"), "--format", "svg"]) == 0
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {".svg"}


def test_one_figure_for_a_column_of_a_paper(file: Path, tmp_path: Path) -> None:
    from PIL import Image

    arguments = ["plot", str(file), "-o", str(tmp_path), "--only", "gantt", "--width", "3.5"]
    assert main([*arguments, "--format", "pdf,png"]) == 0
    assert sorted(path.name for path in tmp_path.glob("tiny-*")) == ["tiny-gantt.pdf", "tiny-gantt.png"]
    assert (tmp_path / "tiny-gantt.pdf").read_bytes().startswith(b"%PDF")
    with Image.open(tmp_path / "tiny-gantt.png") as image:
        assert image.size[0] == pytest.approx(3.5 * 150, abs=1)
    assert main([*arguments, "--only", "oops"]) == 2


def test_a_saved_solution_becomes_a_page(file: Path, tmp_path: Path) -> None:
    page = tmp_path / "tiny.html"
    assert main(["report", str(file), "-o", str(page)]) == 0
    assert "<svg" in page.read_text()
    assert main(["report", str(file), "-o", str(tmp_path / "tiny.pdf")]) == 2


def test_a_solution_with_violations_is_drawn_and_reported(
    tiny_solution: Solution, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_solution.schedule.end[0] = 100
    write_solution(tiny_solution, tmp_path / "bad.json")
    assert main(["plot", str(tmp_path / "bad.json"), "-o", str(tmp_path / "out")]) == 3
    assert "violation: reservation" in capsys.readouterr().err
    assert len(list((tmp_path / "out").iterdir())) == 4


@pytest.mark.parametrize("formats", ["eps", "svg,oops", ""])
def test_unknown_format(file: Path, tmp_path: Path, formats: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plot", str(file), "-o", str(tmp_path / "out"), "--format", formats]) == 2
    assert "expected svg or png" in capsys.readouterr().err


def test_folder_that_cannot_be_made(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plot", str(file), "-o", str(file / "below")]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_hint_when_matplotlib_is_missing(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(["plot", str(file)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "pip install 'spatem-opt[plot]'" in line


def test_solve_writes_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str], small: str) -> None:
    path = tmp_path / "report.html"
    chip = ["--arch", "ou-isaac-4x4", "--set", "adc_bits=5"]
    assert main(["solve", small, *chip, "--report", str(path), "--json"]) == 0
    value = json.loads(capsys.readouterr().out)["value"]
    assert f"{value:,} cycles" in path.read_text()
    assert main(["solve", small, *chip, "--report", str(tmp_path / "no" / "report.html")]) == 2
