"""The head: one linear layer, and how well it fits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from edgeclf.training.descent import DescentStep
    from edgeclf.training.discriminant import HeldOut

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
    curves: Sequence[Mapping[str, Any]]


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
        temperature: What the logits were divided by to make scores probabilities; None
            for gradient descent, whose logits are as they are.
        emphasis: How much more what views change counts; None but for the discriminant
            with views.
        unseen: What heads that have not seen a picture answer to it, with the same
            temperature: float32 `(n, num_classes)`, for the training and validation
            pictures in the dataset's order; None for gradient descent.
        class_weights: "balanced" where classes count alike, "none" where they count by
            their pictures; None for gradient descent.
        solver: What has fitted it; None for gradient descent.
        candidates: Settings and figures of all heads that were chosen between.
        steps: Evaluations of gradient descent; none without it.
        held_out: What discriminants were shown that they had not seen; None where there
            were none.
        fine_tuning: How the backbone was fine-tuned; None where it was not tried.
    """

    head: Head
    strength: float | None
    validation_cross_entropy: float | None
    validation_accuracy: float | None
    shrinkage: float | None = None
    temperature: float | None = None
    emphasis: float | None = None
    unseen: NDArray[np.float32] | None = None
    class_weights: str | None = None
    solver: str | None = None
    candidates: Sequence[Mapping[str, Any]] = ()

    steps: Sequence[DescentStep] = ()
    held_out: HeldOut | None = None
    fine_tuning: FineTuning | None = None

    @property
    def training_curves(self) -> list[dict[str, Any]] | None:
        """Figures by step of what was trained step by step; None if nothing was."""
        if self.fine_tuning is not None:
            return [dict(point) for point in self.fine_tuning.curves]
        return [asdict(step) for step in self.steps] or None

    @classmethod
    def scored_by_folds(
        cls,
        head: Head,
        unseen: NDArray[np.float32],
        classes: NDArray[np.intp],
        is_validation: NDArray[np.bool_],
        *,
        temperature: float,
        strength: float | None = None,
        shrinkage: float | None = None,
        emphasis: float | None = None,
        class_weights: str | None = None,
        held_out: HeldOut | None = None,
    ) -> FittedHead:
        """Return a head with its figures on the validation pictures.

        Args:
            head: The linear layer.
            unseen: See above.
            classes: The true classes of those pictures.
            is_validation: Which of them are validation pictures, `(n,)`.
            temperature: See above, like all that follow.
            strength: See there.
            shrinkage: See there.
            emphasis: See there.
            class_weights: See there.
            held_out: See there.
        """
        seen, its_classes = unseen[is_validation], classes[is_validation]
        return cls(
            head,
            strength,
            cross_entropy(seen, its_classes) if len(seen) else None,
            accuracy(seen, its_classes) if len(seen) else None,
            shrinkage,
            temperature,
            emphasis,
            unseen,
            class_weights,
            held_out=held_out,
        )


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return probabilities, same shape and dtype; rows sum to 1."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True), logits.dtype)


def cross_entropy(logits: NDArray[np.float32], classes: NDArray[np.intp]) -> float:
    """Return the mean negative log-probability of the true classes, in nats."""
    return float(np.mean(losses(logits, classes)))


def losses(
    logits: NDArray[np.float32], classes: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Return the negative log-probability of each row's true class, in nats, `(n,)`."""
    wide = np.asarray(logits, np.float64)
    wide = wide - wide.max(axis=1, keepdims=True)
    picked = wide[np.arange(len(wide)), classes]
    return np.asarray(np.log(np.exp(wide).sum(axis=1)) - picked)


def accuracy(logits: NDArray[np.float32], classes: NDArray[np.intp]) -> float:
    """Return the share of rows whose largest logit is the true class, in [0, 1]."""
    return float(np.mean(logits.argmax(axis=1) == classes))
