"""Fit the rule that says "unknown": on pictures that the head has not seen.

Every training and validation picture has been scored by a head of the other folds.
Its distance is measured likewise, to the means of the other folds and with their
covariance. So the rule knows what pictures of the known classes look like when they
are new, and needs no strangers. Where there are some, in a folder `_background`, half
of them say how much the score is to weigh against the distance, and where to draw the
line.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from edgeclf.familiarity import RejectRule
from edgeclf.statistics import Statistics, pack, unpack
from edgeclf.training.covariance import RANK, main_factors
from edgeclf.training.discriminant import HeldOut, shrunk_covariance
from edgeclf.training.head import ROWS_AT_ONCE, Head, softmax

COVERAGE = 0.95  # share of new pictures of the known classes that is to be kept
MIN_PICTURES = 20  # of fewer, one in twenty is none
# How much the score weighs against the distance. The distance alone knows what is
# nothing like a training picture; the score what lies between two classes.
SCORE_WEIGHT = 1.0
SCORE_WEIGHTS = (0.0, 0.5, 1.0, 2.0, 4.0)  # to choose from when strangers are known
COVERAGES = (0.9, 0.99)  # between which strangers may draw the line


@dataclass(frozen=True)
class Known:
    """What a model knows of its classes besides the head.

    Attributes:
        statistics: As they will lie in the file.
        rule: None when there were too few pictures to fit one.
    """

    statistics: Statistics
    rule: RejectRule | None


def fit(
    held_out: HeldOut,
    widths: Sequence[int],
    head: Head,
    background: NDArray[np.float32] | None = None,
    rank: int = RANK,
) -> Known:
    """Fit statistics and rule.

    Args:
        held_out: What heads said of pictures that they had not seen.
        widths: Depths of the bottleneck's parts.
        head: The one of the file: it scores the strangers.
        background: Bottlenecks of strangers, `(n, depth)`; None for none.
        rank: Number of factors.
    """
    # One thread adds in one order: the same rule in every run.
    with threadpool_limits(1, user_api="blas"):
        statistics, distances = _measured(held_out, widths, rank)
        usable = np.isfinite(distances)  # not of a fold that holds all there are
        if usable.sum() < MIN_PICTURES:
            return Known(statistics, None)
        scores = softmax(held_out.logits).max(axis=1)
        strangers = None
        if background is not None and len(background):
            best = softmax(head.logits(background)).max(axis=1)
            strangers = (best, nearest(statistics, background))
    return Known(statistics, fit_rule(scores[usable], distances[usable], strangers))


def _measured(
    held_out: HeldOut, widths: Sequence[int], rank: int
) -> tuple[Statistics, NDArray[np.float64]]:
    """Return statistics of all pictures, and how far each is by those of others."""
    scored, moments, shrinkage = held_out.scored, held_out.moments, held_out.shrinkage
    counts = np.bincount(scored.classes, minlength=moments.counts.shape[1])
    covariance = shrunk_covariance(moments, widths, shrinkage, None)
    variances, factors, near = main_factors(covariance, rank)
    statistics = _stored(covariance.means, counts, variances, factors)
    distances = np.full(len(scored), math.inf)
    for fold in np.unique(held_out.folds).tolist():
        rows = np.flatnonzero(held_out.folds == fold)
        others = shrunk_covariance(moments, widths, shrinkage, fold)
        variances, factors, _ = main_factors(others, rank, near)
        seen = _stored(others.means, others.counts, variances, factors)
        distances[rows] = nearest(seen, scored.take(rows).bottlenecks)
    return statistics, distances


def fit_rule(
    scores: NDArray[np.floating],
    distances: NDArray[np.floating],
    strangers: tuple[NDArray[np.floating], NDArray[np.floating]] | None = None,
    coverage: float = COVERAGE,
) -> RejectRule:
    """Fit the rule to what is known of pictures that training has not seen.

    Args:
        scores: Best score of each picture of the known classes, `(n,)`, in [0, 1].
        distances: Distance of each to the nearest class, `(n,)`.
        strangers: Both of pictures of no class; None for none.
        coverage: Share to keep of the known classes, in (0, 1).
    """
    surprises = np.array([RejectRule.surprise(score) for score in scores.tolist()])
    rule = RejectRule(
        min_score=float(-_upper_quantile(-np.asarray(scores), coverage)),
        coverage=coverage,
        mean_surprise=max(float(surprises.mean()), 1e-3),
        mean_distance=float(np.mean(distances)),
        distance_spread=max(float(np.std(distances)), 1e-3 * float(np.mean(distances)))
        or 1.0,
        score_weight=SCORE_WEIGHT,
        max_unfamiliarity=0.0,
    )
    if strangers is None:
        known = unfamiliarity(rule, scores, distances)
        return rule._replace(max_unfamiliarity=_upper_quantile(known, coverage))

    def separation(weight: float) -> float:
        weighted = rule._replace(score_weight=weight)
        return auroc(
            unfamiliarity(weighted, scores, distances),
            unfamiliarity(weighted, *strangers),
        )

    # The default unless another is better; of equals the nearest to it.
    weights = sorted(SCORE_WEIGHTS, key=lambda weight: abs(weight - SCORE_WEIGHT))
    rule = rule._replace(score_weight=max(weights, key=separation))
    known = unfamiliarity(rule, scores, distances)
    unknown = unfamiliarity(rule, *strangers)
    limits = np.unique([_upper_quantile(known, share) for share in _shares()])
    kept = np.mean(known[:, np.newaxis] <= limits, axis=0)
    passed = np.mean(unknown[:, np.newaxis] <= limits, axis=0)
    limit = float(limits[np.argmax(kept - passed)])
    return rule._replace(
        max_unfamiliarity=limit, coverage=float(np.mean(known <= limit))
    )


def unfamiliarity(
    rule: RejectRule, scores: NDArray[np.floating], distances: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Return the rule's value for each pair of best score and distance, `(n,)`."""
    pairs = zip(scores.tolist(), distances.tolist(), strict=True)
    return np.array([rule.unfamiliarity(score, far) for score, far in pairs])


def nearest(
    statistics: Statistics, bottlenecks: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return the distance of each bottleneck to the nearest class, `(n,)`."""
    blocks = [
        np.sqrt(statistics.distances(bottlenecks[start : start + ROWS_AT_ONCE]))
        for start in range(0, len(bottlenecks), ROWS_AT_ONCE)
    ]
    return np.concatenate([np.zeros(0), *(block.min(axis=1) for block in blocks)])


def auroc(known: NDArray[np.floating], unknown: NDArray[np.floating]) -> float:
    """Return how often a stranger's value is above a known picture's; ties count half.

    Args:
        known: Values of pictures of the known classes, `(n,)`.
        unknown: Values of strangers, `(m,)`.

    Returns:
        The area under the receiver operating characteristic, in [0, 1]; 0.5 for values
        that tell nothing.
    """
    ordered = np.sort(known)
    below = np.searchsorted(ordered, unknown, side="left")
    not_above = np.searchsorted(ordered, unknown, side="right")
    return float(np.mean((below + not_above) / 2) / len(known))


def _stored(
    means: NDArray[np.float64],
    counts: NDArray[np.floating] | NDArray[np.intp],
    variances: NDArray[np.float64],
    factors: NDArray[np.float64],
) -> Statistics:
    """Return statistics as a reader of the file will see them, rounded."""
    exact = Statistics(
        *(np.asarray(part, np.float32) for part in (means, counts)),
        *(np.asarray(part, np.float32) for part in (variances, factors)),
    )
    return unpack(pack(exact))


def _upper_quantile(values: NDArray[np.floating], share: float) -> float:
    """Return the value that a new one is at most with this probability.

    Source: V. Vovk, A. Gammerman and G. Shafer, "Algorithmic Learning in a Random
    World" (2005), 2.2: of n values it is number ceil((n + 1) share) from below.
    """
    place = math.ceil((len(values) + 1) * share)
    return float(np.sort(values)[min(place, len(values)) - 1])


def _shares() -> NDArray[np.float64]:
    """Return the coverages that are tried when strangers draw the line."""
    least, most = COVERAGES
    return np.linspace(least, most, round((most - least) * 100) + 1)
