"""Tiny solutions on a line of three routers in which packets meet; ``test_hand_routers.py`` derives their times."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from spatem_opt.model.architecture import Architecture
from spatem_opt.model.solution import MappingOption, Solution
from spatem_opt.network.layers import Network, Node, Weights
from tests.evaluator.generate import edge, whole
from tests.evaluator.hand import same, tables

#: Routers 0, 1, 2 in a row, a tile of one crossbar (14 x 16 OUs of 9 x 8 cells) at each; a weight of 16 bits takes 8
#: cells, hence a filter one OU column; an activation takes 16 phases. A pixel of one channel (16 bits) passes a server
#: in one cycle and a port in one cycle.
LINE = Architecture(
    name="line", mesh_rows=1, mesh_cols=3, tiles_per_router=1, pes_per_tile=1, crossbars_per_pe=1,
    crossbar_rows=128, crossbar_cols=128, ou_rows=9, ou_cols=8, cell_bits=2, dac_bits=1, weight_bits=16,
    activation_bits=16, partial_sum_bits=16, pipeline_tail_cycles=5, buffer_bits=65536, buffer_bits_per_cycle=16,
    overlap_input=False, input_load="needed", router_bits_per_cycle=16, hop_cycles=1, router_service="shared",
    input_entry="corner", multicast=False, digital_ops_per_cycle=16,
)  # fmt: skip


def _layer(name: str, sources: list[tuple[int, int]], filters: int, width: int) -> Node:
    """A 1x1 convolution on a map of height 1."""
    edges = (edge(sources, same(1), same(width)),)
    return Node(name, "crossbar", "conv", filters, 1, width, edges, Weights(1, len(sources), filters, (1, 1)))


def _solution(
    nodes: list[Node], placement: list[tuple[int, ...]], schedule: list[tuple[int, ...]], **chip: Any
) -> Solution:
    network = Network("line", tuple(nodes))
    layers = len(network.layers)
    parts = tables(placement, schedule)
    return Solution(replace(LINE, **chip), network, (MappingOption(),) * layers, *parts, np.zeros(layers, np.int64))


def fork(tiles: tuple[int, int, int] = (0, 1, 2)) -> Solution:
    """A on tile 0 feeds B on tile 1 and C on tile 2 (or on other tiles), one filter each, four pixels."""
    nodes = [
        Node("x", "input", "input", 1, 1, 4),
        _layer("A", whole(0, 1), 1, 4), _layer("B", whole(1, 1), 1, 4), _layer("C", whole(1, 1), 1, 4),
    ]  # fmt: skip
    return _solution(
        nodes, [(k, 0, tiles[k], 0, 1, 0, 1) for k in range(3)], [(k, 0, 0, 3, 1, 0, 0, 200) for k in range(3)]
    )


def sums() -> Solution:
    """One pixel of 18 channels, one filter; OU row 0 on tile 0, OU row 1 on tile 1."""
    nodes = [Node("x", "input", "input", 18, 1, 1), _layer("A", whole(0, 18), 1, 1)]
    return _solution(nodes, [(0, 0, 0, 0, 1, 0, 1), (0, 0, 1, 1, 2, 0, 1)], [(0, 0, 0, 0, 1, 0, 0, 200)])


def merge(crossbar: int = 2, start: int = 0) -> Solution:
    """A on tile 0 and B on tile 1, four filters each, read one pixel; C, one filter, reads both."""
    nodes = [
        Node("x", "input", "input", 1, 1, 1),
        _layer("A", whole(0, 1), 4, 1), _layer("B", whole(0, 1), 4, 1), _layer("C", whole(1, 4) + whole(2, 4), 1, 1),
    ]  # fmt: skip
    placement = [(0, 0, 0, 0, 1, 0, 4), (1, 0, 1, 0, 1, 0, 4), (2, 0, crossbar, 0, 1, 0, 1)]
    ends = (90, 90, 200)
    return _solution(nodes, placement, [(k, 0, 0, 0, 1, 0, start * (k == 2), ends[k]) for k in range(3)])


def order(start: int) -> Solution:
    """As `merge`, but C on the crossbar of A."""
    return merge(crossbar=0, start=start)


def ports() -> Solution:
    """Two copies of a layer of one filter on the two crossbars of tile 0 share two pixels of one channel."""
    nodes = [Node("x", "input", "input", 1, 1, 2), _layer("A", whole(0, 1), 1, 2)]
    placement = [(0, copy, copy, 0, 1, 0, 1) for copy in range(2)]
    schedule = [(0, copy, copy, copy, 1, 0, 0, 200) for copy in range(2)]
    return _solution(nodes, placement, schedule, crossbars_per_pe=2)


def one_port() -> Solution:
    """Two layers of one filter on the two crossbars of tile 0 read one pixel of four channels."""
    nodes = [Node("x", "input", "input", 4, 1, 1), _layer("A", whole(0, 4), 1, 1), _layer("B", whole(0, 4), 1, 1)]
    placement = [(layer, 0, layer, 0, 1, 0, 1) for layer in range(2)]
    schedule = [(layer, 0, 0, 0, 1, 0, 0, 200) for layer in range(2)]
    return _solution(nodes, placement, schedule, crossbars_per_pe=2)
