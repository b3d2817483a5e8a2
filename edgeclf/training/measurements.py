"""What a run measures: the model file on pictures that training has not seen."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgeclf.classifier import Classifier
from edgeclf.data.folders import Example
from edgeclf.data.splits import TEST
from edgeclf.evaluation.calibration import describe_calibration
from edgeclf.evaluation.evaluate import count_rejected, evaluate
from edgeclf.evaluation.metrics import Evaluation
from edgeclf.training.config import RetrainConfig
from edgeclf.training.dataset import BottleneckDataset
from edgeclf.training.extracted import ExtractedPictures


@dataclass(frozen=True)
class Misclassified:
    """A test picture that the written file gets wrong.

    Attributes:
        name: Path relative to the dataset's folder.
        label: Its class.
        predicted: The class with the highest score.
        score: That score, in [0, 1].
    """

    name: str
    label: str
    predicted: str
    score: float


def measure(
    config: RetrainConfig, dataset: BottleneckDataset, models: Mapping[str, bytes]
) -> dict[str, Evaluation]:
    """Run every model file on the test pictures, through `Classifier`.

    Args:
        config: Settings.
        dataset: The pictures.
        models: Files by kind.

    Returns:
        What each has answered, by kind; empty without a usable test picture.
    """
    examples = [dataset.examples[row] for row in measured_rows(config, dataset)]
    if not examples:
        return {}
    with opened(models) as classifiers:
        evaluations = evaluate(
            classifiers,
            examples,
            dataset.labels,
            resize=config.resize,
            num_workers=config.num_workers,
        )
    if not evaluations[0].names:
        return {}
    return dict(zip(models, evaluations, strict=True))


def measured_rows(config: RetrainConfig, dataset: ExtractedPictures) -> list[int]:
    """Return the positions of the test pictures to measure on."""
    rows = dataset.positions(TEST)
    if config.test_batch_size != -1:
        source = np.random.default_rng(config.seed)
        rows = np.sort(source.permutation(rows)[: config.test_batch_size])
    return [int(row) for row in rows]


@contextlib.contextmanager
def opened(models: Mapping[str, bytes]) -> Iterator[list[Classifier]]:
    """Open model files; close them at the end of the block.

    Args:
        models: Files by kind.
    """
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Classifier(content)) for content in models.values()]


def measure_reject(
    model: bytes,
    measured: Evaluation | None,
    strangers: Sequence[Example],
    num_workers: int | None,
) -> dict[str, Any]:
    """Say what the rule of the file does to test pictures, and to strangers.

    Args:
        model: A file with a reject rule.
        measured: Its scores on the test pictures; None without any.
        strangers: Pictures of no class.
        num_workers: Threads that decode; None for all processors.
    """
    described = (measured and measured.describe_reject()) or {}
    with Classifier(model) as classifier:
        num, rejected = count_rejected(classifier, strangers, num_workers)
    return {
        "coverage": described.get("coverage"),
        "accuracy": described.get("accuracy"),
        "background_rejected": rejected / num if num else None,
        "num_background_measured": num,
    }


def accuracy(evaluations: Mapping[str, Evaluation], kind: str) -> float | None:
    """Return the accuracy of one kind of file; None where it was not measured."""
    return evaluations[kind].accuracy if kind in evaluations else None


def calibration(
    measured: Evaluation | None, temperature: float | None
) -> dict[str, Any] | None:
    """Return how far scores are from probabilities; None where none are known."""
    if measured is None:
        return None
    return describe_calibration(measured.scores, measured.classes, temperature)


def misclassified(evaluation: Evaluation, labels: Sequence[str]) -> list[Misclassified]:
    """Return the test pictures that a file gets wrong."""
    predicted = evaluation.predicted
    return [
        Misclassified(
            evaluation.names[row],
            labels[evaluation.classes[row]],
            labels[predicted[row]],
            float(evaluation.scores[row, predicted[row]]),
        )
        for row in range(len(predicted))
        if predicted[row] != evaluation.classes[row]
    ]
