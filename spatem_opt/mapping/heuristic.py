"""Weight mapping by best candidate per layer, shrinking where a slot costs least, then growing again what fits."""

from __future__ import annotations

import numpy as np

from spatem_opt.mapping.problem import MappingProblem, MappingSolution


def solve(problem: MappingProblem) -> MappingSolution | None:
    """Best candidate of every layer; while they do not fit, the swap with the smallest extra cost per slot saved.

    Exact while the best candidates fit: then no layer has excess and each has its least communication.

    Returns
    -------
    MappingSolution or None
        None if even the smallest candidates do not fit (which is then proven).
    """
    choice = [_best(problem, layer, None) for layer in range(len(problem.layers))]
    used = sum(int(problem.slots[layer][c]) for layer, c in enumerate(choice))
    fits = used <= problem.capacity
    while used > problem.capacity:
        swaps = [swap for layer, c in enumerate(choice) for swap in _swaps(problem, layer, c)]
        if not swaps:
            return None
        _, _, layer, candidate = min(swaps)
        used += int(problem.slots[layer][candidate] - problem.slots[layer][choice[layer]])
        choice[layer] = candidate
    return MappingSolution(tuple(choice if fits else _grow(problem, choice, used)))


def _best(problem: MappingProblem, layer: int, most: int | None) -> int:
    """Least excess, communication, operations, slots, in this order, among the candidates of at most `most` slots."""
    slots, excess = problem.slots[layer], problem.excess(layer)
    large = slots > most if most is not None else np.zeros(len(slots), dtype=np.bool_)
    order = np.lexsort((slots, problem.operations[layer], problem.communication[layer], excess, large))
    return int(order[0])


def _swaps(problem: MappingProblem, layer: int, current: int) -> list[tuple[float, float, int, int]]:
    """(excess per slot saved, communication per slot saved, layer, candidate) of every smaller candidate."""
    saved, excess = problem.slots[layer][current] - problem.slots[layer], problem.excess(layer)
    smaller = np.flatnonzero((saved > 0) & problem.allowed(layer))
    return [
        (
            float(excess[i] - excess[current]) / float(saved[i]),
            float(problem.communication[layer][i] - problem.communication[layer][current]) / float(saved[i]),
            layer,
            int(i),
        )
        for i in smaller
    ]


def _grow(problem: MappingProblem, choice: list[int], used: int) -> list[int]:
    """Give every layer in turn its best candidate within the slots that the last swap left over."""
    for layer, current in enumerate(choice):
        room = problem.capacity - used + int(problem.slots[layer][current])
        choice[layer] = _best(problem, layer, room)
        used += int(problem.slots[layer][choice[layer]] - problem.slots[layer][current])
    return choice
