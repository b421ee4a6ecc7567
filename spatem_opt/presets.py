"""Architectures by name or file: TOML in which every number carries its unit and source.

The format is described in ``instances/README.md``; the shipped presets are in ``instances/architectures``.
"""

from __future__ import annotations

import difflib
import tomllib
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spatem_opt import instances
from spatem_opt.architecture import FIELDS, REMOVED, Architecture, ArchitectureWarning
from spatem_opt.errors import InstanceError

DEFAULT = "ou-isaac"
_HEADER = ("name", "description", "base", "references")


@dataclass(frozen=True, slots=True)
class Entry:
    """One field of a preset.

    Parameters
    ----------
    value : int, float, bool or str
    unit : str
        That of :data:`spatem_opt.architecture.FIELDS`.
    source : str
        Where the value comes from, or how it is derived.
    """

    value: Any
    unit: str
    source: str


@dataclass(frozen=True, slots=True)
class Preset:
    """An architecture file as written.

    Parameters
    ----------
    name, description : str
    path : Path
    entries : dict of str to Entry
        Every field but the name, those inherited from the base included.
    references : dict of str to str
        Full citations of the short names used in the sources.
    """

    name: str
    description: str
    path: Path
    entries: dict[str, Entry]
    references: dict[str, str]

    def architecture(self) -> Architecture:
        """Return the validated architecture; raises :class:`InstanceError` naming the file."""
        try:
            return Architecture(name=self.name, **{key: entry.value for key, entry in self.entries.items()})
        except InstanceError as error:
            raise InstanceError(str(self.path), error.field, error.value, error.rule) from error


def architectures() -> tuple[str, ...]:
    """Names of the shipped presets, sorted.

    Examples
    --------
    >>> "ou-isaac" in architectures()
    True
    """
    return tuple(sorted(path.stem for path in (instances.root() / "architectures").glob("*.toml")))


def load_architecture(
    name_or_path: str | Path = DEFAULT, overrides: Mapping[str, object] | None = None
) -> Architecture:
    """Load an architecture and warn if its numbers do not fit together.

    Parameters
    ----------
    name_or_path : str or Path
        A preset (see :func:`architectures`) or a TOML file of the same form.
    overrides : mapping, optional
        Field -> value; texts are read as the field's type, so ``{"ou_rows": "16"}`` and ``{"ou_rows": 16}`` are alike.

    Returns
    -------
    Architecture
        With overrides, its name lists them unless ``name`` is one of them.

    Raises
    ------
    InstanceError
        If there is no such preset or file, or something in it or in `overrides` is wrong.

    Warns
    -----
    ArchitectureWarning
        If ``adc_bits`` cannot hold the largest sum of an operation unit.

    Examples
    --------
    >>> chip = load_architecture("ou-isaac", {"adc_bits": "5", "mesh_rows": "4"})
    >>> chip.name, chip.tiles
    ('ou-isaac [adc_bits=5, mesh_rows=4]', 208)
    """
    architecture = load_preset(name_or_path).architecture()
    if overrides:
        architecture = _override(architecture, overrides)
    for caution in architecture.cautions():
        warnings.warn(f"{architecture.name}: {caution}", ArchitectureWarning, stacklevel=2)
    return architecture


def load_preset(name_or_path: str | Path) -> Preset:
    """Return the file behind a preset's name or a path, unit and source included; raises :class:`InstanceError`."""
    return _read(_find(name_or_path), ())


def parse_overrides(settings: Iterable[str]) -> dict[str, str]:
    """Split ``key=value`` texts.

    Raises
    ------
    InstanceError
        If a text has no ``=``, its key is no field, or a key comes twice.

    Examples
    --------
    >>> parse_overrides(["ou_rows=16", "ou_cols = 16"])
    {'ou_rows': '16', 'ou_cols': '16'}
    """
    result: dict[str, str] = {}
    for text in settings:
        key, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not key:
            raise InstanceError("--set", "", text, "expected key=value")
        _known("--set", key, value)
        if key in result:
            raise InstanceError("--set", key, value, "given twice")
        result[key] = value
    return result


def _override(architecture: Architecture, overrides: Mapping[str, object]) -> Architecture:
    """Replace fields; the name says which."""
    values: dict[str, Any] = {}
    for key, value in overrides.items():
        _known("override", key, value)
        rule = FIELDS[key]
        check = rule.parse if isinstance(value, str) else rule.check
        values[key] = check("override", key, value)  # type: ignore[arg-type]
    shown = ", ".join(f"{key}={value}" for key, value in values.items())
    return Architecture(**{**architecture.to_dict(), "name": f"{architecture.name} [{shown}]", **values})


def _known(where: str, key: str, value: object) -> None:
    if key in REMOVED:
        raise InstanceError(where, key, value.get("value") if isinstance(value, dict) else value, REMOVED[key])
    if key not in FIELDS:
        close = difflib.get_close_matches(key, FIELDS, 1)
        raise InstanceError(where, key, value, "unknown field" + (f", did you mean {close[0]}?" if close else ""))


def _find(name_or_path: str | Path) -> Path:
    """Resolve a preset name or path."""
    path = Path(name_or_path)
    preset = instances.root() / "architectures" / f"{name_or_path}.toml"
    if path.suffix == ".toml" or path.is_file():
        return path
    if len(path.parts) == 1 and preset.is_file():
        return preset
    raise InstanceError(
        "architecture", "name", str(name_or_path), "expected a .toml file or " + ", ".join(architectures())
    )


def _read(path: Path, seen: tuple[Path, ...]) -> Preset:
    """Read one file and what it is based on."""
    where = str(path)
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InstanceError(where, "", "cannot be read", error.strerror or "expected a file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InstanceError(where, "", f"not TOML ({error})", "expected an architecture file") from error
    header = {key: data.pop(key, "") for key in ("name", "description", "base")}
    for key, value in header.items():
        if not isinstance(value, str) or (key == "name" and not value):
            raise InstanceError(where, key, value, "expected a text")
    references = _references(where, data.pop("references", {}))
    entries: dict[str, Entry] = {}
    if header["base"]:
        base = _base(where, path, header["base"], seen)
        entries, references = dict(base.entries), {**base.references, **references}
    entries |= {key: _entry(where, key, table) for key, table in data.items()}
    for key in FIELDS:
        if key != "name" and key not in entries:
            raise InstanceError(where, key, None, "missing, and there is no base")
    return Preset(header["name"], header["description"], path, entries, references)


def _base(where: str, path: Path, name: str, seen: tuple[Path, ...]) -> Preset:
    """Read the preset that `path` is based on: a preset's name, or a file relative to `path`."""
    target = path.parent / name if name.endswith(".toml") else _find(name)
    if target.resolve() in {p.resolve() for p in (*seen, path)}:
        raise InstanceError(where, "base", name, "expected no cycle")
    return _read(target, (*seen, path))


def _references(where: str, table: object) -> dict[str, str]:
    if not isinstance(table, dict) or not all(isinstance(value, str) for value in table.values()):
        raise InstanceError(where, "references", table, "expected a table of texts")
    return dict(table)


def _entry(where: str, key: str, table: object) -> Entry:
    """Check ``key = {value, unit, source}``."""
    _known(where, key, table)
    rule = FIELDS[key]
    if not isinstance(table, dict):
        raise InstanceError(where, key, table, f'expected {{ value = ..., unit = "{rule.unit}", source = "..." }}')
    for part in table:
        if part not in ("value", "unit", "source"):
            raise InstanceError(where, f"{key}.{part}", table[part], "expected value, unit, source only")
    if "value" not in table:
        raise InstanceError(where, f"{key}.value", None, "missing")
    if table.get("unit") != rule.unit:
        raise InstanceError(where, f"{key}.unit", table.get("unit"), f"expected {rule.unit!r}")
    source = table.get("source")
    if not isinstance(source, str) or not source.strip():
        raise InstanceError(where, f"{key}.source", source, "expected where the value comes from")
    return Entry(rule.check(where, key, table["value"]), rule.unit, source)
