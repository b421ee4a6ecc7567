"""Cuts into runs, heuristic against exact: ``python benchmarks/exact_replication.py [NETWORK ...]``.

One JSON line per network: cost of ``segments.cut``, exact objective and bound [cycles], gap, wall time, and the latency
of both after placing and scheduling (before routers slow anything down).
"""

from __future__ import annotations

import argparse
import json

from formulations.replication import master
from formulations.replication.problem import UNIT, from_prices, from_segmentation
from spatem_opt.model.presets import load_architecture
from spatem_opt.network import load
from spatem_opt.planning.candidates import Candidates
from spatem_opt.planning.plan import problem_of
from spatem_opt.planning.settings import Setting
from spatem_opt.replication import segmentation
from spatem_opt.scheduling import list_schedule

NETWORKS = ("resnet50", "vgg16", "googlenet", "densenet121")


def scheduled(candidates: Candidates, cuts: segmentation.Segmentation, setting: Setting) -> int | None:
    """Latency of cuts [cycles]; None if the copies do not fit tile by tile."""
    plan = candidates.place(cuts, setting)
    if plan is None:
        return None
    problem = problem_of(plan, candidates.network, candidates.architecture)
    return list_schedule.solve(problem).latency


def measure(name: str, args: argparse.Namespace) -> dict[str, object]:
    """Everything about one network."""
    candidates = Candidates(load(name), load_architecture(args.arch), "latency")
    setting = Setting(args.price)
    runs = candidates.runs(setting)
    tried = ((fill, segmentation.best_segmentation(runs, fill=fill)) for fill in candidates.tuning.plans.fills)
    fill, cuts = next(((fill, cuts) for fill, cuts in tried if cuts is not None), (1.0, None))
    problem = from_prices(runs, fill=fill)
    hint = None if cuts is None else from_segmentation(problem, cuts)
    found = master.solve(
        problem, time_limit=args.time_limit, workers=args.workers, hint=hint, gap=args.gap, engine=args.engine
    )
    gap = None if not found.objective or found.bound is None else (found.objective - found.bound) / found.objective
    return {
        "network": name, "layers": problem.layers, "fill": fill, "status": str(found.status), "engine": found.engine,
        "heuristic": None if cuts is None else round(cuts.cost),
        "objective": found.objective and found.objective / UNIT, "bound": found.bound and found.bound / UNIT,
        "gap": gap and round(gap, 5), "seconds": round(found.seconds, 1), "versions": found.versions,
        "latency_heuristic": None if cuts is None else scheduled(candidates, cuts, setting),
        "latency_exact": found.solution and scheduled(candidates, found.solution.cuts(problem), setting),
    }  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", default=NETWORKS)
    parser.add_argument("--arch", default="ou-isaac")
    parser.add_argument(
        "--price", type=float, default=0.03, help="of communication, as in spatem_opt.planning.candidates"
    )
    parser.add_argument("--time-limit", type=float, default=120.0)
    parser.add_argument("--gap", type=float, default=0.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--engine", choices=["cpsat", "ilp"], default="cpsat")
    args = parser.parse_args()
    for name in args.networks:
        print(json.dumps(measure(name, args)), flush=True)


if __name__ == "__main__":
    main()
