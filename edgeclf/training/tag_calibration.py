"""The scale and shift of each tag that make its scores probabilities."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeclf.training.minimize import minimize
from edgeclf.training.tag_regression import cross_entropies, sigmoid

# How firmly a tag is expected to need what all tags together do, as the curvature of
# the penalty. Few pictures then hardly move it.
FIRMNESS = 5.0
LEAST_SCALE = 0.05  # a tag that unseen pictures speak against is not turned round
MAX_ITERATIONS = 200
TOLERANCE = 1e-8
LOWEST, HIGHEST = 0.01, 10.0  # of the factor for all tags
BISECTIONS = 40


def common_scale(logits: NDArray[np.floating], targets: NDArray[np.bool_]) -> float:
    """Return the factor on all logits with the least cross-entropy, 1 / temperature.

    No higher than where the mean score of what is answered, tag or no tag, is
    `n / (n + 1)`: n answers without an error are no reason for boundless confidence.

    Source: C. Guo et al., "On Calibration of Modern Neural Networks" (ICML 2017), 4.2.

    Args:
        logits: `(n, tags)`.
        targets: bool, likewise.
    """
    wide, count = logits.astype(np.float64), logits.size
    low, high = np.log(LOWEST), np.log(HIGHEST)
    for _ in range(BISECTIONS):  # both conditions change once as the factor rises
        middle = (low + high) / 2
        scores = sigmoid(np.exp(middle) * wide)
        slope = float(np.sum((scores - targets) * wide))
        confidence = float(np.maximum(scores, 1.0 - scores).mean())
        if slope < 0 and confidence < count / (count + 1):
            low = middle
        else:
            high = middle
    return float(np.exp((low + high) / 2))


def scales_and_shifts(
    logits: NDArray[np.floating], targets: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return for each tag a factor and a summand that make logits calibrated.

    Source: J. Platt, "Probabilistic outputs for support vector machines" (1999), with
    a prior that a tag needs neither.

    Args:
        logits: `(n, tags)`, those of all tags together calibrated.
        targets: bool, likewise.

    Returns:
        Factors `(tags,)`, at least `LEAST_SCALE`, and summands `(tags,)`.
    """
    wide, num_tags = logits.astype(np.float64), logits.shape[1]

    def penalised_loss(
        flat: NDArray[np.float64],
    ) -> tuple[float, NDArray[np.float64]]:
        scales, shifts = flat[:num_tags], flat[num_tags:]
        moved = wide * scales + shifts
        loss = float(np.sum(cross_entropies(moved, targets)))
        loss += 0.5 * FIRMNESS * float(np.sum((scales - 1) ** 2 + shifts**2))
        wrong = sigmoid(moved) - targets
        slopes = [
            np.sum(wrong * wide, axis=0) + FIRMNESS * (scales - 1),
            np.sum(wrong, axis=0) + FIRMNESS * shifts,
        ]
        return loss, np.concatenate(slopes)

    start = np.concatenate([np.ones(num_tags), np.zeros(num_tags)])
    best = minimize(
        penalised_loss, start, max_iterations=MAX_ITERATIONS, tolerance=TOLERANCE
    )
    return np.maximum(best[:num_tags], LEAST_SCALE), best[num_tags:]
