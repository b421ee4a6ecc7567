"""Blocks of chains: windows exactly once and evenly, groups of neighbouring tiles, copies beside each other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spatem_opt.model.architecture import Architecture
from spatem_opt.network.builder import Builder
from spatem_opt.network.layers import Network
from spatem_opt.placement.blocks import block_moves, block_split
from spatem_opt.planning.candidates import Candidates
from spatem_opt.planning.settings import Setting
from spatem_opt.replication.chains import block_grids
from spatem_opt.search.realisation import realise

SIZES = st.integers(1, 17)


@settings(max_examples=150)
@given(SIZES, SIZES, SIZES, SIZES, st.integers(1, 4))
def test_every_window_is_in_one_block_and_blocks_are_even(
    height: int, width: int, rows: int, cols: int, turns: int
) -> None:
    cols = min(cols, width)
    rows = max(1, min(rows, height * width // cols))
    turns = min(turns, height * width // cols // rows)
    split = block_split(height, width, rows, cols, turns)
    windows = [np.arange(f, last + 1, step) for f, last, step in zip(split.first, split.last, split.step, strict=True)]
    assert sorted(np.concatenate(windows).tolist()) == list(range(height * width))
    size = np.bincount(split.copy, [len(own) for own in windows], rows * cols * turns)
    assert size.min() >= 1
    assert size.sum() == height * width
    block = size.reshape(-1, turns).sum(axis=1)
    assert block.max() - block.min() <= 2  # strips of equal windows to one, blocks of a strip to one
    assert (size.reshape(-1, turns).max(axis=1) - size.reshape(-1, turns).min(axis=1)).max() <= 1
    for copy in range(rows * cols * turns):
        own = np.concatenate([w for w, c in zip(windows, split.copy, strict=True) if c == copy])
        assert (np.diff(own) > 0).all()


@pytest.mark.parametrize(("rows", "cols", "per_router"), [(1, 1, 1), (3, 5, 1), (4, 4, 2), (5, 3, 4), (2, 7, 8)])
def test_groups_are_neighbouring_tiles(rows: int, cols: int, per_router: int) -> None:
    chip = Architecture(mesh_rows=rows, mesh_cols=cols, tiles_per_router=per_router)
    for blocks in block_grids(chip):
        tiles = blocks.tiles()
        assert sorted(tiles.tolist()) == list(range(chip.tiles))
        groups = tiles[: blocks.rows * blocks.cols * blocks.together].reshape(-1, blocks.together) // per_router
        y, x = np.divmod(groups, cols)
        assert (np.ptp(y, axis=1) <= -(-blocks.high // blocks.down)).all()
        assert (np.ptp(x, axis=1) <= -(-blocks.wide // blocks.across)).all()
        assert sorted(block_moves(blocks, chip, 1).tolist()) == list(range(chip.tiles))


def network(rng: np.random.Generator) -> Network:
    """A stem, an inverted residual with a depthwise layer, a strided one, pooling and a fully connected layer."""
    b = Builder("chained", "made for tests")
    size = int(rng.integers(6, 15))
    x = b.conv(b.input(int(rng.integers(1, 4)), size, size), 8, 3, int(rng.integers(1, 3)), 1, name="stem")
    y = b.conv(x, 16, 1, name="expand")
    y = b.conv(y, 16, 3, 1, 1, groups=16, name="depthwise")
    x = b.add(b.conv(y, 8, 1, name="project"), x, name="add")
    x = b.concat([b.conv(x, 8, 3, 2, 1, groups=2, name="grouped"), b.conv(x, 4, 1, 2, name="beside")], name="concat")
    return _classified(b, x)


def _classified(b: Builder, x: object) -> Network:
    return b.build([b.fc(b.global_pool(x, name="pool"), 5, name="fc")])  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(6))
def test_plans_with_chains_are_valid(seed: int) -> None:
    """`realise` raises ModelError where the evaluator finds a constraint broken."""
    rng = np.random.default_rng(seed)
    chip = Architecture(
        mesh_rows=int(rng.integers(1, 5)), mesh_cols=int(rng.integers(2, 5)),
        tiles_per_router=int(rng.choice([1, 2, 4])),
        pes_per_tile=3, crossbars_per_pe=8, adc_bits=5,
    )  # fmt: skip
    made = Candidates(network(rng), chip, "latency")
    plan = made.segmented(Setting(0.003, 0.05, chains=True))
    assert plan is not None
    assert any(own.split.tied for own in plan.allocations)
    assert realise(plan, made.network, chip) is not None
