"""A folder of class folders, as a model with labels of its own sees it."""

from __future__ import annotations

import hashlib
import logging
import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edgeclf.classifier import Classifier
from edgeclf.console import number_of
from edgeclf.data.folders import Example, read_folder
from edgeclf.data.splits import SPLITS, read_split_file
from edgeclf.errors import DatasetError, LabelError, ModelError
from edgeclf.evaluation.metrics import Evaluation
from edgeclf.evaluation.report_files import SPLIT_ENDING, beside
from edgeclf.interpreter import num_processors

logger = logging.getLogger("edgeclf")

NAMED_AT_MOST = 10  # folders, labels or pictures in one message


def checked_labels(
    classifier: Classifier, model: str, *, of_tags: bool = False
) -> list[str]:
    """Return the labels of a model that can be measured.

    Args:
        classifier: The model.
        model: Its path, for messages.
        of_tags: Whether each picture may have several of them.

    Raises:
        LabelError: It has no labels.
        ModelError: It has one class only, and each picture is of a class.
    """
    if classifier.num_classes < 2 and not of_tags:
        raise ModelError(
            f"{model}: Expected a model of two classes or more. Received: one class."
        )
    if classifier.labels is None:
        raise LabelError(
            f"{model} has no labels. Expected a name for each of its "
            f"{classifier.num_classes} classes, to find the folders' names among: give "
            "them with --labels FILE, one a line."
        )
    return list(classifier.labels)


def read_examples(
    image_dir: str | os.PathLike[str],
    labels: Sequence[str],
    splits: Mapping[str, str] | None = None,
    split: str = "",
) -> list[Example]:
    """List the pictures whose folder's name is a label.

    Names that look alike but are composed of other characters, as macOS writes "é",
    agree. What is left out is logged.

    Args:
        image_dir: Folder with one folder of pictures per class.
        labels: The model's.
        splits: Split of each picture, by name; None to take all pictures.
        split: The split to take.

    Raises:
        DatasetError: No picture is left.
        OSError: The folder cannot be read.
    """
    found = read_folder(image_dir, at_least=1)
    by_name = {unicodedata.normalize("NFC", label): label for label in labels[::-1]}
    examples, strange = [], dict[str, int]()
    for example in found:
        label = by_name.get(unicodedata.normalize("NFC", example.label))
        if label is None:
            strange[example.label] = strange.get(example.label, 0) + 1
        else:
            examples.append(replace(example, label=label))
    if not examples:
        raise DatasetError(
            f"Expected class folders in {image_dir} that are named like the model's "
            f"labels: {name_some(labels)}. Received: {name_some(list(strange))}. "
            "Rename the folders, or give other labels with --labels."
        )
    for name, count in list(strange.items())[:NAMED_AT_MOST]:
        logger.warning(
            "The folder %s is no label of the model: its pictures are left out (%d).",
            name,
            count,
        )
    if len(strange) > NAMED_AT_MOST:
        more = number_of(len(strange) - NAMED_AT_MOST, "other folder")
        logger.warning("So it is with %s.", more)
    there = {example.label for example in examples}
    missing = [label for label in dict.fromkeys(labels) if label not in there]
    if missing:
        logger.info("Labels without a folder: %s.", name_some(missing))
    if splits is None:
        return examples
    chosen = [example for example in examples if splits.get(example.name) == split]
    if not chosen:
        raise DatasetError(
            f"Expected pictures of {image_dir} in the split {split}, named like "
            f"{examples[0].name}. Received: {name_some(list(splits)[:3]) or 'none'}."
        )
    return chosen


def describe_pictures(
    image_dir: Path,
    split: str,
    evaluation: Evaluation,
    labels: Sequence[str],
) -> dict[str, Any]:
    """Return what a report says of the pictures and their classes, for JSON.

    Args:
        image_dir: Where they are.
        split: The one that counts them.
        evaluation: Of those that could be read.
        labels: The model's.
    """
    counts = Counter(labels[index] for index in sorted(evaluation.classes.tolist()))

    def by_split(number: int) -> dict[str, int]:
        return {name: number if name == split else 0 for name in SPLITS}

    total = by_split(len(evaluation.names))
    return {
        "image_dir": os.fspath(image_dir),
        "classes": [{"label": label, **by_split(counts[label])} for label in counts],
        **{f"num_{name}": number for name, number in total.items()},
    }


def find_copies(
    examples: Sequence[Example], num_workers: int | None = None
) -> tuple[list[str], list[list[str]]]:
    """Return copies in different classes, of which one at least is wrong, and others.

    Args:
        examples: The pictures; what cannot be read is passed over.
        num_workers: Threads that read; None for one per processor.

    Returns:
        Names of the pictures that stand in several classes, and groups of names that
        are the same picture within one.
    """

    def digest(example: Example) -> bytes | None:
        try:
            return example.digest or hashlib.sha256(example.read()).digest()
        except OSError:  # said where it is measured
            return None

    groups = defaultdict[bytes, list[Example]](list)
    with ThreadPoolExecutor(num_workers or num_processors()) as executor:
        digests = executor.map(digest, examples)
        for example, found in zip(examples, digests, strict=True):
            if found is not None:
                groups[found].append(example)
    conflicting, alike = [], []
    for group in groups.values():
        names = [example.name for example in group]
        if len({example.label for example in group}) > 1:
            conflicting += names
        elif len(group) > 1:
            alike.append(names)
    if conflicting:
        logger.warning(
            "The same picture stands in several classes, where one name at most is "
            "right: %s.",
            name_some(conflicting),
        )
    return conflicting, alike


def count_trained_on(model: Path, examples: Sequence[Example]) -> int:
    """Return how many pictures the model has learned from, by the table beside it.

    Args:
        model: The model file; the table is `model.split.csv` beside `model.tflite`.
        examples: The pictures.
    """
    table = split_table(model)
    try:
        splits = read_split_file(table)
    except (OSError, DatasetError):  # none, or somebody else's
        return 0
    return sum(splits.get(example.name, "test") != "test" for example in examples)


def split_table(model: Path) -> Path:
    """Return where `retrain` writes which picture is in which split."""
    return beside(model, SPLIT_ENDING)


def merged(evaluation: Evaluation, labels: Sequence[str]) -> Evaluation:
    """Take classes of one name for one: the best of their scores is its score.

    Args:
        evaluation: Scores, true classes the first of their name.
        labels: Names of the classes; some makers' lists have one twice.
    """
    if len(set(labels)) == len(labels):
        return evaluation
    first = np.array([labels.index(label) for label in labels], np.intp)
    scores = np.zeros_like(evaluation.scores)
    for index, place in enumerate(first.tolist()):
        scores[:, place] = np.maximum(scores[:, place], evaluation.scores[:, index])
    return replace(evaluation, scores=scores, classes=first[evaluation.classes])


def name_some(names: Sequence[str]) -> str:
    """Return names in a row, the first of many."""
    more = len(names) - NAMED_AT_MOST
    listed = ", ".join(names[:NAMED_AT_MOST])
    return f"{listed} and {more} more" if more > 0 else listed
