"""Where copies lie and which windows they run."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spatem_opt.model.architecture import Architecture
from spatem_opt.replication.layout import (
    LOST,
    STRIPE,
    Split,
    bands,
    column_blocks,
    interleaved,
    pack,
    serpentine_order,
    stripe_counts,
    unit,
)

SMALL = st.integers(1, 12)


def windows(split: Split) -> list[int]:
    """All windows that a split names, as often as it does."""
    rows = zip(split.first.tolist(), split.last.tolist(), split.step.tolist(), strict=True)
    return [window for first, last, step in rows for window in range(first, last + 1, step)]


def of_copy(split: Split) -> list[list[int]]:
    """Windows of every copy, in the order they run."""
    found: list[list[int]] = [[] for _ in range(int(split.copy.max()) + 1)]
    for i, copy in enumerate(split.copy.tolist()):
        found[copy] += range(int(split.first[i]), int(split.last[i]) + 1, int(split.step[i]))
    return found


@given(SMALL, SMALL, st.data())
def test_interleaved_is_a_partition(height: int, width: int, data: st.DataObject) -> None:
    copies = data.draw(st.integers(1, height * width))
    assert Counter(windows(interleaved(height * width, copies))) == Counter(range(height * width))


@given(SMALL, SMALL, st.data())
def test_bands_are_a_partition(height: int, width: int, data: st.DataObject) -> None:
    copies = data.draw(st.integers(1, height * width))
    assert Counter(windows(bands(height * width, copies))) == Counter(range(height * width))


@settings(max_examples=300)
@given(SMALL, SMALL, st.data())
def test_column_blocks_are_a_partition(height: int, width: int, data: st.DataObject) -> None:
    blocks, rows = data.draw(st.integers(1, width)), data.draw(st.integers(1, height))
    split = column_blocks(height, width, blocks, rows)
    assert Counter(windows(split)) == Counter(range(height * width))
    assert set(split.copy.tolist()) == set(range(blocks * rows))


@settings(max_examples=300)
@given(SMALL, SMALL, st.data())
def test_column_blocks_are_equal_to_a_window(height: int, width: int, data: st.DataObject) -> None:
    """Their widths, too, to a column, and evenly over the image: no copy is ever far ahead of another."""
    blocks = data.draw(st.integers(1, width))
    split = column_blocks(height, width, blocks, 1)
    taken = np.zeros((blocks, height), dtype=np.int64)
    for copy, mine in enumerate(of_copy(split)):
        np.add.at(taken[copy], np.array(mine) // width, 1)
    assert np.ptp(taken.sum(axis=1)) <= 1
    assert split.most == -(-height * width // blocks)
    assert np.ptp(taken) <= 1
    assert np.ptp(taken.cumsum(axis=1), axis=0).max() <= (3 if width % blocks else 0)


@settings(max_examples=300)
@given(SMALL, SMALL, st.data())
def test_copies_run_their_windows_in_raster_order(height: int, width: int, data: st.DataObject) -> None:
    blocks, rows = data.draw(st.integers(1, width)), data.draw(st.integers(1, height))
    for mine in of_copy(column_blocks(height, width, blocks, rows)):
        assert mine == sorted(mine)


@given(SMALL, SMALL, st.data())
def test_interleaved_copies_are_balanced(height: int, width: int, data: st.DataObject) -> None:
    copies = data.draw(st.integers(1, height * width))
    sizes = [len(mine) for mine in of_copy(interleaved(height * width, copies))]
    assert max(sizes) == -(-height * width // copies)
    assert max(sizes) - min(sizes) <= 1


CHIPS = st.builds(
    Architecture,
    name=st.just("chip"),
    mesh_rows=st.integers(1, 12),
    mesh_cols=st.integers(1, 12),
    tiles_per_router=st.integers(1, 4),
    pes_per_tile=st.integers(1, 2),
    crossbars_per_pe=st.integers(1, 3),
)


@given(CHIPS)
def test_the_walk_visits_every_crossbar_once(chip: Architecture) -> None:
    assert np.array_equal(np.sort(serpentine_order(chip)), np.arange(chip.crossbars))


@given(CHIPS)
def test_the_walk_keeps_tiles_and_routers_together(chip: Architecture) -> None:
    per_router = chip.tiles_per_router * chip.crossbars_per_tile
    by_router = serpentine_order(chip).reshape(-1, per_router)
    assert (np.diff(by_router, axis=1) == 1).all()
    assert (by_router[:, 0] % per_router == 0).all()


@given(CHIPS)
def test_neighbours_on_the_walk_are_near(chip: Architecture) -> None:
    """One router further, except from one lane to the next."""
    router = serpentine_order(chip)[:: chip.tiles_per_router * chip.crossbars_per_tile] // (
        chip.tiles_per_router * chip.crossbars_per_tile
    )
    y, x = np.divmod(router, chip.mesh_cols)
    distance = abs(np.diff(y)) + abs(np.diff(x))
    lanes = max(1, round(chip.mesh_cols / STRIPE))
    assert (distance > 1).sum() <= lanes - 1
    assert distance.max(initial=0) <= 2 * np.ceil(chip.mesh_cols / lanes)


@settings(max_examples=200)
@given(CHIPS, st.lists(st.tuples(st.integers(1, 9), st.integers(0, 3)), min_size=1, max_size=30))
def test_packed_units_are_disjoint_and_inside(chip: Architecture, sizes: list[tuple[int, int]]) -> None:
    size, more = np.array(sizes).T
    place = pack(chip, size, size + more, 0, chip.crossbars)
    assert (place is None) == (size.sum() > chip.crossbars)
    if place is not None:
        assert (place[1:] >= place[:-1] + size[:-1]).all()
        assert place[-1] + size[-1] <= chip.crossbars


@given(CHIPS)
def test_lanes_may_be_narrower_and_wider(chip: Architecture) -> None:
    routers = chip.mesh_rows * chip.mesh_cols
    for lanes in stripe_counts(chip):
        assert np.array_equal(np.sort(serpentine_order(chip, lanes)), np.arange(chip.crossbars))
        y, x = np.divmod(
            serpentine_order(chip, lanes)[:: chip.crossbars // routers] // (chip.crossbars // routers), chip.mesh_cols
        )
        assert (abs(np.diff(y)) + abs(np.diff(x)) > 1).sum() <= lanes - 1
    assert max(1, round(chip.mesh_cols / STRIPE)) in stripe_counts(chip)


TILES = Architecture(name="chip", mesh_rows=1, mesh_cols=4, tiles_per_router=1, pes_per_tile=1, crossbars_per_pe=4)
"""Four tiles of four crossbars."""


@pytest.mark.parametrize(
    ("size", "room", "places"),
    [
        ([3, 3, 3], [3, 3, 3], [0, 4, 8]),
        ([7, 7], [8, 8], [0, 8]),
        ([1, 7], [1, 8], [0, 4]),
        ([1, 3, 7], [1, 3, 8], [0, 1, 4]),
        ([1, 7, 7], [1, 8, 8], [0, 1, 8]),
    ],
)
def test_units_begin_with_a_tile_while_there_is_room_to_skip(
    size: list[int], room: list[int], places: list[int]
) -> None:
    """Units of 3 do not straddle tiles, whole tiles begin with one; the last have too little room."""
    found = pack(TILES, np.array(size), np.array(room), 0, TILES.crossbars)
    assert found is not None
    assert found.tolist() == places


def test_room_for_whole_tiles_comes_before_avoiding_straddles() -> None:
    """A single spare crossbar is kept for the unit of 7 in 8."""
    chip = Architecture(name="chip", mesh_rows=1, mesh_cols=3, tiles_per_router=1, pes_per_tile=1, crossbars_per_pe=4)
    found = pack(chip, np.array([3, 1, 7]), np.array([3, 1, 8]), 0, 12)
    assert found is not None
    assert found.tolist() == [0, 3, 4]


@given(st.integers(1, 500), st.integers(1, 96))
def test_units_fill_tiles_or_take_what_they_use(crossbars: int, per_tile: int) -> None:
    own = unit(crossbars, per_tile)
    assert own.crossbars == own.copies * crossbars
    assert own.copies == 1 or own.crossbars <= per_tile
    assert own.crossbars + crossbars > per_tile
    assert own.whole == (own.room % per_tile == 0)
    assert own.crossbars <= own.room <= (1 + LOST) * own.crossbars


@pytest.mark.parametrize("copies", [1, 3, 7])
def test_bands_are_contiguous(copies: int) -> None:
    for mine in of_copy(bands(21, copies)):
        assert mine == list(range(mine[0], mine[-1] + 1))
