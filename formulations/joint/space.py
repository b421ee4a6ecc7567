"""Constraint families about space: options, copies, placement, durations (``README.md``, J1 to J8)."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np

from formulations.joint.problem import LayerMode
from formulations.joint.variables import JointVariables, full_load_bits
from spatem_opt.cost.durations import from_middle

if TYPE_CHECKING:
    from ortools.sat.python import cp_model


def add_mapping(model: cp_model.CpModel, y: JointVariables) -> None:
    r"""Every layer uses one option, copy 0 exists, and the copies that exist are in that option (J1).

    .. math:: \sum_v y_{lv} = 1, \quad u_{l0} = 1, \quad \sum_v z_{lvc} = u_{lc}, \quad z_{lvc} \le y_{lv}
    """
    for layer in y.problem.layers:
        ways = range(len(y.problem.ways[layer]))
        model.add_exactly_one(y.way[layer, v] for v in ways).with_name(f"mapping[{layer}]")
        model.add(y.used[layer, 0] == 1).with_name(f"mapping[{layer},0]")
        for c in range(y.problem.copies[layer]):
            model.add(sum(y.active[layer, v, c] for v in ways) == y.used[layer, c]).with_name(f"mapping[{layer},{c},u]")
            for v in ways:
                model.add_implication(y.active[layer, v, c], y.way[layer, v]).with_name(f"mapping[{layer},{c},{v}]")


def add_coverage(model: cp_model.CpModel, y: JointVariables) -> None:
    r"""Every item of every copy that exists is on exactly one crossbar (J2).

    .. math:: \sum_k x_{lvcik} = z_{lvc}
    """
    for layer, v, way in _ways(y):
        for c in range(y.problem.copies[layer]):
            for i in range(len(way.sizes)):
                placed = sum(y.put[layer, v, c, i, k] for k in y.problem.crossbars)
                model.add(placed == y.active[layer, v, c]).with_name(f"coverage[{layer},{v},{c},{i}]")


def add_capacity(model: cp_model.CpModel, y: JointVariables) -> None:
    r"""A crossbar holds at most A OUs, or one filled block and nothing else (J3).

    .. math:: \sum_{lvci \text{ slotted}} x_{lvcik} + A \sum_{lvci \text{ filled}} x_{lvcik} \le A
    """
    slots = y.problem.architecture.ou_slots
    held: defaultdict[int, list[Any]] = defaultdict(list)
    for (layer, v, _, _, k), x in y.put.items():
        held[k].append(slots * x if y.problem.ways[layer][v].filled else x)
    for k, terms in held.items():
        model.add(sum(terms) <= slots).with_name(f"capacity[{k}]")


def add_residence(model: cp_model.CpModel, y: JointVariables) -> None:
    r"""Crossbars and tiles of a copy, those that its windows occupy, OU rows and columns on tiles (J4).

    .. math:: x_{lvcik} \le e_{lck} \le e_{lct(k)}, \quad x_{lvcik} \le \rho_{lvcrt(k)}, \quad
        x_{lvcik} \le \gamma_{lvcjt(k)}, \quad a_{lfwc} + e_{lck} \le 1 + h_{lfwk}, \quad
        a_{lfwc} + e_{lct} \le 1 + h_{lfwt}

    for the rows r and columns j of item i.
    """
    tile = [k // y.problem.architecture.crossbars_per_tile for k in y.problem.crossbars]
    for layer, v, way in _ways(y):
        lines = [
            (set(way.row[way.item == i].tolist()), set(way.col[way.item == i].tolist())) for i in range(len(way.sizes))
        ]
        for c in range(y.problem.copies[layer]):
            for i, (rows, cols) in enumerate(lines):
                for k in y.problem.crossbars:
                    x, name = y.put[layer, v, c, i, k], f"residence[{layer},{v},{c},{i},{k}]"
                    implied = [y.on[layer, c, k], *(y.row[layer, v, c, r, tile[k]] for r in rows)]
                    if y.col:
                        implied += [y.col[layer, v, c, j, tile[k]] for j in cols]
                    for literal in implied:
                        model.add_implication(x, literal).with_name(name)
    for (layer, c, k), literal in y.on.items():
        model.add_implication(literal, y.there[layer, c, tile[k]]).with_name(f"residence[{layer},{c},{k}]")
    for (layer, frame, w, c), run in y.run.items():
        for k in y.problem.crossbars:
            model.add_bool_or(~run, ~y.on[layer, c, k], y.held[layer, frame, w, k]).with_name(
                f"residence[{layer},{w},k]"
            )
        for t in y.problem.tiles:
            model.add_bool_or(~run, ~y.there[layer, c, t], y.at[layer, frame, w, t]).with_name(
                f"residence[{layer},{w},t]"
            )


def add_compute(model: cp_model.CpModel, y: JointVariables) -> None:
    r"""A window computes as long as the fullest crossbar of its copy (J5).

    .. math:: C_{lc} \ge q_{lv} \sum_i s_{lvi} x_{lvcik} \qquad \forall k
    """
    for layer, v, way in _ways(y):
        for c in range(y.problem.copies[layer]):
            for k in y.problem.crossbars:
                ous = sum(int(size) * y.put[layer, v, c, i, k] for i, size in enumerate(way.sizes))
                model.add(y.compute[layer, c] >= way.grid.phases * ous).with_name(f"compute[{layer},{v},{c},{k}]")


def add_load(model: cp_model.CpModel, y: JointVariables) -> None:
    r"""Port bits of all copies on a tile pass its port before a window computes (J6).

    .. math:: P_{lvct} \ge \text{port bits of the rows } \{r : \rho_{lvcrt} = 1\}, \quad
        e_{lct} = 1 \Rightarrow \beta L_{lc} \ge \sum_{vc'} P_{lvc't}, \quad
        I_{lc} \ge C_{lc} + L_{lc} \ (\text{or} \ge C_{lc}, \ge L_{lc} \text{ with overlap})
    """
    a = y.problem.architecture
    for layer in y.problem.layers:
        copies, ways = range(y.problem.copies[layer]), range(len(y.problem.ways[layer]))
        for c in copies:
            if a.input_load == "full":
                cycles = -(-full_load_bits(y.problem, layer) // a.buffer_bits_per_cycle)
                model.add(y.load[layer, c] >= cycles * y.used[layer, c]).with_name(f"load[{layer},{c},full]")
            for t in y.problem.tiles if a.input_load == "needed" else ():
                bits = sum(y.port[layer, v, other, t] for v in ways for other in copies)
                enough = model.add(a.buffer_bits_per_cycle * y.load[layer, c] >= bits)
                enough.only_enforce_if(y.there[layer, c, t]).with_name(f"load[{layer},{c},{t}]")
            terms = [y.compute[layer, c], y.load[layer, c]]
            for total in terms if a.overlap_input else [sum(terms)]:
                model.add(y.interval[layer, c] >= total).with_name(f"load[{layer},{c},interval]")
    for layer, v, way in _ways(y) if a.input_load == "needed" else ():
        for c in range(y.problem.copies[layer]):
            for t in y.problem.tiles:
                _port_bits(model, y, (layer, v, c, t), way)


def _port_bits(model: cp_model.CpModel, y: JointVariables, key: tuple[int, int, int, int], way: LayerMode) -> None:
    """Bits of one window of a copy through a tile's port (M4)."""
    layer, v, c, t = key
    rows = [y.row[layer, v, c, r, t] for r in range(way.grid.shape[0])]
    bits, name = way.grid.activation_bits, f"load[{layer},{v},{c},{t}]"
    if way.grid.option.scheme != "kernel-split":
        read = sum(int(height) * row for height, row in zip(way.row_height, rows, strict=True))
        model.add(y.port[key] >= bits * read).with_name(name)
        return
    weights = way.grid.weights
    taps, groups = weights.kernel[0] * weights.kernel[1], weights.groups
    number = np.arange(len(rows)).reshape(groups, taps, -1)
    height = way.row_height.reshape(number.shape)
    parts = [
        _any(model, [rows[r] for r in number[g, :, j]], name) for g in range(groups) for j in range(number.shape[2])
    ]
    size = [int(height[g, 0, j]) for g in range(groups) for j in range(number.shape[2])]
    channels = sum(n * part for n, part in zip(size, parts, strict=True))
    positions = sum(_any(model, [rows[r] for r in number[:, tap].ravel()], name) for tap in range(taps))
    for fetched in range(1, way.grid.fresh_pixels + 1):
        reached = model.new_bool_var(f"fetched[{name},{fetched}]")
        model.add(positions <= fetched - 1 + taps * reached).with_name(name)
        model.add(y.port[key] >= bits * fetched * channels).only_enforce_if(reached).with_name(name)


def _any(model: cp_model.CpModel, literals: list[Any], name: str) -> Any:
    """A Boolean that is true if one of the literals is."""
    found = model.new_bool_var(f"any[{name}]")
    for literal in literals:
        model.add_implication(literal, found).with_name(name)
    return found


def add_home(model: cp_model.CpModel, y: JointVariables) -> None:
    r"""The home of a column is the tile with most of its OUs, then nearest to the middle row (J7).

    .. math:: \sum_t m_{lvcjt} = z_{lvc}, \quad m_{lvcjt} = 1 \Rightarrow
        n_{lvcjt} \ge n_{lvcjt'} + [t' < t] \quad \forall t' \ne t, \quad m_{lvcj(K)t} \le \mu_{lKct}

    with n the number of OUs of the column on the tile, times one more than what all of them are off the middle row,
    less what those on the tile are (M4); :math:`K` columns of channels under all options.
    """
    for layer, v, way in _ways(y):
        for c in range(y.problem.copies[layer]):
            for j in range(way.grid.shape[1]):
                homes = [y.home[layer, v, c, j, t] for t in y.problem.tiles]
                name = f"home[{layer},{v},{c},{j}]"
                model.add(sum(homes) == y.active[layer, v, c]).with_name(name)
                count = [_home_rank(y, (layer, v, c, j), way, t) for t in y.problem.tiles]
                for t, literal in enumerate(homes):
                    for other in y.problem.tiles:
                        if other != t:
                            most = model.add(count[t] >= count[other] + (1 if other < t else 0))
                            most.only_enforce_if(literal).with_name(name)
    for (layer, columns, c, t), made in y.made.items():
        homes = [y.home[layer, v, c, j, t] for v, j in enumerate(columns)]
        model.add(sum(homes) == made).with_name(f"home[{layer},{c},{t},made]")


def _home_rank(y: JointVariables, key: tuple[int, int, int, int], way: LayerMode, tile: int) -> Any:
    """What is largest for the home: OUs of a column of a copy on a tile, and how near to the middle they are."""
    layer, v, c, j = key
    rows = len(way.grid.rows)
    far = from_middle(rows)[way.row[way.col == j] % rows]
    items = np.bincount(way.item[way.col == j], far.sum() + 1 - far, len(way.sizes)).astype(np.int64)
    crossbars = y.problem.tile_crossbars(tile)
    return sum(int(n) * y.put[layer, v, c, i, k] for i, n in enumerate(items) if n for k in crossbars)


def add_sums(model: cp_model.CpModel, y: JointVariables) -> None:
    r"""Partial sums travel to the home of their column, all columns between two tiles together (J8).

    .. math:: \gamma_{lvcjt} + m_{lvcjd} \le 1 + \sigma_{lvcjtd}, \quad \sigma_{lvcjtd} = 1 \Rightarrow
        S_{lc} \ge \text{hops}(t, d)\, \eta + F, \quad \rho F \ge \sum_j b_{lvj} \sigma_{lvcjtd}
    """
    a = y.problem.architecture
    for layer, v, way in _ways(y):
        sums = np.tile(way.grid.column_sums(), way.grid.weights.groups) * way.grid.partial_sum_bits
        most = -(-int(sums.sum()) // a.router_bits_per_cycle)
        for c in range(y.problem.copies[layer]):
            for t, d in ((t, d) for t in y.problem.tiles for d in y.problem.tiles if t != d):
                name = f"sums[{layer},{v},{c},{t},{d}]"
                packets = model.new_int_var(0, most, f"packets[{name}]")
                sent = [y.sent[layer, v, c, j, t, d] for j in range(len(sums))]
                bits = sum(int(b) * s for b, s in zip(sums, sent, strict=True))
                model.add(a.router_bits_per_cycle * packets >= bits).with_name(name)
                flight = y.problem.hops(t, d) * a.hop_cycles + packets
                for j, literal in enumerate(sent):
                    here, goal = y.col[layer, v, c, j, t], y.home[layer, v, c, j, d]
                    model.add_bool_or(~here, ~goal, literal).with_name(name)
                    model.add(y.sum_delay[layer, c] >= flight).only_enforce_if(literal).with_name(name)


def _ways(y: JointVariables) -> list[tuple[int, int, LayerMode]]:
    """(layer, number, way) of every option."""
    return [(layer, v, way) for layer in y.problem.layers for v, way in enumerate(y.problem.ways[layer])]
