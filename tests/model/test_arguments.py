"""Arguments of the front end: a wrong one is one line with function, name, value and rule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spatem_opt import load_architecture, load_network, read_solution, solve, write_solution
from spatem_opt.errors import InstanceError
from spatem_opt.model.architecture import Architecture
from spatem_opt.model.solution import Solution
from spatem_opt.network import Network
from spatem_opt.study import bench
from spatem_opt.study.compare import compare
from spatem_opt.study.pareto import front

RUNS = {"solve": solve, "compare": compare, "pareto": front}
WRONG: list[tuple[str, Any]] = [
    ("time_limit", -1), ("time_limit", "10"), ("time_limit", float("nan")), ("time_limit", True),
    ("time_limit", float("inf")), ("seed", -1), ("seed", 1.5), ("seed", "0"), ("seed", None), ("seed", 2**31),
    ("workers", 0), ("workers", 2.0), ("workers", "2"), ("workers", None), ("workers", True), ("workers", 10**6),
    ("progress", "loud"),
]  # fmt: skip


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize(("argument", "value"), WRONG)
def test_wrong_arguments_of_a_run(name: str, argument: str, value: Any, tiny_network: Network) -> None:
    if name == "pareto" and argument in ("seed", "workers"):
        pytest.skip("not an argument of it")
    with pytest.raises(InstanceError, match=rf"{name}: {argument} = .*, expected"):
        RUNS[name](tiny_network, Architecture(), **{argument: value})


@pytest.mark.parametrize("name", RUNS)
def test_network_and_chip_are_objects(name: str, tiny_network: Network) -> None:
    with pytest.raises(InstanceError, match=rf"{name}: network = 'lenet5', expected a Network, not str"):
        RUNS[name]("lenet5", Architecture())  # type: ignore[arg-type]
    with pytest.raises(InstanceError, match=rf"{name}: architecture = None, expected an Architecture, not NoneType"):
        RUNS[name](tiny_network, None)  # type: ignore[arg-type]


def test_who_is_given_solutions_can_be_called(tiny_network: Network) -> None:
    with pytest.raises(InstanceError, match=r"solve: on_solution = 'best\.json', expected a function"):
        solve(tiny_network, Architecture(), on_solution="best.json")  # type: ignore[arg-type]


@pytest.mark.parametrize("limit", [0, -5, 1.5, "9", True, 2**60])
def test_latency_limit(limit: Any, tiny_network: Network) -> None:
    with pytest.raises(InstanceError, match="solve: latency_limit = "):
        solve(tiny_network, Architecture(), latency_limit=limit)


def test_numbers_of_numpy_are_taken(tiny_network: Network) -> None:
    result = solve(tiny_network, Architecture(), seed=np.int64(3), workers=np.int32(1), method="layer-serial",  # type: ignore[arg-type]
                   time_limit=np.float32(5))  # type: ignore[arg-type]  # fmt: skip
    assert result.solution is not None
    assert type(result.solution.claims["search" if "search" in result.solution.claims else "total"]) is dict


@pytest.mark.parametrize("prices", ["1", 3, [-1], ["a"], [None, float("nan")]])
def test_prices(prices: Any, tiny_network: Network) -> None:
    with pytest.raises(InstanceError, match="pareto: prices"):
        front(tiny_network, Architecture(), prices=prices)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"suite": "small"}, "suite = 'small', expected a Suite"), ({"path": None}, "path = None"),
        ({"time_limit": -1}, "time_limit = -1"), ({"workers": 0}, "workers = 0"), ({"fresh": 1}, "fresh = 1"),
    ],
)  # fmt: skip
def test_bench(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    arguments: dict[str, Any] = {"suite": bench.Suite("none", "", ()), "path": tmp_path / "out.jsonl", **change}
    with pytest.raises(InstanceError, match=f"bench: {message}"):
        bench.run(arguments.pop("suite"), arguments.pop("path"), **arguments)


@pytest.mark.parametrize("load", [load_architecture, load_network, read_solution, bench.load_suite])
@pytest.mark.parametrize("name", [None, 3, b"lenet5", ["lenet5"], object()])
def test_names_are_texts(load: Any, name: Any) -> None:
    with pytest.raises(InstanceError, match="expected"):
        load(name)


def test_overrides_are_a_mapping() -> None:
    for wrong in ("ou_rows=16", [("ou_rows", 16)], {1: 2}):
        with pytest.raises(InstanceError):
            load_architecture("ou-isaac", wrong)  # type: ignore[arg-type]


def test_what_is_written_is_a_solution(tmp_path: Path, tiny_solution: Solution) -> None:
    with pytest.raises(InstanceError, match="expected a Solution"):
        write_solution({"format": "spatem-solution"}, tmp_path / "s.json")  # type: ignore[arg-type]
    with pytest.raises(InstanceError, match="expected"):
        write_solution(tiny_solution, 3)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())
