"""The network file: exact round trip, and strict reading."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spatem_opt.errors import InstanceError
from spatem_opt.files.shipped import root
from spatem_opt.network import Builder, Network, chain, from_json, from_onnx, load, names, to_json
from spatem_opt.network import receptive as r
from spatem_opt.network.json_io import dumps
from spatem_opt.network.taps_io import read_channels, read_taps, write_channels, write_taps

LIGHT = sorted((Path(onnx.__file__).parent / "backend/test/data/light").glob("*.onnx"))


def equal(a: Network, b: Network) -> bool:
    """Same in every field."""
    if (a.name, a.source, len(a.nodes)) != (b.name, b.source, len(b.nodes)):
        return False
    for x, y in zip(a.nodes, b.nodes, strict=True):
        fields = ("name", "kind", "op", "channels", "height", "width", "weights", "ops_per_window", "fused_ops")
        if any(getattr(x, f) != getattr(y, f) for f in fields) or len(x.edges) != len(y.edges):
            return False
        for e, f in zip(x.edges, y.edges, strict=True):
            if not all(np.array_equal(getattr(e, k), getattr(f, k)) for k in ("source", "channel", "rows", "cols")):
                return False
    return True


@pytest.mark.parametrize("name", names())
def test_round_trip_of_shipped_networks(name: str) -> None:
    network = load(name)
    assert equal(from_json(orjson.loads(dumps(network))), network)


@pytest.mark.parametrize("path", LIGHT, ids=lambda p: p.stem)
def test_round_trip_of_imported_networks(path: Path) -> None:
    network = from_onnx(path)
    text = dumps(network)
    assert equal(from_json(orjson.loads(text)), network)
    assert '"table"' not in text


def test_example_of_the_readme() -> None:
    text = (root() / "networks" / "README.md").read_text().split("```json\n")[1].split("```")[0]
    assert len(from_json(json.loads(text)).layers) == 2


def test_long_chain_is_small() -> None:
    network = chain(2000)
    text = dumps(network)
    assert len(text) < 250 * 2000
    assert equal(from_json(orjson.loads(text)), network)


def test_transposed_bits_and_irregular_taps() -> None:
    b = Builder("odd", "by hand")
    x = b.input(4, 5, 6)
    y = b.conv_transpose(x.pad(0, 1, 2, 0), 6, (3, 2), (2, 3), (1, 0, 0, 1), (1, 2), groups=2, output_padding=(1, 0))
    y = b.conv(y.take(np.array([5, 3, 1, 0])), 2, 3, pads=(2, 0, 1, 1))
    z = b.upsample(y, (2, 3))
    network = b.build([b.fc(b.add(z, b.upsample(y, (2, 3))), 3)])
    assert equal(from_json(to_json(network)), network)


@given(
    outputs=st.integers(1, 9), kernel=st.integers(1, 5), stride=st.integers(0, 4), pad=st.integers(-3, 6),
    dilation=st.integers(1, 3), length=st.integers(1, 12), transposed=st.booleans(),
)  # fmt: skip
@settings(max_examples=200)
def test_taps_round_trip(
    outputs: int, kernel: int, stride: int, pad: int, dilation: int, length: int, transposed: bool
) -> None:
    make = r.transposed_taps if transposed else r.window_taps
    taps = make(outputs, kernel, max(stride, int(transposed)), pad, dilation, length)
    short = write_taps(taps, length, (max(stride, 1), dilation) if transposed else None)
    assert np.array_equal(read_taps("here", json.loads(json.dumps(short)), outputs, length), taps)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 6)), min_size=1, max_size=20))
@settings(max_examples=200)
def test_channels_round_trip(pairs: list[tuple[int, int]]) -> None:
    source, channel = (np.array(column, dtype=np.int64) for column in zip(*pairs, strict=True))
    back = read_channels("here", write_channels(source, channel), 3, [7, 7, 7])
    assert np.array_equal(back[0], source)
    assert np.array_equal(back[1], channel)


def tiny() -> dict[str, Any]:
    b = Builder("tiny", "by hand")
    x = b.conv(b.input(2, 4, 4), 4, 3, pads=1, name="conv")
    x = b.pool(x, "max", 2, 2, name="pool")
    b.fc(x, 3, name="fc")
    return to_json(b.build())


def _set(*path: Any, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(data: dict[str, Any]) -> None:
        for key in path[:-1]:
            data = data[key]
        data[path[-1]] = value

    return change


def _del(*path: Any) -> Callable[[dict[str, Any]], None]:
    def change(data: dict[str, Any]) -> None:
        for key in path[:-1]:
            data = data[key]
        del data[path[-1]]

    return change


CONV, POOL, FC = ("nodes", 1), ("nodes", 2), ("nodes", 3)
BAD: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "format": (_set("format", value="other"), r"file: format = 'other', expected 'spatem-network'"),
    "version": (_set("version", value=2), r"version = 2, expected 1"),
    "version true": (_set("version", value=True), r"version = True"),
    "unknown key": (_set("colour", value=1), r"file: colour = 1, unknown key"),
    "unknown key in a node": (_set(*CONV, "strid", value=1), r"nodes\[1\]: strid = 1, unknown key"),
    "missing key": (_del(*CONV, "shape"), r"nodes\[1\]: shape = None, is missing"),
    "no nodes": (_set("nodes", value=[]), r"nodes = .*at least one"),
    "nodes no list": (_set("nodes", value={}), r"nodes"),
    "node no object": (_set(*CONV, value=3), r"nodes\[1\].*expected an object"),
    "name empty": (_set("name", value=""), r"name = '', expected text"),
    "name repeated": (_set(*POOL, "name", value="conv"), r"'conv'.*name of its own"),
    "kind": (_set(*CONV, "kind", value="analog"), r"kind = 'analog'"),
    "kind a list": (_set(*CONV, "kind", value=[]), r"kind = \[\]"),
    "height 0": (_set(*CONV, "shape", 1, value=0), r"nodes\[1\] 'conv': shape\[1\] = 0, expected an integer"),
    "text as number": (_set(*CONV, "shape", 1, value="4"), r"shape\[1\] = '4'"),
    "float as number": (_set(*CONV, "shape", 1, value=4.0), r"shape\[1\] = 4\.0"),
    "NaN": (_set(*CONV, "fused_ops", value=float("nan")), r"fused_ops = nan"),
    "boolean as number": (_set(*CONV, "shape", 1, value=True), r"shape\[1\] = True"),
    "huge": (_set(*CONV, "shape", 1, value=10**30), r"shape\[1\] = 10{30}"),
    "shape of two": (_set(*CONV, "shape", value=[1, 2]), r"shape = \[1, 2\]"),
    "shape is wrong": (_set(*CONV, "shape", 0, value=5), r"out_channels = 4, expected groups \* out_channels = the 5"),
    "negative operations": (_set(*POOL, "ops_per_window", value=-1), r"ops_per_window = -1"),
    "stride 0": (_set(*CONV, "weights", "stride", value=[0, 1]), r"weights: stride\[0\] = 0"),
    "kernel": (_set(*CONV, "weights", "kernel", value=[3, 2]), r"weights\.kernel = \[3, 2\], expected the taps"),
    "groups": (_set(*CONV, "weights", "groups", value=2), r"weights\.in_channels = 2"),
    "transposed": (_set(*CONV, "weights", "transposed", value=1), r"transposed = 1, expected true or false"),
    "bits": (_set(*CONV, "weights", "weight_bits", value=0), r"weight_bits = 0"),
    "no weights": (_del(*CONV, "weights"), r"weights = None"),
    "weights of a pool": (_set(*POOL, "weights", value={"in_channels": 1, "out_channels": 1}), r"for no other node"),
    "no edges": (_del(*CONV, "edges"), r"edges = 0, expected exactly 1"),
    "edges of an input": (
        lambda d: d["nodes"].append({**d["nodes"][0], "name": "b", "edges": copy.deepcopy(d["nodes"][1]["edges"])}),
        r"edges = \[4, 4\]|edges = 1, expected none",
    ),
    "two edges": (lambda d: d["nodes"][1]["edges"].append(d["nodes"][1]["edges"][0]), r"edges = 2, expected exactly 1"),
    "later producer": (_set(*CONV, "edges", 0, "from", 0, 0, value=2), r"from\[0\]\[0\] = 2, expected an earlier node"),
    "itself": (_set(*CONV, "edges", 0, "from", 0, 0, value=1), r"expected an earlier node, 0 \.\.\. 0"),
    "dangling": (_set(*CONV, "edges", 0, "from", 0, 0, value=99), r"from\[0\]\[0\] = 99"),
    "negative producer": (_set(*CONV, "edges", 0, "from", 0, 0, value=-2), r"from\[0\]\[0\] = -2"),
    "channel": (
        _set(*CONV, "edges", 0, "from", 0, value=[0, 1, 2]), r"from\[0\] = \[0, 1, 2\], expected channels 0 \.\.\. 1",
    ),
    "run": (_set(*CONV, "edges", 0, "from", 0, value=[0, 1]), r"from\[0\] = \[0, 1\]"),
    "no runs": (_set(*CONV, "edges", 0, "from", value=[]), r"from = \[\]"),
    "channels of a pool": (_set(*POOL, "edges", 0, "from", 0, 2, value=3), r"channel = 3, expected one per channel"),
    "two producers of a pool": (
        _set(*POOL, "edges", 0, "from", value=[[0, 0, 2], [1, 0, 2]]), r"expected one producer in the primary edge",
    ),
    "taps kind": (_set(*CONV, "edges", 0, "rows", value={"kind": "spiral"}), r"rows: kind = 'spiral'"),
    "taps kind a list": (_set(*CONV, "edges", 0, "rows", value={"kind": []}), r"rows: kind = \[\]"),
    "taps key": (_set(*CONV, "edges", 0, "rows", "pads", value=1), r"rows: pads = 1, unknown key"),
    "taps no object": (_set(*CONV, "edges", 0, "rows", value=[1]), r"rows: found list, expected an object"),
    "taps kernel": (_set(*CONV, "edges", 0, "rows", "kernel", value=-3), r"rows: kernel = -3"),
    "taps memory": (
        _set(*CONV, value={"name": "c", "kind": "digital", "op": "o", "shape": [2, 1 << 20, 1],
                           "edges": [{"from": [[0, 0, 2]], "rows": {"kernel": 1 << 20}}]}),
        r"kernel \* outputs = 1099511627776, expected <= 16777216 ",
    ),
    "length": (_set(*CONV, "edges", 0, "rows", "length", value=5), r"length = 5, expected an integer in 1 \.\.\. 4"),
    "table too short": (_set(*POOL, "edges", 0, "rows", value={"kind": "table", "taps": [[0]]}), r"expected 2 lists"),
    "table ragged": (_set(*POOL, "edges", 0, "rows", value={"kind": "table", "taps": [[0], [0, 1]]}), r"one length"),
    "tap out of range": (
        _set(*POOL, "edges", 0, "rows", value={"kind": "table", "taps": [[0], [4]]}), r"taps\[1\]\[0\] = 4",
    ),
    "only an input": (lambda d: d["nodes"].__delitem__(slice(1, None)), r"at least one crossbar layer"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_strict(case: str) -> None:
    change, pattern = BAD[case]
    data = tiny()
    change(data)
    with pytest.raises(InstanceError, match=pattern) as caught:
        from_json(data, "file")
    assert str(caught.value).startswith("file: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [None, 3, [], "text", {}])
def test_not_a_network(data: object) -> None:
    with pytest.raises(InstanceError, match=r"^file: "):
        from_json(data, "file")


@pytest.mark.parametrize("text", ["", "{", '{"a": NaN}', "\x00", '{"format": "spatem-network"'])
def test_not_json(tmp_path: Path, text: str) -> None:
    (tmp_path / "n.json").write_text(text)
    with pytest.raises(InstanceError, match=r"n\.json: .*expected a JSON file"):
        load(tmp_path / "n.json")


@given(data=st.data())
@settings(max_examples=150)
def test_any_change_of_a_value_is_read_or_refused(data: st.DataObject) -> None:
    """No value anywhere in the file makes the reader fail in another way."""
    network = tiny()
    spots: list[tuple[Any, Any]] = []

    def walk(item: Any) -> None:
        for key in item if isinstance(item, dict) else range(len(item)):
            spots.append((item, key))
            if isinstance(item[key], dict | list):
                walk(item[key])

    walk(network)
    item, key = data.draw(st.sampled_from(spots))
    item[key] = data.draw(st.sampled_from([None, -1, 0, 1, 2, 7, 2.5, True, "", "x", [], [1], {}, {"a": 1}, 10**12]))
    message = "file: "
    try:
        from_json(network, "file")
    except InstanceError as error:
        message = str(error)
    assert message.startswith("file: ")
