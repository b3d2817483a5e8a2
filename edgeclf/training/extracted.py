"""Pictures with all that training needs of them, whatever they are labelled with."""

from __future__ import annotations

import abc
import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from edgeclf.console import number_of
from edgeclf.data.duplicates import FINGERPRINT_BYTES
from edgeclf.data.folders import Example
from edgeclf.data.splits import TRAIN
from edgeclf.errors import DatasetError
from edgeclf.training.bottlenecks import (
    BottleneckExtractor,
    Unreadable,
    plain,
)
from edgeclf.training.config import RetrainConfig
from edgeclf.training.features import Features

logger = logging.getLogger("edgeclf")

NAMED_AT_MOST = 10  # pictures in one message, classes in a row of messages


@dataclass(frozen=True, kw_only=True)
class ExtractedPictures(abc.ABC):
    """Pictures, in order, with their bottlenecks and splits.

    Attributes:
        examples: The usable pictures.
        labels: Names of the classes or tags, in code point order.
        splits: Split of each picture, str `(n,)`.
        groups: For each picture the first of its near-duplicates, int `(n,)`.
        digests: SHA-256 of each picture's file.
        bottlenecks: float32 `(n, depth)`.
        activations: Names of the backbone's input and activations, in graph order.
        lows: Minimum of every activation, float32 `(n, activations)`.
        highs: Their maxima.
        unreadable: Pictures left out because they cannot be read.
    """

    examples: Sequence[Example]
    labels: tuple[str, ...]
    splits: NDArray[np.str_]
    groups: NDArray[np.intp]
    digests: Sequence[bytes]
    bottlenecks: NDArray[np.float32]
    activations: Sequence[str]
    lows: NDArray[np.float32]
    highs: NDArray[np.float32]
    unreadable: Sequence[Unreadable]

    def positions(self, split: str) -> NDArray[np.intp]:
        """Return the positions of a split's pictures."""
        return np.flatnonzero(self.splits == split)

    def balanced_training_sample(self, size: int) -> NDArray[np.intp]:
        """Return positions of up to `size` training pictures, kinds in turn."""
        queues: dict[int, list[int]] = {}
        rows = self.positions(TRAIN).tolist()
        for row in sorted(rows, key=lambda row: self.digests[row]):
            for kind in self._kinds(row):
                queues.setdefault(kind, []).append(row)
        ordered = [queues[kind] for kind in sorted(queues)]
        turns = max((len(queue) for queue in ordered), default=0)
        sample = dict.fromkeys(
            queue[turn]
            for turn in range(turns)
            for queue in ordered
            if turn < len(queue)
        )
        return np.array(sorted([*sample][:size]), np.intp)

    @property
    def sha256(self) -> str:
        """Hash of the pictures and what they show, whatever the files are called."""
        lines = sorted(
            f"{digest.hex()} {self.said_of(row)}\n"
            for row, digest in enumerate(self.digests)
        )
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    @abc.abstractmethod
    def _kinds(self, row: int) -> Sequence[int]:
        """Return the kinds of pictures that one stands for in a balanced sample."""

    @abc.abstractmethod
    def said_of(self, row: int) -> str:
        """Return what a picture is labelled with, on one line."""


_Pictures = TypeVar("_Pictures", bound=ExtractedPictures)


def with_bottlenecks(
    dataset: _Pictures, extractor: BottleneckExtractor, description: str
) -> _Pictures:
    """Return the same pictures in the same splits, with another backbone's features.

    Args:
        dataset: Stays as it is.
        extractor: Of a backbone of the same graph, with other weights.
        description: What the progress bar says.

    Raises:
        DatasetError: A picture cannot be read any more.
    """
    table = FeatureTable(len(dataset.examples), extractor)
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


class FeatureTable:
    """The features of many pictures, one array each: half the memory of a list.

    Args:
        count: How many pictures there are.
        extractor: Knows how much there is of each.

    Attributes:
        digests: SHA-256 of each picture's file; empty where nothing was set.
        bottlenecks: float32 `(count, depth)`.
        lows: float32 `(count, activations)`.
        highs: Same shape.
        fingerprints: uint8 `(count, 32)`.
    """

    def __init__(self, count: int, extractor: BottleneckExtractor) -> None:
        activations = len(extractor.activations)
        self.digests: list[bytes] = [b""] * count
        self.bottlenecks = np.empty((count, extractor.backbone.depth), np.float32)
        self.lows = np.empty((count, activations), np.float32)
        self.highs = np.empty((count, activations), np.float32)
        self.fingerprints = np.empty((count, FINGERPRINT_BYTES), np.uint8)

    def set(self, row: int, features: Features) -> None:
        """Set what is known of one picture."""
        self.digests[row] = features.digest
        self.bottlenecks[row] = features.bottleneck
        self.lows[row], self.highs[row] = features.lows, features.highs
        self.fingerprints[row] = features.fingerprint

    def known(self, example: Example, row: int) -> Example:
        """Return a picture that reads only as the file whose features these are."""
        return replace(example, digest=self.digests[row])

    def keep(self, rows: Sequence[int]) -> None:
        """Forget all but some pictures."""
        if len(rows) == len(self.digests):
            return
        self.digests = [self.digests[row] for row in rows]
        for name in ("bottlenecks", "lows", "highs", "fingerprints"):
            setattr(self, name, getattr(self, name)[rows])


def read_features(
    config: RetrainConfig, found: Sequence[Example], extractor: BottleneckExtractor
) -> tuple[FeatureTable, list[Unreadable]]:
    """Compute the features of pictures, and name those that cannot be read.

    Args:
        config: Says whether such a one is an error.
        found: The pictures.
        extractor: Computes their bottlenecks.

    Raises:
        DatasetError: A picture cannot be read and `config.strict` is set.
    """
    table = FeatureTable(len(found), extractor)
    unreadable = []
    for row, result in enumerate(extractor.extract(plain(found), "bottlenecks")):
        if isinstance(result, Unreadable):
            unreadable.append(result)
            if len(unreadable) <= NAMED_AT_MOST:
                logger.warning("Left out %s: %s", result.example.path, result.reason)
        else:
            table.set(row, result)
    if len(unreadable) > NAMED_AT_MOST:
        more = len(unreadable) - NAMED_AT_MOST
        logger.warning("Left out %s more.", number_of(more, "picture"))
    if unreadable and config.strict:
        names = name_some([entry.example.name for entry in unreadable])
        raise DatasetError(
            f"Expected only readable pictures (--strict). Received: {len(unreadable)} "
            f"unreadable, {names}."
        )
    return table, unreadable


def check_fixed(
    config: RetrainConfig, names: Sequence[str], fixed: Mapping[str, str]
) -> None:
    """Check that a given split is one of these pictures.

    Args:
        config: Says where it was read.
        names: Of the pictures.
        fixed: Splits that are given, by name; empty for none.

    Raises:
        DatasetError: It names none of them.
    """
    unnamed = [name for name in names if name not in fixed]
    if fixed and len(unnamed) == len(names):
        raise DatasetError(
            f"Expected pictures of {config.source} in {config.split_file}, named "
            f"like {names[0]}. Received: {name_some(list(fixed)[:3])}."
        )
    if fixed and unnamed:
        logger.warning(
            "%s does not name %s (%s): split by the hash.",
            config.split_file,
            number_of(len(unnamed), "picture"),
            name_some(unnamed),
        )


def warn_of_some(told: Sequence[str], things: str) -> None:
    """Warn of the first few; there may be a thousand tiny classes."""
    for line in told[:NAMED_AT_MOST]:
        logger.warning("%s", line)
    if len(told) > NAMED_AT_MOST:
        more = len(told) - NAMED_AT_MOST
        logger.warning("And so it is with %d more %s.", more, things)


def name_some(names: Sequence[str]) -> str:
    """Return the first few names, and how many more there are."""
    more = len(names) - NAMED_AT_MOST
    listed = ", ".join(names[:NAMED_AT_MOST])
    return f"{listed} and {more} more" if more > 0 else listed
