"""Fit the head the way the settings ask for."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from edgeclf import files
from edgeclf.data.splits import TRAIN, VALIDATION
from edgeclf.training import discriminant, regression
from edgeclf.training.assemble import assemble
from edgeclf.training.bottlenecks import BottleneckExtractor, Features
from edgeclf.training.config import DESCENT_ONLY, RetrainConfig, is_changed
from edgeclf.training.dataset import BottleneckDataset
from edgeclf.training.descent import Descent, DescentStep, descend
from edgeclf.training.head import (
    ROWS_AT_ONCE,
    FittedHead,
    Head,
    LabelledBottlenecks,
)
from edgeclf.training.record import with_record
from edgeclf.training.summaries import Summaries
from edgeclf.zoo.backbone import Backbone

logger = logging.getLogger("edgeclf")


def fit_head(
    config: RetrainConfig, extractor: BottleneckExtractor, dataset: BottleneckDataset
) -> FittedHead:
    """Fit by what the settings ask for, gradient descent if its settings are given.

    Args:
        config: Settings.
        extractor: Computes the bottlenecks of views.
        dataset: The pictures.
    """
    if config.descent is not None:
        train = _with_views(config, extractor, dataset)
        return _descend(config, config.descent, extractor.backbone, train, dataset)
    ignored = [name for name in DESCENT_ONLY if is_changed(config, name)]
    if ignored:
        logger.warning(
            "Without effect: %s. The default solver has no steps; "
            "--how_many_training_steps selects gradient descent.",
            ", ".join(f"--{name}" for name in ignored),
        )
    if config.solver == "regression":
        train = _with_views(config, extractor, dataset)
        validation = dataset.subset(VALIDATION)
        return regression.fit(train, validation, len(dataset.labels))
    return _discriminate(config, extractor, dataset)


def _discriminate(
    config: RetrainConfig, extractor: BottleneckExtractor, dataset: BottleneckDataset
) -> FittedHead:
    """Fit to training and validation pictures and to their views, never all at once."""
    train, validation = dataset.positions(TRAIN), dataset.positions(VALIDATION)
    folds = np.full(len(dataset.classes), discriminant.FOLDS)
    folds[train] = discriminant.deal_folds(
        dataset.classes[train],
        dataset.groups[train],
        [dataset.digests[row] for row in train.tolist()],
    )
    used = np.sort(np.concatenate([train, validation]))
    rows = used[np.argsort(folds[used], kind="stable")]  # a fold stands together
    depth = extractor.backbone.depth
    moments = discriminant.Moments(
        discriminant.FOLDS + bool(len(validation)), len(dataset.labels), depth
    )
    for start in range(0, len(rows), ROWS_AT_ONCE):
        some = rows[start : start + ROWS_AT_ONCE]
        moments.add(dataset.bottlenecks[some], dataset.classes[some], folds[some])
    for bottlenecks, some in _views(config, extractor, dataset, rows):
        moments.add(bottlenecks, dataset.classes[some], folds[some])
    return discriminant.fit(
        moments,
        LabelledBottlenecks(dataset.bottlenecks, dataset.classes, used),
        folds[used],
        extractor.backbone.widths or (depth,),
        discriminant.FOLDS,
    )


def plain_held_out(
    config: RetrainConfig, extractor: BottleneckExtractor, dataset: BottleneckDataset
) -> discriminant.HeldOut:
    """Return what discriminants say of pictures that they have not seen.

    It stands in for a head that has not been fitted by folds.

    Args:
        config: Settings.
        extractor: Knows the bottleneck's parts.
        dataset: The pictures: their bottlenecks alone, without views.
    """
    plain = dataclasses.replace(
        config,
        views=1,
        flip_left_right=False,
        random_crop=0.0,
        random_scale=0.0,
        random_brightness=0.0,
    )
    held_out = _discriminate(plain, extractor, dataset).held_out
    if held_out is None:
        raise RuntimeError("A discriminant is always fitted by folds.")
    return held_out


def _views(
    config: RetrainConfig,
    extractor: BottleneckExtractor,
    dataset: BottleneckDataset,
    rows: NDArray[np.intp],
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.intp]]]:
    """Yield bottlenecks of the pictures' views, a block at a time, and whose they are.

    Args:
        config: Says which views.
        extractor: Computes them.
        dataset: Where the pictures are.
        rows: Positions of the pictures in it.
    """
    each = len(config.draw_views(dataset.digests[0]))
    if not each:
        return
    items = (  # of many pictures too many to hold
        (dataset.examples[row], view)
        for row in rows.tolist()
        for view in config.draw_views(dataset.digests[row])
    )
    block = np.empty((ROWS_AT_ONCE, extractor.backbone.depth), np.float32)
    filled: list[int] = []
    owners = np.repeat(rows, each)
    results = extractor.extract(items, "views", len(owners))
    for row, features in zip(owners.tolist(), results, strict=True):
        if not isinstance(features, Features):  # it was readable a moment ago
            logger.warning(
                "Left out a view of %s: %s", features.example.path, features.reason
            )
            continue
        block[len(filled)] = features.bottleneck
        filled.append(row)
        if len(filled) == len(block):
            yield block, np.array(filled, np.intp)
            filled = []
    yield block[: len(filled)], np.array(filled, np.intp)


def _with_views(
    config: RetrainConfig, extractor: BottleneckExtractor, dataset: BottleneckDataset
) -> LabelledBottlenecks:
    """Return the training pictures and their views, all of them in memory."""
    train = dataset.subset(TRAIN)
    if config.num_views == 1:
        return train
    rows = dataset.positions(TRAIN)
    bottlenecks, owners = [], []
    for block, some in _views(config, extractor, dataset, rows):
        bottlenecks.append(block.copy())
        owners.append(some)
    classes = dataset.classes[np.concatenate(owners)]
    return train + LabelledBottlenecks(np.concatenate(bottlenecks), classes)


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
