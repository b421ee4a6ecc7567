"""Running solvers: only what is known is reported."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from formulations.grouping.linear import integer_program
from formulations.grouping.program import Program
from formulations.solver import HIGHS, Limits, StepResult, concluded, highs_accepted, pulp_status, run_cpsat, run_pulp
from spatem_opt.errors import ModelError
from spatem_opt.model.result import Status
from spatem_opt.search.stop import catch_interrupt

if TYPE_CHECKING:
    from ortools.sat.python import cp_model

ROOT = str(Path(__file__).parents[2])


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
        StepResult(status, solution, objective, bound, 0.0, "test")


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


def even_sum(problem: Any) -> None:
    """Feasible as a linear program only: an even sum is to be odd."""
    import pulp

    xs = [problem.add_variable(f"x{i}", 0, 1, "Integer") for i in range(6)]
    problem.setObjective(pulp.lpSum(xs))
    problem.addConstraint(pulp.lpSum(2 * x for x in xs) == 5, name="odd")


def out_of_range(problem: Any) -> None:
    """Infeasible as a linear program."""
    x = problem.add_variable("x", 0, 1, "Integer")
    problem.setObjective(1 * x)
    problem.addConstraint(x >= 2, name="high")


def optimal(problem: Any) -> None:
    """Two of three, the cheapest: 3."""
    import pulp

    xs = [problem.add_variable(f"x{i}", 0, 1, "Integer") for i in range(3)]
    problem.setObjective(pulp.lpSum((i + 1) * x for i, x in enumerate(xs)))
    problem.addConstraint(pulp.lpSum(xs) >= 2, name="two")


def without_end(problem: Any) -> None:
    """Unbounded; a constraint makes it more than a look at the bounds."""
    x, y = (problem.add_variable(name, None, None, "Integer") for name in "xy")
    problem.setObjective(-1 * x - y)
    problem.addConstraint(x - y <= 1, name="near")


def market_split(problem: Any) -> None:
    """Feasible by construction, but no solver finds a solution in a second."""
    import pulp

    rng = random.Random(1)
    xs = [problem.add_variable(f"x{i}", 0, 1, "Integer") for i in range(60)]
    chosen = [rng.randint(0, 1) for _ in xs]
    problem.setObjective(pulp.lpSum((i % 3 + 1) * x for i, x in enumerate(xs)))
    for k in range(6):
        a = [rng.randint(0, 999) for _ in xs]
        total = sum(c * z for c, z in zip(a, chosen, strict=True))
        problem.addConstraint(pulp.lpSum(c * x for c, x in zip(a, xs, strict=True)) == total, name=f"market{k}")


def half(problem: Any) -> None:
    """Any values are a solution, the best halves a sum of large numbers: hard to prove."""
    import pulp

    rng = random.Random(2)
    xs = [problem.add_variable(f"x{i}", 0, 1, "Integer") for i in range(50)]
    weights = [rng.randint(10**5, 10**6) * 2 for _ in xs]
    off = problem.add_variable("off", 0, sum(weights), "Integer")
    left = pulp.lpSum(w * x for w, x in zip(weights, xs, strict=True)) - sum(weights) // 2 + 1
    problem.setObjective(1 * off)
    problem.addConstraint(left <= off, name="above")
    problem.addConstraint(-1 * left <= off, name="below")


CASES: list[tuple[Callable[[Any], None], float, str]] = [
    (out_of_range, 20.0, "infeasible"),
    (even_sum, 20.0, "infeasible"),
    (without_end, 20.0, "unbounded"),
    (market_split, 0.5, "unknown"),
    (half, 1.0, "feasible"),
]


def outcome(fill: Callable[[Any], None], seconds: float) -> str:
    """Status of a run with whatever solver PuLP has here, "unbounded" for the error."""
    import pulp

    problem = pulp.LpProblem("case", pulp.LpMinimize)
    fill(problem)
    try:
        run = run_pulp(problem, Limits(seconds))
    except ModelError as error:
        return str(error).split()[0]
    assert run.solved == (run.objective is not None)
    assert run.bound is None or run.status is Status.OPTIMAL
    return str(run.status)


@pytest.mark.parametrize(("fill", "seconds", "expected"), CASES)
def test_what_cbc_says_is_reported_honestly(
    fill: Callable[[Any], None], seconds: float, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("formulations.solver.pulp_engine", lambda: "cbc")
    assert outcome(fill, seconds) == expected


@pytest.mark.skipif(not highs_accepted(), reason="no accepted release of highspy is installed")
@pytest.mark.parametrize(("fill", "seconds", "expected"), CASES)
def test_what_highs_says_is_reported_honestly(fill: Callable[[Any], None], seconds: float, expected: str) -> None:
    """In a process of its own: ortools and highspy do not share one."""
    code = f"""
import importlib.util, sys
spec = importlib.util.spec_from_file_location("cases", {__file__!r})
cases = importlib.util.module_from_spec(spec)
spec.loader.exec_module(cases)
from formulations.solver import pulp_engine
print(pulp_engine(), cases.outcome(cases.{fill.__name__}, {seconds}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # "Infeasible or unbounded" is neither; variables without bounds are no models of ours.
    assert done.stdout.split() == ["highs", "unknown" if expected == "unbounded" else expected]


@pytest.mark.parametrize(
    ("release", "accepted"),
    [("1.11.0", False), ("1.12.0", True), ("1.13.1", True), ("1.14.0", False), ("1.16.0", False), ("2.0", False),
     ("unknown", False), (None, False)],
)  # fmt: skip
def test_only_releases_of_highs_that_were_tried_are_used(
    release: str | None, accepted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def version(package: str) -> str:
        if release is None:
            raise PackageNotFoundError(package)
        return release

    monkeypatch.setattr("formulations.solver.version", version)
    assert highs_accepted() is accepted
    assert HIGHS == ((1, 12), (1, 14))


@pytest.mark.parametrize(
    ("release", "first", "loaded"),
    [("1.16.0", "", False), ("1.16.0", "import ortools\n", False), ("1.13.1", "import ortools\n", False),
     ("1.13.1", "", True)],
)  # fmt: skip
def test_pulp_brings_highs_only_where_that_is_safe(release: str, first: str, loaded: bool, tmp_path: Path) -> None:
    """A package of that name and release that says when it is imported stands for HiGHS."""
    (tmp_path / "highspy.py").write_text("print('LOADED')\nraise ImportError\n")
    (tmp_path / f"highspy-{release}.dist-info").mkdir()
    (tmp_path / f"highspy-{release}.dist-info" / "METADATA").write_text(f"Name: highspy\nVersion: {release}\n")
    code = f"import sys\nsys.path[:0] = [{str(tmp_path)!r}, {ROOT!r}]\n{first}from formulations.solver import load_pulp"
    code += "\nload_pulp()\nprint('highspy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [*(["LOADED"] if loaded else []), "False"]


@pytest.mark.parametrize(
    ("codes", "engine", "early", "high", "expected"),
    [
        ((1, 1), "cbc", False, 1, Status.OPTIMAL),
        ((1, 2), "cbc", False, 1, Status.FEASIBLE),
        ((-1, 0), "cbc", True, 1, Status.INFEASIBLE),  # "Integer infeasible"
        ((-1, 0), "cbc", False, 1, Status.UNKNOWN),  # what it may say when its time runs out
        ((-1, -1), "cbc", True, 1, Status.INFEASIBLE),
        ((0, 0), "cbc", True, 1, Status.UNKNOWN),
        ((-1, -1), "highs", False, 1, Status.INFEASIBLE),
        ((-1, -1), "highs", False, None, Status.UNKNOWN),  # or unbounded
        ((0, 0), "highs", True, 1, Status.UNKNOWN),
        ((-3, 0), "cbc", True, 1, Status.UNKNOWN),
    ],
)
def test_what_pulps_codes_prove(
    codes: tuple[int, int], engine: str, early: bool, high: int | None, expected: Status
) -> None:
    variables = [SimpleNamespace(lowBound=0, upBound=high)]
    problem = SimpleNamespace(status=codes[0], sol_status=codes[1], variables=lambda: variables, name="case")
    assert pulp_status(problem, engine, early=early) is expected


@pytest.mark.parametrize("seconds", [0.02, 0.05, 0.1, 0.2])
def test_a_feasible_model_is_never_called_infeasible(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("formulations.solver.pulp_engine", lambda: "cbc")
    assert outcome(market_split, seconds) == "unknown"


def market_model(*, markets: int = 6, hinted: bool = False) -> cp_model.CpModel:
    """The market split for CP-SAT; hinted: with the solution that it is made from."""
    from ortools.sat.python import cp_model

    rng = random.Random(1)
    model = cp_model.CpModel()
    xs = [model.new_bool_var(f"x{i}") for i in range(60)]
    chosen = [rng.randint(0, 1) for _ in xs]
    model.minimize(sum((i % 3 + 1) * x for i, x in enumerate(xs)))
    for _ in range(markets):
        a = [rng.randint(0, 999) for _ in xs]
        model.add(sum(c * x for c, x in zip(a, xs, strict=True)) == sum(c * z for c, z in zip(a, chosen, strict=True)))
    for x, z in zip(xs, chosen, strict=True):
        if hinted:
            model.add_hint(x, z)
    return model


def market_program() -> Program:
    """The market split as an integer program."""
    rng, program = random.Random(1), Program()
    weights = [[rng.randint(0, 999) for _ in range(60)] for _ in range(6)]
    chosen = [rng.randint(0, 1) for _ in range(60)]
    for k, row in enumerate(weights):
        total = sum(w * z for w, z in zip(row, chosen, strict=True))
        program.add_row((k, 1), total)
        program.add_row((k, -1), -total)
    for i in range(60):
        program.add(i % 3 + 1, {(k, s): s * weights[k][i] for k in range(6) for s in (1, -1)}, integer=True)
    return program


def test_out_of_time_without_and_with_a_solution_of_cpsat() -> None:
    free = run_cpsat(market_model(markets=0), Limits(5.0, workers=1))
    assert (free.status, free.objective, free.bound) == (Status.OPTIMAL, 0, 0)
    run = run_cpsat(market_model(), Limits(60.0, workers=1, deterministic_limit=0.05))
    assert (run.status, run.objective, run.solved) == (Status.UNKNOWN, None, False)
    found = run_cpsat(market_model(hinted=True), Limits(60.0, workers=1, deterministic_limit=0.05))
    assert found.status is Status.FEASIBLE
    assert found.objective is not None
    assert found.bound is not None
    assert found.bound <= found.objective


# --- stop criteria -------------------------------------------------------------------------------

LONG = 600.0
"""Seconds; only a stop ends these runs in time."""


def after(looks: int) -> Callable[[], bool]:
    """A criterion that is true from the look after so many on."""
    false = iter([False] * looks)
    return lambda: next(false, True)


def test_limits_hand_the_criterion_on_and_are_compared_without_it() -> None:
    limits = Limits(LONG, seed=3, workers=1, stop=after(0))
    assert limits.left(0.0).stopped
    assert limits.over(0.0)
    assert limits == Limits(LONG, seed=3, workers=1)
    assert not Limits(LONG).stopped


def test_a_criterion_that_is_true_begins_nothing() -> None:
    run = run_cpsat(market_model(hinted=True), Limits(LONG, workers=1, stop=after(0)))
    assert (run.status, run.objective, run.bound, run.solved) == (Status.UNKNOWN, None, None, False)


@pytest.mark.parametrize("workers", [1, 8])
def test_a_stopped_run_without_a_solution_is_unknown(workers: int) -> None:
    run = run_cpsat(market_model(), Limits(LONG, workers=workers, stop=after(2)))
    assert (run.status, run.objective, run.solved) == (Status.UNKNOWN, None, False)


def test_a_stop_after_the_first_solution_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from ortools.sat.python import cp_model

    found: list[float] = []

    class Told(cp_model.CpSolverSolutionCallback):
        def on_solution_callback(self) -> None:
            found.append(self.objective_value)

    solve = cp_model.CpSolver.solve
    monkeypatch.setattr(cp_model.CpSolver, "solve", lambda solver, model: solve(solver, model, Told()))
    run = run_cpsat(market_model(hinted=True), Limits(LONG, workers=1, stop=lambda: bool(found)))
    assert run.status is Status.FEASIBLE
    assert run.objective == found[-1]
    assert run.bound is not None
    assert run.bound < run.objective


def sat(limits: Limits) -> Any:
    """A long run of CP-SAT."""
    return run_cpsat(market_model(), limits).objective


def scip(limits: Limits) -> Any:
    """A long run of SCIP."""
    return integer_program(market_program(), limits).bound


@pytest.mark.parametrize("solve", [sat, scip])
def test_a_signal_reaches_python_while_a_solver_runs(solve: Callable[[Limits], Any]) -> None:
    looks: list[bool] = []

    def press() -> bool:
        looks.append(interrupted.pressed)
        if len(looks) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return interrupted(0.0)

    with catch_interrupt() as interrupted:
        assert solve(Limits(LONG, workers=1, stop=press)) is None
    assert interrupted.pressed


@pytest.mark.parametrize("solve", [sat, scip])
def test_an_exception_of_a_handler_ends_the_solver(solve: Callable[[Limits], Any]) -> None:
    def press() -> bool:
        if next(looks, None) is None:
            raise KeyboardInterrupt
        return False

    looks = iter([1, 2])
    with pytest.raises(KeyboardInterrupt):
        solve(Limits(LONG, workers=1, stop=press))


@pytest.mark.parametrize(
    ("fill", "looks", "expected"),
    [
        (out_of_range, 1, Status.UNKNOWN),  # else infeasible
        (even_sum, 1, Status.UNKNOWN),
        (optimal, 1, Status.FEASIBLE),
        (optimal, 0, Status.UNKNOWN),
    ],
)
def test_what_cbc_says_after_a_stop_is_no_proof(
    fill: Callable[[Any], None], looks: int, expected: Status, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pulp

    monkeypatch.setattr("formulations.solver.pulp_engine", lambda: "cbc")
    problem = pulp.LpProblem("case", pulp.LpMinimize)
    fill(problem)
    run = run_pulp(problem, Limits(20.0, stop=after(looks)))
    assert (run.status, run.bound) == (expected, None)
    assert run.objective == (3 if expected is Status.FEASIBLE else None)


@pytest.mark.parametrize("stopped", [False, True])
def test_a_cbc_that_the_signal_ended_is_no_error(stopped: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    import pulp

    def ended(*arguments: Any) -> None:
        raise pulp.PulpSolverError

    monkeypatch.setattr("formulations.solver.pulp_engine", lambda: "cbc")
    problem = pulp.LpProblem("case", pulp.LpMinimize)
    monkeypatch.setattr(problem, "solve", ended)
    solve = partial(run_pulp, problem, Limits(20.0, stop=after(1) if stopped else None))
    if stopped:
        assert solve().status is Status.UNKNOWN
    else:
        with pytest.raises(pulp.PulpSolverError):
            solve()
