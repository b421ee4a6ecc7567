"""Family ``transfers``: what a solution file says that tiles receive, if it says so (M6)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from spatem_opt.evaluator.findings import Violation, listed
from spatem_opt.evaluator.replay import NodeReplay
from spatem_opt.model.architecture import Architecture
from spatem_opt.types import IntArray


def received(runs: list[NodeReplay], arch: Architecture) -> dict[str, IntArray]:
    """What every tile subscribes to: columns ``producer`` (node), ``tile``, ``pixels``, ``channels``."""
    parts = []
    for index, run in enumerate(runs):
        if run.delivery is None:
            continue
        sent = run.delivery.supply
        pixels = sent.row_bits.sum(1) // np.maximum(sent.channels * sent.width, 1)
        some = (pixels > 0) & (sent.tiles < arch.tiles)
        table = np.stack([np.full(len(pixels), index), sent.tiles, pixels, sent.channels])
        parts.append(table[:, some])
    producer, tile, pixels, channels = np.concatenate([np.zeros((4, 0), np.int64), *parts], axis=1)
    return {"producer": producer, "tile": tile, "pixels": pixels, "channels": channels}


def check_transfers(
    claimed: Mapping[str, IntArray] | None, runs: list[NodeReplay], arch: Architecture
) -> list[Violation]:
    """Every tile must receive just what it subscribes to, in one row of the table per node; no table, no claim."""
    if claimed is None:
        return []
    rows: dict[tuple[int, int], tuple[int, int]] = {}
    amount, limit, text = [], [], []

    def wrong(have: int, most: int, message: str) -> None:
        amount.append(have)
        limit.append(most)
        text.append(f"transfers: {message}")

    columns = [claimed[name].tolist() for name in ("producer", "tile", "pixels", "channels")]
    for row, (producer, tile, pixels, channels) in enumerate(zip(*columns, strict=True)):
        if (producer, tile) in rows:
            wrong(2, 1, f"row {row}: node {producer} to tile {tile} is there already")
        rows[producer, tile] = pixels, channels
    due = received(runs, arch)
    for producer, tile, pixels, channels in zip(*(column.tolist() for column in due.values()), strict=True):
        told = rows.pop((producer, tile), (0, 0))
        if told != (pixels, channels):
            wrong(
                told[0] * told[1], pixels * channels, f"node {producer} to tile {tile}: {told[0]} pixels of {told[1]} "
                f"channels, the tile reads {pixels} of {channels}"
            )  # fmt: skip
    for (producer, tile), (pixels, channels) in rows.items():
        wrong(pixels * channels, 0, f"node {producer} to tile {tile}: the tile reads nothing of it")
    return listed("transfers", np.array(amount, np.int64), np.array(limit, np.int64), "items", text.__getitem__)
