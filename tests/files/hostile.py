"""Small files that ask for much: each makes a file in a folder and reads it. Run as a script under a memory limit."""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from spatem_opt.errors import InstanceError
from spatem_opt.evaluator import evaluate
from spatem_opt.exchange.solutions import read_solution, write_solution
from spatem_opt.model.presets import load_architecture
from spatem_opt.model.solution import MappingOption, Solution
from spatem_opt.network import from_onnx, load
from tests.evaluator.hand import pipeline

N = helper.make_node
W = numpy_helper.from_array(np.ones((3, 2, 3, 3), np.float32), "w")
HUGE = 2**40
Case = Callable[[Path], object]


def onnx_case(nodes: list[Any], shape: tuple[int, ...] = (1, 2, 6, 6), extra: list[Any] | None = None) -> Case:
    """An ONNX file of one input ``x`` and one output ``y``."""

    def read(folder: Path) -> object:
        graph = helper.make_graph(
            nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], [W, *(extra or [])],
        )  # fmt: skip
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        (folder / "hostile.onnx").write_bytes(model.SerializeToString())
        return from_onnx(folder / "hostile.onnx")

    return read


def ints(name: str, *values: int) -> Any:
    """A constant."""
    return numpy_helper.from_array(np.array(values, np.int64), name)


def network_case(change: Callable[[list[dict[str, Any]]], object]) -> Case:
    """The network file of one 3x3 convolution of 2 x 6 x 6, changed."""

    def read(folder: Path) -> object:
        weights = {"in_channels": 2, "out_channels": 3, "kernel": [3, 3]}
        conv = {"name": "c", "kind": "crossbar", "op": "conv", "shape": [3, 4, 4], "weights": weights,
                "edges": [{"from": [[0, 0, 2]], "rows": {"kernel": 3}}]}  # fmt: skip
        nodes: list[dict[str, Any]] = [{"name": "x", "kind": "input", "op": "input", "shape": [2, 6, 6]}, conv]
        change(nodes)
        data = {"format": "spatem-network", "version": 1, "name": "hostile", "nodes": nodes}
        (folder / "hostile.json").write_text(json.dumps(data))
        return load(folder / "hostile.json")

    return read


def large_map(nodes: list[dict[str, Any]]) -> None:
    """10^6 x 10^6 pixels, read one by one: 5 kB that were 44 TiB."""
    nodes[0]["shape"], nodes[1]["shape"] = [2, 10**6, 10**6], [3, 10**6, 10**6]
    nodes[1]["weights"]["kernel"], nodes[1]["edges"][0] = [1, 1], {"from": [[0, 0, 2]]}


def many_runs(nodes: list[dict[str, Any]]) -> None:
    """One channel read 2^22 times by each of a hundred runs."""
    nodes[1]["edges"][0]["from"] = [[0, 0, 2**22, 0]] * 100


def many_maps(nodes: list[dict[str, Any]]) -> None:
    """A hundred maps, each just below the limit of one."""
    nodes[1:1] = [
        {"name": f"d{i}", "kind": "digital", "op": "resize", "shape": [1, 2**13, 2**13],
         "edges": [{"from": [[0, 0, 1]], "rows": {"kernel": 1, "stride": 0}}]} for i in range(100)
    ]  # fmt: skip


def solution_case(change: Callable[[dict[str, Any]], object]) -> Case:
    """The file of a tiny valid solution, changed; read and evaluated."""

    def read(folder: Path) -> object:
        write_solution(pipeline(), folder / "good.json")
        data = json.loads((folder / "good.json").read_text())
        change(data)
        (folder / "hostile.json").write_text(json.dumps(data))
        return evaluate(read_solution(folder / "hostile.json"))

    return read


def patch(data: dict[str, Any]) -> None:
    """The patch of 2^31 windows that took 8.9 GiB."""
    data["mapping"]["scheme"][0], data["mapping"]["ph"][0] = "parallel-window", 2**31


def chip_of(**fields: int) -> Callable[[dict[str, Any]], None]:
    """Other numbers of the chip."""
    return lambda data: data["architecture"].update(fields)


def patched(folder: Path) -> object:
    """The same patch given by the API, and one within its limit whose tables are not."""
    solution: Solution = pipeline()
    mapping = (MappingOption("parallel-window", "slotted", 2**15, 2), *solution.mapping[1:])
    return evaluate(replace(solution, mapping=mapping))


def chip_file(folder: Path) -> object:
    """A chip of 2^40 tiles."""
    (folder / "hostile.toml").write_text(
        'name = "hostile"\nbase = "ou-isaac"\n'
        + "".join(
            f'{key} = {{ value = {2**20}, unit = "routers", source = "here" }}\n' for key in ("mesh_rows", "mesh_cols")
        )
    )
    return load_architecture(folder / "hostile.toml")


CASES: dict[str, Case] = {
    "onnx: width 2^31": onnx_case([N("Conv", ["x", "w"], ["y"])], (1, 2, 6, 2**31)),
    "onnx: channels 2^40": onnx_case([N("Relu", ["x"], ["y"])], (1, HUGE, 6, 6)),
    "onnx: kernel 2^40": onnx_case([N("MaxPool", ["x"], ["y"], kernel_shape=[HUGE, 1])]),
    "onnx: kernel 2^40, padded": onnx_case([N("MaxPool", ["x"], ["y"], kernel_shape=[HUGE, 1], pads=[HUGE, 0, 0, 0])]),
    "onnx: pads": onnx_case([N("Pad", ["x", "p"], ["y"])], extra=[ints("p", 0, 0, HUGE, 0, 0, 0, 0, 0)]),
    "onnx: resize": onnx_case([N("Resize", ["x", "", "", "s"], ["y"])], extra=[ints("s", 1, 2, HUGE, HUGE)]),
    "onnx: expand": onnx_case([N("Expand", ["x", "s"], ["y"])], (1, 2, 1, 6), [ints("s", 1, 2, HUGE, 6)]),
    "onnx: range": onnx_case(
        [N("Range", ["a", "b", "c"], ["r"]), N("Reshape", ["x", "r"], ["y"])], (1, 2, 6, 6),
        [numpy_helper.from_array(np.array(v), n) for n, v in zip("abc", (0, HUGE, 1), strict=True)]),
    "onnx: tile": onnx_case([N("Tile", ["one", "t"], ["r"]), N("Reshape", ["x", "r"], ["y"])],
                            extra=[ints("one", 1), ints("t", HUGE)]),
    "onnx: doubled 40 times": onnx_case(
        [N("Concat", [f"x{i}" if i else "x"] * 2, [f"x{i + 1}"], axis=1) for i in range(40)]
        + [N("Relu", ["x40"], ["y"])]),
    "onnx: flat and cut": onnx_case(
        [N("Flatten", ["x"], ["f"]), N("Slice", ["f", "a", "b", "i"], ["y"])], (1, 2**20, 2**13, 2**13),
        [ints("a", 0), ints("b", 9), ints("i", 1)]),
    "network: 10^6 x 10^6": network_case(large_map),
    "network: channels": network_case(many_runs),
    "network: many maps": network_case(many_maps),
    "network: kernel": network_case(lambda n: n[1]["edges"][0].update(rows={"kernel": HUGE})),
    "network: full": network_case(lambda n: (n[0].update(shape=[2, 2**20, 1]), n[1].update(shape=[3, 2**20, 1]),
                                             n[1]["edges"][0].update(rows={"kind": "full"}))),
    "solution: patch": solution_case(patch),
    "solution: crossbars": solution_case(chip_of(mesh_rows=2**15, mesh_cols=2**15)),
    "solution: times": solution_case(lambda d: d["schedule"]["end"].__setitem__(1, 2**50)),
    "evaluate: patch": patched,
    "chip: tiles": chip_file,
}  # fmt: skip


def main(folder: str, gigabytes: str) -> int:
    """Run all cases; print one line for each: its name and the message."""
    limit = int(float(gigabytes) * 2**30)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for name, case in CASES.items():
        try:
            case(Path(folder))
            message = "accepted"
        except InstanceError as error:
            message = str(error)
        sys.stdout.write(f"{name}\t{message}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
