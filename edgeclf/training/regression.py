"""Fit the head by regularised softmax regression.

The penalty is the squared length of the weights where every part of the bottleneck
varies alike, whatever its depth and size: the metric that the discriminant is shrunk
towards. The same folds choose its strength, and the temperature.

Source: T. Hastie et al., The Elements of Statistical Learning, 2nd ed., 4.4 (logistic
regression) and 18.3.5 (a penalised fit in as many numbers as there are pictures).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from edgeclf.training.head import (
    FittedHead,
    Head,
    LabelledBottlenecks,
    cross_entropy,
)
from edgeclf.training.minimize import minimize
from edgeclf.training.shrinkage import part_sizes
from edgeclf.training.temperature import sharpness_of

# L2 strengths, relative to the number of bottlenecks; the search begins with the first.
STRENGTHS = (0.03, 0.003, 0.3, 3.0)
MAX_ITERATIONS = 300
TOLERANCE = 1e-6  # of the loss and of its gradient


def fit(
    data: LabelledBottlenecks,
    folds: NDArray[np.intp],
    num_scored: int,
    widths: Sequence[int],
    num_classes: int,
    validation_fold: int | None,
    hopeless: float = math.inf,
) -> FittedHead:
    """Fit the head to all bottlenecks; the strength is what suits unseen ones best.

    Convex, hence the same result from any start.

    Args:
        data: Bottlenecks of pictures, and after them those of their views.
        folds: The fold of each.
        num_scored: How many of the first are pictures: these are scored.
        widths: Depths of the bottleneck's parts.
        num_classes: Number of outputs.
        validation_fold: The fold of the validation pictures; None without any.
        hopeless: The cross-entropy above which the first strength is left as it is.
    """
    # One thread adds in one order: the same weights in every run.
    with threadpool_limits(1, user_api="blas"):
        space = _Space(data, widths, num_classes)
        best = _trial(space, folds, num_scored, STRENGTHS[0])
        for strength in STRENGTHS[1:] if best.loss <= hopeless else ():
            trial = _trial(space, folds, num_scored, strength, best.solution)
            if trial.loss < best.loss:
                best = trial
            elif strength > STRENGTHS[0]:
                break  # the loss has one valley
        solution = space.solve(np.arange(len(data)), best.strength, best.solution)
        head = space.head(solution * best.sharpness)
    return FittedHead.scored_by_folds(
        head,
        np.asarray(best.logits * best.sharpness, np.float32),
        data.classes[:num_scored],
        folds[:num_scored] == validation_fold,
        strength=best.strength,
        temperature=1 / best.sharpness,
        class_weights="none",
    )


@dataclass(frozen=True)
class _Trial:
    """What the heads of all folds say of pictures they have not seen.

    Attributes:
        strength: Theirs.
        solution: One of them, where the next search may begin.
        logits: `(scored pictures, classes)`.
        sharpness: The factor that makes scores probabilities.
        loss: Cross-entropy after that.
    """

    strength: float
    solution: NDArray[np.float64]
    logits: NDArray[np.float64]
    sharpness: float
    loss: float


def _trial(
    space: _Space,
    folds: NDArray[np.intp],
    num_scored: int,
    strength: float,
    start: NDArray[np.float64] | None = None,
) -> _Trial:
    """Score every fold by a head of the other folds."""
    classes = space.classes[:num_scored]
    logits = np.zeros((num_scored, space.num_classes))
    known = np.zeros(num_scored, bool)
    for fold in np.unique(folds[:num_scored]).tolist():
        others = np.flatnonzero(folds != fold)
        present = np.unique(space.classes[others])
        if len(present) < 2:
            continue
        start = space.solve(others, strength, start)
        rows = np.flatnonzero(folds[:num_scored] == fold)
        logits[rows] = space.logits(rows, start)
        known[rows] = np.isin(classes[rows], present)
    sharpness = sharpness_of(logits[known], classes[known])
    sharpened = np.asarray(logits[known] * sharpness, np.float32)
    loss = cross_entropy(sharpened, classes[known]) if known.any() else 0.0
    if start is None:
        start = space.origin()
    return _Trial(strength, start, logits, sharpness, loss)


class _Space:
    """The bottlenecks where each of their parts varies alike.

    There a picture is `z = (x - mean) / scales`. Fewer pictures than numbers span a
    space of as many dimensions as there are pictures: they are turned into it, which
    changes no length. Weights are then small and quickly found; `head` turns them back.
    """

    def __init__(
        self, data: LabelledBottlenecks, widths: Sequence[int], num_classes: int
    ) -> None:
        self.classes, self.num_classes = data.classes, num_classes
        points = data.bottlenecks
        self._mean = points.mean(axis=0, dtype=np.float64)
        sizes = part_sizes(points.var(axis=0, dtype=np.float64), widths)
        self._scales = np.sqrt(sizes if sizes.any() else sizes + 1)
        points -= self._mean.astype(np.float32)
        points /= self._scales.astype(np.float32)
        self._basis: NDArray[np.float32] | None = None
        if len(points) < data.depth:
            self._basis, turned = np.linalg.qr(points.T)
            points = np.ascontiguousarray(turned.T)
        self._points = points

    def origin(self) -> NDArray[np.float64]:
        """Return weights and biases of 0, `(num_classes, dimensions + 1)`."""
        return np.zeros((self.num_classes, self._points.shape[1] + 1))

    def solve(
        self,
        rows: NDArray[np.intp],
        strength: float,
        start: NDArray[np.float64] | None,
    ) -> NDArray[np.float64]:
        """Return weights, and the bias at their end, that fit some rows best."""
        whole = len(rows) == len(self._points)
        points = self._points if whole else self._points[rows]
        classes, count = self.classes[rows], len(rows)
        each = np.arange(count)

        def penalised_loss(
            flat: NDArray[np.float64],
        ) -> tuple[float, NDArray[np.float64]]:
            """Mean cross-entropy + strength / count / 2 * |weights|^2, its gradient."""
            solution = flat.reshape(self.num_classes, -1)
            logits = _logits(points, solution)
            logits -= logits.max(axis=1, keepdims=True)
            picked = logits[each, classes]
            errors = np.exp(logits)
            totals = errors.sum(axis=1, keepdims=True)
            loss = float(np.mean(np.log(totals[:, 0]) - picked, dtype=np.float64))
            errors /= totals
            errors[each, classes] -= 1.0
            gradient = np.empty_like(solution)
            gradient[:, :-1] = errors.T @ points
            gradient[:, -1] = errors.sum(axis=0)
            gradient[:, :-1] += strength * solution[:, :-1]
            gradient /= count
            loss += 0.5 * strength / count * float(np.sum(solution[:, :-1] ** 2))
            return loss, gradient.ravel()

        start = self.origin() if start is None else start
        best = minimize(
            penalised_loss,
            start.ravel(),
            max_iterations=MAX_ITERATIONS,
            tolerance=TOLERANCE,
        )
        return best.reshape(start.shape)

    def logits(
        self, rows: NDArray[np.intp], solution: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        """Return what a solution answers to some rows, `(rows, classes)`."""
        return _logits(self._points[rows], solution)

    def head(self, solution: NDArray[np.float64]) -> Head:
        """Return a solution as weights and biases of the bottlenecks themselves."""
        weights = solution[:, :-1]
        if self._basis is not None:
            weights = weights @ self._basis.T
        weights = weights / self._scales
        bias = solution[:, -1] - weights @ self._mean
        return Head(weights.astype(np.float32), bias.astype(np.float32))


def _logits(
    points: NDArray[np.float32], solution: NDArray[np.float64]
) -> NDArray[np.float32]:
    narrow = solution.astype(np.float32)
    return np.asarray(points @ narrow[:, :-1].T + narrow[:, -1])
