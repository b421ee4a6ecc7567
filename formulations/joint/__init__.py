"""All steps in one model, for tiny instances: mathematics in ``README.md``."""

from formulations.joint.reach import Price, price, within_reach

__all__ = ["Price", "price", "within_reach"]
