"""Weight mapping by best candidate per layer, then shrinking the layers where a slot costs least."""

from __future__ import annotations

import numpy as np

from spatem_opt.mapping.problem import Problem, Solution


def solve(problem: Problem) -> Solution | None:
    """Best candidate of every layer; while they do not fit, the swap with the smallest extra cost per slot saved.

    Returns
    -------
    Solution or None
        None if even the smallest candidates do not fit (which is then proven).
    """
    choice = [_best(problem, layer) for layer in range(len(problem.layers))]
    used = sum(int(problem.slots[layer][c]) for layer, c in enumerate(choice))
    while used > problem.capacity:
        swaps = [swap for layer, c in enumerate(choice) for swap in _swaps(problem, layer, c)]
        if not swaps:
            return None
        _, _, layer, candidate = min(swaps)
        used += int(problem.slots[layer][candidate] - problem.slots[layer][choice[layer]])
        choice[layer] = candidate
    return Solution(tuple(choice))


def _best(problem: Problem, layer: int) -> int:
    """Least communication, then least operations, among the candidates within the slack."""
    ops = problem.operations[layer]
    close = ops * 100 <= ops.min() * (100 + problem.slack_percent)
    order = np.lexsort((problem.slots[layer], ops, problem.communication[layer], ~close))
    return int(order[0])


def _swaps(problem: Problem, layer: int, current: int) -> list[tuple[float, float, int, int]]:
    """(operations per slot saved, communication per slot saved, layer, candidate) of every smaller candidate."""
    saved = problem.slots[layer][current] - problem.slots[layer]
    smaller = np.flatnonzero((saved > 0) & problem.allowed(layer))
    return [
        (
            float(problem.operations[layer][i] - problem.operations[layer][current]) / float(saved[i]),
            float(problem.communication[layer][i] - problem.communication[layer][current]) / float(saved[i]),
            layer,
            int(i),
        )
        for i in smaller
    ]
