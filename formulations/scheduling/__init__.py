"""Exact models of temporal scheduling; the mathematics is in ``README.md``."""
