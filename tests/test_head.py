import numpy as np
import pytest

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
