"""What a solution file says that it is for, against what is shipped under that name."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

from spatem_opt.errors import InstanceError

if TYPE_CHECKING:
    from spatem_opt.model.architecture import Architecture
    from spatem_opt.model.solution import Solution
    from spatem_opt.network import Network

_CHANGED = re.compile(r"(?P<base>\S+) \[(?P<settings>[^\[\]]+)\]")
"""Name of a shipped chip with fields set (:func:`spatem_opt.model.presets.load_architecture`)."""


def given(
    network: str | None, reading: tuple[str | None, str | None], arch: str | None, settings: list[str] | None
) -> tuple[Network | None, Architecture | None]:
    """The real network and chip of ``spatem evaluate``; None for what is not given.

    `reading` is what ``--input-shape`` and ``--outputs`` say of the network.

    Raises
    ------
    InstanceError
        If one of them is wrong, or ``--set``, ``--input-shape`` or ``--outputs`` stand without what they change.
    """
    from spatem_opt.model.presets import load_architecture, parse_overrides
    from spatem_opt.network import load

    for option, value, needed, there in (("--set", settings, "--arch", arch),
                                         ("--input-shape", reading[0], "--network", network),
                                         ("--outputs", reading[1], "--network", network)):  # fmt: skip
        if value and there is None:
            raise InstanceError("evaluate", option, value, f"expected together with {needed}")
    return (
        load(network, *reading) if network is not None else None,
        load_architecture(arch, parse_overrides(settings or [])) if arch is not None else None,
    )


def cautions(solution: Solution, network: Network | None, architecture: Architecture | None) -> list[str]:
    """One line where the network or the chip bears a shipped name and is another; what was given is checked elsewhere.

    Another network under the name of a shipped one is no violation, as anybody may call a file ``resnet50.onnx``; but
    its numbers are not those of the shipped one.
    """
    return [*(_network(solution.network) if network is None else ()),
            *(_chip(solution.architecture) if architecture is None else ())]  # fmt: skip


def _network(found: Network) -> Iterator[str]:
    from spatem_opt import network as networks
    from spatem_opt.evaluator.instance import first, network_differences

    if found.name in networks.names():
        told = network_differences(found, networks.load(found.name))
        if told:
            yield f"network {found.name!r} is not the shipped one of that name: {first(told)}"


def _chip(found: Architecture) -> Iterator[str]:
    from spatem_opt.evaluator.instance import chip_differences, first

    shipped = _shipped_chip(found.name)
    told = chip_differences(found, shipped) if shipped is not None else []
    if told:
        yield f"chip {found.name!r} is not the shipped one of that name: {first(told)}"


def _shipped_chip(name: str) -> Architecture | None:
    from spatem_opt.model.presets import architectures, load_architecture, parse_overrides

    changed = _CHANGED.fullmatch(name)
    base, settings = (changed["base"], changed["settings"].split(", ")) if changed else (name, [])
    if base not in architectures():
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return load_architecture(base, parse_overrides(settings))
    except InstanceError:
        return None  # whatever stands in the brackets, it is no change of ours
