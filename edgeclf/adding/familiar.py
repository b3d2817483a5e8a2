"""What the rule that says "unknown" has to know of a class that was added.

The rule was fitted to classes that were trained together. A class that was not lies
wider, by the covariance of the others: even the pictures that it was taught are far
from its mean. So the distance to it is divided by a scale, with which the new pictures,
each measured without itself, are as far off as those of the other classes are.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgeclf.adding.new_row import LeftOut
from edgeclf.familiarity import RejectRule
from edgeclf.statistics import Distances, Statistics

# Two pictures of a class differ by twice the variance that one has about the mean.
SCALE_OF_ONE = math.sqrt(2)
SURE = 0.9  # score of a picture that is known already
MOST_LOST = 0.2  # share of new pictures that a background may make unknown


class Known(NamedTuple):
    """Statistics and rule of a model with the class.

    Attributes:
        statistics: Without a background that the class was a part of.
        rule: Likewise.
        num_unknown: How many of the new pictures are unknown to it, each one left out.
    """

    statistics: Statistics
    rule: RejectRule
    num_unknown: int


def with_class(
    rule: RejectRule,
    statistics: Statistics,
    place: int,
    left_out: LeftOut,
    old_mean: NDArray[np.float32] | None,
) -> Known:
    """Fit the rule of a model to a class that is new, or has more pictures.

    Args:
        rule: As the model had it.
        statistics: With the class.
        place: Of the class in them.
        left_out: The new pictures.
        old_mean: Of a class that has more pictures; None of a new one.
    """
    scales = list(rule.scales or [1.0] * (len(statistics.means) - (old_mean is None)))
    own = _lengths(statistics, left_out.bottlenecks - left_out.means)
    least = max(rule.mean_distance, np.finfo(np.float32).tiny)
    if old_mean is None:
        scale = float(own.mean()) / least if len(own) > 1 else SCALE_OF_ONE
        scales.insert(place, max(scale, 1.0))
    else:
        # The old pictures lie about another mean than the class has now.
        moved = _lengths(statistics, (statistics.means[place] - old_mean)[np.newaxis])
        old = math.hypot(scales[place], float(moved[0]) / least)
        scales[place] = max(float(own.mean()) / least, old)
    rule = rule._replace(scales=tuple(scales))
    is_unknown = _left_out_unknown(rule, statistics, place, left_out, own)
    if statistics.background is not None:
        without = statistics._replace(background=None)
        plain = _without_lean(rule)
        is_far = _left_out_unknown(plain, without, place, left_out, own)
        if (is_unknown & ~is_far).mean() > MOST_LOST:
            statistics, rule, is_unknown = without, plain, is_far
    return Known(statistics, rule, int(is_unknown.sum()))


def _lengths(
    statistics: Statistics, differences: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Return differences in standard deviations, `(n,)`."""
    squares = np.sum(differences * statistics.solve(differences), axis=1)
    return np.asarray(np.sqrt(squares))


def known_before(
    rule: RejectRule, statistics: Statistics, left_out: LeftOut
) -> NDArray[np.bool_]:
    """Return which pictures a model without their class is sure to know, `(n,)`."""
    scores = 1 / left_out.rest
    squares = Distances(statistics, rule.scales).squares(left_out.bottlenecks)
    is_unknown = _unknown(rule, squares, len(statistics.means), scores)
    return np.asarray(~is_unknown & (scores >= SURE))


def _left_out_unknown(
    rule: RejectRule,
    statistics: Statistics,
    place: int,
    left_out: LeftOut,
    own: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Return which pictures are unknown, `(n,)`, each by a mean made without it."""
    scales = np.array(rule.scales)
    squares = Distances(statistics, rule.scales).squares(left_out.bottlenecks)
    squares[:, place] = np.square(own / scales[place])
    return _unknown(rule, squares, len(scales), left_out.scores)


def _unknown(
    rule: RejectRule,
    squares: NDArray[np.float64],
    num_classes: int,
    scores: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Return which pictures are unknown, `(n,)`, by squares as `Distances` has them."""
    least = squares[:, :num_classes].min(axis=1)
    leans = least - squares[:, -1]  # of no concern without a background
    lists = (scores.tolist(), np.sqrt(least).tolist(), leans.tolist())
    values = [rule.unfamiliarity(*row) for row in zip(*lists, strict=True)]
    return np.array(values) > rule.max_unfamiliarity


def _without_lean(rule: RejectRule) -> RejectRule:
    """Return the rule without a background: what is as odd of two parts as of three.

    Sums of 3 and of 2 logarithms of probabilities are beyond x and y equally often
    where `exp(-x) (1 + x + x^2 / 2) = exp(-y) (1 + y)`.

    Source: the Erlang distribution; see `RejectRule`.
    """
    limit = most = rule.max_unfamiliarity
    for _ in range(50):  # converges: the derivative is below 1
        limit = most + math.log1p(limit) - math.log1p(most + most**2 / 2)
    return rule._replace(mean_lean=None, lean_spread=None, max_unfamiliarity=limit)
