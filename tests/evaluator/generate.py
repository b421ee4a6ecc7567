"""Random tiny solutions that keep every rule of M4 and M7, timed by :mod:`brute`; buffers may be overrun."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from itertools import pairwise

import numpy as np

from spatem_opt.model.architecture import Architecture
from spatem_opt.model.solution import MappingOption, Placement, Schedule, Solution
from spatem_opt.network.layers import Edge, Network, Node, Weights
from tests.evaluator.brute import Brute
from tests.evaluator.brute_place import Grid, build_grid

Rng = np.random.Generator


def taps(size: int, kernel: int, stride: int = 1, pad: int = 0, dilation: int = 1) -> np.ndarray:
    """Sliding-window taps along one axis of ``size`` inputs."""
    outputs = (size + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1
    found = np.arange(outputs)[:, None] * stride - pad + np.arange(kernel) * dilation
    return np.where((found < 0) | (found >= size), -1, found)


def stuffed_taps(size: int, kernel: int, stride: int, pad: int) -> np.ndarray:
    """Taps of a transposed convolution: a stride-1 window over the zero-stuffed input."""
    wide = taps((size - 1) * stride + 1, kernel, 1, pad)
    return np.where((wide >= 0) & (wide % stride == 0), wide // stride, -1)


def edge(sources: list[tuple[int, int]], rows: np.ndarray, cols: np.ndarray) -> Edge:
    """Edge from (node, channel) pairs."""
    pairs = np.array(sources, np.int64)
    return Edge(pairs[:, 0].copy(), pairs[:, 1].copy(), rows.astype(np.int64), cols.astype(np.int64))


def whole(node: int, channels: int) -> list[tuple[int, int]]:
    """All channels of a node in order."""
    return [(node, channel) for channel in range(channels)]


# --- networks ---------------------------------------------------------------------------------------------------------


def _conv(rng: Rng, nodes: list[Node], name: str) -> Node:
    """A convolution over the last node, or any, or over a concatenation or shuffle of nodes of its shape."""
    at = len(nodes) - 1 if rng.random() < 0.6 else int(rng.integers(len(nodes)))  # layers beside each other share ports
    last = nodes[at]
    pairs = whole(at, last.channels)
    peers = [i for i, n in enumerate(nodes) if i != at and (n.height, n.width) == (last.height, last.width)]
    if peers and rng.random() < 0.4:
        peer = int(rng.choice(peers))
        pairs += whole(peer, nodes[peer].channels)
    pairs = [pairs[i] for i in rng.permutation(len(pairs))] if rng.random() < 0.3 else pairs
    groups = int(rng.choice([g for g in range(1, len(pairs) + 1) if len(pairs) % g == 0]))
    transposed = rng.random() < 0.15
    kernel = tuple(int(k) for k in rng.integers(1, 4, 2))
    stride = tuple(int(s) for s in rng.integers(1, 3, 2))
    pad = tuple(int(rng.integers(0, k)) for k in kernel)
    dilation = (1, 1) if transposed or rng.random() < 0.8 else (2, 1)
    axes = []
    for axis, size in enumerate((last.height, last.width)):
        if transposed:
            axes.append(stuffed_taps(size, kernel[axis], stride[axis], pad[axis]))
        else:
            axes.append(taps(size, kernel[axis], stride[axis], pad[axis], dilation[axis]))
    if not all(len(axis) for axis in axes):
        kernel, stride, dilation, transposed = (last.height, last.width), (1, 1), (1, 1), False
        axes = [taps(last.height, last.height), taps(last.width, last.width)]
    bits = [None if rng.random() < 0.7 else int(rng.integers(1, 6)) for _ in range(3)]
    filters = int(rng.integers(1, 4))
    if rng.random() < 0.2:  # the shape of the first input: a digital node may read both
        groups, filters, kernel, stride, dilation, transposed = 1, nodes[0].channels, (1, 1), (1, 1), (1, 1), False
        axes = [taps(last.height, 1), taps(last.width, 1)]
    weights = Weights(groups, len(pairs) // groups, filters, kernel, stride, dilation, transposed, *bits)
    shape = groups * filters, len(axes[0]), len(axes[1])
    return Node(name, "crossbar", "conv", *shape, (edge(pairs, *axes),), weights, 0, int(rng.integers(0, 9)))


def _digital(rng: Rng, nodes: list[Node], name: str) -> Node:
    """A pool, or an elementwise node over nodes of equal shape, over the last node."""
    index, last = len(nodes) - 1, nodes[-1]
    ops = int(rng.integers(0, 12))
    peers = [
        i for i, n in enumerate(nodes[:-1])
        if (n.channels, n.height, n.width) == (last.channels, last.height, last.width)
    ]  # fmt: skip
    if peers and rng.random() < 0.7:
        same = np.arange(last.height)[:, None], np.arange(last.width)[:, None]
        operands = [index, int(rng.choice(peers))]
        if rng.random() < 0.4:  # the other one is the primary: where that is an input, this node runs outside
            operands.reverse()
        edges = tuple(edge(whole(i, last.channels), *same) for i in operands)
        return Node(name, "digital", "add", last.channels, last.height, last.width, edges, None, ops)
    pad = int(rng.integers(0, 2))
    rows, cols = (taps(size, min(2, size), int(rng.integers(1, 3)), pad) for size in (last.height, last.width))
    pairs = whole(index, last.channels)
    pairs = [pairs[i] for i in rng.permutation(len(pairs))]
    return Node(name, "digital", "pool", last.channels, len(rows), len(cols), (edge(pairs, rows, cols),), None, ops)


def network(rng: Rng) -> Network:
    """One or two inputs, one to three crossbar layers, with digital nodes between."""
    channels, *shape = (int(n) for n in rng.integers((1, 2, 2), (4, 6, 6)))
    nodes = [Node("in", "input", "input", channels, *shape)]
    layers = int(rng.integers(1, 4))
    if rng.random() < 0.3:
        channels = channels if rng.random() < 0.5 else int(rng.integers(1, 4))
        nodes.append(Node("second", "input", "input", channels, *shape))
    if rng.random() < 0.2:
        nodes.append(_digital(rng, nodes, "pre"))
    for layer in range(layers):
        nodes.append(_conv(rng, nodes, f"conv{layer}"))
        for k in range(int(rng.integers(0, 3))):
            nodes.append(_digital(rng, nodes, f"digital{layer}{k}"))
    return Network("tiny", tuple(nodes))


# --- decisions --------------------------------------------------------------------------------------------------------


def architecture(rng: Rng) -> Architecture:
    """A small chip with small OUs, narrow ports and, half the time, routers so narrow that queues form."""
    return Architecture(
        name="tiny", mesh_rows=int(rng.integers(1, 4)), mesh_cols=int(rng.integers(1, 4)),
        tiles_per_router=int(rng.integers(1, 3)), pes_per_tile=int(rng.integers(1, 3)),
        crossbars_per_pe=int(rng.integers(2, 5)),
        crossbar_rows=int(rng.integers(8, 20)), crossbar_cols=int(rng.integers(8, 20)),
        ou_rows=int(rng.integers(2, 8)), ou_cols=int(rng.integers(2, 8)),
        cell_bits=2, dac_bits=int(rng.integers(1, 3)), weight_bits=int(rng.integers(1, 6)),
        activation_bits=int(rng.integers(1, 6)),
        partial_sum_bits=None if rng.random() < 0.3 else int(rng.integers(1, 6)),
        pipeline_tail_cycles=int(rng.integers(0, 6)), buffer_bits=int(rng.integers(10, 400)),
        buffer_scope=str(rng.choice(["chip", "tile"])), buffer_bits_per_cycle=int(rng.integers(1, rng.choice([8, 60]))),
        overlap_input=bool(rng.random() < 0.3), input_load="full" if rng.random() < 0.2 else "needed",
        router_bits_per_cycle=int(rng.integers(1, rng.choice([4, 30]))), hop_cycles=int(rng.integers(0, 4)),
        router_service=str(rng.choice(["shared", "links"])), input_entry=str(rng.choice(["columns", "corner"])),
        multicast=bool(rng.random() < 0.4), digital_ops_per_cycle=int(rng.integers(1, 6)), static_fj=1,
    )  # fmt: skip


def option(rng: Rng, weights: Weights) -> MappingOption:
    """Any allowed mapping option."""
    storage = str(rng.choice(["slotted", "slotted", "filled"]))
    scheme = str(rng.choice(["im2col", "channel-split", "kernel-split", "parallel-window"]))
    if scheme == "parallel-window":
        if weights.dilation != (1, 1):
            scheme = "im2col"
        else:
            ph, pw = [(1, 2), (2, 1), (2, 2), (3, 1)][rng.integers(4)]
            return MappingOption(scheme, storage, ph, pw)
    return MappingOption(scheme, storage)


def _rectangles(rng: Rng, grid: Grid, arch: Architecture, filled: bool) -> list[tuple[int, int, int, int, int, int]]:
    """Rectangles (r0, r1, c0, c1, existing OUs, block) that cover the grid."""
    if filled:
        blocks = defaultdict(list)
        for at, ou in grid.ous.items():
            blocks[ou.block].append(at)
        stack = [
            (min(r for r, _ in b), max(r for r, _ in b) + 1, min(c for _, c in b), max(c for _, c in b) + 1, k)
            for k, b in enumerate(blocks.values())
        ]
    else:
        stack = [(0, max(r for r, _ in grid.ous) + 1, 0, max(c for _, c in grid.ous) + 1, -1)]
    found = []
    while stack:
        r0, r1, c0, c1, block = stack.pop()
        n = sum(r0 <= r < r1 and c0 <= c < c1 for r, c in grid.ous)
        if (n > arch.ou_slots and not filled) or (rng.random() < 0.35 and (r1 - r0) * (c1 - c0) > 1):
            if c1 - c0 == 1 or (r1 - r0 > 1 and rng.random() < 0.5):
                cut = int(rng.integers(r0 + 1, r1))
                stack += [(r0, cut, c0, c1, block), (cut, r1, c0, c1, block)]
            else:
                cut = int(rng.integers(c0 + 1, c1))
                stack += [(r0, r1, c0, cut, block), (r0, r1, cut, c1, block)]
        elif n:
            found.append((r0, r1, c0, c1, n, block))
    return found


def _place(rng: Rng, arch: Architecture, net: Network, mapping: tuple[MappingOption, ...]) -> np.ndarray | None:
    """Placement rows of one to four copies per layer on crossbars with room, or None if the chip is too small."""
    free = np.full(arch.crossbars, arch.ou_slots)
    rows = []
    for layer, index in enumerate(net.layers):
        grid = build_grid(arch, net.nodes[index].weights, mapping[layer])
        filled = mapping[layer].storage == "filled"
        copies = 0
        for _ in range(int(rng.integers(1, 5))):
            room, mine, of_block = free.copy(), [], {}
            for r0, r1, c0, c1, n, block in _rectangles(rng, grid, arch, filled):
                fits = np.flatnonzero(room == arch.ou_slots if filled else room >= n)
                if filled and block in of_block:
                    fits = np.array([of_block[block]])
                if not len(fits):
                    break
                at = int(rng.choice(fits[: int(rng.choice([1, 4, 1000]))]))  # packed, side by side, or anywhere
                of_block[block] = at
                room[at] = -1 if filled else room[at] - n
                mine.append((layer, copies, at, r0, r1, c0, c1))
            else:
                free, copies = room, copies + 1
                rows += mine
        if not copies:
            return None
    return np.array(rows, np.int64)


def _split(rng: Rng, high: int, wide: int, copies: int) -> list[tuple[int, int, int, int]]:
    """Windows to copies: rows (copy, first, last, step)."""
    kind = rng.integers(3)
    if kind == 0:  # interleaved
        return [(c, c, (high * wide - 1 - c) // copies * copies + c, copies) for c in range(min(copies, high * wide))]
    if kind == 1:  # contiguous bands
        edges = np.sort(rng.integers(0, high * wide + 1, copies - 1))
        edges = [0, *edges.tolist(), high * wide]
        return [(c, a, b - 1, 1) for c, (a, b) in enumerate(pairwise(edges)) if b > a]
    cut = int(rng.integers(0, wide))  # blocks left and right of a cut, one row per line
    parts = [(0, cut), (cut, wide)]
    return [
        ((y // 2 + side) % copies, y * wide + a, y * wide + b - 1, 1)
        for y in range(high)
        for side, (a, b) in enumerate(parts)
        if b > a
    ]


def _schedule(rng: Rng, net: Network, mapping: tuple[MappingOption, ...], placement: np.ndarray) -> np.ndarray:
    """Schedule rows (layer, copy, first, last, step, pace, start, end), in an order in which none waits for a later."""
    rows = []
    for layer, index in enumerate(net.layers):
        node, how = net.nodes[index], mapping[layer]
        copies = int(placement[placement[:, 0] == layer, 1].max()) + 1
        pace = int(rng.choice([0, 0, 7, 40]))
        split = _split(rng, -(-node.height // how.ph), -(-node.width // how.pw), copies)
        rows += [(layer, c, a, b, step, pace, 0, 1) for c, a, b, step in split]
    return np.array(rows, np.int64)


def _settle(rng: Rng, draft: Solution, rows: np.ndarray) -> bool:
    """Give rows starts and ends that keep M7: replay, move starts behind the ends of rows before, until none moves.

    Rows wait for no later row of the table, and starts never decrease: so rows of a crossbar keep the table's order.
    Returns False if this does not settle soon.
    """
    slack = int(rng.integers(0, 4))
    least = rng.integers(0, 2, len(rows)) * rng.integers(0, 60, len(rows))
    before = [[i for i in Brute(draft).rows_sharing(row) if i < row] for row in range(len(rows))]
    for row in range(len(rows)):
        rows[row, 6] = max([least[row], *(rows[i, 6] for i in before[row])])
    for _ in range(20):
        run = Brute(replace(draft, schedule=Schedule(*rows.T.copy())))
        rows[:, 7] = [run.replay.row_end[0, row] + slack for row in range(len(rows))]
        late = [max([0, *(rows[i, 7] for i in before[row])]) for row in range(len(rows))]
        if (late <= rows[:, 6]).all():
            return True
        for row in range(len(rows)):
            rows[row, 6] = max(rows[row, 6], late[row], *(rows[i, 6] for i in before[row]), 0)
    return False


def solution(seed: int) -> Solution:
    """A random solution that violates at most ``buffer``: starts are lower bounds, ends those of the plain replay."""
    rng = np.random.default_rng(seed)
    while True:
        arch, net = architecture(rng), network(rng)
        mapping = tuple(option(rng, net.nodes[index].weights) for index in net.layers)
        placement = _place(rng, arch, net, mapping)
        if placement is None:
            continue
        rows = _schedule(rng, net, mapping, placement)
        parts = Placement(*placement.T.copy()), Schedule(*rows.T.copy()), np.zeros(len(mapping), np.int64)
        draft = Solution(arch, net, mapping, *parts)
        if _settle(rng, draft, rows):
            order = rng.permutation(len(rows))
            return replace(draft, schedule=Schedule(*rows[order].T.copy()))


def scrambled(seed: int) -> Solution:
    """A solution with the starts of its rows in any order: rows may wait for each other for ever."""
    good = solution(seed)
    start = np.random.default_rng(seed).permutation(good.schedule.start)
    return replace(good, schedule=replace(good.schedule, start=start, end=np.maximum(good.schedule.end, start + 1)))
