"""Shipped networks: counts that everybody knows, and that the files are what the script makes."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from spatem_opt.errors import InstanceError
from spatem_opt.files.shipped import root
from spatem_opt.network import describe, load, names
from spatem_opt.network.json_io import dumps
from spatem_opt.network.stats import summary

# crossbar layers, parameters without biases and normalisation, MACs (papers and the usual model zoos; ResNets with the
# stride in the 3x3 convolution; GoogLeNet and Inception v3 without auxiliary classifiers).
KNOWN = {
    "lenet5": (6, 75_870, 430_920),
    "cifar10": (5, 96_224, 5_738_624),
    "alexnet": (8, 60_954_656, 724_406_816),
    "vgg13": (13, 133_035_712, 11_308_466_176),
    "vgg16": (16, 138_344_128, 15_470_264_320),
    "vgg19": (19, 143_652_544, 19_632_062_464),
    "resnet18": (21, 11_678_912, 1_814_073_344),
    "resnet34": (37, 21_779_648, 3_663_761_408),
    "resnet50": (54, 25_502_912, 4_089_184_256),
    "resnet101": (105, 44_442_816, 7_801_405_440),
    "resnet152": (156, 60_040_384, 11_513_626_624),
    "googlenet": (58, 6_990_272, 1_582_671_872),
    "inception_v3": (95, 23_799_136, 5_713_216_096),
    "squeezenet": (26, 1_231_552, 349_151_936),
    "densenet121": (121, 7_894_208, 2_834_161_664),
    "mobilenet_v2": (53, 3_469_760, 300_774_272),
    "resnet20": (20, 268_336, 40_551_040),
    "vgg8": (8, 12_973_440, 615_917_568),
    "m5": (5, 556_032, 67_427_328),
    "unet": (23, 31_023_808, 54_538_534_912),
    "efficientnet_b0": (82, 5_236_192, 385_814_752),
    "mobilenet_v3_large": (64, 5_451_272, 216_589_760),
    "mnasnet1_0": (53, 4_344_392, 314_415_872),
    "shufflenet_v2": (57, 2_261_424, 144_907_992),
    "regnet_x_400mf": (72, 5_457_120, 413_812_608),
}
# Parameters with biases and normalisation, as torchvision 0.19 lists them (ResNet-20: 0.27 M in its paper).
WHOLE = {
    "resnet20": 269_722,
    "efficientnet_b0": 5_288_548,
    "mobilenet_v3_large": 5_483_032,
    "mnasnet1_0": 4_383_312,
    "shufflenet_v2": 2_278_604,
    "regnet_x_400mf": 5_495_976,
}


def test_all_are_there() -> None:
    assert set(KNOWN) <= set(names())


@pytest.mark.parametrize("name", KNOWN)
def test_known_totals(name: str) -> None:
    s = summary(load(name))
    assert (s["layers"], s["parameters"], s["macs"]) == KNOWN[name]


@pytest.mark.parametrize("name", WHOLE)
def test_totals_with_what_crossbars_do_not_hold(name: str) -> None:
    """Scale and shift of each channel, or a bias where there is no normalisation: fully connected, and squeezed."""
    network, more = load(name), 0
    for index in network.layers:
        node = network.nodes[index]
        plain = node.op == "fc" or node.name.endswith(("_reduce", "_excite"))
        more += node.channels if plain else 2 * node.channels
    assert summary(network)["parameters"] + more == WHOLE[name]


def test_cifar10_is_the_published_one() -> None:
    shapes = [(n.op, n.channels, n.height) for n in load("cifar10").nodes]
    assert shapes == [
        ("input", 3, 32), ("conv", 32, 28), ("max_pool", 32, 14), ("conv", 32, 10), ("max_pool", 32, 5),
        ("conv", 64, 5), ("max_pool", 64, 2), ("fc", 64, 1), ("fc", 10, 1),
    ]  # fmt: skip


def test_files_are_what_the_script_makes() -> None:
    folder = root() / "networks"
    makers = runpy.run_path(str(folder / "make.py"))["MAKERS"]
    assert sorted(makers) == names()
    for name, make in makers.items():
        assert (folder / f"{name}.json").read_text() == dumps(make()), name


def test_every_network_names_its_source() -> None:
    assert all(len(line) > 20 and "\n" not in line for line in describe().values())


def test_unknown_name_lists_close_ones() -> None:
    with pytest.raises(InstanceError, match=r"resnet51.*resnet50"):
        load("resnet51")


def test_input_shape_is_for_onnx_only() -> None:
    with pytest.raises(InstanceError, match="only ONNX"):
        load("resnet50", "1x3x224x224")


def test_no_such_file() -> None:
    with pytest.raises(InstanceError, match=r"none\.json: cannot be read, No such file"):
        load(Path("none.json"))
