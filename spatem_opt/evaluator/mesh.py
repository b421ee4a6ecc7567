"""Tiles, routers and routes (``formulations/README.md``, M1). The outside world is one tile more: number ``tiles``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spatem_opt.limits import check_size
from spatem_opt.model.architecture import Architecture
from spatem_opt.types import IntArray


@dataclass(frozen=True, slots=True)
class Mesh:
    """The router mesh of a chip."""

    arch: Architecture

    @property
    def outside(self) -> int:
        """Tile number that stands for the outside world, at router (0, 0)."""
        return self.arch.tiles

    @property
    def routers(self) -> int:
        """Routers of the mesh."""
        return self.arch.mesh_rows * self.arch.mesh_cols

    def router(self, tile: IntArray) -> IntArray:
        """Router of each tile; the outside is at router 0."""
        return np.where(tile == self.outside, 0, tile // self.arch.tiles_per_router)

    def hops(self, source: IntArray, target: IntArray) -> IntArray:
        """Routers passed from tile to tile (arrays broadcast), 0 within a tile."""
        y0, x0 = np.divmod(self.router(source), self.arch.mesh_cols)
        y1, x1 = np.divmod(self.router(target), self.arch.mesh_cols)
        found: IntArray = np.where(source == target, 0, 1 + np.abs(x0 - x1) + np.abs(y0 - y1))
        return found

    def delay(self, source: IntArray, target: IntArray, bits: IntArray) -> IntArray:
        """Cycles of a transfer of ``bits`` (arrays broadcast): 0 within a tile or without bits."""
        flight = self.hops(source, target) * self.arch.hop_cycles - (-bits // self.arch.router_bits_per_cycle)
        found: IntArray = np.where((source == target) | (bits == 0), 0, flight)
        return found

    def flows(self, row: IntArray, target: IntArray, bits: IntArray, rows: int) -> IntArray:
        """Sum bits by (row, router of the target tile), shape (rows, routers)."""
        check_size("chip", "tiles that send * routers", rows * self.routers, "entries of a table of tiles")
        found = np.zeros(rows * self.routers, np.int64)
        np.add.at(found, row * self.routers + self.router(target), bits)
        return found.reshape(rows, self.routers)

    def loads(self, source: IntArray, flows: IntArray) -> IntArray:
        """Bits that pass each router on X-Y routes.

        Parameters
        ----------
        source : int64 array, shape (k,)
            Source tiles.
        flows : int64 array, shape (k, routers)
            Bits from each source to tiles at each router (without the bits that stay in the tile).

        Returns
        -------
        int64 array, shape (k, routers)
            Both ends of a route count. First along x in the row of the source, then along y in the target's column.
        """
        high, wide = self.arch.mesh_rows, self.arch.mesh_cols
        y0, x0 = (axis[:, None] for axis in np.divmod(self.router(source), wide))
        grid = flows.reshape(-1, high, wide)
        found = _beyond(grid, y0, axis=1)
        row = _beyond(grid.sum(1)[:, None, :], x0, axis=2)[:, 0, :]
        found[np.arange(len(grid)), y0[:, 0]] = row
        return found.reshape(-1, self.routers)


def _beyond(flows: IntArray, origin: IntArray, axis: int) -> IntArray:
    """For every point of an axis, the flow that reaches it or goes past it when starting from ``origin``."""
    up_to = flows.cumsum(axis)
    onward = np.flip(np.flip(flows, axis).cumsum(axis), axis)
    total = np.take(up_to, [-1], axis)
    shape = (1, -1, 1) if axis == 1 else (1, 1, -1)
    place = np.arange(flows.shape[axis]).reshape(shape)
    start = origin.reshape(-1, 1, 1)
    found: IntArray = np.where(place > start, onward, np.where(place < start, up_to, total))
    return found
