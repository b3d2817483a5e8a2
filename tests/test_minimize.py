import numpy as np
import pytest

from edgeclf.training.minimize import minimize


def quadratic(size, seed):
    """A bowl with axes of very unlike length, and where its bottom is."""
    source = np.random.default_rng(seed)
    turn, _ = np.linalg.qr(source.normal(size=(size, size)))
    matrix = turn @ np.diag(np.geomspace(1, 1e3, size)) @ turn.T
    bottom = source.normal(size=size)

    def function(point):
        pull = matrix @ (point - bottom)
        return 0.5 * float(pull @ (point - bottom)), pull

    return function, bottom


@pytest.mark.parametrize("size", [1, 5, 40])
def test_the_bottom_of_a_bowl_is_found(size):
    function, bottom = quadratic(size, 0)
    start = np.zeros(size)
    found = minimize(function, start, max_iterations=500, tolerance=1e-12)
    np.testing.assert_allclose(found, bottom, atol=1e-5)
    assert not start.any()


def test_a_start_at_the_bottom_stays():
    function, bottom = quadratic(4, 1)
    found = minimize(function, bottom, max_iterations=5, tolerance=1e-9)
    np.testing.assert_array_equal(found, bottom)


def test_iterations_are_not_exceeded():
    function, _ = quadratic(30, 2)
    calls = []
    minimize(
        lambda point: calls.append(1) or function(point),
        np.zeros(30),
        max_iterations=3,
        tolerance=0.0,
    )
    assert len(calls) <= 1 + 3 * 60


def test_a_function_that_is_flat_far_away_is_no_obstacle():
    def function(point):  # softplus of x and of -x: least at 0
        value = np.logaddexp(0, point).sum() + np.logaddexp(0, -point).sum()
        return float(value), np.tanh(point / 2)

    found = minimize(function, np.array([30.0]), max_iterations=200, tolerance=1e-9)
    assert abs(found[0]) < 1e-3
