"""What `edgeclf retrain` prints of a run: its figures, its mistakes, its files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgeclf.console import number_of
from edgeclf.data.splits import TEST, TRAIN, VALIDATION
from edgeclf.evaluation.report import reject_line
from edgeclf.training.config import RetrainConfig
from edgeclf.training.extracted import name_some
from edgeclf.training.measurements import Misclassified
from edgeclf.training.result import RetrainResult
from edgeclf.training.tag_measurements import Mistagged

NAMED_TAGS = 5  # the worst, below the figures

_SPLITS = {TRAIN: "training", VALIDATION: "validation", TEST: "test"}


def result_lines(result: RetrainResult, config: RetrainConfig) -> list[str]:
    """Return the figures on the test pictures, and what was written where."""
    metrics = result.metrics
    counts = ", ".join(
        f"{metrics[f'num_{key}']} {word}" for key, word in _SPLITS.items()
    )
    nouns = ("tag", "tags") if config.is_multi_label else ("class", "classes")
    lines = [f"{number_of(len(metrics['labels']), *nouns)}; pictures: {counts}"]
    if metrics["test"] is None:
        known = bool(metrics["num_test"])
        why = "test picture could be read" if known else "picture was held out"
        lines.append(f"No test figure: no {why}{'' if known else ' for testing'}.")
    elif config.is_multi_label:
        lines += _tag_lines(metrics, config)
    else:
        lines += _accuracy_lines(metrics, config)
    if line := _reject_line(metrics):
        lines.append(line)
    lines.append(f"{result.model_path}: {metrics['size_bytes'] / 1e6:.2f} MB")
    if config.report_paths is not None:
        lines.append(f"Report: {config.report_paths.page}")
    return lines


def mistake_lines(result: RetrainResult) -> list[str]:
    """Return the test pictures that the written file gets wrong, a line each."""
    return [
        f"Misclassified test images:{'' if result.misclassified else ' none'}",
        *(f"  {_mistake(wrong)}" for wrong in result.misclassified),
    ]


def _mistake(wrong: Misclassified | Mistagged) -> str:
    if isinstance(wrong, Misclassified):
        guess = f"{wrong.predicted} ({wrong.score:.4f})"
        return f"{wrong.name}: {wrong.label} taken for {guess}"
    missed = [
        f"{label} ({score:.4f}, threshold {threshold:.4f})"
        for (label, score), threshold in zip(
            wrong.missed, wrong.thresholds, strict=True
        )
    ]
    given = [f"{label} ({score:.4f})" for label, score in wrong.wrong]
    parts = [
        f"{word} {', '.join(tags)}"
        for word, tags in (("missed", missed), ("wrongly given", given))
        if tags
    ]
    return f"{wrong.name}: {'; '.join(parts)}"


def _accuracy_lines(metrics: Mapping[str, Any], config: RetrainConfig) -> list[str]:
    low, high = metrics["test"]["accuracy_interval_95"]
    count = sum(entry["num_test"] for entry in metrics["test"]["per_class"])
    lines = [
        f"Final test accuracy = {metrics['accuracy']:.1%} (N={count}), "
        f"95% interval {low:.1%} to {high:.1%}, measured on the {_kind(config)} file"
    ]
    if config.quantize != "none":
        before = metrics["accuracy_float"]
        lines.append(f"The same before quantization: {before:.1%}")
    return lines


def _tag_lines(metrics: Mapping[str, Any], config: RetrainConfig) -> list[str]:
    """Return the figures of the written file, of the float one, and the worst tags."""
    test = metrics["test"]
    lines = [
        f"Final test {_tag_figures(test)} (N={test['num']}), measured on the "
        f"{_kind(config)} file"
    ]
    if config.quantize != "none":
        before = _tag_figures(metrics["test_float"])
        lines.append(f"The same before quantization: {before}")
    known = [tag for tag in test["per_tag"] if tag["average_precision"] is not None]
    flawed = [tag for tag in known if tag["average_precision"] < 1]
    worst = sorted(flawed, key=lambda tag: float(tag["average_precision"]))[:NAMED_TAGS]
    if worst and len(known) > 1:
        lines.append(f"Lowest average precision: {', '.join(map(_tag_figure, worst))}")
    unknown = [tag["label"] for tag in test["per_tag"] if tag not in known]
    if unknown:
        lines.append(f"In no test picture, and not measured: {name_some(unknown)}")
    return lines


def _tag_figures(figures: Mapping[str, Any]) -> str:
    precision = figures["mean_average_precision"]
    shown = "unknown" if precision is None else f"{precision:.1%}"
    return (
        f"mAP = {shown}, micro-F1 = {figures['micro_f1']:.1%}, "
        f"macro-F1 = {figures['macro_f1']:.1%}"
    )


def _tag_figure(tag: Mapping[str, Any]) -> str:
    pictures = number_of(tag["num_positive"], "picture")
    return f"{tag['label']} {tag['average_precision']:.1%} ({pictures})"


def _reject_line(metrics: Mapping[str, Any]) -> str | None:
    """Return what `label_image --reject` would keep of the test pictures."""
    rule = metrics.get("reject")
    share = rule["background_rejected"] if rule else None
    background = None
    if rule and share is not None:
        background = {"num": rule["num_background_measured"], "rejected": share}
    return reject_line({"rule": rule, "background": background})


def _kind(config: RetrainConfig) -> str:
    return "float32" if config.quantize == "none" else config.quantize
