"""Fit the head by shrunk linear discriminant analysis.

All that it needs of the pictures are moments. As these are kept fold by fold, the
pictures of a fold can be scored by a head that has seen none of them: that chooses how
much is shrunk and how much views count, and the temperature that makes scores
probabilities.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from edgeclf.training.estimate import Estimate, Totals, estimate_from
from edgeclf.training.head import FittedHead, Head, LabelledBottlenecks
from edgeclf.training.moments import Moments
from edgeclf.training.shrinkage import Setting, weights_and_bias
from edgeclf.training.temperature import sharpness_of
from edgeclf.training.trials import DISCRIMINANT, Trial, Trials


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
    # Imported here: it takes longer than all else here. And before threads
    # are limited, else its BLAS takes all there are.
    import scipy.linalg  # noqa: F401

    with threadpool_limits(1, user_api="blas"):
        trials = Trials(moments, scored, folds, widths)
        chosen = trials.search(kinds)
        estimate = estimate_from(moments, None, trials.totals, np.float64)
        return [
            _fitted(
                trial,
                estimate,
                HeldOut(moments, scored, folds, trial.setting),
                widths,
                folds == validation_fold,
            )
            for trial in chosen
        ]


def _fitted(
    trial: Trial,
    estimate: Estimate,
    held_out: HeldOut,
    widths: Sequence[int],
    is_validation: NDArray[np.bool_],
) -> FittedHead:
    """Return the head of one setting with its temperature divided out."""
    weights, bias = weights_and_bias(estimate, widths, trial.setting)
    scored, sharpness = held_out.scored, trial.sharpness
    if sharpness is None:  # its own pictures are all that there is to judge by
        logits = scored.bottlenecks @ weights.T + bias
        sharpness = sharpness_of(logits, scored.classes)
    return FittedHead.scored_by_folds(
        Head(
            (weights * sharpness).astype(np.float32),
            (bias * sharpness).astype(np.float32),
        ),
        np.asarray(trial.logits * sharpness, np.float32),
        scored.classes,
        is_validation,
        shrinkage=trial.setting.shrinkage,
        emphasis=trial.setting.emphasis if held_out.moments.has_views else None,
        temperature=1 / sharpness,
        class_weights="balanced",
        held_out=held_out,
    )


def solve(
    moments: Moments, widths: Sequence[int], shrinkage: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return weights `(classes, depth)` and bias `(classes,)` for all folds together.

    Args:
        moments: Of the pictures.
        widths: Depths of the bottleneck's parts.
        shrinkage: See `fit`.
    """
    estimate = estimate_from(moments, None, Totals.of(moments), np.float64)
    return weights_and_bias(estimate, widths, Setting(shrinkage, 0.0))


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
        shrinkage: None for the one with the least cross-entropy.
    """
    with threadpool_limits(1, user_api="blas"):
        trials = Trials(moments, scored, folds, widths)
        if shrinkage is None:
            (trial,) = trials.search([DISCRIMINANT])
        else:
            trial = trials.only(Setting(shrinkage, 0.0))
    return trial.logits * (trial.sharpness or 1.0)
