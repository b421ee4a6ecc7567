"""A small solution that every report is made of."""

from __future__ import annotations

import pytest

from spatem_opt import front_end
from spatem_opt.evaluator import Evaluation, evaluate
from spatem_opt.model.architecture import Architecture
from spatem_opt.model.presets import load_architecture
from spatem_opt.model.solution import Solution
from spatem_opt.network import load


@pytest.fixture(scope="package")
def chip() -> Architecture:
    """16 tiles, one per router."""
    return load_architecture("ou-isaac-4x4", {"adc_bits": 5})


@pytest.fixture(scope="package")
def solved(chip: Architecture) -> tuple[Solution, Evaluation]:
    """LeNet-5 on that chip."""
    solution = front_end.solve(load("lenet5"), chip).solution
    assert solution is not None
    return solution, evaluate(solution)
