"""The builder, the synthetic chain, and the totals of a network."""

from __future__ import annotations

import numpy as np
import pytest

from spatem_opt.errors import InstanceError
from spatem_opt.network import Builder, chain
from spatem_opt.network import receptive as r
from spatem_opt.network.stats import macs, parameters, total_macs


def test_names_are_made_unique() -> None:
    b = Builder("n")
    x = b.input(2, 8, 8)
    for _ in range(3):
        x = b.conv(x, 2, 1)
    assert [n.name for n in b.build().nodes] == ["input", "conv", "conv~2", "conv~3"]


def test_a_name_that_looks_numbered_is_made_unique_too() -> None:
    b = Builder("n")
    x = b.input(2, 8, 8)
    for name in ("conv", "conv~2", "conv"):
        x = b.conv(x, 2, 1, name=name)
    assert len({n.name for n in b.build().nodes}) == 4


def test_outputs_leave_out_what_they_do_not_need() -> None:
    b = Builder("n")
    x = b.input(2, 8, 8)
    y = b.conv(x, 2, 1, name="used")
    b.conv(x, 2, 1, name="unused")
    z = b.conv(y, 2, 1, name="last")
    network = b.build([z])
    assert [n.name for n in network.nodes] == ["input", "used", "last"]
    assert network.nodes[2].edges[0].source.tolist() == [1, 1]


@pytest.mark.parametrize("groups", [0, 2])
def test_groups_must_divide_channels(groups: int) -> None:
    b = Builder("n")
    with pytest.raises(InstanceError, match=rf"'conv': groups = {groups}, expected a divisor"):
        b.conv(b.input(3, 8, 8), 4, 3, groups=groups)


def test_kernel_must_fit() -> None:
    b = Builder("n")
    with pytest.raises(InstanceError, match=r"'conv': height = 0"):
        b.conv(b.input(3, 2, 8), 4, 3)


def test_operands_must_have_one_shape() -> None:
    b = Builder("n")
    x = b.input(3, 8, 8)
    with pytest.raises(InstanceError, match=r"'add': operand = '3 x 6 x 6', expected 3 x 8 x 8"):
        b.add(x, b.conv(x, 3, 3))


def test_addition_splits_over_the_producers_of_its_primary_operand() -> None:
    """Both operands are concats; the one of fewer producers is primary, and every part reads its own channels."""
    b = Builder("n")
    x = b.input(3, 4, 4)
    left = b.concat([b.conv(x, 1, 1), b.conv(x, 1, 1), b.conv(x, 2, 1)])
    right = b.concat([b.conv(x, 3, 1), b.conv(x, 1, 1)])
    total = b.add(left, right)
    parts = [n for n in b.build([b.fc(total, 2)]).nodes if n.op == "add"]
    assert [(n.name, n.channels) for n in parts] == [("add#0", 3), ("add#1", 1)]
    assert [e.source.tolist() for e in parts[0].edges] == [[4, 4, 4], [1, 2, 3]]
    assert parts[0].edges[1].channel.tolist() == [0, 0, 0]
    assert parts[1].edges[1].channel.tolist() == [1]


def test_fused_operations_are_shared_out_by_channels() -> None:
    b = Builder("n")
    x = b.input(3, 4, 4)
    b.fuse(b.concat([b.conv(x, 5, 1), b.conv(x, 2, 1)]))
    assert [n.fused_ops for n in b.build().nodes] == [0, 5 * 16, 2 * 16]


def test_macs_of_a_grouped_convolution() -> None:
    b = Builder("n")
    b.conv(b.input(4, 5, 5), 8, 3, groups=2)  # 3 x 3 windows, 2 groups of 4 filters on 2 channels, 3 x 3 weights
    node = b.build().nodes[1]
    assert (parameters(node), macs(node)) == (2 * 4 * 2 * 9, 9 * 2 * 4 * 2 * 9)


def test_chain() -> None:
    network = chain(10, channels=4, size=6)
    assert (len(network.layers), total_macs(network)) == (10, 10 * 4 * 4 * 9 * 36)


def test_taps_are_read_only() -> None:
    with pytest.raises(ValueError, match="read-only"):
        r.identity_taps(3)[0, 0] = 5


@pytest.mark.parametrize(("length", "outputs", "expected"), [(10, 5, (0, 1)), (9, 5, (1, 1))])
def test_same_pads(length: int, outputs: int, expected: tuple[int, int]) -> None:
    pads = r.same_pads(length, 3, 2, 1)
    assert pads == expected
    assert r.window_size(length, 3, 2, pads) == outputs
    assert r.same_pads(length, 3, 2, 1, upper=False) == expected[::-1]


def test_views_compose() -> None:
    view = np.array([-1, 3, 1])
    assert r.through_view(view, np.array([[0, 1], [2, -1]])).tolist() == [[-1, 3], [1, -1]]
