"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import sys

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the command line does; before numpy loads

import numpy as np
import pytest
from hypothesis import Phase, settings
from hypothesis.internal.conjecture import engine

from spatem_opt.cli import solve as cli_solve
from spatem_opt.evaluator import prepare
from spatem_opt.model.architecture import Architecture
from spatem_opt.model.solution import MappingOption, Placement, Schedule, Solution
from spatem_opt.network.builder import Builder
from spatem_opt.network.layers import Network
from spatem_opt.planning import candidates

# PuLP imports highspy wherever that is installed, and beside ortools some releases end the process with a segmentation
# fault (formulations.solver.HIGHS). Tests of HiGHS run it in processes of their own.
sys.modules["highspy"] = None  # type: ignore[assignment]

# One rule for all generated tests: no deadlines, since machines are shared, and the same examples in every run and
# every process, so that what fails once fails again. `pytest --hypothesis-profile=search` looks at other examples.
# A test that fails says so soon: the first failure is made smaller for a minute at most (hypothesis has no setting for
# its five), and nothing is explained, for which Python 3.11 would trace every line that runs.
settings.register_profile(
    "fixed",
    deadline=None,
    derandomize=True,
    database=None,
    print_blob=True,
    report_multiple_bugs=False,
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
)
settings.register_profile("search", deadline=None, derandomize=False, print_blob=True)
settings.load_profile("fixed")
engine.MAX_SHRINKING_SECONDS = 60


def pytest_configure(config: pytest.Config) -> None:
    """Compile the event replay before pytest-xdist starts workers, which then load it: once, not in every worker."""
    if not hasattr(config, "workerinput"):
        prepare()


@pytest.fixture
def tiny_network() -> Network:
    """A 3x3 convolution of 2 x 4 x 4 to 4 x 2 x 2, and a fully connected layer of 3 outputs."""
    b = Builder("tiny", "made by hand for tests")
    x = b.conv(b.input(2, 4, 4), 4, 3, name="conv")
    b.fc(x, 3, name="fc")
    return b.build()


@pytest.fixture
def tiny_solution(tiny_network: Network) -> Solution:
    """A valid solution of `tiny_network` on 4 tiles, by hand.

    Layer 0 (18 rows, 4 x 8 bitlines: 2 x 4 OUs) has two interleaved copies on crossbars 0 and 1; layer 1 (16 rows,
    3 x 8 bitlines: 2 x 3 OUs) has one copy, an OU row each on crossbars 2 and 3. An interval of layer 0 takes
    16 phases x 8 OUs + 1 cycle to load 2 x 288 bits = 129 cycles, so two windows end well before cycle 1000; one of
    layer 1 takes 16 x 3 + 1 = 49.
    """
    chip = Architecture(name="tiny", mesh_rows=2, mesh_cols=2, tiles_per_router=1)
    placement = [  # layer, copy, crossbar, row_start, row_stop, col_start, col_stop
        (0, 0, 0, 0, 2, 0, 4),
        (0, 1, 1, 0, 2, 0, 4),
        (1, 0, 2, 0, 1, 0, 3),
        (1, 0, 3, 1, 2, 0, 3),
    ]
    schedule = [  # layer, copy, first_window, last_window, step, pace, start, end
        (0, 0, 0, 2, 2, 0, 0, 1000),
        (0, 1, 1, 3, 2, 0, 0, 1000),
        (1, 0, 0, 0, 1, 0, 1000, 2000),
    ]
    return Solution(
        architecture=chip,
        network=tiny_network,
        mapping=(MappingOption(), MappingOption()),
        placement=Placement(*np.array(placement, dtype=np.int64).T.copy()),
        schedule=Schedule(*np.array(schedule, dtype=np.int64).T.copy()),
        segment=np.zeros(2, dtype=np.int64),
        claims={"mapping": {"engine": "by hand", "status": "feasible"}},
    )


@pytest.fixture(autouse=True, scope="session")
def _quick() -> None:
    """Commands use one process, as tests run on all cores; small networks get few variations in their first answers."""
    cli_solve.cores = lambda: 1
    candidates.SMALL_EFFORT = 6
