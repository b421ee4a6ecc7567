"""Our own network file, layer by layer; the schema is in ``instances/networks/README.md``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from spatem_opt.errors import InstanceError
from spatem_opt.files.access import read_json
from spatem_opt.limits import LARGEST_INTEGER, Totals, reading
from spatem_opt.network.check import check, tally
from spatem_opt.network.layers import CONSTANT, Edge, Network, Node, Weights
from spatem_opt.network.taps_io import integer, keys, read_channels, read_taps, write_channels, write_taps

FORMAT, VERSION = "spatem-network", 1
_BITS = ("weight_bits", "activation_bits", "partial_sum_bits")
_COUNTS = ("ops_per_window", "fused_ops")
_KINDS = ("input", "crossbar", "digital")


def to_json(network: Network) -> dict[str, Any]:
    """The network as plain lists, dicts, strings and integers.

    Parameters
    ----------
    network : Network

    Returns
    -------
    dict
        :func:`from_json` gives back an equal network. Defaults are left out.
    """
    sizes = [(n.height, n.width) for n in network.nodes]
    nodes = [_write_node(node, sizes) for node in network.nodes]
    return {"format": FORMAT, "version": VERSION, "name": network.name, "source": network.source, "nodes": nodes}


def _write_node(node: Node, sizes: list[tuple[int, int]]) -> dict[str, Any]:
    out: dict[str, Any] = {"name": node.name, "kind": node.kind, "op": node.op}
    out["shape"] = [node.channels, node.height, node.width]
    if node.weights is not None:
        out["weights"] = _write_weights(node.weights)
    if node.edges:
        out["edges"] = [_write_edge(edge, node.weights, sizes) for edge in node.edges]
    out.update({field: getattr(node, field) for field in _COUNTS if getattr(node, field)})
    return out


def _write_weights(w: Weights) -> dict[str, Any]:
    out: dict[str, Any] = {"in_channels": w.in_channels, "out_channels": w.out_channels}
    if w.groups != 1:
        out["groups"] = w.groups
    for field in ("kernel", "stride", "dilation"):
        if getattr(w, field) != (1, 1):
            out[field] = list(getattr(w, field))
    if w.transposed:
        out["transposed"] = True
    out.update({field: getattr(w, field) for field in _BITS if getattr(w, field) is not None})
    return out


def _write_edge(edge: Edge, weights: Weights | None, sizes: list[tuple[int, int]]) -> dict[str, Any]:
    runs = write_channels(edge.source, edge.channel)
    producers = {run[0] for run in runs} - {CONSTANT}
    hints = ((weights.stride[a], weights.dilation[a]) if weights and weights.transposed else None for a in (0, 1))
    taps = zip((edge.rows, edge.cols), hints, strict=True)
    rows, cols = (write_taps(t, min(sizes[p][a] for p in producers), h) for a, (t, h) in enumerate(taps))
    out: dict[str, Any] = {"from": runs}
    if rows:
        out["rows"] = rows
    if cols != rows:
        out["cols"] = cols
    return out


def from_json(data: object, where: str = "network") -> Network:
    """A network from what :func:`to_json` made, or from a file written by hand.

    Parameters
    ----------
    data : dict
    where : str
        What messages begin with, e.g. the file.

    Raises
    ------
    InstanceError
        If anything is missing, unknown, of the wrong type, out of range or inconsistent; it names the path inside.
    """
    with reading(where, "a network"):
        return _from_json(data, where)


def _from_json(data: object, where: str) -> Network:
    top = keys(where, data, {"format", "version", "name", "nodes"}, {"source"})
    if top["format"] != FORMAT:
        raise InstanceError(where, "format", top["format"], f"expected {FORMAT!r}")
    if type(top["version"]) is not int or top["version"] != VERSION:
        raise InstanceError(where, "version", top["version"], f"expected {VERSION}")
    name, source = _text(where, "name", top["name"]), _text(where, "source", top.get("source", ""), empty=True)
    if not isinstance(top["nodes"], list) or not top["nodes"]:
        raise InstanceError(where, "nodes", type(top["nodes"]).__name__, "expected a list of at least one node")
    nodes: list[Node] = []
    channels: list[int] = []
    totals = Totals()
    for i, item in enumerate(top["nodes"]):
        nodes.append(_read_node(f"{where}: nodes[{i}]", item, nodes, channels))
        channels.append(nodes[-1].channels)
        tally(totals, f"{where}: nodes[{i}]", nodes[-1])
    network = Network(name, tuple(nodes), source)
    check(network, where)
    return network


def _text(where: str, field: str, value: Any, empty: bool = False) -> str:
    if not isinstance(value, str) or not (value or empty):
        raise InstanceError(where, field, value, "expected text")
    return value


def _read_node(where: str, value: Any, before: list[Node], channels: list[int]) -> Node:
    item = keys(where, value, {"name", "kind", "op", "shape"}, {"weights", "edges", *_COUNTS})
    name = _text(where, "name", item["name"])
    where = f"{where} {name!r}"
    kind, shape, edges = item["kind"], item["shape"], item.get("edges", [])
    if kind not in _KINDS:
        raise InstanceError(where, "kind", kind, f"expected one of {list(_KINDS)}")
    if not isinstance(shape, list) or len(shape) != 3:
        raise InstanceError(where, "shape", shape, "expected [channels, height, width]")
    c, h, w = (integer(where, f"shape[{i}]", n, 1) for i, n in enumerate(shape))
    if not isinstance(edges, list):
        raise InstanceError(where, "edges", edges, "expected a list")
    reads: list[Edge] = []
    for i, edge in enumerate(edges):
        read = _read_edge(f"{where}: edges[{i}]", edge, (h, w), before, channels)
        reads.append(_shared(read, reads[-1]) if reads else read)
    weights = _read_weights(f"{where}: weights", item["weights"]) if "weights" in item else None
    ops, fused = (integer(where, field, item.get(field, 0), 0, LARGEST_INTEGER) for field in _COUNTS)
    try:
        return Node(name, kind, _text(where, "op", item["op"]), c, h, w, tuple(reads), weights, ops, fused)
    except InstanceError as error:
        raise InstanceError(where, error.field, error.value, error.rule) from error


def _read_edge(where: str, value: Any, size: tuple[int, int], before: list[Node], channels: list[int]) -> Edge:
    item = keys(where, value, {"from"}, {"rows", "cols"})
    source, channel = read_channels(where, item["from"], len(before), channels)
    producers = [before[run[0]] for run in item["from"] if run[0] != CONSTANT]
    rows = item.get("rows", {})
    row_taps = read_taps(f"{where}: rows", rows, size[0], min(n.height for n in producers))
    col_taps = read_taps(f"{where}: cols", item.get("cols", rows), size[1], min(n.width for n in producers))
    return Edge(source, channel, row_taps, col_taps)


def _shared(edge: Edge, before: Edge) -> Edge:
    """An edge with the taps of the one before, where they are equal: channels dealt out share them in memory."""
    if edge.rows is before.rows and edge.cols is before.cols:
        return edge
    pairs = ((edge.rows, before.rows), (edge.cols, before.cols))
    rows, cols = (old if np.array_equal(new, old) else new for new, old in pairs)
    return replace(edge, rows=rows, cols=cols)


def _read_weights(where: str, value: Any) -> Weights:
    optional = {"groups", "kernel", "stride", "dilation", "transposed", *_BITS}
    item = keys(where, value, {"in_channels", "out_channels"}, optional)
    groups, inputs, outputs = (integer(where, f, item.get(f, 1), 1) for f in ("groups", "in_channels", "out_channels"))
    kernel, stride, dilation = (_read_pair(where, f, item.get(f, [1, 1])) for f in ("kernel", "stride", "dilation"))
    transposed = item.get("transposed", False)
    if type(transposed) is not bool:
        raise InstanceError(where, "transposed", transposed, "expected true or false")
    bits = (integer(where, f, item[f], 1, 64) if f in item else None for f in _BITS)
    return Weights(groups, inputs, outputs, kernel, stride, dilation, transposed, *bits)


def _read_pair(where: str, field: str, value: Any) -> tuple[int, int]:
    if not isinstance(value, list) or len(value) != 2:
        raise InstanceError(where, field, value, "expected [height, width]")
    height, width = (integer(where, f"{field}[{i}]", n, 1) for i, n in enumerate(value))
    return height, width


def dumps(network: Network) -> str:
    """The file's text: one node per line, so that differences between versions are readable."""
    data = to_json(network)
    nodes = data.pop("nodes")
    head = orjson.dumps(data).decode()[:-1]
    return head + ',"nodes":[\n' + ",\n".join(orjson.dumps(node).decode() for node in nodes) + "\n]}\n"


def read(path: Path) -> Network:
    """The network of a file.

    Raises
    ------
    InstanceError
        If there is no such file, it is not JSON (NaN is not JSON), or see :func:`from_json`.
    """
    return from_json(read_json(path), str(path))
