"""How pictures of each class spread in bottleneck space, as a model file carries it.

A small table beside the record: the mean bottleneck of each class, and one covariance
within classes for all of them, which says what differences between two pictures of a
class are usual. With it the distance of a picture to a class is known, and a class can
be added to a model whose pictures are gone.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
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
_LIMIT = float(np.finfo(np.float32).max)
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


class Distances:
    """Squared Mahalanobis distances to the means, which are solved for once.

    Args:
        statistics: Of the classes, and of the background if there is any.
        scales: What the distance to each class is divided by, above 0, `(classes,)`.
            None for 1.
    """

    def __init__(
        self, statistics: Statistics, scales: Sequence[float] | None = None
    ) -> None:
        self._statistics = statistics
        self._squared_scales = np.ones(len(statistics.means))
        if scales is not None:
            self._squared_scales = np.square(np.asarray(scales, np.float64))
        places = statistics.means.astype(np.float64)
        if statistics.background is not None:
            places = np.concatenate([places, statistics.background[np.newaxis]])
        # (x - m)' A (x - m) = x'Ax - 2 x'Am + m'Am, with both measured from the
        # middle: numbers far from 0 would leave few digits of the difference.
        self._middle = places.mean(axis=0)
        places -= self._middle
        self._solved = statistics.solve(places)
        self._own = np.sum(places * self._solved, axis=1)

    def squares(self, bottlenecks: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the squared distance to each mean, by the class's scale.

        Args:
            bottlenecks: Several, `(n, depth)`.

        Returns:
            `(n, classes)`, or one more for the background; infinite to a class without
            pictures.
        """
        points = np.asarray(bottlenecks, np.float64) - self._middle
        squares = np.sum(points * self._statistics.solve(points), axis=1)
        squares = squares[:, np.newaxis] - 2.0 * points @ self._solved.T + self._own
        squares = np.maximum(squares, 0.0)
        squares[:, : len(self._squared_scales)] /= self._squared_scales
        squares[:, np.flatnonzero(self._statistics.counts == 0)] = math.inf
        return np.asarray(squares)

    def nearest(
        self, bottlenecks: NDArray[np.floating]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the distance to the nearest class, and the lean to the background.

        The lean is how much nearer the background's mean is than that of any class: the
        difference of the squared distances, which is linear in the bottleneck between
        two means. It is a discriminant with the background as one more class.

        Args:
            bottlenecks: Several, `(n, depth)`.

        Returns:
            The distances, `(n,)`, in standard deviations; the leans, `(n,)`, above 0
            where the background is nearer, 0 without a background.
        """
        squares = self.squares(bottlenecks)
        least = squares[:, : len(self._statistics.means)].min(axis=1)
        if self._statistics.background is None:
            return np.sqrt(least), np.zeros(len(least))
        return np.sqrt(least), least - squares[:, -1]


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


@np.errstate(invalid="ignore", over="ignore")  # what comes of it is refused
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
    # More factors than numbers describe nothing, and would take more memory to solve.
    if not depth or strange > 1 or rank > depth or len(data) != size:
        raise _damaged(
            f"{len(data)} bytes where {size} follow from the sizes {classes}, {depth}, "
            f"{rank} and {strange}"
        )
    place = _HEADER.size

    def take(dtype: str, count: int) -> NDArray[np.float64]:
        nonlocal place
        values = np.frombuffer(data, dtype, count, place)
        place += values.nbytes
        return values.astype(np.float64)

    counts = take("<f4", classes)
    variances = take("<f2", depth) * scale
    is_known = (variances > 0) & (variances < _LIMIT)
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
    all_means = np.concatenate([means, background]) * roots
    is_known = (counts >= 0) & (counts < _LIMIT)
    if not (np.abs(all_means) < _LIMIT).all() or not is_known.all():
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
