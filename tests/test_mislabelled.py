from dataclasses import dataclass

import numpy as np
import pytest

from edgeclf.training.mislabelled import (
    LEAST_CONFIDENCE,
    Suspect,
    find_mislabelled,
    out_of_fold_probabilities,
)

DEPTH = 40


@dataclass(frozen=True)
class Points:
    """Clouds of points as if they were pictures."""

    bottlenecks: np.ndarray
    classes: np.ndarray
    groups: np.ndarray
    digests: list


def points(counts=(60, 60, 60), wrong=0, distance=3.0, seed=0):
    """Three clouds; the first points of each have the next one's class."""
    source = np.random.default_rng(seed)
    true = np.repeat(np.arange(len(counts)), counts)
    centres = source.normal(0, distance / np.sqrt(DEPTH), (len(counts), DEPTH))
    cloud = centres[true] + source.normal(0, 1 / np.sqrt(DEPTH), (len(true), DEPTH))
    classes = true.copy()
    starts = np.cumsum([0, *counts[:-1]])
    for start in starts:
        rows = np.arange(start, start + wrong)
        classes[rows] = (true[rows] + 1) % len(counts)
    digests = [source.bytes(32) for _ in true]
    flat = np.asarray(cloud, np.float32)
    return Points(flat, classes, np.arange(len(true)), digests), true


def test_suspects_are_ranked_by_the_odds_against_their_class():
    probabilities = np.array(
        [
            [0.90, 0.05, 0.05],
            [0.04, 0.90, 0.06],
            [0.01, 0.01, 0.98],
            [0.40, 0.35, 0.25],
            [0.02, 0.18, 0.80],
        ]
    )
    classes = np.array([0, 0, 0, 1, 1])
    found = find_mislabelled(probabilities, classes)
    assert [(each.row, each.suggested) for each in found] == [(2, 2), (1, 1)]
    assert [each.confidence for each in found] == pytest.approx(
        [0.98 / 0.99, 0.90 / 0.94]
    )
    everyone = find_mislabelled(probabilities, classes, 0.0)
    assert [each.row for each in everyone] == [2, 1, 4, 3, 0]
    assert everyone[3].suggested == 0
    assert all(0 <= each.confidence <= 1 for each in everyone)


def test_what_is_certain_or_not_known_is_no_trouble():
    probabilities = np.array([[1.0, 0.0], [0.0, 1.0], [np.nan, np.nan]])
    found = find_mislabelled(probabilities, np.array([1, 1, 0]))
    assert [(each.row, each.suggested) for each in found] == [(0, 0)]
    assert found[0].confidence == pytest.approx(1)
    assert find_mislabelled(np.ones((3, 1)), np.zeros(3, int)) == []
    assert find_mislabelled(np.empty((0, 2)), np.zeros(0, int)) == []


def test_wrong_labels_are_found_and_right_ones_are_not():
    dataset, true = points(wrong=5)
    probabilities = out_of_fold_probabilities(dataset)
    assert probabilities.shape == (180, 3)
    assert probabilities.sum(axis=1) == pytest.approx(1)
    found = find_mislabelled(probabilities, dataset.classes)
    wrong = np.flatnonzero(dataset.classes != true)
    assert {each.row for each in found} == set(wrong.tolist())
    assert [each.suggested for each in found] == true[[e.row for e in found]].tolist()


def test_the_second_round_is_not_misled_by_wrong_labels():
    right = []
    for rounds in (1, 2):
        total = 0.0
        for seed in range(4):
            dataset, true = points(wrong=15, distance=1.8, seed=seed)
            probabilities = out_of_fold_probabilities(dataset, rounds=rounds)
            total += probabilities[np.arange(len(true)), true].mean()
        right.append(total / 4)
    assert right[1] > right[0] + 0.01


def test_a_picture_is_never_judged_by_its_near_duplicate():
    dataset, _ = points(counts=(30, 30), distance=3.0)
    # Each has a twin with the same noise; the classes are a coin's.
    source = np.random.default_rng(1)
    classes = np.tile(source.integers(0, 2, 30), 2)
    twins = Points(
        np.tile(source.normal(size=(30, DEPTH)), (2, 1)).astype(np.float32),
        classes,
        np.tile(np.arange(30), 2),
        dataset.digests,
    )
    probabilities = out_of_fold_probabilities(twins, shrinkage=0.1)
    apart = Points(twins.bottlenecks, classes, np.arange(60), twins.digests)
    leaky = out_of_fold_probabilities(apart, shrinkage=0.1)
    rows = np.arange(60)
    assert (probabilities.argmax(axis=1) == classes).mean() < 0.75
    assert leaky[rows, classes].mean() > probabilities[rows, classes].mean() + 0.1


def test_a_class_without_others_to_learn_from_is_not_judged():
    dataset, _ = points(counts=(30, 30, 1))
    probabilities = out_of_fold_probabilities(dataset, rounds=2)
    assert np.isnan(probabilities[60]).all()
    assert np.isfinite(probabilities[:60]).all()
    found = find_mislabelled(probabilities, dataset.classes, LEAST_CONFIDENCE)
    assert 60 not in [each.row for each in found]


def test_views_are_learnt_from_and_not_judged():
    dataset, _ = points(counts=(8, 8, 8), wrong=1, distance=2.0, seed=3)
    source = np.random.default_rng(5)
    rows = np.tile(np.arange(24), 6)
    noise = source.normal(0, 0.7 / np.sqrt(DEPTH), (len(rows), DEPTH))
    views = [((dataset.bottlenecks[rows] + noise).astype(np.float32), rows)]
    plain = out_of_fold_probabilities(dataset)
    varied = out_of_fold_probabilities(dataset, views=iter(views), rounds=2)
    assert varied.shape == plain.shape
    assert not np.allclose(varied, plain)


def test_the_same_pictures_give_the_same_answer():
    dataset, _ = points(wrong=4)
    first = out_of_fold_probabilities(dataset, (DEPTH // 2, DEPTH // 2), rounds=2)
    again = out_of_fold_probabilities(dataset, (DEPTH // 2, DEPTH // 2), rounds=2)
    assert first.tobytes() == again.tobytes()


def test_nobody_is_told_that_a_guess_is_certain():
    assert Suspect(0, 1, 0.994).sure == "99%"
    assert Suspect(0, 1, 0.9951).sure == "over 99%"
