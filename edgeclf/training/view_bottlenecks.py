"""Bottlenecks of the pictures' views."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from edgeclf.console import number_of
from edgeclf.data.splits import TRAIN
from edgeclf.training.bottlenecks import BottleneckExtractor
from edgeclf.training.config import RetrainConfig
from edgeclf.training.dataset import BottleneckDataset
from edgeclf.training.extracted import NAMED_AT_MOST, ExtractedPictures
from edgeclf.training.features import Features
from edgeclf.training.head import ROWS_AT_ONCE, LabelledBottlenecks

logger = logging.getLogger("edgeclf")


def view_blocks(
    config: RetrainConfig,
    extractor: BottleneckExtractor,
    dataset: ExtractedPictures,
    rows: NDArray[np.intp],
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.intp]]]:
    """Yield bottlenecks of the pictures' views, a block at a time, and whose they are.

    Args:
        config: Says which views.
        extractor: Computes them.
        dataset: Where the pictures are.
        rows: Positions of the pictures in it.
    """
    each = len(config.draw_views(dataset.digests[0]))
    if not each:
        return
    items = (  # of many pictures too many to hold
        (dataset.examples[row], view)
        for row in rows.tolist()
        for view in config.draw_views(dataset.digests[row])
    )
    block = np.empty((ROWS_AT_ONCE, extractor.backbone.depth), np.float32)
    filled: list[int] = []
    owners = np.repeat(rows, each)
    results = extractor.extract(items, "views", len(owners))
    gone: set[int] = set()
    for row, features in zip(owners.tolist(), results, strict=True):
        if not isinstance(features, Features):  # it was readable a moment ago
            if row not in gone and len(gone) < NAMED_AT_MOST:
                logger.warning(
                    "Left out the views of %s: %s",
                    features.example.path,
                    features.reason,
                )
            gone.add(row)
            continue
        block[len(filled)] = features.bottleneck
        filled.append(row)
        if len(filled) == len(block):
            yield block, np.array(filled, np.intp)
            filled = []
    if len(gone) > NAMED_AT_MOST:
        more = number_of(len(gone) - NAMED_AT_MOST, "more picture")
        logger.warning("Left out the views of %s.", more)
    yield block[: len(filled)], np.array(filled, np.intp)


def all_views(
    config: RetrainConfig,
    extractor: BottleneckExtractor,
    dataset: ExtractedPictures,
    rows: NDArray[np.intp],
) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """Return the bottlenecks of the pictures' views, and whose they are.

    Args:
        config: See `view_blocks`, like all that follow.
        extractor: See there.
        dataset: See there.
        rows: See there.
    """
    blocks = [
        (block.copy(), some)
        for block, some in view_blocks(config, extractor, dataset, rows)
    ]
    bottlenecks, owners = zip(*blocks, strict=True)
    return np.concatenate(bottlenecks), np.concatenate(owners)


def with_views(
    config: RetrainConfig, extractor: BottleneckExtractor, dataset: BottleneckDataset
) -> LabelledBottlenecks:
    """Return the training pictures and their views, all of them in memory.

    Args:
        config: See `view_blocks`, like all that follow.
        extractor: See there.
        dataset: See there.
    """
    train = dataset.subset(TRAIN)
    if config.num_views == 1:
        return train
    views, owners = all_views(config, extractor, dataset, dataset.positions(TRAIN))
    return train + LabelledBottlenecks(views, dataset.classes[owners])
