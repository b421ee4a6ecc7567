"""Grouping of columns."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spatem_opt.cost.arrays import any_by_group, distinct, starts_of


@given(st.lists(st.integers(-5, 5)))
def test_distinct(keys: list[int]) -> None:
    values = np.array(keys, np.int64)
    found, inverse = np.unique(values, return_inverse=True)
    assert [part.tolist() for part in distinct(values)] == [found.tolist(), inverse.tolist()]


def test_starts_of() -> None:
    assert starts_of(np.array([3, 3, 5, 7, 7])).tolist() == [0, 2, 3]
    assert starts_of(np.zeros(0, np.int64)).tolist() == []


def test_any_by_group() -> None:
    lines = np.array([[1, 0, 0], [0, 0, 1], [0, 1, 0], [0, 0, 0], [1, 0, 0]], np.bool_)
    found = any_by_group(lines, np.array([2, 0, 2, 0, 2]), 4)
    assert found.astype(int).tolist() == [[0, 0, 1], [0, 0, 0], [1, 1, 0], [0, 0, 0]]
