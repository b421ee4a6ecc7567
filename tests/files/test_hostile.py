"""No small file takes the machine down, and none breaks a reader: in processes of their own, under a memory limit."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from spatem_opt.errors import LONGEST_LINE, InstanceError, one_line
from spatem_opt.evaluator import evaluate
from spatem_opt.exchange.solutions import read_solution, write_solution
from spatem_opt.exchange.values import read as read_values
from spatem_opt.files import access
from spatem_opt.limits import LIMITS, Totals, check_size, reading
from spatem_opt.model.presets import load_architecture
from spatem_opt.network import from_onnx, load
from spatem_opt.study import bench
from tests.evaluator.hand import pipeline
from tests.files.hostile import CASES, HUGE, N, W, ints, onnx_case, solution_case

GIGABYTES = "3"
ROOT = Path(__file__).parents[2]


def process(module: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", f"tests.files.{module}", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)


def test_sizes_are_refused_before_memory_is_taken(tmp_path: Path) -> None:
    """The named cases took 9 GiB to 44 TiB. A MemoryError would be a message as well, but without a limit in it."""
    done = process("hostile", tmp_path, GIGABYTES)
    assert done.returncode == 0, done.stderr
    told = dict(line.split("\t") for line in done.stdout.splitlines())
    assert told.keys() == CASES.keys()
    for name, message in told.items():
        expected = "unknown values" if name in ("onnx: range", "onnx: tile") else "expected <= |expected within|1 ... "
        assert any(part in message for part in expected.split("|")), f"{name}: {message}"
        assert len(message) <= 300, name


def fuzzed(folder: Path, seed: int, count: int) -> None:
    done = process("fuzz", folder, GIGABYTES, seed, count)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    lines = done.stdout.splitlines()
    assert len(lines) == 6
    assert all(line.split(": ")[1].split(" ")[0] != "0" for line in lines), "nothing was taken: too wild"


def test_changed_files_are_read_or_refused_in_one_line(tmp_path: Path) -> None:
    fuzzed(tmp_path, 18, 120)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_many_changed_files(tmp_path: Path, seed: int) -> None:
    fuzzed(tmp_path, seed, 1000)


# --- one line ---------------------------------------------------------------------------------------------------------


def test_messages_are_one_printable_line_of_bounded_length() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    values = ("\n\x1b[31m", "x" * 10**6, ["a"] * 10**5, 10**5000, deep, b"\0" * 400, "\ud800")
    for value in values:
        for where, field, rule in (
            ("f\n" * 300, "a\tb" * 300, "r" * 900),
            ("file", "", "rule"),
            ("file", "key", "rule"),
        ):
            text = str(InstanceError(where, field, value, rule))
            assert len(text) <= LONGEST_LINE
            assert text.isprintable()
            assert text.startswith(where[:1])


def test_short_messages_are_as_they_were() -> None:
    assert str(InstanceError("layer 'a'", "stride", 0, "expected >= 1")) == "layer 'a': stride = 0, expected >= 1"
    assert one_line("a name") == "a name"


def test_a_long_name_keeps_the_value_and_the_rule() -> None:
    text = str(InstanceError("f.json: nodes[3] " + "n" * 400, "kernel", 7, "expected <= 5"))
    assert text.endswith("kernel = 7, expected <= 5")
    assert text.startswith("f.json: nodes[3] n")


def test_errors_survive_processes() -> None:
    import pickle

    error = InstanceError("file", "key", [1], "rule")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.field, again.value) == (str(error), "key", [1])


# --- limits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", LIMITS)
def test_a_limit_is_the_last_size_taken(kind: str) -> None:
    assert check_size("x", "n", LIMITS[kind], kind) == LIMITS[kind]
    with pytest.raises(InstanceError, match=f"n = {LIMITS[kind] + 1}, expected <= {LIMITS[kind]} "):
        check_size("x", "n", LIMITS[kind] + 1, kind)


def test_many_nodes_below_the_limit_are_counted_together() -> None:
    totals = Totals()
    totals.add("a", LIMITS["pixels of all nodes"] - 1)
    totals.add("b", 1)
    with pytest.raises(InstanceError, match="pixels of all nodes"):
        totals.add("c", 1)


def test_a_zipped_file_is_not_unzipped_beyond_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import gzip

    (tmp_path / "bomb.json.gz").write_bytes(gzip.compress(b" " * 10**6))
    monkeypatch.setitem(LIMITS, "bytes of a file", 10**5)
    with pytest.raises(InstanceError, match=r"bomb.json.gz: too long, expected <= 100000"):
        access.read_json(tmp_path / "bomb.json.gz")


@pytest.mark.parametrize("error", [IndexError, KeyError, RecursionError, OverflowError, MemoryError, TypeError])
def test_the_last_line_behind_the_readers(error: type[Exception]) -> None:
    with pytest.raises(InstanceError, match=rf"f: cannot be read \({error.__name__}: .*oops.*, expected a thing"), \
            reading("f", "a thing"):  # fmt: skip
        raise error("oops")
    with pytest.raises(InstanceError, match="own"), reading("f", "a thing"):
        raise InstanceError("own", "", "", "")


# --- cases of the kinds -----------------------------------------------------------------------------------------------


def test_a_rectangle_beyond_a_parallel_window_grid(tmp_path: Path) -> None:
    """It was an IndexError in the summaries; reading takes it, and the evaluator names the row."""

    def change(data: dict[str, Any]) -> None:
        data["mapping"]["scheme"][0], data["mapping"]["pw"][0] = "parallel-window", 2
        data["placement"]["row_start"][0] = 50

    found: Any = solution_case(change)(tmp_path)
    assert any("placement: rows 50 to 1" in violation.message for violation in found.violations)


def refused(tmp_path: Path, model: onnx.ModelProto) -> str:
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(InstanceError) as error:
        from_onnx(tmp_path / "m.onnx")
    return str(error.value)


def with_functions(bodies: dict[str, list[str]], call: str) -> onnx.ModelProto:
    """A model of functions that call functions one after the other."""
    ops = [helper.make_opsetid("", 13), helper.make_opsetid("f", 1)]
    functions = []
    for name, callees in bodies.items():
        steps = ["in", *(f"t{i}" for i in range(len(callees) - 1)), "out"]
        nodes = [N(c, [steps[i]], [steps[i + 1]], domain="f" if c in bodies else "") for i, c in enumerate(callees)]
        functions.append(helper.make_function("f", name, ["in"], ["out"], nodes, ops))
    graph = helper.make_graph(
        [N(call, ["x"], ["z"], domain="f"), N("Conv", ["z", "w"], ["y"])], "g",
        [helper.make_tensor_value_info("x", 1, (1, 2, 6, 6))], [helper.make_tensor_value_info("y", 1, None)], [W],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=ops, functions=functions, ir_version=8)


def test_functions(tmp_path: Path) -> None:
    assert "function = 'a', calls itself" in refused(tmp_path, with_functions({"a": ["b"], "b": ["a"]}, "a"))
    doubling = {f"f{i}": [f"f{i + 1}"] * 2 if i < 40 else ["Relu"] for i in range(41)}
    assert f"expected <= {LIMITS['nodes']} (nodes)" in refused(tmp_path, with_functions(doubling, "f0"))
    chain = {f"f{i}": [f"f{i + 1}"] if i < 200 else ["Relu"] for i in range(201)}
    assert "expected calls at most 64 deep" in refused(tmp_path, with_functions(chain, "f0"))
    (tmp_path / "m.onnx").write_bytes(with_functions({"a": ["b", "Relu"], "b": ["Relu"]}, "a").SerializeToString())
    assert [node.fused_ops for node in from_onnx(tmp_path / "m.onnx").nodes] == [2 * 72, 0]


def test_unknown_data_type(tmp_path: Path) -> None:
    model = helper.make_model(helper.make_graph(
        [N("Conv", ["x", "w"], ["y"])], "g", [helper.make_tensor_value_info("x", 1, (1, 2, 6, 6))],
        [helper.make_tensor_value_info("y", 1, None)], [W]), opset_imports=[helper.make_opsetid("", 13)], ir_version=8,
    )  # fmt: skip
    model.graph.initializer[0].data_type = 99
    assert "expected an ONNX model" in refused(tmp_path, model)


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([N("Concat", ["x", "x"], ["y"], axis=4)], r"'y' \(Concat\): axis = 4, expected -4 ... 3"),
        ([N("Concat", ["x", "f"], ["y"], axis=1), N("Flatten", ["x"], ["f"])], "expected 4 dimensions each"),
        ([N("Gather", ["x", "i"], ["y"], axis=1)], r"indices = \[9\], expected within 0 ... 1"),
        ([N("Split", ["x"], ["y"], axis=-5)], "axis = -5"),
        ([N("Flatten", ["x"], ["y"], axis=7)], "axis = 7"),
        ([N("Concat", ["w", "w"], ["c"], axis=9), N("Conv", ["x", "c"], ["y"])], "axis"),
    ],
)
def test_axes(tmp_path: Path, nodes: list[Any], message: str) -> None:
    with pytest.raises(InstanceError, match=message):
        onnx_case(nodes, extra=[ints("i", 9)])(tmp_path)


def test_weights_in_parts_are_not_put_together(tmp_path: Path) -> None:
    """Only the shape of long constants is known: two halves of 2^36 weights each make one of 2^37."""
    half = W.__class__()
    half.CopyFrom(W)
    half.name, half.dims[:] = "half", [2**21, 2, 2**7, 2**7]
    with pytest.raises(InstanceError, match=rf"channels = {2**22 + 2}, expected <= {2**22}"):
        onnx_case([N("Concat", ["half", "half", "more"], ["c"], axis=0), N("Conv", ["x", "c"], ["y"])],
                  (1, 2, 2**7, 2**7), [half, _shaped("more", [2, 2, 2**7, 2**7])])(tmp_path)  # fmt: skip


def _shaped(name: str, shape: list[int]) -> Any:
    found = W.__class__()
    found.CopyFrom(W)
    found.name, found.dims[:] = name, shape
    return found


@pytest.mark.parametrize("reader", [load_architecture, bench.load_suite])
def test_toml_nested_2000_deep(tmp_path: Path, reader: Any) -> None:
    (tmp_path / "deep.toml").write_text("a = " + "[" * 2000 + "]" * 2000)
    with pytest.raises(InstanceError, match=r"deep.toml: not TOML \(nested too deep\)"):
        reader(tmp_path / "deep.toml")


@pytest.mark.parametrize("reader", [load_architecture, bench.load_suite, load, read_solution, from_onnx])
@pytest.mark.parametrize("name", ["n" * 300, "n" * 300 + ".json", "n" * 300 + ".toml", "a\0b.json", "a\nb.toml", ""])
def test_names_that_no_file_can_have(reader: Any, name: str) -> None:
    with pytest.raises(InstanceError) as error:
        reader(name)
    assert str(error.value).isprintable()
    assert len(str(error.value)) <= LONGEST_LINE


@pytest.mark.parametrize("name", ["n" * 300 + ".json", "a\0b.json"])
def test_names_that_no_file_can_get(tmp_path: Path, name: str) -> None:
    with pytest.raises(InstanceError, match="cannot be written"):
        write_solution(pipeline(), f"{tmp_path}/{name}")
    assert not list(tmp_path.iterdir())


# --- values files -----------------------------------------------------------------------------------------------------


def seconds(tmp_path: Path, text: str) -> float:
    model: Any = SimpleNamespace(variables=[SimpleNamespace(name="x")], rows=frozenset())
    (tmp_path / "v.sol").write_text(text)
    begun = time.perf_counter()
    with pytest.raises(InstanceError):
        read_values(tmp_path / "v.sol", model, "m")
    return time.perf_counter() - begun


@pytest.mark.parametrize("unit", ["\n", " \n", "\t\r\n", "a: [\n", "1" * 100, "x - objective value   "])
def test_values_files_take_linear_time(tmp_path: Path, unit: str) -> None:
    """Half a megabyte that took minutes (blank lines, lists without end, long numbers) in a blink."""
    assert seconds(tmp_path, unit * (500_000 // len(unit))) < 5


def test_numbers_of_a_response_are_integers(tmp_path: Path) -> None:
    model: Any = SimpleNamespace(variables=[SimpleNamespace(name="x")], rows=frozenset())
    for value, good in (
        ("3", True),
        ('"3"', True),
        ("1.5", False),
        ("true", False),
        ("1e300", False),
        (HUGE**2, False),
    ):
        (tmp_path / "v.json").write_text(f'{{"status": "OPTIMAL", "solution": [{value}]}}')
        if good:
            assert read_values(tmp_path / "v.json", model, "m").values == {"x": 3}
        else:
            with pytest.raises(InstanceError, match=r"not all integers|not JSON"):
                read_values(tmp_path / "v.json", model, "m")


def test_columns_of_other_types() -> None:
    """Lists, short integers, whole floats and views are taken as int64 and evaluated alike; the rest is refused."""
    from dataclasses import replace

    solution, asked = pipeline(), {}
    asked["list"] = solution.placement.crossbar.tolist()
    asked["int32"] = solution.placement.crossbar.astype(np.int32)
    asked["view"] = np.stack([solution.placement.crossbar] * 3).T[:, 1]
    asked["floats"] = solution.placement.crossbar * 1.0
    wanted = evaluate(solution)
    for name, column in asked.items():
        taken = replace(solution, placement=replace(solution.placement, crossbar=column))
        assert taken.placement.crossbar.dtype == np.int64, name
        assert taken.placement.crossbar.flags.c_contiguous, name
        assert evaluate(taken).communication == wanted.communication, name
    for bad in ([0.5, 1.0], [True, False], [None, 1], np.array([0, 2], object), [[1], [1, 2]], [2**64, 0], "ab", None):
        with pytest.raises(InstanceError, match=r"placement: crossbar = .*expected"):
            replace(solution.placement, crossbar=bad)  # type: ignore[arg-type]
