"""What a multi-label model's answers on held-out pictures say about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 500  # of the pictures: the ends of an interval are known to a tenth of it
_SEED = 0
_AT_ONCE = 1 << 22  # pictures times resamples that are held in memory
# A quantized score is a multiple of 1/256, rounded: its 0 stands for anything up to
# half a step, and no score can be told to be surer than that. Scores of float models
# are limited alike, so that the same graph costs the same before and after.
LEAST_PROBABILITY = 1 / 512


@dataclass(frozen=True)
class TagEvaluation:
    """Scores on pictures whose tags are known.

    The figures are defined as in scikit-learn, with `zero_division=0`.

    Attributes:
        names: Name of each picture.
        targets: Which picture has which tag, bool `(n, tags)`.
        scores: float32 `(n, tags)`, in [0, 1].
        thresholds: A tag is given from this score on, float32 `(tags,)`.

    Raises:
        ValueError: The shapes do not fit together, or a score is not finite.
    """

    names: Sequence[str]
    targets: NDArray[np.bool_]
    scores: NDArray[np.float32]
    thresholds: NDArray[np.float32]

    def __post_init__(self) -> None:
        shape = (len(self.names), len(self.thresholds))
        if self.targets.shape != shape or self.scores.shape != shape:
            raise ValueError(
                f"Expected targets and scores of shape (pictures, tags) = {shape}. "
                f"Received: {self.targets.shape} and {self.scores.shape}."
            )
        if self.targets.dtype != np.bool_ or not np.isfinite(self.scores).all():
            raise ValueError(
                "Expected targets of bool and finite scores. Received: "
                f"{self.targets.dtype} and scores={self.scores}."
            )

    @cached_property
    def predicted(self) -> NDArray[np.bool_]:
        """Which picture is given which tag, bool `(n, tags)`, as `Classifier` does."""
        return np.asarray(self.scores >= self.thresholds)

    @cached_property
    def average_precision(self) -> list[float | None]:
        """Average precision of each tag; None for one that no picture has.

        Source: scikit-learn, `average_precision_score`: the sum over the scores that
        occur of precision times the gain in recall, without interpolation.
        """
        return [
            _average_precision(*precision_and_recall(truths, scores))
            if truths.any()
            else None
            for truths, scores in zip(self.targets.T, self.scores.T, strict=True)
        ]

    @property
    def mean_average_precision(self) -> float | None:
        """Mean of the tags that a picture has; None without any."""
        known = [share for share in self.average_precision if share is not None]
        return float(np.mean(known)) if known else None

    @property
    def micro_f1(self) -> float:
        """F1 of all pairs of picture and tag: frequent tags count more."""
        hits, given, true = (part.sum() for part in self._counts)
        return float(2 * hits / max(given + true, 1))

    @property
    def f1(self) -> NDArray[np.float64]:
        """F1 of each tag, `(tags,)`; 0 for one that no picture has or is given."""
        hits, given, true = self._counts
        return np.asarray(2 * hits / np.maximum(given + true, 1))

    @property
    def macro_f1(self) -> float:
        """Mean F1 of the tags: rare ones count like frequent ones."""
        return float(np.mean(self.f1))

    @property
    def subset_accuracy(self) -> float:
        """Share of pictures whose tags are all given, and no other."""
        return float(np.mean((self.predicted == self.targets).all(axis=1)))

    @property
    def hamming_loss(self) -> float:
        """Share of pairs of picture and tag that are wrong."""
        return float(np.mean(self.predicted != self.targets))

    @property
    def accuracy(self) -> float:
        """Share of pairs that are right: what Keras calls binary accuracy."""
        return 1.0 - self.hamming_loss

    @property
    def label_ranking_average_precision(self) -> float:
        """How far a picture's own tags stand above the others, in (0, 1].

        Of each of its tags, the share of own tags among those that score as high or
        higher; the mean of them. 1 for a picture without a tag, or with every tag.

        Source: scikit-learn, `label_ranking_average_precision_score`.
        """
        sums = np.zeros(len(self.names))
        for truths, scores in zip(self.targets.T, self.scores.T, strict=True):
            is_above = self.scores >= scores[:, np.newaxis]  # (n, tags), itself too
            share = (is_above & self.targets).sum(axis=1) / is_above.sum(axis=1)
            sums += np.where(truths, share, 0.0)
        own = self.targets.sum(axis=1)
        return float(np.mean(np.where(own > 0, sums / np.maximum(own, 1), 1.0)))

    @property
    def binary_cross_entropy(self) -> float:
        """Mean negative log-probability of each pair's truth, in nats.

        Scores below 1/512 count as 1/512, and those above 511/512 as that.
        """
        of_truth = np.where(self.targets, self.scores, 1.0 - self.scores)
        limited = np.clip(of_truth, LEAST_PROBABILITY, 1.0 - LEAST_PROBABILITY)
        return float(-np.mean(np.log(limited, dtype=np.float64)))

    @cached_property
    def intervals(self) -> dict[str, list[float] | None]:
        """95 % intervals of `mean_average_precision` and `micro_f1`; None if unknown.

        The pictures are drawn anew, with repetition, many times over; between the ends
        lie 95 % of the figures. A tag that a draw has no picture of does not count
        there.

        Source: B. Efron and R. Tibshirani, An Introduction to the Bootstrap (1993), 13:
        the percentile interval.
        """
        source, number = np.random.default_rng(_SEED), len(self.names)
        precisions, f1 = [], []
        at_once = max(1, min(RESAMPLES, _AT_ONCE // number))
        hits = (self.predicted & self.targets).sum(axis=1)
        wholes = self.predicted.sum(axis=1) + self.targets.sum(axis=1)
        for start in range(0, RESAMPLES, at_once):
            draws = min(at_once, RESAMPLES - start)
            # How often each picture is drawn, (draws, n).
            times = source.multinomial(number, np.full(number, 1 / number), draws)
            f1.append(2 * (times @ hits) / np.maximum(times @ wholes, 1))
            columns = np.ascontiguousarray(times.T, np.int32)
            precisions.append(self._resampled_precision(columns))
        return {
            "mean_average_precision": _middle_95(np.concatenate(precisions)),
            "micro_f1": _middle_95(np.concatenate(f1)),
        }

    def describe(self, labels: Sequence[str]) -> dict[str, Any]:
        """Return the figures as plain values for JSON.

        Args:
            labels: Names of the tags.
        """
        intervals = self.intervals
        hits, given, true = self._counts
        return {
            "num": len(self.names),
            "mean_average_precision": self.mean_average_precision,
            "mean_average_precision_interval_95": intervals["mean_average_precision"],
            "micro_f1": self.micro_f1,
            "micro_f1_interval_95": intervals["micro_f1"],
            "macro_f1": self.macro_f1,
            "subset_accuracy": self.subset_accuracy,
            "hamming_loss": self.hamming_loss,
            "label_ranking_average_precision": self.label_ranking_average_precision,
            "binary_cross_entropy": self.binary_cross_entropy,
            "accuracy": self.accuracy,
            "per_tag": [
                {
                    "label": label,
                    "num_test": len(self.names),
                    "num_positive": int(true[tag]),
                    "average_precision": precision,
                    "precision": _ratio(hits[tag], given[tag]),
                    "recall": _ratio(hits[tag], true[tag]),
                    "f1": float(self.f1[tag]),
                    "threshold": float(self.thresholds[tag]),
                }
                for tag, (label, precision) in enumerate(
                    zip(labels, self.average_precision, strict=True)
                )
            ],
        }

    @cached_property
    def _counts(self) -> tuple[NDArray[np.int64], ...]:
        """Of each tag: rightly given, given, and true pictures, `(tags,)` each."""
        pairs = (self.predicted & self.targets, self.predicted, self.targets)
        return tuple(part.sum(axis=0, dtype=np.int64) for part in pairs)

    def _resampled_precision(self, times: NDArray[np.int32]) -> NDArray[np.float64]:
        """Return the mean average precision of each draw, `(draws,)`.

        Args:
            times: How often each picture is in each draw, `(n, draws)`.
        """
        sums, counts = np.zeros(times.shape[1]), np.zeros(times.shape[1])
        for truths, scores in zip(self.targets.T, self.scores.T, strict=True):
            if not truths.any():
                continue
            order = np.argsort(-scores, kind="stable")
            ends = _ends_of_ties(scores[order])
            hits = np.cumsum(truths[order])[ends]
            wins = np.flatnonzero(np.diff(hits, prepend=0))  # recall rises only there
            starts = np.append(0, ends[wins[:-1]] + 1)
            own = order[truths[order]]
            first = np.append(0, hits[wins[:-1]])
            # (wins, draws): pictures in these runs of scores, and those with the tag.
            given = np.add.reduceat(times[order[: ends[wins[-1]] + 1]], starts, axis=0)
            gains = np.add.reduceat(times[own], first, axis=0)
            right, given = gains.cumsum(axis=0), given.cumsum(axis=0)
            precision = (gains * (right / np.maximum(given, 1))).sum(axis=0)
            sums += precision / np.maximum(right[-1], 1)
            counts += right[-1] > 0
        return np.asarray(sums[counts > 0] / counts[counts > 0])


def precision_and_recall(
    truths: NDArray[np.bool_], scores: NDArray[np.floating[Any]]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.floating[Any]]]:
    """Return precision and recall at each score that occurs, the highest first.

    Pictures of one score are taken together.

    Args:
        truths: Which pictures have the tag, `(n,)`, one at least.
        scores: Their scores, `(n,)`.

    Returns:
        Precisions, recalls, and the scores from which on the tag is given.
    """
    order = np.argsort(-scores, kind="stable")
    ends = _ends_of_ties(scores[order])
    hits = np.cumsum(truths[order])[ends]
    return hits / (ends + 1), hits / hits[-1], scores[order][ends]


def _average_precision(
    precisions: NDArray[np.float64], recalls: NDArray[np.float64], _: object
) -> float:
    return float(np.sum(np.diff(recalls, prepend=0.0) * precisions))


def _ends_of_ties(ranked: NDArray[np.floating[Any]]) -> NDArray[np.intp]:
    """Return where each run of equal scores ends."""
    return np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))


def _middle_95(figures: NDArray[np.float64]) -> list[float] | None:
    if not len(figures):
        return None
    low, high = np.percentile(figures, [2.5, 97.5])
    return [float(low), float(high)]


def _ratio(part: int, whole: int) -> float | None:
    return float(part / whole) if whole else None
