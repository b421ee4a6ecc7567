"""Exact models of OU grouping; the mathematics is in ``README.md``."""
