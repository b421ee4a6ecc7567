"""CPU seconds, wall seconds and peak memory by network: ``python benchmarks/speed.py [NAME | FILE.onnx] ...``.

Every figure is that of a process of its own: one that loads the network, one that solves it (``spatem solve``, first
answer, seed 0, one worker) and one that evaluates the solution file. CPU seconds count all threads; on a machine that
others use they are what can be compared.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from spatem_opt import networks

START = "import sys; from spatem_opt.cli import main; sys.exit(main(sys.argv[1:]))"
LOAD = "import sys; from spatem_opt import load_network; load_network(sys.argv[1])"


def measured(code: str, *words: str) -> tuple[str, bool]:
    """CPU [s] | wall [s] | peak [MB] of ``python -c code words``, and whether it succeeded."""
    begun = time.monotonic()
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([sys.executable, "-c", code, *words], **quiet)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall, cpu, peak = time.monotonic() - begun, used.ru_utime + used.ru_stime, used.ru_maxrss / 1e3
    return f"{cpu:.1f} | {wall:.1f} | {peak:.0f}", process.returncode == 0


def main() -> None:
    """A row per network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("network", nargs="*", help="shipped networks or files; all shipped ones by default")
    parser.add_argument("--arch", default="ou-isaac")
    args = parser.parse_args()
    print(f"Load average {os.getloadavg()[0]:.1f}. Each: CPU [s] | wall [s] | peak [MB].\n")
    print("| network | load | | | first answer | | | evaluate | | |\n|---|" + "---:|" * 9)
    with tempfile.TemporaryDirectory() as folder:
        out = str(Path(folder) / "solution.json")
        for name in args.network or networks():
            load, _ = measured(LOAD, name)
            solve, solved = measured(START, "solve", name, "--arch", args.arch, "--workers", "1", "-o", out)
            check = measured(START, "evaluate", out)[0] if solved else "- | - | -"
            print(f"| {Path(name).stem} | {load} | {solve} | {check} |", flush=True)


if __name__ == "__main__":
    main()
