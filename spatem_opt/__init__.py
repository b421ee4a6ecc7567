"""Mapping and scheduling of CNNs on ReRAM accelerators at the granularity of operation units.

The front end, loaded on first use so that ``import spatem_opt`` costs next to nothing:

>>> import spatem_opt
>>> chip = spatem_opt.load_architecture("ou-isaac", {"adc_bits": 5})
>>> chip.crossbars
69888
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from spatem_opt.version import __version__ as __version__

if TYPE_CHECKING:
    from spatem_opt.errors import InstanceError, ModelError
    from spatem_opt.evaluator import Evaluation, Violation, evaluate
    from spatem_opt.exchange.solutions import read_solution, write_solution
    from spatem_opt.front_end import solve
    from spatem_opt.model.architecture import Architecture, ArchitectureWarning
    from spatem_opt.model.presets import architectures, load_architecture
    from spatem_opt.model.result import Shortage, Status
    from spatem_opt.model.solution import MappingOption, Placement, Schedule, Solution
    from spatem_opt.network import Network
    from spatem_opt.network import load as load_network
    from spatem_opt.network import names as networks
    from spatem_opt.search.given import schedule
    from spatem_opt.search.progress import Progress
    from spatem_opt.search.result import Result


_HOME = {
    "Architecture": "model.architecture",
    "ArchitectureWarning": "model.architecture",
    "Evaluation": "evaluator",
    "InstanceError": "errors",
    "MappingOption": "model.solution",
    "ModelError": "errors",
    "Network": "network",
    "Placement": "model.solution",
    "Progress": "search.progress",
    "Result": "search.result",
    "Schedule": "model.solution",
    "Shortage": "model.result",
    "Solution": "model.solution",
    "Status": "model.result",
    "Violation": "evaluator",
    "architectures": "model.presets",
    "evaluate": "evaluator",
    "load_architecture": "model.presets",
    "load_network": "network:load",
    "networks": "network:names",
    "read_solution": "exchange.solutions",
    "schedule": "search.given",
    "solve": "front_end",
    "write_solution": "exchange.solutions",
}
"""Public name -> module that defines it, ``module:name`` where it is called otherwise there."""

__all__ = [
    "Architecture", "ArchitectureWarning", "Evaluation", "InstanceError", "MappingOption", "ModelError", "Network",
    "Placement", "Progress", "Result", "Schedule", "Shortage", "Solution", "Status", "Violation", "architectures",
    "evaluate", "load_architecture", "load_network", "networks", "read_solution", "schedule", "solve",
    "write_solution",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import the module that defines a public name, on first use (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _HOME[name].partition(":")
    value = getattr(importlib.import_module(f"{__name__}.{module}"), attribute or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Public names, loaded or not."""
    return sorted({*globals(), *__all__})
