"""Improving where copies lie: exact traffic between routers, and exchanges that shorten its way (SPEC 3.3)."""

from spatem_opt.placement.swaps import improve
from spatem_opt.placement.traffic import traffic

__all__ = ["improve", "traffic"]
