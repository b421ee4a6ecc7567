"""Exact grouping of small grids: how many are proven, how long it takes, how far the heuristic was off.

Run ``python benchmarks/grouping.py --samples 300 --seed 1``; prints one JSON line per problem and a summary line.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics

from formulations.grouping import cpsat
from spatem_opt.grouping import bounds, heuristic
from spatem_opt.grouping.problem import Problem
from spatem_opt.grouping.referee import objective

COSTS = ((1, 1), (9, 1), (2, 3), (1, 4))


def sample(rng: random.Random, largest: int, most_groups: int) -> Problem:
    """A grid up to largest x largest, up to most_groups groups, and little room to spare."""
    rows, cols = rng.randint(1, largest), rng.randint(1, largest)
    groups = rng.randint(1, min(most_groups, rows * cols))
    least = -(-rows * cols // groups)
    size = rng.randint(least, min(rows * cols, least + 3))
    return Problem(rows, cols, groups, size, *rng.choice(COSTS))


def main() -> None:
    """Solve random problems and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("samples", 300), ("seed", 1), ("largest", 8), ("groups", 16), ("workers", 8)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--time-limit", type=float, default=60.0)
    parser.add_argument("--smallest", type=int, default=1, help="least OUs of a grid")
    args = parser.parse_args()
    rng, seconds, proven, off, gaps, count = random.Random(args.seed), [], 0, 0, [], 0
    while count < args.samples:
        problem = sample(rng, args.largest, args.groups)
        if problem.ous < args.smallest:
            continue
        count += 1
        start = heuristic.solve(problem, seed=args.seed)
        assert start is not None
        result = cpsat.solve(problem, time_limit=args.time_limit, seed=args.seed, workers=args.workers, hint=start)
        first, least = objective(problem, start), bounds.lower_bound(problem)
        seconds.append(result.seconds)
        proven += result.status == "optimal"
        off += first != result.objective
        gaps.append(first / least - 1)
        fields = (problem.rows, problem.cols, problem.groups, problem.size, problem.row_cost, problem.col_cost)
        if result.seconds > 1 or result.status != "optimal":
            print(
                json.dumps([fields, first, least, result.objective, result.bound, round(result.seconds, 2)]), flush=True
            )
    print(json.dumps({
        "samples": args.samples, "proven": proven, "heuristic_not_optimal": off, "seconds_max": max(seconds),
        "seconds_mean": statistics.fmean(seconds), "combinatorial_gap_mean": statistics.fmean(gaps),
        "combinatorial_gap_closed": sum(g == 0 for g in gaps),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
