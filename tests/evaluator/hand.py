"""Two tiny solutions whose numbers are derived by hand in ``test_hand.py``, and helpers to change them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from spatem_opt.model.architecture import Architecture
from spatem_opt.model.solution import MappingOption, Placement, Schedule, Solution
from spatem_opt.network.layers import Network, Node, Weights
from tests.evaluator.generate import edge, taps, whole

#: Two routers side by side, a tile each of two crossbars: crossbars 0, 1 on tile 0 and 2, 3 on tile 1. A crossbar has
#: 2 x 2 = 4 OU slots of 4 x 4 cells; a weight is one cell (s = 1), an activation two phases (q = 2).
CHIP = Architecture(
    name="hand", mesh_rows=1, mesh_cols=2, tiles_per_router=1, pes_per_tile=1, crossbars_per_pe=2,
    crossbar_rows=8, crossbar_cols=8, ou_rows=4, ou_cols=4, cell_bits=2, dac_bits=1, adc_bits=8,
    weight_bits=2, activation_bits=2, partial_sum_bits=3, cycle_ns=10.0, pipeline_tail_cycles=5,
    buffer_bits=512, buffer_bits_per_cycle=4, router_bits_per_cycle=4, hop_cycles=1,
    router_service="shared", input_entry="corner", multicast=False,
    digital_ops_per_cycle=4, ou_fj=1, adc_fj=10, buffer_bit_fj=100, hop_bit_fj=1000, digital_op_fj=10000, static_fj=7,
)  # fmt: skip


def same(size: int) -> np.ndarray:
    """Taps of a pointwise operator."""
    return np.arange(size, dtype=np.int64)[:, None]


def tables(placement: list[tuple[int, ...]], schedule: list[tuple[int, ...]]) -> tuple[Placement, Schedule]:
    """Placement and schedule from rows."""
    return (
        Placement(*np.array(placement, np.int64).reshape(-1, 7).T.copy()),
        Schedule(*np.array(schedule, np.int64).reshape(-1, 8).T.copy()),
    )


def split_layer() -> Solution:
    """A 1x1 convolution of 8 x 1 x 2 to 4 x 1 x 2; its two OU rows lie on different tiles."""
    conv = Node("conv", "crossbar", "conv", 4, 1, 2, (edge(whole(0, 8), same(1), same(2)),), Weights(1, 8, 4, (1, 1)))
    placement, schedule = tables([(0, 0, 0, 0, 1, 0, 1), (0, 0, 2, 1, 2, 0, 1)], [(0, 0, 0, 1, 1, 0, 0, 14)])
    network = Network("split", (Node("x", "input", "input", 8, 1, 2), conv))
    return Solution(CHIP, network, (MappingOption(),), placement, schedule, np.zeros(1, np.int64))


def pipeline() -> Solution:
    """A 1x1 convolution of 4 x 1 x 4, a 1x2 pool, and a fully connected layer of 2 outputs on the other tile."""
    network = Network(
        "pipeline",
        (
            Node("x", "input", "input", 4, 1, 4),
            Node("conv", "crossbar", "conv", 4, 1, 4, (edge(whole(0, 4), same(1), same(4)),), Weights(1, 4, 4, (1, 1))),
            Node("pool", "digital", "max_pool", 4, 1, 2, (edge(whole(1, 4), same(1), taps(4, 2, 2)),), None, 8, 3),
            Node("fc", "crossbar", "fc", 2, 1, 1, (edge(whole(2, 4), same(1), taps(2, 2)),), Weights(1, 4, 2, (1, 2))),
        ),
    )
    placement, schedule = tables(
        [(0, 0, 0, 0, 1, 0, 1), (1, 0, 2, 0, 2, 0, 1)], [(0, 0, 0, 3, 1, 0, 0, 19), (1, 0, 0, 0, 1, 0, 19, 40)]
    )
    claims: dict[str, dict[str, Any]] = {
        "total": {"objective": "latency", "latency": 43, "period": 16, "communication": 112, "bound": 20}
    }
    return Solution(CHIP, network, (MappingOption(),) * 2, placement, schedule, np.zeros(2, np.int64), claims)


def with_chip(solution: Solution, **fields: Any) -> Solution:
    """The solution on a changed chip."""
    return replace(solution, architecture=replace(solution.architecture, **fields))


def with_placement(solution: Solution, row: int, **fields: int) -> Solution:
    """The solution with changed entries of one placement row."""
    return replace(solution, placement=_edited(solution.placement, row, fields))


def with_schedule(solution: Solution, row: int, **fields: int) -> Solution:
    """The solution with changed entries of one schedule row."""
    return replace(solution, schedule=_edited(solution.schedule, row, fields))


def _edited(table: Any, row: int, fields: dict[str, int]) -> Any:
    columns = {name: getattr(table, name).copy() for name in fields}
    for name, value in fields.items():
        columns[name][row] = value
    return replace(table, **columns)


def without_rows(table: Any, *rows: int) -> Any:
    """A table without some rows."""
    return replace(table, **{name: np.delete(getattr(table, name), rows) for name in table.__dataclass_fields__})


def repeated_row(table: Any, row: int, **fields: int) -> Any:
    """A table with a row once more, at the end, with changed entries."""
    columns = {name: np.append(getattr(table, name), getattr(table, name)[row]) for name in table.__dataclass_fields__}
    for name, value in fields.items():
        columns[name][-1] = value
    return replace(table, **columns)
