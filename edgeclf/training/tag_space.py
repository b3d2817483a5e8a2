"""The space in which heads of tags are short: where unlike numbers count alike.

The penalty of a head is the squared length of its weights there. Every part of the
bottleneck varies alike, whatever its depth and size, and a direction in which views of
one picture differ is a long way to go: what is cropped or lit otherwise keeps its tags.

Source: C. M. Bishop, "Training with noise is equivalent to Tikhonov regularization",
Neural Computation 7 (1995): what views change, as a penalty.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeclf.training.head import ROWS_AT_ONCE, Head
from edgeclf.training.shrinkage import part_sizes

LEAST_EIGENVALUE = 1e-7  # of the largest: below is what float32 leaves of nothing


@dataclass(frozen=True)
class Space:
    """Pictures as points, along axes by which they are uncorrelated.

    Attributes:
        points: float32 `(n, axes)`, about their mean.
        spreads: Sum of squares along each axis, `(axes,)`.
        basis: `points = (bottlenecks - mean) @ basis`, `(depth, axes)`.
        mean: Of the bottlenecks, `(depth,)`.
    """

    points: NDArray[np.float32]
    spreads: NDArray[np.float64]
    basis: NDArray[np.float64]
    mean: NDArray[np.float64]

    def head(self, weights: NDArray[np.float64], bias: NDArray[np.float64]) -> Head:
        """Return weights `(tags, axes)` and biases as those of the bottlenecks."""
        own = weights @ self.basis.T
        return Head(own.astype(np.float32), (bias - own @ self.mean).astype(np.float32))


class Pictures:
    """Bottlenecks, and what is known of them however much views count.

    Args:
        bottlenecks: float32 `(n, depth)`; stays as it is.
        rows: Which of them, in the order that points are wanted in.
        widths: Depths of the bottleneck's parts.
        changes: Second moment of what views change, `(depth, depth)`, up to a factor;
            None without views.
    """

    def __init__(
        self,
        bottlenecks: NDArray[np.float32],
        rows: NDArray[np.intp],
        widths: Sequence[int],
        changes: NDArray[np.float32] | None = None,
    ) -> None:
        self._bottlenecks, self._rows = bottlenecks, rows
        depth = bottlenecks.shape[1]
        total, squares = np.zeros(depth), np.zeros(depth)
        for block in self._blocks():
            total += block.sum(axis=0)
        self._mean = total / len(rows)
        for block in self._blocks():
            squares += np.square(block - self._mean).sum(axis=0)
        sizes = part_sizes(squares / len(rows), widths)
        self._scales = np.sqrt(sizes) if sizes.any() else np.ones(depth)
        self._changes = None
        if changes is not None:
            relative = changes / np.multiply.outer(self._scales, self._scales)
            average = float(np.trace(relative)) / depth
            self._changes = relative / average if average > 0 else None
        self._products: NDArray[np.float64] | None = None

    @property
    def has_views(self) -> bool:
        """Whether there is anything that views have changed."""
        return self._changes is not None

    def space(self, emphasis: float) -> Space:
        """Return the space where what views change counts so much.

        Args:
            emphasis: 0 for nothing; at 1 a direction in which views differ as they do
                on the average counts twice.
        """
        from scipy.linalg import eigh

        shortening = self._shortening(emphasis)  # (depth, depth)
        if len(self._rows) < len(self._mean):
            # So few pictures span no more dimensions than there are of them.
            points = self._bottlenecks[self._rows].astype(np.float64) - self._mean
            points = points @ shortening
            spreads, turns = eigh(points @ points.T, check_finite=False)
            known = spreads > max(LEAST_EIGENVALUE * spreads[-1], 0.0)
            spreads, turns = spreads[known], turns[:, known]
            sizes = np.sqrt(spreads)
            basis = shortening @ (points.T @ (turns / sizes))
            return Space((turns * sizes).astype(np.float32), spreads, basis, self._mean)
        products = shortening.T @ self._all_products() @ shortening
        spreads, turns = eigh(products, check_finite=False)
        known = spreads > max(LEAST_EIGENVALUE * spreads[-1], 0.0)
        basis = shortening @ turns[:, known]
        return Space(self._turned(basis), spreads[known], basis, self._mean)

    def _shortening(self, emphasis: float) -> NDArray[np.float64]:
        """Return what takes bottlenecks to where all directions count alike."""
        from scipy.linalg import cholesky
        from scipy.linalg.lapack import dtrtri

        if not emphasis or self._changes is None:
            return np.diag(1.0 / self._scales)
        metric = emphasis * self._changes
        metric[np.diag_indices(len(metric))] += 1.0
        factor = cholesky(metric, overwrite_a=True, check_finite=False)
        return np.asarray(dtrtri(factor)[0] / self._scales[:, np.newaxis])

    def _all_products(self) -> NDArray[np.float64]:
        if self._products is None:
            depth = len(self._mean)
            self._products = np.zeros((depth, depth))
            for block in self._blocks():
                block -= self._mean
                self._products += block.T @ block
        return self._products

    def _turned(self, basis: NDArray[np.float64]) -> NDArray[np.float32]:
        turned = np.empty((len(self._rows), basis.shape[1]), np.float32)
        for number, block in enumerate(self._blocks()):
            start = number * ROWS_AT_ONCE
            turned[start : start + len(block)] = (block - self._mean) @ basis
        return turned

    def _blocks(self) -> Iterator[NDArray[np.float64]]:
        for start in range(0, len(self._rows), ROWS_AT_ONCE):
            rows = self._rows[start : start + ROWS_AT_ONCE]
            yield self._bottlenecks[rows].astype(np.float64)
