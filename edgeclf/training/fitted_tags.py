"""A head for tags, and how it came about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeclf.data.splits import TEST, TRAIN, VALIDATION
from edgeclf.training.head import Head
from edgeclf.training.tag_dataset import TagDataset


@dataclass(frozen=True)
class FittedTags:
    """A head whose logits a logistic function makes probabilities, one for each tag.

    Attributes:
        head: The linear layer.
        thresholds: The score from which on a tag is given, float32 `(tags,)` in (0, 1).
        unseen: What heads that have not seen a picture answer to it: float32 logits
            `(n, tags)`, for the training and validation pictures in the dataset's
            order.
        strength: The L2 strength that was chosen; None where there is none.
        solver: What has fitted it.
        temperature: What the logits were divided by to make scores probabilities; None
            where each tag has a scale of its own.
        class_weights: "balanced" where a tag's few pictures count as much as the many
            without it, "none" where each picture counts once; None for neither.
        weighting: What class weights have added to the logits of each tag, `(tags,)`:
            without it their logistic function is how probable the tag is.
        candidates: Settings and figures of all heads that were chosen between.
        shrinkage: The share that was chosen; None but for the discriminant.
        fine_tuning: None: the backbone stays as it is.
        training_curves: None: there are no steps.
    """

    head: Head
    thresholds: NDArray[np.float32]
    unseen: NDArray[np.float32]
    strength: float | None
    solver: str
    temperature: float | None
    class_weights: str | None
    weighting: NDArray[np.float64]
    candidates: Sequence[Mapping[str, Any]] = ()
    shrinkage: float | None = None
    fine_tuning: None = None
    training_curves: None = None

    @property
    def cuts(self) -> NDArray[np.float64]:
        """The thresholds as logits, `(tags,)`."""
        wide = self.thresholds.astype(np.float64)
        return np.asarray(np.log(wide / (1 - wide)))

    def describe(self, dataset: TagDataset) -> dict[str, Any]:
        """Return what the metrics say of it besides settings.

        Of validation pictures it is what heads answer that have not seen them.

        Args:
            dataset: What it was fitted to.
        """
        logits = self.head.logits(dataset.bottlenecks[dataset.positions(TRAIN)])
        targets = dataset.targets[dataset.positions(TRAIN)]
        train = self._figures(logits, targets)
        rows = np.flatnonzero(dataset.splits != TEST)
        is_validation = dataset.splits[rows] == VALIDATION
        targets = dataset.targets[rows[is_validation]]
        validation = self._figures(self.unseen[is_validation], targets)
        return {
            "train_accuracy": train[0],
            "train_cross_entropy": train[1],
            "validation_accuracy": validation[0],
            "validation_cross_entropy": validation[1],
        }

    def _figures(
        self, logits: NDArray[np.float32], targets: NDArray[np.bool_]
    ) -> tuple[float | None, float | None]:
        """Return the share of pairs that are right, and their cross-entropy in nats."""
        if not len(logits):
            return None, None
        wrong_way = np.where(targets, -logits, logits).astype(np.float64)
        accuracy = np.mean((logits >= self.cuts) == targets)
        return float(accuracy), float(np.mean(np.logaddexp(0, wrong_way)))
