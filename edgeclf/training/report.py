"""The report of a training run: what was measured, and what the pictures say."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeclf.classifier import Classifier
from edgeclf.console import number_of
from edgeclf.data.splits import SPLITS
from edgeclf.evaluation.metrics import Evaluation
from edgeclf.evaluation.model_file import describe_model, measure_latency, versions
from edgeclf.evaluation.pictures import illustrate
from edgeclf.evaluation.report import describe_evaluation, new_report
from edgeclf.evaluation.report_files import report_contents
from edgeclf.training.config import ENGINE_SETTINGS, RetrainConfig, is_changed
from edgeclf.training.dataset import BottleneckDataset
from edgeclf.training.extracted import ExtractedPictures
from edgeclf.training.head import FittedHead
from edgeclf.training.learning_curve import learning_curve
from edgeclf.training.mislabelled import find_mislabelled
from edgeclf.zoo.backbone import Backbone

_LIBRARIES = ("ai-edge-quantizer", "scipy")


def report_parts(
    config: RetrainConfig,
    shown: RetrainConfig,
    dataset: BottleneckDataset,
    backbone: Backbone,
    fitted: FittedHead,
    evaluations: Mapping[str, Evaluation],
    model: bytes,
    probabilities: NDArray[np.floating[Any]],
    rejected: Mapping[str, Any] | None,
) -> dict[Path, bytes]:
    """Return the files of a run's report, none if none is wanted.

    Args:
        config: Settings.
        shown: What the report says that they were.
        dataset: The pictures.
        backbone: What the head stands on.
        fitted: The head.
        evaluations: Scores of the model file, and of the float one, on the test
            pictures, by kind; may be empty.
        model: The file that is written.
        probabilities: Float `(n, classes)`, of heads that have not seen the pictures:
            they tell which are in the wrong class.
        rejected: What the reject rule does, as the metrics have it; None without one.
    """
    if config.report_paths is None:
        return {}
    report = new_report("retrain", f"{shown.model_path.name}: {_title(dataset)}")
    kind = config.kind
    with Classifier(model) as classifier:
        report["model"] = describe_model(model, shown.model_path, classifier)
    report["latency"] = measure_latency(model, {})
    measured = evaluations.get(kind)
    if measured is not None:
        floating = None if kind == "float" else evaluations.get("float")
        report |= describe_evaluation(
            measured, dataset.labels, kind, fitted.temperature, floating
        )
        if rejected and rejected["background_rejected"] is not None:
            report["reject"]["background"] = {
                "num": rejected["num_background_measured"],
                "rejected": rejected["background_rejected"],
            }
    report |= {
        "data": _describe_data(shown, dataset),
        "learning_curve": _learning_curve(config, dataset, backbone),
        "training_curves": fitted.training_curves,
        "mislabelled": _mislabelled(dataset, probabilities),
        "versions": _versions(fitted),
        "settings": changed_settings(shown),
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


def training_versions() -> dict[str, str]:
    """Return the versions that what is trained depends on."""
    return {**versions(), **{name: version(name) for name in _LIBRARIES}}


def _versions(fitted: FittedHead) -> dict[str, str]:
    found = training_versions()
    if fitted.fine_tuning is not None:
        found["tensorflow"] = fitted.fine_tuning.tensorflow
    return found


def _title(dataset: BottleneckDataset) -> str:
    classes = number_of(len(dataset.labels), "class", "classes")
    return f"{classes}, {number_of(len(dataset.examples), 'picture')}"


def changed_settings(config: RetrainConfig) -> dict[str, Any]:
    """Return the settings that are not as they are anyway, for JSON.

    The engine is none of them: it changes nothing, and others have no such cluster.
    """
    return {
        field.name: _plain(getattr(config, field.name))
        for field in fields(config)
        if is_changed(config, field.name) and field.name not in ENGINE_SETTINGS
    }


def _plain(value: Any) -> Any:
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _describe_data(config: RetrainConfig, dataset: BottleneckDataset) -> dict[str, Any]:
    counts = {
        split: np.bincount(
            dataset.classes[dataset.positions(split)], minlength=len(dataset.labels)
        )
        for split in SPLITS
    }
    return {
        "image_dir": config.source,
        "classes": [
            {"label": label, **{split: int(counts[split][index]) for split in SPLITS}}
            for index, label in enumerate(dataset.labels)
        ],
        **{f"num_{split}": int(counts[split].sum()) for split in SPLITS},
        "conflicting": list(dataset.conflicting),
        **describe_files(config, dataset),
    }


def describe_files(config: RetrainConfig, dataset: ExtractedPictures) -> dict[str, Any]:
    """Return what a report says of the pictures whatever they are labelled with."""
    return {
        "unreadable": [
            {"file": entry.example.name, "reason": entry.reason}
            for entry in dataset.unreadable
        ],
        "near_duplicates": _near_duplicates(dataset),
        "dataset_sha256": dataset.sha256,
        "seed": config.seed,
    }


def _near_duplicates(dataset: ExtractedPictures) -> list[list[str]]:
    order = np.argsort(dataset.groups, kind="stable")
    starts = np.flatnonzero(np.diff(dataset.groups[order]))
    return [
        [dataset.examples[row].name for row in rows.tolist()]
        for rows in np.split(order, starts + 1)
        if len(rows) > 1
    ]


def _learning_curve(
    config: RetrainConfig, dataset: BottleneckDataset, backbone: Backbone
) -> dict[str, Any] | None:
    curve = learning_curve(
        dataset.bottlenecks,
        dataset.classes,
        dataset.groups,
        dataset.digests,
        backbone.widths or (backbone.depth,),
        config.num_workers,
    )
    return None if curve is None else curve.describe()


def _mislabelled(
    dataset: BottleneckDataset, probabilities: NDArray[np.floating[Any]]
) -> list[dict[str, Any]]:
    """Return pictures that heads which have not seen them put into another class."""
    suspects = find_mislabelled(probabilities, dataset.classes)
    return [
        {
            "file": dataset.examples[suspect.row].name,
            "label": dataset.labels[dataset.classes[suspect.row]],
            "suggested": dataset.labels[suspect.suggested],
            "confidence": suspect.confidence,
        }
        for suspect in suspects
    ]
