"""Who may import whom: read from the source, and tried in fresh interpreters."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import spatem_opt

PACKAGE = Path(spatem_opt.__file__).parent
SOLVERS = {"ortools", "pulp", "highspy"}
EVALUATOR_MAY = {"architecture", "errors", "evaluator", "limits", "network.layers", "solution"}
SEAMS = {"pipeline": "exact steps", "cli.export": "models to files", "cli.import_": "solver answers from files"}
WRITERS = {"write_text", "write_bytes", "to_csv_file", "tofile", "savetxt", "savez", "dump"}
STEPS = ("mapping", "grouping", "replication", "scheduling")
FRONT = {"pipeline", "baselines", "bench", "cli", "report", "evaluator"}


def modules() -> list[tuple[str, Path]]:
    """All modules of the package, dotted within it."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found.append((".".join(p for p in parts if p != "__init__"), path))
    return found


def imports(path: Path, everywhere: bool) -> set[str]:
    """What a module imports; `everywhere` includes functions, without it only what runs on import."""
    found: set[str] = set()
    todo: list[ast.AST] = [ast.parse(path.read_text())]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            module = node.module or ""
            found.add(module)
            found |= {f"{module}.{alias.name}" for alias in node.names}
        typing_only = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        lazy = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if everywhere or not (typing_only or lazy):
            todo.extend(ast.iter_child_nodes(node))
    return found


def internal(path: Path, everywhere: bool = True) -> set[str]:
    """Modules of the package that a module imports, dotted within it."""
    known = {name for name, _ in modules()}
    found = {name.removeprefix("spatem_opt.") for name in imports(path, everywhere) if name.startswith("spatem_opt.")}
    return found & known


def names(package: str) -> list[tuple[str, Path]]:
    """Modules of one sub-package."""
    return [(name, path) for name, path in modules() if name.split(".")[0] == package]


def test_no_module_imports_a_solver() -> None:
    for name, path in modules():
        assert not SOLVERS & {item.split(".")[0] for item in imports(path, everywhere=False)}, name


def test_models_are_called_at_one_seam_only() -> None:
    """``formulations`` stands on this package; only the front end calls it, and only inside functions."""
    for name, path in modules():
        uses = {item for item in imports(path, everywhere=True) if item.split(".")[0] == "formulations"}
        assert not uses or name in SEAMS, name
        assert not any(item.startswith("formulations") for item in imports(path, everywhere=False)), name


@pytest.mark.parametrize("heavy", ["onnx", "typer", "rich", "matplotlib"])
def test_heavy_libraries_stay_where_they_belong(heavy: str) -> None:
    homes = {"onnx": ("network.onnx",), "matplotlib": ("report",)}.get(heavy, ("cli", "report"))
    for name, path in modules():
        if not name.startswith(homes):
            assert heavy not in {item.split(".")[0] for item in imports(path, everywhere=False)}, name


def test_evaluator_shares_only_the_data_types() -> None:
    for name, path in names("evaluator"):
        for used in internal(path):
            assert used.startswith("evaluator") or used in EVALUATOR_MAY or used == "", f"{name} imports {used}"
        outside = {item.split(".")[0] for item in imports(path, everywhere=True)} - set(sys.stdlib_module_names)
        assert outside <= {"numba", "numpy", "spatem_opt"}, name


@pytest.mark.parametrize("step", STEPS)
def test_data_flow_one_way(step: str) -> None:
    """A step may use earlier steps, never later ones nor what stands on the steps."""
    later = set(STEPS[STEPS.index(step) + 1 :]) | FRONT | {"io"}
    for name, path in names(step):
        for used in internal(path):
            assert used.split(".")[0] not in later, f"{name} imports {used}"


@pytest.mark.parametrize("package", ["network", "architecture", "presets", "solution", "errors", "instances", "files"])
def test_data_know_nothing_of_steps(package: str) -> None:
    for name, path in names(package):
        for used in internal(path):
            assert used.split(".")[0] not in {*STEPS, *FRONT, "io", "cost_model"}, f"{name} imports {used}"


def test_nothing_prints_outside_the_command_line() -> None:
    for name, path in modules():
        if not name.startswith("cli"):
            calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
            assert "print" not in {ast.unparse(call.func) for call in calls}, name


def test_every_output_is_written_as_a_whole_or_not_at_all() -> None:
    """By ``files.write_atomically``; a file is opened for writing nowhere else (for appending a line it may be)."""
    for root in (PACKAGE, PACKAGE.parent / "formulations", PACKAGE.parent / "instances"):
        for path in sorted(root.rglob("*.py")):
            calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
            for call in calls:
                name = ast.unparse(call.func).rpartition(".")[2]
                texts = {ast.literal_eval(item) for item in ast.walk(call) if isinstance(item, ast.Constant)}
                opened = name in ("open", "fdopen") and any(
                    isinstance(text, str) and set(text) <= set("rwxabt+") and set(text) & set("wx") for text in texts
                )
                assert path == PACKAGE / "files.py" or (not opened and name not in WRITERS), f"{path}: {name}"


def python(code: str) -> str:
    """Output of a fresh interpreter."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


HEAVY = "{m.split('.')[0] for m in sys.modules} & {'onnx', 'ortools', 'pulp', 'typer', 'rich', 'numpy', 'networkx'}"


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert python(f"import sys, spatem_opt; print({HEAVY})").strip() == "set()"


def test_the_front_end_loads_no_solver_nor_onnx_nor_typer() -> None:
    code = "import sys, spatem_opt\nfor name in spatem_opt.__all__: getattr(spatem_opt, name)\nprint(" + HEAVY + ")"
    assert not {"onnx", "ortools", "pulp", "typer", "rich"} & set(python(code).replace("'", " ").split())


def test_help_loads_no_solver_nor_onnx() -> None:
    code = f"import sys\nfrom spatem_opt.cli import main\nmain(['--help'])\nprint('LOADED', {HEAVY})"
    loaded = python(code).split("LOADED")[1]
    assert "typer" in loaded
    assert not any(name in loaded for name in ("onnx", "ortools", "pulp"))


@pytest.mark.parametrize("order", ["formulations, spatem_opt", "spatem_opt, formulations"])
def test_both_orders_of_import(order: str) -> None:
    python(f"import {order}\nspatem_opt.Architecture()")


def formulation_modules() -> list[str]:
    """All modules of ``formulations``."""
    root = PACKAGE.parent / "formulations"
    paths = (path.relative_to(root.parent).with_suffix("").parts for path in sorted(root.rglob("*.py")))
    return [".".join(part for part in parts if part != "__init__") for parts in paths]


@pytest.mark.parametrize("first", [True, False])
def test_every_formulation_in_both_orders(first: bool) -> None:
    """Import cycles show up only in one order, so each is tried in an interpreter of its own."""
    lines = "\n".join(f"import {name}" for name in formulation_modules())
    python(f"{lines}\nimport spatem_opt" if first else f"import spatem_opt.pipeline\n{lines}")


def test_public_names_are_documented_and_complete() -> None:
    assert set(spatem_opt.__all__) == set(spatem_opt._HOME)
    assert set(spatem_opt.__all__) <= set(dir(spatem_opt))
    for name in spatem_opt.__all__:
        assert getattr(spatem_opt, name).__doc__, name


def test_unknown_attribute() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'oops'"):
        spatem_opt.oops  # noqa: B018
