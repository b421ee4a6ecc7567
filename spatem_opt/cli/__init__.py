"""The command line ``spatem``: one module per group of commands, imported when help or a command needs it.

Exit codes: 0 done, 1 no solution within the limits, 2 bad input, 3 violated constraints, 4 proven infeasible,
130 interrupted by Ctrl-C, 143 by SIGTERM, each without a solution: with one, it is kept and the code is 0.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    Parameters
    ----------
    arguments : sequence of str, optional
        Those of the process by default.
    """
    begun = time.monotonic()  # loading takes a second, which time limits count as well
    # Our matrix products are many and small: BLAS threads get in each other's way. Must be set before numpy loads.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from spatem_opt.cli.app import run  # typer and rich load here, not with the package

    return run(arguments, begun)
