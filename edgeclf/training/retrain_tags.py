"""Retraining where a picture may have several tags, or none."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from edgeclf.data.splits import read_split_file
from edgeclf.data.tagged import TaggedPictures
from edgeclf.labelling.output import hashtag
from edgeclf.labels import warn_of_unknown
from edgeclf.results import Category
from edgeclf.training.assemble import assemble
from edgeclf.training.backbone import backbone_of
from edgeclf.training.cache import BottleneckCache, bottleneck_dir
from edgeclf.training.config import RetrainConfig
from edgeclf.training.engine import extractor_of
from edgeclf.training.extracted import name_some
from edgeclf.training.fitted_tags import FittedTags
from edgeclf.training.outputs import (
    check_no_picture_is_written,
    write_outputs,
)
from edgeclf.training.record import describe_tag_run, with_record
from edgeclf.training.repair import Exported, export_repaired
from edgeclf.training.result import RetrainResult
from edgeclf.training.summaries import tag_summary_files
from edgeclf.training.tag_dataset import TagDataset, load_tags
from edgeclf.training.tag_head import fit_tags
from edgeclf.training.tag_measurements import measure_tags, mistagged, tag_figures
from edgeclf.training.tag_report import tag_report_parts
from edgeclf.zoo.backbone import Backbone

logger = logging.getLogger("edgeclf")


def retrain_tags(config: RetrainConfig, found: TaggedPictures) -> RetrainResult:
    """Train a head with one sigmoid for each tag and write the model file.

    Args:
        config: Settings, of pictures with tags.
        found: The pictures and their tags.

    Raises:
        As `retrain`.
    """
    trained = _train(config, found)
    dataset, fitted = trained.dataset, trained.fitted
    metrics = describe_tag_run(config, trained.backbone, dataset, fitted)
    metrics |= trained.exported.describe()

    def complete(content: bytes) -> bytes:
        return with_record(content, config, trained.backbone, dataset, metrics)

    kind = config.kind
    graph = trained.exported.graph
    models = {"float": complete(trained.floating), kind: complete(graph)}
    evaluations = measure_tags(config, dataset, models)
    metrics |= tag_figures(evaluations, kind, dataset.labels)
    model = complete(graph)
    metrics["size_bytes"] = len(model)
    parts = tag_report_parts(
        config, dataset, trained.backbone, fitted, evaluations, model
    )
    if config.summaries_dir is not None:
        parts |= tag_summary_files(
            config.summaries_dir, dataset, fitted, evaluations, kind
        )
    write_outputs(config, dataset, model, metrics, parts)
    measured = evaluations.get(kind)
    wrong = mistagged(measured, dataset.labels) if measured else ()
    return RetrainResult(config.model_path, config.split_path, metrics, wrong)


@dataclass(frozen=True)
class _Trained:
    """What comes out of training, before anything is measured or written."""

    backbone: Backbone
    dataset: TagDataset
    fitted: FittedTags
    floating: bytes
    exported: Exported


def _warn_of_hashtags(labels: Sequence[str]) -> None:
    """Name tags that `--format hashtags` would not show, or not tell apart."""
    of_tag: dict[str, list[str]] = {}
    for label in labels:
        of_tag.setdefault(hashtag(Category(0, label, 1.0)).casefold(), []).append(label)
    nameless = of_tag.pop("", [])
    if nameless:
        logger.warning(
            "No hashtag can be made of %s: no letter or digit is in it.",
            name_some(nameless),
        )
    for tag, alike in of_tag.items():
        if len(alike) > 1:
            logger.warning("One hashtag, %s, stands for %s.", tag, name_some(alike))


def _train(config: RetrainConfig, found: TaggedPictures) -> _Trained:
    """Compute the bottlenecks, fit the head, export the graph."""
    for label in found.labels:
        warn_of_unknown(label)
    _warn_of_hashtags(found.labels)
    check_no_picture_is_written(config, found.examples)
    fixed = read_split_file(config.split_file) if config.split_file else {}
    backbone = backbone_of(config)
    with BottleneckCache(bottleneck_dir(config.bottleneck_dir)) as cache:
        extractor = extractor_of(config, backbone, cache)
        dataset = load_tags(config, found, fixed, extractor)
        fitted = fit_tags(config, extractor, dataset)
        floating = assemble(
            backbone, fitted.head, config.final_tensor_name, multi_label=True
        )
        exported = export_repaired(config, floating, dataset, backbone, fitted, cache)
    return _Trained(backbone, dataset, fitted, floating, exported)
