"""Small valid files of every kind, changed at random: a reader gives a result or one line. Run as a script."""

from __future__ import annotations

import json
import resource
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx

from spatem_opt.errors import InstanceError
from spatem_opt.evaluator import evaluate
from spatem_opt.exchange.solutions import read_solution, write_solution
from spatem_opt.exchange.values import read as read_values
from spatem_opt.files import shipped
from spatem_opt.model.presets import load_architecture
from spatem_opt.network import Builder, from_onnx, load, to_json
from spatem_opt.study import bench
from tests.evaluator.generate import solution as random_solution
from tests.files.hostile import N, W, helper, ints

Rng = np.random.Generator
NASTY: tuple[Any, ...] = (
    0, -1, 1, 2, 3, 7, 255, 2**16, 2**31, -(2**31), 2**53, 2**63, -(2**63), 2**64, 10**30, 1.5, -0.0, 1e308, True, None,
    "", "a", "x" * 300, "line\nbreak\x1b[31m\u202e", [], {}, [[]], [1], {"a": 1}, [[0, 0, 1]], [1, 2, 3], "full",
    "parallel-window", "kernel-split", "window", "table", "transposed", "digital", "crossbar", "input",
)  # fmt: skip
Make = Callable[[Rng, Path], object]


def nasty(rng: Rng) -> Any:
    """A value that nobody expects, or a small number that somebody might."""
    return NASTY[int(rng.integers(len(NASTY)))] if rng.random() < 0.7 else int(rng.integers(-3, 40))


def places(data: Any) -> list[tuple[Any, Any]]:
    """All (container, key) of a JSON value."""
    found, todo = [], [data]
    while todo:
        item = todo.pop()
        keys = list(item) if isinstance(item, dict) else range(len(item)) if isinstance(item, list) else []
        found += [(item, key) for key in keys]
        todo += [item[key] for key in keys]
    return found


def changed(rng: Rng, data: Any) -> Any:
    """One to three members replaced, removed, repeated or swapped."""
    for _ in range(int(rng.integers(1, 4))):
        some = places(data)
        item, key = some[int(rng.integers(len(some)))]
        kind = rng.choice(5, p=(0.1, 0.1, 0.45, 0.15, 0.2))
        if kind == 0:
            del item[key]
        elif kind == 1 and isinstance(item, list):
            item += item[key:] * int(rng.integers(1, 3))
        elif kind == 2 and isinstance(item[key], int) and not isinstance(item[key], bool):
            item[key] += int(rng.integers(-2, 3))
        elif kind == 3:
            other, name = some[int(rng.integers(len(some)))]
            if name in other if isinstance(other, dict) else name < len(other):
                item[key] = json.loads(json.dumps(other[name]))
        else:
            item[key] = nasty(rng)
        if not places(data):
            break
    return data


def spoilt(rng: Rng, data: bytes) -> bytes:
    """Bytes flipped, cut out, repeated or cut off."""
    text = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        at, size = int(rng.integers(len(text) or 1)), int(rng.integers(1, 9))
        kind = rng.integers(4)
        if kind == 0 and text:
            text[at] = int(rng.integers(256))
        elif kind == 1:
            del text[at : at + size]
        elif kind == 2:
            text[at:at] = text[at : at + size] * int(rng.integers(1, 400))
        elif rng.random() < 0.2:
            del text[at:]
    return bytes(text)


def dump(rng: Rng, data: Any) -> bytes:
    """A JSON file, now and then with spoilt bytes as well."""
    text = json.dumps(data).encode()
    return spoilt(rng, text) if rng.random() < 0.15 else text


def network_file(rng: Rng, folder: Path) -> object:
    """A network with a convolution, a transposed one, a pool, a concatenation and a classifier."""
    b = Builder("fuzz")
    x = b.input(2, 6, 6)
    y = b.concat([b.conv(x, 2, 3, stride=2, pads=1), b.pool(x, "max", 2, 2)])
    b.fc(b.conv_transpose(y, 2, 2, stride=2), 3)
    (folder / "n.json").write_bytes(dump(rng, changed(rng, json.loads(json.dumps(to_json(b.build()))))))
    return load(folder / "n.json")


def onnx_file(rng: Rng, folder: Path) -> object:
    """A graph with most kinds of operators; attributes, shapes and types changed, or bytes spoilt."""
    nodes = [
        N("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1], strides=[1, 1], dilations=[1, 1], group=1),
        N("MaxPool", ["a"], ["b"], kernel_shape=[2, 2], strides=[2, 2]),
        N("Concat", ["b", "b"], ["c"], axis=1), N("Slice", ["c", "i0", "i4", "i1"], ["d"]),
        N("Transpose", ["d"], ["e"], perm=[0, 2, 3, 1]), N("Transpose", ["e"], ["f"], perm=[0, 3, 1, 2]),
        N("Resize", ["f", "", "", "s"], ["g"], mode="nearest"), N("Pad", ["g", "p"], ["h"]),
        N("ReduceMean", ["h"], ["m"], axes=[2, 3], keepdims=1), N("Flatten", ["m"], ["n"], axis=1),
        N("Unsqueeze", ["n", "i1"], ["o"]), N("Squeeze", ["o", "i1"], ["q"]), N("Split", ["q"], ["r", "t"], axis=1),
        N("Concat", ["r", "t"], ["u"], axis=-1), N("Gather", ["u", "i4"], ["v"], axis=1),
        N("Reshape", ["u", "k"], ["y"]),
    ]  # fmt: skip
    constants = [W, ints("i0", 0), ints("i4", 2), ints("i1", 1), ints("s", 1, 2, 6, 6),
                 ints("p", 0, 0, 1, 1, 0, 0, 1, 1), ints("k", 1, -1)]  # fmt: skip
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, (1, 2, 6, 6))],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)], constants,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    data = model.SerializeToString()
    if rng.random() < 0.3:
        data = spoilt(rng, data)
    else:
        for _ in range(int(rng.integers(1, 4))):
            _change_graph(rng, model.graph)
        data = model.SerializeToString()
    (folder / "n.onnx").write_bytes(data)
    return from_onnx(folder / "n.onnx")


def _change_graph(rng: Rng, graph: Any) -> None:
    """One attribute, operator, operand, shape, type or constant of an ONNX graph is another one."""
    node = graph.node[int(rng.integers(len(graph.node)))]
    number = max(-(2**63), min(int(nasty_number(rng)), 2**63 - 1))
    kind = rng.integers(7)
    if kind == 0 and node.attribute:
        found = node.attribute[int(rng.integers(len(node.attribute)))]
        if found.ints:
            found.ints[int(rng.integers(len(found.ints)))] = number
        found.i = number
    elif kind == 1:
        node.op_type = graph.node[int(rng.integers(len(graph.node)))].op_type
    elif kind == 2 and node.input:
        names = [name for other in graph.node for name in (*other.input, *other.output)]
        node.input[int(rng.integers(len(node.input)))] = names[int(rng.integers(len(names)))]
    elif kind == 3:
        graph.input[0].type.tensor_type.shape.dim[int(rng.integers(4))].dim_value = number
    elif kind == 4:
        graph.initializer[int(rng.integers(len(graph.initializer)))].data_type = int(rng.integers(0, 100))
    elif kind == 5:
        tensor = graph.initializer[int(rng.integers(len(graph.initializer)))]
        tensor.dims[int(rng.integers(len(tensor.dims)))] = number
    else:
        tensor = graph.initializer[int(rng.integers(1, len(graph.initializer)))]
        tensor.raw_data = np.array([number] * max(1, len(tensor.raw_data) // 8), np.int64).tobytes()


def nasty_number(rng: Rng) -> float:
    """A nasty value that is a number, or a small one."""
    found = nasty(rng)
    return found if isinstance(found, int | float) else int(rng.integers(-3, 40))


def solution_file(rng: Rng, folder: Path) -> object:
    """A random valid solution, read and evaluated."""
    write_solution(random_solution(int(rng.integers(2**32))), folder / "s.json")
    data = changed(rng, json.loads((folder / "s.json").read_text()))
    (folder / "s.json").write_bytes(dump(rng, data))
    return evaluate(read_solution(folder / "s.json"))


def chip_file(rng: Rng, folder: Path) -> object:
    """A shipped chip's TOML file, spoilt."""
    names = sorted((shipped.root() / "architectures").glob("*.toml"))
    (folder / "c.toml").write_bytes(spoilt(rng, names[int(rng.integers(len(names)))].read_bytes()))
    return load_architecture(folder / "c.toml")


def suite_file(rng: Rng, folder: Path) -> object:
    """A shipped suite, spoilt."""
    names = sorted((shipped.root() / "suites").glob("*.toml"))
    (folder / "s.toml").write_bytes(spoilt(rng, names[int(rng.integers(len(names)))].read_bytes()))
    return bench.load_suite(folder / "s.toml")


def values_file(rng: Rng, folder: Path) -> object:
    """Values of five variables in one of the formats, spoilt."""
    names = [f"x{i}" for i in range(5)]
    plain = "".join(f"{name} {int(rng.integers(9))}\n" for name in names)
    forms = (plain, f"# Solution for model m\n# Objective value = 4\n{plain}",
             f"Optimal - objective value 4.0\n{plain}",
             "Model status\nOptimal\n\n# Primal solution values\nFeasible\nObjective 4\n"
             f"# Columns 5\n{plain}# Rows 0\n",
             f"solution status: optimal\nobjective value: 4\n{plain}",
             "solution: [1, 2, 3, 4, 5]\nobjective_value: 4\nstatus: OPTIMAL\n",
             json.dumps({"status": "OPTIMAL", "solution": ["1", "2", "3", "4", "5"], "objectiveValue": 4}))  # fmt: skip
    (folder / "v.sol").write_bytes(spoilt(rng, forms[int(rng.integers(len(forms)))].encode()))
    model: Any = SimpleNamespace(variables=[SimpleNamespace(name=name) for name in names], rows=frozenset({"row"}))
    return read_values(folder / "v.sol", model, "m")


KINDS: dict[str, Make] = {
    "network": network_file, "onnx": onnx_file, "solution": solution_file, "chip": chip_file, "suite": suite_file,
    "values": values_file,
}  # fmt: skip


def fault(make: Make, rng: Rng, folder: Path) -> tuple[str, str | None]:
    """How reading ended, ``taken`` or ``refused``, and what is wrong with that, if anything."""
    try:
        make(rng, folder)
    except InstanceError as error:
        text = str(error)
        wrong = len(text) > 300 or not text.isprintable() or "MemoryError" in text
        return "refused", f"message: {text!r}" if wrong else None
    except Exception:
        return "broken", traceback.format_exc(limit=-3)
    return "taken", None


def main(folder: str, gigabytes: str, seed: str, count: str, *kinds: str) -> int:
    """Run `count` cases of each kind; print a line per kind, and every fault with what brings it back."""
    limit = int(float(gigabytes) * 2**30)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    faults = 0
    warnings.simplefilter("ignore")
    for kind in kinds or KINDS:
        ends, begun = {"taken": 0, "refused": 0, "broken": 0}, time.monotonic()
        for number in range(int(count)):
            end, wrong = fault(KINDS[kind], np.random.default_rng((int(seed), number)), Path(folder))
            ends[end] += 1
            faults += wrong is not None
            if wrong is not None:
                sys.stdout.write(f"FAULT {kind} seed {seed} case {number}: {wrong}\n")
        counts = ", ".join(f"{n} {end}" for end, n in ends.items())
        sys.stdout.write(f"{kind}: {counts}, {time.monotonic() - begun:.1f} s\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
