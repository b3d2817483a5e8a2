"""What a run on tags measures: the model file on pictures that it has not seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgeclf.evaluation.tag_evaluate import evaluate_tags
from edgeclf.evaluation.tag_metrics import TagEvaluation
from edgeclf.training.config import RetrainConfig
from edgeclf.training.measurements import measured_rows, opened
from edgeclf.training.tag_dataset import TagDataset

# Of the written file, by these names also beside the metrics of `test`.
_FIGURES = ("mean_average_precision", "micro_f1", "macro_f1", "binary_cross_entropy")


@dataclass(frozen=True)
class Mistagged:
    """A test picture whose tags the written file gets wrong.

    Attributes:
        name: Path relative to the dataset's folder.
        missed: Tags that it has and is not given, and their scores in [0, 1].
        wrong: Tags that it is given and has not, and their scores.
        thresholds: Scores from which the missed tags would have been given.
    """

    name: str
    missed: Sequence[tuple[str, float]]
    wrong: Sequence[tuple[str, float]]
    thresholds: Sequence[float]


def measure_tags(
    config: RetrainConfig, dataset: TagDataset, models: Mapping[str, bytes]
) -> dict[str, TagEvaluation]:
    """Run every model file on the test pictures, through `Classifier`.

    Args:
        config: Settings.
        dataset: The pictures.
        models: Files by kind.

    Returns:
        What each has answered, by kind; empty without a usable test picture.
    """
    rows = measured_rows(config, dataset)
    if not rows:
        return {}
    with opened(models) as classifiers:
        evaluations = evaluate_tags(
            classifiers,
            [dataset.examples[row] for row in rows],
            dataset.targets[rows],
            resize=config.resize,
            num_workers=config.num_workers,
        )
    if not evaluations[0].names:
        return {}
    return dict(zip(models, evaluations, strict=True))


def tag_figures(
    evaluations: Mapping[str, TagEvaluation], kind: str, labels: Sequence[str]
) -> dict[str, Any]:
    """Return what the metrics say of the test pictures; None for what is not measured.

    Args:
        evaluations: By kind of file.
        kind: Of the file that is written.
        labels: Names of the tags.
    """
    measured = evaluations.get(kind)
    described = measured and measured.describe(labels)
    floating = evaluations.get("float")
    int8 = evaluations.get("int8")
    return {
        "accuracy": described and described["accuracy"],
        "accuracy_float": floating and floating.accuracy,
        "accuracy_int8": int8 and int8.accuracy,
        **{name: described and described[name] for name in _FIGURES},
        "test": described,
        "test_float": floating and floating.describe(labels),
    }


def mistagged(evaluation: TagEvaluation, labels: Sequence[str]) -> list[Mistagged]:
    """Return the test pictures whose tags a file gets wrong."""
    found = []
    is_wrong = (evaluation.predicted != evaluation.targets).any(axis=1)
    for row in np.flatnonzero(is_wrong).tolist():
        targets, given = evaluation.targets[row], evaluation.predicted[row]
        missed, wrong = (
            [
                (labels[tag], float(evaluation.scores[row, tag]))
                for tag in np.flatnonzero(is_meant).tolist()
            ]
            for is_meant in (targets & ~given, given & ~targets)
        )
        thresholds = evaluation.thresholds[targets & ~given].tolist()
        found.append(Mistagged(evaluation.names[row], missed, wrong, thresholds))
    return found
