"""Who feeds whom, and orders of copies along the walk."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from spatem_opt.grouping.tiling import Tiling
from spatem_opt.model.architecture import Architecture
from spatem_opt.network.builder import Builder
from spatem_opt.placement.order import Feed, _apart, _distance, arrange_copies, feeds
from spatem_opt.types import OUTSIDE

CHIP = Architecture(
    name="row", mesh_rows=1, mesh_cols=8, tiles_per_router=1, pes_per_tile=1, crossbars_per_pe=1, adc_bits=5
)


def test_feeds_go_through_digital_nodes_to_the_layers_that_host_them() -> None:
    """conv 0 is pooled where it is made; conv 1 reads the pool; their sum is made at one of both."""
    b = Builder("two")
    x = b.pool(b.conv(b.input(1, 4, 4), 2, 1), "max", 2, 2)
    b.add(b.conv(x, 2, 1), x)
    found = {(feed.source, feed.target): feed.weight for feed in feeds(b.build())}
    assert found.pop((OUTSIDE, 0)) == 16
    assert set(found) <= {(0, 1), (1, 0)}
    assert found[0, 1] >= 8


def place(counts: list[tuple[int, int]], links: list[tuple[int, int]], number: int = 0) -> list[list[int]]:
    """Places of layers of one crossbar per copy on a row of eight tiles."""
    shapes = [Tiling(1, 1, 1, 1, 1, 1)] * len(counts)
    none = [np.zeros(0, dtype=np.int64)] * len(counts)
    data = [Feed(i, j, 1.0) for i, j in links]
    layers, region = np.arange(len(counts)), np.array([0, 8])
    found = arrange_copies(layers, counts, shapes, none, data, region, CHIP, number)
    assert found is not None
    return [places.tolist() for places in found]


def test_columns_stay_together_where_every_layer_has_copies() -> None:
    assert place([(4, 1), (4, 1)], [(0, 1)]) in ([[0, 2, 4, 6], [1, 3, 5, 7]], [[7, 5, 3, 1], [6, 4, 2, 0]])


def test_a_number_of_strips_may_be_given() -> None:
    counts, links = [(4, 1), (4, 1)], [(0, 1)]
    assert place(counts, links, 1) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert place(counts, links, 2) == [[0, 1, 4, 5], [2, 3, 6, 7]]


def test_single_copies_follow_each_other() -> None:
    (first,), (second,), (third,) = place([(1, 1)] * 3, [(0, 1), (1, 2)])
    assert abs(first - second) == abs(second - third) == 1


@pytest.mark.parametrize("seed", range(6))
def test_copies_do_not_overlap_and_stay_in_the_region(seed: int) -> None:
    rng = np.random.default_rng(seed)
    counts = [(int(rng.integers(1, 4)), 1) for _ in range(2)]
    shapes = [Tiling(1, 1, 1, 1, 1, 1)] * 2
    none = [np.zeros(0, dtype=np.int64)] * 2
    found = arrange_copies(np.arange(2), counts, shapes, none, [Feed(0, 1, 1.0)], np.array([2, 8]), CHIP)
    assert found is not None
    taken = np.concatenate(found)
    assert len(set(taken.tolist())) == len(taken)
    assert (taken >= 2).all()
    assert (taken < 8).all()


def test_too_many_copies_have_no_place() -> None:
    shapes = [Tiling(1, 1, 1, 1, 1, 1)]
    assert (
        arrange_copies(np.arange(1), [(9, 1)], shapes, [np.zeros(0, dtype=np.int64)], [], np.array([0, 8]), CHIP)
        is None
    )


@pytest.mark.parametrize("seed", range(5))
def test_distances_are_summed_up_without_a_table_of_pairs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = (rng.integers(0, 9, (2, 3, rng.integers(1, 7))) / rng.integers(1, 4) for _ in range(2))
    assert _apart(a, b) == pytest.approx(abs(a[..., :, None] - b[..., None, :]).sum(axis=(-1, -2)))


def test_memory_of_distances_grows_with_copies_not_with_pairs() -> None:
    spots, count = np.random.default_rng(0).random((2, 4096)), (1, 4096)
    tracemalloc.start()
    _distance(spots, spots, count, count)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200 * spots.size  # a table of pairs: 270 MB
