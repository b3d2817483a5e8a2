"""Splits of pictures with tags: stable, grouped, and with something of every tag."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from edgeclf.data.splits import Shares
from edgeclf.data.tag_splits import missing_splits, split_tags

SHARES = Shares(10, 10)


def digests(count: int) -> list[bytes]:
    return [hashlib.sha256(str(number).encode()).digest() for number in range(count)]


def drawn_targets(count: int, shares: tuple[float, ...]) -> NDArray[np.bool_]:
    source = np.random.default_rng(6)
    return np.stack([source.random(count) < share for share in shares], axis=1)


def split(targets: NDArray[np.bool_], **changes: object) -> NDArray[np.str_]:
    count = len(targets)
    settings = {"groups": np.arange(count), "shares": SHARES, "seed": 0, **changes}
    return split_tags(targets, digests(count), **settings)  # type: ignore[arg-type]


def test_shares_are_kept_and_another_seed_is_another_split() -> None:
    targets = drawn_targets(2000, (0.5, 0.2, 0.1))
    splits = split(targets)
    for name, share in (("test", 0.1), ("validation", 0.1), ("train", 0.8)):
        assert abs(np.mean(splits == name) - share) < 0.02
    assert (split(targets) == splits).all()
    assert (split(targets, seed=1) != splits).any()


def test_added_pictures_leave_the_others_where_they_are() -> None:
    targets = drawn_targets(600, (0.5, 0.3, 0.2))
    few, many = split(targets[:400]), split(targets)
    assert (few == many[:400]).all()


def test_every_tag_has_something_in_every_split() -> None:
    targets = drawn_targets(300, (0.6, 0.02, 0.015, 0.3))
    for seed in range(30):
        splits = split(targets, seed=seed)
        assert missing_splits(targets, splits, SHARES) == [[]] * 4


def test_rare_tags_train_first_then_test() -> None:
    targets = np.zeros((100, 3), np.bool_)
    targets[:, 0] = True
    targets[10:11, 1] = True
    targets[20:22, 2] = True
    for seed in range(30):
        splits = split(targets, seed=seed)
        assert missing_splits(targets, splits, SHARES) == [
            [],
            ["validation", "test"],
            ["validation"],
        ]


def test_nothing_is_moved_that_another_tag_needs() -> None:
    # The second tag's only pictures are the first one's: both need one in training.
    targets = np.array([[True, True], [True, False], [False, True]])
    for seed in range(40):
        splits = split(targets, seed=seed, shares=Shares(20, 0))
        for tag in range(2):
            assert "train" in splits[targets[:, tag]]


def test_groups_stay_together() -> None:
    targets = drawn_targets(300, (0.5, 0.02))
    groups = np.arange(300) // 3 * 3
    for seed in range(10):
        splits = split(targets, groups=groups, seed=seed)
        for first in range(0, 300, 3):
            assert len(set(splits[first : first + 3].tolist())) == 1


def test_given_splits_are_kept_and_nothing_is_moved_for_a_tag() -> None:
    targets = np.zeros((60, 2), np.bool_)
    targets[:, 0] = True
    targets[5, 1] = True
    groups = np.arange(60)
    groups[8] = 7
    splits = split(targets, fixed={5: "test", 7: "validation"}, groups=groups)
    assert splits[5] == "test"
    assert splits[7] == splits[8] == "validation"
    assert missing_splits(targets, splits, SHARES)[1] == ["train", "validation"]
    free = split(targets, groups=groups)
    assert (splits[10:] == free[10:]).all()


def test_splits_without_a_share_are_not_asked_for() -> None:
    targets = drawn_targets(50, (0.5, 0.04))
    shares = Shares(0, 0)
    splits = split(targets, shares=shares)
    assert set(splits.tolist()) == {"train"}
    assert missing_splits(targets, splits, shares) == [[], []]
