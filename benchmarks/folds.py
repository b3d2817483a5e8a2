"""Stratified folds."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence


def stratified_folds(
    classes: Mapping[str, Sequence[str]],
    *,
    folds: int,
    validation_percentage: int,
    seed: int,
) -> Iterator[dict[str, str]]:
    """Yield for each fold which picture is in which split.

    The pictures of a class are shuffled and dealt out in turn, each class beginning
    where the one before ended, so that folds differ by one picture at most, in a class
    and in all.

    Args:
        classes: Files by class.
        folds: Number of folds, 2 or more. Every picture is in the test split once.
        validation_percentage: Of those not in the test split, at least one a class
            where that leaves one to train on.
        seed: Same seed, same folds.

    Yields:
        `train`, `validation` or `test` by file.

    Raises:
        ValueError: `folds` is less than 2.
    """
    if folds < 2:
        raise ValueError(f"Expected 2 folds or more. Received: folds={folds}.")
    dealer = random.Random(seed)  # noqa: S311 - not for secrets
    dealt: dict[str, list[tuple[str, int]]] = {}
    position = 0
    for name in sorted(classes):
        files = sorted(classes[name])
        dealer.shuffle(files)
        dealt[name] = [
            (file, number % folds) for number, file in enumerate(files, position)
        ]
        position += len(files)
    for fold in range(folds):
        splits: dict[str, str] = {}
        for cards in dealt.values():
            rest = [file for file, number in cards if number != fold]
            share = max(1, round(len(rest) * validation_percentage / 100))
            num_validation = min(share, len(rest) - 1) if validation_percentage else 0
            splits |= {file: "test" for file, number in cards if number == fold}
            splits |= dict.fromkeys(rest, "train")
            splits |= dict.fromkeys(rest[: max(num_validation, 0)], "validation")
        yield splits
