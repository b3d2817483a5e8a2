"""Fit the head by mini-batch gradient descent, as tensorflow-for-poets does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeclf.errors import EdgeclfError
from edgeclf.training.head import (
    FittedHead,
    Head,
    LabelledBottlenecks,
    accuracy,
    cross_entropy,
    softmax,
)

INITIAL_STDDEV = 0.001  # of the weights, as in retrain.py


@dataclass(frozen=True)
class DescentStep:
    """Where gradient descent stands after `step` steps.

    Attributes:
        step: Steps done.
        train_accuracy: On the mini-batch, in [0, 1].
        train_cross_entropy: On the mini-batch, in nats.
        validation_accuracy: On a sample of the validation split; None without one.
        validation_cross_entropy: Likewise.
    """

    step: int
    train_accuracy: float
    train_cross_entropy: float
    validation_accuracy: float | None
    validation_cross_entropy: float | None


@dataclass(frozen=True)
class Descent:
    """Settings of mini-batch gradient descent, named as in tensorflow-for-poets.

    Attributes:
        steps: Number of steps.
        learning_rate: Step size.
        train_batch_size: Pictures per step, drawn with replacement; all of them for
            -1 or when there are no more.
        validation_batch_size: Pictures per evaluation, likewise.
        eval_step_interval: Steps between two evaluations.
        store_interval: Steps between two calls of `store`; 0 for none.
    """

    steps: int
    learning_rate: float
    train_batch_size: int
    validation_batch_size: int
    eval_step_interval: int
    store_interval: int = 0


def descend(
    train: LabelledBottlenecks,
    validation: LabelledBottlenecks,
    num_classes: int,
    settings: Descent,
    seed: int,
    report: Callable[[DescentStep], None],
    store: Callable[[int, Head], None],
) -> FittedHead:
    """Fit the head by plain mini-batch gradient descent on the cross-entropy.

    Args:
        train: What is fitted to.
        validation: What is reported on; may be empty.
        num_classes: Number of outputs.
        settings: Steps, rate and batch sizes.
        seed: For the initial weights and the batches.
        report: Called with every evaluation; the last step is one.
        store: Called with the step and the head, every `store_interval` steps.

    Raises:
        EdgeclfError: The weights ran away to infinity.
    """
    source = np.random.default_rng(seed)
    report_source = np.random.default_rng([seed, 1])  # reporting changes no batch
    weights = source.normal(0.0, INITIAL_STDDEV, (num_classes, train.depth)).astype(
        np.float32
    )
    bias = np.zeros(num_classes, np.float32)
    for step in range(settings.steps):
        batch = _sample(train, settings.train_batch_size, source)
        current = Head(weights, bias)
        if settings.store_interval and step and step % settings.store_interval == 0:
            store(step, current)
        points, classes = batch.bottlenecks, batch.classes
        logits = current.logits(points)
        if step % settings.eval_step_interval == 0 or step == settings.steps - 1:
            checked = _sample(validation, settings.validation_batch_size, report_source)
            report(_describe(step, current, logits, batch, checked))
        errors = softmax(logits)
        errors[np.arange(len(batch)), classes] -= 1.0
        errors *= settings.learning_rate / len(batch)
        weights = weights - errors.T @ points
        bias = bias - errors.sum(axis=0)
    if not (np.isfinite(weights).all() and np.isfinite(bias).all()):
        raise EdgeclfError(
            "Gradient descent diverged: expected a smaller learning_rate. "
            f"Received: {settings.learning_rate}."
        )
    head = Head(weights, bias)
    if not len(validation):
        return FittedHead(head, None, None, None)
    logits = validation.logits(head)
    return FittedHead(
        head,
        None,
        cross_entropy(logits, validation.classes),
        accuracy(logits, validation.classes),
    )


def _describe(
    step: int,
    head: Head,
    logits: NDArray[np.float32],
    batch: LabelledBottlenecks,
    checked: LabelledBottlenecks,
) -> DescentStep:
    checked_logits = checked.logits(head) if len(checked) else None
    return DescentStep(
        step,
        accuracy(logits, batch.classes),
        cross_entropy(logits, batch.classes),
        None if checked_logits is None else accuracy(checked_logits, checked.classes),
        None
        if checked_logits is None
        else cross_entropy(checked_logits, checked.classes),
    )


def _sample(
    data: LabelledBottlenecks, size: int, source: np.random.Generator
) -> LabelledBottlenecks:
    if size < 0 or size >= len(data):
        return data
    return data.take(source.integers(len(data), size=size))
