"""Who may import whom: all rooms and all arrows, read from the source, and tried in fresh interpreters."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import spatem_opt

PACKAGE = Path(spatem_opt.__file__).parent
SOLVERS = {"ortools", "pulp", "highspy"}
EVALUATOR_MAY = {"model.architecture", "model.solution", "network.layers", "errors", "limits", "types"}
"""Modules outside its room that the evaluator may know: data types, nothing that computes."""
MODELS_FROM = {"exact", "exchange"}
"""Rooms that ask the models."""

ROOMS: dict[str, set[str]] = {
    "errors": set(),
    "types": set(),
    "version": set(),
    "limits": {"errors"},
    "files": {"errors", "limits"},
    "network": {"errors", "types", "limits", "files"},
    "model": {"errors", "types", "limits", "files", "network"},
    "cost": {"errors", "types", "limits", "network", "model"},
    "evaluator": {"errors", "types", "limits", "network", "model"},
    "grouping": {"errors", "types", "cost"},
    "mapping": {"types", "network", "model", "cost"},
    "replication": {"errors", "types", "network", "model", "cost", "grouping"},
    "placement": {"types", "network", "model", "cost", "grouping", "replication"},
    "scheduling": {"errors", "types", "network", "model", "cost", "replication"},
    "formulations": {
        "errors", "types", "network", "model", "cost", "evaluator", "grouping", "mapping", "replication",
        "scheduling",
    },
    "planning": {
        "errors", "types", "files", "network", "model", "cost", "grouping", "mapping", "replication", "placement",
        "scheduling",
    },
    "exchange": {
        "errors", "types", "version", "limits", "files", "network", "model", "cost", "grouping", "mapping",
        "replication", "scheduling", "formulations", "planning",
    },
    "search": {
        "errors", "limits", "network", "model", "cost", "evaluator",
        "replication",  # windows in turn to the copies of somebody's own placement
        "scheduling", "planning",
    },
    "testing": {
        "errors", "types", "network", "model", "cost", "evaluator", "grouping", "mapping", "replication", "scheduling",
        "planning", "search",  # a planner is checked by what the search makes of its plans
    },
    "exact": {
        "errors", "types", "network", "model", "cost", "evaluator", "grouping", "mapping", "replication",
        "scheduling", "formulations", "planning", "search",
    },
    "front_end": {
        "errors", "limits", "files", "network", "model", "cost", "evaluator", "mapping", "planning", "search",
        "exact",
    },
    "study": {
        "errors", "version", "limits", "files", "network", "model", "cost", "evaluator", "mapping",
        "planning", "exchange", "search", "front_end",
    },
    "report": {"errors", "types", "version", "files", "network", "model", "cost", "evaluator", "study"},
    "cli": {
        "errors", "version", "files", "network", "model", "evaluator", "mapping", "exchange", "search",
        "front_end", "study", "report",
    },
}  # fmt: skip
"""Every room, from the ground up, and the rooms that it may import; ``formulations`` is one room. An arrow that is not
here is a decision: add it in the same commit, with the reason, and never upwards."""


def files() -> dict[str, Path]:
    """All modules of both packages, by their dotted names."""
    found = {}
    for package in ("spatem_opt", "formulations"):
        root = PACKAGE.parent
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(part for part in parts if part != "__init__")] = path
    return found


FILES = files()


def imports(path: Path, everywhere: bool) -> set[str]:
    """What a module imports; `everywhere` includes functions and types, without it only what runs on import."""
    found: set[str] = set()
    todo: list[ast.AST] = [ast.parse(path.read_text())]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            module = node.module or ""
            inside = {f"{module}.{alias.name}" for alias in node.names} & set(FILES)
            found |= inside
            if len(inside) < len(node.names):
                found.add(module)
        typing_only = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        lazy = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if everywhere or not (typing_only or lazy):
            todo.extend(ast.iter_child_nodes(node))
    return found


def room(module: str) -> str:
    """The room of a module: a folder or a file of ``spatem_opt``, or ``formulations``."""
    first, *rest = module.split(".")
    return rest[0] if first == "spatem_opt" and rest else first


def arrows() -> dict[tuple[str, str], set[str]]:
    """All arrows between rooms, and the imports that draw them; the facade ``spatem_opt`` itself is left out."""
    found: dict[tuple[str, str], set[str]] = {}
    for module, path in FILES.items():
        for used in imports(path, everywhere=True):
            ends = room(module), room(used)
            if used in FILES and module != "spatem_opt" and ends[0] != ends[1]:
                found.setdefault(ends, set()).add(f"{module} imports {used}")
    return found


def modules(of: str) -> list[tuple[str, Path]]:
    """Modules of one room, without ``spatem_opt.``."""
    return [(name.removeprefix("spatem_opt."), path) for name, path in FILES.items() if room(name) == of]


def test_the_table_has_every_room() -> None:
    assert {room(module) for module in FILES} - {"spatem_opt"} == set(ROOMS)


def test_only_arrows_of_the_table() -> None:
    extra = [line for (here, there), lines in arrows().items() for line in lines if there not in ROOMS[here]]
    assert not extra, extra


def test_the_table_has_no_arrow_that_nobody_needs() -> None:
    drawn = set(arrows())
    assert not [(here, there) for here, may in ROOMS.items() for there in may if (here, there) not in drawn]


def test_arrows_go_down_only() -> None:
    """The table is in an order in which every room stands on those before it: no circles."""
    seen: set[str] = set()
    for name, may in ROOMS.items():
        assert may <= seen, f"{name} imports {may - seen}"
        seen.add(name)
    assert set(TopologicalSorter(ROOMS).static_order()) == set(ROOMS)


def test_nobody_imports_the_facade() -> None:
    """``spatem_opt`` itself loads everything on demand; inside, modules are imported from their rooms."""
    for module, path in FILES.items():
        assert "spatem_opt" not in imports(path, everywhere=True), module


def test_no_module_imports_a_solver() -> None:
    for name, path in FILES.items():
        if name.startswith("spatem_opt"):
            assert not SOLVERS & {item.split(".")[0] for item in imports(path, everywhere=False)}, name


def test_models_are_loaded_on_demand() -> None:
    """What runs on ``import spatem_opt`` and its front end loads no model: only the rooms that ask the models do."""
    for name, path in FILES.items():
        if name.startswith("spatem_opt") and room(name) not in MODELS_FROM:
            used = {room(item) for item in imports(path, everywhere=False) if item in FILES}
            assert not used & {"formulations", "exact"}, name


@pytest.mark.parametrize("heavy", ["onnx", "typer", "rich", "matplotlib"])
def test_heavy_libraries_stay_where_they_belong(heavy: str) -> None:
    homes = {"onnx": ("spatem_opt.network.onnx",), "matplotlib": ("spatem_opt.report",)}.get(
        heavy, ("spatem_opt.cli", "spatem_opt.report")
    )
    for name, path in FILES.items():
        if not name.startswith(homes):
            assert heavy not in {item.split(".")[0] for item in imports(path, everywhere=False)}, name


def test_evaluator_shares_only_the_data_types() -> None:
    for name, path in modules("evaluator"):
        for used in imports(path, everywhere=True):
            inside = used.removeprefix("spatem_opt.")
            known = used in FILES
            assert not known or inside.startswith("evaluator") or inside in EVALUATOR_MAY, f"{name} imports {used}"
        outside = {item.split(".")[0] for item in imports(path, everywhere=True)} - set(sys.stdlib_module_names)
        assert outside <= {"numba", "numpy", "spatem_opt"}, name


def test_evaluator_takes_types_but_no_sentinels() -> None:
    """A wrong sentinel in the shared file must not blind the evaluator as well."""
    for name, path in modules("evaluator"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == "spatem_opt.types":
                assert all(alias.name.endswith("Array") for alias in node.names), name


def test_nothing_prints_outside_the_command_line() -> None:
    for name, path in FILES.items():
        if room(name) != "cli":
            calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
            assert "print" not in {ast.unparse(call.func) for call in calls}, name


def test_no_public_class_has_the_name_of_another() -> None:
    seen: dict[str, str] = {}
    for module, path in FILES.items():
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                assert node.name not in seen, f"{node.name} in {module} and {seen[node.name]}"
                seen[node.name] = module


def test_every_room_says_what_it_is_for() -> None:
    for name in ROOMS:
        path = PACKAGE / name / "__init__.py"
        if path.exists():
            assert (ast.get_docstring(ast.parse(path.read_text())) or "").strip(), name


WRITERS = {"write_text", "write_bytes", "to_csv_file", "tofile", "savetxt", "savez", "dump"}


def writes(call: ast.Call) -> bool:
    """Whether a call writes a file anew (appending a line to one is allowed)."""
    name = ast.unparse(call.func).rpartition(".")[2]
    texts = {ast.literal_eval(item) for item in ast.walk(call) if isinstance(item, ast.Constant)}
    opened = name in ("open", "fdopen") and any(
        isinstance(text, str) and set(text) <= set("rwxabt+") and set(text) & set("wx") for text in texts
    )
    return opened or name in WRITERS


def test_every_output_is_written_as_a_whole_or_not_at_all() -> None:
    """By ``files.access.write_atomically``; a file is opened for writing nowhere else."""
    for root in (PACKAGE, PACKAGE.parent / "formulations", PACKAGE.parent / "instances"):
        for path in sorted(root.rglob("*.py")):
            calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
            assert path == PACKAGE / "files" / "access.py" or not any(map(writes, calls)), path


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


@pytest.mark.parametrize("first", [True, False])
def test_every_formulation_in_both_orders(first: bool) -> None:
    """Import cycles show up only in one order, so each is tried in an interpreter of its own."""
    lines = "\n".join(f"import {name}" for name in FILES if room(name) in {"formulations", *MODELS_FROM})
    python(f"{lines}\nimport spatem_opt" if first else f"import spatem_opt.front_end\n{lines}")


def test_public_names_are_documented_and_complete() -> None:
    assert set(spatem_opt.__all__) == set(spatem_opt._HOME)
    assert set(spatem_opt.__all__) <= set(dir(spatem_opt))
    for name in spatem_opt.__all__:
        assert getattr(spatem_opt, name).__doc__, name


def test_public_names_are_no_modules() -> None:
    """A module of the same name would take a function's place once it is imported."""
    for name in spatem_opt.__all__:
        assert f"spatem_opt.{name}" not in FILES, name


def test_unknown_attribute() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'oops'"):
        spatem_opt.oops  # noqa: B018
