"""The head: one linear layer, and how well it fits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


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


@dataclass(frozen=True)
class LabelledBottlenecks:
    """Bottlenecks and their classes.

    Attributes:
        bottlenecks: float32 `(n, depth)`.
        classes: Class index of each, int `(n,)`.
    """

    bottlenecks: NDArray[np.float32]
    classes: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.classes)

    def __add__(self, other: LabelledBottlenecks) -> LabelledBottlenecks:
        return LabelledBottlenecks(
            np.concatenate([self.bottlenecks, other.bottlenecks]),
            np.concatenate([self.classes, other.classes]),
        )


@dataclass(frozen=True)
class FittedHead:
    """A head and how it came about.

    Attributes:
        head: The linear layer.
        strength: The L2 strength that was chosen; None for gradient descent.
        validation_cross_entropy: Of the head that was fitted to the training split
            alone, in nats; None without a validation split.
        validation_accuracy: Likewise, in [0, 1].
    """

    head: Head
    strength: float | None
    validation_cross_entropy: float | None
    validation_accuracy: float | None


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
