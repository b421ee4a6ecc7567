"""Certified lower bounds of the grouping problem (``formulations/grouping/README.md``, section Bounds).

All arithmetic is on Python integers or int64, rounded up only where the optimum is an integer.
"""

from __future__ import annotations

from itertools import pairwise
from math import gcd

import numpy as np

from spatem_opt.grouping.problem import GroupingProblem
from spatem_opt.types import NEVER, IntArray

DP_LIMIT = 400_000
"""Most additions spent on the exact split of the OUs into group sizes."""
TOUCH_LIMIT = 50_000
"""Most OUs for the integer pairs of row and column touches."""


def lower_bound(problem: GroupingProblem) -> int:
    """The best of all bounds here, up to a multiple of gcd(a, b) [bits per window].

    Examples
    --------
    >>> lower_bound(GroupingProblem(rows=4, cols=4, groups=4, size=4, row_cost=1, col_cost=1))
    16
    """
    step = gcd(problem.row_cost, problem.col_cost) or 1
    best = max(envelope(problem), split(problem), lines(problem), touches(problem))
    return -(-best // step) * step


def shape_costs(problem: GroupingProblem) -> IntArray:
    """Least ``a*r + b*c`` of a group of k OUs, k = 0..m: a group with r rows and c columns has at most r*c OUs."""
    most = min(problem.size, problem.ous)
    size = np.arange(1, most + 1)
    best = np.full(most, NEVER)
    for r in range(1, min(problem.rows, most) + 1):
        c = -(-size // r)
        cost = problem.row_cost * r + problem.col_cost * c
        np.minimum(best, np.where(c <= problem.cols, cost, best), out=best)
    return np.concatenate(([0], best))


def envelope(problem: GroupingProblem) -> int:
    """``n * e(RC/n)``, e the convex lower envelope of the least cost of a group over its size (and 0 at 0).

    For a fixed number r of rows the points ``(r*c, a*r + b*c)`` lie on a line, so its ends and the point of a full
    group, ``(m, a*r + b*ceil(m/r))``, are all the envelope can touch: O(R log R) at any size.
    """
    most = min(problem.size, problem.ous)
    r = np.arange(1, min(problem.rows, most) + 1)
    widest = np.minimum(problem.cols, most // r)
    full = -(-most // r)
    size = np.concatenate((r, r * widest, np.full(len(r), most)[full <= problem.cols]))
    width = np.concatenate((np.ones_like(r), widest, full[full <= problem.cols]))
    cost = problem.row_cost * np.concatenate((r, r, r[full <= problem.cols])) + problem.col_cost * width
    hull = _hull(size, cost)
    groups = max(problem.groups, -(-problem.ous // most))  # fewer would be infeasible; any bound is then valid
    for (k1, f1), (k2, f2) in pairwise(hull):
        if groups * k1 <= problem.ous <= groups * k2:
            return groups * f1 + -(-(problem.ous - groups * k1) * (f2 - f1) // (k2 - k1))
    return 0


def _hull(size: IntArray, cost: IntArray) -> list[tuple[int, int]]:
    """Lower convex hull from (0, 0), sizes ascending."""
    order = np.lexsort((cost, size))
    hull: list[tuple[int, int]] = [(0, 0)]
    for k, f in zip(size[order].tolist(), cost[order].tolist(), strict=True):
        if k == hull[-1][0]:
            continue
        while len(hull) > 1 and (hull[-1][1] - hull[-2][1]) * (k - hull[-2][0]) >= (f - hull[-2][1]) * (
            hull[-1][0] - hull[-2][0]
        ):
            hull.pop()
        hull.append((k, f))
    return hull


def split(problem: GroupingProblem) -> int:
    """Least ``sum_g f(k_g)`` over all splits of R*C into at most n sizes of at most m, by dynamic programming.

    0 (no bound) where that would take more than :data:`DP_LIMIT` additions.
    """
    most = min(problem.size, problem.ous)
    groups = min(problem.groups, problem.ous)
    doublings = groups.bit_length() + groups.bit_count()
    if not problem.feasible or doublings * problem.ous**2 > DP_LIMIT:
        return 0
    power = np.full(problem.ous + 1, NEVER)
    power[: most + 1] = shape_costs(problem)
    best = np.full(problem.ous + 1, NEVER)
    best[0] = 0
    while groups:  # square and multiply: best over g groups in O(log g) min-plus products
        if groups & 1:
            best = _min_plus(best, power)
        power = _min_plus(power, power)
        groups >>= 1
    return int(best[-1])


def _min_plus(left: IntArray, right: IntArray) -> IntArray:
    """``out[k] = min_i left[i] + right[k - i]``."""
    out = np.full(len(left), NEVER)
    for i in range(len(left)):
        np.minimum(out[i:], left[i] + right[: len(right) - i], out=out[i:])
    return out


def lines(problem: GroupingProblem) -> int:
    """Least cost of one row of OUs times R, or of one column times C, whichever is more.

    Row i is touched by x_i groups with k_gi OUs each. Spread the columns of a group over its OUs: OU for OU
    ``|cols(g)| / |g| >= k_gi / m``, so the row costs at least ``a*x_i + (b/m) * sum_g k_gi**2``, at least
    ``a*x + (b/m) * Q(C, x)`` with Q(C, x) the least sum of squares of x integers that add up to C.
    """
    p, most = problem, min(problem.size, problem.ous)
    bounds = []
    for q in (p, p.transposed()):
        x = np.arange(-(-q.cols // most), q.cols + 1)
        cost = int((q.row_cost * most * x + q.col_cost * _squares(q.cols, x)).min())
        bounds.append(-(-q.rows * cost // most))
    return max(bounds)


def touches(problem: GroupingProblem) -> int:
    """Least ``a*X + b*Y`` over all integer pairs of row touches X and column touches Y that :func:`lines` admits.

    Summed over rows the argument reads ``Y >= ceil(sum_i Q(C, x_i) / m)`` with X = sum x_i; Q is convex in x, so the
    balanced x is the worst case for a given X. Columns likewise bound X by Y, and both must hold.
    0 (no bound) for more than :data:`TOUCH_LIMIT` OUs, where rounding no longer matters.
    """
    if problem.ous > TOUCH_LIMIT:
        return 0
    most = min(problem.size, problem.ous)
    x, y = frontier(problem.rows, problem.cols, most)
    other_y, other_x = frontier(problem.cols, problem.rows, most)
    # Least Y whose own argument admits X: other_x decreases in Y.
    y = np.maximum(y, other_y[0] + np.searchsorted(-other_x, -x))
    inside = y <= problem.ous
    return int((problem.row_cost * x + problem.col_cost * y)[inside].min())


def frontier(count: int, length: int, most: int) -> tuple[IntArray, IntArray]:
    """Touches X of `count` lines of `length` OUs, ascending, and the least touches of the other axis for each."""
    x = np.arange(count * -(-length // most), count * length + 1)  # a group has at most m OUs of a line
    low, more = np.divmod(x, count)
    squares = (count - more) * _squares(length, low) + more * _squares(length, low + 1)
    return x, np.maximum(length, -(-squares // most))


def _squares(total: int, parts: IntArray) -> IntArray:
    """Least sum of squares of `parts` integers >= 0 that add up to `total`."""
    low, more = np.divmod(total, parts)
    return np.asarray((parts - more) * low**2 + more * (low + 1) ** 2, dtype=np.int64)
