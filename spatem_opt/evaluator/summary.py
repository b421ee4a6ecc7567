"""From a replay to the numbers reported (``formulations/README.md``, M9)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spatem_opt.evaluator import events as ev
from spatem_opt.evaluator.arrays import distinct, starts_of
from spatem_opt.evaluator.buffers import BufferUse
from spatem_opt.evaluator.durations import Placed
from spatem_opt.evaluator.evaluation import (
    Area,
    Arrays,
    BufferPeaks,
    Communication,
    CriticalPath,
    Energy,
    Evaluation,
    LayerTable,
    LoadRatios,
    NodeTable,
    Utilization,
)
from spatem_opt.evaluator.findings import Violation
from spatem_opt.evaluator.mesh import Mesh
from spatem_opt.evaluator.replay import NodeReplay, Replayed
from spatem_opt.evaluator.tables import Fixed
from spatem_opt.evaluator.transfers import NEVER
from spatem_opt.model.architecture import Architecture
from spatem_opt.network.layers import Network
from spatem_opt.types import IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Facts:
    """Everything known about a replayed solution; ``free``: latency without queues."""

    mesh: Mesh
    network: Network
    placed: list[Placed]
    runs: list[NodeReplay]
    layer_runs: list[NodeReplay]
    queued: Replayed
    free: int | None
    port_bits: IntArray
    buffers: BufferUse

    @property
    def arch(self) -> Architecture:
        """The architecture."""
        return self.mesh.arch

    def copy_windows(self, layer: int) -> IntArray:
        """Windows that each copy of a layer runs."""
        return np.bincount(self.layer_runs[layer].at.window_copy, minlength=self.placed[layer].copies)


def summarize(facts: Facts, violations: tuple[Violation, ...], period: int | None) -> Evaluation:
    """Build the report; `period`: one for which inferences in a row were replayed."""
    arch = facts.arch
    latency = max(int(run.done.max()) for run in facts.runs)
    layers, arrays = _layer_table(facts), _arrays(facts)
    communication, written = _communication(facts)
    operations = int(layers.ou_operations.sum())
    tile = int(facts.buffers.tile_peak.argmax())
    slots = arch.crossbars * latency
    return Evaluation(
        violations, latency, facts.free, latency * arch.cycle_ns, period,
        1e9 / (period * arch.cycle_ns) if period else None,
        communication=communication,
        utilization=Utilization(
            int(arrays.tile_crossbars.sum()), arch.crossbars,
            int((arrays.tile_crossbars > 0).sum()), arch.tiles,
            int(arrays.tile_cells.sum()), arch.crossbars * arch.crossbar_rows * arch.crossbar_cols,
            operations, operations / slots if slots else 0.0,
        ),
        energy=_energy(facts, communication, written, operations, latency),
        area_mm2=Area(**arch.areas()),
        buffers=BufferPeaks(
            facts.buffers.chip_peak, facts.buffers.chip_peak_cycle, int(facts.buffers.tile_peak[tile]), tile
        ),
        ports=_port_ratios(facts, latency) if arch.input_load == "needed" else None,
        routers=_router_ratios(facts, latency),
        layers=layers, nodes=_node_table(facts), critical_path=critical_path(facts.queued, facts.network),
        cautions=_cautions(facts), arrays=arrays,
    )  # fmt: skip


def port_bits(mesh: Mesh, placed: list[Placed], runs: list[NodeReplay]) -> IntArray:
    """Bits that pass the port of every tile; ``runs`` of the crossbar layers."""
    found = np.zeros(mesh.arch.tiles, np.int64)
    for layer, run in zip(placed, runs, strict=True):
        windows = np.bincount(run.at.window_copy, minlength=layer.copies)
        np.add.at(found, layer.pair_tile, windows[layer.pair_copy] * layer.port_bits)
    return found


def _port_ratios(facts: Facts, latency: int) -> LoadRatios:
    served = max(facts.arch.buffer_bits_per_cycle * latency, 1)
    bits, waiting = facts.port_bits, float(facts.queued.port_wait.sum())
    return LoadRatios(float(bits.max() / served), float(bits.mean() / served), None, waiting)


def _router_ratios(facts: Facts, latency: int) -> LoadRatios:
    queued, rate = facts.queued, facts.arch.router_bits_per_cycle
    served, longest = max(rate * latency, 1), int(queued.router_queue.max())
    bits = queued.router_bits
    return LoadRatios(float(bits.max() / served), float(bits.mean() / served), longest, queued.router_wait.sum() / rate)


def _cautions(facts: Facts) -> tuple[str, ...]:
    """Queues that a chip's routers cannot hold, where it says what they can."""
    holds, queue = facts.arch.router_buffer_bits, facts.queued.router_queue
    longer = int((queue > holds).sum())
    if not holds or not longer:
        return ()
    router = int(queue.argmax())
    y, x = divmod(router, facts.arch.mesh_cols)
    return (
        f"router_buffer_bits = {holds}, but the queue at router ({y}, {x}) grows to {queue[router]} bits; queues of "
        f"{longer} of {len(queue)} routers do not fit (M6 lets them grow: no packet is held back)",
    )


def least_period(facts: Facts, known: Fixed) -> int:
    """What no period falls short of [cycles].

    That is the longest span on a crossbar or of a digital node's copy, and what the busiest router or port needs.
    """
    arch, spans = facts.arch, [1]
    if arch.router_service == "shared":
        spans.append(-(-int(facts.queued.router_bits.max()) // arch.router_bits_per_cycle))
    if arch.input_load == "needed":
        spans.append(-(-int(facts.port_bits.max()) // arch.buffer_bits_per_cycle))
    begin, end, _ = row_times(facts.queued)
    row_copy = facts.queued.tables.row_copy[: len(begin)]
    low, high = np.full(len(facts.queued.tables.copy), NEVER), np.full(len(facts.queued.tables.copy), -NEVER)
    np.minimum.at(low, row_copy, begin)
    np.maximum.at(high, row_copy, end)
    first, last = np.full(arch.crossbars, NEVER), np.full(arch.crossbars, -NEVER)
    np.minimum.at(first, known.crossbar, low[known.holder])
    np.maximum.at(last, known.crossbar, high[known.holder])
    spans.append(int((last - first).max()))
    for node, run in zip(facts.network.nodes, facts.runs, strict=True):
        if node.kind == "digital":
            order = np.argsort(run.at.window_copy, kind="stable")
            start = starts_of(run.at.window_copy[order])
            begin, end = np.minimum.reduceat(run.begin[order], start), np.maximum.reduceat(run.end[order], start)
            spans.append(int((end - begin).max()))
    return max(spans)


def _communication(facts: Facts) -> tuple[Communication, int]:
    """Communication overhead, and the bits written into tile buffers."""
    sum_items = written = 0
    for run in facts.runs:
        if run.delivery is not None:
            sent = run.delivery.supply
            written += int(sent.row_bits[sent.tiles != facts.mesh.outside].sum())
    for number, layer in enumerate(facts.placed):
        sum_items += int((layer.sum_items * facts.copy_windows(number)[layer.pair_copy[layer.sum_pair]]).sum())
    (map_hops, sum_hops), (map_items, outside_items) = facts.queued.hops, facts.queued.items
    return Communication(int(facts.port_bits.sum()), map_hops, sum_hops, map_items, sum_items, outside_items), written


def _energy(facts: Facts, traffic: Communication, written: int, operations: int, latency: int) -> Energy:
    arch = facts.arch
    digital = sum(node.ops_per_window * node.windows + node.fused_ops for node in facts.network.nodes)
    return Energy(
        ou=operations * arch.ou_fj,
        adc=operations * arch.ou_cols * arch.adc_fj,
        buffer_read=traffic.buffer_read_bits * arch.buffer_bit_fj,
        buffer_write=written * arch.buffer_bit_fj,
        network=(traffic.feature_map_bit_hops + traffic.partial_sum_bit_hops) * arch.hop_bit_fj,
        digital=digital * arch.digital_op_fj,
        static=latency * arch.tiles * arch.static_fj,
    )


def _layer_table(facts: Facts) -> LayerTable:
    placed, runs = facts.placed, facts.layer_runs

    def column(values: list[int]) -> IntArray:
        return np.array(values, np.int64)

    operations = [
        int((facts.copy_windows(number)[layer.pair_copy] * layer.pair_ous).sum()) * layer.phases
        for number, layer in enumerate(placed)
    ]
    return LayerTable(
        name=tuple(facts.network.nodes[index].name for index in facts.network.layers),
        copies=column([layer.copies for layer in placed]),
        crossbars=column([len(distinct(layer.crossbar)[0]) for layer in placed]),
        tiles=column([len(distinct(layer.pair_tile)[0]) for layer in placed]),
        windows=column([len(run.begin) for run in runs]),
        ous_per_copy=column([int(layer.pair_ous[layer.pair_copy == 0].sum()) for layer in placed]),
        compute_cycles=column([int(layer.compute.max()) for layer in placed]),
        load_cycles=column([int(layer.load.max()) for layer in placed]),
        interval_cycles=column([int(layer.interval.max()) for layer in placed]),
        sum_delay_cycles=column([int(layer.sum_delay.max()) for layer in placed]),
        start=column([int(run.begin.min()) for run in runs]),
        end=column([int(run.done.max()) for run in runs]),
        ou_operations=column(operations),
    )


def _node_table(facts: Facts) -> NodeTable:
    nodes, runs = facts.network.nodes, facts.runs
    return NodeTable(
        tuple(node.name for node in nodes),
        tuple(node.kind for node in nodes),
        np.array([run.begin.min() for run in runs], np.int64),
        np.array([run.done.max() for run in runs], np.int64),
        facts.queued.node_wait / facts.arch.router_bits_per_cycle,
        facts.queued.port_wait,
    )


def _arrays(facts: Facts) -> Arrays:
    arch = facts.arch
    used = np.zeros(arch.crossbars, np.bool_)
    cells, operations = np.zeros(arch.tiles, np.int64), np.zeros(arch.tiles, np.int64)
    for number, layer in enumerate(facts.placed):
        used[layer.crossbar] = True
        np.add.at(cells, layer.pair_tile, layer.pair_cells)
        windows = facts.copy_windows(number)[layer.pair_copy]
        np.add.at(operations, layer.pair_tile, windows * layer.pair_ous * layer.phases)
    return Arrays(
        used.reshape(arch.tiles, -1).sum(1),
        cells,
        operations,
        facts.port_bits,
        facts.buffers.tile_peak,
        facts.queued.router_bits,
        facts.queued.router_queue,
        facts.queued.router_wait / arch.router_bits_per_cycle,
        *row_times(facts.queued),
    )


def row_times(queued: Replayed) -> tuple[IntArray, IntArray, IntArray]:
    """Of every row of the schedule [cycles]: first begin and last end of its windows, and when the rows before it on
    its crossbars have ended.
    """
    t = queued.tables
    rows = int((t.node[t.copy[t.row_copy, ev.NODE], ev.KIND] == 0).sum())
    first = np.flatnonzero(np.diff(t.turn_row, prepend=-1))
    last = np.append(first[1:], len(t.turn_row)) - 1
    row = t.turn_row[first]
    begin, end, free = (np.zeros(len(t.row_copy), np.int64) for _ in range(3))
    begin[row] = queued.window[t.turn_window[first], ev.BEGIN]
    end[row] = queued.window[t.turn_window[last], ev.END]
    same = np.flatnonzero(t.row_copy[row[1:]] == t.row_copy[row[:-1]])
    free[row[same + 1]] = end[row[same]]
    waits = np.diff(t.row_next_at)[: len(t.row_copy)]
    before = np.repeat(np.arange(len(waits)), waits)
    after = t.row_next[: len(before)]
    inside = after < len(t.row_copy)
    np.maximum.at(free, after[inside], end[before[inside]])
    return begin[:rows], end[:rows], free[:rows]


CAUSES = ("start", "data", "copy", "order")


def critical_path(queued: Replayed, network: Network) -> CriticalPath:
    """Follow what the window done last waited for, back to one that waited for nothing.

    One that its start held back has waited before that: reservations are taken from replays, and begin about then.
    """
    t, window = queued.tables, queued.window[: len(queued.tables.window_copy)]
    chain = [int(window[:, ev.DONE].argmax())]
    while (before := int(window[chain[-1], ev.REF])) >= 0:
        chain.append(before)
    line = np.array(chain[::-1], np.int64)
    node = t.copy[t.window_copy[line], ev.NODE]
    own = window[line]
    return CriticalPath(
        tuple(network.nodes[i].name for i in node.tolist()),
        line - t.node[node, ev.WINDOW0],
        own[:, ev.BEGIN],
        own[:, ev.END],
        own[:, ev.DONE],
        tuple(CAUSES[max(cause, 0)] for cause in own[:, ev.CAUSE].tolist()),
        np.where(own[:, ev.CAUSE] == ev.BY_DATA, own[:, ev.WAIT], 0) / t.par[ev.RATE],
    )
