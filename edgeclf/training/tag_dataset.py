"""Pictures with several tags each, as bottlenecks with targets and splits."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeclf.console import number_of
from edgeclf.data import duplicates
from edgeclf.data.splits import TRAIN
from edgeclf.data.tag_splits import missing_splits, split_tags
from edgeclf.data.tagged import TaggedPictures
from edgeclf.errors import DatasetError
from edgeclf.training.bottlenecks import BottleneckExtractor
from edgeclf.training.config import RetrainConfig
from edgeclf.training.extracted import (
    ExtractedPictures,
    check_fixed,
    name_some,
    read_features,
    warn_of_some,
)

logger = logging.getLogger("edgeclf")


@dataclass(frozen=True, kw_only=True)
class TagDataset(ExtractedPictures):
    """Pictures with tags, in order, with all that training needs of them.

    Attributes:
        targets: Which picture has which tag, bool `(n, tags)`; a row may be all False.
    """

    targets: NDArray[np.bool_]

    def _kinds(self, row: int) -> Sequence[int]:
        """Return the picture's tags; what has none stands for itself."""
        return np.flatnonzero(self.targets[row]).tolist() or [len(self.labels)]

    def said_of(self, row: int) -> str:
        """Return what a picture is labelled with, on one line."""
        tags = [self.labels[tag] for tag in np.flatnonzero(self.targets[row])]
        return json.dumps(tags, ensure_ascii=False)


def load_tags(
    config: RetrainConfig,
    found: TaggedPictures,
    fixed: Mapping[str, str],
    extractor: BottleneckExtractor,
) -> TagDataset:
    """Compute the bottlenecks, leave out what is unusable, split.

    Args:
        config: Settings.
        found: The pictures of `config.tag_source`.
        fixed: Splits that are given, by name.
        extractor: Computes their bottlenecks.

    Raises:
        DatasetError: No tag is left, or only one picture, or near-duplicates of one,
            to train on; or a picture cannot be read and `config.strict` is set.
    """
    table, unreadable = read_features(config, found.examples, extractor)
    rows, targets = _united(found, table.digests)
    examples = [table.known(found.examples[row], row) for row in rows]
    table.keep(rows)
    names = [example.name for example in examples]
    if not names:
        raise DatasetError(
            f"Expected pictures with tags in {config.source}. Received: none that "
            "can be read."
        )
    check_fixed(config, names, fixed)
    groups = duplicates.group_near_duplicates(
        names,
        table.fingerprints,
        # The last layer's part: the thresholds are of it, and it is shorter.
        table.bottlenecks[:, -extractor.backbone.final_depth :],
    )
    splits = split_tags(
        targets,
        table.digests,
        groups,
        config.shares,
        config.seed,
        {row: fixed[name] for row, name in enumerate(names) if name in fixed},
    )
    _check_training(config, splits, groups)
    known = _known_tags(config, found.labels, targets, splits)
    return TagDataset(
        examples=examples,
        labels=tuple(found.labels[tag] for tag in known.tolist()),
        targets=targets[:, known],
        splits=splits,
        groups=groups,
        digests=table.digests,
        bottlenecks=table.bottlenecks,
        activations=extractor.activations,
        lows=table.lows,
        highs=table.highs,
        unreadable=unreadable,
    )


def _check_training(
    config: RetrainConfig, splits: NDArray[np.str_], groups: NDArray[np.intp]
) -> None:
    """Check that one picture can be left out for what is learned of another."""
    train = np.flatnonzero(splits == TRAIN)
    if len(np.unique(groups[train])) < 2:
        alike = ", near-duplicates of one another" if len(train) > 1 else ""
        raise DatasetError(
            f"Expected at least two different training pictures in {config.source}. "
            f"Received: {len(train)} of {number_of(len(splits), 'picture')}{alike}."
        )


def _united(
    found: TaggedPictures, digests: Sequence[bytes]
) -> tuple[list[int], NDArray[np.bool_]]:
    """Return the readable rows, copies with different tags made one, and their tags."""
    readable = [row for row, digest in enumerate(digests) if digest]
    targets = found.targets.copy()
    copies_of: dict[bytes, list[int]] = {}
    for row in readable:
        copies_of.setdefault(digests[row], []).append(row)
    differing = [
        copies
        for copies in copies_of.values()
        if len(copies) > 1 and (targets[copies] != targets[copies[0]]).any()
    ]
    left_out = set()
    for copies in differing:
        targets[copies[0]] = targets[copies].any(axis=0)
        left_out.update(copies[1:])
    if differing:
        names = [found.examples[row].name for row in differing[0]]
        logger.info(
            "%s several times, with other tags: counted once, with those of all "
            "copies. The first: %s.",
            number_of(len(differing), "picture is there", "pictures are there"),
            name_some(names),
        )
    rows = [row for row in readable if row not in left_out]
    return rows, targets[rows]


def _known_tags(
    config: RetrainConfig,
    labels: Sequence[str],
    targets: NDArray[np.bool_],
    splits: NDArray[np.str_],
) -> NDArray[np.intp]:
    """Return which tags can be learned; name those that cannot, or hardly."""
    missing = missing_splits(targets, splits, config.shares)
    counts = targets.sum(axis=0).tolist()
    everywhere = targets[splits == TRAIN].all(axis=0).tolist()
    unknown, hardly = [], []
    for label, splits_without, count, always in zip(
        labels, missing, counts, everywhere, strict=True
    ):
        pictures = number_of(count, "picture")
        if TRAIN in splits_without:
            unknown.append(f"Tag {label} ({pictures}) has none to train on: left out.")
        elif splits_without:
            lacking = " and ".join(splits_without)
            hardly.append(f"Tag {label} ({pictures}) has no picture for {lacking}.")
        if always:
            hardly.append(
                f"Tag {label} ({pictures}): all training pictures have it, so there "
                "is nothing to learn of it."
            )
    warn_of_some(unknown, "tags")
    warn_of_some(hardly, "tags")
    known = np.array([TRAIN not in entry for entry in missing], np.bool_)
    if not known.any():
        raise DatasetError(
            f"Expected at least one tag with training pictures in {config.source}. "
            f"Received: {', '.join(labels) or 'none'}."
        )
    return np.flatnonzero(known)
