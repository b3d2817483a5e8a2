"""Round rows of the last layer to its steps so that the errors cancel in the logits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeclf.statistics import Statistics

LEVELS = 127  # of a symmetric int8, on either side of 0
PASSES = 3  # over all weights; later ones change next to nothing

_Matrix = NDArray[np.float64]


def rounded(
    weights: _Matrix, bias: float, step: float, statistics: Statistics
) -> tuple[_Matrix, float, float]:
    """Return a row of multiples of a step, its bias, and the noise in its logits.

    Weight by weight, the multiple is taken with which the logit of a picture varies
    least from what it was, given all other weights: coordinate descent on the variance
    of the error, `e C e` with the covariance C of the statistics. The bias takes up the
    error's mean.

    Args:
        weights: `(depth,)`.
        bias: Of the row.
        step: Weights become at most `LEVELS` of it in size.
        statistics: Say how bottlenecks vary.
    """
    variances = statistics.variances.astype(np.float64)
    factors = statistics.factors.astype(np.float64)  # (rank, depth)
    result = step * np.clip(np.rint(weights / step), -LEVELS, LEVELS)
    error = weights - result
    common = factors @ error
    own = variances + np.sum(factors**2, axis=0)
    for _ in range(PASSES):
        for index in np.argsort(-own, kind="stable").tolist():
            factor = factors[:, index]
            # What the error at this weight would best be, all others given.
            best = (
                error[index]
                - (variances[index] * error[index] + factor @ common) / own[index]
            )
            steps = np.rint((weights[index] - best) / step)
            value = step * min(max(steps, -LEVELS), LEVELS)
            if value != result[index]:
                common += factor * (result[index] - value)
                result[index], error[index] = value, weights[index] - value
    centre = statistics.means.astype(np.float64).mean(axis=0)
    noise = float(np.sqrt(np.sum(error**2 * variances) + np.sum(common**2)))
    return result, bias + float(error @ centre), noise
