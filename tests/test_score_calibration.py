from __future__ import annotations

import numpy as np
import pytest

from edgeclf import ModelError
from edgeclf.tflite.score_calibration import (
    IDENTITY,
    INVERSE_LOGISTIC,
    LOG,
    read_score_calibration,
)


def sigmoid(x: float) -> float:
    return float(1 / (1 + np.exp(-x)))


@pytest.mark.parametrize(
    ("transformation", "transformed"),
    [
        (IDENTITY, lambda x: x),
        (LOG, np.log),
        (INVERSE_LOGISTIC, lambda x: np.log(x / (1 - x))),
    ],
)
def test_scores_go_through_each_class_s_own_sigmoid(
    transformation: int, transformed: object
) -> None:
    assert callable(transformed)
    text = b"0.5,2,-1\n1,-3,0.5,0.2\n\n1,1,0,0.9"
    calibration = read_score_calibration(text, transformation, 0.125).fitted(4)
    scores = np.float32([0.3, 0.6, 0.7, 0.8])
    expected = [
        0.5 * sigmoid(2 * transformed(0.3) - 1),
        sigmoid(-3 * transformed(0.6) + 0.5),
        0.125,  # no parameters
        0.125,  # below its min_score
    ]
    calibrated = calibration(scores)
    assert calibrated.dtype == np.float32
    np.testing.assert_allclose(calibrated, expected, rtol=1e-6)


@pytest.mark.parametrize("transformation", [LOG, INVERSE_LOGISTIC])
def test_scores_of_zero_and_one_stay_in_order(transformation: int) -> None:
    calibration = read_score_calibration(b"1,0.05,0\n" * 4, transformation, 0.0)
    low, less, high, one = calibration.fitted(4)(np.float32([-0.1, 0, 0.5, 1]))
    assert 0 <= low < less < high < one <= 1


def test_sigmoid_does_not_overflow() -> None:
    calibration = read_score_calibration(b"1,1e6,0\n1,-1e6,0", IDENTITY, 0.0)
    np.testing.assert_array_equal(calibration(np.float32([1, 1])), [1, 0])


def test_line_behind_the_last_end_is_no_class() -> None:
    lines = read_score_calibration(b"1,1,0\n1,1,0\n", IDENTITY, 0.0)
    assert len(lines.fitted(2).parameters) == 2
    assert len(lines.fitted(3).parameters) == 3  # the third has no parameters
    with pytest.raises(
        ModelError, match=r"of 4 lines, one for each class. Received: 3"
    ):
        lines.fitted(4)


def test_empty_lines_behind_the_last_class_are_no_classes() -> None:
    lines = read_score_calibration(b"1,1,0\n\n1,1,0\n\n\n\n", IDENTITY, 0.0)
    assert len(lines.fitted(3).parameters) == 3
    with pytest.raises(ModelError, match=r"of 2 lines, one for each class"):
        lines.fitted(2)


def test_more_lines_than_classes_of_any_model_are_refused() -> None:
    with pytest.raises(ModelError, match=r"at most 131072 lines. Received: 200001"):
        read_score_calibration(b"\n" * 200_000, IDENTITY, 0.0)


@pytest.mark.parametrize(
    "line", [b"1,2", b"1,2,3,4,5", b"1,x,3", b"-1,2,3", b"1,nan,3"]
)
def test_malformed_lines_are_refused(line: bytes) -> None:
    with pytest.raises(ModelError, match=r"in line 2 of the score calibration. Rec"):
        read_score_calibration(b"1,1,0\n" + line, IDENTITY, 0.0)


def test_unknown_transformation_is_refused() -> None:
    with pytest.raises(ModelError, match=r"transformation of 0, 1 or 2. Received: 3"):
        read_score_calibration(b"1,1,0", 3, 0.0)
