"""Means and covariances of classes, of all folds or of all but one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeclf.training.moments import Moments, Rows

# Of the mean square: variances below it are what float32 leaves of equal numbers.
ROUNDING = 1e-12


@dataclass(frozen=True)
class Spread:
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

    def plus(self, other: Spread | None, factor: float) -> Spread:
        """Return this covariance and `factor` times another of the same form."""
        if other is None or not factor:
            return self
        if self.rows is not None and other.rows is not None:
            rows = np.concatenate([self.rows, other.rows * math.sqrt(factor)])
            return Spread(None, rows)
        changes = np.asarray(other.matrix)
        matrix = changes * changes.dtype.type(factor)
        matrix += self.matrix
        return Spread(matrix, None)


@dataclass(frozen=True)
class Estimate:
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
    within: Spread
    changes: Spread | None
    between: NDArray[np.float64]


@dataclass(frozen=True)
class Totals:
    """Second moments of all folds together, None where there are none."""

    seconds: NDArray[np.float64] | None
    shifts: NDArray[np.float32] | None

    @classmethod
    def of(cls, moments: Moments) -> Totals:
        """Add the folds up."""
        return cls(
            None if moments.seconds is None else moments.seconds.sum(axis=0),
            None if moments.shifts is None else moments.shifts.sum(axis=0),
        )


def estimate_from(
    moments: Moments,
    without: int | None,
    totals: Totals,
    dtype: type[np.floating[Any]],
) -> Estimate:
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
        within = Spread(
            np.divide(second, total, dtype=dtype, casting="same_kind"), None
        )
        if moments.shifts is not None:
            shifts = _all_but(totals.shifts, moments.shifts, without)
            changes = Spread(np.divide(shifts, total, dtype=dtype), None)
    rounding = ROUNDING * float(np.mean(means**2))
    if max(within.variances.max(), between.max()) <= rounding:
        nothing = Spread(None, np.zeros((1, len(centre))))
        return Estimate(means, present, nothing, None, np.zeros_like(centre))
    return Estimate(means, present, within, changes, between)


def _all_but(total: Any, parts: Any, without: int | None) -> NDArray[Any]:
    """Return the sum of all matrices but one, as a copy."""
    return np.array(total) if without is None else np.asarray(total - parts[without])


def _rows_spread(
    parts: Rows,
    kept: NDArray[np.bool_],
    centres: NDArray[np.float64],
    total: float,
) -> Spread:
    """Return the covariance of rows about the centres of their classes."""
    residuals = [
        points - centres[classes] for points, classes, fold in parts if kept[fold]
    ]
    rows = np.concatenate([np.empty((0, centres.shape[1])), *residuals])
    return Spread(None, rows / np.sqrt(total))
