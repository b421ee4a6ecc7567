"""Names: case, dashes and underscores do not matter, and nothing of them reaches a terminal raw."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spatem_opt.errors import InstanceError
from spatem_opt.files.names import folded, visible
from spatem_opt.front_end import METHODS
from spatem_opt.model.presets import architectures, load_preset
from spatem_opt.network import load, names
from spatem_opt.planning.baselines import BASELINES
from spatem_opt.study.bench import load_suite, suites


@pytest.mark.parametrize("known", [names(), architectures(), suites(), METHODS, tuple(BASELINES)], ids=str)
def test_shipped_names_differ_by_more_than_case_and_dashes(known: tuple[str, ...]) -> None:
    assert len(set(map(folded, known))) == len(known) > 0


@pytest.mark.parametrize(
    ("written", "meant"), [("ResNet50", "resnet50"), ("mobilenet-v2", "mobilenet_v2"), ("VGG-16", "vgg16")]
)
def test_networks(written: str, meant: str) -> None:
    assert load(written).name == load(meant).name


@pytest.mark.parametrize("written", ["OU-ISAAC", "ou_isaac", "Ou Isaac"])
def test_chips(written: str) -> None:
    assert load_preset(written).name == "ou-isaac"


def test_suites() -> None:
    assert load_suite("Shipped_Default") == load_suite("shipped-default")


def test_a_miss_suggests() -> None:
    with pytest.raises(InstanceError, match="resnet50"):
        load("ResNet-5O")
    with pytest.raises(InstanceError, match="a shipped name: ou-isaac-4x4"):
        load_preset("OU-ISAAC-4x5")
    with pytest.raises(InstanceError, match="shipped-default"):
        load_suite("shiped")


@given(st.text())
def test_visible_is_one_printable_line(text: str) -> None:
    assert visible(text).isprintable()
    assert visible(visible(text)) == visible(text)
