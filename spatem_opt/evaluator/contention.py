"""Families ``port`` and ``router``: leaky buckets of one bin's burst (M8)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spatem_opt.evaluator.arrays import distinct, starts_of
from spatem_opt.evaluator.durations import Placed
from spatem_opt.evaluator.findings import Violation, listed
from spatem_opt.evaluator.mesh import Mesh
from spatem_opt.evaluator.replay import Delivery, Run
from spatem_opt.evaluator.transfers import Supply
from spatem_opt.network.layers import Network

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

#: Elements of the largest table of loads held at once.
CHUNK = 4_000_000
#: Shares of bins are fractions: waiting bits are compared with half a bit of slack.
SLACK = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Flow:
    """Bits through resources over time: ``weight.T @ share``.

    Parameters
    ----------
    resource : int64 array, shape (m,)
        Distinct ports or routers.
    weight : int64 array, shape (k, m)
    bins : int64 array, shape (b,)
        Ascending.
    share : float64 array, shape (k, b)
    """

    resource: IntArray
    weight: IntArray
    bins: IntArray
    share: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Load:
    """Load of all ports, or all routers.

    Parameters
    ----------
    bits : int64 array, shape (resources,)
        All bits of one inference.
    peak : float64 array, shape (resources,)
        Bits of the fullest bin.
    waiting : float64 array, shape (resources,)
        Most bits waiting after any bin.
    bins, fullest, queue : int64 and float64 arrays, shape (bins that occur,)
        Bin numbers; load of the fullest resource in each, and most bits waiting after it, over what one bin serves.
    """

    bits: IntArray
    peak: FloatArray
    waiting: FloatArray
    bins: IntArray
    fullest: FloatArray
    queue: FloatArray


def histogram(group: IntArray, groups: int, time: IntArray, width: int) -> tuple[IntArray, FloatArray]:
    """Count ``time`` per group in bins of ``width`` cycles: bins that occur, counts of shape (groups, bins)."""
    bins, place = distinct(np.maximum(time, 0) // width)
    counts = np.bincount(group * len(bins) + place, minlength=groups * len(bins))
    return bins, counts.reshape(groups, len(bins)).astype(np.float64)


def port_flows(mesh: Mesh, placed: list[Placed], runs: list[Run]) -> list[Flow]:
    """Bits through tile ports, in the bin where the window begins; ``runs`` of the crossbar layers."""
    flows = []
    for layer, run in zip(placed, runs, strict=True):
        bins, share = histogram(run.at.window_copy, layer.copies, run.begin, mesh.arch.contention_cycles)
        tiles, place = distinct(layer.pair_tile)
        weight = np.zeros((layer.copies, len(tiles)), np.int64)
        weight[layer.pair_copy, place] = layer.port_bits
        flows.append(Flow(tiles, weight, bins, share))
    return flows


def router_flows(mesh: Mesh, network: Network, placed: list[Placed], runs: list[Run]) -> list[Flow]:
    """Bits through routers: feature maps of all nodes, partial sums of the crossbar layers."""
    flows = []
    for node, run in zip(network.nodes, runs, strict=True):
        if run.delivery is None:
            continue
        if node.kind == "input":
            flows.append(_input_flow(mesh, run.delivery))
        else:
            flows.append(_map_flow(mesh, run, run.delivery.supply))
    for layer, index in zip(placed, network.layers, strict=True):
        if len(layer.sum_pair):
            flows.append(_sum_flow(mesh, layer, runs[index]))
    return [flow for flow in flows if len(flow.resource)]


def _flow(loads: IntArray, bins: IntArray, share: FloatArray) -> Flow:
    """Keep the routers and lines that carry anything."""
    line, router = np.flatnonzero(loads.any(1)), np.flatnonzero(loads.any(0))
    return Flow(router, loads[np.ix_(line, router)], bins, share[line])


def _input_flow(mesh: Mesh, delivery: Delivery) -> Flow:
    """Inputs from outside: each row of pixels in the bin of the first window on the tile that needs it."""
    sent = delivery.supply
    tile, row = np.nonzero(sent.row_bits)
    bins, place = distinct(np.maximum(delivery.first_use[tile, row], 0) // mesh.arch.contention_cycles)
    tiles = len(sent.tiles)
    bits = np.bincount(tile * len(bins) + place, sent.row_bits[tile, row], tiles * len(bins))
    away = (sent.tiles != mesh.outside).astype(np.int64)
    flows = mesh.flows(np.arange(tiles), sent.tiles, away, tiles)
    loads = mesh.loads(np.full(tiles, mesh.outside), flows)
    total = sent.row_bits.sum(1)
    share = bits.reshape(tiles, -1) / np.maximum(total, 1)[:, None]
    return _flow(loads * total[:, None], bins, share)


def _map_flow(mesh: Mesh, run: Run, sent: Supply) -> Flow:
    """Bits from each home tile, in proportion to the pixels that finish there."""
    at = run.at
    bins, count = histogram(at.pixel_copy, at.copies, run.pixel_done, mesh.arch.contention_cycles)
    order = np.argsort(at.home_tile, kind="stable")
    tile = at.home_tile[order]
    start = starts_of(tile)
    bits = np.add.reduceat(sent.bits[order], start, axis=0)
    bits[tile[start][:, None] == sent.tiles] = 0
    finished = np.add.reduceat(count[at.home_copy[order]], start, axis=0)
    line, target = np.nonzero(bits)
    loads = mesh.loads(tile[start], mesh.flows(line, sent.tiles[target], bits[line, target], len(start)))
    return _flow(loads, bins, finished / np.maximum(finished.sum(1), 1)[:, None])


def _sum_flow(mesh: Mesh, layer: Placed, run: Run) -> Flow:
    """Partial sums of every window of a copy, when it is done."""
    bins, share = histogram(run.at.window_copy, layer.copies, run.done, mesh.arch.contention_cycles)
    senders, place = distinct(layer.sum_pair)
    loads = mesh.loads(layer.pair_tile[senders], mesh.flows(place, layer.sum_target, layer.sum_bits, len(senders)))
    copy = layer.pair_copy[senders]
    start = starts_of(copy)
    per_window = np.add.reduceat(loads, start, axis=0)
    share = share[copy[start]]
    windows = share.sum(1)
    totals = per_window * windows.astype(np.int64)[:, None]
    return _flow(totals, bins, share / np.maximum(windows, 1)[:, None])


def total_load(flows: list[Flow], resources: int, capacity: int) -> Load:
    """Sum flows and let every resource serve ``capacity`` bits per bin.

    The bits waiting after bin b are max(0, max over a <= b of (bits of bins a..b - capacity * (b - a + 1))).
    """
    bits, peak, waiting = np.zeros(resources, np.int64), np.zeros(resources), np.zeros(resources)
    if not flows:
        return Load(bits, peak, waiting, np.zeros(0, np.int64), np.zeros(0), np.zeros(0))
    for flow in flows:
        bits[flow.resource] += np.rint(flow.weight.T * flow.share.sum(1)).astype(np.int64).sum(1)
    bins = np.unique(np.concatenate([flow.bins for flow in flows]))
    fullest, queue = np.zeros(len(bins)), np.zeros(len(bins))
    block = max(CHUNK // len(bins), 1)
    used = np.flatnonzero(bits)
    for first in range(0, len(used), block):
        part = used[first : first + block]
        line = np.full(resources, -1)
        line[part] = np.arange(len(part))
        load = np.zeros((len(part), len(bins)))
        for flow in flows:
            here = np.flatnonzero(line[flow.resource] >= 0)
            place = np.searchsorted(bins, flow.bins)
            load[np.ix_(line[flow.resource[here]], place)] += flow.weight[:, here].T.astype(np.float64) @ flow.share
        peak[part] = load.max(1)
        np.maximum(fullest, load.max(0) / capacity, out=fullest)
        arrived = load.cumsum(1)
        served = capacity * bins.astype(np.float64)
        empty = np.minimum.accumulate(arrived - load - (served - capacity), axis=1)
        left = np.maximum(arrived - served - empty, 0)
        waiting[part] = left.max(1)
        np.maximum(queue, left.max(0) / capacity, out=queue)
    return Load(bits, peak, waiting, bins, fullest, queue)


def check_load(family: str, load: Load, rate: int, width: int, latency: int) -> list[Violation]:
    """Ports or routers where more bits ever wait than a bin of ``width`` cycles serves, or the latency is too short.

    ``rate``: bits served per cycle.
    """
    capacity = rate * width
    bad = np.flatnonzero(load.waiting > capacity + SLACK)
    late = np.flatnonzero(load.bits > rate * latency)
    what = "port of tile" if family == "port" else "router"

    def describe_late(i: int) -> str:
        return f"{what} {late[i]}: {load.bits[late[i]]} bits, {latency} cycles serve {rate * latency}"

    def describe(i: int) -> str:
        at = bad[i]
        return f"{what} {at}: {load.waiting[at]:.0f} bits wait, one bin serves {capacity}"

    found = listed(family, load.waiting[bad], capacity, "bits", describe)
    return found + listed(family, load.bits[late], rate * latency, "bits", describe_late)
