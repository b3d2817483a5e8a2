r"""Measure a model on pictures whose class is known, and write a report.

```
edgeclf evaluate model.tflite photos/ --split_file model.split.csv
edgeclf evaluate tags.tflite photos/ --tags_csv tags.csv
```
"""

from __future__ import annotations

import argparse
import io
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from edgeclf import files
from edgeclf.classifier import Classifier
from edgeclf.console import Parser, number_of, run
from edgeclf.data.folders import Example, read_background
from edgeclf.data.splits import TEST, read_split_file
from edgeclf.data.tag_source import TAG_SOURCES
from edgeclf.errors import DatasetError, ModelError
from edgeclf.evaluation.arguments import parse
from edgeclf.evaluation.evaluate import count_rejected, evaluate
from edgeclf.evaluation.folder import (
    checked_labels,
    count_trained_on,
    describe_pictures,
    find_copies,
    merged,
    read_examples,
    split_table,
)
from edgeclf.evaluation.metrics import Evaluation
from edgeclf.evaluation.model_file import describe_model, measure_latency, versions
from edgeclf.evaluation.pictures import illustrate
from edgeclf.evaluation.report import describe_evaluation, new_report, reject_line
from edgeclf.evaluation.report_files import (
    ENDING,
    ReportPaths,
    beside,
    evaluation_page,
    foreign_values,
    report_contents,
    report_paths,
)
from edgeclf.evaluation.tag_evaluate import evaluate_tags
from edgeclf.evaluation.tag_metrics import TagEvaluation
from edgeclf.evaluation.tag_report import tag_lines
from edgeclf.evaluation.tagged import describe_tagged, read_tagged, tag_source
from edgeclf.labelling.arguments import trust_arguments, usage_errors
from edgeclf.labelling.output import write_json_line
from edgeclf.labelling.workers import named
from edgeclf.tflite.source import read_model

logger = logging.getLogger("edgeclf")

_TAG_OPTIONS = (
    *TAG_SOURCES,
    "image_dir",
    "min_confidence",
    "synonyms",
    "allow_private",
)
_SETTINGS = ("num_threads", "resize", "input_mean", "input_std", "max_model_mb")


def main(argv: Sequence[str] | None = None) -> int:
    """Measure a model; the figures go to stdout.

    Args:
        argv: The arguments. Default: those of the process.

    Returns:
        0, or 1 when the model, the pictures or a file are at fault. (2, as
        `SystemExit`, for wrong usage.)
    """
    parser, options = parse(argv)

    def command() -> int:
        with usage_errors(parser):
            # Once: what is measured is what is described.
            name, content = read_model(options.model, **trust_arguments(options))
            source = cast("io.BytesIO", named(content, name))
            classifier = Classifier(source, options.labels, **_settings(options))
        with classifier:
            report = _evaluate(options, parser, classifier, content)
        _print_result(options, report)
        return 0

    return run(command, "Nothing half-written is left. The same command begins anew.")


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    return {name: getattr(options, name) for name in _SETTINGS}


def _evaluate(
    options: argparse.Namespace,
    parser: Parser,
    classifier: Classifier,
    content: bytes,
) -> dict[str, Any]:
    """Measure, write the files, return the report."""
    page = _page(options)
    paths = report_paths(page, foreign_values(page))
    if not options.no_report:
        _check_writable(options, paths)
    labels, examples, targets = _read(options, parser, classifier)
    if not options.no_report:
        names = ("labels", "split_file", "tags_csv", "synonyms")
        others = [getattr(options, name) for name in names]
        _check_nothing_is_lost(
            paths,
            [
                options.model,
                *(path for path in others if path),
                *(example.path for example in examples),
            ],
        )
    unreadable: list[tuple[str, str]] = []
    measured = _measure(options, classifier, labels, examples, targets, unreadable)
    place = _place(options)
    if not measured.names:
        raise DatasetError(
            f"Expected a readable picture in {place}. "
            f"Received: {number_of(len(unreadable), 'picture')}, none readable."
        )
    trained_on = _count_training_pictures(options, examples)
    report = new_report(
        "evaluate", f"{options.model.name} on {place.name or 'pictures'}"
    )
    model = {
        **describe_model(content, options.model, classifier),
        "path": os.fspath(options.model),
    }
    report["model"] = model
    if isinstance(measured, TagEvaluation):
        split = options.split or TEST
        report |= describe_tagged(measured, labels, model["quantize"], split)
    else:
        report |= _describe_classes(options, classifier, measured, labels, model)
    settings = _settings(options)
    conflicting, alike = find_copies(examples, options.num_workers)
    report |= {
        "data": {
            **report["data"],
            "image_dir": options.image_dir and os.fspath(options.image_dir),
            "num_trained_on": trained_on,
            "unreadable": [
                {"file": name, "reason": reason} for name, reason in sorted(unreadable)
            ],
            "conflicting": conflicting,
            "near_duplicates": alike,
        },
        "latency": measure_latency(content, settings),
        "versions": versions(),
        "settings": _changed(options),
    }
    if options.no_report:
        return report
    illustrations = illustrate(
        report,
        examples,
        content,
        labels,
        settings,
        heat_maps=not options.no_heat_maps,
        num_workers=options.num_workers,
    )
    files.write_together(report_contents(report, illustrations, paths))
    return report


def _read(
    options: argparse.Namespace, parser: Parser, classifier: Classifier
) -> tuple[list[str], list[Example], NDArray[np.bool_] | None]:
    """Return the labels, the pictures, and which has which tag; None for classes."""
    of_tags = _is_of_tags(options, classifier)
    labels = checked_labels(classifier, os.fspath(options.model), of_tags=of_tags)
    splits = options.split_file and read_split_file(options.split_file)
    split = options.split or TEST
    if not of_tags:
        return labels, read_examples(options.image_dir, labels, splits, split), None
    if options.synonyms is None and _had_synonyms(classifier):
        logger.warning(
            "The model was trained with --synonyms: without that file here, too, "
            "pictures of a synonym count as pictures without the tag."
        )
    with usage_errors(parser):
        source = tag_source(
            labels,
            **{name: value for name in _TAG_OPTIONS
               if (value := getattr(options, name)) is not None},
        )  # fmt: skip
    return labels, *read_tagged(source, labels, splits, split)


def _had_synonyms(classifier: Classifier) -> bool:
    """Tell whether the model's tags were made of several, as its record says."""
    entry: Any = classifier.info.record
    for key in ("provenance", "tags", "synonyms"):
        entry = entry.get(key) if isinstance(entry, dict) else None
    return entry is True


def _measure(
    options: argparse.Namespace,
    classifier: Classifier,
    labels: Sequence[str],
    examples: Sequence[Example],
    targets: NDArray[np.bool_] | None,
    unreadable: list[tuple[str, str]],
) -> Evaluation | TagEvaluation:
    """Return the scores of the pictures that can be read."""
    settings: dict[str, Any] = {
        "resize": classifier.resize,
        "num_workers": options.num_workers,
        "unreadable": unreadable,
    }
    if targets is None:
        return evaluate([classifier], examples, labels, **settings)[0]
    return evaluate_tags([classifier], examples, targets, **settings)[0]


def _place(options: argparse.Namespace) -> Path:
    """Return where the pictures are, for messages."""
    names = (*TAG_SOURCES, "image_dir")
    given = (getattr(options, name) for name in names)
    return Path(next(path for path in given if path is not None))


def _is_of_tags(options: argparse.Namespace, classifier: Classifier) -> bool:
    """Tell whether the model is measured on pictures with several tags each.

    Raises:
        ModelError: It gives each picture one label, and the pictures have tags.
    """
    names = (*TAG_SOURCES, "synonyms")
    given = [f"--{name}" for name in names if getattr(options, name) is not None]
    if classifier.multi_label or options.multi_label:
        return True
    if given:
        raise ModelError(
            f"{options.model}: Expected a model that gives each picture several "
            f"labels, with {given[0]}. Received: one label a picture. If it is another "
            "maker's with independent scores, add --multi_label; else give a folder "
            "of class folders."
        )
    return False


def _describe_classes(
    options: argparse.Namespace,
    classifier: Classifier,
    measured: Evaluation,
    labels: Sequence[str],
    model: Mapping[str, Any],
) -> dict[str, Any]:
    """Return what a report says of a model of classes and its pictures."""
    evaluation = merged(measured, labels)
    described = describe_evaluation(
        evaluation, labels, model["quantize"], model["temperature"]
    )
    described["reject"]["background"] = _measure_background(options, classifier)
    split = options.split or TEST
    described["data"] = describe_pictures(options.image_dir, split, evaluation, labels)
    return described


def _page(options: argparse.Namespace) -> Path:
    return options.report or evaluation_page(options.model)


def _check_writable(options: argparse.Namespace, paths: ReportPaths) -> None:
    """Fail now rather than after the work; say where the report goes."""
    usual = beside(options.model, ENDING)
    if options.report is None and paths.page != usual:
        logger.info("%s tells of the training and stays.", usual)
    for path in paths:
        files.check_writable(path)


def _check_nothing_is_lost(paths: Sequence[Path], read: Sequence[Path]) -> None:
    """Refuse to write over what is read.

    Raises:
        DatasetError: A part of the report has the path of one.
    """
    replaced = {path.resolve() for path in paths if path.exists()}
    if not replaced:
        return
    for path in read:
        if path.resolve() in replaced:
            raise DatasetError(
                f"Expected another --report: it would be written over {path}."
            )


def _count_training_pictures(
    options: argparse.Namespace, examples: Sequence[Example]
) -> int:
    """Return how many pictures are none to measure on; a warning tells."""
    seen = count_trained_on(options.model, examples)
    if seen:
        logger.warning(
            "By their names in %s, the model has been trained with %d of these %s: "
            "then the figures are too good. With --split_file, that table and "
            "--split test it is measured on the others.",
            split_table(options.model),
            seen,
            number_of(len(examples), "picture"),
        )
    return seen


def _measure_background(
    options: argparse.Namespace, classifier: Classifier
) -> dict[str, Any] | None:
    """Return what the model's rule does to pictures of no class, for JSON."""
    strangers = read_background(options.image_dir)
    if strangers and not classifier.info.record.get("reject"):
        logger.info(
            "Not measured: %s of no class. The model has no rule for unknown.",
            number_of(len(strangers), "picture"),
        )
        return None
    num, rejected = count_rejected(classifier, strangers, options.num_workers)
    return {"num": num, "rejected": rejected / num} if num else None


def _changed(options: argparse.Namespace) -> dict[str, Any]:
    """Return the options that somebody gave."""
    given = vars(options).items()
    return {
        name: os.fspath(value) if isinstance(value, os.PathLike) else value
        for name, value in given
        if value is not None
        and value is not False  # 0 is a value
        and name not in ("model", "folder", "image_dir", "json")
    }


def _print_result(options: argparse.Namespace, report: Mapping[str, Any]) -> None:
    if options.json:
        write_json_line(report)
        return
    device = report["accuracy"]["device"]
    if report.get("multi_label"):
        print("\n".join(tag_lines(device)))
    else:
        low, high = device["interval_95"]
        print(
            f"Accuracy = {device['accuracy']:.1%} (N={device['num']}), "
            f"95% interval {low:.1%} to {high:.1%}"
        )
        print(f"Macro-F1 = {device['macro_f1']:.3f}")
        if line := reject_line(report["reject"]):
            print(line)
    if not options.no_report:
        print(f"Report: {_page(options)}")


if __name__ == "__main__":
    sys.exit(main())
