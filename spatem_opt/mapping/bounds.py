"""Lower bounds of the mapping problem."""

from __future__ import annotations

import numpy as np

from spatem_opt.mapping.problem import Problem


def operations(problem: Problem) -> int:
    """No layer runs fewer OU operations than its best admitted candidate."""
    return sum(int(ops.min()) for ops in problem.operations)


def communication(problem: Problem) -> int:
    """No layer reads fewer bits than its best admitted candidate."""
    return sum(int(np.min(bits[problem.allowed(layer)])) for layer, bits in enumerate(problem.communication))


def slots(problem: Problem) -> int:
    """OU slots without which the network does not fit, whatever is chosen."""
    return sum(int(s.min()) for s in problem.slots)
