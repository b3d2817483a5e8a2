"""Fit one sigmoid for each tag by regularised logistic regression.

Source: T. Hastie et al., The Elements of Statistical Learning, 2nd ed., 4.4 (logistic
regression).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from edgeclf.training.minimize import minimize
from edgeclf.training.tag_space import Space

MAX_ITERATIONS = 300
TOLERANCE = 1e-5  # of the loss and of its gradient; 1e-6 chooses and scores the same
# Of the mean of p (1 - p) over pictures, p the probability of a tag: how curved the
# loss is where it ends. It changes the number of steps (a half of those with 0.1 or
# with 0.001), not the result.
CURVATURE = 0.01
# A picture at the mean that has each tag by half: a tag that all or none have is then
# nearly certain, not infinitely. Source: R. E. Krichevsky, V. K. Trofimov, "The
# performance of universal encoding", IEEE Trans. Information Theory 27 (1981).
HALF_KNOWN = 1.0

_Float = TypeVar("_Float", np.float32, np.float64)


@dataclass(frozen=True)
class Solution:
    """Weights and biases of tags in a space.

    Attributes:
        weights: `(tags, axes)`.
        bias: `(tags,)`.
    """

    weights: NDArray[np.float64]
    bias: NDArray[np.float64]

    def logits(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the logits `(n, tags)` of points `(n, axes)`."""
        narrow = self.weights.astype(np.float32), self.bias.astype(np.float32)
        return np.asarray(points @ narrow[0].T + narrow[1])


def solve(
    space: Space,
    targets: NDArray[np.bool_],
    strength: float,
    parts: Sequence[slice] = (slice(None),),
    start: Solution | None = None,
) -> Solution:
    """Return what fits some of the points best, one tag as if there were no other.

    Convex, hence the same result from any start.

    Args:
        space: The points.
        targets: Which of them has which tag, bool `(n, tags)`.
        strength: Of the penalty, half the squared length of the weights.
        parts: Which points are fitted to; they are not copied.
        start: Where to begin; None for 0.
    """
    num_tags, num_axes = targets.shape[1], space.points.shape[1]
    blocks = [(space.points[part], targets[part].astype(np.float32)) for part in parts]
    count = sum(len(points) for points, _ in blocks)
    # Along these units the loss is about as curved everywhere: far fewer steps.
    units = 1.0 / np.sqrt(CURVATURE * space.spreads + strength)

    def penalised_loss(
        flat: NDArray[np.float64],
    ) -> tuple[float, NDArray[np.float64]]:
        """Sum over tags of the mean cross-entropy and of the penalty / count."""
        scaled, bias = _split(flat, num_tags, num_axes)
        solution = Solution(scaled * units, bias)
        loss = 0.5 * strength * float(np.sum(solution.weights**2))
        slopes = strength * solution.weights
        loss += HALF_KNOWN * float(np.sum(np.logaddexp(0, bias) - 0.5 * bias))
        errors = HALF_KNOWN * (sigmoid(bias) - 0.5)
        for points, wanted in blocks:
            logits = solution.logits(points)
            loss += float(np.sum(_cross_entropies(logits, wanted), dtype=np.float64))
            wrong = sigmoid(logits) - wanted
            slopes += wrong.T @ points
            errors = errors + wrong.sum(axis=0, dtype=np.float64)
        gradient = np.concatenate([(slopes * units).ravel(), errors])
        return loss / count, gradient / count

    if start is None:
        start = Solution(np.zeros((num_tags, num_axes)), np.zeros(num_tags))
    flat = np.concatenate([(start.weights / units).ravel(), start.bias])
    best = minimize(
        penalised_loss, flat, max_iterations=MAX_ITERATIONS, tolerance=TOLERANCE
    )
    scaled, bias = _split(best, num_tags, num_axes)
    return Solution(scaled * units, bias)


def sigmoid(logits: NDArray[_Float]) -> NDArray[_Float]:
    """Return `1 / (1 + exp(-logits))` without overflow, same shape and dtype."""
    small = np.exp(-np.abs(logits))  # never above 1
    ends: NDArray[_Float] = np.where(logits >= 0, np.ones_like(small), small)
    ends /= 1 + small
    return ends


def cross_entropies(
    logits: NDArray[np.floating], targets: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the negative log-probability of each picture's each tag, in nats.

    Args:
        logits: `(n, tags)`.
        targets: bool, likewise.

    Returns:
        Likewise.
    """
    return np.asarray(_cross_entropies(logits.astype(np.float64), targets))


def _cross_entropies(
    logits: NDArray[np.floating], targets: NDArray[np.floating | np.bool_]
) -> NDArray[np.floating]:
    return np.asarray(
        np.maximum(logits, 0) + np.log1p(np.exp(-np.abs(logits))) - targets * logits
    )


def _split(
    flat: NDArray[np.float64], num_tags: int, num_axes: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return flat[:-num_tags].reshape(num_tags, num_axes), flat[-num_tags:]
