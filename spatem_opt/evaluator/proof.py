"""Bounds that the evaluator proves itself, written from ``formulations/README.md``, "Bounds" (B1-B9).

Nothing here is shared with :mod:`spatem_opt.cost.bounds`, which solvers use: a file's bound is believed if both agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from spatem_opt.evaluator.arrays import distinct
from spatem_opt.evaluator.taps import of_equal_taps, read_pixels, readers
from spatem_opt.evaluator.transfers import datum_bits
from spatem_opt.model.architecture import Architecture
from spatem_opt.network.layers import CONSTANT, Network, Node, Weights
from spatem_opt.types import BoolArray, IntArray


def prove(network: Network, arch: Architecture) -> dict[str, int]:
    """Values that no valid solution goes below.

    Returns
    -------
    dict
        ``latency`` and ``period`` [cycles], ``communication`` [bits], ``energy`` [fJ], ``balanced`` [cycles x bits].
    """
    base = _measure(network, arch)
    port, entering, leaving, written = _traffic(base)
    crossing, shared = entering + leaving, arch.router_service == "shared"
    passes = arch.router_bits_per_cycle * (arch.mesh_cols if arch.input_entry == "columns" else 1)
    entry = _up(crossing if shared else max(entering, leaving), passes)
    carried = [_up(port, arch.tiles * arch.buffer_bits_per_cycle)] if arch.input_load == "needed" else []
    digital = [base.rounds[i] * base.step[i] for i, node in enumerate(network.nodes) if node.kind == "digital"]
    period = [_up(sum(base.work), arch.crossbars), *(base.step[i] for i in network.layers), *digital, *carried]
    period += [entry] if shared else []
    latency = max(_times(base), entry, *carried)
    operations = sum(node.ops_per_window * node.windows + node.fused_ops for node in network.nodes)
    energy = (
        sum(base.work) * (arch.ou_fj + arch.ou_cols * arch.adc_fj)
        + (port + written) * arch.buffer_bit_fj + crossing * arch.hop_bit_fj
        + operations * arch.digital_op_fj + latency * arch.tiles * arch.static_fj
    )  # fmt: skip
    traffic = port + crossing
    return {"latency": latency, "period": max(period), "communication": traffic, "energy": energy,
            "balanced": latency * traffic}  # fmt: skip


def _up(amount: int, rate: int) -> int:
    return (amount + rate - 1) // rate


@dataclass(frozen=True, slots=True, eq=False)
class _Link:
    """One producer on one edge: channels it gives, taps, and the least time of a pixel on its way."""

    reader: int
    producer: int
    channels: IntArray
    rows: IntArray
    cols: IntArray
    delay: int

    @property
    def reading(self) -> tuple[BoolArray, BoolArray]:
        """Which rows and which columns of windows read data."""
        return self.rows.max(axis=1) >= 0, self.cols.max(axis=1) >= 0


@dataclass(frozen=True, slots=True, eq=False)
class _Base:
    """Least sizes of every node: crossbar work [OU operations], cycles of a window until the next may begin, until it
    is done, windows in turn; whether it runs at the outside port; bits of its data; what it reads, what reads it."""

    network: Network
    arch: Architecture
    work: list[int]
    step: list[int]
    done: list[int]
    rounds: list[int]
    away: list[bool]
    bits: list[int]
    reads: list[list[_Link]]
    read_by: list[list[_Link]]


def _measure(network: Network, arch: Architecture) -> _Base:
    hosts: list[Node | None] = []
    for node in network.nodes:
        hosts.append(hosts[int(node.edges[0].source[0])] if node.kind == "digital" else node if node.weights else None)
    away = [host is None for host in hosts]
    bits = datum_bits(network, arch.activation_bits)
    reads = [_links(network, arch, away, bits, i) for i in range(len(network.nodes))]
    read_by: list[list[_Link]] = [[] for _ in network.nodes]
    for own in reads:
        for link in own:
            read_by[link.producer].append(link)
    step, work, rounds, done = [], [], [], []
    for node, host in zip(network.nodes, hosts, strict=True):
        work.append(0 if node.weights is None else _work(arch, node.weights, node.windows))
        if node.weights is None:
            step.append(_up(node.ops_per_window, arch.digital_ops_per_cycle))
        else:
            step.append(_step(arch, node.weights))
        done.append(step[-1] + (arch.pipeline_tail_cycles if node.weights else 0))
        rounds.append(_rounds(arch, node, host))
    return _Base(network, arch, work, step, done, rounds, away, bits, reads, read_by)


def _links(network: Network, arch: Architecture, away: list[bool], bits: list[int], reader: int) -> list[_Link]:
    """Links of a node. Taps that all outputs share in memory are kept once: one output tells what all read."""
    found = []
    for edges in of_equal_taps(network.nodes[reader]):
        rows, cols = (taps[:1] if taps.strides[0] == 0 else taps for taps in (edges[0].rows, edges[0].cols))
        source, every = (np.concatenate([getattr(edge, part) for edge in edges]) for part in ("source", "channel"))
        for producer in distinct(source[source != CONSTANT])[0].tolist():
            channels = distinct(every[source == producer])[0]
            delay = 0
            if away[reader] != away[producer]:
                widest = _up(len(channels), arch.tiles)
                delay = arch.hop_cycles + _up(bits[producer] * widest, arch.router_bits_per_cycle)
            found.append(_Link(reader, producer, channels, rows, cols, delay))
    return found


def _ous(arch: Architecture, weights: Weights, windows: int) -> int:
    """OUs that so many windows run at least (B1)."""
    filters = weights.groups * weights.out_channels * arch.cells_per_weight(weights.weight_bits)
    return _up(windows * filters * _up(weights.rows, arch.ou_rows), arch.ou_cols)


def _work(arch: Architecture, weights: Weights, windows: int) -> int:
    return arch.input_phases(weights.activation_bits) * _ous(arch, weights, windows)


def _held(arch: Architecture) -> int:
    """Most OUs of one crossbar."""
    return _up(arch.crossbar_rows, arch.ou_rows) * _up(arch.crossbar_cols, arch.ou_cols)


def _fetched(arch: Architecture, weights: Weights) -> int:
    """Bits that one window brings through ports at least, inputs loaded as needed (B2)."""
    pixels = 1
    for kernel, stride in zip(weights.kernel, weights.stride, strict=True):
        pixels *= min(kernel, 1 if weights.transposed else stride)
    return pixels * weights.groups * weights.in_channels * (weights.activation_bits or arch.activation_bits)


def _step(arch: Architecture, weights: Weights) -> int:
    """Interval of a window on the whole chip (B4)."""
    compute = arch.input_phases(weights.activation_bits) * _up(_ous(arch, weights, 1), arch.crossbars)
    if arch.input_load == "full":
        width = weights.activation_bits or arch.activation_bits
        load = _up(arch.crossbar_rows * arch.crossbars_per_pe * width, arch.buffer_bits_per_cycle)
    else:
        load = _up(_fetched(arch, weights), arch.tiles * arch.buffer_bits_per_cycle)
    return max(compute, load) if arch.overlap_input else compute + load


def _rounds(arch: Architecture, node: Node, host: Node | None) -> int:
    """Windows of a digital node that one copy of its host runs one after the other (B4)."""
    if node.kind != "digital":
        return 1
    if host is None or host.weights is None:
        return node.windows
    copies = arch.crossbars * _held(arch) // _ous(arch, host.weights, 1)
    return _up(node.windows, max(min(copies, host.windows), 1))


def _traffic(base: _Base) -> tuple[int, int, int, int]:
    """Bits through ports, into the chip, out of it, and written into buffers (B2, B3, B9)."""
    arch, port, entering, leaving, written = base.arch, 0, 0, 0, 0
    for i in base.network.layers:
        node = base.network.nodes[i]
        if (weights := node.weights) is None:
            continue
        if arch.input_load == "full":
            refills = _up(_ous(arch, weights, node.windows), arch.crossbars_per_pe * _held(arch))
            width = weights.activation_bits or arch.activation_bits
            port += refills * arch.crossbars_per_pe * arch.crossbar_rows * width
        else:
            port += node.windows * _fetched(arch, weights)
    for i, links in enumerate(base.read_by):
        across = [link for link in links if base.away[link.reader] != base.away[i]]
        crosses = base.bits[i] * _data(base.network.nodes[i], across)
        entering, leaving = (entering + crosses, leaving) if base.away[i] else (entering, leaving + crosses)
        written += base.bits[i] * _data(base.network.nodes[i], [link for link in links if not base.away[link.reader]])
    return port, entering, leaving, written


def _data(node: Node, links: list[_Link]) -> int:
    """Distinct data of a node that any of the links carries: pixels are marked for channels with the same links."""
    fields = [(_seen(link.rows, node.height), _seen(link.cols, node.width)) for link in links]
    groups: dict[tuple[int, ...], int] = {}
    member: list[list[int]] = [[] for _ in range(node.channels)]
    for number, link in enumerate(links):
        for channel in link.channels.tolist():
            member[channel].append(number)
    for key in map(tuple, member):
        groups[key] = groups.get(key, 0) + 1
    total = 0
    for numbers, channels in groups.items():
        once = {(rows.tobytes(), cols.tobytes()): (rows, cols) for rows, cols in (fields[n] for n in numbers)}
        marks = np.zeros((node.height, node.width), np.bool_)
        for rows, cols in once.values():
            marks |= rows[:, None] & cols
        total += channels * int(marks.sum())
    return total


def _seen(taps: IntArray, size: int) -> BoolArray:
    """Inputs that any output reads; padding (-1) marks one place more, which is dropped."""
    found = np.zeros(size + 1, np.bool_)
    found[taps.ravel()] = True
    return found[:size]


def _shared(taps: IntArray, size: int) -> BoolArray:
    """Inputs that every output reads."""
    output, tap = np.nonzero(taps >= 0)
    pairs = distinct(output * size + taps[output, tap])[0]
    found: BoolArray = np.bincount(pairs % size, minlength=size) == len(taps)
    return found


def _times(base: _Base) -> int:
    """The largest of path, work and barrier [cycles] (B5-B7)."""
    begin, longest = _begins(base)
    left = _left(base)
    start = min(begin[i] for i in base.network.layers)

    def until(work: int) -> int:
        return start + _up(work, base.arch.crossbars) + base.arch.pipeline_tail_cycles if work else 0

    longest = max(longest, until(sum(base.work)))
    earlier = [until(sum_) + rest for sum_, rest in zip(accumulate([0, *base.work]), left, strict=False)]
    for i in sorted(range(len(left)), key=earlier.__getitem__, reverse=True):
        if earlier[i] <= longest:  # even if all work before it were needed
            break
        fields = [_pixels(base.network.nodes[link.producer], link) for link in base.reads[i]]
        if any(field.sum() > 1 for field in fields):
            longest = max(longest, until(_needed(base, i, fields)) + left[i])
    return longest


def _begins(base: _Base) -> tuple[list[int], int]:
    """Before which no window of each node begins, and when the last node is done if first windows were all."""
    begin: list[int] = []
    longest = 0
    for i, links in enumerate(base.reads):
        begin.append(0)
        for link in links:
            rows, cols = link.reading
            ready = begin[link.producer] + base.done[link.producer] + link.delay
            if rows.any() and cols.any():
                longest = max(longest, ready + base.done[i])
            if rows.all() and cols.all():
                begin[i] = max(begin[i], ready)
        longest = max(longest, begin[i] + base.done[i], begin[i] + base.rounds[i] * base.step[i])
    return begin, longest


def _left(base: _Base) -> list[int]:
    """Cycles left to the end when no window of a node has begun yet."""
    left = [0] * len(base.network.nodes)
    for i in reversed(range(len(left))):
        left[i] = max(base.done[i], base.rounds[i] * base.step[i])
        for link in base.read_by[i]:
            rows, cols = link.reading
            if rows.any() and cols.any():
                whole = rows.all() and cols.all()
                after = left[link.reader] if whole else base.done[link.reader]
                left[i] = max(left[i], base.done[i] + link.delay + after)
    return left


def _pixels(producer: Node, link: _Link) -> BoolArray:
    """Pixels that all windows read over a link."""
    return _shared(link.rows, producer.height)[:, None] & _shared(link.cols, producer.width)


def _needed(base: _Base, reader: int, fields: list[BoolArray]) -> int:
    """OU operations of all pixels from which the fields of a node are computed."""
    nodes = base.network.nodes
    marks: dict[int, BoolArray] = {}

    def mark(producer: int, field: BoolArray) -> None:
        marks.setdefault(producer, np.zeros((nodes[producer].height, nodes[producer].width), np.bool_))
        marks[producer] |= field

    for link, field in zip(base.reads[reader], fields, strict=True):
        mark(link.producer, field)
    work = 0
    while marks:
        i = max(marks)
        field, node = marks.pop(i), nodes[i]
        pixels = int(field.sum())
        if node.weights is not None and pixels:
            work += _work(base.arch, node.weights, pixels)
        for link in base.reads[i] if pixels else ():
            mark(link.producer, _behind(field, link, nodes[link.producer]))
    return work


def _behind(field: BoolArray, link: _Link, producer: Node) -> BoolArray:
    """Pixels of a producer that the marked windows read."""
    if field.all():
        return _seen(link.rows, producer.height)[:, None] & _seen(link.cols, producer.width)
    if len(link.rows) < len(field):
        field = np.logical_or.reduce(field, axis=0, keepdims=True)
    if len(link.cols) < field.shape[1]:
        field = np.logical_or.reduce(field, axis=1, keepdims=True)
    found: BoolArray = read_pixels(
        field[None], readers(link.rows, producer.height), readers(link.cols, producer.width)
    )[0]
    return found
