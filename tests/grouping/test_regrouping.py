"""Parts grouped as a whole: every OU once, no group too large, no costlier than before, tiles as they were."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from spatem_opt.grouping import tile_parts
from spatem_opt.grouping.guillotine import Catalogue, catalogue
from spatem_opt.grouping.regrouping import block, grouped, price, repeated
from spatem_opt.grouping.tile_parts import TilePart, _of_group, _parts
from spatem_opt.grouping.tiling import CUTS, Tiling

COSTS = st.sampled_from([(144, 16), (1, 1), (2, 9)])


@st.composite
def runs(draw: st.DrawFn) -> tuple[TilePart, int, int]:
    """A part of a strip cut into runs, perhaps with home rows; sections of a grid, and rows of each."""
    rows, cols, deep = draw(st.integers(4, 14)), draw(st.integers(1, 20)), draw(st.integers(2, 5))
    cut = draw(st.sampled_from(CUTS))
    shape = Tiling(1, deep, cols, deep, 1, 1, cut)
    if cut != "rows":
        deep = min(deep, rows - 2)
        shape = Tiling(1, deep, cols, deep, 1, 1, cut)
    return draw(st.sampled_from(list(_parts(rows, cols, shape)))), draw(st.integers(1, 3)), rows


def cells(part: TilePart, sections: int, rows: int) -> np.ndarray:
    """Which OUs a part has, from its pieces."""
    table = np.zeros((sections, rows, 20), dtype=bool)
    top, bottom, left, right = part.core
    table[:, top:bottom, left:right] = True
    for row, start, stop in part.loose:
        assert not table[:, row, start:stop].any()
        table[:, row, start:stop] = True
    return table.reshape(sections * rows, 20)


def labels(table: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Group of every OU, -1 where there is none; no OU may be in two."""
    found = np.full(shape, -1)
    for group, top, bottom, left, right in table.tolist():
        assert top < bottom
        assert left < right
        assert (found[top:bottom, left:right] == -1).all()
        found[top:bottom, left:right] = group
    return found


def by_hand(group: np.ndarray, row_cost: int, col_cost: int) -> int:
    """Cost from the groups of all OUs."""
    return sum(
        row_cost * int((group == g).any(axis=1).sum()) + col_cost * int((group == g).any(axis=0).sum())
        for g in np.unique(group[group >= 0])
    )


@settings(max_examples=200)
@given(runs())
def test_blocks_are_the_part(drawn: tuple[TilePart, int, int]) -> None:
    part, sections, rows = drawn
    whole = np.zeros((sections * rows, 20), dtype=int)
    for own in part.blocks(sections, rows):
        corners = np.array([[0, 0, own.full, 0, own.width], [0, own.full, len(own.before), 0, own.longer]])
        filled = corners[(corners[:, 1] < corners[:, 2]) & (corners[:, 3] < corners[:, 4])]
        for _, top, bottom, left, right in own.in_grid(filled).tolist():
            whole[top:bottom, left:right] += 1
    assert (whole == cells(part, sections, rows)).all()


@settings(max_examples=150)
@given(runs(), st.integers(1, 30), st.integers(0, 3), COSTS)
def test_every_ou_is_in_one_group_that_is_not_too_large(
    drawn: tuple[TilePart, int, int], serial: int, more: int, costs: tuple[int, int]
) -> None:
    part, sections, rows = drawn
    own = part.blocks(sections, rows)
    wanted = cells(part, sections, rows)
    assume(wanted.any())
    size = -(-int(wanted.sum()) // serial) + more
    at = np.argwhere(wanted)
    start = np.stack([np.arange(len(at)) // serial, at[:, 0], at[:, 0] + 1, at[:, 1], at[:, 1] + 1], axis=1)
    high, wide = max(len(one.before) for one in own), max(one.width for one in own)
    table = grouped(own, size, serial, catalogue(high, wide, serial, *costs), start)
    found = labels(table, wanted.shape)
    assert ((found >= 0) == wanted).all()
    assert found.max() < size
    assert np.bincount(found[wanted]).max() <= serial
    assert price(table, *costs) == by_hand(found, *costs) <= price(start, *costs)


@settings(max_examples=60)
@given(st.integers(1, 12), st.integers(1, 16), st.integers(1, 20), COSTS)
def test_a_catalogue_keeps_what_it_promises(rows: int, cols: int, size: int, costs: tuple[int, int]) -> None:
    known: Catalogue = catalogue(rows, cols, size, *costs)
    for which in range(len(known.tables)):
        table = known.lay_out([(which, (rows, cols, 0, 0))])
        found = labels(table, (rows, cols))
        sizes = np.bincount(found.ravel())
        assert sizes.max() <= size
        assert len(sizes) == known.groups[which, rows, cols]
        assert price(table, *costs) == by_hand(found, *costs) == known.cost[which, rows, cols]


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize(("rows", "cols", "sections"), [(57, 60, 1), (24, 61, 4), (64, 128, 1)])
def test_tiles_and_groups_are_as_large_as_before(
    cut: str, rows: int, cols: int, sections: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep, across = 4, 2
    width, size = -(-cols // across), 12
    most = max(cells_of(part) for part in _parts(rows, cols, Tiling(1, deep * across, width, deep, size, 1, cut)))
    shape = Tiling(1, deep * across, width, deep, size, -(-sections * most // size), cut)
    args = rows, cols, sections, shape, (144, 16), True
    now = _of_group.__wrapped__(*args)
    monkeypatch.setattr(tile_parts, "NEAR", np.inf)
    before = _of_group.__wrapped__(*args)
    new, old = (labels(table, (sections * rows, cols)) for table in (now, before))
    assert (old >= 0).all()
    assert (new // size == old // size).all()
    assert np.bincount(new.ravel()).max() <= shape.serial
    assert price(now, 144, 16) <= price(before, 144, 16)


def cells_of(part: TilePart) -> int:
    top, bottom, left, right = part.core
    return (bottom - top) * (right - left) + sum(stop - start for _, start, stop in part.loose)


def test_a_run_by_hand() -> None:
    """Columns 2..8, the last two of row 4, rows 5 and 6, the first three of row 7: one row more for one column."""
    own = block(np.array([5, 6]), (4, 6, 8), (7, 2, 5), 2, 8)
    assert (own.full, own.width, own.longer, own.wrap) == (2, 6, 5, 2)
    assert own.before.tolist() == [5, 6, 4]
    assert own.after.tolist() == [5, 6, 7]
    twice = repeated(own, 2, 10)
    assert twice.full == 4
    assert twice.before.tolist() == [5, 6, 15, 16, 4, 14]


def test_pieces_that_complete_each_other_are_a_row() -> None:
    own = block(np.array([5, 6]), (4, 4, 8), (7, 2, 7), 2, 8)
    assert (own.full, own.width, own.longer, own.wrap) == (3, 6, 3, 4)
    assert own.before.tolist() == [5, 6, 4, 7]
    assert own.after.tolist() == [5, 6, 7, 7]
