import numpy as np
import pytest

from edgeclf.training import regression
from edgeclf.training.descent import Descent, descend
from edgeclf.training.head import (
    Head,
    LabelledBottlenecks,
    accuracy,
    cross_entropy,
    softmax,
)

CLASSES, DEPTH = 4, 20


def blobs(count, seed, spread=1.0):
    source = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(0, 1.2, (CLASSES, DEPTH))
    classes = np.arange(count) % CLASSES
    points = centres[classes] + source.normal(0, spread, (count, DEPTH))
    return LabelledBottlenecks(points.astype(np.float32), classes.astype(np.intp))


def measured(head, data):
    return accuracy(head.logits(data.bottlenecks), data.classes)


def test_softmax_rows_sum_to_one_even_for_large_logits():
    probabilities = softmax(np.array([[1000.0, 0.0, -1000.0]], np.float32))
    np.testing.assert_allclose(probabilities, [[1, 0, 0]])


def test_cross_entropy_of_equal_logits_is_log_of_the_classes():
    loss = cross_entropy(np.zeros((3, 4), np.float32), np.array([0, 1, 3]))
    assert loss == pytest.approx(np.log(4))


def test_regression_separates_blobs():
    fitted = regression.fit(blobs(200, 0), blobs(80, 1), CLASSES)
    assert measured(fitted.head, blobs(400, 2)) > 0.9
    assert fitted.strength in regression.STRENGTHS
    assert fitted.validation_accuracy > 0.9
    assert fitted.head.weights.shape == (CLASSES, DEPTH)
    assert fitted.head.weights.dtype == np.float32


def test_regression_finds_the_minimum_of_the_stated_loss():
    """The gradient of loss + penalty, derived here anew, vanishes at the result."""
    data, strength = blobs(120, 3), 2.0
    covariance = regression.shrunk_covariance(data, CLASSES)
    head = regression._Solver(data, CLASSES).fit(strength)
    points = data.bottlenecks.astype(np.float64)
    errors = softmax(points @ head.weights.T.astype(np.float64) + head.bias)
    errors[np.arange(len(points)), data.classes] -= 1
    centred = points - points.mean(axis=0)
    # d/dW of 1/2 strength tr(W C W') is strength W C; the bias is free.
    gradient = errors.T @ centred + strength * head.weights @ covariance
    assert np.abs(gradient).max() < 2e-2  # of about 100 at the start
    assert np.abs(errors.sum(axis=0)).max() < 2e-2


def test_shrunk_covariance_is_the_textbook_one():
    data = blobs(60, 4)
    points = data.bottlenecks.astype(np.float64)
    residuals = np.concatenate(
        [
            points[data.classes == index] - points[data.classes == index].mean(axis=0)
            for index in range(CLASSES)
        ]
    )
    within = residuals.T @ residuals / 60
    expected = 0.3 * within + 0.7 * np.trace(within) / DEPTH * np.eye(DEPTH)
    np.testing.assert_allclose(
        regression.shrunk_covariance(data, CLASSES), expected, rtol=1e-9, atol=1e-12
    )


def test_blocks_of_rows_change_nothing(monkeypatch):
    data = blobs(100, 5)
    whole = regression._Solver(data, CLASSES).fit(1.0)
    monkeypatch.setattr(LabelledBottlenecks.blocks, "__defaults__", (7,))
    blocked = regression._Solver(data, CLASSES).fit(1.0)
    np.testing.assert_allclose(blocked.weights, whole.weights, rtol=1e-2, atol=1e-4)


def test_identical_pictures_in_each_class_are_no_obstacle():
    points = np.repeat(np.eye(3, 5, dtype=np.float32), 4, axis=0)
    data = LabelledBottlenecks(points, np.repeat(np.arange(3), 4))
    fitted = regression.fit(data, data, 3)
    assert measured(fitted.head, data) == 1.0
    assert np.isfinite(fitted.head.weights).all()


def test_regression_without_validation_takes_the_default_strength():
    data = blobs(40, 6)
    empty = LabelledBottlenecks(data.bottlenecks[:0], data.classes[:0])
    fitted = regression.fit(data, empty, CLASSES)
    assert fitted.strength == regression.DEFAULT_STRENGTH
    assert fitted.validation_accuracy is None


SETTINGS = Descent(
    steps=200,
    learning_rate=0.05,
    train_batch_size=20,
    validation_batch_size=-1,
    eval_step_interval=50,
    store_interval=80,
)


def run_descent(seed=0, settings=SETTINGS):
    steps, stored = [], []
    fitted = descend(
        blobs(100, 0),
        blobs(40, 1),
        CLASSES,
        settings,
        seed,
        steps.append,
        lambda step, head: stored.append((step, head)),
    )
    return fitted, steps, stored


def test_descent_learns_and_reports_each_interval_and_the_last_step():
    fitted, steps, _ = run_descent()
    assert measured(fitted.head, blobs(400, 2)) > 0.9
    assert [step.step for step in steps] == [0, 50, 100, 150, 199]
    assert steps[-1].train_cross_entropy < steps[0].train_cross_entropy
    assert steps[0].validation_cross_entropy == pytest.approx(np.log(CLASSES), abs=0.02)


def test_descent_stores_heads_on_the_way():
    _, _, stored = run_descent()
    assert [step for step, _ in stored] == [80, 160]
    assert not np.array_equal(stored[0][1].weights, stored[1][1].weights)


def test_descent_is_the_same_for_the_same_seed():
    first, again, other = run_descent(1)[0], run_descent(1)[0], run_descent(2)[0]
    np.testing.assert_array_equal(first.head.weights, again.head.weights)
    assert not np.array_equal(first.head.weights, other.head.weights)


def test_one_step_over_all_pictures_is_the_gradient():
    data = blobs(30, 8)
    settings = Descent(1, 0.5, -1, -1, 1)
    empty = LabelledBottlenecks(data.bottlenecks[:0], data.classes[:0])
    fitted = descend(data, empty, CLASSES, settings, 0, lambda _: None, print)
    start = np.random.default_rng(0).normal(0, 0.001, (CLASSES, DEPTH))
    start = start.astype(np.float32)
    errors = softmax(data.bottlenecks @ start.T) - np.eye(CLASSES)[data.classes]
    expected = Head(
        start - 0.5 * errors.T @ data.bottlenecks / 30, -0.5 * errors.mean(axis=0)
    )
    np.testing.assert_allclose(fitted.head.weights, expected.weights, atol=1e-5)
    np.testing.assert_allclose(fitted.head.bias, expected.bias, atol=1e-6)
    assert fitted.validation_accuracy is None
