"""From a placed network to its chunk problem, and from starts of chunks back to a schedule of windows.

The windows of a chunk run back to back. Every done time is then the latest of (start of some chunk + constant): a
node's *reach* is the table of these constants, one column per chunk it depends on, exact through digital nodes as well.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from spatem_opt.cost.placed import Chunks, PlacedNetwork, Times, rows_by_layer
from spatem_opt.cost.transport import expand, routes, window_of_pixel
from spatem_opt.errors import InstanceError
from spatem_opt.network.layers import Edge, Node
from spatem_opt.network.readings import readings
from spatem_opt.scheduling import chunks as chunk
from spatem_opt.scheduling.list_schedule import in_turn
from spatem_opt.types import INFINITE, IntArray

ORIGIN = -1
"""Column of what is there at cycle 0."""
_BLOCK = 4_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """Windows of a layer in the order they run, copy by copy; columns of equal length.

    ``row``: of the scheduling problem's chunk table; ``task``: chunk of the chunk problem; ``begin``: cycles after
    the chunk's start.
    """

    window: IntArray
    copy: IntArray
    row: IntArray
    task: IntArray
    begin: IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Reach:
    """When the pixels of a node are done: ``column`` holds tasks, ``cycles`` has shape (pixels, columns)."""

    column: IntArray
    cycles: IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Expansion:
    """A chunk problem and where it comes from.

    Parameters
    ----------
    problem : chunks.Problem
    source : PlacedNetwork
    windows : tuple of Windows
        One per layer.
    reach : tuple of Reach
        One per node.
    team : int64 array, shape (tasks,)
        Tasks of one team run one after the other: a layer's copies together, or one copy.
    """

    problem: chunk.ChunkProblem
    source: PlacedNetwork
    windows: tuple[Windows, ...]
    reach: tuple[Reach, ...]
    team: IntArray

    def timetable(self, solution: chunk.ChunkSchedule) -> tuple[PlacedNetwork, Times]:
        """The schedule of windows for given starts of chunks: the evaluator finds the chunk problem's makespan.

        Returns
        -------
        problem : PlacedNetwork
            The source with its chunk table cut at the chunks, none to start before its time.
        times : Times
        """
        start, table = solution.start, [_pieces(w, solution.start, self.source.chunks) for w in self.windows]
        layer = np.repeat(np.arange(len(table)), [len(piece[0]) for piece in table])
        row, first, last, begin, final = (np.concatenate(column) for column in zip(*table, strict=True))
        old = self.source.chunks
        cut = Chunks(layer, old.copy[row], first, last, old.step[row], old.pace[row], begin)
        interval = np.zeros(len(row), dtype=np.int64)
        for number, placed in enumerate(self.source.placed):
            interval[layer == number] = placed.interval[cut.copy[layer == number]]
        known = np.r_[start, 0]  # the last entry is that of ORIGIN
        done = tuple((reach.cycles + known[reach.column]).max(axis=1) for reach in self.reach)
        latency = max(int(times.max()) for times in done)
        return replace(self.source, chunks=cut), Times(begin, final + interval, latency, done)


def _pieces(windows: Windows, start: IntArray, old: Chunks) -> tuple[IntArray, ...]:
    """Row, first and last window, and their begin times, of the pieces that chunks cut a layer's table into."""
    first = np.flatnonzero(np.r_[True, (np.diff(windows.row) != 0) | (np.diff(windows.task) != 0)])
    last = np.r_[first[1:], len(windows.row)] - 1
    begin = start[windows.task] + windows.begin
    return windows.row[first], windows.window[first], windows.window[last], begin[first], begin[last]


def build(problem: PlacedNetwork, chunks: int = 8, *, by: Literal["layer", "copy"] = "layer") -> Expansion:
    """The chunk problem of a placed network.

    Parameters
    ----------
    problem : PlacedNetwork
        Without a barrier (``serial``): that leaves nothing to decide.
    chunks : int
        Chunks per copy: each copy's windows, in the order they run, are cut into so many parts, at image rows where
        there are enough of them.
    by : {"layer", "copy"}
        A task is the k-th part of all copies of a layer at once, or of one copy.

    Raises
    ------
    InstanceError
        If there is a barrier, no chunk, or two copies of one layer on one crossbar while tasks are whole layers.
    """
    if problem.serial:
        raise InstanceError("chunk problem", "serial", True, "expected a schedule without barriers")
    if chunks < 1:
        raise InstanceError("chunk problem", "chunks", chunks, "expected >= 1")
    if by not in ("layer", "copy"):
        raise InstanceError("chunk problem", "by", by, "expected 'layer' or 'copy'")
    return _Builder(problem, chunks, by == "copy").build()


class _Builder:
    """State of one pass over the network."""

    def __init__(self, problem: PlacedNetwork, chunks: int, by_copy: bool) -> None:
        self.problem, self.chunks, self.by_copy = problem, chunks, by_copy
        self.known = routes(problem)
        self.sites = self.known.sites
        self.rows = rows_by_layer(problem.chunks.layer, len(problem.grids))
        self.team: list[int] = []
        self.teams = 0
        self.duration: list[int] = []
        self.release: list[int] = []
        self.lags: list[tuple[IntArray, IntArray, IntArray]] = []
        self.windows: list[Windows] = []
        self.reach: list[Reach] = []
        self.first_team: list[int] = []

    def build(self) -> Expansion:
        """All nodes in topological order."""
        layers = {node: number for number, node in enumerate(self.problem.network.layers)}
        for index, node in enumerate(self.problem.network.nodes):
            if node.kind == "input":
                self.reach.append(Reach(np.array([ORIGIN]), np.zeros((node.windows, 1), dtype=np.int64)))
            elif node.kind == "digital":
                self.reach.append(self._digital(index, node))
            else:
                self.reach.append(self._layer(index, node, layers[index]))
        tail = np.full(len(self.duration) + 1, 0, dtype=np.int64)
        for reach in self.reach:
            np.maximum.at(tail, reach.column, reach.cycles.max(axis=0))
        before, after, lag = (np.concatenate(c).astype(np.int64) for c in zip(*self.lags, strict=True))
        team = np.array(self.team)
        made = chunk.ChunkProblem(
            np.array(self.duration), np.array(self.release), tail[:-1], before, after, lag,
            self._resources(team), int(tail[-1]),
        )  # fmt: skip
        return Expansion(made, self.problem, tuple(self.windows), tuple(self.reach), team)

    def _layer(self, index: int, node: Node, number: int) -> Reach:
        """Tasks of a crossbar layer, and the lags from those it waits for."""
        placed, grid = self.problem.placed[number], self.problem.grids[number]
        first_task = len(self.duration)
        windows = self._cut(number)
        self.windows.append(windows)
        pixel_window = window_of_pixel(node, grid.option.ph, grid.option.pw)
        ready = self._ready(index, node)
        by_window = np.full((grid.windows, len(ready.column)), -INFINITE, dtype=np.int64)
        np.maximum.at(by_window, pixel_window, ready.cycles)
        tasks = len(self.duration) - first_task
        lag = np.full((tasks, len(ready.column)), -INFINITE, dtype=np.int64)
        np.maximum.at(lag, windows.task - first_task, by_window[windows.window] - windows.begin[:, None])
        begin = np.full(tasks, 0, dtype=np.int64)
        np.maximum.at(begin, windows.task - first_task, self.problem.chunks.not_before[windows.row] - windows.begin)
        for j, column in enumerate(ready.column.tolist()):
            if column == ORIGIN:
                begin = np.maximum(begin, lag[:, j])
        self.release += begin.tolist()
        to, source = np.nonzero((lag > -INFINITE // 2) & (ready.column != ORIGIN))
        self.lags.append((ready.column[source], to + first_task, lag[to, source]))
        own = np.arange(first_task, len(self.duration))
        same = np.flatnonzero(np.diff(np.array(self.team)[own]) == 0)
        self.lags.append((own[same], own[same] + 1, np.array(self.duration, dtype=np.int64)[own[same]]))
        done = np.full((grid.windows, tasks), -INFINITE, dtype=np.int64)
        finish = (placed.interval + placed.sum_delay)[windows.copy] + self.problem.architecture.pipeline_tail_cycles
        done[windows.window, windows.task - first_task] = windows.begin + finish
        return Reach(own, done[pixel_window])

    def _cut(self, number: int) -> Windows:
        """Windows of a layer with their chunks; adds the tasks."""
        table, interval, width = self.problem.chunks, self.problem.placed[number].interval, self._width(number)
        rows = self.rows[number][np.argsort(table.copy[self.rows[number]], kind="stable")]
        window, owner = expand(table.first[rows], table.last[rows], table.step[rows])
        row = rows[owner]
        copy = table.copy[row]
        same = np.r_[False, np.diff(copy) == 0]
        gap = np.where(np.r_[False, np.diff(owner) == 0], np.maximum(interval[copy], table.pace[row]), interval[copy])
        offset = np.cumsum(np.where(same, gap, 0))
        part = np.concatenate([
            parts(self.chunks, w // width) for w in np.split(window, np.flatnonzero(~same)[1:])
        ])  # fmt: skip
        team = copy if self.by_copy else np.zeros_like(copy)
        _, task = np.unique(team * self.chunks + part, return_inverse=True)
        head = np.flatnonzero(~same | (np.r_[0, np.diff(part)] != 0))
        begin = offset - np.repeat(offset[head], np.diff(np.r_[head, len(offset)]))
        duration = np.zeros(int(task.max()) + 1, dtype=np.int64)
        np.maximum.at(duration, task, begin + interval[copy])
        owner_team = np.zeros(len(duration), dtype=np.int64)
        owner_team[task] = team
        first_task = len(self.duration)
        self.duration += duration.tolist()
        self.team += (owner_team + self.teams).tolist()
        self.first_team.append(self.teams)
        self.teams += int(team.max()) + 1
        return Windows(window, copy, row, task + first_task, begin)

    def _width(self, number: int) -> int:
        return self.problem.grids[number].window_cols

    def _digital(self, index: int, node: Node) -> Reach:
        """Reach of a digital node: one window at a time in each of its host's copies."""
        ready, copy = self._ready(index, node), self.sites[index].copy
        order = np.argsort(copy, kind="stable")
        cycles = -(-node.ops_per_window // self.problem.architecture.digital_ops_per_cycle)
        interval = np.full(int(copy.max()) + 1, cycles)
        done = np.empty_like(ready.cycles)
        for j in range(len(ready.column)):
            done[order, j] = in_turn(ready.cycles[order, j], copy[order], interval) + cycles
        done[done < -INFINITE // 2] = -INFINITE
        return Reach(ready.column, done)

    def _ready(self, index: int, node: Node) -> Reach:
        """When each output pixel's inputs have arrived."""
        mine = self.sites[index].class_of[self.sites[index].copy]
        sources = np.unique([producer for reading in readings(node) for producer in reading.producers])
        column = np.unique(np.concatenate([self.reach[p].column for p in sources]))
        ready = np.full((node.windows, len(column)), -INFINITE, dtype=np.int64)
        for producer in sources.tolist():
            source, reach = self.sites[producer], self.reach[producer]
            delay = self.known.delays(self.problem, producer, index)
            where = np.searchsorted(column, reach.column)
            width = self.problem.network.nodes[producer].width
            for reading in (reading for reading in readings(node) if producer in reading.producers):
                came = _arrivals(reading.edge, width, reach.cycles, source.class_of[source.copy], mine, delay)
                ready[:, where] = np.maximum(ready[:, where], came)
        return Reach(column, ready)

    def _resources(self, team: IntArray) -> tuple[IntArray, ...]:
        """Tasks of sets of teams of which every two meet on some crossbar; together the sets cover all such pairs."""
        p = self.problem.placement
        mine = np.array(self.first_team)[p.layer] + (p.copy if self.by_copy else 0)
        self._check_copies(p.layer, p.copy, p.crossbar)
        pair = np.unique(np.stack([p.crossbar, mine], axis=1), axis=0)
        edges = np.flatnonzero(np.diff(pair[:, 0])) + 1
        meet = np.zeros((self.teams, self.teams), dtype=np.bool_)
        for group in {tuple(group.tolist()) for group in np.split(pair[:, 1], edges)}:
            meet[np.ix_(group, group)] = True
        np.fill_diagonal(meet, False)
        work = np.bincount(team, self.duration, self.teams).astype(np.float64)
        return tuple(np.flatnonzero(np.isin(team, group)) for group in cliques(meet, work))

    def _check_copies(self, layer: IntArray, copy: IntArray, crossbar: IntArray) -> None:
        """Tasks of whole layers run all copies at once: they must not share crossbars."""
        if self.by_copy:
            return
        held = np.unique(np.stack([layer, crossbar, copy], axis=1), axis=0)
        twice = np.flatnonzero((np.diff(held[:, 0]) == 0) & (np.diff(held[:, 1]) == 0))
        if len(twice):
            number, place, _ = held[twice[0]].tolist()
            rule = "two copies of it share the crossbar; expected by='copy'"
            raise InstanceError(f"layer {number}", "crossbar", place, rule)


def cliques(meet: NDArray[np.bool_], work: NDArray[np.float64]) -> list[list[int]]:
    """Sets of teams that all exclude each other, covering every excluding pair: greedy, most work first.

    Parameters
    ----------
    meet : bool array, shape (teams, teams)
        Symmetric; no diagonal.
    work : array, shape (teams,)

    Examples
    --------
    >>> meet = np.array([[0, 1, 1, 0], [1, 0, 1, 1], [1, 1, 0, 0], [0, 1, 0, 0]], dtype=bool)
    >>> cliques(meet, np.array([1.0, 1.0, 2.0, 3.0]))
    [[1, 3], [0, 1, 2]]
    """
    left, found = np.triu(meet), []
    while left.any():
        rows, cols = np.nonzero(left)
        best = int((work[rows] + work[cols]).argmax())
        group = [int(rows[best]), int(cols[best])]
        fits = meet[group[0]] & meet[group[1]]
        while fits.any():
            new = int(np.where(fits, work, -1.0).argmax())
            group.append(new)
            fits = fits & meet[new]
        left[np.ix_(group, group)] = False
        found.append(sorted(group))
    return found


def parts(chunks: int, line: IntArray) -> IntArray:
    """Chunk of every window of a copy, given their image rows in the order they run.

    Parts are as equal as can be; where the copy runs at least so many image rows, parts are whole rows.

    Examples
    --------
    >>> parts(2, np.array([0, 0, 0, 1, 2])), parts(2, np.array([0, 0, 0]))
    (array([0, 0, 0, 0, 1]), array([0, 0, 1]))
    """
    count = len(line)
    unit = np.cumsum(np.r_[0, np.diff(line) != 0])
    rows = int(unit[-1]) + 1
    if rows < chunks:
        unit, rows = np.arange(count), count
    edge = np.round(np.arange(1, chunks) * rows / chunks + 1e-9).astype(np.int64)
    if rows < chunks:
        return unit
    return np.asarray(np.searchsorted(edge, unit, side="right"))


def _arrivals(
    edge: Edge, width: int, cycles: IntArray, from_class: IntArray, to_class: IntArray, delay: IntArray
) -> IntArray:
    """Latest arrival over the receptive field of every output pixel, per column; shape (pixels, columns)."""
    height, columns = len(edge.rows), len(edge.cols)
    arrival = np.full((height, columns, cycles.shape[1]), -INFINITE, dtype=np.int64)
    to = to_class.reshape(height, columns)
    step = max(1, _BLOCK // (columns * edge.rows.shape[1] * edge.cols.shape[1] * cycles.shape[1]))
    for y in range(0, height, step):
        rows, cols = edge.rows[y : y + step, None, :, None], edge.cols[None, :, None, :]
        pixel = np.maximum(rows, 0) * width + np.maximum(cols, 0)
        late = delay[from_class[pixel], to[y : y + step, :, None, None]]
        inside = ((rows >= 0) & (cols >= 0))[..., None]
        arrival[y : y + step] = np.where(inside, cycles[pixel] + late[..., None], -INFINITE).max(axis=(2, 3))
    return arrival.reshape(height * columns, -1)
