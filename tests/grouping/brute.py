"""All groupings of a tiny grid, by recursion over OUs."""

from __future__ import annotations

from collections.abc import Iterator

from spatem_opt.grouping.problem import GroupingProblem


def optimum(problem: GroupingProblem) -> int | None:
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


def groupings(problem: GroupingProblem) -> Iterator[list[list[tuple[int, int]]]]:
    """Every grouping of a tiny grid, as OUs by group."""
    ous = [divmod(k, problem.cols) for k in range(problem.ous)]

    def place(k: int, groups: list[list[tuple[int, int]]]) -> Iterator[list[list[tuple[int, int]]]]:
        if k == len(ous):
            yield groups
            return
        for i, group in enumerate(groups):
            if len(group) < problem.size:
                yield from place(k + 1, [*groups[:i], [*group, ous[k]], *groups[i + 1 :]])
        if len(groups) < problem.groups:
            yield from place(k + 1, [*groups, [ous[k]]])

    yield from place(0, [])


def shape(group: list[tuple[int, int]]) -> tuple[int, int]:
    """Rows and columns that a group touches."""
    return len({i for i, _ in group}), len({j for _, j in group})
