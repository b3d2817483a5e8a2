"""A folder of pictures as bottlenecks with classes and splits."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeclf.data import duplicates
from edgeclf.data.folders import Example, read_folder
from edgeclf.data.splits import TRAIN, read_split_file, split_class
from edgeclf.errors import DatasetError
from edgeclf.training.bottlenecks import (
    BottleneckExtractor,
    Features,
    Unreadable,
    plain,
)
from edgeclf.training.config import RetrainConfig
from edgeclf.training.head import LabelledBottlenecks

logger = logging.getLogger("edgeclf")

NAMED_AT_MOST = 10  # pictures in one message


@dataclass(frozen=True)
class BottleneckDataset:
    """Pictures of a folder, in order, with all that training needs of them.

    Attributes:
        examples: The usable pictures.
        labels: Names of the classes, in code point order.
        classes: Class index of each picture, int `(n,)`.
        splits: Split of each picture, str `(n,)`.
        digests: SHA-256 of each picture's file.
        bottlenecks: float32 `(n, depth)`.
        activations: Names of the backbone's input and activations, in graph order.
        lows: Minimum of every activation, float32 `(n, activations)`.
        highs: Their maxima.
        unreadable: Pictures left out because they cannot be read.
        conflicting: Pictures left out because copies stand in another class.
    """

    examples: Sequence[Example]
    labels: tuple[str, ...]
    classes: NDArray[np.intp]
    splits: NDArray[np.str_]
    digests: Sequence[bytes]
    bottlenecks: NDArray[np.float32]
    activations: Sequence[str]
    lows: NDArray[np.float32]
    highs: NDArray[np.float32]
    unreadable: Sequence[Unreadable]
    conflicting: Sequence[str]

    def positions(self, split: str) -> NDArray[np.intp]:
        """Return the positions of a split's pictures."""
        return np.flatnonzero(self.splits == split)

    def subset(self, split: str) -> LabelledBottlenecks:
        """Return a split's bottlenecks and classes."""
        rows = self.positions(split)
        return LabelledBottlenecks(self.bottlenecks[rows], self.classes[rows])

    def balanced_training_sample(self, size: int) -> NDArray[np.intp]:
        """Return positions of up to `size` training pictures, classes in turn."""
        queues = [
            sorted(
                (row for row in self.positions(TRAIN) if self.classes[row] == index),
                key=lambda row: self.digests[row],
            )
            for index in range(len(self.labels))
        ]
        turns = max(len(queue) for queue in queues)
        sample = [
            queue[turn]
            for turn in range(turns)
            for queue in queues
            if turn < len(queue)
        ]
        return np.array(sorted(sample[:size]), np.intp)

    @property
    def sha256(self) -> str:
        """Hash of the pictures and their classes, whatever the files are called."""
        lines = sorted(
            f"{digest.hex()} {example.label}\n"
            for digest, example in zip(self.digests, self.examples, strict=True)
        )
        return hashlib.sha256("".join(lines).encode()).hexdigest()


def load_dataset(
    config: RetrainConfig, extractor: BottleneckExtractor
) -> BottleneckDataset:
    """Read the folder, compute the bottlenecks, leave out what is unusable, split.

    Raises:
        DatasetError: Fewer than two classes are left, or a picture cannot be read and
            `config.strict` is set.
    """
    logger.info("Looking for pictures in %s", config.image_dir)
    found = read_folder(config.image_dir)
    results = list(extractor.extract(plain(found), "bottlenecks"))
    unreadable = [result for result in results if isinstance(result, Unreadable)]
    _report_unreadable(unreadable, strict=config.strict)
    pairs = [
        (example, result)
        for example, result in zip(found, results, strict=True)
        if isinstance(result, Features)
    ]
    del results

    conflicts = duplicates.conflicting(
        [features.digest for _, features in pairs], [e.label for e, _ in pairs]
    )
    _report_conflicts([[pairs[row][0].name for row in group] for group in conflicts])
    left_out = {row for group in conflicts for row in group}
    conflicting = [pairs[row][0].name for row in sorted(left_out)]
    pairs = [pair for row, pair in enumerate(pairs) if row not in left_out]

    examples = [example for example, _ in pairs]
    labels = tuple(sorted({example.label for example in examples}))
    _check_classes(labels, sorted({example.label for example in found}), config)
    features = [entry for _, entry in pairs]
    classes = np.array([labels.index(e.label) for e in examples], np.intp)
    bottlenecks = np.stack([entry.bottleneck for entry in features])
    splits = _split(examples, labels, classes, features, bottlenecks, config)
    return BottleneckDataset(
        examples,
        labels,
        classes,
        splits,
        [entry.digest for entry in features],
        bottlenecks,
        extractor.activations,
        np.stack([entry.lows for entry in features]),
        np.stack([entry.highs for entry in features]),
        unreadable,
        conflicting,
    )


def _report_unreadable(unreadable: Sequence[Unreadable], *, strict: bool) -> None:
    for entry in unreadable:
        logger.warning("Left out %s: %s", entry.example.path, entry.reason)
    if unreadable and strict:
        raise DatasetError(
            f"Expected only readable pictures (--strict). Received: {len(unreadable)} "
            f"unreadable, {_name_some([e.example.name for e in unreadable])}."
        )


def _report_conflicts(groups: Sequence[Sequence[str]]) -> None:
    for names in groups:
        logger.warning(
            "The same picture stands in several classes, all copies left out: %s",
            ", ".join(names),
        )


def _check_classes(
    labels: Sequence[str], found: Sequence[str], config: RetrainConfig
) -> None:
    for label in found:
        if label not in labels:
            logger.warning("Class %s has no usable picture: left out.", label)
    if len(labels) < 2:
        raise DatasetError(
            f"Expected at least two classes with usable pictures in "
            f"{config.image_dir}. Received: {', '.join(labels) or 'none'}."
        )


def _split(
    examples: Sequence[Example],
    labels: Sequence[str],
    classes: NDArray[np.intp],
    features: Sequence[Features],
    bottlenecks: NDArray[np.float32],
    config: RetrainConfig,
) -> NDArray[np.str_]:
    splits = np.empty(len(examples), "<U10")
    fingerprints = np.stack([entry.fingerprint for entry in features])
    fixed = read_split_file(config.split_file) if config.split_file else {}
    names = [example.name for example in examples]
    unnamed = [name for name in names if name not in fixed]
    if fixed and unnamed:
        logger.warning(
            "%s does not name %d pictures (%s): they are split by their hash.",
            config.split_file,
            len(unnamed),
            _name_some(unnamed),
        )
    for index, label in enumerate(labels):
        rows = np.flatnonzero(classes == index)
        own_names = [names[row] for row in rows.tolist()]
        if all(name in fixed for name in own_names):
            splits[rows] = [fixed[name] for name in own_names]
        else:
            groups = duplicates.group_near_duplicates(
                own_names, fingerprints[rows], bottlenecks[rows]
            )
            drawn = split_class(
                label,
                [features[row].digest for row in rows.tolist()],
                groups.tolist(),
                config.shares,
                config.seed,
            )
            splits[rows] = [
                fixed.get(name, split)
                for name, split in zip(own_names, drawn, strict=True)
            ]
        if not (splits[rows] == TRAIN).any():
            counts = dict(Counter(splits[rows].tolist()))
            raise DatasetError(
                f"Expected a training picture of class {label} in "
                f"{config.split_file}. Received: {counts}."
            )
    return splits


def _name_some(names: Sequence[str]) -> str:
    more = len(names) - NAMED_AT_MOST
    listed = ", ".join(names[:NAMED_AT_MOST])
    return f"{listed} and {more} more" if more > 0 else listed
