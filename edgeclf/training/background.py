"""Pictures of no class: they sharpen the rule that says "unknown"."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgeclf.console import number_of
from edgeclf.data.folders import Example
from edgeclf.training.bottlenecks import BottleneckExtractor, Unreadable, plain
from edgeclf.training.dataset import BottleneckDataset

logger = logging.getLogger("edgeclf")


@dataclass(frozen=True)
class Background:
    """Pictures of no class, half of them to fit and half to measure.

    Attributes:
        examples: All that are usable.
        bottlenecks: Of those to fit the rule with, float32 `(n, depth)`.
        held_out: Those to measure the rule with.
    """

    examples: Sequence[Example]
    bottlenecks: NDArray[np.float32]
    held_out: Sequence[Example]


def load_background(
    found: Sequence[Example], extractor: BottleneckExtractor, dataset: BottleneckDataset
) -> Background:
    """Compute the bottlenecks of pictures of no class, and halve them by their hash.

    A picture that stands in a class too is left out, and so is a second copy.

    Args:
        found: The pictures.
        extractor: Computes their bottlenecks.
        dataset: The pictures of the classes.
    """
    depth = dataset.bottlenecks.shape[1]
    classified = set(dataset.digests)
    usable: dict[bytes, tuple[Example, NDArray[np.float32]]] = {}
    items = plain(found)
    if not items:
        return Background([], np.empty((0, depth), np.float32), [])
    for example, result in zip(
        found, extractor.extract(items, "background"), strict=True
    ):
        if isinstance(result, Unreadable):
            logger.warning("Left out %s: %s", example.path, result.reason)
        elif result.digest in classified:
            logger.warning("Left out %s: it stands in a class too.", example.path)
        else:
            known = replace(example, digest=result.digest)
            usable.setdefault(result.digest, (known, result.bottleneck))
    ordered = [usable[digest] for digest in sorted(usable)]
    # The first of each pair fits: of a single picture nothing is left to measure.
    bottlenecks = [bottleneck for _, bottleneck in ordered[::2]]
    logger.info(
        "%s of no class: %d to fit the rule for unknown, %d to measure it.",
        number_of(len(ordered), "picture"),
        len(bottlenecks),
        len(ordered) - len(bottlenecks),
    )
    return Background(
        [example for example, _ in ordered],
        np.array(bottlenecks, np.float32).reshape(-1, depth),
        [example for example, _ in ordered[1::2]],
    )
