"""Decide which pictures with tags train, which choose settings, and which measure.

As in `edgeclf.data.splits` a picture's split follows from its bytes, those of its
near-duplicates, and the seed. A tag that would end up without a split that it has
pictures enough for gets one, the rarest tag first; a picture that is moved for it is
one that no other tag needs where it was.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edgeclf.data.splits import (
    SPLITS,
    TEST,
    TRAIN,
    VALIDATION,
    Shares,
    place,
    split_at,
)

logger = logging.getLogger("edgeclf")

_ORDER = (TRAIN, TEST, VALIDATION)  # what a tag needs first


def split_tags(
    targets: NDArray[np.bool_],
    digests: Sequence[bytes],
    groups: NDArray[np.intp],
    shares: Shares,
    seed: int,
    fixed: Mapping[int, str] | None = None,
) -> NDArray[np.str_]:
    """Assign pictures to splits, whole groups at a time.

    Args:
        targets: Which picture has which tag, bool `(n, tags)`.
        digests: SHA-256 of each picture's file.
        groups: Group number of each picture, `(n,)`; a group stays together.
        shares: How much is held out.
        seed: Another seed gives another split.
        fixed: Splits that are given, by position; the rest of a group follows, and
            nothing is moved for a tag's sake.

    Returns:
        One of `SPLITS` per picture, `(n,)`.
    """
    numbers, members = np.unique(groups, return_inverse=True)
    members = members.reshape(-1)
    digest_of: list[bytes] = [b""] * len(numbers)
    for digest, group in zip(digests, members.tolist(), strict=True):
        # Its smallest digest, which says nothing of how many there are.
        digest_of[group] = min(digest, digest_of[group] or digest)
    places = np.array([place(digest, seed) for digest in digest_of])
    assigned = np.array(
        [SPLITS.index(split_at(each, shares)) for each in places.tolist()], np.intp
    )
    if not fixed:
        has_tag = np.zeros((len(numbers), targets.shape[1]), np.bool_)
        np.logical_or.at(has_tag, members, targets)
        _serve_tags(has_tag, places, assigned, shares)
        return np.array(SPLITS)[assigned[members]]
    for position, split in fixed.items():
        assigned[members[position]] = SPLITS.index(split)
    splits = np.array(SPLITS)[assigned[members]]
    for position, split in fixed.items():  # a table may part what is alike
        splits[position] = split
    return splits


def _serve_tags(
    has_tag: NDArray[np.bool_],
    places: NDArray[np.float64],
    assigned: NDArray[np.intp],
    shares: Shares,
) -> None:
    """Give each tag a group in every split, as far as it has groups for it.

    Args:
        has_tag: Which group has which tag, bool `(groups, tags)`.
        places: Of the groups, `(groups,)`.
        assigned: Their splits as positions in `SPLITS`; changed.
        shares: How much is held out: what has no share is not served.
    """
    wanted = {
        TRAIN: 100.0,
        TEST: shares.testing_percentage,
        VALIDATION: shares.validation_percentage,
    }
    counts = np.stack(
        [has_tag[assigned == number].sum(axis=0) for number in range(len(SPLITS))]
    )  # (splits, tags)
    for tag in np.argsort(has_tag.sum(axis=0), kind="stable").tolist():
        own = np.flatnonzero(has_tag[:, tag])
        own = own[np.lexsort((own, places[own]))]
        for split in _ORDER:
            number = SPLITS.index(split)
            if not wanted[split] or counts[number, tag]:
                continue
            # Training comes from the top, the others from the bottom.
            candidates = (own[::-1] if split == TRAIN else own).tolist()
            spare = [
                group
                for group in candidates
                if (counts[assigned[group]] > 1)[
                    _needing(has_tag[group], tag, split, SPLITS[assigned[group]])
                ].all()
            ]
            if split == TRAIN:  # the one that cannot be done without
                spare += candidates
            if spare:
                group = spare[0]
                counts[assigned[group], has_tag[group]] -= 1
                counts[number, has_tag[group]] += 1
                assigned[group] = number


def _needing(
    tags: NDArray[np.bool_], own: int, split: str, before: str
) -> NDArray[np.bool_]:
    """Return which of a group's tags need another group where it is moved from.

    Args:
        tags: Of the group, bool `(tags,)`.
        own: The tag that it is moved for.
        split: Where it is moved to.
        before: Where it is.
    """
    if (split, before) != (TEST, VALIDATION):
        return tags
    others = np.array(tags)
    others[own] = False  # what measures comes before what chooses
    return others


def missing_splits(
    targets: NDArray[np.bool_], splits: NDArray[np.str_], shares: Shares
) -> list[list[str]]:
    """Return for each tag the splits that are asked for and have no picture of it.

    Args:
        targets: Which picture has which tag, bool `(n, tags)`.
        splits: Of each picture, `(n,)`.
        shares: Says which are asked for.
    """
    wanted = [TRAIN]
    wanted += [VALIDATION] if shares.validation_percentage else []
    wanted += [TEST] if shares.testing_percentage else []
    has = {split: targets[splits == split].any(axis=0) for split in wanted}
    return [
        [split for split in wanted if not has[split][tag]]
        for tag in range(targets.shape[1])
    ]
