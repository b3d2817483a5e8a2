"""Fit the head the way the settings ask for."""

from __future__ import annotations

import dataclasses
import logging
import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from edgeclf import files
from edgeclf.data.splits import TRAIN, VALIDATION
from edgeclf.training import discriminant, regression
from edgeclf.training.assemble import assemble
from edgeclf.training.bottlenecks import BottleneckExtractor
from edgeclf.training.candidates import choose
from edgeclf.training.class_weights import weigh_classes
from edgeclf.training.config import DESCENT_ONLY, RetrainConfig, is_changed
from edgeclf.training.dataset import BottleneckDataset
from edgeclf.training.descent import Descent, DescentStep, descend
from edgeclf.training.folds import FOLDS, deal_folds, known_rows
from edgeclf.training.head import (
    FittedHead,
    Head,
    LabelledBottlenecks,
    cross_entropy,
)
from edgeclf.training.moments import Moments
from edgeclf.training.record import with_record
from edgeclf.training.trials import DISCRIMINANT, PROTOTYPE
from edgeclf.training.view_bottlenecks import all_views, view_blocks, with_views
from edgeclf.training.views import Distortions
from edgeclf.zoo.backbone import Backbone

logger = logging.getLogger("edgeclf")

HOPELESS = 1.1  # times the discriminant's cross-entropy: no strength makes up for it


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
        train = with_views(config, extractor, dataset)
        return _descend(config, config.descent, extractor.backbone, train, dataset)
    ignored = [name for name in DESCENT_ONLY if is_changed(config, name)]
    if ignored:
        logger.warning(
            "Without effect: %s. The default solver has no steps; "
            "--how_many_training_steps selects gradient descent.",
            ", ".join(f"--{name}" for name in ignored),
        )
    dealt = _deal(dataset)
    fitted = _solved(config, extractor, dataset, dealt)
    classes = dataset.classes[dealt.rows]
    return weigh_classes(
        fitted,
        classes,
        dealt.is_validation,
        known_rows(classes, dealt.folds),
        config.class_weights,
    )


def _solved(
    config: RetrainConfig,
    extractor: BottleneckExtractor,
    dataset: BottleneckDataset,
    dealt: _Dealt,
) -> FittedHead:
    classes = dataset.classes[dealt.rows]
    known = known_rows(classes, dealt.folds)
    if config.solver == "regression":
        fitted = _regress(config, extractor, dataset, dealt)
        return choose({"regression": fitted}, classes, known)
    kinds = [DISCRIMINANT, PROTOTYPE]  # one to prefer first
    if config.solver != "auto":
        kinds = [config.solver]
    heads = discriminant.fit_all(
        _moments(config, extractor, dataset, dealt),
        LabelledBottlenecks(dataset.bottlenecks, dataset.classes, dealt.rows),
        dealt.folds,
        extractor.backbone.widths or (extractor.backbone.depth,),
        FOLDS,
        kinds,
    )
    candidates = dict(zip(kinds, heads, strict=True))
    if config.solver == "auto":
        loss = _loss(heads[0], classes, known)
        candidates["regression"] = _regress(
            config, extractor, dataset, dealt, HOPELESS * loss
        )
    chosen = choose(candidates, classes, known)
    return replace(chosen, held_out=chosen.held_out or heads[0].held_out)


def _loss(
    fitted: FittedHead, classes: NDArray[np.intp], known: NDArray[np.bool_]
) -> float:
    if not known.any():
        return 0.0
    return cross_entropy(np.asarray(fitted.unseen)[known], classes[known])


@dataclass(frozen=True)
class _Dealt:
    """The training and validation pictures and the folds that they are dealt to.

    Attributes:
        rows: Their positions in the dataset, rising.
        folds: The fold of each; that of validation pictures is `FOLDS`.
    """

    rows: NDArray[np.intp]
    folds: NDArray[np.intp]

    @property
    def is_validation(self) -> NDArray[np.bool_]:
        """Which of them are validation pictures."""
        return np.asarray(self.folds == FOLDS)


def _deal(dataset: BottleneckDataset) -> _Dealt:
    train, validation = dataset.positions(TRAIN), dataset.positions(VALIDATION)
    folds = np.full(len(dataset.classes), FOLDS)
    folds[train] = deal_folds(
        dataset.classes[train],
        dataset.groups[train],
        [dataset.digests[row] for row in train.tolist()],
    )
    rows = np.sort(np.concatenate([train, validation]))
    return _Dealt(rows, folds[rows])


def _moments(
    config: RetrainConfig,
    extractor: BottleneckExtractor,
    dataset: BottleneckDataset,
    dealt: _Dealt,
) -> Moments:
    """Return moments of the pictures and of their views, which are never all held."""
    folds = np.zeros(len(dataset.classes), np.intp)
    folds[dealt.rows] = dealt.folds
    moments = Moments.of(
        dataset.bottlenecks,
        dataset.classes,
        folds,
        FOLDS + bool(dealt.is_validation.any()),
        len(dataset.labels),
        dealt.rows,
    )
    # A fold stands together.
    rows = dealt.rows[np.argsort(dealt.folds, kind="stable")]
    for bottlenecks, some in view_blocks(config, extractor, dataset, rows):
        moments.add(
            bottlenecks,
            dataset.classes[some],
            folds[some],
            dataset.bottlenecks[some],
        )
    return moments


def _regress(
    config: RetrainConfig,
    extractor: BottleneckExtractor,
    dataset: BottleneckDataset,
    dealt: _Dealt,
    hopeless: float | None = None,
) -> FittedHead:
    """Fit by regression to the pictures and their views, all in memory.

    As one candidate of several, with a cross-entropy that is `hopeless`, it is fitted
    to the pictures alone: views are many, and gain it little.
    """
    data = LabelledBottlenecks(dataset.bottlenecks, dataset.classes, dealt.rows)
    folds = dealt.folds
    if hopeless is None and config.num_views > 1:
        views, owners = all_views(config, extractor, dataset, dealt.rows)
        data = data + LabelledBottlenecks(views, dataset.classes[owners])
        its_folds = dealt.folds[np.searchsorted(dealt.rows, owners)]
        folds = np.concatenate([folds, its_folds])
    return regression.fit(
        data,
        folds,
        len(dealt.rows),
        extractor.backbone.widths or (extractor.backbone.depth,),
        len(dataset.labels),
        FOLDS,
        math.inf if hopeless is None else hopeless,
    )


def plain_discriminant(
    config: RetrainConfig, extractor: BottleneckExtractor, dataset: BottleneckDataset
) -> FittedHead:
    """Return a discriminant that is fitted to the pictures alone, without views.

    Args:
        config: Settings.
        extractor: Knows the bottleneck's parts.
        dataset: The pictures.
    """
    no_views = Distortions()
    plain = replace(config, views=1, **dataclasses.asdict(no_views))
    dealt = _deal(dataset)
    return discriminant.fit(
        _moments(plain, extractor, dataset, dealt),
        LabelledBottlenecks(dataset.bottlenecks, dataset.classes, dealt.rows),
        dealt.folds,
        extractor.backbone.widths or (extractor.backbone.depth,),
        FOLDS,
    )


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

    steps: list[DescentStep] = []

    def keep(step: DescentStep) -> None:
        steps.append(step)
        _log_step(step)

    # One thread adds in one order: the same weights in every run.
    with threadpool_limits(1, user_api="blas"), np.errstate(all="ignore"):
        fitted = descend(
            train, validation, num_classes, settings, config.seed, keep, store
        )
    return replace(fitted, steps=steps)


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
