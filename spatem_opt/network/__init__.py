"""Networks: their types, ONNX import, JSON files, and the shipped ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from spatem_opt.errors import InstanceError
from spatem_opt.files.names import find, suggestions
from spatem_opt.files.shipped import root
from spatem_opt.network.builder import Builder, chain
from spatem_opt.network.json_io import from_json, read, to_json
from spatem_opt.network.layers import Edge, Network, Node, Weights
from spatem_opt.network.maps import Tensor

__all__ = [
    "Builder", "Edge", "Network", "Node", "Tensor", "Weights", "chain", "describe", "from_json", "from_onnx", "load",
    "names", "to_json",
]  # fmt: skip

InputShape = str | Sequence[int] | Mapping[str, Sequence[int]]


def names() -> list[str]:
    """Names of the shipped networks, sorted.

    Examples
    --------
    >>> "resnet50" in names()
    True
    """
    return sorted(path.stem for path in (root() / "networks").glob("*.json"))


def describe() -> dict[str, str]:
    """One line on each shipped network: what it is and where it comes from.

    Examples
    --------
    >>> print(describe()["lenet5"])
    LeNet-5, 1 x 32 x 32: LeCun et al., Proc. IEEE 86 (1998) 2278
    """
    return {name: read(root() / "networks" / f"{name}.json").source for name in names()}


def from_onnx(
    path: str | Path, input_shape: InputShape | None = None, outputs: str | Sequence[str] | None = None
) -> Network:
    """The network of an ONNX file; see :func:`spatem_opt.network.onnx_import.from_onnx`."""
    from spatem_opt.network.onnx_import import from_onnx as read_onnx  # only who reads ONNX pays for the importer

    return read_onnx(path, input_shape, outputs)


def load(
    name_or_path: str | Path, input_shape: InputShape | None = None, outputs: str | Sequence[str] | None = None
) -> Network:
    """A network by the name of a shipped one, or from an ``.onnx`` or ``.json`` file.

    Parameters
    ----------
    name_or_path : str or Path
        What ends in ``.onnx`` or ``.json`` is a path, anything else a name, whatever its case and dashes.
    input_shape : str, sequence of int, mapping or None
        Shapes of an ONNX graph's inputs, e.g. ``"1x3x320x320"`` or ``{"image": (1, 3, 320, 320)}``.
    outputs : str, sequence of str or None
        Tensors of an ONNX graph to stop at, ``"NAME[,NAME...]"`` if text; its own outputs if None.

    Returns
    -------
    Network

    Raises
    ------
    InstanceError
        If there is no such network or file, or the file is wrong.

    Examples
    --------
    >>> len(load("resnet50").layers)
    54
    """
    if not isinstance(name_or_path, str | Path):
        raise InstanceError("network", "name_or_path", name_or_path, "expected a name or a file name")
    path = Path(name_or_path)
    if path.suffix == ".onnx":
        return from_onnx(path, input_shape, outputs)
    for field, given in (("input_shape", input_shape), ("outputs", outputs)):
        if given is not None:
            raise InstanceError(str(name_or_path), field, given, "expected none: only ONNX graphs take one")
    if path.suffix == ".json":
        return read(path)
    known = names()
    name = find(str(name_or_path), known)
    if name is None:
        close = ", ".join(suggestions(str(name_or_path), known))
        rule = f"unknown; expected a path ending in .onnx or .json, or a shipped name: {close}"
        raise InstanceError("network", "", str(name_or_path), rule)
    return read(root() / "networks" / f"{name}.json")
