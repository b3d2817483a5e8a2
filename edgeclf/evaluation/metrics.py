"""What a classifier's answers on held-out pictures say about it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

NORMAL_QUANTILE = 1.959964  # 97.5 %: a two-sided interval of 95 %
_LEAST_PROBABILITY = 1e-7  # a quantized score may be 0


@dataclass(frozen=True)
class Evaluation:
    """Scores on pictures whose class is known.

    Attributes:
        scores: float32 `(n, num_classes)`, in [0, 1].
        classes: True class of each, int `(n,)`.
        names: Name of each picture.
        unknown: Whether the model's rule takes each for unknown, bool `(n,)`; None
            for a model without such a rule.
    """

    scores: NDArray[np.float32]
    classes: NDArray[np.intp]
    names: Sequence[str]
    unknown: NDArray[np.bool_] | None = None

    @property
    def predicted(self) -> NDArray[np.intp]:
        """Class with the highest score, `(n,)`; the first of equals."""
        return np.asarray(self.scores.argmax(axis=1), np.intp)

    @property
    def accuracy(self) -> float:
        """Share of pictures whose highest score is the true class, in [0, 1]."""
        return float(np.mean(self.predicted == self.classes))

    @property
    def cross_entropy(self) -> float:
        """Mean negative log-probability of the true class, in nats."""
        picked = self.scores[np.arange(len(self.classes)), self.classes]
        return float(0.0 - np.mean(np.log(np.maximum(picked, _LEAST_PROBABILITY))))

    @property
    def confusion_matrix(self) -> NDArray[np.int64]:
        """Counts `(num_classes, num_classes)`: rows true, columns predicted."""
        size = self.scores.shape[1]
        flat = np.bincount(self.classes * size + self.predicted, minlength=size * size)
        return flat.reshape(size, size).astype(np.int64)

    def describe_reject(self) -> dict[str, Any] | None:
        """Return what the rule does to these pictures; None without a rule.

        `coverage` is the share that it keeps, `accuracy` that of the kept ones.
        """
        if self.unknown is None:
            return None
        kept = ~self.unknown
        right = (self.predicted == self.classes) & kept
        return {
            "coverage": _ratio(int(kept.sum()), len(kept)),
            "accuracy": _ratio(int(right.sum()), int(kept.sum())),
        }

    @property
    def f1(self) -> list[float | None]:
        """F1 of each class; None for one without pictures, as its recall is unknown.

        Source: C. J. van Rijsbergen, Information Retrieval, 2nd ed. (1979), 7: the
        harmonic mean of precision and recall.
        """
        matrix = self.confusion_matrix
        # 2 * true positives / (2 * true positives + false positives + negatives)
        wholes = matrix.sum(axis=0) + matrix.sum(axis=1)
        return [
            _ratio(2 * right, whole) if there else None
            for right, whole, there in zip(
                np.diag(matrix), wholes, matrix.sum(axis=1), strict=True
            )
        ]

    @property
    def macro_f1(self) -> float:
        """Mean F1 of the classes that have pictures: small ones count like large ones.

        What is taken for a class without pictures costs the others' recall.
        """
        return float(np.mean([share for share in self.f1 if share is not None]))

    def describe(self, labels: Sequence[str]) -> dict[str, Any]:
        """Return the figures as plain values for JSON."""
        matrix, f1 = self.confusion_matrix, self.f1
        low, high = wilson_interval(int(np.trace(matrix)), len(self.classes))
        return {
            "accuracy": self.accuracy,
            "accuracy_interval_95": [low, high],
            "macro_f1": self.macro_f1,
            "cross_entropy": self.cross_entropy,
            "confusion_matrix": matrix.tolist(),
            "per_class": [
                {
                    "label": label,
                    "num_test": int(matrix[index].sum()),
                    "precision": _ratio(matrix[index, index], matrix[:, index].sum()),
                    "recall": _ratio(matrix[index, index], matrix[index].sum()),
                    "recall_interval_95": _interval(
                        matrix[index, index], matrix[index].sum()
                    ),
                    "f1": f1[index],
                }
                for index, label in enumerate(labels)
            ],
        }


def wilson_interval(successes: float, trials: int) -> tuple[float, float]:
    """Return the 95 % interval of a proportion, both ends in [0, 1].

    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical
    inference", JASA 22 (1927).
    """
    share, square = successes / trials, NORMAL_QUANTILE**2
    centre = (share + square / (2 * trials)) / (1 + square / trials)
    spread = (
        NORMAL_QUANTILE
        / (1 + square / trials)
        * math.sqrt(share * (1 - share) / trials + square / (4 * trials**2))
    )
    # Exactly 0 and 1 where none or all are right: rounding would leave a trace.
    low = max(0.0, centre - spread) if successes > 0 else 0.0
    return low, min(1.0, centre + spread) if successes < trials else 1.0


def _ratio(part: int, whole: int) -> float | None:
    return float(part / whole) if whole else None


def _interval(part: int, whole: int) -> list[float] | None:
    return list(wilson_interval(part, whole)) if whole else None
