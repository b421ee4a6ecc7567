"""Taps: which input rows (columns) every output row (column) of a sliding operator reads.

A tap array has shape (outputs, taps), dtype int64, -1 where a tap falls on padding. Both axes of an image are treated
alike, so everything here is about one axis. Arrays are cached, shared between edges and hence read-only.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from spatem_opt.limits import check_size, table_size
from spatem_opt.types import FloatArray, IntArray


def _frozen(array: IntArray) -> IntArray:
    array.setflags(write=False)
    return array


def check_table(outputs: int, kernel: int) -> None:
    """Refuse tables that are too large, before they are made."""
    check_size("taps", "outputs", outputs, "pixels on an axis")
    check_size("taps", "kernel", kernel, "taps on an axis")
    check_size("taps", "outputs * kernel", table_size(outputs, kernel), "taps of one axis of an edge")


@lru_cache(maxsize=4096)
def window_taps(
    outputs: int, kernel: int, stride: int = 1, pad: int = 0, dilation: int = 1, length: int = 1
) -> IntArray:
    """Taps of a convolution or pooling window: tap i of output y is ``y*stride - pad + i*dilation``.

    Parameters
    ----------
    outputs, kernel : int
        Shape of the result.
    stride, pad, dilation : int
        ``pad`` is the padding before the first input; stride 0 makes all outputs read the same.
    length : int
        Inputs on this axis; what lies outside is padding (-1).

    Examples
    --------
    >>> window_taps(3, 3, stride=2, pad=1, length=5).tolist()
    [[-1, 0, 1], [1, 2, 3], [3, 4, -1]]
    """
    check_table(outputs, kernel)
    taps = np.arange(outputs)[:, None] * stride - pad + np.arange(kernel)[None, :] * dilation
    return _frozen(np.where((taps >= 0) & (taps < length), taps, -1))


@lru_cache(maxsize=4096)
def transposed_taps(
    outputs: int, kernel: int, stride: int = 1, pad: int = 0, dilation: int = 1, length: int = 1
) -> IntArray:
    """Taps of a transposed convolution: input j reaches output ``j*stride - pad + i*dilation`` through weight i.

    Tap i of output y is the j of which this holds, -1 if there is none: a stuffed zero, padding, or a row that exists
    by ``output_padding`` only.

    Examples
    --------
    >>> transposed_taps(4, 2, stride=2, length=2).tolist()
    [[0, -1], [-1, 0], [1, -1], [-1, 1]]
    """
    check_table(outputs, kernel)
    position = np.arange(outputs)[:, None] + pad - np.arange(kernel)[None, :] * dilation
    taps = position // stride
    return _frozen(np.where((position % stride == 0) & (taps >= 0) & (taps < length), taps, -1))


@lru_cache(maxsize=4096)
def full_taps(outputs: int, length: int) -> IntArray:
    """Every output reads all ``length`` inputs (global pooling, fully connected); takes no memory per output."""
    check_table(outputs, length)
    return _frozen(np.broadcast_to(np.arange(length), (outputs, length)))


@lru_cache(maxsize=4096)
def identity_taps(length: int) -> IntArray:
    """Output y reads input y only."""
    check_table(length, 1)
    return _frozen(np.arange(length)[:, None])


@lru_cache(maxsize=4096)
def broadcast_taps(outputs: int) -> IntArray:
    """All outputs read the only input (a C x 1 x 1 operand of an elementwise operator)."""
    check_table(outputs, 1)
    return _frozen(np.zeros((outputs, 1), dtype=np.int64))


@lru_cache(maxsize=4096)
def identity_view(length: int) -> IntArray:
    """The view that changes nothing, shape (length,); see :class:`spatem_opt.network.builder.Tensor`."""
    return _frozen(np.arange(length))


def padded(view: IntArray, before: int, after: int, mode: str = "constant") -> IntArray:
    """A view with padding (-1, or pixels as ``np.pad`` in another `mode` takes them) around; negative numbers crop."""
    around = (max(before, 0), max(after, 0))
    check_size("feature map", "pixels with padding", len(view) + sum(around), "pixels on an axis")
    options: dict[str, Any] = {"constant_values": -1} if mode == "constant" else {}
    grown: IntArray = np.asarray(np.pad(view, around, mode=mode, **options))  # type: ignore[call-overload]
    return grown[max(-before, 0) : len(grown) - max(-after, 0)]


def through_view(view: IntArray, taps: IntArray) -> IntArray:
    """Taps into the producer, given taps into a view of it (padded, cropped, strided); -1 stays -1."""
    if np.array_equal(view, identity_view(len(view))):
        return taps
    return _frozen(np.where(taps >= 0, view[taps], -1))


def window_size(
    length: int, kernel: int, stride: int = 1, pads: tuple[int, int] = (0, 0), dilation: int = 1, ceil: bool = False
) -> int:
    """Outputs of a convolution or pooling window on one axis (0 or less if the kernel does not fit).

    With ``ceil`` the last window may reach past the padded input but must not begin behind input and left padding.
    """
    free = length + sum(pads) - (kernel - 1) * dilation - 1
    if not ceil:
        return free // stride + 1
    size = -(-free // stride) + 1
    return size - 1 if (size - 1) * stride >= length + pads[0] else size


def same_pads(length: int, kernel: int, stride: int, dilation: int, upper: bool = True) -> tuple[int, int]:
    """Padding (before, after) such that ``ceil(length / stride)`` outputs come out; an odd one goes after if upper."""
    total = max((-(-length // stride) - 1) * stride + (kernel - 1) * dilation + 1 - length, 0)
    return (total // 2, total - total // 2) if upper else (total - total // 2, total // 2)


def steps(taps: IntArray) -> tuple[int, int]:
    """By how many pixels the taps of one output after the other, and of one output among themselves, are apart.

    Returns
    -------
    along, within : int
        The difference that more than two thirds of all pairs of neighbours have (padding, above all a reflected one,
        breaks the pattern at the border); 0 if there is none.

    Examples
    --------
    >>> steps(window_taps(4, 3, stride=2, pad=1, dilation=3, length=20))
    (2, 3)
    """
    return _usual_step(taps[:-1], taps[1:]), _usual_step(taps[:, :-1], taps[:, 1:])


def _usual_step(first: IntArray, second: IntArray) -> int:
    apart, count = np.unique((second - first)[(first >= 0) & (second >= 0)], return_counts=True)
    most = int(count.argmax()) if len(count) else 0
    return int(apart[most]) if len(count) and 3 * count[most] > 2 * count.sum() else 0


def slides(taps: IntArray, stride: int, dilation: int) -> bool:
    """Whether the taps are those of a window that slides: tap i of output y depends on ``y*stride + i*dilation`` only.

    With a stride of 1 and a negative dilation: whether they are those of a transposed convolution.
    """
    outputs, kernel = taps.shape
    position = (np.arange(outputs)[:, None] * stride + np.arange(kernel) * dilation).ravel()
    order = np.argsort(position, kind="stable")
    same = np.diff(position[order]) == 0
    return not (same & (np.diff(taps.ravel()[order]) != 0)).any()


def upsampling(taps: IntArray, dilation: int) -> int:
    """The upsampling factor of a transposed convolution's taps: how far the outputs of neighbouring inputs are apart.

    The dilation is that of :func:`slides`, negative if tap 0 comes last.

    0 if the taps do not tell: only one input is read.
    """
    outputs, kernel = np.nonzero(taps >= 0)
    position = np.unique(outputs + kernel * dilation)
    return int(np.gcd.reduce(np.diff(position))) if len(position) > 1 else 0


def half_pixel(x: FloatArray, length: int, outputs: int, scale: float) -> FloatArray:
    """Input coordinate of output x if pixels are areas whose centres correspond."""
    return (x + 0.5) / scale - 0.5


def pytorch_half_pixel(x: FloatArray, length: int, outputs: int, scale: float) -> FloatArray:
    """As :func:`half_pixel`, but a single output reads coordinate 0."""
    return half_pixel(x, length, outputs, scale) if outputs > 1 else np.zeros_like(x)


def align_corners(x: FloatArray, length: int, outputs: int, scale: float) -> FloatArray:
    """Input coordinate if the first and last pixels correspond."""
    return x * (length - 1) / (outputs - 1) if outputs > 1 else np.zeros_like(x)


def asymmetric(x: FloatArray, length: int, outputs: int, scale: float) -> FloatArray:
    """Input coordinate if the first pixels' upper left corners correspond."""
    return x / scale


def half_pixel_symmetric(x: FloatArray, length: int, outputs: int, scale: float) -> FloatArray:
    """As :func:`half_pixel`, centred although ``scale * length`` is not an integer."""
    return length / 2 * (1 - outputs / (scale * length)) + half_pixel(x, length, outputs, scale)


COORDINATES: dict[str, Callable[[FloatArray, int, int, float], FloatArray]] = {
    f.__name__: f for f in (half_pixel, pytorch_half_pixel, align_corners, asymmetric, half_pixel_symmetric)
}
ROUNDING: dict[str, Callable[[FloatArray], FloatArray]] = {
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


def resize_taps(
    outputs: int,
    length: int,
    scale: float | None = None,
    mode: str = "nearest",
    coordinates: str = "asymmetric",
    rounding: str = "floor",
) -> IntArray:
    """Taps of a resize along one axis: 1 (nearest), 2 (linear) or 4 (cubic) per output, clamped to the border.

    Parameters
    ----------
    outputs, length : int
        Outputs and inputs on this axis.
    scale : float or None
        ``outputs / length`` if None.
    mode : {"nearest", "linear", "cubic"}
    coordinates, rounding : str
        Keys of `COORDINATES` and, for nearest, `ROUNDING`: the names of ONNX's Resize.

    Examples
    --------
    >>> resize_taps(6, 3).ravel().tolist()
    [0, 0, 1, 1, 2, 2]
    """
    check_table(outputs, 4)
    x = COORDINATES[coordinates](np.arange(outputs, dtype=np.float64), length, outputs, scale or outputs / length)
    x = np.round(x, 9)  # 0.1 * 30 is not 3: coordinates that should be integers must not fall to the pixel before
    if mode == "nearest":
        taps = ROUNDING[rounding](x)[:, None]
    else:
        first = np.floor(x)[:, None]
        offsets = np.arange(2) if mode == "linear" else np.arange(-1, 3)
        # A pixel of weight 0 is not read: coordinates that hit a pixel read that one only.
        taps = np.where(x[:, None] == first, first, first + offsets)
    return _frozen(np.clip(taps, 0, length - 1).astype(np.int64))
