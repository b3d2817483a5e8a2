"""Fit the head by shrunk linear discriminant analysis: the default.

All that it needs of the pictures are counts, sums and second moments, which add up
block by block: any number of views costs one pass and no memory. Moments are kept fold
by fold, so that the pictures of a fold can be scored by a head that has seen none of
them: that chooses the shrinkage, and the temperature that makes scores probabilities.

Source: T. Hastie et al., The Elements of Statistical Learning, 2nd ed., 4.3
(discriminant analysis) and 4.3.1 (its regularisation).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from edgeclf.training.covariance import Covariance
from edgeclf.training.head import (
    ROWS_AT_ONCE,
    FittedHead,
    Head,
    LabelledBottlenecks,
    accuracy,
    cross_entropy,
)

FOLDS = 4  # of the training pictures; the validation pictures are one more
# How much of the within-class covariance is replaced by a round one.
SHRINKAGES = (0.1, 0.2, 0.4, 0.7, 0.95)
DEFAULT_SHRINKAGE = 0.4  # where the search starts, and without pictures to score
LEAST_SHARE = 1e-6  # of the average variance: a part without any is no division by 0
MAX_SHARPNESS = 1e3  # 1 / temperature; twins in every class are told apart perfectly
BISECTIONS = 60


class Moments:
    """Counts, sums and second moments of bottlenecks, by fold and class.

    As long as there are fewer bottlenecks than numbers in one, they themselves are kept
    in place of second moments: that is smaller, and quicker to solve.

    Args:
        num_folds: Number of folds.
        num_classes: Number of classes.
        depth: Length of a bottleneck.
    """

    def __init__(self, num_folds: int, num_classes: int, depth: int) -> None:
        self.counts = np.zeros((num_folds, num_classes))
        self.sums = np.zeros((num_folds, num_classes, depth))
        self.points: list[tuple[NDArray[np.float64], NDArray[np.intp], int]] | None = []
        self.seconds: NDArray[np.float64] | None = None

    def add(
        self,
        points: NDArray[np.float32],
        classes: NDArray[np.intp],
        folds: NDArray[np.intp],
    ) -> None:
        """Add bottlenecks `(n, depth)` with their classes and folds.

        Quickest when few folds are among them.
        """
        # One thread adds in one order: the same sums in every run.
        with threadpool_limits(1, user_api="blas"):
            for fold in np.unique(folds).tolist():
                rows = folds == fold
                members = np.eye(self.counts.shape[1])[classes[rows]]
                part = points[rows].astype(np.float64)
                self.counts[fold] += members.sum(axis=0)
                self.sums[fold] += members.T @ part
                self._add_part(part, classes[rows], fold)

    def _add_part(
        self, part: NDArray[np.float64], classes: NDArray[np.intp], fold: int
    ) -> None:
        depth = self.sums.shape[2]
        if self.points is not None:
            self.points.append((part, classes, fold))
            if self.counts.sum() < depth:
                return
            self.seconds = np.zeros((len(self.counts), depth, depth))
            for points, _, its_fold in self.points:
                self.seconds[its_fold] += points.T @ points
            self.points = None
        elif self.seconds is not None:
            self.seconds[fold] += part.T @ part


@dataclass(frozen=True)
class _Estimate:
    """What a discriminant is solved from.

    Attributes:
        means: Of each class, `(classes, depth)`; zeros for a class without pictures.
        present: Which classes have pictures.
        covariance: Within classes, `(depth, depth)`; None where residuals are kept.
        residuals: `(n, depth)`, whose `residuals.T @ residuals` is that covariance.
        within: Its diagonal, `(depth,)`.
        variances: Of each number among all pictures, `(depth,)`.
    """

    means: NDArray[np.float64]
    present: NDArray[np.bool_]
    covariance: NDArray[np.float64] | None
    residuals: NDArray[np.float64] | None
    within: NDArray[np.float64]
    variances: NDArray[np.float64]


@dataclass(frozen=True)
class HeldOut:
    """What heads say of pictures that they have not seen.

    Attributes:
        moments: Of all folds.
        scored: The pictures.
        folds: The fold of each.
        logits: Of each, by the head of the other folds, sharpened, float32
            `(n, classes)`.
        shrinkage: Of the heads.
    """

    moments: Moments
    scored: LabelledBottlenecks
    folds: NDArray[np.intp]
    logits: NDArray[np.float32]
    shrinkage: float


def fit(
    moments: Moments,
    scored: LabelledBottlenecks,
    folds: NDArray[np.intp],
    widths: Sequence[int],
    validation_fold: int | None,
) -> FittedHead:
    """Fit the head to everything in the moments.

    The covariance is shrunk towards one in which numbers are independent and every
    part of the bottleneck varies alike, whatever its depth and size. Classes count as
    equally frequent. The shrinkage is the one with the least cross-entropy on the
    pictures of each fold, scored by the head fitted to the others; one temperature for
    all of them, found on the same logits, is divided out of weights and bias.

    Args:
        moments: Of training and validation pictures, and of their views.
        scored: The pictures to score, plain.
        folds: The fold of each.
        widths: Depths of the bottleneck's parts.
        validation_fold: The fold of the validation pictures; None without any.
    """
    with threadpool_limits(1, user_api="blas"):
        best = _best_trial(moments, scored, folds, widths)
        weights, bias = _solve(_estimate(moments, None), widths, best.shrinkage)
    fitted = Head(
        (weights * best.sharpness).astype(np.float32),
        (bias * best.sharpness).astype(np.float32),
    )
    held_out = folds == validation_fold
    classes = scored.classes[held_out]
    seen = np.asarray(best.logits[held_out] * best.sharpness, np.float32)
    return FittedHead(
        fitted,
        None,
        cross_entropy(seen, classes) if len(seen) else None,
        accuracy(seen, classes) if len(seen) else None,
        shrinkage=best.shrinkage,
        temperature=1 / best.sharpness,
        held_out=HeldOut(
            moments,
            scored,
            folds,
            np.asarray(best.logits * best.sharpness, np.float32),
            best.shrinkage,
        ),
    )


@dataclass(frozen=True)
class _Trial:
    """What the heads of all folds say of pictures they have not seen.

    Attributes:
        shrinkage: Theirs.
        logits: `(scored pictures, classes)`.
        sharpness: The factor that makes scores probabilities.
        loss: Cross-entropy after that.
    """

    shrinkage: float
    logits: NDArray[np.float64]
    sharpness: float
    loss: float


def _best_trial(
    moments: Moments,
    scored: LabelledBottlenecks,
    folds: NDArray[np.intp],
    widths: Sequence[int],
) -> _Trial:
    """Return the trial with the least loss, walking downhill from the default.

    The loss has one valley: a walk spares the far ends.
    """
    trials: dict[int, _Trial] = {}

    def loss(place: int) -> float:
        if not 0 <= place < len(SHRINKAGES):
            return math.inf
        if place not in trials:
            (trials[place],) = _try(moments, scored, folds, widths, [place])
        return trials[place].loss

    start = SHRINKAGES.index(DEFAULT_SHRINKAGE)
    near = [start, start - 1, start + 1]
    trials.update(zip(near, _try(moments, scored, folds, widths, near), strict=True))
    place = min(near, key=loss)
    step = place - start or 1
    while loss(place + step) < loss(place):
        place += step
    return trials[place]


def _try(
    moments: Moments,
    scored: LabelledBottlenecks,
    folds: NDArray[np.intp],
    widths: Sequence[int],
    places: Sequence[int],
) -> list[_Trial]:
    """Score every fold by heads of the other folds, one for each shrinkage."""
    classes = scored.classes
    logits = np.zeros((len(places), len(classes), moments.counts.shape[1]))
    known = np.zeros(len(classes), bool)
    for fold in np.unique(folds).tolist():
        rows = np.flatnonzero(folds == fold)
        estimate = _estimate(moments, fold)
        if estimate.present.sum() < 2:
            continue
        known[rows] = estimate.present[classes[rows]]
        for number, place in enumerate(places):
            weights, bias = _solve(estimate, widths, SHRINKAGES[place])
            for start in range(0, len(rows), ROWS_AT_ONCE):
                some = rows[start : start + ROWS_AT_ONCE]
                points = scored.take(some).bottlenecks
                logits[number, some] = points @ weights.T + bias
    trials = []
    for place, answers in zip(places, logits, strict=True):
        sharpness = sharpness_of(answers[known], classes[known])
        sharpened = np.asarray(answers[known] * sharpness, np.float32)
        loss = cross_entropy(sharpened, classes[known]) if known.any() else 0.0
        trials.append(_Trial(SHRINKAGES[place], answers, sharpness, loss))
    return trials


def _estimate(moments: Moments, without: int | None) -> _Estimate:
    """Return means and covariances of all folds but one."""
    kept = np.arange(len(moments.counts)) != (-1 if without is None else without)
    counts, sums = moments.counts[kept].sum(axis=0), moments.sums[kept].sum(axis=0)
    total = max(counts.sum(), 1.0)
    present = counts > 0
    means = sums / np.maximum(counts, 1.0)[:, np.newaxis]
    centre = sums.sum(axis=0) / total
    between = np.sum(counts[:, np.newaxis] / total * (means - centre) ** 2, axis=0)
    if moments.seconds is None:
        parts = [
            points - means[classes]
            for points, classes, fold in moments.points or ()
            if kept[fold]
        ]
        residuals = np.concatenate([np.empty((0, len(centre))), *parts])
        residuals /= np.sqrt(total)
        within = np.sum(residuals**2, axis=0)
        return _Estimate(means, present, None, residuals, within, within + between)
    second = np.zeros_like(moments.seconds[0])
    for fold in np.flatnonzero(kept).tolist():
        second += moments.seconds[fold]
    second /= total
    weighted = means * np.sqrt(counts / total)[:, np.newaxis]
    second -= weighted.T @ weighted
    within = np.maximum(np.diag(second), 0.0)
    return _Estimate(means, present, second, None, within, within + between)


def _solve(
    estimate: _Estimate, widths: Sequence[int], shrinkage: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return weights `(classes, depth)` and bias `(classes,)` for one shrinkage."""
    means, present = estimate.means, estimate.present
    target = _target(estimate, widths)
    centre = means[present].mean(axis=0)
    weights = _divided(estimate, target, shrinkage, (means - centre).T).T
    bias = -0.5 * np.sum((means + centre) * weights, axis=1)
    weights[~present] = 0.0
    bias[~present] = bias[present].min() if present.any() else 0.0
    return weights, bias


def _divided(
    estimate: _Estimate,
    target: NDArray[np.float64],
    shrinkage: float,
    differences: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return `inv(C) d`, C the shrunk covariance, of `(depth, classes)` differences."""
    # Imported here: it takes longer than all else in this module.
    from scipy.linalg import cho_factor, cho_solve

    if estimate.covariance is not None:
        # Transposed it is the same, and in the order that LAPACK takes without a copy.
        covariance = (estimate.covariance * (1.0 - shrinkage)).T
        covariance[np.diag_indices(len(target))] += shrinkage * target
        factor = cho_factor(
            covariance, lower=True, overwrite_a=True, check_finite=False
        )
        return np.asarray(cho_solve(factor, differences, check_finite=False))
    # With x = z sqrt(target), C is s I + (1 - s) R'R there, and by the matrix inversion
    # lemma inv(C) d = (d - R' inv(s / (1 - s) I + RR') R d) / s: as large as there are
    # pictures.
    root = np.sqrt(target)[:, np.newaxis]
    residuals = np.asarray(estimate.residuals) / root.T
    scaled = differences / root
    inner = residuals @ residuals.T
    inner[np.diag_indices(len(inner))] += shrinkage / (1.0 - shrinkage)
    factor = cho_factor(inner, lower=True, overwrite_a=True, check_finite=False)
    solved = cho_solve(factor, residuals @ scaled, check_finite=False)
    return np.asarray((scaled - residuals.T @ solved) / shrinkage / root)


def shrunk_covariance(
    moments: Moments, widths: Sequence[int], shrinkage: float, without: int | None
) -> Covariance:
    """Return the covariance that a discriminant of all folds but one is solved with.

    Args:
        moments: Of all folds.
        widths: Depths of the bottleneck's parts.
        shrinkage: How much of it is replaced by the target.
        without: The fold that is left out; None for none.
    """
    estimate = _estimate(moments, without)
    kept = np.arange(len(moments.counts)) != (-1 if without is None else without)
    target = _target(estimate, widths)
    added = shrinkage * target

    def times(block: NDArray[np.float64]) -> NDArray[np.float64]:
        if estimate.covariance is not None:
            product = estimate.covariance @ block
        else:
            residuals = np.asarray(estimate.residuals)
            product = residuals.T @ (residuals @ block)
        return np.asarray((1.0 - shrinkage) * product + added[:, np.newaxis] * block)

    return Covariance(
        estimate.means,
        moments.counts[kept].sum(axis=0),
        (1.0 - shrinkage) * estimate.within + added,
        target,
        times,
    )


def _target(estimate: _Estimate, widths: Sequence[int]) -> NDArray[np.float64]:
    """Return the variances that the covariance is shrunk towards, `(depth,)`.

    In a part that varies more all weights would be small if the target were one number
    for all parts. So parts are made to vary alike; the average variance within classes
    is kept.
    """
    parts = np.split(estimate.variances, np.cumsum(widths)[:-1])
    sizes = np.array([part.sum() for part in parts])
    sizes = np.maximum(sizes, LEAST_SHARE * sizes.mean())
    if not sizes.any():  # all pictures are the same
        return np.ones(len(estimate.variances))
    target = np.repeat(sizes, widths)
    share = float(np.mean(estimate.within / target))
    # Pictures of one class may all be the same: then those of all classes tell.
    share = max(share, LEAST_SHARE * float(np.mean(estimate.variances / target)))
    return np.asarray(target * share)


def sharpness_of(logits: NDArray[np.float64], classes: NDArray[np.intp]) -> float:
    """Return the factor on logits with the least cross-entropy, 1 / temperature.

    No higher than where the mean score of the best class is `n / (n + 1)`: n pictures
    without an error are no reason for boundless confidence.

    Source: C. Guo et al., "On Calibration of Modern Neural Networks" (ICML 2017), 4.2.

    Args:
        logits: `(n, classes)`.
        classes: The true ones.
    """
    count = len(logits)
    if not count:
        return 1.0
    picked = float(logits[np.arange(count), classes].mean())
    centred = logits - logits.max(axis=1, keepdims=True)
    low, high = 0.0, MAX_SHARPNESS
    for _ in range(BISECTIONS):  # both conditions change once as the factor rises
        factor = (low + high) / 2
        shares = np.exp(factor * centred)
        shares /= shares.sum(axis=1, keepdims=True)
        slope = float(np.sum(shares * logits, axis=1).mean()) - picked
        confidence = float(shares.max(axis=1).mean())
        if slope < 0 and confidence < count / (count + 1):
            low = factor
        else:
            high = factor
    return (low + high) / 2


def deal_folds(
    classes: NDArray[np.intp],
    groups: NDArray[np.intp],
    digests: Sequence[bytes],
    num_folds: int = FOLDS,
) -> NDArray[np.intp]:
    """Deal pictures to folds, class by class; a group stays together.

    Args:
        classes: Class of each picture.
        groups: A number for each: near-duplicates share one.
        digests: SHA-256 of each: the order of the files plays no part.
        num_folds: Number of folds.

    Returns:
        The fold of each, `(n,)`.
    """
    folds = np.zeros(len(classes), np.intp)
    place = 0
    for label in np.unique(classes).tolist():
        rows = np.flatnonzero(classes == label)
        by_group: dict[int, list[int]] = {}
        for row in sorted(rows.tolist(), key=lambda row: digests[row]):
            by_group.setdefault(int(groups[row]), []).append(row)
        for members in by_group.values():
            folds[members] = place % num_folds
            place += 1
    return folds
