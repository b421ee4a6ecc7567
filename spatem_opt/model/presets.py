"""Architectures by name or file: TOML in which every number carries its unit and source.

A number may follow from others by a formula (``derive``, :mod:`spatem_opt.model.formula`). Formulas live here, between
file
and :class:`~spatem_opt.model.architecture.Architecture`: an architecture holds plain values. What a file or an override
gives
wins; whatever has a formula and is not given is computed last, so that it fits what was given.

The format is described in ``instances/README.md``; the shipped presets are in ``instances/architectures``.
"""

from __future__ import annotations

import difflib
import json
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from spatem_opt.errors import InstanceError
from spatem_opt.files import shipped
from spatem_opt.files.access import read_toml
from spatem_opt.files.names import find, suggestions
from spatem_opt.limits import reading
from spatem_opt.model import formula
from spatem_opt.model.architecture import FIELDS, REMOVED, Architecture, ArchitectureWarning
from spatem_opt.model.arguments import as_path

DEFAULT = "ou-isaac"
_HEADER = ("name", "description", "base", "references")
_LACKING = 90
"""Characters of the missing fields in a message: with a long path and the rule it stays within one line."""


@dataclass(frozen=True, slots=True)
class ParameterEntry:
    """One field of a preset.

    Parameters
    ----------
    value : int, float, bool, str or None
        None for an integer that is ``"auto"``; the result where there is a formula.
    unit : str
        That of :data:`spatem_opt.model.architecture.FIELDS`.
    source : str
        Where the value or formula comes from.
    derive : str
        Formula of other fields; empty where the value is given.
    """

    value: Any
    unit: str
    source: str
    derive: str = ""


@dataclass(frozen=True, slots=True)
class Preset:
    """An architecture file as written.

    Parameters
    ----------
    name, description : str
    path : Path
    entries : dict of str to ParameterEntry
        Every field but the name, those inherited from the base included.
    references : dict of str to str
        Full citations of the short names used in the sources.
    notes : tuple of str
        Cautions about the file.
    """

    name: str
    description: str
    path: Path
    entries: dict[str, ParameterEntry]
    references: dict[str, str]
    notes: tuple[str, ...] = field(default=())

    def architecture(self) -> Architecture:
        """Return the validated architecture; raises :class:`InstanceError` naming the file."""
        try:
            return Architecture(name=self.name, **{key: entry.value for key, entry in self.entries.items()})
        except InstanceError as error:
            raise InstanceError(str(self.path), error.field, error.value, error.rule) from error

    def with_values(self, values: Mapping[str, object]) -> Preset:
        """Give some fields a value and compute those that have a formula and none of `values`.

        Raises
        ------
        InstanceError
            If a value breaks the rule of its field, or a formula cannot be computed with it.
        """
        given = {
            key: ParameterEntry(FIELDS[key].check("override", key, value), FIELDS[key].unit, "given")
            for key, value in values.items()
        }
        return replace(self, entries=_derived(self.entries | given, str(self.path)))

    def to_toml(self) -> str:
        """Return a file of all fields, with formulas, without a base: a template for a chip of one's own."""
        lines = [f"name = {_toml('my-' + self.name)}", f"description = {_toml(self.description)}", ""]
        for key in FIELDS:
            if key != "name":
                entry = self.entries[key]
                what = f"derive = {_toml(entry.derive)}" if entry.derive else f"value = {_toml(entry.value)}"
                lines.append(f"{key} = {{ {what}, unit = {_toml(entry.unit)}, source = {_toml(entry.source)} }}")
        lines += ["", "[references]", *(f"{_toml(key)} = {_toml(text)}" for key, text in self.references.items())]
        return "\n".join(lines) + "\n"


def _toml(value: object) -> str:
    """A value as TOML writes it; JSON's strings, numbers and bools are TOML's, but for one control character."""
    return json.dumps("auto" if value is None else value, ensure_ascii=False).replace("\x7f", "\\u007f")


def architectures() -> tuple[str, ...]:
    """Names of the shipped presets, sorted.

    Examples
    --------
    >>> "ou-isaac" in architectures()
    True
    """
    return tuple(sorted(path.stem for path in (shipped.root() / "architectures").glob("*.toml")))


def load_architecture(
    name_or_path: str | Path = DEFAULT, overrides: Mapping[str, object] | None = None
) -> Architecture:
    """Load an architecture and warn if its numbers do not fit together.

    Parameters
    ----------
    name_or_path : str or Path
        A preset (see :func:`architectures`), whatever the case and dashes of its name, or a TOML file of the same form.
    overrides : mapping, optional
        Field -> value; texts are read as the field's type, so ``{"ou_rows": "16"}`` and ``{"ou_rows": 16}`` are alike.
        Fields with a formula that are not among them are computed again.

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
        If ``adc_bits`` cannot hold the largest sum of an operation unit, or the file gives numbers without unit and
        source.

    Examples
    --------
    >>> chip = load_architecture("ou-isaac", {"adc_bits": "6", "mesh_rows": "4"})
    >>> chip.name, chip.tiles, chip.cycle_ns
    ('ou-isaac [adc_bits=6, mesh_rows=4]', 208, 15.36)
    """
    if overrides is not None and not isinstance(overrides, Mapping):
        raise InstanceError("architecture", "overrides", overrides, "expected a mapping of fields to values")
    preset = load_preset(name_or_path)
    architecture = _override(preset, overrides) if overrides else preset.architecture()
    for caution in (*preset.notes, *architecture.cautions()):
        warnings.warn(f"{architecture.name}: {caution}", ArchitectureWarning, stacklevel=2)
    return architecture


def load_preset(name_or_path: str | Path) -> Preset:
    """Return the file behind a preset's name or a path, unit and source included; raises :class:`InstanceError`."""
    path = as_path("architecture", "name_or_path", name_or_path)
    with reading(str(path), "an architecture file"):
        return _read(_find(path), ())


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


def _override(preset: Preset, overrides: Mapping[str, object]) -> Architecture:
    """Replace fields; the name says which."""
    values: dict[str, Any] = {}
    for key, value in overrides.items():
        _known("override", key, value)
        rule = FIELDS[key]
        check = rule.parse if isinstance(value, str) else rule.check
        values[key] = check("override", key, value)  # type: ignore[arg-type]
    shown = ", ".join(f"{key}={'auto' if value is None else value}" for key, value in values.items())
    name = values.pop("name", f"{preset.name} [{shown}]")
    entries = preset.with_values(values).entries
    return Architecture(name=name, **{key: entry.value for key, entry in entries.items()})


def _derived(entries: Mapping[str, ParameterEntry], where: str) -> dict[str, ParameterEntry]:
    """Compute every field that has a formula, each after those that it needs."""
    formulas = {key: formula.parse(entry.derive, where, key) for key, entry in entries.items() if entry.derive}
    values = {
        key: float(entry.value)
        for key, entry in entries.items()
        if FIELDS[key].kind in ("int", "float") and not entry.derive and entry.value is not None
    }
    found = dict(entries)
    for key in _order(formulas, where):
        text = entries[key].derive
        for name in formulas[key].names:
            if name not in values:
                known = FIELDS.get(name)
                why = "unknown field" if known is None else "no value" if name not in entries else "no number"
                raise InstanceError(where, f"{key}.derive", formula.short(text), f"{name}: {why}")
        value = formulas[key].value(values, where, key)
        number: float = int(value) if FIELDS[key].kind == "int" and value.is_integer() else value
        try:
            FIELDS[key].check(where, key, number)
        except InstanceError as error:
            raise InstanceError(where, key, number, f"{error.rule} (derived: {formula.short(text)})") from error
        values[key] = float(number)
        found[key] = replace(entries[key], value=number)
    return found


def _order(formulas: Mapping[str, formula.Formula], where: str) -> list[str]:
    """Fields with formulas, each after those that its formula names."""
    order: list[str] = []
    path: list[str] = []

    def visit(key: str) -> None:
        if key in path:
            circle = " -> ".join([*path[path.index(key) :], key])
            text = formula.short(formulas[key].text)
            raise InstanceError(where, f"{key}.derive", text, f"expected no cycle: {circle}")
        if key in order:
            return
        path.append(key)
        for name in formulas[key].names:
            if name in formulas:
                visit(name)
        order.append(path.pop())

    for key in formulas:
        visit(key)
    return order


def _known(where: str, key: str, value: object) -> None:
    if key in REMOVED:
        raise InstanceError(where, key, value.get("value") if isinstance(value, dict) else value, REMOVED[key])
    if not isinstance(key, str) or key not in FIELDS:
        close = difflib.get_close_matches(str(key)[:60], FIELDS, 1)
        raise InstanceError(where, key, value, "unknown field" + (f", did you mean {close[0]}?" if close else ""))


def _find(name_or_path: str | Path) -> Path:
    """Resolve a preset name or path."""
    path = Path(name_or_path)
    if path.suffix == ".toml" or path.is_file():
        return path
    name = find(str(name_or_path), architectures())
    if name is not None:
        return shipped.root() / "architectures" / f"{name}.toml"
    close = ", ".join(suggestions(str(name_or_path), architectures()))
    raise InstanceError("architecture", "name", str(name_or_path), f"expected a .toml file or a shipped name: {close}")


def _read(path: Path, seen: tuple[Path, ...]) -> Preset:
    """Read one file and what it is based on, formulas computed."""
    preset = _written(path, seen)
    lacking = [key for key in FIELDS if key != "name" and key not in preset.entries]
    if lacking:
        rule = "and there is no base (spatem architectures --show ou-isaac --toml writes them all)"
        raise InstanceError(str(path), "", _lacking(lacking), rule)
    return replace(preset, entries=_derived(preset.entries, str(path)))


def _lacking(names: list[str]) -> str:
    """All missing fields at once, or the first ones and how many more: a message is one line of limited length."""
    if len(names) == 1:
        return f"{names[0]} missing"
    text = f"{len(names)} fields missing: {', '.join(names)}"
    shown = len(names)
    while len(text) > _LACKING:
        shown -= 1
        text = f"{len(names)} fields missing: {', '.join(names[:shown])} and {len(names) - shown} more"
    return text


def _written(path: Path, seen: tuple[Path, ...]) -> Preset:
    """What the file and its base give, before any formula is computed."""
    where = str(path)
    data = read_toml(path, "an architecture file")
    header = {key: data.pop(key, "") for key in ("name", "description", "base")}
    for key, value in header.items():
        if not isinstance(value, str) or (key == "name" and not value):
            raise InstanceError(where, key, value, "expected a text")
    references = _references(where, data.pop("references", {}))
    entries: dict[str, ParameterEntry] = {}
    notes: tuple[str, ...] = ()
    if header["base"]:
        base = _base(where, path, header["base"], seen)
        entries, references, notes = dict(base.entries), {**base.references, **references}, base.notes
    bare = ", ".join(key for key, table in data.items() if not isinstance(table, dict))
    entries |= {key: _entry(where, key, table) for key, table in data.items()}
    if bare:
        notes = (*notes, f"{bare}: given without unit and source")
    return Preset(header["name"], header["description"], path, entries, references, notes)


def _base(where: str, path: Path, name: str, seen: tuple[Path, ...]) -> Preset:
    """Read the preset that `path` is based on: a preset's name, or a file relative to `path`."""
    target = path.parent / name if name.endswith(".toml") else _find(name)
    if target.resolve() in {p.resolve() for p in (*seen, path)}:
        raise InstanceError(where, "base", name, "expected no cycle")
    return _written(target, (*seen, path))


def _references(where: str, table: object) -> dict[str, str]:
    if not isinstance(table, dict) or not all(isinstance(value, str) for value in table.values()):
        raise InstanceError(where, "references", table, "expected a table of texts")
    return dict(table)


def _entry(where: str, key: str, table: object) -> ParameterEntry:
    """Check ``key = {value or derive, unit, source}``, or a plain value."""
    _known(where, key, table)
    rule = FIELDS[key]
    if not isinstance(table, dict):
        return ParameterEntry(rule.check(where, key, table), rule.unit, "not given")
    for part in table:
        if part not in ("value", "derive", "unit", "source"):
            raise InstanceError(where, f"{key}.{part}", table[part], "expected value or derive, unit, source only")
    if ("value" in table) == ("derive" in table):
        raise InstanceError(where, f"{key}.value", table.get("value"), "expected either value or derive")
    if table.get("unit") != rule.unit:
        raise InstanceError(where, f"{key}.unit", table.get("unit"), f"expected {rule.unit!r}")
    source = table.get("source")
    if not isinstance(source, str) or not source.strip():
        raise InstanceError(where, f"{key}.source", source, "expected where the value comes from")
    if "value" in table:
        return ParameterEntry(rule.check(where, key, table["value"]), rule.unit, source)
    text = table["derive"]
    if not isinstance(text, str) or rule.kind not in ("int", "float"):
        raise InstanceError(where, f"{key}.derive", text, "expected a formula, of a field that is a number")
    formula.parse(text, where, key)
    return ParameterEntry(None, rule.unit, source, text)
