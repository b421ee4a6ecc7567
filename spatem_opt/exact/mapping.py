"""Weight mapping of a solved network: one option per layer, solved to the end."""

from __future__ import annotations

from formulations.solver import Limits
from spatem_opt.exact.engines import Engine, engine
from spatem_opt.exact.keep import Keep, ignore
from spatem_opt.mapping import heuristic
from spatem_opt.mapping.problem import MappingSolution, build
from spatem_opt.mapping.referee import check
from spatem_opt.model.result import Step
from spatem_opt.planning.candidates import SLACK_PERCENT
from spatem_opt.search.engine import Evaluated


def run(
    found: Evaluated, objective: str, limits: Limits, keep: Keep = ignore, by: Engine | None = None
) -> tuple[Evaluated, Step]:
    """Solve the mapping problem that the plans choose from.

    The answer is not put into the solution: replication picks among the same options with more in view, namely how
    often each layer is copied.
    """
    solution = found.solution
    problem = build(solution.network, solution.architecture, slack_percent=SLACK_PERCENT)
    hint = heuristic.solve(problem)
    result = (by or engine("mapping")).solve(problem, limits, hint=hint)
    excess = result.levels[0][0] if result.levels else 0
    note = f"bits read from buffers, {excess} OU operations above the slack"
    if result.solution is not None:
        note += f"; {_agreement(result.solution, found, problem.options)}"
    return found, Step(
        "mapping", result.engine, result.status, result.objective, result.bound, round(result.seconds, 3),
        None if hint is None else check(problem, hint).communication, "bits", result.versions, limits.seed, note,
    )  # fmt: skip


def _agreement(best: MappingSolution, found: Evaluated, options: tuple[tuple[object, ...], ...]) -> str:
    """In how many layers the solution has the option of the optimum."""
    chosen = [options[layer][c] for layer, c in enumerate(best.choice)]
    same = sum(option == used for option, used in zip(chosen, found.solution.mapping, strict=True))
    return f"the solution has these options in {same} of {len(chosen)} layers"
