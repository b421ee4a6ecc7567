"""Models for other solvers: written, solved from the file alone, read back; and everything that must be refused."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from formulations.solver import Limits, highs_accepted, run_cpsat, run_pulp
from spatem_opt.errors import InstanceError
from spatem_opt.exchange.cases import Options, case
from spatem_opt.exchange.model_files import Import, export, import_values
from spatem_opt.exchange.models import CpsatModel, PulpModel
from spatem_opt.exchange.values import TOLERANCE, read
from spatem_opt.model.architecture import Architecture
from spatem_opt.model.result import Status
from spatem_opt.network import load
from spatem_opt.network.builder import Builder
from spatem_opt.network.layers import Network

CHIP = Architecture(name="tiny", mesh_rows=2, mesh_cols=2, tiles_per_router=1, pes_per_tile=1, crossbars_per_pe=4)
LIMITS = Limits(30.0, workers=1)
CASES = {
    "mapping": ("mapping", Options()),
    "grouping": ("grouping", Options(layer="fc")),
    "cuts": ("replication", Options()),
    "run": ("replication", Options(run=0)),
    "scheduling": ("scheduling", Options(chunks=2)),
}
SUFFIXES = (".mps", ".lp", ".pbtxt", ".pb")


def tiny() -> Network:
    """Two convolutions and a fully connected layer."""
    b = Builder("tiny", "made for tests")
    x = b.conv(b.input(2, 5, 5), 4, 3, name="conv")
    x = b.conv(x, 4, 1, name="point")
    b.fc(x, 3, name="fc")
    return b.build()


def write(name: str, path: Path) -> str:
    """Export a case; the model's name."""
    step, options = CASES[name]
    return export(tiny(), CHIP, step, path, options=options).model


def cbc(path: Path) -> str:
    """What CBC's own program writes for an MPS or LP file."""
    import pulp

    program = (getattr(pulp, "PULP_CBC_CMD", None) or pulp.COIN_CMD)(msg=False).path
    out = path.with_suffix(".sol")
    done = subprocess.run([program, str(path), "-branch", "-solution", str(out)], capture_output=True, check=True)
    assert b"read with 0 errors" in done.stdout or path.suffix == ".lp"
    return out.read_text()


def other(path: Path, solver: str = "scip") -> str:
    """Plain lines of a solver that ortools brings along, for an MPS file."""
    from ortools.linear_solver.python import model_builder

    model = model_builder.Model()
    assert model.import_from_mps_file(str(path))
    run = model_builder.Solver(solver)
    assert run.solver_is_supported()
    assert run.solve(model) == model_builder.SolveStatus.OPTIMAL
    return "".join(f"{v.name} {run.value(v)!r}\n" for v in model.get_variables())


def response(path: Path) -> Any:
    """CP-SAT's response to a model file."""
    from google.protobuf import text_format
    from ortools.sat import cp_model_pb2
    from ortools.sat.python import cp_model

    proto = cp_model_pb2.CpModelProto()
    if path.suffix == ".pb":
        proto.ParseFromString(path.read_bytes())
    else:
        text_format.Parse(path.read_text(), proto)
    model = cp_model.CpModel()
    model.proto.parse_text_format(text_format.MessageToString(proto))
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.solve(model)
    return text_format.Parse(str(solver.response_proto), cp_model_pb2.CpSolverResponse())


def solved(path: Path) -> str:
    """Values of an optimum, found from the file alone, as its solver writes them."""
    if path.suffix in (".mps", ".lp"):
        return cbc(path)
    from google.protobuf import json_format, text_format

    answer = response(path)
    return json_format.MessageToJson(answer) if path.suffix == ".pb" else text_format.MessageToString(answer)


def back(path: Path, text: str) -> Import:
    """Read values back."""
    values = path.with_name("values.txt")
    values.write_text(text)
    return import_values(path, values)


def own(name: str, engine: str) -> int:
    """Objective that our own model finds, in the step's unit."""
    step, options = CASES[name]
    made = case(step, tiny(), CHIP, options)
    model = made.build(engine)[0]
    run = run_cpsat(model.model, LIMITS) if isinstance(model, CpsatModel) else run_pulp(model.problem, LIMITS)
    assert run.status is Status.OPTIMAL
    assert run.objective is not None
    return run.objective * made.scale + made.offset


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("name", CASES)
def test_a_solution_of_the_file_comes_back(name: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"model{suffix}"
    write(name, path)
    found = back(path, solved(path))
    assert found.violations == ()
    assert found.objective == own(name, "cpsat" if suffix in (".mps", ".lp") else "ilp")
    assert found.bound <= found.objective
    assert (found.status is Status.OPTIMAL) == (found.bound == found.objective)
    assert found.decisions


@pytest.mark.parametrize("solver", ["scip", "highs"])
@pytest.mark.parametrize("name", ["mapping", "grouping", "cuts", "run"])
def test_other_solvers_read_the_same_model(name: str, solver: str, tmp_path: Path) -> None:
    path = tmp_path / "model.mps"
    write(name, path)
    found = back(path, other(path, solver))
    assert (found.violations, found.objective) == ((), own(name, "cpsat"))


@pytest.mark.skipif(not highs_accepted(), reason="no accepted release of highspy is installed")
@pytest.mark.parametrize("style", [0, 4])
@pytest.mark.parametrize("suffix", [".mps", ".lp"])
@pytest.mark.parametrize("name", CASES)
def test_highs_reads_and_writes(name: str, suffix: str, style: int, tmp_path: Path) -> None:
    """In a process of its own: ortools and highspy do not share one. Styles 0 raw, 4 sparse."""
    path = tmp_path / f"model{suffix}"
    write(name, path)
    out = path.with_suffix(".sol")
    lines = ("import highspy", "h = highspy.Highs()", f"h.readModel({str(path)!r})", "h.run()",
             f"h.writeSolution({str(out)!r}, {style})")  # fmt: skip
    code = "\n".join(lines)
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    found = back(path, out.read_text())
    assert (found.violations, found.objective) == ((), own(name, "ilp"))


def test_the_disjunctive_model_takes_over_where_time_indices_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("formulations.scheduling.ilp.REACH", 0)
    path = tmp_path / "model.mps"
    write("scheduling", path)
    assert "first_" in path.read_text()
    found = back(path, cbc(path))
    assert (found.violations, found.objective) == ((), own("scheduling", "cpsat"))


@pytest.mark.parametrize("suffix", [".mps", ".lp"])
@pytest.mark.parametrize("name", CASES)
def test_names_are_short_and_plain(name: str, suffix: str, tmp_path: Path) -> None:
    step, options = CASES[name]
    model = case(step, tiny(), CHIP, options).build("ilp")[0]
    path = tmp_path / f"model{suffix}"
    assert write(name, path) in path.read_text()
    for text in (*(v.name for v in model.variables), *model.rows):
        assert re.fullmatch(r"[A-Za-z]\w{0,30}", text)
        assert text in path.read_text()


# Values that must be refused.

FIRST_ONE = {
    "mapping": {"assignment"},
    "grouping": {"cover", "shape", "group_pattern", "line_flow", "pieces", "shape_count", "rows", "cols"},
    "cuts": {"cover", "way", "crossbars", "router"},
    "run": {"way"},
    "scheduling": {"once", "horizon", "precedence", "exclusive"},
}


def mutated(suffix: str, text: str) -> str:
    """One value changed: the first 1 to 0, of CP-SAT the last value that is not 0 (of scheduling the makespan)."""
    if suffix == ".mps":
        return re.sub(r"^( *\d+ \w+ +)1( )", r"\g<1>0\g<2>", text, count=1, flags=re.MULTILINE)
    data = orjson.loads(text)
    index = max(i for i, value in enumerate(data["solution"]) if int(value))
    data["solution"][index] = str(int(data["solution"][index]) - 1)
    return orjson.dumps(data).decode()


@pytest.mark.parametrize("suffix", [".mps", ".pb"])
@pytest.mark.parametrize("name", CASES)
def test_one_changed_value_is_refused_with_its_family(name: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"model{suffix}"
    write(name, path)
    text = solved(path)
    assert mutated(suffix, text) != text
    found = back(path, mutated(suffix, text))
    assert found.status is Status.UNKNOWN
    assert (found.objective, found.decisions) == (None, {})
    assert {family for family, _ in found.violations} <= FIRST_ONE[name] | {"objective", "bound"}
    assert {family for family, _ in found.violations} & FIRST_ONE[name]


def test_any_changed_choice_of_a_mapping_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.mps"
    write("mapping", path)
    lines = [line.split() for line in other(path).splitlines()]
    for k, (name, value) in enumerate(lines):
        changed = [*lines[:k], [name, str(1 - round(float(value)))], *lines[k + 1 :]]
        families = {family for family, _ in back(path, "\n".join(map(" ".join, changed))).violations}
        assert "assignment" in families


@pytest.mark.parametrize(("value", "family"), [("2", "bounds"), ("-1", "bounds")])
def test_values_outside_their_bounds(value: str, family: str, tmp_path: Path) -> None:
    path = tmp_path / "model.mps"
    write("mapping", path)
    text = re.sub(r"^x_0_0 .*$", f"x_0_0 {value}", other(path), flags=re.MULTILINE)
    assert [name for name, _ in back(path, text).violations] == [family]


def refusal(path: Path, text: str) -> str:
    """The error that a values file meets."""
    with pytest.raises(InstanceError) as caught:
        back(path, text)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def mapping(tmp_path: Path) -> Path:
    """An exported mapping model."""
    write("mapping", tmp_path / "model.mps")
    return tmp_path / "model.mps"


def test_a_cut_off_file(mapping: Path, tmp_path: Path) -> None:
    lines = other(mapping).splitlines()
    assert "missing, and 0 more" in refusal(mapping, "\n".join(lines[:-1]))
    assert "expected a name and a value" in refusal(mapping, "\n".join([*lines[:-1], lines[-1].split()[0]]))
    text = cbc(mapping)  # leaves out zeros: what is missing shows in the constraints
    assert {"assignment"} <= {
        family for family, _ in back(mapping, text[: len(text) // 2].rpartition("\n")[0]).violations
    }
    for suffix, rule in ((".pb", "not JSON"), (".pbtxt", "values of solution = 2, expected 5")):
        write("mapping", tmp_path / f"model{suffix}")
        text = "\n".join(solved(tmp_path / f"model{suffix}").splitlines()[:3])
        assert rule in refusal(tmp_path / f"model{suffix}", text)
    assert "no values" in refusal(mapping, "\n# nothing\n")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("oops 1", "variable = 'oops', expected one of model mapping_"),
        ("x_0_0 1", "variable = 'x_0_0', expected every variable once"),
        ("x_0_0 1 2 3 4", "expected a name and a value"),
        ("7 x_0_1 one", "x_0_1 = 'one', expected a number"),
        ("x_0_1 0.5", "x_0_1 = 0.5, expected an integer"),
        ("x_0_1 nan", "x_0_1 = nan, expected an integer"),
    ],
)
def test_lines_that_make_no_sense(line: str, message: str, mapping: Path) -> None:
    text = refusal(mapping, f"x_0_0 0\n{line}\n")
    assert f"values.txt: line 2: {message}" in text or f"values.txt: line 2: {line}"[:30] in text
    assert message in text


@pytest.mark.parametrize(
    "text",
    [
        "Integer infeasible - objective value 3.0\n 0 x_0_0 1 0\n",
        "Infeasible - objective value 0.0\n",
        "Stopped on time (no integer solution - continuous used) - objective value 1.5\n",
        "Model status\nInfeasible\n\n# Primal solution values\nNone\n",
        "solution status: infeasible\nno solution available\n",
        "status: INFEASIBLE\n",
        '{"status": "UNKNOWN"}',
    ],
)
def test_files_without_a_solution(text: str, mapping: Path) -> None:
    assert "solution" in refusal(mapping, text)


def test_nearly_integers_are_integers(mapping: Path) -> None:
    lines = [line.split() for line in other(mapping).splitlines()]
    near = "\n".join(f"{name} {float(value) + 0.9 * TOLERANCE}" for name, value in lines)
    assert back(mapping, near).violations == ()
    far = "\n".join(f"{name} {float(value) + 1.5 * TOLERANCE}" for name, value in lines)
    assert "expected an integer" in refusal(mapping, far)


# Formats.


def test_formats_of_solvers(mapping: Path) -> None:
    model = case("mapping", tiny(), CHIP, Options()).build("ilp")[0]
    name = write("mapping", mapping)
    pairs = [line.split() for line in other(mapping).splitlines()]
    pairs = [(v, str(round(float(value)))) for v, value in pairs]
    ones, row = [v for v, value in pairs if value == "1"], sorted(model.rows)[0]
    dense = "".join(f"{v} {value}\n" for v, value in pairs)
    value = model.objective({v: int(n) for v, n in pairs})
    texts = {
        "highs": f"Model status\nOptimal\n\n# Primal solution values\nFeasible\nObjective {value}\n"
        f"# Columns {len(pairs)}\n{dense}# Rows 1\n{row} 3\n\n# Dual solution values\nNone\n# Basis\nHiGHS v1\nNone\n",
        "sparse highs": f"Model status\nOptimal\n\n# Primal solution values\nFeasible\nObjective {value}\n"
        f"# Columns -{len(ones)}\n" + "".join(f"{v} 1 {k}\n" for k, v in enumerate(ones)) + "# Rows 0\n",
        "cbc": f"Optimal - objective value {value}.00000000\n" + f"      0 {row}    1     0\n"
        + "".join(f"{k:7} {v}   1   2.5\n" for k, v in enumerate(ones)),
        "cbc, out of time": f"Stopped on time - objective value {value}.0\n** 0 __dummy 0 0\n"
        + "".join(f"{k:7} {v}   1   2.5\n" for k, v in enumerate(ones)),
        "gurobi": f"# Solution for model {name}\n# Objective value = {value}\n{dense}",
        "scip": f"solution status: optimal solution found\nobjective value:    {value}\n"
        + "".join(f"{v}       1 \t(obj:4)\n" for v in ones),
        "plain": f"# made by hand\n\n{dense}",
    }  # fmt: skip
    for label, text in texts.items():
        mapping.with_suffix(".sol").write_text(text)
        found = read(mapping.with_suffix(".sol"), model, name)
        assert found.values == {v: int(n) for v, n in pairs}, label
        assert found.claim == (None if label == "plain" else value), label
        assert back(mapping, text).violations == (), label


# Another model.


def test_values_of_another_model(mapping: Path, tmp_path: Path) -> None:
    bigger = tmp_path / "bigger.mps"
    export(load("lenet5"), Architecture(), "mapping", bigger)
    assert "expected one of model mapping_" in refusal(mapping, other(bigger))
    assert "missing" in refusal(bigger, other(mapping))
    assert "another model" in refusal(mapping, "# Solution for model mapping_00000000\n" + other(mapping))
    claim = "# Objective value = 1234567\n" + other(mapping)
    assert [family for family, _ in back(mapping, claim).violations] == ["objective"]


def test_a_file_that_is_not_the_exported_one(mapping: Path, tmp_path: Path) -> None:
    values, side = other(mapping), Path(f"{mapping}.json")
    about = orjson.loads(side.read_bytes())
    for key, value, message in (
        ("version", 2, "version = 2, expected 1"),
        ("format", "spatem-result", "format = 'spatem-result'"),
        ("step", "oops", "step = 'oops'"),
        ("options", {"max_excess": 10**9, "layer": None, "run": None, "chunks": None}, "made from it now is"),
        ("network", None, "network"),
    ):
        side.write_bytes(orjson.dumps({**about, key: value}))
        assert message in refusal(mapping, values)
    side.write_bytes(orjson.dumps(about))
    assert back(mapping, values).violations == ()
    mapping.write_text(mapping.read_text().replace("x_0_0", "x_9_9"))
    assert "the file was changed or exchanged" in refusal(mapping, values)
    mapping.unlink()
    assert "cannot be read" in refusal(mapping, values)
    side.unlink()
    assert "cannot be read" in refusal(mapping, values)


@pytest.mark.parametrize(
    ("step", "options", "message"),
    [
        ("oops", Options(), "step = 'oops'"),
        ("grouping", Options(), "layer = None, expected a crossbar layer"),
        ("grouping", Options(layer="pont"), "such as point"),
        ("mapping", Options(layer="conv"), "expected with step grouping"),
        ("grouping", Options(chunks=2), "expected with step scheduling"),
        ("replication", Options(run=9), "run = 9, expected 0.."),
        ("mapping", Options(max_excess=-1), "max-excess = -1, expected >= 0"),
        ("scheduling", Options(chunks=0), "chunks = 0"),
    ],
)
def test_wrong_choices(step: str, options: Options, message: str) -> None:
    with pytest.raises(InstanceError, match=message):
        case(step, tiny(), CHIP, options)


@pytest.mark.parametrize(
    ("path", "format", "message"),
    [("m.txt", None, "ends in .mps or .lp"), ("m.mps", "cpsat", "ends in .pbtxt or .pb"), ("m.mps", "xml", "format")],
)
def test_wrong_names_of_files(path: str, format: str | None, message: str, tmp_path: Path) -> None:
    with pytest.raises(InstanceError, match=message):
        export(tiny(), CHIP, "mapping", tmp_path / path, format=format)
    assert list(tmp_path.iterdir()) == []


def test_numbers_that_files_would_round() -> None:
    import pulp

    problem = pulp.LpProblem("large", pulp.LpMinimize)
    x = problem.add_variable("x", 0, 1, "Integer")
    problem.setObjective(10**13 * x)
    with pytest.raises(InstanceError, match="12 digits"):
        PulpModel(problem, ()).render(".mps", "large")


@pytest.mark.parametrize(
    ("name", "message"),
    [("mapping", "variables = 5"), ("grouping", "variables x"), ("scheduling", "chunks = 2, expected fewer")],
)
def test_models_that_are_too_large(name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("cases", "models"):
        monkeypatch.setattr(f"spatem_opt.exchange.{module}.LARGEST", 4)
    monkeypatch.setattr("formulations.scheduling.ilp.REACH", 0)
    with pytest.raises(InstanceError, match=message):
        write(name, tmp_path / "model.mps")
    assert list(tmp_path.iterdir()) == []
