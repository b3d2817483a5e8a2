"""The short audit that `retrain` makes of what it has computed anyway."""

from __future__ import annotations

import logging
import os
import shlex
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgeclf.console import number_of
from edgeclf.data.checks import is_tiny
from edgeclf.data.findings import KINDS
from edgeclf.training.config import RetrainConfig, is_changed
from edgeclf.training.dataset import BottleneckDataset
from edgeclf.training.mislabelled import Suspect, find_mislabelled

logger = logging.getLogger("edgeclf")

NAMED = 3  # of the pictures that are probably in the wrong class
# How a line calls them; `edgeclf audit` looks closer.
_PHRASES = {
    "unreadable": "unreadable",
    "conflicting": "in several classes",
    "duplicate": "copies within a class",
    "mislabelled": "probably in the wrong class",
    "near_conflicting": "nearly the same as one of another class",
    "tiny": "tiny",
    "near_duplicate": "nearly the same as one of their class",
}

# What changes which pictures it finds, and where it finds what is computed.
_AUDIT_OPTIONS = (
    "architecture",
    "input_mean",
    "input_std",
    "resize",
    "bottleneck_dir",
    "model_dir",
)


def survey(
    config: RetrainConfig,
    dataset: BottleneckDataset,
    probabilities: NDArray[np.floating],
    input_size: tuple[int, int],
) -> dict[str, int]:
    """Count what is odd about the pictures, and log it if there is anything.

    Args:
        config: Settings.
        dataset: The pictures.
        probabilities: Float `(n, classes)`, of heads that have not seen them.
        input_size: `(height, width)` of the model's input in pixels.

    Returns:
        Number of pictures by kind, of those kinds of `edgeclf audit` that show here.
    """
    suspects = find_mislabelled(probabilities, dataset.classes)
    tiny = sum(is_tiny(example.path, input_size) for example in dataset.examples)
    counts = {
        "unreadable": len(dataset.unreadable),
        "conflicting": len(dataset.conflicting),
        "mislabelled": len(suspects),
        "tiny": tiny,
        **_count_alike(dataset),
    }
    counts = {kind: counts[kind] for kind in KINDS if kind in counts}
    told = [f"{_PHRASES[kind]} {count}" for kind, count in counts.items() if count]
    if told:
        pictures = number_of(len(dataset.examples), "picture")
        logger.info("Of %s: %s.", pictures, ", ".join(told))
        logger.info("A closer look, by another method: %s", _audit_line(config))
    if suspects:
        logger.info("Look at %s.", _name(dataset, suspects[:NAMED]))
    return counts


def _audit_line(config: RetrainConfig) -> str:
    """Return the command that audits the same folder with the same backbone."""
    words = ["edgeclf", "audit", os.fspath(config.class_dir)]
    for name in _AUDIT_OPTIONS:
        if is_changed(config, name):
            words += [f"--{name}", str(getattr(config, name))]
    return shlex.join(words)


def _count_alike(dataset: BottleneckDataset) -> dict[str, int]:
    """Count copies, and pictures that are nearly the same, in a class and beyond."""
    copies = len(dataset.digests) - len(set(dataset.digests))
    sizes = Counter(dataset.groups.tolist())
    pairs = Counter(zip(dataset.groups.tolist(), dataset.classes.tolist(), strict=True))
    across = {group for (group, _), count in pairs.items() if count < sizes[group]}
    alike = sum(sizes[group] - 1 for group in sizes if group not in across)
    return {
        "duplicate": copies,
        "near_conflicting": sum(sizes[group] for group in across),
        "near_duplicate": max(0, alike - copies),
    }


def _name(dataset: BottleneckDataset, suspects: Sequence[Suspect]) -> str:
    return ", ".join(
        f"{dataset.examples[suspect.row].name} "
        f"({dataset.labels[suspect.suggested]}? {suspect.sure})"
        for suspect in suspects
    )
