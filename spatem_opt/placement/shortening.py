"""Exchanges of routers within a segment that shorten the way of its data: a quadratic assignment, improved locally."""

from __future__ import annotations

import numpy as np

from spatem_opt.model.architecture import Architecture
from spatem_opt.types import BoolArray, FloatArray, IntArray

SWEEPS = 6
"""Times every segment gets its turn, at most."""
ROUNDS = 300
"""Rounds of exchanges in one turn, at most."""
AT_ONCE = 8
"""Exchanges of different routers tried in one round."""
SAME_ROUTER = 0.7
"""Mean distance between two tiles of one router: none if they are the same tile, else one."""


def shorten(bits: FloatArray, architecture: Architecture, allowed: BoolArray) -> IntArray:
    """New router of every item, so that bits times hops shrink.

    Every exchange is the best one, or several of the best ones that share no router if together they gain more; the
    change in cost of all exchanges of a segment is one product of matrices.

    Parameters
    ----------
    bits : float array
        From item to item (:func:`~spatem_opt.cost.traffic.traffic`).
    architecture : Architecture
    allowed : bool array, shape (segments, routers)
        Routers that each segment may use.

    Returns
    -------
    int64 array, shape (segments, routers)
        Router to which the content of each router goes, segment by segment.
    """
    distance, outside = _distances(architecture)
    routers = len(outside)
    both = bits[:-1, :-1] + bits[:-1, :-1].T
    fixed = (bits[:-1, -1] + bits[-1, :-1])[:, None] * outside
    place = np.tile(np.arange(routers), len(allowed))
    for _ in range(SWEEPS):
        gained = 0.0
        for segment, region in enumerate(allowed):
            mine = segment * routers + np.flatnonzero(region)
            if len(mine) < 2:
                continue
            other = np.ones(len(place), dtype=np.bool_)
            other[mine] = False
            pull = fixed[mine] + both[np.ix_(mine, other)] @ distance[place[other]]
            inner = both[np.ix_(mine, mine)]
            np.fill_diagonal(inner, 0.0)
            gained += _exchange(place, mine, pull, inner, distance)
        if gained <= 0.002 * (both * distance[np.ix_(place, place)]).sum() / 2:
            break
    return place.reshape(len(allowed), routers)


def _distances(architecture: Architecture) -> tuple[FloatArray, FloatArray]:
    """Hops between routers, and from the outside."""
    y, x = np.divmod(np.arange(architecture.mesh_rows * architecture.mesh_cols), architecture.mesh_cols)
    distance = 1.0 + abs(y[:, None] - y) + abs(x[:, None] - x)
    np.fill_diagonal(distance, SAME_ROUTER)
    return distance, 1.0 + y + (0 if architecture.input_entry == "columns" else x)


def _exchange(place: IntArray, mine: IntArray, pull: FloatArray, inner: FloatArray, distance: FloatArray) -> float:
    """Improve the places of one segment's items in place; returns what was gained.

    ``pull``: cost of every item at every router due to everything outside the segment. ``inner``: bits within it.
    """
    start = cost = _cost(place[mine], pull, inner, distance)
    for _ in range(ROUNDS):
        now = place[mine]
        at = (pull + inner @ distance[now])[:, now]
        own = np.diag(at)
        change = at + at.T - own[:, None] - own + 2 * inner * (distance[np.ix_(now, now)] - SAME_ROUTER)
        best = _apart(change)
        after = now.copy()
        after[best[:, 0]], after[best[:, 1]] = now[best[:, 1]], now[best[:, 0]]
        several = _cost(after, pull, inner, distance)
        i, k = best[0]
        if several > cost + change[i, k]:
            after = now.copy()
            after[[i, k]] = now[[k, i]]
            several = _cost(after, pull, inner, distance)
        if several >= cost - 1e-9 * start:
            break
        place[mine], cost = after, several
    return start - cost


def _cost(place: IntArray, pull: FloatArray, inner: FloatArray, distance: FloatArray) -> float:
    return float(pull[np.arange(len(place)), place].sum() + (inner * distance[np.ix_(place, place)]).sum() / 2)


def _apart(change: FloatArray) -> IntArray:
    """The best exchanges that share no item, best first; shape (exchanges, 2)."""
    rows, cols = np.triu_indices(len(change), 1)
    gain = change[rows, cols]
    best = np.argpartition(gain, min(len(gain) - 1, 20 * AT_ONCE))[: 20 * AT_ONCE]
    best = best[np.argsort(gain[best], kind="stable")]
    chosen: list[tuple[int, int]] = []
    taken: set[int] = set()
    for i, k in zip(rows[best].tolist(), cols[best].tolist(), strict=True):
        if not {i, k} & taken and (not chosen or change[i, k] < 0) and len(chosen) < AT_ONCE:
            chosen.append((i, k))
            taken |= {i, k}
    return np.array(chosen)
