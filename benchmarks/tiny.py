"""Every step by both engines, and all steps at once, on tiny instances: ``python benchmarks/tiny.py [-o FILE]``.

Instances: the generated ones of :func:`spatem_opt.testing.tiny_instance`, LeNet-5 and cifar10 on the small shipped
chips. Each step's problem takes what the heuristic's best solution decided as given (``spatem_opt/exact``) and is
solved by CP-SAT and as ILP, from the same start. Prints a Markdown table and a summary; with ``-o`` every instance is
also written to a file of JSON lines as soon as it is done.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from formulations.grouping import cpsat as grouping_cpsat
from formulations.grouping import ilp as grouping_ilp
from formulations.mapping import cpsat as mapping_cpsat
from formulations.mapping import ilp as mapping_ilp
from formulations.replication import master
from formulations.scheduling import cpsat as scheduling_cpsat
from formulations.scheduling import ilp as scheduling_ilp
from formulations.solver import StepResult
from spatem_opt import front_end
from spatem_opt.errors import InstanceError
from spatem_opt.exact import replication as exact_replication
from spatem_opt.exact.decoupling import decoupling_price
from spatem_opt.exact.grouping import kinds
from spatem_opt.exact.scheduling import source
from spatem_opt.mapping.problem import build as build_mapping
from spatem_opt.model.architecture import Architecture, ArchitectureWarning
from spatem_opt.model.presets import load_architecture
from spatem_opt.model.result import Status
from spatem_opt.network import load
from spatem_opt.network.layers import Network
from spatem_opt.planning.candidates import SLACK_PERCENT, Candidates
from spatem_opt.scheduling.expansion import build as build_chunks
from spatem_opt.search.engine import Evaluated, search
from spatem_opt.testing import TINY, tiny_instance

STEPS = ("mapping", "grouping", "replication", "scheduling")
SHIPPED = ("lenet5", "cifar10")
CHIPS = ("ou-isaac-2x2", "ou-isaac-4x4")
FINEST = 64
"""Chunks of a copy tried first for scheduling: all windows of a tiny instance. Halved until the ILP can be built."""
Solve = Callable[[float], StepResult[Any]]


def instances(kinds_: list[str], count: int) -> Iterator[tuple[Network, Architecture]]:
    """What is asked for."""
    if "shipped" in kinds_:
        for name in SHIPPED:
            for chip in CHIPS:
                yield load(name), load_architecture(chip)
    if "tiny" in kinds_:
        for seed in range(count):
            yield tiny_instance(seed)


def best_of(network: Network, chip: Architecture) -> Evaluated:
    """The heuristic's best solution with its plan."""
    return min(search(network, chip, "latency", "heuristic"), key=lambda found: found.value)


def alone(args: argparse.Namespace) -> tuple[str, ...]:
    """Families to leave out: the combinatorial bounds, if the solvers have to prove everything themselves."""
    return ("bound",) if args.alone else ()


def mapping(found: Evaluated, args: argparse.Namespace) -> list[tuple[Solve, Solve]]:
    """Solvers of the mapping step: least communication within the slack of operations."""
    p = build_mapping(found.solution.network, found.solution.architecture, slack_percent=SLACK_PERCENT)
    return [(
        lambda t: mapping_cpsat.solve(p, time_limit=t, workers=args.workers),
        lambda t: mapping_ilp.solve(p, time_limit=t, workers=args.workers),
    )]  # fmt: skip


def grouping(found: Evaluated, args: argparse.Namespace) -> list[tuple[Solve, Solve]]:
    """Solvers of the grouping step, one pair for every kind of layer."""
    return [
        (
            lambda t, k=kind: grouping_cpsat.solve(
                k.problem, time_limit=t, workers=args.workers, hint=k.chosen, without=alone(args)
            ),
            lambda t, k=kind: grouping_ilp.solve(
                k.problem, time_limit=t, workers=args.workers, hint=k.chosen, without=alone(args)
            ),
        )
        for kind in kinds(found)[0]
    ]


def replication(found: Evaluated, args: argparse.Namespace) -> list[tuple[Solve, Solve]]:
    """Solvers of the replication step at the setting that led to the solution."""
    candidates = Candidates(found.solution.network, found.solution.architecture, "latency")
    start = exact_replication.prepare(candidates, found.setting or candidates.settings()[0])
    return [(
        lambda t: master.solve(start.problem, time_limit=t, workers=args.workers, hint=start.hint),
        lambda t: master.solve(start.problem, time_limit=t, workers=args.workers, hint=start.hint, engine="ilp"),
    )]  # fmt: skip


def scheduling(found: Evaluated, args: argparse.Namespace) -> list[tuple[Solve, Solve]]:
    """Solvers of the scheduling step, with as fine chunks as the ILP can take."""
    problem = source(found)
    windows = int(np.bincount(problem.chunks.layer, problem.chunks.last - problem.chunks.first + 1).max())
    chunks = min(FINEST, windows)
    while True:
        p = build_chunks(problem, chunks).problem
        try:
            scheduling_ilp.solve(p, time_limit=0.0)
            break
        except InstanceError:
            if chunks == 1:
                raise
            chunks = -(-chunks // 2)
    return [(
        lambda t: scheduling_cpsat.solve(p, time_limit=t, workers=args.workers, without=alone(args)),
        lambda t: scheduling_ilp.solve(p, time_limit=t, workers=args.workers, without=alone(args)),
    )]  # fmt: skip


PROBLEMS = {"mapping": mapping, "grouping": grouping, "replication": replication, "scheduling": scheduling}


def measure_step(name: str, found: Evaluated, args: argparse.Namespace) -> dict[str, Any]:
    """Both engines on all problems of a step: proven, equal, longest time of one problem."""
    try:
        pairs = PROBLEMS[name](found, args)
    except InstanceError as error:
        return {"problems": 0, "error": str(error)}
    if not pairs:
        return {"problems": 0}
    results = [(first(args.time_limit), second(args.time_limit)) for first, second in pairs]
    out: dict[str, Any] = {"problems": len(results)}
    for engine, column in zip(("cpsat", "ilp"), zip(*results, strict=True), strict=True):
        out[engine] = {
            "proven": sum(r.status in (Status.OPTIMAL, Status.INFEASIBLE) for r in column),
            "seconds": round(max(r.seconds for r in column), 2),
            "gap": round(max((1 - r.bound / r.objective if r.objective else 0.0) for r in column), 4),
        }
    out["equal"] = sum(
        (a.status, a.objective, a.levels) == (b.status, b.objective, b.levels) and a.status is not Status.FEASIBLE
        for a, b in results
    )
    return out


def measure(network: Network, chip: Architecture, args: argparse.Namespace) -> dict[str, Any]:
    """Everything about one instance."""
    found = best_of(network, chip)
    steps = {name: measure_step(name, found, args) for name in STEPS}
    if args.alone:
        return {
            "network": network.name,
            "chip": chip.name,
            "layers": len(network.layers),
            "tiles": chip.tiles,
            "crossbars": chip.crossbars,
            "steps": steps,
            "heuristic": found.value,
            "stepwise": None,
            "joint": None,
        }
    heuristic = front_end.solve(network, chip)
    stepwise = front_end.solve(network, chip, method="exact", time_limit=args.time_limit, workers=args.workers)
    better = stepwise if (stepwise.value or math.inf) < (heuristic.value or math.inf) else heuristic
    joint = decoupling_price(network, chip, better, args.time_limit, workers=args.workers)
    return {
        "network": network.name, "chip": chip.name, "layers": len(network.layers), "tiles": chip.tiles,
        "crossbars": chip.crossbars, "steps": steps, "heuristic": heuristic.value, "stepwise": stepwise.value,
        "bound": heuristic.bound, "joint": None if joint.joint is None else {
            "status": str(joint.joint.status), "objective": joint.joint.objective, "bound": joint.joint.bound,
            "seconds": round(joint.joint.seconds, 2),
        }, "reason": joint.reason,
    }  # fmt: skip


def row(line: dict[str, Any]) -> str:
    """One line of the table."""
    cells = [line["network"] if line["chip"] == line["network"] else f"{line['network']} on {line['chip']}"]
    cells += [str(line["layers"]), f"{line['tiles']} / {line['crossbars']}"]
    cells += [_cell(line["steps"][name]) for name in STEPS]
    cells += [str(line["heuristic"]), str(line["stepwise"])]
    joint = line["joint"]
    if joint is None:
        cells += ["beyond reach" if "reason" in line else "", "", ""]
    else:
        proven = joint["status"] == "optimal"
        shown = str(joint["objective"]) if proven else f"{joint['bound']} .. {joint['objective']}"
        least = line["heuristic"] / joint["objective"] - 1
        cells += [shown, f"{joint['seconds']:.1f}", f"{'' if proven else '>= '}{100 * least:.1f} %"]
    return f"| {' | '.join(cells)} |"


def _cell(step: dict[str, Any]) -> str:
    """``=`` if all problems are proven by both engines with equal objective, and the seconds of both."""
    if not step["problems"]:
        return "too large" if "error" in step else "-"
    seconds = f"{step['cpsat']['seconds']:.1f} / {step['ilp']['seconds']:.1f}"
    if step["equal"] == step["problems"]:
        return f"= {seconds}"
    proven = f"{step['cpsat']['proven']} / {step['ilp']['proven']} of {step['problems']}"
    return f"{proven}, {seconds}, gap {100 * max(step['cpsat']['gap'], step['ilp']['gap']):.1f} %"


def summary(lines: list[dict[str, Any]], limit: float) -> Iterator[str]:
    """What the table says."""
    for name in STEPS:
        steps = [line["steps"][name] for line in lines]
        whole = [s for s in steps if s["problems"] == s.get("equal", 0)]
        longest = max((s[e]["seconds"] for s in whole for e in ("cpsat", "ilp") if s["problems"]), default=0.0)
        yield f"- {name}: both engines prove the same optimum on {len(whole)} of {len(steps)}, at most {longest} s"
    if any("reason" not in line for line in lines):
        return
    tried = [line for line in lines if line["joint"] is not None]
    proven = [line for line in tried if line["joint"]["status"] == "optimal"]
    beyond = len(lines) - len(tried)
    yield f"- joint model: {len(proven)} of {len(tried)} within reach proven in {limit:g} s; {beyond} beyond reach"
    for name, part in (("proven", proven), ("all tried", tried)):
        for base in ("heuristic", "stepwise"):
            ratios = [line[base] / line["joint"]["objective"] for line in part if line[base]]
            if ratios:
                mean, same = statistics.geometric_mean(ratios), sum(r == 1 for r in ratios)
                yield (
                    f"- price of decoupling ({name}), {base} / joint: geometric mean {100 * (mean - 1):.1f} %, "
                    f"most {100 * (max(ratios) - 1):.1f} %, none on {same} of {len(ratios)}"
                )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", choices=["tiny", "shipped"], default=["tiny", "shipped"])
    parser.add_argument("--count", type=int, default=TINY, help="generated instances")
    parser.add_argument("--alone", action="store_true", help="steps only, without combinatorial bounds: solvers prove")
    parser.add_argument("--time-limit", type=float, default=60.0, help="of every problem, and of the joint model [s]")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("-o", "--output", type=Path, help="file of JSON lines, appended to")
    args = parser.parse_args()
    warnings.simplefilter("ignore", ArchitectureWarning)
    print(f"Load average before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
    print(f"| instance | layers | tiles / crossbars | {' | '.join(STEPS)} | heuristic | stepwise | joint | s | price |")
    print("|---|---:|---:|---|---|---|---|---:|---:|---:|---:|---:|")
    lines, begun = [], time.monotonic()
    for network, chip in instances(args.kinds, args.count):
        lines.append(measure(network, chip, args))
        print(row(lines[-1]), flush=True)
        if args.output is not None:
            with args.output.open("a") as file:
                print(json.dumps(lines[-1]), file=file)
    print(f"\n{time.monotonic() - begun:.0f} s in all\n")
    print("\n".join(summary(lines, args.time_limit)))


if __name__ == "__main__":
    main()
