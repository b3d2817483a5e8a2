"""Thresholds of tags, against F1 and precision counted anew."""

import logging

import numpy as np
import pytest

from edgeclf.training.tag_thresholds import STEPS, at_precision, best_f1


def drawn(count, seed, share=0.3):
    """Calibrated scores of one tag, and the tags that they are right about."""
    source = np.random.default_rng(seed)
    logits = source.normal(np.log(share / (1 - share)), 2.0, (count, 1))
    scores = 1 / (1 + np.exp(-logits))
    return scores, source.random((count, 1)) < scores


def f1(given, targets):
    return 2 * (given & targets).sum() / max(given.sum() + targets.sum(), 1)


def precision(given, targets):
    return (given & targets).sum() / max(given.sum(), 1)


def rounded(scores):
    return np.clip(np.rint(scores * STEPS), 0, STEPS - 1) / STEPS


def test_many_pictures_get_the_threshold_of_the_best_f1():
    scores, targets = drawn(20000, 0)
    (threshold,) = best_f1(scores, targets)
    best = max(f1(scores >= cut, targets) for cut in np.linspace(0.01, 0.99, 197))
    assert f1(scores >= threshold, targets) == pytest.approx(best, abs=0.003)


def test_scores_of_wrong_calibration_are_overruled_by_many_pictures():
    scores, targets = drawn(20000, 1)
    (threshold,) = best_f1(scores**2, targets)
    (right,) = best_f1(scores, targets)
    assert threshold == pytest.approx(right**2, abs=0.06)


def test_few_pictures_are_not_believed():
    """Of new pictures the mixed threshold is better than that of the best F1 seen."""
    fresh, truth = drawn(20000, 2, 0.1)
    mixed, plain = [], []
    for seed in range(60):
        scores, targets = drawn(40, 100 + seed, 0.1)
        (threshold,) = best_f1(scores, targets)
        mixed.append(f1(fresh >= threshold, truth))
        seen = [f1(scores >= cut, targets) for cut in np.sort(scores.ravel())]
        plain.append(f1(fresh >= np.sort(scores.ravel())[np.argmax(seen)], truth))
    assert np.mean(mixed) > np.mean(plain) + 0.02


@pytest.mark.parametrize("wanted", [None, 0.9])
def test_no_threshold_is_near_a_score_of_an_int8_file(wanted):
    scores, targets = (np.tile(part, 3) for part in drawn(500, 3))
    thresholds = (
        best_f1(scores, targets)
        if wanted is None
        else at_precision(scores, targets, wanted, "abc")
    )
    assert thresholds.dtype == np.float32
    steps = thresholds.astype(np.float64) * STEPS
    np.testing.assert_array_equal(steps - np.floor(steps), 0.5)
    # So rounding scores to the file's steps gives and takes no tag.
    given = scores >= thresholds
    np.testing.assert_array_equal(given, rounded(scores) >= thresholds)


def test_a_precision_is_held_with_as_many_pictures_as_can_be():
    scores, targets = drawn(5000, 4)
    (threshold,) = at_precision(scores, targets, 0.9, ["a"])
    given = scores >= threshold
    assert precision(given, targets) >= 0.9
    lower = rounded(scores) >= threshold - 8 / STEPS
    assert precision(lower, targets) < 0.9
    fresh, truth = drawn(20000, 5)
    assert precision(fresh >= threshold, truth) == pytest.approx(0.9, abs=0.03)


def test_a_precision_that_nothing_holds_is_named(caplog):
    source = np.random.default_rng(6)
    scores = np.full((200, 2), 0.3) + source.normal(0, 0.05, (200, 2))
    targets = source.random((200, 2)) < 0.3
    targets[:, 1] = scores[:, 1] > 0.3
    scores[:, 1] = np.where(targets[:, 1], 0.99, 0.01)
    with caplog.at_level(logging.WARNING, logger="edgeclf"):
        thresholds = at_precision(scores, targets, 0.9, ["dark", "light"])
    assert "Tag dark: no threshold holds a precision of 0.9; the best is" in caplog.text
    assert "light" not in caplog.text
    assert ((thresholds > 0) & (thresholds < 1)).all()


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_tag_that_no_or_every_picture_has_gets_a_threshold(share):
    targets = np.full((50, 1), bool(share))
    scores = np.where(targets, 0.999, 0.0005)
    (threshold,) = best_f1(scores, targets)
    assert 0 < threshold < 1
    np.testing.assert_array_equal(scores >= threshold, targets)


def test_class_weights_do_not_change_which_pictures_are_given_a_tag():
    scores, targets = drawn(4000, 7, 0.05)
    logits = np.log(scores / (1 - scores))
    weighted = 1 / (1 + np.exp(-(logits + 3.0)))
    (threshold,) = best_f1(scores, targets)
    (moved,) = best_f1(weighted, targets, scores)
    assert moved > threshold + 0.2
    given = (scores >= threshold).sum()
    assert (weighted >= moved).sum() == pytest.approx(given, rel=0.1)
    # Taken for probabilities, such scores would have a tag given far too often.
    (wrong,) = best_f1(weighted[:200], targets[:200])
    (right,) = best_f1(weighted[:200], targets[:200], scores[:200])
    assert (weighted >= right).sum() < 0.7 * (weighted >= wrong).sum()
