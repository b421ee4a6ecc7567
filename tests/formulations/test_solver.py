"""Running solvers: only what is known is reported."""

from __future__ import annotations

import subprocess
import sys

import pytest

from formulations.solver import Limits, Result, concluded, run_cpsat
from spatem_opt.errors import ModelError
from spatem_opt.result import Status


@pytest.mark.parametrize(
    ("status", "solution", "objective", "bound"),
    [
        (Status.OPTIMAL, "s", 3, 2),
        (Status.FEASIBLE, "s", 3, 3),
        (Status.FEASIBLE, "s", 3, 4),
        (Status.OPTIMAL, None, None, None),
        (Status.INFEASIBLE, "s", 3, 2),
    ],
)
def test_contradictory_results_are_refused(
    status: Status, solution: str | None, objective: int | None, bound: int | None
) -> None:
    with pytest.raises(ModelError):
        Result(status, solution, objective, bound, 0.0, "test")


def test_status_follows_from_objective_and_bound() -> None:
    assert concluded(None, 3) is Status.UNKNOWN
    assert concluded(4, 3) is Status.FEASIBLE
    assert concluded(3, 3) is Status.OPTIMAL


def test_infeasible_has_no_numbers() -> None:
    from ortools.sat.python import cp_model

    model = cp_model.CpModel()
    x = model.new_bool_var("x")
    model.add(x >= 1)
    model.add(x <= 0)
    model.minimize(x)
    run = run_cpsat(model, Limits(5.0, workers=1))
    assert (run.status, run.objective, run.bound, run.solved) == (Status.INFEASIBLE, None, None, False)


def test_malformed_models_are_our_bug() -> None:
    from ortools.sat.python import cp_model

    model = cp_model.CpModel()
    model.new_int_var(5, 2, "x")
    with pytest.raises(ModelError, match="malformed"):
        run_cpsat(model, Limits(5.0, workers=1))


@pytest.mark.parametrize("module", ["formulations.solver", "formulations.grouping.cpsat", "formulations.mapping.ilp"])
def test_importing_a_model_loads_no_solver(module: str) -> None:
    code = f"import sys, {module}; print({{m.split('.')[0] for m in sys.modules}} & {{'ortools', 'pulp', 'highspy'}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
