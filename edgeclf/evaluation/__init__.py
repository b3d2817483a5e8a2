"""Measure models on pictures whose class is known."""

from importlib.util import find_spec

from edgeclf.errors import MissingExtraError

if find_spec("tqdm") is None:
    raise MissingExtraError(
        "Measuring needs the package tqdm. "
        'Install it with: pip install "edgeclf[train]"'
    )
