import numpy as np
import pytest
from test_discriminant import CLASSES, DEPTH, blobs

from edgeclf.training import regression
from edgeclf.training.head import LabelledBottlenecks, accuracy, cross_entropy, softmax


def fit(data, folds=None, num_scored=None, widths=None, validation_fold=None):
    folds = np.arange(len(data)) // CLASSES % 5 if folds is None else folds
    count = len(data) if num_scored is None else num_scored
    widths = widths or (data.depth,)
    return regression.fit(data, folds, count, widths, CLASSES, validation_fold)


def test_blobs_are_told_apart_and_scores_calibrated():
    fitted = fit(blobs(200, 0, 2.0))
    fresh = blobs(2000, 1, 2.0)
    logits = fresh.logits(fitted.head)
    right = logits.argmax(axis=1) == fresh.classes
    assert right.mean() > 0.75
    assert softmax(logits).max(axis=1).mean() == pytest.approx(right.mean(), abs=0.06)
    assert fitted.strength in regression.STRENGTHS
    assert fitted.head.weights.shape == (CLASSES, DEPTH)
    assert fitted.head.weights.dtype == np.float32
    assert fitted.class_weights == "none"


@pytest.mark.parametrize("count", [DEPTH - 4, 120])
def test_the_result_is_the_minimum_of_the_stated_loss(count):
    """The gradient, derived here anew, vanishes: with few pictures and with many."""
    data, widths = blobs(count, 3, 2.0), (5, 15)
    fitted = fit(data, widths=widths)
    points = data.bottlenecks.astype(np.float64)
    weights = fitted.head.weights.astype(np.float64) * fitted.temperature
    bias = fitted.head.bias * fitted.temperature
    errors = softmax(points @ weights.T + bias)
    errors[np.arange(count), data.classes] -= 1
    sizes = [part.var(axis=0).sum() for part in np.split(points, [5], axis=1)]
    centred = points - points.mean(axis=0)
    # |weights|^2 where parts vary alike is sum of size * weight^2 here.
    penalty = fitted.strength * weights * np.repeat(sizes, widths)
    start = np.abs(centred.T @ (np.eye(CLASSES)[data.classes] - 1 / CLASSES)).max()
    assert np.abs(errors.T @ centred + penalty).max() < 0.01 * start
    assert np.abs(errors.sum(axis=0)).max() < 0.01 * count


def test_views_are_fitted_to_and_pictures_scored():
    data = blobs(80, 4, 2.0)
    folds = np.arange(80) // CLASSES % 4
    shifted = LabelledBottlenecks(data.bottlenecks + np.float32(0.5), data.classes)
    both = fit(data + shifted, np.concatenate([folds, folds]), num_scored=80)
    assert both.unseen.shape == (80, CLASSES)
    assert not np.allclose(both.head.weights, fit(data, folds).head.weights, rtol=0.01)


def test_validation_is_scored_by_a_head_that_has_not_seen_it():
    data = blobs(200, 5, 2.0)
    folds = np.where(np.arange(200) < 160, np.arange(200) // CLASSES % 4, 4)
    fitted = fit(data, folds, validation_fold=4)
    held_out = folds == 4
    # Labels of the validation pictures do not reach the head that scores them.
    classes = data.classes.copy()
    classes[held_out] = (classes[held_out] + 1) % CLASSES
    other = fit(LabelledBottlenecks(data.bottlenecks, classes), folds)
    if other.strength == fitted.strength:
        factor = fitted.temperature / other.temperature
        np.testing.assert_allclose(
            other.unseen[held_out], fitted.unseen[held_out] * factor, atol=0.02
        )
    seen = fitted.unseen[held_out]
    assert fitted.validation_accuracy == accuracy(seen, data.classes[held_out])
    loss = cross_entropy(seen, data.classes[held_out])
    assert fitted.validation_cross_entropy == pytest.approx(loss)


def test_identical_pictures_in_each_class_are_no_obstacle():
    points = np.repeat(np.eye(CLASSES, DEPTH, dtype=np.float32), 5, axis=0)
    data = LabelledBottlenecks(points, np.repeat(np.arange(CLASSES), 5))
    fitted = fit(data, np.tile(np.arange(5), CLASSES))
    assert (data.logits(fitted.head).argmax(axis=1) == data.classes).all()
    assert np.isfinite(fitted.head.weights).all()


def test_one_picture_a_class_is_enough():
    data = LabelledBottlenecks(np.eye(CLASSES, dtype=np.float32), np.arange(CLASSES))
    fitted = fit(data, np.zeros(CLASSES, np.intp))
    assert (data.logits(fitted.head).argmax(axis=1) == data.classes).all()
    assert fitted.validation_accuracy is None


def test_a_hopeless_first_strength_is_left_as_it_is():
    data = blobs(80, 6, 2.0)
    folds = np.arange(80) // CLASSES % 4
    widths, classes = (data.depth,), data.classes
    fitted = regression.fit(data, folds, 80, widths, CLASSES, None, hopeless=0.0)
    assert fitted.strength == regression.STRENGTHS[0]
    tried = fit(data, folds)
    assert cross_entropy(tried.unseen, classes) <= cross_entropy(fitted.unseen, classes)
