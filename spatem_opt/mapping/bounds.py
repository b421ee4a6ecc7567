"""Lower bounds of the mapping problem."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import numpy as np

from spatem_opt.mapping.problem import MappingProblem


def operations(problem: MappingProblem) -> int:
    """No layer runs fewer OU operations than its best admitted candidate."""
    return sum(int(ops.min()) for ops in problem.operations)


def communication(problem: MappingProblem) -> int:
    """No layer reads fewer bits than its best admitted candidate."""
    return sum(int(np.min(bits[problem.allowed(layer)])) for layer, bits in enumerate(problem.communication))


def excess(problem: MappingProblem) -> int:
    """Least OU operations above the slack limits, by pricing slots: ``max_p sum_l min_c (e_lc + p*s_lc) - p*S``.

    Concave in the price p and piecewise linear, so a search over the slopes where a layer changes its mind finds the
    best p; prices are exact fractions.
    """
    tables = [
        sorted({(int(s), int(e)) for s, e in zip(problem.slots[i], problem.excess(i), strict=True)})
        for i in range(len(problem.layers))
    ]
    prices = sorted({
        Fraction(e1 - e2, s2 - s1) for table in tables for s1, e1 in table for s2, e2 in table if s2 > s1 and e1 > e2
    })  # fmt: skip
    low, high = 0, len(prices)
    while low < high:  # the slots chosen fall as the price rises: find the first price at which they fit
        middle = (low + high) // 2
        used = sum(min((e + prices[middle] * s, s) for s, e in table)[1] for table in tables)
        low, high = (middle + 1, high) if used > problem.capacity else (low, middle)
    found = [
        sum((min(e + price * s for s, e in table) for table in tables), Fraction(0)) - price * problem.capacity
        for price in (Fraction(0), *prices[max(0, low - 1) : low + 1])
    ]
    return max(0, ceil(max(found)))


def slots(problem: MappingProblem) -> int:
    """OU slots without which the network does not fit, whatever is chosen."""
    return sum(int(s.min()) for s in problem.slots)
