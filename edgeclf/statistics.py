"""How pictures of each class spread in bottleneck space, as a model file carries it.

A small table beside the record: the mean bottleneck of each class, and one covariance
within classes for all of them, which says what differences between two pictures of a
class are usual. With it the distance of a picture to a class is known, and a class can
be added to a model whose pictures are gone.
"""

from __future__ import annotations

import math
import struct
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgeclf.errors import ModelError
from edgeclf.tflite.attached_files import AttachedFiles
from edgeclf.tflite.flatbuffer import damage_reported

STATISTICS_NAME = "edgeclf.statistics"

# Header: signature, classes, depth, rank, background means (0 or 1), scale of the
# variances. All little-endian.
_HEADER = struct.Struct("<4s4If")
_SIGNATURE = b"ECS1"
_MOST_LEVELS = 127  # of int8
_MOST_HALF = 32768.0  # what the largest variance is stored as, float16
_LEAST_HALF = 2.0**-24  # the smallest float16 above 0
_MOST_CORRELATION = 1e9  # of a factor with itself: beyond, float64 cannot solve it


class Statistics(NamedTuple):
    """Means of the classes, and the covariance within them.

    The covariance is `diag(variances) + factors.T @ factors`, shrunk as the head's was:
    what bottlenecks do together lies in few directions, the factors.

    Attributes:
        means: Mean bottleneck of each class, float32 `(classes, depth)`.
        counts: Pictures behind each mean, float32 `(classes,)`. 0: the class has none,
            its mean says nothing.
        variances: float32 `(depth,)`, above 0.
        factors: float32 `(rank, depth)`.
        background: Mean of pictures of no class, float32 `(depth,)`; None without any.
    """

    means: NDArray[np.float32]
    counts: NDArray[np.float32]
    variances: NDArray[np.float32]
    factors: NDArray[np.float32]
    background: NDArray[np.float32] | None = None

    def solve(self, differences: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return `inv(covariance) @ d` for each of the differences.

        Source: the matrix inversion lemma (Woodbury), with D the diagonal and F the
        factors: inv(D + F'F) d = inv(D) d - inv(D) F' inv(I + F inv(D) F') F inv(D) d.

        Args:
            differences: Between bottlenecks, `(n, depth)`.

        Returns:
            `(n, depth)`.
        """
        factors = self.factors.astype(np.float64)
        scaled = factors / self.variances
        divided = np.asarray(differences, np.float64) / self.variances
        inner = scaled @ factors.T
        inner[np.diag_indices(len(inner))] += 1.0
        along = np.linalg.solve(inner, factors @ divided.T)  # (rank, n)
        return np.asarray(divided - along.T @ scaled)

    def distances(self, bottlenecks: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the squared Mahalanobis distance to the mean of each class.

        Args:
            bottlenecks: One `(depth,)`, or several `(n, depth)`.

        Returns:
            `(classes,)` or `(n, classes)`; infinite to a class without pictures.
        """
        squares = self._squares(bottlenecks, self.means)
        squares = np.where(self.counts > 0, squares, math.inf)
        return squares if np.ndim(bottlenecks) == 2 else np.asarray(squares[0])

    def lean(self, bottlenecks: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return how much nearer the background's mean is than that of any class.

        The difference of the squared distances, which is linear in the bottleneck
        between two means: a discriminant with the background as one more class.

        Args:
            bottlenecks: Several, `(n, depth)`.

        Returns:
            `(n,)`; above 0 where the background is nearer.

        Raises:
            ValueError: There is no background.
        """
        if self.background is None:
            raise ValueError("Expected statistics with a background. Received: none.")
        far = self._squares(bottlenecks, self.background[np.newaxis])[:, 0]
        return np.asarray(self.distances(bottlenecks).min(axis=1) - far)

    def _squares(
        self, bottlenecks: NDArray[np.floating], places: NDArray[np.float32]
    ) -> NDArray[np.float64]:
        """Return squared distances `(n, m)` of bottlenecks to places `(m, depth)`."""
        # (x - m)' A (x - m) = x'Ax - 2 x'Am + m'Am, with both measured from the
        # middle: numbers far from 0 would leave few digits of the difference.
        means = places.astype(np.float64)
        middle = means.mean(axis=0)
        means -= middle
        points = np.atleast_2d(np.asarray(bottlenecks, np.float64)) - middle
        solved = self.solve(np.concatenate([points, means]))
        of_points, of_means = solved[: len(points)], solved[len(points) :]
        squares = np.sum(points * of_points, axis=1)[:, np.newaxis]
        squares = squares - 2.0 * points @ of_means.T
        squares += np.sum(means * of_means, axis=1)
        return np.asarray(np.maximum(squares, 0.0))


def read_statistics(content: bytes) -> Statistics | None:
    """Return the statistics that a model file carries.

    Args:
        content: The whole file.

    Returns:
        None for a file without any.

    Raises:
        ModelError: They are damaged.
    """
    with damage_reported():
        files = AttachedFiles(content)
        if STATISTICS_NAME not in files:
            return None
        return unpack(files.read(STATISTICS_NAME))


def pack(statistics: Statistics) -> bytes:
    """Return statistics as they lie in the file: 8 bits a number, 16 for a variance.

    Means and factors are stored in units of the square root of the variances, so that
    parts of a bottleneck that are small keep their digits, with a scale for each row.

    Raises:
        ValueError: The arrays do not fit together, are not finite, or a variance is
            not above 0.
    """
    means, counts, variances, factors, background = statistics
    depth = len(variances)
    strange = np.zeros((0, depth)) if background is None else background[np.newaxis]
    fits = means.shape == (len(counts), depth) and factors.shape[1:] == (depth,)
    parts = (means, counts, variances, factors, strange)
    is_finite = all(np.isfinite(part).all() for part in parts)
    if not fits or strange.shape[1:] != (depth,) or not is_finite:
        raise ValueError(
            "Expected finite means (classes, depth), counts (classes,), variances "
            "(depth,) and factors (rank, depth). Received: shapes "
            f"{', '.join(str(part.shape) for part in parts)}."
        )
    if variances.min(initial=math.inf) <= 0:
        raise ValueError(
            f"Expected variances above 0. Received: {variances.min(initial=0)}."
        )
    scale = float(np.float32(variances.max() / _MOST_HALF))
    halves = np.maximum(variances / scale, _LEAST_HALF).astype("<f2")
    roots = np.sqrt(halves.astype(np.float64) * scale)
    sizes = (len(means), depth, len(factors), len(strange))
    header = _HEADER.pack(_SIGNATURE, *sizes, scale)
    packed = [header, counts.astype("<f4").tobytes(), halves.tobytes()]
    for rows in (means / roots, factors / roots, strange / roots):
        scales = np.abs(rows).max(axis=1, keepdims=True, initial=0.0) / _MOST_LEVELS
        scales = np.maximum(scales, np.finfo(np.float32).tiny).astype("<f4")
        levels = np.rint(rows / scales).clip(-_MOST_LEVELS, _MOST_LEVELS)
        packed += [scales.tobytes(), levels.astype(np.int8).tobytes()]
    return b"".join(packed)


def unpack(data: bytes) -> Statistics:
    """Return what `pack` wrote.

    Raises:
        ModelError: It is damaged.
    """
    if len(data) < _HEADER.size or data[:4] != _SIGNATURE:
        raise _damaged("another beginning")
    _, classes, depth, rank, strange, scale = _HEADER.unpack_from(data)
    rows = classes + rank + strange
    size = _HEADER.size + 4 * classes + 2 * depth + (4 + depth) * rows
    if not depth or strange > 1 or len(data) != size:
        raise _damaged(f"{len(data)} bytes where {size} follow from its sizes")
    place = _HEADER.size

    def take(dtype: str, count: int) -> NDArray[np.float64]:
        nonlocal place
        values = np.frombuffer(data, dtype, count, place)
        place += values.nbytes
        return values.astype(np.float64)

    counts = take("<f4", classes)
    limit = float(np.finfo(np.float32).max)
    variances = take("<f2", depth) * scale
    is_known = (variances > 0) & (variances < limit)
    if not is_known.all() or variances.astype(np.float32).min() <= 0:
        raise _damaged("variances that are not above 0, or not finite")
    roots = np.sqrt(variances)

    def take_rows(count: int) -> NDArray[np.float64]:
        scales = take("<f4", count)[:, np.newaxis]
        return scales * take("i1", count * depth).reshape(count, depth)

    means, factors, background = map(take_rows, (classes, rank, strange))
    spread = np.square(factors).sum(axis=1)
    if not (spread < _MOST_CORRELATION).all():  # nor NaN
        raise _damaged("factors that are too large")
    limit = float(np.finfo(np.float32).max)
    all_means = np.concatenate([means, background]) * roots
    is_known = (counts >= 0) & (counts < limit)
    if not (np.abs(all_means) < limit).all() or not is_known.all():
        raise _damaged("means or counts that are not finite")
    return Statistics(
        np.asarray(all_means[:classes], np.float32),
        np.asarray(counts, np.float32),
        np.asarray(variances, np.float32),
        np.asarray(factors * roots, np.float32),
        np.asarray(all_means[-1], np.float32) if strange else None,
    )


def _damaged(found: str) -> ModelError:
    return ModelError(
        f"The attached file {STATISTICS_NAME} is damaged. Received: {found}. "
        "Copy the model again."
    )
