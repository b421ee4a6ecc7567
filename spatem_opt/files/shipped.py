"""Where the shipped instances (architectures, networks, suites, solutions) are."""

from __future__ import annotations

from pathlib import Path

from spatem_opt.errors import InstanceError


def root() -> Path:
    """Directory of the shipped instances: inside an installed wheel, else beside the package in the checkout.

    Returns
    -------
    Path
        An existing directory.

    Raises
    ------
    InstanceError
        If neither exists (a broken installation).
    """
    package = Path(__file__).resolve().parents[1]
    for path in (package / "_instances", package.parent / "instances"):
        if path.is_dir():
            return path
    raise InstanceError("spatem_opt", "instances", str(package), "expected _instances in it or instances beside it")
