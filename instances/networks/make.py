"""Makes the shipped networks: ``python instances/networks/make.py`` rewrites every ``*.json`` beside it.

Every function is one family, written down from the paper named in its source line.
"""

from __future__ import annotations

from collections.abc import Callable
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


def main(directory: Path = Path(__file__).parent) -> None:
    """Write all networks."""
    for name, make in MAKERS.items():
        write_atomically(directory / f"{name}.json", dumps(make()).encode())


if __name__ == "__main__":
    main()
