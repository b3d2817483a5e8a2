import numpy as np

from edgeclf.training.head import Head
from edgeclf.training.rounding import LEVELS, rounded

CLASSES, DEPTH = 5, 60


def correlated(count, seed):
    """Bottlenecks of 60 numbers that depend on 12, on another scale each."""
    mixing = np.random.default_rng(8).normal(0, 1, (12, DEPTH))
    source = np.random.default_rng(seed)
    points = source.normal(0, 1, (count, 12)) @ mixing + 2
    return (points + source.normal(0, 0.1, points.shape)).astype(np.float32)


def some_head():
    source = np.random.default_rng(9)
    weights = source.normal(0, 1, (CLASSES, DEPTH)) * source.uniform(0.01, 1, DEPTH)
    return Head(weights.astype(np.float32), np.zeros(CLASSES, np.float32))


def test_weights_are_whole_steps_and_the_largest_stays():
    head = some_head()
    result = rounded(head, correlated(200, 0))
    step = np.abs(head.weights).max() / LEVELS
    assert np.abs(result.weights).max() == np.abs(head.weights).max()
    multiples = result.weights / step
    np.testing.assert_allclose(multiples, np.rint(multiples), atol=1e-4)


def test_logits_change_less_than_by_rounding_to_the_nearest():
    head, fresh = some_head(), correlated(500, 1)
    step = np.abs(head.weights).max() / LEVELS
    nearest = Head(np.rint(head.weights / step) * step, head.bias)
    expected = head.logits(fresh)

    def error(other):
        return np.sqrt(np.mean((other.logits(fresh) - expected) ** 2))

    result = rounded(head, correlated(200, 0))
    assert error(result) < error(nearest) / 2
    mean_error = (result.logits(fresh) - expected).mean(axis=0)
    assert np.abs(mean_error).max() < 0.02


def test_the_head_stays_and_one_of_zeros_is_returned():
    head = some_head()
    before = head.weights.copy()
    rounded(head, correlated(50, 0))
    np.testing.assert_array_equal(head.weights, before)
    zeros = Head(np.zeros((2, 3), np.float32), np.zeros(2, np.float32))
    assert rounded(zeros, np.ones((4, 3), np.float32)) is zeros


def test_pictures_that_are_all_alike_are_no_obstacle():
    result = rounded(some_head(), np.ones((3, DEPTH), np.float32))
    assert np.isfinite(result.weights).all()
