"""Makes the shipped networks: ``python instances/networks/make.py`` rewrites every ``*.json`` beside it.

Every function is one family, written down from the paper named in its source line.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from spatem_opt.files.access import write_atomically
from spatem_opt.network.builder import Builder, Pads, Pair
from spatem_opt.network.json_io import dumps
from spatem_opt.network.layers import Network
from spatem_opt.network.maps import Tensor

MAKERS: dict[str, Callable[[], Network]] = {}


def maker(function: Callable[[], Network]) -> Callable[[], Network]:
    """Register a network under its function's name."""
    MAKERS[function.__name__] = function
    return function


def relu_conv(b: Builder, x: Tensor, filters: int, kernel: Pair, stride: Pair = 1, pads: Pads = 0, groups: int = 1,
              name: str = "conv", fused: int = 2) -> Tensor:  # fmt: skip
    """Convolution with `fused` pointwise operators (2: batch normalisation and activation; 1: activation)."""
    x = b.conv(x, filters, kernel, stride, pads, groups=groups, name=name)
    return b.fuse(x, fused) if fused else x


def classifier(b: Builder, x: Tensor, *widths: int) -> Network:
    """Fully connected layers with activations between, softmax at the end."""
    for i, width in enumerate(widths):
        x = b.fuse(b.fc(x, width, name=f"fc{i + 1}" if len(widths) > 1 else "fc"))
    return b.build()


# ------------------------------------------------------------------------------------------------ small networks


@maker
def lenet5() -> Network:
    b = Builder("lenet5", "LeNet-5, 1 x 32 x 32: LeCun et al., Proc. IEEE 86 (1998) 2278")
    x = b.input(1, 32, 32)
    x = b.pool(relu_conv(b, x, 6, 5, name="conv1", fused=1), "average", 2, 2, name="pool1")
    x = b.pool(relu_conv(b, x, 16, 5, name="conv2", fused=1), "average", 2, 2, name="pool2")
    return classifier(b, relu_conv(b, x, 120, 5, name="conv3", fused=1), 120, 84, 10)


@maker
def cifar10() -> Network:
    b = Builder("cifar10", "cifar10, 3 x 32 x 32: 5-layer CNN of the OU simulator WaitingLin/PP_sim (77bd3ac)")
    x = b.input(3, 32, 32)
    x = b.pool(relu_conv(b, x, 32, 5, name="conv1", fused=1), "max", 2, 2, name="pool1")
    x = b.pool(relu_conv(b, x, 32, 5, name="conv2", fused=1), "max", 2, 2, name="pool2")
    x = b.pool(relu_conv(b, x, 64, 5, pads="same", name="conv3", fused=1), "max", 2, 2, name="pool3")
    return classifier(b, x, 64, 10)


@maker
def alexnet() -> Network:
    b = Builder("alexnet", "AlexNet, 3 x 227 x 227, two groups: Krizhevsky et al., NIPS 2012")
    x = b.input(3, 227, 227)
    x = b.fuse(relu_conv(b, x, 96, 11, 4, name="conv1", fused=1))  # local response normalisation
    x = b.pool(x, "max", 3, 2, name="pool1")
    x = b.fuse(relu_conv(b, x, 256, 5, pads=2, groups=2, name="conv2", fused=1))
    x = b.pool(x, "max", 3, 2, name="pool2")
    x = relu_conv(b, x, 384, 3, pads=1, name="conv3", fused=1)
    x = relu_conv(b, x, 384, 3, pads=1, groups=2, name="conv4", fused=1)
    x = relu_conv(b, x, 256, 3, pads=1, groups=2, name="conv5", fused=1)
    return classifier(b, b.pool(x, "max", 3, 2, name="pool5"), 4096, 4096, 1000)


# ------------------------------------------------------------------------------------------------ VGG


def vgg(depth: int, stages: tuple[int, ...]) -> Network:
    b = Builder(f"vgg{depth}", f"VGG-{depth}, 3 x 224 x 224: Simonyan and Zisserman, ICLR 2015, table 1")
    x = b.input(3, 224, 224)
    for stage, (convs, width) in enumerate(zip(stages, (64, 128, 256, 512, 512), strict=True), 1):
        for i in range(convs):
            x = relu_conv(b, x, width, 3, pads=1, name=f"conv{stage}_{i + 1}", fused=1)
        x = b.pool(x, "max", 2, 2, name=f"pool{stage}")
    return classifier(b, x, 4096, 4096, 1000)


@maker
def vgg13() -> Network:
    return vgg(13, (2, 2, 2, 2, 2))


@maker
def vgg16() -> Network:
    return vgg(16, (2, 2, 3, 3, 3))


@maker
def vgg19() -> Network:
    return vgg(19, (2, 2, 4, 4, 4))


# ------------------------------------------------------------------------------------------------ ResNet


def resnet(depth: int, blocks: tuple[int, int, int, int], bottleneck: bool) -> Network:
    """Stride in the 3x3 convolution of a bottleneck, as the common implementations have it (4.09 GMAC for 50)."""
    b = Builder(f"resnet{depth}", f"ResNet-{depth}, 3 x 224 x 224: He et al., CVPR 2016, table 1")
    x = b.pool(relu_conv(b, b.input(3, 224, 224), 64, 7, 2, 3, name="conv1"), "max", 3, 2, 1, name="pool1")
    for stage, count in enumerate(blocks):
        for i in range(count):
            stride = 2 if stage and not i else 1
            x = residual(b, x, 64 << stage, stride, bottleneck, f"conv{stage + 2}_{i + 1}")
    return classifier(b, b.global_pool(x, name="pool5"), 1000)


def residual(b: Builder, x: Tensor, width: int, stride: int, bottleneck: bool, name: str) -> Tensor:
    """A basic or bottleneck block."""
    out = 4 * width if bottleneck else width
    if bottleneck:
        y = relu_conv(b, x, width, 1, name=f"{name}a")
        y = relu_conv(b, y, width, 3, stride, 1, name=f"{name}b")
        y = relu_conv(b, y, out, 1, name=f"{name}c", fused=1)
    else:
        y = relu_conv(b, x, width, 3, stride, 1, name=f"{name}a")
        y = relu_conv(b, y, out, 3, pads=1, name=f"{name}b", fused=1)
    if stride > 1 or x.channels != out:
        x = relu_conv(b, x, out, 1, stride, name=f"{name}s", fused=1)
    return b.fuse(b.add(y, x, name=f"{name}+"))


@maker
def resnet18() -> Network:
    return resnet(18, (2, 2, 2, 2), False)


@maker
def resnet34() -> Network:
    return resnet(34, (3, 4, 6, 3), False)


@maker
def resnet50() -> Network:
    return resnet(50, (3, 4, 6, 3), True)


@maker
def resnet101() -> Network:
    return resnet(101, (3, 4, 23, 3), True)


@maker
def resnet152() -> Network:
    return resnet(152, (3, 8, 36, 3), True)


# ------------------------------------------------------------------------------------------------ Inception


@maker
def googlenet() -> Network:
    b = Builder("googlenet", "GoogLeNet (Inception v1), 3 x 224 x 224: Szegedy et al., CVPR 2015, table 1")
    x = relu_conv(b, b.input(3, 224, 224), 64, 7, 2, 3, name="conv1", fused=1)
    x = b.fuse(b.pool(x, "max", 3, 2, ceil=True, name="pool1"))  # local response normalisation
    x = relu_conv(b, x, 64, 1, name="conv2_reduce", fused=1)
    x = b.fuse(relu_conv(b, x, 192, 3, pads=1, name="conv2", fused=1))
    x = b.pool(x, "max", 3, 2, ceil=True, name="pool2")
    table = {
        "3a": (64, 96, 128, 16, 32, 32), "3b": (128, 128, 192, 32, 96, 64), "4a": (192, 96, 208, 16, 48, 64),
        "4b": (160, 112, 224, 24, 64, 64), "4c": (128, 128, 256, 24, 64, 64), "4d": (112, 144, 288, 32, 64, 64),
        "4e": (256, 160, 320, 32, 128, 128), "5a": (256, 160, 320, 32, 128, 128), "5b": (384, 192, 384, 48, 128, 128),
    }  # fmt: skip
    for name, widths in table.items():
        if name in ("4a", "5a"):
            x = b.pool(x, "max", 3, 2, ceil=True, name=f"pool{int(name[0]) - 1}")
        x = inception(b, x, widths, f"i{name}")
    return classifier(b, b.global_pool(x, name="pool5"), 1000)


def inception(b: Builder, x: Tensor, widths: tuple[int, ...], name: str) -> Tensor:
    """Inception module of v1: 1x1, 3x3, 5x5 and pooled paths."""
    one, reduce3, three, reduce5, five, pooled = widths
    y1 = relu_conv(b, x, one, 1, name=f"{name}_1x1", fused=1)
    y3 = relu_conv(b, x, reduce3, 1, name=f"{name}_3x3_reduce", fused=1)
    y3 = relu_conv(b, y3, three, 3, pads=1, name=f"{name}_3x3", fused=1)
    y5 = relu_conv(b, x, reduce5, 1, name=f"{name}_5x5_reduce", fused=1)
    y5 = relu_conv(b, y5, five, 5, pads=2, name=f"{name}_5x5", fused=1)
    yp = b.pool(x, "max", 3, 1, 1, name=f"{name}_pool")
    return b.concat([y1, y3, y5, relu_conv(b, yp, pooled, 1, name=f"{name}_proj", fused=1)])


def path(b: Builder, x: Tensor, name: str, *steps: tuple[int, Pair] | tuple[int, Pair, int, Pads]) -> Tensor:
    """Convolutions one after the other: (filters, kernel) with padding "same", or (filters, kernel, stride, pads)."""
    for i, step in enumerate(steps):
        filters, kernel, stride, pads = step if len(step) == 4 else (*step, 1, "same")
        x = relu_conv(b, x, filters, kernel, stride, pads, name=f"{name}{i + 1}")
    return x


@maker
def inception_v3() -> Network:
    b = Builder("inception_v3", "Inception v3, 3 x 299 x 299: Szegedy et al., CVPR 2016")
    x = path(b, b.input(3, 299, 299), "stem", (32, 3, 2, 0), (32, 3, 1, 0), (64, 3))
    x = path(b, b.pool(x, "max", 3, 2, name="pool1"), "stem_b", (80, 1), (192, 3, 1, 0))
    x = b.pool(x, "max", 3, 2, name="pool2")
    for i, pooled in enumerate((32, 64, 64)):
        x = inception_a(b, x, pooled, f"a{i + 1}")
    three = path(b, x, "ra_3x3_", (384, 3, 2, 0))
    double = path(b, x, "ra_double_", (64, 1), (96, 3), (96, 3, 2, 0))
    x = b.concat([three, double, b.pool(x, "max", 3, 2, name="ra_pool")])
    for i, width in enumerate((128, 160, 160, 192)):
        x = inception_b(b, x, width, f"b{i + 1}")
    three = path(b, x, "rb_3x3_", (192, 1), (320, 3, 2, 0))
    seven = path(b, x, "rb_7x7_", (192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3, 2, 0))
    x = b.concat([three, seven, b.pool(x, "max", 3, 2, name="rb_pool")])
    for i in range(2):
        x = inception_c(b, x, f"c{i + 1}")
    return classifier(b, b.global_pool(x, name="pool3"), 1000)


def inception_a(b: Builder, x: Tensor, pooled: int, name: str) -> Tensor:
    """35 x 35 module."""
    y1 = path(b, x, f"{name}_1x1_", (64, 1))
    y5 = path(b, x, f"{name}_5x5_", (48, 1), (64, 5))
    y3 = path(b, x, f"{name}_double_", (64, 1), (96, 3), (96, 3))
    yp = b.pool(x, "average", 3, 1, 1, name=f"{name}_pool")
    return b.concat([y1, y5, y3, path(b, yp, f"{name}_proj_", (pooled, 1))])


def inception_b(b: Builder, x: Tensor, c: int, name: str) -> Tensor:
    """17 x 17 module with factorised 7x7 convolutions."""
    y1 = path(b, x, f"{name}_1x1_", (192, 1))
    y7 = path(b, x, f"{name}_7x7_", (c, 1), (c, (1, 7)), (192, (7, 1)))
    yd = path(b, x, f"{name}_double_", (c, 1), (c, (7, 1)), (c, (1, 7)), (c, (7, 1)), (192, (1, 7)))
    yp = b.pool(x, "average", 3, 1, 1, name=f"{name}_pool")
    return b.concat([y1, y7, yd, path(b, yp, f"{name}_proj_", (192, 1))])


def inception_c(b: Builder, x: Tensor, name: str) -> Tensor:
    """8 x 8 module with parallel 1x3 and 3x1 convolutions."""
    y1 = path(b, x, f"{name}_1x1_", (320, 1))
    y3 = path(b, x, f"{name}_3x3_", (384, 1))
    y3 = b.concat([path(b, y3, f"{name}_3x3_row_", (384, (1, 3))), path(b, y3, f"{name}_3x3_col_", (384, (3, 1)))])
    yd = path(b, x, f"{name}_dbl_", (448, 1), (384, 3))
    yd = b.concat([path(b, yd, f"{name}_dbl_row_", (384, (1, 3))), path(b, yd, f"{name}_dbl_col_", (384, (3, 1)))])
    yp = b.pool(x, "average", 3, 1, 1, name=f"{name}_pool")
    return b.concat([y1, y3, yd, path(b, yp, f"{name}_proj_", (192, 1))])


# ------------------------------------------------------------------------------------------------ small and dense


@maker
def squeezenet() -> Network:
    b = Builder("squeezenet", "SqueezeNet 1.1, 3 x 224 x 224: Iandola et al., arXiv:1602.07360, revised 1.1")
    x = relu_conv(b, b.input(3, 224, 224), 64, 3, 2, name="conv1", fused=1)
    x = b.pool(x, "max", 3, 2, ceil=True, name="pool1")
    for i, (squeeze, expand) in enumerate(
        ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256)), 2
    ):
        if i in (4, 6):
            x = b.pool(x, "max", 3, 2, ceil=True, name=f"pool{i - 1}")
        y = relu_conv(b, x, squeeze, 1, name=f"fire{i}_squeeze", fused=1)
        e1 = relu_conv(b, y, expand, 1, name=f"fire{i}_expand1", fused=1)
        x = b.concat([e1, relu_conv(b, y, expand, 3, pads=1, name=f"fire{i}_expand3", fused=1)])
    x = relu_conv(b, x, 1000, 1, name="conv10", fused=1)
    return b.build([b.fuse(b.global_pool(x, name="pool10"))])


@maker
def densenet121() -> Network:
    b = Builder("densenet121", "DenseNet-121, 3 x 224 x 224: Huang et al., CVPR 2017, table 1")
    x = b.pool(relu_conv(b, b.input(3, 224, 224), 64, 7, 2, 3, name="conv1"), "max", 3, 2, 1, name="pool1")
    for block, layers in enumerate((6, 12, 24, 16), 1):
        for i in range(layers):
            name = f"dense{block}_{i + 1}"
            y = relu_conv(b, b.fuse(x, 2), 128, 1, name=f"{name}a")
            x = b.concat([x, relu_conv(b, y, 32, 3, pads=1, name=f"{name}b", fused=0)])
        x = b.fuse(x, 2)
        if block < 4:
            x = relu_conv(b, x, x.channels // 2, 1, name=f"transition{block}", fused=0)
            x = b.pool(x, "average", 2, 2, name=f"pool{block + 1}")
    return classifier(b, b.global_pool(x, name="pool5"), 1000)


@maker
def mobilenet_v2() -> Network:
    b = Builder("mobilenet_v2", "MobileNetV2 1.0, 3 x 224 x 224: Sandler et al., CVPR 2018, table 2")
    x = relu_conv(b, b.input(3, 224, 224), 32, 3, 2, 1, name="conv1")
    block = 0
    for expand, width, repeats, first_stride in (
        (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
    ):  # fmt: skip
        for i in range(repeats):
            block += 1
            x = inverted_residual(b, x, expand, width, 1 if i else first_stride, f"block{block}")
    x = relu_conv(b, x, 1280, 1, name="conv2")
    return classifier(b, b.global_pool(x, name="pool"), 1000)


def inverted_residual(b: Builder, x: Tensor, expand: int, width: int, stride: int, name: str) -> Tensor:
    """Expand, filter per channel, project; added to the input if the shapes are equal."""
    hidden = expand * x.channels
    y = relu_conv(b, x, hidden, 1, name=f"{name}_expand") if expand > 1 else x
    y = relu_conv(b, y, hidden, 3, stride, 1, groups=hidden, name=f"{name}_depthwise")
    y = relu_conv(b, y, width, 1, name=f"{name}_project", fused=1)
    return b.add(y, x, name=f"{name}+") if stride == 1 and x.channels == width else y


# ------------------------------------------------------------------------------------------------ later small networks


@maker
def resnet20() -> Network:
    b = Builder("resnet20", "ResNet-20, 3 x 32 x 32, shortcuts of option A: He et al., CVPR 2016, section 4.2")
    x = relu_conv(b, b.input(3, 32, 32), 16, 3, pads=1, name="conv1")
    for stage in range(3):
        for i in range(3):
            name, stride = f"conv{stage + 2}_{i + 1}", 2 if stage and not i else 1
            y = relu_conv(b, x, 16 << stage, 3, stride, 1, name=f"{name}a")
            y = relu_conv(b, y, 16 << stage, 3, pads=1, name=f"{name}b", fused=1)
            x = b.fuse(b.add(y, x if stride == 1 else narrow_shortcut(b, x), name=f"{name}+"))
    return classifier(b, b.global_pool(x, name="pool"), 10)


def narrow_shortcut(b: Builder, x: Tensor) -> Tensor:
    """Every second pixel, and as many channels again that are zero."""
    less = replace(x, rows=x.rows[::2], cols=x.cols[::2])
    zeros = less.constants(x.channels // 2)
    return b.concat([zeros, less, zeros])


@maker
def vgg8() -> Network:
    b = Builder("vgg8", "VGG-8 for CIFAR-10, 3 x 32 x 32, as in DNN+NeuroSim: Peng et al., IEDM 2019")
    x = b.input(3, 32, 32)
    for stage, width in enumerate((128, 256, 512), 1):
        for i in range(2):
            x = relu_conv(b, x, width, 3, pads=1, name=f"conv{stage}_{i + 1}")
        x = b.pool(x, "max", 2, 2, name=f"pool{stage}")
    return classifier(b, x, 1024, 10)


@maker
def m5() -> Network:
    b = Builder("m5", "M5, raw audio, 1 x 1 x 8000: Dai et al., ICASSP 2017, table 1")
    x = b.input(1, 1, 8000)
    for i, (width, kernel, stride) in enumerate(((128, 80, 4), (128, 3, 1), (256, 3, 1), (512, 3, 1)), 1):
        x = relu_conv(b, x, width, (1, kernel), (1, stride), name=f"conv{i}")
        x = b.pool(x, "max", (1, 4), (1, 4), name=f"pool{i}")
    return classifier(b, b.global_pool(x, name="pool"), 10)


@maker
def unet() -> Network:
    b = Builder("unet", "U-Net, 1 x 256 x 256, padded convolutions: Ronneberger et al., MICCAI 2015, figure 1")
    x, left = b.input(1, 256, 256), []
    for level in range(5):
        if level:
            left.append(x)
            x = b.pool(x, "max", 2, 2, name=f"pool{level}")
        x = twice(b, x, 64 << level, f"down{level + 1}")
    for level in reversed(range(4)):
        x = b.conv_transpose(x, 64 << level, 2, 2, name=f"up{level + 1}")
        x = twice(b, b.concat([left[level], x]), 64 << level, f"up{level + 1}_")
    return b.build([b.conv(x, 2, 1, name="out")])


def twice(b: Builder, x: Tensor, width: int, name: str) -> Tensor:
    """Two 3x3 convolutions."""
    for part in "ab":
        x = relu_conv(b, x, width, 3, pads=1, name=f"{name}{part}", fused=1)
    return x


# ------------------------------------------------------------------------------------------------ mobile networks


@maker
def efficientnet_b0() -> Network:
    b = Builder("efficientnet_b0", "EfficientNet-B0, 3 x 224 x 224: Tan and Le, ICML 2019, table 1")
    x, block = relu_conv(b, b.input(3, 224, 224), 32, 3, 2, 1, name="stem"), 0
    for expand, width, repeats, first_stride, kernel in (
        (1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3), (6, 112, 3, 1, 5), (6, 192, 4, 2, 5),
        (6, 320, 1, 1, 3),
    ):  # fmt: skip
        for i in range(repeats):
            block += 1
            stride, squeezed = 1 if i else first_stride, max(1, x.channels // 4)
            x = squeezed_residual(b, x, expand * x.channels, width, kernel, stride, squeezed, f"block{block}")
    x = relu_conv(b, x, 1280, 1, name="head")
    return classifier(b, b.global_pool(x, name="pool"), 1000)


@maker
def mobilenet_v3_large() -> Network:
    b = Builder("mobilenet_v3_large", "MobileNetV3-Large, 3 x 224 x 224: Howard et al., ICCV 2019, table 1")
    x = relu_conv(b, b.input(3, 224, 224), 16, 3, 2, 1, name="conv1")
    for block, (kernel, hidden, width, squeezed, stride) in enumerate((
        (3, 16, 16, 0, 1), (3, 64, 24, 0, 2), (3, 72, 24, 0, 1), (5, 72, 40, 24, 2), (5, 120, 40, 32, 1),
        (5, 120, 40, 32, 1), (3, 240, 80, 0, 2), (3, 200, 80, 0, 1), (3, 184, 80, 0, 1), (3, 184, 80, 0, 1),
        (3, 480, 112, 120, 1), (3, 672, 112, 168, 1), (5, 672, 160, 168, 2), (5, 960, 160, 240, 1),
        (5, 960, 160, 240, 1),
    ), 1):  # fmt: skip
        x = squeezed_residual(b, x, hidden, width, kernel, stride, squeezed, f"block{block}")
    x = b.global_pool(relu_conv(b, x, 960, 1, name="conv2"), name="pool")
    return classifier(b, x, 1280, 1000)


@maker
def mnasnet1_0() -> Network:
    b = Builder("mnasnet1_0", "MNASNet-B1 1.0, 3 x 224 x 224: Tan et al., CVPR 2019, figure 7 without squeezing")
    x = relu_conv(b, b.input(3, 224, 224), 32, 3, 2, 1, name="conv1")
    x = relu_conv(b, x, 32, 3, pads=1, groups=32, name="conv2_depthwise")
    x, block = relu_conv(b, x, 16, 1, name="conv2_project", fused=1), 0
    for kernel, first_stride, expand, width, repeats in (
        (3, 2, 3, 24, 3), (5, 2, 3, 40, 3), (5, 2, 6, 80, 3), (3, 1, 6, 96, 2), (5, 2, 6, 192, 4), (3, 1, 6, 320, 1)
    ):  # fmt: skip
        for i in range(repeats):
            block, stride = block + 1, 1 if i else first_stride
            x = squeezed_residual(b, x, expand * x.channels, width, kernel, stride, 0, f"block{block}")
    x = relu_conv(b, x, 1280, 1, name="conv3")
    return classifier(b, b.global_pool(x, name="pool"), 1000)


def squeezed_residual(b: Builder, x: Tensor, hidden: int, width: int, kernel: int, stride: int, squeezed: int,
                      name: str) -> Tensor:  # fmt: skip
    """Expand, filter per channel, squeeze and excite (to `squeezed` channels), project; a shortcut where it fits."""
    y = relu_conv(b, x, hidden, 1, name=f"{name}_expand") if hidden != x.channels else x
    y = relu_conv(b, y, hidden, kernel, stride, kernel // 2, groups=hidden, name=f"{name}_depthwise")
    if squeezed:
        z = b.global_pool(y, name=f"{name}_squeeze")
        z = relu_conv(b, z, squeezed, 1, name=f"{name}_reduce", fused=1)
        z = relu_conv(b, z, hidden, 1, name=f"{name}_excite", fused=1)
        y = b.elementwise("mul", [y, z], name=f"{name}_scale")
    y = relu_conv(b, y, width, 1, name=f"{name}_project", fused=1)
    return b.add(y, x, name=f"{name}+") if stride == 1 and x.channels == width else y


@maker
def shufflenet_v2() -> Network:
    b = Builder("shufflenet_v2", "ShuffleNetV2 1x, 3 x 224 x 224: Ma et al., ECCV 2018, table 5")
    x = relu_conv(b, b.input(3, 224, 224), 24, 3, 2, 1, name="conv1")
    x, unit = b.pool(x, "max", 3, 2, 1, name="pool1"), 0
    for width, repeats in ((116, 4), (232, 8), (464, 4)):
        for i in range(repeats):
            unit += 1
            x = shuffle_unit(b, x, width // 2, first=not i, name=f"unit{unit}")
    x = relu_conv(b, x, 1024, 1, name="conv5")
    return classifier(b, b.global_pool(x, name="pool"), 1000)


def shuffle_unit(b: Builder, x: Tensor, width: int, *, first: bool, name: str) -> Tensor:
    """Half of the channels passes by, or is filtered per channel, too, where the map shrinks; then channels mix."""
    left, right = (x, x) if first else x.split(2)
    if first:
        left = relu_conv(b, left, x.channels, 3, 2, 1, groups=x.channels, name=f"{name}_left_depthwise", fused=1)
        left = relu_conv(b, left, width, 1, name=f"{name}_left")
    right = relu_conv(b, right, width, 1, name=f"{name}_a")
    right = relu_conv(b, right, width, 3, 2 if first else 1, 1, groups=width, name=f"{name}_depthwise", fused=1)
    right = relu_conv(b, right, width, 1, name=f"{name}_b")
    return b.concat([left, right]).shuffle(2)


@maker
def regnet_x_400mf() -> Network:
    b = Builder("regnet_x_400mf", "RegNetX-400MF, 3 x 224 x 224: Radosavovic et al., CVPR 2020, table 8")
    x = relu_conv(b, b.input(3, 224, 224), 32, 3, 2, 1, name="stem")
    for stage, (width, depth) in enumerate(((32, 1), (64, 2), (160, 7), (400, 12)), 1):
        for i in range(depth):
            name, stride = f"s{stage}_{i + 1}", 1 if i else 2
            y = relu_conv(b, x, width, 1, name=f"{name}a")
            y = relu_conv(b, y, width, 3, stride, 1, groups=width // 16, name=f"{name}b")
            y = relu_conv(b, y, width, 1, name=f"{name}c", fused=1)
            if stride > 1:
                x = relu_conv(b, x, width, 1, stride, name=f"{name}s", fused=1)
            x = b.fuse(b.add(y, x, name=f"{name}+"))
    return classifier(b, b.global_pool(x, name="pool"), 1000)


def main(directory: Path = Path(__file__).parent) -> None:
    """Write all networks."""
    for name, make in MAKERS.items():
        write_atomically(directory / f"{name}.json", dumps(make()).encode())


if __name__ == "__main__":
    main()
