"""Whether first answers are the same to the bit: ``python benchmarks/fingerprint.py [--quick] [--write] [CASE ...]``.

A case is a shipped network or a tiny instance (``tiny/SEED``) with an objective: ``resnet18 balanced``, ``tiny/7
latency``. Of each first answer (heuristic, seed 0, one process, no time limit) value and communication are kept, and
hashes of mapping, segments, placement and schedule: all integers, no clock. They are compared with
``fingerprint.json``: one line per difference, exit code 1 if there is any. ``--write`` stores what is found, case by
case, and leaves other cases as they are. ``--quick``: small networks and tiny instances only. Further words, names of
instances or of an objective, choose the cases that have one of them.

Every move of code keeps the fingerprint. A change of method that changes answers stores a new one in the same commit,
and says so.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from shipped import SHIPPED

import spatem_opt
from spatem_opt.testing import tiny_instance

STORE = Path(__file__).with_suffix(".json")
OBJECTIVES = ("latency", "balanced")
QUICK = ("lenet5", "cifar10", "squeezenet", "resnet18")
"""Shipped networks that ``--quick`` takes."""
TINY = 40
"""Tiny instances: the first so many seeds."""
CHIP = "ou-isaac"
Instance = tuple[spatem_opt.Network, spatem_opt.Architecture]
Answer = dict[str, Any]


def cases(quick: bool) -> Iterator[tuple[str, Callable[[], Instance]]]:
    """Names of instances, and how to get them; small ones first."""
    for seed in range(TINY):
        yield f"tiny/{seed}", partial(tiny_instance, seed)
    names = [*QUICK, *(name for name in SHIPPED if name not in QUICK and not quick)]
    for name in names:
        yield name, partial(shipped, name)


def shipped(name: str) -> Instance:
    """A shipped network on the default chip."""
    return spatem_opt.load_network(name), spatem_opt.load_architecture(CHIP)


def digest(*columns: Any) -> str:
    """Hash of columns of integers, whatever their type and layout in memory."""
    found = hashlib.sha256()
    for column in columns:
        values = np.ascontiguousarray(column, dtype="<i8")
        found.update(repr(values.shape).encode())
        found.update(values.tobytes())
    return found.hexdigest()[:16]


def table(rows: Any) -> str:
    """Hash of a table of columns."""
    return digest(*(getattr(rows, field.name) for field in fields(rows)))


def answer(instance: Instance, objective: str) -> Answer:
    """What is kept of the first answer for an instance."""
    result = spatem_opt.solve(*instance, objective=objective, method="heuristic", seed=0)
    found: Answer = {"status": str(result.status), "value": result.value}
    if result.solution is not None and result.evaluation is not None and result.evaluation.communication is not None:
        solution = result.solution
        options = [(o.scheme, o.storage, int(o.ph), int(o.pw)) for o in solution.mapping]
        found["communication"] = result.evaluation.communication.total
        found["mapping"] = hashlib.sha256(repr(options).encode()).hexdigest()[:16]
        found["segment"] = digest(solution.segment)
        found["placement"] = table(solution.placement)
        found["schedule"] = table(solution.schedule)
    return found


def difference(stored: Answer | None, found: Answer) -> str:
    """In words, empty if there is none."""
    if stored is None:
        return "not stored"
    parts = []
    for name in sorted({*stored, *found}):
        before, now = stored.get(name), found.get(name)
        if before != now:
            change = ""
            if isinstance(before, int) and isinstance(now, int) and before > 0:
                change = f" ({100 * (now / before - 1):+.2f} %)"
            parts.append(f"{name} {before} -> {now}{change}")
    return "; ".join(parts)


def store(path: Path, found: dict[str, Answer]) -> None:
    """Write the answers, one line each, in the order of their names."""
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(found[name])}" for name in sorted(found))
    path.write_text(f"{{\n{lines}\n}}\n")


def main() -> int:
    """Compare, or store; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", metavar="CASE", help="only cases of these instances or objectives")
    parser.add_argument("--quick", action="store_true", help=f"only {', '.join(QUICK)} and tiny instances")
    parser.add_argument("--write", action="store_true", help="store what is found")
    parser.add_argument("--file", type=Path, default=STORE, help="where the answers are stored")
    args = parser.parse_args()
    stored: dict[str, Answer] = json.loads(args.file.read_text()) if args.file.exists() else {}
    chosen = [(f"{name} {objective}", get, objective) for name, get in cases(args.quick) for objective in OBJECTIVES]
    chosen = [case for case in chosen if not args.words or any(word in case[0].split() for word in args.words)]
    different = 0
    for case, get, objective in chosen:
        found = answer(get(), objective)
        said = difference(stored.get(case), found)
        if args.write:
            stored[case] = found
            store(args.file, stored)
        if said:
            different += 1
            print(f"{case}: {said}", flush=True)
    print(f"{len(chosen)} cases, {different} different{' (stored)' if args.write else ''}")
    return int(different > 0 and not args.write)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.exit(main())
