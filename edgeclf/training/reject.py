"""Fit the rule that says "unknown": on pictures that the head has not seen.

Every training and validation picture has been scored by a head of the other folds.
Its distance is measured likewise, to the means of the other folds and with their
covariance. So the rule knows what pictures of the known classes look like when they
are new, and needs no strangers. Where there are some, in a folder `_background`, their
mean is one more place to be near to.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from edgeclf.familiarity import RejectRule
from edgeclf.statistics import Distances, Statistics, pack, unpack
from edgeclf.training.covariance import RANK, main_factors
from edgeclf.training.discriminant import HeldOut
from edgeclf.training.head import ROWS_AT_ONCE, softmax
from edgeclf.training.shrinkage import shrunk_covariance

COVERAGE = 0.95  # share of new pictures of the known classes that is to be kept
MIN_PICTURES = 20  # of fewer, one in twenty is none
LEAST_SURPRISE = 1e-3  # with a mean of 0 any score below 1 would be a wonder
LEAST_SPREAD = 1e-3  # of the mean: pictures may all be the same
# The score weighs as much as the distance. (Half or twice as much moves the AUROC of
# strangers and of classes left out by 0.01 in opposite directions.)
SCORE_WEIGHT = 1.0


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
    unseen: NDArray[np.float32],
    widths: Sequence[int],
    background: NDArray[np.float32] | None = None,
    is_new: NDArray[np.bool_] | None = None,
    rank: int = RANK,
) -> Known:
    """Fit statistics and rule.

    Args:
        held_out: The pictures, and discriminants that have not seen them.
        unseen: What heads that have not seen them answer, logits `(n, classes)`.
        widths: Depths of the bottleneck's parts.
        background: Bottlenecks of strangers, `(n, depth)`; None or empty for none.
        is_new: Which of the pictures are new to head and backbone, `(n,)`; the rule is
            fitted to these if they are enough. None for all.
        rank: Number of factors.
    """
    strange = None
    if background is not None and len(background):
        strange = np.asarray(background.mean(axis=0, dtype=np.float64), np.float32)
    # One thread adds in one order: the same rule in every run.
    with threadpool_limits(1, user_api="blas"):
        statistics, distances, leans = _measured(held_out, widths, strange, rank)
    usable = np.isfinite(distances)  # not of a fold that holds all there are
    if is_new is not None and (usable & is_new).sum() >= MIN_PICTURES:
        usable &= is_new
    if usable.sum() < MIN_PICTURES:
        return Known(statistics, None)
    scores = softmax(unseen).max(axis=1)[usable]
    if leans is not None:
        leans = leans[usable]
    return Known(statistics, fit_rule(scores, distances[usable], leans))


def as_measured(
    known: Known, pairs: tuple[NDArray[np.float32], NDArray[np.float32]] | None
) -> Known:
    """Widen the rule by what the file's own arithmetic does to bottlenecks.

    It was fitted to float bottlenecks. Where pictures of a class are nearly alike, the
    noise of int8 is what they differ by.

    Args:
        known: The rule, and what distances are measured with.
        pairs: Bottlenecks of the same pictures in float and by the file, both
            `(n, depth)`; None for a file that computes in float.
    """
    if known.rule is None or pairs is None or not len(pairs[0]):
        return known
    with threadpool_limits(1, user_api="blas"):  # as in `fit`
        distances = Distances(known.statistics)
        (floating, lean), (quantized, moved) = map(distances.nearest, pairs)
    rule, shifts = known.rule, quantized - floating
    rule = rule._replace(
        mean_distance=rule.mean_distance + float(shifts.mean()),
        distance_spread=math.hypot(rule.distance_spread, float(shifts.std())),
    )
    if rule.mean_lean is not None and rule.lean_spread is not None:
        shifts = moved - lean
        rule = rule._replace(
            mean_lean=rule.mean_lean + float(shifts.mean()),
            lean_spread=math.hypot(rule.lean_spread, float(shifts.std())),
        )
    # Steps of int8 are no normal noise: the same pictures are to be as odd as before.
    ones = np.ones(len(shifts))
    before = unfamiliarity(known.rule, ones, floating, lean)
    after = unfamiliarity(rule, ones, quantized, moved)
    rise = _upper_quantile(after, rule.coverage) - _upper_quantile(
        before, rule.coverage
    )
    limit = rule.max_unfamiliarity + max(rise, 0.0)
    return Known(known.statistics, rule._replace(max_unfamiliarity=limit))


def _measured(
    held_out: HeldOut,
    widths: Sequence[int],
    strange: NDArray[np.float32] | None,
    rank: int,
) -> tuple[Statistics, NDArray[np.float64], NDArray[np.float64] | None]:
    """Return statistics of all pictures, and each one's values by those of others."""
    scored, moments, setting = held_out.scored, held_out.moments, held_out.setting
    counts = np.bincount(scored.classes, minlength=moments.counts.shape[1])
    covariance = shrunk_covariance(moments, widths, setting, None)
    variances, factors, near = main_factors(covariance, rank)
    statistics = _stored(covariance.means, counts, variances, factors, strange)
    distances = np.full(len(scored), math.inf)
    leans = np.zeros(len(scored))
    for fold in np.unique(held_out.folds).tolist():
        rows = np.flatnonzero(held_out.folds == fold)
        others = shrunk_covariance(moments, widths, setting, fold)
        variances, factors, _ = main_factors(others, rank, near)
        seen = Distances(
            _stored(others.means, others.counts, variances, factors, strange)
        )
        for start in range(0, len(rows), ROWS_AT_ONCE):
            some = rows[start : start + ROWS_AT_ONCE]
            distances[some], leans[some] = seen.nearest(scored.take(some).bottlenecks)
    return statistics, distances, None if strange is None else leans


def fit_rule(
    scores: NDArray[np.floating],
    distances: NDArray[np.floating],
    leans: NDArray[np.floating] | None = None,
    coverage: float = COVERAGE,
) -> RejectRule:
    """Fit the rule to what is known of pictures that training has not seen.

    Args:
        scores: Best score of each picture of the known classes, `(n,)`, in [0, 1].
        distances: Distance of each to the nearest class, `(n,)`.
        leans: How much nearer each is to the background; None without one.
        coverage: Share to keep of the known classes, in (0, 1).
    """
    surprises = [RejectRule.surprise(score) for score in scores.tolist()]
    rule = RejectRule(
        min_score=-_upper_quantile(-np.asarray(scores), coverage),
        coverage=coverage,
        mean_surprise=max(float(np.mean(surprises)), LEAST_SURPRISE),
        mean_distance=float(np.mean(distances)),
        distance_spread=_spread(distances),
        score_weight=SCORE_WEIGHT,
        max_unfamiliarity=0.0,
    )
    if leans is not None:
        rule = rule._replace(
            mean_lean=float(np.mean(leans)), lean_spread=_spread(leans)
        )
    values = unfamiliarity(rule, scores, distances, leans)
    return rule._replace(max_unfamiliarity=_upper_quantile(values, coverage))


def unfamiliarity(
    rule: RejectRule,
    scores: NDArray[np.floating],
    distances: NDArray[np.floating],
    leans: NDArray[np.floating] | None = None,
) -> NDArray[np.float64]:
    """Return the rule's value of each picture, `(n,)`; see `fit_rule`."""
    leans = np.zeros(len(scores)) if leans is None else leans
    rows = zip(scores.tolist(), distances.tolist(), leans.tolist(), strict=True)
    return np.array([rule.unfamiliarity(*row) for row in rows])


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
    background: NDArray[np.float32] | None,
) -> Statistics:
    """Return statistics as a reader of the file will see them, rounded."""
    exact = Statistics(
        np.asarray(means, np.float32),
        np.asarray(counts, np.float32),
        np.asarray(variances, np.float32),
        np.asarray(factors, np.float32),
        background,
    )
    return unpack(pack(exact))


def _spread(values: NDArray[np.floating]) -> float:
    """Return the standard deviation, above 0 even of equal values."""
    least = LEAST_SPREAD * float(np.abs(values).mean())
    return max(float(np.std(values)), least) or 1.0


def _upper_quantile(values: NDArray[np.floating], share: float) -> float:
    """Return the value that a new one is at most with this probability.

    Source: V. Vovk, A. Gammerman and G. Shafer, "Algorithmic Learning in a Random
    World" (2005), 2.2: of n values it is number ceil((n + 1) share) from below.
    """
    place = math.ceil((len(values) + 1) * share)
    return float(np.sort(values)[min(place, len(values)) - 1])
