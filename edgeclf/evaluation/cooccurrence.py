"""Which tags stand on the same pictures, and which a model gives together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeclf.evaluation.tag_metrics import TagEvaluation

MAX_TAGS = 40  # of a matrix that people read; its counts go with the square
NUM_PAIRS = 10


def count_together(tags: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return how many pictures have each pair of tags.

    Args:
        tags: Which picture has which tag, `(n, tags)`.

    Returns:
        `(tags, tags)`; the diagonal counts the pictures of each tag.
    """
    wide = tags.astype(np.float64)  # sums of ones, exact to 2 ** 53, and fast
    return np.asarray(np.rint(wide.T @ wide), np.int64)


def describe_cooccurrence(
    targets: NDArray[np.bool_], labels: Sequence[str]
) -> dict[str, Any]:
    """Return the counts of the most frequent tags, for JSON.

    Args:
        targets: Which picture has which tag, `(n, tags)`.
        labels: Names of the tags.

    Returns:
        `labels` of `MAX_TAGS` tags at most, in their order, and `counts`, a row for
        each, as `count_together` has them.
    """
    frequent = np.argsort(-targets.sum(axis=0), kind="stable")[:MAX_TAGS]
    kept = np.sort(frequent)
    return {
        "labels": [labels[tag] for tag in kept.tolist()],
        "counts": count_together(targets[:, kept]).tolist(),
    }


def pairs_that_differ(
    evaluation: TagEvaluation, labels: Sequence[str]
) -> list[dict[str, Any]]:
    """Return the pairs of tags that a model gives too often or too rarely together.

    Args:
        evaluation: Scores of the pictures.
        labels: Names of the tags.

    Returns:
        `labels` of the pair, the number of pictures that have both, `true`, and of
        those that are given both, `given`; the largest difference first.
    """
    true = np.triu(count_together(evaluation.targets), 1)
    given = np.triu(count_together(evaluation.predicted), 1)
    apart = np.abs(given - true)
    order = np.argsort(-apart, axis=None, kind="stable")[:NUM_PAIRS]
    return [
        {
            "labels": [labels[row], labels[column]],
            "true": int(true[row, column]),
            "given": int(given[row, column]),
        }
        for row, column in zip(
            *(part.tolist() for part in np.unravel_index(order, apart.shape)),
            strict=True,
        )
        if apart[row, column]
    ]
