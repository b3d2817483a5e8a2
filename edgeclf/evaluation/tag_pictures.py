"""The pictures on which a multi-label model is most wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeclf.evaluation.tag_metrics import LEAST_PROBABILITY, TagEvaluation

NUM_PICTURES = 12  # that miss a tag, and as many with a tag too much


def remarkable_tags(
    evaluation: TagEvaluation, labels: Sequence[str]
) -> dict[str, list[dict[str, Any]]]:
    """Return the pictures that most miss a tag, or have one too much, for JSON.

    How far a score is from its threshold is measured in logits, in which a tag that is
    rare, with low scores and a low threshold, is like any other.

    Args:
        evaluation: Scores of the pictures.
        labels: Names of the tags.

    Returns:
        `missed`: pictures with a tag that is not given. `wrong`: others, with a tag
        that they do not have. Each with `file`; `tag`, the worst such one, its `score`
        and `threshold`; `tags`, all that it has; and `given`, those that the model
        gives, as `label` and `score`, best first. A picture stands there once.
    """
    distance = _logits(evaluation.scores) - _logits(evaluation.thresholds)
    missed = np.where(evaluation.targets & ~evaluation.predicted, -distance, -np.inf)
    wrong = np.where(evaluation.predicted & ~evaluation.targets, distance, -np.inf)
    first = _worst(missed)
    wrong[[row for row, _ in first]] = -np.inf

    def entry(row: int, tag: int) -> dict[str, Any]:
        scores = evaluation.scores[row]
        given = np.flatnonzero(evaluation.predicted[row])
        given = given[np.argsort(-scores[given], kind="stable")]
        return {
            "file": evaluation.names[row],
            "tag": labels[tag],
            "score": float(scores[tag]),
            "threshold": float(evaluation.thresholds[tag]),
            "tags": [
                labels[own] for own in np.flatnonzero(evaluation.targets[row]).tolist()
            ],
            "given": [
                {"label": labels[other], "score": float(scores[other])}
                for other in given.tolist()
            ],
        }

    return {
        "missed": [entry(*place) for place in first],
        "wrong": [entry(*place) for place in _worst(wrong)],
    }


def _worst(distances: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Return picture and tag of the largest finite distances, a picture once."""
    tags = distances.argmax(axis=1)
    largest = distances.max(axis=1, initial=-np.inf)
    order = np.argsort(-largest, kind="stable")[:NUM_PICTURES]
    return [(row, int(tags[row])) for row in order.tolist() if largest[row] > -np.inf]


def _logits(scores: NDArray[np.float32]) -> NDArray[np.float64]:
    wide = np.asarray(scores, np.float64)
    limited = np.clip(wide, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    return np.asarray(np.log(limited / (1 - limited)))
