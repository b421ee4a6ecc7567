"""Constraint families about windows, transfers and time (``README.md``, J9 to J17)."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from formulations.joint.variables import JointVariables
from spatem_opt.cost.durations import datum_bits
from spatem_opt.types import OUTSIDE

if TYPE_CHECKING:
    from ortools.sat.python import cp_model


def add_windows(model: cp_model.CpModel, y: JointVariables) -> None:
    r"""Every window of the frame chosen at one copy that exists, no window of another frame; copies of pixels (J9).

    .. math:: \sum_c a_{lfwc} = \sum_{v \in f} y_{lv}, \quad a_{lfwc} \le u_{lc}, \quad
        \sum_c \pi_{lxc} = 1, \quad a_{lfw(x)c} \le \pi_{lxc}
    """
    for layer in y.problem.layers:
        copies = range(y.problem.copies[layer])
        for frame in y.problem.frames(layer):
            chosen = sum(y.way[layer, v] for v, way in enumerate(y.problem.ways[layer]) if way.frame == frame)
            window = y.problem.window_of(layer, frame).tolist()
            for w in range(max(window) + 1):
                runs = [y.run[layer, frame, w, c] for c in copies]
                model.add(sum(runs) == chosen).with_name(f"windows[{layer},{frame},{w}]")
                for c, run in enumerate(runs):
                    model.add_implication(run, y.used[layer, c]).with_name(f"windows[{layer},{frame},{w},{c}]")
            if len(y.problem.frames(layer)) > 1:
                for x, w in enumerate(window):
                    for c in copies:
                        implied = model.add_implication(y.run[layer, frame, w, c], y.pixel_copy[layer, x, c])
                        implied.with_name(f"windows[{layer},{x},{c},pixel]")
        if len(y.problem.frames(layer)) > 1:
            for x in range(y.problem.node(layer).windows):
                model.add_exactly_one(y.pixel_copy[layer, x, c] for c in copies).with_name(f"windows[{layer},{x}]")


def add_subscription(model: cp_model.CpModel, y: JointVariables) -> None:
    r"""A tile subscribes to what OUs and digital windows there read (J10).

    .. math:: \rho_{lvcrd} \le \text{sub}_{pKd} \quad \forall (l, v, r) \in K, \qquad
        \mu_{lK'cd} + \text{busy}_{nc} \le 1 + \text{sub}_{pKd} \quad \forall (n, K') \in K, \qquad
        \pi_{lxc} \le \text{busy}_{nc}
    """
    for (node, key, d), sub in y.sub.items():
        name = f"subscription[{node},{d}]"
        for layer, v, r in key.rows if d != OUTSIDE else ():
            for c in range(y.problem.copies[layer]):
                model.add_implication(y.row[layer, v, c, r, d], sub).with_name(name)
        for digital, columns in key.seats:
            host = y.problem.hosts[digital]
            if host == OUTSIDE:
                if d == OUTSIDE:
                    model.add(sub == 1).with_name(name)
                continue
            for c in range(y.problem.copies[host]) if d != OUTSIDE else ():
                here, busy = y.made[host, columns, c, d], y.busy[digital, c]
                model.add_bool_or(~here, ~busy, sub).with_name(name)
    for (node, c), busy in y.busy.items():
        for x in sorted(set(y.problem.host_pixel[node].tolist())):
            run = y.pixel_copy[y.problem.hosts[node], x, c]
            model.add_implication(run, busy).with_name(f"subscription[{node},{c},{x}]")


def add_transfer(model: cp_model.CpModel, y: JointVariables) -> None:
    r"""Channels between two tiles travel together; a copy's slowest transfer to a tile counts (J11).

    .. math:: \mu_{lKct} + \text{sub}_{pKd} \le 1 + \tau_{pKctd}, \quad
        \rho F_{pctd} \ge b_p \sum_K n_K \tau_{pKctd}, \quad
        \tau_{pKctd} = 1 \Rightarrow \Delta_{pcd} \ge \text{hops}(t, d)\, \eta + F_{pctd}
    """
    a = y.problem.architecture
    for node in range(len(y.problem.network.nodes)):
        classes, host = y.problem.classes(node), y.problem.hosts[node]
        width = datum_bits(y.problem.network, a)[node]
        for c, t, d in ((c, t, d) for p, c, t, d in y.packets if p == node):
            packets, name = y.packets[node, c, t, d], f"transfer[{node},{c},{t},{d}]"
            shared = {key: y.shared[node, key, c, t, d] for key in classes}
            bits = sum(width * count * shared[key] for key, count in classes.items())
            model.add(a.router_bits_per_cycle * packets >= bits).with_name(name)
            flight = y.problem.hops(t, d) * a.hop_cycles + packets
            for key, literal in shared.items():
                made = [] if host == OUTSIDE else [~y.made[host, key.columns, c, t]]
                model.add_bool_or(*made, ~y.sub[node, key, d], literal).with_name(name)
                model.add(y.delay[node, c, d] >= flight).only_enforce_if(literal).with_name(name)


def add_arrival(model: cp_model.CpModel, y: JointVariables) -> None:
    r"""A pixel is at a tile when it is done and the slowest transfer from its copy has arrived (J12).

    .. math:: \pi_{lxc} = 1 \Rightarrow A_{pxd} \ge D_{px} + \Delta_{pcd}
    """
    for (node, x, d), arrival in y.arrival.items():
        host, done = y.problem.hosts[node], y.pixel_done[node, x]
        if host == OUTSIDE:
            model.add(arrival >= done + y.delay[node, 0, d]).with_name(f"arrival[{node},{x},{d}]")
            continue
        pixel = int(y.problem.host_pixel[node][x])
        for c in range(y.problem.copies[host]):
            later = model.add(arrival >= done + y.delay[node, c, d]).only_enforce_if(y.pixel_copy[host, pixel, c])
            later.with_name(f"arrival[{node},{x},{d},{c}]")


def add_ready(model: cp_model.CpModel, y: JointVariables) -> None:
    r"""A window begins when its receptive field has arrived on all tiles where it runs (J13).

    .. math:: h_{lfwd} = 1 \Rightarrow B_{lfw} \ge A_{pxd}, \qquad h_{nxd} = 1 \Rightarrow B_{nx} \ge A_{px'd}
    """
    for layer in y.problem.layers:
        node = y.problem.network.layers[layer]
        for frame in y.problem.frames(layer):
            fields: defaultdict[int, set[tuple[int, int]]] = defaultdict(set)
            for x, w in enumerate(y.problem.window_of(layer, frame).tolist()):
                fields[w] |= {(p, pixel) for p, pixels in y.problem.field(node, x) for pixel in pixels}
            for w, read in fields.items():
                for d in y.problem.tiles:
                    for p, pixel in sorted(read):
                        waits = model.add(y.begin[layer, frame, w] >= y.arrival[p, pixel, d])
                        waits.only_enforce_if(y.at[layer, frame, w, d]).with_name(f"ready[{layer},{w},{p},{pixel},{d}]")
    for (node, x), start in y.start.items():
        for p, pixels in y.problem.field(node, x):
            for d in [OUTSIDE] if y.problem.hosts[node] == OUTSIDE else y.problem.tiles:
                for pixel in pixels:
                    waits = model.add(start >= y.arrival[p, pixel, d]).with_name(f"ready[{node},{x},{p},{pixel},{d}]")
                    if d != OUTSIDE:
                        waits.only_enforce_if(y.digital_at[node, x, d])


def add_digital(model: cp_model.CpModel, y: JointVariables) -> None:
    r"""Windows of a digital node at one copy of its host run in raster order, where their channels are made (J14).

    .. math:: \pi_{lxc} = \pi_{lx'c} = 1 \Rightarrow B_{nx'} \ge B_{nx} + T_n \quad \forall x < x', \qquad
        \mu_{lKct} \le \text{seat}_{nct}, \quad \pi_{lxc} + \text{seat}_{nct} \le 1 + h_{nxt}
    """
    for (node, x), start in y.start.items():
        host, place = y.problem.hosts[node], y.problem.host_pixel[node].tolist()
        for before in range(x):
            after = model.add(start >= y.pixel_done[node, before]) if host == OUTSIDE else None
            if after is not None:
                after.with_name(f"digital[{node},{before},{x}]")
                continue
            for c in range(y.problem.copies[host]):
                both = {place[x], place[before]}
                after = model.add(start >= y.pixel_done[node, before])
                after.only_enforce_if([y.pixel_copy[host, pixel, c] for pixel in both])
                after.with_name(f"digital[{node},{before},{x},{c}]")
    for (node, c, t), seat in y.seat.items():
        host = y.problem.hosts[node]
        for columns in dict.fromkeys(y.problem.columns[node]):
            model.add_implication(y.made[host, columns, c, t], seat).with_name(f"digital[{node},{c},{t}]")
        for x, pixel in enumerate(y.problem.host_pixel[node].tolist()):
            run = y.pixel_copy[host, pixel, c]
            model.add_bool_or(~run, ~seat, y.digital_at[node, x, t]).with_name(f"digital[{node},{c},{t},{x}]")


def add_duration(model: cp_model.CpModel, y: JointVariables) -> None:
    r"""A window ends an interval after it begins and is done when its partial sums and the tail have passed (J15).

    .. math:: a_{lfwc} = 1 \Rightarrow E_{lfw} \ge B_{lfw} + I_{lc}, \; D_{lfw} \ge E_{lfw} + S_{lc} + T,
        \qquad y_{lv} = 1 \Rightarrow D_{px} \ge D_{lf(v)w(x)}
    """
    tail = y.problem.architecture.pipeline_tail_cycles
    for (layer, frame, w, c), run in y.run.items():
        key, name = (layer, frame, w), f"duration[{layer},{frame},{w},{c}]"
        model.add(y.end[key] >= y.begin[key] + y.interval[layer, c]).only_enforce_if(run).with_name(name)
        model.add(y.done[key] >= y.end[key] + y.sum_delay[layer, c] + tail).only_enforce_if(run).with_name(name)
    for layer in y.problem.layers:
        if len(y.problem.frames(layer)) > 1:
            node = y.problem.network.layers[layer]
            for v, way in enumerate(y.problem.ways[layer]):
                for x, w in enumerate(y.problem.window_of(layer, way.frame).tolist()):
                    later = model.add(y.pixel_done[node, x] >= y.done[layer, way.frame, w])
                    later.only_enforce_if(y.way[layer, v]).with_name(f"duration[{layer},{v},{x}]")


def add_exclusive(model: cp_model.CpModel, y: JointVariables) -> None:
    r"""No crossbar runs two windows at a time (J16).

    .. math:: h_{lfwk} = h_{l'f'w'k} = 1 \Rightarrow E_{lfw} \le B_{l'f'w'} \lor E_{l'f'w'} \le B_{lfw}
    """
    intervals: defaultdict[int, list[Any]] = defaultdict(list)
    for key in y.begin:
        size = model.new_int_var(0, y.upper, f"size[{key}]")
        for k in y.problem.crossbars:
            held = y.held[*key, k]
            name = f"occupied[{key},{k}]"
            intervals[k].append(model.new_optional_interval_var(y.begin[key], size, y.end[key], held, name))
    for k, members in intervals.items():
        model.add_no_overlap(members).with_name(f"exclusive[{k}]")


def add_latency(model: cp_model.CpModel, y: JointVariables) -> None:
    r"""The latency is when the last pixel of the last node is done (J17).

    .. math:: z \ge D_{px} \qquad \forall p, x
    """
    for (node, x), done in y.pixel_done.items():
        model.add(y.latency >= done).with_name(f"latency[{node},{x}]")
