"""Fit the head of tags: one sigmoid for each on the same bottlenecks."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from edgeclf.data.splits import TRAIN, VALIDATION
from edgeclf.training.bottlenecks import BottleneckExtractor
from edgeclf.training.config import DESCENT_ONLY, RetrainConfig, is_changed
from edgeclf.training.fitted_tags import FittedTags
from edgeclf.training.folds import FOLDS, deal_folds
from edgeclf.training.head import Head
from edgeclf.training.tag_calibration import scales_and_shifts
from edgeclf.training.tag_dataset import TagDataset
from edgeclf.training.tag_regression import sigmoid
from edgeclf.training.tag_space import Pictures
from edgeclf.training.tag_thresholds import at_precision, best_f1
from edgeclf.training.tag_trials import TagTrial, TagTrials
from edgeclf.training.view_bottlenecks import view_blocks

logger = logging.getLogger("edgeclf")


def fit_tags(
    config: RetrainConfig, extractor: BottleneckExtractor, dataset: TagDataset
) -> FittedTags:
    """Fit a head to the training and validation pictures, and choose its thresholds.

    Settings, calibration and thresholds are those that suit pictures best which the
    heads of other folds have not seen; the validation pictures are one of the folds.

    Args:
        config: Settings.
        extractor: Computes the bottlenecks of views.
        dataset: The pictures.
    """
    # Imported here: it takes longer than all else here. And before threads
    # are limited, else its BLAS takes all there are.
    import scipy.linalg  # noqa: F401

    ignored = [name for name in DESCENT_ONLY if is_changed(config, name)]
    if ignored:
        logger.warning(
            "Without effect: %s. Heads of tags are solved for, without steps.",
            ", ".join(f"--{name}" for name in ignored),
        )
    rows, folds = deal_tags(dataset)
    order = np.argsort(folds, kind="stable")  # a fold stands together
    targets = dataset.targets[rows[order]]
    # One thread adds in one order: the same weights in every run.
    with threadpool_limits(1, user_api="blas"):
        pictures = Pictures(
            dataset.bottlenecks,
            rows[order],
            extractor.backbone.widths or (extractor.backbone.depth,),
            _changes(config, extractor, dataset, rows),
        )
        trials = TagTrials(pictures, targets, folds[order])
        best = trials.search()
        chosen = trials.best_by_tag(best)
        unseen = np.stack(
            [trial.logits[:, tag] for tag, trial in enumerate(chosen)], axis=1
        )
        scales, shifts = scales_and_shifts(unseen, targets)
        weighting = np.zeros(len(shifts))
        if config.class_weights == "balanced":
            weighting = -_log_odds(targets)
        shifts = shifts + weighting
        unseen = (unseen * scales + shifts).astype(np.float32)
        head = _all_pictures_head(trials, chosen, scales, shifts)
    wide = unseen.astype(np.float64)
    scores, chances = sigmoid(wide), sigmoid(wide - weighting)
    thresholds = (
        best_f1(scores, targets, chances)
        if config.precision is None
        else at_precision(scores, targets, config.precision, dataset.labels, chances)
    )
    candidates = [_described(trial) for trial in trials.tried.values()]
    _log(best, chosen)
    in_order = np.empty_like(unseen)
    in_order[order] = unseen
    return FittedTags(
        head,
        thresholds,
        in_order,
        strength=best.setting.strength,
        solver="regression",
        temperature=None,
        class_weights="balanced" if config.class_weights == "balanced" else "none",
        weighting=weighting,
        candidates=candidates,
    )


def deal_tags(dataset: TagDataset) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the training and validation pictures, rising, and the fold of each.

    That of validation pictures is `FOLDS`. Near-duplicates stay together, and are dealt
    by the rarest tag of any of them, so that no fold has all pictures of a tag.
    """
    train, validation = dataset.positions(TRAIN), dataset.positions(VALIDATION)
    counts = dataset.targets[train].sum(axis=0)
    _, members = np.unique(dataset.groups[train], return_inverse=True)
    has_tag = np.zeros((members.max() + 1, len(counts)), np.bool_)
    np.logical_or.at(has_tag, members, dataset.targets[train])
    rarest = np.where(has_tag, counts, len(train) + 1).argmin(axis=1)
    kinds = np.where(has_tag.any(axis=1), rarest, len(counts))[members]
    folds = np.full(len(dataset.examples), FOLDS)
    folds[train] = deal_folds(
        kinds, dataset.groups[train], [dataset.digests[row] for row in train.tolist()]
    )
    rows = np.sort(np.concatenate([train, validation]))
    return rows, folds[rows]


def _changes(
    config: RetrainConfig,
    extractor: BottleneckExtractor,
    dataset: TagDataset,
    rows: NDArray[np.intp],
) -> NDArray[np.float32] | None:
    """Return the second moment of what views change, summed up a block at a time."""
    if config.num_views == 1:
        return None
    depth = extractor.backbone.depth
    total = np.zeros((depth, depth), np.float32)
    for bottlenecks, owners in view_blocks(config, extractor, dataset, rows):
        change = bottlenecks - dataset.bottlenecks[owners]
        total += change.T @ change
    return total


def _log_odds(targets: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the logarithm of each tag's odds, finite whatever they are.

    Source: A. K. Menon et al., "Long-tail learning via logit adjustment" (ICLR 2021).
    """
    counts = targets.sum(axis=0)
    return np.asarray(np.log((counts + 0.5) / (len(targets) - counts + 0.5)))


def _all_pictures_head(
    trials: TagTrials,
    chosen: list[TagTrial],
    scales: NDArray[np.float64],
    shifts: NDArray[np.float64],
) -> Head:
    """Return the head of all pictures, with what calibrates it in its weights."""
    heads: dict[int, tuple[NDArray[np.float32], np.float32]] = {}
    for tags, space, solution in trials.fit(chosen):
        part = space.head(solution.weights, solution.bias)
        heads |= {
            tag: (part.weights[place], part.bias[place])
            for place, tag in enumerate(tags)
        }
    factors = scales * [trial.scale for trial in chosen]
    weights = np.stack([heads[tag][0] for tag in range(len(chosen))])
    bias = np.array([heads[tag][1] for tag in range(len(chosen))])
    return Head(
        (weights * factors[:, np.newaxis]).astype(np.float32),
        (bias * factors + shifts).astype(np.float32),
    )


def _described(trial: TagTrial) -> dict[str, Any]:
    """Return a candidate's settings and figures on unseen pictures, for JSON."""
    return {
        "solver": "regression",
        "emphasis": trial.setting.emphasis,
        "strength": trial.setting.strength,
        "temperature": 1.0 / trial.scale,
        "cross_entropy": trial.loss,
    }


def _log(best: TagTrial, chosen: list[TagTrial]) -> None:
    own = sum(trial is not best for trial in chosen)
    logger.info(
        "Head: regression (cross-entropy of unseen pictures %.3f); "
        "%d of %d tags by settings of their own",
        best.loss,
        own,
        len(chosen),
    )
