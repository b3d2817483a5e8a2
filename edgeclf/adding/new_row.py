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
SHIFTS = np.linspace(0.0, 8.0, 81)
MOST_LOSS = 0.01  # of the pictures of the other classes, in the mean over these
LEAST_SHARE = 1e-4  # of the largest: smaller differences between classes are noise
LEAST_SPREAD = 1.0  # of a class's logits, in nats; few pictures look too much alike
MOST_MARGIN = 50.0  # nats: the score is 1
LEAST_GAIN = 1e-3  # of a class's pictures; for less no bias is moved
FORMULA_COUNTS = 3.0  # as many pictures, where these say how much a class varies

_Matrix = NDArray[np.float64]


class Discriminant:
    """The last layer seen as a discriminant.

    Args:
        weights: Of the classes that are known, `(num_classes, depth)`.
        bias: Theirs, `(num_classes,)`.
        statistics: What the model file says about them; one class at least has
            pictures.
    """

    def __init__(self, weights: _Matrix, bias: _Matrix, statistics: Statistics) -> None:
        self.weights, self.bias = weights, bias
        self._means = statistics.means.astype(np.float64)
        self.statistics = statistics
        known = statistics.counts > 0
        self._centre = self._means[known].mean(axis=0)
        # A softmax allows any vector to be added to all rows.
        self._common = weights[known].mean(axis=0)
        self._spread = (self._means - self._centre)[known]
        self._own = (weights - self._common)[known]
        # What rows and means say of each other. The same as spread inv(C) spread.T, up
        # to the sharpness, for a discriminant.
        products = self._own @ self._spread.T
        self._inverse = np.linalg.pinv(
            (products + products.T) / 2, rcond=LEAST_SHARE, hermitian=True
        )
        explained = float(np.sum(statistics.solve(self._spread) * self._spread))
        # The factor with which the formula comes closest to the rows: one over the
        # temperature, whatever has fitted them.
        found = max(float(np.trace(products)), 0.0)
        self.sharpness = found / explained if explained > 0 else 1.0
        levels = bias - self._share(self._means, weights)
        self._level = float(levels[known].mean())

    def _share(self, means: _Matrix, weights: _Matrix) -> _Matrix:
        """Return what the formula gives as biases."""
        own = weights - self._common
        return np.asarray(-0.5 * np.sum((means + self._centre) * own, axis=1))

    def rows(self, means: _Matrix) -> tuple[_Matrix, _Matrix]:
        """Return weights `(n, depth)` and biases `(n,)` of classes with these means.

        The file holds C in a short form only. But the rows that are there are solved
        with all of it: the part of a mean that lies among the other means gets their
        rows, and only the rest the short form, which is made to agree with them.

        Source: R. B. Schnabel, "Quasi-Newton methods using multiple secant equations"
        (1983), the BFGS update.
        """
        differences = means - self._centre
        among = differences @ self._own.T @ self._inverse  # (n, classes)
        rest = differences - among @ self._spread
        solved = self.sharpness * self.statistics.solve(rest)
        agreed = among - solved @ self._spread.T @ self._inverse
        weights = self._common + agreed @ self._own + solved
        return weights, self._level + self._share(means, weights)

    def variances(self, weights: _Matrix) -> _Matrix:
        """Return by how much logits of a row vary against those of each known one.

        Pictures of a class lie around its mean like a Gaussian with the covariance C
        times the temperature, `(num_classes,)`: with that the scores are probabilities.

        Args:
            weights: Of the row, `(depth,)`.
        """
        differences = weights - self.weights
        variances = np.sum(differences**2 * self.statistics.variances, axis=1)
        variances += np.sum((differences @ self.statistics.factors.T) ** 2, axis=1)
        return np.asarray(np.maximum(variances / max(self.sharpness, 1e-12), 1e-12))

    def losses(self, weights: _Matrix, bias: float, variances: _Matrix) -> _Matrix:
        """Return the share of each known class that a new row would take away.

        Args:
            weights: Of the new row, `(depth,)`.
            bias: Its bias.
            variances: Of its logit against that of each class, `(num_classes,)`.
        """
        ahead = self._means @ weights + bias
        ahead -= np.sum(self._means * self.weights, axis=1) + self.bias
        return _normal(ahead / np.sqrt(variances))


class LeftOut(NamedTuple):
    """Pictures, each with a row of its class that was made without it.

    Attributes:
        bottlenecks: Of the pictures, `(n, depth)`.
        means: Of the class without the picture, likewise.
        margins: How far each one's logit is above the best other one, `(n,)`.
        rivals: The class of that other one.
        rest: Sum over the other classes of `exp(logit)`, divided by the best of them.
    """

    bottlenecks: _Matrix
    means: _Matrix
    margins: _Matrix
    rivals: NDArray[np.intp]
    rest: _Matrix

    @property
    def scores(self) -> _Matrix:
        """Best score of each picture, `(n,)`."""
        own = np.exp(np.minimum(self.margins, MOST_MARGIN))
        return np.asarray(np.maximum(own, 1.0) / (own + self.rest))


class Row(NamedTuple):
    """The row of a class, and what it makes of the pictures that it comes from.

    Attributes:
        mean: Of the class, `(depth,)`.
        weights: `(depth,)`.
        bias: Of it.
        left_out: What becomes of each picture by a row that was made without it.
        losses: Of a new class the share of each known one that it would take away, by
            estimate, `(num_classes,)`; None of a known class.
    """

    mean: _Matrix
    weights: _Matrix
    bias: float
    left_out: LeftOut
    losses: _Matrix | None = None


def new_row(discriminant: Discriminant, bottlenecks: _Matrix) -> Row:
    """Return the row of a new class.

    A mean of few pictures lies further from other pictures of the class than from
    its own: the formula's bias is too low. The bias is raised to where the shares that
    the classes lose to each other have the least sum, as long as the others lose no
    more than `MOST_LOSS`.

    Args:
        discriminant: The classes that are known.
        bottlenecks: Of pictures and their views, the plain one first,
            `(pictures, views, depth)`.
    """
    mean = bottlenecks.mean(axis=(0, 1))
    weights, bias = discriminant.rows(mean[np.newaxis])
    others = _means_of_others(bottlenecks)
    left_out = _left_out(discriminant, bottlenecks, others, *discriminant.rows(others))
    margins, rivals = left_out.margins, left_out.rivals
    variances = discriminant.variances(weights[0])
    # Views and shrinkage make C wider than pictures are. These pictures say by how
    # much; a few of them may look too much alike.
    deviations = (margins - margins.mean()) ** 2 / variances[rivals]
    variances *= FORMULA_COUNTS + float(deviations.sum())
    variances /= FORMULA_COUNTS + len(bottlenecks) - 1
    shift, losses = 0.0, discriminant.losses(weights[0], bias[0], variances)
    if len(bottlenecks) > 1:
        spread = max(float(margins.std()), LEAST_SPREAD)
        least = math.inf
        for step in SHIFTS.tolist():
            taken = discriminant.losses(weights[0], bias[0] + step, variances)
            if step and taken.mean() > MOST_LOSS:
                break
            total = float(taken.sum() + _normal(-(margins + step) / spread).mean())
            if total < least - LEAST_GAIN:
                least, shift, losses = total, step, taken
    bias_of_row = float(bias[0]) + shift
    left_out = left_out._replace(margins=margins + shift)
    return Row(mean, weights[0], bias_of_row, left_out, losses)


def extended_row(discriminant: Discriminant, place: int, bottlenecks: _Matrix) -> Row:
    """Return the row of a known class after more pictures.

    What the row has beyond the formula stays.

    Args:
        discriminant: The classes that are known.
        place: Which of them.
        bottlenecks: As for `new_row`.
    """
    count = float(discriminant.statistics.counts[place])
    old = discriminant.statistics.means[place].astype(np.float64)

    def moved(means: _Matrix, added: int) -> tuple[_Matrix, _Matrix, _Matrix]:
        means = (count * old + added * means) / max(count + added, 1.0)
        weights, bias = discriminant.rows(np.concatenate([old[np.newaxis], means]))
        weights = discriminant.weights[place] + weights[1:] - weights[0]
        return means, weights, discriminant.bias[place] + bias[1:] - bias[0]

    added = len(bottlenecks)
    mean = bottlenecks.mean(axis=(0, 1), keepdims=True)[0]
    (mean,), (weights,), (bias,) = moved(mean, added)
    others = moved(_means_of_others(bottlenecks), added - 1)
    left_out = _left_out(discriminant, bottlenecks, *others, place)
    return Row(mean, weights, float(bias), left_out)


def _means_of_others(bottlenecks: _Matrix) -> _Matrix:
    """Return for each picture the mean of all others, `(n, depth)`.

    Of one picture there is no other: it gets its own.
    """
    own = bottlenecks.mean(axis=1)
    if len(own) > 1:
        own = (own.sum(axis=0) - own) / (len(own) - 1)
    return np.asarray(own)


def _left_out(
    discriminant: Discriminant,
    bottlenecks: _Matrix,
    means: _Matrix,
    weights: _Matrix,
    bias: _Matrix,
    place: int | None = None,
) -> LeftOut:
    """Compare the logit of each plain picture by its own row with the best other."""
    plain = bottlenecks[:, 0]
    logits = plain @ discriminant.weights.T + discriminant.bias
    if place is not None:
        logits[:, place] = -np.inf
    best = logits.max(axis=1)
    rest = np.exp(logits - best[:, np.newaxis]).sum(axis=1)
    margins = np.sum(plain * weights, axis=1) + bias - best
    return LeftOut(plain, means, margins, logits.argmax(axis=1), rest)


def _normal(values: _Matrix) -> _Matrix:
    """Return the share of a standard normal distribution below each value."""
    shares = [math.erf(value / math.sqrt(2)) for value in np.ravel(values).tolist()]
    return np.reshape(0.5 + 0.5 * np.array(shares), np.shape(values))
