"""The learning curve on bottlenecks whose answer is known."""

import hashlib

import numpy as np
import pytest

from edgeclf.training import discriminant
from edgeclf.training.learning_curve import LearningCurve, learning_curve
from edgeclf.training.moments import Moments

DEPTH = 24  # fewer than there are pictures


def clouds(each, spread, num_classes=3, seed=0, depth=DEPTH):
    """Bottlenecks around one corner per class."""
    source = np.random.default_rng(seed)
    classes = np.repeat(np.arange(num_classes), each)
    points = source.normal(0, spread, (len(classes), depth))
    points[np.arange(len(classes)), classes] += 1
    return points.astype(np.float32), classes


def curve_of(points, classes, **changes):
    digests = [hashlib.sha256(point.tobytes()).digest() for point in points]
    arguments = {
        "groups": np.arange(len(classes)),
        "digests": digests,
        "widths": points.shape[1:],
        **changes,
    }
    return learning_curve(points, classes, **arguments)


@pytest.mark.parametrize(
    ("depth", "spread", "seed", "sizes"), [(60, 0.5, 1, 3), (200, 0.45, 0, 5)]
)
def test_more_pictures_help_where_they_are_missing(depth, spread, seed, sizes):
    curve = curve_of(*clouds(60, spread, depth=depth, seed=seed))
    accuracies = [point["accuracy"] for point in curve.describe()["points"]]
    assert len(accuracies) == sizes  # of five folds or, with fewer pictures, of nine
    assert all(np.diff(accuracies) > -0.02)
    assert accuracies[-1] > accuracies[0] + 0.1
    gain, noise = curve.gain
    assert gain > noise > 0
    assert curve.verdict.startswith("More pictures would probably help.")


def test_separable_pictures_need_no_more():
    curve = curve_of(*clouds(60, 0.02))
    points = curve.describe()["points"]
    assert [point["accuracy"] for point in points] == [1.0] * len(points)
    assert curve.verdict.startswith("More pictures of the same kind would hardly help.")
    assert points[-1]["num_train"] == 144  # four folds of five: more than numbers
    assert points[-1]["low"] < 1.0 == points[-1]["high"]


def test_labels_without_meaning_stay_near_chance():
    points, classes = clouds(40, 0.3)
    shuffled = np.random.default_rng(5).permutation(classes)
    points = curve_of(points, shuffled).describe()["points"]
    assert all(point["accuracy"] < 0.5 for point in points)


def test_near_duplicates_stay_together():
    """Twins with random labels: whoever tears them apart names them by their twin."""
    source = np.random.default_rng(6)
    points = np.repeat(source.normal(0, 1, (60, 400)), 2, axis=0).astype(np.float32)
    classes = np.repeat(source.integers(0, 2, 60), 2)
    twins = np.repeat(np.arange(60) * 2, 2)
    together = curve_of(points, classes, groups=twins)
    apart = curve_of(points, classes)
    assert together.right[-1].mean() < 0.65
    assert apart.right[-1].mean() > 0.75


def test_order_and_threads_play_no_part():
    points, classes = clouds(30, 0.4)
    order = np.random.default_rng(7).permutation(len(classes))
    first = curve_of(points, classes, num_workers=1)
    again = curve_of(points, classes, num_workers=3)
    assert first.describe() == again.describe()
    np.testing.assert_array_equal(first.right, again.right)
    moved = curve_of(points[order], classes[order])
    np.testing.assert_array_equal(moved.right, first.right[:, order])


def test_sizes_that_miss_a_class_are_left_out():
    points, classes = clouds(30, 0.2)
    few = np.flatnonzero((classes > 0) | (np.arange(len(classes)) < 4))
    curve = curve_of(points[few], classes[few])
    assert len(curve.num_train) == 2  # of three: no fold has a class to itself
    only = np.flatnonzero((classes > 0) | (np.arange(len(classes)) < 1))
    assert curve_of(points[only], classes[only]) is None


def test_a_tiny_class_among_many_pictures_does_no_harm():
    points, classes = clouds(150, 0.2)
    most = np.flatnonzero((classes > 0) | (np.arange(len(classes)) < 1))
    curve = curve_of(points[most], classes[most])
    assert len(curve.num_train) == 3
    assert curve.right[:, 0].tolist() == [0, 0, 0]  # nobody can know it


@pytest.mark.parametrize("each", [3, 30])  # fewer and more than numbers in one
def test_moments_of_some_folds_are_those_of_their_pictures(each):
    points, classes = clouds(each, 0.3)
    folds = np.arange(len(classes)) % 3
    moments = Moments(3, 3, DEPTH)
    moments.add(points, classes, folds)
    assert (moments.seconds is None) == (each == 3)
    some = folds != 1
    alone = Moments(1, 3, DEPTH)
    alone.add(points[some], classes[some], folds[some] * 0)
    expected = discriminant.solve(alone, (DEPTH,), 0.4)
    for found, value in zip(
        discriminant.solve(moments.together([2, 0]), (DEPTH,), 0.4),
        expected,
        strict=True,
    ):
        np.testing.assert_allclose(found, value, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    ("won", "words"),
    [
        ([1] * 12 + [0] * 88, "More pictures would probably help."),
        ([0] * 1000, "More pictures of the same kind would hardly help."),
        ([1] * 3 + [0] * 20, "Whether more pictures would help cannot be told"),
    ],
)
def test_verdict_weighs_the_gain_against_its_noise(won, words):
    half = np.zeros(len(won))
    curve = LearningCurve([50, 100], np.stack([half, half + won]), (1, 0))
    assert curve.verdict.startswith(words)
    assert "From 50 to 100 pictures" in curve.verdict


def test_verdict_without_half_of_the_last_size():
    curve = LearningCurve([75, 100], np.ones((2, 10)), None)
    assert curve.gain is None
    assert (
        curve.verdict == "There are too few pictures to tell whether more would help."
    )
