"""Exact models of spatial replication: cuts into runs of layers; the mathematics is in ``EXACT.md``."""
