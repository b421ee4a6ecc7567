"""What routers pass when data take the X-Y route (``formulations/README.md``, M1)."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from spatem_opt.model.architecture import Architecture
from spatem_opt.types import FloatArray, IntArray

Float = TypeVar("Float", NDArray[np.float32], NDArray[np.float64])


class RouterMesh:
    """What the routers of a mesh pass when data take the X-Y route (M1), both ends included."""

    def __init__(self, architecture: Architecture) -> None:
        self.rows, self.cols = architecture.mesh_rows, architecture.mesh_cols
        self._along_x = _between(self.cols)
        self._along_y = _between(self.rows)
        self._along_y[np.arange(self.rows), :, np.arange(self.rows)] = 0.0  # where data turn, counted along x

    def sent(self, router: int, bits: FloatArray) -> FloatArray:
        """Load of every router by data from one of them; ``bits`` by receiving router."""
        y, x = divmod(router, self.cols)
        to = bits.reshape(self.rows, self.cols)
        load = self._along_y[y].T @ to
        load[y] += to.sum(axis=0) @ self._along_x[x]
        return np.asarray(load.ravel())

    def sent_by_each(self, router: IntArray, bits: FloatArray) -> FloatArray:
        """:meth:`sent` for several at once: ``router`` of shape (n,), ``bits`` and loads of shape (n, routers)."""
        y, x = np.divmod(router, self.cols)
        to = bits.reshape(-1, self.rows, self.cols)
        load = np.matmul(self._along_y[y].transpose(0, 2, 1), to)
        load[np.arange(len(y)), y] += np.matmul(to.sum(axis=1)[:, None], self._along_x[x])[:, 0]
        return np.asarray(load.reshape(len(y), -1))

    def received_by_each(self, router: IntArray, bits: FloatArray) -> FloatArray:
        """:meth:`received` for several at once."""
        y, x = np.divmod(router, self.cols)
        source = bits.reshape(-1, self.rows, self.cols)
        load = np.matmul(source, self._along_x[:, x].transpose(1, 0, 2))
        along_y = self._along_y[:, y].transpose(1, 0, 2)
        load[np.arange(len(y)), :, x] += np.matmul(source.sum(axis=2)[:, None], along_y)[:, 0]
        return np.asarray(load.reshape(len(y), -1))

    def ways(self, weight: Float) -> Float:
        """Sum of the routers' weights on the way from each to each; shape (routers, routers)."""
        table = weight.reshape(self.rows, self.cols)
        along_x = self._along_x.astype(weight.dtype) @ table.T  # [from x, to x, y]
        along_y = self._along_y.astype(weight.dtype) @ table  # [from y, to y, x]
        found = along_x.transpose(2, 0, 1)[:, :, None, :] + along_y[:, None, :, :]
        return np.ascontiguousarray(found).reshape(len(weight), -1)

    def loads(self, bits: FloatArray) -> FloatArray:
        """Load of every router; ``bits`` by sending and receiving router."""
        table = bits.reshape(self.rows, self.cols, self.rows, self.cols)
        load = table.sum(axis=2).reshape(self.rows, -1) @ self._along_x.reshape(-1, self.cols)
        down = table.sum(axis=1).transpose(2, 0, 1).reshape(self.cols, -1)
        return np.asarray((load + (down @ self._along_y.reshape(-1, self.rows)).T).ravel())

    def received(self, router: int, bits: FloatArray) -> FloatArray:
        """Load of every router by data to one of them; ``bits`` by sending router."""
        y, x = divmod(router, self.cols)
        source = bits.reshape(self.rows, self.cols)
        load = source @ self._along_x[:, x]
        load[:, x] += source.sum(axis=1) @ self._along_y[:, y]
        return np.asarray(load.ravel())


def _between(length: int) -> FloatArray:
    """Whether a place lies on the way from one to another, ends included: [from, to, place]."""
    place = np.arange(length)
    low, high = np.minimum(place[:, None], place)[:, :, None], np.maximum(place[:, None], place)[:, :, None]
    return np.asarray((low <= place) & (place <= high), dtype=np.float64)
