"""Measure model files on held-out pictures, as the device would run them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from edgeclf import image
from edgeclf.classifier import Classifier
from edgeclf.console import sentence
from edgeclf.data import progress
from edgeclf.data.folders import Example
from edgeclf.errors import ImageError
from edgeclf.evaluation.metrics import Evaluation
from edgeclf.interpreter import num_processors
from edgeclf.network import MAX_OWN_SIDE

logger = logging.getLogger("edgeclf")

BATCH_SIZE = 64  # decoded pictures held at a time


def evaluate(
    classifiers: Sequence[Classifier],
    examples: Sequence[Example],
    labels: Sequence[str],
    *,
    resize: str,
    num_workers: int | None = None,
    description: str = "evaluation",
    unreadable: list[tuple[str, str]] | None = None,
) -> list[Evaluation]:
    """Score pictures with several models; each picture is decoded once.

    Args:
        classifiers: Models with the same input size.
        examples: The pictures and their classes. A picture that cannot be read any
            more is left out with a warning.
        labels: Names of the classes, in the order of the models' outputs.
        resize: Resize filter that the models were trained with.
        num_workers: Threads that decode; None for one per processor.
        description: What the progress bar says.
        unreadable: Gets the name of each picture that is left out, and why.

    Returns:
        One `Evaluation` per classifier.
    """
    scores: list[list[NDArray[np.float32]]] = [[] for _ in classifiers]
    unknown: list[list[bool]] = [[] for _ in classifiers]
    kept: list[Example] = []
    for row, pixels in decoded_pictures(
        examples,
        classifiers[0].input_size,
        resize=resize,
        num_workers=num_workers,
        description=description,
        unreadable=unreadable,
    ):
        kept.append(examples[row])
        for number, classifier in enumerate(classifiers):
            if classifier.has_reject_rule:
                examined = classifier.examine(pixels)
                scores[number].append(examined.scores)
                unknown[number].append(examined.is_unknown)
                continue
            scores[number].append(classifier.scores(pixels))
            if classifier.info.record.get("reject"):  # by the score alone
                (best,) = classifier.categories(
                    scores[number][-1], top_k=1, reject=True
                )
                unknown[number].append(best.index is None)
    index = {label: position for position, label in enumerate(labels)}
    classes = np.array([index[example.label] for example in kept], np.intp)
    names = [example.name for example in kept]
    return [
        Evaluation(
            np.asarray(rows, np.float32).reshape(len(kept), len(labels)),
            classes,
            names,
            np.array(flags, np.bool_) if flags else None,
        )
        for rows, flags in zip(scores, unknown, strict=True)
    ]


def decoded_pictures(
    examples: Sequence[Example],
    input_size: tuple[int, int] | None,
    *,
    resize: str,
    num_workers: int | None = None,
    description: str = "evaluation",
    unreadable: list[tuple[str, str]] | None = None,
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yield the number of each picture that can be read, and its pixels, in order.

    Args:
        examples: The pictures. One that cannot be read is left out with a warning.
        input_size: `(height, width)`; None to leave each its own size, up to a limit.
        resize: Resize filter.
        num_workers: As for `evaluate`, like the rest.
        description: Likewise.
        unreadable: Likewise.
    """

    def load(example: Example) -> NDArray[np.uint8] | None:
        try:
            content, name = example.read(), f"{example.path}"
            if input_size is not None:
                return image.load(content, input_size, resize=resize, name=name)
            at_most = (MAX_OWN_SIDE, MAX_OWN_SIDE)
            decoded = image.decode(content, at_most, resize=resize, name=name)
            own_size = image.own_size(decoded.box, MAX_OWN_SIDE)
            return image.stretch(decoded, own_size, resize)
        except (ImageError, OSError) as error:
            logger.warning("Not measured: %s", sentence(error))
            if unreadable is not None:
                unreadable.append((example.name, sentence(error)))
            return None

    bar = progress.bar(total=len(examples), desc=description, unit="picture")
    with bar, ThreadPoolExecutor(num_workers or num_processors()) as executor:
        for start in range(0, len(examples), BATCH_SIZE):
            batch = examples[start : start + BATCH_SIZE]
            for row, pixels in enumerate(executor.map(load, batch), start):
                bar.update()
                if pixels is not None:
                    yield row, pixels


def count_rejected(
    classifier: Classifier, examples: Sequence[Example], num_workers: int | None = None
) -> tuple[int, int]:
    """Return how many strangers can be read, and how many are taken for unknown.

    Args:
        classifier: It has a reject rule.
        examples: Pictures of none of its classes. One that cannot be read any more is
            left out with a warning.
        num_workers: As for `evaluate`.
    """

    def is_unknown(example: Example) -> bool | None:
        try:
            (best,) = classifier.classify(example.read(), top_k=1, reject=True)
            return best.index is None
        except (ImageError, OSError) as error:
            logger.warning("Not measured: %s", sentence(error))
            return None

    with ThreadPoolExecutor(num_workers or num_processors()) as executor:
        answers = list(executor.map(is_unknown, examples))
    known = [answer for answer in answers if answer is not None]
    return len(known), sum(known)
