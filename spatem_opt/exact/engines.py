"""Engines of the exact steps by name: ours, those that other packages bring along, and those of a file.

An engine is a :class:`~formulations.solver.StepEngine`: it takes the problem of one step and limits, and answers with a
:class:`~formulations.solver.StepResult`. Another package names it by an entry point ``STEP.NAME``, such as
``mapping.mine``, of the group :data:`~spatem_opt.planning.registry.ENGINES`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from formulations.grouping import cpsat as grouping_cpsat
from formulations.grouping import ilp as grouping_ilp
from formulations.mapping import cpsat as mapping_cpsat
from formulations.mapping import ilp as mapping_ilp
from formulations.replication import master
from formulations.scheduling import cpsat as scheduling_cpsat
from formulations.scheduling import ilp as scheduling_ilp
from formulations.solver import Limits, StepEngine, StepResult
from spatem_opt.errors import InstanceError
from spatem_opt.planning import registry

Engine = StepEngine[Any, Any]
Engines = Mapping[str, "Engine | str"]
"""Step -> engine, or its name."""


@dataclass(frozen=True, slots=True)
class FunctionEngine:
    """An engine of ours: a function with the problem, keywords for limits, and a hint.

    Parameters
    ----------
    function : callable
    capabilities : frozenset of str
        What it takes beyond limits and a hint: ``"without"`` (constraint families to leave out), ``"stop"``,
        ``"deterministic_limit"``.
    more : dict
        Further keywords.
    """

    function: Callable[..., StepResult[Any]]
    capabilities: frozenset[str] = frozenset({"without", "stop", "deterministic_limit"})
    more: tuple[tuple[str, Any], ...] = ()

    def solve(
        self, problem: Any, limits: Limits, *, hint: Any = None, without: Collection[str] = ()
    ) -> StepResult[Any]:
        """Solve the problem of a step; raises :class:`InstanceError` if families cannot be left out."""
        given: dict[str, Any] = {"stop": limits.stop, "deterministic_limit": limits.deterministic_limit}
        keywords = {name: value for name, value in given.items() if name in self.capabilities}
        if without and "without" not in self.capabilities:
            raise InstanceError("engine", "without", sorted(without), "expected none: it has no families to leave out")
        if without:
            keywords["without"] = without
        return self.function(
            problem, time_limit=limits.time_limit, seed=limits.seed, workers=limits.workers, hint=hint, **keywords,
            **dict(self.more),
        )  # fmt: skip


FAMILIES_ONLY = frozenset({"without"})
NO_FAMILIES = frozenset({"stop", "deterministic_limit"})
ENGINES: dict[str, dict[str, FunctionEngine]] = {
    "mapping": {
        "cpsat": FunctionEngine(mapping_cpsat.solve),
        "ilp": FunctionEngine(mapping_ilp.solve, FAMILIES_ONLY),
    },
    "grouping": {
        "cpsat": FunctionEngine(grouping_cpsat.solve),
        "ilp": FunctionEngine(grouping_ilp.solve, FAMILIES_ONLY),
    },
    "replication": {
        "cpsat": FunctionEngine(master.solve, NO_FAMILIES),
        "ilp": FunctionEngine(master.solve, NO_FAMILIES, (("engine", "ilp"),)),
    },
    "scheduling": {
        "cpsat": FunctionEngine(scheduling_cpsat.solve),
        "ilp": FunctionEngine(scheduling_ilp.solve, FAMILIES_ONLY),
    },
}
"""Step -> name -> engine; the first one is the usual one."""


def engine(step: str, what: Engine | str = "cpsat") -> Engine:
    """An engine of a step by its name, by ``package.module:Class`` or ``path/file.py:Class``, or the object itself.

    Raises
    ------
    InstanceError
        If there is no such step or engine, it cannot be loaded, or it is no engine.
    """
    if step not in ENGINES:
        raise InstanceError("engine", "step", step, f"expected one of {', '.join(ENGINES)}")
    if not isinstance(what, str):
        made: Any = what
    elif what in ENGINES[step]:
        made = ENGINES[step][what]
    else:
        own = [f"{step}.{name}" for name in ENGINES[step]]
        made = registry.named("engine", registry.ENGINES, what if ":" in what else f"{step}.{what}", own)()
    if isinstance(made, type) or not callable(getattr(made, "solve", None)):
        raise InstanceError("engine", step, type(made).__name__, "expected an object with a method solve")
    found: Engine = made
    return found


def engines(wanted: Engines | None = None) -> dict[str, Engine]:
    """One engine for each step: those that are asked for, else the usual ones; raises :class:`InstanceError`."""
    wanted = {} if wanted is None else wanted
    if not isinstance(wanted, Mapping):
        raise InstanceError("solve", "engines", wanted, "expected a dict of steps and engines")
    asked = {step: engine(step, what) for step, what in wanted.items()}
    return {step: asked.get(step) or engine(step) for step in ENGINES}
