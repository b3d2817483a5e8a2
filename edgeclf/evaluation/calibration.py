"""Whether scores are probabilities: of what is scored 0.8, is 80 % right?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

DRAWS = 200  # of right and wrong answers: of 100 scores the mean is known to 3 %
_PARTS = 256  # of a bin
NUM_BINS = 15  # Source: C. Guo et al., 2017, section 4, as most papers since


@dataclass(frozen=True)
class Bin:
    """Pictures whose highest score lies in `(low, high]`; 0 belongs to the first bin.

    Attributes:
        low: In [0, 1].
        high: In [0, 1].
        count: How many pictures.
        confidence: Mean highest score; None without pictures.
        accuracy: Share of right labels; None without pictures.
    """

    low: float
    high: float
    count: int
    confidence: float | None
    accuracy: float | None


def calibration_bins(
    scores: NDArray[np.floating[Any]],
    classes: NDArray[np.intp],
    num_bins: int = NUM_BINS,
) -> list[Bin]:
    """Sort pictures into bins of equal width by their highest score.

    Args:
        scores: `(n, num_classes)` in [0, 1].
        classes: True class of each picture.
        num_bins: Number of bins.
    """
    right = scores.argmax(axis=1) == classes
    return _bins(scores.max(axis=1), right, num_bins)


def _bins(
    scores: NDArray[np.floating[Any]], right: NDArray[np.bool_], num_bins: int
) -> list[Bin]:
    """Sort scores, and whether each was right, both `(n,)`, into bins."""
    confidences = np.asarray(scores, np.float64)
    edges = np.linspace(0.0, 1.0, num_bins + 1)
    places = _places(confidences, num_bins)
    bins = []
    for place in range(num_bins):
        inside = places == place
        count = int(inside.sum())
        bins.append(
            Bin(
                float(edges[place]),
                float(edges[place + 1]),
                count,
                float(confidences[inside].mean()) if count else None,
                float(right[inside].mean()) if count else None,
            )
        )
    return bins


def _error(bins: Sequence[Bin]) -> float:
    """Return the mean distance of the bins' confidence and accuracy."""
    total = sum(entry.count for entry in bins)
    return sum(
        entry.count / total * abs(entry.accuracy - entry.confidence)
        for entry in bins
        if entry.accuracy is not None and entry.confidence is not None
    )


def expected_calibration_error(
    scores: NDArray[np.floating[Any]],
    classes: NDArray[np.intp],
    num_bins: int = NUM_BINS,
) -> float:
    """Return the mean distance between confidence and accuracy, in [0, 1].

    Of few pictures it is too large: chance alone keeps bins from agreeing.

    Source: M. P. Naeini et al., "Obtaining Well Calibrated Probabilities Using Bayesian
    Binning" (AAAI 2015); C. Guo et al., "On Calibration of Modern Neural Networks"
    (ICML 2017), equation 3.

    Args:
        scores: `(n, num_classes)` in [0, 1], of one picture at least.
        classes: True class of each picture.
        num_bins: Number of bins.
    """
    return _error(calibration_bins(scores, classes, num_bins))


def error_by_chance(
    scores: NDArray[np.floating[Any]], num_bins: int = NUM_BINS, seed: int = 0
) -> float:
    """Return the calibration error to expect where every score is exact, in [0, 1].

    No more than that may be read out of an error of so many pictures.

    Source: J. Vaicenavicius et al., "Evaluating model calibration in classification"
    (AISTATS 2019), 5: consistency resampling.

    Args:
        scores: `(n, num_classes)` in [0, 1], of one picture at least.
        num_bins: Number of bins.
        seed: Of the draws.
    """
    confidences = np.clip(scores.max(axis=1).astype(np.float64), 0.0, 1.0)
    # Scores within 1/3840 of one another are drawn together, as if each were their
    # mean: then a million costs what thousands do.
    num_parts = num_bins * _PARTS
    parts = _places(confidences, num_parts)
    counts = np.bincount(parts, minlength=num_parts)
    expected = np.bincount(parts, confidences, num_parts)
    chances = np.clip(expected / np.maximum(counts, 1), 0.0, 1.0)
    right = np.random.default_rng(seed).binomial(counts, chances, (DRAWS, num_parts))
    gaps = (right - expected).reshape(DRAWS, num_bins, _PARTS).sum(axis=2)
    return float(np.mean(np.abs(gaps).sum(axis=1)) / len(scores))


def without_temperature(
    scores: NDArray[np.floating[Any]], temperature: float
) -> NDArray[np.float64]:
    """Return the scores that the same logits gave before a temperature.

    A softmax of `z / T` is `exp(z / T)` up to a factor in each row; to the power of T
    that is `exp(z)`, of which the softmax is left. Where rounding has made a score 0,
    half the smallest score of all stands for it.

    Args:
        scores: `(n, num_classes)`: softmax of logits that were divided by it.
        temperature: The divisor, above 0.
    """
    wide = np.asarray(scores, np.float64)
    least = wide[wide > 0].min(initial=1.0) / 2
    powers = np.log(np.maximum(wide, least)) * temperature
    powers = np.exp(powers - powers.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _places(confidences: NDArray[np.float64], num_bins: int) -> NDArray[np.intp]:
    """Return the bin of each: the upper edge belongs to it, 0 to the first."""
    edges = np.linspace(0.0, 1.0, num_bins + 1)
    return np.clip(np.searchsorted(edges, confidences) - 1, 0, num_bins - 1)


def describe_calibration(
    scores: NDArray[np.floating[Any]],
    classes: NDArray[np.intp],
    temperature: float | None,
) -> dict[str, Any]:
    """Return the error, those before the temperature and by chance, and the bins.

    Args:
        scores: `(n, num_classes)` in [0, 1], of one picture at least.
        classes: True class of each picture.
        temperature: What the model's logits are divided by; None if not known.
    """
    before = None
    if temperature:
        raw = without_temperature(scores, temperature)
        before = expected_calibration_error(raw, classes)
    return {
        "ece": expected_calibration_error(scores, classes),
        "ece_before": before,
        "ece_by_chance": error_by_chance(scores),
        "temperature": temperature,
        "num": len(classes),
        "bins": [vars(entry) for entry in calibration_bins(scores, classes)],
    }


def describe_tag_calibration(
    scores: NDArray[np.floating[Any]], targets: NDArray[np.bool_]
) -> dict[str, Any]:
    """Return the same of a multi-label model: is the share of 0.8 that has the tag 0.8?

    Every pair of picture and tag counts. Most have a low score, and weigh most.

    Args:
        scores: `(n, tags)` in [0, 1], of one picture at least.
        targets: Which picture has which tag, `(n, tags)`.
    """
    bins = _bins(scores.reshape(-1), targets.reshape(-1), NUM_BINS)
    return {
        "ece": _error(bins),
        "ece_by_chance": error_by_chance(scores.reshape(-1, 1)),
        "num": scores.size,
        "bins": [vars(entry) for entry in bins],
    }
