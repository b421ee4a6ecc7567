"""Family ``buffer``: data that is produced and not yet consumed (M8)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spatem_opt.evaluator.arrays import distinct, starts_of
from spatem_opt.evaluator.findings import Violation, listed
from spatem_opt.evaluator.replay import NodeReplay
from spatem_opt.model.architecture import Architecture
from spatem_opt.types import IntArray


@dataclass(frozen=True, slots=True, eq=False)
class BufferUse:
    """Peak occupancy in bits: of the whole chip and of every tile, and when the chip's occurs [cycles]."""

    chip_peak: int
    chip_peak_cycle: int
    tile_peak: IntArray


def buffer_use(arch: Architecture, runs: list[NodeReplay]) -> BufferUse:
    """Occupancy by subscribed rows of pixels, each from the first delivery in it to its last use.

    What comes after its last use occupies nothing: a tile gets all its channels of each pixel that is read there, and
    no window waits for channels that other copies read.
    """
    columns: list[tuple[IntArray, IntArray, IntArray, IntArray]] = []
    for run in runs:
        if run.delivery is None:
            continue
        sent, due = run.delivery, run.delivery.supply
        used = (due.row_bits > 0) & (sent.last_use > sent.arrival)
        tile, row = np.nonzero(used & (due.tiles != arch.tiles)[:, None])
        columns.append((due.tiles[tile], sent.arrival[tile, row], sent.last_use[tile, row], due.row_bits[tile, row]))
    peaks = np.zeros(arch.tiles, np.int64)
    if not columns or not sum(len(column[0]) for column in columns):
        return BufferUse(0, 0, peaks)
    tile, start, stop, bits = (np.concatenate(column) for column in zip(*columns, strict=True))
    tile, change = np.concatenate([tile, tile]), np.concatenate([-bits, bits])
    time, number = distinct(np.concatenate([stop, start]))
    at_time = np.zeros(len(time), np.int64)
    np.add.at(at_time, number, change)
    held = at_time.cumsum()
    top = int(held.argmax())
    order = np.argsort(tile * len(time) + number, kind="stable")  # releases come first: it frees before it fills
    runs_of = starts_of(tile[order])  # every tile ends empty, so one running sum does for all
    peaks[tile[order][runs_of]] = np.maximum.reduceat(change[order].cumsum(), runs_of)
    return BufferUse(int(held[top]), int(time[top]), peaks)


def check_buffers(arch: Architecture, use: BufferUse) -> list[Violation]:
    """Family ``buffer``, by the architecture's scope."""
    if arch.buffer_scope == "chip":
        limit = arch.tiles * arch.buffer_bits
        if use.chip_peak <= limit:
            return []
        message = f"buffers hold {use.chip_peak} bits at cycle {use.chip_peak_cycle}, the chip's {limit}"
        return [Violation("buffer", message, use.chip_peak, limit, "bits")]
    bad = np.flatnonzero(use.tile_peak > arch.buffer_bits)

    def describe(i: int) -> str:
        return f"buffer of tile {bad[i]} holds {use.tile_peak[bad[i]]} bits, it has {arch.buffer_bits}"

    return listed("buffer", use.tile_peak[bad], arch.buffer_bits, "bits", describe)
