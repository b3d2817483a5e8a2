"""What a model file says about itself, whoever wrote it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from edgeclf.errors import ModelError

if TYPE_CHECKING:
    from edgeclf.tflite.score_calibration import ScoreCalibration

_NOTHING: Mapping[str, Any] = MappingProxyType({})


class ModelInfo(NamedTuple):
    """What a model file says about itself.

    Attributes:
        labels: One name for each class, in the order of the output. None: not said.
        input_mean: The input is `(pixel - input_mean) / input_std` with pixels 0-255;
            one value, or one for each of R, G, B. None: not said.
        input_std: See `input_mean`.
        record: Content of `edgeclf.json`; empty for other makers' files.
        input_size: `(height, width)` that a model of dynamic size takes by default.
            None: not said.
        scores_output: Which of several outputs the labels belong to. None: not said.
        score_calibration: What other makers' scores go through. None: nothing.
        score_threshold: Least score that other makers recommend. None: not said.
    """

    labels: tuple[str, ...] | None = None
    input_mean: tuple[float, ...] | None = None
    input_std: tuple[float, ...] | None = None
    record: Mapping[str, Any] = _NOTHING
    input_size: tuple[int, int] | None = None
    scores_output: int | None = None
    score_calibration: ScoreCalibration | None = None
    score_threshold: float | None = None


def finite_values(value: Any, *, divisor: bool = False) -> tuple[float, ...] | None:
    """Return one number or a list of them as a tuple; None stays None."""
    if value is None:
        return None
    numbers = value if isinstance(value, list) else [value]
    values = tuple(float(number) for number in numbers)
    if not all(map(math.isfinite, values)) or (divisor and 0 in values):
        raise ModelError(f"Expected finite numbers in the metadata. Received: {value}")
    return values
