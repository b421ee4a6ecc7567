"""All steps of a solved network, one by one: solved exactly or bounded, and the answer used where it is better.

Each step's problem takes what the other steps decided as given. Its optimum is therefore not the optimum of the whole,
and its bound is none of the whole: that one stays :mod:`spatem_opt.cost.bounds`.
"""

from __future__ import annotations

from spatem_opt.exact.reach import beyond_reach
from spatem_opt.exact.run import infeasible, steps

__all__ = ["beyond_reach", "infeasible", "steps"]
