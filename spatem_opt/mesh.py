"""What routers pass when data take the X-Y route (``formulations/README.md``, M1)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spatem_opt.architecture import Architecture

FloatArray = NDArray[np.float64]


class Mesh:
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
