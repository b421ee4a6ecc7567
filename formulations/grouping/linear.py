"""Linear and integer programs of the stages before the full model, by the solvers of OR-Tools other than CP-SAT."""

from __future__ import annotations

from typing import Any

import numpy as np

from formulations.grouping.program import Program, ProgramAnswer, ProgramEngine
from formulations.solver import Limits, interruptible


def linear_program(program: Program) -> ProgramAnswer:
    """A linear program, by GLOP; dual values of zero where it gives up."""
    solver, rows = _linear_model("GLOP", program)
    if solver.Solve() != solver.OPTIMAL:
        return ProgramAnswer(None, None, np.zeros(len(rows)))
    value = np.array([variable.solution_value() for variable in solver.variables()])
    return ProgramAnswer(solver.Objective().Value(), value, np.array([row.dual_value() for row in rows]))


def integer_program(program: Program, limits: Limits) -> ProgramAnswer:
    """An integer program, by SCIP: CP-SAT, which has no fractions, is slow to bound numbers of shapes."""
    solver, rows = _linear_model("SCIP", program)
    solver.SetTimeLimit(max(1, round(1000 * limits.time_limit)))
    solver.SetSolverSpecificParametersAsString("misc/catchctrlc = FALSE\n")  # it would keep Ctrl-C to itself
    status = interruptible(solver.Solve, solver.InterruptSolve, limits)
    if status not in (solver.OPTIMAL, solver.FEASIBLE):
        return ProgramAnswer(None, None, np.zeros(len(rows)), status == solver.INFEASIBLE)
    value = np.array([variable.solution_value() for variable in solver.variables()])
    return ProgramAnswer(solver.Objective().BestBound(), value, np.zeros(len(rows)))


def _linear_model(engine: str, program: Program) -> tuple[Any, list[Any]]:
    """A solver of OR-Tools with a program, and its constraints."""
    from ortools.linear_solver import pywraplp  # type: ignore[import-untyped]

    solver = pywraplp.Solver.CreateSolver(engine)
    rows = [solver.Constraint(float(least), solver.infinity()) for least in program.rhs]
    objective = solver.Objective()
    for j, (cost, column) in enumerate(zip(program.cost, program.columns, strict=True)):
        variable = solver.Var(0.0, solver.infinity(), j in program.integer, "")
        objective.SetCoefficient(variable, float(cost))
        for row, value in column.items():
            rows[row].SetCoefficient(variable, float(value))
    objective.SetMinimization()
    return solver, rows


ENGINE = ProgramEngine(linear_program, integer_program)
