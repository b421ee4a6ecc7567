"""Wall time, CPU time and memory of whole processes: ``python benchmarks/processes.py [--repeat 5] [NAME ...]``.

Prints a Markdown table of medians. The peak of memory is the kernel's count for the child (``ru_maxrss``).
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from shipped import SHIPPED

SPATEM = [str(Path(sys.executable).parent / "spatem")]
FIRST = ["--method", "heuristic", "--time-limit", "0"]
LONG_CHAIN = """
from spatem_opt import load_architecture, solve
from spatem_opt.network.builder import chain
result = solve(chain(2000, channels=16, size=16), load_architecture("ou-isaac", {"adc_bits": 5, "cycle_ns": 7.68}))
print(result.status, result.value, result.bound)
"""


@dataclass(frozen=True)
class Run:
    """Seconds of wall clock and of CPU, and the peak of memory [MB], of one process."""

    wall_s: float
    cpu_s: float
    peak_mb: float


def commands(folder: Path) -> dict[str, tuple[list[str], str]]:
    """Command and target of every benchmark; solutions are written below the folder."""
    solution = str(folder / "resnet50.json")
    run = [sys.executable, "-c"]
    return {
        "import spatem_opt": ([*run, "import spatem_opt"], "<= 0.3 s"),
        "import, all names": ([*run, "import spatem_opt as s; [getattr(s, n) for n in s.__all__]"], ""),
        "solve resnet50": ([*SPATEM, "solve", "resnet50", "-o", solution], "<= 5 s, <= 600 MB"),
        "evaluate resnet50 (process)": ([*SPATEM, "evaluate", solution], ""),
        "evaluate resnet50 (call)": ([*run, EVALUATE, solution], "<= 1 s"),
        "solve vgg16": ([*SPATEM, "solve", "vgg16", "-o", str(folder / "vgg16.json")], "<= 10 s"),
        "chain of 2000 layers": ([*run, LONG_CHAIN], "<= 60 s"),
        **{f"first solution of {name}": ([*SPATEM, "solve", name, *FIRST], "<= 10 s, <= 1 GB") for name in SHIPPED},
    }


EVALUATE = """
import sys, time
from spatem_opt import evaluate, read_solution
solution = read_solution(sys.argv[1])
wall, cpu = [], []
for _ in range(5):
    begun = time.perf_counter(), time.process_time()
    evaluate(solution)
    wall.append(time.perf_counter() - begun[0])
    cpu.append(time.process_time() - begun[1])
print("CALL", sorted(wall)[2], sorted(cpu)[2])
"""


def measure(command: list[str]) -> Run:
    """Run a command once; raises if it fails."""
    with tempfile.TemporaryFile() as output:
        begun = time.perf_counter()
        child = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - begun
        child.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read().decode()
    if child.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: exit {child.returncode}\n{text}")
    wall_s, cpu_s = wall, usage.ru_utime + usage.ru_stime
    for line in text.splitlines():
        if line.startswith("CALL"):
            wall_s, cpu_s = (float(word) for word in line.split()[1:])
    return Run(wall_s, cpu_s, usage.ru_maxrss / 1024)


def main() -> None:
    """Measure what is asked for and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="substrings of benchmark names; all by default")
    parser.add_argument("--repeat", type=int, default=5)
    args = parser.parse_args()
    print(f"Load average before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
    print("| what | wall [s] | CPU [s] | peak [MB] | target |\n|---|---:|---:|---:|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, (command, target) in commands(Path(folder)).items():
            if args.names and not any(part in name for part in args.names):
                continue
            runs = [measure(command) for _ in range(args.repeat)]
            wall, cpu, peak = (
                statistics.median(getattr(run, f) for run in runs) for f in ("wall_s", "cpu_s", "peak_mb")
            )
            print(f"| {name} | {wall:.2f} | {cpu:.2f} | {peak:.0f} | {target} |", flush=True)


if __name__ == "__main__":
    main()
