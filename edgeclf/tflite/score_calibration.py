"""Score calibration of TFLite Metadata: a sigmoid for each class."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgeclf.errors import ModelError

# ScoreTransformationType of metadata_schema.fbs
IDENTITY, LOG, INVERSE_LOGISTIC = range(3)

MAX_LINES = 1 << 17  # it bounds the memory: a zip is hostile input

# Below it the logarithm goes on as its mirror image. Source: MediaPipe,
# score_calibration_calculator.cc, kLogScoreMinimum and ClampedLog.
_LOG_MINIMUM = 1e-16


@dataclass(frozen=True, eq=False)
class ScoreCalibration:
    """What turns the scores of a model into comparable ones.

    f(x) = scale / (1 + exp(-(slope g(x) + offset))) with the class's own parameters;
    `default_score` for a class without them, and for x < min_score.
    Source: metadata_schema.fbs, ScoreCalibrationOptions.

    Attributes:
        parameters: float64, shape `(num_classes, 4)`: scale, slope, offset, min_score;
            NaN for a class without parameters.
        transformation: g: `IDENTITY` x, `LOG` log x, `INVERSE_LOGISTIC`
            log x - log(1 - x).
        default_score: See above.
    """

    parameters: NDArray[np.float64]
    transformation: int = IDENTITY
    default_score: float = 0.0

    def __post_init__(self) -> None:
        if self.transformation not in (IDENTITY, LOG, INVERSE_LOGISTIC):
            raise ModelError(
                "Expected a score transformation of 0, 1 or 2. "
                f"Received: {self.transformation}"
            )

    def __call__(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the calibrated scores.

        Args:
            scores: float32, shape `(num_classes,)`.
        """
        scale, slope, offset, min_score = self.parameters.T
        x = scores.astype(np.float64)
        if self.transformation == LOG:
            x = _clamped_log(x)
        elif self.transformation == INVERSE_LOGISTIC:
            x = _clamped_log(x) - _clamped_log(1 - x)
        # exp of what is negative only, so that it never overflows.
        logits = slope * x + offset
        power = np.exp(-np.abs(logits))
        calibrated: NDArray[np.float64] = (
            scale * np.where(logits >= 0, 1.0, power) / (1 + power)
        )
        calibrated[np.isnan(scale) | (scores < min_score)] = self.default_score
        return calibrated.astype(np.float32)

    def fitted(self, num_classes: int) -> ScoreCalibration:
        """Return it for a model, without empty lines that follow the last class.

        Raises:
            ModelError: It has another number of classes than the model.
        """
        given = np.flatnonzero(~np.isnan(self.parameters[:, 0]))
        if not given.max(initial=-1) < num_classes <= len(self.parameters):
            raise ModelError(
                f"Expected a score calibration of {num_classes} lines, one for each "
                f"class. Received: {len(self.parameters)}"
            )
        return replace(self, parameters=self.parameters[:num_classes])


def read_score_calibration(
    text: bytes, transformation: int, default_score: float
) -> ScoreCalibration:
    """Read the file of a model's sigmoid parameters.

    Args:
        text: A line for each class: nothing, or scale, slope, offset and perhaps
            min_score, separated by commas.
        transformation: See `ScoreCalibration`.
        default_score: See `ScoreCalibration`.

    Raises:
        ModelError: A line has other contents, a scale is negative, or there are more
            lines than any model has classes.
    """
    lines = text.decode("utf-8-sig").split("\n")
    if len(lines) > MAX_LINES:
        raise ModelError(
            f"Expected a score calibration of at most {MAX_LINES} lines. "
            f"Received: {len(lines)}"
        )
    rows = [_parameters(number, line) for number, line in enumerate(lines, 1)]
    return ScoreCalibration(np.array(rows), transformation, default_score)


def _parameters(number: int, line: str) -> list[float]:
    if not line.strip():
        return [np.nan] * 4
    try:
        values = [float(value) for value in line.split(",")]
    except ValueError:
        values = []
    if len(values) not in (3, 4) or not np.isfinite(values).all() or values[0] < 0:
        raise ModelError(
            "Expected scale (not negative), slope, offset and perhaps min_score in "
            f"line {number} of the score calibration. Received: {line!r}"
        )
    return [*values, -np.inf][:4]


def _clamped_log(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return log x; below the minimum, what is symmetric to it, so that order stays."""
    minimum = _LOG_MINIMUM
    mirrored = 2 * np.log(minimum) - np.log(np.maximum(2 * minimum - x, minimum))
    return np.where(x < minimum, mirrored, np.log(np.maximum(x, minimum)))
