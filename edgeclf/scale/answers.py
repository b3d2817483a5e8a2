"""How a job uses its model, and what of that decides the answers."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from edgeclf.image import load
from edgeclf.labels import given_labels
from edgeclf.scale.config import LabelConfig
from edgeclf.scale.listing import Source
from edgeclf.scale.work import Labelling
from edgeclf.tflite.source import read_model

# What of `Classifier`'s arguments decides the answers.
_DECIDING = (
    *("resize", "input_mean", "input_std", "input_size"),
    *("delegate", "delegate_options"),
)


def labelling_of(config: LabelConfig) -> Labelling:
    """Read the model, and say how it is used."""
    labels = None if config.labels is None else given_labels(config.labels)[0]
    name, content = read_model(
        config.model,
        config.model_arguments.get("sha256"),
        config.model_arguments.get("max_model_mb"),
    )
    return Labelling(
        model_name=name,
        model=content,
        labels=labels,
        arguments=dict(config.model_arguments),
        choice={
            "top_k": config.top_k,
            "score_threshold": config.score_threshold,
            "allow": _sorted(config.allow),
            "deny": _sorted(config.deny),
            "reject": config.reject,
        },
        view={"region": config.region, "rotation": config.rotation},
        bottleneck=config.bottleneck,
    )


def tried(labelling: Labelling) -> tuple[int, int] | None:
    """Refuse now what would be every picture's error; return the input's size."""
    pixel = np.zeros((1, 1, 3), np.uint8)
    with labelling.classifier() as classifier:
        scores = np.zeros(classifier.num_classes, np.float32)
        classifier.categories(scores, **labelling.choice)
        if labelling.choice["reject"] and classifier.has_reject_rule:
            classifier.examine(pixel)  # a damaged rule is no picture's error
        load(pixel, None, rotation=labelling.view["rotation"])
        if embedder := labelling.embedder():
            embedder.close()
        return classifier.input_size


def deciding(
    config: LabelConfig, labelling: Labelling, source: Source
) -> dict[str, Any]:
    """Return everything that decides what is written."""
    arguments = {name: labelling.arguments.get(name) for name in _DECIDING}
    given = {
        "model": hashlib.sha256(labelling.model).hexdigest(),
        "labels": labelling.labels,
        "bottleneck": config.bottleneck,
        "source": source.place,
        "column": config.column,
        **labelling.choice,
        **labelling.view,
        **arguments,
    }
    # Not by equality: a threshold of 0 is an answer of its own.
    return {
        name: value
        for name, value in given.items()
        if value is not None and value is not False
    }


def _sorted(labels: Sequence[str] | None) -> Sequence[str] | None:
    # Their order does not matter; a single string is refused by `Classifier`.
    return sorted(labels) if labels and not isinstance(labels, str) else labels
