"""Decide which pictures train, which choose settings, and which measure.

A picture's split follows from its own bytes, those of its near-duplicates, and the
seed: renaming it, or adding other pictures, leaves it where it is. Only where a class
would end up without a split that it has pictures enough for is one moved there, and
where it has too few there is a warning.
"""

from __future__ import annotations

import csv
import hashlib
import io
import logging
import os
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeclf import files
from edgeclf.console import number_of
from edgeclf.errors import DatasetError

logger = logging.getLogger("edgeclf")

TRAIN, VALIDATION, TEST = "train", "validation", "test"
SPLITS = (TRAIN, VALIDATION, TEST)
HEADER = ("file", "split")


@dataclass(frozen=True)
class Shares:
    """How much of each class is held out.

    Attributes:
        testing_percentage: For measuring, 0-100.
        validation_percentage: For choosing settings, 0-100; the rest trains.
    """

    testing_percentage: float = 10.0
    validation_percentage: float = 10.0

    def __post_init__(self) -> None:
        for name in ("testing_percentage", "validation_percentage"):
            value = getattr(self, name)
            if not 0 <= value <= 100:
                raise ValueError(f"Expected {name} in 0-100. Received: {value}.")
        if self.testing_percentage + self.validation_percentage >= 100:
            raise ValueError(
                "Expected testing_percentage and validation_percentage to leave "
                f"something to train on. Received: {self.testing_percentage} and "
                f"{self.validation_percentage}."
            )


def split_class(
    label: str,
    digests: Sequence[bytes],
    groups: Sequence[int],
    shares: Shares,
    seed: int,
    fixed: Mapping[int, str] | None = None,
    warn: Callable[[str], None] = logger.warning,
) -> list[str]:
    """Assign the pictures of one class to splits, whole groups at a time.

    Args:
        label: The class, for messages.
        digests: SHA-256 of each picture's file.
        groups: Group number of each picture; a group stays together.
        shares: How much is held out.
        seed: Another seed gives another split.
        fixed: Splits that are given, by position; the rest of a group follows.
        warn: Called with a sentence where a figure of the class will be of no use.

    Returns:
        One of `SPLITS` per picture.
    """
    fixed = fixed or {}
    if not fixed and shares.testing_percentage > 0 and len(set(groups)) == 1:
        if len(digests) > 1:
            warn(
                f"The {len(digests)} pictures of class {label} are all "
                "near-duplicates: they stand in training and in test, and its figure "
                "will be too good."
            )
        groups = range(len(digests))

    members: dict[int, list[int]] = defaultdict(list)
    for position, group in enumerate(groups):
        members[group].append(position)
    # A group's place in [0, 1): training at the top, test at the bottom. That of its
    # smallest digest, which says nothing of the place: the lowest place of its members
    # would lie the lower the more they are.
    places = {
        group: place(min(digests[position] for position in positions), seed)
        for group, positions in members.items()
    }
    given = {groups[position]: split for position, split in fixed.items()}
    ordered = sorted(members, key=lambda group: (places[group], group))
    assigned = {
        group: given.get(group) or split_at(places[group], shares) for group in ordered
    }
    if not fixed:
        _serve_every_split(ordered, assigned, shares)
    splits = [
        fixed.get(position, assigned[group]) for position, group in enumerate(groups)
    ]
    missing = _missing(splits, shares)
    if missing:
        warn(
            f"Class {label} ({number_of(len(splits), 'picture')}) has no picture for "
            f"{' and '.join(missing)}."
        )
    return splits


def place(digest: bytes, seed: int) -> float:
    """Return the place of the file with that SHA-256, in [0, 1)."""
    drawn = hashlib.sha256(b"%d:" % seed + digest).digest()
    return int.from_bytes(drawn[:8], "big") / 2**64


def split_at(at: float, shares: Shares) -> str:
    """Return the split of a place: test at the bottom, training at the top."""
    if at < shares.testing_percentage / 100:
        return TEST
    if at < (shares.testing_percentage + shares.validation_percentage) / 100:
        return VALIDATION
    return TRAIN


def _serve_every_split(
    ordered: Sequence[int], assigned: dict[int, str], shares: Shares
) -> None:
    """Give each split of a class at least one group: training first, then test."""

    def holders(split: str) -> list[int]:
        return [group for group in ordered if assigned[group] == split]

    if not holders(TRAIN):
        assigned[ordered[-1]] = TRAIN
    if shares.testing_percentage > 0 and not holders(TEST):
        # From validation, else from training if that keeps one.
        spare = holders(VALIDATION) or holders(TRAIN)[:-1]
        if spare:
            assigned[spare[0]] = TEST
    if shares.validation_percentage > 0 and not holders(VALIDATION):
        spare = holders(TEST)[1:][::-1] or holders(TRAIN)[:-1]
        if spare:
            assigned[spare[0]] = VALIDATION


def _missing(splits: Sequence[str], shares: Shares) -> list[str]:
    """Return the splits that are asked for and got nothing."""
    wanted = {TEST: shares.testing_percentage, VALIDATION: shares.validation_percentage}
    return [name for name, share in wanted.items() if share and name not in splits]


def read_split_file(path: str | os.PathLike[str]) -> dict[str, str]:
    """Read a CSV with the columns `file` and `split`.

    Returns:
        Split by file name, relative to the dataset's folder.

    Raises:
        FileNotFoundError: There is no such file.
        DatasetError: A column is missing or a split has another name.
    """
    text = Path(path).read_text(encoding="utf-8-sig", errors="surrogateescape")
    rows = csv.DictReader(io.StringIO(text))
    try:
        return _splits_of(rows, path)
    except csv.Error as error:
        raise DatasetError(
            f"Expected CSV with the columns file,split in {path}. Received: {error}, "
            f"line {rows.line_num}."
        ) from error


def _splits_of(
    rows: csv.DictReader[str], path: str | os.PathLike[str]
) -> dict[str, str]:
    if not set(HEADER) <= set(rows.fieldnames or ()):
        raise DatasetError(
            f"Expected the columns file,split in {path}. "
            f"Received: {repr(rows.fieldnames)[:80]}."
        )
    splits: dict[str, str] = {}
    for row in rows:
        if row["split"] not in SPLITS:
            raise DatasetError(
                f"Expected one of {', '.join(SPLITS)} in {path}, line "
                f"{rows.line_num}. Received: {row['split']!r}."
            )
        if splits.setdefault(row["file"], row["split"]) != row["split"]:
            raise DatasetError(
                f"Expected one split for each file in {path}. Received: a second one "
                f"for {row['file']} in line {rows.line_num}."
            )
    return splits


def write_split_file(path: str | os.PathLike[str], splits: Mapping[str, str]) -> None:
    """Write which picture is in which split, as `read_split_file` reads it."""
    files.write_text(path, format_splits(splits))


def format_splits(splits: Mapping[str, str]) -> str:
    """Return the text of a split file, sorted by name."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerows(sorted(splits.items()))
    return text.getvalue()
