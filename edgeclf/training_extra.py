"""What training needs beyond the base, and what is missing of it here.

It stands outside of `edgeclf.training`, which brings all of that with it.
"""

from __future__ import annotations

from importlib.util import find_spec

from edgeclf.errors import MissingExtraError

PACKAGES = ("ai_edge_quantizer", "scipy", "tensorboardX", "threadpoolctl", "tqdm")


def missing_packages() -> list[str]:
    """Return the packages of the extra that are not installed."""
    return [package for package in PACKAGES if find_spec(package) is None]


def check_packages() -> None:
    """Say now what is missing, and not after the first hour of work.

    Raises:
        MissingExtraError: A package of the extra is not installed.
    """
    for package in missing_packages():
        raise MissingExtraError(
            f"Training needs the package {package}. "
            'Install it with: pip install "edgeclf[train]"'
        )
