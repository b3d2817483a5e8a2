"""The main job: a folder of pictures becomes one quantized `.tflite` file."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import logging
import threading
from dataclasses import dataclass

from edgeclf.data import progress
from edgeclf.data.folders import read_background, read_folder
from edgeclf.data.splits import read_split_file
from edgeclf.labels import warn_of_unknown
from edgeclf.training import reject
from edgeclf.training.assemble import assemble
from edgeclf.training.backbone import backbone_of
from edgeclf.training.background import Background, load_background
from edgeclf.training.cache import BottleneckCache, bottleneck_dir
from edgeclf.training.config import RetrainConfig
from edgeclf.training.dataset import BottleneckDataset, load_dataset
from edgeclf.training.engine import extractor_of
from edgeclf.training.fit import fit_head
from edgeclf.training.head import FittedHead
from edgeclf.training.known import fit_known
from edgeclf.training.measurements import (
    accuracy,
    calibration,
    measure,
    measure_reject,
    misclassified,
)
from edgeclf.training.mislabelled import out_of_fold_probabilities
from edgeclf.training.outputs import (
    check_no_picture_is_written,
    prepare_outputs,
    write_outputs,
)
from edgeclf.training.record import describe_run, with_record
from edgeclf.training.repair import Exported, export_repaired
from edgeclf.training.report import report_parts
from edgeclf.training.result import RetrainResult
from edgeclf.training.summaries import summary_files
from edgeclf.training.survey import survey
from edgeclf.training.trials import DEFAULT_SHRINKAGE
from edgeclf.zoo.backbone import Backbone

logger = logging.getLogger("edgeclf")


def retrain(config: RetrainConfig, shown: RetrainConfig | None = None) -> RetrainResult:
    """Train a head on pictures with classes, or with tags, and write the model file.

    Nothing is written before everything is measured; files that stood there before
    are replaced in one step each.

    Args:
        config: Settings.
        shown: What the report on pictures with classes says that they were: of who
            trains for others, with the paths that these have. Default: `config`.

    Raises:
        DatasetError: Fewer than two classes with usable pictures, or no tag, or an
            unreadable picture with `strict`; or a table cannot be read.
        ModelError: The backbone cannot be read, cut, quantized or, with `fine_tune`,
            trained; or int8 costs more than `max_int8_drop`, whatever is tried.
        DownloadError: The backbone that was asked for cannot be had.
        OSError: A folder is missing or cannot be written.
        MissingExtraError: No interpreter is installed, or no TensorFlow to fine-tune.
    """
    prepare_outputs(config)
    _import_ahead("ai_edge_quantizer.quantizer")
    if config.report_paths is not None:
        _import_ahead("edgeclf.report.curves", "edgeclf.report.page")
    logger.info("Looking for pictures in %s", config.source)
    source = config.tag_source
    if source is not None:
        from edgeclf.training.retrain_tags import retrain_tags  # others go without

        return retrain_tags(config, source.read())
    return _retrain_classes(config, shown or config)


def _retrain_classes(config: RetrainConfig, shown: RetrainConfig) -> RetrainResult:
    trained = _train(config)
    dataset = trained.dataset
    metrics = describe_run(config, trained.backbone, dataset, trained.fitted)
    metrics |= trained.exported.describe()
    graph = trained.exported.graph
    metrics["num_background"] = len(trained.background.examples)

    def complete(content: bytes, known: reject.Known | None = trained.known) -> bytes:
        return with_record(content, config, trained.backbone, dataset, metrics, known)

    kind = config.kind
    # Of the float model only the scores are of interest, where it is not the file.
    models = {"float": complete(trained.floating, None), kind: complete(graph)}
    evaluations = measure(config, dataset, models)
    measured = evaluations.get(kind)
    metrics |= {
        "accuracy": measured.accuracy if measured else None,
        "accuracy_float": accuracy(evaluations, "float"),
        "accuracy_int8": accuracy(evaluations, "int8"),
        "macro_f1": measured.macro_f1 if measured else None,
        "calibration": calibration(measured, trained.fitted.temperature),
        "test": measured.describe(dataset.labels) if measured else None,
        "reject": trained.known.rule
        and measure_reject(
            models[kind], measured, trained.background.held_out, config.num_workers
        ),
    }
    model = complete(graph)
    metrics["size_bytes"] = len(model)
    probabilities = out_of_fold_probabilities(
        dataset, trained.backbone.widths, shrinkage=DEFAULT_SHRINKAGE
    )
    metrics["audit"] = survey(
        config, dataset, probabilities, trained.backbone.input_size
    )
    progress.stage("report")
    parts = report_parts(
        config,
        shown,
        dataset,
        trained.backbone,
        trained.fitted,
        evaluations,
        model,
        probabilities,
        metrics["reject"],
    )
    if config.summaries_dir is not None:
        parts |= summary_files(
            config.summaries_dir,
            dataset,
            trained.fitted,
            evaluations,
            kind,
        )
    write_outputs(config, dataset, model, metrics, parts)
    wrong = misclassified(measured, dataset.labels) if measured else ()
    return RetrainResult(config.model_path, config.split_path, metrics, wrong)


@dataclass(frozen=True)
class _Trained:
    """What comes out of training, before anything is measured or written."""

    backbone: Backbone
    dataset: BottleneckDataset
    fitted: FittedHead
    known: reject.Known
    background: Background
    floating: bytes
    exported: Exported


def _train(config: RetrainConfig) -> _Trained:
    """Read the pictures, fit the head, export the graph."""
    found = read_folder(config.class_dir)
    for label in sorted({example.label for example in found}):
        warn_of_unknown(label)
    strangers = read_background(config.class_dir)
    check_no_picture_is_written(config, [*found, *strangers])
    fixed = read_split_file(config.split_file) if config.split_file else {}
    backbone = backbone_of(config)
    if config.fine_tune:  # fails now rather than after the work
        from edgeclf.training.finetune import check_trainable

        check_trainable(backbone)
    with BottleneckCache(bottleneck_dir(config.bottleneck_dir)) as cache:
        extractor = extractor_of(config, backbone, cache)
        dataset = load_dataset(config, found, fixed, extractor)
        progress.stage("head")
        fitted = fit_head(config, extractor, dataset)
        if config.fine_tune:
            from edgeclf.training.finetune import fine_tune

            extractor, dataset, fitted = fine_tune(config, extractor, dataset, fitted)
            backbone = extractor.backbone
        background = load_background(strangers, extractor, dataset)
        known = fit_known(config, extractor, dataset, fitted, background.bottlenecks)
        fitted = dataclasses.replace(fitted, held_out=None)  # its moments are large
        progress.stage("quantize")
        floating = assemble(backbone, fitted.head, config.final_tensor_name)
        exported = export_repaired(config, floating, dataset, backbone, fitted, cache)
        known = reject.as_measured(known, exported.bottlenecks)
    return _Trained(backbone, dataset, fitted, known, background, floating, exported)


def _import_ahead(*modules: str) -> None:
    """Import heavy modules while the backbone runs; whoever needs them waits."""

    def import_all() -> None:
        with contextlib.suppress(ImportError):  # whoever needs it will say so
            for name in modules:
                importlib.import_module(name)

    threading.Thread(target=import_all, daemon=True).start()
