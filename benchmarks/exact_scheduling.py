"""Chunk schedules, heuristic against CP-SAT: ``python benchmarks/exact_scheduling.py [NETWORK ...] [--chunks 8]``.

One JSON line per network: combinatorial bound, list schedule, objective and bound of CP-SAT [cycles], gap, wall time,
the latency that the evaluator finds for the best schedule of chunks, and that of the list schedule of single windows.
"""

from __future__ import annotations

import argparse
import json

from formulations.scheduling import cpsat
from spatem_opt.evaluator import evaluate
from spatem_opt.model.presets import load_architecture
from spatem_opt.network import load
from spatem_opt.planning.candidates import Candidates
from spatem_opt.planning.plan import assemble, problem_of
from spatem_opt.planning.settings import Setting
from spatem_opt.scheduling import chunk_bounds, chunk_heuristic, chunks, list_schedule
from spatem_opt.scheduling.expansion import build


def measure(name: str, args: argparse.Namespace) -> dict[str, object]:
    """Everything about one network."""
    candidates = Candidates(load(name), load_architecture(args.arch), "latency")
    plan = candidates.segmented(Setting(args.price))
    if plan is None:
        return {"network": name, "plan": None}
    source = problem_of(plan, candidates.network, candidates.architecture)
    expansion = build(source, args.chunks)
    problem = expansion.problem
    hint = chunk_heuristic.solve(problem)
    found = cpsat.solve(problem, time_limit=args.time_limit, workers=args.workers, hint=hint)
    if found.solution is None or found.objective is None or found.bound is None:
        return {"network": name, "status": str(found.status)}
    cut, times = expansion.timetable(found.solution)
    return {
        "network": name, "tasks": problem.tasks, "lags": len(problem.lag), "resources": len(problem.resources),
        "combinatorial": chunk_bounds.lower_bound(problem), "heuristic": chunks.makespan(problem, hint.start),
        "status": str(found.status), "objective": found.objective, "bound": found.bound,
        "gap": round((found.objective - found.bound) / found.objective, 4), "seconds": round(found.seconds, 1),
        "versions": found.versions, "evaluator": evaluate(assemble(plan, cut, times)).latency_cycles,
        "windows": list_schedule.solve(source).latency,
    }  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", default=["resnet18"])
    parser.add_argument("--arch", default="ou-isaac")
    parser.add_argument(
        "--price", type=float, default=0.03, help="of communication, as in spatem_opt.planning.candidates"
    )
    parser.add_argument("--chunks", type=int, default=8)
    parser.add_argument("--time-limit", type=float, default=120.0)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    for name in args.networks:
        print(json.dumps(measure(name, args)), flush=True)


if __name__ == "__main__":
    main()
