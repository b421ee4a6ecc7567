"""Weights of a layer and its taps are the same layer: in files, in what is built, and for the evaluator on its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from spatem_opt.errors import InstanceError
from spatem_opt.evaluator.sliding import check_sliding
from spatem_opt.network import Builder, from_json, to_json
from spatem_opt.network.check import check
from spatem_opt.network.layers import Edge, Network, Node
from spatem_opt.testing import random_network
from tests.network.onnx_models import imported, ints, model, weight


def conv(size: int = 9, kernel: int = 3, stride: int = 1, dilation: int = 1, pads: int = 0) -> Network:
    b = Builder("one")
    b.conv(b.input(2, size, size), 2, kernel, stride, pads, dilation, name="conv")
    return b.build()


def file_without(network: Network, *fields: str) -> dict[str, Any]:
    """The network file, with fields of the layer's weights left out, hence 1."""
    data = to_json(network)
    for field in fields:
        del data["nodes"][1]["weights"][field]
    return data


@pytest.mark.parametrize(("kernel", "stride"), [(3, 2), (1, 2), (2, 2), (3, 3), (1, 4)])
def test_a_stride_left_out_of_a_file(kernel: int, stride: int) -> None:
    """A kernel-split window would fetch 1 instead of ``stride**2`` pixels (M4), and nobody would see."""
    network = conv(9, kernel, stride)
    assert from_json(to_json(network)).nodes[1].weights == network.nodes[1].weights
    with pytest.raises(InstanceError, match=rf"weights.stride = \[1, 1\], expected {stride}, the step of the rows"):
        from_json(file_without(network, "stride"))


def test_a_dilation_left_out_of_a_file() -> None:
    with pytest.raises(InstanceError, match=r"weights.dilation = \[1, 1\], expected 2, the step of the rows"):
        from_json(file_without(conv(9, 3, 1, 2), "dilation"))
    with pytest.raises(InstanceError, match=r"weights.stride = \[1, 1\], expected 2"):
        from_json(file_without(conv(9, 3, 2, 2), "stride", "dilation"))


def test_an_upsampling_factor_left_out_of_a_file() -> None:
    b = Builder("up")
    b.conv_transpose(b.input(2, 4, 4), 2, 3, stride=2, name="up")
    data = to_json(b.build())
    data["nodes"][1]["weights"]["stride"] = [2, 1]
    with pytest.raises(InstanceError, match=r"weights.stride = \[2, 1\], expected 2, the step of the cols"):
        from_json(data)


def test_taps_that_do_not_slide() -> None:
    """A table with one pixel exchanged: no stride explains it."""
    data = to_json(conv(6, 3))
    data["nodes"][1]["edges"][0]["rows"] = {"kind": "table", "taps": [[0, 1, 2], [1, 3, 2], [2, 3, 4], [3, 4, 5]]}
    with pytest.raises(InstanceError, match="with which the rows are windows that slide"):
        from_json(data)


def seen_by_evaluator(network: Network, **weights: Any) -> bool:
    """Whether the evaluator takes the first layer with other weights."""
    node = next(n for n in network.nodes if n.weights is not None)
    assert node.weights is not None
    try:
        check_sliding("layer", replace(node.weights, **weights), node.edges)
    except InstanceError:
        return False
    return True


def seen_by_readers(network: Network, **weights: Any) -> bool:
    """The same by the check of all readers."""
    nodes = list(network.nodes)
    index = network.layers[0]
    node = nodes[index]
    assert node.weights is not None
    nodes[index] = replace(node, weights=replace(node.weights, **weights))
    try:
        check(Network("changed", tuple(nodes)))
    except InstanceError:
        return False
    return True


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=300)
def test_both_checks_take_what_is_built_and_agree_on_the_rest(seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = random_network(rng, 1)
    weights = network.nodes[network.layers[0]].weights
    assert weights is not None
    assert seen_by_evaluator(network)
    assert seen_by_readers(network)
    other = {field: tuple(int(n) for n in rng.integers(1, 4, 2)) for field in ("stride", "dilation")}
    assert seen_by_evaluator(network, **other) == seen_by_readers(network, **other)


@pytest.mark.parametrize("kernel", [1, 3])
def test_a_view_of_every_second_pixel_is_a_stride(tmp_path: Path, kernel: int) -> None:
    """Slice with steps, then a convolution: read as one of stride 2 (and dilation 2), which is the same."""
    nodes = [helper.make_node("Slice", ["x", "a", "b", "i", "s"], ["c"]), helper.make_node("Conv", ["c", "w"], ["y"])]
    shape = [weight("w", 3, 2, kernel, kernel), ints("a", 0, 0), ints("b", 99, 99), ints("i", 2, 3), ints("s", 2, 2)]
    network = imported(tmp_path, model(nodes, (1, 2, 12, 12), shape))
    found = network.nodes[1].weights
    assert found is not None
    assert (found.stride, found.dilation) == ((2, 2), (1, 1) if kernel == 1 else (2, 2))
    assert from_json(to_json(network)).nodes[1].weights == found


@pytest.mark.parametrize("mode", ["reflect", "edge", "wrap", "constant"])
def test_padding_of_other_kinds_slides(tmp_path: Path, mode: str) -> None:
    nodes = [helper.make_node("Pad", ["x", "p"], ["c"], mode=mode), helper.make_node("Conv", ["c", "w"], ["y"])]
    constants = [weight("w", 3, 2, 3, 3), ints("p", 0, 0, 2, 2, 0, 0, 2, 2)]
    network = imported(tmp_path, model(nodes, (1, 2, 8, 8), constants, opset=19))
    assert network.nodes[1].weights is not None
    assert network.nodes[1].weights.stride == (1, 1)
    assert seen_by_evaluator(network)
    assert not seen_by_evaluator(network, stride=(2, 1))


def test_kernel_and_edges() -> None:
    network = conv()
    assert not seen_by_evaluator(network, kernel=(3, 2))
    node: Node = network.nodes[1]
    edge: Edge = node.edges[0]
    assert node.weights is not None
    with pytest.raises(InstanceError, match="expected exactly 1"):
        check_sliding("layer", node.weights, (edge, edge))
