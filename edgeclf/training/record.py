"""What a run says of itself: the metrics, and the record inside the model file."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from edgeclf import __version__
from edgeclf.data.splits import SPLITS, TRAIN
from edgeclf.data.tag_source import TAG_SOURCES
from edgeclf.image import PREPROCESSING_VERSION
from edgeclf.metadata import FORMAT_VERSION
from edgeclf.training.config import RetrainConfig
from edgeclf.training.dataset import BottleneckDataset
from edgeclf.training.extracted import ExtractedPictures
from edgeclf.training.fitted_tags import FittedTags
from edgeclf.training.head import FineTuning, FittedHead, accuracy
from edgeclf.training.reject import Known
from edgeclf.training.tag_dataset import TagDataset
from edgeclf.training.write_metadata import attach, with_statistics
from edgeclf.zoo.backbone import Backbone

# Metrics that describe the run rather than the model; they stay out of its file.
_NOT_RECORDED = (
    *("labels", "unreadable", "conflicting", "multi_label", "thresholds"),
    *("test", "test_float", "calibration", "training_curves", "candidates"),
)
# Of a tag source what says which tags they are; where it lies is the user's affair.
_TAG_SETTINGS = ("top_keywords", "min_confidence", "keywords", "precision")
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
        **_describe_common(config, backbone, dataset, fitted),
        "train_accuracy": accuracy(train.logits(fitted.head), train.classes),
        "validation_accuracy": fitted.validation_accuracy,
        "validation_cross_entropy": fitted.validation_cross_entropy,
        "emphasis": fitted.emphasis,
        "conflicting": list(dataset.conflicting),
    }


def describe_tag_run(
    config: RetrainConfig,
    backbone: Backbone,
    dataset: TagDataset,
    fitted: FittedTags,
) -> dict[str, Any]:
    """Return what is known of a run on tags before it is measured on the test split."""
    kind = next(name for name in TAG_SOURCES if getattr(config, name) is not None)
    return {
        **_describe_common(config, backbone, dataset, fitted),
        **fitted.describe(dataset),
        "multi_label": True,
        "thresholds": fitted.thresholds.tolist(),
        "tags": {
            "source": kind,
            **{name: getattr(config, name) for name in _TAG_SETTINGS},
            "synonyms": config.synonyms is not None,
        },
    }


def _describe_common(
    config: RetrainConfig,
    backbone: Backbone,
    dataset: ExtractedPictures,
    fitted: FittedHead | FittedTags,
) -> dict[str, Any]:
    return {
        **{f"num_{split}": len(dataset.positions(split)) for split in SPLITS},
        "labels": list(dataset.labels),
        "solver": fitted.solver or "descent",
        "candidates": list(fitted.candidates),
        "class_weights": fitted.class_weights,
        "views": config.num_views,
        "strength": fitted.strength,
        "shrinkage": fitted.shrinkage,
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
    dataset: ExtractedPictures,
    metrics: Mapping[str, Any],
    known: Known | None = None,
) -> bytes:
    """Return a model file that carries its labels, preprocessing and record.

    Args:
        content: The model without them.
        config: Settings.
        backbone: What the head stands on.
        dataset: Where the labels come from.
        metrics: What has been measured so far; of tags also their thresholds.
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
        "multi_label": config.is_multi_label,
        "thresholds": metrics.get("thresholds"),
        "reject": None,
        "bottleneck": bottleneck,
        "provenance": provenance,
    }
