"""A solution as a trace: every row of its schedule, every node and the critical path, on a time axis.

The format is that of Chrome's tracing ("Trace Event Format": complete events ``X``, metadata ``M``, counters ``C``),
which ui.perfetto.dev, chrome://tracing and speedscope open. One cycle is shown as one microsecond.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import orjson

from spatem_opt.errors import ModelError
from spatem_opt.evaluator import Evaluation
from spatem_opt.model.solution import Solution

PATH, NODES, LAYERS = 1, 2, 3
"""Process numbers: critical path, nodes, and from there on one per crossbar layer."""


def trace(solution: Solution, found: Evaluation) -> bytes:
    """The file, as JSON.

    Parameters
    ----------
    solution : Solution
    found : Evaluation
        Of that solution.

    Raises
    ------
    ModelError
        If the solution could not be replayed.
    """
    if found.arrays is None or found.nodes is None or found.critical_path is None:
        raise ModelError("a solution that cannot be replayed has no trace")
    events = [*_path(found), *_nodes(found), *_rows(solution, found)]
    about = {"network": solution.network.name, "architecture": solution.architecture.name,
             "latency_cycles": found.latency_cycles, "unit": "1 us is 1 cycle"}  # fmt: skip
    return orjson.dumps({"displayTimeUnit": "ns", "otherData": about, "traceEvents": events})


def _named(process: int, name: str) -> Iterator[dict[str, Any]]:
    """Name and place of a process."""
    yield {"ph": "M", "name": "process_name", "pid": process, "args": {"name": name}}
    yield {"ph": "M", "name": "process_sort_index", "pid": process, "args": {"sort_index": process}}


def _event(name: str, process: int, thread: int, begin: int, end: int, **more: Any) -> dict[str, Any]:
    lasts = max(end - begin, 0)
    return {"ph": "X", "name": name, "pid": process, "tid": thread, "ts": begin, "dur": lasts, "args": more}


def _path(found: Evaluation) -> Iterator[dict[str, Any]]:
    """What the last output waited for, window by window."""
    path = found.critical_path
    if path is None:
        return
    yield from _named(PATH, "critical path")
    columns = (path.window.tolist(), path.begin.tolist(), path.done.tolist(), path.queue_cycles.tolist())
    for node, cause, *numbers in zip(path.node, path.cause, *columns, strict=True):
        window, begin, done, queued = numbers
        yield _event(node, PATH, 0, begin, done, window=window, waited_for=cause, queue_cycles=round(queued, 2))


def _nodes(found: Evaluation) -> Iterator[dict[str, Any]]:
    """Each node from its first window to its last."""
    table = found.nodes
    if table is None:
        return
    yield from _named(NODES, "nodes, first window to last")
    for number, (name, kind, start, end, queue) in enumerate(
        zip(table.name, table.kind, table.start.tolist(), table.end.tolist(), table.queue.tolist(), strict=True)
    ):
        yield {"ph": "M", "name": "thread_name", "pid": NODES, "tid": number, "args": {"name": name}}
        yield _event(name, NODES, number, start, end, kind=kind, packets_waited_cycles=round(queue, 2))


def _rows(solution: Solution, found: Evaluation) -> Iterator[dict[str, Any]]:
    """Every reservation: a process per layer, a thread per copy; crossbars of all copies that compute, as a counter."""
    arrays, schedule, network = found.arrays, solution.schedule, solution.network
    if arrays is None:
        return
    begin, end = arrays.row_begin, arrays.row_end
    for layer, index in enumerate(network.layers):
        name, process = network.nodes[index].name, LAYERS + layer
        yield from _named(process, f"{name}, segment {int(solution.segment[layer])}")
        mine = np.flatnonzero(schedule.layer == layer)
        for row in mine.tolist():
            yield _event(
                name, process, int(schedule.copy[row]), int(begin[row]), int(end[row]),
                first_window=int(schedule.first_window[row]), last_window=int(schedule.last_window[row]),
                step=int(schedule.step[row]), reserved_from=int(schedule.start[row]),
                reserved_to=int(schedule.end[row]),
            )  # fmt: skip
        when = np.concatenate([begin[mine], end[mine]])
        change = np.repeat([1, -1], len(mine))
        order = np.argsort(when, kind="stable")
        times, last = np.unique(when[order], return_index=True)
        busy = np.add.reduceat(change[order], last).cumsum()
        for at, copies in zip(times.tolist(), busy.tolist(), strict=True):
            yield {"ph": "C", "name": "copies at work", "pid": process, "ts": at, "args": {"copies": copies}}
