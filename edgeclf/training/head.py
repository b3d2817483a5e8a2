"""The head: one linear layer, and how well it fits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ROWS_AT_ONCE = 1024


@dataclass(frozen=True)
class Head:
    """A linear layer: `logits = bottleneck @ weights.T + bias`.

    Attributes:
        weights: float32, shape `(num_classes, depth)`.
        bias: float32, shape `(num_classes,)`.
    """

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]

    def logits(self, bottlenecks: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the logits `(n, num_classes)` of `(n, depth)` bottlenecks, float32."""
        return np.asarray(bottlenecks @ self.weights.T + self.bias, np.float32)


class LabelledBottlenecks:
    """Rows of an array of bottlenecks, and their classes.

    A split is a choice of rows: the array itself is shared, not copied.

    Args:
        bottlenecks: float32 `(n, depth)`.
        classes: Class index of each, int `(n,)`.
        rows: Which of them; None for all.
    """

    def __init__(
        self,
        bottlenecks: NDArray[np.float32],
        classes: NDArray[np.intp],
        rows: NDArray[np.intp] | None = None,
    ) -> None:
        self._bottlenecks, self._classes = bottlenecks, classes
        self._rows = np.arange(len(classes)) if rows is None else rows

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def depth(self) -> int:
        """Length of a bottleneck."""
        return int(self._bottlenecks.shape[1])

    @property
    def classes(self) -> NDArray[np.intp]:
        """Class index of each row."""
        return self._classes[self._rows]

    @property
    def bottlenecks(self) -> NDArray[np.float32]:
        """The rows, copied; see `blocks` for many of them."""
        return self._bottlenecks[self._rows]

    def blocks(
        self, size: int = ROWS_AT_ONCE
    ) -> Iterator[tuple[NDArray[np.float32], NDArray[np.intp]]]:
        """Yield bottlenecks and classes of `size` rows at a time."""
        for start in range(0, len(self), size):
            rows = self._rows[start : start + size]
            yield self._bottlenecks[rows], self._classes[rows]

    def take(self, positions: NDArray[np.intp]) -> LabelledBottlenecks:
        """Return some of the rows, by their positions among them."""
        rows = self._rows[positions]
        return LabelledBottlenecks(self._bottlenecks, self._classes, rows)

    def __add__(self, other: LabelledBottlenecks) -> LabelledBottlenecks:
        """Return the rows of both; copied unless they are rows of one array."""
        if self._bottlenecks is other._bottlenecks:
            rows = np.concatenate([self._rows, other._rows])
            return LabelledBottlenecks(self._bottlenecks, self._classes, rows)
        return LabelledBottlenecks(
            np.concatenate([self.bottlenecks, other.bottlenecks]),
            np.concatenate([self.classes, other.classes]),
        )

    def logits(self, head: Head) -> NDArray[np.float32]:
        """Return what a head answers to the rows, float32 `(n, num_classes)`."""
        parts = [head.logits(points) for points, _ in self.blocks()]
        empty = np.empty((0, len(head.bias)), np.float32)
        return np.concatenate([empty, *parts])


@dataclass(frozen=True)
class FineTuning:
    """How the backbone was fine-tuned, and whether that was of use.

    Attributes:
        kept: Whether the head stands on the tuned backbone; otherwise on the frozen.
        share: How far that is from the frozen weights to the tuned ones, 0-1; None
            where tuning has left nothing to tell classes apart by.
        epochs: Passes over the training pictures.
        frozen: `validation_accuracy` and `validation_cross_entropy` of the head on
            the frozen backbone.
        tuned: The same of the one on the tuned backbone.
        frozen_sha256: Of the frozen backbone.
        tensorflow: Version of what has trained it.
        curves: For each epoch `step`, `train_accuracy`, `train_cross_entropy`,
            `validation_accuracy` and `validation_cross_entropy`.
    """

    kept: bool
    share: float | None
    epochs: int
    frozen: Mapping[str, float | None]
    tuned: Mapping[str, float | None]
    frozen_sha256: str
    tensorflow: str
    curves: Sequence[Mapping[str, float]]


@dataclass(frozen=True)
class FittedHead:
    """A head and how it came about.

    Attributes:
        head: The linear layer.
        strength: The L2 strength that was chosen; None but for softmax regression.
        validation_cross_entropy: Of the head that was fitted to the training split
            alone, in nats; None without a validation split.
        validation_accuracy: Likewise, in [0, 1].
        shrinkage: The share that was chosen; None but for the discriminant.
        temperature: What the discriminant's logits were divided by; None likewise.
        fine_tuning: How the backbone was fine-tuned; None where it was not tried.
    """

    head: Head
    strength: float | None
    validation_cross_entropy: float | None
    validation_accuracy: float | None
    shrinkage: float | None = None
    temperature: float | None = None
    fine_tuning: FineTuning | None = None


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return probabilities, same shape and dtype; rows sum to 1."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True), logits.dtype)


def cross_entropy(logits: NDArray[np.float32], classes: NDArray[np.intp]) -> float:
    """Return the mean negative log-probability of the true classes, in nats."""
    wide = np.asarray(logits, np.float64)
    wide = wide - wide.max(axis=1, keepdims=True)
    picked = wide[np.arange(len(wide)), classes]
    return float(np.mean(np.log(np.exp(wide).sum(axis=1)) - picked))


def accuracy(logits: NDArray[np.float32], classes: NDArray[np.intp]) -> float:
    """Return the share of rows whose largest logit is the true class, in [0, 1]."""
    return float(np.mean(logits.argmax(axis=1) == classes))
