"""All steps in one model, for tiny instances: mathematics in ``README.md``."""
