"""Fit the head by shrunk linear discriminant analysis.

All that it needs of the pictures are counts, sums and second moments, which add up
block by block: any number of views costs one pass and no memory. Moments are kept fold
by fold, so that the pictures of a fold can be scored by a head that has seen none of
them: that chooses how much is shrunk and how much views count, and the temperature that
makes scores probabilities.

Source: T. Hastie et al., The Elements of Statistical Learning, 2nd ed., 4.3
(discriminant analysis) and 4.3.1 (its regularisation).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from edgeclf.training.covariance import Covariance
from edgeclf.training.head import (
    ROWS_AT_ONCE,
    FittedHead,
    Head,
    LabelledBottlenecks,
    cross_entropy,
)

FOLDS = 4  # of the training pictures; the validation pictures are one more
# How much of the within-class covariance is replaced by a round one.
SHRINKAGES = (0.05, 0.1, 0.2, 0.4, 0.7, 0.95)
DEFAULT_SHRINKAGE = 0.4  # where the search starts, and without pictures to score
# How much what views change counts, besides that they are among the pictures.
EMPHASES = (0.0, 0.35, 1.0, 3.0)
DEFAULT_EMPHASIS = 0.35
LEAST_SHARE = 1e-6  # of the average variance: a part without any is no division by 0
MAX_SHARPNESS = 1e3  # 1 / temperature; twins in every class are told apart perfectly
BISECTIONS = 60

DISCRIMINANT, PROTOTYPE = "discriminant", "prototype"

_Rows = list[tuple[NDArray[np.float64], NDArray[np.intp], int]]


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
        self.points: _Rows | None = []
        self.shifted: _Rows = []
        self.seconds: NDArray[np.float64] | None = None
        self.shifts: NDArray[np.float32] | None = None

    def add(
        self,
        points: NDArray[np.float32],
        classes: NDArray[np.intp],
        folds: NDArray[np.intp],
        originals: NDArray[np.float32] | None = None,
    ) -> None:
        """Add bottlenecks `(n, depth)` with their classes and folds.

        Quickest when few folds are among them.

        Args:
            points: The bottlenecks, of pictures or of views.
            classes: Their classes.
            folds: Their folds.
            originals: Of views, the bottlenecks of the pictures that they show.
        """
        # One thread adds in one order: the same sums in every run.
        with threadpool_limits(1, user_api="blas"):
            for fold in np.unique(folds).tolist():
                rows = folds == fold
                members = np.eye(self.counts.shape[1])[classes[rows]]
                part = points[rows].astype(np.float64)
                self.counts[fold] += members.sum(axis=0)
                self.sums[fold] += members.T @ part
                change = None if originals is None else part - originals[rows]
                self._add_part(part, change, classes[rows], fold)

    def together(self, folds: Sequence[int]) -> Moments:
        """Return the moments of some folds as those of one."""
        chosen = Moments(1, *self.sums.shape[1:])
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray):
                total = value[folds[0]].copy()
                for fold in folds[1:]:
                    total += value[fold]
                value = total[np.newaxis]
            elif value is not None:
                value = [(*part, 0) for *part, fold in value if fold in folds]
            setattr(chosen, name, value)
        return chosen

    def _add_part(
        self,
        part: NDArray[np.float64],
        change: NDArray[np.float64] | None,
        classes: NDArray[np.intp],
        fold: int,
    ) -> None:
        if self.points is not None:
            self.points.append((part, classes, fold))
            if change is not None:
                self.shifted.append((change, classes, fold))
            kept = self.counts.sum() + sum(len(rows) for rows, _, _ in self.shifted)
            if kept >= self.sums.shape[2]:
                self._sum_up()
            return
        if self.seconds is not None:
            self.seconds[fold] += part.T @ part
        if change is not None:
            self._add_shifts(change, fold)

    def _add_shifts(self, change: NDArray[np.float64], fold: int) -> None:
        if self.shifts is None:
            self.shifts = np.zeros_like(np.asarray(self.seconds), np.float32)
        narrow = change.astype(np.float32)  # how much they count is a rough choice
        self.shifts[fold] += narrow.T @ narrow

    def _sum_up(self) -> None:
        """Turn the bottlenecks that were kept into second moments."""
        depth = self.sums.shape[2]
        self.seconds = np.zeros((len(self.counts), depth, depth))
        for points, _, fold in self.points or ():
            self.seconds[fold] += points.T @ points
        for change, _, fold in self.shifted:
            self._add_shifts(change, fold)
        self.points, self.shifted = None, []

    @property
    def has_views(self) -> bool:
        """Whether there is anything that views have changed."""
        return self.shifts is not None or bool(self.shifted)


@dataclass(frozen=True)
class _Spread:
    """A covariance: the matrix, or rows whose `rows.T @ rows` is that matrix.

    Attributes:
        matrix: `(depth, depth)`; None where there are rows.
        rows: `(n, depth)`; None where there is a matrix.
    """

    matrix: NDArray[np.floating[Any]] | None
    rows: NDArray[np.float64] | None

    @property
    def variances(self) -> NDArray[np.float64]:
        """The diagonal, `(depth,)`."""
        if self.rows is not None:
            return np.asarray(np.sum(self.rows**2, axis=0))
        return np.maximum(np.diag(np.asarray(self.matrix)), 0.0)

    def times(self, block: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the matrix times `(depth, n)`."""
        if self.rows is not None:
            return np.asarray(self.rows.T @ (self.rows @ block))
        return np.asarray(np.asarray(self.matrix) @ block)

    def plus(self, other: _Spread | None, factor: float) -> _Spread:
        """Return this covariance and `factor` times another of the same form."""
        if other is None or not factor:
            return self
        if self.rows is not None and other.rows is not None:
            rows = np.concatenate([self.rows, other.rows * math.sqrt(factor)])
            return _Spread(None, rows)
        changes = np.asarray(other.matrix)
        matrix = changes * changes.dtype.type(factor)
        matrix += self.matrix
        return _Spread(matrix, None)


@dataclass(frozen=True)
class _Estimate:
    """What a discriminant is solved from.

    Attributes:
        means: Of each class, `(classes, depth)`; zeros for a class without pictures.
        present: Which classes have pictures.
        within: The covariance within classes.
        changes: The second moment of what views change; None without views.
        between: The variances of the classes' means, `(depth,)`.
    """

    means: NDArray[np.float64]
    present: NDArray[np.bool_]
    within: _Spread
    changes: _Spread | None
    between: NDArray[np.float64]


@dataclass(frozen=True)
class Setting:
    """What a discriminant is solved with.

    Attributes:
        shrinkage: Share of the covariance that is replaced by a round one, (0, 1].
        emphasis: How much more than once what views change counts.
    """

    shrinkage: float
    emphasis: float


@dataclass(frozen=True)
class HeldOut:
    """What shows discriminants pictures that they have not seen.

    Attributes:
        moments: Of all folds.
        scored: The pictures.
        folds: The fold of each.
        setting: Of the discriminants.
    """

    moments: Moments
    scored: LabelledBottlenecks
    folds: NDArray[np.intp]
    setting: Setting


def fit(
    moments: Moments,
    scored: LabelledBottlenecks,
    folds: NDArray[np.intp],
    widths: Sequence[int],
    validation_fold: int | None,
) -> FittedHead:
    """Fit the head to everything in the moments; see `fit_all`."""
    kinds = (DISCRIMINANT,)
    return fit_all(moments, scored, folds, widths, validation_fold, kinds)[0]


def fit_all(
    moments: Moments,
    scored: LabelledBottlenecks,
    folds: NDArray[np.intp],
    widths: Sequence[int],
    validation_fold: int | None,
    kinds: Sequence[str],
) -> list[FittedHead]:
    """Fit the head to everything in the moments.

    The covariance is shrunk towards one in which numbers are independent and every
    part of the bottleneck varies alike, whatever its depth and size. Classes count as
    equally frequent. What views change is known to mean nothing: it may count more
    than the few pictures make it. Both amounts are those with the least cross-entropy
    on the pictures of each fold, scored by the head fitted to the others; one
    temperature for all of them, found on the same logits, is divided out of weights
    and bias.

    Args:
        moments: Of training and validation pictures, and of their views.
        scored: The pictures to score, plain.
        folds: The fold of each.
        widths: Depths of the bottleneck's parts.
        validation_fold: The fold of the validation pictures; None without any.
        kinds: `DISCRIMINANT`, or `PROTOTYPE` where all is shrunk: each class is its
            mean alone. One head for each is returned, in this order.
    """
    # Imported here: it takes longer than all else in this module. And before threads
    # are limited, else its BLAS takes all there are.
    import scipy.linalg  # noqa: F401

    with threadpool_limits(1, user_api="blas"):
        trials = _Trials(moments, scored, folds, widths)
        chosen = trials.search(kinds)
        estimate = _estimate(moments, None, trials.totals, np.float64)
        heads = [_solve(estimate, widths, best.setting) for best in chosen]
    return [
        FittedHead.scored_by_folds(
            Head(
                (weights * best.sharpness).astype(np.float32),
                (bias * best.sharpness).astype(np.float32),
            ),
            np.asarray(best.logits * best.sharpness, np.float32),
            scored.classes,
            folds == validation_fold,
            shrinkage=best.setting.shrinkage,
            emphasis=best.setting.emphasis if moments.has_views else None,
            temperature=1 / best.sharpness,
            class_weights="balanced",
            held_out=HeldOut(moments, scored, folds, best.setting),
        )
        for best, (weights, bias) in zip(chosen, heads, strict=True)
    ]


def solve(
    moments: Moments, widths: Sequence[int], shrinkage: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return weights `(classes, depth)` and bias `(classes,)` for all folds together.

    Args:
        moments: Of the pictures.
        widths: Depths of the bottleneck's parts.
        shrinkage: See `fit`.
    """
    estimate = _estimate(moments, None, _Totals.of(moments), np.float64)
    return _solve(estimate, widths, Setting(shrinkage, 0.0))


def score_unseen(
    moments: Moments,
    scored: LabelledBottlenecks,
    folds: NDArray[np.intp],
    widths: Sequence[int],
    shrinkage: float | None = None,
) -> NDArray[np.float64]:
    """Return the calibrated logits of pictures, `(n, classes)`, by heads new to them.

    Args:
        moments: As for `fit`.
        scored: As for `fit`.
        folds: As for `fit`.
        widths: As for `fit`.
        shrinkage: One of `SHRINKAGES`; None for the one with the least cross-entropy.
    """
    with threadpool_limits(1, user_api="blas"):
        trials = _Trials(moments, scored, folds, widths)
        if shrinkage is None:
            (trial,) = trials.search([DISCRIMINANT])
        else:
            trial = trials.only(Setting(shrinkage, 0.0))
    return trial.logits * trial.sharpness


@dataclass(frozen=True)
class _Trial:
    """What the heads of all folds say of pictures they have not seen.

    Attributes:
        setting: Theirs.
        logits: `(scored pictures, classes)`.
        sharpness: The factor that makes scores probabilities.
        loss: Cross-entropy after that.
    """

    setting: Setting
    logits: NDArray[np.float64]
    sharpness: float
    loss: float


class _Trials:
    """Settings that have been tried; the arguments are those of `fit`."""

    def __init__(
        self,
        moments: Moments,
        scored: LabelledBottlenecks,
        folds: NDArray[np.intp],
        widths: Sequence[int],
    ) -> None:
        self._moments, self._scored, self._folds = moments, scored, folds
        self._widths = widths
        self._tried: dict[Setting, _Trial] = {}
        self.totals = _Totals.of(moments)

    def search(self, kinds: Sequence[str]) -> list[_Trial]:
        """Return the best trial of each kind, walking downhill from the defaults.

        The loss has one valley along each setting: a walk spares the far ends.
        """
        has_views = self._moments.has_views
        start = Setting(DEFAULT_SHRINKAGE, DEFAULT_EMPHASIS if has_views else 0.0)
        prototype = Setting(1.0, 0.0)
        place = SHRINKAGES.index(start.shrinkage)
        near = [
            start,
            dataclasses.replace(start, shrinkage=SHRINKAGES[place - 1]),
            dataclasses.replace(start, shrinkage=SHRINKAGES[place + 1]),
        ]
        if DISCRIMINANT not in kinds:
            near = []
        # All at once: a fold's moments are summed up once for all of them.
        self._try([*near, prototype] if PROTOTYPE in kinds else near)
        best = {}
        if PROTOTYPE in kinds:
            best[PROTOTYPE] = self._tried[prototype]
        if DISCRIMINANT in kinds:
            first = min((self._tried[setting] for setting in near), key=_loss_of)
            best[DISCRIMINANT] = self._walk(first, "shrinkage", SHRINKAGES)
            if has_views:
                walked = self._walk(best[DISCRIMINANT], "emphasis", EMPHASES)
                best[DISCRIMINANT] = walked
        return [best[kind] for kind in kinds]

    def only(self, setting: Setting) -> _Trial:
        """Return the trial of one setting."""
        self._try([setting])
        return self._tried[setting]

    def _walk(self, best: _Trial, name: str, values: Sequence[float]) -> _Trial:
        """Follow one setting as long as the loss falls, either way."""
        place = values.index(getattr(best.setting, name))
        for step in (-1, 1):
            while 0 <= place + step < len(values):
                setting = dataclasses.replace(
                    best.setting, **{name: values[place + step]}
                )
                if setting not in self._tried:
                    self._try([setting])
                if self._tried[setting].loss >= best.loss:
                    break
                best, place = self._tried[setting], place + step
        return best

    def _try(self, settings: Sequence[Setting]) -> None:
        """Score every fold by heads of the other folds, one for each setting."""
        moments, scored, classes = self._moments, self._scored, self._scored.classes
        logits = np.zeros((len(settings), len(classes), moments.counts.shape[1]))
        known = np.zeros(len(classes), bool)
        for fold in np.unique(self._folds).tolist():
            rows = np.flatnonzero(self._folds == fold)
            estimate = _estimate(moments, fold, self.totals, np.float32)
            if estimate.present.sum() < 2:
                continue
            known[rows] = estimate.present[classes[rows]]
            for number, setting in enumerate(settings):
                weights, bias = _solve(estimate, self._widths, setting)
                for some, points in _blocks(scored, rows):
                    logits[number, some] = points @ weights.T + bias
        for setting, answers in zip(settings, logits, strict=True):
            sharpness = sharpness_of(answers[known], classes[known])
            sharpened = np.asarray(answers[known] * sharpness, np.float32)
            loss = cross_entropy(sharpened, classes[known]) if known.any() else 0.0
            self._tried[setting] = _Trial(setting, answers, sharpness, loss)


def _blocks(
    data: LabelledBottlenecks, rows: NDArray[np.intp]
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float32]]]:
    """Yield some of the rows and their bottlenecks at a time."""
    for start in range(0, len(rows), ROWS_AT_ONCE):
        some = rows[start : start + ROWS_AT_ONCE]
        yield some, data.take(some).bottlenecks


def _loss_of(trial: _Trial) -> float:
    return trial.loss


@dataclass(frozen=True)
class _Totals:
    """Second moments of all folds together, None where there are none."""

    seconds: NDArray[np.float64] | None
    shifts: NDArray[np.float32] | None

    @classmethod
    def of(cls, moments: Moments) -> _Totals:
        return cls(
            None if moments.seconds is None else moments.seconds.sum(axis=0),
            None if moments.shifts is None else moments.shifts.sum(axis=0),
        )


def _estimate(
    moments: Moments,
    without: int | None,
    totals: _Totals,
    dtype: type[np.floating[Any]],
) -> _Estimate:
    """Return means and covariances of all folds but one.

    Args:
        moments: Of all folds.
        without: The fold to leave out; None for none.
        totals: Of the moments.
        dtype: Of the covariances. Half the digits are half the time, and enough to
            choose settings by.
    """
    kept = np.arange(len(moments.counts)) != (-1 if without is None else without)
    counts, sums = moments.counts[kept].sum(axis=0), moments.sums[kept].sum(axis=0)
    total = max(counts.sum(), 1.0)
    present = counts > 0
    means = sums / np.maximum(counts, 1.0)[:, np.newaxis]
    centre = sums.sum(axis=0) / total
    between = np.sum(counts[:, np.newaxis] / total * (means - centre) ** 2, axis=0)
    changes = None
    if moments.points is not None:
        within = _rows_spread(moments.points, kept, means, total)
        if moments.shifted:
            changes = _rows_spread(moments.shifted, kept, np.zeros_like(means), total)
    else:
        weighted = means * np.sqrt(counts)[:, np.newaxis]
        second = _all_but(totals.seconds, moments.seconds, without)
        second -= weighted.T @ weighted
        within = _Spread(
            np.divide(second, total, dtype=dtype, casting="same_kind"), None
        )
        if moments.shifts is not None:
            shifts = _all_but(totals.shifts, moments.shifts, without)
            changes = _Spread(np.divide(shifts, total, dtype=dtype), None)
    return _Estimate(means, present, within, changes, between)


def _all_but(total: Any, parts: Any, without: int | None) -> NDArray[Any]:
    """Return the sum of all matrices but one, as a copy."""
    return np.array(total) if without is None else np.asarray(total - parts[without])


def _rows_spread(
    parts: _Rows,
    kept: NDArray[np.bool_],
    centres: NDArray[np.float64],
    total: float,
) -> _Spread:
    """Return the covariance of rows about the centres of their classes."""
    residuals = [
        points - centres[classes] for points, classes, fold in parts if kept[fold]
    ]
    rows = np.concatenate([np.empty((0, centres.shape[1])), *residuals])
    return _Spread(None, rows / np.sqrt(total))


def _solve(
    estimate: _Estimate, widths: Sequence[int], setting: Setting
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return weights `(classes, depth)` and bias `(classes,)` for one setting."""
    means, present = estimate.means, estimate.present
    within = estimate.within.plus(estimate.changes, setting.emphasis)
    variances = within.variances
    target = _target(variances, estimate.within.variances + estimate.between, widths)
    centre = means[present].mean(axis=0)
    differences = (means - centre).T
    weights = _divided(within, target, setting.shrinkage, differences).T
    bias = -0.5 * np.sum((means + centre) * weights, axis=1)
    weights[~present] = 0.0
    bias[~present] = bias[present].min() if present.any() else 0.0
    return weights, bias


def _divided(
    within: _Spread,
    target: NDArray[np.float64],
    shrinkage: float,
    differences: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return `inv(C) d`, C the shrunk covariance, of `(depth, classes)` differences."""
    if shrinkage == 1:
        return np.asarray(differences / target[:, np.newaxis])
    if within.matrix is not None:
        covariance = within.matrix * within.matrix.dtype.type(1.0 - shrinkage)
        covariance.flat[:: len(target) + 1] += shrinkage * target
        return _cholesky_solved(covariance, differences)
    # With x = z sqrt(target), C is s I + (1 - s) R'R there, and by the matrix inversion
    # lemma inv(C) d = (d - R' inv(s / (1 - s) I + RR') R d) / s: as large as there are
    # pictures.
    root = np.sqrt(target)[:, np.newaxis]
    residuals = np.asarray(within.rows) / root.T
    scaled = differences / root
    inner = residuals @ residuals.T
    inner[np.diag_indices(len(inner))] += shrinkage / (1.0 - shrinkage)
    solved = _cholesky_solved(inner, residuals @ scaled)
    return np.asarray((scaled - residuals.T @ solved) / shrinkage / root)


def shrunk_covariance(
    moments: Moments, widths: Sequence[int], setting: Setting, without: int | None
) -> Covariance:
    """Return the covariance that a discriminant of all folds but one is solved with.

    Args:
        moments: Of all folds.
        widths: Depths of the bottleneck's parts.
        setting: Of the discriminant.
        without: The fold that is left out; None for none.
    """
    estimate = _estimate(moments, without, _Totals.of(moments), np.float64)
    kept = np.arange(len(moments.counts)) != (-1 if without is None else without)
    within = estimate.within.plus(estimate.changes, setting.emphasis)
    variances, share = within.variances, 1.0 - setting.shrinkage
    target = _target(variances, estimate.within.variances + estimate.between, widths)
    added = setting.shrinkage * target

    def times(block: NDArray[np.float64]) -> NDArray[np.float64]:
        return share * within.times(block) + added[:, np.newaxis] * block

    return Covariance(
        estimate.means,
        moments.counts[kept].sum(axis=0),
        share * variances + added,
        target,
        times,
    )


def _cholesky_solved(
    matrix: NDArray[np.floating[Any]], columns: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return `inv(matrix) columns` of a positive definite matrix, which is lost."""
    from scipy.linalg import cho_factor, cho_solve

    # Transposed it is the same, and in the order that LAPACK takes without a copy.
    factor = cho_factor(matrix.T, lower=True, overwrite_a=True, check_finite=False)
    narrow = columns.astype(matrix.dtype)
    return np.asarray(cho_solve(factor, narrow, check_finite=False), np.float64)


def _target(
    within: NDArray[np.float64], variances: NDArray[np.float64], widths: Sequence[int]
) -> NDArray[np.float64]:
    """Return the variances that the covariance is shrunk towards, `(depth,)`.

    In a part that varies more all weights would be small if the target were one number
    for all parts. So parts are made to vary alike; the average variance within classes
    is kept.

    Args:
        within: Variances within classes, `(depth,)`.
        variances: Among all pictures, likewise.
        widths: Depths of the parts.
    """
    parts = np.split(variances, np.cumsum(widths)[:-1])
    sizes = np.array([part.sum() for part in parts])
    sizes = np.maximum(sizes, LEAST_SHARE * sizes.mean())
    if not sizes.any():  # all pictures are the same
        return np.ones(len(variances))
    target = np.repeat(sizes, widths)
    share = float(np.mean(within / target))
    # Pictures of one class may all be the same: then those of all classes tell.
    share = max(share, LEAST_SHARE * float(np.mean(variances / target)))
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
