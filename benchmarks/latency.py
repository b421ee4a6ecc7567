"""Replayed first answers of networks on a chip: the heuristic against the best baseline, as a Markdown table.

Usage: python benchmarks/latency.py [--arch NAME] [NETWORK ...]

Every latency is one that first-in-first-out routers confirm (M6-M8). "Free" is the queue-free latency of the same
decisions. The best baseline is the one of lowest latency.
"""

from __future__ import annotations

import argparse
import time
import warnings

import numpy as np

import spatem_opt
from spatem_opt.model.architecture import ArchitectureWarning

NETWORKS = (
    "lenet5", "cifar10", "squeezenet", "googlenet", "resnet18", "resnet50", "mobilenet_v2", "densenet121", "alexnet",
    "vgg13",
)  # fmt: skip
BASELINES = ("dense-pipeline", "layer-serial", "kernel-split", "woho", "vw-sdk")
HEAD = "| network | best baseline | its latency | latency | free | gap | less latency | less communication | seconds |"


def row(name: str, arch: str) -> tuple[str, float, float] | None:
    """One line of the table, and the ratios of latency and communication to the best baseline's."""
    network, chip = spatem_opt.load_network(name), spatem_opt.load_architecture(arch)
    results = {method: spatem_opt.solve(network, chip, method=method) for method in BASELINES}
    rivals = {method: found for method, found in results.items() if found.value is not None}
    begun = time.perf_counter()
    own = spatem_opt.solve(network, chip, method="heuristic", seed=0)
    seconds = time.perf_counter() - begun
    if not rivals or own.evaluation is None or own.evaluation.communication is None:
        return None
    best = min(rivals, key=lambda method: rivals[method].value or 0)
    theirs, ours = rivals[best].evaluation, own.evaluation
    assert theirs is not None
    assert theirs.communication is not None
    latency = (ours.latency_cycles or 0) / (theirs.latency_cycles or 1)
    moved = ours.communication.total / theirs.communication.total
    gap = 100 * (1 - (own.bound or 0) / (own.value or 1))
    line = (
        f"| {name} | {best} | {theirs.latency_cycles:,} | {ours.latency_cycles:,} | {ours.queue_free_cycles:,} "
        f"| {gap:.1f} % | {100 * (1 - latency):.1f} % | {100 * (1 - moved):.1f} % | {seconds:.0f} |"
    )
    return line, latency, moved


def main() -> None:
    """Print the table and geometric means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", default="ou-isaac")
    parser.add_argument("networks", nargs="*", default=NETWORKS)
    given = parser.parse_args()
    warnings.simplefilter("ignore", ArchitectureWarning)
    print(HEAD)
    print("| --- | --- " + "| ---: " * 7 + "|")
    ratios = []
    for name in given.networks:
        found = row(name, given.arch)
        print(f"| {name} | does not fit | - | - | - | - | - | - | - |" if found is None else found[0], flush=True)
        if found is not None:
            ratios.append(found[1:])
    less = [100 * (1 - float(np.exp(np.log(column).mean()))) for column in zip(*ratios, strict=True)]
    print(f"| **geometric mean** | | | | | | **{less[0]:.1f} %** | **{less[1]:.1f} %** | |")


if __name__ == "__main__":
    main()
