"""Rows of pixels that buffers have to hold: by hand, and below what any solution holds."""

from __future__ import annotations

import pytest

from spatem_opt import Status, load_architecture, load_network, solve
from spatem_opt.mapping.rows import row_demand, row_shortage
from spatem_opt.network import Network
from spatem_opt.network.builder import Builder


def one_copy() -> tuple[Network, dict[str, int | str]]:
    """A layer that fills a chip of 1 tile but for less than a copy: 16 channels, 3 x 3, 10 pixels wide, 16 bits."""
    b = Builder("one")
    b.conv(b.input(16, 10, 10), 64, 3, name="conv")
    return b.build(), {"mesh_rows": 1, "mesh_cols": 1, "tiles_per_router": 1, "pes_per_tile": 1, "crossbars_per_pe": 24}


def test_rows_of_a_single_copy() -> None:
    """144 rows of 64 x 8 cells are 16 x 64 OUs of 9 x 8, of 14 x 16 OUs on a crossbar: 5 copies; 8 windows a row.

    One of 5 copies has 2 windows of a row at least: 4 pixels of 3 rows, 16 channels of 16 bits.
    """
    network, fields = one_copy()
    chip = load_architecture("ou-isaac", fields)
    assert row_demand(network, chip) == (4 * 3 * 16 * 16, "conv")
    alone = load_architecture("ou-isaac", {**fields, "crossbars_per_pe": 5})  # one copy: all 10 pixels
    assert row_demand(network, alone) == (10 * 3 * 16 * 16, "conv")


@pytest.mark.parametrize("scope", ["chip", "tile"])
def test_solve_says_what_is_short(scope: str) -> None:
    network, fields = one_copy()
    chip = load_architecture("ou-isaac", {**fields, "crossbars_per_pe": 5, "buffer_bits": 7000, "buffer_scope": scope})
    result = solve(network, chip)
    assert result.status is Status.INFEASIBLE
    assert result.shortage is not None
    assert (result.shortage.family, result.shortage.demand, result.shortage.capacity) == ("buffer", 7680, 7000)
    assert str(result.shortage).endswith("7680 bits needed, 7000 there, 680 short; would do: --set buffer_bits=7680")


@pytest.mark.parametrize("name", ["lenet5", "cifar10"])
def test_no_solution_holds_less(name: str) -> None:
    network, chip = load_network(name), load_architecture("ou-isaac-4x4")
    result = solve(network, chip, time_limit=None)
    assert result.evaluation is not None
    need = row_demand(network, chip)[0]
    assert 0 < need <= result.evaluation.buffers.chip_peak_bits
    assert row_shortage(network, chip) is None
