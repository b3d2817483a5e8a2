"""The main job: a folder of pictures becomes one quantized `.tflite` file."""

from __future__ import annotations

import contextlib
import importlib
import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeclf import files
from edgeclf.classifier import Classifier
from edgeclf.data.folders import read_folder
from edgeclf.data.splits import TEST, TRAIN, format_splits, read_split_file
from edgeclf.errors import DatasetError
from edgeclf.evaluation.evaluate import evaluate
from edgeclf.evaluation.metrics import Evaluation
from edgeclf.training.assemble import assemble
from edgeclf.training.bottlenecks import BottleneckExtractor
from edgeclf.training.cache import BottleneckCache
from edgeclf.training.config import RetrainConfig
from edgeclf.training.dataset import BottleneckDataset, load_dataset
from edgeclf.training.export import export
from edgeclf.training.fit import distorted_views, fit_head
from edgeclf.training.record import describe_run, model_record
from edgeclf.training.write_metadata import attach
from edgeclf.zoo import home, load_backbone

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
        MissingExtraError: No interpreter is installed.
    """
    model_path = output_path(config.output_graph)
    split_path = model_path.with_name(
        model_path.name.removesuffix(".tflite") + ".split.csv"
    )
    outputs = [model_path, split_path]
    if config.output_labels is not None:
        outputs.append(Path(config.output_labels))
    _check_outputs(config, outputs)
    for path in outputs:
        files.check_writable(path)
    _import_ahead("scipy.optimize", "ai_edge_quantizer.quantizer")

    logger.info("Looking for pictures in %s", config.image_dir)
    found = read_folder(config.image_dir)
    backbone = load_backbone(
        config.architecture,
        input_mean=config.input_mean,
        input_std=config.input_std,
        folder=config.model_dir,
    )
    bottleneck_dir = config.bottleneck_dir or home() / "bottlenecks"
    with BottleneckCache(bottleneck_dir) as cache:
        extractor = BottleneckExtractor(
            backbone, cache, resize=config.resize, num_workers=config.num_workers
        )
        dataset = load_dataset(config, found, extractor)
        train = dataset.subset(TRAIN)
        if config.distortions:
            train = train + distorted_views(config, extractor, dataset)
        fitted = fit_head(config, backbone, train, dataset)
        floating = assemble(backbone, fitted.head, config.final_tensor_name)
        graph = export(config, floating, dataset, backbone, fitted.head, cache)

    metrics = describe_run(config, backbone, dataset, fitted)

    def complete(content: bytes) -> bytes:
        record = model_record(config, backbone, dataset.activations[-1], metrics)
        mean, std = backbone.input_mean, backbone.input_std
        return attach(content, dataset.labels, mean, std, record)

    kind = "float" if config.quantize == "none" else config.quantize
    evaluations = _measure(
        config, dataset, {"float": complete(floating), kind: complete(graph)}
    )
    measured = evaluations.get(kind)
    for name in ("float", "int8"):
        evaluation = evaluations.get(name)
        metrics[f"accuracy_{name}"] = evaluation.accuracy if evaluation else None
    metrics["accuracy"] = measured.accuracy if measured else None
    metrics["test"] = measured.describe(dataset.labels) if measured else None
    model = complete(graph)
    metrics["size_bytes"] = len(model)

    splits = zip(dataset.examples, dataset.splits.tolist(), strict=True)
    table = format_splits({example.name: split for example, split in splits})
    written = {model_path: model}
    if not _says(config.split_file, split_path, table):
        written[split_path] = files.encoded(table)
    if config.output_labels is not None:
        text = "".join(f"{label}\n" for label in dataset.labels)
        written[Path(config.output_labels)] = text.encode()
    files.write_together(written)
    misclassified = _misclassified(measured, dataset.labels) if measured else ()
    return RetrainResult(model_path, split_path, metrics, misclassified)


def output_path(output_graph: Any) -> Path:
    """Return where the model goes: a `.pb` name becomes the `.tflite` beside it."""
    path = Path(output_graph)
    if path.suffix == ".pb":
        renamed = path.with_suffix(".tflite")
        logger.info("Writing a TFLite file: %s instead of %s", renamed, path)
        return renamed
    return path


def _check_outputs(config: RetrainConfig, outputs: Sequence[Path]) -> None:
    """Refuse to write two files, or a file and an input, to one place.

    Raises:
        DatasetError: Two paths are one.
    """
    inputs = [config.architecture] if config.architecture is not None else []
    places = [Path(path).resolve() for path in [*outputs, *inputs]]
    for path in outputs:
        if places.count(path.resolve()) > 1:
            raise DatasetError(
                "Expected different paths for the backbone, the model, its labels "
                f"and its split. Received twice: {path}."
            )


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
            classifiers, examples, dataset.labels, resize=config.resize
        )
    if not evaluations[0].names:
        return {}
    return dict(zip(models, evaluations, strict=True))


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
