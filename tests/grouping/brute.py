"""All groupings of a tiny grid, by recursion over OUs."""

from __future__ import annotations

from spatem_opt.grouping.problem import Problem


def optimum(problem: Problem) -> int | None:
    """Least communication over every partition of the OUs; None if there is none."""
    ous = [divmod(k, problem.cols) for k in range(problem.ous)]
    groups: list[list[tuple[int, int]]] = []
    best: list[int] = []

    def cost() -> int:
        return sum(
            problem.row_cost * len({i for i, _ in g}) + problem.col_cost * len({j for _, j in g}) for g in groups
        )

    def place(k: int) -> None:
        if best and cost() >= best[0]:
            return
        if k == len(ous):
            best[:] = [cost()]
            return
        for group in list(groups):
            if len(group) < problem.size:
                group.append(ous[k])
                place(k + 1)
                group.pop()
        if len(groups) < problem.groups:
            groups.append([ous[k]])
            place(k + 1)
            groups.pop()

    place(0)
    return best[0] if best else None
