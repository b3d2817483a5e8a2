"""Pictures with tags, as a model with tags of its own sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeclf.data.folders import Example
from edgeclf.data.splits import SPLITS
from edgeclf.data.synonyms import folded
from edgeclf.data.tag_source import TagSource
from edgeclf.errors import DatasetError
from edgeclf.evaluation.cooccurrence import describe_cooccurrence
from edgeclf.evaluation.folder import name_some
from edgeclf.evaluation.tag_metrics import TagEvaluation
from edgeclf.evaluation.tag_report import describe_tag_evaluation


def tag_source(labels: Sequence[str], **settings: Any) -> TagSource:
    """Return where pictures and tags are read: of the tags those of a model.

    Args:
        labels: The model's; one that is there twice, in other spelling perhaps, is
            one tag.
        **settings: As for `TagSource`. A folder alone, `image_dir`, is one of folders
            that are called like tags.

    Raises:
        ValueError: As `TagSource`.
    """
    if settings.get("unsplash") is None and settings.get("tags_csv") is None:
        folder = settings.pop("image_dir", None)
        if settings.get("tag_folders") is None:
            settings["tag_folders"] = folder
        elif folder is not None:
            settings["image_dir"] = folder  # refused in its own words
    names = {folded(label): label for label in labels[::-1]}
    return TagSource(**settings, keywords=tuple(names.values())[::-1])


def read_tagged(
    source: TagSource,
    labels: Sequence[str],
    splits: Mapping[str, str] | None = None,
    split: str = "",
) -> tuple[list[Example], NDArray[np.bool_]]:
    """Return pictures, and which has which of a model's tags.

    Pictures of other tags stay, as pictures of none.

    Args:
        source: Where they are; its keywords are the model's tags.
        labels: The model's tags.
        splits: Split of each picture, by name; None to take all pictures.
        split: The split to take.

    Returns:
        The pictures, and bool `(n, len(labels))`, columns in the model's order.

    Raises:
        DatasetError: None has one of the tags, or is in the split.
        OSError: A file or folder cannot be read.
    """
    synonyms = source.choice().synonyms
    found = source.read()
    columns = {folded(name): column for column, name in enumerate(found.labels)}
    order = [columns[folded(synonyms(label) or label)] for label in labels]
    targets = found.targets[:, order]
    if splits is None:
        return list(found.examples), targets
    rows = [
        row
        for row, example in enumerate(found.examples)
        if splits.get(example.name) == split
    ]
    if not rows:
        raise DatasetError(
            f"Expected pictures of {source.root} in the split {split}, named like "
            f"{found.examples[0].name}. "
            f"Received: {name_some(list(splits)[:3]) or 'none'}."
        )
    return [found.examples[row] for row in rows], targets[rows]


def describe_tagged(
    evaluation: TagEvaluation, labels: Sequence[str], kind: str, split: str
) -> dict[str, Any]:
    """Return what a report says of a model of tags and its pictures, for JSON.

    Args:
        evaluation: Of the pictures that could be read.
        labels: The model's tags.
        kind: "int8", "float16" or "float": what the file holds.
        split: The one that counts the pictures.
    """
    targets = evaluation.targets

    def by_split(number: int) -> dict[str, int]:
        return {name: number if name == split else 0 for name in SPLITS}

    total = by_split(len(targets))
    return {
        **describe_tag_evaluation(evaluation, labels, kind),
        "cooccurrence": describe_cooccurrence(targets, labels),
        "data": {
            "tags": [
                {"label": label, **by_split(int(targets[:, tag].sum()))}
                for tag, label in enumerate(labels)
            ],
            **{f"num_{name}": number for name, number in total.items()},
            "num_without_tags": int((~targets.any(axis=1)).sum()),
        },
    }
