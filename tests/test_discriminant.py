import hashlib

import numpy as np
import pytest

from edgeclf.training import discriminant
from edgeclf.training.folds import deal_folds, known_rows
from edgeclf.training.head import LabelledBottlenecks, cross_entropy, softmax
from edgeclf.training.moments import Moments
from edgeclf.training.trials import DEFAULT_SHRINKAGE, SHRINKAGES

CLASSES, DEPTH = 4, 20


def blobs(count, seed, spread=1.0):
    source = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(0, 1.2, (CLASSES, DEPTH))
    classes = np.arange(count) % CLASSES
    points = centres[classes] + source.normal(0, spread, (count, DEPTH))
    return LabelledBottlenecks(points.astype(np.float32), classes.astype(np.intp))


def fit(data, folds=None, widths=(DEPTH,), validation_fold=None):
    folds = np.arange(len(data)) // CLASSES % 5 if folds is None else folds
    moments = Moments(int(folds.max()) + 1, CLASSES, data.depth)
    moments.add(data.bottlenecks, data.classes, folds)
    return discriminant.fit(moments, data, folds, widths, validation_fold)


def textbook(points, classes, shrinkage, widths):
    """Discriminant weights and bias, by scaling the parts themselves."""
    scales = np.concatenate(
        [
            np.full(part.shape[1], 1 / np.sqrt(part.var(axis=0).sum()))
            for part in np.split(points, np.cumsum(widths)[:-1], axis=1)
        ]
    )
    scaled = points * scales
    means = np.array([scaled[classes == k].mean(axis=0) for k in range(CLASSES)])
    residuals = scaled - means[classes]
    within = residuals.T @ residuals / len(points)
    size = len(scales)
    within = (1 - shrinkage) * within + np.eye(size) * (
        shrinkage * np.trace(within) / size
    )
    weights = np.linalg.solve(within, (means - means.mean(axis=0)).T).T
    bias = -0.5 * np.sum((means + means.mean(axis=0)) * weights, axis=1)
    return weights * scales, bias


@pytest.mark.parametrize("widths", [(DEPTH,), (5, 15)])
def test_the_head_is_the_textbook_discriminant_over_its_temperature(widths):
    data = blobs(120, 0)
    fitted = fit(data, widths=widths)
    points = data.bottlenecks.astype(np.float64)
    weights, bias = textbook(points, data.classes, fitted.shrinkage, widths)
    np.testing.assert_allclose(
        fitted.head.weights * fitted.temperature, weights, rtol=1e-4, atol=1e-4
    )
    np.testing.assert_allclose(
        fitted.head.bias * fitted.temperature, bias, rtol=1e-4, atol=1e-3
    )
    assert fitted.shrinkage in SHRINKAGES
    assert fitted.head.weights.dtype == np.float32


@pytest.mark.parametrize("spread", [0.3, 1.0, 3.0])
def test_few_pictures_are_solved_as_many_are(spread):
    data = blobs(DEPTH - 1, 5, spread)
    folds = np.arange(len(data)) // CLASSES % 3
    few = Moments(3, CLASSES, DEPTH)
    few.add(data.bottlenecks, data.classes, folds)
    assert few.seconds is None
    many = Moments(3, CLASSES, DEPTH)
    many.add(data.bottlenecks, data.classes, folds)
    rows = np.concatenate([points for points, _, _ in many.points])
    order = np.concatenate([np.full(len(part), f) for part, _, f in many.points])
    many.points = None
    many.seconds = np.array([rows[order == f].T @ rows[order == f] for f in range(3)])
    first, second = (
        discriminant.fit(moments, data, folds, (5, 15), None) for moments in (few, many)
    )
    assert first.shrinkage == second.shrinkage
    for one, other in zip(
        vars(first.head).values(), vars(second.head).values(), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def test_parts_of_any_size_count_alike():
    data = blobs(120, 1)
    large = data.bottlenecks.copy()
    large[:, :5] *= 100
    scaled = fit(LabelledBottlenecks(large, data.classes), widths=(5, 15)).head
    plain = fit(data, widths=(5, 15)).head
    np.testing.assert_allclose(scaled.logits(large), data.logits(plain), atol=1e-2)


def test_scores_are_calibrated_and_pictures_told_apart():
    fitted = fit(blobs(200, 2, 2.0))
    fresh = blobs(2000, 3, 2.0)
    logits = fresh.logits(fitted.head)
    right = logits.argmax(axis=1) == fresh.classes
    assert right.mean() > 0.75
    assert softmax(logits).max(axis=1).mean() == pytest.approx(right.mean(), abs=0.05)
    for factor in (0.7, 1.4):
        worse = cross_entropy(logits * factor, fresh.classes)
        assert cross_entropy(logits, fresh.classes) < worse


def test_validation_is_scored_by_a_head_that_has_not_seen_it():
    data = blobs(200, 4, 2.0)
    folds = np.where(np.arange(200) < 160, np.arange(200) // CLASSES % 4, 4)
    fitted = fit(data, folds, validation_fold=4)
    seen = data.take(np.flatnonzero(folds < 4)).bottlenecks.astype(np.float64)
    classes = data.classes
    weights, bias = textbook(seen, classes[folds < 4], fitted.shrinkage, (DEPTH,))
    logits = (data.bottlenecks[folds == 4] @ weights.T + bias) / fitted.temperature
    expected = cross_entropy(logits, classes[folds == 4])
    assert fitted.validation_cross_entropy == pytest.approx(expected, rel=1e-4)
    right = np.mean(logits.argmax(axis=1) == classes[folds == 4])
    assert fitted.validation_accuracy == pytest.approx(right)


def test_order_and_blocks_change_nothing_but_the_last_digit():
    data = blobs(100, 5)
    folds = np.arange(100) // CLASSES % 5
    moments = Moments(5, CLASSES, DEPTH)
    for rows in np.array_split(np.random.default_rng(0).permutation(100), 7):
        moments.add(data.bottlenecks[rows], data.classes[rows], folds[rows])
    blocked = discriminant.fit(moments, data, folds, (DEPTH,), None)
    np.testing.assert_allclose(blocked.head.weights, fit(data).head.weights, rtol=1e-4)


def test_identical_pictures_in_each_class_are_no_obstacle():
    points = np.repeat(np.eye(CLASSES, DEPTH, dtype=np.float32), 5, axis=0)
    data = LabelledBottlenecks(points, np.repeat(np.arange(CLASSES), 5))
    fitted = fit(data, np.tile(np.arange(5), CLASSES))
    logits = data.logits(fitted.head)
    assert (logits.argmax(axis=1) == data.classes).all()
    assert np.isfinite(fitted.head.weights).all()
    # 20 pictures without an error: no more than 20 / 21.
    assert softmax(logits).max(axis=1).mean() == pytest.approx(20 / 21, abs=0.01)


def test_all_pictures_alike_is_no_obstacle():
    data = LabelledBottlenecks(np.ones((8, 3), np.float32), np.arange(8) % CLASSES)
    fitted = fit(data, np.arange(8) // CLASSES, widths=(3,))
    assert np.isfinite(fitted.head.weights).all()
    assert np.isfinite(fitted.head.bias).all()


def test_a_part_without_any_variation_is_no_obstacle():
    data = blobs(100, 6)
    points = np.concatenate([np.ones((100, 3), np.float32), data.bottlenecks], axis=1)
    fitted = fit(LabelledBottlenecks(points, data.classes), widths=(3, DEPTH))
    assert np.isfinite(fitted.head.weights).all()
    assert (fitted.head.logits(points).argmax(axis=1) == data.classes).mean() > 0.9


def test_a_class_in_one_fold_alone_is_learned_from_that():
    data = blobs(60, 7, 0.3)
    folds = np.arange(60) // CLASSES % 5
    folds[data.classes == 2] = 3
    fitted = fit(data, folds)
    assert (data.logits(fitted.head).argmax(axis=1) == data.classes).all()


@pytest.mark.parametrize("count", [CLASSES, 2 * CLASSES])
def test_without_a_picture_to_score_no_head_is_boundlessly_sure(count):
    """n pictures, in classes that do not vary: no more than n / (n + 1)."""
    classes = np.arange(count) % CLASSES
    data = LabelledBottlenecks(np.eye(CLASSES, dtype=np.float32)[classes], classes)
    fitted = fit(data, np.zeros(count, np.intp), widths=(CLASSES,))
    assert np.abs(fitted.head.weights).max() < 100
    scores = softmax(data.logits(fitted.head))
    assert scores.max(axis=1).mean() == pytest.approx(count / (count + 1), abs=0.01)


def test_without_a_picture_to_score_the_default_is_taken():
    data = LabelledBottlenecks(np.eye(CLASSES, dtype=np.float32), np.arange(CLASSES))
    fitted = fit(data, np.zeros(CLASSES, np.intp), widths=(CLASSES,))
    assert fitted.shrinkage == DEFAULT_SHRINKAGE
    assert (data.logits(fitted.head).argmax(axis=1) == data.classes).all()


def test_folds_are_balanced_and_keep_groups_together():
    classes = np.repeat(np.arange(3), 20)
    groups = np.arange(60)
    groups[[1, 5, 9]] = 1
    digests = [hashlib.sha256(bytes([n])).digest() for n in range(60)]
    folds = deal_folds(classes, groups, digests, 4)
    assert len(set(folds[[1, 5, 9]].tolist())) == 1
    for label in (1, 2):
        counts = np.bincount(folds[classes == label], minlength=4)
        assert counts.tolist() == [5, 5, 5, 5]
    order = np.random.default_rng(0).permutation(60)
    shuffled = deal_folds(
        classes[order], groups[order], [digests[row] for row in order], 4
    )
    same_fold = folds[order][:, np.newaxis] == folds[order]
    np.testing.assert_array_equal(shuffled[:, np.newaxis] == shuffled, same_fold)


def test_known_are_those_of_a_class_with_others_to_learn_from():
    classes = np.array([0, 0, 1, 1, 2, 2, 3])
    folds = np.array([0, 1, 0, 0, 1, 0, 1])
    expected = [True, True, False, False, True, True, False]
    assert known_rows(classes, folds).tolist() == expected
    # All that is left to learn from is one class: nothing to tell apart.
    known = known_rows(np.array([0, 0, 1]), np.array([0, 1, 0]))
    assert known.tolist() == [False, True, False]


@pytest.mark.parametrize("count", [15, 45])  # fewer than numbers in one, and more
def test_pictures_that_are_all_the_same_are_told_apart_by_nothing(count):
    numbers = np.random.default_rng(0).uniform(0.1, 5, DEPTH).astype(np.float32)
    points = np.tile(numbers, (count, 1))
    classes = np.arange(count) % CLASSES
    fitted = fit(LabelledBottlenecks(points, classes.astype(np.intp)))
    scores = softmax(fitted.head.logits(points))
    np.testing.assert_allclose(scores, 1 / CLASSES, atol=0.01)
