"""A step's model as a file with a sidecar that tells what it is of, and a solution of it read back."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson

from formulations.solver import concluded
from spatem_opt.errors import InstanceError, ModelError
from spatem_opt.exchange.cases import ExportCase, Judged, Options, case
from spatem_opt.exchange.models import FORMATS, Model
from spatem_opt.exchange.values import Values, read
from spatem_opt.files.access import check_writable, members, read_json, write_atomically
from spatem_opt.model import architecture as architectures
from spatem_opt.model.architecture import Architecture
from spatem_opt.model.result import Status
from spatem_opt.network import from_json, to_json
from spatem_opt.network.layers import Network
from spatem_opt.version import __version__

KEYS = (
    "format", "version", "model", "sha256", "step", "what", "options", "unit", "bound", "scale", "offset",
    "variables", "constraints", "made_by", "architecture", "network",
)  # fmt: skip
"""What a sidecar holds."""


@dataclass(frozen=True, slots=True)
class Export:
    """What was written.

    Parameters
    ----------
    model : str
        Name of the model, with part of its hash.
    step, what : str
        The step, and which of its models, in a line.
    variables : int
    unit : str
        Of the objective.
    bound : int
        Proven: no solution of the model is below, in `unit`.
    scale, offset : int
        Objective in `unit` = scale * objective of the model + offset.
    files : tuple of Path
        The model, its sidecar.
    """

    model: str
    step: str
    what: str
    variables: int
    unit: str
    bound: int
    scale: int
    offset: int
    files: tuple[Path, Path]


@dataclass(frozen=True, slots=True)
class Import:
    """A solution read back.

    Parameters
    ----------
    step, what, unit : str
        As exported.
    violations : tuple of (family, message)
        Bounds and constraints of the model, the step's referee, the objective that the file claims.
    objective : int or None
        As the referee computes it; None if the model's constraints are violated.
    bound : int
        Proven: no solution of the model is below.
    decisions : dict
        The step's solution; empty if the model's constraints are violated.
    """

    step: str
    what: str
    unit: str
    violations: tuple[tuple[str, str], ...]
    objective: int | None
    bound: int
    decisions: dict[str, Any]

    @property
    def status(self) -> Status:
        """``OPTIMAL`` if objective and bound meet; ``UNKNOWN`` if anything is violated."""
        return Status.UNKNOWN if self.violations else concluded(self.objective, self.bound)


def sidecar(path: str | Path) -> Path:
    """Where the description of a model file is."""
    return Path(f"{path}.json")


def engine_of(path: str | Path, format: str | None = None) -> tuple[str, str]:
    """Engine (``"ilp"`` or ``"cpsat"``) and suffix of a model file; its name must suit the format, if one is given."""
    suffix = Path(path).suffix
    if format is not None and format not in FORMATS:
        raise InstanceError("export", "format", format, f"expected one of {', '.join(FORMATS)}")
    known = {end: name for name, ends in FORMATS.items() for end in ends if format in (None, name)}
    if suffix not in known:
        raise InstanceError("export", "output", str(path), f"expected a name that ends in {' or '.join(known)}")
    return "cpsat" if known[suffix] == "cpsat" else "ilp", suffix


def export(
    network: Network,
    architecture: Architecture,
    step: str,
    path: str | Path,
    *,
    format: str | None = None,
    options: Options | None = None,
) -> Export:
    """Write the model of a step, and beside it what is needed to read a solution back.

    Parameters
    ----------
    network, architecture
    step : str
    path : str or Path
        Ends in ``.mps``, ``.lp``, ``.pbtxt`` or ``.pb``; the sidecar is called the same with ``.json`` behind.
    format : {"mps", "lp", "cpsat"} or None
        None: as the name of the file says.
    options : Options or None

    Raises
    ------
    InstanceError
        If a choice is wrong, the model too large, or a file cannot be written.
    """
    options = options or Options()
    engine, suffix = engine_of(path, format)
    for file in (path, sidecar(path)):
        check_writable(file)
    made = case(step, network, architecture, options)
    model, _ = made.build(engine)
    name, data = _rendered(model, step, suffix)
    text = {
        "format": "spatem-model", "version": 1, "model": name, "sha256": hashlib.sha256(data).hexdigest(),
        "step": step, "what": made.what, "options": asdict(options), "unit": made.unit, "bound": made.bound,
        "scale": made.scale, "offset": made.offset, "variables": len(model.variables),
        "constraints": model.constraint_count, "made_by": _made_by(engine),
        "architecture": architecture.to_dict(), "network": to_json(network),
    }  # fmt: skip
    write_atomically(path, data)
    write_atomically(sidecar(path), orjson.dumps(text, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE))
    return Export(
        name, step, made.what, len(model.variables), made.unit, made.bound, made.scale, made.offset,
        (Path(path), sidecar(path)),
    )  # fmt: skip


def import_values(path: str | Path, values: str | Path) -> Import:
    """Read a solution of an exported model back, and let the step's referee judge it.

    Parameters
    ----------
    path : str or Path
        The model file; its sidecar lies beside it.
    values : str or Path
        See :func:`spatem_opt.exchange.values.read`.

    Raises
    ------
    InstanceError
        If a file cannot be read or is damaged, model and sidecar are not of one export, this version of the package
        makes another model, or the values are of another model.
    ModelError
        If the model and the referee disagree: a bug of ours.
    """
    engine, suffix = engine_of(path)
    about = _about(path)
    made = _same_case(path, about)
    model, variables = made.build(engine)
    name, data = _rendered(model, about["step"], suffix)
    if hashlib.sha256(data).hexdigest() != about["sha256"]:
        rule = f"but made from it now is {name}: use what exported it, {about['made_by']}, or export again"
        raise InstanceError(str(sidecar(path)), "model", about["model"], rule)
    found = read(values, model, name)
    violations = [*model.check(found.values), *_claim(model, found)]
    if violations:
        return Import(about["step"], made.what, made.unit, tuple(violations), None, made.bound, {})
    judged = made.judge(variables, lambda variable: found.values[str(variable.name)])
    _agree(made, made.scale * model.objective(found.values) + made.offset, judged)
    return Import(
        about["step"], made.what, made.unit, judged.violations, judged.objective, made.bound, judged.decisions
    )


def _rendered(model: Model, step: str, suffix: str) -> tuple[str, bytes]:
    """Name and content of a model file; the name tells models apart that differ in anything."""
    blank = f"{step}_00000000"
    data = model.render(suffix, blank)
    name = f"{step}_{hashlib.sha256(data).hexdigest()[:8]}"
    return name, data.replace(blank.encode(), name.encode(), 1)  # all formats begin with the name


def _made_by(engine: str) -> str:
    package = "ortools" if engine == "cpsat" else "pulp"
    return f"spatem-opt {__version__}, {package} {version(package)}"


def _about(path: str | Path) -> dict[str, Any]:
    """The sidecar of a model file, which must be the file that was exported with it."""
    where = str(sidecar(path))
    about = members(read_json(sidecar(path)), where, KEYS)
    for key, expected in (("format", "spatem-model"), ("version", 1)):
        if about[key] != expected:
            raise InstanceError(where, key, about[key], f"expected {expected!r}")
    try:
        digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise InstanceError(str(path), "", "cannot be read", error.strerror or "expected a file") from error
    if digest != about["sha256"]:
        rule = f"expected {about['sha256']}, that of model {about['model']}: the file was changed or exchanged"
        raise InstanceError(str(path), "sha256", digest, rule)
    return about


def _same_case(path: str | Path, about: dict[str, Any]) -> ExportCase:
    """The case that a sidecar describes."""
    where = str(sidecar(path))
    options = members(about["options"], f"{where}: options", [], list(asdict(Options())))
    chip = architectures.from_dict(about["architecture"], f"{where}: architecture")
    return case(about["step"], from_json(about["network"], f"{where}: network"), chip, Options(**options))


def _claim(model: Model, found: Values) -> list[tuple[str, str]]:
    """The objective that a values file claims must be that of its values."""
    value = model.objective(found.values)
    if found.claim is None or abs(found.claim - value) <= max(0.5, 1e-6 * abs(value)):
        return []
    return [("objective", f"the file claims {found.claim:g}, its values give {value}")]


def _agree(made: ExportCase, claimed: int, judged: Judged) -> None:
    """A model may count more than the referee (touches and cycles that an optimum leaves out), never less."""
    if not judged.violations and not made.bound <= judged.objective <= claimed:
        raise ModelError(
            f"{made.what}: bound {made.bound}, referee {judged.objective}, model {claimed}: expected to ascend"
        )
