"""The temperature that makes scores probabilities."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MAX_SHARPNESS = 1e3  # 1 / temperature; twins in every class are told apart perfectly
BISECTIONS = 60


def sharpness_of(logits: NDArray[np.float64], classes: NDArray[np.intp]) -> float:
    """Return the factor on logits with the least cross-entropy, 1 / temperature.

    No higher than where the mean score of the best class is `n / (n + 1)`: n pictures
    without an error are no reason for boundless confidence.

    Source: C. Guo et al., "On Calibration of Modern Neural Networks" (ICML 2017), 4.2.

    Args:
        logits: `(n, classes)`.
        classes: The true ones.
    """
    count = len(logits)
    if not count:
        return 1.0
    picked = float(logits[np.arange(count), classes].mean())
    centred = logits - logits.max(axis=1, keepdims=True)
    low, high = 0.0, MAX_SHARPNESS
    for _ in range(BISECTIONS):  # both conditions change once as the factor rises
        factor = (low + high) / 2
        shares = np.exp(factor * centred)
        shares /= shares.sum(axis=1, keepdims=True)
        slope = float(np.sum(shares * logits, axis=1).mean()) - picked
        confidence = float(shares.max(axis=1).mean())
        if slope < 0 and confidence < count / (count + 1):
            low = factor
        else:
            high = factor
    return (low + high) / 2
