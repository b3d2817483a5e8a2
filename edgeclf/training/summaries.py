"""TensorBoard event files, written without TensorFlow."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from edgeclf import image
from edgeclf.console import sentence
from edgeclf.data.folders import Example
from edgeclf.data.splits import TEST, TRAIN, VALIDATION
from edgeclf.errors import ImageError
from edgeclf.evaluation.metrics import Evaluation
from edgeclf.evaluation.tag_metrics import TagEvaluation
from edgeclf.lettering import INK, PAPER, SOFT_INK, draw_text
from edgeclf.training.dataset import BottleneckDataset
from edgeclf.training.descent import DescentStep
from edgeclf.training.event_files import EventFiles
from edgeclf.training.fitted_tags import FittedTags
from edgeclf.training.head import FittedHead, accuracy, cross_entropy
from edgeclf.training.projector import PROJECTOR, projector_files
from edgeclf.training.tag_dataset import TagDataset
from edgeclf.training.tag_measurements import mistagged

logger = logging.getLogger("edgeclf")

# The tags are those of tensorflow-for-poets.
ACCURACY, CROSS_ENTROPY = "accuracy_1", "cross_entropy_1"
MAX_MISCLASSIFIED = 50  # pictures; the worst come first
PICTURE_SIDE = 224
FINE_TUNING = "fine_tuning"  # folder of what its epochs have won
CAPTION = 62  # height of three lines below a picture

_EVENTS = "events.out.tfevents.*"


def clear_summaries(
    folder: str | os.PathLike[str], kept: Collection[Path] = ()
) -> None:
    """Remove the event files of an earlier run: TensorBoard would mix them.

    Only what `summary_files` calls its own is removed.

    Args:
        folder: TensorBoard's `--logdir`.
        kept: The files of this run.
    """
    tuning = (f"{FINE_TUNING}/{run}" for run in (TRAIN, VALIDATION))
    for run in (TRAIN, VALIDATION, TEST, PROJECTOR, *tuning):
        for path in Path(folder, run).glob(_EVENTS):
            if path not in kept:
                path.unlink()


def summary_files(
    folder: str | os.PathLike[str],
    dataset: BottleneckDataset,
    fitted: FittedHead,
    evaluations: Mapping[str, Evaluation],
    kind: str,
) -> dict[Path, bytes]:
    """Return files that say what is known at the end of a run.

    `train` and `validation` get the figures of the head by step, or at step 0 if it was
    fitted without steps; the same folders in `fine_tuning` get those of the backbone
    with the head that it was trained with, at the end of each epoch. `test` gets the
    accuracy and cross-entropy of the written file, as `accuracy_1/float` and so on
    those of the float model, the confusion matrix and the pictures that the file gets
    wrong; `bottlenecks` gets the embedding projector.

    Args:
        folder: TensorBoard's `--logdir`.
        dataset: The pictures.
        fitted: The head.
        evaluations: Of each kind of model, on test pictures; empty without any.
        kind: Of the file that is written.
    """
    root, events = Path(folder), EventFiles()
    steps = fitted.steps or [_fitted_step(dataset, fitted)]
    step = steps[-1].step
    _write_curves(events, root, steps)
    if fitted.fine_tuning is not None:
        epochs = [DescentStep(**epoch) for epoch in fitted.fine_tuning.curves]
        _write_curves(events, root / FINE_TUNING, epochs)
    events.writer(root / PROJECTOR).close()  # TensorBoard looks for event files
    projector = projector_files(root / PROJECTOR, dataset)
    if kind not in evaluations:
        return projector | events.contents()
    # Imported here: only who asks for summaries waits for it.
    from edgeclf.report.confusion import confusion_matrix

    writer = events.writer(root / TEST)
    for name, evaluation in evaluations.items():
        end = "" if name == kind else f"/{name}"
        writer.add_scalar(ACCURACY + end, evaluation.accuracy, step)
        writer.add_scalar(CROSS_ENTROPY + end, evaluation.cross_entropy, step)
    measured = evaluations[kind]
    drawn = confusion_matrix(measured.confusion_matrix, dataset.labels)
    _add_image(writer, "confusion_matrix", drawn, step)
    wrong = np.flatnonzero(measured.predicted != measured.classes)
    worst = sorted(wrong.tolist(), key=lambda row: -measured.scores[row].max())
    captions = []
    for row in worst[:MAX_MISCLASSIFIED]:
        name, guess = measured.names[row], int(measured.predicted[row])
        score = float(measured.scores[row, guess])
        truth = dataset.labels[measured.classes[row]]
        taken_for = f"taken for {dataset.labels[guess]} ({score:.2f})"
        captions.append((truth, taken_for, name))
    _add_misclassified(writer, dataset.examples, captions, step)
    writer.close()
    return projector | events.contents()


def tag_summary_files(
    folder: str | os.PathLike[str],
    dataset: TagDataset,
    fitted: FittedTags,
    evaluations: Mapping[str, TagEvaluation],
    kind: str,
) -> dict[Path, bytes]:
    """Return files that say what is known at the end of a run on tags.

    As `summary_files` does, accuracy and cross-entropy being those of pairs of
    picture and tag; `test` gets mean average precision and micro-F1 too, and the
    pictures with the most wrong tags in place of a confusion matrix.

    Args:
        folder: TensorBoard's `--logdir`.
        dataset: The pictures.
        fitted: The head.
        evaluations: Of each kind of model, on test pictures; empty without any.
        kind: Of the file that is written.
    """
    root, events = Path(folder), EventFiles()
    figures = fitted.describe(dataset)
    _write_curves(events, root, [DescentStep(0, **figures)])
    events.writer(root / PROJECTOR).close()  # TensorBoard looks for event files
    projector = projector_files(root / PROJECTOR, dataset)
    if kind not in evaluations:
        return projector | events.contents()
    writer = events.writer(root / TEST)
    for name, evaluation in evaluations.items():
        end = "" if name == kind else f"/{name}"
        writer.add_scalar(ACCURACY + end, evaluation.accuracy, 0)
        writer.add_scalar(CROSS_ENTROPY + end, evaluation.binary_cross_entropy, 0)
        writer.add_scalar(f"micro_f1{end}", evaluation.micro_f1, 0)
        if evaluation.mean_average_precision is not None:
            precision = evaluation.mean_average_precision
            writer.add_scalar(f"mean_average_precision{end}", precision, 0)
    wrong = mistagged(evaluations[kind], dataset.labels)
    worst = sorted(wrong, key=lambda each: -len(each.missed) - len(each.wrong))
    captions = []
    for each in worst[:MAX_MISCLASSIFIED]:
        missed, given = (
            ", ".join(label for label, _ in tags) for tags in (each.missed, each.wrong)
        )
        captions.append((f"missed: {missed}", f"wrongly given: {given}", each.name))
    _add_misclassified(writer, dataset.examples, captions, 0)
    writer.close()
    return projector | events.contents()


def _add_misclassified(
    writer: Any,
    examples: Sequence[Example],
    captions: Sequence[tuple[str, str, str]],
    step: int,
) -> None:
    """Write pictures with their captions, the last line of which is the name."""
    by_name = {example.name: example for example in examples}
    for number, lines in enumerate(captions):
        picture = _captioned(by_name[lines[-1]], lines)
        if picture is not None:
            _add_image(writer, f"misclassified/{number:02}", picture, step)


def _write_curves(events: EventFiles, root: Path, steps: Sequence[DescentStep]) -> None:
    """Write accuracy and cross-entropy by step, in `train` and `validation`."""
    for run in (TRAIN, VALIDATION):
        writer = events.writer(root / run)
        for step in steps:
            figures = asdict(step)
            if figures[f"{run}_accuracy"] is not None:
                writer.add_scalar(ACCURACY, figures[f"{run}_accuracy"], step.step)
                loss = figures[f"{run}_cross_entropy"]
                writer.add_scalar(CROSS_ENTROPY, loss, step.step)
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


def _captioned(example: Example, lines: Sequence[str]) -> Image.Image | None:
    """Return a picture with three lines below; None if it is gone."""
    try:
        pixels = image.load(example.read(), (PICTURE_SIDE, PICTURE_SIDE))
    except (ImageError, OSError) as error:  # it was there a moment ago
        logger.warning("Not shown in TensorBoard: %s", sentence(error))
        return None
    sheet = Image.new("RGB", (PICTURE_SIDE, PICTURE_SIDE + CAPTION), PAPER)
    sheet.paste(Image.fromarray(pixels), (0, 0))
    draw = ImageDraw.Draw(sheet)
    for number, line in enumerate(lines):
        place = (4, PICTURE_SIDE + 4 + 18 * number)
        fill = INK if number < 2 else SOFT_INK
        draw_text(draw, place, line, 13, fill, PICTURE_SIDE - 8)
    return sheet
