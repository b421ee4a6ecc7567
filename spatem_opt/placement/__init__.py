"""Improving where copies lie: exact traffic, and exchanges that shorten its way or relieve routers (M6, M8)."""

from spatem_opt.placement.calm import calm
from spatem_opt.placement.spread import spread
from spatem_opt.placement.swaps import improve
from spatem_opt.placement.traffic import flows, traffic

__all__ = ["calm", "flows", "improve", "spread", "traffic"]
