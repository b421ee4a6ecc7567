"""Exchanges of a segment's tiles that relieve the routers it crowds, so that it need not wait for them (M8)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spatem_opt.cost.mesh import RouterMesh
from spatem_opt.cost.traffic import Flows
from spatem_opt.model.architecture import Architecture
from spatem_opt.types import OUTSIDE, FloatArray, IntArray

SingleArray = NDArray[np.float32]

POWERS, ROUNDS, IDLE = (4, 8, 16), (20, 40, 40), 3
"""What shrinks is the sum of these powers of all loads, one after the other: at first all of them, then the largest;
rounds of exchanges for each at most; rounds without one after which the next power's turn comes."""
QUIET = 0.85
"""Share of what routers pass within a segment's time that loads may take: where all are below nothing is to be gained.
"""
MEET = 4096
"""Cycles around which what another segment sends meets a segment's in queues: half of them before and after it."""
LOOKED, MET, TRIED, TAKEN = 64, 0.2, 32, 6
"""Tiles of a round that look for a partner; share of all tiles among which they do; exchanges whose loads are computed;
exchanges made, at most."""


def relieve_segments(
    flows: Flows, kinds: IntArray, lasts: FloatArray, architecture: Architecture, place: IntArray | None = None
) -> IntArray:
    """New tile of what each segment keeps at each tile, so that no router passes much more than others.

    Segment by segment, tiles of one kind change places while the sum of powers of the routers' loads falls, loads being
    all that a segment sends or receives, and what others send that meets it in a queue (:data:`MEET`). What exchanges
    may gain is a product of matrices, in which the way from router to router is as long as the powers' slopes say; the
    most promising ones are then computed exactly.

    Parameters
    ----------
    flows : Flows
        From tile to tile.
    kinds : int64 array, shape (segments, tiles)
        Tiles of a segment change places with others of their kind only.
    lasts : float array, shape (segments,)
        Cycles that each segment computes, one after the other.
    architecture : Architecture
    place : int64 array, shape (segments, tiles), optional
        Where contents lie at first; where they are by default.

    Returns
    -------
    int64 array, shape (segments, tiles)
    """
    place = np.tile(np.arange(flows.places), (flows.segments, 1)) if place is None else place.copy()
    meets = _meetings(lasts, MEET)
    budget = QUIET * architecture.router_bits_per_cycle * (meets @ lasts)
    passed: dict[tuple[int, int], FloatArray] = {}
    for segment in range(flows.segments):
        if len(np.unique(kinds[segment])) == flows.places:
            continue  # none may move
        crowd = _Crowd(flows, segment, place, architecture)
        for pair in flows.blocks:
            if segment not in pair and pair[0] != OUTSIDE and meets[segment, pair[0]] > 0:
                if pair not in passed:
                    passed[pair] = _passed(flows, pair, place, architecture)
                crowd.load += meets[segment, pair[0]] * passed[pair]
        crowd.relieve(kinds[segment], float(budget[segment]))
        place[segment] = crowd.tile
        passed = {pair: load for pair, load in passed.items() if segment not in pair}
    return place


def _meetings(lasts: FloatArray, width: int) -> FloatArray:
    """Share of a segment's time that lies within half a bin of another one's; shape (segments, segments)."""
    end = np.cumsum(lasts)
    begin = end - lasts
    low = np.maximum(begin[:, None] - width / 2, begin)
    high = np.minimum(end[:, None] + width / 2, end)
    return np.asarray(np.maximum(high - low, 0.0) / np.maximum(lasts, 1.0))


def _passed(flows: Flows, pair: tuple[int, int], place: IntArray, architecture: Architecture) -> FloatArray:
    """Load of every router by what one segment sends another."""
    begin, end = (np.zeros(1, dtype=np.int64) if s == OUTSIDE else place[s] for s in pair)
    received = _by_router(flows.blocks[pair], end, architecture)
    return RouterMesh(architecture).loads(_by_router(received.T, begin, architecture).T.astype(np.float64))


def _by_router(bits: FloatArray | SingleArray, tile: IntArray, architecture: Architecture) -> SingleArray:
    """Columns, which lie at all tiles, or at one, added up by router."""
    per_router = architecture.tiles_per_router
    if len(tile) == architecture.tiles:
        order = np.argsort(tile)
        parts = [np.take(bits, order[k::per_router], axis=1) for k in range(per_router)]
        return np.asarray(sum(parts[1:], start=parts[0]), dtype=np.float32)
    found = np.zeros((len(bits), architecture.mesh_rows * architecture.mesh_cols), dtype=np.float32)
    found[:, tile // per_router] = bits
    return found


def entry_ways(architecture: Architecture) -> SingleArray:
    """Routers that data from (to) outside pass on the way to each router (M1); shape (routers, routers), 0 or 1."""
    y, x = np.divmod(np.arange(architecture.mesh_rows * architecture.mesh_cols), architecture.mesh_cols)
    if architecture.input_entry == "columns":
        return np.asarray((x[:, None] == x) & (y[:, None] >= y), dtype=np.float32)
    along = (y == 0) & (x[:, None] >= x)
    return np.asarray(along | ((x[:, None] == x) & (y[:, None] >= y)), dtype=np.float32)


NOTHING = 1e-20
"""Slopes taken for none: products of numbers near the smallest ones are many times slower."""


class _Crowd:
    """The tiles of one segment, which may move, and all others, which stay.

    ``tile`` is where the content of each lies, ``load`` what routers pass. ``to`` and ``by`` are the bits that each
    content sends to, and receives from, every router; ``inner`` those between contents.
    """

    def __init__(self, flows: Flows, segment: int, place: IntArray, architecture: Architecture) -> None:
        self.architecture, self.mesh, self.per_router = (
            architecture,
            RouterMesh(architecture),
            architecture.tiles_per_router,
        )
        self.random = np.random.default_rng(segment)
        self.tile = place[segment].copy()
        none = np.zeros((flows.places, flows.places), dtype=np.float32)
        self.inner = flows.blocks.get((segment, segment), none).astype(np.float32)
        np.fill_diagonal(self.inner, 0.0)
        self.to, self.by = self._at_routers(self.inner, self.tile), self._at_routers(self.inner.T, self.tile)
        fixed = np.zeros_like(self.to)
        self.entry = entry_ways(architecture)
        self.outside = np.zeros(flows.places, dtype=np.float32)
        for (begin, end), bits in flows.blocks.items():
            if (begin == segment) != (end == segment):
                other = end if begin == segment else begin
                if other == OUTSIDE:
                    self.outside += bits.sum(axis=1 if begin == segment else 0)
                    continue
                side = self._at_routers(bits if begin == segment else bits.T, place[other])
                if begin == segment:
                    self.to += side
                else:
                    self.by += side
                    fixed += side
        self.load = self._total(self.to) + self._total(fixed, received=True) + self.outside @ self.entry[self.router]

    @property
    def router(self) -> IntArray:
        """Router of every content."""
        return np.asarray(self.tile // self.per_router)

    def _at_routers(self, bits: FloatArray | SingleArray, tile: IntArray) -> SingleArray:
        return _by_router(bits, tile, self.architecture)

    def _total(self, bits: SingleArray, *, received: bool = False) -> FloatArray:
        table = self._at_routers(bits.T, self.tile)  # [other router, router of the content]
        return self.mesh.loads((table if received else table.T).astype(np.float64))

    def relieve(self, kind: IntArray, budget: float) -> None:
        """Exchange contents until no more is gained."""
        for power, rounds in zip(POWERS, ROUNDS, strict=True):
            idle, scale = 0, float(self.load.max())
            for _ in range(rounds):
                if self.load.max() <= budget or idle == IDLE:
                    break
                one, other = self._promising(kind, power, scale)
                idle = 0 if len(one) and self._take(one, other, power, scale) else idle + 1

    def _promising(self, kind: IntArray, power: int, scale: float) -> tuple[IntArray, IntArray]:
        """Exchanges that seem to gain most, with some chance, as columns."""
        router, slope = self.router, (self.load / scale) ** (power - 1)
        slope = np.where(slope < NOTHING, 0.0, slope).astype(np.float32)
        way = self.mesh.ways(slope)
        back_way = np.ascontiguousarray(way.T)
        enters = self.entry @ slope  # cost of a bit from outside
        own = (
            self.outside * enters[router]
            + np.einsum("ij,ij->i", self.to, way[router])
            + np.einsum("ij,ij->i", self.by, back_way[router])
        )
        heavy = own * self.random.random(len(own), dtype=np.float32)
        looked = np.argpartition(heavy, -min(LOOKED, len(own)))[-LOOKED:]
        met = self.random.permutation(len(own))[: max(1, int(MET * len(own)))]
        here, away = router[looked], router[met]
        there = self.to[looked] @ back_way + self.by[looked] @ way  # their cost at every router
        there += self.outside[looked, None] * enters
        back = way[here] @ self.to[met].T + back_way[here] @ self.by[met].T  # that of others where they are
        back += enters[here][:, None] * self.outside[met]
        gain = own[looked, None] + own[met] - there[:, away] - back
        gain[(kind[looked, None] != kind[met]) | (here[:, None] == away)] = 0.0
        gain *= self.random.random(gain.shape, dtype=np.float32)
        partner = gain.argmax(axis=1)
        best = gain[np.arange(len(looked)), partner]
        order = np.argsort(-best, kind="stable")[:TRIED]
        order = order[best[order] > 0]
        return looked[order], met[partner[order]]

    def _take(self, one: IntArray, other: IntArray, power: int, scale: float) -> bool:
        """Make the best of some exchanges, each if it still gains; whether any was made."""
        made: set[int] = set()
        cost = ((self.load / scale) ** power).sum()
        loads = self.load + self._change(one, other)
        after = ((loads / scale) ** power).sum(axis=1)
        for best in np.argsort(after, kind="stable").tolist():
            pair = int(one[best]), int(other[best])
            if after[best] >= cost or len(made) == 2 * TAKEN:
                break
            if made.intersection(pair):
                continue
            load = self.load + self._change(one[[best]], other[[best]])[0] if made else loads[best]
            least = ((load / scale) ** power).sum()
            if least < cost:
                self._exchange(*pair)
                self.load, cost = np.maximum(load, 0.0), least
                made.update(pair)
        return bool(made)

    def _change(self, one: IntArray, other: IntArray) -> FloatArray:
        """What exchanges change the routers' loads by, each on its own; shape (exchanges, routers)."""
        here, there, row = self.router[one], self.router[other], np.arange(len(one))
        out, back = self.inner[one, other], self.inner[other, one]
        more, less = self.to[one] - self.to[other], self.to[other] - self.to[one]  # sent from there, from here
        more[row, there] -= out
        more[row, here] += out
        less[row, here] -= back
        less[row, there] += back
        into = self.by[one] - self.by[other]  # received there, without what they send each other
        into[row, there] -= back
        into[row, here] += out
        ends = np.concatenate([there, here])
        sent = self.mesh.sent_by_each(ends, np.concatenate([more, less]))
        received = self.mesh.received_by_each(ends, np.concatenate([into, -into]))
        entered = (self.outside[one] - self.outside[other])[:, None] * (self.entry[there] - self.entry[here])
        return np.asarray((sent + received).reshape(2, len(one), -1).sum(axis=0) + entered)

    def _exchange(self, one: int, other: int) -> None:
        here, there = self.router[[one, other]]
        for table, bits in ((self.to, self.inner), (self.by, self.inner.T)):
            moved = bits[:, other] - bits[:, one]
            table[:, here] += moved
            table[:, there] -= moved
        self.tile[[one, other]] = self.tile[[other, one]]
