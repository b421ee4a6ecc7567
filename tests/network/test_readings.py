"""Channels that mix are dealt out over edges, up to one for each channel; they cost what those of one edge do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spatem_opt import evaluate
from spatem_opt.cost import transport
from spatem_opt.cost.durations import datum_bits
from spatem_opt.evaluator.taps import of_equal_taps
from spatem_opt.network import Network
from spatem_opt.network import receptive as r
from spatem_opt.network.builder import Builder, Read
from spatem_opt.network.json_io import from_json, to_json
from spatem_opt.network.readings import Reading, readings
from spatem_opt.planning.plan import problem_of
from spatem_opt.testing import random_chip, random_plan, scheduled

CHANNELS = 6


def mixing(explicit: bool = False) -> Network:
    """Two convolutions, and a digital node of one channel that needs all of the other: 1 + 6 + 6 edges, three taps."""
    b = Builder("mixing", "made for a test")
    x = b.input(2, 5, 5)
    one, two = b.conv(x, CHANNELS, 3, name="one"), b.conv(x, 1, 3, name="two")
    rows = np.array([[0, 2], [1, 2], [2, 0]]) if explicit else r.full_taps(3, 3)
    same = r.identity_taps(3)
    y = b.digital("mix", "softmax", [Read(two, same, same)], 1, shared=[Read(one, rows, same), Read(one, same, rows)])
    return b.build([b.conv(y, 3, 1, name="last")])


def test_edges_of_equal_taps_are_one_reading() -> None:
    node = mixing().nodes[3]
    found = readings(node)
    assert [len(node.edges), len(found), len(of_equal_taps(node))] == [1 + 2 * CHANNELS, 3, 3]
    assert found[0].edge is node.edges[0]
    for reading, edges in zip(found[1:], (node.edges[1 : 1 + CHANNELS], node.edges[1 + CHANNELS :]), strict=True):
        assert reading.edge.channel.tolist() == [int(edge.channel[0]) for edge in edges] == list(range(CHANNELS))
        assert reading.output.tolist() == [0] * CHANNELS
        assert reading.producers == (1,)
        assert reading.edge.rows is edges[0].rows


def test_edges_of_files_share_the_taps_that_are_written_out() -> None:
    node = from_json(to_json(mixing(explicit=True))).nodes[3]
    assert [len(node.edges), len(readings(node))] == [1 + 2 * CHANNELS, 3]


def apart(network: Network) -> Network:
    """The same network, with taps of its own for every edge."""
    return replace(network, nodes=tuple(
        replace(node, edges=tuple(replace(e, rows=e.rows.copy(), cols=e.cols.copy()) for e in node.edges))
        for node in network.nodes
    ))  # fmt: skip


def test_tables_are_made_for_every_taps_and_producer_not_for_every_edge(monkeypatch: pytest.MonkeyPatch) -> None:
    network, made = mixing(), []
    rng = np.random.default_rng(3)
    while (plan := random_plan(rng, network, chip := random_chip(rng))) is None:
        pass
    original = transport.read_of

    def counted(reading: Reading, producer: int, reads: np.ndarray, channels: int) -> np.ndarray:
        made.append(producer)
        return original(reading, producer, reads, channels)

    monkeypatch.setattr(transport, "read_of", counted)
    transport.routes(problem_of(plan, network, chip))
    assert made == [0, 0, 2, 1, 1, 3]


@pytest.mark.parametrize("seed", range(6))
def test_joined_edges_are_read_as_each_by_itself(seed: int) -> None:
    rng, network = np.random.default_rng(seed), mixing()
    other = apart(network)
    assert len(readings(other.nodes[3])) == len(network.nodes[3].edges)
    while (plan := random_plan(rng, network, chip := random_chip(rng))) is None:
        pass
    solution = scheduled(plan, network, chip)
    one, two = evaluate(solution), evaluate(replace(solution, network=other))
    assert (one.latency_cycles, one.period_cycles, one.communication) == (
        two.latency_cycles, two.period_cycles, two.communication
    )  # fmt: skip
    assert datum_bits(network, chip) == datum_bits(other, chip)
    for mine, others in zip(*(transport.routes(problem_of(plan, n, chip)).used for n in (network, other)), strict=True):
        assert mine.tile.tolist() == others.tile.tolist()
        assert (mine.channels == others.channels).all()
