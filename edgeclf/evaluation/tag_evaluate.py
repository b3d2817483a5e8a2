"""Measure multi-label model files on held-out pictures, as the device would."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgeclf.classifier import Classifier
from edgeclf.data.folders import Example
from edgeclf.evaluation.evaluate import decoded_pictures
from edgeclf.evaluation.tag_metrics import TagEvaluation


def evaluate_tags(
    classifiers: Sequence[Classifier],
    examples: Sequence[Example],
    targets: NDArray[np.bool_],
    *,
    resize: str,
    thresholds: NDArray[np.float32] | None = None,
    num_workers: int | None = None,
    description: str = "evaluation",
    unreadable: list[tuple[str, str]] | None = None,
) -> list[TagEvaluation]:
    """Score pictures with several models; each picture is decoded once.

    Args:
        classifiers: Models of the same tags, with the same input size.
        examples: The pictures. One that cannot be read any more is left out with a
            warning.
        targets: Which picture has which tag, bool `(n, tags)`, tags in the order of
            the models' outputs.
        resize: Resize filter that the models were trained with.
        thresholds: From which scores tags are given, `(tags,)`. Default: those that
            each model file holds, or 0.5.
        num_workers: As for `evaluate`.
        description: What the progress bar says.
        unreadable: Gets the name of each picture that is left out, and why.

    Returns:
        One `TagEvaluation` per classifier.
    """
    rows: list[int] = []
    scores: list[list[NDArray[np.float32]]] = [[] for _ in classifiers]
    for row, pixels in decoded_pictures(
        examples,
        classifiers[0].input_size,
        resize=resize,
        num_workers=num_workers,
        description=description,
        unreadable=unreadable,
    ):
        rows.append(row)
        for found, classifier in zip(scores, classifiers, strict=True):
            found.append(classifier.scores(pixels))
    names = [examples[row].name for row in rows]
    return [
        TagEvaluation(
            names,
            targets[rows],
            np.asarray(found, np.float32).reshape(len(rows), classifier.num_classes),
            classifier.thresholds if thresholds is None else thresholds,
        )
        for found, classifier in zip(scores, classifiers, strict=True)
    ]
