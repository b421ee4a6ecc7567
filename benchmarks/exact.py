"""Heuristic against exact, step by step: ``python benchmarks/exact.py [NETWORK@CHIP ...] [--time-limit 120]``.

Prints a Markdown table: one line per network and step with the heuristic's objective, the exact one, its proven bound,
the gap and the time; and one line for the whole, with the latency before and after and the end-to-end bound.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence

from spatem_opt.cli.solve import STEP_COLUMNS, step_cells
from spatem_opt.cost import bounds
from spatem_opt.front_end import prove
from spatem_opt.model.presets import load_architecture
from spatem_opt.model.result import gap
from spatem_opt.network import load
from spatem_opt.search.budget import Budget
from spatem_opt.search.engine import Evaluated, search

CASES = ("lenet5@ou-isaac-4x4", "cifar10@ou-isaac-4x4", "resnet18@ou-isaac", "googlenet@ou-isaac")


def line(cells: Sequence[str]) -> str:
    """A line of a Markdown table."""
    return "| " + " | ".join(cells) + " |"


def measure(case: str, args: argparse.Namespace) -> None:
    """Print all lines of one network on one chip."""
    name, _, chip = case.partition("@")
    network, architecture = load(name), load_architecture(chip)
    begun = time.monotonic()
    first: Evaluated = min(search(network, architecture, "latency", "heuristic"), key=lambda found: found.value)
    searched = time.monotonic() - begun
    best, steps = prove(first, "latency", Budget(args.time_limit), (args.seed, args.workers), lambda text: None)
    for step in steps:
        print(line([case, *step_cells(step)]), flush=True)
    bound = bounds.latency(network, architecture).value
    numbers = [f"{value:,} cycles" for value in (first.value, best.value, bound)]
    spent = f"{searched:.1f} + {sum(step.seconds for step in steps):.1f}"
    share = f"{100 * (gap(best.value, bound) or 0):.2f} %"
    print(line([case, "**whole**", "", "", *numbers, share, spent]), flush=True)
    if args.notes:
        print("".join(f"<!-- {case} {step.step}: {step.note} -->\n" for step in steps), end="", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", default=CASES, metavar="NETWORK@CHIP")
    parser.add_argument("--time-limit", type=float, default=120.0, help="seconds for the exact steps of a network")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--notes", action="store_true", help="what each number is of, as comments")
    args = parser.parse_args()
    print(f"Load average before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
    heads = ["network", *(column.short for column in STEP_COLUMNS)]
    print(line(heads) + "\n" + line(["---"] * 4 + ["---:"] * 5), flush=True)
    for case in args.cases:
        measure(case, args)


if __name__ == "__main__":
    main()
