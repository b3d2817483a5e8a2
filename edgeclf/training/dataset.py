"""A folder of pictures as bottlenecks with classes and splits."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeclf.console import number_of
from edgeclf.data import duplicates
from edgeclf.data.folders import Example
from edgeclf.data.splits import TRAIN, split_class
from edgeclf.errors import DatasetError
from edgeclf.training.bottlenecks import BottleneckExtractor
from edgeclf.training.config import RetrainConfig
from edgeclf.training.extracted import (
    NAMED_AT_MOST,
    ExtractedPictures,
    FeatureTable,
    check_fixed,
    name_some,
    read_features,
    warn_of_some,
)
from edgeclf.training.head import LabelledBottlenecks

logger = logging.getLogger("edgeclf")


@dataclass(frozen=True, kw_only=True)
class BottleneckDataset(ExtractedPictures):
    """Pictures of a folder, in order, with all that training needs of them.

    Attributes:
        classes: Class index of each picture, int `(n,)`.
        conflicting: Pictures left out because copies stand in another class.
    """

    classes: NDArray[np.intp]
    conflicting: Sequence[str]

    def subset(self, split: str) -> LabelledBottlenecks:
        """Return a split's bottlenecks and classes."""
        return LabelledBottlenecks(
            self.bottlenecks, self.classes, self.positions(split)
        )

    def _kinds(self, row: int) -> Sequence[int]:
        return [int(self.classes[row])]

    def said_of(self, row: int) -> str:
        """Return what a picture is labelled with, on one line."""
        return self.examples[row].label


def load_dataset(
    config: RetrainConfig,
    found: Sequence[Example],
    fixed: Mapping[str, str],
    extractor: BottleneckExtractor,
) -> BottleneckDataset:
    """Compute the bottlenecks, leave out what is unusable, split.

    Args:
        config: Settings.
        found: The pictures of `config.image_dir`.
        fixed: Splits that are given, by name.
        extractor: Computes their bottlenecks.

    Raises:
        DatasetError: Fewer than two classes are left, or a picture cannot be read and
            `config.strict` is set.
    """
    table, unreadable = read_features(config, found, extractor)
    readable = [row for row, digest in enumerate(table.digests) if digest]
    conflicts = duplicates.conflicting(
        [table.digests[row] for row in readable],
        [found[row].label for row in readable],
    )
    groups = [[found[readable[copy]].name for copy in group] for group in conflicts]
    _report_conflicts(groups)
    left_out = {readable[copy] for group in conflicts for copy in group}
    rows = [row for row in readable if row not in left_out]

    examples = [table.known(found[row], row) for row in rows]
    labels = tuple(sorted({example.label for example in examples}))
    _check_classes(labels, sorted({example.label for example in found}), config)
    index = {label: position for position, label in enumerate(labels)}
    classes = np.array([index[example.label] for example in examples], np.intp)
    table.keep(rows)
    groups_of_copies = duplicates.group_near_duplicates(
        [example.name for example in examples],
        table.fingerprints,
        # The last layer's part: the thresholds are of it, and it is shorter.
        table.bottlenecks[:, -extractor.backbone.final_depth :],
    )
    _report_look_alikes(
        groups_of_copies, classes, [example.name for example in examples]
    )
    return BottleneckDataset(
        examples=examples,
        labels=labels,
        classes=classes,
        splits=_split(
            examples, labels, classes, groups_of_copies, table, fixed, config
        ),
        groups=groups_of_copies,
        digests=table.digests,
        bottlenecks=table.bottlenecks,
        activations=extractor.activations,
        lows=table.lows,
        highs=table.highs,
        unreadable=unreadable,
        conflicting=[found[row].name for row in sorted(left_out)],
    )


def _report_conflicts(groups: Sequence[Sequence[str]]) -> None:
    for names in groups[:NAMED_AT_MOST]:
        logger.warning(
            "The same picture stands in several classes, all copies left out: %s",
            name_some(names),
        )
    if len(groups) > NAMED_AT_MOST:
        more = number_of(len(groups) - NAMED_AT_MOST, "other picture")
        logger.warning("And %s.", more)


def _check_classes(
    labels: Sequence[str], found: Sequence[str], config: RetrainConfig
) -> None:
    left_out = [label for label in found if label not in labels]
    told = [f"Class {label} has no usable picture: left out." for label in left_out]
    warn_of_some(told, "classes")
    if len(labels) < 2:
        raise DatasetError(
            f"Expected at least two classes with usable pictures in "
            f"{config.source}. Received: {', '.join(labels) or 'none'}."
        )


def _report_look_alikes(
    groups: NDArray[np.intp], classes: NDArray[np.intp], names: Sequence[str]
) -> None:
    """Name pictures of different classes that are nearly the same."""
    order = np.lexsort((classes, groups))
    starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
    several = [
        [names[row] for row in rows.tolist()]
        for rows in np.split(order, starts[1:])
        if len(set(classes[rows].tolist())) > 1
    ]
    for alike in several[:NAMED_AT_MOST]:
        logger.warning(
            "Nearly the same picture stands in several classes: %s", name_some(alike)
        )
    if len(several) > NAMED_AT_MOST:
        more = number_of(len(several) - NAMED_AT_MOST, "other picture")
        logger.warning("And %s.", more)


def _split(
    examples: Sequence[Example],
    labels: Sequence[str],
    classes: NDArray[np.intp],
    groups: NDArray[np.intp],
    table: FeatureTable,
    fixed: Mapping[str, str],
    config: RetrainConfig,
) -> NDArray[np.str_]:
    splits = np.empty(len(examples), "<U10")
    names = [example.name for example in examples]
    check_fixed(config, names, fixed)
    told = []
    for index, label in enumerate(labels):
        warnings: list[str] = []
        rows = np.flatnonzero(classes == index)
        own_names = [names[row] for row in rows.tolist()]
        splits[rows] = split_class(
            label,
            [table.digests[row] for row in rows.tolist()],
            groups[rows].tolist(),
            config.shares,
            config.seed,
            {
                position: fixed[name]
                for position, name in enumerate(own_names)
                if name in fixed
            },
            warnings.append,
        )
        if warnings:
            told.append(" ".join(warnings))
        if not (splits[rows] == TRAIN).any():
            counts = dict(Counter(splits[rows].tolist()))
            raise DatasetError(
                f"Expected a training picture of class {label} in "
                f"{config.split_file}. Received: {counts}."
            )
    warn_of_some(told, "classes")
    return splits
