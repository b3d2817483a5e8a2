"""Counts, sums and second moments of bottlenecks: all that a discriminant is made of.

They add up block by block: any number of views costs one pass and no memory. They are
kept fold by fold, so that a discriminant can be had of all folds but one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from edgeclf.training.head import ROWS_AT_ONCE

Rows = list[tuple[NDArray[np.float64], NDArray[np.intp], int]]


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
        self.points: Rows | None = []
        self.shifted: Rows = []
        self.seconds: NDArray[np.float64] | None = None
        self.shifts: NDArray[np.float32] | None = None

    @classmethod
    def of(
        cls,
        bottlenecks: NDArray[np.float32],
        classes: NDArray[np.intp],
        folds: NDArray[np.intp],
        num_folds: int,
        num_classes: int,
        rows: NDArray[np.intp] | None = None,
    ) -> Moments:
        """Return the moments of pictures.

        Args:
            bottlenecks: Of all pictures, `(n, depth)`.
            classes: Their classes, `(n,)`.
            folds: Their folds, `(n,)`.
            num_folds: Number of folds.
            num_classes: Number of classes.
            rows: Which of the pictures; None for all.
        """
        moments = cls(num_folds, num_classes, bottlenecks.shape[1])
        rows = np.arange(len(classes)) if rows is None else rows
        rows = rows[np.argsort(folds[rows], kind="stable")]  # a fold stands together
        for start in range(0, len(rows), ROWS_AT_ONCE):
            some = rows[start : start + ROWS_AT_ONCE]
            moments.add(bottlenecks[some], classes[some], folds[some])
        return moments

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
