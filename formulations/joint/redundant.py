"""Redundant and symmetry families, which keep an optimum (``README.md``, J18 to J22)."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from formulations.joint.problem import JointProblem, LayerMode
from formulations.joint.variables import Frame, JointVariables, full_load_bits, worst_case

if TYPE_CHECKING:
    from ortools.sat.python import cp_model


def add_bound(model: cp_model.CpModel, y: JointVariables) -> None:
    r"""Redundant: the latency is at least a proven bound (J18).

    .. math:: z \ge \underline{z}
    """
    model.add(y.latency >= y.lower).with_name("bound[0]")


def add_turns(model: cp_model.CpModel, y: JointVariables) -> None:
    r"""Redundant: windows of one copy run one after the other, wherever it is (J19).

    .. math:: a_{lfwc} = a_{lfw'c} = 1 \Rightarrow E_{lfw} \le B_{lfw'} \lor E_{lfw'} \le B_{lfw}
    """
    groups: defaultdict[tuple[int, int], list[Any]] = defaultdict(list)
    for (layer, frame, w, c), run in y.run.items():
        key = layer, frame, w
        size = model.new_int_var(0, y.upper, f"turn[{key},{c}]")
        groups[layer, c].append(
            model.new_optional_interval_var(y.begin[key], size, y.end[key], run, f"turns[{key},{c}]")
        )
    for (layer, c), members in groups.items():
        model.add_no_overlap(members).with_name(f"turns[{layer},{c}]")


def add_work(model: cp_model.CpModel, y: JointVariables) -> None:
    r"""Redundant: all crossbar cycles that something waits for fit in the time before it (J20).

    .. math:: G_{lfw} \ge n I_{lc} \text{ if copy } c \text{ on } n \text{ crossbars runs } w, \quad
        X (B_{lfw} - \alpha) \ge \sum_{w' \prec w} G_{w'}, \quad X (z - \alpha - T) \ge \sum_w G_w

    with X crossbars, :math:`\alpha` the first cycle at which an input can have arrived, and :math:`\prec` the
    transitive closure of receptive fields.
    """
    p, area = y.problem, dict[Any, Any]()
    crossbars, first = len(p.crossbars), first_input(p)
    for layer in p.layers:
        most = sum(worst_case(p, layer)[:2]) * crossbars
        whole = _copy_areas(model, y, layer, most)
        for key in (key for key in y.begin if key[0] == layer):
            area[key] = model.new_int_var(0, most, f"area[{key}]")
            ways = [(v, way) for v, way in enumerate(p.ways[layer]) if way.frame == key[1]]
            least = sum(least_area(p, layer, way) * y.way[layer, v] for v, way in ways)
            model.add(area[key] >= least).with_name(f"work[{key},least]")
            for c, of_copy in enumerate(whole):
                model.add(area[key] >= of_copy).only_enforce_if(y.run[*key, c]).with_name(f"work[{key},{c}]")
    for key, before in _ancestors(p).items():
        layer, frame, _ = key
        needed = sum(area[other] for other in sorted(before))
        for v in (v for v, way in enumerate(p.ways[layer]) if before and way.frame == frame):
            fits = model.add(crossbars * (y.begin[key] - first) >= needed)
            fits.only_enforce_if(y.way[layer, v]).with_name(f"work[{key},before]")
    last = y.latency - first - p.architecture.pipeline_tail_cycles
    model.add(crossbars * last >= sum(area.values())).with_name("work[all]")


def first_input(problem: JointProblem) -> int:
    """First cycle at which a crossbar can be busy: one packet from outside; 0 if a window reads padding only."""
    nodes = [problem.network.nodes[index] for index in problem.network.layers]
    if all((edge.rows >= 0).any(1).all() and (edge.cols >= 0).any(1).all() for node in nodes for edge in node.edges):
        return problem.architecture.hop_cycles + 1
    return 0


def least_area(problem: JointProblem, layer: int, way: LayerMode) -> int:
    """Fewest crossbar cycles that one window reserves: over all numbers n of crossbars, n times the interval."""
    return min(n * _least_interval(problem, layer, way, n) for n in range(1, len(way.sizes) + 1))


def _least_interval(problem: JointProblem, layer: int, way: LayerMode, crossbars: int) -> int:
    """Shortest interval of a copy on so many crossbars."""
    a = problem.architecture
    compute = way.grid.phases * -(-len(way.row) // crossbars)
    bits = int(way.row_height[np.unique(way.row)].sum()) * way.grid.activation_bits  # rows between windows do not exist
    load = -(-bits // (a.buffer_bits_per_cycle * min(crossbars, a.tiles)))
    if a.input_load == "full":
        load = -(-full_load_bits(problem, layer) // a.buffer_bits_per_cycle)
    elif way.grid.option.scheme == "kernel-split":
        load = 1
    return max(compute, load) if a.overlap_input else compute + load


def _copy_areas(model: cp_model.CpModel, y: JointVariables, layer: int, most: int) -> list[Any]:
    """Crossbar cycles that a window of every copy of a layer reserves."""
    p, found = y.problem, []
    top = min(len(p.crossbars), max(len(way.sizes) for way in p.ways[layer]))
    for c in range(p.copies[layer]):
        name = f"work[{layer},{c}]"
        number = [model.new_bool_var(f"crossbars[{layer},{c},{n}]") for n in range(top + 1)]
        area = model.new_int_var(0, most, f"area[{layer},{c}]")
        model.add_exactly_one(number).with_name(name)
        occupied = sum(y.on[layer, c, k] for k in p.crossbars)
        model.add(sum(n * literal for n, literal in enumerate(number)) == occupied).with_name(name)
        for n, literal in enumerate(number[1:], start=1):
            model.add(area >= n * y.interval[layer, c]).only_enforce_if(literal).with_name(name)
            for v, way in enumerate(p.ways[layer]):
                least = model.add(y.interval[layer, c] >= _least_interval(p, layer, way, n)).with_name(name)
                least.only_enforce_if([literal, y.active[layer, v, c]])
        found.append(area)
    return found


def _ancestors(problem: JointProblem) -> dict[tuple[int, Frame, int], set[tuple[int, Frame, int]]]:
    """Windows that every window waits for, directly or not."""
    found: dict[tuple[int, Frame, int], set[tuple[int, Frame, int]]] = {}
    reach: dict[tuple[int, int], set[tuple[int, Frame, int]]] = {}
    for index, node in enumerate(problem.network.nodes):
        for x in range(node.windows):
            fields = [(producer, pixel) for producer, pixels in problem.field(index, x) for pixel in pixels]
            reach[index, x] = set().union(*(reach[key] for key in fields))
        layer = problem.layer_of.get(index)
        for frame in [] if layer is None else problem.frames(layer):
            assert layer is not None
            window = problem.window_of(layer, frame).tolist()
            for w in range(max(window) + 1):
                found[layer, frame, w] = set().union(*(reach[index, x] for x, at in enumerate(window) if at == w))
        for frame in [] if layer is None else problem.frames(layer):
            assert layer is not None
            for x, w in enumerate(problem.window_of(layer, frame).tolist()):
                reach[index, x] = reach[index, x] | {(layer, frame, w)}
    return found


def add_copy_order(model: cp_model.CpModel, y: JointVariables) -> None:
    r"""Symmetry: copies are numbered in the order of their first windows (J21).

    .. math:: a_{lfwc} \le \sum_{w' < w} a_{lfw',c-1}, \qquad u_{lc} \le \sum_w a_{lfwc}
    """
    p = y.problem
    for layer in p.layers:
        runs: defaultdict[int, list[Any]] = defaultdict(list)
        for (at, frame, w, c), run in y.run.items():
            if at != layer:
                continue
            runs[c].append(run)
            if c > 0:
                earlier = [y.run[layer, frame, before, c - 1] for before in range(w)]
                model.add_bool_or(~run, *earlier).with_name(f"copy_order[{layer},{frame},{w},{c}]")
        for c, any_window in runs.items():
            model.add_bool_or(~y.used[layer, c], *any_window).with_name(f"copy_order[{layer},{c}]")


def add_crossbar_order(model: cp_model.CpModel, y: JointVariables) -> None:
    r"""Symmetry: crossbars of a tile are numbered in the order of their first items (J22).

    .. math:: x_{\iota k} \le \sum_{\iota' < \iota} x_{\iota', k-1}

    for items :math:`\iota = (l, c, i)` of any option in lexicographic order, k and k - 1 in one tile.
    """
    p = y.problem
    items: defaultdict[tuple[int, int, int], list[int]] = defaultdict(list)
    for layer, v, c, i, k in y.put:
        if k == 0:
            items[layer, c, i].append(v)
    for tile in p.tiles:
        crossbars = p.tile_crossbars(tile)
        for before, k in pairwise(crossbars):
            opened: Any = None
            for layer, c, i in sorted(items):
                name = f"crossbar_order[{layer},{c},{i},{k}]"
                put = [(y.put[layer, v, c, i, before], y.put[layer, v, c, i, k]) for v in items[layer, c, i]]
                for _, x in put:
                    model.add_bool_or(~x, *([] if opened is None else [opened])).with_name(name)
                now = model.new_bool_var(f"opened[{layer},{c},{i},{before}]")
                first = [x for x, _ in put] + ([] if opened is None else [opened])
                model.add_bool_or(~now, *first).with_name(name)
                for x in first:
                    model.add_implication(x, now).with_name(name)
                opened = now
