"""How much better answers get when doubtful ones are not given."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_POINTS = 200  # of a curve: no more can be seen


def coverage_curve(
    scores: NDArray[np.floating[Any]], classes: NDArray[np.intp]
) -> list[dict[str, float]]:
    """Return the accuracy of the pictures whose highest score reaches a limit.

    Pictures of one score are kept or refused together.

    Source: R. El-Yaniv and Y. Wiener, "On the Foundations of Noise-free Selective
    Classification", JMLR 11 (2010): the risk-coverage curve, with accuracy for risk.

    Args:
        scores: `(n, num_classes)`, of one picture at least.
        classes: True class of each picture.

    Returns:
        Points `coverage` (share of pictures kept), `accuracy` of these, and `score`,
        the limit: from the highest to the lowest, at which all pictures are kept.
    """
    best = scores.max(axis=1)
    order = np.argsort(-best, kind="stable")
    right = np.cumsum((scores.argmax(axis=1) == classes)[order])
    ranked = best[order]
    ends = np.flatnonzero(np.append(ranked[1:] < ranked[:-1], True))
    if len(ends) > MAX_POINTS:
        ends = ends[np.linspace(0, len(ends) - 1, MAX_POINTS).round().astype(int)]
    return [
        {
            "coverage": (end + 1) / len(classes),
            "accuracy": float(right[end] / (end + 1)),
            "score": float(ranked[end]),
        }
        for end in ends.tolist()
    ]
