"""``spatem evaluate`` against the real network and chip."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from spatem_opt.cli import main
from spatem_opt.exchange.solutions import write_solution

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command: exit code, stdout, stderr."""

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.fixture
def lenet(tmp_path: Path) -> Path:
    """A solution of a shipped network on a shipped chip."""
    from spatem_opt import load_architecture, load_network, solve

    chip = load_architecture("ou-isaac-4x4", {"adc_bits": 5})
    solution = solve(load_network("lenet5"), chip, method="layer-serial").solution
    assert solution is not None
    write_solution(solution, tmp_path / "lenet.json")
    return tmp_path / "lenet.json"


def test_the_real_network_and_chip(run: Run, lenet: Path) -> None:
    real = ("--network", "lenet5", "--arch", "ou-isaac-4x4", "--set", "adc_bits=5")
    assert run("evaluate", lenet, *real)[0] == 0
    code, _, err = run("evaluate", lenet, "--network", "cifar10", "--arch", "ou-isaac-4x4")
    assert code == 3
    assert "violation: instance: network 'lenet5' is not 'cifar10': node 'input': channels = 1, not 3" in err
    assert "violation: instance: chip 'ou-isaac-4x4 [adc_bits=5]' is not 'ou-isaac-4x4': adc_bits = 5, not 4" in err
    assert run("evaluate", lenet, "--set", "adc_bits=5")[0] == 2


def test_a_shipped_name_on_another_network_or_chip(run: Run, lenet: Path) -> None:
    code, out, err = run("evaluate", lenet, "--json")
    assert (code, err, json.loads(out)["cautions"]) == (0, "", [])
    data = json.loads(lenet.read_text())
    data["network"]["nodes"][1]["fused_ops"] += 1
    data["architecture"]["hop_bit_fj"] += 1
    data["claims"] = {}
    lenet.write_text(json.dumps(data))
    code, out, err = run("evaluate", lenet, "--json")
    assert code == 0
    assert [text.split(":")[0] for text in json.loads(out)["cautions"]] == [
        "network 'lenet5' is not the shipped one of that name",
        "chip 'ou-isaac-4x4 [adc_bits=5]' is not the shipped one of that name",
    ]
    assert err.count("caution: ") == 2
    given = run("evaluate", lenet, "--network", "lenet5", "--arch", "ou-isaac-4x4")
    assert "caution" not in given[2]
    assert given[0] == 3
