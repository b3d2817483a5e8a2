"""Fine-tuning: the backbone learns from the pictures, too.

What comes out is a backbone like any other, with weights of its own. Bottlenecks, head
and the device's file are made of it as they are of the frozen one.
"""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeclf.console import errors_only
from edgeclf.data.splits import TRAIN, VALIDATION
from edgeclf.errors import MissingExtraError
from edgeclf.interpreter import num_processors
from edgeclf.training.bottlenecks import BottleneckExtractor
from edgeclf.training.config import RetrainConfig
from edgeclf.training.dataset import BottleneckDataset
from edgeclf.training.differentiable import DifferentiableGraph
from edgeclf.training.extracted import with_bottlenecks
from edgeclf.training.fit import fit_head
from edgeclf.training.fresh_views import ViewLoader
from edgeclf.training.head import FineTuning, FittedHead, Head
from edgeclf.training.temperature import sharpness_of
from edgeclf.training.tuning import Examples, Tuner, check_agreement
from edgeclf.training.views import PLAIN, View, draw_variations
from edgeclf.zoo.backbone import Backbone
from edgeclf.zoo.tensorflow_extra import import_quietly

logger = logging.getLogger("edgeclf")

LEARNING_RATE = 2e-3
HEAD_RATE = 1e-4
# How far to go from the frozen weights to the tuned ones: what is tried.
SHARES = (0.5, 0.75)  # all the way is what knows the training pictures by heart
LEAST_FACTOR = 0.2  # on logits: a few odd validation pictures do not make scores void


def import_tensorflow() -> Any:
    """Return TensorFlow, set to compute the same in every run of this process.

    Only without a graphics card: there, what derives depthwise convolutions refuses to.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        tensorflow = import_quietly("tensorflow")
    except MissingExtraError as error:
        raise MissingExtraError(
            f"Fine-tuning needs the package tensorflow ({error.__cause__}). Leave out "
            '--fine_tune, or install it with: pip install "edgeclf[tensorflow]"'
        ) from error
    if not tensorflow.config.list_physical_devices("GPU"):
        tensorflow.config.experimental.enable_op_determinism()
    return tensorflow


def check_trainable(backbone: Backbone) -> None:
    """Refuse a backbone that TensorFlow cannot compute and derive.

    Raises:
        MissingExtraError: TensorFlow is not installed.
        ModelError: The backbone holds an operator that cannot be trained.
    """
    tensorflow = import_tensorflow()
    graph = DifferentiableGraph(backbone.content, tensorflow)
    check_agreement(graph, backbone, tensorflow)


def fine_tune(
    config: RetrainConfig,
    extractor: BottleneckExtractor,
    dataset: BottleneckDataset,
    frozen: FittedHead,
) -> tuple[BottleneckExtractor, BottleneckDataset, FittedHead]:
    """Train the backbone; return its results, or the frozen ones if they are better.

    Better is what has the lower cross-entropy on the validation pictures, without
    getting more of them wrong.

    Args:
        config: Settings.
        extractor: Of the frozen backbone.
        dataset: The pictures, with its bottlenecks.
        frozen: The head on it.

    Returns:
        The extractor of the better backbone, the dataset with its bottlenecks, and
        the head on it.

    Raises:
        MissingExtraError: TensorFlow is not installed.
        ModelError: The backbone holds an operator that cannot be trained.
    """
    if not len(dataset.positions(VALIDATION)):
        logger.warning(
            "Not fine-tuned: no picture is held out for validation, to tell whether "
            "that is better."
        )
        return extractor, dataset, frozen
    tuner = _train(config, extractor, dataset)
    best = _best_share(config, extractor, dataset, tuner)
    tuned = None if best is None else _fit(config, best.extractor, best.dataset)
    is_better = tuned is not None and _is_better(tuned, frozen)
    _log(tuned, frozen, is_better=is_better)
    record = FineTuning(
        kept=is_better,
        share=None if best is None else best.share,
        epochs=len(tuner.epochs),
        frozen=_figures(frozen),
        tuned=_figures(tuned),
        frozen_sha256=extractor.backbone.sha256,
        tensorflow=import_tensorflow().__version__,
        curves=tuple(dataclasses.asdict(epoch) for epoch in tuner.epochs),
    )
    if best is None or tuned is None or not is_better:
        return extractor, dataset, dataclasses.replace(frozen, fine_tuning=record)
    fitted = dataclasses.replace(_softened(config, best, tuned), fine_tuning=record)
    return best.extractor, best.dataset, fitted


def _train(
    config: RetrainConfig, extractor: BottleneckExtractor, dataset: BottleneckDataset
) -> Tuner:
    tensorflow = import_tensorflow()
    backbone = extractor.backbone
    # The warm start must not have seen the pictures that tell when to stop.
    with errors_only():
        warm = fit_head(_solved(config), extractor, _only_train(dataset))
    known = dataset.subset(TRAIN).bottlenecks
    tuner = Tuner(backbone, warm.head, known, LEARNING_RATE, HEAD_RATE, tensorflow)
    epochs = config.fine_tune_epochs
    train, validation = dataset.positions(TRAIN), dataset.positions(VALIDATION)
    views = [_views(config, dataset.digests[row], epochs) for row in train.tolist()]
    plain = [[PLAIN]] * len(validation)
    with (
        _loader(config, backbone, dataset, train, views) as fitted,
        _loader(config, backbone, dataset, validation, plain) as scored,
    ):
        tuner.train(
            Examples(fitted, dataset.classes[train]),
            Examples(scored, dataset.classes[validation]),
            epochs,
            config.seed,
        )
    return tuner


def _solved(config: RetrainConfig, views: int | None = None) -> RetrainConfig:
    """Return settings for a head that is solved for at once.

    Args:
        config: Says how views are drawn.
        views: Of each picture, 1 for the plain one alone; None for as many as there.
    """
    is_plain = views == 1
    return RetrainConfig(
        config.image_dir,
        config.output_graph,
        solver="discriminant",
        views=config.num_views if views is None else views,
        flip_left_right=config.flip_left_right and not is_plain,
        random_crop=0 if is_plain else config.random_crop,
        random_scale=0 if is_plain else config.random_scale,
        random_brightness=0 if is_plain else config.random_brightness,
        seed=config.seed,
    )


def _views(config: RetrainConfig, digest: bytes, epochs: int) -> Sequence[View]:
    """Return what the epochs show of the picture with that SHA-256."""
    draw = config.distortions.draw if config.distortions else draw_variations
    return [PLAIN, *draw(digest, config.seed, epochs - 1)]


def _loader(
    config: RetrainConfig,
    backbone: Backbone,
    dataset: BottleneckDataset,
    rows: NDArray[np.intp],
    views: Sequence[Sequence[View]],
) -> ViewLoader:
    paths = [dataset.examples[row].path for row in rows.tolist()]
    num_workers = config.num_workers or num_processors()
    return ViewLoader(paths, views, backbone.input_size, config.resize, num_workers)


@dataclass(frozen=True)
class _Trial:
    """A backbone between the frozen and the tuned one.

    Attributes:
        share: How far from one to the other, 0-1.
        extractor: Of it.
        dataset: With its bottlenecks.
        loss: Cross-entropy on validation of a plain head.
    """

    share: float
    extractor: BottleneckExtractor
    dataset: BottleneckDataset
    loss: float


def _best_share(
    config: RetrainConfig,
    extractor: BottleneckExtractor,
    dataset: BottleneckDataset,
    tuner: Tuner,
) -> _Trial | None:
    """Return how far to go from the frozen weights; None if no share is of use.

    The tuned weights themselves know the training pictures too well. On the way to
    them the pictures of validation are often told apart best.
    """
    trials = []
    for share in SHARES:
        backbone = dataclasses.replace(
            extractor.backbone,
            content=tuner.content(share),
            source=f"{extractor.backbone.source}, fine-tuned",
        )
        tuned = extractor.of(backbone)
        moved = with_bottlenecks(dataset, tuned, f"{share:.0%} tuned")
        with errors_only():
            fitted = _fit(_solved(config, views=1), tuned, moved)
        loss = None if fitted is None else fitted.validation_cross_entropy
        if loss is not None and math.isfinite(loss):
            trials.append(_Trial(share, tuned, moved, loss))
    return min(trials, key=lambda trial: trial.loss, default=None)


def _fit(
    config: RetrainConfig, extractor: BottleneckExtractor, dataset: BottleneckDataset
) -> FittedHead | None:
    """Fit a head; None where tuning has left nothing to tell classes apart by."""
    if not np.isfinite(dataset.bottlenecks).all():
        return None
    try:
        return fit_head(config, extractor, dataset)
    except np.linalg.LinAlgError:
        return None


def _is_better(tuned: FittedHead, frozen: FittedHead) -> bool:
    """Return whether the tuned backbone is to be preferred; a tie is for the frozen.

    Cross-entropies tell more than accuracies where pictures are few.
    """
    return _or_zero(tuned.validation_accuracy) >= _or_zero(
        frozen.validation_accuracy
    ) and _or_zero(tuned.validation_cross_entropy) < _or_zero(
        frozen.validation_cross_entropy
    )


def _softened(config: RetrainConfig, best: _Trial, tuned: FittedHead) -> FittedHead:
    """Return the head with scores that are no surer than validation justifies.

    The discriminant's temperature is of pictures that its own folds hold back, but the
    tuned backbone has learned them: it is too low.
    """
    if tuned.temperature is None:
        return tuned
    with errors_only():
        judge = _fit(_solved(config), best.extractor, _only_train(best.dataset))
    if judge is None:
        return tuned
    validation = best.dataset.subset(VALIDATION)
    logits = validation.logits(judge.head).astype(np.float64)
    factor = sharpness_of(logits, validation.classes)
    factor = min(max(factor, LEAST_FACTOR), 1.0)
    head = Head(
        (tuned.head.weights * factor).astype(np.float32),
        (tuned.head.bias * factor).astype(np.float32),
    )
    unseen = tuned.unseen
    return dataclasses.replace(
        tuned,
        head=head,
        temperature=tuned.temperature / factor,
        unseen=None if unseen is None else unseen * np.float32(factor),
    )


def _only_train(dataset: BottleneckDataset) -> BottleneckDataset:
    """Return the dataset without a validation split."""
    splits = np.where(dataset.splits == TRAIN, TRAIN, "")
    return dataclasses.replace(dataset, splits=splits)


def _or_zero(figure: float | None) -> float:
    return 0.0 if figure is None else figure


def _figures(fitted: FittedHead | None) -> dict[str, float | None]:
    return {
        name: None if fitted is None else getattr(fitted, name)
        for name in ("validation_accuracy", "validation_cross_entropy")
    }


def _log(tuned: FittedHead | None, frozen: FittedHead, *, is_better: bool) -> None:
    if tuned is None:
        logger.warning(
            "Frozen backbone kept: fine-tuning left nothing to tell classes apart by."
        )
        return
    logger.info(
        "%s backbone kept: validation accuracy %.1f %%, cross-entropy %.4f "
        "fine-tuned; %.1f %%, %.4f frozen",
        "Fine-tuned" if is_better else "Frozen",
        100 * _or_zero(tuned.validation_accuracy),
        _or_zero(tuned.validation_cross_entropy),
        100 * _or_zero(frozen.validation_accuracy),
        _or_zero(frozen.validation_cross_entropy),
    )
