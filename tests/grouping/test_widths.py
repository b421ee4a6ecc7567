"""Costs of strips by their width: against compositions by hand and groupings that are there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spatem_opt.grouping import guillotine
from spatem_opt.grouping.problem import GroupingProblem
from spatem_opt.grouping.referee import objective
from spatem_opt.grouping.widths import PRICES, WIDEST, widths

COSTS = st.sampled_from([(144, 16), (1, 1), (2, 9)])


def one(width: int, size: int, most: int = 64, costs: tuple[int, int] = (144, 16)) -> np.ndarray:
    """Cost of one width for every price."""
    return widths(most, *costs).cost(np.array([width]), np.array([size]))[:, 0]


def divisions(width: int, widest: int) -> list[tuple[int, ...]]:
    """All ways to write a width as a sum of parts of at most `widest`, in falling order."""
    if width == 0:
        return [()]
    return [(part, *rest) for part in range(min(width, widest), 0, -1) for rest in divisions(width - part, part)]


def test_divisions_are_the_partitions_of_a_number() -> None:
    """135 partitions of 14, none twice; of 4 into parts of at most 2: 2+2, 2+1+1, 1+1+1+1."""
    assert len(set(divisions(14, 14))) == len(divisions(14, 14)) == 135
    assert divisions(4, 2) == [(2, 2), (2, 1, 1), (1, 1, 1, 1)]


@settings(max_examples=60)
@given(st.integers(1, 14), st.integers(1, 14), COSTS)
def test_the_best_division_of_a_width_into_groups(width: int, size: int, costs: tuple[int, int]) -> None:
    """Every width costs as little as the best of all its divisions into columns of groups, each alone."""
    alone = {u: one(u, size, 16, costs) for u in range(1, min(width, size) + 1)}
    best = np.min([np.sum([alone[u] for u in parts], axis=0) for parts in divisions(width, max(alone))], axis=0)
    assert one(width, size, 16, costs) == pytest.approx(best)


@given(st.integers(1, 600), st.integers(1, 64), COSTS)
def test_dearer_slots_cost_more_and_no_row_less_than_its_ous(width: int, size: int, costs: tuple[int, int]) -> None:
    found, price = one(width, size, costs=costs), widths(64, *costs).price[:, size]
    assert (np.diff(found) >= -1e-9).all()
    assert (found >= width * price[-1] - 1e-6).all()
    assert price == pytest.approx(np.array(PRICES) * price[-1])


def test_wider_strips_go_on_as_the_table_does() -> None:
    assert one(WIDEST + 8, 8) == pytest.approx(one(WIDEST, 8) + one(8, 8))


@pytest.mark.parametrize(("cols", "size"), [(32, 15), (22, 20), (33, 4), (23, 6), (64, 44), (27, 11), (50, 35)])
def test_estimates_are_near_guillotine_cuts_with_slots_to_spare(cols: int, size: int) -> None:
    """Grids as high as wide or higher, with an eighth more slots than OUs: 2 % above to 3 % below the cuts."""
    rows = 64
    problem = GroupingProblem(rows, cols, rows * cols * 9 // (8 * size), size, 144, 16)
    solution = guillotine.solve(problem)
    assert solution is not None
    assert 0.97 * objective(problem, solution) <= rows * one(cols, size)[0] <= 1.02 * objective(problem, solution)
