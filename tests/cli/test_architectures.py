"""``spatem architectures``: area and template of a chip; ``--set`` of what others follow from."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from spatem_opt.cli import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command: exit code, stdout, stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return call


def test_one_architecture_says_its_area(run: Run) -> None:
    """ISAAC's tiles and routers: 62.5 mm2 as published."""
    assert "area: 62.54 mm2 (crossbars " in run("architectures", "--show", "isaac")[1]


def test_template_of_an_architecture(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("architectures", "--show", "ou-16x16", "--toml")
    assert code == 0
    (tmp_path / "mine.toml").write_text(out)
    data = json.loads(run("architectures", "--show", tmp_path / "mine.toml", "--json")[1])
    shipped = json.loads(run("architectures", "--show", "ou-16x16", "--json")[1])
    assert (data["name"], data["fields"]) == ("my-ou-16x16", shipped["fields"])


@pytest.mark.parametrize("arguments", [["--toml"], ["--toml", "--show", "isaac", "--json"]])
def test_template_of_nothing(run: Run, arguments: list[str]) -> None:
    code, _, err = run("architectures", *arguments)
    assert (code, err) == (2, "error: --toml: needs --show, expected --show ARCH, without --json\n")


def test_set_that_equals_a_preset(run: Run) -> None:
    """The pattern that README and --help teach: what follows from the OU's size follows."""
    wide = ["--set", "ou_rows=16", "--set", "ou_cols=16", "--set", "adc_bits=6"]
    found = [
        json.loads(run("solve", "lenet5", "--method", "woho", "--json", *chip)[1])["evaluation"]
        for chip in (wide, ["--arch", "ou-16x16"])
    ]
    assert found[0] == found[1]


def test_area_beside_energy(run: Run) -> None:
    """1536 crossbars x 8 ADCs of 361.04 um2 are 4.44 mm2, 16 routers of 0.151 mm2 are 2.42 mm2."""
    code, out, _ = run("solve", "lenet5", "--method", "woho", "--arch", "ou-isaac-4x4")
    assert code == 0
    lines = [line.split() for line in out.splitlines()]
    assert ["area", "10.36", "mm2", "of", "the", "whole", "chip"] in lines
    assert ["adcs", "4.44", "mm2"] in [line[:3] for line in lines]
    assert ["routers", "2.42", "mm2"] in [line[:3] for line in lines]
