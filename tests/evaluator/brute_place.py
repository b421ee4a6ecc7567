"""M1, M3 and M4 of ``formulations/README.md`` in plain Python: chip, OUs one by one, placed copies."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from spatem_opt.model.architecture import Architecture
from spatem_opt.model.solution import MappingOption, Solution
from spatem_opt.network.layers import Weights

OUTSIDE = 10**9  # behind all tiles


def ceil(a: int, b: int) -> int:
    return -(-a // b)


# --- M1 ---------------------------------------------------------------------------------------------------------------


Router = tuple[int, int]


def position(arch: Architecture, tile: int) -> Router:
    return divmod(tile // arch.tiles_per_router, arch.mesh_cols)


def entry(arch: Architecture, tile: int) -> Router:
    """Where data for the tile come in, and data of the tile leave."""
    return (0, position(arch, tile)[1]) if arch.input_entry == "columns" else (0, 0)


def route(arch: Architecture, source: int, target: int) -> list[Router]:
    """Routers passed, both ends included; none within a tile."""
    if source == target:
        return []
    y, x = entry(arch, target) if source == OUTSIDE else position(arch, source)
    y1, x1 = entry(arch, source) if target == OUTSIDE else position(arch, target)
    passed = [(y, x)]
    while x != x1:
        x += 1 if x1 > x else -1
        passed.append((y, x))
    while y != y1:
        y += 1 if y1 > y else -1
        passed.append((y, x))
    return passed


def transfer(arch: Architecture, source: int, target: int, bits: int) -> int:
    if source == target or bits == 0:
        return 0
    return len(route(arch, source, target)) * arch.hop_cycles + ceil(bits, arch.router_bits_per_cycle)


# --- M3 ---------------------------------------------------------------------------------------------------------------


@dataclass
class Ou:
    """One existing OU: matrix rows as (channel, tap), bitlines as (filter, window of the patch)."""

    rows: list[tuple[int, Any]]
    cols: list[tuple[int, Any]]
    high: int
    wide: int
    block: tuple[int, int, int]


@dataclass
class Grid:
    ous: dict[tuple[int, int], Ou] = field(default_factory=dict)
    column_of_channel: dict[int, int] = field(default_factory=dict)
    sums: dict[int, int] = field(default_factory=dict)
    rows: int = 0  # of one group


def chunks(items: list[Any], size: int) -> list[list[Any]]:
    return [items[i : i + size] for i in range(0, len(items), size)]


def build_grid(arch: Architecture, w: Weights, option: MappingOption) -> Grid:
    kh, kw = w.kernel
    sy, sx = (1, 1) if w.transposed else w.stride
    s = arch.cells_per_weight(w.weight_bits)
    patch = [(wy, wx) for wy in range(option.ph) for wx in range(option.pw)]
    u = s * len(patch)
    cols = [(n, win) for n in range(w.out_channels) for win in patch for _ in range(s)]
    col_sections = [cols]
    if option.scheme == "im2col":
        row_sections = [[(c, (y, x)) for c in range(w.in_channels) for y in range(kh) for x in range(kw)]]
    elif option.scheme == "channel-split":
        channels = chunks(list(range(w.in_channels)), max(1, arch.ou_rows // (kh * kw)))
        row_sections = [[(c, (y, x)) for c in part for y in range(kh) for x in range(kw)] for part in channels]
    elif option.scheme == "kernel-split":
        row_sections = [[(c, (y, x)) for c in range(w.in_channels)] for y in range(kh) for x in range(kw)]
    else:
        tall, broad = (option.ph - 1) * sy + kh, (option.pw - 1) * sx + kw
        rows = [(c, (y, x)) for c in range(w.in_channels) for y in range(tall) for x in range(broad)]
        p = tall * broad
        row_sections = chunks(rows, arch.ou_rows // p * p) if p <= arch.ou_rows else [rows]
        if u <= arch.ou_cols:
            col_sections = chunks(cols, arch.ou_cols // u * u)
    if option.storage == "filled":
        row_sections = [b for section in row_sections for b in chunks(section, arch.crossbar_rows)]
        broad = arch.crossbar_cols // u * u if u <= arch.crossbar_cols else arch.crossbar_cols
        col_sections = [b for section in col_sections for b in chunks(section, broad)]
    ou_rows = [(i, part) for i, section in enumerate(row_sections) for part in chunks(section, arch.ou_rows)]
    ou_cols = [(i, part) for i, section in enumerate(col_sections) for part in chunks(section, arch.ou_cols)]

    def nonzero(row: tuple[int, Any], col: tuple[int, Any]) -> bool:
        if option.scheme != "parallel-window":
            return True
        return 0 <= row[1][0] - col[1][0] * sy < kh and 0 <= row[1][1] - col[1][1] * sx < kw

    return assemble(w, ou_rows, ou_cols, nonzero)


def assemble(w: Weights, ou_rows: list[Any], ou_cols: list[Any], nonzero: Callable[[Any, Any], bool]) -> Grid:
    """The existing OUs of all groups, along the diagonal."""
    grid = Grid(rows=len(ou_rows))
    for g in range(w.groups):
        for c, (cb, bitlines) in enumerate(ou_cols):
            col = g * len(ou_cols) + c
            grid.sums[col] = len(set(bitlines))
            for n, win in bitlines:
                if win == (0, 0):
                    grid.column_of_channel.setdefault(g * w.out_channels + n, col)
            for r, (rb, wordlines) in enumerate(ou_rows):
                if any(nonzero(a, b) for a in set(wordlines) for b in set(bitlines)):
                    inputs = [(g * w.in_channels + ch, tap) for ch, tap in wordlines]
                    ou = Ou(inputs, bitlines, len(wordlines), len(bitlines), (g, rb, cb))
                    grid.ous[g * len(ou_rows) + r, col] = ou
    return grid


# --- M4 ---------------------------------------------------------------------------------------------------------------


@dataclass
class Copy:
    """One placed copy of a layer."""

    ous: dict[int, int] = field(default_factory=lambda: defaultdict(int))  # by crossbar
    tile_ous: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    cells: int = 0
    rows: dict[int, set[tuple[int, Any]]] = field(default_factory=lambda: defaultdict(set))  # by tile
    columns: dict[int, dict[int, int]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(int)))
    offsets: dict[int, dict[int, int]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(int)))
    port: dict[int, int] = field(default_factory=dict)
    home: dict[int, int] = field(default_factory=dict)  # by output channel
    sums: dict[tuple[int, int], int] = field(default_factory=lambda: defaultdict(int))  # items by (tile, home)
    compute: int = 0
    load: int = 0
    interval: int = 0
    sum_delay: int = 0


def place(sol: Solution, layer: int) -> list[Copy]:
    arch, option = sol.architecture, sol.mapping[layer]
    w = sol.network.nodes[sol.network.layers[layer]].weights
    grid, p = build_grid(arch, w, option), sol.placement
    mine = [i for i in range(len(p.layer)) if p.layer[i] == layer]
    copies = [Copy() for _ in range(1 + max(p.copy[i] for i in mine))]
    for i in mine:
        crossbar = int(p.crossbar[i])
        tile = crossbar // arch.crossbars_per_tile
        copy = copies[p.copy[i]]
        for r in range(p.row_start[i], p.row_stop[i]):
            for c in range(p.col_start[i], p.col_stop[i]):
                if ou := grid.ous.get((r, c)):
                    copy.ous[crossbar] += 1
                    copy.tile_ous[tile] += 1
                    copy.cells += ou.high * ou.wide
                    copy.rows[tile] |= set(ou.rows)
                    copy.columns[c][tile] += 1
                    copy.offsets[c][tile] += offset(r % grid.rows, grid.rows)
    for copy in copies:
        durations(sol, w, option, grid, copy)
    load(sol, w, copies)
    return copies


def offset(row: int, rows: int) -> int:
    """How far an OU row is from the middle one."""
    return int(4 * abs(row - (rows - 1) / 2)) + (2 * row > rows - 1)


def sum_width(arch: Architecture, w: Weights) -> int:
    """Bits of a partial sum: the layer's, the chip's, or all phases, all slices and the sum over the rows."""
    given = w.partial_sum_bits or arch.partial_sum_bits
    if given:
        return given
    phases = ceil(w.activation_bits or arch.activation_bits, arch.dac_bits)
    slices = ceil(w.weight_bits or arch.weight_bits, arch.cell_bits)
    carry = 0
    while 2**carry < w.kernel[0] * w.kernel[1] * w.in_channels:
        carry += 1
    return phases * arch.dac_bits + slices * arch.cell_bits + carry + (1 if arch.differential else 0)


def durations(sol: Solution, w: Weights, option: MappingOption, grid: Grid, copy: Copy) -> None:
    arch = sol.architecture
    bits = w.activation_bits or arch.activation_bits
    stride = (1, 1) if w.transposed else w.stride
    copy.compute = arch.input_phases(w.activation_bits) * max(copy.ous.values())
    for tile, rows in copy.rows.items():
        if arch.input_load == "full":
            pes = {x // arch.crossbars_per_pe for x in copy.ous if x // arch.crossbars_per_tile == tile}
            copy.port[tile] = len(pes) * arch.crossbar_rows * arch.crossbars_per_pe * bits
        elif option.scheme == "kernel-split":
            channels, taps = {c for c, _ in rows}, {tap for _, tap in rows}
            copy.port[tile] = bits * len(channels) * min(len(taps), stride[0] * stride[1])
        else:
            copy.port[tile] = bits * len(rows)
    home = {}
    for col, tiles in copy.columns.items():
        home[col] = min(tiles, key=lambda t: (-tiles[t], copy.offsets[col][t], t))
        for tile in tiles:
            if tile != home[col]:
                copy.sums[tile, home[col]] += grid.sums[col]
    width = sum_width(arch, w)
    copy.sum_delay = max((transfer(arch, t, d, width * n) for (t, d), n in copy.sums.items()), default=0)
    copy.home = {channel: home[col] for channel, col in grid.column_of_channel.items()}


def load(sol: Solution, w: Weights, copies: list[Copy]) -> None:
    arch = sol.architecture
    bits = w.activation_bits or arch.activation_bits
    shared: dict[int, int] = defaultdict(int)
    for copy in copies:
        for tile, n in copy.port.items():
            shared[tile] += n
    for copy in copies:
        most = max(shared[tile] for tile in copy.port)
        if arch.input_load == "full":
            most = arch.crossbar_rows * arch.crossbars_per_pe * bits
        copy.load = ceil(most, arch.buffer_bits_per_cycle)
        copy.interval = max(copy.compute, copy.load) if arch.overlap_input else copy.compute + copy.load
