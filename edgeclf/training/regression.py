"""Fit the head by regularised softmax regression: the default."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from edgeclf.training.head import (
    FittedHead,
    Head,
    LabelledBottlenecks,
    accuracy,
    cross_entropy,
)

# How much of the within-class covariance is replaced by a multiple of the identity.
SHRINKAGE = 0.7
# L2 strengths that are tried, relative to the number of pictures.
STRENGTHS = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
DEFAULT_STRENGTH = 1.0  # without a validation split
MAX_ITERATIONS = 500
ROWS_AT_ONCE = 1024


def fit(
    train: LabelledBottlenecks, validation: LabelledBottlenecks, num_classes: int
) -> FittedHead:
    """Fit the regularised head; the strength is what suits the validation split best.

    The penalty is the squared length of the weights where the within-class scatter
    is round, so that directions in which pictures of one class differ anyway cost
    more. The chosen strength is then fitted once more, to training and validation
    pictures together. Convex, hence the same result from any start.

    Args:
        train: What is fitted to; every class at least once.
        validation: What decides between strengths; may be empty.
        num_classes: Number of outputs.
    """
    # The matrices are small: a second thread of the BLAS gains little, and on a busy
    # machine waiting for it costs fifty times the work.
    with threadpool_limits(1, user_api="blas"):
        if not len(validation):
            head = _Solver(train, num_classes).fit(DEFAULT_STRENGTH)
            return FittedHead(head, DEFAULT_STRENGTH, None, None)
        solver = _Solver(train, num_classes)
        trials = []
        for strength in STRENGTHS[::-1]:  # strongest first: each start is near its end
            logits = solver.fit(strength).logits(validation.bottlenecks)
            loss = cross_entropy(logits, validation.classes)
            trials.append((loss, -strength, accuracy(logits, validation.classes)))
        loss, negative_strength, validation_accuracy = min(trials)
        del solver
        head = _Solver(train + validation, num_classes).fit(-negative_strength)
        return FittedHead(head, -negative_strength, loss, validation_accuracy)


class _Solver:
    """Softmax regression in the space where the within-class scatter is round.

    With the shrunk within-class covariance `C = L L'` the pictures become
    `z = inv(L) (x - mean)`; weights found for z are carried back to x. Sums are taken
    in float64 over a block of rows at a time, so that memory does not grow beyond
    one more float32 copy of the bottlenecks.

    Source: T. Hastie et al., The Elements of Statistical Learning, 2nd ed., 4.3.1
    (regularised discriminant analysis) and 4.4 (logistic regression).
    """

    def __init__(self, data: LabelledBottlenecks, num_classes: int) -> None:
        # Imported here: it takes longer than all else in this module.
        from scipy.linalg import solve_triangular

        self._classes, self._num_classes = data.classes, num_classes
        self._solve_triangular = solve_triangular
        self._mean = data.bottlenecks.mean(axis=0, dtype=np.float64)
        self._factor = np.linalg.cholesky(shrunk_covariance(data, num_classes))
        self._points = np.empty_like(data.bottlenecks)
        for rows in _blocks(len(data)):
            centred = data.bottlenecks[rows] - self._mean  # float64 from here
            self._points[rows] = solve_triangular(self._factor, centred.T, lower=True).T
        self._start = np.zeros(num_classes * (len(self._mean) + 1))

    def fit(self, strength: float) -> Head:
        """Return the head for one L2 strength."""
        from scipy.optimize import minimize

        result = minimize(
            self._penalised_loss,
            self._start,
            args=(strength / len(self._points),),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": MAX_ITERATIONS, "ftol": 1e-10, "gtol": 1e-6},
        )
        self._start = result.x
        solution = result.x.reshape(self._num_classes, -1)
        weights = self._solve_triangular(
            self._factor, solution[:, :-1].T, lower=True, trans="T"
        ).T
        bias = solution[:, -1] - weights @ self._mean
        return Head(weights.astype(np.float32), bias.astype(np.float32))

    def _penalised_loss(
        self, flat: NDArray[np.float64], penalty: float
    ) -> tuple[float, NDArray[np.float64]]:
        """Return mean cross-entropy + penalty / 2 * |weights|^2 and its gradient."""
        parameters = flat.reshape(self._num_classes, -1)  # the bias stands last
        weights, bias = parameters[:, :-1], parameters[:, -1]
        loss = 0.5 * penalty * float(np.sum(weights**2))
        gradient = np.zeros_like(parameters)
        gradient[:, :-1] = penalty * weights
        for rows in _blocks(len(self._points)):
            points = self._points[rows].astype(np.float64)
            classes = self._classes[rows]
            each = np.arange(len(points))
            logits = points @ weights.T + bias
            logits -= logits.max(axis=1, keepdims=True)
            totals = np.exp(logits).sum(axis=1, keepdims=True)
            picked = logits[each, classes]
            loss += float(np.sum(np.log(totals[:, 0]) - picked)) / len(self._points)
            errors = np.exp(logits) / totals
            errors[each, classes] -= 1.0
            errors /= len(self._points)
            gradient[:, :-1] += errors.T @ points
            gradient[:, -1] += errors.sum(axis=0)
        return loss, gradient.ravel()


def shrunk_covariance(
    data: LabelledBottlenecks, num_classes: int
) -> NDArray[np.float64]:
    """Return the within-class covariance, shrunk towards a multiple of the identity.

    Args:
        data: Bottlenecks and their classes.
        num_classes: Number of classes.

    Returns:
        Positive definite, `(depth, depth)`.
    """
    depth = data.bottlenecks.shape[1]
    means = np.zeros((num_classes, depth))
    for index in np.unique(data.classes):
        members = data.bottlenecks[data.classes == index]
        means[index] = members.mean(axis=0, dtype=np.float64)
    covariance = np.zeros((depth, depth))
    for rows in _blocks(len(data)):
        residuals = data.bottlenecks[rows] - means[data.classes[rows]]
        covariance += residuals.T @ residuals
    covariance /= len(data)
    # Pictures of one class may all be the same: then the scatter of all counts.
    average = float(np.trace(covariance)) / depth
    average = average or float(data.bottlenecks.var(dtype=np.float64)) or 1.0
    covariance *= 1 - SHRINKAGE
    covariance[np.diag_indices(depth)] += SHRINKAGE * average
    return covariance


def _blocks(count: int) -> Iterator[slice]:
    for start in range(0, count, ROWS_AT_ONCE):
        yield slice(start, start + ROWS_AT_ONCE)
