"""Calibration and coverage against figures computed by hand."""

import numpy as np
import pytest

from edgeclf.evaluation.calibration import (
    calibration_bins,
    describe_calibration,
    error_by_chance,
    expected_calibration_error,
    without_temperature,
)
from edgeclf.evaluation.coverage import MAX_POINTS, coverage_curve
from edgeclf.training.head import softmax


def two_classes(best, right):
    """Scores whose highest is `best`, for class 0; the true class is 0 where right."""
    scores = np.array([[value, 1 - value] for value in best])
    return scores, np.where(right, 0, 1)


def test_error_by_hand():
    scores, classes = two_classes([0.95, 0.92, 0.97, 0.55, 0.65], [1, 1, 0, 0, 1])
    # Ten bins: (0.5, 0.6] has 0.55, wrong; (0.6, 0.7] 0.65, right; (0.9, 1] three of
    # mean 0.94666, two of them right.
    expected = (1 * abs(0 - 0.55) + 1 * abs(1 - 0.65) + 3 * abs(2 / 3 - 2.84 / 3)) / 5
    found = expected_calibration_error(scores, classes, num_bins=10)
    assert found == pytest.approx(expected)


def test_bins_hold_every_picture_once_and_their_upper_edge():
    scores, classes = two_classes([1.0, 0.8, 0.6, 0.601], [1, 1, 0, 1])
    bins = calibration_bins(scores, classes, num_bins=5)
    assert [entry.count for entry in bins] == [0, 0, 1, 2, 1]
    assert bins[0].accuracy is bins[0].confidence is None
    assert bins[3].confidence == pytest.approx((0.8 + 0.601) / 2)
    assert (bins[3].low, bins[3].high) == pytest.approx((0.6, 0.8))
    zero = calibration_bins(np.zeros((1, 2)), np.array([0]), num_bins=5)
    assert zero[0].count == 1


def test_scores_drawn_from_themselves_are_calibrated():
    source = np.random.default_rng(0)
    best = source.uniform(0.5, 1, 20000)
    scores, classes = two_classes(best, source.random(20000) < best)
    assert expected_calibration_error(scores, classes) < 0.015
    scores, classes = two_classes(best, source.random(20000) < best - 0.2)
    assert expected_calibration_error(scores, classes) == pytest.approx(0.2, abs=0.015)


def test_error_by_chance_is_that_of_exact_scores():
    source = np.random.default_rng(1)
    best = source.uniform(0.5, 1, 40)
    scores, _ = two_classes(best, best)
    found = [
        expected_calibration_error(*two_classes(best, source.random(40) < best))
        for _ in range(400)
    ]
    assert error_by_chance(scores) == pytest.approx(np.mean(found), rel=0.1)
    assert error_by_chance(np.repeat(scores, 100, axis=0)) < error_by_chance(scores) / 5
    assert error_by_chance(np.array([[1.0, 0.0]])) == 0


@pytest.mark.parametrize("number", [40, 400])
def test_error_by_chance_is_that_of_every_answer_drawn_by_itself(number):
    scores = np.random.default_rng(2).random(number) ** 4  # most are low, as of tags
    source, bins = np.random.default_rng(3), np.ceil(scores * 15)
    gaps = (source.random((4000, number)) < scores) - scores
    sums = [np.abs(gaps[:, bins == place].sum(axis=1)) for place in range(16)]
    expected = np.mean(np.sum(sums, axis=0)) / number
    assert error_by_chance(scores[:, np.newaxis]) == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("temperature", [0.2, 1.0, 7.5])
def test_temperature_is_undone_exactly(temperature):
    logits = np.random.default_rng(1).normal(0, 2, (30, 5))
    after = softmax(logits / temperature)
    np.testing.assert_allclose(
        without_temperature(after, temperature), softmax(logits), rtol=1e-9
    )


def test_temperature_is_undone_where_rounding_made_zeros():
    logits = np.random.default_rng(2).normal(0, 4, (200, 4))
    rounded = np.rint(softmax(logits / 3) * 256) / 256
    raw = without_temperature(rounded, 3)
    np.testing.assert_allclose(raw.sum(axis=1), 1)
    np.testing.assert_allclose(raw.max(axis=1), softmax(logits).max(axis=1), atol=0.03)


def test_description_has_both_errors_and_plain_values():
    scores, classes = two_classes([0.9, 0.8], [1, 0])
    described = describe_calibration(scores, classes, 2.0)
    raw = without_temperature(scores, 2.0)
    assert described["ece_before"] == expected_calibration_error(raw, classes)
    assert described["ece"] == expected_calibration_error(scores, classes)
    assert described["num"] == sum(entry["count"] for entry in described["bins"]) == 2
    assert set(described["bins"][0]) == {
        "low", "high", "count", "confidence", "accuracy"
    }  # fmt: skip
    assert describe_calibration(scores, classes, None)["ece_before"] is None


def test_coverage_curve_by_hand():
    scores, classes = two_classes([0.9, 0.7, 0.7, 0.6], [1, 1, 0, 0])
    assert coverage_curve(scores, classes) == [
        {"coverage": 0.25, "accuracy": 1.0, "score": 0.9},
        {"coverage": 0.75, "accuracy": pytest.approx(2 / 3), "score": 0.7},
        {"coverage": 1.0, "accuracy": 0.5, "score": 0.6},
    ]


def test_coverage_curve_of_many_pictures_keeps_its_ends():
    source = np.random.default_rng(3)
    scores, classes = two_classes(source.uniform(0.5, 1, 5000), np.ones(5000))
    curve = coverage_curve(scores, classes)
    assert len(curve) == MAX_POINTS
    assert curve[0]["coverage"] == 1 / 5000
    assert curve[-1]["coverage"] == 1.0
    shares = [point["coverage"] for point in curve]
    assert shares == sorted(shares)
