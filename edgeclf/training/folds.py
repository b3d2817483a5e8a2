"""Folds: which pictures are scored by a head that has not seen them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FOLDS = 4  # of the training pictures; the validation pictures are one more


def known_rows(classes: NDArray[np.intp], folds: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Return which pictures heads of the other folds can name, `(n,)`.

    Those have pictures of the same class to learn from, and of another.

    Args:
        classes: Class of each picture.
        folds: The fold of each.
    """
    known = np.zeros(len(classes), bool)
    for fold in np.unique(folds).tolist():
        rows = folds == fold
        learned = np.unique(classes[~rows])
        if len(learned) > 1:
            known[rows] = np.isin(classes[rows], learned)
    return known


def deal_folds(
    classes: NDArray[np.intp],
    groups: NDArray[np.intp],
    digests: Sequence[bytes],
    num_folds: int = FOLDS,
) -> NDArray[np.intp]:
    """Deal pictures to folds, class by class; a group stays together.

    Args:
        classes: Class of each picture.
        groups: A number for each: near-duplicates share one.
        digests: SHA-256 of each: the order of the files plays no part.
        num_folds: Number of folds.

    Returns:
        The fold of each, `(n,)`.
    """
    folds = np.zeros(len(classes), np.intp)
    place = 0
    for label in np.unique(classes).tolist():
        rows = np.flatnonzero(classes == label)
        by_group: dict[int, list[int]] = {}
        for row in sorted(rows.tolist(), key=lambda row: digests[row]):
            by_group.setdefault(int(groups[row]), []).append(row)
        for members in by_group.values():
            folds[members] = place % num_folds
            place += 1
    return folds
