"""Exact grouping: of random small grids, or of the layers of networks as the heuristic's best solution has them.

``python benchmarks/grouping.py --samples 300 --seed 1`` prints one JSON line per problem that takes long or stays open
and a summary line: how many are proven, how long it takes, how far the heuristic was off. ``python
benchmarks/grouping.py --networks`` prints a line of a Markdown table per shipped network on its default chip: gap of
the best grouping known, and of the chosen one, at the solution's crossbars and serial OUs, by kind and by layer.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
import warnings

from shipped import SHIPPED

from formulations.exact.grouping import kinds, prove
from formulations.grouping import cpsat
from formulations.solver import Limits
from spatem_opt.architecture import ArchitectureWarning
from spatem_opt.grouping import bounds, heuristic
from spatem_opt.grouping.problem import Problem
from spatem_opt.grouping.referee import objective
from spatem_opt.network import load
from spatem_opt.presets import load_architecture
from spatem_opt.search import search

CHIP = "ou-isaac"
NEAR = 0.03
"""Gap that is asked for."""
COSTS = ((1, 1), (9, 1), (2, 3), (1, 4))


def sample(rng: random.Random, largest: int, most_groups: int) -> Problem:
    """A grid up to largest x largest, up to most_groups groups, and little room to spare."""
    rows, cols = rng.randint(1, largest), rng.randint(1, largest)
    groups = rng.randint(1, min(most_groups, rows * cols))
    least = -(-rows * cols // groups)
    size = rng.randint(least, min(rows * cols, least + 3))
    return Problem(rows, cols, groups, size, *rng.choice(COSTS))


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("samples", 300), ("seed", 1), ("largest", 8), ("groups", 16), ("workers", 8)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--time-limit", type=float, default=60.0)
    parser.add_argument("--smallest", type=int, default=1, help="least OUs of a grid")
    parser.add_argument("--networks", nargs="*", choices=SHIPPED, help="layers of (these) shipped networks instead")
    args = parser.parse_args()
    if args.networks is not None:
        networks(args)
    else:
        small_grids(args)


def networks(args: argparse.Namespace) -> None:
    """Prove or bound the groupings of shipped networks."""
    warnings.simplefilter("ignore", ArchitectureWarning)
    print(
        "| network | kinds | proven | gap <= 3 % | largest | layers | gap <= 3 % "
        "| chosen: gap <= 3 % | median | largest | s |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
    total: list[tuple[float, float, int]] = []
    for name in args.networks or SHIPPED:
        found = min(search(load(name), load_architecture(CHIP), "latency", "heuristic"), key=lambda found: found.value)
        begin, limits = time.monotonic(), Limits(args.time_limit, args.seed, args.workers)
        rows = []
        for kind in kinds(found)[0]:
            proof = prove(kind, limits)
            chosen = objective(kind.problem, kind.chosen)
            rows.append((1 - proof.bound / proof.cost, 1 - proof.bound / chosen, len(kind.layers)))
        print(line(name, rows, time.monotonic() - begin), flush=True)
        total += rows
    print(line("all", total, 0.0))


def line(name: str, rows: list[tuple[float, float, int]], seconds: float) -> str:
    """A line of the table from the gap of the best grouping known, that of the chosen one, and layers of all kinds."""
    best, chosen, layers = zip(*rows, strict=True)
    close = [count for gap, count in zip(best, layers, strict=True) if gap <= NEAR]
    cells = [name, len(rows), best.count(0), len(close), f"{100 * max(best):.1f} %", sum(layers), sum(close)]
    cells.append(sum(count for gap, count in zip(chosen, layers, strict=True) if gap <= NEAR))
    cells += [f"{100 * statistics.median(chosen):.1f} %", f"{100 * max(chosen):.1f} %", f"{seconds:.0f}"]
    return f"| {' | '.join(str(cell) for cell in cells)} |"


def small_grids(args: argparse.Namespace) -> None:
    """Solve random small grids and print."""
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
