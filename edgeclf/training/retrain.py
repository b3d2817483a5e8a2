"""The main job: a folder of pictures becomes one quantized `.tflite` file."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import json
import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeclf import files
from edgeclf.classifier import Classifier
from edgeclf.data.folders import Example, read_background, read_folder
from edgeclf.data.splits import TEST, format_splits, read_split_file
from edgeclf.errors import DatasetError
from edgeclf.evaluation.calibration import describe_calibration
from edgeclf.evaluation.evaluate import evaluate, rejected_share
from edgeclf.evaluation.metrics import Evaluation
from edgeclf.training import reject
from edgeclf.training.assemble import assemble
from edgeclf.training.background import Background, load_background
from edgeclf.training.bottlenecks import BottleneckExtractor
from edgeclf.training.cache import BottleneckCache, bottleneck_dir
from edgeclf.training.config import RetrainConfig
from edgeclf.training.dataset import BottleneckDataset, load_dataset
from edgeclf.training.fit import fit_head, plain_discriminant
from edgeclf.training.head import FittedHead
from edgeclf.training.mislabelled import out_of_fold_probabilities
from edgeclf.training.record import describe_run, with_record
from edgeclf.training.repair import Exported, export_repaired
from edgeclf.training.report import report_parts
from edgeclf.training.summaries import clear_summaries, write_summaries
from edgeclf.training.survey import survey
from edgeclf.training.trials import DEFAULT_SHRINKAGE
from edgeclf.zoo import load_backbone
from edgeclf.zoo.backbone import Backbone
from edgeclf.zoo.depths import with_depths

logger = logging.getLogger("edgeclf")


@dataclass(frozen=True)
class Misclassified:
    """A test picture that the written file gets wrong.

    Attributes:
        name: Path relative to the dataset's folder.
        label: Its class.
        predicted: The class with the highest score.
        score: That score, in [0, 1].
    """

    name: str
    label: str
    predicted: str
    score: float


@dataclass(frozen=True)
class RetrainResult:
    """What a run has written and measured.

    Attributes:
        model_path: The `.tflite` file.
        split_path: CSV that says which picture was in which split.
        metrics: What `--metrics_json` holds.
        misclassified: Test pictures that the file gets wrong.
    """

    model_path: Path
    split_path: Path
    metrics: Mapping[str, Any]
    misclassified: Sequence[Misclassified]


def retrain(config: RetrainConfig) -> RetrainResult:
    """Train a head on a folder of class folders and write the model file.

    Nothing is written before everything is measured; files that stood there before
    are replaced in one step each.

    Raises:
        DatasetError: Fewer than two classes with usable pictures, or an unreadable
            picture with `strict`.
        ModelError: The backbone cannot be read, cut or quantized.
        DownloadError: The backbone that was asked for cannot be had.
        OSError: A folder is missing or cannot be written.
        MissingExtraError: No interpreter is installed, or no TensorFlow to fine-tune.
    """
    _prepare_outputs(config)
    _import_ahead("ai_edge_quantizer.quantizer")
    if config.report_paths is not None:
        _import_ahead("edgeclf.report.curves", "edgeclf.report.page")
    trained = _train(config)
    dataset = trained.dataset
    metrics = describe_run(config, trained.backbone, dataset, trained.fitted)
    metrics |= trained.exported.describe()
    graph = trained.exported.graph
    metrics["num_background"] = len(trained.background.examples)

    def complete(content: bytes, known: reject.Known | None = trained.known) -> bytes:
        return with_record(content, config, trained.backbone, dataset, metrics, known)

    kind = "float" if config.quantize == "none" else config.quantize
    # Of the float model only the scores are of interest, where it is not the file.
    models = {"float": complete(trained.floating, None), kind: complete(graph)}
    evaluations = _measure(config, dataset, models)
    measured = evaluations.get(kind)
    metrics |= {
        "accuracy": measured.accuracy if measured else None,
        "accuracy_float": _accuracy(evaluations, "float"),
        "accuracy_int8": _accuracy(evaluations, "int8"),
        "macro_f1": measured.macro_f1 if measured else None,
        "calibration": _calibration(measured, trained.fitted),
        "test": measured.describe(dataset.labels) if measured else None,
        "reject": _measure_reject(config, trained, models[kind], measured),
    }
    model = complete(graph)
    metrics["size_bytes"] = len(model)
    probabilities = _unseen_probabilities(dataset, trained.backbone)
    metrics["audit"] = survey(dataset, probabilities, trained.backbone.input_size)
    parts = report_parts(
        config,
        dataset,
        trained.backbone,
        trained.fitted,
        evaluations,
        model,
        probabilities,
    )
    _write_outputs(config, dataset, model, metrics, parts)
    if config.summaries_dir is not None:
        write_summaries(
            config.summaries_dir,
            dataset,
            trained.fitted,
            evaluations,
            kind,
            None if config.descent is None else config.descent.steps,
        )
    misclassified = _misclassified(measured, dataset.labels) if measured else ()
    return RetrainResult(config.model_path, config.split_path, metrics, misclassified)


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
    logger.info("Looking for pictures in %s", config.image_dir)
    found = read_folder(config.image_dir)
    strangers = read_background(config.image_dir)
    _check_no_picture_is_written(config, [*found, *strangers])
    fixed = read_split_file(config.split_file) if config.split_file else {}
    backbone = with_depths(
        load_backbone(
            config.architecture,
            input_mean=config.input_mean,
            input_std=config.input_std,
            folder=config.model_dir,
        )
    )
    if config.fine_tune:  # fails now rather than after the work
        from edgeclf.training.finetune import check_trainable

        check_trainable(backbone)
    with BottleneckCache(bottleneck_dir(config.bottleneck_dir)) as cache:
        extractor = BottleneckExtractor(
            backbone, cache, resize=config.resize, num_workers=config.num_workers
        )
        dataset = load_dataset(config, found, fixed, extractor)
        fitted = fit_head(config, extractor, dataset)
        if config.fine_tune:
            from edgeclf.training.finetune import fine_tune

            extractor, dataset, fitted = fine_tune(config, extractor, dataset, fitted)
            backbone = extractor.backbone
        background = load_background(strangers, extractor, dataset)
        known = _know(config, extractor, dataset, fitted, background)
        fitted = dataclasses.replace(fitted, held_out=None)  # its moments are large
        floating = assemble(backbone, fitted.head, config.final_tensor_name)
        exported = export_repaired(config, floating, dataset, backbone, fitted, cache)
    return _Trained(backbone, dataset, fitted, known, background, floating, exported)


def _know(
    config: RetrainConfig,
    extractor: BottleneckExtractor,
    dataset: BottleneckDataset,
    fitted: FittedHead,
    background: Background,
) -> reject.Known:
    """Return what the file is to know of its classes."""
    shown = (
        fitted if fitted.held_out else plain_discriminant(config, extractor, dataset)
    )
    if shown.held_out is None or shown.unseen is None:
        raise RuntimeError("A discriminant is always fitted by folds.")
    backbone = extractor.backbone
    return reject.fit(
        shown.held_out,
        shown.unseen,
        backbone.widths or (backbone.depth,),
        background.bottlenecks,
    )


def _prepare_outputs(config: RetrainConfig) -> None:
    """Fail now rather than after the work if an output cannot be written."""
    if config.model_path != Path(config.output_graph):
        logger.info(
            "Writing a TFLite file: %s instead of %s",
            config.model_path,
            config.output_graph,
        )
    for path in config.outputs:
        files.check_writable(path)
    for folder in (config.summaries_dir, config.intermediate_output_graphs_dir):
        if folder is not None:
            Path(folder).mkdir(parents=True, exist_ok=True)
    if config.summaries_dir is not None:
        clear_summaries(config.summaries_dir)


def _check_no_picture_is_written(
    config: RetrainConfig, found: Sequence[Example]
) -> None:
    """Refuse to write over a picture.

    Raises:
        DatasetError: An output has the path of a picture.
    """
    replaced = {path.resolve() for path in config.outputs if path.exists()}
    if not replaced:
        return  # nothing to write over: spares a look at every picture's path
    for example in found:
        if example.path.resolve() in replaced:
            raise DatasetError(
                f"Expected another path to write than a picture's: {example.path}."
            )


def _write_outputs(
    config: RetrainConfig,
    dataset: BottleneckDataset,
    model: bytes,
    metrics: Mapping[str, Any],
    parts: Mapping[Path, bytes],
) -> None:
    """Write all files before the first is moved into place."""
    contents = {config.model_path: model, **parts}
    pairs = zip(dataset.examples, dataset.splits.tolist(), strict=True)
    table = format_splits({example.name: split for example, split in pairs})
    if not _says(config.split_file, config.split_path, table):
        contents[config.split_path] = files.encoded(table)
    if config.output_labels is not None:
        text = "".join(f"{label}\n" for label in dataset.labels)
        contents[Path(config.output_labels)] = text.encode()
    if config.metrics_json is not None:
        text = json.dumps(metrics, ensure_ascii=False, indent=2, sort_keys=True)
        contents[Path(config.metrics_json)] = files.encoded(text + "\n")
    files.write_together(contents)


def _says(given: Any, split_path: Path, table: str) -> bool:
    """Return whether the split file to write is the given one and says the same."""
    if given is None or Path(given).resolve() != split_path.resolve():
        return False
    return format_splits(read_split_file(split_path)) == table


def _import_ahead(*modules: str) -> None:
    """Import heavy modules while the backbone runs; whoever needs them waits."""

    def import_all() -> None:
        with contextlib.suppress(ImportError):  # whoever needs it will say so
            for name in modules:
                importlib.import_module(name)

    threading.Thread(target=import_all, daemon=True).start()


def _measure(
    config: RetrainConfig, dataset: BottleneckDataset, models: Mapping[str, bytes]
) -> dict[str, Evaluation]:
    """Run every model file on the test pictures, through `Classifier`."""
    rows = dataset.positions(TEST)
    if config.test_batch_size != -1:
        source = np.random.default_rng(config.seed)
        rows = np.sort(source.permutation(rows)[: config.test_batch_size])
    examples = [dataset.examples[row] for row in rows.tolist()]
    if not examples:
        return {}
    with contextlib.ExitStack() as stack:
        classifiers = [
            stack.enter_context(Classifier(content)) for content in models.values()
        ]
        evaluations = evaluate(
            classifiers,
            examples,
            dataset.labels,
            resize=config.resize,
            num_workers=config.num_workers,
        )
    if not evaluations[0].names:
        return {}
    return dict(zip(models, evaluations, strict=True))


def _measure_reject(
    config: RetrainConfig, trained: _Trained, model: bytes, measured: Evaluation | None
) -> dict[str, Any] | None:
    """Say what the rule of the file does to test pictures, and to strangers."""
    if trained.known.rule is None:
        return None
    described = (measured and measured.describe_reject()) or {}
    held_out = trained.background.held_out
    share = None
    if held_out:
        with Classifier(model) as classifier:
            share = rejected_share(classifier, held_out, config.num_workers)
    return {
        "coverage": described.get("coverage"),
        "accuracy": described.get("accuracy"),
        "background_rejected": share,
        "num_background_measured": len(held_out),
    }


def _unseen_probabilities(
    dataset: BottleneckDataset, backbone: Backbone
) -> NDArray[np.floating[Any]]:
    return out_of_fold_probabilities(
        dataset, backbone.widths, shrinkage=DEFAULT_SHRINKAGE
    )


def _accuracy(evaluations: Mapping[str, Evaluation], kind: str) -> float | None:
    return evaluations[kind].accuracy if kind in evaluations else None


def _calibration(
    measured: Evaluation | None, fitted: FittedHead
) -> dict[str, Any] | None:
    if measured is None:
        return None
    return describe_calibration(measured.scores, measured.classes, fitted.temperature)


def _misclassified(
    evaluation: Evaluation, labels: Sequence[str]
) -> list[Misclassified]:
    predicted = evaluation.predicted
    return [
        Misclassified(
            evaluation.names[row],
            labels[evaluation.classes[row]],
            labels[predicted[row]],
            float(evaluation.scores[row, predicted[row]]),
        )
        for row in range(len(predicted))
        if predicted[row] != evaluation.classes[row]
    ]
