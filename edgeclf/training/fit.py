"""Fit the head the way the settings ask for."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from edgeclf import files
from edgeclf.data.splits import TRAIN, VALIDATION
from edgeclf.training import regression
from edgeclf.training.assemble import assemble
from edgeclf.training.bottlenecks import BottleneckExtractor, Features
from edgeclf.training.config import DESCENT_ONLY, RetrainConfig, is_changed
from edgeclf.training.dataset import BottleneckDataset
from edgeclf.training.descent import Descent, DescentStep, descend
from edgeclf.training.head import FittedHead, Head, LabelledBottlenecks
from edgeclf.training.record import with_record
from edgeclf.training.summaries import Summaries
from edgeclf.zoo.backbone import Backbone

logger = logging.getLogger("edgeclf")


def fit_head(
    config: RetrainConfig,
    backbone: Backbone,
    train: LabelledBottlenecks,
    dataset: BottleneckDataset,
) -> FittedHead:
    """Fit by softmax regression, or by gradient descent when its settings are given.

    Args:
        config: Settings.
        backbone: Needed for the models that are kept while descending.
        train: What to fit to: the training split and its views.
        dataset: Where the validation split comes from.
    """
    validation = dataset.subset(VALIDATION)
    num_classes = len(dataset.labels)
    if config.descent is None:
        ignored = [name for name in DESCENT_ONLY if is_changed(config, name)]
        if ignored:
            logger.warning(
                "Without effect: %s. Softmax regression has no steps; "
                "--how_many_training_steps selects gradient descent.",
                ", ".join(f"--{name}" for name in ignored),
            )
        return regression.fit(train, validation, num_classes)
    return _descend(config, config.descent, backbone, train, dataset)


def distorted_views(
    config: RetrainConfig, extractor: BottleneckExtractor, dataset: BottleneckDataset
) -> LabelledBottlenecks:
    """Return the bottlenecks of the training pictures' views."""
    items, classes = [], []
    for row in dataset.positions(TRAIN).tolist():
        for view in config.distortions.draw(dataset.digests[row], config.seed):
            items.append((dataset.examples[row], view))
            classes.append(int(dataset.classes[row]))
    bottlenecks = np.empty((len(items), extractor.backbone.depth), np.float32)
    usable = np.zeros(len(items), bool)
    for row, features in enumerate(extractor.extract(items, "views")):
        if isinstance(features, Features):
            bottlenecks[row], usable[row] = features.bottleneck, True
        else:  # it was readable a moment ago
            logger.warning(
                "Left out a view of %s: %s", features.example.path, features.reason
            )
    return LabelledBottlenecks(bottlenecks[usable], np.array(classes, np.intp)[usable])


def _descend(
    config: RetrainConfig,
    settings: Descent,
    backbone: Backbone,
    train: LabelledBottlenecks,
    dataset: BottleneckDataset,
) -> FittedHead:
    validation, num_classes = dataset.subset(VALIDATION), len(dataset.labels)

    def store(step: int, head: Head) -> None:
        folder = Path(config.intermediate_output_graphs_dir or ".")
        floating = assemble(backbone, head, config.final_tensor_name)
        content = with_record(floating, config, backbone, dataset, {})
        files.write_bytes(folder / f"intermediate_{step}.tflite", content)

    def run(report: Callable[[DescentStep], None]) -> FittedHead:
        # One thread adds in one order: the same weights in every run.
        with threadpool_limits(1, user_api="blas"), np.errstate(all="ignore"):
            return descend(
                train, validation, num_classes, settings, config.seed, report, store
            )

    if config.summaries_dir is None:
        return run(_log_step)
    with contextlib.closing(Summaries(config.summaries_dir)) as summaries:

        def log_and_add(step: DescentStep) -> None:
            _log_step(step)
            summaries.add(step)

        return run(log_and_add)


def _log_step(step: DescentStep) -> None:
    line = (
        f"Step {step.step}: train accuracy {step.train_accuracy:.1%}, "
        f"cross-entropy {step.train_cross_entropy:.4f}"
    )
    if step.validation_accuracy is not None:
        line += (
            f"; validation accuracy {step.validation_accuracy:.1%}, "
            f"cross-entropy {step.validation_cross_entropy:.4f}"
        )
    logger.info("%s", line)
