"""Published whole-crossbar numbers, exactly (``tests/golden/mapping.json``: sources and derivations)."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from spatem_opt import network
from spatem_opt.cost.grid import Grid, make_grid, patch_size
from spatem_opt.mapping.problem import layer_options
from spatem_opt.model.presets import load_architecture
from spatem_opt.model.solution import MappingOption
from spatem_opt.network.layers import Node, Weights

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parents[1] / "golden" / "mapping.json").read_text())
VW = GOLDEN["vw_sdk_512"]
PIMCOMP = GOLDEN["pimcomp_logical_crossbars"]["one_copy_of_every_layer"]
LAYERS = [(net, i) for net in ("vgg13", "resnet18_distinct") for i in range(len(VW[net]["image"]))]


@cache
def grids(net: str, index: int) -> list[Grid]:
    """im2col and every parallel window of a published layer, im2col first."""
    table = VW[net]
    kernel = table["kernel"] if isinstance(table["kernel"], int) else table["kernel"][index]
    size = table["image"][index] - kernel + 1
    inputs, filters = table["channels"][index]
    node = Node("conv", "crossbar", "conv", filters, size, size, (), Weights(1, inputs, filters, (kernel, kernel)))
    chip = load_architecture("vw-sdk-512")
    return [make_grid(node, o, chip) for o in layer_options(node, chip) if o.scheme in ("im2col", "parallel-window")]


@pytest.mark.parametrize(("net", "index"), LAYERS)
def test_im2col_cycles(net: str, index: int) -> None:
    assert grids(net, index)[0].operations == VW[net]["im2col"][index]


@pytest.mark.parametrize(("net", "index"), LAYERS)
def test_vw_sdk_cycles(net: str, index: int) -> None:
    assert min(grid.operations for grid in grids(net, index)) == VW[net]["vw_sdk"][index]


@pytest.mark.parametrize("index", range(10))
def test_vw_sdk_windows(index: int) -> None:
    """The patch (width x height), the channels and the filters that one array operation covers."""
    best = min(grids("vgg13", index), key=lambda grid: grid.operations)  # the first: im2col unless strictly worse
    height, width = patch_size(best.weights, best.option)
    want = [int(part) for part in VW["vgg13"]["window"][index].split("x")]
    assert [width, height] == want[:2]
    assert 512 // (best.option.ph * best.option.pw) == want[3]
    if best.option.scheme == "parallel-window":
        assert min(512 // (width * height), best.weights.in_channels) == want[2]


@pytest.mark.parametrize("name", sorted(PIMCOMP))
def test_pimcomp_crossbars_of_one_copy(name: str) -> None:
    chip, net = load_architecture("pimcomp"), network.load(name)
    option = MappingOption("im2col", "filled")
    assert sum(make_grid(net.nodes[i], option, chip).blocks for i in net.layers) == PIMCOMP[name]
