"""OU grouping: which OUs of one copy sit on the same crossbar (M4, ``formulations/grouping/README.md``)."""

from __future__ import annotations

from spatem_opt.grouping.front import Front, front
from spatem_opt.grouping.problem import Problem, Solution

__all__ = ["Front", "Problem", "Solution", "front"]
