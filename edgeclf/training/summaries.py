"""TensorBoard event files, written without TensorFlow."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from edgeclf import image
from edgeclf.data.splits import TEST, TRAIN, VALIDATION
from edgeclf.errors import ImageError
from edgeclf.evaluation.metrics import Evaluation
from edgeclf.lettering import INK, PAPER, SOFT_INK, draw_text
from edgeclf.training.dataset import BottleneckDataset
from edgeclf.training.descent import DescentStep
from edgeclf.training.head import FittedHead, accuracy, cross_entropy
from edgeclf.training.projector import PROJECTOR, write_projector

# The tags are those of tensorflow-for-poets.
ACCURACY, CROSS_ENTROPY = "accuracy_1", "cross_entropy_1"
MAX_MISCLASSIFIED = 50  # pictures; the worst come first
PICTURE_SIDE = 224
CAPTION = 62  # height of three lines below a picture

_EVENTS = "events.out.tfevents.*"


def clear_summaries(folder: str | os.PathLike[str]) -> None:
    """Remove the event files of an earlier run: TensorBoard would mix them.

    Only what `Summaries` and `write_summaries` call their own is removed.

    Args:
        folder: TensorBoard's `--logdir`.
    """
    for run in (TRAIN, VALIDATION, TEST, PROJECTOR):
        for path in Path(folder, run).glob(_EVENTS):
            path.unlink()


class Summaries:
    """Accuracy and cross-entropy by step, in the folders `train` and `validation`.

    Args:
        folder: TensorBoard's `--logdir`.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        root = Path(folder)
        self._train = _writer(root / TRAIN)
        self._validation = _writer(root / VALIDATION)

    def add(self, step: DescentStep) -> None:
        """Write the figures of one evaluation."""
        for writer, share, loss in (
            (self._train, step.train_accuracy, step.train_cross_entropy),
            (self._validation, step.validation_accuracy, step.validation_cross_entropy),
        ):
            if share is not None:
                writer.add_scalar(ACCURACY, share, step.step)
                writer.add_scalar(CROSS_ENTROPY, loss, step.step)

    def close(self) -> None:
        """Finish the files."""
        self._train.close()
        self._validation.close()


def write_summaries(
    folder: str | os.PathLike[str],
    dataset: BottleneckDataset,
    fitted: FittedHead,
    evaluations: Mapping[str, Evaluation],
    kind: str,
    steps: int | None,
) -> None:
    """Write what is known at the end of a run.

    A head that was fitted without steps has its figures at step 0. `test` gets the
    accuracy and cross-entropy of the written file, as `accuracy_1/float` and so on
    those of the float model, the confusion matrix and the pictures that the file gets
    wrong; `bottlenecks` gets the embedding projector.

    Args:
        folder: TensorBoard's `--logdir`.
        dataset: The pictures.
        fitted: The head.
        evaluations: Of each kind of model, on test pictures; empty without any.
        kind: Of the file that is written.
        steps: That were made, and written by `Summaries`; None for no steps.
    """
    root, step = Path(folder), max((steps or 0) - 1, 0)
    if steps is None:
        summaries = Summaries(root)
        summaries.add(_fitted_step(dataset, fitted))
        summaries.close()
    write_projector(root / PROJECTOR, dataset)
    _writer(root / PROJECTOR).close()  # TensorBoard looks for event files
    if kind not in evaluations:
        return
    # Imported here: only who asks for summaries waits for it.
    from edgeclf.report.confusion import confusion_matrix

    writer = _writer(root / TEST)
    for name, evaluation in evaluations.items():
        end = "" if name == kind else f"/{name}"
        writer.add_scalar(ACCURACY + end, evaluation.accuracy, step)
        writer.add_scalar(CROSS_ENTROPY + end, evaluation.cross_entropy, step)
    measured = evaluations[kind]
    drawn = confusion_matrix(measured.confusion_matrix, dataset.labels)
    _add_image(writer, "confusion_matrix", drawn, step)
    paths = {example.name: example.path for example in dataset.examples}
    wrong = np.flatnonzero(measured.predicted != measured.classes)
    worst = sorted(wrong.tolist(), key=lambda row: -measured.scores[row].max())
    for number, row in enumerate(worst[:MAX_MISCLASSIFIED]):
        name, guess = measured.names[row], int(measured.predicted[row])
        score = float(measured.scores[row, guess])
        truth = dataset.labels[measured.classes[row]]
        lines = (truth, f"taken for {dataset.labels[guess]} ({score:.2f})", name)
        picture = _captioned(paths[name], lines)
        if picture is not None:
            _add_image(writer, f"misclassified/{number:02}", picture, step)
    writer.close()


def _fitted_step(dataset: BottleneckDataset, fitted: FittedHead) -> DescentStep:
    """Return the figures of a head as step 0."""
    train = dataset.subset(TRAIN)
    logits = train.logits(fitted.head)
    return DescentStep(
        0,
        accuracy(logits, train.classes),
        cross_entropy(logits, train.classes),
        fitted.validation_accuracy,
        fitted.validation_cross_entropy,
    )


def _add_image(writer: Any, tag: str, picture: Image.Image, step: int) -> None:
    writer.add_image(tag, np.asarray(picture), step, dataformats="HWC")


def _captioned(path: Path, lines: Sequence[str]) -> Image.Image | None:
    """Return a picture with three lines below; None if it is gone."""
    try:
        pixels = image.load(path, (PICTURE_SIDE, PICTURE_SIDE))
    except (ImageError, OSError):  # it was there a moment ago
        return None
    sheet = Image.new("RGB", (PICTURE_SIDE, PICTURE_SIDE + CAPTION), PAPER)
    sheet.paste(Image.fromarray(pixels), (0, 0))
    draw = ImageDraw.Draw(sheet)
    for number, line in enumerate(lines):
        place = (4, PICTURE_SIDE + 4 + 18 * number)
        fill = INK if number < 2 else SOFT_INK
        draw_text(draw, place, line, 13, fill, PICTURE_SIDE - 8)
    return sheet


def _writer(folder: Path) -> Any:
    """Return what writes TensorBoard's event files."""
    # Imported here: few runs want them, and all would wait for it.
    from tensorboardX import SummaryWriter

    return SummaryWriter(str(folder))
