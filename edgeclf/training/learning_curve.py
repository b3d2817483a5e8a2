"""Would more pictures help? Accuracy by the number of pictures that a head has seen.

All pictures are dealt to folds. A fold is named by discriminants that have seen one,
two, four or eight of the others: so every picture is scored by heads that have not seen
it, at every size. The bottlenecks are there already, one view of each picture, and
the discriminants are those of `discriminant`: the curve costs fractions of a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from edgeclf.evaluation.metrics import NORMAL_QUANTILE, wilson_interval
from edgeclf.interpreter import num_processors
from edgeclf.training import discriminant
from edgeclf.training.folds import deal_folds
from edgeclf.training.moments import Moments
from edgeclf.training.trials import DEFAULT_SHRINKAGE

# One fold to be scored and the others to learn from, so that sizes double. Of many
# pictures five folds tell as much as nine, in less time and memory.
FOLDS, FEW_FOLDS = 9, 5
SIZES = {FOLDS: (1, 2, 4, 6, 8), FEW_FOLDS: (1, 2, 4)}  # folds learned from
# Choices of these folds at most, for each fold that is scored.
DRAWS = {FOLDS: 2, FEW_FOLDS: 1}
MAX_MISSING = 0.005  # of the pictures: less than a gain that matters
LEAST_GAIN = 0.01  # accuracy that a doubling of the pictures should be worth


class LearningCurve(NamedTuple):
    """How accuracy rises with the number of pictures.

    Attributes:
        num_train: Mean number of pictures that the heads have seen, by size.
        right: For each size and picture the share of heads that name it rightly,
            `(sizes, n)`.
        halves: Positions of the last size and of half of it; None if half is missing.
    """

    num_train: Sequence[float]
    right: NDArray[np.float64]
    halves: tuple[int, int] | None

    def describe(self) -> dict[str, Any]:
        """Return points with 95 % intervals and the verdict, for JSON."""
        count = self.right.shape[1]
        points = []
        for number, right in zip(self.num_train, self.right, strict=True):
            share = float(right.mean())
            low, high = wilson_interval(share * count, count)
            points.append(
                {
                    "num_train": round(number),
                    "accuracy": share,
                    "low": low,
                    "high": high,
                }
            )
        return {"points": points, "num": count, "views": 1, "verdict": self.verdict}

    @property
    def gain(self) -> tuple[float, float] | None:
        """Accuracy won by the last doubling, and half its 95 % interval.

        Both sizes name the same pictures: only what changes from one to the other
        counts, not that some pictures are harder.
        """
        if self.halves is None:
            return None
        last, half = self.halves
        won = self.right[last] - self.right[half]
        error = float(won.std(ddof=1)) / len(won) ** 0.5
        return float(won.mean()), NORMAL_QUANTILE * error

    @property
    def verdict(self) -> str:
        """One or two sentences on whether more pictures would help."""
        if self.gain is None or self.halves is None:
            return "There are too few pictures to tell whether more would help."
        gain, noise = self.gain
        last, half = self.halves
        words = (
            f"From {self.num_train[half]:.0f} to {self.num_train[last]:.0f} pictures, "
            f"accuracy changes by {100 * gain:+.1f} points (give or take "
            f"{100 * noise:.1f}; one view of each picture)."
        )
        if gain - noise > 0 and gain >= LEAST_GAIN:
            return (
                f"More pictures would probably help. {words} A doubling tends to bring "
                "less than the one before."
            )
        if gain + noise < LEAST_GAIN:
            return f"More pictures of the same kind would hardly help. {words}"
        return (
            f"Whether more pictures would help cannot be told from so few. {words} "
            "That may be chance."
        )


def learning_curve(
    bottlenecks: NDArray[np.float32],
    classes: NDArray[np.intp],
    groups: NDArray[np.intp],
    digests: Sequence[bytes],
    widths: Sequence[int],
    num_workers: int | None = None,
) -> LearningCurve | None:
    """Score all pictures by heads that have seen more and more of the others.

    Args:
        bottlenecks: float32 `(n, depth)`, one view of each picture.
        classes: Class of each.
        groups: A number for each: near-duplicates share one, and stay together.
        digests: SHA-256 of each: they decide the folds.
        widths: Depths of the bottleneck's parts.
        num_workers: Threads; None for one per processor.

    Returns:
        The curve; None when there are no two sizes. Sizes are left out at which heads
        do not know the classes of more than `MAX_MISSING` of the pictures: there it is
        not the number of pictures that counts.
    """
    dealt = _deal(bottlenecks, classes, groups, digests)
    sizes = [
        size for size in SIZES[dealt.num_folds] if dealt.missing(size) <= MAX_MISSING
    ]
    if len(sizes) < 2:
        return None

    def score(fold: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        rows = np.flatnonzero(dealt.folds == fold)
        right = np.zeros((len(sizes), len(rows)))
        for place, size in enumerate(sizes):
            choices = dealt.choices(fold, size)
            for learned in choices:
                weights, bias = discriminant.solve(
                    dealt.moments.together(learned),
                    widths,
                    DEFAULT_SHRINKAGE,
                )
                logits = bottlenecks[rows] @ weights.T + bias
                right[place] += (logits.argmax(axis=1) == classes[rows]) / len(choices)
        return rows, right

    right = np.zeros((len(sizes), len(classes)))
    with (
        threadpool_limits(1, user_api="blas"),
        ThreadPoolExecutor(num_workers or num_processors()) as executor,
    ):
        for rows, part in executor.map(score, range(dealt.num_folds)):
            right[:, rows] = part
    num_train = [dealt.mean_count(size) for size in sizes]
    half = sizes[-1] // 2
    halves = (len(sizes) - 1, sizes.index(half)) if half in sizes else None
    return LearningCurve(num_train, right, halves)


@dataclass(frozen=True)
class _Dealt:
    """Pictures that are dealt to folds.

    Attributes:
        folds: The fold of each.
        num_folds: How many there are.
        moments: Of all folds.
    """

    folds: NDArray[np.intp]
    num_folds: int
    moments: Moments

    def choices(self, fold: int, size: int) -> list[list[int]]:
        """Return folds to learn from: a choice or more that share none."""
        others = [(fold + step) % self.num_folds for step in range(1, self.num_folds)]
        draws = min(DRAWS[self.num_folds], len(others) // size)
        return [others[draw * size : (draw + 1) * size] for draw in range(draws)]

    def missing(self, size: int) -> float:
        """Return the share of pictures whose class heads of that size do not know."""
        counts = self.moments.counts
        missed = 0.0
        for fold in range(self.num_folds):
            choices = self.choices(fold, size)
            for some in choices:
                known = counts[some].any(axis=0)
                missed += counts[fold, ~known].sum() / len(choices)
        return float(missed / counts.sum())

    def mean_count(self, size: int) -> float:
        """Return how many pictures a choice of that size has."""
        counts = self.moments.counts
        sums = [
            counts[some].sum()
            for fold in range(self.num_folds)
            for some in self.choices(fold, size)
        ]
        return float(np.mean(sums))


def _deal(
    bottlenecks: NDArray[np.float32],
    classes: NDArray[np.intp],
    groups: NDArray[np.intp],
    digests: Sequence[bytes],
) -> _Dealt:
    count, depth = bottlenecks.shape
    num_folds = FOLDS if count < depth else FEW_FOLDS
    folds = deal_folds(classes, groups, digests, num_folds)
    num_classes = int(classes.max()) + 1
    moments = Moments.of(bottlenecks, classes, folds, num_folds, num_classes)
    return _Dealt(folds, num_folds, moments)
