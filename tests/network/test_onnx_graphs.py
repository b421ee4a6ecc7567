"""The nine graphs of the onnx wheel: layers, shapes, edges, totals."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest

from spatem_opt.network import Network, from_onnx, load
from spatem_opt.network.stats import summary

LIGHT = Path(onnx.__file__).parent / "backend/test/data/light"

# crossbar layers, digital nodes, edges, parameters (weights of Conv and Gemm), MACs. Layers and parameters are those of
# the papers; MACs of AlexNet and Inception are below the papers' because these graphs use 224 x 224 and pool without
# ceil. Digital nodes: every operator, once per producer where it pools a concat (e.g. 4 paths of an inception module).
TOTALS = {
    "bvlc_alexnet": (8, 3, 11, 60_954_656, 654_560_384),
    "densenet121": (121, 21, 142, 7_894_208, 2_834_161_664),
    "inception_v1": (58, 47, 105, 6_990_272, 1_431_556_352),
    "inception_v2": (70, 47, 117, 11_174_080, 2_018_851_840),
    "resnet50": (54, 18, 88, 25_502_912, 4_089_184_256),
    "shufflenet": (50, 18, 81, 1_365_464, 124_664_528),
    "squeezenet": (26, 6, 32, 1_231_552, 349_151_936),
    "vgg19": (19, 5, 24, 143_652_544, 19_632_062_464),
    "zfnet512": (8, 3, 11, 87_242_528, 1_481_727_008),
}


@pytest.fixture(scope="module")
def networks() -> dict[str, Network]:
    return {name: from_onnx(LIGHT / f"light_{name}.onnx") for name in TOTALS}


@pytest.mark.parametrize("name", TOTALS)
def test_totals(networks: dict[str, Network], name: str) -> None:
    network = networks[name]
    s = summary(network)
    digital = sum(node.kind == "digital" for node in network.nodes)
    assert (s["layers"], digital, s["edges"], s["parameters"], s["macs"]) == TOTALS[name]


@pytest.mark.parametrize("name", TOTALS)
def test_layers_are_those_of_the_graph(networks: dict[str, Network], name: str) -> None:
    graph = onnx.load(LIGHT / f"light_{name}.onnx").graph
    expected = [n.name or n.output[0] for n in graph.node if n.op_type in ("Conv", "Gemm")]
    assert [networks[name].nodes[i].name for i in networks[name].layers] == expected


@pytest.mark.parametrize("name", TOTALS)
def test_shapes_are_those_that_onnx_infers(networks: dict[str, Network], name: str) -> None:
    model = onnx.shape_inference.infer_shapes(onnx.load(LIGHT / f"light_{name}.onnx"), data_prop=True)
    infos = [*model.graph.value_info, *model.graph.output]
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in infos}
    compared = 0
    nodes = {n.name: n for n in networks[name].nodes}
    for op in model.graph.node:
        node = nodes.get(op.name or op.output[0])
        if node is not None and op.output[0] in shapes:
            shape = shapes[op.output[0]]
            assert [1, node.channels, node.height, node.width] == [*shape, 1, 1][:4], op.output[0]
            compared += 1
    assert compared >= len(networks[name].layers)


def _layers(network: Network) -> Counter[tuple[object, ...]]:
    """Layer shapes; order and names differ between writers of the same network."""
    nodes = [network.nodes[i] for i in network.layers]
    return Counter(
        (n.channels, n.height, n.width, w.groups, w.in_channels, w.kernel, w.stride)
        for n in nodes
        if (w := n.weights) is not None
    )


@pytest.mark.parametrize("name", ["resnet50", "vgg19", "squeezenet", "densenet121"])
def test_same_layers_as_the_shipped_network(networks: dict[str, Network], name: str) -> None:
    assert _layers(networks[name]) == _layers(load(name))


@pytest.mark.parametrize("name", ["vgg19", "squeezenet", "densenet121"])
def test_same_edges_as_the_shipped_network(networks: dict[str, Network], name: str) -> None:
    shipped = load(name)
    assert len(shipped.nodes) == len(networks[name].nodes)
    for ours, theirs in zip(shipped.nodes, networks[name].nodes, strict=True):
        for a, b in zip(ours.edges, theirs.edges, strict=True):
            pairs = [(a.source, b.source), (a.channel, b.channel), (a.rows, b.rows), (a.cols, b.cols)]
            assert all(np.array_equal(x, y) for x, y in pairs), ours.name


def test_densenet_layer_reads_all_layers_of_its_block(networks: dict[str, Network]) -> None:
    network = networks["densenet121"]
    convs = [network.nodes[i] for i in network.layers]
    # First block: 64 channels of the pool and 32 of each of five layers; layers alternate 1x1 and 3x3 after conv1.
    sixth = convs[1 + 2 * 5]
    counts = np.unique(sixth.edges[0].source, return_counts=True)[1]
    assert counts.tolist() == [64, 32, 32, 32, 32, 32]


def test_channel_shuffle_of_shufflenet_is_an_edge(networks: dict[str, Network]) -> None:
    network = networks["shufflenet"]
    depthwise = next(n for n in network.nodes if n.weights is not None and n.weights.groups == n.channels)
    producer = network.nodes[int(depthwise.edges[0].source[0])]
    groups = producer.weights.groups if producer.weights else 0
    expected = np.arange(producer.channels).reshape(groups, -1).T.ravel()
    assert groups > 1
    assert np.array_equal(depthwise.edges[0].channel, expected)


def test_residual_adds_take_the_operand_produced_last_as_primary(networks: dict[str, Network]) -> None:
    network = networks["resnet50"]
    adds = [n for n in network.nodes if n.op == "add"]
    assert len(adds) == 16
    for node in adds:
        assert node.edges[0].source.max() > node.edges[1].source.max()
        assert node.ops_per_window == node.channels


def test_elementwise_and_activation_are_counted_at_their_producers(networks: dict[str, Network]) -> None:
    conv1 = networks["resnet50"].nodes[1]
    assert conv1.fused_ops == 2 * 64 * 112 * 112  # batch normalisation and ReLU
