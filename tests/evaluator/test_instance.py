"""Family ``instance``: a solution's network and chip against the real ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from spatem_opt.errors import InstanceError
from spatem_opt.evaluator import evaluate
from spatem_opt.network.layers import Network
from tests.evaluator.hand import pipeline, with_chip


def changed(index: int, **fields: Any) -> Network:
    """The network of the pipeline with one node changed."""
    network = pipeline().network
    nodes = list(network.nodes)
    nodes[index] = replace(nodes[index], **fields)
    return Network("other", tuple(nodes))


def test_the_real_ones_are_taken() -> None:
    solution = pipeline()
    renamed = Network("another name", solution.network.nodes, "another source")
    assert evaluate(solution, network=renamed, architecture=replace(solution.architecture, name="x")).valid


def test_a_chip_that_is_another() -> None:
    solution = pipeline()
    found = evaluate(solution, architecture=with_chip(solution, hop_cycles=2, adc_fj=11).architecture)
    assert found.families == ("instance",)
    assert found.latency_cycles == 43  # replayed all the same
    assert "hop_cycles = 1, not 2; adc_fj = 10, not 11" in found.violations[0].message
    assert found.violations[0].amount == 2


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (changed(2, ops_per_window=9), "node 'pool': ops_per_window = 8, not 9"),
        (changed(1, fused_ops=1), "node 'conv': fused_ops = 0, not 1"),
        (changed(1, weights=replace(pipeline().network.nodes[1].weights, weight_bits=4)),  # type: ignore[type-var]
         "node 'conv': weights.weight_bits = None, not 4"),
        (changed(1, edges=(replace(pipeline().network.nodes[1].edges[0],
                                   channel=pipeline().network.nodes[1].edges[0].channel[::-1]),)),
         "node 'conv': edges[0].channel differ"),
        (Network("short", pipeline().network.nodes[:3]), "nodes = 4, not 3"),
    ],
)  # fmt: skip
def test_a_network_that_is_another(network: Network, message: str) -> None:
    found = evaluate(pipeline(), network=network)
    assert found.families == ("instance",)
    assert message in found.violations[0].message


def test_the_first_differences_are_named_and_the_rest_counted() -> None:
    solution = pipeline()
    other = with_chip(solution, ou_fj=2, adc_fj=2, hop_bit_fj=2, static_fj=2, digital_op_fj=2).architecture
    assert evaluate(solution, architecture=other).violations[0].message.endswith("; and 2 more")


@pytest.mark.parametrize("wrong", [{"network": "resnet50"}, {"architecture": "ou-isaac"}, {"network": 1}])
def test_objects_are_expected(wrong: dict[str, Any]) -> None:
    with pytest.raises(InstanceError, match=r"expected a (Network|Architecture)"):
        evaluate(pipeline(), **wrong)
    with pytest.raises(InstanceError, match=r"evaluate: solution = 'file\.json', expected a Solution"):
        evaluate("file.json")  # type: ignore[arg-type]
