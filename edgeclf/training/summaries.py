"""TensorBoard event files, written without TensorFlow."""

from __future__ import annotations

import os
from pathlib import Path

from tensorboardX import SummaryWriter

from edgeclf.training.descent import DescentStep


class Summaries:
    """Accuracy and cross-entropy by step, in the folders `train` and `validation`.

    The tags are those of tensorflow-for-poets: `accuracy_1` and `cross_entropy_1`.

    Args:
        folder: TensorBoard's `--logdir`. Earlier runs in it stay.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        root = Path(folder)
        self._train = SummaryWriter(str(root / "train"))
        self._validation = SummaryWriter(str(root / "validation"))

    def add(self, step: DescentStep) -> None:
        """Write the figures of one evaluation."""
        for writer, accuracy, cross_entropy in (
            (self._train, step.train_accuracy, step.train_cross_entropy),
            (self._validation, step.validation_accuracy, step.validation_cross_entropy),
        ):
            if accuracy is not None:
                writer.add_scalar("accuracy_1", accuracy, step.step)
                writer.add_scalar("cross_entropy_1", cross_entropy, step.step)

    def close(self) -> None:
        """Finish the files."""
        self._train.close()
        self._validation.close()
