"""The rule that says "unknown"."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

LEAST_SCORE = 1 / 512  # half a step of a score of 8 bits: 0 may be anything below


class RejectRule(NamedTuple):
    """How score and distance of a picture say whether its class is known.

    Two things are odd about a picture: a low best score (it lies between classes), and
    a large distance to every class (it is like nothing that was trained on). Either
    becomes the negative logarithm of the share of known pictures that are as odd, and
    the two are added.

    Source: R. A. Fisher, "Statistical Methods for Research Workers" (1932), 21.1
    (adding the logarithms of probabilities); K. Lee et al., "A Simple Unified Framework
    for Detecting Out-of-Distribution Samples" (NeurIPS 2018), 2.1 (the distance).

    Attributes:
        min_score: Least best score, for whoever knows no distance.
        coverage: Share of known pictures that is kept.
        mean_surprise: Mean over known pictures of `surprise`, above 0.
        mean_distance: Mean over known pictures of the distance to the nearest class.
        distance_spread: Its standard deviation, above 0.
        score_weight: How much the score counts; the distance counts 1.
        max_unfamiliarity: Beyond it a picture is unknown.
    """

    min_score: float
    coverage: float
    mean_surprise: float
    mean_distance: float
    distance_spread: float
    score_weight: float
    max_unfamiliarity: float

    @staticmethod
    def surprise(score: float) -> float:
        """Return the negative natural logarithm of a best score, at least 0."""
        return -math.log(min(max(score, LEAST_SCORE), 1.0))

    def unfamiliarity(self, score: float, distance: float) -> float:
        """Return how odd a picture is, at least 0.

        Args:
            score: Its best score, in [0, 1].
            distance: To the nearest class: the root of `Statistics.distances`.
        """
        # Surprises fall off as exponentials do, roots of chi-squares as normals.
        score_part = self.surprise(score) / self.mean_surprise
        sigmas = (distance - self.mean_distance) / self.distance_spread
        return self.score_weight * score_part - log_tail(sigmas)


def rule_of(entry: Mapping[str, Any] | None) -> RejectRule | None:
    """Return the rule in a record; None without one that knows distances."""
    if entry is None or len(entry) < len(RejectRule._fields):
        return None
    return RejectRule(**{name: float(entry[name]) for name in RejectRule._fields})


def log_tail(sigmas: float) -> float:
    """Return the logarithm of the probability that a normal value is larger.

    Args:
        sigmas: Standard deviations above the mean.
    """
    if sigmas < 10:
        return math.log(math.erfc(sigmas / math.sqrt(2)) / 2)
    # Source: M. Abramowitz and I. A. Stegun, "Handbook of Mathematical Functions",
    # 26.2.12, the first term: right to 1 % of a sigma here.
    return -(sigmas**2) / 2 - math.log(sigmas * math.sqrt(2 * math.pi))
