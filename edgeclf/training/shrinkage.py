"""Weights and bias by a covariance that is shrunk towards a round one.

Source: T. Hastie et al., The Elements of Statistical Learning, 2nd ed., 4.3
(discriminant analysis) and 4.3.1 (its regularisation).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeclf.training.covariance import Covariance
from edgeclf.training.estimate import Estimate, Spread, Totals, estimate_from
from edgeclf.training.moments import Moments

LEAST_SHARE = 1e-6  # of the average variance: a part without any is no division by 0


@dataclass(frozen=True)
class Setting:
    """What a discriminant is solved with.

    Attributes:
        shrinkage: Share of the covariance that is replaced by a round one, (0, 1].
        emphasis: How much more than once what views change counts.
    """

    shrinkage: float
    emphasis: float


def weights_and_bias(
    estimate: Estimate, widths: Sequence[int], setting: Setting
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return weights `(classes, depth)` and bias `(classes,)` for one setting."""
    means, present = estimate.means, estimate.present
    within = estimate.within.plus(estimate.changes, setting.emphasis)
    variances = within.variances
    target = target_variances(
        variances, estimate.within.variances + estimate.between, widths
    )
    centre = means[present].mean(axis=0)
    differences = (means - centre).T
    weights = _divided(within, target, setting.shrinkage, differences).T
    bias = -0.5 * np.sum((means + centre) * weights, axis=1)
    weights[~present] = 0.0
    bias[~present] = bias[present].min() if present.any() else 0.0
    return weights, bias


def _divided(
    within: Spread,
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
    estimate = estimate_from(moments, without, Totals.of(moments), np.float64)
    kept = np.arange(len(moments.counts)) != (-1 if without is None else without)
    within = estimate.within.plus(estimate.changes, setting.emphasis)
    variances, share = within.variances, 1.0 - setting.shrinkage
    target = target_variances(
        variances, estimate.within.variances + estimate.between, widths
    )
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


def part_sizes(
    variances: NDArray[np.float64], widths: Sequence[int]
) -> NDArray[np.float64]:
    """Return for each number how much its part varies in all, `(depth,)`.

    Args:
        variances: Of each number, `(depth,)`.
        widths: Depths of the parts.
    """
    parts = np.split(variances, np.cumsum(widths)[:-1])
    sizes = np.array([part.sum() for part in parts])
    return np.repeat(np.maximum(sizes, LEAST_SHARE * sizes.mean()), widths)


def target_variances(
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
    target = part_sizes(variances, widths)
    if not target.any():  # all pictures are the same
        return np.ones(len(variances))
    share = float(np.mean(within / target))
    # Pictures of one class may all be the same: then those of all classes tell.
    share = max(share, LEAST_SHARE * float(np.mean(variances / target)))
    return np.asarray(target * share)
