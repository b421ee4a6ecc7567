"""Exact models of weight mapping; the mathematics is in ``README.md``."""
