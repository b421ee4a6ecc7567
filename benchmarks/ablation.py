"""Leave out one part of the heuristic at a time: ``python benchmarks/ablation.py [--networks ...] [--parts ...]``.

First answers (heuristic, seed 0, one process each) on the default chip, with everything and without each part. Runs are
appended to a file of JSON lines as they end (``--file``), and those that are there are not run again; the table of the
file is printed at the end: geometric means over the networks of *without* over *with*, so that a part pays where a
number is above 0, and on how many networks the objective gets worse and better without it. The rule is in
CONTRIBUTING.md: a part stays if one of latency, communication and CPU time gets at least 0.5 % worse without it.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

NETWORKS = ("lenet5", "cifar10", "squeezenet", "mobilenet_v2", "resnet18", "googlenet", "resnet50", "densenet121")
OBJECTIVES = ("latency", "balanced")
ALL = "everything"
Patches = Iterator[tuple[object, str, Any]]
"""Object, attribute and what stands there while a part is left out."""


def _settings(change: Callable[[Any], Any]) -> Patches:
    """Other settings to begin with: each changed, those that become None left out, the first one kept at least."""
    from spatem_opt.planning.candidates import Candidates

    usual = Candidates.settings

    def settings(self: Any) -> list[Any]:
        changed = [change(own) for own in usual(self)]
        return list(dict.fromkeys(own for own in changed if own is not None)) or usual(self)[:1]

    yield Candidates, "settings", settings


def _chains() -> Patches:
    yield from _settings(lambda own: None if own.chains else own)


def _without_chains_only() -> Patches:
    yield from _settings(lambda own: own if own.chains else None)


def _woven() -> Patches:
    yield from _settings(lambda own: replace(own, woven=0))


def _more() -> Patches:
    from spatem_opt.planning import candidates

    yield candidates, "MORE", candidates.MORE[:1]
    yield candidates, "LARGE", candidates.LARGE[:1]


def _lanes() -> Patches:
    from spatem_opt.planning.candidates import Candidates

    yield Candidates, "_lanes", lambda self, setting: (setting.lanes or 0,)


def _placed(**more: Any) -> Patches:
    from spatem_opt.planning.candidates import Candidates

    usual = Candidates.place

    def place(self: Any, cuts: Any, setting: Any) -> Any:
        found = usual(self, cuts, setting)
        return None if found is None else replace(found, **more)

    yield Candidates, "place", place


def _relief() -> Patches:
    yield from _placed(exchanges=())


def _rebalance() -> Patches:
    yield from _placed(rebalance=False)


def _shorten() -> Patches:
    from spatem_opt.search import engine

    yield engine, "usual_exchanges", lambda task: ()


def _variations() -> Patches:
    from spatem_opt.planning.candidates import Candidates

    yield Candidates, "effort", 0


def _edits() -> Patches:
    from spatem_opt.planning.segmented import Segmented

    yield Segmented, "_edits", lambda self, task, rng: False


def _orders() -> Patches:
    from spatem_opt.placement import places

    yield places, "_orders", lambda plan: [frozenset()]


def _pace() -> Patches:
    from spatem_opt.placement import places

    yield places, "_pace", lambda option, way, grid: 0


def _corner_free() -> Patches:
    from spatem_opt.placement import places

    yield places, "_corner_free", lambda layers, feeds, region, architecture: region


def _believed() -> Patches:
    from spatem_opt.search.engine import _Run

    yield _Run, "_learn_error", lambda self, plan, least: None


def _turns() -> Patches:
    from spatem_opt.planning import segmented

    yield segmented, "_in_turn", lambda made: [plan for _, plan in made]


PARTS: dict[str, Callable[[], Patches]] = {
    "chains": _chains,
    "segments that are no chains": _without_chains_only,
    "woven walks": _woven,
    "settings but the first": _more,
    "choice of lanes": _lanes,
    "relief of segments": _relief,
    "windows dealt out again": _rebalance,
    "shortening exchanges": _shorten,
    "variations of small networks": _variations,
    "edits": _edits,
    "copies ordered by free tiles": _orders,
    "pace": _pace,
    "corner kept free": _corner_free,
    "estimates believed as they held": _believed,
    "kinds of plans in turn": _turns,
}


def first_answer(network: str, arch: str, objective: str, part: str) -> dict[str, Any]:
    """Numbers of a first answer without a part."""
    import spatem_opt
    from spatem_opt.evaluator import prepare

    prepare()
    with ExitStack() as stack:
        for where, name, other in PARTS[part]() if part != ALL else ():
            stack.enter_context(patch.object(where, name, other))
        begun = time.process_time()
        result = spatem_opt.solve(
            spatem_opt.load_network(network), spatem_opt.load_architecture(arch), objective=objective,
            method="heuristic",
        )  # fmt: skip
    found = result.evaluation
    if found is None or found.communication is None:
        return {"value": None}
    return {
        "value": result.value, "latency": found.latency_cycles, "communication": found.communication.total,
        "seconds": round(time.process_time() - begun, 2),
    }  # fmt: skip


def table(runs: Sequence[dict[str, Any]], objective: str) -> Iterator[str]:
    """A Markdown row per part."""
    found = {(run["part"], run["network"]): run for run in runs if run["objective"] == objective}
    yield f"| without ({objective}) | latency | communication | CPU | worse | better | networks |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for part in PARTS:
        pairs = [
            (found[ALL, network], run)
            for (own, network), run in found.items()
            if own == part and run["value"] is not None and found.get((ALL, network), {}).get("value") is not None
        ]
        if pairs:
            means = [
                math.exp(sum(math.log(max(b[key], 0.01) / max(a[key], 0.01)) for a, b in pairs) / len(pairs)) - 1
                for key in ("latency", "communication", "seconds")
            ]
            worse, better = (sum(sign * (b["value"] - a["value"]) > 0 for a, b in pairs) for sign in (1, -1))
            shown = " | ".join(f"{100 * mean:+.2f} %" for mean in means)
            yield f"| {part} | {shown} | {worse} | {better} | {len(pairs)} |"


def main() -> int:
    """Run what is missing; print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--parts", nargs="+", default=tuple(PARTS), choices=tuple(PARTS))
    parser.add_argument("--objectives", nargs="+", default=OBJECTIVES)
    parser.add_argument("--arch", default="ou-isaac")
    parser.add_argument("--file", type=Path, default=Path("ablation.jsonl"), help="runs, one a line")
    parser.add_argument("--one", nargs=3, metavar=("NETWORK", "OBJECTIVE", "PART"), help="run one, print its line")
    args = parser.parse_args()
    if args.one:
        network, objective, part = args.one
        run = {"network": network, "objective": objective, "part": part}
        print(json.dumps({**run, **first_answer(network, args.arch, objective, part)}))
        return 0
    runs = [json.loads(line) for line in args.file.read_text().splitlines()] if args.file.exists() else []
    there = {(run["network"], run["objective"], run["part"]) for run in runs}
    for objective in args.objectives:
        for part in (ALL, *args.parts):
            for network in args.networks:
                if (network, objective, part) in there:
                    continue
                own = [sys.executable, __file__, "--arch", args.arch, "--one", network, objective, part]
                done = subprocess.run(own, stdout=subprocess.PIPE, text=True, check=True)
                runs.append(json.loads(done.stdout))
                with args.file.open("a") as file:
                    file.write(done.stdout)
        print("\n".join(table(runs, objective)), flush=True)
    return 0


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.exit(main())
