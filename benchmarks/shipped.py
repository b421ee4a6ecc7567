"""What the scripts beside this one run on."""

SHIPPED = (
    "lenet5", "cifar10", "alexnet", "vgg13", "vgg16", "squeezenet", "googlenet", "inception_v3", "resnet18", "resnet34",
    "resnet50", "resnet101", "resnet152", "densenet121", "mobilenet_v2",
)  # fmt: skip
"""Shipped networks that fit on the default chip: VGG-19 does not."""
