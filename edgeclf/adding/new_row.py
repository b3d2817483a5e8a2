"""A row of the last layer for a class that it has not been fitted to.

The layer is a linear discriminant, or close to one. In a discriminant each class has
a row of its own: `weights_c = s inv(C) (mean_c - g)` and
`bias_c = -(mean_c + g) weights_c / 2`, with one covariance C within classes for all,
any g and a sharpness s (1 / temperature). So the row of one more class needs its mean
and what the model file says of the others; their rows stay as they are.

Source: T. Hastie et al., The Elements of Statistical Learning, 2nd ed., 4.3, equation
4.10.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgeclf.statistics import Statistics

# Of the bias, in nats: where the best one is looked for.
SHIFTS = np.linspace(-4.0, 8.0, 121)
LEAST_SPREAD = 1.0  # of a class's logits, in nats; few pictures look too much alike

_Matrix = NDArray[np.float64]


class Discriminant:
    """The last layer seen as a discriminant.

    Args:
        weights: Of the classes that are known, `(num_classes, depth)`.
        bias: Theirs, `(num_classes,)`.
        statistics: What the model file says about them.
    """

    def __init__(
        self, weights: _Matrix, bias: _Matrix, statistics: Statistics
    ) -> None:
        self.weights, self.bias, self._statistics = weights, bias, statistics
        self._means = statistics.means.astype(np.float64)
        self._centre = self._means.mean(axis=0)
        # A softmax allows any vector to be added to all rows.
        self._common = weights.mean(axis=0)
        spread = self._means - self._centre
        explained = float(np.sum(np.asarray(statistics.solve(spread)) * spread))
        found = float(np.sum((weights - self._common) * spread))
        # The factor with which the formula comes closest to the rows. It is one over
        # the temperature whatever has fitted them.
        self.sharpness = max(found, 0.0) / explained if explained > 0 else 1.0
        self._level = float(np.mean(bias - self._share(self._means, weights)))

    def _share(self, means: _Matrix, weights: _Matrix) -> _Matrix:
        """Return what the formula gives as biases."""
        own = weights - self._common
        return np.asarray(-0.5 * np.sum((means + self._centre) * own, axis=1))

    def rows(self, means: _Matrix) -> tuple[_Matrix, _Matrix]:
        """Return weights `(n, depth)` and biases `(n,)` of classes with these means."""
        solved = np.asarray(self._statistics.solve(means - self._centre), np.float64)
        weights = self._common + self.sharpness * solved
        return weights, self._level + self._share(means, weights)

    def moved_row(self, place: int, mean: _Matrix) -> tuple[_Matrix, float]:
        """Return the row of a class whose mean moves from where it is recorded.

        What the row has beyond the formula stays.
        """
        weights, bias = self.rows(np.stack([self._means[place], mean]))
        moved = self.weights[place] + weights[1] - weights[0]
        return moved, float(self.bias[place] + bias[1] - bias[0])

    def losses(self, weights: _Matrix, bias: float, shift: float = 0.0) -> _Matrix:
        """Return the share of each known class that a new row would take away.

        Pictures of a class lie around its mean like a Gaussian with the covariance C
        times the temperature: with that the scores are probabilities.

        Args:
            weights: Of the new row, `(depth,)`.
            bias: Its bias.
            shift: Added to the bias.
        """
        ahead = self._means @ weights + bias + shift
        ahead -= np.sum(self._means * self.weights, axis=1) + self.bias
        differences = weights - self.weights
        variances = np.sum(differences**2 * self._statistics.variances, axis=1)
        variances += np.sum((differences @ self._statistics.factors.T) ** 2, axis=1)
        spread = np.sqrt(variances / max(self.sharpness, 1e-12))
        return _normal(ahead / np.maximum(spread, 1e-12))


class NewRow(NamedTuple):
    """The row of a new class.

    Attributes:
        weights: `(depth,)`.
        bias: Of it.
        margins: How far each picture's logit is above the best other one in a row that
            was made without this picture, `(n,)`.
        rivals: The class of that other one.
    """

    weights: _Matrix
    bias: float
    margins: _Matrix
    rivals: NDArray[np.intp]


def new_row(discriminant: Discriminant, bottlenecks: _Matrix) -> NewRow:
    """Return the row of a new class.

    A mean of few pictures lies further from other pictures of the class than from
    its own: the formula's bias would be too low. The bias is shifted to where the new
    class loses as large a share of its pictures as the others lose of theirs to it,
    or rather to where the sum is least.

    Args:
        discriminant: The classes that are known.
        bottlenecks: Of pictures and their views, the plain one first,
            `(pictures, views, depth)`.
    """
    mean = bottlenecks.mean(axis=(0, 1))
    weights, bias = discriminant.rows(mean[np.newaxis])
    margins, rivals = _left_out_margins(discriminant, bottlenecks)
    shift = 0.0
    if len(bottlenecks) > 1:
        spread = max(float(margins.std()), LEAST_SPREAD)
        sums = [
            discriminant.losses(weights[0], bias[0], shift).sum()
            + _normal(-(margins + shift) / spread).mean()
            for shift in SHIFTS.tolist()
        ]
        shift = float(SHIFTS[int(np.argmin(sums))])
    return NewRow(weights[0], float(bias[0]) + shift, margins + shift, rivals)


def _left_out_margins(
    discriminant: Discriminant, bottlenecks: _Matrix
) -> tuple[_Matrix, NDArray[np.intp]]:
    """Score each picture by the row that all other pictures give."""
    count = len(bottlenecks)
    plain, own = bottlenecks[:, 0], bottlenecks.mean(axis=1)
    # Of one picture there is no other: it is scored by itself.
    others = (own.sum(axis=0) - own) / (count - 1) if count > 1 else own
    weights, bias = discriminant.rows(others)
    logits = plain @ discriminant.weights.T + discriminant.bias
    margins = np.sum(plain * weights, axis=1) + bias - logits.max(axis=1)
    return margins, logits.argmax(axis=1)


def _normal(values: _Matrix) -> _Matrix:
    """Return the share of a standard normal distribution below each value."""
    shares = [math.erf(value / math.sqrt(2)) for value in np.ravel(values).tolist()]
    return np.reshape(0.5 + 0.5 * np.array(shares), np.shape(values))
