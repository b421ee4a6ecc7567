"""Exchanges of tiles that relieve the busiest routers: what they pass bounds how fast inferences can follow (M7)."""

from __future__ import annotations

import numpy as np

from spatem_opt.cost.mesh import RouterMesh
from spatem_opt.model.architecture import Architecture
from spatem_opt.placement.segment_relief import entry_ways
from spatem_opt.types import FloatArray, IntArray

POWER = 8
"""What shrinks is the sum of this power of all loads: nearly the largest one, but others close to it count, too."""
HOTTEST, RARELY = 6, 4
"""Routers of which one gives away a tile, and in which part of the tries; else any tile may go."""
TRIES = 20_000
"""Exchanges tried, at most."""


class Tiles:
    """Where the content of every tile lies, and what the routers pass.

    Parameters
    ----------
    bits : float array, shape (tiles + 1, tiles + 1)
        From tile to tile in one inference; the last row and column stand for the outside.
    architecture : Architecture
    """

    def __init__(self, bits: FloatArray, architecture: Architecture) -> None:
        self.mesh, self.routers = RouterMesh(architecture), architecture.mesh_rows * architecture.mesh_cols
        self.out = bits.copy()
        np.fill_diagonal(self.out, 0.0)
        self.into = np.ascontiguousarray(self.out.T)
        self.outside, self.entry = self.out[-1] + self.into[-1], entry_ways(architecture)
        for table in (self.out, self.into):
            table[-1] = table[:, -1] = 0.0
        self.router = np.append(np.arange(len(bits) - 1) // architecture.tiles_per_router, 0)
        tiles = range(len(bits) - 1)
        self.load = sum((self._sent(tile) for tile in tiles), np.zeros(self.routers))
        self.load += self.outside @ self.entry[self.router]

    def _sent(self, tile: int) -> FloatArray:
        return self.mesh.sent(int(self.router[tile]), self._by_router(self.out[tile]))

    def _own(self, tile: int, other: int) -> FloatArray:
        """Load by what a tile sends, and what it receives from elsewhere than another tile."""
        into = self.into[tile].copy()
        into[other] = 0.0
        here = int(self.router[tile])
        outside: FloatArray = self.outside[tile] * self.entry[here]
        return self._sent(tile) + self.mesh.received(here, self._by_router(into)) + outside

    def _by_router(self, bits: FloatArray) -> FloatArray:
        return np.bincount(self.router, bits, self.routers).astype(np.float64)

    def exchanged(self, one: int, other: int) -> FloatArray:
        """Exchange two tiles; the load of the routers then, which is left to the caller to take over."""
        load = self.load - self._own(one, other) - self._own(other, one)
        self.router[[one, other]] = self.router[[other, one]]
        return load + self._own(one, other) + self._own(other, one)


def relieve_period(
    bits: FloatArray, architecture: Architecture, enough: float, tries: int = TRIES
) -> tuple[IntArray, float]:
    """New tile of what each tile holds, so that no router passes much more than others; load of the busiest [bits].

    Tiles change places at random, now and then one of a router among the busiest, and stay so if the loads' sum of
    powers falls.

    Parameters
    ----------
    bits : float array
        From tile to tile (:func:`~spatem_opt.cost.traffic.traffic`).
    architecture : Architecture
    enough : float
        Load [bits] at which there is nothing to gain any more.
    tries : int
    """
    tiles, random = Tiles(bits, architecture), np.random.default_rng(0)
    number = architecture.tiles
    cost = ((tiles.load / enough) ** POWER).sum()
    for attempt in range(tries):
        if tiles.load.max() <= enough:
            break
        one, other = random.integers(number, size=2).tolist()
        if attempt % RARELY == 0:
            hot = np.argpartition(tiles.load, -min(HOTTEST, len(tiles.load)))[-HOTTEST:]
            one = int(random.choice(np.flatnonzero(tiles.router[:-1] == random.choice(hot))))
        if tiles.router[one] == tiles.router[other]:
            continue
        load = tiles.exchanged(one, other)
        after = ((load / enough) ** POWER).sum()
        if after < cost:
            tiles.load, cost = load, after
        else:
            tiles.router[[one, other]] = tiles.router[[other, one]]
    place = np.empty(number, dtype=np.int64)
    place[np.argsort(tiles.router[:-1], kind="stable")] = np.arange(number)
    return place, float(tiles.load.max())
