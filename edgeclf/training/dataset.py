"""A folder of pictures as bottlenecks with classes and splits."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgeclf.console import number_of
from edgeclf.data import duplicates
from edgeclf.data.folders import Example
from edgeclf.data.splits import TRAIN, split_class
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

NAMED_AT_MOST = 10  # pictures in one message, classes in a row of messages


@dataclass(frozen=True)
class BottleneckDataset:
    """Pictures of a folder, in order, with all that training needs of them.

    Attributes:
        examples: The usable pictures.
        labels: Names of the classes, in code point order.
        classes: Class index of each picture, int `(n,)`.
        splits: Split of each picture, str `(n,)`.
        groups: For each picture the first of its near-duplicates, int `(n,)`.
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
    groups: NDArray[np.intp]
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
        return LabelledBottlenecks(
            self.bottlenecks, self.classes, self.positions(split)
        )

    def balanced_training_sample(self, size: int) -> NDArray[np.intp]:
        """Return positions of up to `size` training pictures, classes in turn."""
        queues: list[list[int]] = [[] for _ in self.labels]
        rows = self.positions(TRAIN).tolist()
        for row in sorted(rows, key=lambda row: self.digests[row]):
            queues[self.classes[row]].append(row)
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
    table = _FeatureTable(len(found), extractor)
    unreadable = []
    for row, result in enumerate(extractor.extract(plain(found), "bottlenecks")):
        if isinstance(result, Unreadable):
            unreadable.append(result)
        else:
            table.set(row, result)
    _report_unreadable(unreadable, strict=config.strict)

    readable = [row for row, digest in enumerate(table.digests) if digest]
    conflicts = duplicates.conflicting(
        [table.digests[row] for row in readable],
        [found[row].label for row in readable],
    )
    groups = [[found[readable[copy]].name for copy in group] for group in conflicts]
    _report_conflicts(groups)
    left_out = {readable[copy] for group in conflicts for copy in group}
    rows = [row for row in readable if row not in left_out]

    examples = [found[row] for row in rows]
    labels = tuple(sorted({example.label for example in examples}))
    _check_classes(labels, sorted({example.label for example in found}), config)
    index = {label: position for position, label in enumerate(labels)}
    classes = np.array([index[example.label] for example in examples], np.intp)
    if len(rows) < len(found):
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
        examples,
        labels,
        classes,
        _split(examples, labels, classes, groups_of_copies, table, fixed, config),
        groups_of_copies,
        table.digests,
        table.bottlenecks,
        extractor.activations,
        table.lows,
        table.highs,
        unreadable,
        [found[row].name for row in sorted(left_out)],
    )


def with_bottlenecks(
    dataset: BottleneckDataset, extractor: BottleneckExtractor, description: str
) -> BottleneckDataset:
    """Return the same pictures in the same splits, with another backbone's features.

    Args:
        dataset: Stays as it is.
        extractor: Of a backbone of the same graph, with other weights.
        description: What the progress bar says.

    Raises:
        DatasetError: A picture cannot be read any more.
    """
    table = _FeatureTable(len(dataset.examples), extractor)
    results = extractor.extract(plain(dataset.examples), description)
    for row, result in enumerate(results):
        if isinstance(result, Unreadable):
            raise DatasetError(
                f"Expected {result.example.path} to stay as it was while training. "
                f"Received: {result.reason}."
            )
        table.set(row, result)
    return replace(
        dataset, bottlenecks=table.bottlenecks, lows=table.lows, highs=table.highs
    )


class _FeatureTable:
    """The features of many pictures, one array each: half the memory of a list."""

    def __init__(self, count: int, extractor: BottleneckExtractor) -> None:
        activations = len(extractor.activations)
        self.digests: list[bytes] = [b""] * count
        self.bottlenecks = np.empty((count, extractor.backbone.depth), np.float32)
        self.lows = np.empty((count, activations), np.float32)
        self.highs = np.empty((count, activations), np.float32)
        self.fingerprints = np.empty((count, duplicates.FINGERPRINT_BYTES), np.uint8)

    def set(self, row: int, features: Features) -> None:
        self.digests[row] = features.digest
        self.bottlenecks[row] = features.bottleneck
        self.lows[row], self.highs[row] = features.lows, features.highs
        self.fingerprints[row] = features.fingerprint

    def keep(self, rows: Sequence[int]) -> None:
        self.digests = [self.digests[row] for row in rows]
        for name in ("bottlenecks", "lows", "highs", "fingerprints"):
            setattr(self, name, getattr(self, name)[rows])


def _report_unreadable(unreadable: Sequence[Unreadable], *, strict: bool) -> None:
    for entry in unreadable:
        logger.warning("Left out %s: %s", entry.example.path, entry.reason)
    if unreadable and strict:
        raise DatasetError(
            f"Expected only readable pictures (--strict). Received: {len(unreadable)} "
            f"unreadable, {_name_some([e.example.name for e in unreadable])}."
        )


def _report_conflicts(groups: Sequence[Sequence[str]]) -> None:
    for names in groups[:NAMED_AT_MOST]:
        logger.warning(
            "The same picture stands in several classes, all copies left out: %s",
            _name_some(names),
        )
    if len(groups) > NAMED_AT_MOST:
        more = number_of(len(groups) - NAMED_AT_MOST, "other picture")
        logger.warning("And %s.", more)


def _check_classes(
    labels: Sequence[str], found: Sequence[str], config: RetrainConfig
) -> None:
    _warn_of_classes(
        [
            f"Class {label} has no usable picture: left out."
            for label in found
            if label not in labels
        ]
    )
    if len(labels) < 2:
        raise DatasetError(
            f"Expected at least two classes with usable pictures in "
            f"{config.image_dir}. Received: {', '.join(labels) or 'none'}."
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
            "Nearly the same picture stands in several classes: %s", _name_some(alike)
        )
    if len(several) > NAMED_AT_MOST:
        more = number_of(len(several) - NAMED_AT_MOST, "other picture")
        logger.warning("And %s.", more)


def _split(
    examples: Sequence[Example],
    labels: Sequence[str],
    classes: NDArray[np.intp],
    groups: NDArray[np.intp],
    table: _FeatureTable,
    fixed: Mapping[str, str],
    config: RetrainConfig,
) -> NDArray[np.str_]:
    splits = np.empty(len(examples), "<U10")
    names = [example.name for example in examples]
    unnamed = [name for name in names if name not in fixed]
    if fixed and len(unnamed) == len(names):
        raise DatasetError(
            f"Expected pictures of {config.image_dir} in {config.split_file}, named "
            f"like {names[0]}. Received: {_name_some(list(fixed)[:3])}."
        )
    if fixed and unnamed:
        logger.warning(
            "%s does not name %s (%s): split by the hash.",
            config.split_file,
            number_of(len(unnamed), "picture"),
            _name_some(unnamed),
        )
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
    _warn_of_classes(told)
    return splits


def _warn_of_classes(told: Sequence[str]) -> None:
    """Warn of the first few; there may be a thousand tiny classes."""
    for line in told[:NAMED_AT_MOST]:
        logger.warning("%s", line)
    if len(told) > NAMED_AT_MOST:
        logger.warning("And so it is with %d more classes.", len(told) - NAMED_AT_MOST)


def _name_some(names: Sequence[str]) -> str:
    more = len(names) - NAMED_AT_MOST
    listed = ", ".join(names[:NAMED_AT_MOST])
    return f"{listed} and {more} more" if more > 0 else listed
