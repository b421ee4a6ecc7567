"""Checks a schedule against its problem by replaying it window by window (M5-M7), without the list scheduler.

Written from ``formulations/README.md`` with loops and dictionaries: slow, but easy to compare with the text.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from spatem_opt.cost.placed import PlacedNetwork, Times
from spatem_opt.scheduling.replay import Replay
from tests.oracles.replication_referee import shortened

FAMILIES = ("shape", "windows", "start", "exclusive", "barrier", "reservation", "precedence", "latency")
"""``shape``: one start and end per chunk, one done time per pixel. ``windows``: chunks hold every window once.
``start``: at cycle 0 or later, not before ``not_before``, before the end. ``exclusive``: chunks on a common crossbar
do not overlap. ``barrier``: in a serial problem a layer starts when all before it is done. ``reservation``: the last
window of a chunk ends in time. ``precedence``: pixels are done when inputs and crossbars allow, neither before nor
after. ``latency``: the last done time."""


@dataclass(frozen=True, slots=True)
class ScheduleVerdict:
    """All violations as (family, message), and the objective.

    Parameters
    ----------
    violations : tuple of (str, str)
        At most 20 per family, then one that counts the rest.
    latency : int or None
        When the last node is done [cycles]; None if the schedule cannot be replayed.
    """

    violations: tuple[tuple[str, str], ...]
    latency: int | None

    @property
    def families(self) -> tuple[str, ...]:
        """Violated families, each once."""
        return tuple(dict.fromkeys(family for family, _ in self.violations))


def check(problem: PlacedNetwork, solution: Times) -> ScheduleVerdict:
    """Every violated constraint of a schedule, and its latency as replayed."""
    bad = [*_shape(problem, solution), *_windows(problem)]
    if bad:
        return ScheduleVerdict(shortened(bad), None)
    replay = Replay(problem, solution)
    for index in range(len(problem.network.nodes)):
        replay.run(index)
    latency = max(max(done.values()) for done in replay.done)
    bad += [*_start(problem, solution), *_exclusive(problem, solution), *_barrier(problem, solution, replay)]
    bad += [*_reservation(solution, replay), *_precedence(problem, solution, replay)]
    if solution.latency != latency:
        bad.append(("latency", f"claimed {solution.latency}, replayed {latency} cycles"))
    return ScheduleVerdict(shortened(bad), latency)


def _shape(problem: PlacedNetwork, solution: Times) -> Iterator[tuple[str, str]]:
    chunks, nodes = len(problem.chunks.layer), problem.network.nodes
    if len(solution.start) != chunks or len(solution.end) != chunks:
        yield "shape", f"{len(solution.start)} starts and {len(solution.end)} ends for {chunks} chunks"
    if len(solution.done) != len(nodes):
        yield "shape", f"done times of {len(solution.done)} nodes, expected {len(nodes)}"
        return
    for node, done in zip(nodes, solution.done, strict=True):
        if len(done) != node.windows:
            yield "shape", f"node {node.name!r}: {len(done)} done times for {node.windows} pixels"


def _windows(problem: PlacedNetwork) -> Iterator[tuple[str, str]]:
    c = problem.chunks
    times: Counter[tuple[int, int]] = Counter()
    for layer, first, last, step in zip(*(x.tolist() for x in (c.layer, c.first, c.last, c.step)), strict=True):
        times.update((layer, window) for window in range(first, last + 1, step))
    expected = {(layer, window) for layer, grid in enumerate(problem.grids) for window in range(grid.windows)}
    for layer, window in sorted(expected | set(times)):
        if times[layer, window] != ((layer, window) in expected):
            yield "windows", f"layer {layer}: window {window} is in {times[layer, window]} chunks, expected 1"


def _start(problem: PlacedNetwork, solution: Times) -> Iterator[tuple[str, str]]:
    least = problem.chunks.not_before.tolist()
    for i, (start, end) in enumerate(zip(solution.start.tolist(), solution.end.tolist(), strict=True)):
        if start < max(0, least[i]):
            yield "start", f"chunk {i} starts at {start}, expected >= {max(0, least[i])}"
        if end <= start:
            yield "start", f"chunk {i} ends at {end}, not after its start at {start}"


def _exclusive(problem: PlacedNetwork, solution: Times) -> Iterator[tuple[str, str]]:
    p, c = problem.placement, problem.chunks
    crossbars: dict[tuple[int, int], set[int]] = defaultdict(set)
    for layer, copy, crossbar in zip(p.layer.tolist(), p.copy.tolist(), p.crossbar.tolist(), strict=True):
        crossbars[layer, copy].add(crossbar)
    held: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
    for i, key in enumerate(zip(c.layer.tolist(), c.copy.tolist(), strict=True)):
        for crossbar in crossbars[key]:
            held[crossbar].append((int(solution.start[i]), int(solution.end[i]), i))
    found = set()
    for spans in held.values():
        spans.sort()
        latest = spans[0]
        for span in spans[1:]:
            if span[0] < latest[1]:
                found.add((latest[2], span[2]))
            latest = max(latest, span, key=lambda s: s[1])
    for one, other in sorted(found):
        yield "exclusive", f"chunks {one} and {other} overlap on a crossbar"


def _barrier(problem: PlacedNetwork, solution: Times, replay: Replay) -> Iterator[tuple[str, str]]:
    if not problem.serial:
        return
    for i, layer in enumerate(problem.chunks.layer.tolist()):
        index = problem.network.layers[layer]
        before = max(max(done.values()) for done in replay.done[:index])
        if solution.start[i] < before:
            yield "barrier", f"chunk {i} starts at {solution.start[i]}, all before it is done at {before}"


def _reservation(solution: Times, replay: Replay) -> Iterator[tuple[str, str]]:
    for i, last in sorted(replay.chunk_end.items()):
        if last > solution.end[i]:
            yield "reservation", f"chunk {i}: the last window ends at {last}, reserved until {solution.end[i]}"


def _precedence(problem: PlacedNetwork, solution: Times, replay: Replay) -> Iterator[tuple[str, str]]:
    for index, node in enumerate(problem.network.nodes):
        for pixel, claimed in enumerate(solution.done[index].tolist()):
            least = replay.done[index][divmod(pixel, node.width)]
            if claimed != least:
                yield "precedence", f"node {node.name!r}, pixel {pixel}: done at {claimed}, replayed {least}"
