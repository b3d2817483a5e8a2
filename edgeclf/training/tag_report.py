"""The report of a run on tags: what was measured, and what the pictures say."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeclf.classifier import Classifier
from edgeclf.console import number_of
from edgeclf.data.splits import SPLITS, TEST
from edgeclf.evaluation.cooccurrence import describe_cooccurrence
from edgeclf.evaluation.model_file import describe_model, measure_latency
from edgeclf.evaluation.pictures import illustrate
from edgeclf.evaluation.report import new_report
from edgeclf.evaluation.report_files import report_contents
from edgeclf.evaluation.tag_metrics import TagEvaluation
from edgeclf.evaluation.tag_pictures import remarkable_tags
from edgeclf.evaluation.tag_report import describe_tag_evaluation
from edgeclf.training.config import RetrainConfig
from edgeclf.training.report import (
    changed_settings,
    describe_files,
    training_versions,
)
from edgeclf.training.tag_dataset import TagDataset
from edgeclf.training.tag_regression import sigmoid
from edgeclf.zoo.backbone import Backbone

if TYPE_CHECKING:
    from edgeclf.training.fitted_tags import FittedTags


def tag_report_parts(
    config: RetrainConfig,
    dataset: TagDataset,
    backbone: Backbone,
    fitted: FittedTags,
    evaluations: Mapping[str, TagEvaluation],
    model: bytes,
) -> dict[Path, bytes]:
    """Return the files of a run's report, none if none is wanted.

    Args:
        config: Settings.
        dataset: The pictures.
        backbone: What the head stands on.
        fitted: The head.
        evaluations: Scores of the model file, and of the float one, on the test
            pictures, by kind; may be empty.
        model: The file that is written.
    """
    if config.report_paths is None:
        return {}
    tags = number_of(len(dataset.labels), "tag")
    pictures = number_of(len(dataset.examples), "picture")
    report = new_report("retrain", f"{config.model_path.name}: {tags}, {pictures}")
    report["multi_label"] = True
    kind = config.kind
    with Classifier(model) as classifier:
        described = describe_model(model, config.model_path, classifier)
    report["model"] = {"architecture": backbone.name, **described}
    report["latency"] = measure_latency(model, {})
    measured = evaluations.get(kind)
    if measured is not None:
        floating = None if kind == "float" else evaluations.get("float")
        report |= describe_tag_evaluation(measured, dataset.labels, kind, floating)
    report |= {
        "cooccurrence": describe_cooccurrence(dataset.targets, dataset.labels),
        "suspects": _suspects(dataset, fitted),
        "data": _describe_data(config, dataset),
        "versions": training_versions(),
        "settings": changed_settings(config),
    }
    illustrations = illustrate(
        report,
        dataset.examples,
        model,
        dataset.labels,
        {},
        num_workers=config.num_workers,
    )
    return report_contents(report, illustrations, config.report_paths)


def _suspects(
    dataset: TagDataset, fitted: FittedTags
) -> dict[str, list[dict[str, Any]]]:
    """Return what learned pictures lack or have too much, by heads without them."""
    rows = np.flatnonzero(dataset.splits != TEST)
    unseen = TagEvaluation(
        [dataset.examples[row].name for row in rows.tolist()],
        dataset.targets[rows],
        sigmoid(fitted.unseen),
        fitted.thresholds,
    )
    return remarkable_tags(unseen, dataset.labels)


def _describe_data(config: RetrainConfig, dataset: TagDataset) -> dict[str, Any]:
    rows = {split: dataset.positions(split) for split in SPLITS}
    counts = {split: dataset.targets[rows[split]].sum(axis=0) for split in SPLITS}
    return {
        "image_dir": config.image_dir and os.fspath(config.image_dir),
        "tags": [
            {"label": label, **{split: int(counts[split][tag]) for split in SPLITS}}
            for tag, label in enumerate(dataset.labels)
        ],
        **{f"num_{split}": len(rows[split]) for split in SPLITS},
        "num_without_tags": int((~dataset.targets.any(axis=1)).sum()),
        **describe_files(config, dataset),
    }
