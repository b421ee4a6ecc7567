"""Exact grouping: of random small grids, or of the layers of networks as the heuristic's best solution has them.

``python benchmarks/grouping.py --samples 300 --seed 1`` prints one JSON line per problem that takes long or stays open
and a summary line: how many are proven, how long it takes, how far the heuristic was off. ``python
benchmarks/grouping.py --networks`` prints a line of a Markdown table per shipped network on its default chip: gap of
the best grouping known, of the heuristic's, and of what the exact step leaves (cheaper ones where the whole gets no
worse), at the solution's crossbars and serial OUs, by kind and by layer.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import time
import warnings
from fractions import Fraction
from typing import NamedTuple

from shipped import SHIPPED

from formulations.grouping import cpsat
from formulations.solver import Limits
from spatem_opt.exact.grouping import kinds, prove, use
from spatem_opt.grouping import bounds, heuristic
from spatem_opt.grouping.problem import GroupingProblem
from spatem_opt.grouping.referee import objective
from spatem_opt.model.architecture import ArchitectureWarning
from spatem_opt.model.presets import load_architecture
from spatem_opt.network import load
from spatem_opt.search.engine import search

CHIP = "ou-isaac"
NEAR = Fraction(3, 100)
"""Gap that is asked for; some groupings have exactly that."""
COSTS = ((1, 1), (9, 1), (2, 3), (1, 4))


def sample(rng: random.Random, largest: int, most_groups: int) -> GroupingProblem:
    """A grid up to largest x largest, up to most_groups groups, and little room to spare."""
    rows, cols = rng.randint(1, largest), rng.randint(1, largest)
    groups = rng.randint(1, min(most_groups, rows * cols))
    least = -(-rows * cols // groups)
    size = rng.randint(least, min(rows * cols, least + 3))
    return GroupingProblem(rows, cols, groups, size, *rng.choice(COSTS))


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
        "| heuristic: gap <= 3 % | median | largest | exact: gap <= 3 % | s |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
    total: list[Row] = []
    for name in args.networks or SHIPPED:
        found = min(search(load(name), load_architecture(CHIP), "latency", "heuristic"), key=lambda found: found.value)
        begin, limits = time.monotonic(), Limits(args.time_limit, args.seed, args.workers)
        known = kinds(found)[0]
        proofs = [prove(kind, limits) for kind in known]
        after, _ = use(known, proofs, found, "latency", Limits(math.inf, args.seed, args.workers))
        left = {layer: kind for kind in kinds(after)[0] for layer in kind.layers}
        rows = []
        for kind, proof in zip(known, proofs, strict=True):
            own = left[kind.layers[0]]
            costs = proof.cost, objective(kind.problem, kind.chosen), objective(own.problem, own.chosen)
            best, chosen, exact = (gap(proof.bound, cost) for cost in costs)
            rows.append(Row(best, chosen, exact, len(kind.layers)))
        print(line(name, rows, time.monotonic() - begin), flush=True)
        total += rows
    print(line("all", total, 0.0))


class Row(NamedTuple):
    """Gaps of a kind of layers: of the best grouping known, the heuristic's, and what the exact step leaves."""

    best: Fraction
    chosen: Fraction
    exact: Fraction
    layers: int


def gap(bound: int, cost: int) -> Fraction:
    """Share of a cost that is above its bound."""
    return 1 - Fraction(bound, cost)


def line(name: str, rows: list[Row], seconds: float) -> str:
    """A line of the table."""
    best, chosen, exact, layers = zip(*rows, strict=True)
    near = [
        sum(count for own, count in zip(gaps, layers, strict=True) if own <= NEAR) for gaps in (best, chosen, exact)
    ]
    cells = [name, len(rows), best.count(0), sum(own <= NEAR for own in best), percent(max(best)), sum(layers)]
    cells += [near[0], near[1], percent(statistics.median(chosen)), percent(max(chosen)), near[2], f"{seconds:.0f}"]
    return f"| {' | '.join(str(cell) for cell in cells)} |"


def percent(share: Fraction) -> str:
    """With a digit."""
    return f"{100 * float(share):.1f} %"


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
