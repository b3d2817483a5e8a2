"""What a run says of itself: the metrics, and the record inside the model file."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from edgeclf import __version__
from edgeclf.data.splits import SPLITS, TRAIN
from edgeclf.image import PREPROCESSING_VERSION
from edgeclf.metadata import FORMAT_VERSION
from edgeclf.training.config import RetrainConfig
from edgeclf.training.dataset import BottleneckDataset
from edgeclf.training.head import FineTuning, FittedHead, accuracy
from edgeclf.training.reject import Known
from edgeclf.training.write_metadata import attach, with_statistics
from edgeclf.zoo.backbone import Backbone

# Metrics that describe the run rather than the model; they stay out of its file.
_NOT_RECORDED = (
    *("labels", "unreadable", "conflicting"),
    *("test", "calibration", "training_curves", "candidates"),
)
_LIBRARIES = ("ai-edge-litert", "ai-edge-quantizer", "numpy", "pillow", "scipy")


def describe_run(
    config: RetrainConfig,
    backbone: Backbone,
    dataset: BottleneckDataset,
    fitted: FittedHead,
) -> dict[str, Any]:
    """Return what is known before anything is measured on the test split."""
    train = dataset.subset(TRAIN)
    return {
        **{f"num_{split}": len(dataset.positions(split)) for split in SPLITS},
        "labels": list(dataset.labels),
        "train_accuracy": accuracy(train.logits(fitted.head), train.classes),
        "validation_accuracy": fitted.validation_accuracy,
        "validation_cross_entropy": fitted.validation_cross_entropy,
        "solver": fitted.solver or "descent",
        "candidates": list(fitted.candidates),
        "class_weights": fitted.class_weights,
        "views": config.num_views,
        "strength": fitted.strength,
        "shrinkage": fitted.shrinkage,
        "emphasis": fitted.emphasis,
        "temperature": fitted.temperature,
        **_describe_fine_tuning(fitted.fine_tuning),
        "training_curves": fitted.training_curves,
        "architecture": backbone.name,
        "backbone_sha256": backbone.sha256,
        "backbone_source": backbone.source,
        "dataset_sha256": dataset.sha256,
        "seed": config.seed,
        "quantize": config.quantize,
        "head": config.head,
        "unreadable": [
            {"file": entry.example.name, "reason": entry.reason}
            for entry in dataset.unreadable
        ],
        "conflicting": list(dataset.conflicting),
    }


def _describe_fine_tuning(tuning: FineTuning | None) -> dict[str, Any]:
    if tuning is None:
        return {"fine_tuned": False, "fine_tuning": None}
    return {
        "fine_tuned": tuning.kept,
        "fine_tuning": {
            "epochs": tuning.epochs,
            "share": tuning.share,
            "frozen": dict(tuning.frozen),
            "tuned": dict(tuning.tuned),
            "frozen_sha256": tuning.frozen_sha256,
            "tensorflow": tuning.tensorflow,
        },
    }


def with_record(
    content: bytes,
    config: RetrainConfig,
    backbone: Backbone,
    dataset: BottleneckDataset,
    metrics: Mapping[str, Any],
    known: Known | None = None,
) -> bytes:
    """Return a model file that carries its labels, preprocessing and record.

    Args:
        content: The model without them.
        config: Settings.
        backbone: What the head stands on.
        dataset: Where the labels come from.
        metrics: What has been measured so far.
        known: How the classes spread, and the reject rule; None for neither.
    """
    record = _model_record(config, backbone, dataset.activations[-1], metrics)
    if known is not None and known.rule is not None:
        record["reject"] = known.rule.entry()
    mean, std = backbone.input_mean, backbone.input_std
    attached = attach(content, dataset.labels, mean, std, record)
    return attached if known is None else with_statistics(attached, known.statistics)


def _model_record(
    config: RetrainConfig,
    backbone: Backbone,
    bottleneck: str,
    metrics: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the content of `edgeclf.json`; see `edgeclf.metadata`."""
    provenance = {key: metrics[key] for key in metrics if key not in _NOT_RECORDED}
    provenance["versions"] = {
        "edgeclf": __version__,
        **{name: version(name) for name in _LIBRARIES},
    }
    return {
        "format_version": FORMAT_VERSION,
        "preprocessing": {
            "version": PREPROCESSING_VERSION,
            "resize": config.resize,
            "input_mean": backbone.input_mean,
            "input_std": backbone.input_std,
        },
        "multi_label": False,
        "thresholds": None,
        "reject": None,
        "bottleneck": bottleneck,
        "provenance": provenance,
    }
