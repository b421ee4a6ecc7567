"""Refit one tuned constant over a suite: ``python benchmarks/fit/constant.py modes.door 0.5 0.6 0.7 [--networks ...]``.

First answers (heuristic, seed 0, one process) with each value, and with the usual one; a line per value with geometric
means over the networks of value against usual value, for latency, communication and CPU, and how many networks are
better and worse. A constant of several numbers is written with commas: ``plans.fills 1.0,0.95,0.9``. No value is taken
over by itself: write it into ``spatem_opt/tuning.py`` with the line as its evidence.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
import warnings
from collections.abc import Sequence

import spatem_opt
from spatem_opt.tuning import Tuning

SUITE = ("lenet5", "cifar10", "squeezenet", "resnet18", "alexnet", "mobilenetv2", "googlenet", "vgg16")
Numbers = tuple[float, float, float, float]
"""Value of the objective, cycles, bits, CPU seconds."""


def first_answer(network: str, arch: str, objective: str, tuning: Tuning) -> Numbers | None:
    """Numbers of a first answer; None if there is none."""
    begun = time.process_time()
    result = spatem_opt.solve(
        spatem_opt.load_network(network), spatem_opt.load_architecture(arch), objective=objective, method="heuristic",
        tuning=tuning,
    )  # fmt: skip
    found = result.evaluation
    if result.value is None or found is None or found.latency_cycles is None or found.communication is None:
        return None
    return result.value, found.latency_cycles, found.communication.total, time.process_time() - begun


def row(name: str, usual: Sequence[Numbers | None], found: Sequence[Numbers | None]) -> str:
    """A value against the usual one."""
    pairs = [(a, b) for a, b in zip(usual, found, strict=True) if a is not None and b is not None]
    means = [math.exp(sum(math.log(b[k] / a[k]) for a, b in pairs) / len(pairs)) for k in range(4)] if pairs else []
    better, worse = (sum(sign * (b[0] - a[0]) > 0 for a, b in pairs) for sign in (-1, 1))
    shown = "  ".join(f"{what} {100 * (mean - 1):+.2f} %" for what, mean in zip(WHAT, means, strict=bool(pairs)))
    return f"{name}: {shown}; {better} better, {worse} worse of {len(pairs)}"


WHAT = ("value", "latency", "communication", "CPU")


def main() -> int:
    """Print a line per value and objective."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("constant", help="group.name of spatem_opt.tuning")
    parser.add_argument("values", nargs="+", help="numbers; several of one value with commas")
    parser.add_argument("--networks", nargs="+", default=SUITE)
    parser.add_argument("--objectives", nargs="+", default=("latency", "balanced"))
    parser.add_argument("--arch", default="ou-isaac")
    args = parser.parse_args()
    tried = {text: [float(part) for part in text.split(",")] for text in args.values}
    tunings = {
        text: Tuning().changed(args.constant, numbers if len(numbers) > 1 else numbers[0])
        for text, numbers in tried.items()
    }
    for objective in args.objectives:
        usual = [first_answer(network, args.arch, objective, Tuning()) for network in args.networks]
        for text, tuning in tunings.items():
            found = [first_answer(network, args.arch, objective, tuning) for network in args.networks]
            print(row(f"{objective}, {args.constant} = {text}", usual, found), flush=True)
    return 0


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.exit(main())
