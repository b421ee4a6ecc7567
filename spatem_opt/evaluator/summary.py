"""From a replay to the numbers reported (``formulations/README.md``, M9)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spatem_opt.architecture import Architecture
from spatem_opt.evaluator.arrays import distinct, starts_of
from spatem_opt.evaluator.buffers import BufferUse
from spatem_opt.evaluator.contention import Load
from spatem_opt.evaluator.durations import Placed
from spatem_opt.evaluator.evaluation import (
    Area,
    Arrays,
    BufferPeaks,
    Communication,
    Energy,
    Evaluation,
    LayerTable,
    LoadRatios,
    NodeTable,
    Utilization,
)
from spatem_opt.evaluator.findings import Violation
from spatem_opt.evaluator.mesh import Mesh
from spatem_opt.evaluator.replay import Run
from spatem_opt.evaluator.reservations import Reserved
from spatem_opt.evaluator.transfers import NEVER
from spatem_opt.network.layers import Network

IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Facts:
    """Everything known about a replayed solution. ``ports`` is None where ports are not modelled (full input load)."""

    mesh: Mesh
    network: Network
    placed: list[Placed]
    runs: list[Run]
    layer_runs: list[Run]
    held: Reserved
    port_bits: IntArray
    ports: Load | None
    routers: Load
    buffers: BufferUse

    @property
    def arch(self) -> Architecture:
        """The architecture."""
        return self.mesh.arch

    def copy_windows(self, layer: int) -> IntArray:
        """Windows that each copy of a layer runs."""
        return np.bincount(self.layer_runs[layer].at.window_copy, minlength=self.placed[layer].copies)


def summarize(facts: Facts, violations: tuple[Violation, ...]) -> Evaluation:
    """Build the report."""
    arch = facts.arch
    latency = max(int(run.done.max()) for run in facts.runs)
    period = _period(facts)
    layers, arrays = _layer_table(facts), _arrays(facts)
    communication, written = _communication(facts)
    operations = int(layers.ou_operations.sum())
    tile = int(facts.buffers.tile_peak.argmax())
    slots = arch.crossbars * latency
    return Evaluation(
        violations, latency, latency * arch.cycle_ns, period, 1e9 / (period * arch.cycle_ns) if period else None,
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
        ports=None
        if facts.ports is None
        else _ratios(facts.ports, arch.buffer_bits_per_cycle, arch.contention_cycles, latency),
        routers=_ratios(facts.routers, arch.router_bits_per_cycle, arch.contention_cycles, latency),
        layers=layers, nodes=_node_table(facts), arrays=arrays,
    )  # fmt: skip


def _ratios(load: Load, rate: int, width: int, latency: int) -> LoadRatios:
    served = max(rate * latency, 1)
    return LoadRatios(
        float(load.peak.max() / (rate * width)),
        float(load.bits.max() / served),
        float(load.bits.mean() / served),
        float(load.waiting.max() / (rate * width)),
    )


def _period(facts: Facts) -> int:
    """Longest span on a crossbar or of a digital node's copy, busiest router, busiest port [cycles]."""
    arch, held = facts.arch, facts.held
    spans = [-(-int(facts.routers.bits.max()) // arch.router_bits_per_cycle)]
    if facts.ports is not None:
        spans.append(-(-int(facts.ports.bits.max()) // arch.buffer_bits_per_cycle))
    first, last = np.full(arch.crossbars, NEVER), np.full(arch.crossbars, -NEVER)
    np.minimum.at(first, held.crossbar, held.first[held.copy])
    np.maximum.at(last, held.crossbar, held.last[held.copy])
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
    mesh = facts.mesh
    map_hops = map_items = outside_items = sum_hops = sum_items = written = 0
    for run in facts.runs:
        if run.delivery is None:
            continue
        sent, source = run.delivery.supply, run.at.home_tile[:, None]
        hops = mesh.hops(source, sent.tiles)
        moved = np.where(hops > 0, sent.bits, 0)
        map_hops += int((sent.bits * hops).sum())
        map_items += int(moved.sum()) // sent.width
        outside_items += int((moved * (source == mesh.outside)).sum()) // sent.width
        written += int(sent.row_bits[sent.tiles != mesh.outside].sum())
    for number, layer in enumerate(facts.placed):
        windows = facts.copy_windows(number)[layer.pair_copy[layer.sum_pair]]
        hops = mesh.hops(layer.pair_tile[layer.sum_pair], layer.sum_target)
        sum_hops += int((layer.sum_bits * hops * windows).sum())
        sum_items += int((layer.sum_items * windows).sum())
    read = int(facts.port_bits.sum())
    return Communication(read, map_hops, sum_hops, map_items, sum_items, outside_items), written


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
        facts.routers.bits,
        *_bins(facts),
    )


def _bins(facts: Facts) -> tuple[IntArray, NDArray[np.float64], NDArray[np.float64]]:
    """Bins that occur, the load of the fullest router or port in each, and the longest queue after it."""
    loads = [facts.routers] if facts.ports is None else [facts.routers, facts.ports]
    bins = np.unique(np.concatenate([load.bins for load in loads]))
    fullest, queue = np.zeros(len(bins)), np.zeros(len(bins))
    for load in loads:
        place = np.searchsorted(bins, load.bins)
        fullest[place] = np.maximum(fullest[place], load.fullest)
        queue[place] = np.maximum(queue[place], load.queue)
    return bins, fullest, queue
