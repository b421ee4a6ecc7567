"""Time of solving and evaluating against layers and windows: ``python benchmarks/scaling.py [--repeat 3]``.

Chains of equal 3x3 convolutions (16 channels) on the default chip. Times are CPU seconds of this process (median), and
the exponent is the slope of a least-squares line through the logarithms.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np

from spatem_opt import Result, evaluate, load_architecture, solve
from spatem_opt.network.builder import chain
from spatem_opt.network.layers import Network

LAYERS = (25, 50, 100, 200, 400)
SIZES = (16, 32, 64, 128)


def timed(function: Callable[[], object], repeat: int) -> float:
    """Median CPU seconds of a call."""
    times = []
    for _ in range(repeat):
        begun = time.process_time()
        function()
        times.append(time.process_time() - begun)
    return statistics.median(times)


def series(title: str, cases: dict[int, Network], repeat: int) -> None:
    """Table and fitted exponents of one series."""
    chip = load_architecture("ou-isaac", {"adc_bits": 5, "cycle_ns": 7.68})
    solving, evaluating = [], []
    print(f"\n| {title} | solve [s] | evaluate [s] |\n|---:|---:|---:|")
    for size, network in cases.items():
        results: list[Result] = []
        solving.append(timed(lambda network=network, results=results: results.append(solve(network, chip)), repeat))
        solution = results[0].solution
        if solution is None:
            raise RuntimeError(f"{network.name}: {results[0].status}")
        evaluating.append(timed(lambda solution=solution: evaluate(solution), repeat))
        print(f"| {size} | {solving[-1]:.2f} | {evaluating[-1]:.3f} |", flush=True)
    exponents = [np.polyfit(np.log(list(cases)), np.log(times), 1)[0] for times in (solving, evaluating)]
    print(f"| exponent | {exponents[0]:.2f} | {exponents[1]:.2f} |")


def main() -> None:
    """Both series."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=3)
    args = parser.parse_args()
    series("layers of 16 x 16 windows", {n: chain(n, size=16) for n in LAYERS}, args.repeat)
    series("windows of each of 8 layers", {s * s: chain(8, size=s) for s in SIZES}, args.repeat)


if __name__ == "__main__":
    main()
