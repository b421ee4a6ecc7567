"""Models of the steps as files for any solver, and solutions read back (``formulations/README.md``, Exchange)."""
