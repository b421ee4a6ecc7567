"""What more time gains: ``python benchmarks/improvement.py --time-limit 60 --workers 2``.

Prints a Markdown table per chip: latency and gap to the bound of the first answer and after the time limit, of every
shipped network that fits. The heuristic uses one core, and networks are solved side by side.
"""

from __future__ import annotations

import argparse
import statistics
import warnings
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from shipped import SHIPPED

from spatem_opt import load_architecture, load_network, solve
from spatem_opt.cost.bounds import latency
from spatem_opt.model.architecture import ArchitectureWarning

CHIPS = ("ou-isaac", "ou-isaac-7x7")


def improvement(name: str, chip: str, seconds: float) -> tuple[int, int, int, str] | None:
    """First latency, latency after some seconds, bound and its binding term; None if the network does not fit."""
    warnings.simplefilter("ignore", ArchitectureWarning)
    network, architecture = load_network(name), load_architecture(chip)
    values = [solve(network, architecture, method="heuristic", time_limit=limit).value for limit in (None, seconds)]
    if values[0] is None or values[1] is None:
        return None
    bound = latency(network, architecture)
    return values[0], values[1], bound.value, bound.binding


def main() -> None:
    """Both chips."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--time-limit", type=float, default=60.0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--chips", nargs="*", default=CHIPS)
    args = parser.parse_args()
    for chip in args.chips:
        print(f"\n{chip}\n")
        print("| network | bound | binding term | first answer | gap | later | gap | gained |")
        print("| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: |")
        gaps = []
        with ProcessPoolExecutor(args.workers) as pool:
            run = partial(improvement, chip=chip, seconds=args.time_limit)
            for name, found in zip(SHIPPED, pool.map(run, SHIPPED), strict=True):
                if found is None:
                    continue
                first, later, bound, term = found
                gaps.append((1 - bound / first, 1 - bound / later))
                cells = f"{first:,} | {gaps[-1][0]:.1%} | {later:,} | {gaps[-1][1]:.1%} | {1 - later / first:.1%}"
                print(f"| {name} | {bound:,} | {term} | {cells} |", flush=True)
        middle = [statistics.median(column) for column in zip(*gaps, strict=True)]
        print(f"| **median of {len(gaps)}** | | | | **{middle[0]:.1%}** | | **{middle[1]:.1%}** | |")


if __name__ == "__main__":
    main()
