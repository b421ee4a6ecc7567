"""What the writer's side of the package takes and makes, the evaluator takes and makes too, and the other way round."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spatem_opt.cost.grid import make_grid
from spatem_opt.errors import InstanceError
from spatem_opt.evaluator import evaluate
from spatem_opt.evaluator.grid import build_grid, mapping_fault, window_shape
from spatem_opt.limits import LONGEST_TIME
from spatem_opt.model.solution import MappingOption
from spatem_opt.network.layers import Node, Weights
from tests.evaluator.generate import architecture
from tests.evaluator.hand import pipeline

SEEDS = st.integers(0, 2**32 - 1)


def layer(rng: np.random.Generator) -> Node:
    """A crossbar layer, often grouped, strided, dilated or transposed; nobody looks at its edges here."""
    weights = Weights(
        int(rng.integers(1, 3)), int(rng.integers(1, 5)), int(rng.integers(1, 5)),
        (int(rng.integers(1, 4)), int(rng.integers(1, 4))), (int(rng.integers(1, 3)), int(rng.integers(1, 3))),
        (int(rng.integers(1, 3)), 1), bool(rng.random() < 0.4), None if rng.random() < 0.7 else int(rng.integers(1, 9)),
    )  # fmt: skip
    size = int(rng.integers(1, 6)), int(rng.integers(1, 6))
    return Node("layer", "crossbar", "conv", weights.groups * weights.out_channels, *size, (), weights)


def option(rng: np.random.Generator) -> MappingOption:
    """Any option, allowed or not."""
    scheme = str(rng.choice(["im2col", "channel-split", "kernel-split", "parallel-window", "magic"]))
    patch = (int(rng.integers(0, 4)), int(rng.integers(0, 4))) if rng.random() < 0.6 else (1, 1)
    return MappingOption(scheme, str(rng.choice(["slotted", "filled", "loose"], p=[0.45, 0.45, 0.1])), *patch)  # type: ignore[arg-type]


@given(seed=SEEDS)
@settings(max_examples=400)
def test_options_and_grids(seed: int) -> None:
    rng = np.random.default_rng(seed)
    node, chosen, chip = layer(rng), option(rng), architecture(rng)
    assert node.weights is not None
    fault = mapping_fault(node.weights, chosen)
    try:
        mine = make_grid(node, chosen, chip)
    except InstanceError:
        assert fault is not None
        return
    assert fault is None
    other = build_grid(chip, node.weights, chosen)
    assert mine.shape == (other.groups * other.rows, other.groups * other.cols)
    assert mine.ous == other.total
    assert (mine.window_rows, mine.window_cols) == window_shape(node, chosen)
    for one, two in ((mine.rows, (other.row_start, other.row_stop, other.row_block)),
                     (mine.cols, (other.col_start, other.col_stop, other.col_block))):  # fmt: skip
        assert (one.start == two[0]).all()
        assert (one.stop == two[1]).all()
        if chosen.storage == "filled":
            assert (one.block == two[2]).all()
    if mine.exists is not None and other.ous is not None:
        assert (mine.exists == np.diff(np.diff(other.ous, axis=0), axis=1)).all()


def test_parallel_windows_on_a_transposed_layer_by_hand() -> None:
    # It runs at stride 1 over the zero-stuffed input (M3): 1 x 2 windows of 2 x 2 kernels read 2 x 3 pixels.
    node = Node("up", "crossbar", "conv_transpose", 1, 4, 4, (), Weights(1, 1, 1, (2, 2), (2, 2), transposed=True))
    chip = replace(pipeline().architecture, ou_rows=1)
    grid = make_grid(node, MappingOption("parallel-window", "slotted", 1, 2), chip)
    assert len(grid.rows) == 2 * 3


@pytest.mark.parametrize("late", [LONGEST_TIME, 2**53])
def test_schedules_end_before_the_longest_time(late: int) -> None:
    """The evaluator says so of what it is given; files are refused (``tests/exchange/test_solutions.py``)."""
    solution = replace(pipeline(), claims={})
    end = solution.schedule.end.copy()
    end[-1] = LONGEST_TIME - 1
    assert evaluate(replace(solution, schedule=replace(solution.schedule, end=end))).valid
    end[-1] = late
    assert evaluate(replace(solution, schedule=replace(solution.schedule, end=end))).families == ("structure",)


def test_a_pace_that_would_wrap() -> None:
    """start + 3 * 2^62 wraps to something small; by the pace the windows begin far too late."""
    solution = replace(pipeline(), claims={})
    for pace, families in ((3, ()), (LONGEST_TIME // 2, ("structure",))):
        schedule = replace(solution.schedule, pace=[pace, 0], end=[10**6, 10**6 + 21], start=[0, 10**6])
        assert evaluate(replace(solution, schedule=schedule)).families == families


def test_numbers_of_a_chip_that_would_wrap() -> None:
    """Wires of 2^40 cycles per hop, 3 hops, and 2^22 windows: more than 2^63 cycles."""
    solution = pipeline()
    nodes = list(solution.network.nodes)
    chip = replace(solution.architecture, hop_cycles=2**40)
    nodes[0] = replace(nodes[0], width=2**22)
    conv = nodes[1]
    edge = replace(conv.edges[0], cols=np.arange(2**22)[:, None])
    nodes[1] = replace(conv, width=2**22, edges=(edge,))
    with pytest.raises(InstanceError, match=r"of an inference = .*expected < 2.62"):
        evaluate(replace(solution, architecture=chip, network=replace(solution.network, nodes=tuple(nodes))))
