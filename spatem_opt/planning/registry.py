"""Planners and tile exchanges by name: ours, those that other packages bring along, and those of a file.

A package brings a planner by an entry point, in its ``pyproject.toml``::

    [project.entry-points."spatem_opt.planners"]
    mine = "mypackage.planners:Mine"

Planners of other packages take part when they are named, and have a row of their own in ``spatem compare``; they are
not in the usual set, so that installing a package changes no answer.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Collection
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from spatem_opt.errors import InstanceError
from spatem_opt.files.names import suggestions
from spatem_opt.planning.baselines import BASELINES, Baseline
from spatem_opt.planning.exchanges import RelievePeriod, RelieveSegments, Shorten
from spatem_opt.planning.one_segment import Pipeline
from spatem_opt.planning.policy import ObjectivePolicy
from spatem_opt.planning.protocol import Planner, TileExchange
from spatem_opt.planning.segmented import Segmented
from spatem_opt.planning.throughput import Steady

PLANNERS, EXCHANGES, ENGINES = "spatem_opt.planners", "spatem_opt.exchanges", "spatem_opt.engines"
"""Groups of entry points."""
Plugin = TypeVar("Plugin")

OWN_PLANNERS: dict[str, Callable[[], Planner]] = {
    "steady": Steady,
    "segments": Segmented,
    "pipeline": Pipeline,
    **{name: lambda name=name: Baseline(name) for name in BASELINES},  # type: ignore[misc]
}
"""The usual set, in the order in which they have their first turn."""
OWN_EXCHANGES: dict[str, Callable[[], TileExchange]] = {
    made.name: made for made in (Shorten, RelieveSegments, RelievePeriod)
}


def usual(policy: ObjectivePolicy) -> tuple[Planner, ...]:
    """The usual set of planners for an objective, new ones."""
    return tuple(make() for name, make in OWN_PLANNERS.items() if name not in policy.leaves_out)


def installed(group: str) -> dict[str, EntryPoint]:
    """Plug-ins of other packages, by name."""
    return {point.name: point for point in entry_points(group=group)}


def planner(what: str | Planner) -> Planner:
    """A planner by its name, by ``package.module:Class`` or ``path/file.py:Class``, or the object itself.

    Raises
    ------
    InstanceError
        If there is none of that name, it cannot be loaded, or it is no planner.
    """
    return _plugin("planner", what, OWN_PLANNERS, PLANNERS, ("name", "plans"))


def exchange(what: str | TileExchange) -> TileExchange:
    """A tile exchange, as :func:`planner`."""
    return _plugin("exchange", what, OWN_EXCHANGES, EXCHANGES, ("name", "exchange"))


def named(kind: str, group: str, value: str, own: Collection[str] = ()) -> Any:
    """What a name of an entry point, or ``module:Class``, stands for, not yet called; raises :class:`InstanceError`."""
    if ":" in value:
        return _loaded(kind, value)
    found = installed(group)
    if value in found:
        try:
            return found[value].load()
        except Exception as error:
            raise InstanceError(kind, "name", value, f"its package cannot be loaded: {error}") from error
    names = (*own, *found)
    close = suggestions(value, names)
    hint = f"; did you mean {' or '.join(close)}?" if len(close) < len(names) else ""
    raise InstanceError(kind, "name", value, f"expected one of {', '.join(names)}, or path/file.py:Class{hint}")


def _plugin(
    kind: str, what: Any, own: dict[str, Callable[[], Plugin]], group: str, needed: tuple[str, ...]
) -> Plugin:
    if isinstance(what, str):
        make = own[what] if what in own else named(kind, group, what, own)
        try:
            made = make()
        except TypeError as error:
            raise InstanceError(kind, "class", what, f"expected one that is made without arguments: {error}") from error
    else:
        made = what
    lacking = [name for name in needed if not hasattr(made, name)]
    if isinstance(made, type) or lacking:
        rule = "expected an object, not its class" if isinstance(made, type) else f"has no {' and no '.join(lacking)}"
        raise InstanceError(kind, "object", what if isinstance(what, str) else type(what).__name__, rule)
    result: Plugin = made
    return result


def _loaded(kind: str, spec: str) -> Any:
    """A class of a module, or of a Python file."""
    where, _, name = spec.rpartition(":")
    try:
        module = _of_file(Path(where)) if where.endswith(".py") else importlib.import_module(where)
    except Exception as error:
        raise InstanceError(kind, "module", where, f"cannot be loaded: {error}") from error
    if not hasattr(module, name):
        raise InstanceError(kind, "class", name, f"expected a class of {where}")
    return getattr(module, name)


def _of_file(path: Path) -> ModuleType:
    """The module of a Python file, under its name, so that what it makes can be pickled in helpers."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(path)
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)
    spec.loader.exec_module(module)
    return module
