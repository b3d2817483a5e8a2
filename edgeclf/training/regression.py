"""Fit the head by regularised softmax regression: the default."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from edgeclf.training.head import (
    ROWS_AT_ONCE,
    FittedHead,
    Head,
    LabelledBottlenecks,
    accuracy,
    cross_entropy,
)

# How much of the within-class covariance is replaced by a multiple of the identity.
SHRINKAGE = 0.7
# L2 strengths that are tried, relative to the number of pictures.
STRENGTHS = (1.0, 3.0, 10.0, 30.0, 100.0)
DEFAULT_STRENGTH = 1.0  # without a validation split
MAX_ITERATIONS = 500
TOLERANCE = 1e-7  # of the loss, relative, and of its gradient


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
            logits = validation.logits(solver.fit(strength))
            loss = cross_entropy(logits, validation.classes)
            trials.append((loss, -strength, accuracy(logits, validation.classes)))
        loss, negative_strength, validation_accuracy = min(trials)
        head = _Solver(train + validation, num_classes).fit(-negative_strength)
        return FittedHead(head, -negative_strength, loss, validation_accuracy)


class _Solver:
    """Softmax regression in the space where the within-class scatter is round.

    With the shrunk within-class covariance `C = L L'` a picture is
    `z = inv(L) (x - mean)` there, and weights w for z are `inv(L') w` for x. So the
    bottlenecks stay as they are: weights are carried to them and gradients back. Sums
    are taken in float64 over a block of rows at a time.

    Source: T. Hastie et al., The Elements of Statistical Learning, 2nd ed., 4.3.1
    (regularised discriminant analysis) and 4.4 (logistic regression).
    """

    def __init__(self, data: LabelledBottlenecks, num_classes: int) -> None:
        # Imported here: it takes longer than all else in this module.
        from scipy.linalg import solve_triangular

        self._data, self._num_classes = data, num_classes
        self._solve_triangular = solve_triangular
        total = sum(points.sum(axis=0, dtype=np.float64) for points, _ in data.blocks())
        self._mean = np.asarray(total / len(data))
        self._factor = np.linalg.cholesky(shrunk_covariance(data, num_classes))
        self._start = np.zeros(num_classes * (data.depth + 1))
        # One block is kept; more would be a second copy of the bottlenecks.
        self._kept = list(self._centred()) if len(data) <= ROWS_AT_ONCE else None

    def _centred(self) -> Iterator[tuple[NDArray[np.float64], NDArray[np.intp]]]:
        for bottlenecks, classes in self._data.blocks():
            yield bottlenecks - self._mean, classes

    def fit(self, strength: float) -> Head:
        """Return the head for one L2 strength."""
        from scipy.optimize import minimize

        result = minimize(
            self._penalised_loss,
            self._start,
            args=(strength / len(self._data),),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": MAX_ITERATIONS, "ftol": TOLERANCE, "gtol": TOLERANCE},
        )
        self._start = result.x
        solution = result.x.reshape(self._num_classes, -1)  # the bias stands last
        weights = self._carried_out(solution[:, :-1])
        bias = solution[:, -1] - weights @ self._mean
        return Head(weights.astype(np.float32), bias.astype(np.float32))

    def _penalised_loss(
        self, flat: NDArray[np.float64], penalty: float
    ) -> tuple[float, NDArray[np.float64]]:
        """Return mean cross-entropy + penalty / 2 * |weights|^2 and its gradient."""
        parameters = flat.reshape(self._num_classes, -1)
        weights, bias = parameters[:, :-1], parameters[:, -1]
        outer = self._carried_out(weights)
        count = len(self._data)
        loss = 0.5 * penalty * float(np.sum(weights**2))
        outer_gradient = np.zeros_like(outer)
        bias_gradient = np.zeros_like(bias)
        for points, classes in self._kept or self._centred():
            each = np.arange(len(points))
            logits = points @ outer.T + bias
            logits -= logits.max(axis=1, keepdims=True)
            picked = logits[each, classes]
            errors = np.exp(logits)
            totals = errors.sum(axis=1, keepdims=True)
            loss += float(np.sum(np.log(totals[:, 0]) - picked)) / count
            errors /= totals
            errors[each, classes] -= 1.0
            errors /= count
            outer_gradient += errors.T @ points
            bias_gradient += errors.sum(axis=0)
        gradient = np.empty_like(parameters)
        gradient[:, :-1] = self._carried_in(outer_gradient) + penalty * weights
        gradient[:, -1] = bias_gradient
        return loss, gradient.ravel()

    def _carried_out(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return weights for x, `inv(L') w`, of weights for z; shapes `(k, depth)`."""
        solved = self._solve_triangular(
            self._factor, weights.T, lower=True, trans="T", check_finite=False
        )
        return np.asarray(solved.T)

    def _carried_in(self, gradient: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the gradient for z, `inv(L) g`, of the gradient for x."""
        solved = self._solve_triangular(
            self._factor, gradient.T, lower=True, check_finite=False
        )
        return np.asarray(solved.T)


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
    sums = np.zeros((num_classes, data.depth))
    square = 0.0
    for points, classes in data.blocks():
        np.add.at(sums, classes, points)
        square += float(np.sum(points.astype(np.float64) ** 2))
    counts = np.bincount(data.classes, minlength=num_classes)
    means = sums / np.maximum(counts, 1)[:, np.newaxis]
    covariance = np.zeros((data.depth, data.depth))
    for points, classes in data.blocks():
        residuals = points - means[classes]
        covariance += residuals.T @ residuals
    covariance /= len(data)
    # Pictures of one class may all be the same: then their size sets the scale.
    average = float(np.trace(covariance)) / data.depth
    average = average or square / len(data) / data.depth or 1.0
    covariance *= 1 - SHRINKAGE
    covariance[np.diag_indices(data.depth)] += SHRINKAGE * average
    return covariance
