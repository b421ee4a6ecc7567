"""Figures of a solution: when every layer works, and what every tile and router of the chip does.

Matplotlib is imported by the functions that draw, with the Agg backend's canvas; colours are safe for colour-blind
readers (Okabe and Ito for segments, cividis for loads).
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spatem_opt.errors import InstanceError, ModelError
from spatem_opt.evaluator import Evaluation
from spatem_opt.evaluator.activity import Activity, activity
from spatem_opt.evaluator.evaluation import LayerTable
from spatem_opt.files.access import write_atomically
from spatem_opt.model.architecture import Architecture
from spatem_opt.model.solution import Solution
from spatem_opt.types import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from spatem_opt.study.pareto import Front

FORMATS = ("svg", "png", "pdf")
DRAWN = ("gantt", "floorplan")
"""Figures of a solution."""
SEGMENT_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
"""Okabe and Ito without yellow and black; neighbours differ."""
NAMED_LAYERS = 60
"""Up to so many layers every one is named."""
STYLE: Any = {
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.linewidth": 0.6,
    "svg.hashsalt": "spatem-opt",
    "svg.fonttype": "path",
}


def require_matplotlib() -> None:
    """Raise :class:`InstanceError` with what to install if matplotlib is missing."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        rule = "expected the extra 'plot': pip install 'spatem-opt[plot]'"
        raise InstanceError("figures", "matplotlib", "missing", rule) from error


def draw(solution: Solution, evaluation: Evaluation) -> dict[str, Figure]:
    """All figures of a solution by name: ``gantt`` and ``floorplan``.

    Parameters
    ----------
    solution : Solution
    evaluation : Evaluation
        Of that solution.

    Raises
    ------
    InstanceError
        If matplotlib is missing, or the solution could not be replayed.
    """
    return {"gantt": gantt(solution, evaluation), "floorplan": floorplan(solution.architecture, evaluation)}


def resize(figure: Figure, width: float) -> None:
    """Make a figure so many inches wide, and as much narrower or wider as high."""
    before, height = figure.get_size_inches()
    figure.set_size_inches(width, float(height) * width / float(before))


def save(figure: Figure, path: Path) -> None:
    """Write a figure in the format of the suffix, atomically; the same figure gives the same bytes.

    Raises
    ------
    InstanceError
        If the suffix is none of :data:`FORMATS`, or the file cannot be written.
    """
    import matplotlib as mpl

    kind = path.suffix.removeprefix(".")
    if kind not in FORMATS:
        raise InstanceError(str(path), "", f"figure as {path.suffix!r}", f"expected {' or '.join(FORMATS)}")
    metadata: dict[str, Any] = {"svg": {"Date": None}, "png": {"Software": None}, "pdf": {"CreationDate": None}}[kind]
    drawn = io.BytesIO()
    with mpl.rc_context(STYLE):
        figure.savefig(drawn, format=kind, dpi=150, metadata=metadata)
    write_atomically(path, drawn.getvalue())


def write_svg(figure: Figure, target: IO[str]) -> None:
    """Write a figure as SVG text."""
    import matplotlib as mpl

    with mpl.rc_context(STYLE):
        figure.savefig(target, format="svg", dpi=150, metadata={"Date": None})


def gantt(solution: Solution, evaluation: Evaluation) -> Figure:
    """Draw when every layer works: a bar per layer, darker the more of its copies compute, a colour per segment.

    A thin line reaches from the first begin to the last end of the layer, so that a wait shows as a line without bar.
    Above: OU operations over all crossbars.
    """
    require_matplotlib()
    import matplotlib as mpl
    from matplotlib.figure import Figure

    layers = _replayed(evaluation)
    found = activity(solution)
    count, scale = len(layers.name), solution.architecture.cycle_ns / 1e6
    rows = max(1.2, min(0.19 * count, 0.075 * count + 4.0))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10, rows + 2.3), layout="constrained")
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[1.1, rows])
        _draw_load(top, solution.architecture, evaluation, found)
        _draw_layers(bottom, solution.segment, layers, found)
        bottom.set_xlabel(
            f"cycle (1000 cycles = {1000 * scale:.4g} ms); dark: all copies of a layer compute, light: few, line: none"
        )
        bottom.xaxis.set_major_formatter(lambda x, _: f"{x:,.0f}")
        latency, parts = evaluation.latency_cycles or 0, len(np.unique(solution.segment))
        figure.suptitle(
            f"{solution.network.name} on {solution.architecture.name}: {latency:,} cycles, "
            f"{latency * scale:.4g} ms, {parts} segment{'s' * (parts != 1)}",
            fontsize=10, x=0.01, ha="left",
        )  # fmt: skip
    return figure


def floorplan(architecture: Architecture, evaluation: Evaluation) -> Figure:
    """Draw the chip as heat maps: cells used, time busy, ports and buffers per tile, and routers."""
    require_matplotlib()
    import matplotlib as mpl
    from matplotlib.figure import Figure

    arrays, latency = evaluation.arrays, evaluation.latency_cycles
    if arrays is None or latency is None:
        raise InstanceError("floorplan", "solution", "not replayable", "expected one without structural violations")
    arch, cycles = architecture, max(latency, 1)
    per_tile = arch.crossbars_per_tile
    maps: list[tuple[str, FloatArray]] = [
        ("crossbars used", arrays.tile_crossbars / per_tile),
        ("cells used", arrays.tile_cells / (per_tile * arch.crossbar_rows * arch.crossbar_cols)),
        ("busy: crossbar cycles with an OU operation", arrays.tile_ou_operations / (per_tile * cycles)),
        ("ports: bits read / capacity", arrays.tile_port_bits / (arch.buffer_bits_per_cycle * cycles)),
        ("buffer peak / size", arrays.tile_buffer_peak_bits / arch.buffer_bits),
        ("routers: bits passed / capacity", arrays.router_bits / (arch.router_bits_per_cycle * cycles)),
    ]
    shape = _subtiles(arch)
    ratio = arch.mesh_rows * shape[0] / (arch.mesh_cols * shape[1])
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(11, 1.1 + 2 * min(max(3.1 * ratio, 1.6), 5.0)), layout="constrained")
        for axes, (title, values) in zip(figure.subplots(2, 3).flat, maps, strict=True):
            _draw_map(axes, arch, title, values)
        tiles = f"{arch.tiles_per_router} tile{'s' * (arch.tiles_per_router > 1)} each"
        title = f"{arch.name}: {arch.mesh_rows} x {arch.mesh_cols} routers, {tiles}; the outside is at the upper left"
        figure.suptitle(title, fontsize=10, x=0.01, ha="left")
    return figure


def front(found: Front) -> Figure:
    """Draw a front of latency against communication: its points joined, dominated ones pale, both bounds as lines."""
    require_matplotlib()
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(5.5, 4), layout="constrained")
        axes = figure.subplots()
        for points, colour, label in ((found.dominated, "#BBBBBB", "dominated"), (found.points, "#0072B2", "front")):
            line = "-" if label == "front" else ""
            values = [point.latency for point in points], [point.communication for point in points]
            axes.plot(*values, marker="o", markersize=4, linewidth=1, linestyle=line, color=colour, label=label,
                      drawstyle="steps-post")  # fmt: skip
        if found.latency_bound and found.communication_bound:
            axes.axvline(found.latency_bound, color="#D55E00", linewidth=0.8, linestyle="--", label="bounds")
            axes.axhline(found.communication_bound, color="#D55E00", linewidth=0.8, linestyle="--")
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("latency [cycles]")
        axes.set_ylabel("communication [bits]")
        axes.set_title(f"{found.network} on {found.architecture}", loc="left")
        axes.grid(which="both", linewidth=0.2)
        axes.legend(frameon=False)
    return figure


def tile_image(architecture: Architecture, values: FloatArray) -> FloatArray:
    """Arrange one value per tile as on the chip: the tiles of a router side by side, NaN where there is none.

    Examples
    --------
    >>> chip = Architecture(mesh_rows=1, mesh_cols=2, tiles_per_router=4)
    >>> tile_image(chip, np.arange(8.0)).tolist()
    [[0.0, 1.0, 4.0, 5.0], [2.0, 3.0, 6.0, 7.0]]
    """
    arch, (high, wide) = architecture, _subtiles(architecture)
    padded = np.full((arch.mesh_rows * arch.mesh_cols, high * wide), np.nan)
    padded[:, : arch.tiles_per_router] = values.reshape(-1, arch.tiles_per_router)
    grid = padded.reshape(arch.mesh_rows, arch.mesh_cols, high, wide)
    return grid.transpose(0, 2, 1, 3).reshape(arch.mesh_rows * high, arch.mesh_cols * wide)


def _subtiles(arch: Architecture) -> tuple[int, int]:
    """Rows and columns in which the tiles of a router are drawn."""
    wide = math.ceil(math.sqrt(arch.tiles_per_router))
    return math.ceil(arch.tiles_per_router / wide), wide


def _replayed(evaluation: Evaluation) -> LayerTable:
    if evaluation.layers is None:
        raise InstanceError("gantt", "solution", "not replayable", "expected one without structural violations")
    return evaluation.layers


def _draw_load(axes: Axes, arch: Architecture, evaluation: Evaluation, found: Activity) -> None:
    arrays = evaluation.arrays
    if arrays is None:
        raise ModelError("a replayed solution has no arrays")
    axes.stairs(100 * found.occupancy, found.edges, fill=True, color="#999999", label="crossbars at work")
    axes.set_ylim(0, 105.0)
    axes.set_ylabel("%")
    axes.tick_params(axis="x", length=0)
    axes.grid(axis="y", linewidth=0.3)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False, borderaxespad=0.1)


def _draw_layers(axes: Axes, segment: NDArray[np.int64], layers: LayerTable, found: Activity) -> None:
    from matplotlib.colors import to_rgb

    count = len(layers.name)
    order = np.unique(segment, return_inverse=True)[1]
    colours = np.array([to_rgb(SEGMENT_COLOURS[k % len(SEGMENT_COLOURS)]) for k in order])
    share = np.clip(found.busy, 0, 1)
    strength = np.where(share > 0, 0.2 + 0.8 * share, 0.0)[:, :, None]
    image = 1 - strength * (1 - colours[:, None, :])
    lines = np.stack([layers.start, layers.end], axis=1)
    axes.hlines(np.arange(count), lines[:, 0], lines[:, 1], colors=[tuple(c) for c in colours], linewidth=0.5, zorder=1)
    alpha = (strength[:, :, 0] > 0).astype(float)
    extent = (float(found.edges[0]), float(found.edges[-1]), count - 0.5, -0.5)
    axes.imshow(np.dstack([image, alpha]), extent=extent, aspect="auto", interpolation="nearest", zorder=2)
    edges = np.arange(count + 1) - 0.5
    axes.hlines(edges, *extent[:2], colors="white", linewidth=min(1.5, 40 / count), zorder=2.1)
    for k in np.flatnonzero(np.diff(order)):
        axes.axhline(k + 0.5, color="#666666", linewidth=0.4, zorder=2.2)
    _name_layers(axes, layers.name, order)
    axes.set_xlim(0, extent[1])
    axes.set_ylim(count - 0.5, -0.5)


def _name_layers(axes: Axes, names: Sequence[str], segment: NDArray[np.int64]) -> None:
    """Names on the left, every second, third, ... of many; segment numbers on the right, where they do not collide."""
    count = len(names)
    every = -(-count // NAMED_LAYERS)
    shown = range(0, count, every)
    size = 7 if count <= 30 else 6
    axes.set_yticks(list(shown), [_short(names[i]) for i in shown], fontsize=size)
    axes.tick_params(axis="y", length=2)
    last = -math.inf
    for k in range(int(segment.max(initial=0)) + 1):
        rows = np.flatnonzero(segment == k)
        middle = float(rows.mean())
        if middle - last >= count / 70:
            colour = SEGMENT_COLOURS[k % len(SEGMENT_COLOURS)]
            axes.annotate(str(k), (1.005, middle), xycoords=("axes fraction", "data"), color=colour, fontsize=6.5,
                          va="center", fontweight="bold", annotation_clip=False)  # fmt: skip
            last = middle
    axes.annotate("segment", (1.005, 1), xycoords="axes fraction", xytext=(0, 3), textcoords="offset points",
                  fontsize=6.5, color="#444444", annotation_clip=False)  # fmt: skip


def _short(name: str) -> str:
    return name if len(name) <= 28 else f"{name[:12]}...{name[-13:]}"


def _draw_map(axes: Axes, arch: Architecture, title: str, values: FloatArray) -> None:
    """One heat map in percent, with a colour bar from 0 to the largest value; a line between routers."""
    routers = len(values) == arch.mesh_rows * arch.mesh_cols and arch.tiles_per_router > 1
    image = values.reshape(arch.mesh_rows, arch.mesh_cols) if routers else tile_image(arch, values)
    extent = (-0.5, arch.mesh_cols - 0.5, arch.mesh_rows - 0.5, -0.5)
    top = 100 * float(np.nanmax(image, initial=0))
    shown = axes.imshow(
        100 * image, extent=extent, cmap="cividis", vmin=0, vmax=max(top, 1e-9), interpolation="nearest"
    )
    for x in range(arch.mesh_cols - 1):
        axes.axvline(x + 0.5, color="white", linewidth=0.4)
    for y in range(arch.mesh_rows - 1):
        axes.axhline(y + 0.5, color="white", linewidth=0.4)
    axes.set_title(f"{title}\nmean {100 * float(values.mean()):.3g} %, largest {top:.3g} %", loc="left")
    axes.set_xticks([0, arch.mesh_cols - 1] if arch.mesh_cols > 1 else [0])
    axes.set_yticks([0, arch.mesh_rows - 1] if arch.mesh_rows > 1 else [0])
    axes.figure.colorbar(shown, ax=axes, shrink=0.9, format=lambda x, _: f"{x:g} %")
