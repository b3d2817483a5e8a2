import hashlib
import logging
import os
from collections import Counter

import pytest

from edgeclf.data.splits import (
    TEST,
    TRAIN,
    VALIDATION,
    Shares,
    read_split_file,
    split_class,
    write_split_file,
)
from edgeclf.errors import DatasetError


def digests(count, start=0):
    return [
        hashlib.sha256(b"%d" % number).digest()
        for number in range(start, start + count)
    ]


def split(pictures, shares=None, seed=0, groups=None):
    groups = range(len(pictures)) if groups is None else groups
    return split_class("class", pictures, list(groups), shares or Shares(), seed)


def test_shares_are_kept_about():
    counts = Counter(split(digests(2000)))
    assert 150 <= counts[TEST] <= 250
    assert 150 <= counts[VALIDATION] <= 250


def test_adding_pictures_moves_none():
    few, many = digests(300), digests(600)
    assert split(few) == split(many)[:300]


def test_order_does_not_matter():
    pictures = digests(50)
    assert split(pictures[::-1]) == split(pictures)[::-1]


def test_another_seed_is_another_split():
    assert split(digests(100)) != split(digests(100), seed=1)


def test_groups_stay_together():
    pictures = digests(200)
    result = split(pictures, groups=[position // 4 for position in range(200)])
    for start in range(0, 200, 4):
        assert len(set(result[start : start + 4])) == 1


@pytest.mark.parametrize("size", [2, 5, 10])
def test_shares_do_not_depend_on_the_size_of_groups(size):
    groups = [position // size for position in range(4000)]
    counts = Counter(split(digests(4000), groups=groups))
    assert 240 <= counts[TEST] <= 560
    assert 240 <= counts[VALIDATION] <= 560


def test_two_groups_are_kept_apart(caplog):
    result = split(digests(12), groups=[0] * 6 + [1] * 6)
    assert sorted({*result[:6]} | {*result[6:]}) == [TEST, TRAIN]
    assert len({*result[:6]}) == len({*result[6:]}) == 1
    assert "has no picture for validation" in caplog.text


def test_given_splits_stay_and_their_copies_follow():
    fixed = {0: TEST, 5: TRAIN}
    groups = [0, 1, 2, 0, 0, 5, 5]
    result = split_class("class", digests(7), groups, Shares(), 0, fixed)
    assert [result[position] for position in (0, 3, 4)] == [TEST] * 3
    assert [result[position] for position in (5, 6)] == [TRAIN] * 2


@pytest.mark.parametrize("start", range(0, 400, 20))
def test_three_pictures_serve_every_split(start, caplog):
    assert sorted(split(digests(3, start))) == [TEST, TRAIN, VALIDATION]
    assert not caplog.messages


@pytest.mark.parametrize("start", range(0, 100, 10))
def test_training_is_served_first_then_test(start, caplog):
    assert sorted(split(digests(2, start))) == [TEST, TRAIN]
    assert caplog.messages == [
        "Class class (2 pictures) has no picture for validation."
    ]


def test_a_single_picture_trains(caplog):
    assert split(digests(1)) == [TRAIN]
    assert "has no picture for test and validation" in caplog.text


def test_no_test_share_means_no_test_picture():
    assert TEST not in split(digests(200), Shares(testing_percentage=0))
    assert set(split(digests(20), Shares(0, 0))) == {TRAIN}


def test_copies_are_split_apart_when_a_class_has_nothing_else(caplog):
    with caplog.at_level(logging.WARNING):
        result = split(digests(12), groups=[0] * 12)
    assert set(result) == {TRAIN, VALIDATION, TEST}
    assert "all near-duplicates" in caplog.text


@pytest.mark.parametrize(
    ("testing", "validation", "message"),
    [
        (-1, 10, "Expected testing_percentage in 0-100. Received: -1"),
        (10, 101, "Expected validation_percentage in 0-100. Received: 101"),
        (60, 40, "leave something to train on. Received: 60 and 40"),
        (float("nan"), 10, "Expected testing_percentage in 0-100. Received: nan"),
    ],
)
def test_impossible_shares_are_refused(testing, validation, message):
    with pytest.raises(ValueError, match=message):
        Shares(testing, validation)


def test_split_file_comes_back_as_it_was_written(tmp_path):
    splits = {"Wycinanki łowickie/a, b.jpg": TEST, "b/1.png": TRAIN}
    write_split_file(tmp_path / "s.csv", splits)
    assert read_split_file(tmp_path / "s.csv") == splits


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,split\na,test\n", r"Expected the columns file,split in .*s\.csv"),
        ("", "Received: None"),
        ("file,split\na,test\na,train\n", r"a second one for a in line 3"),
        ('file,split\n"' + "x" * 140000, "field larger than field limit"),
        ("file,split\na,exam\n", r"line 2\. Received: 'exam'"),
    ],
)
def test_a_bad_split_file_is_refused(tmp_path, text, message):
    (tmp_path / "s.csv").write_text(text)
    with pytest.raises(DatasetError, match=message):
        read_split_file(tmp_path / "s.csv")


def test_names_that_are_not_utf8_come_back(tmp_path):
    name = os.fsdecode(b"red/caf\xe9.jpg")
    write_split_file(tmp_path / "s.csv", {name: TEST})
    assert read_split_file(tmp_path / "s.csv") == {name: TEST}
